import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schema } from "effect"
import { CookieLayer, Session, SessionConfig, SessionKey, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"

const Visits = SessionKey.make("visits", Schema.Int).pipe(SessionKey.withDefault(() => 0))

const home = Effect.gen(function*() {
  const visits = yield* Session.increment(Visits)
  return HttpServerResponse.html(`<!doctype html><p>Visit number ${visits}</p>`)
})

const Routes = HttpRouter.add("GET", "/", home).pipe(
  Layer.provide(SessionMiddleware.layer)
)

HttpRouter.serve(Routes).pipe(
  Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 })), // first here, so it is built last
  Layer.provide(CookieLayer.layer()),
  Layer.provide(SessionConfig.layerConfig()), // SESSION_SECRET, SESSION_AGE, …
  Layer.launch,
  NodeRuntime.runMain
)
