/**
 * Converts the id of a session to the token in its cookie and back. A foreign token is recognized without asking the
 * store.
 */
import * as Crypto from "node:crypto"
import * as Hmac from "./hmac.ts"
import * as Identifier from "./identifier.ts"
import type { KeyRing } from "./keyRing.ts"
import * as Seal from "./seal.ts"

export interface Protection {
  readonly protect: (id: string) => string
  readonly open: (token: string) => Opened
}

export type Opened =
  | { readonly _tag: "Opened"; readonly id: string; readonly outdated: boolean }
  | { readonly _tag: "Rejected"; readonly reason: "malformed" | "tampered" }

const malformed: Opened = { _tag: "Rejected", reason: "malformed" }
const tampered: Opened = { _tag: "Rejected", reason: "tampered" }

/** The id itself. */
export const none: Protection = {
  protect: (id) => id,
  open: (token) => Identifier.isWellFormed(token) ? { _tag: "Opened", id: token, outdated: false } : malformed
}

/** `id.signature`, with HMAC-SHA256 (RFC 2104) over the name of the cookie and the id. */
export const signed = (keys: KeyRing, cookieName: string): Protection => {
  const [newest, ...older] = keys.map(({ key }) => Hmac.make(key, `${cookieName}\n`))
  return {
    protect: (id) => `${id}.${newest!(id)}`,
    open: (token) => {
      const dot = token.length - signatureLength - 1
      const id = token.slice(0, dot)
      const signature = token.slice(dot + 1)
      if (token[dot] !== "." || !Identifier.isWellFormed(id) || !Identifier.isHash(signature)) return malformed
      if (isSame(newest!(id), signature)) return { _tag: "Opened", id, outdated: false }
      return older.some((sign) => isSame(sign(id), signature)) ? { _tag: "Opened", id, outdated: true } : tampered
    }
  }
}

/** Takes the same time wherever they differ, so that a signature can't be guessed byte by byte. */
const isSame = (signature: string, other: string): boolean => {
  ours.write(signature, "latin1")
  theirs.write(other, "latin1")
  return Crypto.timingSafeEqual(ours, theirs)
}

const signatureLength = 43
const ours = Buffer.alloc(signatureLength)
const theirs = Buffer.alloc(signatureLength)

/** The id, sealed. */
export const encrypted = (keys: KeyRing, cookieName: string): Protection => {
  const { open, seal } = Seal.make(keys, `id ${cookieName}`)
  return {
    protect: seal,
    open: (token) => {
      const opened = open(token)
      if (opened === undefined) return sealedShape.test(token) ? tampered : malformed
      return { _tag: "Opened", id: opened.plaintext, outdated: opened.outdated }
    }
  }
}

// The longest id, sealed, is 161 bytes.
const sealedShape = /^[A-Za-z0-9_-]{73,215}$/
