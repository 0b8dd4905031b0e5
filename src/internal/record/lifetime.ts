/**
 * How long a single session lives, where that is not what the configuration says: its own field holds it, so it goes where
 * the session goes. What the configuration allows of it is decided in expiry.ts, anew each time.
 */
import type { Settings } from "../../SessionConfig.ts"
import { LazyFields } from "./lazyFields.ts"
import * as Meta from "./meta.ts"
import { type Fields, parse } from "./record.ts"

export type Persistence = Settings["cookie"]["persistence"]

/** In milliseconds, `Infinity` for "never". What is not there is as the configuration says. */
export interface Lifetime {
  readonly age?: number
  readonly absoluteAge?: number
  readonly persistence?: Persistence
}

/** The text of the field; nothing if all is as the configuration says. */
export const encode = ({ absoluteAge, age, persistence }: Lifetime): string | undefined => {
  const text = JSON.stringify({ age, absoluteAge, persistence })
  return text === "{}" ? undefined : text
}

/** The session's own lifetime, if it has one. */
export const of = (fields: Fields): Lifetime | undefined => {
  // Hardly any session has one, and each request asks: a look at the whole text is cheaper than a search of its lines.
  if (fields instanceof LazyFields && !fields.mayHave(Meta.lifetime)) return undefined
  const text = fields.get(Meta.lifetime)
  return text === undefined ? undefined : decode(text)
}

/** What somebody has damaged is as the configuration says. */
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

/** JSON writes infinity as null. */
const isAge = (value: unknown): value is number | null => value === null || typeof value === "number" && value > 0

/** Whether the session's cookie stays when the browser is closed; `byDefault`: by the configuration. */
export const isPersistent = (fields: Fields, byDefault: boolean): boolean => {
  const persistence = of(fields)?.persistence
  return persistence === undefined ? byDefault : persistence === "persistent"
}
