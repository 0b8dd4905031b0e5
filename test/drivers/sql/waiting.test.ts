/**
 * Statements that have waited for a row: they work on what it is by then, not on what it was when they came.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { SessionConfig, SessionStore } from "effect-session"
import { SqlClient } from "effect/sql/SqlClient"
import * as Change from "../../../src/internal/record/change.ts"
import { secret } from "../../support/config.ts"
import { startMariadb } from "../../support/mariadbServer.ts"
import { startPostgres } from "../../support/postgresServer.ts"
import { shared } from "../../support/redisServer.ts"
import type { Database } from "../../support/sqlServer.ts"
import { sqlStore } from "../../support/sqlStore.ts"
import { adding, createSession, expecting, newId, type Session, setting } from "../../support/storedSession.ts"

const databases: ReadonlyArray<Database> = [
  { database: "PostgreSQL", server: shared(startPostgres()) },
  { database: "MariaDB", server: shared(startMariadb()) }
]

const now = Date.now()
const times = { createdAt: now, touchedAt: now, expiresAt: now + 3_600_000 }

const fieldsOf = (values: Readonly<Record<string, string>>) => new Map(Object.entries(values))

describe.each(databases)("after somebody else has changed a session on $database while it waited", ({ server }) => {
  /** A server of its own, with a pool of its own. On MariaDB its sweeper would wait for a row as well, the next to expire. */
  const newStore = Effect.suspend(() =>
    Effect.map(
      Layer.build(Layer.provide(sqlStore(server().client(), { sweepEvery: "never" }), SessionConfig.layer({ secret }))),
      (context) => Context.get(context, SessionStore.SessionStore)
    )
  )

  /** Asks after somebody else has run a statement in a transaction, and before that commits. */
  const meanwhile = <A, E>(
    statement: (sql: SqlClient) => Effect.Effect<unknown, unknown>,
    asking: Effect.Effect<A, E>
  ) =>
    Effect.gen(function*() {
      const sql = Context.get(yield* Layer.build(server().client()), SqlClient)
      const fiber = yield* sql.withTransaction(
        Effect.gen(function*() {
          yield* statement(sql)
          const fiber = yield* Effect.forkScoped(asking)
          yield* server().waitForLocks(1)
          return fiber
        })
      )
      return yield* Fiber.join(fiber)
    })

  const put = (key: string) => (sql: SqlClient) =>
    sql`UPDATE effect_sessions SET fields = '{"a":"7","b":"2"}' WHERE ${sql("key")} = ${key}`

  const stage = Effect.gen(function*() {
    const store = yield* newStore
    return { store, session: yield* createSession(store, { a: "1", b: "2" }, times) }
  })

  const cases: ReadonlyArray<{
    readonly what: string
    readonly ask: (session: Session) => ReturnType<Session["commit"]>
    readonly tag: "Written" | "Conflict"
    readonly left: Readonly<Record<string, string>>
  }> = [
    {
      what: "a put of another field",
      ask: ({ commit }) => commit(setting({ c: "3" })),
      tag: "Written",
      left: { a: "7", b: "2", c: "3" }
    },
    { what: "an increment", ask: ({ commit }) => commit(adding("a", 1)), tag: "Written", left: { a: "8", b: "2" } },
    {
      what: "a removal",
      ask: ({ commit }) => commit(Change.remove(Change.none, "b")),
      tag: "Written",
      left: { a: "7" }
    },
    {
      what: "a commit that expects what was there",
      ask: ({ commit }) => commit(expecting({ a: "1" }, setting({ b: "3" }))),
      tag: "Conflict",
      left: { a: "7", b: "2" }
    }
  ]
  it.effect.each(cases)(
    "$what is made to what is there by then, or not at all",
    ({ ask, left, tag }) =>
      Effect.gen(function*() {
        const { session } = yield* stage
        const answer = yield* meanwhile(put(session.key), ask(session))
        assert.strictEqual(answer._tag, tag)
        if (answer._tag === "Conflict") assert.deepStrictEqual(answer.record.fields, fieldsOf(left))
        assert.deepStrictEqual(yield* session.fields, left)
      })
  )

  it.effect("regenerating it is a conflict with what is there by then, and writes nothing", () =>
    Effect.gen(function*() {
      const { session, store } = yield* stage
      const id = newId()
      const answer = yield* meanwhile(
        put(session.key),
        store.regenerate(session.id, id, session.record, session.record.fields)
      )
      assert.deepStrictEqual(answer, {
        _tag: "Conflict",
        record: { ...session.record, fields: fieldsOf({ a: "7", b: "2" }) }
      })
      assert.strictEqual((yield* store.create(id, session.record))._tag, "Written", "the new id is not in use")
    }))

  it.effect("a session that was only extended ends no earlier under its new id", () =>
    Effect.gen(function*() {
      const { session, store } = yield* stage
      const id = newId()
      const answer = yield* meanwhile(
        (sql) => sql`UPDATE effect_sessions SET expires_at = expires_at + 1000 WHERE ${sql("key")} = ${session.key}`,
        store.regenerate(session.id, id, session.record, session.record.fields)
      )
      assert.strictEqual(answer._tag, "Written")
      const sql = Context.get(yield* Layer.build(server().client()), SqlClient)
      const [successor] = yield* sql<{ readonly expires_at: unknown }>`
        SELECT expires_at FROM effect_sessions WHERE ${sql("key")} = ${id.key}`
      assert.strictEqual(Number(successor!.expires_at), times.expiresAt + 1000)
    }))

  it.effect("an id that somebody else has taken is taken, and the old session stays as it is", () =>
    Effect.gen(function*() {
      const { session, store } = yield* stage
      const id = newId()
      const answer = yield* meanwhile(
        (sql) => sql`INSERT INTO effect_sessions VALUES (${id.key}, 0, 0, 8640000000000000, NULL, '{}')`,
        store.regenerate(session.id, id, session.record, session.record.fields)
      )
      assert.strictEqual(answer._tag, "Taken")
      assert.deepStrictEqual(yield* session.stored, session.record)
    }))

  it.effect("of ten servers that regenerate it, one does", () =>
    Effect.gen(function*() {
      const session = yield* createSession(yield* newStore, { only: "here" }, times)
      const stores = yield* Effect.all(Array.from({ length: 10 }, () => newStore))
      const answers = yield* Effect.forEach(
        stores,
        (store) => store.regenerate(session.id, newId(), session.record, session.record.fields),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        answers.map(({ _tag }) => _tag).toSorted(),
        [...Array.from({ length: 9 }, () => "Gone"), "Written"]
      )
      const sql = Context.get(yield* Layer.build(server().client()), SqlClient)
      const rows = yield* sql`SELECT 1 FROM effect_sessions WHERE fields = '{"only":"here"}'`
      assert.lengthOf(rows, 1)
    }))
})
