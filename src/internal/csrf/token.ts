/**
 * Tokens for forms: the HMAC of what a client is bound to, with a new mask each time, so that an attacker can't guess it from the
 * size of compressed pages (BREACH).
 *
 * A client is bound to the id of its session or, while it has none, to a cookie. A page that is rendered before there is a
 * session may create one, so its token is valid for both.
 */
import * as Crypto from "node:crypto"
import * as Base64url from "../token/base64url.ts"
import * as Hmac from "../token/hmac.ts"
import * as Identifier from "../token/identifier.ts"
import type { KeyRing } from "../token/keyRing.ts"

export interface Tokens {
  /** A token for a client that will be bound to one of these one or two values. */
  readonly make: (bindings: ReadonlyArray<string>) => string
  /** Whether the text is a token for a client bound to this value. */
  readonly isValid: (text: string, binding: string) => boolean
}

/** What a client with this session is bound to. It reveals nothing about the id, because another cookie may contain it. */
export const bindingOf = (id: string): string => Identifier.hash(`csrf ${id}`)

export const isBinding = Identifier.isHash

export const make = (keys: KeyRing): Tokens => {
  const codes = keys.map(({ key }) => {
    const sign = Hmac.make(key)
    return (binding: string) => Buffer.from(sign(binding), "base64url")
  })
  return {
    make: (bindings) => mask(Buffer.concat(bindings.map(codes[0]!))),
    isValid: (text, binding) => {
      const parts = unmask(text)
      // All are compared, so the time reveals nothing.
      return codes.map((code) => code(binding)).flatMap((expected) =>
        parts.filter((part) => Crypto.timingSafeEqual(part, expected))
      ).length > 0
    }
  }
}

const codeSize = 32

const mask = (codes: Buffer): string => {
  const pad = Identifier.drawBytes(codes.length)
  return Buffer.concat([pad, xor(codes, pad)]).toString("base64url")
}

/** The one or two codes in it, none if it is not a token. */
const unmask = (text: string): ReadonlyArray<Buffer> => {
  const bytes = Buffer.alloc(4 * codeSize)
  const size = text.length > longest ? undefined : Base64url.decodeInto(bytes, text)
  if (size !== 2 * codeSize && size !== 4 * codeSize) return []
  const codes = xor(bytes.subarray(0, size / 2), bytes.subarray(size / 2, size))
  return size === 2 * codeSize ? [codes] : [codes.subarray(0, codeSize), codes.subarray(codeSize)]
}

const longest = Math.ceil(4 * codeSize * 4 / 3)

const xor = (bytes: Buffer, pad: Buffer): Buffer => Buffer.from(bytes.map((byte, index) => byte ^ pad[index]!))
