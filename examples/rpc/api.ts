/**
 * What server and client have in common: the procedures, with their types and errors. Nothing here needs a server, so a client in
 * a browser can take it as it is.
 */
import { Context, Schema } from "effect"
import type { Session } from "effect-session"
import * as SessionError from "effect-session/SessionError"
import * as SessionRpc from "effect-session/SessionRpc"
import { Rpc, RpcGroup, RpcMiddleware } from "effect/rpc"

/** The user who is logged in. */
export class CurrentUser extends Context.Service<CurrentUser, string>()("CurrentUser") {}

/** Gives it to procedures, and refuses the call if there is none. */
export class LoggedIn extends RpcMiddleware.Service<LoggedIn, { requires: Session.Session; provides: CurrentUser }>()(
  "LoggedIn",
  { error: SessionError.SessionUnauthenticatedError }
) {}

// The order counts: what is added after a middleware is outside of it, and the session's is the outermost.
export class Shop extends RpcGroup.make(
  Rpc.make("order", { success: Schema.String, stream: true })
).middleware(LoggedIn).add(
  Rpc.make("add", { payload: { product: Schema.String }, success: Schema.Int }),
  Rpc.make("login", { payload: { name: Schema.String } })
).middleware(SessionRpc.Middleware) {}
