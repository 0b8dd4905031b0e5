/**
 * Fibers of one request, and requests of one session, at the same time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { CookieLayer, MemoryLayer, Session } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { type Operation, watchStore } from "../support/failingStore.ts"
import { basicRoutes, Count, keyOf, keysRoute, Name, ok } from "../support/routes.ts"
import { cookieNames, cookieOf, serve } from "../support/server.ts"

const drivers = [
  { driver: "MemoryLayer", make: MemoryLayer.make() },
  { driver: "CookieLayer", make: CookieLayer.make() }
]

describe("parallel fibers of one request", () => {
  it.effect("load the session once, and all their changes survive", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const numbers = Array.from({ length: 30 }, (_, number) => number)
      const server = yield* serve(
        Layer.mergeAll(
          basicRoutes,
          HttpRouter.add(
            "POST",
            "/parallel",
            Effect.gen(function*() {
              yield* Effect.forEach(
                numbers,
                (number) => Effect.andThen(Session.put(keyOf(number), number), Session.increment(Count)),
                { concurrency: "unbounded" }
              )
              return ok
            })
          )
        ),
        { store: store.layer }
      )
      const cookie = cookieOf(yield* server.post("/count"))
      const loading = store.holds("load")
      store.newCalls()
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
      const store = watchStore()
      const loading = yield* Deferred.make<void>()
      const server = yield* serve(
        Layer.mergeAll(
          basicRoutes,
          HttpRouter.add(
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
          )
        ),
        { store: store.layer }
      )
      const cookie = cookieOf(yield* server.post("/count"))
      store.newCalls()
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
      const server = yield* serve(Layer.mergeAll(
        basicRoutes,
        HttpRouter.add(
          "POST",
          "/parallel",
          Effect.gen(function*() {
            const step = Effect.andThen(Session.increment(Count), Session.commit)
            yield* Effect.all(Array.from({ length: 10 }, () => step), { concurrency: "unbounded" })
            return ok
          })
        )
      ))
      const cookie = cookieOf(yield* server.post("/parallel"))
      yield* server.post("/parallel", { cookie })
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":20}`)
    }))
})

describe("parallel requests of one session", () => {
  it.effect("200 that each set a key of their own and add one to a counter: 200 keys, and 200", () =>
    Effect.gen(function*() {
      const requests = 200
      const server = yield* serve(Layer.mergeAll(
        basicRoutes,
        yield* keysRoute(requests)
      ))
      const cookie = cookieOf(yield* server.post("/login"))
      const numbers = Array.from({ length: requests }, (_, number) => number)
      const answers = yield* Effect.forEach(numbers, (number) => server.post(`/keys/${number}`, { cookie }), {
        concurrency: "unbounded"
      })
      assert.isTrue(answers.every(({ status }) => status === 200))
      const { count, name, ...keys } = JSON.parse((yield* server.get("/", { cookie })).body)
      assert.strictEqual(count, 200)
      assert.strictEqual(name, "Ada")
      assert.deepStrictEqual(keys, Object.fromEntries(numbers.map((number) => [`key_${number}`, number])))
    }))

  it.effect("that set the same key: the last commit wins", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serve(
        Layer.mergeAll(
          basicRoutes,
          HttpRouter.add(
            "POST",
            "/name/:name",
            Effect.gen(function*() {
              const { name } = yield* HttpRouter.params
              yield* Session.put(Name, name!)
              return ok
            })
          )
        ),
        { store: store.layer }
      )
      const cookie = cookieOf(yield* server.post("/login"))
      const writing = store.holds("update")
      const slow = yield* Effect.forkChild(server.post("/name/Grace", { cookie }))
      yield* writing.reached
      yield* server.post("/name/Edsger", { cookie })
      yield* writing.release
      yield* Fiber.join(slow)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"name":"Grace"}`)
    }))

  it.effect("that change it while another one regenerates it: what they committed before is in the new one", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serve(basicRoutes, { store: store.layer })
      const old = cookieOf(yield* server.post("/count"))
      const regenerating = store.holds("regenerate")
      const login = yield* Effect.forkChild(server.post("/login", { cookie: old }))
      yield* regenerating.reached
      yield* server.post("/count", { cookie: old })
      yield* regenerating.release
      const cookie = cookieOf(yield* Fiber.join(login))
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2,"name":"Ada"}`)
    }))

  it.effect("that begin a session each, as the client had none, get one each", () =>
    Effect.gen(function*() {
      const server = yield* serve(basicRoutes)
      const [first, second] = yield* Effect.all([server.post("/count"), server.post("/count")], { concurrency: 2 })
      assert.notStrictEqual(cookieOf(first), cookieOf(second))
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(first) })).body, `{"count":1}`)
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(second) })).body, `{"count":1}`)
    }))
})

// What a slow request does to its session, and the operation of the store that it is held in.
const slowRequests: ReadonlyArray<readonly [path: string, operation: Operation]> = [
  ["/count", "update"],
  ["/used", "touch"],
  ["/login", "regenerate"]
]

const routes = Layer.mergeAll(basicRoutes, HttpRouter.add("POST", "/used", Effect.as(Count, ok)))

describe.each(drivers)("a request that is slow, with the $driver", ({ make }) => {
  for (const [path, operation] of slowRequests) {
    for (const end of ["/logout", "/login"]) {
      it.effect(`POST ${path} while POST ${end}: no cookie, and the session that was ended stays so`, () =>
        Effect.gen(function*() {
          const store = watchStore(make)
          const server = yield* serve(routes, { store: store.layer })
          const cookie = cookieOf(yield* server.post("/count"))
          // By now, the session's life has to be extended, which takes a new cookie.
          yield* TestClock.adjust("2 minutes")
          const writing = store.holds(operation)
          const request = yield* Effect.forkChild(server.post(path, { cookie }))
          yield* writing.reached
          const ended = yield* server.post(end, { cookie })
          yield* writing.release
          const slow = yield* Fiber.join(request)
          assert.deepStrictEqual(cookieNames(ended), ["session"])
          assert.strictEqual(slow.status, 200)
          assert.deepStrictEqual(slow.setCookies, [])
          assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
          if (end === "/login") {
            assert.strictEqual(
              (yield* server.get("/", { cookie: cookieOf(ended) })).body,
              `{"count":1,"name":"Ada"}`
            )
          }
        }))
    }

    it.effect(`POST ${path} alone sets the cookie`, () =>
      Effect.gen(function*() {
        const server = yield* serve(routes, { store: watchStore(make).layer })
        const cookie = cookieOf(yield* server.post("/count"))
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(cookieNames(yield* server.post(path, { cookie })), ["session"])
      }))
  }

  it.effect("and has loaded the session before a logout does not get it back with a change afterwards", () =>
    Effect.gen(function*() {
      const loaded = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const server = yield* serve(
        Layer.mergeAll(
          basicRoutes,
          HttpRouter.add(
            "POST",
            "/slow",
            Effect.gen(function*() {
              yield* Count
              yield* Deferred.succeed(loaded, undefined)
              yield* Deferred.await(goOn)
              yield* Session.increment(Count)
              return ok
            })
          )
        ),
        { store: watchStore(make).layer }
      )
      const cookie = cookieOf(yield* server.post("/count"))
      const request = yield* Effect.forkChild(server.post("/slow", { cookie }))
      yield* Deferred.await(loaded)
      yield* server.post("/logout", { cookie })
      yield* Deferred.succeed(goOn, undefined)
      assert.deepStrictEqual((yield* Fiber.join(request)).setCookies, [])
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
    }))

  it.effect("and has committed by hand before a logout sends no cookie", () =>
    Effect.gen(function*() {
      const committed = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const server = yield* serve(
        Layer.mergeAll(
          basicRoutes,
          HttpRouter.add(
            "POST",
            "/slow",
            Effect.gen(function*() {
              yield* Session.increment(Count)
              yield* Session.commit
              yield* Deferred.succeed(committed, undefined)
              yield* Deferred.await(goOn)
              yield* Session.increment(Count)
              return ok
            })
          )
        ),
        { store: watchStore(make).layer }
      )
      const cookie = cookieOf(yield* server.post("/count"))
      yield* TestClock.adjust("2 minutes")
      const request = yield* Effect.forkChild(server.post("/slow", { cookie }))
      yield* Deferred.await(committed)
      yield* server.post("/logout", { cookie })
      yield* Deferred.succeed(goOn, undefined)
      const slow = yield* Fiber.join(request)
      assert.strictEqual(slow.status, 200)
      assert.deepStrictEqual(slow.setCookies, [])
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
    }))

  it.effect("learns with Session.commit that its changes were dropped", () =>
    Effect.gen(function*() {
      const loaded = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const server = yield* serve(
        Layer.mergeAll(
          basicRoutes,
          HttpRouter.add(
            "POST",
            "/slow",
            Effect.gen(function*() {
              yield* Session.increment(Count)
              yield* Deferred.succeed(loaded, undefined)
              yield* Deferred.await(goOn)
              yield* Session.commit
              return ok
            })
          )
        ),
        { store: watchStore(make).layer }
      )
      const cookie = cookieOf(yield* server.post("/count"))
      const request = yield* Effect.forkChild(server.post("/slow", { cookie }))
      yield* Deferred.await(loaded)
      yield* server.post("/logout", { cookie })
      yield* Deferred.succeed(goOn, undefined)
      const slow = yield* Fiber.join(request)
      assert.strictEqual(slow.status, 409)
      assert.deepStrictEqual(slow.setCookies, [])
    }))

  it.effect("and arrives with the old cookie just after a login can't log out, and sends no cookie", () =>
    Effect.gen(function*() {
      const server = yield* serve(basicRoutes, { store: watchStore(make).layer })
      const old = cookieOf(yield* server.post("/count"))
      const cookie = cookieOf(yield* server.post("/login", { cookie: old }))
      assert.deepStrictEqual((yield* server.post("/logout", { cookie: old })).setCookies, [])
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1,"name":"Ada"}`)
    }))

  it.effect("and arrives with the old cookie just after a login is anonymous, and sends no cookie", () =>
    Effect.gen(function*() {
      const server = yield* serve(basicRoutes, { store: watchStore(make).layer })
      const old = cookieOf(yield* server.post("/count"))
      const cookie = cookieOf(yield* server.post("/login", { cookie: old }))
      const late = yield* server.post("/count", { cookie: old })
      assert.strictEqual(late.status, 200)
      assert.deepStrictEqual(late.setCookies, [])
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1,"name":"Ada"}`)
      yield* TestClock.adjust("31 seconds")
      const later = yield* server.post("/count", { cookie: old })
      assert.deepStrictEqual(cookieNames(later), ["session"], "the old cookie is unknown by now")
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(later) })).body, `{"count":1}`)
    }))
})
