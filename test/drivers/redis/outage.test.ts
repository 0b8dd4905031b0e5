/**
 * What becomes of requests, and of what they were told, when Redis is killed, stands still, is full, or can't be reached.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { RedisLayer, Session, SessionKey } from "effect-session"
import { Redis, type RedisOptions } from "ioredis"
import { serveLoad, startLoad } from "../../support/load.ts"
import { type LogEvent, observe } from "../../support/observe.ts"
import { brokenWires, countTwice, outages } from "../../support/outages.ts"
import {
  connectNodeRedis,
  eventually,
  freePort,
  type RedisServer,
  startRedis,
  temporaryFolder
} from "../../support/redisServer.ts"
import { ioredis, nodeRedis, type RedisClient, redisClients, redisService } from "../../support/redisStore.ts"
import { Count, Name, post } from "../../support/routes.ts"
import { cookieOf } from "../../support/server.ts"
import { layWire } from "../../support/wire.ts"

/** Every write is on the disk before it is acknowledged. */
const durable = ["--appendonly", "yes", "--appendfsync", "always"]

// The driver tells of the connection where the client is its own; the others are the caller's.
const assertToldOnce = (logs: ReadonlyArray<LogEvent>) => {
  const messages = logs.map(({ message }) => message).filter((message) => message.includes("Redis"))
  assert.deepStrictEqual(messages.filter((message) => !message.startsWith("Redis can't be reached")), [
    "The connection to Redis was lost",
    "The connection to Redis is back"
  ])
  assert.strictEqual(new Set(messages).size, messages.length, "each reason once")
}

/** A server that has everything on the disk when it is started again. */
const startDurable = Effect.gen(function*() {
  const folder = yield* temporaryFolder
  return { ...(yield* startRedis({ folder, parameters: durable })), folder }
})

for (const { client, store } of redisClients) {
  outages(`a Redis, through ${client},`, {
    start: startDurable,
    startAgain: ({ folder, port }) => startRedis({ folder, port, parameters: durable }),
    store: ({ url }) => store(url),
    ...(client === "ioredis" && { assertLogged: assertToldOnce })
  })
}

describe.each(redisClients)("under load, through $client", ({ store }) => {
  it.live("scripts that are flushed: nobody notices", () =>
    Effect.gen(function*() {
      const redis = yield* startRedis()
      const server = yield* serveLoad(store(redis.url))
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

const ioredisWith = (client: string, options: RedisOptions): RedisClient => ({
  client,
  store: (url) =>
    Layer.unwrap(Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => new Redis(url, options as object)),
        (client) => Effect.sync(() => client.disconnect())
      ),
      (client) => {
        client.on("error", () => {})
        return RedisLayer.layerClient(client)
      }
    ))
})

// As the doc comment of `layerClient` tells its callers to.
const carefulIoredis = ioredisWith("the caller's ioredis", {
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  socketTimeout: 1000
})

const careful = {
  disableOfflineQueue: true,
  socket: { socketTimeout: 1000, reconnectStrategy: 50 },
  pingInterval: 400
} as const

const carefulClients: ReadonlyArray<RedisClient> = [
  ioredis,
  carefulIoredis,
  { ...nodeRedis({ ...careful, commandOptions: { timeout: 0 } }), client: "the caller's node-redis" },
  redisService(careful)
]

/** A session that has counted to two, on a server at the end of a wire. */
const wiredTo = Effect.fnUntraced(function*({ port }: RedisServer, { store }: RedisClient) {
  const wire = yield* layWire(yield* freePort, port)
  const server = yield* serveLoad(store(`redis://127.0.0.1:${wire.port}`))
  return { wire, server, ...(yield* countTwice(server)) }
})

for (const client of carefulClients) {
  brokenWires(`to Redis, through ${client.client},`, {
    start: Effect.flatMap(startRedis(), (redis) => wiredTo(redis, client)),
    losses: [{ text: "EVALSHA", isMade: true }]
  })
}

/** A pair of servers at the ends of a wire: the wire leads to the one, until it fails over to the other one. */
const startPair = Effect.fnUntraced(function*(client: RedisClient) {
  const [old, next] = yield* Effect.all([startRedis({ parameters: ["--repl-diskless-sync-delay", "0"] }), startRedis()])
  const wired = yield* wiredTo(old, client)
  yield* next.command("REPLICAOF", "127.0.0.1", `${old.port}`)
  yield* eventually(
    Effect.map(next.command<string>("INFO", "replication"), (info) => assert.include(info, "master_link_status:up"))
  )
  /** The old master becomes a replica and keeps its connections. */
  const failOver = Effect.gen(function*() {
    yield* next.command("REPLICAOF", "NO", "ONE")
    yield* old.command("REPLICAOF", "127.0.0.1", `${next.port}`)
    wired.wire.leadTo(next.port)
  })
  return { ...wired, failOver }
})

describe.each([
  ...carefulClients,
  { ...nodeRedis(), client: "a node-redis with its defaults" },
  { ...redisService(), client: "the Redis service with its defaults" }
])("the wire to Redis, through $client,", (client) => {
  it.live("that leads to a master that became a replica: a new connection finds the new master", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const { cookie, failOver, server } = yield* startPair(client)
      yield* failOver
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 503)
      yield* eventually(
        Effect.map(server.post("/count", { cookie }), ({ status }) => assert.strictEqual(status, 200)),
        3
      )
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":3}`)
      if (client === ioredis) return
      const warnings = observed.logs.filter(({ message }) => message.includes("READONLY"))
        .filter(({ message }) => message.startsWith("Redis rejects changes"))
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0]!.message, "Reconnecting")
    }).pipe(Effect.provide(observed.layer))
  })
})

describe("a connection to Redis that is lost", () => {
  it.live("is replaced at once", () =>
    Effect.gen(function*() {
      const redis = yield* startRedis()
      const server = yield* serveLoad(ioredis.store(redis.url))
      const cookie = cookieOf(yield* server.post("/count"))
      yield* Effect.sleep("1100 millis")
      yield* redis.command("CLIENT", "KILL", "TYPE", "normal")
      yield* Effect.sleep("40 millis")
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 200)
    }).pipe(Effect.provide(observe().layer)))
})

describe("a client that never connects again", () => {
  it.live.each([
    { ...nodeRedis({ socket: { reconnectStrategy: false } }), client: "node-redis" },
    ioredisWith("ioredis", { retryStrategy: null })
  ])("is left alone when the master becomes a replica, and the log says what to do: $client", (client) => {
    const observed = observe()
    return Effect.gen(function*() {
      const { cookie, failOver, server } = yield* startPair(client)
      yield* failOver
      for (const _ of [1, 2]) assert.strictEqual((yield* server.post("/count", { cookie })).status, 503)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
      const warnings = observed.logs.filter(({ message }) => message.startsWith("Redis rejects changes (READONLY)"))
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0]!.message, "The client must reconnect")
    }).pipe(Effect.provide(observed.layer))
  })
})

const Card = SessionKey.make("card", Schema.String)

describe.each(redisClients)("a server without memory left, through $client", ({ store }) => {
  const routes = Layer.mergeAll(
    post("/card", Session.put(Card, "4111 1111 1111 1111")),
    post("/mixed", Effect.all([Session.forget(Count), Session.put(Name, "Ada"), Session.increment(Count, 5)]))
  )

  it.live("refuses changes with 503 as a whole, goes on reading, and lets users log out", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const redis = yield* startRedis()
      const server = yield* serveLoad(store(redis.url), {}, routes)
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
      const server = yield* serveLoad(store(redis.url), { touchEvery: "1 millis" })
      const cookie = cookieOf(yield* server.post("/count"))
      const [key] = yield* redis.command<ReadonlyArray<string>>("KEYS", "*")
      const times = Effect.map(redis.command<string>("HGET", key!, "~times"), (text) => text.split(" ").map(Number))
      const [, touchedAt, expiresAt] = yield* times
      yield* redis.command("CONFIG", "SET", "maxmemory", "1")
      yield* Effect.sleep("5 millis")
      assert.strictEqual((yield* server.get("/", { cookie })).status, 200)
      const [, touchedLater, expiresLater] = yield* times
      assert.isAbove(touchedLater!, touchedAt!)
      assert.isAbove(expiresLater!, expiresAt!)
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
