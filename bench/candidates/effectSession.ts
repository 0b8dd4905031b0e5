/** effect-session on @effect/platform-node's server; the variant is the driver. */
import { NodeHttpServer, NodeRedis, NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import {
  CookieLayer,
  FileLayer,
  MemoryLayer,
  RedisLayer,
  Session,
  SessionConfig,
  SessionKey,
  SessionMiddleware
} from "../../src/index.ts"
import { nextPage, ready, redisUrl, secret, variant } from "../candidate.ts"
import { contentOf } from "../content.ts"

const Page = SessionKey.make("page", Schema.String).pipe(SessionKey.withDefault(() => ""))
const Count = SessionKey.make("count", Schema.Number).pipe(SessionKey.withDefault(() => 0))
const User = SessionKey.make("user", Schema.String)

const drivers = {
  cookie: () => CookieLayer.layer(),
  memory: () => MemoryLayer.layer(),
  file: () => FileLayer.layer({ location: process.env["FOLDER"]! }).pipe(Layer.provide(NodeServices.layer)),
  ioredis: () => RedisLayer.layer({ url: redisUrl, prefix: "effect-session:" }),
  "node-redis": () =>
    RedisLayer.layerRedis({ prefix: "effect-session:" }).pipe(Layer.provide(NodeRedis.layer({ url: redisUrl })))
}

const settings = { age: "2 hours", cookie: { secure: false } } as const

const ok = HttpServerResponse.text("ok")

const fill = Effect.gen(function*() {
  const { url } = yield* HttpServerRequest.HttpServerRequest
  const content = contentOf(Number(new URL(url, "http://localhost").searchParams.get("bytes")))
  for (const [name, value] of Object.entries(content)) {
    yield* Session.put(SessionKey.make(name, Schema.Union([Schema.String, Schema.Number])), value)
  }
  return ok
})

const Routes = Layer.mergeAll(
  HttpRouter.add("GET", "/bare", ok),
  Layer.mergeAll(
    HttpRouter.add("GET", "/untouched", ok),
    HttpRouter.add("GET", "/read", Effect.map(Page, (page) => HttpServerResponse.text(page))),
    HttpRouter.add("GET", "/write", Effect.as(Effect.suspend(() => Session.put(Page, nextPage())), ok)),
    HttpRouter.add("GET", "/increment", Effect.as(Session.increment(Count), ok)),
    HttpRouter.add("GET", "/login", Effect.as(Effect.andThen(Session.regenerate, Session.put(User, "ada")), ok)),
    HttpRouter.add("GET", "/fill", fill)
  ).pipe(Layer.provide(SessionMiddleware.layer))
)

const Listening = Layer.effectDiscard(
  Effect.map(HttpServer.HttpServer, ({ address }) => {
    if ("port" in address) ready(address.port, settings)
  })
)

Layer.mergeAll(HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }), Listening).pipe(
  Layer.provide(drivers[variant as keyof typeof drivers]()),
  Layer.provide(SessionConfig.layer({ ...settings, secret })),
  Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
  Layer.launch,
  NodeRuntime.runMain
)
