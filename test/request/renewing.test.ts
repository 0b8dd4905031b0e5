/**
 * Session.renew in one process: when it renews, in what sessions, and what a mistake is.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Schema } from "effect"
import { MemoryLayer, Session, SessionError, SessionKey } from "effect-session"
import { TestClock } from "effect/testing"
import { watchStore } from "../support/failingStore.ts"
import { post } from "../support/routes.ts"
import { serve } from "../support/server.ts"
import { application, newSession, type Services, visit, withSession } from "../support/visits.ts"

const Secret = SessionKey.make("secret", Schema.Int)

/** Due until it is 10; and how often it has been renewed. */
const renewal = () => {
  let count = 0
  const renew = (value: number) =>
    Effect.sync(() => {
      count++
      return value + 10
    })
  return { options: { when: (value: number) => value < 10, renew }, times: () => count }
}

const memory = application(MemoryLayer.layer())

const withMemory = <A, E>(name: string, effect: () => Effect.Effect<A, E, Services>) =>
  it.effect(name, () => Effect.provide(Effect.suspend(effect), memory))

describe("Session.renew", () => {
  withMemory("renews a value that is due, and is stored without a commit", () =>
    Effect.gen(function*() {
      const { options, times } = renewal()
      const token = yield* newSession(Session.put(Secret, 1))
      assert.deepStrictEqual(yield* withSession(token, Session.renew(Secret, options)), Option.some(11))
      assert.deepStrictEqual(yield* withSession(token, Secret.pipe(Session.renew(options))), Option.some(11))
      assert.strictEqual(times(), 1)
      assert.deepStrictEqual(yield* withSession(token, Session.all), { secret: 11 })
    }))

  withMemory("leaves no lease, so the next renewal does not wait", () =>
    Effect.gen(function*() {
      const renew = (value: number) => Effect.succeed(value + 10)
      const twice = Effect.replicateEffect(Session.renew(Secret, { when: () => true, renew }), 2)
      const token = yield* newSession(Session.put(Secret, 1))
      assert.deepStrictEqual(yield* withSession(token, twice), [Option.some(11), Option.some(21)])
      assert.deepStrictEqual(yield* withSession(token, twice), [Option.some(31), Option.some(41)])
    }))

  withMemory("gives what reading gives: also a default, which is never renewed", () =>
    Effect.gen(function*() {
      const { options, times } = renewal()
      const WithDefault = SessionKey.withDefault(Secret, () => 0)
      assert.deepStrictEqual(yield* withSession(undefined, Session.renew(Secret, options)), Option.none())
      assert.strictEqual(yield* withSession(undefined, Session.renew(WithDefault, options)), 0)
      assert.strictEqual(times(), 0)
    }))

  withMemory("of fibers of a request that find it due, one renews it", () =>
    Effect.gen(function*() {
      const { options, times } = renewal()
      const all = Effect.replicateEffect(Session.renew(Secret, options), 10, { concurrency: "unbounded" })
      const stored = yield* newSession(Session.put(Secret, 1))
      for (
        const values of [
          yield* withSession(stored, all),
          yield* visit(undefined, Effect.andThen(Session.put(Secret, 1), all))
        ]
      ) {
        assert.deepStrictEqual(values, Array.from({ length: 10 }, () => Option.some(11)))
      }
      assert.strictEqual(times(), 2)
    }))

  withMemory("renews what the request has put itself for this request alone", () =>
    Effect.gen(function*() {
      const { options } = renewal()
      const token = yield* newSession(Session.put(Secret, 20))
      const own = Effect.andThen(Session.put(Secret, 1), Session.renew(Secret, options))
      assert.deepStrictEqual(yield* withSession(token, own), Option.some(11))
      assert.deepStrictEqual(yield* withSession(token, Secret), Option.some(20))
      yield* visit(token, own)
      assert.deepStrictEqual(yield* withSession(token, Secret), Option.some(11))
    }))

  withMemory("stays when the atomic effect around it fails", () =>
    Effect.gen(function*() {
      const { options } = renewal()
      const token = yield* newSession(Session.put(Secret, 1))
      const failing = Session.atomic(Effect.andThen(Session.renew(Secret, options), Effect.fail("no")))
      assert.strictEqual(yield* Effect.flip(withSession(token, failing)), "no")
      assert.deepStrictEqual(yield* withSession(token, Secret), Option.some(11))
    }))

  it.effect("with a lease that outlives the session fails once the session is over, and nobody asks again", () =>
    Effect.gen(function*() {
      const { options, times } = renewal()
      const slow = {
        ...options,
        lease: "1 hour",
        renew: (value: number) => Effect.delay(options.renew(value), "2 minutes")
      } as const
      const token = yield* newSession(Session.put(Secret, 1))
      const requests = yield* Effect.forkChild(
        Effect.replicateEffect(Effect.flip(withSession(token, Session.renew(Secret, slow))), 2, { concurrency: 2 })
      )
      yield* TestClock.adjust("2 minutes")
      for (const error of yield* Fiber.join(requests)) assert.instanceOf(error, SessionError.SessionGoneError)
      assert.deepStrictEqual(yield* withSession(token, Session.renew(Secret, slow)), Option.none())
      assert.strictEqual(times(), 1)
    }).pipe(Effect.provide(application(MemoryLayer.layer(), { age: "1 minute" }))))

  withMemory("begins the time of a value with a life anew", () =>
    Effect.gen(function*() {
      const { options } = renewal()
      const Short = SessionKey.expires(Secret, "10 minutes")
      const token = yield* newSession(Session.put(Short, 1))
      yield* TestClock.adjust("9 minutes")
      yield* withSession(token, Session.renew(Short, options))
      yield* TestClock.adjust("9 minutes")
      assert.deepStrictEqual(yield* withSession(token, Short), Option.some(11))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* withSession(token, Session.renew(Short, options)), Option.none())
    }))

  withMemory("in a session that can't change is an error only where it is due", () =>
    Effect.gen(function*() {
      const { options } = renewal()
      const token = yield* newSession(Session.put(Secret, 10))
      const reading = withSession(token, Session.renew(Secret, options), { readonly: true })
      assert.deepStrictEqual(yield* reading, Option.some(10))
      yield* visit(token, Session.put(Secret, 1))
      assert.deepStrictEqual(yield* Effect.flip(reading), new SessionError.SessionReadonlyError({ operation: "renew" }))
    }))

  it.effect("costs the store nothing where it is not due", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const { options } = renewal()
      yield* Effect.gen(function*() {
        const token = yield* newSession(Session.put(Secret, 10))
        store.newCalls()
        yield* withSession(token, Session.renew(Secret, options))
        assert.deepStrictEqual(store.newCalls(), ["load"])
      }).pipe(Effect.provide(application(store.layer)))
    }))

  withMemory(
    "what does not fit the key's schema, or throws, is an error, and the lease is free",
    () =>
      Effect.gen(function*() {
        const { options } = renewal()
        const token = yield* newSession(Session.put(Secret, 1))
        const renewing = (renew: (value: number) => Effect.Effect<number>) =>
          withSession(token, Session.renew(Secret, { when: options.when, renew }))
        const wrong = yield* Effect.flip(renewing(() => Effect.succeed(0.5)))
        assert.strictEqual(wrong._tag, "SessionValueError")
        const thrown = yield* Effect.exit(renewing(() => {
          throw new Error("no")
        }))
        assert.isTrue(Exit.hasDies(thrown))
        assert.deepStrictEqual(yield* renewing(options.renew), Option.some(11))
      })
  )

  it.effect("works in a test without a store", () =>
    Effect.gen(function*() {
      const { options } = renewal()
      assert.deepStrictEqual(yield* Session.renew(Secret, options), Option.some(11))
      assert.deepStrictEqual(yield* Secret, Option.some(11))
    }).pipe(Effect.provide(Session.layerTest({ secret: 1 }))))

  it("a lease that does not end, or is not longer than zero, throws", () => {
    const { options } = renewal()
    for (const lease of ["0 seconds", "never", "soon"]) {
      assert.throws(
        () => Session.renew(Secret, { ...options, lease: lease as "1 second" }),
        `Session.renew: lease("${lease}"): write a duration longer than zero`
      )
    }
  })
})

describe("errors that nobody handles", () => {
  it.effect("answer by themselves, and say nothing of the session", () =>
    Effect.gen(function*() {
      const key = "secret"
      const errors = [
        [new SessionError.SessionRenewError({ key, reason: "timeout" }), 503],
        [new SessionError.SessionRenewError({ key, reason: "failed", cause: new Error("no") }), 503],
        [new SessionError.SessionAttemptsError({ key, reason: "exhausted" }), 403],
        [new SessionError.SessionStatelessError({ driver: "cookie", operation: "attempt" }), 500]
      ] as const
      for (const [error, status] of errors) {
        const server = yield* serve(post("/fails", Effect.fail(error)), { logger: false })
        const answer = yield* server.post("/fails")
        assert.strictEqual(answer.status, status)
        assert.notInclude(answer.body, key)
        assert.include(error.message, "key" in error ? `Session key "${key}"` : "Session.attempt")
      }
    }))
})
