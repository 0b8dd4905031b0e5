/**
 * What goes into a database comes out to the letter, and what a database adds up by itself is what JavaScript would have added.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Context, Effect, Layer, Schema } from "effect"
import { SessionConfig, SessionStore } from "effect-session"
import * as Change from "../../../src/internal/record/change.ts"
import { AnyText, intBetween, oneOf, readable } from "../../support/arbitraries.ts"
import { secret } from "../../support/config.ts"
import { startMariadb } from "../../support/mariadbServer.ts"
import { startPostgres } from "../../support/postgresServer.ts"
import { shared } from "../../support/redisServer.ts"
import type { StoreLayer } from "../../support/server.ts"
import { sqliteClient } from "../../support/sqliteClient.ts"
import { sqlStore } from "../../support/sqlStore.ts"
import { adding, createSession } from "../../support/storedSession.ts"

const postgres = shared(startPostgres())
const mariadb = shared(startMariadb())

const stores: ReadonlyArray<{ readonly database: string; readonly store: () => StoreLayer }> = [
  { database: "PostgreSQL", store: () => sqlStore(postgres().client()) },
  { database: "MariaDB", store: () => sqlStore(mariadb().client()) },
  { database: "SQLite", store: () => sqlStore(sqliteClient()) }
]

const AnyFields: Arbitrary.Arbitrary<SessionStore.Fields> = Arbitrary.map(
  Arbitrary.array(Arbitrary.all([AnyText, readable(Arbitrary.schema(Schema.Json)), AnyText]), { maxLength: 6 }),
  (entries) =>
    new Map(
      entries.flatMap(([name, value, text]) => [[name, JSON.stringify(value)], [`${name} text`, JSON.stringify(text)]])
    )
)

// A few names, so that changes meet what is there, and any other.
const Name = Arbitrary.map(Arbitrary.all([oneOf(["a", "b", "__proto__", "\0", ""]), AnyText, intBetween(0, 3)]), (
  [known, any, of]
) => of === 0 ? any : known)

const AnyChange: Arbitrary.Arbitrary<SessionStore.Change> = Arbitrary.map(
  Arbitrary.all({
    clears: intBetween(0, 4),
    touch: oneOf([true, false]),
    steps: Arbitrary.array(
      Arbitrary.all([Name, oneOf(["set", "remove", "increment", "expect"]), intBetween(-3, 3)]),
      { maxLength: 8 }
    )
  }),
  ({ clears, steps, touch }) =>
    steps.reduce<SessionStore.Change>(
      (change, [name, step, number]) =>
        step === "set"
          ? Change.set(change, name, `${number}`)
          : step === "remove"
          ? Change.remove(change, name)
          : step === "increment"
          ? Change.increment(change, name, { by: number, initial: number * 10 })
          : Change.expect(change, name, number < 1 ? undefined : `${number}`),
      { ...(clears === 0 ? Change.clear(Change.none) : Change.none), touch }
    )
)

/** Every magnitude, by its bits, and those that people use. */
const AnyNumber: Arbitrary.Arbitrary<number> = Arbitrary.map(
  Arbitrary.all([intBetween(-0x80000000, 0x7fffffff), intBetween(-0x80000000, 0x7fffffff), intBetween(0, 3)]),
  ([high, low, kind]) => {
    if (kind > 1) return (high % 1_000_000) / [1, 10, 100, 1e7][low & 3]!
    const bits = new DataView(new ArrayBuffer(8))
    bits.setInt32(0, high)
    bits.setInt32(4, low)
    const number = bits.getFloat64(0)
    return Number.isFinite(number) && number !== 0 ? number : 0.1
  }
)

const show = (fields: SessionStore.Fields): ReadonlyArray<readonly [string, string]> =>
  [...fields].toSorted(([one], [other]) => one < other ? -1 : 1)

const now = Date.now()
const times = { createdAt: now, touchedAt: now, expiresAt: now + 3_600_000 }
const later = { touchedAt: now + 60_000, expiresAt: now + 3_660_000 }

const storeOf = (store: StoreLayer) =>
  Effect.map(
    Layer.build(Layer.provide(store, SessionConfig.layer({ secret, age: "never", absoluteAge: "never" }))),
    (context) => Context.get(context, SessionStore.SessionStore)
  )

describe.each(stores)("in $database", ({ store }) => {
  it.effect.prop(
    "fields of any name and value come out to the letter",
    [AnyFields],
    ([fields]) =>
      Effect.scoped(Effect.gen(function*() {
        const session = yield* createSession(yield* storeOf(store()), {}, times)
        yield* session.commit({ ...Change.none, set: fields })
        assert.deepStrictEqual(show((yield* session.stored)!.fields), show(fields))
        const another = yield* session.commit({ ...Change.none, set: new Map([["", "1"]]), expect: fields })
        assert.strictEqual(another._tag, "Written")
      })),
    { arbitrary: { runs: 60 } }
  )

  it.effect.prop(
    "changes of every shape do what they do to a Map",
    [Arbitrary.array(AnyChange, { minLength: 1, maxLength: 20 })],
    ([changes]) =>
      Effect.scoped(Effect.gen(function*() {
        const session = yield* createSession(yield* storeOf(store()), { a: "1", b: "\"2\"" }, times)
        let model = session.record
        for (const change of changes) {
          const answer = yield* session.commit(change, later)
          const isWritten = Change.isExpected(model.fields, change.expect)
          assert.strictEqual(answer._tag, isWritten ? "Written" : "Conflict")
          if (isWritten) model = Change.merge(model, change, { ...times, ...later })
          const stored = answer._tag === "Conflict" ? answer.record : (yield* session.stored)!
          assert.deepStrictEqual({ ...stored, fields: show(stored.fields) }, { ...model, fields: show(model.fields) })
        }
      })),
    { arbitrary: { runs: 60 } }
  )

  it.effect.prop(
    "a sum is the one of JavaScript, to the last bit",
    [Arbitrary.array(Arbitrary.all([AnyNumber, AnyNumber]), { minLength: 1, maxLength: 20 })],
    ([pairs]) =>
      Effect.scoped(Effect.gen(function*() {
        const sums = yield* storeOf(store())
        for (const [number, by] of pairs.filter(([number, by]) => Number.isFinite(number + by))) {
          const session = yield* createSession(sums, { number: JSON.stringify(number) }, times)
          yield* session.commit(adding("number", by))
          yield* session.commit(adding("new", by, number))
          const { new: created, number: added } = (yield* session.fields)!
          assert.strictEqual(JSON.parse(added!), JSON.parse(JSON.stringify(number + by)), `${number} + ${by}`)
          assert.strictEqual(JSON.parse(created!), JSON.parse(JSON.stringify(number + by)), `${number} + ${by}`)
        }
      })),
    { arbitrary: { runs: 60 } }
  )

  it.effect("what is no number counts as none", () =>
    Effect.gen(function*() {
      const sums = yield* storeOf(store())
      for (const text of [`"1"`, `"-1"`, "null", "true", "[1]", `{"1":1}`, `"\\u0000"`]) {
        const session = yield* createSession(sums, { number: text }, times)
        yield* session.commit(adding("number", 1, 5))
        assert.deepStrictEqual(yield* session.fields, { number: "6" })
      }
    }))
})
