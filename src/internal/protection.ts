/**
 * From the id of a session to the token in its cookie and back. A token that was not made here is recognized without a
 * question to the store.
 */
import * as Crypto from "node:crypto"
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
  const sign = (key: Crypto.KeyObject, id: string): Buffer =>
    Crypto.createHmac("sha256", key).update(`${cookieName}\n${id}`).digest()
  return {
    protect: (id) => `${id}.${sign(keys[0].key, id).toString("base64url")}`,
    open: (token) => {
      const dot = token.length - signatureLength - 1
      const id = token.slice(0, dot)
      const text = token.slice(dot + 1)
      if (token[dot] !== "." || !Identifier.isWellFormed(id)) return malformed
      const signature = Buffer.from(text, "base64url")
      // Only the canonical spelling of the signature counts.
      if (signature.length !== 32 || signature.toString("base64url") !== text) return malformed
      const index = keys.findIndex(({ key }) => Crypto.timingSafeEqual(sign(key, id), signature))
      return index === -1 ? tampered : { _tag: "Opened", id, outdated: index > 0 }
    }
  }
}

const signatureLength = 43

/** The id, sealed. */
export const encrypted = (keys: KeyRing, cookieName: string): Protection => {
  const { open, seal } = Seal.make(keys, `id ${cookieName}`)
  return {
    protect: seal,
    open: (token) => {
      if (!sealedShape.test(token)) return malformed
      const opened = open(token)
      return opened === undefined
        ? tampered
        : { _tag: "Opened", id: opened.plaintext, outdated: opened.outdated }
    }
  }
}

// The longest id, sealed, is 161 bytes.
const sealedShape = /^[A-Za-z0-9_-]{73,215}$/
