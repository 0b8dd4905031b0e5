/**
 * What most requests do costs next to nothing: they read at most, and then their commit makes no object that was not
 * there already.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit } from "effect"
import { MemoryLayer, Session } from "effect-session"
import { TestClock } from "effect/testing"
import type { RequestSession } from "../../src/internal/requestSession.ts"
import { Count, Name } from "../support/routes.ts"
import { application, newSession, withSession } from "../support/visits.ts"

/** The commit of the session at hand, as the middleware asks for it. */
const commit = Effect.gen(function*() {
  const session = (yield* Session.Session) as unknown as RequestSession
  return session.commit(yield* Clock.Clock)
})

const assertIsNothing = Effect.gen(function*() {
  const first = yield* commit
  assert.isTrue(Exit.isExit(first), "it is done without a step")
  assert.strictEqual(yield* commit, first)
})

const assertIsSomething = Effect.map(commit, (commit) => assert.isFalse(Exit.isExit(commit)))

describe("a commit", () => {
  it.effect("of a session that was only read is there at once, and the same each time", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Count, 1))
      yield* withSession(token, Effect.andThen(Session.get(Count), assertIsNothing))
    }).pipe(Effect.provide(application(MemoryLayer.layer()))))

  it.effect("of a client without a session as well", () =>
    withSession(undefined, Effect.andThen(Session.get(Count), assertIsNothing)).pipe(
      Effect.provide(application(MemoryLayer.layer()))
    ))

  it.effect("is not, where there is something to write", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Count, 1))
      const changes = [Session.put(Name, "Ada"), Session.increment(Count), Session.forget(Name), Session.regenerate]
      for (const change of [...changes, Session.destroy, Session.touch, TestClock.adjust("2 minutes")]) {
        yield* withSession(token, Effect.andThen(change, assertIsSomething))
      }
      yield* withSession(undefined, Effect.andThen(Session.put(Count, 1), assertIsSomething))
    }).pipe(Effect.provide(application(MemoryLayer.layer()))))
})
