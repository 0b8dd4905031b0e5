/**
 * Fields that stay text: to whoever reads them they are a Map.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Record from "../../src/internal/record/record.ts"
import { AnyText, intBetween, oneOf, readable } from "../support/arbitraries.ts"

// Names and values that are taken for each other where somebody confuses lines: `1` is a name and a value, and so is `"a b"`.
const awkward = [
  "",
  "1",
  "12",
  "\"a b\"",
  "a b",
  "null",
  "\n",
  "a\nb",
  "\\n",
  "a",
  "aa",
  "__proto__",
  "~",
  "\ud800",
  "é",
  "😀"
]
const Name = Arbitrary.map(
  Arbitrary.all([oneOf([...awkward, undefined]), AnyText]),
  ([known, any]) => known ?? any
)
const Value = Arbitrary.map(
  Arbitrary.all([intBetween(0, 3), Name, readable(Arbitrary.schema(Schema.Json))]),
  ([kind, name, value]) =>
    kind === 0 ? JSON.stringify(value) : kind === 1 ? JSON.stringify(name) : kind === 2 ? String(name.length) : ""
)

const AnyFields: Arbitrary.Arbitrary<ReadonlyMap<string, string>> = Arbitrary.map(
  Arbitrary.array(Arbitrary.all([Name, Value]), { minLength: 0, maxLength: 12 }),
  (fields) => new Map(fields)
)

const textFieldsOf = (fields: Record.Fields): Record.Fields =>
  Record.decode(Record.encode({ createdAt: 1, touchedAt: 2, expiresAt: 3, fields })).fields

/** What can be asked of a Map, one question for each number. */
const questions: ReadonlyArray<(fields: Record.Fields, name: string) => unknown> = [
  (fields, name) => fields.get(name),
  (fields, name) => fields.has(name),
  (fields) => fields.size,
  (fields) => [...fields],
  (fields) => [...fields.entries()],
  (fields) => [...fields.keys()],
  (fields) => [...fields.values()],
  (fields) => {
    const seen: Array<unknown> = []
    fields.forEach(
      function(this: unknown, value, name, all) {
        seen.push([this, value, name, all === fields])
      },
      seen.length
    )
    return seen
  },
  (fields) => fields.entries().next(),
  (fields) => Object.prototype.toString.call(fields)
]

describe("fields in a text", () => {
  it.prop(
    "answer as a Map does, whatever is asked in whatever order, and however often",
    [
      AnyFields,
      Arbitrary.array(Arbitrary.all([intBetween(0, questions.length - 1), Name]), { minLength: 0, maxLength: 24 })
    ],
    ([fields, asked]) => {
      const inText = textFieldsOf(fields)
      const names = [...fields.keys()]
      asked.forEach(([question, name], index) => {
        // Half of the names are there.
        const one = index % 2 === 0 ? name : names[index % names.length] ?? name
        assert.deepStrictEqual(questions[question]!(inText, one), questions[question]!(fields, one))
      })
    },
    { arbitrary: { runs: 2_000 } }
  )

  it.prop("have each field, and none that is not there, the first time one is asked for", [AnyFields, Name], ([
    fields,
    name
  ]) => {
    for (const [name, value] of fields) assert.strictEqual(textFieldsOf(fields).get(name), value)
    assert.strictEqual(textFieldsOf(fields).get(name), fields.get(name))
    assert.strictEqual(textFieldsOf(fields).has(name), fields.has(name))
  })

  it("are searched a few times only, however many of them are asked for", () => {
    const count = 1_000
    const fields = new Map(Array.from({ length: count }, (_, index) => [`field${index}`, String(index)]))
    const inText = textFieldsOf(fields)
    const searches = vi.spyOn(String.prototype, "indexOf")
    try {
      for (const name of fields.keys()) inText.get(name)
      // Twice for each field that a search passes. A thousand searches would be a million.
      assert.isAtMost(searches.mock.calls.length, 10 * 2 * count)
    } finally {
      searches.mockRestore()
    }
  })

  it.prop("are the same record again when they are encoded", [AnyFields], ([fields]) => {
    const record = { createdAt: 1, touchedAt: 2, expiresAt: 3, fields }
    assert.strictEqual(Record.encode({ ...record, fields: textFieldsOf(fields) }), Record.encode(record))
  })

  it.prop("are told apart by a test that compares them", [AnyFields, AnyFields], ([one, other]) => {
    assert.deepStrictEqual(textFieldsOf(one), one)
    const are = [...one].length === [...other].length && [...one].every(([name, value]) => other.get(name) === value)
    if (are) assert.deepStrictEqual(textFieldsOf(one), textFieldsOf(other))
    else assert.notDeepEqual(textFieldsOf(one), textFieldsOf(other))
  })
})
