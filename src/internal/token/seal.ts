/**
 * Authenticated encryption: AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits.
 *
 * A sealed value is base64url of `version (1 byte) | key id (4) | nonce (12) | ciphertext | tag (16)`. The first five
 * bytes, the purpose and the name of the cookie are authenticated as well, so a value opens only where it was meant to.
 * Which algorithm and which key are used follows from the key ring alone: the client names neither.
 *
 * With random nonces, one key is safe for 2^32 values. If you set more cookies than that, rotate the secret earlier.
 */
import * as Crypto from "node:crypto"
import * as Base64url from "./base64url.ts"
import { drawInto } from "./identifier.ts"
import type { Key, KeyRing } from "./keyRing.ts"

const version = 1
const headerLength = 5
const nonceLength = 12
const nonceEnd = headerLength + nonceLength
const tagLength = 16
const overhead = nonceEnd + tagLength

export interface Seal {
  /** Seals these texts as one. */
  readonly seal: (...plaintext: ReadonlyArray<string>) => string
  readonly open: (sealed: string) => Opened | undefined
}

export interface Opened {
  readonly plaintext: string
  /** Whether it was sealed with a key that is no longer the first, and should be sealed again. */
  readonly outdated: boolean
}

interface Entry {
  readonly header: Buffer
  readonly key: Crypto.KeyObject
  readonly associatedData: Buffer
}

export const make = (keys: KeyRing, context: string): Seal => {
  const entries = keys.map((key) => entryOf(key, context))
  const newest = entries[0]!
  return {
    seal: (...plaintext) => encrypt(newest, plaintext),
    open: (sealed) => {
      const space = spaceFor(Base64url.sizeOf(sealed))
      const size = Base64url.decodeInto(space.bytes, sealed)
      if (size === undefined || size < overhead) return undefined
      for (const entry of entries) {
        if (space.bytes.compare(entry.header, 0, headerLength, 0, headerLength) !== 0) continue
        const plaintext = decrypt(entry, space, size)
        if (plaintext !== undefined) return { plaintext, outdated: entry !== newest }
      }
      return undefined
    }
  }
}

const entryOf = ({ id, key }: Key, context: string): Entry => {
  const header = Buffer.concat([Buffer.of(version), id])
  return { header, key, associatedData: Buffer.concat([header, Buffer.from(context)]) }
}

const encrypt = ({ associatedData, header, key }: Entry, plaintext: ReadonlyArray<string>): string => {
  const { bytes, nonce } = spaceFor(overhead + bytesAtMost(plaintext))
  bytes.set(header)
  drawInto(nonce)
  let end = nonceEnd
  for (const text of plaintext) end += bytes.write(text, end)
  const cipher = Crypto.createCipheriv("aes-256-gcm", key, nonce)
  cipher.setAAD(associatedData)
  // GCM is a stream cipher, so `final` adds nothing but the tag.
  bytes.set(cipher.update(bytes.subarray(nonceEnd, end)), nonceEnd)
  cipher.final()
  bytes.set(cipher.getAuthTag(), end)
  return bytes.toString("base64url", 0, end + tagLength)
}

/** A UTF-16 unit takes at most three bytes in UTF-8, so bytes are counted only if that estimate would not fit. */
const bytesAtMost = (texts: ReadonlyArray<string>): number => {
  const most = texts.reduce((sum, { length }) => sum + 3 * length, 0)
  return overhead + most <= commonSize ? most : texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
}

/** Opens this many bytes of the shared buffer. */
const decrypt = ({ associatedData, key }: Entry, { bytes, nonce, tag }: Space, size: number): string | undefined => {
  const end = size - tagLength
  const decipher = Crypto.createDecipheriv("aes-256-gcm", key, nonce, lengths)
  decipher.setAAD(associatedData)
  bytes.copy(tag, 0, end, size)
  decipher.setAuthTag(tag)
  const plaintext = decipher.update(bytes.subarray(nonceEnd, end))
  try {
    // Adds nothing, but checks the tag.
    decipher.final()
  } catch {
    return undefined
  }
  return plaintext.toString("utf8")
}

const lengths = { authTagLength: tagLength }

// -----------------------------------------------------------------------------
// one space for all, as nothing here waits: buffers of its own for each value would take 600 to 1,000 bytes more
// -----------------------------------------------------------------------------

interface Space {
  readonly bytes: Buffer
  /** The part of the bytes that is the nonce. */
  readonly nonce: Buffer
  readonly tag: Buffer
}

const makeSpace = (size: number): Space => {
  const bytes = Buffer.alloc(size)
  return { bytes, nonce: bytes.subarray(headerLength, nonceEnd), tag: Buffer.alloc(tagLength) }
}

// Four chunks with three bytes per unit. Larger values are rejected, and not kept in memory.
const commonSize = 65_536
const common = makeSpace(commonSize)

const spaceFor = (size: number): Space => size <= commonSize ? common : makeSpace(size)
