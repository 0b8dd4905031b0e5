/**
 * A store that can't work is found out when the Layer is built, and the error says which setting to look at.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { RedisLayer, SessionConfig, SessionStore } from "effect-session"
import { Redis } from "ioredis"
import { execFile } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { inspect } from "node:util"
import { createClient } from "redis"
import * as Change from "../../../src/internal/record/change.ts"
import { errorIn, secret } from "../../support/config.ts"
import { observe } from "../../support/observe.ts"
import { entryAt, newHash } from "../../support/ownerIndex.ts"
import { redisBackends } from "../../support/redisBackend.ts"
import {
  eventually,
  freePort,
  type RedisServer,
  shared,
  startClusterNode,
  startProcess,
  startRedis,
  startSentinels,
  startSmallCluster,
  temporaryFolder
} from "../../support/redisServer.ts"
import { nodeRedis, redisService } from "../../support/redisStore.ts"
import { basicRoutes } from "../../support/routes.ts"
import { cookieOf, serve, type StoreLayer } from "../../support/server.ts"
import { adding, createSession, expecting, setting } from "../../support/storedSession.ts"

const password = "hunter2-hunter2"

/** The slot of the key that the driver tries, which another node has. */
const slot = 10_550

const servers = shared(Effect.gen(function*() {
  const [open, locked, still, gone] = yield* Effect.all([
    startRedis(),
    startRedis({ password }),
    startRedis(),
    startRedis()
  ], { concurrency: "unbounded" })
  const replica = yield* startRedis({ parameters: ["--replicaof", `127.0.0.1 ${open.port}`] })
  const [cluster] = yield* startSmallCluster(slot)
  yield* still.pause
  yield* gone.kill
  const sentinels = yield* startSentinels("shop", password)
  return { open, locked, still, cluster, gone, replica, sentinels, another: yield* anotherServer }
}))

/** A server, but no Redis. */
const anotherServer = Effect.gen(function*() {
  const port = yield* freePort
  yield* Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer((socket) => {
        socket.on("error", () => {})
        socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"))
      })
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )
  return port
})

const config = SessionConfig.layer({ secret, timeLimit: "2 seconds" })

const start = (options: RedisLayer.Options) =>
  Effect.scoped(Layer.build(Layer.provide(RedisLayer.layer(options), config)))

/** The mistake that keeps the store from being built, in a line; whatever shows the error, it has no password in it. */
const mistakeOf = Effect.fnUntraced(function*(options: RedisLayer.Options) {
  const begun = performance.now()
  const error = yield* errorIn(start(options))
  assert.isBelow(performance.now() - begun, 8000, "it is told within the time limit")
  for (const text of [error.message, inspect(error, { depth: null }), JSON.stringify(error)]) {
    assert.notInclude(text, "hunter2")
  }
  assert.strictEqual(error.mistakes.length, 1)
  const { found, setting, write } = error.mistakes[0]!
  return `${setting}: found ${found}. ${write}`
})

type Servers = ReturnType<typeof servers>

const at = ({ port }: RedisServer, credentials = "", path = "") => `redis://${credentials}127.0.0.1:${port}${path}`
const address = ({ port }: RedisServer) => `127.0.0.1:${port}`

const url = "store.url (SESSION_STORE_URL): found a text of"
const host = "store.host (SESSION_STORE_HOST): found"
const cluster = "store.cluster (SESSION_STORE_CLUSTER): found a list of"
const passwordSetting = "store.password (SESSION_STORE_PASSWORD): found"
const howToWriteUrl = "Write a URL such as \"redis://localhost:6379/0\""

const mistakes: ReadonlyArray<
  readonly [what: string, options: (servers: Servers) => RedisLayer.Options, start: string, end: string]
> = [
  [
    "a wrong password",
    ({ locked }) => ({ url: at(locked), password: "hunter2" }),
    `${passwordSetting} a text of 7 characters`,
    "Redis does not accept this user name and password"
  ],
  [
    "a wrong password in the URL",
    ({ locked }) => ({ url: at(locked, ":hunter2@") }),
    url,
    "Redis does not accept this user name and password"
  ],
  [
    "a user that does not exist",
    ({ locked }) => ({ host: "127.0.0.1", port: locked.port, username: "nobody", password }),
    `${passwordSetting} a text of 15 characters`,
    "Redis does not accept this user name and password"
  ],
  ["no password", ({ locked }) => ({ url: at(locked) }), `${passwordSetting} nothing`, "Redis requires a password"],
  [
    "a database that does not exist",
    ({ open }) => ({ url: at(open), db: 99 }),
    "store.db (SESSION_STORE_DB): found 99",
    "Redis has no database with this number (there are 16 by default)"
  ],
  [
    "a database that does not exist, in the URL",
    ({ open }) => ({ url: at(open, "", "/99") }),
    url,
    "Redis has no database with this number (there are 16 by default)"
  ],
  ["no server", ({ gone }) => ({ url: at(gone) }), url, "Redis does not answer there: connect ECONNREFUSED"],
  [
    "no server at the port",
    ({ gone }) => ({ port: gone.port }),
    "store.port (SESSION_STORE_PORT): found",
    "Redis does not answer there: connect ECONNREFUSED"
  ],
  [
    "a host name that does not exist",
    () => ({ host: "redis.invalid" }),
    `${host} "redis.invalid"`,
    "Redis does not answer there: getaddrinfo"
  ],
  [
    "a host name that does not exist, in a URL with a password",
    () => ({ url: "redis://:hunter2@redis.invalid" }),
    url,
    "Redis does not answer there: getaddrinfo"
  ],
  [
    "a server that stands still",
    ({ still }) => ({ url: at(still) }),
    url,
    "Redis does not answer there: no answer within 2s"
  ],
  [
    "a server that is no Redis",
    ({ another }) => ({ host: "127.0.0.1", port: another }),
    `${host} "127.0.0.1"`,
    "Redis does not answer there"
  ],
  [
    "a server without TLS",
    ({ open }) => ({ host: "127.0.0.1", port: open.port, tls: true }),
    `${host} "127.0.0.1"`,
    "Redis does not answer there"
  ],
  [
    "a server without TLS, in the URL",
    ({ open }) => ({ url: at(open).replace("redis:", "rediss:") }),
    url,
    "Redis does not answer there"
  ],
  [
    "a replica",
    ({ replica }) => ({ url: at(replica) }),
    url,
    "The server is a replica, which takes no changes: write the address of its master"
  ],
  [
    "a node of a Cluster",
    ({ cluster }) => ({ url: at(cluster) }),
    "store.cluster (SESSION_STORE_CLUSTER): found nothing",
    "The server is a node of a Cluster: write its address here, and nowhere else"
  ],
  [
    "a Cluster that is none",
    ({ open }) => ({ cluster: [address(open)] }),
    cluster,
    "The server is not part of a Cluster: write store.url or store.host instead"
  ],
  [
    "nodes of the Cluster that are gone, whose addresses it tells",
    ({ gone }) => ({ cluster: [address(gone), "redis.invalid:6379"] }),
    "store.cluster (SESSION_STORE_CLUSTER): found a list of \"127.0.0.1:",
    "Redis does not answer there"
  ],
  [
    "a port besides that of the host",
    () => ({ host: "[::1]:6379", port: 6380 }),
    "store.port (SESSION_STORE_PORT): found 6380",
    "It contradicts store.host: write only one of them"
  ],
  ["no node of the Cluster", ({ gone }) => ({ cluster: [address(gone)] }), cluster, "Redis does not answer there"],
  [
    "a node of the Cluster that stands still",
    ({ still }) => ({ cluster: [address(still)] }),
    cluster,
    "Redis does not answer there"
  ],
  [
    "no password of the Cluster",
    ({ locked }) => ({ cluster: [address(locked)] }),
    `${passwordSetting} nothing`,
    "Redis requires a password"
  ],
  [
    "a wrong password of the Cluster",
    ({ locked }) => ({ cluster: [address(locked)], password: "hunter2" }),
    `${passwordSetting} a text of 7 characters`,
    "Redis does not accept this user name and password"
  ],
  [
    "a wrong name of the master",
    ({ sentinels }) => ({ sentinels: sentinels.addresses, sentinelName: "store", password }),
    "store.sentinelName (SESSION_STORE_SENTINEL_NAME): found \"store\"",
    "The Sentinels do not monitor a master with this name"
  ],
  [
    "a wrong password of the master",
    ({ sentinels }) => ({ sentinels: sentinels.addresses, sentinelName: "shop", password: "hunter2" }),
    `${passwordSetting} a text of 7 characters`,
    "Redis does not accept this user name and password"
  ],
  [
    "a password that the Sentinels do not accept",
    ({ locked }) => ({ sentinels: [address(locked)], password, sentinelPassword: "hunter2" }),
    "store.sentinelPassword (SESSION_STORE_SENTINEL_PASSWORD): found a text of 7 characters",
    "The Sentinels reject the password"
  ],
  [
    "no Sentinel",
    ({ gone }) => ({ sentinels: [address(gone)], password }),
    "store.sentinels (SESSION_STORE_SENTINELS): found a list of",
    "Redis does not answer there"
  ],
  [
    "Sentinels without TLS",
    ({ sentinels }) => ({ sentinels: sentinels.addresses, sentinelName: "shop", password, tls: true }),
    "store.sentinels (SESSION_STORE_SENTINELS): found a list of",
    "Redis does not answer there"
  ],

  // What needs no server to be wrong.
  ["a URL of something else", () => ({ url: "http://localhost:6379" }), url, howToWriteUrl],
  ["a URL without a protocol", () => ({ url: "localhost:6379" }), url, howToWriteUrl],
  ["a URL without a host", () => ({ url: "redis://" }), url, howToWriteUrl],
  ["a URL that is broken off", () => ({ url: "redis://[::1" }), url, howToWriteUrl],
  ["a URL with a port that is none", () => ({ url: "redis://localhost:99999" }), url, howToWriteUrl],
  ["a URL with a database that is no number", () => ({ url: "redis://localhost/sessions" }), url, howToWriteUrl],
  ["a URL with a password that is not encoded", () => ({ url: "redis://:hunter2/%zz@localhost" }), url, howToWriteUrl],
  ["a URL with a broken code", () => ({ url: "redis://:hunter2%ff@localhost" }), url, howToWriteUrl],
  [
    "a URL where a host should be",
    () => ({ host: "redis://:hunter2@localhost:6379" }),
    `${host} a text of 31 characters`,
    "Write a host name or an address"
  ],
  [
    "a URL where an address should be",
    () => ({ cluster: ["redis://:hunter2@localhost:6379"] }),
    cluster,
    "Write addresses such as \"localhost:6379\""
  ],
  [
    "a host besides the URL",
    () => ({ url: "redis://localhost", host: "localhost" }),
    `${host} "localhost"`,
    "It contradicts store.url: write only one of them"
  ],
  [
    "a port besides the URL",
    () => ({ url: "redis://localhost", port: 6380 }),
    "store.port (SESSION_STORE_PORT): found 6380",
    "It contradicts store.url: write only one of them"
  ],
  [
    "a database besides that of the URL",
    () => ({ url: "redis://localhost/1", db: 2 }),
    "store.db (SESSION_STORE_DB): found 2",
    "It contradicts store.url: write only one of them"
  ],
  [
    "a password besides that of the URL",
    () => ({ url: "redis://:hunter2@localhost", password: "hunter2" }),
    `${passwordSetting} a text of 7 characters`,
    "It contradicts store.url: write only one of them"
  ],
  [
    "a Cluster besides Sentinels",
    () => ({ cluster: ["localhost:6379"], sentinels: ["localhost:26379"] }),
    "store.sentinels (SESSION_STORE_SENTINELS): found a list of \"localhost:26379\"",
    "It contradicts store.cluster: write only one of them"
  ],
  [
    "a database of a Cluster",
    () => ({ cluster: ["localhost:6379"], db: 1 }),
    "store.db (SESSION_STORE_DB): found 1",
    "It contradicts store.cluster: write only one of them"
  ],
  [
    "the name of a master without Sentinels",
    () => ({ url: "redis://localhost", sentinelName: "shop" }),
    "store.sentinelName (SESSION_STORE_SENTINEL_NAME): found \"shop\"",
    "It is for store.sentinels only"
  ],
  [
    "a setting that there is not",
    () => ({ pasword: "hunter2" }) as never,
    "store.pasword (SESSION_STORE_PASWORD): found a text of 7 characters",
    "There is no such setting. Did you mean store.password (SESSION_STORE_PASSWORD)?"
  ]
]

describe("a store does not start with", () => {
  for (const [what, options, start, end] of mistakes) {
    it.live(what, () =>
      Effect.gen(function*() {
        const mistake = yield* mistakeOf(options(servers()))
        assert.isTrue(mistake.startsWith(start), mistake)
        assert.include(mistake.slice(start.length), `. ${end}`)
      }).pipe(Effect.provide(observe().layer)))
  }

  it.live("ioredis not installed", () =>
    Effect.gen(function*() {
      const root = pathToFileURL(join(import.meta.dirname, "../../..")).href
      const script = `
        import { registerHooks } from "node:module"
        registerHooks({
          resolve(specifier, context, next) {
            if (specifier !== "ioredis") return next(specifier, context)
            throw Object.assign(new Error("Cannot find package 'ioredis'"), { code: "ERR_MODULE_NOT_FOUND" })
          }
        })
        const { Effect, Layer } = await import("effect")
        const { RedisLayer, SessionConfig } = await import("${root}/src/index.ts")
        const store = Layer.provide(RedisLayer.layer(), SessionConfig.layer({ secret: "${secret}" }))
        const error = await Effect.runPromise(Effect.flip(Effect.scoped(Layer.build(store))))
        console.log(JSON.stringify(error.mistakes))
      `
      const output = yield* Effect.callback<string>((resume) => {
        const options = { cwd: join(import.meta.dirname, "../../..") }
        execFile(process.execPath, ["--input-type=module", "--eval", script], options, (error, stdout, stderr) =>
          resume(error === null ? Effect.succeed(stdout) : Effect.die(new Error(stderr))))
      })
      assert.deepStrictEqual(JSON.parse(output), [{
        setting: "store.type (SESSION_DRIVER)",
        found: "\"redis\"",
        write: "The Redis driver needs ioredis: run `npm install ioredis`"
      }])
    }))
})

// -----------------------------------------------------------------------------
// rights
// -----------------------------------------------------------------------------

/** The rights as the documentation has them. */
const documentedRights = /ACL SETUSER sessions on >password (~[^`]*)```/.exec(
  readFileSync(join(import.meta.dirname, "../../../src/RedisLayer.ts"), "utf8")
)![1]!.split(/[\s*]*\n[\s*]*| /).filter((right) => right !== "")
  .map((right) => right === "~sessions:" ? "~sessions:*" : right)

const allow = (redis: RedisServer, user: string, rights: ReadonlyArray<string>) =>
  redis.command("ACL", "SETUSER", user, "reset", "on", `>${password}`, ...rights)

const clients = ["layer", "layerClient on ioredis", "layerClient on node-redis", "layerRedis"] as const

const storeThrough = (
  client: typeof clients[number],
  url: string,
  options: RedisLayer.ClientOptions = {}
): StoreLayer => {
  if (client === "layer") return RedisLayer.layer({ ...options, url })
  if (client === "layerRedis") return redisService().store(url, options)
  if (client === "layerClient on node-redis") return nodeRedis().store(url, options)
  return Layer.unwrap(Effect.map(connectIoRedis(url), (client) => RedisLayer.layerClient(client, options)))
}

const connectIoRedis = (
  url: string,
  options: { readonly password?: string; readonly enableOfflineQueue?: boolean } = {}
) =>
  Effect.acquireRelease(
    Effect.sync(() => new Redis(url, options).on("error", () => {})),
    (client) => Effect.sync(() => client.disconnect())
  )

/** The commands that Redis has refused for want of rights. */
const refusedBy = (redis: RedisServer) =>
  Effect.map(redis.command<ReadonlyArray<ReadonlyArray<string>>>("ACL", "LOG"), (refused) => {
    const commands = refused.map((entry) => entry[entry.indexOf("object") + 1]!)
    // The clients tell their names and versions; they don't mind if they may not.
    return commands.filter((command) => !command.startsWith("client|"))
  })

/** All that the driver does for owners. */
const useOwners = ({ create, owners, peek }: SessionStore.Backend) =>
  Effect.gen(function*() {
    assert(owners !== undefined && peek !== undefined)
    const [owner, key] = [newHash(), newHash()]
    const entry = entryAt(Date.now(), key)
    yield* owners.add(owner, { ...entryAt(0), until: 1 }, undefined)
    yield* owners.add(owner, entry, 1)
    assert.deepStrictEqual(yield* owners.list(owner, 10), [entry])
    yield* create(key, { createdAt: 0, touchedAt: 0, expiresAt: entry.until, fields: new Map() })
    yield* owners.bury(key, { supersededUntil: entry.until, successor: "" })
    assert.strictEqual((yield* peek([key], [])).size, 1)
    yield* owners.remove(owner, [entry])
  })

const withoutRight = documentedRights.filter((right) => !/~|cluster|info|ping|select|wait/.test(right))

const startThrough = (client: typeof clients[number], url: string, options?: RedisLayer.ClientOptions) =>
  Effect.map(
    errorIn(Effect.scoped(Layer.build(Layer.provide(storeThrough(client, url, options), config)))),
    ({ mistakes }) => {
      assert.strictEqual(mistakes.length, 1)
      return mistakes[0]!
    }
  )

describe.each(clients)("a store does not start, through %s, for a user of Redis", (client) => {
  it.live("who may do all but one thing of what the documentation lists: it says which", () =>
    Effect.gen(function*() {
      const { open } = servers()
      assert.isAbove(withoutRight.length, 10)
      for (const right of withoutRight) {
        yield* allow(open, "nearly", documentedRights.filter((other) => other !== right))
        const { write } = yield* startThrough(client, at(open, `nearly:${password}@`))
        assert.include(write, `Redis does not let this user run ${right.slice(1)} (`)
        assert.include(write, `The user needs ${withoutRight.join(" ")}`)
      }
    }))

  it.live("who may not wait for replicas, where the settings say so", () =>
    Effect.gen(function*() {
      const { open } = servers()
      yield* allow(open, "impatient", documentedRights.filter((right) => right !== "+wait"))
      const { write } = yield* startThrough(client, at(open, `impatient:${password}@`), { waitForReplicas: 1 })
      assert.include(write, "Redis does not let this user run wait (")
      assert.include(write, `The user needs ${withoutRight.join(" ")} +wait`)
    }))

  it.live("who may run no scripts", () =>
    Effect.gen(function*() {
      const { open } = servers()
      yield* allow(open, "unscripted", ["~sessions:*", "+@all", "-@scripting"])
      const { write } = yield* startThrough(client, at(open, `unscripted:${password}@`))
      assert.include(write, "Redis does not let this user run eval, evalsha (")
    }))

  it.live("who may use other keys only", () =>
    Effect.gen(function*() {
      const { open } = servers()
      yield* allow(open, "elsewhere", ["~other:*", "+@all"])
      const { write } = yield* startThrough(client, at(open, `elsewhere:${password}@`))
      assert.include(write, "Redis does not let this user access the keys of the prefix: it needs ~sessions:* (")
    }))
})

describe("a store does not start on a client", () => {
  const mistakeWith = (store: StoreLayer) =>
    Effect.map(
      errorIn(Effect.scoped(Layer.build(Layer.provide(store, config)))),
      ({ mistakes: [mistake] }) => `${mistake!.setting}: ${mistake!.write}`
    )

  it.live.each([{}, { enableOfflineQueue: false }])(
    "of ioredis with a wrong password, and %j",
    (options) =>
      Effect.gen(function*() {
        const client = yield* connectIoRedis(at(servers().locked), { password: "wrong", ...options })
        assert.strictEqual(
          yield* mistakeWith(RedisLayer.layerClient(client)),
          "RedisLayer.layerClient: Redis does not accept this user name and password"
        )
      })
  )

  it.live("of ioredis without a password", () =>
    Effect.gen(function*() {
      const client = yield* connectIoRedis(at(servers().locked))
      assert.strictEqual(
        yield* mistakeWith(RedisLayer.layerClient(client)),
        "RedisLayer.layerClient: Redis requires a password"
      )
    }))

  it.live("of node-redis that is not connected", () =>
    Effect.gen(function*() {
      const client = createClient({ url: at(servers().open) })
      assert.strictEqual(
        yield* mistakeWith(RedisLayer.layerClient(client)),
        "RedisLayer.layerClient: Redis does not answer through the client: The client is closed"
      )
    }))

  it.live("of ioredis whose server is gone", () =>
    Effect.gen(function*() {
      const client = yield* connectIoRedis(at(servers().gone))
      assert.include(
        yield* mistakeWith(RedisLayer.layerClient(client)),
        "RedisLayer.layerClient: Redis does not answer through the client: connect ECONNREFUSED"
      )
    }))

  it.live("that is connected to a replica", () =>
    Effect.gen(function*() {
      assert.include(
        yield* mistakeWith(nodeRedis().store(at(servers().replica))),
        "RedisLayer.layerClient: The server is a replica"
      )
    }))
})

describe("a store starts with", () => {
  const works = (options: RedisLayer.Options, config: SessionConfig.Options = {}) =>
    Effect.gen(function*() {
      const server = yield* serve(basicRoutes, { store: RedisLayer.layer(options), config, logger: false })
      const cookie = cookieOf(yield* server.post("/count"))
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    })

  it.live("a password, in the URL or besides it", () =>
    Effect.gen(function*() {
      const { locked } = servers()
      yield* works({ url: at(locked, `:${password}@`) })
      yield* works({ url: at(locked), password })
    }))

  it.live("special characters in a password, in the URL percent-encoded", () =>
    Effect.gen(function*() {
      const password = "a/b@c:d%?#é"
      const locked = yield* startRedis({ password })
      yield* works({ url: at(locked, `:${encodeURIComponent(password)}@`) })
      yield* works({ host: "127.0.0.1", port: locked.port, password })
    }))

  it.live.each(clients)(
    "a user who may do what the documentation lists, through %s",
    (client) =>
      Effect.gen(function*() {
        const { open } = servers()
        yield* allow(open, "documented", documentedRights)
        yield* open.command("ACL", "LOG", "RESET")
        const store = storeThrough(client, at(open, `documented:${password}@`))
        const server = yield* serve(basicRoutes, { store, logger: false })
        const cookie = cookieOf(yield* server.post("/count"))
        assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
        const context = yield* Layer.build(Layer.provide(store, SessionConfig.layer({ secret })))
        const now = Date.now()
        const times = { createdAt: now, touchedAt: now, expiresAt: now + 60_000 }
        const session = yield* createSession(Context.get(context, SessionStore.SessionStore), { a: "1" }, times)
        for (const change of [setting({ a: "1" }), Change.clear(Change.none), adding("b", 1)]) {
          assert.strictEqual((yield* session.commit(expecting({ a: "2" }, change)))._tag, "Conflict")
          assert.strictEqual((yield* session.regenerate(expecting({ a: "2" }, change)))._tag, "Conflict")
          assert.strictEqual((yield* session.commit({ ...change, touch: true }))._tag, "Written")
          yield* session.commit(setting({ a: "1" }))
        }
        assert.strictEqual((yield* session.regenerate(expecting({ a: "1", b: "1" }, Change.none)))._tag, "Written")
        yield* session.destroy
        assert.deepStrictEqual(yield* refusedBy(open), [])
      }).pipe(Effect.provide(observe().layer))
  )

  it.live.each(redisBackends)(
    "a user who may do what the documentation lists, who can do all that is about owners as well, through $client",
    ({ backend }) =>
      Effect.gen(function*() {
        const { open } = servers()
        yield* allow(open, "owners", documentedRights)
        yield* open.command("ACL", "LOG", "RESET")
        yield* useOwners(yield* backend(at(open, `owners:${password}@`)))
        assert.deepStrictEqual(yield* refusedBy(open), [])
      })
  )

  describe("IPv6, an address", () => {
    const everywhere = ["--bind", "127.0.0.1", "::1", "--protected-mode", "no"]
    it.live("in the URL, as the host with or without a port, with or without brackets", () =>
      Effect.gen(function*() {
        const { port } = yield* startRedis({ parameters: everywhere })
        yield* works({ url: `redis://[::1]:${port}` })
        yield* works({ host: "::1", port })
        yield* works({ host: "[::1]", port })
        yield* works({ host: `[::1]:${port}` })
        yield* works({ host: `localhost:${port}` })
      }))

    it.live("of a node of the Cluster, whose nodes have such addresses", () =>
      Effect.gen(function*() {
        const { server } = yield* startClusterNode()
        yield* server.command("CONFIG", "SET", "bind", "127.0.0.1 ::1")
        yield* server.command("CONFIG", "SET", "protected-mode", "no")
        yield* server.command("CONFIG", "SET", "cluster-announce-ip", "::1")
        yield* server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        yield* eventually(
          Effect.map(server.command<string>("CLUSTER", "INFO"), (info) => assert.include(info, "cluster_state:ok"))
        )
        yield* works({ cluster: [`[::1]:${server.port}`] })
      }))

    it.live("of Sentinels and of the master", () =>
      Effect.gen(function*() {
        const { port } = yield* startRedis({ parameters: everywhere })
        const sentinelPort = yield* freePort
        const file = join(yield* temporaryFolder, "sentinel.conf")
        yield* Effect.sync(() =>
          writeFileSync(
            file,
            `port ${sentinelPort}\nbind 127.0.0.1 ::1\nprotected-mode no\nsentinel monitor mymaster ::1 ${port} 1\n`
          )
        )
        yield* startProcess([file, "--sentinel"], sentinelPort)
        yield* works({ sentinels: [`[::1]:${sentinelPort}`] })
      }))
  })

  describe("settings that ioredis would print a warning about:", () => {
    /** What it prints with `console`, and what is logged. */
    const outputOf = (options: RedisLayer.Options) =>
      Effect.gen(function*() {
        const observed = observe()
        const printed: Array<unknown> = []
        const original = { warn: console.warn, error: console.error, log: console.log }
        const print = (...parameters: ReadonlyArray<unknown>) => void printed.push(...parameters)
        yield* Effect.acquireUseRelease(
          Effect.sync(() => Object.assign(console, { warn: print, error: print, log: print })),
          () => works(options).pipe(Effect.provide(observed.layer), Effect.scoped),
          () => Effect.sync(() => Object.assign(console, original))
        )
        assert.deepStrictEqual(printed, [])
        return observed.logs.map(({ message }) => message).filter((message) => message.includes("Redis"))
      })

    it.live("a password that Redis does not ask for is a warning in the log", () =>
      Effect.gen(function*() {
        // One that knows no HELLO tells; a newer one takes any password.
        const open = yield* startRedis({ parameters: ["--rename-command", "HELLO", ""] })
        assert.deepStrictEqual(yield* outputOf({ url: at(open), password }), [
          "A password is configured, but Redis does not require one: is it the right server?"
        ])
      }))

    it.live("a user who may not ask for the state of Redis is a warning in the log", () =>
      Effect.gen(function*() {
        const { open } = servers()
        yield* allow(open, "uninformed", documentedRights.filter((right) => right !== "+info"))
        const [warning, ...others] = yield* outputOf({ url: at(open, `uninformed:${password}@`) })
        assert.include(warning!, "Redis does not let this user run INFO")
        assert.deepStrictEqual(others, [])
      }))
  })

  it.live("a socket", () =>
    Effect.gen(function*() {
      const socket = join(yield* temporaryFolder, "redis.sock")
      yield* startRedis({ parameters: ["--unixsocket", socket] })
      yield* works({ url: `unix://${socket}` })
    }))

  it.live("a time limit of never", () => works({ url: at(servers().open) }, { timeLimit: "never" }))

  it.live("a time limit that is longer than a timer", () =>
    works({ url: at(servers().open) }, { timeLimit: "52 weeks" }))

  it.live("a name of a node of the Cluster that does not exist, and one that does", () =>
    works({ cluster: ["redis.invalid:6379", address(servers().cluster)] }))
})
