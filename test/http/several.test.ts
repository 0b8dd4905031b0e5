/**
 * Two sessions side by side: each has a cookie, a configuration and a store of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Session, SessionConfig, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { secret } from "../support/config.ts"
import { drivers } from "../support/drivers.ts"
import { Count, countVisits, post } from "../support/routes.ts"
import { cookieNames, cookieOf, serveApp, type StoreLayer } from "../support/server.ts"

/** The session of the cookie `admin`. */
const adminSession = (makeStore: () => StoreLayer) =>
  SessionMiddleware.layer.pipe(
    Layer.provide(makeStore()),
    Layer.provide(SessionConfig.layer({ secret, cookie: { name: "admin" } }))
  )

const routesBelow = (prefix: "/shop" | "/admin") =>
  Layer.mergeAll(
    HttpRouter.add("GET", prefix, Effect.map(Session.all, HttpServerResponse.jsonUnsafe)),
    post(`${prefix}/count`, Session.increment(Count)),
    post(`${prefix}/logout`, Session.destroy),
    post(`${prefix}/fails`, Effect.andThen(Session.increment(Count), Effect.die(new Error("no"))))
  )

/** Each session on routes of its own. */
const sideBySide = (makeStore: () => StoreLayer) =>
  Layer.mergeAll(
    routesBelow("/shop").pipe(Layer.provide(SessionMiddleware.layer)),
    routesBelow("/admin").pipe(Layer.provide(adminSession(makeStore)))
  )

/** One session around all routes, which counts every request; another one inside it. */
const nested = (makeStore: () => StoreLayer) =>
  Layer.mergeAll(
    SessionMiddleware.layerGlobal,
    countVisits,
    routesBelow("/shop"),
    routesBelow("/admin").pipe(Layer.provide(adminSession(makeStore)))
  )

describe.each(drivers)("two sessions with the $driver", ({ makeStore }) => {
  it.effect("on different routes do not know each other", () =>
    Effect.gen(function*() {
      const server = yield* serveApp(sideBySide(makeStore), { store: makeStore() })
      const browser = server.browser()
      const shop = yield* browser.post("/shop/count")
      const admin = yield* browser.post("/admin/count")
      yield* browser.post("/admin/count")
      assert.deepStrictEqual(cookieNames(shop), ["session"])
      assert.deepStrictEqual(cookieNames(admin), ["admin"])
      assert.strictEqual((yield* browser.get("/shop")).body, `{"count":1}`)
      assert.strictEqual((yield* browser.get("/admin")).body, `{"count":2}`)
    }))

  it.effect("end one by one", () =>
    Effect.gen(function*() {
      const server = yield* serveApp(sideBySide(makeStore), { store: makeStore() })
      const browser = server.browser()
      yield* browser.post("/shop/count")
      yield* browser.post("/admin/count")
      assert.deepStrictEqual(cookieNames(yield* browser.post("/admin/logout")), ["admin"])
      assert.strictEqual((yield* browser.get("/shop")).body, `{"count":1}`)
      assert.strictEqual((yield* browser.get("/admin")).body, "{}")
    }))

  it.effect("do not accept each other's cookie", () =>
    Effect.gen(function*() {
      const server = yield* serveApp(sideBySide(makeStore), { store: makeStore() })
      const shop = cookieOf(yield* server.post("/shop/count"))
      const moved = shop.replace("session=", "admin=")
      assert.strictEqual((yield* server.get("/admin", { cookie: moved })).body, "{}")
      assert.strictEqual((yield* server.get("/shop", { cookie: shop })).body, `{"count":1}`)
    }))

  it.effect("one inside the other: both commit, and both set their cookie", () =>
    Effect.gen(function*() {
      const server = yield* serveApp(nested(makeStore), { store: makeStore() })
      const browser = server.browser()
      const first = yield* browser.post("/admin/count")
      assert.deepStrictEqual([...cookieNames(first)].toSorted(), ["admin", "session"])
      assert.strictEqual((yield* browser.get("/admin")).body, `{"count":1}`)
      assert.strictEqual((yield* browser.get("/shop")).body, `{"count":3}`)
    }))

  it.effect("one inside the other: a defect rolls both back", () =>
    Effect.gen(function*() {
      const server = yield* serveApp(nested(makeStore), { store: makeStore() })
      const browser = server.browser()
      yield* browser.post("/admin/count")
      const failed = yield* browser.post("/admin/fails")
      assert.strictEqual(failed.status, 500)
      assert.deepStrictEqual(failed.setCookies, [])
      assert.strictEqual((yield* browser.get("/admin")).body, `{"count":1}`)
      assert.strictEqual((yield* browser.get("/shop")).body, `{"count":3}`)
    }))

  it.effect("of one cookie, as the middleware stands twice, are one session", () =>
    Effect.gen(function*() {
      const twice = Layer.mergeAll(
        SessionMiddleware.layerGlobal,
        countVisits,
        routesBelow("/shop").pipe(Layer.provide(SessionMiddleware.layer))
      )
      const server = yield* serveApp(twice, { store: makeStore() })
      const browser = server.browser()
      assert.deepStrictEqual(cookieNames(yield* browser.post("/shop/count")), ["session"])
      assert.strictEqual((yield* browser.get("/shop")).body, `{"count":3}`)
    }))
})
