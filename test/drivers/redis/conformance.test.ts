/**
 * A single Redis: the contract, and what the driver stores.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer, Schema } from "effect"
import type { SessionStore } from "effect-session"
import { RedisLayer, Session, SessionConfig, SessionDriver, SessionKey } from "effect-session"
import * as SessionOwnersTest from "effect-session/SessionOwnersTest"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Redis } from "ioredis"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeOfDay } from "../../support/clock.ts"
import { secret } from "../../support/config.ts"
import { observe } from "../../support/observe.ts"
import { dump, eventually, type RedisServer, shared, startRedis, temporaryFolder } from "../../support/redisServer.ts"
import { nodeRedis, redisClients, redisService } from "../../support/redisStore.ts"
import { basicRoutes, Name, ok, post } from "../../support/routes.ts"
import { cookieNames, cookieOf, serve, type StoreLayer } from "../../support/server.ts"

const redis = shared(startRedis())

// -----------------------------------------------------------------------------
// the contract, however Redis is reached
// -----------------------------------------------------------------------------

const withServer = (make: (server: RedisServer) => StoreLayer): StoreLayer =>
  Layer.unwrap(Effect.sync(() => make(redis())))

SessionStoreTest.suite({ describe, it }, "RedisLayer by URL", {
  layer: withServer(({ url }) => RedisLayer.layer({ url })),
  dump: Effect.suspend(() => dump(redis()))
})

SessionOwnersTest.suite({ describe, it }, "RedisLayer by URL", {
  layer: Layer.unwrap(Effect.sync(() => RedisLayer.layer({ url: redis().url }))),
  dump: Effect.suspend(() => dump(redis()))
})

SessionStoreTest.suite({ describe, it }, "RedisLayer by host, port and database", {
  layer: withServer(({ port }) => RedisLayer.layer({ host: "127.0.0.1", port, db: 3 }))
})

SessionStoreTest.suite({ describe, it }, "RedisLayer.layerRedis on node-redis", {
  layer: withServer(({ url }) => redisService().store(url, { prefix: "node-redis:" }))
})

let client: Redis
beforeAll(() => {
  client = new Redis(redis().port, "127.0.0.1")
})
afterAll(() => client.disconnect())

SessionStoreTest.suite({ describe, it }, "RedisLayer.layerClient on ioredis", {
  layer: withServer(() => RedisLayer.layerClient(client, { prefix: "of the caller:" }))
})

SessionStoreTest.suite({ describe, it }, "RedisLayer.layerClient on node-redis", {
  layer: withServer(({ url }) => nodeRedis().store(url, { prefix: "of the caller's node-redis:" }))
})

SessionStoreTest.suite(
  { describe, it },
  "RedisLayer.layerClient on node-redis, with the second version of the protocol",
  {
    layer: withServer(({ url }) => nodeRedis({ RESP: 2 }).store(url, { prefix: "with the second version:" }))
  }
)

// -----------------------------------------------------------------------------
// keys
// -----------------------------------------------------------------------------

const keys = Effect.suspend(() => redis().command<ReadonlyArray<string>>("KEYS", "*"))
const empty = Effect.suspend(() => redis().command("FLUSHALL"))

/** How long Redis keeps a key from now on, but for the time that the test takes. */
const expectLeft = (key: string, milliseconds: number) =>
  Effect.map(
    Effect.suspend(() => redis().command<number>("PTTL", key)),
    (left) => assert.approximately(left, milliseconds - 5000, 5000)
  )

/** The only key there is. */
const onlyKey = Effect.map(keys, (keys) => {
  assert.strictEqual(keys.length, 1)
  return keys[0]!
})

/** A server whose only session has counted to one. */
const counted = Effect.fnUntraced(function*(config: SessionConfig.Options) {
  yield* setTimeOfDay
  yield* empty
  const server = yield* serve(basicRoutes, { store: withServer(({ url }) => RedisLayer.layer({ url })), config })
  const cookie = cookieOf(yield* server.post("/count"))
  return { cookie, key: yield* onlyKey, server }
})

describe("keys", () => {
  it.effect.each(["sessions:", "", "*", "a?[b]\\{c}: ", "日本:"])(
    "begin with the prefix %j, whatever is in it",
    (prefix) =>
      Effect.gen(function*() {
        yield* setTimeOfDay
        yield* empty
        yield* redis().command("SET", "another application's", "value")
        const server = yield* serve(basicRoutes, {
          store: withServer(({ url }) => RedisLayer.layer({ url, prefix }))
        })
        const first = cookieOf(yield* server.post("/count"))
        const second = cookieOf(yield* server.post("/login", { cookie: first }))
        yield* server.post("/login")
        const ours = (yield* keys).filter((key) => key !== "another application's")
        assert.strictEqual(ours.length, 3, "the mark of a superseded session, and two sessions")
        for (const key of ours) {
          assert.isTrue(key.startsWith(prefix))
          assert.match(key.slice(prefix.length), /^[\w-]{43}$/)
        }
        yield* server.post("/logout", { cookie: second })
        assert.strictEqual((yield* keys).length, 3, "one less, and the other application's")
      })
  )

  it.effect("of two applications with prefixes of their own do not meet", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const application = (prefix: string) =>
        serve(basicRoutes, { store: withServer(({ url }) => RedisLayer.layer({ url, prefix })) })
      const [one, other] = yield* Effect.all([application("one:"), application("one:more:")])
      const cookie = cookieOf(yield* one.post("/count"))
      assert.strictEqual((yield* other.get("/", { cookie })).body, "{}")
      yield* other.post("/logout", { cookie })
      assert.notStrictEqual(cookieOf(yield* other.post("/count", { cookie })), cookie)
      assert.strictEqual((yield* one.get("/", { cookie })).body, `{"count":1}`)
    }))

  it.effect("expire in Redis a minute after the session, and a touch moves that", () =>
    Effect.gen(function*() {
      const { cookie, key, server } = yield* counted({ age: "1 hour" })
      const expiry = Effect.gen(function*() {
        yield* expectLeft(key, 61 * 60_000)
        // As after the time that has passed only for the test.
        yield* redis().command("PEXPIRE", key, "120000")
        return Number((yield* redis().command<string>("HGET", key, "~times")).split(" ")[2])
      })
      const first = yield* expiry
      yield* TestClock.adjust("59 minutes")
      yield* server.get("/", { cookie })
      assert.strictEqual(yield* expiry, first + 59 * 60_000)
      yield* TestClock.adjust("59 minutes")
      yield* server.post("/count", { cookie })
      assert.strictEqual(yield* expiry, first + 2 * 59 * 60_000)
    }))

  it.effect("expire a minute after the session's own lifetime, if it has one", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      yield* empty
      const remember = Session.setLifetime({ age: "30 days", absoluteAge: "90 days" })
      const server = yield* serve(Layer.mergeAll(basicRoutes, post("/remember", remember)), {
        store: withServer(({ url }) => RedisLayer.layer({ url })),
        config: { maximumAge: "30 days", maximumAbsoluteAge: "90 days" }
      })
      const cookie = cookieOf(yield* server.post("/count"))
      yield* server.post("/remember", { cookie })
      yield* expectLeft(yield* onlyKey, 30 * 86_400_000 + 60_000)
    }))

  it.effect("of a session that never ends do not expire, in the time that Redis can count", () =>
    Effect.gen(function*() {
      const { cookie, key, server } = yield* counted({ age: "never", absoluteAge: "never" })
      assert.isAbove(yield* redis().command<number>("PTTL", key), 1000 * 365 * 86_400_000)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }))

  it.effect("of a session that was regenerated hold a mark, for as long as it is superseded and a minute", () =>
    Effect.gen(function*() {
      const { cookie, key, server } = yield* counted({ supersededFor: "10 seconds" })
      yield* server.post("/login", { cookie })
      const hash = yield* redis().command<ReadonlyArray<string>>("HGETALL", key)
      assert.deepStrictEqual([hash[0], hash[2], hash.length], ["~supersededUntil", "~successor", 4])
      const [successor, overwritten] = hash[3]!.split(" ")
      assert.include(yield* keys, `sessions:${successor}`, "the key that followed, which is a hash as well")
      assert.strictEqual(overwritten, `["name"]`, "and the names of what the login has put")
      yield* expectLeft(key, 70_000)
    }))
})

describe("a connection that is lost", () => {
  it.live("comes back to the same database", () =>
    Effect.gen(function*() {
      const server = yield* serve(basicRoutes, { store: withServer(({ url }) => RedisLayer.layer({ url, db: 5 })) })
      const cookie = cookieOf(yield* server.post("/count"))
      yield* redis().command("CLIENT", "KILL", "TYPE", "normal")
      yield* eventually(Effect.map(server.get("/", { cookie }), ({ body }) => assert.strictEqual(body, `{"count":1}`)))
    }).pipe(Effect.provide(observe().layer)))
})

// -----------------------------------------------------------------------------
// secrets
// -----------------------------------------------------------------------------

describe("secrets", () => {
  it.live("the disk holds neither a cookie nor an id of a session, past or present", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const durable = yield* startRedis({ folder, parameters: ["--appendonly", "yes", "--appendfsync", "always"] })
      const server = yield* serve(basicRoutes, { store: RedisLayer.layer({ url: durable.url }) })
      const first = cookieOf(yield* server.post("/count"))
      yield* server.get("/", { cookie: first })
      const second = cookieOf(yield* server.post("/login", { cookie: first }))
      const third = cookieOf(yield* server.post("/login"))
      yield* server.post("/logout", { cookie: third })
      // A snapshot besides the commands.
      yield* durable.command("SAVE")
      const text = readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1")).join("\n")
      assert.include(text, `"Ada"`, "what is in a session is there to be seen")
      for (const cookie of [first, second, third]) {
        const [, token, id] = /^session=(([\w-]{43})\.[\w-]{43})$/.exec(cookie)!
        assert.isFalse(text.includes(token!))
        assert.isFalse(text.includes(id!))
      }
    }).pipe(Effect.provide(observe().layer)))

  it.live("the log tells that Redis does not accept the password any more, and not which one it is", () =>
    Effect.gen(function*() {
      const observed = observe()
      yield* Effect.gen(function*() {
        const locked = yield* startRedis({ password: "first-password" })
        const server = yield* serve(basicRoutes, {
          store: RedisLayer.layer({ url: locked.url, password: "first-password" })
        })
        assert.strictEqual((yield* server.post("/count")).status, 200)
        const operator = yield* clientOf(locked, "first-password")
        yield* operator("CONFIG", "SET", "requirepass", "second-password")
        yield* operator("CLIENT", "KILL", "TYPE", "normal")
        yield* eventually(Effect.sync(() => assert.isTrue(observed.text().includes("WRONGPASS"))))
        assert.strictEqual((yield* server.post("/count")).status, 503)
      }).pipe(Effect.provide(observed.layer))
      assert.isFalse(observed.text().includes("first-password"))
    }))
})

/** A connection of its own, which stays. */
const clientOf = ({ port }: RedisServer, password: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Redis({ host: "127.0.0.1", port, password })),
      (client) => Effect.sync(() => client.disconnect())
    ),
    (client) => (command: string, ...parameters: ReadonlyArray<string>) =>
      Effect.promise(() => client.call(command, ...parameters))
  )

// -----------------------------------------------------------------------------
// damage
// -----------------------------------------------------------------------------

const Total = SessionKey.make("total", Schema.Number)
const Theme = SessionKey.make("theme", Schema.String).pipe(
  SessionKey.withDefault(() => "light", { onInvalid: "default" })
)

const strictRoutes = Layer.mergeAll(
  basicRoutes,
  HttpRouter.add(
    "POST",
    "/fill",
    Effect.as(Effect.all([Session.put(Total, 10), Session.put(Theme, "dark"), Session.put(Name, "Ada")]), ok)
  ),
  HttpRouter.add("GET", "/total", Effect.as(Total, ok)),
  HttpRouter.add("GET", "/theme", Effect.map(Theme, HttpServerResponse.jsonUnsafe)),
  HttpRouter.add("GET", "/name", Effect.map(Session.getOrElse(Name, () => ""), HttpServerResponse.jsonUnsafe))
)

describe.each(redisClients)("damage done by hand, through $client", (client) => {
  const store = withServer(({ url }) => client.store(url, { prefix: "" }))

  const filled = Effect.gen(function*() {
    yield* setTimeOfDay
    yield* empty
    const server = yield* serve(strictRoutes, { store })
    const cookie = cookieOf(yield* server.post("/fill"))
    return { server, cookie, key: yield* onlyKey }
  })

  it.effect.each([
    { damage: "another kind of value in its place", commands: [["DEL"], ["SET", "text"]] },
    { damage: "a list in its place", commands: [["DEL"], ["RPUSH", "~times"]] },
    { damage: "an expiry that is no number", commands: [["HSET", "~times", `${Date.now()} ${Date.now()} tomorrow`]] },
    { damage: "a last use that is no number", commands: [["HSET", "~times", `${Date.now()}  8640000000000000`]] },
    { damage: "a creation that is no number", commands: [["HSET", "~times", `NaN ${Date.now()} 8640000000000000`]] },
    { damage: "a time that is missing", commands: [["HSET", "~times", `${Date.now()} ${Date.now()}`]] },
    { damage: "times that are one number", commands: [["HSET", "~times", "8640000000000000"]] },
    { damage: "no times", commands: [["HDEL", "~times"]] },
    { damage: "a mark that is no number", commands: [["HSET", "~supersededUntil", "?"], ["HDEL", "~times"]] }
  ])("$damage: no session, a new one can begin, and the user can log out", ({ commands }) =>
    Effect.gen(function*() {
      const { cookie, key, server } = yield* filled
      for (const [command, ...parameters] of commands) yield* redis().command(command!, key, ...parameters)
      const read = yield* server.get("/", { cookie })
      assert.deepStrictEqual([read.status, read.body, read.setCookies], [200, "{}", []])
      const begun = yield* server.post("/count", { cookie })
      assert.strictEqual(begun.status, 200)
      assert.notStrictEqual(cookieOf(begun), cookie)
      const ended = yield* server.post("/logout", { cookie })
      assert.strictEqual(ended.status, 200)
      assert.deepStrictEqual(cookieNames(ended), ["session"])
      assert.strictEqual(cookieOf(ended), "")
    }))

  it.effect("in the middle of a request: a change is refused, and the user can log out all the same", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const damage = Effect.flatMap(
        onlyKey,
        (key) => Effect.andThen(redis().command("DEL", key), redis().command("SET", key, "text"))
      )
      const late = (path: "/late/count" | "/late/logout", work: typeof Session.destroy) =>
        HttpRouter.add("POST", path, Effect.as(Effect.all([Session.has(Name), damage, work]), ok))
      const changing = Effect.asVoid(Session.put(Name, "Grace")) as typeof Session.destroy
      const server = yield* serve(
        Layer.mergeAll(basicRoutes, late("/late/count", changing), late("/late/logout", Session.destroy)),
        { store, logger: false }
      )
      for (const [path, status, left] of [["/late/count", 503, 1], ["/late/logout", 200, 0]] as const) {
        yield* empty
        const cookie = cookieOf(yield* server.post("/count"))
        assert.strictEqual((yield* server.post(path, { cookie })).status, status)
        assert.strictEqual((yield* keys).length, left)
        assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
      }
    }).pipe(Effect.provide(observe().layer)))

  it.effect("a field that is no JSON: an error for the key, or its default, and the others are there", () =>
    Effect.gen(function*() {
      const { cookie, key, server } = yield* filled
      yield* redis().command("HSET", key, "total", "{broken", "theme", "\u0000")
      const total = yield* server.get("/total", { cookie })
      assert.deepStrictEqual([total.status, total.body], [500, "Internal Server Error"])
      assert.strictEqual((yield* server.get("/theme", { cookie })).body, `"light"`)
      assert.strictEqual((yield* server.get("/name", { cookie })).body, `"Ada"`)
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 200)
      assert.strictEqual((yield* server.post("/logout", { cookie })).status, 200)
      assert.deepStrictEqual(yield* keys, [])
    }))

  it.effect("a counter that is no number begins anew for those who do not look at it", () =>
    Effect.gen(function*() {
      const { cookie, key, server } = yield* filled
      yield* redis().command("HSET", key, "count", `"seven"`)
      const strict = yield* server.post("/count", { cookie })
      assert.strictEqual(strict.status, 500)
      yield* redis().command("HDEL", key, "count")
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 200)
      assert.strictEqual(yield* redis().command<string>("HGET", key, "count"), "1")
    }))
})

// -----------------------------------------------------------------------------
// settings
// -----------------------------------------------------------------------------

describe("settings", () => {
  const storesAt = (prefix: string, build: Layer.Layer<SessionStore.SessionStore, unknown>) =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      yield* empty
      const server = yield* serve(basicRoutes, { store: Layer.orDie(build) })
      assert.strictEqual((yield* server.post("/count")).status, 200)
      assert.isTrue((yield* onlyKey).startsWith(prefix))
    })

  const configured = (provider: ConfigProvider.ConfigProvider) =>
    SessionDriver.layerConfig.pipe(
      Layer.provide(SessionConfig.layerConfig({ secret })),
      Layer.provide(Layer.succeed(ConfigProvider.ConfigProvider, provider))
    ) as Layer.Layer<SessionStore.SessionStore, unknown>

  it.effect("come from the environment", () =>
    storesAt(
      "sess:",
      Layer.unwrap(Effect.sync(() =>
        configured(ConfigProvider.fromEnv({
          env: { SESSION_DRIVER: "redis", SESSION_STORE_URL: redis().url, SESSION_STORE_PREFIX: "sess:" }
        }))
      ))
    ))

  it.effect("come from a JSON document", () =>
    storesAt(
      "sess:",
      Layer.unwrap(Effect.sync(() =>
        configured(ConfigProvider.fromUnknown(JSON.parse(
          `{ "session": { "store": { "type": "redis", "url": "${redis().url}", "prefix": "sess:" } } }`
        )))
      ))
    ))

  it.effect("come from the document in code", () =>
    storesAt(
      "sess:",
      Layer.unwrap(Effect.sync(() =>
        Layer.provide(
          SessionDriver.layerConfig,
          SessionConfig.layer({ secret, store: { type: "redis", url: redis().url, prefix: "sess:" } })
        )
      )) as Layer.Layer<SessionStore.SessionStore, unknown>
    ))

  it.effect("come each from a Config of its own", () =>
    storesAt(
      "sess:",
      RedisLayer.layerConfig({ url: Config.String("REDIS_URL"), prefix: Config.succeed("sess:") }).pipe(
        Layer.provide(SessionConfig.layer({ secret })),
        Layer.provide(Layer.unwrap(Effect.sync(() =>
          Layer.succeed(
            ConfigProvider.ConfigProvider,
            ConfigProvider.fromEnv({ env: { REDIS_URL: redis().url } })
          )
        )))
      )
    ))
})
