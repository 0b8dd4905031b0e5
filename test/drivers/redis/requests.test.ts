/**
 * Which commands a request costs, and what is left of requests that run at the same time, over HTTP.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { Session } from "effect-session"
import { setTimeOfDay } from "../../support/clock.ts"
import { races } from "../../support/races.ts"
import { monitor, shared, startRedis } from "../../support/redisServer.ts"
import { redisClients } from "../../support/redisStore.ts"
import { basicRoutes, Name, slowRoute } from "../../support/routes.ts"
import { cookieOf, serve } from "../../support/server.ts"

const redis = shared(startRedis())

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

  it.effect("logs in while another one commits costs one command more", () =>
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
      assert.deepStrictEqual(yield* seen, ["EVALSHA", "EVALSHA", "EVALSHA"])
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

for (const { client, store } of redisClients) races(`Redis through ${client}`, { store: () => store(redis().url) })
