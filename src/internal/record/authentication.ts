/**
 * The field `~authenticated`: when the owner of a session was authenticated, and by which methods.
 */
import { parse } from "./record.ts"

export interface Authentication {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly methods: Methods
}

/** Names that the application chooses. */
export type Methods = readonly [string, ...ReadonlyArray<string>]

export const isMethods = (methods: unknown): methods is Methods =>
  Array.isArray(methods) && methods.length > 0 && methods.every(isMethod)

const isMethod = (name: unknown): boolean => typeof name === "string" && name.length >= 1 && name.length <= 64

export const howToNameMethods = "at least one method, each a name of 1 to 64 characters, such as \"password\""

export const encode = ({ at, methods }: Authentication): string =>
  JSON.stringify({ at, methods: [...new Set(methods)] })

/** `undefined` if the field is missing or damaged. */
export const decode = (text: string | undefined, now: number): Authentication | undefined => {
  const value = text === undefined ? undefined : parse(text)
  if (!isAuthentication(value) || value.at > now + differenceOfClocks) return undefined
  return { at: Math.min(value.at, now), methods: value.methods }
}

const isAuthentication = (value: unknown): value is Authentication => {
  const { at, methods } = (value ?? {}) as Partial<Authentication>
  return Number.isSafeInteger(at) && at! >= 0 && isMethods(methods)
}

// The clock of another server can be ahead by this much. A time further ahead comes from a wrong clock: if it counted as
// now, it would stay recent until that time has passed.
const differenceOfClocks = 600_000

/** Whether it is at most `maxAge` old, and used one of the methods, if any are asked for. */
export const isRecent = (
  { at, methods }: Authentication,
  now: number,
  maxAge: number,
  asked: ReadonlyArray<string>
): boolean => now - at <= maxAge && (asked.length === 0 || methods.some((method) => asked.includes(method)))
