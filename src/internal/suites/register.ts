/**
 * Registers the tests of a conformance suite with the test runner of the caller.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as TestConsole from "effect/testing/TestConsole"
import type { Runner } from "../../SessionStoreTest.ts"

/** The tests under one heading, those of `skip` as skipped. */
export const register = <E>(
  { describe, it }: Runner,
  heading: string,
  tests: ReadonlyArray<readonly [name: string, test: Effect.Effect<void, E>]>,
  skip: ReadonlyArray<string> = []
): void => {
  describe(heading, () => {
    for (const [name, test] of tests) (skip.includes(name) ? it.skip : it)(name, () => run(test))
  })
}

/** Begins at the time of day, as the expiry of a back end's own goes by the real clock. */
const run = <E>(test: Effect.Effect<void, E>): Promise<void> =>
  TestClock.withLive(Clock.currentTimeMillis).pipe(
    Effect.flatMap(TestClock.setTime),
    Effect.andThen(test),
    Effect.scoped,
    Effect.provide(services),
    Effect.runPromise
  )

const services = Layer.mergeAll(TestConsole.layer, TestClock.layer())
