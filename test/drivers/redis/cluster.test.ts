/**
 * A Cluster of three masters and three replicas: the contract, and what becomes of requests when a master goes.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { RedisLayer, SessionConfig } from "effect-session"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { Redis } from "effect/persistence"
import { Cluster, type ClusterOptions } from "ioredis"
import { createHash } from "node:crypto"
import { mistakesIn, secret } from "../../support/config.ts"
import { type LoadClient, serveLoad, startLoad } from "../../support/load.ts"
import { observe } from "../../support/observe.ts"
import { brokenWires, countTwice } from "../../support/outages.ts"
import * as OwnerIndex from "../../support/ownerIndex.ts"
import * as OwnerLaws from "../../support/ownerLaws.ts"
import { onClient, onService } from "../../support/redisBackend.ts"
import {
  dump,
  eventually,
  freePort,
  type RedisServer,
  shared,
  startCluster,
  startSmallCluster,
  untilWhole
} from "../../support/redisServer.ts"
import { cookieOf, type StoreLayer } from "../../support/server.ts"
import { layWire } from "../../support/wire.ts"

const password = "of the Cluster"
const cluster = shared(startCluster({ password }))

const ClusterLayer: StoreLayer = Layer.unwrap(
  Effect.sync(() => RedisLayer.layer({ cluster: cluster().addresses, password }))
)

SessionStoreTest.suite({ describe, it }, "RedisLayer on a Cluster", {
  layer: ClusterLayer,
  dump: Effect.suspend(() =>
    // The masters; a replica refers those who ask to its master.
    Effect.map(Effect.forEach(cluster().nodes.slice(0, 3), dump), (texts) => texts.join("\n"))
  )
})

let client: Cluster | undefined
afterAll(() => client?.disconnect())

SessionStoreTest.suite({ describe, it }, "RedisLayer.layerClient on a Cluster", {
  layer: Layer.unwrap(Effect.sync(() => {
    client ??= new Cluster([...cluster().addresses], { redisOptions: { password } })
    return RedisLayer.layerClient(client, { prefix: "of the caller:" })
  }))
})

const connectCluster = (options: Pick<ClusterOptions, "enableAutoPipelining" | "scaleReads"> = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => new Cluster([...cluster().addresses], { redisOptions: { password }, ...options })),
    (client) => Effect.sync(() => client.disconnect())
  )

/** A Cluster through the `Redis` service, which does not tell that it is one. */
const connectService = Effect.map(connectCluster(), (client) => {
  const send = (command: string, ...parameters: ReadonlyArray<string>) =>
    Effect.tryPromise({
      try: () => client.call(command, ...parameters),
      catch: (cause) => new Redis.RedisError({ cause })
    })
  return { send } as unknown as Redis.Redis["Service"]
})

const backends = [
  { client: "ioredis", open: onClient(connectCluster(), { isCluster: true }) },
  {
    client: "an ioredis that pipelines by itself",
    open: onClient(connectCluster({ enableAutoPipelining: true }), { isCluster: true })
  },
  {
    client: "the Redis service",
    open: Effect.map(connectService, (service) => onService(service, { isCluster: true }))
  }
]

for (const { client, open } of backends) {
  OwnerIndex.suite(`Redis as a Cluster through ${client}`, { backend: open, isForSeveral: true })
}

it.live.each(["slave", "all"] as const)(
  "a client that reads from replicas (%s), which lag behind, is refused",
  (scaleReads) =>
    Effect.gen(function*() {
      const client = yield* connectCluster({ scaleReads })
      const mistakes = yield* mistakesIn(
        Layer.build(Layer.provide(RedisLayer.layerClient(client), SessionConfig.layer({ secret })))
      )
      assert.include(mistakes.join(), "It reads from replicas (scaleReads)")
    })
)

describe("the sessions of an owner on a Cluster", () => {
  OwnerLaws.suite(() => onClient(connectCluster(), { isCluster: true }), { orders: 20 })
})

describe.each(backends)("what is about owners, through $client,", ({ open }) => {
  it.live("goes to the nodes that have it, without a detour", () =>
    Effect.gen(function*() {
      const { newHash } = OwnerIndex
      const { create, owners, peek } = yield* open
      const keys = Array.from({ length: 30 }, newHash)
      const now = Date.now()
      yield* Effect.forEach(cluster().nodes, (node) => node.command("CONFIG", "RESETSTAT"))
      for (const key of keys) {
        const [owner, entry] = [newHash(), OwnerIndex.entryAt(now, key)]
        yield* owners.add(owner, entry, 1)
        yield* create(key, { createdAt: now, touchedAt: now, expiresAt: entry.until, fields: new Map() })
        assert.deepStrictEqual(yield* owners.list(owner, 100), [entry])
        yield* owners.remove(owner, [entry])
      }
      assert.strictEqual((yield* peek(keys, ["a"])).size, keys.length)
      for (const key of keys) yield* owners.bury(key, { supersededUntil: now + 60_000, successor: "" })
      const errors = yield* Effect.forEach(cluster().nodes, (node) => node.command<string>("INFO", "errorstats"))
      assert.notMatch(errors.join(""), /MOVED|CROSSSLOT/)
    }))
})

/** The master that has the key of a client's session, as another node than the one that is gone says. */
const masterOf = Effect.fnUntraced(function*({ cookie }: Pick<LoadClient, "cookie">, gone?: RedisServer) {
  const id = /^session=([\w-]+)\./.exec(cookie)![1]!
  const key = `sessions:${createHash("sha256").update(id).digest("base64url")}`
  const node = cluster().nodes.find((node) => node !== gone && node.process.signalCode === null)!
  const slot = yield* node.command<number>("CLUSTER", "KEYSLOT", key)
  const ranges = yield* node.command<ReadonlyArray<[number, number, [string, number]]>>("CLUSTER", "SLOTS")
  const [, , [, port]] = ranges.find(([first, last]) => first <= slot && slot <= last)!
  return cluster().nodes.find((node) => node.port === port)!
})

describe("requests to a Cluster", () => {
  it.live("go to the node that has the session, without a detour", () =>
    Effect.gen(function*() {
      const server = yield* serveLoad(ClusterLayer)
      const session = Effect.gen(function*() {
        const cookie = cookieOf(yield* server.post("/count"))
        yield* server.post("/count", { cookie })
        const next = cookieOf(yield* server.post("/login", { cookie }))
        assert.strictEqual((yield* server.get("/", { cookie: next })).body, `{"count":2,"name":"Ada"}`)
        yield* server.post("/logout", { cookie: next })
        assert.strictEqual((yield* server.get("/", { cookie: next })).body, "{}")
      })
      yield* Effect.forEach(cluster().nodes, (node) => node.command("CONFIG", "RESETSTAT"))
      yield* Effect.replicateEffect(session, 10)
      const errors = yield* Effect.forEach(cluster().nodes, (node) => node.command<string>("INFO", "errorstats"))
      assert.notMatch(errors.join(""), /MOVED|CROSSSLOT/)
    }))
})

const service = (prefix: string): StoreLayer =>
  Layer.provide(RedisLayer.layerRedis({ prefix }), Layer.effect(Redis.Redis, connectService))

describe.each([
  { client: "layer", store: (prefix: string) => RedisLayer.layer({ cluster: cluster().addresses, password, prefix }) },
  { client: "layerRedis", store: service }
])("a login on a Cluster, through $client,", ({ store }) => {
  it.live.each([
    { prefix: "sessions:", what: "which has the new id in another place" },
    { prefix: "{sessions}:", what: "which has all of a hash tag in one place, but not while that moves" }
  ])("costs two scripts on one $what", ({ prefix }) =>
    Effect.gen(function*() {
      const server = yield* serveLoad(store(prefix))
      // All nodes know the scripts by then.
      const login = Effect.gen(function*() {
        const cookie = cookieOf(yield* server.post("/count"))
        yield* Effect.forEach(cluster().nodes, (node) => node.command("CONFIG", "RESETSTAT"))
        const next = cookieOf(yield* server.post("/login", { cookie }))
        const statistics = yield* Effect.forEach(
          cluster().nodes,
          (node) => node.command<string>("INFO", "commandstats")
        )
        assert.strictEqual((yield* server.get("/", { cookie: next })).body, `{"count":1,"name":"Ada"}`)
        assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
        return [...statistics.join("").matchAll(/cmdstat_evalsha:calls=(\d+)/g)].reduce(
          (sum, [, n]) => sum + Number(n),
          0
        )
      })
      yield* Effect.replicateEffect(login, 20)
      assert.deepStrictEqual(yield* Effect.replicateEffect(login, 5), Array.from({ length: 5 }, () => 2))
    }))
})

brokenWires("to a Cluster", {
  start: Effect.gen(function*() {
    // The other node, with a single slot, keeps the Cluster in service meanwhile.
    const [node, other] = yield* startSmallCluster(16_383)
    const wire = yield* layWire(yield* freePort, node.port)
    // The node tells its clients to take the wire.
    yield* node.command("CONFIG", "SET", "cluster-announce-port", `${wire.port}`)
    yield* eventually(
      Effect.map(other.command<string>("CLUSTER", "NODES"), (nodes) => assert.include(nodes, `:${wire.port}@`))
    )
    const server = yield* serveLoad(RedisLayer.layer({ cluster: [`127.0.0.1:${wire.port}`] }))
    return { wire, server, ...(yield* countTwice(server)) }
  }),
  losses: [{ text: "EVALSHA", isMade: true }]
})

describe("under load, a master of the Cluster", () => {
  // A replica takes over what it has; the last commits of the master that has gone may not have reached it.
  const survives = (disturb: (node: RedisServer) => Effect.Effect<void>) =>
    Effect.gen(function*() {
      const server = yield* serveLoad(ClusterLayer)
      const load = yield* startLoad(server, 12)
      const masters = new Map<LoadClient, RedisServer>()
      for (const client of load.clients) masters.set(client, yield* masterOf(client))
      const victim = masters.get(load.clients[0]!)!
      const isOnVictim = (client: LoadClient) => masters.get(client) === victim
      yield* load.more(200, 20)
      yield* disturb(victim)
      yield* load.more(503, 1, isOnVictim)
      yield* load.more(200, 20)
      yield* load.end
      yield* load.assertNothingLost((client) => !isOnVictim(client))
      assert.notStrictEqual(yield* masterOf(load.clients[0]!, victim), victim)
      return victim
    }).pipe(Effect.provide(observe().layer))

  it.live("stands still: a replica takes over, and nothing that was acknowledged by the others is lost", () =>
    Effect.gen(function*() {
      const victim = yield* survives((node) => node.pause)
      yield* victim.goOn
      yield* untilWhole(cluster())
    }))

  it.live("is killed: a replica takes over, and nothing that was acknowledged by the others is lost", () =>
    survives((node) => node.kill))
})
