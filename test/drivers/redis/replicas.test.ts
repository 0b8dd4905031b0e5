/**
 * What becomes of a session that was ended, or got another id, when a replica that lags takes the master's place.
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer } from "effect"
import { RedisLayer, SessionConfig, SessionStore } from "effect-session"
import { Cluster, Redis } from "ioredis"
import { createHash } from "node:crypto"
import { Id } from "../../../src/internal/token/secret.ts"
import { secret } from "../../support/config.ts"
import { serveLoad } from "../../support/load.ts"
import { observe } from "../../support/observe.ts"
import { entryAt, hour, newHash } from "../../support/ownerIndex.ts"
import { onClient, redisBackends } from "../../support/redisBackend.ts"
import {
  connectNodeRedis,
  eventually,
  freePort,
  monitor,
  type RedisServer,
  startCluster,
  startRedis,
  startSentinels,
  startSmallCluster
} from "../../support/redisServer.ts"
import { cookieOf, type StoreLayer } from "../../support/server.ts"
import { createSession } from "../../support/storedSession.ts"
import { layWire } from "../../support/wire.ts"

const wait = { waitForReplicas: 1, waitAtMost: "200 millis" } as const

type Store = (url: string, options: RedisLayer.ClientOptions) => StoreLayer

const careful = { maxRetriesPerRequest: 0, enableOfflineQueue: false, autoResendUnfulfilledCommands: false }

const onIoRedis = (make: () => Redis | Cluster, options: RedisLayer.ClientOptions): StoreLayer =>
  Layer.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => make().on("error", () => {})),
        (client) => Effect.sync(() => client.disconnect())
      ),
      (client) => RedisLayer.layerClient(client as Redis, options)
    )
  )

const stores: ReadonlyArray<{ readonly client: string; readonly store: Store }> = [
  { client: "layer", store: (url, options) => RedisLayer.layer({ ...options, url }) },
  { client: "layerClient on ioredis", store: (url, options) => onIoRedis(() => new Redis(url, careful), options) },
  {
    client: "layerClient on ioredis that pipelines by itself",
    store: (url, options) => onIoRedis(() => new Redis(url, { enableAutoPipelining: true }), options)
  },
  {
    client: "layerClient on node-redis",
    store: (url, options) =>
      Layer.unwrap(
        Effect.map(
          connectNodeRedis({ url, socket: { reconnectStrategy: 20 } }),
          (client) => RedisLayer.layerClient(client, options)
        )
      )
  },
  {
    client: "layerRedis",
    store: (url, options) => Layer.provide(RedisLayer.layerRedis(options), Layer.orDie(NodeRedis.layer({ url })))
  }
]

const follows = (replica: RedisServer) =>
  eventually(
    Effect.map(
      replica.command<string>("INFO", "replication"),
      (info) => assert.include(info, "master_link_status:up")
    )
  )

/** A master and its replica, at the end of a wire, with a session that has counted to one. */
const startPair = Effect.fnUntraced(function*(store: Store, options: RedisLayer.ClientOptions) {
  const master = yield* startRedis({ parameters: ["--repl-diskless-sync-delay", "0"] })
  const replication = yield* layWire(yield* freePort, master.port)
  const replica = yield* startRedis({ parameters: ["--replicaof", `127.0.0.1 ${replication.port}`] })
  yield* follows(replica)
  const wire = yield* layWire(yield* freePort, master.port)
  const url = `redis://127.0.0.1:${wire.port}`
  const layer = store(url, options)
  const server = yield* serveLoad(layer)
  const cookie = cookieOf(yield* server.post("/count"))
  yield* master.command("WAIT", "1", "1000")
  const lag = Effect.sync(replication.fallSilent)
  const catchUp = Effect.gen(function*() {
    yield* replica.command("CLIENT", "KILL", "TYPE", "master")
    yield* Effect.sleep("50 millis")
    yield* follows(replica)
  })
  const failOver = Effect.gen(function*() {
    yield* master.kill
    yield* replica.command("REPLICAOF", "NO", "ONE")
    wire.leadTo(replica.port)
  })
  /** What the session holds, once Redis answers again. */
  const found = eventually(
    Effect.map(server.get("/", { cookie }), ({ body, status }) => {
      assert.strictEqual(status, 200)
      return body
    })
  )
  return { catchUp, cookie, failOver, found, lag, layer, master, server, url }
})

describe.each(stores)("a failover to a replica that lags, through $client,", ({ store }) => {
  it.live("brings a session back that was ended, if nothing waits for replicas", () =>
    Effect.gen(function*() {
      const { cookie, failOver, found, lag, server } = yield* startPair(store, {})
      yield* lag
      assert.strictEqual((yield* server.post("/logout", { cookie })).status, 200)
      yield* failOver
      assert.strictEqual(yield* found, `{"count":1}`)
    }).pipe(Effect.provide(observe().layer)))

  it.live("brings nothing back that was confirmed: a logout that no replica has is 503", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const { catchUp, cookie, failOver, found, lag, server } = yield* startPair(store, wait)
      const other = cookieOf(yield* server.post("/count"))
      yield* lag
      assert.strictEqual((yield* server.post("/logout", { cookie: other })).status, 503)
      assert.include(observed.text(), "Only 0 of 1 replicas confirmed the change in time")
      assert.strictEqual((yield* server.get("/", { cookie: other })).body, "{}", "the master has ended it")
      yield* catchUp
      assert.strictEqual((yield* server.post("/logout", { cookie })).status, 200)
      yield* failOver
      assert.strictEqual(yield* found, "{}")
    }).pipe(Effect.provide(observed.layer))
  })

  it.live("does not bring the old id of a login back: without a replica, a login is 503 and the old id is dead", () =>
    Effect.gen(function*() {
      const { catchUp, cookie, failOver, found, lag, server } = yield* startPair(store, wait)
      yield* lag
      const login = yield* server.post("/login", { cookie })
      assert.deepStrictEqual([login.status, login.setCookies], [503, []])
      yield* catchUp
      const next = cookieOf(yield* server.post("/login", { cookie }))
      yield* failOver
      assert.strictEqual(yield* found, "{}")
      assert.strictEqual((yield* server.get("/", { cookie: next })).body, `{"name":"Ada"}`)
    }).pipe(Effect.provide(observe().layer)))

  it.live("is waited for again when ending a session is tried again, also on a new connection", () =>
    Effect.gen(function*() {
      const { catchUp, lag, layer, master } = yield* startPair(store, wait)
      const context = yield* Layer.build(Layer.provide(layer, SessionConfig.layer({ secret })))
      const session = yield* createSession(Context.get(context, SessionStore.SessionStore), { a: "1" })
      yield* lag
      const causeOf = Effect.map(Effect.flip(session.destroy), ({ cause }) => String(cause))
      assert.include(yield* causeOf, "Only 0 of 1")
      assert.include(yield* causeOf, "Only 0 of 1")
      yield* master.command("CLIENT", "KILL", "TYPE", "normal")
      yield* eventually(Effect.map(causeOf, (cause) => assert.include(cause, "Only 0 of 1")))
      yield* catchUp
      yield* session.destroy
    }).pipe(Effect.provide(observe().layer)))

  it.live("is waited for again when a new id is tried again, and when the session is ended under the old one", () =>
    Effect.gen(function*() {
      const { catchUp, lag, layer, master } = yield* startPair(store, wait)
      const context = yield* Layer.build(Layer.provide(layer, SessionConfig.layer({ secret })))
      const service = Context.get(context, SessionStore.SessionStore)
      const session = yield* createSession(service, { a: "1" })
      const newId = new Id("a".repeat(43))
      const regenerate = service.regenerate(session.id, newId, session.record, session.record.fields)
      const causeOf = (effect: Effect.Effect<unknown, { readonly cause?: unknown }>) =>
        Effect.map(Effect.flip(effect), ({ cause }) => String(cause))
      yield* lag
      assert.include(yield* causeOf(regenerate), "Only 0 of 1")
      yield* master.command("CLIENT", "KILL", "TYPE", "normal")
      for (const effect of [regenerate, session.destroy]) {
        yield* eventually(Effect.map(causeOf(effect), (cause) => assert.include(cause, "Only 0 of 1")))
      }
      yield* catchUp
      yield* session.destroy
    }).pipe(Effect.provide(observe().layer)))

  it.live("holds up nobody else while a logout waits", () =>
    Effect.gen(function*() {
      const { cookie, lag, server } = yield* startPair(store, { ...wait, waitAtMost: "1 second" })
      const other = cookieOf(yield* server.post("/count"))
      yield* lag
      yield* Effect.forkChild(server.post("/logout", { cookie }))
      yield* Effect.sleep("50 millis")
      const begun = performance.now()
      assert.strictEqual((yield* server.post("/count", { cookie: other })).status, 200)
      assert.isBelow(performance.now() - begun, 500)
    }).pipe(Effect.provide(observe().layer)))
})

describe.each(redisBackends)("ending a session of an owner, through $client,", ({ backend }) => {
  it.live("waits for replicas, each time that it is tried: what was confirmed is not back after a failover", () =>
    Effect.gen(function*() {
      const { catchUp, failOver, lag, url } = yield* startPair(stores[0]!.store, {})
      const { create, load, owners } = yield* backend(url, {
        wait: { waitForReplicas: 1, waitAtMost: Duration.millis(200) }
      })
      const [there, absent] = [newHash(), newHash()]
      const now = Date.now()
      yield* create(there, { createdAt: now, touchedAt: now, expiresAt: now + hour, fields: new Map() })
      yield* owners.add(newHash(), entryAt(now), undefined)
      const mark = { supersededUntil: now + hour, successor: "" }
      const bury = Effect.forEach([there, absent], (key) => owners.bury(key, mark))
      yield* lag
      for (let time = 0; time < 2; time++) {
        assert.include(String(yield* Effect.flip(bury)), "Only 0 of 1 replicas confirmed the change in time")
      }
      assert.isFalse(
        yield* owners.add(newHash(), entryAt(now), 1),
        "which waits for none, as the session comes after it"
      )
      yield* catchUp
      yield* bury
      yield* failOver
      for (const key of [there, absent]) {
        yield* eventually(Effect.map(load(key), (stored) => assert.deepStrictEqual(stored, mark)))
      }
    }).pipe(Effect.provide(observe().layer)))
})

const keyOf = (cookie: string) => {
  const id = /^session=([\w-]+)\./.exec(cookie)![1]!
  return `sessions:${createHash("sha256").update(id).digest("base64url")}`
}

/** The key, and its slot, to the other node. */
const moveToOther = Effect.fnUntraced(function*(nodes: readonly [RedisServer, RedisServer], key: string) {
  const slot = `${yield* nodes[0].command<number>("CLUSTER", "KEYSLOT", key)}`
  const [from, to] = yield* Effect.forEach(nodes, ({ command }) => command<string>("CLUSTER", "MYID"))
  yield* nodes[1].command("CLUSTER", "SETSLOT", slot, "IMPORTING", from!)
  yield* nodes[0].command("CLUSTER", "SETSLOT", slot, "MIGRATING", to!)
  yield* nodes[0].command("MIGRATE", "127.0.0.1", `${nodes[1].port}`, key, "0", "5000")
  yield* nodes[1].command("CLUSTER", "SETSLOT", slot, "NODE", to!)
  yield* nodes[0].command("CLUSTER", "SETSLOT", slot, "NODE", to!)
})

describe("waiting for replicas", () => {
  it.live("costs a logout and a login one command more, and other requests none", () =>
    Effect.gen(function*() {
      const { cookie, master, server } = yield* startPair((url, options) => RedisLayer.layer({ url, ...options }), wait)
      yield* server.post("/count", { cookie })
      // Redis knows the scripts by now.
      yield* server.post("/logout", { cookie: cookieOf(yield* server.post("/login", { cookie })) })
      const session = cookieOf(yield* server.post("/count"))
      const seen = yield* monitor(master)
      const since = Effect.map(seen, (names) => names.filter((name) => !/PING|REPLCONF/.test(name)))
      yield* server.post("/count", { cookie: session })
      assert.deepStrictEqual(yield* since, ["HGETALL", "EVALSHA"])
      const next = cookieOf(yield* server.post("/login", { cookie: session }))
      assert.deepStrictEqual(yield* since, ["HGETALL", "EVALSHA", "WAIT"])
      yield* server.post("/logout", { cookie: next })
      assert.deepStrictEqual(yield* since, ["HGETALL", "EVALSHA", "WAIT"])
    }).pipe(Effect.provide(observe().layer)))

  it.live("on a Cluster goes by the replica of the node that has the session", () =>
    Effect.gen(function*() {
      const { addresses, nodes } = yield* startCluster()
      const layers = [
        RedisLayer.layer({ cluster: addresses, ...wait }),
        onIoRedis(() => new Cluster([...addresses], { enableAutoPipelining: true }), wait)
      ]
      for (const layer of layers) {
        const server = yield* serveLoad(layer)
        for (let round = 0; round < 3; round++) {
          const cookie = cookieOf(yield* server.post("/count"))
          const slot = yield* nodes[0]!.command<number>("CLUSTER", "KEYSLOT", keyOf(cookie))
          const index = slot <= 5460 ? 0 : slot <= 10_922 ? 1 : 2
          const replica = nodes[3 + index]!
          yield* replica.pause
          assert.strictEqual((yield* server.post("/logout", { cookie })).status, 503)
          yield* replica.goOn
          yield* eventually(
            Effect.map(server.post("/logout", { cookie }), ({ status }) => assert.strictEqual(status, 200))
          )
          const login = yield* server.post("/login", { cookie: cookieOf(yield* server.post("/count")) })
          assert.strictEqual(login.status, 200)
        }
      }
    }).pipe(Effect.provide(observe().layer)))

  it.live("on a Cluster follows a session that has moved to another node", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const nodes = yield* startSmallCluster(16_383)
      const server = yield* serveLoad(
        RedisLayer.layer({ cluster: nodes.map(({ port }) => `127.0.0.1:${port}`), ...wait })
      )
      const cookie = cookieOf(yield* server.post("/count"))
      yield* moveToOther(nodes, keyOf(cookie))
      assert.strictEqual((yield* server.post("/logout", { cookie })).status, 503)
      assert.include(observed.text(), "Only 0 of 1 replicas confirmed the change in time", "there are none")
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
    }).pipe(Effect.provide(observed.layer))
  })

  it.live("on a Cluster goes by the replica of the node that has the index, as that is elsewhere than the session", () =>
    Effect.gen(function*() {
      const { addresses, nodes } = yield* startCluster()
      const connect = Effect.acquireRelease(
        Effect.sync(() => new Cluster([...addresses])),
        (client) => Effect.sync(() => client.disconnect())
      )
      const { owners } = yield* onClient(connect, {
        isCluster: true,
        wait: { waitForReplicas: 1, waitAtMost: Duration.millis(200) }
      })
      const owner = newHash()
      const slot = yield* nodes[0]!.command<number>("CLUSTER", "KEYSLOT", `sessions:owner:${owner}`)
      const replica = nodes[3 + (slot <= 5460 ? 0 : slot <= 10_922 ? 1 : 2)]!
      const add = owners.add(owner, entryAt(Date.now()), undefined)
      yield* replica.pause
      assert.include(String(yield* Effect.flip(add)), "Only 0 of 1 replicas")
      yield* replica.goOn
      yield* eventually(add)
    }))

  it.live("on a Cluster follows an index that has moved to another node", () =>
    Effect.gen(function*() {
      const nodes = yield* startSmallCluster(16_383)
      const connect = Effect.acquireRelease(
        Effect.sync(() => new Cluster(nodes.map(({ port }) => `redis://127.0.0.1:${port}`))),
        (client) => Effect.sync(() => client.disconnect())
      )
      const { owners } = yield* onClient(connect, {
        isCluster: true,
        wait: { waitForReplicas: 0, waitAtMost: Duration.millis(200) }
      })
      const owner = newHash()
      const now = Date.now()
      const entries = [entryAt(now + 1), entryAt(now)]
      yield* owners.add(owner, entries[0]!, undefined)
      yield* moveToOther(nodes, `sessions:owner:${owner}`)
      yield* owners.add(owner, entries[1]!, undefined)
      assert.deepStrictEqual(yield* owners.list(owner, 100), entries)
    }))

  it.live("under Sentinels goes by the replica of the master", () =>
    Effect.gen(function*() {
      const password = "of-the-master"
      const { addresses, replica } = yield* startSentinels("shop", password)
      const store = RedisLayer.layer({ sentinels: addresses, sentinelName: "shop", password, ...wait })
      const server = yield* serveLoad(store)
      const cookie = cookieOf(yield* server.post("/count"))
      yield* replica.pause
      assert.strictEqual((yield* server.post("/logout", { cookie })).status, 503)
      yield* replica.goOn
      yield* eventually(
        Effect.map(server.post("/logout", { cookie }), ({ status }) => assert.strictEqual(status, 200))
      )
    }).pipe(Effect.provide(observe().layer)))
})
