/**
 * What the file of a session holds: it comes back as it was, also if a person has laid it out in another way.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Document from "../../../src/internal/drivers/file/document.ts"
import { AnyText, oneOf, readable } from "../../support/arbitraries.ts"

const Value: Arbitrary.Arbitrary<unknown> = readable(Arbitrary.schema(Schema.Json))

/** Names that could be taken for something else in a line of the file, and any. */
const Name = Arbitrary.map(
  Arbitrary.all([AnyText, oneOf(["", "\"", "\": ", ",", "\n", "\\", "data", "createdAt", "__proto__", "1", "}\n}"])]),
  ([text, odd]) => odd + text
)

const Fields = Arbitrary.map(
  Arbitrary.array(Arbitrary.all([Name, Value])),
  (entries) => new Map(entries.map(([name, value]) => [name, JSON.stringify(value)]))
)

const decodeUnchanged = (text: string) => Document.decode(text, Document.checksum(text))

/** As it comes back after somebody has edited it. */
const decodeEdited = (text: string) => Document.decode(text, "00000000")

const createdAt = Date.parse("2026-07-01T12:00:00Z")

describe("the file of a session", () => {
  it.prop("gives back every field to the letter, and is JSON", [Fields], ([fields]) => {
    const text = Document.encode({ createdAt, fields })
    assert.deepStrictEqual(decodeUnchanged(text), { createdAt, fields })
    assert.deepStrictEqual(
      Object.entries(JSON.parse(text).data).map(([name, value]) => [name, JSON.stringify(value)]).toSorted(),
      [...fields].toSorted()
    )
  })

  it.prop("may be laid out in another way", [Fields], ([fields]) => {
    const json: unknown = JSON.parse(Document.encode({ createdAt, fields }))
    for (const space of [undefined, 1, 2, 4, "\t"]) {
      for (const end of ["", "\n", "\r\n"]) {
        assert.deepStrictEqual(decodeEdited(JSON.stringify(json, undefined, space) + end), { createdAt, fields })
      }
    }
  })

  it.prop("cut short anywhere is no document", [Fields], ([fields]) => {
    const text = Document.encode({ createdAt, fields })
    // Without the last line break it is whole.
    for (let length = 0; length < text.length - 1; length++) {
      assert.isUndefined(decodeEdited(text.slice(0, length)))
    }
  })

  it("takes a number as it is written, and the whole of a large text", () => {
    const fields = new Map([["number", "1.50"], ["text", JSON.stringify("x".repeat(100_000))]])
    assert.deepStrictEqual(decodeUnchanged(Document.encode({ createdAt, fields })), { createdAt, fields })
  })

  it("is no document if the value of a field was damaged", () => {
    const text = Document.encode({ createdAt, fields: new Map([["good", "1"], ["bad", "2"]]) })
    for (const damaged of ["{", "{\"a\":", "x", "", "1,", "\"\0\""]) {
      assert.isUndefined(Document.decode(text.replace("2\n", `${damaged}\n`), Document.checksum(text)))
    }
  })

  it("has every moment that a session can have", () => {
    for (const createdAt of [0, -1, 8_640_000_000_000_000, -8_640_000_000_000_000]) {
      const fields = new Map([["a", "1"]])
      assert.deepStrictEqual(decodeUnchanged(Document.encode({ createdAt, fields })), { createdAt, fields })
    }
  })

  it("holds the successor of one that was regenerated, whatever is in it", () => {
    for (const successor of ["x".repeat(43), "\"\n\\"]) {
      assert.deepStrictEqual(decodeUnchanged(Document.encode({ successor })), { successor })
    }
  })
})
