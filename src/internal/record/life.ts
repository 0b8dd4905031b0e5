/**
 * Values with a life of their own: until when they are there, and how often they may be tried. Text around the value says so,
 * in the same field, so that both are always written together; the name of the field says that there is such a text.
 */
import type { Json } from "effect/Schema"
import { parse } from "./record.ts"

/** What a key says of its values. */
export interface Rules {
  /** Milliseconds from a put on. */
  readonly age?: number | undefined
  /** How often each may be tried. */
  readonly attempts?: number | undefined
}

/** What a field holds. */
interface Lived {
  /** It is not there any more once it has been tried as often as it may. */
  readonly value?: Json
  /** Milliseconds since the epoch. */
  readonly until?: number
  readonly tried?: number
  /** Tells one put from another: of a value that is tried. */
  readonly put?: string
}

/** Nothing, if its time is over, or if somebody has damaged the text. */
const decode = (text: string | undefined, now: number): Lived | undefined => {
  if (text === undefined) return undefined
  const lived = parse(text)
  if (typeof lived !== "object" || lived === null || Array.isArray(lived)) return undefined
  const { until } = lived as Lived
  return until === undefined || now < until ? lived as Lived : undefined
}

/** The text of the value, if it is there. */
export const valueIn = (text: string | undefined, now: number): string | undefined => {
  const value = decode(text, now)?.value
  return value === undefined ? undefined : JSON.stringify(value)
}

/** The text of a value that is put now. */
export const begun = ({ age, attempts }: Rules, value: string, now: number): string =>
  JSON.stringify(
    {
      value: parse(value)!,
      ...(age !== undefined && { until: now + age }),
      ...(attempts !== undefined && { put: Math.random().toString(36).slice(2) })
    } satisfies Lived
  )

/** The text of a value that takes the place of another one: it ends when that one would have, and has been tried as often. */
export const goneOn = (rules: Rules, before: string | undefined, value: string, now: number): string => {
  const lived = decode(before, now)
  return lived?.value === undefined ? begun(rules, value, now) : JSON.stringify({ ...lived, value: parse(value)! })
}

/** What has become of a value that is to be tried. */
export type Trying =
  | { readonly _tag: "Absent" | "Exhausted" }
  | {
    readonly _tag: "Begun"
    /** The text of the value. */
    readonly value: string
    readonly put: string | undefined
    readonly isLast: boolean
    /** The text from now on: after the last try, there is no value in it. */
    readonly text: string
  }

/** Counts, before somebody tries. */
export const tried = (text: string | undefined, attempts: number, now: number): Trying => {
  const lived = decode(text, now)
  if (lived === undefined) return { _tag: "Absent" }
  const { value, ...rest } = lived
  const times = (lived.tried ?? 0) + 1
  if (value === undefined || times > attempts) return { _tag: "Exhausted" }
  const isLast = times === attempts
  const next: Lived = { ...(!isLast && { value }), ...rest, tried: times }
  return { _tag: "Begun", value: JSON.stringify(value), put: lived.put, isLast, text: JSON.stringify(next) }
}

/** Whether a value of this put is still there for somebody who has tried it and was right. */
export const isOf = (text: string | undefined, put: string | undefined, now: number): boolean => {
  const lived = decode(text, now)
  return lived !== undefined && lived.put === put
}
