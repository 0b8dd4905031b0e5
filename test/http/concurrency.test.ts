/**
 * Fibers of one request, and requests of one session, at the same time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { CookieLayer, MemoryLayer, Session } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { KeyValueStore, Persistence } from "effect/persistence"
import { serveWatched } from "../support/failingStore.ts"
import { races } from "../support/races.ts"
import { shared } from "../support/redisServer.ts"
import { basicRoutes, Count, keyOf, post } from "../support/routes.ts"
import { cookieOf, serve } from "../support/server.ts"

describe("parallel fibers of one request", () => {
  it.effect("load the session once, and all their changes survive", () =>
    Effect.gen(function*() {
      const numbers = Array.from({ length: 30 }, (_, number) => number)
      const { cookie, server, store } = yield* serveWatched(post(
        "/parallel",
        Effect.forEach(
          numbers,
          (number) => Effect.andThen(Session.put(keyOf(number), number), Session.increment(Count)),
          { concurrency: "unbounded" }
        )
      ))
      const loading = store.holds("load")
      const request = yield* Effect.forkChild(server.post("/parallel", { cookie }))
      yield* loading.reached
      yield* loading.release
      yield* Fiber.join(request)
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      const all = JSON.parse((yield* server.get("/", { cookie })).body)
      assert.deepStrictEqual(all, {
        count: 31,
        ...Object.fromEntries(numbers.map((number) => [`key_${number}`, number]))
      })
    }))

  it.effect("are not harmed by the interruption of the one that loads", () =>
    Effect.gen(function*() {
      const loading = yield* Deferred.make<void>()
      const { cookie, server, store } = yield* serveWatched(HttpRouter.add(
        "GET",
        "/parallel",
        Effect.gen(function*() {
          const first = yield* Effect.forkChild(Session.get(Count))
          yield* Deferred.await(loading)
          const others = yield* Effect.forkChild(Effect.all([Count, Count], { concurrency: "unbounded" }))
          yield* Effect.yieldNow
          yield* Fiber.interrupt(first)
          return HttpServerResponse.jsonUnsafe(yield* Fiber.join(others))
        })
      ))
      const hold = store.holds("load")
      const request = yield* Effect.forkChild(server.get("/parallel", { cookie }))
      yield* hold.reached
      yield* Deferred.succeed(loading, undefined)
      const answer = yield* Fiber.join(request)
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.body, "[1,1]")
      assert.deepStrictEqual(store.newCalls(), ["load", "load"], "who waited has loaded once, together")
    }))

  it.effect("that commit take turns, and nothing is written twice", () =>
    Effect.gen(function*() {
      const step = Effect.andThen(Session.increment(Count), Session.commit)
      const server = yield* serve(Layer.mergeAll(
        basicRoutes,
        post("/parallel", Effect.replicateEffect(step, 10, { concurrency: "unbounded" }))
      ))
      const cookie = cookieOf(yield* server.post("/parallel"))
      yield* server.post("/parallel", { cookie })
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":20}`)
    }))
})

races("the MemoryLayer", { store: () => MemoryLayer.layer(), servers: [1] })

races("the CookieLayer", { store: () => CookieLayer.layer(), servers: [1], stateless: true })

const persistence = shared(Layer.build(Layer.provide(Persistence.layerBackingKvs, KeyValueStore.layerMemory)))

races("CookieLayer.layerShared", {
  store: () => Layer.provide(CookieLayer.layerShared, Layer.succeedContext(persistence())),
  stateless: true
})
