/**
 * Flash messages: what one request leaves for the next.
 *
 * Each request flashes into one field with a unique name. The request that finds such fields removes exactly those, so
 * messages that another request leaves in the meantime are not lost.
 */
import type { Json, JsonObject } from "effect/Schema"
import { mayHave } from "./lazyFields.ts"
import { type Fields, isTooDeep, parse } from "./record.ts"

// Its JSON encoding is identical.
const prefix = "~flash:"

/** A unique field name that sorts by time. */
export const fieldName = (now: number): string =>
  `${prefix}${now.toString(36).padStart(9, "0")}${Math.random().toString(36).slice(2, 8)}`

/** The fields that hold messages, by time. Usually there are none, and every request that uses its session looks. */
export const fieldsOf = (fields: Fields): ReadonlyArray<string> =>
  mayHave(fields, prefix) ? [...fields.keys()].filter((field) => field.startsWith(prefix)).toSorted() : none

const none: ReadonlyArray<string> = []

/** The messages in these fields; later ones override earlier ones. */
export const messagesIn = (fields: Fields, names: ReadonlyArray<string>): JsonObject =>
  merge(names.map((name) => fields.get(name) ?? "{}"))

// Damaged fields are not messages.
const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Everything that one request flashes, last first. */
export interface Messages {
  /** An object of messages by name, as JSON text. */
  readonly text: string
  /** Whether these are the fields of a form, some of which may be left out. */
  readonly isForm?: boolean
  readonly before: Messages | undefined
}

export const encode = (messages: Messages): string => {
  if (messages.before === undefined) return messages.text
  const texts: Array<string> = []
  for (let one: Messages | undefined = messages; one !== undefined; one = one.before) texts.push(one.text)
  // A Map, because the cost per name of a plain object grows with its size.
  const values = new Map(texts.toReversed().flatMap(entriesOf))
  return `{${Array.from(values, ([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`
}

/** At least the length of the encoded messages, in UTF-16 units. */
export const lengthAtMost = (messages: Messages): number => {
  let length = 0
  for (let one: Messages | undefined = messages; one !== undefined; one = one.before) length += one.text.length
  return length
}

// Unlike an assignment, this treats `__proto__` like any other name.
const merge = (texts: ReadonlyArray<string>): JsonObject => Object.fromEntries(texts.flatMap(entriesOf))

const entriesOf = (text: string): ReadonlyArray<readonly [name: string, value: Json]> => {
  const messages = parse(text)
  return isObject(messages) ? Object.entries(messages) : []
}

export const only = (messages: JsonObject, names: ReadonlyArray<string>): JsonObject =>
  Object.fromEntries(Object.entries(messages).filter(([name]) => names.includes(name)))

export const except = (messages: JsonObject, names: ReadonlyArray<string>): JsonObject =>
  Object.fromEntries(Object.entries(messages).filter(([name]) => !names.includes(name)))

/** The value at a path such as `errors.title` or `items.0.name`. A key whose name is the whole path comes first. */
export const at = (messages: Json, path: string): Json | undefined => {
  if (typeof messages !== "object" || messages === null) return undefined
  if (Object.hasOwn(messages, path)) return (messages as JsonObject)[path]
  for (let dot = path.indexOf("."); dot !== -1; dot = path.indexOf(".", dot + 1)) {
    const name = path.slice(0, dot)
    if (Object.hasOwn(messages, name)) {
      const found = at((messages as JsonObject)[name]!, path.slice(dot + 1))
      if (found !== undefined) return found
    }
  }
  return undefined
}

// -----------------------------------------------------------------------------
// forms, which can be as large as a client makes them
// -----------------------------------------------------------------------------

/** The fields that are neither too large nor too deep. */
export const eligible = (form: JsonObject, limit: number): JsonObject =>
  Object.fromEntries(Object.entries(form).filter((field) => !isTooDeep(field[1]) && sizeOf(field) <= limit))

/** The fields that fit into this many bytes of JSON, leaving out the longest first. */
export const fitting = (form: JsonObject, limit: number): JsonObject => {
  const fields = Object.entries(form).map((field) => ({ field, size: sizeOf(field) }))
  let size = 1 + fields.reduce((sum, { size }) => sum + size, 0)
  if (size <= limit) return form
  const isLeftOut = new Set<string>()
  for (const { field: [name], size: its } of fields.toSorted((one, other) => other.size - one.size)) {
    if (size <= limit) break
    isLeftOut.add(name)
    size -= its
  }
  return Object.fromEntries(Object.entries(form).filter(([name]) => !isLeftOut.has(name)))
}

/** The size of a field in a JSON object in bytes, with its comma. */
const sizeOf = ([name, value]: readonly [string, Json]): number =>
  Buffer.byteLength(JSON.stringify(name)) + Buffer.byteLength(JSON.stringify(value) ?? "") + 2

/** Removes at least this many bytes from the last form that has fields. Returns the same messages if no form has any. */
export const lighter = (messages: Messages, bytes: number): Messages => {
  const kept: Array<Messages> = []
  for (let one: Messages | undefined = messages; one !== undefined; one = one.before) {
    const form = one.isForm ? parse(one.text) : undefined
    if (isObject(form) && Object.keys(form).length > 0) {
      const text = JSON.stringify(fitting(form, Buffer.byteLength(one.text) - bytes))
      return kept.reduceRight<Messages>((before, later) => ({ ...later, before }), { ...one, text })
    }
    kept.push(one)
  }
  return messages
}

/**
 * Removes, at any depth, the fields whose names contain one of these words, such as `newPassword` or `csrf_token` for
 * "password" and "token".
 */
export const withoutNamed = (value: JsonObject, words: ReadonlyArray<string>): JsonObject => {
  const isMeant = new Set(words.map((word) => word.toLowerCase()))
  const isKept = (name: string) => !wordsOf(name).some((word) => isMeant.has(word))
  const strip = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(strip)
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(
      Object.entries(value as JsonObject).filter(([name]) => isKept(name)).map(([name, value]) => [name, strip(value)])
    )
  }
  return strip(value) as JsonObject
}

/** The words of a name, however they are joined, and each two neighbors as one word (`pass_word`). */
const wordsOf = (name: string): ReadonlyArray<string> => {
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase().split(/[^a-z0-9]+/)
  return [...words, ...words.slice(1).map((word, index) => words[index] + word)]
}
