/**
 * The owner field of a session, and when the session was added to the index of its owner.
 */
import * as Schema from "effect/Schema"
import * as Crypto from "node:crypto"
import * as Meta from "./meta.ts"
import { endOfTime, type Fields, parse } from "./record.ts"

export interface Owner {
  readonly id: string
  /** When the entry in the index was made, in milliseconds since the epoch. */
  readonly at: number
  /** When the entry expires. */
  readonly until: number
  /** The store's mark of the login. */
  readonly mark?: string | undefined
}

/**
 * How long, in milliseconds, a request can write a session after adding it to the index. Later, the session may have
 * been ended in advance without a trace.
 */
export const patience = 3_600_000

/** How long an index keeps expired entries: a request may be slow, and servers' clocks differ. */
export const grace = 2 * patience

/** Until when to keep the entry of a session that ends at this moment. */
export const keptUntil = (end: number): number => Math.min(end + grace, endOfTime)

export const encode = ({ at, id, mark, until }: Owner): string => JSON.stringify({ id, at, until, mark })

/** The owner of a session with these fields. A damaged field counts as no owner. */
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

/** Distinguishes owners without naming them. */
export const hashOf = (id: string): string => Crypto.hash("sha256", id, "base64url").slice(0, 22)

/** Why a string can't be the id of an owner, if it can't. */
export const mistakeIn = (id: string): string | undefined => {
  if (id === "") return "it is empty"
  if (Buffer.byteLength(id) > longest) return `it is longer than ${longest} bytes`
  // All lone surrogates hash to the same value, and so would different owners.
  return id.isWellFormed() ? undefined : "it contains a lone surrogate, which is half a character"
}

const longest = 1024
