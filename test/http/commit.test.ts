/**
 * Which responses commit what the handler has changed, and which roll it back.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { Session, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { serveWatched } from "../support/failingStore.ts"
import { basicRoutes, Count, countVisits, ok, post, show } from "../support/routes.ts"
import { cookieNames, cookieOf, serve, serveApp, serveWeb } from "../support/server.ts"

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {}) {
  [HttpServerRespondable.symbol]() {
    return Effect.succeed(HttpServerResponse.text("Out of stock", { status: 409 }))
  }
}

class WarehouseClosed extends Schema.TaggedError<WarehouseClosed>()("WarehouseClosed", {}) {
  [HttpServerRespondable.symbol]() {
    return Effect.succeed(HttpServerResponse.text("Closed", { status: 503 }))
  }
}

class Unexpected extends Schema.TaggedError<Unexpected>()("Unexpected", {}) {}

type Outcome = Effect.Effect<HttpServerResponse.HttpServerResponse, unknown>

const redirect = HttpServerResponse.redirect("/", { status: 303 })

const answers: ReadonlyArray<readonly [name: string, status: number, outcome: Outcome]> = [
  ["a success", 200, Effect.succeed(ok)],
  ["a response without a body", 204, Effect.succeed(HttpServerResponse.empty())],
  ["a web response", 201, Effect.sync(() => HttpServerResponse.fromWeb(new Response("made", { status: 201 })))],
  ["a redirect that is returned", 303, Effect.succeed(redirect)],
  ["a redirect that the handler fails with", 303, Effect.fail(redirect)],
  ["a redirect that the handler dies with", 303, Effect.die(redirect)],
  ["a response 404 of the handler", 404, Effect.succeed(HttpServerResponse.empty({ status: 404 }))],
  ["a typed error that becomes a response 409", 409, Effect.fail(new OutOfStock())]
]

const failures: ReadonlyArray<readonly [name: string, status: number, outcome: Outcome]> = [
  ["a defect", 500, Effect.die(new Error("a mistake in the program"))],
  ["a typed error that becomes a response 503", 503, Effect.fail(new WarehouseClosed())],
  ["a typed error that nobody turns into a response", 500, Effect.fail(new Unexpected())],
  ["a response 502 that is returned", 502, Effect.succeed(HttpServerResponse.empty({ status: 502 }))],
  ["an interruption of the handler", 503, Effect.interrupt]
]

const changing = (outcome: Outcome) =>
  HttpRouter.add("POST", "/change", Effect.andThen(Session.increment(Count, 10), outcome))

describe.each([
  { title: "with the router's log of requests", logger: true },
  { title: "without a log of requests", logger: false }
])("$title", ({ logger }) => {
  describe("commits", () => {
    for (const [name, status, outcome] of answers) {
      it.effect(`${name}: the changes are saved, and a new session gets its cookie`, () =>
        Effect.gen(function*() {
          const server = yield* serve(Layer.mergeAll(show, changing(outcome)), { logger })
          const created = yield* server.post("/change")
          const cookie = cookieOf(created)
          const changed = yield* server.post("/change", { cookie })
          assert.strictEqual(created.status, status)
          assert.deepStrictEqual(cookieNames(created), ["session"])
          assert.strictEqual(changed.status, status)
          assert.deepStrictEqual(changed.setCookies, [])
          assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":20}`)
        }))
    }

    it.effect("the answer to a HEAD request", () =>
      Effect.gen(function*() {
        const server = yield* serve(
          Layer.mergeAll(
            show,
            HttpRouter.add("GET", "/page", Effect.as(Session.increment(Count), ok))
          ),
          { logger }
        )
        const head = yield* server.send("HEAD", "/page")
        assert.strictEqual(head.status, 200)
        assert.strictEqual(head.body, "")
        assert.strictEqual((yield* server.get("/", { cookie: cookieOf(head) })).body, `{"count":1}`)
      }))
  })

  describe("rolls back", () => {
    for (const [name, status, outcome] of failures) {
      it.effect(`${name}: nothing is written, and nothing is set`, () =>
        Effect.gen(function*() {
          const { cookie, server, store } = yield* serveWatched(changing(outcome), { logger })
          const changed = yield* server.post("/change", { cookie })
          const anonymous = yield* server.post("/change")
          assert.strictEqual(changed.status, status)
          assert.strictEqual(anonymous.status, status)
          assert.deepStrictEqual([...changed.setCookies, ...anonymous.setCookies], [])
          assert.deepStrictEqual(store.newCalls(), ["load"])
          assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
        }))
    }

    it.effect("a login that fails keeps the session, and its id, as they were", () =>
      Effect.gen(function*() {
        const fails = (path: "/login" | "/logout", step: typeof Session.regenerate) =>
          HttpRouter.add("POST", `/fails${path}`, Effect.andThen(step, Effect.die(new Error("no"))))
        const { cookie, server } = yield* serveWatched(
          Layer.mergeAll(fails("/login", Session.regenerate), fails("/logout", Session.destroy)),
          { logger }
        )
        assert.deepStrictEqual((yield* server.post("/fails/login", { cookie })).setCookies, [])
        assert.deepStrictEqual((yield* server.post("/fails/logout", { cookie })).setCookies, [])
        assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
      }))
  })
})

describe("a commit by hand", () => {
  it.effect("stays, with its cookie, although the handler dies afterwards", () =>
    Effect.gen(function*() {
      const change = post(
        "/change",
        Effect.gen(function*() {
          yield* Session.increment(Count)
          yield* Session.commit
          yield* Session.increment(Count, 10)
          return yield* Effect.die(new Error("a mistake in the program"))
        })
      )
      const server = yield* serve(Layer.mergeAll(show, change))
      const failed = yield* server.post("/change")
      assert.strictEqual(failed.status, 500)
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(failed) })).body, `{"count":1}`)
    }))

  it.effect("writes at once, and the end of the request writes only what came after it", () =>
    Effect.gen(function*() {
      const count = Session.increment(Count)
      const { server, store } = yield* serveWatched(
        post("/twice", Effect.all([count, Session.commit, Session.commit, count]))
      )
      const cookie = cookieOf(yield* server.post("/twice"))
      assert.deepStrictEqual(store.newCalls(), ["create", "update"])
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
    }))
})

describe("a request that no route answers", () => {
  it.effect("commits under SessionMiddleware.layerGlobal", () =>
    Effect.gen(function*() {
      const server = yield* serveApp(Layer.mergeAll(SessionMiddleware.layerGlobal, countVisits, show))
      const missing = yield* server.get("/missing")
      assert.strictEqual(missing.status, 404)
      assert.deepStrictEqual(cookieNames(missing), ["session"])
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(missing) })).body, `{"count":2}`)
    }))

  it.effect("has no session under SessionMiddleware.layer", () =>
    Effect.gen(function*() {
      const { cookie, server, store } = yield* serveWatched()
      const missing = yield* server.get("/missing", { cookie })
      assert.strictEqual(missing.status, 404)
      assert.deepStrictEqual(missing.setCookies, [])
      assert.deepStrictEqual(store.newCalls(), [])
    }))
})

describe("a client that breaks the connection", () => {
  it.effect("while the handler runs: the changes are rolled back", () =>
    Effect.gen(function*() {
      const changed = yield* Deferred.make<void>()
      const over = yield* Deferred.make<void>()
      const { cookie, server, store } = yield* serveWatched(post(
        "/slow",
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))
          yield* Session.increment(Count, 10)
          yield* Deferred.succeed(changed, undefined)
          return yield* Effect.never
        })
      ))
      const request = yield* Effect.forkChild(server.post("/slow", { cookie }))
      yield* Deferred.await(changed)
      yield* Fiber.interrupt(request)
      yield* Deferred.await(over)
      assert.deepStrictEqual(store.newCalls(), ["load"])
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }))

  it.effect.each([
    { when: "the response is about to be sent", step: Effect.void },
    { when: "the handler commits by hand", step: Session.commit }
  ])("while the store writes, as $when: the commit is completed", ({ step }) =>
    Effect.gen(function*() {
      const over = yield* Deferred.make<void>()
      const { cookie, server, store } = yield* serveWatched(post(
        "/change",
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))
          yield* Session.increment(Count, 10)
          yield* step
        })
      ))
      const writing = store.holds("update")
      const request = yield* Effect.forkChild(server.post("/change", { cookie }))
      yield* writing.reached
      yield* Fiber.interrupt(request)
      yield* server.aborted
      yield* writing.release
      yield* Deferred.await(over)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":11}`)
    }))
})

describe("a response of the web platform as it is", () => {
  const answering = (response: () => HttpServerResponse.HttpServerResponse) =>
    Effect.gen(function*() {
      const route = Effect.map(Session.increment(Count), response)
      const server = yield* serveWeb(Layer.mergeAll(basicRoutes, HttpRouter.add("POST", "/raw", route)))
      const cookie = cookieOf(yield* server.send("POST", "/count"))
      const answer = yield* server.send("POST", "/raw", { cookie })
      const anonymous = yield* server.send("POST", "/raw")
      return { answer, anonymous, body: (yield* server.send("GET", "/", { cookie })).body }
    })
  const raw = (status: number) => () => HttpServerResponse.raw(new Response("elsewhere", { status }))

  it.effect("decides by its own status: a 500 changes nothing and sets no cookie", () =>
    Effect.gen(function*() {
      const { anonymous, answer, body } = yield* answering(raw(500))
      assert.deepStrictEqual([answer.status, anonymous.status], [500, 500])
      assert.deepStrictEqual(anonymous.setCookies, [])
      assert.strictEqual(body, `{"count":1}`)
    }))

  it.effect("decides by its own status: a 404 commits", () =>
    Effect.gen(function*() {
      const { anonymous, answer, body } = yield* answering(raw(404))
      assert.deepStrictEqual([answer.status, anonymous.setCookies.length], [404, 1])
      assert.strictEqual(body, `{"count":2}`)
    }))

  it.effect("decides by the status around it where that has no body, as the client gets that one", () =>
    Effect.gen(function*() {
      const { answer, body } = yield* answering(() => HttpServerResponse.setStatus(raw(500)(), 204))
      assert.strictEqual(answer.status, 204)
      assert.strictEqual(body, `{"count":2}`)
    }))
})
