/**
 * What becomes of requests, and of what they were told, when Redis is killed, stands still, is full, or can't be reached.
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { RedisLayer, Session, SessionKey } from "effect-session"
import { HttpRouter } from "effect/http"
import { Redis } from "ioredis"
import { loadRoutes, startLoad } from "../../support/load.ts"
import { observe } from "../../support/observe.ts"
import {
  connectNodeRedis,
  eventually,
  freePort,
  type RedisServer,
  startRedis,
  temporaryFolder
} from "../../support/redisServer.ts"
import { Count, Name, ok } from "../../support/routes.ts"
import { cookieOf, serve, type StoreLayer } from "../../support/server.ts"
import { layWire } from "../../support/wire.ts"

const clients: ReadonlyArray<{ readonly client: string; readonly store: (url: string) => StoreLayer }> = [
  { client: "ioredis", store: (url) => RedisLayer.layer({ url }) },
  {
    client: "node-redis",
    store: (url) => Layer.unwrap(Effect.map(connectNodeRedis({ url }), (client) => RedisLayer.layerClient(client)))
  },
  {
    client: "the Redis service",
    store: (url) => RedisLayer.layerRedis().pipe(Layer.provide(Layer.orDie(NodeRedis.layer({ url }))))
  }
]

const config = { timeLimit: "1 second" } as const

/** Every write is on the disk before it is acknowledged. */
const durable = ["--appendonly", "yes", "--appendfsync", "always"]

const serveOn = (store: StoreLayer) => serve(loadRoutes, { store, config, logger: false })

describe.each(clients)("under load, through $client", ({ client, store }) => {
  it.live("a server that is killed and started again: 503 meanwhile, and nothing acknowledged is lost", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const redis = yield* startRedis({ folder, parameters: durable })
      const server = yield* serveOn(store(redis.url))
      const load = yield* startLoad(server, 8)
      yield* load.more(200, 20)
      yield* redis.kill
      yield* load.more(503, 3)
      yield* startRedis({ folder, port: redis.port, parameters: durable })
      yield* load.more(200, 20)
      yield* load.end
      yield* load.assertNothingLost()
      if (client === "ioredis") {
        const messages = observed.logs.map(({ message }) => message).filter((message) => message.includes("Redis"))
        assert.deepStrictEqual(messages.filter((message) => !message.startsWith("Redis can't be reached")), [
          "The connection to Redis is lost",
          "The connection to Redis is back"
        ])
        assert.strictEqual(new Set(messages).size, messages.length, "each reason once")
      }
    }).pipe(Effect.provide(observed.layer))
  })

  it.live("a server that stands still: 503 at the time limit meanwhile, and nothing acknowledged is lost", () =>
    Effect.gen(function*() {
      const redis = yield* startRedis({ parameters: durable })
      const server = yield* serveOn(store(redis.url))
      const load = yield* startLoad(server, 8)
      yield* load.more(200, 20)
      yield* redis.pause
      yield* load.more(503, 2)
      yield* redis.goOn
      yield* load.more(200, 20)
      yield* load.end
      yield* load.assertNothingLost()
    }).pipe(Effect.provide(observe().layer)))

  it.live("scripts that are flushed: nobody notices", () =>
    Effect.gen(function*() {
      const redis = yield* startRedis()
      const server = yield* serveOn(store(redis.url))
      const load = yield* startLoad(server, 8)
      for (let round = 0; round < 5; round++) {
        yield* load.more(200, 5)
        yield* redis.command("SCRIPT", "FLUSH")
      }
      yield* load.more(200, 5)
      yield* load.end
      assert.isTrue(load.clients.every(({ answers }) => answers.every(({ status }) => status === 200)))
      yield* load.assertNothingLost()
    }))
})

// As the doc comment of `layerClient` tells its callers to.
const carefulClients: typeof clients = [
  clients[0]!,
  {
    client: "the caller's ioredis",
    store: (url) =>
      Layer.unwrap(Effect.map(
        Effect.acquireRelease(
          Effect.sync(() =>
            new Redis(url, {
              autoResendUnfulfilledCommands: false,
              maxRetriesPerRequest: 0,
              enableOfflineQueue: false,
              socketTimeout: 1000
            })
          ),
          (client) => Effect.sync(() => client.disconnect())
        ),
        (client) => {
          client.on("error", () => {})
          return RedisLayer.layerClient(client)
        }
      ))
  },
  {
    client: "the caller's node-redis",
    store: (url) =>
      Layer.unwrap(
        Effect.map(
          connectNodeRedis({
            url,
            disableOfflineQueue: true,
            socket: { socketTimeout: 1000, reconnectStrategy: 50 },
            pingInterval: 400,
            commandOptions: { timeout: 0 }
          }),
          (client) => RedisLayer.layerClient(client)
        )
      )
  },
  {
    client: "the Redis service",
    store: (url) => {
      const socket = { socketTimeout: 1000, reconnectStrategy: 50 }
      const redis = Layer.orDie(NodeRedis.layer({ url, socket, pingInterval: 400, disableOfflineQueue: true }))
      return Layer.provide(RedisLayer.layerRedis(), redis)
    }
  }
]

const countOn = Effect.fnUntraced(function*(redis: RedisServer, store: (url: string) => StoreLayer) {
  const wire = yield* layWire(yield* freePort, redis.port)
  const server = yield* serveOn(store(`redis://127.0.0.1:${wire.port}`))
  const count = eventually(
    Effect.map(server.post("/count"), (answer) => {
      assert.strictEqual(answer.status, 200)
      return cookieOf(answer)
    })
  )
  const cookie = yield* count
  // From now on Redis knows the scripts.
  yield* server.post("/count", { cookie })
  return { wire, server, cookie }
})

describe.each(carefulClients)("the wire to Redis, through $client,", ({ store }) => {
  it.live("that breaks before the answer comes: 503, and the change is not made twice", () =>
    Effect.gen(function*() {
      const { cookie, server, wire } = yield* countOn(yield* startRedis(), store)
      const lost = wire.loseAnswerTo("EVALSHA")
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 503)
      yield* lost
      yield* eventually(Effect.map(server.get("/", { cookie }), ({ status }) => assert.strictEqual(status, 200)))
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":3}`)
    }).pipe(Effect.provide(observe().layer)))

  it.live("that falls silent without being closed: a new connection takes its place", () =>
    Effect.gen(function*() {
      const { cookie, server, wire } = yield* countOn(yield* startRedis(), store)
      wire.fallSilent()
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 503)
      yield* eventually(Effect.map(server.get("/", { cookie }), ({ status }) => assert.strictEqual(status, 200)))
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
    }).pipe(Effect.provide(observe().layer)))
})

describe("the wire to Redis", () => {
  it.live("that leads to a master that became a replica: a new connection finds the new master", () =>
    Effect.gen(function*() {
      const [old, next] = yield* Effect.all([
        startRedis({ parameters: ["--repl-diskless-sync-delay", "0"] }),
        startRedis()
      ])
      const { cookie, server, wire } = yield* countOn(old, clients[0]!.store)
      yield* next.command("REPLICAOF", "127.0.0.1", `${old.port}`)
      yield* eventually(
        Effect.map(next.command<string>("INFO", "replication"), (info) => assert.include(info, "master_link_status:up"))
      )
      yield* next.command("REPLICAOF", "NO", "ONE")
      yield* old.command("REPLICAOF", "127.0.0.1", `${next.port}`)
      wire.leadTo(next.port)
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 503)
      yield* eventually(
        Effect.map(server.post("/count", { cookie }), ({ status }) => assert.strictEqual(status, 200))
      )
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":3}`)
    }).pipe(Effect.provide(observe().layer)))
})

const Card = SessionKey.make("card", Schema.String)

describe.each(clients)("a server without memory left, through $client", ({ store }) => {
  const routes = Layer.mergeAll(
    loadRoutes,
    HttpRouter.add("POST", "/card", Effect.as(Session.put(Card, "4111 1111 1111 1111"), ok)),
    HttpRouter.add(
      "POST",
      "/mixed",
      Effect.as(Effect.all([Session.forget(Count), Session.put(Name, "Ada"), Session.increment(Count, 5)]), ok)
    )
  )

  it.live("refuses changes with 503 as a whole, goes on reading, and lets users log out", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const redis = yield* startRedis()
      const server = yield* serve(routes, { store: store(redis.url), config, logger: false })
      const cookie = cookieOf(yield* server.post("/count"))
      const other = cookieOf(yield* server.post("/count"))
      yield* redis.command("CONFIG", "SET", "maxmemory", "1")
      for (
        const [path, sent] of [["/count", { cookie }], ["/card", { cookie }], ["/login", { cookie }], [
          "/count",
          {}
        ]] as const
      ) {
        const answer = yield* server.post(path, sent)
        assert.strictEqual(answer.status, 503, path)
        assert.deepStrictEqual(answer.setCookies, [])
      }
      assert.strictEqual(yield* redis.command("DBSIZE"), 2, "no new session, nor a part of one")
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
      const mixed = yield* server.post("/mixed", { cookie })
      const { body } = yield* server.get("/", { cookie })
      assert.strictEqual(body, mixed.status === 200 ? `{"name":"Ada","count":5}` : `{"count":1}`, "all or nothing")
      assert.strictEqual((yield* server.post("/logout", { cookie: other })).status, 200)
      assert.strictEqual((yield* server.get("/", { cookie: other })).body, "{}")
      yield* redis.command("CONFIG", "SET", "maxmemory", "0")
      assert.strictEqual((yield* server.post("/login", { cookie })).status, 200)
      assert.isTrue(observed.text().includes("OOM command not allowed"), "the log says why")
      assert.isFalse(observed.text().includes("4111 1111"), "but not what was to be written")
    }).pipe(Effect.provide(observed.layer))
  })

  it.live("goes on extending the life of sessions that are only read", () =>
    Effect.gen(function*() {
      const redis = yield* startRedis()
      const frequent = { ...config, touchEvery: "1 millis" } as const
      const server = yield* serve(routes, { store: store(redis.url), config: frequent, logger: false })
      const cookie = cookieOf(yield* server.post("/count"))
      const [key] = yield* redis.command<ReadonlyArray<string>>("KEYS", "*")
      const times = redis.command<ReadonlyArray<string>>("HMGET", key!, "~touchedAt", "~expiresAt")
      const [touchedAt, expiresAt] = yield* times
      yield* redis.command("CONFIG", "SET", "maxmemory", "1")
      yield* Effect.sleep("5 millis")
      assert.strictEqual((yield* server.get("/", { cookie })).status, 200)
      const [touchedLater, expiresLater] = yield* times
      assert.isAbove(Number(touchedLater), Number(touchedAt))
      assert.isAbove(Number(expiresLater), Number(expiresAt))
    }))
})

describe("a client of node-redis that takes a silent connection for a broken one", () => {
  it.live("keeps an idle one if it has a pingInterval", () =>
    Effect.gen(function*() {
      const { url } = yield* startRedis()
      const errorsOf = Effect.fnUntraced(function*(pingInterval?: number) {
        const errors: Array<unknown> = []
        const socket = { socketTimeout: 500, reconnectStrategy: 50 }
        const client = yield* connectNodeRedis({ url, socket, ...(pingInterval !== undefined && { pingInterval }) })
        client.on("error", (error) => errors.push(error))
        yield* Effect.sleep("1200 millis")
        return errors
      })
      const [idle, pinging] = yield* Effect.all([errorsOf(), errorsOf(200)], { concurrency: 2 })
      assert.isNotEmpty(idle)
      assert.deepStrictEqual(pinging, [])
    }))
})
