/**
 * The most that a session on a server may hold (`sizeLimit`), the same for every driver.
 *
 * What counts is the session as the request sees it, so that the store is asked nothing more. Requests at the same time may
 * exceed the limit together, each within it; then only what puts nothing into the session is written until it is smaller.
 */
import { SessionTooLargeError } from "../../SessionError.ts"
import { lengthAtMost } from "../record/lazyFields.ts"
import type { Fields } from "../record/record.ts"

/** Why a session with these fields can't be stored, if it can't: it is too large, and not just as large as `before`. */
export const refusal = (
  driver: string,
  limit: number,
  fields: Fields,
  before?: Fields
): SessionTooLargeError | undefined => {
  // A unit of UTF-16 takes three bytes of UTF-8 at most, so small sessions need no counting.
  if (lengthAtMost(fields) * 3 <= limit) return undefined
  const size = sizeOf(fields)
  if (size <= limit || before !== undefined && size <= sizeOf(before)) return undefined
  return new SessionTooLargeError({ driver, size, limit, setting: "sizeLimit" })
}

const sizeOf = (fields: Fields): number => {
  let size = 0
  for (const [name, text] of fields) size += Buffer.byteLength(name) + Buffer.byteLength(text)
  return size
}
