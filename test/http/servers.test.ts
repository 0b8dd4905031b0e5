/**
 * The other ways to serve a session: without a router, and as a function from a web Request to a Response.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, type Scope, Stream } from "effect"
import { MemoryLayer, Session, SessionConfig, SessionError, SessionMiddleware } from "effect-session"
import { HttpEffect, HttpRouter, HttpServer, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { secret } from "../support/config.ts"
import { watchStore } from "../support/failingStore.ts"
import { basicRoutes, Count, post } from "../support/routes.ts"
import { cookieOf, serveLayer, serveWeb, webServer } from "../support/server.ts"

describe("HttpRouter.toWebHandler", () => {
  it.effect("commits, sets the cookie, and reads it", () =>
    Effect.gen(function*() {
      const server = yield* serveWeb(basicRoutes)
      const first = yield* server.send("POST", "/count")
      const cookie = cookieOf(first)
      const second = yield* server.send("POST", "/count", { cookie })
      // The clock is the real one here.
      assert.match(
        first.setCookies[0]!,
        /^session=[^;]+; Max-Age=7(?:200|199); Path=\/; HttpOnly; Secure; SameSite=Lax$/
      )
      assert.deepStrictEqual(second.setCookies, [])
      assert.strictEqual((yield* server.send("GET", "/", { cookie })).body, `{"count":2}`)
    }))

  it.effect("rolls back after a defect", () =>
    Effect.gen(function*() {
      const server = yield* serveWeb(Layer.mergeAll(
        basicRoutes,
        post("/fails", Effect.andThen(Session.increment(Count), Effect.die(new Error("no"))))
      ))
      const cookie = cookieOf(yield* server.send("POST", "/count"))
      assert.strictEqual((yield* server.send("POST", "/fails", { cookie })).status, 500)
      assert.strictEqual((yield* server.send("GET", "/", { cookie })).body, `{"count":1}`)
    }))

  it.effect("rolls back when the request is aborted", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const over = yield* Deferred.make<void>()
      const abort = new AbortController()
      const slow = post(
        "/slow",
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))
          yield* Session.increment(Count)
          abort.abort()
          return yield* Effect.never
        })
      )
      const server = yield* serveWeb(Layer.mergeAll(basicRoutes, slow), { store: store.layer })
      const cookie = cookieOf(yield* server.send("POST", "/count"))
      const { status, setCookies } = yield* server.send("POST", "/slow", { cookie, signal: abort.signal })
      yield* Deferred.await(over)
      assert.strictEqual(status, 499)
      assert.deepStrictEqual(setCookies, [])
      assert.deepStrictEqual(store.calls, ["create", "load"])
    }))

  it.effect("saves a change in a streamed body when the body has been read", () =>
    Effect.gen(function*() {
      const over = yield* Deferred.make<void>()
      const server = yield* serveWeb(Layer.mergeAll(
        basicRoutes,
        HttpRouter.add(
          "POST",
          "/stream",
          Effect.gen(function*() {
            yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))
            const session = yield* Session.Session
            return HttpServerResponse.stream(
              Stream.fromEffect(Effect.as(Session.increment(Count), "done")).pipe(
                Stream.provideService(Session.Session, session),
                Stream.encodeText
              )
            )
          })
        )
      ))
      const cookie = cookieOf(yield* server.send("POST", "/count"))
      assert.strictEqual((yield* server.send("POST", "/stream", { cookie })).body, "done")
      yield* Deferred.await(over)
      assert.strictEqual((yield* server.send("GET", "/", { cookie })).body, `{"count":2}`)
    }))
})

const counting = Effect.gen(function*() {
  const count = yield* Session.increment(Count)
  return HttpServerResponse.text(String(count))
})

const context = Layer.build(Layer.provideMerge(MemoryLayer.layer(), SessionConfig.layer({ secret })))

describe("SessionMiddleware.make", () => {
  it.effect("gives the session to a plain HTTP effect on a server", () =>
    Effect.gen(function*() {
      const app = Layer.effectDiscard(
        Effect.gen(function*() {
          const withSession = yield* SessionMiddleware.make
          yield* HttpServer.serveEffect(withSession(counting))
        })
      )
      const server = yield* serveLayer(app)
      const first = yield* server.get("/anything")
      assert.strictEqual(first.body, "1")
      assert.strictEqual((yield* server.get("/else", { cookie: cookieOf(first) })).body, "2")
    }))

  it.effect("gives the session to a plain HTTP effect as a web handler", () =>
    Effect.gen(function*() {
      const withSession = yield* Effect.provide(SessionMiddleware.make, yield* context)
      const server = webServer(HttpEffect.toWebHandler(withSession(counting)))
      const first = yield* server.send("GET", "/")
      assert.strictEqual(first.body, "1")
      assert.strictEqual((yield* server.send("GET", "/", { cookie: cookieOf(first) })).body, "2")
    }))

  describe("in a body that is being streamed", () => {
    /** What becomes of an increment there, below the middleware once more. */
    const streaming = Effect.fnUntraced(function*(settings: SessionConfig.Options) {
      const services = yield* context
      const makeWith = (options: SessionConfig.Options) =>
        Effect.provide(
          SessionMiddleware.make,
          Layer.provideMerge(SessionConfig.layer({ secret, ...options }), Layer.succeedContext(services))
        )
      const withSession = yield* makeWith({})
      const withInner = yield* makeWith(settings)
      let outcome: Exit.Exit<unknown, unknown> | undefined
      const late = withInner(Effect.gen(function*() {
        outcome = yield* Effect.exit(Session.increment(Count, 10))
        return HttpServerResponse.empty()
      }))
      const app = withSession(
        Effect.gen(function*() {
          yield* Session.increment(Count)
          const here = yield* Effect.context<HttpServerRequest.HttpServerRequest | Scope.Scope | Session.Session>()
          const body = Stream.fromEffect(Effect.as(Effect.provideContext(late, here), "done"))
          return HttpServerResponse.stream(Stream.encodeText(body))
        })
      )
      const cookie = cookieOf(yield* webServer(HttpEffect.toWebHandler(app)).send("GET", "/"))
      assert.isDefined(outcome)
      const counted = yield* webServer(HttpEffect.toWebHandler(withSession(counting))).send("GET", "/", { cookie })
      return { outcome, count: Number(counted.body) - 1 }
    })

    it.effect("gives the session that the request has", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* streaming({}), { outcome: Exit.succeed(11), count: 11 })
      }))

    it.effect("gives one that can't be changed where the request has none of that cookie", () =>
      Effect.gen(function*() {
        const { count, outcome } = yield* streaming({ cookie: { name: "other" } })
        assert.deepStrictEqual(outcome, Exit.fail(new SessionError.SessionClosedError({ operation: "increment" })))
        assert.strictEqual(count, 1)
      }))
  })
})
