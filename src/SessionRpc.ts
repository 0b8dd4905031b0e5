/**
 * Sessions for RPC (`effect/rpc`): middleware that provides the {@link Session} to procedures, declares the errors of
 * sessions, and saves a call's changes before its response is sent.
 *
 * **Details**
 *
 * All calls in one HTTP request share the session of that request, found by its cookie or by another transport of the
 * setting `transports`. Headers inside RPC messages are ignored.
 *
 * Each call commits or fails separately, as with `Session.atomic`. A success commits, and so does a typed error of the
 * application, since RPC has no status that would mark some of them as server faults. A session error, a defect or an
 * interruption changes nothing, unless the procedure has committed explicitly. If the commit fails, the call fails with
 * its error; if the session has ended in the meantime and changes are lost, with a `SessionGoneError`.
 *
 * With `json` and `jsonRpc`, the response is sent when all calls have ended, so each of them can set the cookie. The
 * other serializations send the headers with the first response, or with the first element of a stream:
 *
 * - Changes that a stream makes before its first element are saved with the headers, and stay even if the stream fails.
 *   Later changes are saved when it ends.
 * - After that, changes that need a cookie fail with a `SessionClosedError`: any change for a client without a session,
 *   `login`, `logout`, `regenerate`, `destroy` and `setLifetime`, and every change with CookieLayer. This affects
 *   streams, and the slower calls of one request. A client that uses `batch` can send such calls in a separate request,
 *   or use `json`.
 *
 * Over a WebSocket, each call loads the session of the handshake's cookie again, and can't set a cookie either. If the
 * session has ended or has got a new id since, as after a login, the call has an empty session. The handshake must come
 * from your own pages, by the rules and settings of `Csrf`; others are rejected with 403. Flash messages are kept for
 * the next page.
 *
 * A client sees the tags of errors, but nothing about the store, the keys or the server. The cause of a failed commit
 * is in the log.
 *
 * **Gotchas**
 *
 * - If `cookie.sameSite` is `"none"`, a page of another site can send an RPC request as text with the user's cookie:
 *   put `Csrf.layer` in front of the procedures, inside the session's Layer.
 * - If a procedure returns a `Deferred`, it is awaited after the session has been saved and closed.
 * - A call with `discard: true` is answered as soon as it begins. If its changes can't be saved, only the log shows it.
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
 * The errors of sessions that any procedure can fail with, as declared by {@link Middleware}.
 *
 * @since 0.1.0
 * @category models
 */
export type SessionFailure = Errors.SessionFailure

/**
 * Provides the session to the procedures of a group, or to a single one. Clients see its errors in their types and need
 * no other setup: their `HttpClient` keeps the cookie, for example with `HttpClient.withCookiesRef`.
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
 * Wraps a procedure's handler, an Effect or a Stream, so that {@link Middleware} handles the errors of sessions. Effect
 * allows a handler only the errors that its procedure declares; this still applies to all other errors.
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

// Marked as pure, so that a client that imports only the middleware does not bundle server code.

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
 * The middleware alone, for testing procedures without HTTP, with `RpcTest`: they use the session of the caller, such
 * as that of `Session.layerTest`.
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

/**
 * A page of any site can open a WebSocket with the browser's cookies, so the handshake must come from a page of ours.
 */
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
 * Provides the session to procedures over HTTP: the middleware of the procedures, and that of the route that serves
 * them. Provide it to a server with its protocol, such as `RpcServer.layerHttp`. If the protocol is a separate Layer,
 * provide it to that as well.
 *
 * The configuration names the cookie. Procedures at two paths can have two configurations.
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
 * // A route that HttpRouter.serve can serve.
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
