/**
 * From the values of a key to the JSON that is stored, and back.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Duration, Equal, Exit, HashMap, HashSet, Option, Redacted, Schema } from "effect"
import { SessionError } from "effect-session"
import { inspect } from "node:util"
import * as Codec from "../../src/internal/record/codec.ts"
import { readable } from "../support/arbitraries.ts"

class Person extends Schema.Class<Person>("Person")({
  name: Schema.NonEmptyString,
  born: Schema.Date,
  friends: Schema.Array(Schema.Struct({ name: Schema.String, since: Schema.Option(Schema.Date) }))
}) {}

interface Tree {
  readonly value: number
  readonly children: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({
  value: Schema.Int,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
})

const encode = <A>(schema: Schema.Codec<A, unknown>, value: A): string =>
  Option.getOrThrow(Exit.getSuccess(Codec.make("key", schema).encode(value)))

const decode = <A>(schema: Schema.Codec<A, unknown>, text: string): A =>
  Option.getOrThrow(Exit.getSuccess(Codec.make("key", schema).decode(text)))

const roundTrip = <A>(schema: Schema.Codec<A, unknown>, value: A): A => decode(schema, encode(schema, value))

describe("what goes in comes out", () => {
  const schemas: Record<string, Schema.Codec<unknown, unknown>> = {
    String: Schema.String,
    Number: Schema.Number,
    Int: Schema.Int,
    Boolean: Schema.Boolean,
    Null: Schema.Null,
    NullOr: Schema.NullOr(Schema.Number),
    UndefinedOr: Schema.UndefinedOr(Schema.String),
    Literals: Schema.Literals(["a", 1, true]),
    Date: Schema.Date,
    BigInt: Schema.BigInt,
    Duration: Schema.Duration,
    DateTimeUtc: Schema.DateTimeUtc,
    Uint8Array: Schema.Uint8Array,
    Option: Schema.Option(Schema.Option(Schema.BigInt)),
    Tuple: Schema.Tuple([Schema.String, Schema.Number, Schema.Boolean]),
    Array: Schema.Array(Schema.NullOr(Schema.BigInt)),
    Record: Schema.Record(Schema.String, Schema.Number),
    Struct: Schema.Struct({ a: Schema.optionalKey(Schema.Number), b: Schema.Option(Schema.String) }),
    ReadonlyMap: Schema.ReadonlyMap(Schema.String, Schema.BigInt),
    ReadonlySet: Schema.ReadonlySet(Schema.String),
    HashMap: Schema.HashMap(Schema.String, Schema.Number),
    TaggedUnion: Schema.Union([
      Schema.TaggedStruct("Circle", { radius: Schema.Finite }),
      Schema.TaggedStruct("Square", { side: Schema.BigInt })
    ]),
    NumberFromString: Schema.NumberFromString,
    DateFromString: Schema.DateFromString,
    fromJsonString: Schema.fromJsonString(Schema.Struct({ a: Schema.Finite })),
    Json: Schema.Json,
    Class: Person,
    recursive: Tree
  }

  for (const [name, schema] of Object.entries(schemas)) {
    it.prop(name, [readable(Arbitrary.schema(schema))], ([value]) => {
      const text = encode(schema, value)
      assert.strictEqual(JSON.stringify(JSON.parse(text)), text)
      const same = Schema.toEquivalence(schema)
      // JSON has no negative zero.
      const expected = Object.is(value, -0) ? 0 : value
      assert.isTrue(same(decode(schema, text), expected), `${inspect(value)} as ${text}`)
    })
  }

  const values: ReadonlyArray<readonly [name: string, schema: Schema.Codec<unknown, unknown>, value: unknown]> = [
    ["NaN", Schema.Number, NaN],
    ["infinities", Schema.Tuple([Schema.Number, Schema.Number]), [Infinity, -Infinity]],
    ["the largest integers", Schema.BigInt, 2n ** 200n],
    ["a Duration that never ends", Schema.Duration, Duration.infinity],
    ["a URL", Schema.URL, new URL("https://example.com/a?b=c#d")],
    ["a RegExp", Schema.RegExp, /a+\//gu],
    [
      "a Map of Maps",
      Schema.ReadonlyMap(Schema.BigInt, Schema.ReadonlyMap(Schema.Date, Schema.String)),
      new Map([[1n, new Map([[new Date(5), "x"]])]])
    ],
    ["undefined in a Struct", Schema.Struct({ a: Schema.optional(Schema.String) }), { a: undefined }],
    ["undefined itself", Schema.Undefined, undefined],
    ["half of a surrogate pair", Schema.String, "a\ud800"],
    ["the name that every object has", Schema.Record(Schema.String, Schema.Number), JSON.parse("{ \"__proto__\": 1 }")],
    [
      "an instance of a class",
      Person,
      new Person({ name: "Ada", born: new Date(0), friends: [{ name: "Bob", since: Option.some(new Date(1)) }] })
    ]
  ]
  for (const [name, schema, value] of values) {
    it(name, () => {
      const back = roundTrip(schema, value)
      assert.deepStrictEqual(back, value)
      assert.strictEqual(Object.getPrototypeOf(back ?? {}), Object.getPrototypeOf(value ?? {}))
    })
  }

  it("values that know when they are equal", () => {
    const map = HashMap.make(["a", Option.some(HashSet.make(1, 2))])
    const back = roundTrip(Schema.HashMap(Schema.String, Schema.Option(Schema.HashSet(Schema.Number))), map)
    assert.isTrue(Equal.equals(back, map))
    const moment = DateTime.makeZonedUnsafe("2026-03-29T01:30:00Z", { timeZone: "Europe/Berlin" })
    assert.isTrue(Equal.equals(roundTrip(Schema.DateTimeZoned, moment), moment))
    assert.strictEqual(Redacted.value(roundTrip(Schema.Redacted(Schema.String), Redacted.make("x"))), "x")
  })

  it("nothing is shared: what comes out is not what went in", () => {
    const value = { list: [{ a: 1 }] }
    const schema = Schema.Struct({ list: Schema.Array(Schema.Struct({ a: Schema.Number })) })
    const back = roundTrip(schema, value)
    value.list[0]!.a = 2
    assert.deepStrictEqual(back, { list: [{ a: 1 }] })
  })
})

describe("what does not fit", () => {
  const confidential = "hunter2-hunter2"

  const assertError = (
    exit: Exit.Exit<unknown, SessionError.SessionValueError>,
    expected: {
      readonly operation: "encode" | "decode"
      readonly path: ReadonlyArray<string>
      readonly message: string
    }
  ) => {
    const error = Option.getOrThrow(Exit.findErrorOption(exit))
    assert.instanceOf(error, SessionError.SessionValueError)
    assert.deepStrictEqual(
      { key: error.key, operation: error.operation, path: error.path, message: error.message },
      { key: "key", ...expected }
    )
    const shown = [error.stack, `${error}`, JSON.stringify(error), inspect(exit, { depth: 10, showHidden: true })].join(
      "\n"
    )
    assert.notInclude(shown, confidential)
  }

  const Profile = Schema.Struct({ name: Schema.String, addresses: Schema.Array(Schema.Struct({ zip: Schema.Int })) })

  it("is an error with the key, the path and what was expected, and never with the value", () => {
    const stored = JSON.stringify({ name: "Ada", addresses: [{ zip: 1 }, { zip: confidential }] })
    assertError(Codec.make("key", Profile).decode(stored), {
      operation: "decode",
      path: ["addresses", "1", "zip"],
      message: "Session key \"key\" at addresses.1.zip: can't decode the value. Expected number"
    })
    assertError(Codec.make("key", Profile).encode({ name: confidential, addresses: [{ zip: 1.5 }] }), {
      operation: "encode",
      path: ["addresses", "0", "zip"],
      message: "Session key \"key\" at addresses.0.zip: can't encode the value. Expected an integer"
    })
    assertError(Codec.make("key", Schema.Boolean).decode(JSON.stringify(confidential)), {
      operation: "decode",
      path: [],
      message: "Session key \"key\": can't decode the value. Expected boolean"
    })
  })

  it("is an error where what is stored is no JSON at all", () => {
    for (const text of ["", `{"name":"${confidential}`, confidential, "undefined", "NaN"]) {
      assertError(Codec.make("key", Schema.Unknown).decode(text), {
        operation: "decode",
        path: [],
        message: "Session key \"key\": can't decode the value. Expected JSON text"
      })
    }
  })

  it("is an error where JSON can't hold the value", () => {
    const cycle: Record<string, unknown> = { confidential }
    cycle["cycle"] = cycle
    for (const value of [() => confidential, 1n, Symbol(confidential), undefined, cycle, new Date(0)]) {
      assertError(Codec.make("key", Schema.Unknown).encode(value), {
        operation: "encode",
        path: [],
        message: "Session key \"key\": can't encode the value. Expected JSON value"
      })
    }
  })

  const stored = JSON.stringify(confidential)
  const invalid: ReadonlyArray<readonly [name: string, schema: Schema.Codec<unknown, unknown>, text: string]> = [
    ["a number", Schema.Number, stored],
    ["a date", Schema.Date, stored],
    ["a big integer", Schema.BigInt, stored],
    ["a literal", Schema.Literals(["a", "b"]), stored],
    ["a pattern", Schema.String.check(Schema.isPattern(/^a/)), stored],
    ["a length", Schema.String.check(Schema.isMaxLength(3)), stored],
    ["a URL", Schema.URL, stored],
    ["a symbol", Schema.Symbol, stored],
    ["bytes", Schema.Uint8Array, JSON.stringify(`${confidential}!`)],
    ["JSON in JSON", Schema.fromJsonString(Schema.Struct({})), JSON.stringify(`{${confidential}`)],
    ["a regular expression", Schema.RegExp, JSON.stringify({ source: `(${confidential}`, flags: "" })],
    [
      "a tag",
      Schema.Union([Schema.TaggedStruct("A", {}), Schema.TaggedStruct("B", {})]),
      JSON.stringify({ _tag: confidential })
    ],
    ["unique items", Schema.UniqueArray(Schema.String), JSON.stringify([confidential, confidential])],
    ["a Redacted", Schema.Redacted(Schema.Int), stored],
    ["a class", Person, JSON.stringify({ name: "", born: confidential, friends: confidential })]
  ]
  for (const [name, schema, text] of invalid) {
    it(`shows nothing of the value where ${name} is expected`, () => {
      const exit = Codec.make("key", schema).decode(text)
      const error = Option.getOrThrow(Exit.findErrorOption(exit))
      const shown = [error.message, error.stack, JSON.stringify(error), inspect(exit, { depth: 10, showHidden: true })]
      assert.notInclude(shown.join("\n"), confidential)
      assert.match(error.message, /^Session key "key".*: can't decode the value\. Expected /)
    })
  }

  it.prop("is an error for any JSON and any schema, and nothing throws", [
    readable(Arbitrary.schema(Schema.Json)),
    Arbitrary.schema(Schema.String)
  ], ([json, text]) => {
    for (
      const schema of [Profile, Person, Tree, Schema.Option(Schema.BigInt), Schema.ReadonlyMap(Schema.Date, Schema.Int)]
    ) {
      for (const stored of [JSON.stringify(json), text]) {
        const exit = Codec.make<unknown>("key", schema).decode(stored)
        const error = Option.getOrUndefined(Exit.findErrorOption(exit))
        assert.isTrue(Exit.isSuccess(exit) || error instanceof SessionError.SessionValueError)
      }
    }
  })
})
