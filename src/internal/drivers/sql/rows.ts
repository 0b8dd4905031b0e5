/**
 * The content of a row. The fields are one JSON object whose values are strings: the JSON texts of the fields. So a database that
 * supports JSON can change one of them without the others, and texts come out exactly as they went in.
 */
import type { SupersededRecord } from "../../../SessionStore.ts"
import { type Fields, parse, type SessionRecord } from "../../record/record.ts"
import { toField, toName } from "../../store/fieldName.ts"

export interface Row {
  // A client may return a BIGINT as text or as a bigint.
  readonly created_at: unknown
  readonly touched_at: unknown
  readonly expires_at: unknown
  readonly superseded_until: unknown
  readonly fields: string
}

export type Stored = SessionRecord | SupersededRecord | undefined

/** A damaged row is not a session. */
export const fromRow = (row: Row | undefined): Stored => {
  if (row === undefined) return undefined
  const content = parse(row.fields)
  if (row.superseded_until !== null) {
    return typeof content === "string"
      ? { supersededUntil: Number(row.superseded_until), successor: content }
      : undefined
  }
  const fields = toFields(content)
  return fields && {
    createdAt: Number(row.created_at),
    touchedAt: Number(row.touched_at),
    expiresAt: Number(row.expires_at),
    fields
  }
}

/** The session of a row, if it is one. */
export const toSession = (row: Row | undefined): SessionRecord | undefined => {
  const stored = fromRow(row)
  return stored === undefined || "supersededUntil" in stored ? undefined : stored
}

const toFields = (content: unknown): Fields | undefined => {
  if (typeof content !== "object" || content === null || Array.isArray(content)) return undefined
  const fields = new Map<string, string>()
  for (const name of Object.keys(content)) {
    const text: unknown = Reflect.get(content, name)
    if (typeof text !== "string") return undefined
    fields.set(toField(name), text)
  }
  return fields
}

/** Fields to remove are `null` in the object. */
export const toText = (fields: Fields, removed?: ReadonlySet<string>): string => {
  const content: Record<string, string | null> = {}
  fields.forEach((text, field) => {
    content[toName(field)] = text
  })
  removed?.forEach((field) => {
    content[toName(field)] = null
  })
  return JSON.stringify(content)
}

/** The mark of a superseded session has its successor instead of fields. */
export const toMark = (successor: string): string => JSON.stringify(successor)

/**
 * Repeats the last one up to a power of two, so that there are only a few texts of a statement and not one for each number of
 * values: a client prepares and keeps each text.
 */
export const roundedUp = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> => {
  const length = 2 ** Math.ceil(Math.log2(values.length))
  return Array.from({ length }, (_, index) => values[Math.min(index, values.length - 1)]!)
}
