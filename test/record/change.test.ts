/**
 * What holds of all changes, whatever they are: nothing of one request gets lost by the way it is written.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import * as Change from "../../src/internal/record/change.ts"
import type { Fields, SessionRecord, Times } from "../../src/internal/record/record.ts"
import { intBetween, oneOf } from "../support/arbitraries.ts"

// Few fields and few values, so that changes meet.
const Field = oneOf(["a", "b", "c", "__proto__"])
const Value = oneOf(["1", "2", "-3", "\"text\"", "null", "{\"x\":1}", "[]", "true"])
const Small = intBetween(-5, 5)

type Step = (change: Change.Change) => Change.Change

const Step: Arbitrary.Arbitrary<Step> = Arbitrary.map(
  Arbitrary.all({ kind: intBetween(0, 9), field: Field, value: Value, by: Small, initial: Small }),
  ({ by, field, initial, kind, value }): Step => (change) =>
    kind === 0
      ? Change.clear(change)
      : kind < 4
      ? Change.set(change, field, value)
      : kind < 6
      ? Change.remove(change, field)
      : kind < 7
      ? { ...change, touch: true }
      : Change.increment(change, field, { by, initial })
)

const Steps = Arbitrary.array(Step, { minLength: 0, maxLength: 8 })
const changeOf = (steps: ReadonlyArray<Step>): Change.Change =>
  steps.reduce((change, step) => step(change), Change.none)
const AnyChange = Arbitrary.map(Steps, changeOf)

const AnyFields: Arbitrary.Arbitrary<Fields> = Arbitrary.map(
  Arbitrary.array(Arbitrary.all([Field, Value]), { minLength: 0, maxLength: 4 }),
  (entries) => new Map(entries)
)

const Moment = intBetween(0, 1_000)
const AnyTimes: Arbitrary.Arbitrary<Times> = Arbitrary.all({ createdAt: Moment, touchedAt: Moment, expiresAt: Moment })

const many = { arbitrary: { runs: 2_000 } }

/** Maps and sets as sorted lists, so that the order in which things came does not count. */
const sorted = (fields: Fields) => [...fields].toSorted(([one], [other]) => one < other ? -1 : 1)

const assertSame = (actual: Fields, expected: Fields) => assert.deepStrictEqual(sorted(actual), sorted(expected))

describe("a change", () => {
  it.prop("is what its steps do one by one", [AnyFields, Steps], ([fields, steps]) => {
    const oneByOne = steps.reduce((fields, step) => Change.apply(fields, step(Change.none)), fields)
    assertSame(Change.apply(fields, changeOf(steps)), oneByOne)
  }, many)

  it.prop("has each field in one of set, remove and increment at most", [AnyChange], ([{ increment, remove, set }]) => {
    const fields = [...set.keys(), ...remove, ...increment.keys()]
    assert.strictEqual(new Set(fields).size, fields.length)
  }, many)

  it.prop("leaves what it was made from as it was", [AnyFields, AnyChange, Step], ([fields, change, step]) => {
    const [fieldsBefore, changeBefore] = [structuredClone(fields), structuredClone(change)]
    step(change)
    Change.apply(fields, change)
    assert.deepStrictEqual(fields, fieldsBefore)
    assert.deepStrictEqual(change, changeBefore)
  })

  it.prop("that is empty changes nothing", [AnyFields, AnyChange], ([fields, change]) => {
    if (Change.isEmpty(change)) assert.strictEqual(Change.apply(fields, change), fields)
    assert.isTrue(Change.isEmpty(Change.none))
    assert.isTrue(Change.isEmpty(Change.onlyTouch))
  })

  it.prop("that clears removes what another request has put, and then sets its own", [AnyFields, Steps], ([
    fields,
    steps
  ]) => {
    const cleared = changeOf([Change.clear, ...steps])
    assertSame(Change.apply(fields, cleared), Change.apply(new Map(), changeOf(steps)))
  })
})

describe("increments", () => {
  it.prop("of many requests add up, in whatever order they arrive", [
    Arbitrary.array(Small, { minLength: 0, maxLength: 10 }),
    intBetween(-100, 100),
    intBetween(0, 1_000_000)
  ], ([numbers, start, seed]) => {
    const changes = numbers.map((by) => Change.increment(Change.none, "count", { by, initial: 7 }))
    const total = numbers.reduce((sum, by) => sum + by, start)
    const shuffled = changes.map((change, index) => [(seed * (index + 1)) % 997, change] as const)
      .toSorted(([one], [other]) => one - other).map(([, change]) => change)
    for (const order of [changes, changes.toReversed(), shuffled]) {
      const fields = order.reduce(Change.apply, new Map([["count", `${start}`], ["name", "\"Ada\""]]) as Fields)
      assertSame(fields, new Map([["count", `${total}`], ["name", "\"Ada\""]]))
    }
  })

  it("begin where there is no number: at the initial value of the first of them", () => {
    const one = Change.increment(Change.none, "count", { by: 1, initial: 10 })
    const both = Change.increment(one, "count", { by: 2, initial: 20 })
    assertSame(Change.apply(new Map(), both), new Map([["count", "13"]]))
    assertSame(Change.apply(new Map([["count", "\"text\""]]), one), new Map([["count", "11"]]))
  })

  it("after a removal or a clear begin anew, whatever another request has put meanwhile", () => {
    const by = { by: 1, initial: 5 }
    const removed = Change.increment(Change.remove(Change.none, "count"), "count", by)
    const cleared = Change.increment(Change.clear(Change.none), "count", by)
    for (const change of [removed, cleared]) {
      assertSame(Change.apply(new Map([["count", "100"]]), change), new Map([["count", "6"]]))
    }
  })
})

describe("expectations", () => {
  it.prop(
    "are met by the fields that they were made from, and by no others",
    [AnyFields, AnyFields],
    ([one, other]) => {
      const expected = new Map<string, string | undefined>(
        ["a", "b", "c", "__proto__"].map((name) => [name, one.get(name)])
      )
      assert.isTrue(Change.isExpected(one, expected))
      const isSame = [...expected].every(([name, text]) => other.get(name) === text)
      assert.strictEqual(Change.isExpected(other, expected), isSame)
    },
    many
  )

  it.prop("stay, whatever the change does besides", [Steps, Field, Value], ([steps, field, text]) => {
    const change = steps.reduce((change, step) => step(change), Change.expect(Change.none, field, text))
    assert.deepStrictEqual(change.expect, new Map([[field, text]]))
    assert.deepStrictEqual(Change.expect(change, field, undefined).expect, new Map([[field, undefined]]))
  })
})

describe("two requests at once", () => {
  const fieldsOf = ({ increment, remove, set }: Change.Change) =>
    new Set([...set.keys(), ...remove, ...increment.keys()])

  it.prop("that change different fields are both there, in whatever order they commit", [
    AnyFields,
    AnyChange,
    AnyChange
  ], ([fields, one, other]) => {
    const meet = one.clear || other.clear || [...fieldsOf(one)].some((field) => fieldsOf(other).has(field))
    const [oneFirst, otherFirst] = [[one, other], [other, one]].map((order) => order.reduce(Change.apply, fields))
    if (!meet) assertSame(oneFirst!, otherFirst!)
    for (const [field, value] of other.set) assert.strictEqual(oneFirst!.get(field), value)
    for (const [field, value] of one.set) assert.strictEqual(otherFirst!.get(field), value)
  }, many)
})

describe("what is expected", () => {
  const AnyExpected: Arbitrary.Arbitrary<Change.Expected> = Arbitrary.map(
    Arbitrary.array(Arbitrary.all([Field, Value, oneOf([true, false])]), { minLength: 0, maxLength: 3 }),
    (entries) => new Map(entries.map(([field, value, isThere]) => [field, isThere ? value : undefined]))
  )

  const expecting = (change: Change.Change, expected: Change.Expected) =>
    [...expected].reduce((change, [field, text]) => Change.expect(change, field, text), change)

  it.prop("is met if each field holds that text, or is not there, and whatever the others hold", [
    AnyFields,
    AnyExpected
  ], ([fields, expected]) => {
    const isMet = [...expected].every(([field, text]) =>
      text === undefined ? !fields.has(field) : fields.get(field) === text
    )
    assert.strictEqual(Change.isExpected(fields, expected), isMet)
    assert.isTrue(Change.isExpected(fields, Change.none.expect))
    assert.isTrue(Change.isExpected(fields, fields))
    const met = new Map([...fields, ...expected].filter(([, text]) => text !== undefined) as Array<[string, string]>)
    for (const [field, text] of expected) if (text === undefined) met.delete(field)
    assert.isTrue(Change.isExpected(met, expected))
    for (const [field, text] of expected) {
      assert.isFalse(Change.isExpected(new Map(met).set(field, `${text} `), expected))
      const without = new Map(met)
      if (without.delete(field)) assert.isFalse(Change.isExpected(without, expected))
    }
  }, many)

  it.prop("is the last that was said of a field", [AnyChange, AnyExpected, AnyExpected], ([change, first, second]) => {
    assert.deepStrictEqual(
      new Map(expecting(expecting(change, first), second).expect),
      new Map([...first, ...second])
    )
  })

  it.prop("alters nothing of what a change does, and stays through all that is added to it", [
    AnyFields,
    AnyChange,
    AnyExpected,
    Step
  ], ([fields, change, expected, step]) => {
    const careful = expecting(change, expected)
    assert.deepStrictEqual({ ...careful, expect: change.expect }, change)
    assertSame(Change.apply(fields, careful), Change.apply(fields, change))
    assert.strictEqual(Change.isEmpty(careful), Change.isEmpty(change))
    assert.deepStrictEqual(step(careful).expect, careful.expect)
  })
})

describe("merging", () => {
  it.prop("moves times forward only, and only if the change extends the session's life", [
    AnyFields,
    AnyTimes,
    AnyChange,
    AnyTimes
  ], ([fields, stored, change, times]) => {
    const merged = Change.merge({ ...stored, fields }, change, times)
    assert.strictEqual(merged.createdAt, stored.createdAt)
    assert.strictEqual(merged.touchedAt, change.touch ? Math.max(stored.touchedAt, times.touchedAt) : stored.touchedAt)
    assert.strictEqual(merged.expiresAt, change.touch ? Math.max(stored.expiresAt, times.expiresAt) : stored.expiresAt)
    assertSame(merged.fields, Change.apply(fields, change))
  })

  it.prop("a touch of many requests ends at the latest of them, in whatever order they arrive", [
    AnyTimes,
    Arbitrary.array(AnyTimes, { minLength: 0, maxLength: 5 })
  ], ([stored, touches]) => {
    const start: SessionRecord = { ...stored, fields: new Map() }
    const [forward, backward] = [touches, touches.toReversed()].map((order) =>
      order.reduce<SessionRecord>((record, times) => Change.merge(record, Change.onlyTouch, times), start)
    )
    assert.deepStrictEqual(forward, backward)
    assert.strictEqual(forward!.expiresAt, Math.max(stored.expiresAt, ...touches.map(({ expiresAt }) => expiresAt)))
  })
})
