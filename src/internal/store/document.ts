/**
 * A record as one JSON object that a person can read, for stores that keep whole documents.
 */
import * as Schema from "effect/Schema"
import type { SupersededRecord } from "../../SessionStore.ts"
import type { SessionRecord } from "../record/record.ts"

export type Document = Schema.JsonObject

export const fromRecord = ({ createdAt, expiresAt, fields, touchedAt }: SessionRecord): Document => ({
  createdAt: toIso(createdAt),
  touchedAt: toIso(touchedAt),
  expiresAt: toIso(expiresAt),
  data: Object.fromEntries([...fields].map(([name, text]) => [name, JSON.parse(text) as Schema.Json]))
})

export const fromMark = ({ successor, supersededUntil }: SupersededRecord): Document => ({
  supersededUntil: toIso(supersededUntil),
  successor
})

/** A damaged document is not a session. */
export const toRecord = (document: unknown): SessionRecord | SupersededRecord | undefined => {
  if (isMark(document)) {
    return { supersededUntil: Date.parse(document.supersededUntil), successor: document.successor }
  }
  if (!isSession(document)) return undefined
  const times = {
    createdAt: Date.parse(document.createdAt),
    touchedAt: Date.parse(document.touchedAt),
    expiresAt: Date.parse(document.expiresAt)
  }
  if (Number.isNaN(times.createdAt + times.touchedAt + times.expiresAt)) return undefined
  return {
    ...times,
    fields: new Map(Object.entries(document.data).map(([name, value]) => [name, JSON.stringify(value)]))
  }
}

const toIso = (moment: number): string => new Date(moment).toISOString()

const isMark = Schema.is(Schema.Struct({ supersededUntil: Schema.String, successor: Schema.String }))

const isSession = Schema.is(
  Schema.Struct({
    createdAt: Schema.String,
    touchedAt: Schema.String,
    expiresAt: Schema.String,
    data: Schema.JsonObject
  })
)
