/**
 * HMAC-SHA256 (RFC 2104), made of two hashes in one shot. With `createHmac`, Node.js makes an object for each signature,
 * which takes 1.7 to 2.4 times as long. A property test holds it against `createHmac`.
 */
import * as Crypto from "node:crypto"

/** The bytes that SHA-256 takes at a time. */
const blockSize = 64

/** The bytes of its result. */
const hashSize = 32

/** The HMAC of a text with a prefix, base64url, with a key of at most 64 bytes. */
export const make = (key: Crypto.KeyObject, prefix = ""): (text: string) => string => {
  const start = Buffer.concat([padded(key.export(), 0x36), Buffer.from(prefix)])
  // The text is written behind it, each time anew. Most texts have the length of the one before.
  let message = start
  // And here the hash of that.
  const outer = Buffer.concat([padded(key.export(), 0x5c), Buffer.alloc(hashSize)])
  return (text) => {
    const size = start.length + Buffer.byteLength(text)
    if (size !== message.length) message = Buffer.concat([start], size)
    message.write(text, start.length)
    outer.write(Crypto.hash("sha256", message, "binary"), blockSize, "binary")
    return Crypto.hash("sha256", outer, "base64url")
  }
}

const padded = (key: Buffer, pad: number): Buffer =>
  Buffer.from(Array.from({ length: blockSize }, (_, index) => (key[index] ?? 0) ^ pad))
