/**
 * Sessions in a SQL database: for any number of servers. Works with PostgreSQL, MySQL and SQLite, through the `SqlClient` of
 * `effect/sql` that the application has anyway.
 *
 * **Details**
 *
 * A session is one row: the hash of its id as the key, its times in milliseconds since the epoch, and its fields as a JSON
 * object, in which each value is a string: the JSON text of a field. So what comes out is what went in, to the letter, also out
 * of a `JSONB`. Which sessions an owner has is in a second table, `owners_of_effect_sessions`, with a row for each of them: a
 * hash of the owner's id, the key of the session, when it was entered, and when it ends. {@link migration} makes both, or a file
 * in the folder `sql` of this package. These are the statements on PostgreSQL, where each is one round trip:
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
 * An update is made to the row as it is when its turn has come, so that nothing of another commit is lost. If it has found no
 * session, or not what it expects, the `SELECT` of load says what there is, and another one looks for a session that
 * followed. The same goes for regenerate, where the first `SELECT` is for the new id.
 *
 * On SQLite and MySQL, the driver makes the change itself: an update is the `SELECT` of load and an `UPDATE` that writes
 * only if the row still has these fields, both again if it has not. On SQLite, regenerate is a `SELECT` and one
 * `INSERT … ON CONFLICT DO UPDATE` for both rows. On MySQL it is an `INSERT` for the new session, and for the old one a
 * `SELECT` and an `UPDATE`; if another request has changed it meanwhile, a `DELETE` of the new one. A list of an owner's sessions
 * gets all of their fields there. This is tested on PostgreSQL, MariaDB and SQLite.
 *
 * Whether a session has expired is decided by its times when it is loaded. A sweeper deletes what expired more than an hour
 * ago, from both tables: the clock of another server, for which it may still be alive, can differ by that much.
 *
 * Reading, inserting, updating and deleting are tried when the Layer is built, on no row: a server whose user lacks a right,
 * or whose database takes no changes, does not start. On PostgreSQL these are all the rights that the user `shop` needs, where it
 * does not own the tables:
 *
 * ```sql
 * GRANT USAGE ON SCHEMA public TO shop;
 * GRANT SELECT, INSERT, UPDATE, DELETE ON effect_sessions, owners_of_effect_sessions TO shop;
 * ```
 *
 * On MySQL, where the tables are in the database `shop`:
 *
 * ```sql
 * GRANT SELECT, INSERT, UPDATE, DELETE ON shop.effect_sessions TO shop;
 * GRANT SELECT, INSERT, UPDATE, DELETE ON shop.owners_of_effect_sessions TO shop;
 * ```
 *
 * To run {@link migration}, a user needs the right to make tables as well. On MySQL it ends the transaction that it is run in, as
 * anything does there that makes a table.
 *
 * **Gotchas**
 *
 * What is written of a session or its owner takes no part in a transaction of the application (`sql.withTransaction`): it
 * stays, even if the transaction is rolled back. So `Session.commit` inside of one takes a second connection of the pool. If no
 * connection is free, it waits for one, up to the time limit of the configuration. Leave it to the commit that comes with the
 * response, give the pool more connections than there are transactions at a time, or provide this Layer with a client of its own.
 *
 * Loading the session inside of one is a query of that transaction, in a savepoint: it takes no second connection, sees the
 * session as the transaction's snapshot has it, and comes too late for a `SET TRANSACTION` after it. If the transaction can't
 * read the table, as it has been given up or is in another role, it takes a second connection; on MySQL also after a statement
 * that creates or alters a table, which ends the transaction there. So does every list of an owner's sessions, as the
 * transaction's snapshot does not have those of a moment ago.
 *
 * If somebody else has locked the row of a session, as a report with `SELECT … FOR UPDATE` does, changes of this session
 * wait as long as the time limit allows, and take one connection of each server's pool; all other sessions go on. With
 * `multiplex` of `@effect/sql-pg`, statements that share this connection wait as well.
 *
 * The clients of MySQL can't cancel a statement. There a change that waits for such a row goes on waiting after the time
 * limit, for a minute at most, and is made if the row is free by then, although its request got a 503. Other changes of this
 * session wait for it and take no second connection. A sweep waits too, if that session is the next one to expire. At the
 * isolation level that MySQL has by default, a report that locks all rows it goes through also keeps new sessions from being
 * created: let it read without locks, or set `READ COMMITTED` for it. At `SERIALIZABLE`, a transaction of the application
 * locks the session that it has read, so a `Session.commit` inside of it is refused at the time limit: leave it to the
 * commit that comes with the response.
 *
 * PostgreSQL has to be version 12 or later, with its `extra_float_digits` as it comes: an increment is added up there, and
 * older ones write a number with fewer digits than it has.
 *
 * A client of SQLite has one connection for all. There the session can be read inside a transaction of the application, but
 * `Session.commit` is a `SessionStoreError`, at once: commit before the transaction, or after it. The commit just before the
 * response goes out comes after it anyway. If another process has locked the file of SQLite, requests wait for it as long as
 * the time limit allows, without stopping others; a `busy_timeout` of the client stops the whole process while it waits, so
 * keep it short.
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
 * - `table`: the name of the table, default `"effect_sessions"`, of at most 49 bytes. Before a dot is the schema:
 *   `"auth.sessions"`. It is always quoted, and no name transformation of the client applies. The table of the owners is in the same schema, and has
 *   `owners_of_` before that name.
 * - `sweepEvery`: how often expired sessions are deleted, default 10 minutes; `"never"` if something else does it. They are
 *   gone for everybody before that.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly table?: string
  readonly sweepEvery?: DurationInput
}

// PostgreSQL cuts names off after 63 bytes: two tables with long names would share one table of owners, or one index of it.
const longestName = 63 - "idx_owners_of_".length

const isName = (table: string): boolean =>
  /^[^\0]{1,128}$/.test(table) && Buffer.byteLength(withoutSchema(table)) <= longestName

const tableField = {
  table: Setting.textOr(
    { test: isName },
    `Write the name of a table, such as "effect_sessions" or, with a schema, "auth.sessions", of ${longestName} bytes at most`,
    "effect_sessions"
  )
}

const OptionsOfMigration = Schema.Struct(tableField)

const Options = Schema.Struct({ ...tableField, sweepEvery: Setting.duration("10 minutes") })

/**
 * A store in a SQL database, with a sweeper that runs as long as the scope. The tables must be there.
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
  const write = "The SQL driver knows PostgreSQL, MySQL and SQLite: provide a SqlClient of one of these"
  return dialect === undefined
    ? Effect.fail(new SessionConfigError({ mistakes: [Setting.mistake(["store", "type"], client.driver, write)] }))
    : Effect.succeed(dialect)
}

const messageOf = (error: SqlError | Error): string =>
  (error instanceof SqlError && error.reason.cause instanceof Error ? error.reason.cause : error).message

const explainType = ({ expected, found }: NonNullable<SqlBackend.Findings["wrongType"]>): string =>
  `Its column "fields" has the type ${found}, and needs ${expected}. Drop the table. ${howToMakeIt}`

const explainRefusals = (refusals: ReadonlyArray<SqlBackend.Refusal>, table: string): string => {
  const statements = new Set(refusals.map(({ statement }) => statement))
  const messages = new Set(refusals.map(({ error }) => messageOf(error)))
  return `The database refuses ${[...statements].join(", ")}: ${[...messages].join("; ")}. ` +
    `The user needs SELECT, INSERT, UPDATE and DELETE on ${table} and on ${
      ownersOf(table)
    }, on a server that takes changes`
}

const explain = (error: SqlError | Error): string => {
  const message = messageOf(error)
  const isMissing = error instanceof SqlError &&
    // Where a client does not tell one error of SQLite from another.
    (error.reason._tag === "SqlSyntaxError" || /no such (table|column)/.test(message))
  return isMissing
    ? `Its tables are not there, or not those of sessions: ${message}. ${howToMakeIt}`
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
 * As {@link layer}, with each setting from a `Config`.
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
 * Makes the tables and their indexes, if they are not there: a migration for the `Migrator` of `effect/sql`, or something to run
 * when the server starts.
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
    // If several servers do it at the same time, PostgreSQL lets one through and fails for the others.
    yield* Effect.retry(create, { times: 1 })
  })
