/**
 * A store that fails, or that does not answer.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { Session } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import {
  breakdown,
  type Operation,
  operations,
  serveWatched,
  type WatchedStore,
  watchStore
} from "../support/failingStore.ts"
import { basicRoutes, Count, Name, post } from "../support/routes.ts"
import { type Answer, cookieOf, type Server } from "../support/server.ts"

/** The request that makes the store do it, with the cookie of a session or without. */
const requestFor: { readonly [_ in Operation]: readonly [method: string, path: string, anonymous?: boolean] } = {
  load: ["GET", "/"],
  create: ["POST", "/count", true],
  update: ["POST", "/count"],
  touch: ["POST", "/touch"],
  regenerate: ["POST", "/login"],
  destroy: ["POST", "/logout"]
}

const request = (server: Server, operation: Operation, cookie: string) => {
  const [method, path, anonymous = false] = requestFor[operation]
  return server.send(method, path, anonymous ? {} : { cookie })
}

const assertUnavailable = (answer: Answer) => {
  assert.strictEqual(answer.status, 503)
  assert.deepStrictEqual(answer.setCookies, [])
  assert.strictEqual(answer.body, "Service Unavailable")
}

/** The session is as it was, and a request can change it. */
const assertWorks = (server: Server, store: WatchedStore, operation: Operation, cookie: string) =>
  Effect.gen(function*() {
    store.works()
    assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    const again = yield* request(server, operation, cookie)
    assert.strictEqual(again.status, 200)
    assert.isTrue(store.newCalls().includes(operation), "it is the operation that failed before")
  })

const serveImpatiently = serveWatched(basicRoutes, { config: { timeLimit: "100 ms" } })

for (const operation of operations) {
  describe(`a store that can't ${operation}`, () => {
    it.effect.each([
      { how: "and says so", breaks: Effect.fail(new Error(breakdown)) },
      { how: "and throws", breaks: Effect.die(new Error(breakdown)) }
    ])("$how: 503 that tells nothing, no cookie, and the next request works", ({ breaks }) =>
      Effect.gen(function*() {
        const { cookie, server, store } = yield* serveImpatiently
        store.before(operation, breaks)
        assertUnavailable(yield* request(server, operation, cookie))
        assertUnavailable(yield* request(server, operation, cookie))
        yield* assertWorks(server, store, operation, cookie)
      }))

    it.effect.each([
      { how: "and does not answer", hangs: Effect.never },
      { how: "and does not let itself be interrupted", hangs: Effect.uninterruptible(Effect.never) }
    ])("$how: 503 at the time limit, no cookie, and the next request works", ({ hangs }) =>
      Effect.gen(function*() {
        const { cookie, server, store } = yield* serveImpatiently
        const reached = store.before(operation, hangs)
        const answer = yield* Effect.forkChild(request(server, operation, cookie))
        yield* reached
        yield* TestClock.adjust("99 millis")
        assert.isUndefined(answer.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assertUnavailable(yield* Fiber.join(answer))
        yield* assertWorks(server, store, operation, cookie)
      }))
  })
}

describe("an operation that takes too long", () => {
  it.effect("is interrupted, so that it does not go on for nobody", () =>
    Effect.gen(function*() {
      const { cookie, server, store } = yield* serveImpatiently
      for (const operation of operations) {
        const interrupted = yield* Deferred.make<void>()
        const hangs = Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
        const reached = store.before(operation, hangs)
        const answer = yield* Effect.forkChild(request(server, operation, cookie))
        yield* reached
        yield* TestClock.adjust("100 millis")
        yield* Deferred.await(interrupted)
        assertUnavailable(yield* Fiber.join(answer))
        store.works()
      }
    }))
})

describe("an error of the store", () => {
  it.effect("can be handled in the request: the application goes on without the session", () =>
    Effect.gen(function*() {
      const { cookie, server, store } = yield* serveWatched(HttpRouter.add(
        "GET",
        "/tolerant",
        Session.get(Count).pipe(
          Effect.catchTag("SessionStoreError", ({ driver, operation }) => Effect.succeed(`${driver} ${operation}`)),
          Effect.map((text) => HttpServerResponse.text(String(text)))
        )
      ))
      store.fails("load")
      const answer = yield* server.get("/tolerant", { cookie })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.body, "memory load")
      assert.deepStrictEqual(answer.setCookies, [])
    }))

  for (const [operation, first] of [["create", false], ["update", true]] as const) {
    it.effect(`in an explicit commit (${operation}) can be handled, and a second try loses nothing`, () =>
      Effect.gen(function*() {
        const store = watchStore()
        const retry = HttpRouter.add(
          "POST",
          "/retry",
          Effect.gen(function*() {
            yield* Session.increment(Count, 10)
            yield* Session.put(Name, "Ada")
            const error = yield* Effect.flip(Session.commit)
            yield* Session.increment(Count, 100)
            store.works()
            yield* Session.commit
            return HttpServerResponse.text(error._tag)
          })
        )
        const { cookie: existing, server } = yield* serveWatched(retry, { store })
        const before = first ? existing : undefined
        store.fails(operation)
        store.newCalls()
        const answer = yield* server.post("/retry", { cookie: before })
        assert.strictEqual(answer.body, "SessionStoreError")
        assert.deepStrictEqual(store.newCalls().filter((call) => call !== "load"), [operation, operation])
        const cookie = before ?? cookieOf(answer)
        assert.deepStrictEqual(JSON.parse((yield* server.get("/", { cookie })).body), {
          count: first ? 111 : 110,
          name: "Ada"
        })
      }))
  }

  it.effect("in an explicit commit that nobody repeats is made up for when the response is sent", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const ignore = post(
        "/ignore",
        Effect.gen(function*() {
          yield* Session.regenerate
          yield* Session.put(Name, "Ada")
          yield* Effect.ignore(Session.commit)
          store.works()
        })
      )
      const { cookie: old, server } = yield* serveWatched(ignore, { store })
      store.fails("regenerate")
      const cookie = cookieOf(yield* server.post("/ignore", { cookie: old }))
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1,"name":"Ada"}`)
      assert.strictEqual((yield* server.get("/", { cookie: old })).body, "{}")
    }))

  it.effect("in a logout keeps the session, and a second logout ends it", () =>
    Effect.gen(function*() {
      const { cookie, server, store } = yield* serveImpatiently
      store.fails("destroy")
      assertUnavailable(yield* server.post("/logout", { cookie }))
      store.works()
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
      yield* server.post("/logout", { cookie })
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
    }))
})

describe("retries", () => {
  it.effect("of what can be repeated: the client notices nothing of a short outage", () =>
    Effect.gen(function*() {
      const { cookie, server, store } = yield* serveWatched(basicRoutes, { config: { retries: 2 } })
      for (const operation of ["load", "touch", "destroy"] as const) {
        let failures = 2
        store.before(
          operation,
          Effect.suspend(() => failures-- > 0 ? Effect.fail(new Error(breakdown)) : Effect.void)
        )
        store.newCalls()
        assert.strictEqual((yield* request(server, operation, cookie)).status, 200)
        assert.strictEqual(store.newCalls().filter((call) => call === operation).length, 3)
        store.works()
      }
    }))

  it.effect("are not made of a change, which could be made twice", () =>
    Effect.gen(function*() {
      const { cookie, server, store } = yield* serveWatched(basicRoutes, { config: { retries: 2 } })
      for (const operation of ["create", "update", "regenerate"] as const) {
        store.fails(operation)
        store.newCalls()
        assertUnavailable(yield* request(server, operation, cookie))
        assert.strictEqual(store.newCalls().filter((call) => call === operation).length, 1)
        store.works()
      }
    }))
})
