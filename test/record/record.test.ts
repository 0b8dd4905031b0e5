/**
 * What is stored of a session, as text and back.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Record from "../../src/internal/record/record.ts"
import { AnyText, intBetween, readable } from "../support/arbitraries.ts"

const Json = readable(Arbitrary.schema(Schema.Json))
const Moment = intBetween(0, Record.endOfTime)

const AnyRecord: Arbitrary.Arbitrary<Record.SessionRecord> = Arbitrary.map(
  Arbitrary.all({
    createdAt: Moment,
    touchedAt: Moment,
    expiresAt: Moment,
    values: Arbitrary.array(Arbitrary.all([AnyText, Json]), { minLength: 0, maxLength: 6 })
  }),
  ({ values, ...times }) => ({
    ...times,
    fields: new Map(values.map(([name, value]) => [name, JSON.stringify(value)]))
  })
)

describe("a record", () => {
  it.prop("comes back from its text as it was, with any name and any JSON in it", [AnyRecord], ([record]) => {
    assert.deepStrictEqual(Record.decode(Record.encode(record)), record)
  }, { arbitrary: { runs: 1_000 } })

  it.prop("is text that every store can hold: no half of a surrogate pair, whatever the values are", [AnyRecord], ([
    record
  ]) => {
    const text = Record.encode(record)
    assert.isTrue(text.isWellFormed())
    assert.strictEqual(Buffer.from(text, "utf8").toString("utf8"), text)
  })

  const awkward = [
    "",
    "\n",
    "a\nb",
    "\r\n",
    "\u2028",
    "\0",
    "~",
    "~~",
    "~flash:x",
    "__proto__",
    "constructor",
    "\ud800",
    "😀",
    "\"",
    "\\"
  ]

  it("comes back with awkward names, and with them as values", () => {
    const fields = new Map(awkward.map((name) => [name, JSON.stringify({ [name]: [name, null, 1e21, -0.5, true] })]))
    const record = { createdAt: 1, touchedAt: 2, expiresAt: Record.endOfTime, fields }
    assert.deepStrictEqual(Record.decode(Record.encode(record)), record)
  })

  it("comes back with nothing in it", () => {
    const record = { createdAt: 0, touchedAt: 0, expiresAt: 0, fields: new Map() }
    assert.deepStrictEqual(Record.decode(Record.encode(record)), record)
  })

  it("the end of time is a date, and a millisecond more is none", () => {
    assert.isFalse(Number.isNaN(new Date(Record.endOfTime).getTime()))
    assert.isTrue(Number.isNaN(new Date(Record.endOfTime + 1).getTime()))
  })
})

describe("the name of a field", () => {
  it.prop("tells its key, whatever that is", [AnyText], ([name]) => {
    assert.strictEqual(Record.keyOfField(Record.fieldOfKey(name)), name)
    assert.strictEqual(Record.keyOfField(Record.fieldOfKey(`~${name}`)), `~${name}`)
  })

  it.prop("is another one for each key", [AnyText, AnyText], ([one, other]) => {
    for (const [a, b] of [[one, other], [one, `~${one}`], [`~${one}`, `~~${one}`]] as const) {
      assert.strictEqual(Record.fieldOfKey(a) === Record.fieldOfKey(b), a === b)
    }
  })

  it.prop("is none of the library's own, and those are of no key", [AnyText], ([name]) => {
    for (const key of [name, `~${name}`, `~flash:${name}`, `flash:${name}`]) {
      assert.isFalse(Record.fieldOfKey(key).startsWith("~flash:"))
      assert.isTrue(Record.fieldOfKey(key)[0] !== "~" || Record.fieldOfKey(key)[1] === "~")
    }
    assert.isUndefined(Record.keyOfField(`~flash:${name}`))
  })
})
