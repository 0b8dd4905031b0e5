/**
 * What is stored of one session: three times and the fields.
 *
 * A field's value is JSON text, not a parsed value: it is immutable, can't be shared by accident, is what most stores
 * hold anyway, and is parsed only when somebody reads the key.
 */
import type { Json } from "effect/Schema"

/** Moments are milliseconds since the epoch. */
export interface Times {
  readonly createdAt: number
  /** The last time a request extended the session's life. */
  readonly touchedAt: number
  /** From this moment on the session is gone. */
  readonly expiresAt: number
}

/** The name of each field and the JSON text of its value. */
export type Fields = ReadonlyMap<string, string>

export interface SessionRecord extends Times {
  readonly fields: Fields
}

/** The last moment that a `Date` can hold: what "never" means in a record. */
export const endOfTime = 8_640_000_000_000_000

// Names that begin with a tilde are the library's own, so a session key that does so gets a second one.

export const isReserved = (name: string): boolean => name.charCodeAt(0) === tilde
const tilde = 126

export const fieldOfKey = (name: string): string => isReserved(name) ? `~${name}` : name

export const keyOfField = (field: string): string | undefined =>
  !isReserved(field) ? field : field.charCodeAt(1) === tilde ? field.slice(1) : undefined

/** The value of a field's text; nothing if that is not JSON, as somebody has damaged it. */
export const parse = (text: string): Json | undefined => {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

/** More levels of lists and objects than this are not stored: whatever works on values goes down by recursion. */
export const deepest = 500

/** Whether a value has more levels; so has one that contains itself. */
export const isTooDeep = (value: unknown, left: number = deepest): boolean =>
  typeof value === "object" && value !== null &&
  (left === 0 || Object.values(value).some((part) => isTooDeep(part, left - 1)))

export const howDeep = `Expected at most ${deepest} levels of lists and objects`

/** One line for the times, then a line for each field's name and one for its value: JSON text has no line breaks. */
export const encode = (record: SessionRecord): string => {
  const lines = [`${record.createdAt} ${record.touchedAt} ${record.expiresAt}`]
  for (const [name, value] of record.fields) {
    lines.push(isPlain.test(name) ? name : JSON.stringify(name), value)
  }
  // Joined, it is one string. With "+=" it would be a tree of many, which takes three times the memory while it is kept.
  return lines.join("\n")
}

/** The inverse of {@link encode}, for text that this library wrote; anything else may throw. */
export const decode = (text: string): SessionRecord => {
  const lines = text.split("\n")
  const [createdAt, touchedAt, expiresAt] = lines[0]!.split(" ")
  const fields = new Map<string, string>()
  for (let index = 1; index < lines.length; index += 2) {
    const name = lines[index]!
    fields.set(name.startsWith("\"") ? JSON.parse(name) : name, lines[index + 1]!)
  }
  return { createdAt: Number(createdAt), touchedAt: Number(touchedAt), expiresAt: Number(expiresAt), fields }
}

/** Names that need no quotes to be told from those that have them, and no escapes. */
const isPlain = /^[\w.~-]+$/
