/**
 * Sessions in a SQL database, for any number of servers. Works with PostgreSQL, MySQL and SQLite, through the
 * application's `SqlClient` of `effect/sql`.
 *
 * **Details**
 *
 * A session is one row: the hash of its id as the key, its times in milliseconds since the epoch, and its fields as a
 * JSON object. Each value in that object is a string with the field's JSON text, so values come out exactly as they
 * went in, even from `JSONB`. A second table, `owners_of_effect_sessions`, has a row for each session of an owner: a
 * hash of the owner's id, the key of the session, when the row was added, and when it expires. Create both tables with
 * {@link migration}, or with a file in the folder `sql` of this package. These are the statements on PostgreSQL, each
 * of them one round trip:
 *
 * | operation  | statements |
 * | ---------- | ---------- |
 * | load       | `SELECT`; inside a transaction of the application `SAVEPOINT`, `SELECT`, `RELEASE SAVEPOINT` |
 * | create     | `INSERT … ON CONFLICT DO NOTHING` |
 * | update     | `UPDATE`, whatever the request has changed and expects |
 * | touch      | `UPDATE`; if there was nothing to extend, the `SELECT` of load |
 * | regenerate | one statement that locks the old session, puts the mark of a superseded session in its place, and inserts the new one: all of it or nothing |
 * | destroy    | `DELETE`; if there was nothing to delete, the `SELECT` of load, and the same for the session under its new id if another request has regenerated it a moment ago |
 * | enter a session for its owner | `INSERT … ON CONFLICT DO UPDATE`; where an owner may have only so many, and a `SELECT` that counts them |
 * | list the sessions of an owner | `SELECT` of a page of them, and one for what is known of these sessions, without their other fields |
 * | end a session of an owner | `INSERT … ON CONFLICT DO UPDATE`, which puts a mark in its place, also if there is nothing yet |
 * | remove what is ended from the list | `DELETE` |
 *
 * An update applies to the row as it is when the update runs, so it loses nothing of other commits. If it finds no
 * session, or not what it expects, the `SELECT` of load reads the current row, and another one looks for a successor.
 * The same applies to regenerate, where the first `SELECT` is for the new id.
 *
 * On SQLite and MySQL, the driver computes the change: an update is the `SELECT` of load and an `UPDATE` that writes
 * only if the row still has these fields; if not, both are repeated. On SQLite, regenerate is a `SELECT` and one
 * `INSERT … ON CONFLICT DO UPDATE` for both rows. On MySQL it is an `INSERT` for the new session, a `SELECT` and an
 * `UPDATE` for the old one, and, if another request has changed that in the meantime, a `DELETE` of the new one. On
 * both, a list of an owner's sessions reads all of their fields. The driver is tested on PostgreSQL, MariaDB and
 * SQLite.
 *
 * Whether a session has expired is decided by its times when it is loaded. A sweeper deletes rows that expired more
 * than an hour ago from both tables, so your servers' clocks can differ by that much.
 *
 * Reading, inserting, updating and deleting are tested on zero rows when the Layer is built: if the user lacks a
 * privilege or the database is read-only, the server does not start. On PostgreSQL, if the user `shop` does not own the
 * tables, it needs these privileges:
 *
 * ```sql
 * GRANT USAGE ON SCHEMA public TO shop;
 * GRANT SELECT, INSERT, UPDATE, DELETE ON effect_sessions, owners_of_effect_sessions TO shop;
 * ```
 *
 * On MySQL, with the tables in the database `shop`:
 *
 * ```sql
 * GRANT SELECT, INSERT, UPDATE, DELETE ON shop.effect_sessions TO shop;
 * GRANT SELECT, INSERT, UPDATE, DELETE ON shop.owners_of_effect_sessions TO shop;
 * ```
 *
 * Running {@link migration} also needs the privilege to create tables. On MySQL it commits the transaction that it runs
 * in, like every statement that creates a table.
 *
 * **Gotchas**
 *
 * Writes of sessions and owners take no part in the application's transactions (`sql.withTransaction`): they stay even
 * if the transaction is rolled back. `Session.commit` inside a transaction therefore uses a second connection of the
 * pool. If no connection is free, it waits for one, up to the configured time limit. Rely on the commit that comes with
 * the response, give the pool more connections than there are concurrent transactions, or provide this Layer with a
 * separate client.
 *
 * Loading the session inside a transaction is a query of that transaction, in a savepoint. It uses no second connection
 * and sees the session in the transaction's snapshot, and a `SET TRANSACTION` after it comes too late. If the
 * transaction can't read the table, because it was aborted or uses another role, loading uses a second connection; on
 * MySQL also after a statement that creates or alters a table, which ends the transaction there. Every list of an
 * owner's sessions uses a second connection too, because the transaction's snapshot lacks the most recent ones.
 *
 * If the row of a session is locked by something else, such as a report with `SELECT … FOR UPDATE`, changes of this
 * session wait up to the time limit and occupy one connection of each server's pool; all other sessions continue. With
 * `multiplex` of `@effect/sql-pg`, statements that share this connection wait as well.
 *
 * MySQL clients can't cancel a statement. A change that waits for a locked row keeps waiting after the time limit, for
 * at most a minute, and is applied if the row becomes free, although its request got a 503. Other changes of this
 * session wait for it without using a second connection. A sweep waits too, if that session is the next one to expire.
 * At MySQL's default isolation level, a report that locks every row it scans also blocks the creation of new sessions:
 * let it read without locks, or set `READ COMMITTED` for it. At `SERIALIZABLE`, a transaction of the application locks
 * the session that it has read, so a `Session.commit` inside it fails at the time limit: rely on the commit that comes
 * with the response.
 *
 * PostgreSQL must be version 12 or later, with the default `extra_float_digits`: it computes increments, and older
 * versions write numbers with too few digits.
 *
 * A SQLite client has a single connection. Inside a transaction of the application you can read the session, but
 * `Session.commit` fails immediately with a `SessionStoreError`: commit before or after the transaction. The commit
 * that comes with the response runs after it anyway. If another process has locked the SQLite file, requests wait for
 * it up to the time limit without blocking others. The client's `busy_timeout` blocks the whole process while it waits,
 * so keep it short.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { SqlError } from "effect/sql/SqlError"
import * as TimeLimit from "./internal/concurrency/timeLimit.ts"
import * as Setting from "./internal/config/settings.ts"
import * as SqlBackend from "./internal/drivers/sql/backend.ts"
import { type Dialect, ownersOf, withoutSchema } from "./internal/drivers/sql/dialect.ts"
import { mysql } from "./internal/drivers/sql/mysql.ts"
import { postgresql } from "./internal/drivers/sql/postgresql.ts"
import { sqlite } from "./internal/drivers/sql/sqlite.ts"
import * as Inert from "./internal/store/inert.ts"
import { withoutValues } from "./internal/store/withoutValues.ts"
import { type DurationInput, SessionConfig } from "./SessionConfig.ts"
import { SessionConfigError } from "./SessionError.ts"
import type { SessionIndex, SessionOwners } from "./SessionOwners.ts"
import * as SessionStore from "./SessionStore.ts"

/**
 * The settings of the SQL store. All are optional.
 *
 * - `table`: the name of the table, at most 49 bytes. Default `"effect_sessions"`. Write a schema before a dot:
 *   `"auth.sessions"`. The name is always quoted, and the client's name transformations do not apply. The table of
 *   owners is in the same schema, with the prefix `owners_of_`.
 * - `sweepEvery`: how often expired sessions are deleted, or `"never"` if something else deletes them. Default 10
 *   minutes. They can't be used from the moment they expire.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly table?: string
  readonly sweepEvery?: DurationInput
}

// PostgreSQL truncates names to 63 bytes: two tables with long names would share a table of owners, or one of its
// indexes.
const longestName = 63 - "idx_owners_of_".length

const isName = (table: string): boolean =>
  /^[^\0]{1,128}$/.test(table) && Buffer.byteLength(withoutSchema(table)) <= longestName

const tableField = {
  table: Setting.textOr(
    { test: isName },
    `Write the name of a table, such as "effect_sessions" or, with a schema, "auth.sessions", of at most ${longestName} bytes`,
    "effect_sessions"
  )
}

const OptionsOfMigration = Schema.Struct(tableField)

const Options = Schema.Struct({ ...tableField, sweepEvery: Setting.duration("10 minutes") })

/**
 * Makes a store in a SQL database, with a sweeper that runs until the scope closes. The tables must exist.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: Options
) => Effect.Effect<
  SessionStore.WithIndex,
  SessionConfigError,
  SessionConfig | SqlClient | Scope.Scope
> = Effect.fnUntraced(function*(options = {}) {
  const { sweepEvery, table } = yield* Effect.fromResult(Setting.decode(Options, options, ["store"]))
  const { enabled, timeLimit } = yield* SessionConfig
  if (!enabled) return Inert.make("sql")
  const client = yield* SqlClient
  const backend = SqlBackend.make(client, yield* dialectOf(client), table)
  const refused = (write: string) =>
    new SessionConfigError({ mistakes: [Setting.mistake(["store", "table"], table, write)] })
  const { refusals, wrongType } = yield* Effect.mapError(
    TimeLimit.make(timeLimit)(backend.tryOut, () => TimeLimit.noAnswer(timeLimit)),
    (error) => refused(explain(error))
  )
  if (wrongType !== undefined) return yield* refused(explainType(wrongType))
  if (refusals.length > 0) return yield* refused(explainRefusals(refusals, table))
  const sweep = Effect.catchCause(
    Effect.flatMap(Clock.currentTimeMillis, (now) => backend.sweep(now - differenceOfClocks)),
    (cause) => Effect.logWarning("Expired sessions could not be deleted", withoutValues(cause))
  )
  if (Duration.isFinite(sweepEvery)) yield* Effect.forkScoped(Effect.repeat(sweep, Schedule.spaced(sweepEvery)))
  return yield* SessionStore.fromBackend(backend)
})

const differenceOfClocks = 3_600_000

const dialectOf = (client: SqlClient): Effect.Effect<Dialect, SessionConfigError> => {
  const dialect = client.onDialectOrElse({
    pg: () => postgresql,
    mysql: () => mysql,
    sqlite: () => sqlite,
    orElse: () => undefined
  })
  const write = "The SQL driver supports PostgreSQL, MySQL and SQLite: provide a SqlClient for one of these"
  return dialect === undefined
    ? Effect.fail(new SessionConfigError({ mistakes: [Setting.mistake(["store", "type"], client.driver, write)] }))
    : Effect.succeed(dialect)
}

const messageOf = (error: SqlError | Error): string =>
  (error instanceof SqlError && error.reason.cause instanceof Error ? error.reason.cause : error).message

const explainType = ({ expected, found }: NonNullable<SqlBackend.Findings["wrongType"]>): string =>
  `Its column "fields" has the type ${found}, but must be ${expected}. Drop the table. ${howToMakeIt}`

const explainRefusals = (refusals: ReadonlyArray<SqlBackend.Refusal>, table: string): string => {
  const statements = new Set(refusals.map(({ statement }) => statement))
  const messages = new Set(refusals.map(({ error }) => messageOf(error)))
  return `The database rejects ${[...statements].join(", ")}: ${[...messages].join("; ")}. ` +
    `The user needs SELECT, INSERT, UPDATE and DELETE on ${table} and on ${
      ownersOf(table)
    }, on a server that takes changes`
}

const explain = (error: SqlError | Error): string => {
  const message = messageOf(error)
  const isMissing = error instanceof SqlError &&
    // For clients that do not distinguish SQLite errors.
    (error.reason._tag === "SqlSyntaxError" || /no such (table|column)/.test(message))
  return isMissing
    ? `Its tables do not exist, or are not those of sessions: ${message}. ${howToMakeIt}`
    : `It can't be read: ${message}`
}

const howToMakeIt =
  "Run the migration, SqlLayer.migration(), or the file for this database in the folder sql of effect-session"

/**
 * Sessions in a SQL database.
 *
 * **Example**
 *
 * ```ts
 * import { PgClient } from "@effect/sql-pg"
 * import { Config, Layer } from "effect"
 * import { SessionConfig, SqlLayer } from "effect-session"
 *
 * const Sql = PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })
 *
 * const Sessions = SqlLayer.layer({ table: "effect_sessions" }).pipe(
 *   Layer.provide(Sql),
 *   Layer.provideMerge(SessionConfig.layerConfig())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options
): Layer.Layer<
  SessionStore.SessionStore | SessionOwners | SessionIndex,
  SessionConfigError,
  SessionConfig | SqlClient
> => SessionStore.layer(make(options))

/**
 * Like {@link layer}, with each setting from a `Config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<
  SessionStore.SessionStore | SessionOwners | SessionIndex,
  SessionConfigError | Config.ConfigError,
  SessionConfig | SqlClient
> => SessionStore.layer(Effect.flatMap(Config.unwrap(options), make))

/**
 * Creates the tables and their indexes if they do not exist: a migration for the `Migrator` of `effect/sql`, or an
 * Effect to run when the server starts.
 *
 * **Example**
 *
 * ```ts
 * import { PgMigrator } from "@effect/sql-pg"
 * import { SqlLayer } from "effect-session"
 *
 * const Migrations = PgMigrator.layer({
 *   loader: PgMigrator.fromRecord({
 *     "0001_sessions": SqlLayer.migration()
 *   })
 * })
 * ```
 *
 * @since 0.1.0
 * @category migrations
 */
export const migration = (
  { table }: Pick<Options, "table"> = {}
): Effect.Effect<void, SessionConfigError | SqlError, SqlClient> =>
  Effect.gen(function*() {
    const decoded = yield* Effect.fromResult(Setting.decode(OptionsOfMigration, { table }, ["store"]))
    const client = yield* SqlClient
    const dialect = yield* dialectOf(client)
    const statements = Effect.forEach(
      dialect.create(client, decoded.table),
      (statement) => statement.withoutTransform,
      { discard: true }
    )
    const create = dialect.endsTransactions ? statements : client.withTransaction(statements)
    // If several servers do this at the same time, PostgreSQL lets one succeed and fails for the others.
    yield* Effect.retry(create, { times: 1 })
  })
