/**
 * HMAC-SHA256 (RFC 2104), made of two hashes in one shot. With `createHmac`, Node.js makes an object for each signature,
 * which takes 1.7 to 2.4 times as long. A property test holds it against `createHmac`.
 */
import * as Crypto from "node:crypto"

/** The bytes that SHA-256 takes at a time. */
const blockSize = 64

/** The bytes of its result. */
const hashSize = 32

/** The HMAC of a text, base64url, with a key of at most 64 bytes. */
export const make = (key: Crypto.KeyObject): (text: string) => string => {
  const inner = padded(key.export(), 0x36)
  // The hash of the rest is written behind it, each time anew.
  const outer = Buffer.concat([padded(key.export(), 0x5c), Buffer.alloc(hashSize)])
  return (text) => {
    const message = Buffer.allocUnsafe(blockSize + Buffer.byteLength(text))
    message.set(inner)
    message.write(text, blockSize)
    outer.write(Crypto.hash("sha256", message, "binary"), blockSize, "binary")
    return Crypto.hash("sha256", outer, "base64url")
  }
}

const padded = (key: Buffer, pad: number): Buffer =>
  Buffer.from(Array.from({ length: blockSize }, (_, index) => (key[index] ?? 0) ^ pad))
