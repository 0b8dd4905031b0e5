/**
 * Sessions for RPC (`effect/rpc`): a middleware that provides the {@link Session} to procedures, declares the errors of sessions,
 * and saves what a call has changed before its answer goes out.
 *
 * **Details**
 *
 * All calls that come with one HTTP request have the session of that request, by its cookie, or by what else the setting
 * `transports` names. The headers that a client writes into its messages are not looked at.
 *
 * Each call counts for itself, as with `Session.atomic`. An answer of the application commits: a success, and a typed error of
 * yours, as RPC knows no status that would tell which of them are faults of the server. An error of the session, a defect and an
 * interruption change nothing, unless the procedure committed by hand. If the commit fails, its error is the answer of the call, and
 * so is a `SessionGoneError` if the session has ended meanwhile and changes are lost.
 *
 * With `json` and `jsonRpc`, the response goes out when all calls have ended, so each of them can set the cookie. The other
 * serializations send the headers with the first answer, or with the first element of a stream:
 *
 * - What a stream has changed before its first element is saved with the headers, and stays whatever becomes of the stream.
 *   The rest is saved at its end.
 * - What needs a cookie after that is a `SessionClosedError`: a change of a client without a session, `login`, `logout`,
 *   `regenerate`, `destroy` and `setLifetime`, and with the CookieLayer every change. It concerns streams, and slower calls of one
 *   request: a client that uses `batch` sends such calls in a request of their own, or uses `json`.
 *
 * Over a WebSocket, each call loads the session of the handshake's cookie anew, and can't set a cookie either. If the session has
 * ended, or has another id since, as by a login, the call has an empty one. The handshake must come from a page of yours, by the
 * rules of `Csrf` and its settings; others are refused with 403. Flash messages stay for a page.
 *
 * A client gets the tags of errors, and nothing of the store, of keys or of the server: what is behind a commit that failed is in
 * the log.
 *
 * **Gotchas**
 *
 * - A page of another site can send an RPC request as text, with the user's cookie, where `cookie.sameSite` is `"none"`: put
 *   `Csrf.layer` before the procedures, inside of the session's Layer.
 * - A `Deferred` that a procedure answers with is awaited outside of it: the session is saved, and closed, before that.
 * - A call that the client discards (`discard: true`) is answered as soon as it begins. What can't be saved is in the log alone.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Rpc from "effect/rpc/Rpc"
import * as RpcMiddleware from "effect/rpc/RpcMiddleware"
import * as RpcSchema from "effect/rpc/RpcSchema"
import type * as Stream from "effect/Stream"
import type { unhandled } from "effect/Types"
import * as Csrf from "./Csrf.ts"
import * as Upgrade from "./internal/http/upgrade.ts"
import type { RequestSession } from "./internal/request/requestSession.ts"
import * as Call from "./internal/rpc/call.ts"
import * as Errors from "./internal/rpc/errors.ts"
import { Session } from "./Session.ts"
import type { SessionConfig } from "./SessionConfig.ts"
import * as SessionMiddleware from "./SessionMiddleware.ts"
import type { SessionStore } from "./SessionStore.ts"

// -----------------------------------------------------------------------------
// procedures
// -----------------------------------------------------------------------------

/**
 * What each procedure may fail with, as {@link Middleware} declares it.
 *
 * @since 0.1.0
 * @category models
 */
export type SessionFailure = Errors.SessionFailure

/**
 * The session for the procedures of a group, or for one of them. A client sees its errors in the types, and needs nothing else of
 * it: its cookie is for its `HttpClient` to keep, such as with `HttpClient.withCookiesRef`.
 *
 * **Example**
 *
 * ```ts
 * import { Schema } from "effect"
 * import { Rpc, RpcGroup } from "effect/rpc"
 * import { SessionRpc } from "effect-session"
 *
 * const Cart = RpcGroup.make(
 *   Rpc.make("total", { success: Schema.Number }),
 *   Rpc.make("add", { payload: { amount: Schema.Number }, success: Schema.Number })
 * ).middleware(SessionRpc.Middleware)
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Middleware extends RpcMiddleware.Service<Middleware, { provides: Session }>()(
  "effect-session/SessionRpc/Middleware",
  { error: Errors.all }
) {}

/**
 * A procedure's handler, an Effect or a Stream, that leaves the errors of sessions to {@link Middleware}. Effect asks of a handler
 * that it fails with what its own procedure declares; other errors than those of sessions still have to be.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Rpc, RpcGroup } from "effect/rpc"
 * import { Session, SessionKey, SessionRpc } from "effect-session"
 *
 * const Total = SessionKey.make("total", Schema.Number).pipe(SessionKey.withDefault(() => 0))
 *
 * const Cart = RpcGroup.make(
 *   Rpc.make("total", { success: Schema.Number }),
 *   Rpc.make("add", { payload: { amount: Schema.Number }, success: Schema.Number })
 * ).middleware(SessionRpc.Middleware)
 *
 * const CartHandlers = Cart.toLayer({
 *   total: () => SessionRpc.handler(Total),
 *   add: ({ amount }) => Session.increment(Total, amount).pipe(SessionRpc.handler)
 * })
 * ```
 *
 * @since 0.1.0
 * @category procedures
 */
export const handler: <P extends Effect.Effect<unknown, unknown, unknown> | Stream.Stream<unknown, unknown, unknown>>(
  procedure: P
) => P extends Stream.Stream<infer A, infer E, infer R> ? Stream.Stream<A, Exclude<E, SessionFailure>, R | Session>
  : P extends Effect.Effect<infer A, infer E, infer R> ? Effect.Effect<A, Exclude<E, SessionFailure>, R | Session>
  : never = identity as never

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

// Marked as pure, so that a client, which has the middleware alone from here, carries nothing of the server.

type Procedure = Effect.Effect<RpcMiddleware.SuccessValue, unhandled | SessionFailure, Session>

const withSession = (procedure: Procedure, { rpc }: { readonly rpc: Rpc.AnyWithProps }) =>
  Effect.withFiber<RpcMiddleware.SuccessValue, unhandled | SessionFailure>((fiber) => {
    const outer = Context.getOrUndefined(fiber.context as Context.Context<Session>, Session)
    const session = outer &&
      Call.begin(outer as RequestSession, fiber.context, RpcSchema.isStreamSchema(rpc.successSchema))
    if (session === undefined) return Effect.die(new Error(noSession))
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        Effect.exit(restore(Effect.provideService(procedure, Session, session))),
        (exit) => session.ended(exit, fiber.getRef(Clock.Clock))
      )
    )
  })

const noSession =
  "SessionRpc: the call has no session. Provide SessionRpc.layer to the protocol of the server as well, such as " +
  "RpcServer.layerProtocolHttp, or SessionMiddleware.layer, or, in a test without HTTP, Session.layerTest to the client"

/**
 * The middleware alone, for a test of procedures without HTTP, with `RpcTest`: they have the session of the caller, such as that of
 * `Session.layerTest`.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { Rpc, RpcGroup, RpcTest } from "effect/rpc"
 * import { Session, SessionKey, SessionRpc } from "effect-session"
 *
 * const Total = SessionKey.make("total", Schema.Number).pipe(SessionKey.withDefault(() => 0))
 *
 * const Cart = RpcGroup.make(Rpc.make("total", { success: Schema.Number })).middleware(SessionRpc.Middleware)
 * const CartHandlers = Cart.toLayer({ total: () => SessionRpc.handler(Total) })
 *
 * const test = Effect.gen(function*() {
 *   const client = yield* RpcTest.makeClient(Cart)
 *   return yield* client.total() // 10
 * }).pipe(Effect.provide([CartHandlers, SessionRpc.layerTest, Session.layerTest({ total: 10 })]))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTest: Layer.Layer<Middleware> = /* @__PURE__ */ Layer.succeed(Middleware, withSession)

/** A page of any site can open a WebSocket, with the cookies of the browser: its handshake must come from one of ours. */
const fromOwnPages = (
  route: Effect.Effect<HttpServerResponse.HttpServerResponse, unhandled, Session>
): Effect.Effect<HttpServerResponse.HttpServerResponse, unhandled, Session | HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest, (request) =>
    Upgrade.isAskedFor(request)
      ? Effect.matchEffect(Csrf.checkHandshake, {
        onFailure: HttpServerRespondable.toResponse,
        onSuccess: () => route
      })
      : route)

const routes = () =>
  HttpRouter.middleware<{ provides: Session }>()(
    Effect.map(
      SessionMiddleware.make,
      (withSession) => (route: Parameters<typeof fromOwnPages>[0]) => withSession(fromOwnPages(route))
    )
  ).layer

/**
 * The session for procedures over HTTP: the middleware of the procedures, and that of the route that they are served at. Provide it to
 * a server with its protocol, such as `RpcServer.layerHttp`. Where the protocol is a Layer of its own, provide it to that as well.
 *
 * The cookie is the one that the configuration names. Procedures at two paths can have two configurations.
 *
 * **Example**
 *
 * ```ts
 * import { Layer, Schema } from "effect"
 * import { Rpc, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
 * import { SessionKey, SessionRpc } from "effect-session"
 *
 * const Total = SessionKey.make("total", Schema.Number).pipe(SessionKey.withDefault(() => 0))
 *
 * const Cart = RpcGroup.make(Rpc.make("total", { success: Schema.Number })).middleware(SessionRpc.Middleware)
 * const CartHandlers = Cart.toLayer({ total: () => SessionRpc.handler(Total) })
 *
 * // A route, to be served by HttpRouter.serve.
 * const Procedures = RpcServer.layerHttp({ group: Cart, path: "/rpc", protocol: "http" }).pipe(
 *   Layer.provide(CartHandlers),
 *   Layer.provide(SessionRpc.layer),
 *   Layer.provide(RpcSerialization.layerJson)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  Middleware | HttpRouter.Request<"Requires", Session>,
  never,
  SessionStore | SessionConfig
> = /* @__PURE__ */ Layer.fresh(
  /* @__PURE__ */ Layer.suspend(() => Layer.merge(layerTest, routes()))
)
