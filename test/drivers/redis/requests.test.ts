/**
 * Which commands a request costs, and what is left of requests that run at the same time, over HTTP.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { Session, SessionConfig, SessionOwners, Sessions, SessionStore } from "effect-session"
import * as Change from "../../../src/internal/record/change.ts"
import { setTimeOfDay } from "../../support/clock.ts"
import { secret } from "../../support/config.ts"
import { ownerRaces } from "../../support/ownerRaces.ts"
import { races } from "../../support/races.ts"
import { monitor, shared, startRedis } from "../../support/redisServer.ts"
import { redisClients } from "../../support/redisStore.ts"
import { basicRoutes, Name, post, slowRoute } from "../../support/routes.ts"
import { cookieOf, serve, type StoreLayer } from "../../support/server.ts"
import { adding, createSession, expecting, setting } from "../../support/storedSession.ts"

const redis = shared(startRedis())

const commands: ReadonlyArray<
  readonly [what: string, request: readonly [string, string], anonymous: Array<string>, existing: Array<string>]
> = [
  ["does not use its session", ["GET", "/untouched"], [], []],
  ["reads", ["GET", "/"], [], ["HGETALL"]],
  ["writes", ["POST", "/count"], ["EVALSHA"], ["HGETALL", "EVALSHA"]],
  ["extends the session's life", ["POST", "/touch"], [], ["HGETALL", "EVALSHA"]],
  ["logs in", ["POST", "/login"], ["EVALSHA"], ["HGETALL", "EVALSHA"]],
  ["logs out", ["POST", "/logout"], [], ["HGETALL", "EVALSHA"]]
]

describe.each(redisClients)("through $client, a request that", ({ store }) => {
  for (const [what, [method, path], anonymous, existing] of commands) {
    it.effect(`${what} costs [${anonymous}], and [${existing}] where there is a session`, () =>
      Effect.gen(function*() {
        yield* setTimeOfDay
        const server = yield* serve(basicRoutes, { store: store(redis().url) })
        // Redis knows the scripts by now.
        yield* server.send(method, path, { cookie: cookieOf(yield* server.post("/count")) })
        const cookie = cookieOf(yield* server.post("/count"))
        const seen = yield* monitor(redis())
        yield* server.send(method, path)
        assert.deepStrictEqual(yield* seen, anonymous)
        yield* server.send(method, path, { cookie })
        assert.deepStrictEqual(yield* seen, existing)
      }))
  }

  it.effect("logs in while another one commits costs one command more: it tries again", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const slow = slowRoute("/slow", Effect.andThen(Session.regenerate, Session.put(Name, "Ada")))
      const server = yield* serve(Layer.mergeAll(basicRoutes, slow.route), { store: store(redis().url) })
      // Redis knows the scripts by now.
      yield* server.post("/login", { cookie: cookieOf(yield* server.post("/count")) })
      const cookie = cookieOf(yield* server.post("/count"))
      const login = yield* Effect.forkChild(server.post("/slow", { cookie }))
      yield* slow.reached
      yield* server.post("/count", { cookie })
      const seen = yield* monitor(redis())
      yield* slow.release
      const next = cookieOf(yield* Fiber.join(login))
      assert.deepStrictEqual(yield* seen, ["EVALSHA", "EVALSHA"])
      assert.deepStrictEqual(JSON.parse((yield* server.get("/", { cookie: next })).body), { count: 2, name: "Ada" })
    }))

  it.effect("needs a script that Redis does not know sends it, once", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const server = yield* serve(basicRoutes, { store: store(redis().url) })
      const cookie = cookieOf(yield* server.post("/count"))
      yield* redis().command("SCRIPT", "FLUSH")
      const seen = yield* monitor(redis())
      yield* server.post("/count", { cookie })
      assert.deepStrictEqual(yield* seen, ["HGETALL", "EVALSHA", "EVAL"])
      yield* server.post("/count", { cookie })
      assert.deepStrictEqual(yield* seen, ["HGETALL", "EVALSHA"])
    }))
})

describe.each(redisClients)("through $client, a session with an owner", ({ client, store }) => {
  it.effect("costs one command more when it is created or gets another id, and none for a request that reads or writes", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const context = yield* Layer.build(Layer.provideMerge(store(redis().url), SessionConfig.layer({ secret })))
      const outside = Effect.provide(context)
      const owner = `../..\u0000* of ${client}`
      const login = Effect.provideService(
        Effect.andThen(Session.login(owner), Session.put(Name, "Ada")),
        SessionOwners.SessionOwners,
        Context.get(context, SessionOwners.SessionOwners)
      )
      const routes = Layer.mergeAll(
        basicRoutes,
        post("/in", login),
        post("/in/anew", Effect.andThen(Session.regenerate, login))
      )
      const server = yield* serve(routes, { store: Layer.succeedContext(context) })
      // Redis knows the scripts by now.
      yield* server.post("/in")
      yield* outside(Sessions.destroyAll(owner))
      const begin = Effect.gen(function*() {
        const cookie = cookieOf(yield* server.post("/count"))
        yield* server.post("/count", { cookie })
        return cookie
      })
      const first = cookieOf(yield* server.post("/in/anew", { cookie: yield* begin }))
      const anonymous = yield* begin
      const seen = yield* monitor(redis())
      const second = cookieOf(yield* server.post("/in/anew", { cookie: anonymous }))
      assert.deepStrictEqual(yield* seen, ["HGETALL", "EVALSHA", "EVALSHA"])
      const third = cookieOf(yield* server.post("/in"))
      assert.deepStrictEqual(yield* seen, ["EVALSHA", "EVALSHA"])
      yield* server.get("/", { cookie: third })
      assert.deepStrictEqual(yield* seen, ["HGETALL"])
      yield* server.post("/count", { cookie: third })
      assert.deepStrictEqual(yield* seen, ["HGETALL", "EVALSHA"])
      const { sessions } = yield* outside(Sessions.list(owner))
      assert.strictEqual(sessions.length, 3)
      assert.deepStrictEqual(yield* seen, ["ZREVRANGEBYSCORE", "HMGET", "HMGET", "HMGET"])
      assert.strictEqual(yield* outside(Sessions.destroyAll(owner)), 3)
      const end = ["ZREVRANGEBYSCORE", "HMGET", "HMGET", "HMGET", "EVALSHA", "EVALSHA", "EVALSHA", "ZREM"]
      assert.deepStrictEqual(yield* seen, [...end, "ZREVRANGEBYSCORE"], "and once more, whether there are others now")
      for (const cookie of [first, second, third]) {
        assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
      }
      const keys = yield* redis().command<ReadonlyArray<string>>("KEYS", "*")
      assert.isFalse(keys.some((key) => key.includes("..")))
    }))
})

/** A session that was created just now, in a Redis that knows the scripts. */
const newSession = Effect.fnUntraced(function*(store: StoreLayer, values: Readonly<Record<string, string>>) {
  yield* setTimeOfDay
  const context = yield* Layer.build(Layer.provide(store, SessionConfig.layer({ secret })))
  const now = Date.now()
  const times = { createdAt: now, touchedAt: now, expiresAt: now + 3_600_000 }
  const service = Context.get(context, SessionStore.SessionStore)
  const create = createSession(service, values, times)
  const other = yield* create
  yield* other.commit(Change.none)
  yield* other.regenerate()
  yield* other.destroy
  const session = yield* create
  return { ...session, load: service.load, hash: `sessions:${session.key}` }
})

const written = { _tag: "Written", token: undefined } as const
const gone = { _tag: "Gone" } as const

describe.each(redisClients)("through $client, a commit that expects something", ({ store }) => {
  it.effect("costs one command, as any other, whether it is written or not", () =>
    Effect.gen(function*() {
      const session = yield* newSession(store(redis().url), { a: "1", b: "2" })
      const seen = yield* monitor(redis())
      assert.deepStrictEqual(yield* session.commit(expecting({ a: "1", c: undefined }, setting({ a: "2" }))), written)
      assert.deepStrictEqual(yield* seen, ["EVALSHA"])
      const record = (yield* session.stored)!
      yield* seen
      const change = { ...expecting({ a: "1" }, Change.clear(Change.none)), touch: true }
      assert.deepStrictEqual(yield* session.commit(change), { _tag: "Conflict", record })
      assert.deepStrictEqual(yield* seen, ["EVALSHA"])
    }))

  it.effect("costs one command if it regenerates, whether it is written or not", () =>
    Effect.gen(function*() {
      const session = yield* newSession(store(redis().url), { a: "1" })
      const seen = yield* monitor(redis())
      const answer = yield* session.regenerate(expecting({ a: "2" }, setting({ a: "3" })))
      assert.deepStrictEqual(answer, { _tag: "Conflict", record: session.record })
      assert.deepStrictEqual(yield* seen, ["EVALSHA"])
      assert.strictEqual((yield* session.regenerate(expecting({ a: "1" }, setting({ a: "3" }))))._tag, "Written")
      assert.deepStrictEqual(yield* seen, ["EVALSHA"])
    }))

  it.effect("costs one more to see whether the session was regenerated, if it is gone", () =>
    Effect.gen(function*() {
      const session = yield* newSession(store(redis().url), { a: "1" })
      yield* session.regenerate()
      const seen = yield* monitor(redis())
      assert.strictEqual((yield* session.commit(expecting({ a: "1" }, setting({ a: "2" }))))._tag, "Conflict")
      assert.deepStrictEqual(yield* seen, ["EVALSHA", "HGETALL", "HGETALL"])
      yield* session.destroy
      yield* seen
      assert.deepStrictEqual(yield* session.commit(expecting({ a: "1" }, setting({ a: "2" }))), gone)
      assert.deepStrictEqual(yield* seen, ["EVALSHA", "HGETALL", "HGETALL"])
      const other = yield* newSession(store(redis().url), { a: "1" })
      yield* other.destroy
      yield* seen
      assert.deepStrictEqual(yield* other.commit(expecting({ a: "1" }, setting({ a: "2" }))), gone)
      assert.deepStrictEqual(yield* seen, ["EVALSHA", "HGETALL"])
    }))

  it.effect("moves the session to its new id with all that is stored: only what differs is sent", () =>
    Effect.gen(function*() {
      const before = { kept: "1", changed: "1", removed: "1", "": "1", __proto: "1", "~\"": "\"=\"" }
      const session = yield* newSession(store(redis().url), { ...before, unused: "1" })
      const change = Change.remove(Change.remove(setting({ changed: "2", "": "2", added: "2" }), "removed"), "unused")
      yield* session.touch({ touchedAt: session.record.touchedAt + 1, expiresAt: session.record.expiresAt + 3_600_000 })
      const answer = yield* session.regenerate(change)
      assert(answer._tag === "Written" && answer.token !== undefined)
      const loaded = yield* session.load(answer.token)
      assert(loaded._tag === "Found")
      assert.deepStrictEqual(loaded.record, {
        ...session.record,
        expiresAt: session.record.expiresAt + 3_600_000,
        fields: new Map(Object.entries({ kept: "1", changed: "2", "": "2", __proto: "1", "~\"": "\"=\"", added: "2" }))
      })
      const hash = `sessions:${loaded.id.key}`
      const leftOf = (key: string) => redis().command<number>("PTTL", key)
      assert.closeTo(yield* leftOf(hash), 2 * 3_600_000 + 60_000, 10_000, "as long as it was to stay before")
      assert.isBelow(yield* leftOf(session.hash), 3_600_000, "the mark stays for a while")
      assert.sameMembers(yield* redis().command<Array<string>>("HKEYS", session.hash), [
        "~supersededUntil",
        "~successor"
      ])
    }))

  it.effect("takes a field as it was loaded: the sums of Redis, and what is no JSON", () =>
    Effect.gen(function*() {
      const session = yield* newSession(store(redis().url), { sum: "0.1" })
      yield* session.commit(adding("sum", 0.1))
      const damaged = { empty: "", text: "=", spaces: " 1", binary: "\u0000\r\n" }
      yield* redis().command("HSET", session.hash, ...Object.entries(damaged).flat())
      const { fields } = (yield* session.stored)!
      assert.strictEqual(fields.get("sum"), "0.20000000000000001")
      assert.deepStrictEqual(
        yield* session.commit(expecting(Object.fromEntries(fields), setting({ done: "1" }))),
        written
      )
      for (const wrong of [{ sum: "0.2" }, { empty: undefined }, { empty: "=" }, { text: "" }, { absent: "" }]) {
        const answer = yield* session.commit(expecting(wrong, setting({ done: "2" })))
        assert.strictEqual(answer._tag, "Conflict", JSON.stringify(wrong))
      }
    }))

  it.effect("finds no session where its times are damaged, whatever it expects", () =>
    Effect.gen(function*() {
      for (const damaged of [0, 1, 2]) {
        const session = yield* newSession(store(redis().url), { a: "1" })
        const times = (yield* redis().command<string>("HGET", session.hash, "~times")).split(" ")
        yield* redis().command("HSET", session.hash, "~times", times.with(damaged, "yesterday").join(" "))
        assert.deepStrictEqual(yield* session.commit(expecting({ a: "2" }, setting({ b: "1" }))), gone)
        assert.deepStrictEqual(yield* session.regenerate(expecting({ a: "2" }, setting({ b: "1" }))), gone)
        assert.strictEqual(yield* redis().command("HEXISTS", session.hash, "b"), 0)
      }
    }))
})

for (const { client, store } of redisClients) {
  races(`Redis through ${client}`, { store: () => store(redis().url) })
  ownerRaces(`Redis through ${client}`, { store: () => store(redis().url) })
}
