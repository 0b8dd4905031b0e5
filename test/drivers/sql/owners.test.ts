/**
 * The index of owners in a database, and looking at several sessions at once.
 */
import type { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Array as Arr, Context, Effect, Fiber, Layer, Schema, String } from "effect"
import { type SessionStore, SqlLayer } from "effect-session"
import { SqlClient } from "effect/sql/SqlClient"
import * as Statement from "effect/sql/Statement"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as SqlBackend from "../../../src/internal/drivers/sql/backend.ts"
import type { Dialect } from "../../../src/internal/drivers/sql/dialect.ts"
import { mysql } from "../../../src/internal/drivers/sql/mysql.ts"
import { postgresql } from "../../../src/internal/drivers/sql/postgresql.ts"
import { sqlite } from "../../../src/internal/drivers/sql/sqlite.ts"
import { AnyText, readable } from "../../support/arbitraries.ts"
import { startMariadb } from "../../support/mariadbServer.ts"
import * as OwnerIndex from "../../support/ownerIndex.ts"
import * as OwnerLaws from "../../support/ownerLaws.ts"
import { startPostgres } from "../../support/postgresServer.ts"
import { shared, temporaryFolder } from "../../support/redisServer.ts"
import { sqliteClient } from "../../support/sqliteClient.ts"

const postgres = shared(startPostgres())
const mariadb = shared(startMariadb())

interface Database {
  readonly database: string
  readonly client: () => Layer.Layer<SqlClient>
  readonly dialect: Dialect
}

const onPostgres: Database = { database: "PostgreSQL", client: () => postgres().client(), dialect: postgresql }
const onMariadb: Database = { database: "MariaDB", client: () => mariadb().client(), dialect: mysql }
const onSqlite: Database = { database: "SQLite", client: () => sqliteClient(), dialect: sqlite }
const servers = [onPostgres, onMariadb]
const databases = [...servers, onSqlite]

/** A server of its own, with a pool of its own. */
const open = Effect.fnUntraced(function*({ client, dialect }: Database) {
  const context = yield* Layer.build(client())
  yield* Effect.provide(SqlLayer.migration(), context)
  const sql = Context.get(context, SqlClient)
  const { owners, peek, ...backend } = SqlBackend.make(sql, dialect, "effect_sessions")
  assert(owners !== undefined && peek !== undefined)
  return { sql, backend, owners, peek }
})

const newHash = (): string => randomBytes(32).toString("base64url")

const hour = 3_600_000
const now = Date.now()

const newEntry = (at = now): SessionStore.OwnerEntry => ({ key: newHash(), at, until: at + hour })

const recordOf = (fields: SessionStore.Fields): SessionStore.SessionRecord => ({
  createdAt: now,
  touchedAt: now,
  expiresAt: now + hour,
  fields
})

// -----------------------------------------------------------------------------
// the contract
// -----------------------------------------------------------------------------

const suiteOn = (title: string, database: Database, prepare: Effect.Effect<unknown> = Effect.void) =>
  OwnerIndex.suite(`owners in ${title}`, {
    isForSeveral: database !== onSqlite,
    backend: Effect.andThen(
      prepare,
      Effect.map(open(database), ({ backend, owners, peek }) => ({ ...backend, owners, peek }))
    )
  })

suiteOn("MariaDB, through a client that counts only rows that have changed", {
  ...onMariadb,
  client: () => mariadb().client({ flags: ["-FOUND_ROWS"] })
})

const clientWith = (config: Partial<PgClient.PgPoolConfig>): Database => ({
  ...onPostgres,
  client: () => postgres().client(config)
})

for (const database of databases) suiteOn(database.database, database)

suiteOn(
  "a PostgreSQL where transactions are serializable by default",
  clientWith({ startupParameters: { default_transaction_isolation: "serializable" } })
)

suiteOn(
  "a PostgreSQL that sorts texts as people do",
  clientWith({ database: "people" }),
  Effect.suspend(() =>
    Effect.flatMap(
      postgres().query("SELECT 1 FROM pg_database WHERE datname = 'people'"),
      ({ length }) =>
        length > 0 ? Effect.void : postgres().query(
          "CREATE DATABASE people TEMPLATE template0 LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en'"
        )
    )
  )
)

suiteOn(
  "a PostgreSQL whose client transforms names",
  clientWith({ transformQueryNames: (name) => `${name}_`, transformResultNames: String.snakeToCamel })
)

suiteOn("a PostgreSQL with a pool of one connection", clientWith({ maxConnections: 1 }))

describe.each(databases)("the sessions of an owner, in $database", (database) => {
  OwnerLaws.suite(
    () => Effect.map(open(database), ({ backend, owners, peek }) => ({ ...backend, owners, peek })),
    { orders: 10 }
  )
})

// -----------------------------------------------------------------------------
// statements
// -----------------------------------------------------------------------------

type Opened = Effect.Success<ReturnType<typeof open>>

const insert = `INSERT INTO "owners_of_effect_sessions" (owner, entered_at, key, expires_at) VALUES ($1, $2, $3, $4) ` +
  "ON CONFLICT (owner, entered_at, key) DO UPDATE SET expires_at = excluded.expires_at"
const count = `SELECT COUNT(*) AS entries FROM "owners_of_effect_sessions" WHERE owner = $1`
const list = `SELECT key, entered_at, expires_at FROM "owners_of_effect_sessions" WHERE owner = $1`
const inOrder = " ORDER BY entered_at DESC, key DESC LIMIT 100"
const picked = "CASE jsonb_typeof(fields) WHEN 'object' THEN COALESCE((SELECT jsonb_object_agg(name, fields -> name) " +
  "FROM jsonb_array_elements_text($1::jsonb) AS names (name) WHERE fields ? name), '{}') ELSE fields END::text"
const select = `SELECT key, created_at, touched_at, expires_at, superseded_until, ${picked} AS fields ` +
  `FROM "effect_sessions" WHERE key IN `

const mark = { supersededUntil: now + hour, successor: "" }

const operations: ReadonlyArray<{
  readonly name: string
  readonly operation: (opened: Opened) => Effect.Effect<unknown, unknown>
  readonly onPostgres: ReadonlyArray<string>
  /** The first words of what others get. */
  readonly words: ReadonlyArray<string>
}> = [
  {
    name: "adding an entry",
    operation: ({ owners }) => owners.add("me", newEntry(), undefined),
    onPostgres: [insert],
    words: ["INSERT"]
  },
  {
    name: "adding an entry where there is a limit",
    operation: ({ owners }) => owners.add("me", newEntry(), 5),
    onPostgres: [insert, count],
    words: ["INSERT", "SELECT"]
  },
  {
    name: "listing the first ones",
    operation: ({ owners }) => owners.list("me", 100),
    onPostgres: [list + inOrder],
    words: ["SELECT"]
  },
  {
    name: "listing those that follow",
    operation: ({ owners }) => owners.list("me", 100, newEntry()),
    onPostgres: [`${list} AND entered_at <= $2 AND (entered_at < $3 OR key < $4)${inOrder}`],
    words: ["SELECT"]
  },
  {
    name: "removing three entries",
    operation: ({ owners }) => owners.remove("me", [newEntry(), newEntry(), newEntry()]),
    onPostgres: [
      `DELETE FROM "owners_of_effect_sessions" WHERE (owner = $1 AND entered_at = $2 AND key = $3) OR ` +
      "(owner = $4 AND entered_at = $5 AND key = $6) OR (owner = $7 AND entered_at = $8 AND key = $9) OR " +
      "(owner = $10 AND entered_at = $11 AND key = $12)"
    ],
    words: ["DELETE"]
  },
  {
    name: "burying a session",
    operation: ({ owners }) => owners.bury(newHash(), mark),
    onPostgres: [
      `INSERT INTO "effect_sessions" (key, created_at, touched_at, expires_at, superseded_until, fields) ` +
      "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (key) DO UPDATE SET superseded_until = excluded.superseded_until, " +
      "expires_at = excluded.expires_at, fields = excluded.fields RETURNING 1"
    ],
    words: ["INSERT"]
  },
  {
    name: "looking at five sessions",
    operation: ({ peek }) => peek(Array.from({ length: 5 }, newHash), ["a", "b"]),
    onPostgres: [`${select}($2, $3, $4, $5, $6, $7, $8, $9)`],
    words: ["SELECT"]
  },
  { name: "looking at none", operation: ({ peek }) => peek([], ["a"]), onPostgres: [], words: [] },
  { name: "removing none", operation: ({ owners }) => owners.remove("me", []), onPostgres: [], words: [] }
]

describe("is sent for each operation what the documentation says:", () => {
  it.live.each(operations)("PostgreSQL, for $name", ({ onPostgres: statements, operation }) =>
    Effect.gen(function*() {
      const opened = yield* open(clientWith({ applicationName: "tested", maxConnections: 1 }))
      assert.deepStrictEqual(yield* postgres().statements("tested", operation(opened)), statements)
    }))

  for (const database of [onMariadb, onSqlite]) {
    it.live.each(operations)(`${database.database}, for $name`, ({ operation, words }) =>
      Effect.gen(function*() {
        const asked: Array<string> = []
        yield* Effect.provideService(operation(yield* open(database)), Statement.CurrentTransformer, (statement) =>
          Effect.sync(() => {
            asked.push(/^\w+/.exec(statement.compile()[0])![0])
            return statement
          }))
        assert.deepStrictEqual(asked, words)
      }))
  }
})

// -----------------------------------------------------------------------------
// at the same time
// -----------------------------------------------------------------------------

describe.each(servers)("on several servers with one $database", (database) => {
  it.live("of twenty logins at once, no more than the limit are told that there is room", () =>
    Effect.gen(function*() {
      const [one, other] = yield* Effect.all([open(database), open(database)])
      for (let round = 0; round < 5; round++) {
        const owner = newHash()
        const answers = yield* Effect.forEach(
          Array.from({ length: 20 }, () => newEntry()),
          (entry, index) => (index % 2 === 0 ? one : other).owners.add(owner, entry, 5),
          { concurrency: "unbounded" }
        )
        assert.isAtMost(answers.filter((isMore) => !isMore).length, 5)
      }
    }))

  it.live("all may remove the same entries, in any order, and others add meanwhile", () =>
    Effect.gen(function*() {
      const [one, other] = yield* Effect.all([open(database), open(database)])
      const owner = newHash()
      for (let round = 0; round < 10; round++) {
        const entries = Array.from({ length: 50 }, (_, index) => newEntry(now + index))
        yield* Effect.forEach(entries, (entry) => one.owners.add(owner, entry, undefined), { concurrency: 10 })
        const added = newEntry()
        yield* Effect.all([
          one.owners.remove(owner, entries),
          other.owners.remove(owner, entries.toReversed()),
          one.owners.add(owner, added, undefined)
        ], { concurrency: "unbounded" })
        assert.deepStrictEqual(yield* one.owners.list(owner, 100), [added])
        yield* one.owners.remove(owner, [added])
      }
    }))

  it.live("a session that is just being written is buried as soon as it is, and another one at once", () =>
    Effect.gen(function*() {
      const { backend, owners } = yield* open(database)
      const { sql } = yield* open(database)
      const [locked, free] = [newHash(), newHash()]
      yield* backend.create(locked, recordOf(new Map()))
      const burying = yield* sql.withTransaction(Effect.gen(function*() {
        yield* sql`UPDATE effect_sessions SET touched_at = touched_at + 1 WHERE ${sql("key")} = ${locked}`
        yield* sql`INSERT INTO effect_sessions (${sql("key")}, created_at, touched_at, expires_at, fields)
          VALUES (${free}, 0, 0, ${now + hour}, '{}')`
        const burying = yield* Effect.forkScoped(
          Effect.forEach([locked, free], (key) => owners.bury(key, mark), { concurrency: 2 })
        )
        const another = newHash()
        yield* owners.bury(another, mark)
        assert.deepStrictEqual(yield* backend.load(another), mark)
        yield* Effect.sleep("50 millis")
        assert.isUndefined(burying.pollUnsafe())
        return burying
      }))
      yield* Fiber.join(burying)
      for (const key of [locked, free]) assert.deepStrictEqual(yield* backend.load(key), mark)
    }))
})

describe("on MariaDB", () => {
  it.live("what waits for a locked row and is no longer awaited takes one connection, however often it is asked for", () =>
    Effect.gen(function*() {
      const { backend, owners } = yield* open({ ...onMariadb, client: () => mariadb().client({ maxConnections: 2 }) })
      const { sql } = yield* open(onMariadb)
      const locked = newHash()
      yield* backend.create(locked, recordOf(new Map()))
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* sql`SELECT 1 FROM effect_sessions WHERE ${sql("key")} = ${locked} FOR UPDATE`
        for (let request = 0; request < 3; request++) {
          const burying = yield* Effect.forkScoped(owners.bury(locked, mark))
          yield* mariadb().waitForLocks(1)
          burying.interruptUnsafe()
        }
        assert.deepStrictEqual(yield* owners.list(newHash(), 1), [])
      }))
    }))
})

describe.each(servers)("in a transaction of the application, on $database,", (database) => {
  it.live("a list and a look have what others have done since it began", () =>
    Effect.gen(function*() {
      const [one, other] = yield* Effect.all([open(database), open(database)])
      const [owner, entry] = [newHash(), newEntry()]
      yield* one.sql.withTransaction(Effect.gen(function*() {
        if (database === onPostgres) yield* one.sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`
        yield* one.sql`SELECT COUNT(*) FROM effect_sessions`
        yield* one.sql`SELECT COUNT(*) FROM owners_of_effect_sessions`
        yield* other.owners.add(owner, entry, undefined)
        yield* other.backend.create(entry.key, recordOf(new Map([["a", "1"]])))
        assert.deepStrictEqual(yield* one.owners.list(owner, 100), [entry])
        assert.isTrue(yield* one.owners.add(owner, newEntry(), 1))
        assert.deepStrictEqual([...yield* one.peek([entry.key], ["a"])], [[
          entry.key,
          recordOf(new Map([["a", "1"]]))
        ]])
      }))
    }))

  it.live("what is added, removed and buried stays so, even if it is rolled back", () =>
    Effect.gen(function*() {
      const { backend, owners, sql } = yield* open(database)
      const [owner, entry, gone] = [newHash(), newEntry(), newEntry()]
      yield* owners.add(owner, gone, undefined)
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* owners.add(owner, entry, 5)
        yield* owners.remove(owner, [gone])
        yield* owners.bury(gone.key, mark)
        return yield* Effect.fail("rolled back")
      })).pipe(Effect.flip)
      assert.deepStrictEqual(yield* owners.list(owner, 100), [entry])
      assert.deepStrictEqual(yield* backend.load(gone.key), mark)
    }))
})

describe("on SQLite", () => {
  it.live("a transaction of the application may list and look, and what writes is an error at once", () =>
    Effect.gen(function*() {
      const { backend, owners, peek, sql } = yield* open(onSqlite)
      const entry = newEntry()
      yield* owners.add("me", entry, undefined)
      yield* backend.create(entry.key, recordOf(new Map([["a", "1"]])))
      yield* sql.withTransaction(Effect.gen(function*() {
        assert.deepStrictEqual(yield* owners.list("me", 100), [entry])
        assert.strictEqual((yield* peek([entry.key], ["a"])).size, 1)
        const writes = [
          owners.add("me", newEntry(), undefined),
          owners.remove("me", [entry]),
          owners.bury(entry.key, mark)
        ]
        for (const write of writes) assert.include(`${yield* Effect.flip(write)}`, "This database has one connection")
      }))
      assert.deepStrictEqual(yield* owners.list("me", 100), [entry])
    }))

  it.live("all of it waits for a file that another process has locked", () =>
    Effect.gen(function*() {
      const file = join(yield* temporaryFolder, "sessions.sqlite")
      const { backend, owners, peek } = yield* open({ ...onSqlite, client: () => sqliteClient(file) })
      const other = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(file)),
        (database) => Effect.sync(() => database.close())
      )
      const [entry, gone] = [newEntry(), newEntry()]
      yield* owners.add("me", gone, undefined)
      const operations: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        owners.add("me", entry, 5),
        owners.remove("me", [gone]),
        owners.list("me", 100),
        owners.bury(gone.key, mark),
        peek([gone.key], ["a"])
      ]
      for (const operation of operations) {
        other.exec("BEGIN EXCLUSIVE")
        const fiber = yield* Effect.forkChild(operation)
        yield* Effect.sleep("50 millis")
        assert.isUndefined(fiber.pollUnsafe())
        other.exec("COMMIT")
        yield* Fiber.join(fiber)
      }
      assert.deepStrictEqual(yield* owners.list("me", 100), [entry])
      assert.deepStrictEqual(yield* backend.load(gone.key), mark)
    }))
})

describe.each(databases)("of thousands of sessions of one owner, in $database,", (database) => {
  const prepared = Effect.gen(function*() {
    const opened = yield* open(database)
    const owner = newHash()
    const entries = Array.from({ length: 3000 }, (_, index) => newEntry(now + index))
    // Past the driver, in a few statements.
    yield* Effect.forEach(
      Arr.chunksOf(entries, 1000),
      ([first, ...more]) =>
        opened.sql`INSERT INTO owners_of_effect_sessions ${
          opened.sql.insert([toRow(owner, first), ...more.map((entry) => toRow(owner, entry))])
        }`
    )
    return { ...opened, owner, entries }
  })

  const toRow = (owner: string, { at, key, until }: SessionStore.OwnerEntry) => ({
    owner,
    entered_at: at,
    key,
    expires_at: until
  })

  it.live("all can be removed at once, as where a limit is new", () =>
    Effect.gen(function*() {
      const { entries, owner, owners } = yield* prepared
      yield* owners.remove(owner, entries.slice(1))
      assert.deepStrictEqual(yield* owners.list(owner, 100), entries.slice(0, 1))
    }))

  it.live("a page is found without sorting them, also where most owners have few", () =>
    Effect.gen(function*() {
      const { entries, owner, owners, sql } = yield* prepared
      yield* Effect.forEach(entries.slice(0, 500), (entry) => owners.add(newHash(), entry, undefined))
      if (database !== onSqlite) {
        yield* sql.unsafe(`ANALYZE ${database === onMariadb ? "TABLE" : ""} owners_of_effect_sessions`)
      }
      const asked: Array<readonly [text: string, parameters: ReadonlyArray<unknown>]> = []
      for (const after of [undefined, entries[1000]]) {
        yield* Effect.provideService(owners.list(owner, 100, after), Statement.CurrentTransformer, (statement) =>
          Effect.sync(() => {
            asked.push(statement.compile())
            return statement
          }))
      }
      assert.lengthOf(asked, 2)
      for (const [text, parameters] of asked) {
        const explain = sql.unsafe(`EXPLAIN ${database === onSqlite ? "QUERY PLAN" : ""} ${text}`, parameters)
        const plan = yield* database === onPostgres
          // Of so few rows PostgreSQL may find it cheaper to sort them, by what its sample has in it. Where it has to, it still does.
          ? sql.withTransaction(Effect.andThen(sql.unsafe("SET LOCAL enable_sort = off"), explain))
          : explain
        assert.notMatch(JSON.stringify(plan), /sort|temp b-tree/i)
      }
    }))
})

// -----------------------------------------------------------------------------
// what comes out
// -----------------------------------------------------------------------------

const AnyFields: Arbitrary.Arbitrary<SessionStore.Fields> = Arbitrary.map(
  Arbitrary.array(Arbitrary.all([AnyText, readable(Arbitrary.schema(Schema.Json)), AnyText]), { maxLength: 6 }),
  (entries) =>
    new Map(
      entries.flatMap(([name, value, text]) => [[name, JSON.stringify(value)], [`${name} text`, JSON.stringify(text)]])
    )
)

describe.each(databases)("in $database, a look at sessions", (database) => {
  it.effect.prop(
    "has the fields that are asked for, of any name and value, to the letter, and no others",
    [AnyFields, Arbitrary.array(AnyText, { maxLength: 3 })],
    ([fields, more]) =>
      Effect.scoped(Effect.gen(function*() {
        const { backend, peek } = yield* open(database)
        const key = newHash()
        yield* backend.create(key, recordOf(fields))
        const names = [...fields.keys()].filter((_, index) => index % 3 > 0)
        const found = (yield* peek([key], [...more, ...names])).get(key)
        assert(found !== undefined && "fields" in found)
        const asked = new Set([...more, ...names])
        assert.deepStrictEqual(
          Object.fromEntries(found.fields),
          Object.fromEntries([...fields].filter(([name]) => asked.has(name)))
        )
      })),
    { arbitrary: { runs: 60 } }
  )

  it.live("leaves those out that somebody has damaged, and has the others", () =>
    Effect.gen(function*() {
      const { backend, peek, sql } = yield* open(database)
      const texts = [
        ...database === onPostgres ? [] : ["", "{", "{\"a\""],
        "null",
        "[1]",
        "[\"a\"]",
        "3",
        "\"a\"",
        "{\"a\":1}"
      ]
      const damaged = texts.map(newHash)
      const key = newHash()
      for (const each of [...damaged, key]) yield* backend.create(each, recordOf(new Map([["a", "1"], ["b", "2"]])))
      for (const [index, text] of texts.entries()) {
        yield* sql`UPDATE effect_sessions SET fields = ${text} WHERE ${sql("key")} = ${damaged[index]}`
      }
      const found = yield* peek([...damaged, key], ["a"])
      assert.deepStrictEqual([...found], [[key, recordOf(new Map([["a", "1"]]))]])
    }))
})

describe.each([onPostgres, onSqlite])("in $database, a look at sessions", (database) => {
  it.live("gets no other field of them from the database", () =>
    Effect.gen(function*() {
      const { backend, sql } = yield* open(database)
      const key = newHash()
      yield* backend.create(key, recordOf(new Map([["~owner", "1"], ["big", `"${"x".repeat(1000)}"`]])))
      const { parameters, text } = database.dialect.picked(["~owner", "absent"])
      const rows = yield* sql.unsafe<{ readonly fields: string }>(
        `SELECT ${text} AS fields FROM effect_sessions WHERE ${database.dialect.key} = '${key}'`,
        parameters
      )
      assert.deepStrictEqual(rows.map(({ fields }) => JSON.parse(fields)), [{ "~owner": "1" }])
    }))
})
