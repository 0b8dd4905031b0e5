/**
 * What a request asks of the store, and when it sets a cookie: nothing for nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Session, type SessionConfig, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { drivers } from "../support/drivers.ts"
import { type Operation, watchStore } from "../support/failingStore.ts"
import { basicRoutes, Count, Name, ok, post } from "../support/routes.ts"
import { cookieNames, cookieOf, serve, serveApp } from "../support/server.ts"

const routes = Layer.mergeAll(
  basicRoutes,
  HttpRouter.add("GET", "/read", Effect.as(Effect.all([Count, Name, Session.has(Count), Session.view]), ok)),
  HttpRouter.add("GET", "/asked", Effect.as(Effect.all([Session.initiated, Session.readonly]), ok)),
  post("/remember", Session.setLifetime({ age: "30 days", absoluteAge: "90 days" })),
  post("/remembered", Effect.all([Session.regenerate, Session.setLifetime({ persistence: "browser" })])),
  HttpRouter.add("POST", "/several", Effect.as(Effect.all([Count, Session.put(Name, "Ada"), Name]), ok)),
  HttpRouter.add("POST", "/relogin", Effect.as(Effect.all([Session.destroy, Session.put(Name, "Ada")]), ok)),
  HttpRouter.add("POST", "/forget", Effect.as(Effect.all([Session.put(Name, "Ada"), Session.forget(Name)]), ok))
)

const serveWatched = (config: SessionConfig.Options = {}) =>
  Effect.gen(function*() {
    const store = watchStore()
    const server = yield* serve(routes, { store: store.layer, config })
    return { server, store }
  })

const calls: ReadonlyArray<
  readonly [name: string, request: readonly [string, string], first: Array<Operation>, then: Array<Operation>]
> = [
  ["does not use its session", ["GET", "/untouched"], [], []],
  ["only asks whether the session was used", ["GET", "/asked"], [], []],
  ["reads", ["GET", "/read"], [], ["load"]],
  ["writes", ["POST", "/count"], ["create"], ["load", "update"]],
  ["reads and writes", ["POST", "/several"], ["create"], ["load", "update"]],
  ["takes back what it has put", ["POST", "/forget"], [], ["load", "update"]],
  ["asks for a longer life", ["POST", "/touch"], [], ["load", "touch"]],
  ["regenerates and writes", ["POST", "/login"], ["create"], ["load", "regenerate"]],
  ["destroys", ["POST", "/logout"], [], ["load", "destroy"]],
  ["destroys and begins anew", ["POST", "/relogin"], ["create"], ["load", "destroy", "create"]]
]

describe("a request that", () => {
  for (const [name, [method, path], first, then] of calls) {
    it.effect(`${name}: [${first}] of a client without a session, [${then}] of one that has one`, () =>
      Effect.gen(function*() {
        const { server, store } = yield* serveWatched()
        const anonymous = yield* server.send(method, path)
        assert.deepStrictEqual(store.newCalls(), first)
        assert.strictEqual(anonymous.setCookies.length, first.length === 0 ? 0 : 1)
        const cookie = cookieOf(yield* server.post("/count"))
        store.newCalls()
        const answer = yield* server.send(method, path, { cookie })
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual(store.newCalls(), then)
      }))
  }

  it.effect("does not use its session has no cookies parsed, and neither has one that does", () =>
    Effect.gen(function*() {
      let parsed = 0
      const watched = HttpRouter.middleware(
        (app) =>
          Effect.updateService(app, HttpServerRequest.HttpServerRequest, (request) =>
            new Proxy(request, {
              get(target, property) {
                if (property === "cookies") parsed++
                return Reflect.get(target, property, target)
              }
            })),
        { global: true }
      )
      const reading = HttpRouter.add(
        "GET",
        "/cookies",
        HttpServerRequest.HttpServerRequest.use(({ cookies }) => Effect.as(Effect.sync(() => cookies), ok))
      )
      const server = yield* serveApp(
        Layer.mergeAll(watched, Layer.mergeAll(routes, reading).pipe(Layer.provide(SessionMiddleware.layer)))
      )
      const cookie = cookieOf(yield* server.post("/count"))
      yield* server.get("/untouched", { cookie })
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
      assert.strictEqual(parsed, 0)
      yield* server.get("/cookies", { cookie })
      assert.strictEqual(parsed, 1, "the test would see it")
    }))
})

describe("a session's life", () => {
  it.effect("is extended by the first request that reads it in every window of touchEvery, and by no other", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched({ age: "1 hour", touchEvery: "5 minutes" })
      const cookie = cookieOf(yield* server.post("/count"))
      store.newCalls()
      for (const [wait, calls] of [[0, ["load"]], [299, ["load"]], [1, ["load", "touch"]], [0, ["load"]]] as const) {
        yield* TestClock.adjust(`${wait} seconds`)
        const answer = yield* server.get("/read", { cookie })
        assert.deepStrictEqual(store.newCalls(), calls)
        assert.strictEqual(answer.setCookies.length, calls.length - 1, "a cookie with the new Max-Age")
      }
    }))

  it.effect("of its own takes no call more, neither to give it nor at a login, and each extension is as long", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched({ maximumAge: "30 days", maximumAbsoluteAge: "90 days" })
      const cookie = cookieOf(yield* server.post("/count"))
      store.newCalls()
      const given = yield* server.post("/remember", { cookie })
      assert.match(given.setCookies[0]!, /Max-Age=2592000/)
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      assert.deepStrictEqual((yield* server.post("/remember", { cookie })).setCookies, [], "it has it already")
      assert.deepStrictEqual((yield* server.get("/read", { cookie })).setCookies, [])
      assert.deepStrictEqual(store.newCalls(), ["load", "load"])
      yield* TestClock.adjust("20 days")
      const extended = yield* server.get("/read", { cookie })
      assert.match(extended.setCookies[0]!, /Max-Age=2592000/)
      assert.deepStrictEqual(store.newCalls(), ["load", "touch"])
      const login = yield* server.post("/remembered", { cookie })
      assert.notMatch(login.setCookies[0]!, /Max-Age|Expires/, "it ends with the browser")
      assert.deepStrictEqual(store.newCalls(), ["load", "regenerate"])
    }))

  it.effect("is extended together with a change, in one call", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched({ age: "1 hour" })
      const cookie = cookieOf(yield* server.post("/count"))
      store.newCalls()
      yield* TestClock.adjust("50 minutes")
      assert.match((yield* server.post("/count", { cookie })).setCookies[0]!, /Max-Age=3600/)
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      yield* TestClock.adjust("50 minutes")
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
    }))

  it.effect("is extended without another cookie where the cookie lives as long as the browser", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched({ age: "1 hour", cookie: { persistence: "browser" } })
      const created = yield* server.post("/count")
      assert.notMatch(created.setCookies[0]!, /Max-Age|Expires/)
      yield* TestClock.adjust("50 minutes")
      store.newCalls()
      assert.deepStrictEqual((yield* server.get("/read", { cookie: cookieOf(created) })).setCookies, [])
      assert.deepStrictEqual(store.newCalls(), ["load", "touch"])
    }))

  it.effect("with rolling \"onUse\" is not extended by a request that does not use it", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched({ age: "1 hour", rolling: "onUse" })
      const cookie = cookieOf(yield* server.post("/count"))
      store.newCalls()
      yield* TestClock.adjust("50 minutes")
      yield* server.get("/untouched", { cookie })
      assert.deepStrictEqual(store.newCalls(), [])
      yield* TestClock.adjust("50 minutes")
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
    }))

  it.effect("with rolling \"always\" is extended by every request, once per window", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched({ age: "1 hour", rolling: "always" })
      const cookie = cookieOf(yield* server.post("/count"))
      store.newCalls()
      assert.deepStrictEqual((yield* server.get("/untouched", { cookie })).setCookies, [])
      assert.deepStrictEqual(store.newCalls(), ["load"])
      yield* TestClock.adjust("50 minutes")
      assert.deepStrictEqual(cookieNames(yield* server.get("/untouched", { cookie })), ["session"])
      assert.deepStrictEqual(store.newCalls(), ["load", "touch"])
      yield* TestClock.adjust("50 minutes")
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }))

  it.effect("with rolling \"always\" costs a client without a session nothing", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched({ rolling: "always" })
      assert.deepStrictEqual((yield* server.get("/untouched")).setCookies, [])
      assert.deepStrictEqual(store.calls, [])
    }))

  it.effect("with rolling \"always\" needs the store for every request: 503 during an outage", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched({ rolling: "always" })
      const cookie = cookieOf(yield* server.post("/count"))
      store.fails("load")
      assert.strictEqual((yield* server.get("/untouched", { cookie })).status, 503)
      assert.strictEqual((yield* server.get("/untouched")).status, 200)
    }))

  it.effect("with rolling \"never\" is not extended by using it", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched({ age: "1 hour", rolling: "never" })
      const cookie = cookieOf(yield* server.post("/count"))
      yield* TestClock.adjust("59 minutes")
      store.newCalls()
      assert.deepStrictEqual((yield* server.post("/count", { cookie })).setCookies, [])
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
    }))
})

describe("saveUninitialized", () => {
  it.effect("gives every client a session, also where nothing is put into it", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched({ saveUninitialized: true })
      const first = yield* server.get("/untouched")
      assert.deepStrictEqual(cookieNames(first), ["session"])
      assert.deepStrictEqual(store.newCalls(), ["create"])
      const cookie = cookieOf(first)
      assert.deepStrictEqual((yield* server.get("/untouched", { cookie })).setCookies, [])
      assert.deepStrictEqual(store.newCalls(), ["load"])
    }))

  it.effect("does not begin an empty session in the place of one that was just destroyed", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched({ saveUninitialized: true })
      const cookie = cookieOf(yield* server.get("/untouched"))
      store.newCalls()
      assert.match((yield* server.post("/logout", { cookie })).setCookies[0]!, /^session=;/)
      assert.deepStrictEqual(store.newCalls(), ["load", "destroy"])
    }))

  it.effect("does not save a session for a response that rolls back", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serve(HttpRouter.add("GET", "/fails", Effect.die(new Error("no"))), {
        store: store.layer,
        config: { saveUninitialized: true }
      })
      assert.deepStrictEqual((yield* server.get("/fails")).setCookies, [])
      assert.deepStrictEqual(store.calls, [])
    }))
})

describe.each(drivers)("enabled: false, with the $driver", ({ make }) => {
  it.effect("routes work, each request with an empty session: no cookie, no call of the store, no secret needed", () =>
    Effect.gen(function*() {
      const on = yield* serve(routes)
      const cookie = cookieOf(yield* on.post("/count"))
      const store = watchStore(make)
      const server = yield* serve(routes, { store: store.layer, config: { enabled: false, secret: [] } })
      for (const path of ["/count", "/several", "/login", "/logout", "/touch"]) {
        for (const sent of [{}, { cookie }]) {
          const answer = yield* server.post(path, sent)
          assert.strictEqual(answer.status, 200)
          assert.deepStrictEqual(answer.setCookies, [])
        }
      }
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
      assert.deepStrictEqual(store.calls, [])
    }))
})
