/**
 * How long a field stays. The field's name contains its scope, so it applies to every stored field, including those of keys that
 * the running code doesn't have. The most common scope takes no space. The name also tells whether the field holds an envelope,
 * see life.ts.
 */
import { fieldOfKey, keyOfField } from "./record.ts"

/**
 * `"login"`: until the logout, for this user only. `"visitor"`: through logins and logouts, until another user logs in.
 * `"device"`: for everyone who uses the browser.
 */
export type Scope = "login" | "visitor" | "device"

/** Ending one ends those before it too. */
const inOrder: ReadonlyArray<Scope> = ["login", "visitor", "device"]

export const isScope = (value: unknown): value is Scope => (inOrder as ReadonlyArray<unknown>).includes(value)

// No other fields start like these: names with a tilde are reserved.
const prefixes = { visitor: "~v.", device: "~d." }
const prefixesOfLives = { login: "~l.", visitor: "~vl.", device: "~dl." }

/** The field of a key; `hasLife`: it holds an envelope, see life.ts. */
export const toField = (scope: Scope, key: string, hasLife: boolean = false): string =>
  hasLife ? prefixesOfLives[scope] + key : scope === "login" ? fieldOfKey(key) : prefixes[scope] + key

/** The name of a field's key, if the field belongs to a key. */
export const toKey = (field: string): string | undefined => {
  const scope = of(field)
  if (field.startsWith(prefixesOfLives[scope])) return field.slice(prefixesOfLives[scope].length)
  return scope === "login" ? keyOfField(field) : field.slice(prefixes[scope].length)
}

/** Whether a field holds an envelope, see life.ts. */
export const hasLife = (field: string): boolean => field.startsWith(prefixesOfLives[of(field)])

export const of = (field: string): Scope =>
  isOf("visitor", field) ? "visitor" : isOf("device", field) ? "device" : "login"

const isOf = (scope: "visitor" | "device", field: string): boolean =>
  field.startsWith(prefixes[scope]) || field.startsWith(prefixesOfLives[scope])

/** Whether a field is removed when everything up to this scope is. */
export const ends = (reach: Scope | undefined, field: string): boolean =>
  reach !== undefined && (reach === "device" || inOrder.indexOf(of(field)) <= inOrder.indexOf(reach))

/** The wider of two scopes. */
export const further = (one: Scope | undefined, other: Scope): Scope =>
  one !== undefined && inOrder.indexOf(one) > inOrder.indexOf(other) ? one : other

/** Represents all fields up to this scope in a list of fields. */
export const asField = (reach: Scope): string => `~*${reach}`

/** Whether such a list contains a field. */
export const isIn = (fields: ReadonlySet<string>, field: string): boolean =>
  fields.has(field) || inOrder.some((reach) => fields.has(asField(reach)) && ends(reach, field))
