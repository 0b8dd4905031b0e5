/**
 * Values that expire, or that can be tried a limited number of times. The field holds an envelope with the value and its limits,
 * so that both are always written together. The name of the field tells that it holds an envelope.
 */
import type { Json } from "effect/Schema"
import { parse } from "./record.ts"

/** The limits that a key sets for its values. */
export interface Rules {
  /** Milliseconds from when the value is put. */
  readonly age?: number | undefined
  /** How often each value may be tried. */
  readonly attempts?: number | undefined
}

/** The envelope in a field. */
interface Lived {
  /** Missing after the last try. */
  readonly value?: Json
  /** Milliseconds since the epoch. */
  readonly until?: number
  readonly tried?: number
  /** Distinguishes one put from another, for values that are tried. */
  readonly put?: string
}

/** `undefined` if the value has expired or the text is damaged. */
const decode = (text: string | undefined, now: number): Lived | undefined => {
  if (text === undefined) return undefined
  const lived = parse(text)
  if (typeof lived !== "object" || lived === null || Array.isArray(lived)) return undefined
  const { until } = lived as Lived
  return until === undefined || now < until ? lived as Lived : undefined
}

/** The text of the value, if there is one. */
export const valueIn = (text: string | undefined, now: number): string | undefined => {
  const value = decode(text, now)?.value
  return value === undefined ? undefined : JSON.stringify(value)
}

/** The envelope of a value that is put now. */
export const begun = ({ age, attempts }: Rules, value: string, now: number): string =>
  JSON.stringify(
    {
      value: parse(value)!,
      ...(age !== undefined && { until: now + age }),
      ...(attempts !== undefined && { put: Math.random().toString(36).slice(2) })
    } satisfies Lived
  )

/** The envelope of a value computed from a previous one: it expires at the same time, and keeps the count of tries. */
export const goneOn = (rules: Rules, before: string | undefined, value: string, now: number): string => {
  const lived = decode(before, now)
  return lived?.value === undefined ? begun(rules, value, now) : JSON.stringify({ ...lived, value: parse(value)! })
}

/** The outcome of starting a try. */
export type Trying =
  | { readonly _tag: "Absent" | "Exhausted" }
  | {
    readonly _tag: "Begun"
    /** The text of the value. */
    readonly value: string
    readonly put: string | undefined
    readonly isLast: boolean
    /** The new envelope: without the value after the last try. */
    readonly text: string
  }

/** Counts a try before it runs. */
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

/** Whether the field still holds the put that was tried. */
export const isOf = (text: string | undefined, put: string | undefined, now: number): boolean => {
  const lived = decode(text, now)
  return lived !== undefined && lived.put === put
}
