/**
 * The back end in memory: one text for each session.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Backend, Conflict, SupersededRecord } from "../../../SessionStore.ts"
import * as Change from "../../record/change.ts"
import * as Record from "../../record/record.ts"
import { conflict } from "../../store/answers.ts"

// A record is kept as one text: a Map for each of a million sessions would take several times what is in it.
type Entry =
  | { readonly _tag: "Record"; readonly expiresAt: number; readonly text: string }
  | { readonly _tag: "Superseded"; readonly expiresAt: number; readonly mark: SupersededRecord }

export interface MemoryBackend extends Backend {
  /** Removes what has expired. */
  readonly sweep: Effect.Effect<void>
}

export const make = (capacity: number): MemoryBackend => {
  const entries = new Map<string, Entry>()
  const recordAt = (key: string) => {
    const entry = entries.get(key)
    return entry?._tag === "Record" ? Record.decode(entry.text) : undefined
  }
  const put = (key: string, record: Record.SessionRecord) =>
    entries.set(key, { _tag: "Record", expiresAt: record.expiresAt, text: Record.encode(record) })
  const mergeInto = (key: string, change: Change.Change, times: Record.Times) => {
    const stored = recordAt(key)
    if (stored === undefined) return false
    if (!Change.isExpected(stored.fields, change.expect)) return conflict(stored)
    put(key, Change.merge(stored, change, times))
    return true
  }
  const full = new Error(`It holds ${capacity} sessions and is full`)
  return {
    driver: "memory",
    keepsTimeLimit: true,
    load: (key) =>
      Effect.sync(() => {
        const entry = entries.get(key)
        return entry?._tag === "Superseded" ? entry.mark : recordAt(key)
      }),
    create: (key, record) =>
      Effect.suspend(() => {
        if (entries.has(key)) return Effect.succeed(false)
        if (entries.size >= capacity) return Effect.fail(full)
        put(key, record)
        return Effect.succeed(true)
      }),
    update: (key, change, times) => Effect.sync(() => mergeInto(key, change, times)),
    touch: (key, times) => Effect.sync(() => mergeInto(key, Change.onlyTouch, times) === true),
    supersede: (key, mark, expected) =>
      Effect.sync(() => {
        const stored = recordAt(key)
        if (stored === undefined) return undefined
        if (!Change.isSame(stored.fields, expected)) return conflict(stored)
        entries.set(key, { _tag: "Superseded", expiresAt: mark.supersededUntil, mark })
        return stored
      }),
    regenerate: (key, newKey, record, mark, expected) =>
      Effect.suspend((): Effect.Effect<boolean | "taken" | Conflict, Error> => {
        if (entries.has(newKey)) return Effect.succeed("taken")
        const stored = recordAt(key)
        if (stored === undefined) return Effect.succeed(false)
        if (!Change.isSame(stored.fields, expected)) return Effect.succeed(conflict(stored))
        if (entries.size >= capacity) return Effect.fail(full)
        put(newKey, { ...record, expiresAt: Math.max(record.expiresAt, stored.expiresAt) })
        entries.set(key, { _tag: "Superseded", expiresAt: mark.supersededUntil, mark })
        return Effect.succeed(true)
      }),
    destroy: (key) =>
      Effect.sync(() => {
        const entry = entries.get(key)
        if (entry?._tag === "Superseded") return entry.mark
        entries.delete(key)
        return undefined
      }),
    sweep: sweep(entries)
  }
}

/** Removes the expired, a few thousand at a time, so that requests are served in between. */
const sweep = Effect.fnUntraced(function*(entries: Map<string, Entry>) {
  const now = yield* Clock.currentTimeMillis
  let seen = 0
  for (const [key, { expiresAt }] of entries) {
    if (expiresAt <= now) entries.delete(key)
    if (++seen % 5_000 === 0) yield* Effect.yieldNow
  }
})
