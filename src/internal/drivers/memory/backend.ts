/**
 * The back end in memory: one string per session.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Backend, Conflict, OwnerIndex, SupersededRecord } from "../../../SessionStore.ts"
import * as Change from "../../record/change.ts"
import * as Record from "../../record/record.ts"
import * as TextMerge from "../../record/textMerge.ts"
import { conflict } from "../../store/answers.ts"
import * as Peek from "../../store/peek.ts"
import * as MemoryIndex from "./ownerIndex.ts"
import * as SmallMaps from "./smallMaps.ts"

// A record is just its text, which includes the times. An object around it would add a fifth to a session of 300 bytes, and a
// Map of the fields several times that.
type Entry = string | SupersededRecord

const isRecord = (entry: Entry | undefined): entry is string => typeof entry === "string"

export interface MemoryBackend extends Backend {
  readonly owners: OwnerIndex
  /** Removes what has expired. */
  readonly sweep: Effect.Effect<void>
}

export const make = (capacity: number): MemoryBackend => {
  const entries = SmallMaps.make<Entry>(capacity)
  const index = MemoryIndex.make(capacity)
  const put = (key: string, record: Record.SessionRecord) => entries.set(key, Record.encode(record))
  const mergeInto = (key: string, change: Change.Change, times: Record.Times) => {
    const text = entries.get(key)
    if (!isRecord(text)) return false
    if (change.expect.size > 0) {
      const stored = Record.decode(text)
      if (!Change.isExpected(stored.fields, change.expect)) return conflict(stored)
    }
    entries.set(key, TextMerge.merge(text, change, times))
    return true
  }
  const load = (key: string) => {
    const entry = entries.get(key)
    return isRecord(entry) ? Record.decode(entry) : entry
  }
  const full = new Error(`The store is full: it holds ${capacity} sessions`)
  return {
    driver: "memory",
    keepsTimeLimit: true,
    load: (key) => Effect.sync(() => load(key)),
    peek: (keys, fields) =>
      Effect.sync(() =>
        new Map(keys.flatMap((key) => {
          const stored = load(key)
          return stored === undefined ? [] : [[key, Peek.only(stored, fields)]]
        }))
      ),
    create: (key, record) =>
      Effect.suspend(() => {
        if (entries.get(key) !== undefined) return Effect.succeed(false)
        if (entries.size() >= capacity) return Effect.fail(full)
        put(key, record)
        return Effect.succeed(true)
      }),
    update: (key, change, times) => Effect.sync(() => mergeInto(key, change, times)),
    touch: (key, times) => Effect.sync(() => mergeInto(key, Change.onlyTouch, times) === true),
    supersede: (key, mark, expected) =>
      Effect.sync(() => {
        const text = entries.get(key)
        if (!isRecord(text)) return undefined
        const stored = Record.decode(text)
        if (!Change.isSame(stored.fields, expected)) return conflict(stored)
        entries.set(key, mark)
        return stored
      }),
    regenerate: (key, newKey, record, mark, expected) =>
      Effect.suspend((): Effect.Effect<boolean | "taken" | Conflict, Error> => {
        if (entries.get(newKey) !== undefined) return Effect.succeed("taken")
        const text = entries.get(key)
        if (!isRecord(text)) return Effect.succeed(false)
        const stored = Record.decode(text)
        if (!Change.isSame(stored.fields, expected)) return Effect.succeed(conflict(stored))
        if (entries.size() >= capacity) return Effect.fail(full)
        put(newKey, { ...record, expiresAt: Math.max(record.expiresAt, stored.expiresAt) })
        entries.set(key, mark)
        return Effect.succeed(true)
      }),
    destroy: (key) =>
      Effect.sync(() => {
        const entry = entries.get(key)
        if (entry !== undefined && !isRecord(entry)) return entry
        entries.delete(key)
        return undefined
      }),
    owners: {
      ...index,
      bury: (key, mark) => Effect.sync(() => entries.set(key, mark))
    },
    sweep: Effect.andThen(sweep(entries), index.sweep)
  }
}

/** Removes the expired. */
const sweep = (entries: SmallMaps.SmallMaps<Entry>): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    SmallMaps.forEach(entries, (entry, key) => {
      if (expiryOf(entry) <= now) entries.delete(key)
    }))

const expiryOf = (entry: Entry): number => isRecord(entry) ? Record.decodeExpiry(entry) : entry.supersededUntil
