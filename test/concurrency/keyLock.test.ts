/**
 * One at a time for each key.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, References } from "effect"
import { TestClock } from "effect/testing"
import * as KeyLock from "../../src/internal/concurrency/keyLock.ts"
import * as TimeLimit from "../../src/internal/concurrency/timeLimit.ts"

/** A lock, and how many keys it holds: it keeps them in a Map, which it makes when it is made. */
const watchedLock = () => {
  const { Map } = globalThis
  const maps: Array<Map<unknown, unknown>> = []
  globalThis.Map = class<K, V> extends Map<K, V> {
    constructor() {
      super()
      maps.push(this)
    }
  } as typeof Map
  try {
    const locked = KeyLock.make()
    assert.lengthOf(maps, 1)
    return { locked, keys: () => maps[0]!.size }
  } finally {
    globalThis.Map = Map
  }
}

/** Counts who is inside, and how many were at most at the same time. */
const room = () => {
  let inside = 0
  let most = 0
  const enter = Effect.gen(function*() {
    most = Math.max(most, ++inside)
    yield* Effect.yieldNow
    yield* Effect.yieldNow
    inside--
  })
  return { enter, most: () => most }
}

describe("a lock with keys", () => {
  it.effect("lets one in at a time for each key, and loses nothing", () =>
    Effect.gen(function*() {
      const { locked } = watchedLock()
      const counts: Record<string, number> = { a: 0, b: 0, c: 0 }
      const keys = Array.from({ length: 300 }, (_, index) => "abc"[index % 3]!)
      yield* Effect.forEach(keys, (key) =>
        locked(key)(Effect.gen(function*() {
          const before = counts[key]!
          yield* Effect.yieldNow
          counts[key] = before + 1
        })), { concurrency: "unbounded" })
      assert.deepStrictEqual(counts, { a: 100, b: 100, c: 100 })
    }))

  it.effect("lets others in at the same time", () =>
    Effect.gen(function*() {
      const { locked } = watchedLock()
      const same = room()
      const others = room()
      yield* Effect.forEach(["a", "a", "a"], (key) => locked(key)(same.enter), { concurrency: "unbounded" })
      yield* Effect.forEach(["a", "b", "c"], (key) => locked(key)(others.enter), { concurrency: "unbounded" })
      assert.deepStrictEqual([same.most(), others.most()], [1, 3])
    }))

  it.effect("lets in whoever has waited for as long as their patience lasts, and one at a time again afterwards", () =>
    Effect.gen(function*() {
      const { keys, locked } = watchedLock()
      const patience = TimeLimit.make(Duration.seconds(5))
      const release = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(locked("a", patience)(Deferred.await(release)))
      yield* Effect.yieldNow
      const others = yield* Effect.forkChild(
        Effect.replicateEffect(locked("a", patience)(Effect.succeed("in")), 20, { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(others.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(yield* Fiber.join(others), 20)
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(first)
      assert.strictEqual(keys(), 0)
      const { enter, most } = room()
      yield* Effect.replicateEffect(locked("a", patience)(enter), 5, { concurrency: "unbounded" })
      assert.strictEqual(most(), 1)
    }))

  it.effect("lets them in in the order in which they came", () =>
    Effect.gen(function*() {
      const { locked } = watchedLock()
      const order: Array<number> = []
      yield* Effect.forEach(
        Array.from({ length: 20 }, (_, index) => index),
        (index) => locked("key")(Effect.andThen(Effect.yieldNow, Effect.sync(() => order.push(index)))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(order, order.toSorted((one, other) => one - other))
      assert.lengthOf(order, 20)
    }))

  it.effect("gives back what was inside: a value, an error, a defect", () =>
    Effect.gen(function*() {
      const { keys, locked } = watchedLock()
      assert.strictEqual(yield* locked("key")(Effect.succeed("value")), "value")
      assert.deepStrictEqual(yield* Effect.exit(locked("key")(Effect.fail("error"))), Exit.fail("error"))
      assert.deepStrictEqual(yield* Effect.exit(locked("key")(Effect.die("defect"))), Exit.die("defect"))
      assert.strictEqual(keys(), 0)
    }))

  it.effect("forgets a key that nobody uses any more", () =>
    Effect.gen(function*() {
      const { keys, locked } = watchedLock()
      const leave = yield* Deferred.make<void>()
      const names = Array.from({ length: 1_000 }, (_, index) => `key ${index % 100}`)
      const fibers = yield* Effect.forEach(names, (name) => Effect.forkChild(locked(name)(Deferred.await(leave))))
      yield* Effect.yieldNow
      assert.strictEqual(keys(), 100)
      yield* Deferred.succeed(leave, undefined)
      yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(keys(), 0)
    }))

  it.effect("who waits and is interrupted leaves the place to the next one", () =>
    Effect.gen(function*() {
      const { keys, locked } = watchedLock()
      const leave = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(locked("key")(Deferred.await(leave)), { startImmediately: true })
      const second = yield* Effect.forkChild(locked("key")(Effect.die("never inside")), { startImmediately: true })
      const third = yield* Effect.forkChild(locked("key")(Effect.succeed("third")), { startImmediately: true })
      yield* Fiber.interrupt(second)
      yield* Deferred.succeed(leave, undefined)
      yield* Fiber.join(first)
      assert.strictEqual(yield* Fiber.join(third), "third")
      assert.strictEqual(keys(), 0)
    }))

  it.effect("who is inside and is interrupted opens the door", () =>
    Effect.gen(function*() {
      const { keys, locked } = watchedLock()
      const first = yield* Effect.forkChild(locked("key")(Effect.never), { startImmediately: true })
      const second = yield* Effect.forkChild(locked("key")(Effect.succeed("second")), { startImmediately: true })
      yield* Fiber.interrupt(first)
      assert.strictEqual(yield* Fiber.join(second), "second")
      assert.strictEqual(keys(), 0)
    }))

  it.effect("wherever an interruption comes, no key is left over and the door opens", () =>
    Effect.gen(function*() {
      const { keys, locked } = watchedLock()
      // A fiber that gives way after a few operations can be interrupted between any two of them.
      for (let operations = 3; operations <= 8; operations++) {
        const slowly = Effect.provideService(References.MaxOpsBeforeYield, operations)
        for (let steps = 0; steps < 60; steps++) {
          const users = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(slowly(locked("key")(Effect.yieldNow))))
          for (let step = 0; step < steps; step++) yield* Effect.yieldNow
          yield* Effect.forEach(users, Fiber.interrupt)
          assert.strictEqual(yield* locked("key")(Effect.succeed("open")), "open")
          assert.strictEqual(keys(), 0, `${operations} operations, ${steps} steps`)
        }
      }
    }))
})
