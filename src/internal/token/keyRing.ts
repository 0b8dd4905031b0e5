/**
 * The keys made from the secrets: one per secret and purpose, by HKDF (RFC 5869), so that no key serves two purposes.
 * The first secret writes, all of them read.
 */
import * as Redacted from "effect/Redacted"
import * as Crypto from "node:crypto"

export interface Key {
  /** Four bytes that name the key and tell nothing of it. */
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
  // A KeyObject, as a cipher that is given raw bytes costs five times as much to set up.
  key: Crypto.createSecretKey(derive(secret, purpose, 32))
})

const derive = (secret: string, purpose: string, length: number): Buffer =>
  Buffer.from(Crypto.hkdfSync("sha256", secret, "", `effect-session v1 ${purpose}`, length))
