/**
 * Requests of HTTP servers whose sessions are in DynamoDB: what they cost, and what happens to those that are slow.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema } from "effect"
import { DynamoLayer, Session, SessionKey } from "effect-session"
import { HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import { startDynamo } from "../../support/dynamoServer.ts"
import { shared } from "../../support/redisServer.ts"
import { basicRoutes, Count, keysRoute, Name, ok } from "../../support/routes.ts"
import { cookieNames, cookieOf, type Routes, serve } from "../../support/server.ts"

const dynamo = shared(startDynamo())

const routes = Layer.mergeAll(basicRoutes, HttpRouter.add("POST", "/used", Effect.as(Count, ok)))

/** A server with a client of its own. */
const start = (app: Routes = routes) =>
  Effect.suspend(() => serve(app, { store: DynamoLayer.layer(dynamo().options), logger: false }))

const newOperations = () => dynamo().newOperations()

describe("the requests to DynamoDB of", () => {
  it.effect("HTTP requests: none without the session, one to read, two to write", () =>
    Effect.gen(function*() {
      const server = yield* start()
      newOperations()
      yield* server.get("/untouched")
      yield* server.get("/")
      assert.deepStrictEqual(newOperations(), [], "without a cookie")
      const cookie = cookieOf(yield* server.post("/count"))
      assert.deepStrictEqual(newOperations(), ["PutItem"], "the first write")
      yield* server.get("/untouched", { cookie })
      assert.deepStrictEqual(newOperations(), [], "without the session")
      yield* server.get("/", { cookie })
      assert.deepStrictEqual(newOperations(), ["GetItem"], "reading")
      yield* server.post("/count", { cookie })
      assert.deepStrictEqual(newOperations(), ["GetItem", "UpdateItem"], "writing")
      const user = cookieOf(yield* server.post("/login", { cookie }))
      assert.deepStrictEqual(newOperations(), ["GetItem", "PutItem", "PutItem"], "a login")
      yield* server.post("/logout", { cookie: user })
      assert.deepStrictEqual(newOperations(), ["GetItem", "DeleteItem"], "a logout")
      yield* server.get("/", { cookie: user })
      assert.deepStrictEqual(newOperations(), ["GetItem"], "after the logout")
    }))

  it.effect("reading: a second one for the touch, once a minute", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const cookie = cookieOf(yield* server.post("/count"))
      yield* TestClock.adjust("1 minute")
      newOperations()
      yield* server.get("/", { cookie })
      assert.deepStrictEqual(newOperations(), ["GetItem", "UpdateItem"])
      yield* TestClock.adjust("59 seconds")
      yield* server.get("/", { cookie })
      assert.deepStrictEqual(newOperations(), ["GetItem"])
    }))
})

// What a slow request does to its session, and the request to DynamoDB that it is held in.
const slowRequests = [
  ["/count", "UpdateItem"],
  ["/used", "UpdateItem"],
  ["/login", "PutItem"]
] as const

describe("a request that is slow on its way to DynamoDB", () => {
  for (const [path, operation] of slowRequests) {
    for (const end of ["/logout", "/login"]) {
      it.effect(`POST ${path} while another server has POST ${end}: no cookie, and the session that was ended stays so`, () =>
        Effect.gen(function*() {
          const [server, other] = [yield* start(), yield* start()]
          const cookie = cookieOf(yield* server.post("/count"))
          // By now, the session's life has to be extended, which takes a new cookie.
          yield* TestClock.adjust("2 minutes")
          const writing = dynamo().holds(operation)
          const request = yield* Effect.forkChild(server.post(path, { cookie }))
          yield* writing.reached
          const ended = yield* other.post(end, { cookie })
          yield* writing.release
          const slow = yield* Fiber.join(request)
          assert.deepStrictEqual(cookieNames(ended), ["session"])
          assert.strictEqual(slow.status, 200)
          assert.deepStrictEqual(slow.setCookies, [])
          assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
          if (end === "/login") {
            assert.strictEqual((yield* server.get("/", { cookie: cookieOf(ended) })).body, `{"count":1,"name":"Ada"}`)
          }
        }))
    }
  }

  it.effect("alone sets the cookie", () =>
    Effect.gen(function*() {
      const server = yield* start()
      for (const [path, operation] of slowRequests) {
        const cookie = cookieOf(yield* server.post("/count"))
        yield* TestClock.adjust("2 minutes")
        const writing = dynamo().holds(operation)
        const request = yield* Effect.forkChild(server.post(path, { cookie }))
        yield* writing.reached
        yield* writing.release
        assert.deepStrictEqual(cookieNames(yield* Fiber.join(request)), ["session"])
      }
    }))

  it.effect("to regenerate has in the new session what another server has committed to the old one meanwhile", () =>
    Effect.gen(function*() {
      const [server, other] = [yield* start(), yield* start()]
      const cookie = cookieOf(yield* server.post("/count"))
      const creating = dynamo().holds("PutItem")
      const request = yield* Effect.forkChild(server.post("/login", { cookie }))
      yield* creating.reached
      yield* other.post("/count", { cookie })
      yield* creating.release
      const user = cookieOf(yield* Fiber.join(request))
      assert.strictEqual((yield* other.get("/", { cookie: user })).body, `{"count":2,"name":"Ada"}`)
    }))

  it.effect("and set the same key as a faster one: the last commit wins", () =>
    Effect.gen(function*() {
      const named = HttpRouter.add(
        "POST",
        "/name/:name",
        Effect.gen(function*() {
          const { name } = yield* HttpRouter.params
          yield* Session.put(Name, name!)
          return ok
        })
      )
      const server = yield* start(Layer.mergeAll(basicRoutes, named))
      const cookie = cookieOf(yield* server.post("/login"))
      const writing = dynamo().holds("UpdateItem")
      const slow = yield* Effect.forkChild(server.post("/name/Grace", { cookie }))
      yield* writing.reached
      yield* server.post("/name/Edsger", { cookie })
      yield* writing.release
      yield* Fiber.join(slow)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"name":"Grace"}`)
    }))
})

describe("200 parallel requests of one session, to two servers", () => {
  it.effect("that each set a key of their own and add one to a counter: 200 keys, and 200", () =>
    Effect.gen(function*() {
      const requests = 200
      const app = Layer.mergeAll(
        basicRoutes,
        yield* keysRoute(requests)
      )
      const servers = [yield* start(app), yield* start(app)]
      const cookie = cookieOf(yield* servers[0]!.post("/login"))
      newOperations()
      const numbers = Array.from({ length: requests }, (_, number) => number)
      const answers = yield* Effect.forEach(
        numbers,
        (number) => servers[number % 2]!.post(`/keys/${number}`, { cookie }),
        { concurrency: "unbounded" }
      )
      assert.isTrue(answers.every(({ status }) => status === 200))
      const operations = newOperations()
      for (const operation of ["GetItem", "UpdateItem"]) {
        assert.strictEqual(operations.filter((name) => name === operation).length, requests)
      }
      const { count, name, ...keys } = JSON.parse((yield* servers[1]!.get("/", { cookie })).body)
      assert.strictEqual(count, requests)
      assert.strictEqual(name, "Ada")
      assert.deepStrictEqual(keys, Object.fromEntries(numbers.map((number) => [`key_${number}`, number])))
    }))
})

describe("a session that is too large for an item", () => {
  it.effect("is an error of the server, without a cookie, and a commit by hand can handle it", () =>
    Effect.gen(function*() {
      const Text = SessionKey.make("text", Schema.String)
      const put = Session.put(Text, "x".repeat(401 * 1024))
      const server = yield* start(Layer.mergeAll(
        basicRoutes,
        HttpRouter.add("POST", "/large", Effect.as(put, ok)),
        HttpRouter.add(
          "POST",
          "/handled",
          Effect.gen(function*() {
            yield* put
            yield* Effect.catchTag(Session.commit, "SessionTooLargeError", ({ limit }) => {
              assert.strictEqual(limit, 409_600)
              return Session.forget(Text)
            })
            yield* Session.increment(Count)
            return ok
          })
        )
      ))
      const cookie = cookieOf(yield* server.post("/count"))
      for (const sent of [{}, { cookie }]) {
        const answer = yield* server.post("/large", sent)
        assert.deepStrictEqual([answer.status, answer.setCookies], [500, []])
      }
      assert.strictEqual((yield* server.post("/handled", { cookie })).status, 200)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
    }))
})
