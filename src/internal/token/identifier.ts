/**
 * The id of a session, and the names derived from it.
 */
import * as Crypto from "node:crypto"

/** 256 bits from the operating system's generator, base64url: 43 characters. */
export const random = (): string => drawBytes(32).toString("base64url")

/** The form of an id: base64url, at least 128 bits. Anything else is never looked up. */
export const isWellFormed = (id: string): boolean => pattern.test(id)

const pattern = /^[A-Za-z0-9_-]{22,128}$/

/** The session's name for the store: only a hash is stored, from which the id can't be recovered. */
export const hash = (id: string): string => Crypto.hash("sha256", id, "base64url")

/** Whether it has the form of an id's hash: stored data may be damaged. */
export const isHash = (text: string): boolean => hashPattern.test(text)

const hashPattern = /^[A-Za-z0-9_-]{43}$/

/** The name of a session for logs and lists: not a secret. */
export const handle = (id: string): string => hash(id).slice(0, handleLength)

export const handleLength = 16

/**
 * Random bytes from a pool: `randomBytes(12)` takes 2 to 6 µs, twelve bytes of the pool 0.3 µs. Each byte is used once
 * and erased from the pool.
 */
export const drawBytes = (count: number): Buffer => drawInto(Buffer.allocUnsafe(count))

/** Fills a buffer with random bytes. */
export const drawInto = (bytes: Buffer): Buffer => {
  const count = bytes.length
  if (offset + count > pool.length) {
    Crypto.randomFillSync(pool)
    offset = 0
  }
  pool.copy(bytes, 0, offset, offset + count)
  pool.fill(0, offset, offset + count)
  offset += count
  return bytes
}

const pool = Buffer.alloc(4096)
let offset = pool.length
