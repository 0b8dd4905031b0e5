/**
 * Authenticated encryption: AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits.
 *
 * A sealed value is base64url of `version (1 byte) | key id (4) | nonce (12) | ciphertext | tag (16)`. The first five
 * bytes, the purpose and the name of the cookie are authenticated as well, so a value opens only where it was meant to.
 * Which algorithm and which key are used follows from the key ring alone: the client names neither.
 *
 * With random nonces one key is good for 2^32 values; who sets more cookies than that in a secret's life rotates it.
 */
import * as Crypto from "node:crypto"
import { drawBytes } from "./identifier.ts"
import type { KeyRing } from "./keyRing.ts"

const version = 1
const headerLength = 5
const nonceLength = 12
const tagLength = 16
const overhead = headerLength + nonceLength + tagLength

export interface Seal {
  readonly seal: (plaintext: string) => string
  readonly open: (sealed: string) => Opened | undefined
}

export interface Opened {
  readonly plaintext: string
  /** Sealed with a key that is no longer the first: it should be sealed anew. */
  readonly outdated: boolean
}

export const make = (keys: KeyRing, context: string): Seal => {
  const entries = keys.map(({ id, key }) => {
    const header = Buffer.concat([Buffer.of(version), id])
    return { header, key, associatedData: Buffer.concat([header, Buffer.from(context)]) }
  })
  const newest = entries[0]!

  const seal = (plaintext: string): string => {
    const nonce = drawBytes(nonceLength)
    const cipher = Crypto.createCipheriv("aes-256-gcm", newest.key, nonce)
    cipher.setAAD(newest.associatedData)
    // GCM is a stream cipher: `final` has nothing to add but the tag.
    const ciphertext = cipher.update(plaintext, "utf8")
    cipher.final()
    return Buffer.concat([newest.header, nonce, ciphertext, cipher.getAuthTag()]).toString("base64url")
  }

  const open = (sealed: string): Opened | undefined => {
    const bytes = Buffer.from(sealed, "base64url")
    // The decoder skips what is not base64url and ignores spare bits: only the one canonical spelling opens. Effect's
    // `Base64Url` ignores spare bits too, and takes ten times as long.
    if (bytes.length < overhead || bytes.toString("base64url") !== sealed) return undefined
    for (const entry of entries) {
      if (bytes.compare(entry.header, 0, headerLength, 0, headerLength) !== 0) continue
      const plaintext = decrypt(entry, bytes)
      if (plaintext !== undefined) return { plaintext, outdated: entry !== newest }
    }
    return undefined
  }

  return { seal, open }
}

const decrypt = (
  entry: { readonly key: Crypto.KeyObject; readonly associatedData: Buffer },
  bytes: Buffer
): string | undefined => {
  const nonceEnd = headerLength + nonceLength
  const tagStart = bytes.length - tagLength
  const decipher = Crypto.createDecipheriv("aes-256-gcm", entry.key, bytes.subarray(headerLength, nonceEnd), {
    authTagLength: tagLength
  })
  decipher.setAAD(entry.associatedData)
  decipher.setAuthTag(bytes.subarray(tagStart))
  const plaintext = decipher.update(bytes.subarray(nonceEnd, tagStart))
  try {
    // It has nothing to add, but checks the tag.
    decipher.final()
  } catch {
    return undefined
  }
  return plaintext.toString("utf8")
}
