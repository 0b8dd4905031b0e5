/**
 * The cookie of express-session: `s:`, the id of the session, a dot, and the HMAC-SHA256 of the id as base64 without padding.
 */
import { createHmac, timingSafeEqual } from "node:crypto"

export interface ExpressCookie {
  readonly id: string
  /** The secret that signed it. */
  readonly secret: string
}

/** The content of a cookie's value, if one of the secrets signed it. */
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

/** Compares in constant time, so that the time reveals nothing about the signature. */
const isEqual = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b)
