/**
 * Seals a text, so that someone who can read Redis finds no usable cookie there.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto"

const keyOf = (secret: string) => Buffer.from(hkdfSync("sha256", secret, "", "examples/moving", 32))

export const seal = (text: string, secret: string): string => {
  const nonce = randomBytes(12)
  const cipher = createCipheriv("aes-256-gcm", keyOf(secret), nonce)
  const sealed = Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()])
  return sealed.toString("base64url")
}

/** The text, unless it was changed or sealed with another secret. */
export const unseal = (sealed: string, secret: string): string | undefined => {
  const bytes = Buffer.from(sealed, "base64url")
  if (bytes.length < 28) return undefined
  const decipher = createDecipheriv("aes-256-gcm", keyOf(secret), bytes.subarray(0, 12))
  decipher.setAuthTag(bytes.subarray(-16))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString()
  } catch {
    return undefined
  }
}
