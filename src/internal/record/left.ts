/**
 * The field `~left`: which values of scope "visitor" a logout has left in a session, and whose they are. They are removed if
 * another user logs in. What a visitor has put after the logout stays.
 */
import * as Meta from "./meta.ts"
import { type Fields, parse } from "./record.ts"
import * as Scope from "./scope.ts"

export interface Left {
  /** A hash: after a logout, the session does not name anyone. */
  readonly by: string
  readonly fields: ReadonlyArray<string>
}

/** The text of the field, `undefined` if nothing was left. */
export const encode = (by: string, fields: Fields): string | undefined => {
  const left = [...fields.keys()].filter((field) => Scope.of(field) === "visitor")
  return left.length === 0 ? undefined : JSON.stringify({ by, fields: left } satisfies Left)
}

/** `undefined` if the field is missing. If it is damaged, all values of that scope count as another user's. */
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
