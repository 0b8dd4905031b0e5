/** effect-session on @effect/platform-node's server; the variant is the driver. */
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Redacted, Schema } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Redis } from "ioredis"
import { createServer } from "node:http"
import { createClient } from "redis"
import {
  CookieLayer,
  FileLayer,
  MemoryLayer,
  RedisLayer,
  Session,
  SessionConfig,
  type SessionError,
  SessionKey,
  SessionMiddleware,
  SqlLayer
} from "../../src/index.ts"
import {
  folder,
  nextPage,
  nodeRedisOptions,
  poolSize,
  postgresUrl,
  ready,
  redisUrl,
  secret,
  variant
} from "../candidate.ts"
import { contentOf } from "../content.ts"
import { scenario, type Visit } from "../scenarios.ts"

const Page = SessionKey.make("page", Schema.String).pipe(SessionKey.withDefault(() => ""))
const Count = SessionKey.make("count", Schema.Number).pipe(SessionKey.withDefault(() => 0))
const List = SessionKey.make("list", Schema.Array(Schema.String)).pipe(SessionKey.withDefault(() => []))
const User = SessionKey.make("user", Schema.String)

const prefix = "effect-session:"

// As the documentation of `layerClient` asks; `layer` does so by itself, with the ioredis of the repository.
const careful = {
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  lazyConnect: true,
  maxRetriesPerRequest: 0,
  socketTimeout: 5_000
}

const drivers = {
  cookie: () => CookieLayer.layer(),
  memory: () => MemoryLayer.layer(),
  file: () => FileLayer.layer({ location: folder }).pipe(Layer.provide(NodeServices.layer)),
  postgres: () =>
    SqlLayer.layer().pipe(
      Layer.provide(Layer.effectDiscard(SqlLayer.migration())),
      Layer.provide(PgClient.layer({ url: Redacted.make(postgresUrl), maxConnections: poolSize }))
    ),
  ioredis5: () =>
    Layer.unwrap(Effect.promise(async () => {
      const client = new Redis(redisUrl, careful)
      await client.connect()
      return RedisLayer.layerClient(client, { prefix })
    })),
  ioredis6: () => RedisLayer.layer({ url: redisUrl, prefix }),
  "node-redis": () =>
    Layer.unwrap(Effect.promise(async () => {
      const client = createClient(nodeRedisOptions)
      client.on("error", () => {})
      await client.connect()
      return RedisLayer.layerClient(client, { prefix })
    }))
}

const settings = { age: "2 hours", cookie: { secure: false } } as const

// Made for each request, as by the other candidates, also where there is no session.
const ok = Effect.sync(() => HttpServerResponse.text("ok"))

const fill = Effect.gen(function*() {
  const { url } = yield* HttpServerRequest.HttpServerRequest
  const content = contentOf(Number(new URL(url, "http://localhost").searchParams.get("bytes")))
  for (const [name, value] of Object.entries(content)) {
    yield* Session.put(SessionKey.make(name, Schema.Union([Schema.String, Schema.Number])), value)
  }
  return yield* ok
})

type Run = <A, E>(operation: Effect.Effect<A, E, Session.Session>) => Promise<A>

const keyOf = (name: string) => SessionKey.make(name, Schema.String).pipe(SessionKey.withDefault(() => ""))

const visitOf = (run: Run): Visit => ({
  get: (key) => run(Session.get(keyOf(key))),
  put: (key, value) => run(Session.put(keyOf(key), value)),
  increment: () => run(Session.increment(Count)),
  append: (_, value) => run(Session.modify(List, (list) => [...list, value])),
  all: () => run(Session.all),
  regenerate: () => run(Session.regenerate),
  destroy: () => run(Session.destroy)
})

const scenarios = Effect.gen(function*() {
  const { url } = yield* HttpServerRequest.HttpServerRequest
  const run = Effect.runPromiseWith(yield* Effect.context<Session.Session>())
  const body = yield* Effect.tryPromise({
    try: () => scenario(visitOf(run), url),
    // What an operation failed with answers the request, as it does without promises.
    catch: (error) => error as SessionError.SessionError
  })
  return HttpServerResponse.text(body)
})

const Routes = Layer.mergeAll(
  HttpRouter.add("GET", "/bare", ok),
  Layer.mergeAll(
    HttpRouter.add("GET", "/untouched", ok),
    HttpRouter.add("GET", "/read", Effect.map(Page, (page) => HttpServerResponse.text(page))),
    HttpRouter.add("GET", "/write", Effect.andThen(Effect.suspend(() => Session.put(Page, nextPage())), ok)),
    HttpRouter.add("GET", "/increment", Effect.andThen(Session.increment(Count), ok)),
    HttpRouter.add("GET", "/login", Effect.andThen(Effect.andThen(Session.regenerate, Session.put(User, "ada")), ok)),
    HttpRouter.add("GET", "/fill", fill),
    HttpRouter.add("GET", "/scenarios/:name", scenarios)
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
