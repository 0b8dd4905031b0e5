/**
 * What one request did to a session, as data, and the pure function that merges it into what is stored now. Drivers whose
 * back end can't merge call {@link merge}.
 */
import { type Fields, parse, type SessionRecord, type Times } from "./record.ts"

/** Add `by` to a number, or to `initial` if there is no number yet. */
export interface Increment {
  readonly by: number
  readonly initial: number
}

export interface Change {
  /** Remove all fields before anything else. */
  readonly clear: boolean
  readonly set: Fields
  readonly remove: ReadonlySet<string>
  readonly increment: ReadonlyMap<string, Increment>
  /** Whether the record's times move forward to those of the request. */
  readonly touch: boolean
  /** Nothing is written unless this is stored. */
  readonly expect: Expected
}

/** The fields that must hold this text before the change, or be missing. */
export type Expected = ReadonlyMap<string, string | undefined>

/**
 * What a request overwrote without looking at it: the names of fields, or everything. `"ended"` if it ended the session, and
 * the one under the new id is a different session.
 */
export type Overwritten = "everything" | "ended" | ReadonlyArray<string>

/** What either of them overwrote. */
export const both = (one: Overwritten, other: Overwritten): Overwritten =>
  typeof one === "string" ? one : typeof other === "string" ? other : [...one, ...other]

export const none: Change = {
  clear: false,
  set: new Map(),
  remove: new Set(),
  increment: new Map(),
  touch: false,
  expect: new Map()
}

export const isEmpty = (change: Change): boolean =>
  !change.clear && change.set.size === 0 && change.remove.size === 0 && change.increment.size === 0

// A field is in at most one of `set`, `remove` and `increment`: each of these takes it out of the other two.

export const set = (change: Change, field: string, value: string): Change => ({
  ...change,
  set: new Map(change.set).set(field, value),
  remove: without(change.remove, field),
  increment: withoutKey(change.increment, field)
})

export const remove = (change: Change, field: string): Change => ({
  ...change,
  set: withoutKey(change.set, field),
  remove: new Set(change.remove).add(field),
  increment: withoutKey(change.increment, field)
})

export const increment = (change: Change, field: string, { by, initial }: Increment): Change => {
  const value = change.set.get(field)
  if (value !== undefined) return set(change, field, addTo(value, { by, initial }))
  if (change.clear || change.remove.has(field)) return set(change, field, addTo(undefined, { by, initial }))
  const before = change.increment.get(field)
  const increment = before === undefined ? { by, initial } : { by: before.by + by, initial: before.initial }
  return { ...change, increment: new Map(change.increment).set(field, increment) }
}

export const clear = (change: Change): Change => ({ ...none, clear: true, touch: change.touch, expect: change.expect })

export const expect = (change: Change, field: string, text: string | undefined): Change => ({
  ...change,
  expect: new Map(change.expect).set(field, text)
})

/** Whether the fields hold what a change expects. */
export const isExpected = (fields: Fields, expected: Expected): boolean => {
  let isExpected = true
  // `forEach`, because iterating allocates an array for each field.
  expected.forEach((text, field) => {
    isExpected &&= fields.get(field) === text
  })
  return isExpected
}

/** Whether these are exactly the fields. */
export const isSame = (fields: Fields, others: Fields): boolean =>
  fields.size === others.size && isExpected(fields, others)

/** The change that only extends the session's life. */
export const onlyTouch: Change = { ...none, touch: true }

/** The fields after the change. */
export const apply = (fields: Fields, change: Change): Fields => {
  if (isEmpty(change)) return fields
  const result = change.clear ? new Map<string, string>() : new Map(fields)
  for (const field of change.remove) result.delete(field)
  for (const [field, value] of change.set) result.set(field, value)
  for (const [field, by] of change.increment) result.set(field, addTo(result.get(field), by))
  return result
}

/**
 * What is stored after a commit: the change applied to what is `stored` now. Times only ever move forward, so that a
 * slow request can't shorten a life that a faster one has extended.
 */
export const merge = (stored: SessionRecord, change: Change, times: Times): SessionRecord => ({
  createdAt: stored.createdAt,
  touchedAt: change.touch ? Math.max(stored.touchedAt, times.touchedAt) : stored.touchedAt,
  expiresAt: change.touch ? Math.max(stored.expiresAt, times.expiresAt) : stored.expiresAt,
  fields: apply(stored.fields, change)
})

/** The change that turns `before` into `after`: only the fields that differ. */
export const difference = (before: Fields, after: Fields): Change => {
  const set = new Map([...after].filter(([field, text]) => before.get(field) !== text))
  const remove = new Set([...before.keys()].filter((field) => !after.has(field)))
  return {
    ...none,
    set,
    remove,
    expect: new Map([...set.keys(), ...remove].map((field) => [field, before.get(field)]))
  }
}

/** The text of the sum. Anything but a number counts as missing. */
export const addTo = (value: string | undefined, { by, initial }: Increment): string => {
  const number = value === undefined ? initial : parse(value)
  return JSON.stringify((typeof number === "number" ? number : initial) + by)
}

const without = <A>(values: ReadonlySet<A>, value: A): ReadonlySet<A> => {
  if (!values.has(value)) return values
  const copy = new Set(values)
  copy.delete(value)
  return copy
}

const withoutKey = <K, V>(values: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> => {
  if (!values.has(key)) return values
  const copy = new Map(values)
  copy.delete(key)
  return copy
}
