/**
 * What must not happen although something unusual does: a session in the server's own context, a handler that runs twice,
 * a logger that fails, a request that takes longer than its session lives.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger } from "effect"
import { CookieLayer, MemoryLayer, Session, SessionMiddleware } from "effect-session"
import { HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import { drivers } from "../support/drivers.ts"
import { countedBackend, watchStore } from "../support/failingStore.ts"
import { basicRoutes, Count, ok, slowRoute } from "../support/routes.ts"
import { cookieNames, cookieOf, serve, serveApp } from "../support/server.ts"

/** A request that has loaded its session, and goes on when it is told to. */
const loadedRoute = (change: Effect.Effect<unknown, unknown, Session.Session>) =>
  slowRoute("/slow", Session.all, Effect.orDie(change))

describe("a session in the context that a server is built in", () => {
  it.effect("is not the session of any request", () =>
    Effect.gen(function*() {
      const server = yield* serve(basicRoutes)
      const first = server.browser()
      yield* first.post("/count")
      assert.strictEqual((yield* first.get("/")).body, `{"count":1}`)
      assert.strictEqual((yield* server.get("/")).body, "{}")
    }).pipe(Effect.provide(Session.layerTest({ count: 41 }))))
})

describe("a handler that runs again", () => {
  it.effect("commits only what the last run has done", () =>
    Effect.gen(function*() {
      let runs = 0
      const route = HttpRouter.add(
        "POST",
        "/flaky",
        Effect.gen(function*() {
          yield* Session.increment(Count)
          if (++runs % 3 !== 0) return yield* Effect.fail("once more")
          return ok
        })
      )
      const retrying = HttpRouter.middleware(
        (app) => Effect.retry(app, { times: 2 }),
        { global: true }
      )
      const store = watchStore()
      const routes = Layer.mergeAll(basicRoutes, route as typeof basicRoutes).pipe(
        Layer.provide(SessionMiddleware.layer)
      )
      const server = yield* serveApp(Layer.mergeAll(retrying, routes) as typeof basicRoutes, { store: store.layer })
      const browser = server.browser()
      const answer = yield* browser.post("/flaky")
      assert.deepStrictEqual(cookieNames(answer), ["session"])
      assert.deepStrictEqual(store.newCalls(), ["create"])
      yield* browser.post("/flaky")
      assert.strictEqual((yield* browser.get("/")).body, `{"count":2}`)
    }))
})

describe("a logger that fails", () => {
  const BrokenLogger = Logger.layer([Logger.make(() => {
    throw new Error("the disk is full")
  })])

  it.effect("does not keep the client waiting for the answer to a commit that failed", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serve(basicRoutes, { store: store.layer })
      store.fails("create")
      const answer = yield* server.post("/count")
      assert.strictEqual(answer.status, 503)
      assert.deepStrictEqual(answer.setCookies, [])
    }).pipe(Effect.provide(BrokenLogger)))
})

describe.each(drivers)("with the $driver", ({ makeStore }) => {
  it.effect("V7.3.1 a request that takes longer than its session lives does not bring it back", () =>
    Effect.gen(function*() {
      const slow = loadedRoute(Session.increment(Count))
      const server = yield* serve(Layer.mergeAll(basicRoutes, slow.route), {
        store: makeStore(),
        config: { age: "1 hour" }
      })
      const cookie = cookieOf(yield* server.post("/count"))
      const fiber = yield* Effect.forkChild(server.post("/slow", { cookie }))
      yield* slow.reached
      yield* TestClock.adjust("3 hours")
      yield* slow.release
      const { setCookies } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(setCookies, [])
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
    }))
})

describe("with the MemoryLayer", () => {
  it.effect("a request that takes longer than its session would have lived keeps it if another one has extended it", () =>
    Effect.gen(function*() {
      const slow = loadedRoute(Session.increment(Count))
      const server = yield* serve(Layer.mergeAll(basicRoutes, slow.route), {
        store: MemoryLayer.layer(),
        config: { age: "1 hour" }
      })
      const cookie = cookieOf(yield* server.post("/count"))
      const fiber = yield* Effect.forkChild(server.post("/slow", { cookie }))
      yield* slow.reached
      yield* TestClock.adjust("50 minutes")
      yield* server.get("/", { cookie })
      yield* TestClock.adjust("50 minutes")
      yield* slow.release
      yield* Fiber.join(fiber)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
    }))
})

describe.each([
  { driver: "a store on the server", store: countedBackend().layer },
  { driver: "the CookieLayer", store: CookieLayer.layer() }
])("after a rotation of the secret, with $driver", ({ store }) => {
  const older = "the older secret of the two, long enough for anyone"
  const newer = "the newer secret of the two, long enough for anyone"

  const rotated = Effect.fnUntraced(function*(route: typeof basicRoutes) {
    const before = yield* serve(basicRoutes, { store, config: { secret: older } })
    const cookie = cookieOf(yield* before.post("/count"))
    const server = yield* serve(Layer.mergeAll(basicRoutes, route), { store, config: { secret: [newer, older] } })
    return { cookie, server }
  })

  it.effect("V11.2.2 a request that only reads gets a cookie of the newer secret", () =>
    Effect.gen(function*() {
      const { cookie, server } = yield* rotated(basicRoutes)
      const answer = yield* server.get("/", { cookie })
      assert.strictEqual(answer.body, `{"count":1}`)
      const after = yield* serve(basicRoutes, { store, config: { secret: newer } })
      assert.strictEqual((yield* after.get("/", { cookie: cookieOf(answer) })).body, `{"count":1}`)
    }))

  it.effect("a request that a login has overtaken does not bring the session's old cookie", () =>
    Effect.gen(function*() {
      const slow = loadedRoute(Effect.void)
      const { cookie, server } = yield* rotated(slow.route as typeof basicRoutes)
      const fiber = yield* Effect.forkChild(server.post("/slow", { cookie }))
      yield* slow.reached
      yield* server.post("/login", { cookie })
      yield* slow.release
      assert.deepStrictEqual((yield* Fiber.join(fiber)).setCookies, [])
    }))
})
