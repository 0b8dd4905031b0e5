/**
 * What server and client share: the procedures with their types and errors. Nothing here needs a server, so a client in a browser
 * can import it.
 */
import { Context, Schema } from "effect"
import type { Session } from "effect-session"
import * as SessionError from "effect-session/SessionError"
import * as SessionRpc from "effect-session/SessionRpc"
import { Rpc, RpcGroup, RpcMiddleware } from "effect/rpc"

/** The user who is logged in. */
export class CurrentUser extends Context.Service<CurrentUser, string>()("CurrentUser") {}

/** Provides it to procedures, and refuses the call if nobody is logged in. */
export class LoggedIn extends RpcMiddleware.Service<LoggedIn, { requires: Session.Session; provides: CurrentUser }>()(
  "LoggedIn",
  { error: SessionError.SessionUnauthenticatedError }
) {}

// The order matters: middleware added later is further out, and the session's is outermost.
export class Shop extends RpcGroup.make(
  Rpc.make("order", { success: Schema.String, stream: true })
).middleware(LoggedIn).add(
  Rpc.make("add", { payload: { product: Schema.String }, success: Schema.Int }),
  Rpc.make("login", { payload: { name: Schema.String } })
).middleware(SessionRpc.Middleware) {}
