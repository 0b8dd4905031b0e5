/**
 * Whose the values of scope "visitor" are that a logout has left in a session: what the field `~left` holds. If somebody else
 * logs in, they go; what a visitor has put after the logout does not.
 */
import * as Meta from "./meta.ts"
import { type Fields, parse } from "./record.ts"
import * as Scope from "./scope.ts"

export interface Left {
  /** A hash: after a logout, the session says nobody's name. */
  readonly by: string
  readonly fields: ReadonlyArray<string>
}

/** The text of the field; nothing if nothing was left. */
export const encode = (by: string, fields: Fields): string | undefined => {
  const left = [...fields.keys()].filter((field) => Scope.of(field) === "visitor")
  return left.length === 0 ? undefined : JSON.stringify({ by, fields: left } satisfies Left)
}

/** Nothing, if the field is not there; if somebody has damaged it, all of them are somebody else's. */
export const of = (fields: Fields): Left | undefined => {
  const text = fields.get(Meta.left)
  if (text === undefined) return undefined
  const value = parse(text)
  return isLeft(value) ? value : { by: "", fields: [...fields.keys()].filter((field) => Scope.of(field) === "visitor") }
}

const isLeft = (value: unknown): value is Left => {
  const { by, fields } = (value ?? {}) as Partial<Left>
  return typeof by === "string" && Array.isArray(fields) && fields.every((field) => typeof field === "string")
}
