/**
 * The keys derived from the secrets with HKDF (RFC 5869): one per secret and purpose, so that no key serves two
 * purposes. The first secret writes, and all of them read.
 */
import * as Redacted from "effect/Redacted"
import * as Crypto from "node:crypto"

export interface Key {
  /** Four bytes that name the key and reveal nothing about it. */
  readonly id: Buffer
  readonly key: Crypto.KeyObject
}

/** The keys of one purpose, newest first. */
export type KeyRing = readonly [Key, ...ReadonlyArray<Key>]

export type Purpose = "sign-id" | "seal-id" | "seal-session" | "csrf"

export const make = (secrets: ReadonlyArray<Redacted.Redacted<string>>, purpose: Purpose): KeyRing | undefined => {
  const [first, ...rest] = secrets.map((secret) => deriveKey(Redacted.value(secret), purpose))
  return first === undefined ? undefined : [first, ...rest]
}

const deriveKey = (secret: string, purpose: Purpose): Key => ({
  id: derive(secret, `${purpose} key-id`, 4),
  // A KeyObject, because setting up a cipher with raw bytes costs five times as much.
  key: Crypto.createSecretKey(derive(secret, purpose, 32))
})

const derive = (secret: string, purpose: string, length: number): Buffer =>
  Buffer.from(Crypto.hkdfSync("sha256", secret, "", `effect-session v1 ${purpose}`, length))
