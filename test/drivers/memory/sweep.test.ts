/**
 * The sweep of sessions in memory: what it removes, and that others are served meanwhile.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as MemoryBackend from "../../../src/internal/drivers/memory/backend.ts"
import type { Fields } from "../../../src/internal/record/record.ts"
import * as Identifier from "../../../src/internal/token/identifier.ts"

const fields: Fields = new Map([["a", "1"]])
const recordUntil = (expiresAt: number) => ({ createdAt: 0, touchedAt: 0, expiresAt, fields })
const keyOf = (index: number) => Identifier.hash(String(index))

const backendWith = Effect.fnUntraced(function*(sessions: number, expiresAt: (index: number) => number) {
  const backend = MemoryBackend.make(100_000)
  for (let index = 0; index < sessions; index++) {
    assert.isTrue(yield* backend.create(keyOf(index), recordUntil(expiresAt(index))))
  }
  return backend
})

/** How often others have a turn until it ends. */
const turnsDuring = Effect.fnUntraced(function*(work: Effect.Effect<void>) {
  let turns = 0
  // It gives way to others after each time.
  const others = yield* Effect.forkChild(Effect.forever(Effect.sync(() => void turns++)))
  yield* work
  yield* Fiber.interrupt(others)
  return turns
})

describe("a sweep", () => {
  it.effect("removes the sessions and marks whose time is over, and leaves all others", () =>
    Effect.gen(function*() {
      const backend = yield* backendWith(3_000, (index) => 1_000 + index)
      const successor = keyOf(-1)
      const superseded = [10, 2_000]
      for (const index of superseded) {
        yield* backend.supersede(keyOf(index), { supersededUntil: 1_000 + index, successor }, fields)
      }
      yield* TestClock.setTime(2_000)
      yield* backend.sweep
      for (let index = 0; index < 3_000; index++) {
        const stored = yield* backend.load(keyOf(index))
        assert.strictEqual(stored !== undefined, index > 1_000, String(index))
        assert.strictEqual(stored !== undefined && "successor" in stored, index === 2_000, String(index))
      }
    }))

  it.effect("makes room for as many sessions as it removes", () =>
    Effect.gen(function*() {
      const backend = MemoryBackend.make(1)
      const full = { createdAt: 0, touchedAt: 0, expiresAt: 1_000, fields }
      assert.isTrue(yield* backend.create(keyOf(0), full))
      assert.strictEqual((yield* Effect.exit(backend.create(keyOf(1), full)))._tag, "Failure")
      yield* TestClock.setTime(1_000)
      yield* backend.sweep
      assert.isTrue(yield* backend.create(keyOf(1), full))
      assert.strictEqual((yield* Effect.exit(backend.create(keyOf(2), full)))._tag, "Failure")
    }))

  it.effect("goes by the times of the last touch", () =>
    Effect.gen(function*() {
      const backend = yield* backendWith(2, () => 1_000)
      yield* backend.touch(keyOf(1), { createdAt: 0, touchedAt: 500, expiresAt: 1_500 })
      yield* TestClock.setTime(1_000)
      yield* backend.sweep
      assert.isUndefined(yield* backend.load(keyOf(0)))
      assert.isDefined(yield* backend.load(keyOf(1)))
    }))

  it.effect("removes the entries of owners whose time is over, and lets others have a turn in between", () =>
    Effect.gen(function*() {
      const { owners, sweep } = MemoryBackend.make(100_000)
      const entryUntil = (until: number) => ({ key: keyOf(until), at: 0, until })
      for (let index = 0; index < 20_000; index++) {
        yield* owners.add(keyOf(index), entryUntil(1_000), undefined)
        if (index % 10 === 0) yield* owners.add(keyOf(index), entryUntil(1_001), undefined)
      }
      yield* TestClock.setTime(1_000)
      assert.isAtLeast(yield* turnsDuring(sweep), 2 * 26)
      for (let index = 0; index < 20_000; index++) {
        const left = index % 10 === 0 ? [entryUntil(1_001)] : []
        assert.deepStrictEqual(yield* owners.list(keyOf(index), 10), left)
      }
    }))

  for (const [what, expiresAt] of [["nothing", 1], ["everything", 0]] as const) {
    it.effect(`lets others have a turn after each Map of up to 4,096 sessions, where ${what} has expired`, () =>
      Effect.gen(function*() {
        const backend = yield* backendWith(20_000, () => expiresAt)
        // Each of them has room for 750 of the 20,000, and there are as many for the owners.
        assert.isAtLeast(yield* turnsDuring(backend.sweep), 2 * 26)
      }))
  }
})
