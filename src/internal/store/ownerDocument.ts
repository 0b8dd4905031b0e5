/**
 * The entries of one owner as one JSON object that a person can read, for stores that keep whole documents.
 */
import * as Schema from "effect/Schema"
import type { OwnerEntry } from "../../SessionStore.ts"
import { endOfTime } from "../record/record.ts"
import * as Identifier from "../token/identifier.ts"
import type { Document } from "./document.ts"

/** Its key. No session has a key of this length. */
export const keyOf = (owner: string): string => `${prefix}${owner}`

export const isKey = (key: string): boolean => key.startsWith(prefix) && Identifier.isHash(key.slice(prefix.length))

const prefix = "owner-"

export const fromEntries = (entries: ReadonlyArray<OwnerEntry>): Document => ({
  sessions: Object.fromEntries(entries.map(({ at, key, until }) => [key, { at: toIso(at), until: toIso(until) }]))
})

/** Damaged entries are dropped. */
export const toEntries = (document: unknown): ReadonlyArray<OwnerEntry> => {
  if (!isDocument(document)) return []
  return Object.entries(document.sessions).flatMap(([key, times]) => {
    if (!Identifier.isHash(key) || !isTimes(times)) return []
    const entry = { key, at: Date.parse(times.at), until: Date.parse(times.until) }
    return Number.isNaN(entry.at + entry.until) ? [] : [entry]
  })
}

/** When the last of them has expired for every server. */
export const expiryOf = (entries: ReadonlyArray<OwnerEntry>): number =>
  entries.reduce((latest, entry) => Math.max(latest, forEverybody(entry)), 0)

/** Whether an entry has expired for every server. */
export const isOver = (entry: OwnerEntry, now: number): boolean => forEverybody(entry) <= now

/** Servers' clocks may differ by an hour: the session may still be alive for one that is behind. */
const forEverybody = ({ until }: OwnerEntry): number => Math.min(until + 3_600_000, endOfTime)

const toIso = (moment: number): string => new Date(moment).toISOString()

const isDocument = Schema.is(Schema.Struct({ sessions: Schema.Record(Schema.String, Schema.Unknown) }))

const isTimes = Schema.is(Schema.Struct({ at: Schema.String, until: Schema.String }))
