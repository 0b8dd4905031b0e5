/**
 * Which calls of a back end the store watches over, so that they end within the time limit.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { Session, SessionConfig, type SessionError, Sessions, SessionStore } from "effect-session"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import * as MemoryBackend from "../../src/internal/drivers/memory/backend.ts"
import { Id, Token } from "../../src/internal/token/secret.ts"
import { Name } from "../support/routes.ts"

const record = { createdAt: 0, touchedAt: 0, expiresAt: 1_000_000, fields: new Map() }
const id = new Id("i".repeat(43))
const newId = new Id("n".repeat(43))
const token = new Token("t".repeat(43))

const after = <A>(answer: A, duration: "4 seconds" | "1 hour") => () => Effect.delay(Effect.succeed(answer), duration)

const backend: SessionStore.Backend = {
  driver: "slow",
  load: after(record, "1 hour"),
  create: after(true, "4 seconds"),
  update: after(true, "4 seconds"),
  touch: after(true, "4 seconds"),
  supersede: after(record, "4 seconds"),
  destroy: after(undefined, "4 seconds")
}

/** The error of a call, if it has come at the time limit. */
const errorAtLimit = Effect.fnUntraced(
  function*(
    backend: SessionStore.Backend,
    call: (store: SessionStore.SessionStore) => Effect.Effect<unknown, SessionError.SessionError>,
    retries = 0
  ) {
    const store = yield* Effect.provide(
      SessionStore.fromBackend(backend),
      SessionConfig.layer({ timeLimit: "5 seconds", retries, id: { protection: "none" } })
    )
    const fiber = yield* Effect.forkChild(Effect.flip(call(store)), { startImmediately: true })
    yield* TestClock.adjust("4999 millis")
    assert.isUndefined(fiber.pollUnsafe())
    yield* TestClock.adjust("1 millis")
    return fiber.pollUnsafe() === undefined ? undefined : String((yield* Fiber.join(fiber)).cause)
  }
)

const noAnswer = "Error: No answer within 5s"

describe("a back end", () => {
  it.effect("has the time limit for each operation of the store", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* errorAtLimit(backend, (store) => store.load(token)), noAnswer)
      const regenerated = yield* errorAtLimit(backend, (store) => store.regenerate(id, newId, record, record.fields))
      assert.strictEqual(regenerated, noAnswer)
    }))

  it.effect("that keeps the time limit by itself is not watched, where an operation is one call", () =>
    Effect.gen(function*() {
      const trusted = { ...backend, keepsTimeLimit: true }
      assert.isUndefined(yield* errorAtLimit(trusted, (store) => store.load(token)))
    }))

  it.effect("that keeps the time limit by itself is watched, where an operation is several calls", () =>
    Effect.gen(function*() {
      const trusted = { ...backend, keepsTimeLimit: true }
      const regenerated = yield* errorAtLimit(trusted, (store) => store.regenerate(id, newId, record, record.fields))
      assert.strictEqual(regenerated, noAnswer)
      assert.strictEqual(yield* errorAtLimit(trusted, (store) => store.load(token), 2), noAnswer)
    }))
})

describe("a session of an owner", () => {
  it.effect("that is larger than is allowed by now lives on while it is only read", () =>
    Effect.gen(function*() {
      const backend = MemoryBackend.make(10)
      const onServer = (sizeLimit: number) =>
        Layer.provideMerge(
          SessionStore.layer(SessionStore.fromBackend(backend)),
          SessionConfig.layer({ secret: "s".repeat(32), age: "1 hour", sizeLimit })
        )
      const login = Effect.andThen(Session.login("Ada"), Session.put(Name, "x".repeat(2000)))
      const { token } = yield* Effect.provide(Sessions.create(login), onServer(4000))
      for (let use = 0; use < 5; use++) {
        yield* TestClock.adjust("50 minutes")
        yield* Effect.provide(Sessions.modify({ token }, Session.get(Name)), onServer(1000))
      }
    }))
})

describe("an error of a back end", () => {
  const password = "hunter2-secret-token"
  const errors = {
    "of PostgreSQL": { detail: password, hint: password, where: password, internalQuery: password },
    "of mysql2": { sql: password, sqlMessage: password, parameters: [password] },
    "of postgres.js": { query: password, parameters: [password], args: [password] },
    "of drizzle": { query: "insert", params: [password] },
    "of TypeORM": { query: password, driverError: Object.assign(new Error("no"), { detail: password }) },
    "of ioredis": { command: { name: "evalsha", args: [password] } },
    "of a Cluster": { lastNodeError: Object.assign(new Error("no"), { command: { args: [password] } }) },
    "of the AWS SDK": { Item: { data: { M: { token: { S: password } } } } },
    "of several at once": { errors: [Object.assign(new Error("no"), { detail: password })] }
  }
  for (const [whose, more] of Object.entries(errors)) {
    for (const [how, fail] of [["fails", Effect.fail], ["throws", Effect.die]] as const) {
      it.effect(`${whose} that it ${how} with has nothing of a session, but its message and its code`, () =>
        Effect.gen(function*() {
          const cause = Object.assign(new Error("it is said why"), { code: "23514", ...more })
          const driver = { ...backend, create: () => fail(Object.assign(new Error("outer"), { reason: { cause } })) }
          const store = yield* Effect.provide(
            SessionStore.fromBackend(driver as SessionStore.Backend),
            SessionConfig.layer({ secret: "s".repeat(32) })
          )
          const text = inspect(yield* Effect.flip(store.create(id, record)), { depth: null, showHidden: true })
          assert.notInclude(text, password)
          assert.include(text, "it is said why")
          assert.include(text, "23514")
        }))
    }
  }
})
