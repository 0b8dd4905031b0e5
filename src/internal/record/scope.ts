/**
 * How long a field stays. Its name says so, so that it holds for each field that is stored, also for those of a key that the
 * running code does not know: nothing has to be looked up, and the most frequent scope takes no room. The name also says
 * whether the value has a life of its own, see life.ts.
 */
import { fieldOfKey, keyOfField } from "./record.ts"

/**
 * `"login"`: until the logout, and for nobody but whose session it is. `"visitor"`: through logins and logouts, until somebody
 * else logs in. `"device"`: for whoever uses the browser.
 */
export type Scope = "login" | "visitor" | "device"

/** Each ends with what is before it. */
const inOrder: ReadonlyArray<Scope> = ["login", "visitor", "device"]

export const isScope = (value: unknown): value is Scope => (inOrder as ReadonlyArray<unknown>).includes(value)

// No field of another kind begins like these: names with a tilde are the library's own.
const prefixes = { visitor: "~v.", device: "~d." }
const prefixesOfLives = { login: "~l.", visitor: "~vl.", device: "~dl." }

/** The field of a key; `hasLife`: its values have a life of their own. */
export const toField = (scope: Scope, key: string, hasLife: boolean = false): string =>
  hasLife ? prefixesOfLives[scope] + key : scope === "login" ? fieldOfKey(key) : prefixes[scope] + key

/** The name of the key that a field is of, if it is of one. */
export const toKey = (field: string): string | undefined => {
  const scope = of(field)
  if (field.startsWith(prefixesOfLives[scope])) return field.slice(prefixesOfLives[scope].length)
  return scope === "login" ? keyOfField(field) : field.slice(prefixes[scope].length)
}

/** Whether the values of a field have a life of their own. */
export const hasLife = (field: string): boolean => field.startsWith(prefixesOfLives[of(field)])

export const of = (field: string): Scope =>
  isOf("visitor", field) ? "visitor" : isOf("device", field) ? "device" : "login"

const isOf = (scope: "visitor" | "device", field: string): boolean =>
  field.startsWith(prefixes[scope]) || field.startsWith(prefixesOfLives[scope])

/** Whether a field goes when all goes that has this scope, or one before it. */
export const ends = (reach: Scope | undefined, field: string): boolean =>
  reach !== undefined && (reach === "device" || inOrder.indexOf(of(field)) <= inOrder.indexOf(reach))

/** The one that reaches further. */
export const further = (one: Scope | undefined, other: Scope): Scope =>
  one !== undefined && inOrder.indexOf(one) > inOrder.indexOf(other) ? one : other

/** In a list of fields, what stands for all that go. */
export const asField = (reach: Scope): string => `~*${reach}`

/** Whether a field is in such a list. */
export const isIn = (fields: ReadonlySet<string>, field: string): boolean =>
  fields.has(field) || inOrder.some((reach) => fields.has(asField(reach)) && ends(reach, field))
