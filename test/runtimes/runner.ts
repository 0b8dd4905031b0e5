/**
 * A small test runner for runtimes that vitest does not run on. In bundles it takes the place of `@effect/vitest`: suites and
 * tests register as they do there, and `runTests` runs them, one after the other.
 */
import { assert } from "chai"
import { Effect, Layer, type Scope } from "effect"
import { TestClock, TestConsole } from "effect/testing"

export { assert }

export interface Outcome {
  readonly passed: number
  readonly failures: ReadonlyArray<string>
}

interface Registered {
  readonly name: string
  readonly run: () => Promise<void>
}

const registered: Array<Registered> = []
let headings: ReadonlyArray<string> = []

export const describe = (name: string, register: () => void): void => {
  const outer = headings
  headings = [...outer, name]
  register()
  headings = outer
}

const register = (name: string, run: () => Promise<void>): void => {
  registered.push({ name: [...headings, name].join(" > "), run })
}

const skip = (): void => {}

const effect = <A, E>(name: string, test: () => Effect.Effect<A, E, Scope.Scope>): void =>
  register(name, () =>
    test().pipe(
      Effect.scoped,
      Effect.provide(Layer.mergeAll(TestConsole.layer, TestClock.layer())),
      Effect.asVoid,
      Effect.runPromise
    ))

export const it = Object.assign(register, { effect, skip })

/** Runs all that was registered, and forgets it. */
export const runTests = async (): Promise<Outcome> => {
  const tests = registered.splice(0)
  const failures: Array<string> = []
  for (const { name, run } of tests) {
    try {
      await run()
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.stack : JSON.stringify(error)}`)
    }
  }
  return { passed: tests.length - failures.length, failures }
}
