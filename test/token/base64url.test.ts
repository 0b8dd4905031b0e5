/**
 * Reading base64url: each text has one spelling, or none.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Base64url from "../../src/internal/token/base64url.ts"
import { bitFlips, extensions, otherSpellings, textFlips, truncations } from "../support/alterations.ts"
import { AnyText } from "../support/arbitraries.ts"

/** What stands in a buffer of just the size afterwards, if the text is a spelling. */
const decode = (text: string): Buffer | undefined => {
  const bytes = Buffer.alloc(Base64url.sizeOf(text))
  const size = Base64url.decodeInto(bytes, text)
  return size === undefined ? undefined : bytes.subarray(0, size)
}

/** The same by spelling the bytes again and comparing, which leaves no doubt. */
const reference = (text: string): Buffer | undefined => {
  const bytes = Buffer.from(text, "base64url")
  return bytes.toString("base64url") === text ? bytes : undefined
}

const NearlyBase64url = Arbitrary.schema(
  Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{0,12}[A-Za-z0-9_+/= -]?$/))
)

describe("base64url", () => {
  it.prop("of any bytes is read as it was written", [Schema.Uint8Array], ([bytes]) => {
    assert.deepStrictEqual(decode(Buffer.from(bytes).toString("base64url")), Buffer.from(bytes))
  })

  it.prop(
    "is any text that the bytes it stands for are written as, and no other",
    [AnyText, NearlyBase64url],
    (texts) => {
      for (const text of texts) assert.deepStrictEqual(decode(text), reference(text), text)
    },
    { arbitrary: { runs: 2_000 } }
  )

  it.prop("is not what else may be done to it, but for what spells other bytes", [Schema.Uint8Array], ([bytes]) => {
    const text = Buffer.from(bytes).toString("base64url")
    if (text === "") return
    for (const alter of [bitFlips, textFlips, truncations, extensions, otherSpellings]) {
      for (const altered of alter(text)) assert.deepStrictEqual(decode(altered), reference(altered), altered)
    }
  })

  it("ends in every character that leaves no bits over, and in no other", () => {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for (const start of ["", "A", "AA", "AAA"]) {
      const ends = (read: typeof decode) => [...alphabet].filter((last) => read(start + last) !== undefined)
      assert.deepStrictEqual(ends(decode), ends(reference))
      assert.lengthOf(ends(decode), [0, 4, 16, 64][start.length]!)
    }
  })
})
