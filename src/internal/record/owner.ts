/**
 * Whose a session is, as its field says, and when it was made known to the index of its owner.
 */
import * as Schema from "effect/Schema"
import * as Crypto from "node:crypto"
import * as Meta from "./meta.ts"
import { endOfTime, type Fields, parse } from "./record.ts"

export interface Owner {
  readonly id: string
  /** When the entry in the index was made, in milliseconds since the epoch. */
  readonly at: number
  /** Until when the entry is there. */
  readonly until: number
  /** What the store has marked the login with. */
  readonly mark?: string | undefined
}

/**
 * For so long, in milliseconds, a request that has made its session known to the index can write it. Later, the session may
 * have been ended in advance without anybody knowing it any more.
 */
export const patience = 3_600_000

/** For so long, an index keeps what may be over: a request may be slow, and the clocks of servers differ. */
export const grace = 2 * patience

/** Until when an entry is kept that stands for a session which is over at a moment. */
export const keptUntil = (end: number): number => Math.min(end + grace, endOfTime)

export const encode = ({ at, id, mark, until }: Owner): string => JSON.stringify({ id, at, until, mark })

/** The owner of a session with these fields; a damaged field is no owner. */
export const of = (fields: Pick<Fields, "get">): Owner | undefined => {
  const text = fields.get(Meta.owner)
  return text === undefined ? undefined : decode(text)
}

export const decode = (text: string): Owner | undefined => {
  const value = parse(text)
  return isOwner(value) ? value : undefined
}

const isOwner = Schema.is(Schema.Struct({
  id: Schema.String,
  at: Schema.Number,
  until: Schema.Number,
  mark: Schema.optional(Schema.String)
}))

/** What tells one owner from another without naming them. */
export const hashOf = (id: string): string => Crypto.hash("sha256", id, "base64url").slice(0, 22)

/** Why a text can't be the id of an owner, if it can't. */
export const mistakeIn = (id: string): string | undefined => {
  if (id === "") return "it is empty"
  if (Buffer.byteLength(id) > longest) return `it takes more than ${longest} bytes`
  // Halves of characters all become the same when they are hashed, and so would the owners.
  return id.isWellFormed() ? undefined : "it holds half of a character"
}

const longest = 1024
