/**
 * Requests of HTTP servers whose sessions are in DynamoDB: what they cost, and what happens to those that are slow.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { DynamoLayer, Session, SessionKey } from "effect-session"
import { TestClock } from "effect/testing"
import { startDynamo } from "../../support/dynamoServer.ts"
import { ownerRaces } from "../../support/ownerRaces.ts"
import { assertAllKept, races } from "../../support/races.ts"
import { shared } from "../../support/redisServer.ts"
import { renewals } from "../../support/renewals.ts"
import { basicRoutes, Count, keysRoute, post } from "../../support/routes.ts"
import { cookieOf, type Routes, serve } from "../../support/server.ts"

const dynamo = shared(startDynamo())

/** A server with a client of its own. */
const start = (app: Routes = basicRoutes) =>
  // What an item can hold is the limit here.
  Effect.suspend(() =>
    serve(app, { store: DynamoLayer.layer(dynamo().options), logger: false, config: { sizeLimit: "unlimited" } })
  )

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

  it.effect("200 that change a session at the same time, on two servers: one each to read, and one each to write", () =>
    Effect.gen(function*() {
      const requests = 200
      const app = Layer.mergeAll(basicRoutes, yield* keysRoute(requests))
      const servers = [yield* start(app), yield* start(app)] as const
      newOperations()
      yield* assertAllKept(servers, requests)
      const operations = newOperations()
      const count = (operation: string) => operations.filter((name) => name === operation).length
      assert.deepStrictEqual([count("PutItem"), count("GetItem"), count("UpdateItem")], [1, requests + 1, requests])
    }))
})

// Held on its way to DynamoDB, in the midst of what the driver does.
const requestOf = {
  load: "GetItem",
  create: "PutItem",
  update: "UpdateItem",
  touch: "UpdateItem",
  regenerate: "PutItem",
  destroy: "DeleteItem"
}

races("DynamoDB", {
  store: () => DynamoLayer.layer(dynamo().options),
  holds: (operation) => dynamo().holds(requestOf[operation])
})

renewals("DynamoDB", () => DynamoLayer.layer(dynamo().options))

ownerRaces("DynamoDB", { store: () => DynamoLayer.layer(dynamo().options), clients: 12 })

describe("a session that is too large for an item", () => {
  it.effect("is an error of the server, without a cookie, and a commit by hand can handle it", () =>
    Effect.gen(function*() {
      const Text = SessionKey.make("text", Schema.String)
      const put = Session.put(Text, "x".repeat(401 * 1024))
      const server = yield* start(Layer.mergeAll(
        basicRoutes,
        post("/large", put),
        post(
          "/handled",
          Effect.gen(function*() {
            yield* put
            yield* Effect.catchTag(Session.commit, "SessionTooLargeError", ({ limit }) => {
              assert.strictEqual(limit, 409_600)
              return Session.forget(Text)
            })
            yield* Session.increment(Count)
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
