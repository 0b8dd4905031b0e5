/**
 * The maximum size of a session on a server (`sizeLimit`), the same for every driver.
 *
 * The size is that of the session as the request sees it, so it costs no store call. Simultaneous requests may exceed the limit
 * together, each within it. Until the session is smaller, only changes that add nothing are written then.
 */
import { SessionTooLargeError } from "../../SessionError.ts"
import { lengthAtMost } from "../record/lazyFields.ts"
import type { Fields } from "../record/record.ts"

/** Fails if a session with these fields is too large, and larger than `before`. */
export const refusal = (
  driver: string,
  limit: number,
  fields: Fields,
  before?: Fields
): SessionTooLargeError | undefined => {
  // A UTF-16 unit takes at most three bytes in UTF-8, so small sessions need no counting.
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
