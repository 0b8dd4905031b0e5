/**
 * Flash messages as data: paths into them, and what is taken out of a form.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import type { Json, JsonObject } from "effect/Schema"
import * as Draft from "../../src/internal/record/draft.ts"
import * as Flash from "../../src/internal/record/flash.ts"
import * as Record from "../../src/internal/record/record.ts"
import { AnyText, intBetween, oneOf, readable } from "../support/arbitraries.ts"

const AnyObject = readable(Arbitrary.schema(Schema.Record(Schema.String, Schema.Json))) as Arbitrary.Arbitrary<
  JsonObject
>
const AnyJson = readable(Arbitrary.schema(Schema.Json)) as Arbitrary.Arbitrary<Json>

describe("a path", () => {
  const messages: JsonObject = {
    message: "Saved",
    errors: { title: "too short", "title.max": 5, nested: { deep: [{ name: "first" }, { name: "second" }] } },
    "errors.email": "taken",
    items: ["a", "b", ["c"]],
    "a.b": { "c.d": "dotted" },
    a: { b: { c: { d: "plain" } }, x: 1 },
    nothing: null,
    no: false,
    zero: 0,
    empty: "",
    "": { "": "nameless" }
  }

  const found: ReadonlyArray<readonly [path: string, value: Json | undefined]> = [
    ["message", "Saved"],
    ["errors.title", "too short"],
    ["errors.title.max", 5],
    ["errors.email", "taken"],
    ["errors.nested.deep.1.name", "second"],
    ["errors.nested.deep.2.name", undefined],
    ["errors.nested.deep.name", undefined],
    ["items.0", "a"],
    ["items.2.0", "c"],
    ["items.3", undefined],
    ["items.-1", undefined],
    ["a.b.c.d", "plain"],
    ["a.x", 1],
    ["nothing", null],
    ["nothing.more", undefined],
    ["no", false],
    ["zero", 0],
    ["empty", ""],
    ["empty.more", undefined],
    ["message.0", undefined],
    [".", "nameless"],
    ["errors.", undefined],
    [".errors", undefined],
    ["errors..title", undefined],
    ["missing", undefined]
  ]
  for (const [path, value] of found) {
    it(`${JSON.stringify(path)} leads to ${JSON.stringify(value)}`, () => {
      assert.deepStrictEqual(Flash.at(messages, path), value)
    })
  }

  it("comes to what a name with dots in it holds where the plain path ends", () => {
    assert.strictEqual(Flash.at({ "a.b": { "c.d": "dotted" } }, "a.b.c.d"), "dotted")
    assert.strictEqual(Flash.at({ a: { x: 1 }, "a.b": { c: 2 } }, "a.b.c"), 2)
  })

  it("does not lead to what every object inherits", () => {
    for (
      const path of [
        "constructor",
        "__proto__",
        "toString",
        "errors.constructor.name",
        "a.__proto__",
        "__proto__.constructor"
      ]
    ) {
      assert.isUndefined(Flash.at(messages, path), path)
    }
    assert.strictEqual(Flash.at(JSON.parse("{ \"__proto__\": { \"x\": 1 } }"), "__proto__.x"), 1)
  })

  it.prop("that is the name of a message leads to it, whatever it is", [AnyObject, AnyText, AnyJson], ([
    messages,
    name,
    value
  ]) => {
    const all = { ...messages, [name]: value }
    assert.deepStrictEqual(Flash.at(all, name), value)
  })

  it.prop("made of the names on the way leads to what is there", [
    Arbitrary.array(oneOf(["a", "b", "0", "x y", "__proto__"]), { minLength: 1, maxLength: 6 }),
    AnyJson
  ], ([names, value]) => {
    const messages = names.reduceRight<Json>((inner, name) => Object.fromEntries([[name, inner]]), value)
    assert.deepStrictEqual(Flash.at(messages, names.join(".")), value)
  })

  it.prop("is none or leads somewhere, and never throws", [AnyJson, AnyText], ([messages, path]) => {
    Flash.at(messages, path)
    Flash.at(messages, path.split("").join("."))
  })
})

/** What a request stores that has flashed these, the first first. */
const encoded = (first: JsonObject, ...others: ReadonlyArray<JsonObject>): string => {
  const last = others.reduce<Flash.Messages>(
    (before, messages) => ({ text: JSON.stringify(messages), before }),
    { text: JSON.stringify(first), before: undefined }
  )
  return Flash.encode(last)
}

describe("all that a request flashes", () => {
  it.prop("is one object, with later messages in the place of earlier ones of the same name", [
    AnyObject,
    Arbitrary.array(AnyObject, { maxLength: 5 })
  ], ([first, others]) => {
    const expected = new Map(
      [first, ...others].flatMap((messages) => Object.entries(JSON.parse(JSON.stringify(messages)) as JsonObject))
    )
    assert.deepStrictEqual(JSON.parse(encoded(first, ...others)), Object.fromEntries(expected))
  })

  it("takes the place of earlier messages as a whole", () => {
    assert.strictEqual(
      encoded({ a: 1, b: { x: 1 } }, { b: { y: 2 }, c: 3 }, { a: null }),
      "{\"a\":null,\"b\":{\"y\":2},\"c\":3}"
    )
  })

  it("has __proto__ as a name like any other", () => {
    const messages: JsonObject = JSON.parse("{ \"__proto__\": { \"admin\": true } }")
    assert.strictEqual(encoded(messages, { a: 1 }), "{\"__proto__\":{\"admin\":true},\"a\":1}")
    assert.strictEqual(encoded({ a: 1 }, messages), "{\"a\":1,\"__proto__\":{\"admin\":true}}")
  })

  it("is found by the next request together with what others have flashed, the latest over the rest", () => {
    const names = [1, 2, 40].map(Flash.fieldName)
    const texts = [{ a: 1, b: 1 }, { b: 2, c: 2 }, { c: 3 }].map((messages) => encoded(messages))
    const fields = new Map([["a", "1"], ...names.map((name, index) => [name, texts[index]!] as const).toReversed()])
    assert.deepStrictEqual(Flash.fieldsOf(fields), names)
    assert.deepStrictEqual(Flash.messagesIn(fields, names), { a: 1, b: 2, c: 3 })
    assert.deepStrictEqual(Flash.messagesIn(fields, names.slice(0, 1)), { a: 1, b: 1 })
  })

  it("is nothing where somebody has damaged it", () => {
    const fields = new Map([["~flash:1", "{"], ["~flash:2", "[1]"], ["~flash:3", "null"], ["~flash:4", "{\"a\":1}"]])
    assert.deepStrictEqual(Flash.messagesIn(fields, [...Flash.fieldsOf(fields), "~flash:5"]), { a: 1 })
  })
})

describe("picking messages", () => {
  it.prop("only some and all but those are the whole", [AnyObject, Arbitrary.array(AnyText)], ([messages, names]) => {
    const all = [...names, ...Object.keys(messages).slice(0, 1)]
    const again = encoded(Flash.except(messages, all), Flash.only(messages, all))
    assert.deepStrictEqual(JSON.parse(again), JSON.parse(JSON.stringify(messages)))
    assert.isTrue(Object.keys(Flash.only(messages, all)).every((name) => all.includes(name)))
    assert.isTrue(Object.keys(Flash.except(messages, all)).every((name) => !all.includes(name)))
  })

  it("__proto__ is a name like any other", () => {
    const messages: JsonObject = JSON.parse("{ \"__proto__\": { \"admin\": true }, \"a\": 1 }")
    for (
      const copy of [
        Flash.only(messages, ["__proto__", "a"]),
        Flash.withoutNamed(messages, ["b"])
      ]
    ) {
      assert.strictEqual(JSON.stringify(copy), JSON.stringify(messages))
      assert.isUndefined((copy as { admin?: unknown }).admin)
      assert.strictEqual(Object.getPrototypeOf(copy), Object.prototype)
    }
  })
})

describe("leaving out what looks like a secret", () => {
  it("goes by the words in names, in any case and at any depth", () => {
    const form: JsonObject = {
      title: "A title",
      password: "hunter2",
      PasswordConfirmation: "hunter2",
      _csrfToken: "x",
      user: { name: "Ada", apiTOKEN: "x", cards: [{ pin: 1, label: "mine" }, "pin"] },
      list: [{ secretAnswer: "x" }, [{ "pass-word": "x", ok: true }]]
    }
    assert.deepStrictEqual(Flash.withoutNamed(form, ["password", "token", "SECRET", "pin"]), {
      title: "A title",
      user: { name: "Ada", cards: [{ label: "mine" }, "pin"] },
      list: [{}, [{ ok: true }]]
    })
  })

  it("leaves alone what only begins or ends like one", () => {
    const form = { shipping_address: "x", opinion: "x", passenger: "x", discard: true, secretary: "x" }
    assert.deepStrictEqual(Flash.withoutNamed(form, ["pin", "pass", "card", "secret"]), form)
  })

  const words = ["password", "token", "name", "street", "city"]
  const joined = [
    (parts: ReadonlyArray<string>) => parts.join("_"),
    (parts: ReadonlyArray<string>) => parts.join("-").toUpperCase(),
    (parts: ReadonlyArray<string>) => parts.map((part) => part[0]!.toUpperCase() + part.slice(1)).join(""),
    (parts: ReadonlyArray<string>) => `user[${parts.join("][")}]`
  ]

  it.prop("finds a word however the name joins it", [
    Arbitrary.array(oneOf(words), { minLength: 1, maxLength: 4 }),
    oneOf(joined)
  ], ([parts, join]) => {
    const left = Flash.withoutNamed({ [join(parts)]: 1 }, ["password", "token"])
    const isSecret = parts.some((part) => part === "password" || part === "token")
    assert.deepStrictEqual(Object.keys(left), isSecret ? [] : [join(parts)])
  })
})

describe("the field of a request's messages", () => {
  it.prop("sorts by the time of the request", [intBetween(0, 4_000_000_000_000), intBetween(1, 1_000_000_000)], ([
    now,
    later
  ]) => {
    assert.isTrue(Flash.fieldName(now) < Flash.fieldName(now + later))
  })

  it("is another one for each request, also in the same millisecond", () => {
    const names = Array.from({ length: 1_000 }, () => Flash.fieldName(1_700_000_000_000))
    assert.strictEqual(new Set(names).size, 1_000)
  })

  it("is found among all fields, oldest first, and later messages win", () => {
    const [first, second] = [Flash.fieldName(1_700_000_000_000), Flash.fieldName(1_700_000_000_001)]
    const fields = new Map([
      [second, "{\"a\":2,\"b\":2}"],
      ["cart", "5"],
      ["~~flash:mine", "1"],
      ["flash:mine", "1"],
      [first, "{\"a\":1,\"c\":1}"]
    ])
    assert.deepStrictEqual(Flash.fieldsOf(fields), [first, second])
    assert.deepStrictEqual(Flash.messagesIn(fields, Flash.fieldsOf(fields)), { a: 2, b: 2, c: 1 })
  })
})

describe("the fields that hold messages", () => {
  const Name = Arbitrary.map(
    Arbitrary.all([oneOf(["~flash:", "~flash", "flash:", "~~flash:", "\"~flash:", ""]), AnyText]),
    ([start, rest]) => start + rest
  )
  const Value = Arbitrary.map(AnyJson, (json) => JSON.stringify(json))
  const Others = Arbitrary.array(Arbitrary.all([Name, Value]), { minLength: 0, maxLength: 8 })

  it.prop("are found by their names, sorted, whether the session is a Map, text, or text that was changed", [Others], ([
    others
  ]) => {
    const fields = new Map<string, string>([["a", "\"~flash:1\""], ...others])
    const text = Record.decode(Record.encode({ createdAt: 1, touchedAt: 2, expiresAt: 3, fields })).fields
    const changed = Draft.fieldsOf(Draft.put(Draft.empty, "a", "1"), text)
    const expected = [...fields.keys()].filter((name) => name.startsWith("~flash:")).toSorted()
    for (const one of [fields, text, changed]) assert.deepStrictEqual(Flash.fieldsOf(one), expected)
  })

  it("come in the order in which they were flashed", () => {
    const names = [2e12, 1, 1_700_000_000_000].map(Flash.fieldName)
    const fields = new Map(names.map((name) => [name, "{}"]))
    assert.deepStrictEqual(Flash.fieldsOf(fields), [1, 2, 0].map((index) => names[index]!))
  })
})
