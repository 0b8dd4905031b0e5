/**
 * A back end made of the four functions read, write, destroy and touch. It merges by reading and writing, one request at a time
 * for each key.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Backend, Conflict, Driver, OwnerEntry, OwnerIndex } from "../../SessionStore.ts"
import * as KeyLock from "../concurrency/keyLock.ts"
import * as Change from "../record/change.ts"
import type { Fields, SessionRecord } from "../record/record.ts"
import { conflict, isConflict } from "./answers.ts"
import * as Document from "./document.ts"
import * as OwnerDocument from "./ownerDocument.ts"
import * as Entries from "./ownerEntries.ts"
import * as Peek from "./peek.ts"

export interface DriverBackend extends Backend {
  readonly owners: OwnerIndex
}

export const make = (driver: Driver, locked: KeyLock.KeyLock = KeyLock.make()): DriverBackend => {
  const load = (key: string) =>
    Effect.map(driver.read(key), (document) => document == null ? undefined : Document.toRecord(document))
  const write = (key: string, record: SessionRecord) => driver.write(key, Document.fromRecord(record), record.expiresAt)

  /** Applies `f` to the record if it is as expected, and returns the record as it was. */
  const modify = (
    key: string,
    isExpected: (fields: Fields) => boolean,
    f: (record: SessionRecord) => Effect.Effect<void, unknown>
  ): Effect.Effect<SessionRecord | Conflict | undefined, unknown> =>
    locked(key)(
      Effect.flatMap(load(key), (stored): Effect.Effect<SessionRecord | Conflict | undefined, unknown> =>
        stored === undefined || "supersededUntil" in stored
          ? Effect.undefined
          : isExpected(stored.fields)
          ? Effect.as(f(stored), stored)
          : Effect.succeed(conflict(stored)))
    )

  return {
    driver: driver.driver ?? "custom",
    load,
    create: (key, record) =>
      locked(key)(
        Effect.flatMap(driver.read(key), (document) =>
          document == null ? Effect.as(write(key, record), true) : Effect.succeed(false))
      ),
    update: (key, change, times) =>
      Effect.map(
        modify(key, (fields) =>
          Change.isExpected(fields, change.expect), (stored) =>
          write(key, Change.merge(stored, change, times))),
        (stored) =>
          isConflict(stored) ? stored : stored !== undefined
      ),
    touch: (key, times) =>
      Effect.map(
        modify(key, () => true, (stored) => {
          const touched = Change.merge(stored, Change.onlyTouch, times)
          return driver.touch(key, Document.fromRecord(touched), touched.expiresAt)
        }),
        (stored) => stored !== undefined
      ),
    supersede: (key, mark, expected) =>
      modify(
        key,
        (fields) => Change.isSame(fields, expected),
        () => driver.write(key, Document.fromMark(mark), mark.supersededUntil)
      ),
    destroy: (key) =>
      locked(key)(
        Effect.flatMap(load(key), (stored) =>
          stored !== undefined && "successor" in stored
            ? Effect.succeed(stored)
            : Effect.as(driver.destroy(key), undefined))
      ),
    // In turn, because a store may return a value while it is being written.
    peek: Peek.oneByOne((key) => locked(key)(load(key))),
    owners: {
      ...ownerIndex(driver, locked),
      bury: (key, mark) => locked(key)(driver.write(key, Document.fromMark(mark), mark.supersededUntil))
    }
  }
}

/** One document for each owner, read and written one request at a time, like that of a session. */
const ownerIndex = (driver: Driver, locked: KeyLock.KeyLock): Omit<OwnerIndex, "bury"> => {
  const read = (owner: string) =>
    Effect.map(driver.read(OwnerDocument.keyOf(owner)), (document) => OwnerDocument.toEntries(document))

  const write = (owner: string, entries: ReadonlyArray<OwnerEntry>) => {
    const key = OwnerDocument.keyOf(owner)
    return entries.length === 0
      ? driver.destroy(key)
      : driver.write(key, OwnerDocument.fromEntries(entries), OwnerDocument.expiryOf(entries))
  }

  const inTurn = (owner: string) => locked(OwnerDocument.keyOf(owner))

  /** Writes the result of `f` on the entries, without those that have expired for every server, and returns it. */
  const modify = (owner: string, f: (entries: ReadonlyArray<OwnerEntry>) => ReadonlyArray<OwnerEntry>) =>
    inTurn(owner)(
      Effect.flatMap(Effect.zip(read(owner), Clock.currentTimeMillis), ([entries, now]) => {
        const next = f(entries).filter((entry) => !OwnerDocument.isOver(entry, now))
        return Effect.as(write(owner, next), next)
      })
    )

  return {
    add: (owner, entry, limit) =>
      Effect.map(
        modify(owner, (entries) => [...entries.filter(({ key }) => key !== entry.key), entry]),
        (entries) => limit !== undefined && entries.length > limit
      ),
    list: (owner, limit, after) =>
      Effect.map(inTurn(owner)(read(owner)), (entries) => Entries.page(entries, limit, after)),
    remove: (owner, removed) =>
      modify(owner, (entries) => entries.filter((entry) => !removed.some((one) => isSame(one, entry))))
  }
}

/** An entry of the same session that was added in the meantime is a different one. */
const isSame = (one: OwnerEntry, other: OwnerEntry): boolean =>
  one.key === other.key && one.at === other.at && one.until === other.until
