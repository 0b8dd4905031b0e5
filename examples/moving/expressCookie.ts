/**
 * The cookie of express-session: `s:`, the id of the session, a dot, and the HMAC-SHA256 of the id as base64 without padding.
 */
import { createHmac, timingSafeEqual } from "node:crypto"

export interface ExpressCookie {
  readonly id: string
  /** The one of the secrets that signed it. */
  readonly secret: string
}

/** What a cookie's value says, if it was signed with one of the secrets. */
export const read = (value: string | undefined, secrets: ReadonlyArray<string>): ExpressCookie | undefined => {
  if (value === undefined || !value.startsWith("s:")) return undefined
  const dot = value.lastIndexOf(".")
  if (dot < 3) return undefined
  const id = value.slice(2, dot)
  const signature = Buffer.from(value.slice(dot + 1))
  const secret = secrets.find((secret) => isEqual(signature, Buffer.from(sign(id, secret))))
  return secret === undefined ? undefined : { id, secret }
}

const sign = (id: string, secret: string): string =>
  createHmac("sha256", secret).update(id).digest("base64").replace(/=+$/, "")

/** In a time that says nothing of how much of the signature was right. */
const isEqual = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)
