/**
 * The lifetime of a single session, if it differs from the configuration. It is stored in a field of the session. expiry.ts
 * decides each time how much of it the configuration allows.
 */
import type { Settings } from "../../SessionConfig.ts"
import { LazyFields } from "./lazyFields.ts"
import * as Meta from "./meta.ts"
import { type Fields, parse } from "./record.ts"

export type Persistence = Settings["cookie"]["persistence"]

/** In milliseconds, `Infinity` for "never". Missing properties are as configured. */
export interface Lifetime {
  readonly age?: number
  readonly absoluteAge?: number
  readonly persistence?: Persistence
}

/** The text of the field, `undefined` if everything is as configured. */
export const encode = ({ absoluteAge, age, persistence }: Lifetime): string | undefined => {
  const text = JSON.stringify({ age, absoluteAge, persistence })
  return text === "{}" ? undefined : text
}

/** The session's own lifetime, if any. */
export const of = (fields: Fields): Lifetime | undefined => {
  // Few sessions have one and every request asks: searching the whole text is cheaper than searching its lines.
  if (fields instanceof LazyFields && !fields.mayHave(Meta.lifetime)) return undefined
  const text = fields.get(Meta.lifetime)
  return text === undefined ? undefined : decode(text)
}

/** Damaged parts are as configured. */
const decode = (text: string): Lifetime | undefined => {
  const value = parse(text)
  if (typeof value !== "object" || value === null) return undefined
  const { absoluteAge, age, persistence } = value as { readonly [part: string]: unknown }
  return {
    ...(isAge(age) && { age: age ?? Infinity }),
    ...(isAge(absoluteAge) && { absoluteAge: absoluteAge ?? Infinity }),
    ...((persistence === "persistent" || persistence === "browser") && { persistence })
  }
}

/** JSON encodes infinity as null. */
const isAge = (value: unknown): value is number | null => value === null || typeof value === "number" && value > 0

/** Whether the session's cookie stays when the browser is closed; `byDefault` is as configured. */
export const isPersistent = (fields: Fields, byDefault: boolean): boolean => {
  const persistence = of(fields)?.persistence
  return persistence === undefined ? byDefault : persistence === "persistent"
}
