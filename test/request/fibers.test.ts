/**
 * Fibers of one request that use its session at the same time, wherever they are interrupted or overtake each other.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted, Scheduler } from "effect"
import { MemoryLayer, Session, SessionConfig, SessionStore } from "effect-session"
import { TestClock } from "effect/testing"
import * as Environment from "../../src/internal/request/environment.ts"
import { RequestSession } from "../../src/internal/request/requestSession.ts"
import { Id } from "../../src/internal/token/secret.ts"
import { Count, Name } from "../support/routes.ts"
import { application, newSession, withSession } from "../support/visits.ts"

const memory = application(MemoryLayer.layer())

const slowId = Effect.delay(Effect.sync(() => crypto.randomUUID()), "1 second")

/** Lets other fibers go first before the operation of this number, once. */
class YieldingAt extends Scheduler.MixedScheduler {
  readonly #operation: number
  #operations = 0

  constructor(operation: number) {
    super()
    this.#operation = operation
  }

  override shouldYield(): boolean {
    return ++this.#operations === this.#operation
  }
}

/** A session as a request begins with it: nothing is loaded yet. */
const begin = Effect.fnUntraced(function*(token: Redacted.Redacted<string>) {
  const generateId = yield* SessionConfig.GenerateId
  const environment = Environment.make(yield* SessionConfig.SessionConfig, yield* SessionStore.SessionStore, generateId)
  return new RequestSession(environment, {
    present: () => ({ _tag: "Token", token: Redacted.value(token) }),
    input: Effect.succeed({}),
    messages: "leave",
    takesCookie: true
  })
})

describe("a fiber that is interrupted while it loads the session", () => {
  it.live("leaves no other one waiting, whatever the step", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Count, 1))
      let interrupted = 0
      for (let operation = 1; operation <= 20; operation++) {
        const session = yield* begin(token)
        const reading = Effect.provideService(Session.get(Count), Session.Session, session)
        const first = Effect.runFork(reading, { scheduler: new YieldingAt(operation) })
        if (first.pollUnsafe() === undefined) interrupted++
        first.interruptUnsafe()
        assert.strictEqual(yield* Effect.timeout(reading, "2 seconds"), 1, `operation ${operation}`)
      }
      assert.isAtLeast(interrupted, 5)
    }).pipe(Effect.provide(memory)))
})

describe("a fiber that changes the session while another one commits it", () => {
  it.effect("loses nothing, also while the id is drawn", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Effect.gen(function*() {
        yield* Session.put(Count, 1)
        const commit = yield* Effect.forkChild(Session.commit, { startImmediately: true })
        yield* Session.put(Name, "Ada")
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(commit)
      }))
      const stored = yield* withSession(token, Session.all)
      assert.deepStrictEqual(stored, { count: 1, name: "Ada" })
    }).pipe(Effect.provide(memory), Effect.provideService(SessionConfig.GenerateId, slowId)))

  it.effect("may end it, and begin another one, while the id is drawn", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Effect.gen(function*() {
        yield* Session.put(Count, 1)
        const commit = yield* Effect.forkChild(Session.commit, { startImmediately: true })
        yield* Session.destroy
        yield* Session.put(Name, "Ada")
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(commit)
      }))
      assert.deepStrictEqual(yield* withSession(token, Session.all), { name: "Ada" })
    }).pipe(Effect.provide(memory), Effect.provideService(SessionConfig.GenerateId, slowId)))
})

describe("a session whose token is unknown", () => {
  it.live("keeps what one fiber puts, though another one is interrupted while it loads it, whatever the step", () =>
    Effect.gen(function*() {
      for (let operation = 1; operation <= 30; operation++) {
        const session = yield* begin(Redacted.make("u".repeat(43)))
        const using = Effect.provideService(Session.Session, session)
        const first = Effect.runFork(using(Session.get(Count)), { scheduler: new YieldingAt(operation) })
        if (first.pollUnsafe() === undefined) {
          const put = Effect.runFork(using(Session.put(Count, 1)))
          first.interruptUnsafe()
          yield* Fiber.join(put)
          assert.strictEqual(yield* using(Session.get(Count)), 1, `operation ${operation}`)
        }
      }
    }).pipe(Effect.provide(memory)))
})

describe("a session that is ended while the store creates it", () => {
  const taken = "t".repeat(43)

  it.effect("is not ended if the id was in use: that one is somebody else's", () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      const now = yield* TestClock.testClockWith((clock) => Effect.succeed(clock.currentTimeMillisUnsafe()))
      const record = {
        createdAt: now,
        touchedAt: now,
        expiresAt: now + 3_600_000,
        fields: new Map([["name", "\"Eve\""]])
      }
      yield* store.create(new Id(taken), record)
      yield* withSession(
        undefined,
        Effect.gen(function*() {
          yield* Session.put(Count, 1)
          const commit = yield* Effect.forkChild(Effect.exit(Session.commit), { startImmediately: true })
          yield* TestClock.adjust("1 second")
          yield* Session.destroy
          yield* TestClock.adjust("1 minute")
          assert.isTrue(Exit.isFailure(yield* Fiber.join(commit)))
          yield* Session.commit
        })
      )
      assert.deepStrictEqual(yield* withSession(Redacted.make(taken), Session.all), { name: "Eve" })
    }).pipe(
      Effect.provide(memory),
      Effect.provideService(SessionConfig.GenerateId, Effect.delay(Effect.succeed(taken), "1 second"))
    ))
})

describe("a store that throws instead of failing", () => {
  it.effect("leaves what was put for the next commit", () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      let throws = true
      const create: typeof store.create = (id, record) => {
        if (throws) throw new Error("not an Effect")
        return store.create(id, record)
      }
      const generateId = yield* SessionConfig.GenerateId
      const environment = Environment.make(yield* SessionConfig.SessionConfig, { ...store, create }, generateId)
      const session = new RequestSession(environment, {
        present: () => ({ _tag: "None" }),
        input: Effect.succeed({}),
        messages: "leave",
        takesCookie: true
      })
      const program = Effect.gen(function*() {
        yield* Session.put(Count, 1)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Session.commit)))
        throws = false
        yield* Session.commit
        return yield* Session.sessionId
      })
      const id = yield* Effect.provideService(program, Session.Session, session)
      assert.deepStrictEqual(yield* withSession(id, Session.all), { count: 1 })
    }).pipe(Effect.provide(memory)))
})
