/**
 * Remembers destroyed and regenerated sessions for the cookie store: a cookie can't be revoked, so its id is remembered
 * until the cookie would have expired.
 */
import { isArrayNonEmpty } from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Persistence from "effect/persistence/Persistence"
import * as Schedule from "effect/Schedule"
import type { Watched } from "../../../SessionStore.ts"
import * as Meta from "../../record/meta.ts"
import * as Owner from "../../record/owner.ts"
import { endOfTime, type Fields } from "../../record/record.ts"
import * as Owners from "./owners.ts"

export interface Revocation {
  /** Until then, the session counts as recently regenerated. */
  readonly supersededUntil: number
  /** The key of the session under its new id, if it was regenerated: destroying the old one destroys this one. */
  readonly successor?: string | undefined
}

/** Keys are hashes of ids, and times are milliseconds since the epoch. */
export interface Revocations {
  readonly find: (key: string) => Effect.Effect<Revocation | undefined, unknown>
  /** The revocation of a session with these fields, including the end of all its owner's sessions. */
  readonly findFor: (key: string, fields: Fields) => Effect.Effect<Revocation | undefined, unknown>
  /** The revocations of several sessions. */
  readonly findAll: (
    sessions: ReadonlyArray<Watched>
  ) => Effect.Effect<ReadonlyArray<Revocation | undefined>, unknown>
  readonly add: (key: string, revocation: Revocation, until: number) => Effect.Effect<void, unknown>
}

interface Entry extends Revocation {
  readonly until: number
}

/**
 * In the memory of this process. When it is full, adding fails: forgetting one would let a copied cookie log in again.
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
  const find: Revocations["find"] = (key) => {
    const entry = entries.get(key)
    return entry === undefined ? notRevoked : Effect.succeed(entry)
  }
  const revocations: Revocations = {
    find,
    findFor: find,
    findAll: (sessions) => Effect.sync(() => sessions.map(({ key }) => entries.get(key))),
    add: (key, revocation, until) =>
      Effect.suspend(() => {
        if (entries.size >= capacity && !entries.has(key)) {
          return Effect.fail(new Error(`The memory for ended sessions is full: it holds ${capacity}`))
        }
        entries.set(key, { ...revocation, until })
        return Effect.void
      })
  }
  return revocations
})

/** The result for nearly every session. */
const notRevoked = Effect.succeed(undefined)

/** In a store that several processes share. */
export const shared = (store: Persistence.BackingPersistenceStore): Revocations => ({
  find: (key) => store.get(key) as Effect.Effect<Revocation | undefined, unknown>,
  findFor: (key, fields) => {
    const text = fields.get(Meta.owner)
    return text === undefined
      ? store.get(key) as Effect.Effect<Revocation | undefined, unknown>
      : Effect.map(findMany(store, [{ key, owner: text }]), ([found]) => found)
  },
  findAll: (sessions) => findMany(store, sessions),
  add: (key, revocation, until) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => store.set(key, revocation, until === endOfTime ? undefined : Duration.millis(Math.max(1, until - now)))
    )
})

/** With one lookup. */
const findMany = (store: Persistence.BackingPersistenceStore, sessions: ReadonlyArray<Watched>) => {
  const asked = sessions.map(({ key, owner: text }) => {
    const owner = text === undefined ? undefined : Owner.decode(text)
    return { mark: owner?.mark, keys: owner === undefined ? [key] : [key, ...Owners.keysOf(owner.id)] }
  })
  const keys = asked.flatMap(({ keys }) => keys)
  return isArrayNonEmpty(keys)
    ? Effect.map(store.getMany(keys), (found) => {
      let at = 0
      return asked.map(({ keys: { length }, mark }) => {
        const [revocation, all, others] = found.slice(at, at += length) as [Revocation?, Owners.Ending?, Owners.Ending?]
        return revocation ?? (Owners.isEnded(mark, { all, others }) ? withItsOwner : undefined)
      })
    })
    : Effect.succeed([])
}

/** A session that ended with all others of its owner has no successor. */
const withItsOwner: Revocation = { supersededUntil: 0 }
