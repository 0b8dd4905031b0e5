/**
 * Values that can be tried so often, and no more: the count comes first, and stays whatever becomes of the request.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Schema } from "effect"
import { CookieLayer, MemoryLayer, Session, SessionError, SessionKey } from "effect-session"
import { TestClock } from "effect/testing"
import { application, newSession, type Services, visit, withSession } from "../support/visits.ts"

const Code = SessionKey.make("code", Schema.String).pipe(SessionKey.attempts(3))

const memory = application(MemoryLayer.layer())

const withMemory = <A, E>(name: string, effect: () => Effect.Effect<A, E, Services>) =>
  it.effect(name, () => Effect.provide(Effect.suspend(effect), memory))

const guess = (given: string) => Session.attempt(Code, (code) => code === given)

const error = (reason: "absent" | "exhausted") => new SessionError.SessionAttemptsError({ key: "code", reason })

const newCode = newSession(Session.put(Code, "1199"))

describe("Session.attempt", () => {
  withMemory("says whether somebody is right, and whoever is right can't be so twice", () =>
    Effect.gen(function*() {
      const token = yield* newCode
      assert.isFalse(yield* withSession(token, guess("1")))
      assert.isTrue(yield* withSession(token, guess("1199")))
      assert.deepStrictEqual(yield* Effect.flip(withSession(token, guess("1199"))), error("absent"))
    }))

  withMemory("is a typed error with the last wrong guess, and the value is gone then", () =>
    Effect.gen(function*() {
      const token = yield* newCode
      yield* withSession(token, Effect.all([guess("1"), guess("2")]))
      assert.deepStrictEqual(yield* withSession(token, Code), Option.some("1199"))
      assert.deepStrictEqual(yield* Effect.flip(withSession(token, guess("3"))), error("exhausted"))
      assert.deepStrictEqual(yield* withSession(token, Code), Option.none())
      assert.deepStrictEqual(yield* withSession(token, Session.all), {})
      assert.deepStrictEqual(yield* Effect.flip(withSession(token, guess("1199"))), error("exhausted"))
    }))

  withMemory("can be right at the last try", () =>
    Effect.gen(function*() {
      const token = yield* newCode
      yield* withSession(token, Effect.all([guess("1"), guess("2")]))
      assert.isTrue(yield* withSession(token, guess("1199")))
      assert.deepStrictEqual(yield* Effect.flip(withSession(token, guess("1199"))), error("absent"))
    }))

  withMemory(
    "counts before it checks: also if the check fails or dies, or the request is interrupted",
    () =>
      Effect.gen(function*() {
        const token = yield* newCode
        const fails = withSession(token, Session.attempt(Code, () => Effect.fail("no")))
        assert.strictEqual(yield* Effect.flip(fails), "no")
        assert.isTrue(
          Exit.hasDies(yield* Effect.exit(withSession(token, Session.attempt(Code, () => Effect.die("no")))))
        )
        const reached = yield* Deferred.make<void>()
        const hangs = Session.attempt(Code, () => Effect.andThen(Deferred.succeed(reached, undefined), Effect.never))
        const request = yield* Effect.forkChild(withSession(token, hangs))
        yield* Deferred.await(reached)
        yield* Fiber.interrupt(request)
        assert.deepStrictEqual(yield* Effect.flip(withSession(token, guess("1199"))), error("exhausted"))
      })
  )

  withMemory("counts what a request tries that takes back all else", () =>
    Effect.gen(function*() {
      const token = yield* newCode
      const tries = Effect.andThen(
        Session.atomic(Effect.andThen(guess("1"), Effect.fail("no"))).pipe(Effect.ignore),
        Session.rollback
      )
      yield* withSession(token, Effect.andThen(tries, tries))
      assert.deepStrictEqual(yield* Effect.flip(withSession(token, guess("1"))), error("exhausted"))
    }))

  withMemory("of several that are right at the same time, is true for one", () =>
    Effect.gen(function*() {
      const token = yield* newCode
      const allCheck = yield* Deferred.make<void>()
      let checking = 0
      const right = Session.attempt(Code, () =>
        Effect.suspend(() => {
          if (++checking === 3) Deferred.doneUnsafe(allCheck, Effect.void)
          return Effect.as(Deferred.await(allCheck), true)
        }))
      const results = yield* Effect.replicateEffect(
        Effect.match(withSession(token, right), {
          onFailure: (error): unknown => error,
          onSuccess: (isRight) => isRight
        }),
        3,
        { concurrency: "unbounded" }
      )
      assert.lengthOf(results.filter((result) => result === true), 1)
      assert.deepStrictEqual(results.filter((result) => result !== true), [error("absent"), error("absent")])
    }))

  withMemory(
    "begins to count anew with each put, and who was right before that is so no more",
    () =>
      Effect.gen(function*() {
        const token = yield* newCode
        const checking = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        const slow = Session.attempt(
          Code,
          () => Effect.as(Effect.andThen(Deferred.succeed(checking, undefined), Deferred.await(goOn)), true)
        )
        const request = yield* Effect.forkChild(Effect.exit(withSession(token, slow)))
        yield* Deferred.await(checking)
        yield* visit(token, Session.put(Code, "1199"))
        yield* Deferred.succeed(goOn, undefined)
        assert.deepStrictEqual(yield* Fiber.join(request), Exit.fail(error("absent")))
        yield* withSession(token, Effect.all([guess("1"), guess("2")]))
        assert.isTrue(yield* withSession(token, guess("1199")))
      })
  )

  withMemory("goes on counting after Session.modify", () =>
    Effect.gen(function*() {
      const token = yield* newCode
      yield* withSession(token, Effect.all([guess("1"), guess("2")]))
      yield* visit(token, Session.modify(Code, () => "1200"))
      assert.deepStrictEqual(yield* Effect.flip(withSession(token, guess("1199"))), error("exhausted"))
    }))

  withMemory(
    "where there is no value, or its time is over, is a typed error, and nothing is checked",
    () =>
      Effect.gen(function*() {
        const Short = SessionKey.expires(Code, "1 minute")
        const token = yield* newSession(Session.put(Short, "1199"))
        yield* TestClock.adjust("1 minute")
        for (const session of [token, undefined]) {
          const tried = withSession(session, Session.attempt(Short, () => Effect.die("checked")))
          assert.deepStrictEqual(yield* Effect.flip(tried), error("absent"))
        }
      })
  )

  it.effect("works in a test without a store, and counts there", () =>
    Effect.gen(function*() {
      yield* Session.put(Code, "1199")
      assert.isFalse(yield* guess("1"))
      assert.isFalse(yield* guess("2"))
      assert.deepStrictEqual(yield* Effect.flip(guess("3")), error("exhausted"))
    }).pipe(Effect.provide(Session.layerTest())))

  it.effect("is refused with the CookieLayer, and says why", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(
        withSession(undefined, Effect.andThen(Session.put(Code, "1199"), guess("1199")))
      )
      assert.instanceOf(refused, SessionError.SessionStatelessError)
      assert.match(refused.message, /cookie store.*Use a store on the server/)
    }).pipe(Effect.provide(application(CookieLayer.layer(), { secret: "a secret of 32 characters or more" }))))

  it("needs a key that says how often", () => {
    for (const times of [0, -1, 1.5, Number.NaN, Infinity]) {
      assert.throws(
        () => SessionKey.attempts(times)(Code),
        `SessionKey.attempts(${times}): write a positive whole number`
      )
    }
  })
})
