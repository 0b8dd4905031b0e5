/**
 * What the driver sends to the database, and the table it works on.
 */
import type { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Config, ConfigProvider, Context, Effect, Fiber, Layer, type Scope } from "effect"
import { type SessionConfig, SessionStore, SqlLayer } from "effect-session"
import { Reactivity } from "effect/reactivity"
import { Migrator } from "effect/sql"
import { make as makeClient, SqlClient } from "effect/sql/SqlClient"
import * as Statement from "effect/sql/Statement"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import * as SqlBackend from "../../../src/internal/drivers/sql/backend.ts"
import type { Dialect } from "../../../src/internal/drivers/sql/dialect.ts"
import { mysql } from "../../../src/internal/drivers/sql/mysql.ts"
import { postgresql } from "../../../src/internal/drivers/sql/postgresql.ts"
import { sqlite } from "../../../src/internal/drivers/sql/sqlite.ts"
import * as Change from "../../../src/internal/record/change.ts"
import * as Identifier from "../../../src/internal/token/identifier.ts"
import { Id, Token } from "../../../src/internal/token/secret.ts"
import { mistakesIn } from "../../support/config.ts"
import { startMariadb } from "../../support/mariadbServer.ts"
import { type LogEvent, observe } from "../../support/observe.ts"
import { startPostgres } from "../../support/postgresServer.ts"
import { eventually, freePort, shared } from "../../support/redisServer.ts"
import { sqliteClient } from "../../support/sqliteClient.ts"
import type { Database } from "../../support/sqlServer.ts"
import { settings } from "../../support/visits.ts"

const server = shared(startPostgres())
const mariadb = shared(Effect.tap(startMariadb(), ({ enforceRights }) => enforceRights))

type Services = SessionStore.SessionStore | SessionConfig.SessionConfig | SqlClient

const storeOn = (client: Layer.Layer<SqlClient>, options?: SqlLayer.Options) =>
  SqlLayer.layer(options).pipe(Layer.provideMerge(settings()), Layer.provideMerge(client))

/** A client on a schema of its own. It has one connection, so that statements come one after another. */
const newClient = Effect.suspend(() => Effect.map(server().schema, (schema) => clientOn(schema)))

const clientOn = (schema: string, options: Partial<PgClient.PgPoolConfig> = {}) =>
  server().client({
    applicationName: "tested",
    maxConnections: 1,
    startupParameters: { search_path: schema },
    ...options
  })

/** Runs it with a store on a schema of its own, in which there is just the table. */
const withStoreOn = (newClient: Effect.Effect<Layer.Layer<SqlClient>>) =>
<A, E>(
  effect: Effect.Effect<A, E, Services | Scope.Scope>,
  options?: SqlLayer.Options,
  prepare: Effect.Effect<unknown, unknown, SqlClient> = Effect.void
) =>
  Effect.gen(function*() {
    const client = yield* newClient
    yield* Effect.provide(Effect.andThen(prepare, SqlLayer.migration(options)), client)
    return yield* Effect.scoped(Effect.provide(effect, storeOn(client, options)))
  })

const withStore = withStoreOn(newClient)

/** In what tests of the same behaviour differ. */
interface Tested extends Database {
  readonly dialect: Dialect
  /** A client on a schema of its own. */
  readonly newClient: Effect.Effect<Layer.Layer<SqlClient>>
  /** What a column `fields` holds. */
  readonly content: (fields: unknown) => unknown
}

const onPostgres: Tested = {
  database: "PostgreSQL",
  server,
  dialect: postgresql,
  newClient,
  content: (fields) => fields
}

const onMariadb: Tested = {
  database: "MariaDB",
  server: mariadb,
  dialect: mysql,
  newClient: Effect.suspend(() =>
    Effect.map(mariadb().schema, (schema) => mariadb().clientOn(schema, { maxConnections: 1 }))
  ),
  content: (fields) => JSON.parse(String(fields))
}

const databases = [onPostgres, onMariadb]

const newId = Effect.sync(() => new Id(Identifier.random()))

const hour = 3_600_000

const counting = Change.increment(Change.none, "count", { by: 1, initial: 0 })

/** A new session, and what a request does with it. */
const newSession = Effect.gen(function*() {
  const store = yield* SessionStore.SessionStore
  const now = yield* Clock.currentTimeMillis
  const id = yield* newId
  const record = { createdAt: now, touchedAt: now, expiresAt: now + hour, fields: new Map([["name", "\"Ada\""]]) }
  return {
    id,
    create: store.create(id, record),
    load: store.load(new Token(id.text)),
    update: (field: string) => store.update(id, Change.set(Change.none, field, "1"), record),
    updateIf: (name: string) => store.update(id, Change.expect(counting, "name", name), record),
    touch: store.touch(id, record),
    regenerate: Effect.flatMap(newId, (newId) => store.regenerate(id, newId, record, record.fields)),
    regenerateIf: (name: string) =>
      Effect.flatMap(
        newId,
        (newId) => store.regenerate(id, newId, record, new Map([["name", name]]))
      ),
    destroy: store.destroy(id, record)
  }
})

type NewSession = Effect.Success<typeof newSession>

const rows = <A extends object>(statement: string) => Effect.flatMap(SqlClient, (sql) => sql.unsafe<A>(statement))

// -----------------------------------------------------------------------------
// statements
// -----------------------------------------------------------------------------

const select = `SELECT created_at, touched_at, expires_at, superseded_until, fields::text FROM "effect_sessions" ` +
  `WHERE key = $1`
const insert = `INSERT INTO "effect_sessions" (key, created_at, touched_at, expires_at, fields) ` +
  `VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING 1`
const update = `UPDATE "effect_sessions" SET fields = fields || $2::jsonb WHERE key = $1 AND fields @> '{}' RETURNING 1`
const increment = `UPDATE "effect_sessions" SET fields = fields || (` +
  `SELECT jsonb_object_agg(key, ((value ->> 0)::float8 + CASE WHEN fields ->> key ~ '^-?[0-9]' ` +
  `THEN (fields ->> key)::float8 ELSE (value ->> 1)::float8 END)::text) FROM jsonb_each($2::jsonb)) ` +
  `WHERE key = $1 AND fields @> $3::jsonb RETURNING 1`
const touch = `UPDATE "effect_sessions" ` +
  `SET touched_at = GREATEST(touched_at, $1), expires_at = GREATEST(expires_at, $2) ` +
  `WHERE key = $3 AND superseded_until IS NULL RETURNING 1`
const regenerate = `WITH old AS (SELECT expires_at FROM "effect_sessions" ` +
  `WHERE key = $1 AND superseded_until IS NULL AND fields = $2::jsonb FOR UPDATE), ` +
  `mark AS (UPDATE "effect_sessions" SET superseded_until = $3, expires_at = $3, fields = $4::jsonb FROM old WHERE key = $1) ` +
  `INSERT INTO "effect_sessions" (key, created_at, touched_at, expires_at, fields) ` +
  `SELECT $5, $6, $7, GREATEST($8, expires_at), $9::jsonb FROM old RETURNING 1`
const remove = `DELETE FROM "effect_sessions" WHERE key = $1 AND superseded_until IS NULL RETURNING 1`

describe("PostgreSQL is sent, for each operation, what the documentation says", () => {
  const cases: ReadonlyArray<{
    readonly name: string
    /** What comes before, and does not count. */
    readonly after?: (session: NewSession) => Effect.Effect<unknown, unknown>
    readonly operation: (session: NewSession) => Effect.Effect<unknown, unknown>
    readonly statements: ReadonlyArray<string>
  }> = [
    { name: "load", operation: ({ load }) => load, statements: [select] },
    { name: "create", operation: ({ create }) => create, statements: [insert] },
    {
      name: "update",
      after: ({ create }) => create,
      operation: ({ update }) => update("name"),
      statements: [update]
    },
    {
      name: "update of a session that is gone",
      operation: ({ update }) => update("name"),
      statements: [update, select]
    },
    {
      name: "update of a session that was regenerated a moment ago",
      after: ({ create, regenerate }) => Effect.andThen(create, regenerate),
      operation: ({ update }) => update("name"),
      statements: [update, select, select]
    },
    {
      name: "update that expects what is stored",
      after: ({ create }) => create,
      operation: ({ updateIf }) => updateIf(`"Ada"`),
      statements: [increment]
    },
    {
      name: "update that expects something else",
      after: ({ create }) => create,
      operation: ({ updateIf }) => updateIf(`"Grace"`),
      statements: [increment, select]
    },
    {
      name: "regenerate that expects what is stored",
      after: ({ create }) => create,
      operation: ({ regenerateIf }) => regenerateIf(`"Ada"`),
      statements: [regenerate]
    },
    {
      name: "regenerate that expects something else",
      after: ({ create }) => create,
      operation: ({ regenerateIf }) => regenerateIf(`"Grace"`),
      statements: [regenerate, select, select]
    },
    { name: "touch", after: ({ create }) => create, operation: ({ touch }) => touch, statements: [touch] },
    {
      name: "regenerate",
      after: ({ create }) => create,
      operation: ({ regenerate }) => regenerate,
      statements: [regenerate]
    },
    {
      name: "regenerate when another request has committed meanwhile",
      after: ({ create, update }) => Effect.andThen(create, update("meanwhile")),
      operation: ({ regenerate }) => regenerate,
      statements: [regenerate, select, select]
    },
    { name: "destroy", after: ({ create }) => create, operation: ({ destroy }) => destroy, statements: [remove] },
    {
      name: "destroy of a session that another request has given a new id",
      after: ({ create, regenerate }) => Effect.andThen(create, regenerate),
      operation: ({ destroy }) => destroy,
      statements: [remove, select, remove]
    }
  ]

  for (const { after, name, operation, statements } of cases) {
    it.live(name, () =>
      withStore(
        Effect.gen(function*() {
          const session = yield* newSession
          if (after !== undefined) yield* after(session)
          assert.deepStrictEqual(yield* server().statements("tested", operation(session)), statements)
        }),
        { sweepEvery: "never" }
      ))
  }
})

/** The first words of what a client is asked for. */
const asked = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const words: Array<string> = []
    yield* Effect.provideService(effect, Statement.CurrentTransformer, (statement) =>
      Effect.sync(() => {
        words.push(/^\w+/.exec(statement.compile()[0])![0])
        return statement
      }))
    return words
  })

describe("SQLite and MariaDB are sent, for each operation, what the documentation says", () => {
  const databases = [
    {
      database: "SQLite",
      client: () => sqliteClient(),
      regenerated: ["SELECT", "INSERT"],
      refused: ["SELECT", "SELECT"]
    },
    {
      database: "MariaDB",
      client: () => mariadb().client(),
      regenerated: ["INSERT", "SELECT", "UPDATE"],
      refused: ["INSERT", "SELECT", "DELETE"]
    }
  ]
  it.effect.each(databases)("$database", ({ client, refused, regenerated }) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(client())
      yield* Effect.provide(SqlLayer.migration(), context)
      yield* Effect.gen(function*() {
        const { create, destroy, load, regenerate, regenerateIf, touch, update, updateIf } = yield* newSession
        assert.deepStrictEqual(yield* asked(create), ["INSERT"])
        assert.deepStrictEqual(yield* asked(load), ["SELECT"])
        assert.deepStrictEqual(yield* asked(touch), ["UPDATE"])
        assert.deepStrictEqual(yield* asked(updateIf(`"Grace"`)), ["SELECT"])
        assert.deepStrictEqual(yield* asked(regenerateIf(`"Grace"`)), refused)
        assert.deepStrictEqual(yield* asked(regenerate), regenerated)
        assert.deepStrictEqual(yield* asked(destroy), ["DELETE", "SELECT", "DELETE"])
        const another = yield* newSession
        yield* another.create
        assert.deepStrictEqual(yield* asked(another.update("visits")), ["SELECT", "UPDATE"])
        assert.deepStrictEqual(yield* asked(another.updateIf(`"Ada"`)), ["SELECT", "UPDATE"])
        assert.deepStrictEqual(yield* asked(another.destroy), ["DELETE"])
        assert.deepStrictEqual(yield* asked(update("visits")), ["SELECT", "SELECT", "SELECT"])
      }).pipe(Effect.provide(storeOn(Layer.succeedContext(context), { sweepEvery: "never" })))
    }))
})

// -----------------------------------------------------------------------------
// the table
// -----------------------------------------------------------------------------

describe.each(databases)("the table on $database", ({ content, dialect, newClient, server }) => {
  const withStore = withStoreOn(newClient)

  const stored = Effect.map(
    rows<Record<string, unknown>>("SELECT * FROM effect_sessions ORDER BY superseded_until IS NULL"),
    (rows) =>
      rows.map((row) => ({
        key: row["key"],
        times: ["created_at", "touched_at", "expires_at"].map((column) => Number(row[column])),
        superseded: row["superseded_until"] === null ? undefined : Number(row["superseded_until"]),
        fields: content(row["fields"])
      }))
  )

  it.effect("holds what a person can read", () =>
    withStore(
      Effect.gen(function*() {
        yield* TestClock.setTime(hour)
        const { create, id, update } = yield* newSession
        yield* create
        yield* update("visits")
        assert.deepStrictEqual(yield* stored, [{
          key: id.key,
          times: [3_600_000, 3_600_000, 7_200_000],
          superseded: undefined,
          fields: { name: `"Ada"`, visits: "1" }
        }])
      })
    ))

  it.effect("has no more of a session that was regenerated than the key of its successor", () =>
    withStore(
      Effect.gen(function*() {
        const { create, id, regenerate } = yield* newSession
        yield* create
        yield* regenerate
        const [mark, successor] = yield* stored
        assert.deepStrictEqual(mark, {
          key: id.key,
          times: [0, 0, 30_000],
          superseded: 30_000,
          fields: successor!.key
        })
      })
    ))

  const oddNames = [
    "Sessions",
    "user",
    "two words",
    "quote\"d",
    "back`tick",
    "semi;colon",
    "drop table \"effect_sessions\"; --",
    "$1",
    "größe_日本",
    "ein_name_der_gerade_so_lang_ist_wie_er_sein_darf_",
    "auth.sessions",
    "Odd \"schema\".Odd table"
  ]
  const indexes = {
    PostgreSQL: "SELECT schemaname AS in_schema, tablename AS name FROM pg_indexes WHERE indexdef LIKE '%(expires_at)'",
    MariaDB: "SELECT table_schema AS in_schema, table_name AS name FROM information_schema.statistics " +
      "WHERE column_name = 'expires_at'"
  }[dialect === mysql ? "MariaDB" : "PostgreSQL"]

  for (const table of oddNames) {
    it.effect(`may have a name such as ${table}`, () => {
      const [schema, name] = table.includes(".") ? table.split(".") as [string, string] : [undefined, table]
      const prepare = schema === undefined
        ? Effect.void
        : Effect.flatMap(SqlClient, (sql) => sql`CREATE SCHEMA ${sql(schema)}`)
      return withStore(
        Effect.gen(function*() {
          const { create, destroy, load, regenerateIf, touch, update } = yield* newSession
          yield* create
          assert.strictEqual((yield* update("name"))._tag, "Written")
          assert.strictEqual((yield* touch)._tag, "Written")
          assert.strictEqual((yield* load)._tag, "Found")
          assert.strictEqual((yield* regenerateIf("1"))._tag, "Written")
          const sql = yield* SqlClient
          const stored = sql`SELECT * FROM ${sql(table)}`
          assert.strictEqual((yield* stored).length, 2)
          yield* destroy
          assert.strictEqual((yield* stored).length, 1, "what is left says that the session was regenerated")
          const { owners, peek } = SqlBackend.make(sql, dialect, table)
          const entry = { key: "a", at: 1, until: 2 }
          yield* owners!.add("me", entry, undefined)
          yield* owners!.bury("a", { supersededUntil: 2, successor: "" })
          assert.deepStrictEqual(yield* owners!.list("me", 10), [entry])
          assert.deepStrictEqual([...yield* peek!(["a"], [])], [["a", { supersededUntil: 2, successor: "" }]])
          const indexed = yield* server().query<{ readonly in_schema: string; readonly name: string }>(indexes)
          const expected = [name, `owners_of_${name}`]
          const found = indexed.filter((index) => expected.includes(index.name))
          assert.deepStrictEqual(found.map((index) => index.name).toSorted(), expected.toSorted())
          assert.strictEqual(new Set(found.map(({ in_schema }) => in_schema)).size, 1)
          if (schema !== undefined) assert.strictEqual(found[0]!.in_schema, schema)
        }),
        { table },
        prepare
      )
    })
  }
})

describe("the table", () => {
  const damages = [
    { database: "PostgreSQL", client: newClient, texts: [] },
    { database: "MariaDB", client: Effect.sync(() => mariadb().client()), texts: ["", "{"] },
    { database: "SQLite", client: Effect.sync(() => sqliteClient()), texts: ["", "{"] }
  ]
  it.effect.each(damages)(
    "may be damaged on $database: no session, no error, and the next request goes on",
    ({ client, texts }) =>
      Effect.gen(function*() {
        const table = "damaged"
        const context = yield* Layer.build(yield* client)
        yield* Effect.provide(SqlLayer.migration({ table }), context)
        yield* Effect.gen(function*() {
          const sql = yield* SqlClient
          for (const damaged of [...texts, "null", "[1]", "3", "\"text\""]) {
            const { create, id, load, regenerate, touch, update, updateIf } = yield* newSession
            yield* create
            yield* sql`UPDATE damaged SET fields = ${damaged}`
            assert.deepStrictEqual(yield* load, { _tag: "NotFound", reason: "unknown", id })
            yield* touch
            assert.strictEqual((yield* update("name"))._tag, "Gone")
            assert.strictEqual((yield* updateIf(`"Ada"`))._tag, "Gone")
            assert.strictEqual((yield* regenerate)._tag, "Gone")
            yield* sql`DELETE FROM damaged`
          }
          const { create, id, load } = yield* newSession
          yield* create
          yield* sql`UPDATE damaged SET fields = '{"name":1}'`
          assert.deepStrictEqual(yield* load, { _tag: "NotFound", reason: "unknown", id })
        }).pipe(Effect.provide(storeOn(Layer.succeedContext(context), { table })))
      })
  )
})

it.effect("SQLite has the tables, and their indexes, in the schema that the name begins with", () =>
  Effect.gen(function*() {
    const table = "auth.sessions"
    const context = yield* Layer.build(sqliteClient())
    yield* Effect.provide(Effect.andThen(rows("ATTACH ':memory:' AS auth"), SqlLayer.migration({ table })), context)
    yield* Effect.gen(function*() {
      const { create, load } = yield* newSession
      yield* create
      assert.strictEqual((yield* load)._tag, "Found")
      assert.strictEqual((yield* rows("SELECT * FROM auth.sessions")).length, 1)
      assert.deepStrictEqual(
        (yield* rows<{ readonly name: string }>("SELECT name FROM auth.sqlite_schema WHERE sql IS NOT NULL"))
          .map(({ name }) => name),
        ["sessions", "idx_sessions_expires_at", "owners_of_sessions", "idx_owners_of_sessions_expires_at"]
      )
    }).pipe(Effect.provide(storeOn(Layer.succeedContext(context), { table })))
  }))

// -----------------------------------------------------------------------------
// making the table
// -----------------------------------------------------------------------------

const descriptions = {
  postgresql: [
    "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = current_schema()",
    "SELECT indexname, replace(indexdef, current_schema(), '') FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1"
  ],
  mysql: [
    "SELECT table_name, column_name, column_type, collation_name, is_nullable FROM information_schema.columns " +
    "WHERE table_schema = database()",
    "SELECT table_name, index_name, column_name FROM information_schema.statistics WHERE table_schema = database()"
  ]
}

const described = [
  { ...onPostgres, file: "postgresql", indexed: 4 },
  { ...onMariadb, file: "mysql", indexed: 6 }
] as const

describe.each(described)("the migration on $database", ({ file, indexed, newClient }) => {
  const withStore = withStoreOn(newClient)

  const description = Effect.forEach(descriptions[file], rows)

  const describedAfter = (prepare: Effect.Effect<unknown, unknown, SqlClient>) =>
    Effect.flatMap(newClient, (client) => Effect.provide(Effect.andThen(prepare, description), client))

  it.effect("makes what the file makes", () =>
    Effect.gen(function*() {
      const byMigration = yield* describedAfter(SqlLayer.migration())
      const byFile = yield* describedAfter(Effect.forEach(statementsIn(file), rows))
      assert.deepStrictEqual(byMigration, byFile)
      assert.deepStrictEqual(byFile.map((rows) => rows.length), [10, indexed])
    }))

  it.effect("can be run again, and harms no session", () =>
    withStore(
      Effect.gen(function*() {
        const { create, load } = yield* newSession
        yield* create
        yield* SqlLayer.migration()
        assert.strictEqual((yield* load)._tag, "Found")
      })
    ))

  it.effect("can be run by many servers that start at the same time", () =>
    Effect.gen(function*() {
      const client = yield* newClient
      const runs = Array.from({ length: 8 }, () => Effect.provide(SqlLayer.migration(), client))
      yield* Effect.all(runs, { concurrency: "unbounded" })
      assert.strictEqual((yield* Effect.provide(description, client))[0]!.length, 10)
    }))

  it.effect("is one for the Migrator of effect/sql", () =>
    Effect.gen(function*() {
      const run = Migrator.make({})({
        loader: Migrator.fromRecord({ "0001_sessions": SqlLayer.migration({ table: "sessions" }) })
      })
      const completed = yield* Effect.provide(
        Effect.andThen(run, Effect.all([rows("SELECT * FROM effect_sql_migrations"), rows("SELECT * FROM sessions")])),
        yield* newClient
      )
      assert.deepStrictEqual(completed.map((rows) => rows.length), [1, 0])
    }))
})

describe("the migration", () => {
  const dialects = [
    { dialect: postgresql, file: "postgresql", quote: "\"" },
    { dialect: mysql, file: "mysql", quote: "`" },
    { dialect: sqlite, file: "sqlite", quote: "\"" }
  ] as const
  for (const { dialect, file, quote } of dialects) {
    it(`runs the statements of sql/${file}.sql`, () => {
      const sql = Statement.make(Effect.die("No statement is run"), compilerWith(quote), [], undefined)
      const statements = dialect.create(sql, "effect_sessions").map((statement) => statement.compile()[0])
      assert.deepStrictEqual(statements, statementsIn(file))
    })
  }
})

/** The statements of a file in the folder sql. */
const statementsIn = (file: string): ReadonlyArray<string> =>
  statementsOf(readFileSync(new URL(`../../../sql/${file}.sql`, import.meta.url), "utf8").replaceAll(/^--.*\n/gm, ""))

const statementsOf = (text: string): ReadonlyArray<string> =>
  text.split(";").map((statement) => statement.trim()).filter((statement) => statement !== "")

const compilerWith = (quote: string, dialect: Statement.Dialect = "sqlite") =>
  Statement.makeCompiler({
    dialect,
    placeholder: () => "?",
    onIdentifier: Statement.defaultEscape(quote),
    onRecordUpdate: () => ["", []],
    onCustom: () => ["", []]
  })

// -----------------------------------------------------------------------------
// mistakes
// -----------------------------------------------------------------------------

const mistakeOn = (client: Layer.Layer<SqlClient>, options?: SqlLayer.Options) =>
  Effect.map(mistakesIn(Effect.provide(Effect.void, storeOn(client, options))), ([mistake]) => mistake)

const howTo = "Run the migration, SqlLayer.migration(), " +
  "or the file for this database in the folder sql of effect-session"

const rights = ["INSERT", "UPDATE", "DELETE"] as const

/** What each of them says when it refuses something. */
const answers = {
  PostgreSQL: {
    missing: (table: string) => `relation "${table}" does not exist`,
    unknown: `column "created_at" does not exist`,
    denied: (_: string, table: string) => `permission denied for table ${table}`,
    readOnly: "cannot execute INSERT in a read-only transaction",
    lock: (table: string) => `LOCK TABLE ${table}`
  },
  MariaDB: {
    missing: (table: string, schema: string) => `Table '${schema}.${table}' doesn't exist`,
    unknown: "Unknown column 'created_at'",
    denied: (right: string, table: string, schema: string, user: string) =>
      `${right} command denied to user '${user}'@'localhost' for table \`${schema}\`.\`${table}\``,
    readOnly: "Cannot execute statement in a READ ONLY transaction",
    lock: (table: string) => `LOCK TABLES ${table} WRITE`
  }
}

const refusing = [{ ...onPostgres, says: answers.PostgreSQL }, { ...onMariadb, says: answers.MariaDB }]

describe.each(refusing)("a server on $database does not start", ({ database, newClient, says, server }) => {
  const found = `store.table (SESSION_STORE_TABLE): found "effect_sessions".`

  /** A schema with the tables, and a user who may do nothing with them yet. */
  const withUser = Effect.fnUntraced(function*(user: string) {
    const schema = yield* server().schema
    yield* Effect.provide(SqlLayer.migration(), server().clientOn(schema))
    yield* server().query(`CREATE USER ${user}`)
    yield* server().query(
      database === "PostgreSQL"
        ? `GRANT USAGE ON SCHEMA ${schema} TO ${user}`
        // Without any right there, it can't be used at all.
        : `GRANT CREATE TEMPORARY TABLES ON ${schema}.* TO ${user}`
    )
    return { schema, mistake: mistakeOn(server().clientOn(schema, { username: user, maxConnections: 1 })) }
  })

  it.effect("without the table, and says how to make it", () =>
    Effect.gen(function*() {
      const schema = yield* server().schema
      assert.strictEqual(
        yield* mistakeOn(server().clientOn(schema)),
        `${found} Its tables do not exist, or are not those of sessions: ` +
          `${says.missing("effect_sessions", schema)}. ${howTo}`
      )
    }))

  it.effect("without the table of the owners, as it was made by an earlier version, and says the same", () =>
    Effect.gen(function*() {
      const schema = yield* server().schema
      const client = server().clientOn(schema)
      yield* Effect.provide(Effect.andThen(SqlLayer.migration(), rows("DROP TABLE owners_of_effect_sessions")), client)
      assert.include(yield* mistakeOn(client), `${says.missing("owners_of_effect_sessions", schema)}. ${howTo}`)
      yield* Effect.provide(SqlLayer.migration(), client)
      assert.isUndefined(yield* mistakeOn(client).pipe(Effect.catchDefect(() => Effect.undefined)))
    }))

  it.effect("with a table of something else", () =>
    Effect.gen(function*() {
      const client = yield* newClient
      const other = Effect.flatMap(SqlClient, (sql) =>
        sql`CREATE TABLE effect_sessions (${sql("key")} VARCHAR(64) PRIMARY KEY, data TEXT)`)
      yield* Effect.provide(other, client)
      const mistake = yield* mistakeOn(client)
      assert.include(mistake, says.unknown)
      assert.include(mistake, howTo)
    }))

  it.effect("without a right that a request would need later, and says which", () =>
    Effect.gen(function*() {
      const { mistake, schema } = yield* withUser("clerk")
      const denied = (right: string, table: string) => says.denied(right, table, schema, "clerk")
      const explanation = "The user needs SELECT, INSERT, UPDATE and DELETE on effect_sessions " +
        "and on owners_of_effect_sessions, on a server that takes changes"
      const tables = ["effect_sessions", "owners_of_effect_sessions"]
      for (const table of tables) {
        assert.strictEqual(yield* mistake, `${found} It can't be read: ${denied("SELECT", table)}`)
        yield* server().query(`GRANT SELECT ON ${schema}.${table} TO clerk`)
      }
      const messages = new Set(tables.flatMap((table) => rights.map((right) => denied(right, table))))
      assert.strictEqual(
        yield* mistake,
        `${found} The database rejects INSERT, UPDATE, DELETE: ${[...messages].join("; ")}. ${explanation}`
      )
      for (const table of tables) {
        for (const right of rights) {
          for (const table of tables) {
            yield* server().query(`GRANT INSERT, UPDATE, DELETE ON ${schema}.${table} TO clerk`)
          }
          yield* server().query(`REVOKE ${right} ON ${schema}.${table} FROM clerk`)
          assert.include(yield* mistake, `rejects ${right}: ${denied(right, table)}. ${explanation}`)
        }
      }
    }))

  it.effect("with a database that takes no changes", () =>
    Effect.gen(function*() {
      const schema = yield* server().schema
      yield* Effect.provide(SqlLayer.migration(), server().clientOn(schema))
      assert.include(
        yield* mistakeOn(server().readOnlyOn(schema)),
        `rejects INSERT, UPDATE, DELETE: ${says.readOnly}`
      )
    }))

  it.effect("with a database that can't be reached", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const mistake = yield* mistakeOn(server().client({ port }))
      assert.include(mistake, `found "effect_sessions". It can't be read: connect ECONNREFUSED 127.0.0.1:${port}`)
    }))

  it.effect("with a database that does not answer", () =>
    Effect.gen(function*() {
      const sql = Context.get(yield* Layer.build(server().client()), SqlClient)
      const schema = yield* server().schema
      const client = server().clientOn(schema)
      yield* Effect.provide(SqlLayer.migration(), client)
      const mistake = yield* sql.withTransaction(
        Effect.gen(function*() {
          yield* sql.unsafe(says.lock(`${schema}.effect_sessions`)).unprepared
          const mistake = yield* Effect.forkScoped(mistakeOn(client))
          yield* server().waitForLocks(1)
          yield* TestClock.adjust("5 seconds")
          return yield* Fiber.join(mistake)
        })
      )
      assert.include(mistake, `${found} It can't be read: No answer within 5s`)
    }))
})

describe("a server does not start", () => {
  it.effect("without the table on SQLite, and says how to make it", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* mistakeOn(sqliteClient(), { table: "sessions" }),
        `store.table (SESSION_STORE_TABLE): found "sessions". Its tables do not exist, or are not those of sessions: ` +
          `no such table: sessions. ${howTo}`
      )
    }))

  it.effect("with a table whose fields are of another type, and says which and what to do", () =>
    Effect.gen(function*() {
      const client = yield* newClient
      yield* Effect.provide(
        Effect.andThen(SqlLayer.migration(), rows("ALTER TABLE effect_sessions ALTER COLUMN fields TYPE TEXT")),
        client
      )
      assert.strictEqual(
        yield* mistakeOn(client),
        `store.table (SESSION_STORE_TABLE): found "effect_sessions". ` +
          `Its column "fields" has the type text, but must be jsonb. Drop the table. ${howTo}`
      )
    }))

  it.effect("with a SQLite that takes no changes", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(sqliteClient())
      yield* Effect.provideContext(SqlLayer.migration(), context)
      yield* Context.get(context, SqlClient)`PRAGMA query_only = 1`
      assert.include(
        yield* mistakeOn(Layer.succeedContext(context)),
        "rejects INSERT, UPDATE, DELETE: attempt to write a readonly database. "
      )
    }))

  it.effect("with a name that can be none", () =>
    Effect.gen(function*() {
      const client = yield* newClient
      for (const table of ["", "\0", "x".repeat(50), `auth.${"é".repeat(25)}`, `${"x".repeat(128)}.y`]) {
        assert.include(yield* mistakeOn(client, { table }), "Write the name of a table, such as \"effect_sessions\"")
      }
    }))

  it.effect("with a database that the driver does not know", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* mistakeOn(clientOf("mssql")),
        `store.type (SESSION_DRIVER): found "mssql". ` +
          "The SQL driver supports PostgreSQL, MySQL and SQLite: provide a SqlClient for one of these"
      )
    }))
})

const documented = [
  // By default everybody may use this schema.
  { ...onPostgres, block: 0, schema: "public", prepare: "REVOKE ALL ON SCHEMA public FROM PUBLIC" },
  { ...onMariadb, block: 1, schema: "shop", prepare: "CREATE DATABASE shop" }
]

describe.each(documented)(
  "the rights in the documentation of $database",
  ({ block, dialect, prepare, schema, server }) => {
    it.effect("are all that a server needs", () =>
      Effect.gen(function*() {
        const documentation = readFileSync(new URL("../../../src/SqlLayer.ts", import.meta.url), "utf8")
        const grants = [...documentation.replaceAll(/^ \* ?/gm, "").matchAll(/```sql\n(.*?)```/gs)][block]![1]!
        yield* server().query(prepare)
        yield* Effect.provide(SqlLayer.migration(), server().clientOn(schema))
        yield* server().query("CREATE USER shop")
        for (const statement of statementsOf(grants)) yield* server().query(statement)
        const left = Effect.map(
          server().query(
            `SELECT expires_at FROM ${schema}.effect_sessions ` +
              `UNION ALL SELECT expires_at FROM ${schema}.owners_of_effect_sessions`
          ),
          ({ length }) => length
        )
        yield* Effect.provide(
          Effect.gen(function*() {
            const { create, load, regenerate, touch } = yield* newSession
            yield* create
            assert.strictEqual((yield* load)._tag, "Found")
            yield* touch
            assert.strictEqual((yield* regenerate)._tag, "Written")
            const another = yield* newSession
            yield* another.create
            yield* another.update("count")
            yield* another.destroy
            assert.strictEqual((yield* another.load)._tag, "NotFound")
            const { owners, peek } = SqlBackend.make(yield* SqlClient, dialect, "effect_sessions")
            assert(owners !== undefined && peek !== undefined)
            const entry = { key: "a", at: 0, until: 1 }
            assert.isFalse(yield* owners.add("me", entry, 1))
            assert.isTrue(yield* owners.add("me", { ...entry, key: "b" }, 1))
            yield* owners.bury("a", { supersededUntil: 1, successor: "" })
            assert.strictEqual((yield* peek(["a", "b"], ["~owner"])).size, 1)
            yield* owners.remove("me", [entry])
            assert.strictEqual((yield* owners.list("me", 10)).length, 1)
            assert.strictEqual(yield* left, 4)
            // The sweeper may delete as well.
            yield* TestClock.adjust("1 hour").pipe(
              Effect.andThen(TestClock.withLive(Effect.sleep("20 millis"))),
              Effect.andThen(left),
              Effect.repeat({ until: (left) => left === 0 })
            )
          }),
          storeOn(server().clientOn(schema, { username: "shop" }), { sweepEvery: "1 hour" })
        )
      }))
  }
)

/** A client of another database; nothing is sent to it. */
const clientOf = (dialect: Statement.Dialect): Layer.Layer<SqlClient> =>
  Layer.effect(
    SqlClient,
    makeClient({
      acquirer: Effect.die("No statement is run"),
      compiler: compilerWith("\"", dialect),
      driver: dialect,
      spanAttributes: []
    })
  ).pipe(Layer.provide(Reactivity.layer))

it.effect("the settings can come from a Config", () =>
  Effect.gen(function*() {
    const client = yield* newClient
    yield* Effect.provide(SqlLayer.migration({ table: "configured" }), client)
    yield* Effect.gen(function*() {
      yield* (yield* newSession).create
      assert.strictEqual((yield* rows("SELECT * FROM configured")).length, 1)
    }).pipe(
      Effect.provide(
        SqlLayer.layerConfig({ table: Config.String("TABLE") }).pipe(
          Layer.provideMerge(settings()),
          Layer.provideMerge(client)
        )
      ),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: { TABLE: "configured" } }))
    )
  }))

// -----------------------------------------------------------------------------
// sweeping
// -----------------------------------------------------------------------------

describe.each(databases)("the sweeper on $database", ({ newClient }) => {
  const withStore = withStoreOn(newClient)

  const insertUntil = (key: string, minutes: number) =>
    rows(`INSERT INTO effect_sessions VALUES ('${key}', 0, 0, ${minutes * 60_000}, NULL, '{}')`)

  const expectKeys = (...expected: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const context = yield* Effect.context<SqlClient>()
      const check = Effect.map(rows<{ readonly key: string }>("SELECT * FROM effect_sessions"), (rows) =>
        assert.deepStrictEqual(rows.map(({ key }) => key).toSorted(), expected))
      yield* TestClock.withLive(eventually(Effect.provide(check, context)))
    })

  /** Runs it after the first sweep; the others come every ten minutes. */
  const withSweeper = <A, E>(effect: Effect.Effect<A, E, Services | Scope.Scope>) =>
    withStore(
      Effect.andThen(expectKeys(), effect),
      {},
      Effect.andThen(SqlLayer.migration(), insertUntil("swept first", -60))
    )

  it.effect("deletes what expired more than an hour ago, every ten minutes", () =>
    withSweeper(
      Effect.gen(function*() {
        yield* insertUntil("a", -50)
        yield* insertUntil("b", -49.999)
        yield* insertUntil("c", -39)
        yield* TestClock.adjust("10 minutes")
        yield* expectKeys("b", "c")
        yield* TestClock.adjust("10 minutes")
        yield* expectKeys("c")
        yield* TestClock.adjust("10 minutes")
        yield* expectKeys()
      })
    ))

  it.effect("deletes the mark of a regenerated session, but not the session", () =>
    withSweeper(
      Effect.gen(function*() {
        const { create, regenerate } = yield* newSession
        yield* create
        yield* regenerate
        const [session, mark] = yield* rows<{ readonly key: string }>(
          "SELECT * FROM effect_sessions ORDER BY superseded_until IS NOT NULL"
        )
        yield* rows("UPDATE effect_sessions SET expires_at = expires_at - 3600000 WHERE superseded_until IS NOT NULL")
        yield* expectKeys(...[session!.key, mark!.key].toSorted())
        yield* TestClock.adjust("10 minutes")
        yield* expectKeys(session!.key)
      })
    ))

  it.effect("deletes the entries of owners whose time was over more than an hour ago, and no others", () =>
    withSweeper(
      Effect.gen(function*() {
        const enterUntil = (key: string, minutes: number) =>
          rows(`INSERT INTO owners_of_effect_sessions VALUES ('me', 0, '${key}', ${minutes * 60_000})`)
        yield* enterUntil("a", -50)
        yield* enterUntil("b", -49.999)
        yield* insertUntil("swept after it", -50)
        yield* TestClock.adjust("10 minutes")
        yield* expectKeys()
        const entries = yield* rows<{ readonly key: string }>("SELECT * FROM owners_of_effect_sessions")
        assert.deepStrictEqual(entries.map(({ key }) => key), ["b"])
      })
    ))

  it.effect("that fails says so, and works again when the database does", () => {
    const observed = observe()
    return withSweeper(
      Effect.gen(function*() {
        yield* insertUntil("a", -55)
        yield* rows("ALTER TABLE effect_sessions RENAME TO away")
        yield* TestClock.adjust("10 minutes")
        yield* TestClock.withLive(eventually(Effect.sync(() => assert.lengthOf(warningsIn(observed.logs), 1))))
        yield* rows("ALTER TABLE away RENAME TO effect_sessions")
        yield* TestClock.adjust("10 minutes")
        yield* expectKeys()
        assert.deepStrictEqual(warningsIn(observed.logs), ["Expired sessions could not be deleted"])
      })
    ).pipe(Effect.provide(observed.layer))
  })
})

it.effect("nothing is sent to the database by a sweeper that runs \"never\"", () =>
  withStore(
    Effect.gen(function*() {
      yield* (yield* newSession).create
      const statements = yield* server().statements("tested", TestClock.adjust("10 days"))
      assert.deepStrictEqual(statements, [])
      assert.strictEqual((yield* rows("SELECT * FROM effect_sessions")).length, 1)
    }),
    { sweepEvery: "never" }
  ))

const warningsIn = (logs: ReadonlyArray<LogEvent>) =>
  logs.flatMap(({ level, message }) => level === "Warn" ? [message.split("\n", 1)[0]] : [])
