/**
 * What the mark of a superseded session contains about the session under its new id: one text that is opaque to back
 * ends.
 */
import type { Overwritten } from "../record/change.ts"
import { parse } from "../record/record.ts"
import * as Identifier from "../token/identifier.ts"

export interface Successor {
  readonly key: string
  /** What the regenerating request overwrote. */
  readonly overwritten: Overwritten
}

export const encode = ({ key, overwritten }: Successor): string =>
  overwritten.length === 0 ? key : `${key} ${JSON.stringify(overwritten)}`

/** `undefined` if it is damaged. */
export const decode = (text: string): Successor | undefined => {
  const [key = ""] = text.split(" ", 1)
  if (!Identifier.isHash(key)) return undefined
  const overwritten = text.length === key.length ? [] : parse(text.slice(key.length + 1))
  return isOverwritten(overwritten) ? { key, overwritten } : undefined
}

/** The same, if it is still the same session: not if a request has ended it. */
export const goingOn = (text: string): Successor | undefined => {
  const successor = decode(text)
  return successor?.overwritten === "ended" ? undefined : successor
}

/** Whether the session has ended with the mark: in advance, or by the request that left it. */
export const isEnd = (text: string): boolean => text === "" || decode(text)?.overwritten === "ended"

const isOverwritten = (value: unknown): value is Overwritten =>
  value === "everything" || value === "ended" ||
  Array.isArray(value) && value.every((field) => typeof field === "string")
