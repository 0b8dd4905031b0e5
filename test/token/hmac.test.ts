/**
 * The signature of ids: the HMAC that everybody else computes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Crypto from "node:crypto"
import * as Hmac from "../../src/internal/token/hmac.ts"

const expected = (key: Buffer, text: string) => Crypto.createHmac("sha256", key).update(text).digest("base64url")

describe("HMAC-SHA256", () => {
  it.prop("is the one of node:crypto, for any key of up to 64 bytes and any text", {
    key: Schema.Uint8Array.check(Schema.isMinLength(1), Schema.isMaxLength(64)),
    texts: Schema.Array(Schema.String)
  }, ({ key, texts }) => {
    const bytes = Buffer.from(key)
    const sign = Hmac.make(Crypto.createSecretKey(bytes))
    for (const text of texts) assert.strictEqual(sign(text), expected(bytes, text))
  })

  it.prop("is that of the prefix and the text, also where a text follows a longer or a shorter one", {
    prefix: Schema.String,
    texts: Schema.Array(Schema.String)
  }, ({ prefix, texts }) => {
    const bytes = Buffer.from("a key")
    const sign = Hmac.make(Crypto.createSecretKey(bytes), prefix.toWellFormed())
    for (const text of [...texts, "", "a", "ä", "b", "€", ...texts.toReversed()]) {
      assert.strictEqual(sign(text), expected(bytes, prefix.toWellFormed() + text))
    }
  })

  it("is the one of RFC 4231, test case 2", () => {
    const sign = Hmac.make(Crypto.createSecretKey(Buffer.from("Jefe")))
    assert.strictEqual(
      Buffer.from(sign("what do ya want for nothing?"), "base64url").toString("hex"),
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
  })
})
