/**
 * The memory that docs/production/redis.md says a session takes is what Redis says.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { RedisLayer, Session, SessionConfig, SessionKey, Sessions } from "effect-session"
import { shared, startRedis } from "../support/redisServer.ts"
import { rowsBehind } from "../support/tables.ts"

const Text = SessionKey.make("text", Schema.String)

const redis = shared(startRedis())

const store = Layer.unwrap(Effect.sync(() => RedisLayer.layer({ url: redis().url }))).pipe(
  Layer.provideMerge(SessionConfig.layer({ secret: "for tests only, thirty-two characters" }))
)

/** How many bytes all keys take. */
const memory = Effect.gen(function*() {
  const keys = yield* redis().command<ReadonlyArray<string>>("KEYS", "*")
  const sizes = yield* Effect.forEach(keys, (key) => redis().command<number>("MEMORY", "USAGE", key, "SAMPLES", "0"))
  return sizes.reduce((total, size) => total + size, 0)
})

/** How many bytes the session takes that the effect makes. */
const memoryOf = (make: Effect.Effect<unknown, unknown, Session.Session>) =>
  Effect.gen(function*() {
    yield* redis().command("FLUSHALL")
    yield* Sessions.create(make)
    return yield* memory
  }).pipe(Effect.provide(store))

/** Versions of Redis differ by some bytes. */
const near = (expected: number, bytes: number) => assert.closeTo(bytes, expected, expected / 5)

const numberIn = (cell = "") => Number.parseInt(cell.replace(",", ""), 10)

describe("docs/production/redis.md", () => {
  const [, , ...rows] = rowsBehind("production/redis.md", "memory")

  it("has some sizes", () => assert.isAtLeast(rows.length, 3))

  for (const [json, visitor, loggedIn] of rows) {
    it.live(`a session with ${json} takes what is said`, () =>
      Effect.gen(function*() {
        const fill = Session.put(Text, "x".repeat(numberIn(json) - `{"text":""}`.length))
        near(numberIn(visitor), yield* memoryOf(fill))
        near(numberIn(loggedIn), yield* memoryOf(Effect.andThen(fill, Session.login("ada"))))
      }))
  }
})
