/**
 * A server that the tests bundle: a login and a count of visits. Which driver keeps its sessions is said by the file that
 * starts it.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Session from "effect-session/Session"
import * as SessionConfig from "effect-session/SessionConfig"
import * as SessionKey from "effect-session/SessionKey"
import * as SessionMiddleware from "effect-session/SessionMiddleware"
import type * as SessionStore from "effect-session/SessionStore"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import { createServer } from "node:http"

const User = SessionKey.make("user", Schema.String).pipe(SessionKey.withDefault(() => "nobody"))
const Visits = SessionKey.make("visits", Schema.Int).pipe(SessionKey.withDefault(() => 0))

const login = Effect.gen(function*() {
  yield* Session.regenerate
  yield* Session.put(User, "anna")
  return HttpServerResponse.empty()
})

const visit = Effect.gen(function*() {
  const visits = yield* Session.increment(Visits)
  return HttpServerResponse.text(`${yield* User}: ${visits}`)
})

const Routes = Layer.mergeAll(
  HttpRouter.add("POST", "/login", login),
  HttpRouter.add("POST", "/visits", visit)
).pipe(Layer.provide(SessionMiddleware.layer))

export const start = <E>(
  driver: Layer.Layer<
    SessionStore.SessionStore,
    E,
    SessionConfig.SessionConfig | FileSystem.FileSystem | Path.Path
  >
): void =>
  HttpRouter.serve(Routes).pipe(
    Layer.provide(driver),
    Layer.provide(SessionConfig.layerConfig()),
    Layer.provide(NodeHttpServer.layer(createServer, { port: Number(process.env.PORT) })),
    Layer.launch,
    NodeRuntime.runMain
  )
