/**
 * Which sessions were destroyed or regenerated, for the store whose records are out in cookies: a cookie can't be taken
 * back, so its id is remembered until the cookie would have expired anyway.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Persistence from "effect/persistence/Persistence"
import * as Schedule from "effect/Schedule"
import { endOfTime } from "../../record/record.ts"

export interface Revocation {
  /** Until then the session counts as regenerated a moment ago. */
  readonly supersededUntil: number
  /** The key of the session under its new id, if it was regenerated: who destroys the old one means this one. */
  readonly successor?: string | undefined
}

/** Keys are hashes of ids, moments are milliseconds since the epoch. */
export interface Revocations {
  readonly find: (key: string) => Effect.Effect<Revocation | undefined, unknown>
  readonly add: (key: string, revocation: Revocation, until: number) => Effect.Effect<void, unknown>
}

interface Entry extends Revocation {
  readonly until: number
}

/**
 * In the memory of this process. When it is full, adding fails: to forget one would let a copied cookie log in again.
 */
export const inMemory = Effect.fnUntraced(function*(capacity: number) {
  const entries = new Map<string, Entry>()
  const sweep = Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    let seen = 0
    for (const [key, { until }] of entries) {
      if (until <= now) entries.delete(key)
      if (++seen % 5_000 === 0) yield* Effect.yieldNow
    }
  })
  yield* Effect.forkScoped(Effect.repeat(sweep, Schedule.spaced("1 minute")))
  const revocations: Revocations = {
    find: (key) => {
      const entry = entries.get(key)
      return entry === undefined ? notRevoked : Effect.succeed(entry)
    },
    add: (key, revocation, until) =>
      Effect.suspend(() => {
        if (entries.size >= capacity && !entries.has(key)) {
          return Effect.fail(new Error(`It remembers ${capacity} ended sessions and is full`))
        }
        entries.set(key, { ...revocation, until })
        return Effect.void
      })
  }
  return revocations
})

/** For nearly every session. */
const notRevoked = Effect.succeed(undefined)

/** In a store that several processes share. */
export const shared = (store: Persistence.BackingPersistenceStore): Revocations => ({
  find: (key) => store.get(key) as Effect.Effect<Revocation | undefined, unknown>,
  add: (key, revocation, until) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => store.set(key, revocation, until === endOfTime ? undefined : Duration.millis(Math.max(1, until - now)))
    )
})
