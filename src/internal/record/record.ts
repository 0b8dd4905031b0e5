/**
 * What is stored of one session: three times and the fields.
 *
 * A field's value is JSON text and not a parsed value: text is immutable, is what most stores hold anyway, and is parsed only
 * when the key is read.
 */
import type { Json } from "effect/Schema"
import { linesOf } from "./lazyFields.ts"
import { endOfLine } from "./lines.ts"
import { TextFields } from "./textFields.ts"

/** Moments are milliseconds since the epoch. */
export interface Times {
  readonly createdAt: number
  /** The last time a request extended the session's life. */
  readonly touchedAt: number
  /** From this moment on, the session has expired. */
  readonly expiresAt: number
}

/** The name of each field and the JSON text of its value. */
export type Fields = ReadonlyMap<string, string>

export interface SessionRecord extends Times {
  readonly fields: Fields
}

/** The last moment that a `Date` can hold: what "never" means in a record. */
export const endOfTime = 8_640_000_000_000_000

// Names that begin with a tilde are reserved for the library, so a key whose name does gets a second tilde.

export const isReserved = (name: string): boolean => name.charCodeAt(0) === tilde
const tilde = 126

export const fieldOfKey = (name: string): string => isReserved(name) ? `~${name}` : name

export const keyOfField = (field: string): string | undefined =>
  !isReserved(field) ? field : field.charCodeAt(1) === tilde ? field.slice(1) : undefined

/** The value of a field's text, `undefined` if the text is damaged. */
export const parse = (text: string): Json | undefined => {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

/** The maximum depth of lists and objects, because functions on values are recursive. */
export const deepest = 500

/** Whether a value is deeper than that, as a circular one is. */
export const isTooDeep = (value: unknown, left: number = deepest): boolean =>
  typeof value === "object" && value !== null &&
  (left === 0 || Object.values(value).some((part) => isTooDeep(part, left - 1)))

export const howDeep = `Expected at most ${deepest} levels of lists and objects`

/** One line for the times, then the lines of the fields, as a flat string. */
export const encode = (record: SessionRecord): string => [encodeTimes(record), linesOf(record.fields)].join("")

export const encodeTimes = ({ createdAt, expiresAt, touchedAt }: Times): string =>
  `${createdAt} ${touchedAt} ${expiresAt}`

/** The inverse of {@link encode}, for text that this library wrote; anything else may throw. */
export const decode = (text: string): SessionRecord => {
  const first = text.indexOf(" ")
  const second = text.indexOf(" ", first + 1)
  const end = endOfLine(text, second)
  return {
    createdAt: numberAt(text, 0, first),
    touchedAt: numberAt(text, first + 1, second),
    expiresAt: numberAt(text, second + 1, end),
    fields: new TextFields(text, end)
  }
}

/** Reads only when the record expires. */
export const decodeExpiry = (text: string): number => {
  const end = endOfLine(text, 0)
  return numberAt(text, text.lastIndexOf(" ", end) + 1, end)
}

/** Reads whole numbers digit by digit: a sweep reads a million of them, and slices would be garbage. */
const numberAt = (text: string, start: number, end: number): number => {
  let number = 0
  for (let at = start; at < end; at++) {
    const digit = text.charCodeAt(at) - zero
    if (digit < 0 || digit > 9) return Number(text.slice(start, end))
    number = 10 * number + digit
  }
  return number
}
const zero = 48
