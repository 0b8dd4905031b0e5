/**
 * A DynamoDB that refuses, throttles, breaks or does not answer.
 */
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer } from "effect"
import { DynamoLayer, SessionConfig, SessionError } from "effect-session"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { secret } from "../../support/config.ts"
import { type Disturbance, keys, startDynamo, table } from "../../support/dynamoServer.ts"
import { buildStore } from "../../support/dynamoStore.ts"
import { outages } from "../../support/outages.ts"
import { eventually, shared } from "../../support/redisServer.ts"
import { basicRoutes } from "../../support/routes.ts"
import { cookieOf, serve } from "../../support/server.ts"
import { adding, both, createSession, expecting, setting, times } from "../../support/storedSession.ts"

const dynamo = shared(startDynamo())

const written = { _tag: "Written", token: undefined } as const
const later = { touchedAt: times.touchedAt + 60_000, expiresAt: times.expiresAt + 60_000 }
const manyFields = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`field${index}`, "1"]))

/** Tries each request once. */
const impatient = { aws: { region: "eu-west-1", ...keys, maxAttempts: 1 } }

/** A server of its own, with a session. */
const start = Effect.fnUntraced(function*(
  options: Partial<DynamoLayer.Options> = {},
  values: Record<string, string> = { count: "1" }
) {
  const server = yield* startDynamo()
  const session = yield* createSession(yield* buildStore(server, options), values)
  server.newRequests()
  return { server, session }
})

const causeOf = <A, R>(effect: Effect.Effect<A, unknown, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, SessionError.SessionStoreError)
    assert.instanceOf(error.cause, Error)
    for (const key of Object.values(keys)) {
      assert.notInclude(inspect(error, { depth: null, showHidden: true }), key)
      assert.notInclude(Cause.pretty(Cause.fail(error)), key)
    }
    return (error.cause as Error).message
  })

describe("what the cause of a SessionStoreError says", () => {
  const cases: ReadonlyArray<readonly [name: string, disturbance: Disturbance, message: string | RegExp]> = [
    [
      "a permission that is missing",
      {
        code: "AccessDeniedException",
        message: "User: arn:aws:iam::123456789012:user/shop is not authorized to perform: dynamodb:UpdateItem"
      },
      `No permission for dynamodb:UpdateItem on "${table}": User: arn:aws:iam::123456789012:user/shop is not ` +
      "authorized to perform: dynamodb:UpdateItem"
    ],
    [
      "throttling",
      { code: "ProvisionedThroughputExceededException", message: "The level of provisioned throughput was exceeded" },
      `DynamoDB is throttling requests to "${table}": The level of provisioned throughput was exceeded`
    ],
    ["a table that is gone", { code: "ResourceNotFoundException" }, `There is no table "${table}"`],
    [
      "keys that are not valid any more",
      { code: "ExpiredTokenException", message: `The security token ${keys.secretAccessKey} has expired` },
      "AWS rejects the credentials (ExpiredTokenException)"
    ],
    [
      "a signature that does not fit",
      { code: "InvalidSignatureException", message: `The Canonical String is: Credential=${keys.accessKeyId}` },
      "AWS rejects the credentials (InvalidSignatureException)"
    ],
    [
      "an error of the service",
      { code: "InternalServerError", message: "Try again", status: 500 },
      `UpdateItem on "${table}" failed: InternalServerError, Try again`
    ],
    ["a connection that broke", "loses the answer", /^UpdateItem on "sessions-test" failed: ECONNRESET, /]
  ]
  for (const [name, disturbance, message] of cases) {
    it.effect(`of ${name}, without a key`, () =>
      Effect.gen(function*() {
        const { server, session } = yield* start(impatient)
        server.breaks(disturbance)
        const found = yield* causeOf(session.commit(setting({ a: "1" })))
        if (typeof message === "string") assert.strictEqual(found, message)
        else assert.match(found, message)
      }))
  }

  it.effect("of a table that was deleted, in every operation", () =>
    Effect.gen(function*() {
      const { server, session } = yield* start()
      yield* server.ask((dynamo) => dynamo.deleteTable({ TableName: table }))
      const operations: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        session.stored,
        session.commit(setting({ a: "1" })),
        session.commit(setting(manyFields)),
        session.touch(later),
        session.regenerate(),
        session.destroy
      ]
      for (const operation of operations) {
        assert.strictEqual(yield* causeOf(operation), `There is no table "${table}"`)
      }
    }))

  it.effect("of a server that is gone", () =>
    Effect.gen(function*() {
      const { server, session } = yield* start(impatient)
      yield* server.stop
      assert.match(yield* causeOf(session.stored), /^GetItem on "sessions-test" failed: (ECONNREFUSED|ECONNRESET), /)
    }))
})

describe("the SDK tries again", () => {
  const passing: ReadonlyArray<Disturbance> = [
    { code: "ThrottlingException" },
    { code: "InternalServerError", status: 500 },
    { code: "ServiceUnavailable", status: 503 }
  ]
  for (const disturbance of passing) {
    it.effect(`after ${inspect(disturbance)}, and nobody notices`, () =>
      Effect.gen(function*() {
        const { server, session } = yield* start()
        server.disturbs("UpdateItem", disturbance)
        assert.deepStrictEqual(yield* session.commit(adding("count", 1)), written)
        assert.deepStrictEqual(server.newOperations(), ["UpdateItem", "UpdateItem"])
        assert.deepStrictEqual(yield* session.fields, { count: "2" })
      }))
  }

  it.effect.each([
    { aws: { maxAttempts: 2 }, attempts: 2 },
    { aws: { maxRetries: 2 }, attempts: 3 },
    { aws: { maxRetries: 0 }, attempts: 1 }
  ])("as often as $aws says", ({ attempts, aws }) =>
    Effect.gen(function*() {
      const { server, session } = yield* start({ aws: { region: "eu-west-1", ...keys, ...aws } })
      server.breaks({ code: "InternalServerError", status: 500 })
      yield* causeOf(session.stored)
      assert.lengthOf(server.newRequests(), attempts)
    }))

  it.effect("not after an error of the request", () =>
    Effect.gen(function*() {
      const { server, session } = yield* start()
      server.breaks({ code: "AccessDeniedException" })
      yield* causeOf(session.stored)
      assert.lengthOf(server.newRequests(), 1)
    }))
})

describe("an answer that is lost after the request was carried out", () => {
  const lost = (operation: string) =>
    Effect.gen(function*() {
      const started = yield* start()
      started.server.disturbs(operation, "loses the answer")
      return started
    })

  it.effect("of an increment: the SDK sends it again, and it counts once", () =>
    Effect.gen(function*() {
      const { server, session } = yield* lost("UpdateItem")
      assert.deepStrictEqual(yield* session.commit(both(adding("count", 1), setting({ a: "1" }))), written)
      assert.deepStrictEqual(server.newOperations(), ["UpdateItem", "UpdateItem"])
      assert.deepStrictEqual(yield* session.fields, { a: "1", count: "2" })
    }))

  it.effect("of a commit that expects what it changes: it is written, once", () =>
    Effect.gen(function*() {
      const { server, session } = yield* lost("UpdateItem")
      assert.deepStrictEqual(yield* session.commit(expecting({ count: "1" }, setting({ count: "2" }))), written)
      assert.deepStrictEqual(server.newOperations(), ["UpdateItem", "UpdateItem"])
      assert.deepStrictEqual(yield* session.fields, { count: "2" })
    }))

  it.effect("of one that expects something, and another commit came before the second try: a conflict", () =>
    Effect.gen(function*() {
      const { server, session } = yield* start()
      server.disturbs("UpdateItem", { losesTheAnswerAfter: session.commit(setting({ other: "1" })) })
      const answer = yield* session.commit(expecting({ count: "1" }, setting({ count: "2" })))
      // Though it was carried out, as the documentation says.
      assert.deepStrictEqual(
        answer,
        { _tag: "Conflict", record: { ...times, fields: new Map([["count", "2"], ["other", "1"]]) } }
      )
    }))

  it.effect("of regenerating a session of more fields than an expression takes: the session goes on", () =>
    Effect.gen(function*() {
      const { server, session } = yield* start({}, manyFields)
      server.disturbs("PutItem", "works", "loses the answer")
      assert.strictEqual((yield* session.regenerate(setting({ a: "1" })))._tag, "Written")
      assert.isUndefined(yield* session.stored)
    }))

  it.effect("of an increment with a touch: once as well", () =>
    Effect.gen(function*() {
      const { session } = yield* lost("UpdateItem")
      assert.deepStrictEqual(yield* session.commit({ ...adding("count", 1), touch: true }, later), written)
      assert.deepInclude(yield* session.stored, later)
      assert.deepStrictEqual(yield* session.fields, { count: "2" })
    }))

  it.effect("of a value, and another commit came before the second try: both are there", () =>
    Effect.gen(function*() {
      const { server, session } = yield* start()
      server.disturbs("UpdateItem", { losesTheAnswerAfter: session.commit(setting({ other: "1" })) })
      assert.deepStrictEqual(yield* session.commit(setting({ a: "1" })), written)
      assert.deepStrictEqual(yield* session.fields, { a: "1", count: "1", other: "1" })
    }))

  it.effect("of a commit of many fields: once as well", () =>
    Effect.gen(function*() {
      const { server, session } = yield* lost("PutItem")
      assert.deepStrictEqual(yield* session.commit(both(adding("count", 1), setting(manyFields))), written)
      assert.deepStrictEqual(server.newOperations(), ["GetItem", "PutItem", "PutItem", "GetItem"])
      assert.deepStrictEqual(yield* session.fields, { ...manyFields, count: "2" })
    }))

  it.effect("of a touch or a destruction: it is done", () =>
    Effect.gen(function*() {
      const { server, session } = yield* lost("UpdateItem")
      assert.deepStrictEqual(yield* session.touch(later), written)
      assert.deepInclude(yield* session.stored, later)
      server.disturbs("DeleteItem", "loses the answer")
      yield* session.destroy
      assert.isUndefined(yield* session.stored)
    }))

  it.effect("of a commit to a session that is gone by then: it is gone", () =>
    Effect.gen(function*() {
      const { server, session } = yield* start()
      server.disturbs("UpdateItem", { losesTheAnswerAfter: session.destroy })
      assert.deepStrictEqual(yield* session.commit(adding("count", 1)), { _tag: "Gone" })
    }))

  it.effect("of a new session: it is the one that the first try has stored, and there is no other", () =>
    Effect.gen(function*() {
      for (const options of [{}, { tellsWhatIsThere: false }]) {
        const server = yield* startDynamo(options)
        const store = yield* buildStore(server)
        server.disturbs("PutItem", "loses the answer")
        const { stored } = yield* createSession(store, { a: "1" })
        assert.deepStrictEqual((yield* stored)!.fields, new Map([["a", "1"]]))
        assert.lengthOf(yield* server.items(), 1)
      }
    }))

  it.effect("of a new session: the visitor gets one, with all that was put in it", () =>
    Effect.gen(function*() {
      const server = yield* serve(basicRoutes, { store: DynamoLayer.layer(dynamo().options), logger: false })
      dynamo().disturbs("PutItem", "loses the answer")
      const cookie = cookieOf(yield* server.post("/count"))
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }))

  it.effect("of regenerating: an error, as the record was in that answer, and no session", () =>
    Effect.gen(function*() {
      const { server, session } = yield* start()
      // The first one of two is for the new session.
      server.disturbs("PutItem", "works", "loses the answer")
      yield* causeOf(session.regenerate())
      assert.isUndefined(yield* session.stored)
    }))
})

describe("a DynamoDB that does not answer", () => {
  const requests = [
    ["GET", "/", "GetItem"],
    ["POST", "/count", "UpdateItem"],
    ["POST", "/login", "PutItem"],
    ["POST", "/logout", "DeleteItem"]
  ] as const

  for (const [method, path, operation] of requests) {
    it.effect(`${operation}: 503 at the time limit, without a cookie, the request is broken off, and the next one works`, () =>
      Effect.gen(function*() {
        const server = yield* serve(basicRoutes, { store: DynamoLayer.layer(dynamo().options), logger: false })
        const cookie = cookieOf(yield* server.post("/count"))
        const hanging = dynamo().holds(operation)
        const request = yield* Effect.forkChild(server.send(method, path, { cookie }))
        yield* hanging.reached
        yield* TestClock.adjust("4999 millis")
        assert.isUndefined(request.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const answer = yield* Fiber.join(request)
        assert.deepStrictEqual([answer.status, answer.setCookies, answer.body], [503, [], "Service Unavailable"])
        yield* hanging.broken
        assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
      }))
  }

  it.live("is left for another connection at half the time limit", () =>
    Effect.gen(function*() {
      const store = yield* buildStore(dynamo(), {}, { timeLimit: "3 seconds" })
      const session = yield* createSession(store, { count: "1" })
      dynamo().newRequests()
      dynamo().disturbs("UpdateItem", "hangs")
      assert.deepStrictEqual(yield* session.commit(adding("count", 1)), written)
      assert.deepStrictEqual(dynamo().newOperations(), ["UpdateItem", "UpdateItem"])
    }))

  it.effect("breaks the server's start off at the time limit", () =>
    Effect.gen(function*() {
      const hanging = dynamo().holds("GetItem")
      const built = yield* Effect.forkChild(Effect.exit(buildStore(dynamo())))
      yield* hanging.reached
      yield* TestClock.adjust("5 seconds")
      const exit = yield* Fiber.join(built)
      assert.isTrue(Exit.isFailure(exit))
      assert.include(
        Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "",
        `store.endpoint (SESSION_STORE_ENDPOINT): found "${dynamo().url}". DynamoDB does not answer there: No answer within 5s`
      )
      yield* hanging.broken
    }))
})

/** A server of its own that goes and comes back. */
const unreliable = Effect.map(startDynamo(), (server) => ({
  ...server,
  kill: server.stop,
  pause: Effect.sync(() => server.breaks("hangs")),
  goOn: Effect.sync(() => server.breaks("works"))
}))

outages("a DynamoDB", {
  start: unreliable,
  startAgain: ({ startAgain }) => startAgain,
  store: ({ options }) => DynamoLayer.layer(options)
})

describe("the connections", () => {
  it.live("are closed with the store", () =>
    Effect.gen(function*() {
      const server = yield* startDynamo()
      const before = server.connections()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* createSession(yield* buildStore(server))
        assert.isAbove(server.connections(), before)
      }))
      yield* eventually(Effect.sync(() => assert.strictEqual(server.connections(), before)))
    }))
})

describe("a client of the caller's", () => {
  it.effect("is not closed with the store, and its requests are broken off at the time limit", () =>
    Effect.gen(function*() {
      const client = new DynamoDBClient({ region: "eu-west-1", endpoint: dynamo().url, credentials: { ...keys } })
      const build = Layer.build(
        DynamoLayer.layerClient(client, { table }).pipe(Layer.provide(SessionConfig.layer({ secret })))
      )
      yield* Effect.scoped(build)
      const hanging = dynamo().holds("GetItem")
      const built = yield* Effect.forkChild(Effect.exit(Effect.scoped(build)))
      yield* hanging.reached
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(built)))
      yield* hanging.broken
      yield* Effect.scoped(build)
      client.destroy()
    }))
})
