/**
 * A change merged into the text of a record is the change merged into the record.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import * as Change from "../../src/internal/record/change.ts"
import * as Record from "../../src/internal/record/record.ts"
import * as TextMerge from "../../src/internal/record/textMerge.ts"
import { intBetween, oneOf } from "../support/arbitraries.ts"

// Few of each, so that they meet, and some that are both.
const Name = oneOf(["a", "aa", "a b", "", "1", "12", "\"a b\"", "\n", "__proto__", "é", "b", "c"])
const Value = oneOf([
  "1",
  "2",
  "-3.5",
  "12",
  "\"a b\"",
  "\"a\"",
  "\"\\n\"",
  "null",
  "{\"a\":1}",
  "[]",
  "\"é\"",
  "\"😀\""
])
const Small = intBetween(-5, 5)
const Moment = oneOf([0, 1, 1_000, 1.5, -1, 1_795_718_000_000, 1_795_718_000_001, Record.endOfTime])
const AnyTimes = Arbitrary.all({ createdAt: Moment, touchedAt: Moment, expiresAt: Moment })

const pairs = <A, B>(one: Arbitrary.Arbitrary<A>, other: Arbitrary.Arbitrary<B>, maxLength: number) =>
  Arbitrary.array(Arbitrary.all([one, other]), { minLength: 0, maxLength })

const AnyRecord: Arbitrary.Arbitrary<Record.SessionRecord> = Arbitrary.map(
  Arbitrary.all([AnyTimes, pairs(Name, Value, 8)]),
  ([times, fields]) => ({ ...times, fields: new Map(fields) })
)

// Also such as no request makes: a field that is set, removed and added to at once.
const AnyChange: Arbitrary.Arbitrary<Change.Change> = Arbitrary.map(
  Arbitrary.all({
    clear: intBetween(0, 9),
    touch: intBetween(0, 1),
    set: pairs(Name, Value, 3),
    remove: pairs(Name, Small, 2),
    increment: pairs(Name, Arbitrary.all({ by: Small, initial: Small }), 2)
  }),
  ({ clear, increment, remove, set, touch }) => ({
    ...Change.none,
    clear: clear === 0,
    touch: touch === 1,
    set: new Map(set),
    remove: new Set(remove.map(([name]) => name)),
    increment: new Map(increment)
  })
)

describe("merging into a text", () => {
  it.prop("comes to the same text, field by field in the same order, as merging into the record", [
    AnyRecord,
    AnyChange,
    AnyTimes
  ], ([record, change, times]) => {
    assert.strictEqual(
      TextMerge.merge(Record.encode(record), change, times),
      Record.encode(Change.merge(record, change, times))
    )
  }, { arbitrary: { runs: 5_000 } })

  it.prop("one change after the other comes to the same too", [
    AnyRecord,
    Arbitrary.array(Arbitrary.all([AnyChange, AnyTimes]), { minLength: 0, maxLength: 6 })
  ], ([record, changes]) => {
    const text = changes.reduce((text, [change, times]) => TextMerge.merge(text, change, times), Record.encode(record))
    const merged = changes.reduce((record, [change, times]) => Change.merge(record, change, times), record)
    assert.deepStrictEqual(Record.decode(text), merged)
  })

  it.prop(
    "leaves the moment at which the record ends where the text is asked for it alone",
    [AnyRecord],
    ([record]) => {
      assert.strictEqual(Record.decodeExpiry(Record.encode(record)), record.expiresAt)
    }
  )
})
