/**
 * What becomes of a session in files if another process acts, the own one crashes, or the operation is interrupted,
 * before any step that it takes in the file system. Each step is tried, one after the other.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, type Scope } from "effect"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import type { FileBackend } from "../../../src/internal/drivers/file/backend.ts"
import * as Change from "../../../src/internal/record/change.ts"
import type { SessionRecord } from "../../../src/internal/record/record.ts"
import type { SupersededRecord } from "../../../src/SessionStore.ts"
import { type Before, fileBackend, hour, largeFolder, newKey, pathsIn, recordUntil } from "../../support/fileStore.ts"

// -----------------------------------------------------------------------------
// operations
// -----------------------------------------------------------------------------

type Operation = (backend: FileBackend, key: string) => Effect.Effect<unknown, unknown>

/** All that can be done with a session that expires then. */
const operationsUntil = (end: number) =>
  ({
    load: ({ load }, key) => load(key),
    increment: ({ update }, key) =>
      update(key, Change.increment(Change.none, "count", { by: 1, initial: 0 }), recordUntil(end)),
    // Both want to be the one that goes on from the first value.
    exchange: ({ update }, key) =>
      update(key, Change.expect(Change.set(Change.none, "count", "10"), "count", "1"), recordUntil(end)),
    supersedeFirst: ({ supersede }, key) =>
      supersede(key, { supersededUntil: end + hour, successor: "first".padEnd(43, "-") }, new Map([["count", "1"]])),
    clear: ({ update }, key) => update(key, Change.clear(Change.none), recordUntil(end)),
    touch: ({ touch }, key) => touch(key, recordUntil(end + hour)),
    supersede: ({ supersede }, key) =>
      supersede(key, { supersededUntil: end + hour, successor: "successor".padEnd(43, "-") }, new Map()),
    destroy: ({ destroy }, key) => destroy(key),
    bury: ({ owners }, key) => owners.bury(key, { supersededUntil: end + hour, successor: "" }),
    create: ({ create }, key) => create(key, recordUntil(end, { owner: `"another"` })),
    sweep: ({ sweep }) => sweep(end)
  }) satisfies Record<string, Operation>

type Name = keyof ReturnType<typeof operationsUntil>

const nothing: Operation = () => Effect.void

// Whoever destroys a session has its id from the one that created it.
const namesWhere = (isThere: boolean) =>
  (Object.keys(operationsUntil(0)) as ReadonlyArray<Name>).filter((name) => isThere || name !== "destroy")

const situations = [
  { session: "a session", isThere: true, isLoaded: false },
  { session: "a session that it has loaded", isThere: true, isLoaded: true },
  { session: "none", isThere: false, isLoaded: false }
]

const cases = situations.flatMap((situation) => namesWhere(situation.isThere).map((name) => ({ ...situation, name })))

// -----------------------------------------------------------------------------
// tries
// -----------------------------------------------------------------------------

interface Try {
  readonly location: string
  readonly backend: FileBackend
  readonly key: string
}

/** A folder for each try, with a session in it or with none. */
const makeTries = (isThere: boolean, end: number): Effect.Effect<Effect.Effect<Try, unknown>, never, Scope.Scope> =>
  Effect.map(largeFolder, (folder) => {
    let tries = 0
    return Effect.gen(function*() {
      const location = join(folder, `${tries++}`)
      mkdirSync(location)
      const backend = yield* fileBackend(location)
      const key = newKey()
      if (isThere) yield* backend.create(key, recordUntil(end, { count: "1" }))
      return { backend, key, location }
    })
  })

/** Runs something before the step of this number, and knows whether there was such a step. */
const atStep = (number: number, effect: Effect.Effect<void>) => {
  let steps = 0
  return { before: () => steps++ === number ? effect : Effect.void, isReached: () => steps > number }
}

/** The driver in a process of its own, which has loaded the session or not; something comes before each step from then on. */
const another = Effect.fnUntraced(function*({ key, location }: Try, isLoaded: boolean, before: Before) {
  let isWatched = false
  const backend = yield* fileBackend(location, (paths) => isWatched ? before(paths) : Effect.void)
  if (isLoaded) yield* backend.load(key)
  isWatched = true
  return backend
})

type Stored = SessionRecord | SupersededRecord | undefined

const loadFrom = ({ backend, key }: Try) => backend.load(key) as Effect.Effect<Stored, unknown>

/** All that anybody sees of an outcome. */
const show = (outcome: unknown): string =>
  JSON.stringify([outcome], (_, value: unknown) => value instanceof Map ? Object.fromEntries(value) : value)

/** A session is a folder with two files, the mark of one that was never there is a file, and there is nothing else. */
const assertTidy = (location: string, stored: Stored) => {
  const paths = pathsIn(location).length
  if (paths === 1) assert(stored !== undefined && "successor" in stored && stored.successor === "")
  else assert.strictEqual(paths, stored === undefined ? 0 : 3)
}

/** What is stored before an operation and after it, and its answer. */
const runWhole = Effect.fnUntraced(function*(begin: Effect.Effect<Try, unknown>, operation: Operation) {
  const whole = yield* begin
  const before = show(yield* loadFrom(whole))
  const answer = yield* operation(whole.backend, whole.key)
  return { before, answer, after: show(yield* loadFrom(whole)) }
})

// -----------------------------------------------------------------------------
// tests
// -----------------------------------------------------------------------------

describe("whatever another process does before any step", () => {
  it.effect.each(cases)(
    "of $name, with $session: as if it had come first or last",
    ({ isLoaded, isThere, name }) =>
      Effect.gen(function*() {
        // The sweeper takes the session for expired, unless it was touched.
        const end = Date.now()
        const operations: Record<Name, Operation> = operationsUntil(end)
        const begin = yield* makeTries(isThere, end)

        const inTurn = Effect.fnUntraced(function*(first: Operation, second: Operation) {
          const { backend, key } = yield* begin
          return [yield* first(backend, key), yield* second(backend, key), yield* backend.load(key)] as const
        })

        for (const otherName of namesWhere(isThere)) {
          const one = operations[name]
          const other = operations[otherName]
          const [otherAnswer, answer, stored] = yield* inTurn(other, one)
          const possible = [
            show(yield* inTurn(one, other)),
            show([answer, otherAnswer, stored]),
            // The sweeper may leave anything to the next time.
            show(yield* inTurn(name === "sweep" ? nothing : one, otherName === "sweep" ? nothing : other))
          ]
          for (let number = 0;; number++) {
            const trial = yield* begin
            const { backend, key, location } = trial
            let between: unknown
            const step = atStep(number, Effect.map(Effect.orDie(other(backend, key)), (it) => void (between = it)))
            const answer = yield* one(yield* another(trial, isLoaded, step.before), key)
            if (!step.isReached()) {
              assert.isAbove(number, 0)
              break
            }
            const stored = yield* loadFrom(trial)
            assert.include(possible, show([answer, between, stored]), `${otherName}, before step ${number}`)
            assertTidy(location, stored)
          }
        }
      })
  )
})

describe("a crash before any step", () => {
  it.effect.each(cases)(
    "of $name, with $session: all or nothing, and the sweeper clears up",
    ({ isLoaded, isThere, name }) =>
      Effect.gen(function*() {
        const end = Date.now() + 3 * hour
        const operations: Record<Name, Operation> = operationsUntil(end)
        const begin = yield* makeTries(isThere, end)
        const { after, before } = yield* runWhole(begin, operations[name])

        for (let number = 0, isReached = true; isReached; number++) {
          const trial = yield* begin
          const { backend, key, location } = trial
          // From then on it takes no step, not even to clean up.
          const crash = yield* Deferred.make<void>()
          const step = atStep(number, Effect.andThen(Deferred.succeed(crash, undefined), Effect.never))
          const fiber = yield* Effect.forkDetach(operations[name](yield* another(trial, isLoaded, step.before), key))
          yield* Effect.raceFirst(Deferred.await(crash), Fiber.await(fiber))
          isReached = step.isReached()

          const stored = yield* loadFrom(trial)
          assert.include([before, after], show(stored), `before step ${number}`)
          yield* backend.sweep(Date.now() + 2 * hour)
          assert.deepStrictEqual(yield* backend.load(key), stored)
          assertTidy(location, stored)

          // Whoever comes next can go on from there.
          const isSession = stored !== undefined && "fields" in stored
          assert.strictEqual(yield* operations.increment(backend, key), isSession)
          if (!isSession) continue
          const next = (yield* backend.load(key)) as SessionRecord
          assert.strictEqual(Number(next.fields.get("count")), Number(stored.fields.get("count") ?? 0) + 1)
        }
      })
  )
})

describe("an interruption before any step", () => {
  it.effect.each(cases)(
    "of $name, with $session: all or nothing, with nothing to clear up",
    ({ isLoaded, isThere, name }) =>
      Effect.gen(function*() {
        const end = Date.now() + 3 * hour
        const operation: Operation = operationsUntil(end)[name]
        const begin = yield* makeTries(isThere, end)
        const { after, answer, before } = yield* runWhole(begin, operation)

        const interrupt = Effect.withFiber<void>((fiber) => {
          fiber.interruptUnsafe()
          return Effect.void
        })
        for (let number = 0, isReached = true; isReached; number++) {
          const trial = yield* begin
          const { key, location } = trial
          const step = atStep(number, interrupt)
          const fiber = yield* Effect.forkChild(operation(yield* another(trial, isLoaded, step.before), key))
          const exit = yield* Fiber.await(fiber)
          isReached = step.isReached()

          const stored = yield* loadFrom(trial)
          assert.include([before, after], show(stored), `before step ${number}`)
          if (Exit.isSuccess(exit)) assert.deepStrictEqual([exit.value, show(stored)], [answer, after])
          assertTidy(location, stored)
        }
      })
  )
})
