/**
 * Commits that expect something, as they come and in whatever order they are carried out: each driver does what a Map would
 * have done in some order.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Context, Effect, Layer } from "effect"
import { FileLayer, KeyValueLayer, MemoryLayer, SessionConfig, SessionStore } from "effect-session"
import { KeyValueStore } from "effect/persistence"
import * as Change from "../../src/internal/record/change.ts"
import { intBetween, oneOf } from "../support/arbitraries.ts"
import { secret } from "../support/config.ts"
import { temporaryFolder } from "../support/fileStore.ts"
import { startMariadb } from "../support/mariadbServer.ts"
import { startPostgres } from "../support/postgresServer.ts"
import { shared } from "../support/redisServer.ts"
import type { StoreLayer } from "../support/server.ts"
import { sqliteClient } from "../support/sqliteClient.ts"
import { sqlStore } from "../support/sqlStore.ts"
import { createSession } from "../support/storedSession.ts"

const postgres = shared(startPostgres())
const mariadb = shared(startMariadb())

const stores: ReadonlyArray<{ readonly driver: string; readonly store: StoreLayer }> = [
  { driver: "memory", store: MemoryLayer.layer() },
  { driver: "key-value", store: Layer.provide(KeyValueLayer.layer(), KeyValueStore.layerMemory) },
  {
    driver: "file",
    store: Layer.unwrap(Effect.map(temporaryFolder, (location) => FileLayer.layer({ location }))).pipe(
      Layer.provide(NodeServices.layer)
    )
  },
  { driver: "SQLite", store: sqlStore(sqliteClient()) },
  { driver: "MariaDB", store: Layer.unwrap(Effect.sync(() => sqlStore(mariadb().client()))) },
  { driver: "PostgreSQL", store: Layer.unwrap(Effect.sync(() => sqlStore(postgres().client()))) }
]

// Few of both, so that commits meet.
const Field = oneOf(["a", "b", "__proto__"])
const Value = oneOf<string | undefined>(["1", "2", "\"1\"", undefined])

type Fields = SessionStore.SessionRecord["fields"]

const AnyChange: Arbitrary.Arbitrary<SessionStore.Change> = Arbitrary.map(
  Arbitrary.all({
    expected: Arbitrary.array(Arbitrary.all([Field, Value]), { minLength: 0, maxLength: 2 }),
    clears: intBetween(0, 4),
    field: Field,
    value: Value
  }),
  ({ clears, expected, field, value }) => {
    const change = { ...(clears === 0 ? Change.clear(Change.none) : Change.none), expect: new Map(expected) }
    return value === undefined ? Change.remove(change, field) : Change.set(change, field, value)
  }
)

type Answer = Effect.Success<ReturnType<SessionStore.SessionStore["update"]>>

/** What a Map answers, and what is in it then. */
const swap = (fields: Fields, change: SessionStore.Change): readonly [tag: Answer["_tag"], fields: Fields] =>
  [...change.expect].every(([field, text]) => fields.get(field) === text)
    ? ["Written", Change.apply(fields, change)]
    : ["Conflict", fields]

const show = (fields: Fields): string => JSON.stringify([...fields].toSorted(([one], [other]) => one < other ? -1 : 1))

interface Step {
  readonly change: SessionStore.Change
  readonly answer: Answer
}

/** Whether the steps, in some order, have these answers and lead to these fields. */
const isExplained = (before: Fields, steps: ReadonlyArray<Step>, after: string): boolean =>
  steps.length === 0
    ? show(before) === after
    : steps.some((step) => {
      const [tag, fields] = swap(before, step.change)
      return tag === step.answer._tag &&
        (step.answer._tag !== "Conflict" || show(step.answer.record.fields) === show(fields)) &&
        isExplained(fields, steps.filter((other) => other !== step), after)
    })

const now = Date.now()
const times = { createdAt: now, touchedAt: now, expiresAt: now + 3_600_000 }

const withSession = (store: StoreLayer) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      Layer.provide(store, SessionConfig.layer({ secret, age: "never", absoluteAge: "never" }))
    )
    return yield* createSession(Context.get(context, SessionStore.SessionStore), { a: "1", b: "2" }, times)
  })

describe.each(stores)("commits of $driver that expect something", ({ store }) => {
  it.effect.prop(
    "one after the other do what they do to a Map",
    [Arbitrary.array(AnyChange, { minLength: 1, maxLength: 12 })],
    ([changes]) =>
      Effect.scoped(Effect.gen(function*() {
        const session = yield* withSession(store)
        let model: Fields = session.record.fields
        for (const change of changes) {
          const [tag, fields] = swap(model, change)
          const answer = yield* session.commit(change)
          assert.strictEqual(answer._tag, tag)
          if (answer._tag === "Conflict") assert.strictEqual(show(answer.record.fields), show(model))
          model = fields
        }
        assert.strictEqual(show((yield* session.stored)!.fields), show(model))
      })),
    { arbitrary: { runs: 50 } }
  )

  it.effect.prop(
    "all at the same time do what they do to a Map in some order",
    [Arbitrary.array(AnyChange, { minLength: 2, maxLength: 6 })],
    ([changes]) =>
      Effect.scoped(Effect.gen(function*() {
        const session = yield* withSession(store)
        const steps = yield* Effect.forEach(
          changes,
          (change) => Effect.map(session.commit(change), (answer): Step => ({ answer, change })),
          { concurrency: "unbounded" }
        )
        const after = show((yield* session.stored)!.fields)
        assert.isTrue(
          isExplained(session.record.fields, steps, after),
          JSON.stringify(steps.map(({ answer }) => answer._tag))
        )
      })),
    { arbitrary: { runs: 50 } }
  )
})
