/**
 * The items of the table. Each session is one, and so is each entry in the index of owners.
 */
import type { OwnerEntry, SessionRecord, SupersededRecord } from "../../../SessionStore.ts"
import { endOfTime, type Fields } from "../../record/record.ts"
import { toField, toName } from "../../store/fieldName.ts"
import * as Identifier from "../../token/identifier.ts"
import type { Item, Value } from "./client.ts"

/** The table, according to the settings. */
export interface Table {
  readonly table: string
  readonly prefix: string
  readonly ttlAttribute: string
  readonly consistentRead: boolean
}

/** The attributes of the table's key: partition key and sort key. */
export const keySchema = ["id", "sort"] as const

/** The attributes of an item. The name of the one for the table's TTL is configurable. */
export const attributes: ReadonlyArray<string> = [
  ...keySchema,
  "createdAt",
  "touchedAt",
  "expiresAt",
  "lastCommit",
  "data",
  "supersededUntil",
  "successor"
]

/** The items of this table. */
export const forTable = ({ prefix, ttlAttribute }: Pick<Table, "prefix" | "ttlAttribute">) => {
  /** The key of a session's item. */
  const keyOf = (key: string): Item => ({ id: { S: prefix + key }, sort: ofSession })

  // Keys of sessions contain no colon.
  const partitionOf = (owner: string): Value => ({ S: `${prefix}owner:${owner}` })

  /** The key of an entry's item. */
  const keyOfEntry = (owner: string, entry: OwnerEntry): Item => ({ id: partitionOf(owner), sort: toSort(entry) })

  return {
    keyOf,
    partitionOf,
    keyOfEntry,
    /** The session's key, from its item. */
    toKey: (item: Item): string => (item["id"]?.S ?? "").slice(prefix.length),
    toItem: (key: string, record: SessionRecord, commit: string): Item => ({
      ...keyOf(key),
      createdAt: toNumber(record.createdAt),
      touchedAt: toNumber(record.touchedAt),
      expiresAt: toNumber(record.expiresAt),
      [ttlAttribute]: toTtl(record.expiresAt),
      lastCommit: { S: commit },
      data: toMap(record.fields)
    }),
    toMark: (key: string, { successor, supersededUntil }: SupersededRecord): Item => ({
      ...keyOf(key),
      supersededUntil: toNumber(supersededUntil),
      successor: { S: successor },
      [ttlAttribute]: toTtl(supersededUntil)
    }),
    toEntryItem: (owner: string, entry: OwnerEntry): Item => ({
      ...keyOfEntry(owner, entry),
      expiresAt: toNumber(entry.until),
      [ttlAttribute]: toTtl(entry.until)
    })
  }
}

const ofSession: Value = { S: "session" }

/** A key that is never used. */
export const neverThere = (prefix: string): Item => ({ id: { S: `${prefix}~` }, sort: ofSession })

// -----------------------------------------------------------------------------
// sessions
// -----------------------------------------------------------------------------

/** Identifies a commit, so that it is carried out once even if the SDK sends it twice. */
export const newCommit = (): string => Identifier.drawBytes(12).toString("base64url")

export const isOf = (item: Item | undefined, commit: string): boolean => item?.["lastCommit"]?.S === commit

export const isRecord = (stored: SessionRecord | SupersededRecord | undefined): stored is SessionRecord =>
  stored !== undefined && "fields" in stored

export const fromItem = (item: Item | undefined): SessionRecord | SupersededRecord | undefined => {
  if (item === undefined) return undefined
  const number = (name: string) => Number(item[name]?.N)
  const supersededUntil = number("supersededUntil")
  if (!Number.isNaN(supersededUntil)) return { supersededUntil, successor: item["successor"]?.S ?? "" }
  const times = { createdAt: number("createdAt"), touchedAt: number("touchedAt"), expiresAt: number("expiresAt") }
  const map = item["data"]?.M
  // A damaged item is not a session.
  if (map === undefined || item["lastCommit"] === undefined) return undefined
  if (Number.isNaN(times.createdAt + times.touchedAt + times.expiresAt)) return undefined
  return { ...times, fields: new Map(Object.entries(map).map(([name, value]) => [toField(name), toText(value)])) }
}

/** A session's item of which only some fields were read. Without any, the map is missing too. */
export const fromPart = (item: Item): SessionRecord | SupersededRecord | undefined =>
  fromItem({ data: { M: {} }, ...item })

export const toMap = (fields: Fields): Value => ({
  M: Object.fromEntries([...fields].map(([field, text]) => [toName(field), toValue(text)]))
})

/** Numbers are stored as numbers, because only those can be incremented in place. */
export const toValue = (text: string): Value => isNumber(Number(text), text) ? { N: text } : { S: text }

/** A missing value becomes text that is not JSON, which the key reports when it is read. */
const toText = ({ N, S }: Value): string => N === undefined ? S ?? "" : JSON.stringify(Number(N))

/** Whether DynamoDB can store the number and return the same text. */
const isNumber = (number: number, text: string): boolean =>
  JSON.stringify(number) === text && Number.isFinite(number) &&
  (number === 0 || Math.abs(number) >= 1e-130 && Math.abs(number) < 1e126)

export const toNumber = (value: number): Value => ({ N: JSON.stringify(value) })

/** In seconds, and an hour later, because DynamoDB compares it with its own clock. */
export const toTtl = (expiresAt: number): Value => toNumber(Math.ceil(expiresAt / 1000) + 3600)

export const itemLimit = 409_600

/** Roughly as DynamoDB counts: names and values in UTF-8, some bytes for a map, half a byte per digit. */
export const sizeOf = (item: Item): number =>
  Object.entries(item).reduce((size, [name, value]) => size + Buffer.byteLength(name) + sizeOfValue(value), 0)

const sizeOfValue = ({ M, N, S }: Value): number =>
  M !== undefined
    ? 3 + Object.keys(M).length + sizeOf(M)
    : N !== undefined
    ? 1 + Math.ceil(N.replaceAll(/^-?[0.]*|e.*$|\D/g, "").length / 2)
    : Buffer.byteLength(S ?? "")

// -----------------------------------------------------------------------------
// entries
// -----------------------------------------------------------------------------

/** Sorts by time, then by key. A list is read backwards. */
const toSort = ({ at, key }: OwnerEntry): Value => ({ S: `${String(at).padStart(digits, "0")}.${key}` })

const digits = String(endOfTime).length

/** `undefined` if it is not one. */
export const toEntry = (item: Item): OwnerEntry | undefined => {
  const [, at, key] = /^(\d{16})\.(.+)$/.exec(item["sort"]?.S ?? "") ?? []
  const until = Number(item["expiresAt"]?.N)
  if (at === undefined || key === undefined || Number.isNaN(until)) return undefined
  return { key, at: Number(at), until }
}
