/**
 * What the page about keys says of values: how they are stored, and what is refused.
 */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Option, Redacted, Schema } from "effect"
import { Session, SessionKey } from "effect-session"
import { readFileSync } from "node:fs"

const page = readFileSync(new URL("../../docs/guide/keys.md", import.meta.url), "utf8")

class Person extends Schema.Class<Person>("Person")({ name: Schema.String }) {}

class Plain {
  readonly name = "Ada"
}

/** A schema, a value, which may be one that does not compile, and what the page says of it. */
type Case = readonly [schema: string, value: unknown, says: string]

const schemas: Record<string, Schema.Codec<unknown, unknown>> = {
  Any: Schema.Any,
  BigInt: Schema.BigInt,
  Date: Schema.Date,
  DateTimeUtc: Schema.DateTimeUtc,
  Finite: Schema.Finite,
  Int: Schema.Int,
  Json: Schema.Json,
  Option: Schema.Option(Schema.String),
  Person: Person as never,
  ReadonlyMap: Schema.ReadonlyMap(Schema.String, Schema.Int),
  ReadonlySet: Schema.ReadonlySet(Schema.String),
  String: Schema.String,
  Struct: Schema.Struct({ name: Schema.String }),
  Uint8Array: Schema.Uint8Array,
  Unknown: Schema.Unknown
}

const stored: ReadonlyArray<Case> = [
  ["DateTimeUtc", DateTime.makeUnsafe(0), `"1970-01-01T00:00:00.000Z"`],
  ["Date", new Date(0), `"1970-01-01T00:00:00.000Z"`],
  ["ReadonlyMap", new Map([["tea", 2]]), `[["tea",2]]`],
  ["ReadonlySet", new Set(["tea"]), `["tea"]`],
  ["BigInt", 12345678901234567890n, `"12345678901234567890"`],
  ["Uint8Array", new Uint8Array([1, 2]), `"AQI="`],
  ["Option", Option.some("a"), `{"_tag":"Some","value":"a"}`],
  ["Any", new Map([["tea", 2]]), `{}`]
]

const deep = Array.from({ length: 501 }).reduce<unknown>((inner) => [inner], 1)

const refused: ReadonlyArray<Case> = [
  ["Unknown", new Map(), "Expected JSON value"],
  ["Unknown", new Date(0), "Expected JSON value"],
  ["Unknown", new Plain(), "Expected JSON value"],
  ["Json", new Map(), "Expected JSON value"],
  ["Person", { name: "Ada" }, "Expected Person"],
  ["String", undefined, "Expected string"],
  ["Json", deep, "Expected at most 500 levels of lists and objects"]
]

const keyOf = (schema: string) => SessionKey.make("key", schemas[schema]!)

describe("docs/guide/keys.md", () => {
  it.effect.each(stored)("%s: %o is stored as %s, and comes back", ([schema, value, text]) =>
    Effect.gen(function*() {
      const key = keyOf(schema)
      yield* Session.put(key, value)
      assert.strictEqual(JSON.stringify((yield* Session.all)["key"]), text)
      if (schema !== "Any") assert.deepStrictEqual(Option.getOrThrow(yield* key), value)
      assert.include(page, `\`${text}\``)
    }).pipe(Effect.provide(Session.layerTest())))

  it.effect.each(refused)("%s: %o is refused: %s", ([schema, value, expected]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Session.put(keyOf(schema), value))
      assert.deepStrictEqual([error._tag, (error as { expected?: string }).expected], ["SessionValueError", expected])
      assert.include(page, `\`${expected}\``)
    }).pipe(Effect.provide(Session.layerTest())))

  it.effect.each(["Finite", "Int"])("NaN is refused for Schema.%s", (schema) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(Session.put(keyOf(schema), NaN)))._tag, "SessionValueError")
    }).pipe(Effect.provide(Session.layerTest())))

  it.effect("an instance of a class comes back from a Schema.Struct as a plain object, with the fields that it names", () =>
    Effect.gen(function*() {
      const key = keyOf("Struct")
      yield* Session.put(key, Object.assign(new Plain(), { other: 1 }))
      const value = Option.getOrThrow(yield* key)
      assert.deepStrictEqual(value, { name: "Ada" })
      assert.notInstanceOf(value, Plain)
    }).pipe(Effect.provide(Session.layerTest())))

  it.effect("what is Redacted is stored as plain text", () =>
    Effect.gen(function*() {
      yield* Session.put(SessionKey.make("key", Schema.Redacted(Schema.String)), Redacted.make("a secret"))
      assert.deepStrictEqual(yield* Session.all, { key: "a secret" })
    }).pipe(Effect.provide(Session.layerTest())))

  it.effect("two keys of one name are one slot, and two if they have other scopes or only one of them expires", () =>
    Effect.gen(function*() {
      const text = SessionKey.make("key", Schema.String)
      const number = SessionKey.make("key", Schema.Number)
      const device = SessionKey.make("key", Schema.Number, { scope: "device" })
      const brief = number.pipe(SessionKey.expires("1 minute"))
      yield* Session.put(text, "tea")
      yield* Session.put(device, 1)
      yield* Session.put(brief, 2)
      assert.strictEqual((yield* Effect.flip(number))._tag, "SessionValueError")
      assert.deepStrictEqual([yield* text, yield* device, yield* brief], [
        Option.some("tea"),
        Option.some(1),
        Option.some(2)
      ])
    }).pipe(Effect.provide(Session.layerTest())))

  describe("a stored value that does not fit", () => {
    const invalid = Effect.provide(Session.layerTest({ key: "no number" }))
    const key = SessionKey.make("key", Schema.Number)
    const forgiving = key.pipe(SessionKey.withDefault(() => 5, { onInvalid: "default" }))

    const operations: Record<string, Effect.Effect<unknown, { readonly _tag: string }, Session.Session>> = {
      reading: Session.get(key),
      getOrElse: Session.getOrElse(key, () => 1),
      pull: Session.pull(key),
      modify: Session.modify(key, () => 1),
      increment: Session.increment(key)
    }

    it.effect.each(Object.entries(operations))("is an error of %s", ([, operation]) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(operation))._tag, "SessionValueError")
        assert.isTrue(yield* Session.has(key))
      }).pipe(invalid))

    it.effect("is repaired by put and by forget", () =>
      Effect.gen(function*() {
        yield* Session.put(key, 1)
        assert.deepStrictEqual(yield* key, Option.some(1))
        yield* Session.forget(key)
        assert.deepStrictEqual(yield* key, Option.none())
      }).pipe(invalid))

    it.effect("is absent for a key with onInvalid, and modify replaces it", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* forgiving, 5)
        assert.strictEqual(yield* Session.modify(forgiving, (n) => n + 1), 6)
        assert.deepStrictEqual(yield* Session.all, { key: 6 })
      }).pipe(invalid))
  })
})
