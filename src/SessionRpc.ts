/**
 * Sessions for RPC (`effect/rpc`).
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Rpc from "effect/rpc/Rpc"
import * as RpcMiddleware from "effect/rpc/RpcMiddleware"
import * as RpcSchema from "effect/rpc/RpcSchema"
import type * as Stream from "effect/Stream"
import type { unhandled } from "effect/Types"
import * as Site from "./internal/csrf/site.ts"
import * as Log from "./internal/http/log.ts"
import * as Upgrade from "./internal/http/upgrade.ts"
import type { RequestSession } from "./internal/request/requestSession.ts"
import * as Call from "./internal/rpc/call.ts"
import * as Errors from "./internal/rpc/errors.ts"
import { Session } from "./Session.ts"
import { SessionConfig } from "./SessionConfig.ts"
import * as SessionMiddleware from "./SessionMiddleware.ts"
import type { SessionStore } from "./SessionStore.ts"

export type SessionFailure = Errors.SessionFailure

export class Middleware extends RpcMiddleware.Service<Middleware, { provides: Session }>()(
  "effect-session/SessionRpc/Middleware",
  { error: Errors.all }
) {}

export const handler: <P extends Effect.Effect<any, any, any> | Stream.Stream<any, any, any>>(
  procedure: P
) => P extends Stream.Stream<infer A, infer E, infer R> ? Stream.Stream<A, Exclude<E, SessionFailure>, R | Session>
  : P extends Effect.Effect<infer A, infer E, infer R> ? Effect.Effect<A, Exclude<E, SessionFailure>, R | Session>
  : never = identity as never

type Procedure = Effect.Effect<RpcMiddleware.SuccessValue, unhandled | SessionFailure, Session>

const withSession = (procedure: Procedure, { rpc }: { readonly rpc: Rpc.AnyWithProps }) =>
  Effect.withFiber<RpcMiddleware.SuccessValue, unhandled | SessionFailure>((fiber) => {
    const outer = Context.getOrUndefined(fiber.context as Context.Context<Session>, Session)
    const session = outer && Call.begin(outer as RequestSession, fiber.context, RpcSchema.isStreamSchema(rpc.successSchema))
    if (session === undefined) return Effect.die(new Error(noSession))
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        Effect.exit(restore(Effect.provideService(procedure, Session, session))),
        (exit) => session.ended(exit, fiber.getRef(Clock.Clock))
      )
    )
  })

const noSession = "SessionRpc: the call has no session. Provide SessionRpc.layer to the protocol of the server as well, such as " +
  "RpcServer.layerProtocolHttp, or SessionMiddleware.layer, or, in a test without HTTP, Session.layerTest to the client"

/** A page of any site can open a WebSocket, with the cookies of the browser: its handshake must come from one of ours. */
const onlyOwnPages = HttpRouter.middleware(
  Effect.map(
    SessionConfig,
    (settings) => (route: Effect.Effect<HttpServerResponse.HttpServerResponse, unhandled>) =>
      Effect.flatMap(HttpServerRequest, (request) => {
        const { headers, method, url } = request
        const reason = Upgrade.isAskedFor(request) ? Site.verdict(headers, settings) : undefined
        if (reason === undefined || reason === "unknown") return route
        const path = url.split("?", 1)[0]!
        return Effect.as(
          Log.warning("A WebSocket that may be of another site was refused", { method, path, reason }),
          HttpServerResponse.text("Forbidden", { status: 403 })
        )
      })
  )
).layer

export const layerTest: Layer.Layer<Middleware> = Layer.succeed(Middleware, withSession)

export const layer: Layer.Layer<
  Middleware | HttpRouter.Request<"Requires", Session>,
  never,
  SessionStore | SessionConfig
> = Layer.fresh(Layer.mergeAll(layerTest, SessionMiddleware.layer, onlyOwnPages))
