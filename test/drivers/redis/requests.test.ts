/**
 * Which commands a request costs, and what is left of requests that run at the same time, over HTTP.
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { RedisLayer, Session } from "effect-session"
import { HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import { connectNodeRedis, monitor, setTimeOfDay, shared, startRedis } from "../../support/redisServer.ts"
import { basicRoutes, Count, keysRoute, Name, ok } from "../../support/routes.ts"
import { cookieNames, cookieOf, serve, type StoreLayer } from "../../support/server.ts"

const redis = shared(startRedis())

const clients: ReadonlyArray<{ readonly client: string; readonly store: StoreLayer }> = [
  { client: "ioredis", store: Layer.unwrap(Effect.sync(() => RedisLayer.layer({ url: redis().url }))) },
  {
    client: "node-redis",
    store: Layer.unwrap(
      Effect.map(
        Effect.suspend(() => connectNodeRedis({ url: redis().url })),
        (client) => RedisLayer.layerClient(client)
      )
    )
  },
  {
    client: "the Redis service",
    store: RedisLayer.layerRedis().pipe(
      Layer.provide(Layer.unwrap(Effect.sync(() => Layer.orDie(NodeRedis.layer({ url: redis().url })))))
    )
  }
]

type SlowPath = "/slow/read" | "/slow/write" | "/slow/login" | "/slow/logout"

/** A route that stays in the middle of its work, so that another request can come in between. */
const slowRoute = <E>(
  path: SlowPath,
  work: Effect.Effect<unknown, E, Session.Session>
) => {
  const reached = Deferred.makeUnsafe<void>()
  const goOn = Deferred.makeUnsafe<void>()
  const route = HttpRouter.add(
    "POST",
    path,
    Effect.gen(function*() {
      yield* work
      yield* Deferred.succeed(reached, undefined)
      yield* Deferred.await(goOn)
      return ok
    })
  )
  return { route, reached: Deferred.await(reached), goOn: Deferred.succeed(goOn, undefined) }
}

const commands: ReadonlyArray<
  readonly [what: string, request: readonly [string, string], anonymous: Array<string>, existing: Array<string>]
> = [
  ["does not use its session", ["GET", "/untouched"], [], []],
  ["reads", ["GET", "/"], [], ["HGETALL"]],
  ["writes", ["POST", "/count"], ["EVALSHA"], ["HGETALL", "EVALSHA"]],
  ["extends the session's life", ["POST", "/touch"], [], ["HGETALL", "EVALSHA"]],
  ["logs in", ["POST", "/login"], ["EVALSHA"], ["HGETALL", "EVALSHA", "EVALSHA"]],
  ["logs out", ["POST", "/logout"], [], ["HGETALL", "EVALSHA"]]
]

describe.each(clients)("through $client, a request that", ({ store }) => {
  for (const [what, [method, path], anonymous, existing] of commands) {
    it.effect(`${what} costs [${anonymous}], and [${existing}] where there is a session`, () =>
      Effect.gen(function*() {
        yield* setTimeOfDay
        const server = yield* serve(basicRoutes, { store })
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

  it.effect("logs in while another one commits costs one command more", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const slow = slowRoute("/slow/login", Effect.andThen(Session.regenerate, Session.put(Name, "Ada")))
      const server = yield* serve(Layer.mergeAll(basicRoutes, slow.route), { store })
      // Redis knows the scripts by now.
      yield* server.post("/login", { cookie: cookieOf(yield* server.post("/count")) })
      const cookie = cookieOf(yield* server.post("/count"))
      const login = yield* Effect.forkChild(server.post("/slow/login", { cookie }))
      yield* slow.reached
      yield* server.post("/count", { cookie })
      const seen = yield* monitor(redis())
      yield* slow.goOn
      const next = cookieOf(yield* Fiber.join(login))
      assert.deepStrictEqual(yield* seen, ["EVALSHA", "EVALSHA", "EVALSHA"])
      assert.deepStrictEqual(JSON.parse((yield* server.get("/", { cookie: next })).body), { count: 2, name: "Ada" })
    }))

  it.effect("needs a script that Redis does not know sends it, once", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const server = yield* serve(basicRoutes, { store })
      const cookie = cookieOf(yield* server.post("/count"))
      yield* redis().command("SCRIPT", "FLUSH")
      const seen = yield* monitor(redis())
      yield* server.post("/count", { cookie })
      assert.deepStrictEqual(yield* seen, ["HGETALL", "EVALSHA", "EVAL"])
      yield* server.post("/count", { cookie })
      assert.deepStrictEqual(yield* seen, ["HGETALL", "EVALSHA"])
    }))
})

describe.each(clients)("through $client, parallel requests of one session", ({ store }) => {
  it.effect("200 that have all loaded it, and then set a key of their own and add one: 200 keys, and 200", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const requests = 200
      const server = yield* serve(
        Layer.mergeAll(
          basicRoutes,
          yield* keysRoute(requests)
        ),
        { store }
      )
      const cookie = cookieOf(yield* server.post("/login"))
      const numbers = Array.from({ length: requests }, (_, number) => number)
      const answers = yield* Effect.forEach(numbers, (number) => server.post(`/keys/${number}`, { cookie }), {
        concurrency: "unbounded"
      })
      assert.isTrue(answers.every(({ status }) => status === 200))
      const { count, name, ...keys } = JSON.parse((yield* server.get("/", { cookie })).body)
      assert.strictEqual(count, requests)
      assert.strictEqual(name, "Ada")
      assert.deepStrictEqual(keys, Object.fromEntries(numbers.map((number) => [`key_${number}`, number])))
    }))
})

describe.each(clients)("through $client, a slow request", ({ store }) => {
  const works = {
    "/slow/read": Count,
    "/slow/write": Session.increment(Count),
    "/slow/login": Effect.andThen(Session.regenerate, Session.put(Name, "Grace"))
  } as const

  for (const path of ["/slow/read", "/slow/write", "/slow/login"] as const) {
    for (const end of ["/logout", "/login"]) {
      it.effect(`POST ${path}, meanwhile POST ${end}: no cookie, and what was ended stays so`, () =>
        Effect.gen(function*() {
          yield* setTimeOfDay
          const slow = slowRoute(path, works[path])
          const server = yield* serve(Layer.mergeAll(basicRoutes, slow.route), { store })
          const browser = server.browser()
          yield* browser.post("/count")
          const cookie = browser.cookies()
          // By now, the session's life is due to be extended, for which the slow request would need a cookie.
          yield* TestClock.adjust("2 minutes")
          const request = yield* Effect.forkChild(browser.post(path))
          yield* slow.reached
          assert.deepStrictEqual(cookieNames(yield* browser.post(end)), ["session"])
          yield* slow.goOn
          const answer = yield* Fiber.join(request)
          assert.strictEqual(answer.status, 200)
          assert.deepStrictEqual(answer.setCookies, [])
          assert.strictEqual((yield* server.get("/", { cookie })).body, "{}", "the old cookie is worth nothing")
          assert.strictEqual(
            (yield* browser.get("/")).body,
            end === "/login" ? `{"count":1,"name":"Ada"}` : "{}",
            "the browser is where the user brought it"
          )
        }))
    }
  }

  it.effect("POST /slow/logout, meanwhile POST /login: the user is logged out", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const slow = slowRoute("/slow/logout", Session.destroy)
      const server = yield* serve(Layer.mergeAll(basicRoutes, slow.route), { store })
      const browser = server.browser()
      yield* browser.post("/count")
      const request = yield* Effect.forkChild(browser.post("/slow/logout"))
      yield* slow.reached
      const cookie = cookieOf(yield* browser.post("/login"))
      yield* slow.goOn
      assert.strictEqual((yield* Fiber.join(request)).status, 200)
      assert.strictEqual(browser.cookies(), "")
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}", "under the new id, too")
    }))
})
