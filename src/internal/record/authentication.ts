/**
 * When the owner of a session was authenticated, and how: what the field `~authenticated` holds.
 */
import { parse } from "./record.ts"

export interface Authentication {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly methods: Methods
}

/** The names that an application has for its methods. */
export type Methods = readonly [string, ...ReadonlyArray<string>]

export const isMethods = (methods: unknown): methods is Methods =>
  Array.isArray(methods) && methods.length > 0 && methods.every(isMethod)

const isMethod = (name: unknown): boolean => typeof name === "string" && name.length >= 1 && name.length <= 64

export const howToNameMethods = "at least one method, each a name of 1 to 64 characters, such as \"password\""

export const encode = ({ at, methods }: Authentication): string =>
  JSON.stringify({ at, methods: [...new Set(methods)] })

/** Nothing, if the field is not there or somebody has damaged it. */
export const decode = (text: string | undefined, now: number): Authentication | undefined => {
  const value = text === undefined ? undefined : parse(text)
  if (!isAuthentication(value) || value.at > now + differenceOfClocks) return undefined
  return { at: Math.min(value.at, now), methods: value.methods }
}

const isAuthentication = (value: unknown): value is Authentication => {
  const { at, methods } = (value ?? {}) as Partial<Authentication>
  return Number.isSafeInteger(at) && at! >= 0 && isMethods(methods)
}

// What another server has written can be ahead by this much. More than that is a clock that was wrong: counted as now, it
// would stay recent until the time it says.
const differenceOfClocks = 600_000

/** Whether it is no older than `maxAge`, and by one of the methods, if it matters which. */
export const isRecent = (
  { at, methods }: Authentication,
  now: number,
  maxAge: number,
  asked: ReadonlyArray<string>
): boolean => now - at <= maxAge && (asked.length === 0 || methods.some((method) => asked.includes(method)))
