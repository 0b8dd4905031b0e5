/**
 * The back end on a SQL database: one row for each session.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Backend, SupersededRecord } from "../../../SessionStore.ts"
import * as Afresh from "../../concurrency/afresh.ts"
import * as KeyLock from "../../concurrency/keyLock.ts"
import type { Dialect, Send, Table } from "./dialect.ts"
import { isTaken, untilFree, untilUndisturbed } from "./errors.ts"
import { fromRow, type Row, toSession, toText } from "./rows.ts"

export interface SqlBackend extends Backend {
  /** Fails if there is no such table, or not with these columns. No row is touched. */
  readonly tryOut: Effect.Effect<Findings, SqlError>

  /** Removes what has expired before that moment. */
  readonly sweep: (before: number) => Effect.Effect<void, SqlError>
}

/** What is wrong with a table that can be read. */
export interface Findings {
  /** The type of the column `fields`, if it is another one than `expected`. */
  readonly wrongType: { readonly found: string; readonly expected: string } | undefined
  /** What is refused, as the role lacks a right, or as the database takes no changes. */
  readonly refusals: ReadonlyArray<Refusal>
}

export interface Refusal {
  readonly statement: string
  readonly error: SqlError
}

export const make = (sql: SqlClient, dialect: Dialect, name: string): SqlBackend => {
  const table = sql`${sql(name)}`.compile(true)[0]
  const { fields, greatest, key: keyColumn, parameter } = dialect

  // -----------------------------------------------------------------------------
  // statements
  // -----------------------------------------------------------------------------

  const columns = "created_at, touched_at, expires_at"
  const select = `SELECT ${columns}, superseded_until, ${fields} FROM ${table} WHERE ${keyColumn} = ${parameter(1)}`
  const insert = `INSERT INTO ${table} (${keyColumn}, ${columns}, fields) ` +
    `VALUES (${[1, 2, 3, 4, 5].map(parameter).join(", ")})${dialect.orNothing}`
  const isSession = (index: number) => `WHERE ${keyColumn} = ${parameter(index)} AND superseded_until IS NULL`
  const touch = `UPDATE ${table} SET touched_at = ${greatest}(touched_at, ${parameter(1)}), ` +
    `expires_at = ${greatest}(expires_at, ${parameter(2)}) ${isSession(3)}`
  const remove = `DELETE FROM ${table} ${isSession(1)}`
  const sweep = `DELETE FROM ${table} WHERE expires_at <= ${parameter(1)}`

  // Each is put together once, and goes past what a client does to the names of the application.
  const send: Send = {
    rows: <A extends object>(text: string, parameters: ReadonlyArray<unknown>) =>
      sql.unsafe<A>(text, parameters).withoutTransform,
    raw: (text, parameters) => sql.unsafe(text, parameters).raw
  }
  const changes: Table["changes"] = (text, parameters) => dialect.changes(send, text, parameters)
  const read = <A>(key: string, f: (row: Row | undefined) => A) =>
    Effect.map(send.rows<Row>(select, [key]), (rows) => f(rows[0]))
  const row: Table["row"] = (key) => read(key, (row) => row)
  const load = (key: string) => read(key, fromRow)
  const markAt = (key: string): Effect.Effect<SupersededRecord | undefined, SqlError> =>
    Effect.map(load(key), (stored) => stored !== undefined && "supersededUntil" in stored ? stored : undefined)
  const commits = dialect.commits({ name: table, rows: send.rows, changes, row })

  // -----------------------------------------------------------------------------
  // what may be in their way
  // -----------------------------------------------------------------------------

  /**
   * Past a transaction of the caller's: what a session has committed stays, even if that one is rolled back. Where there
   * is no connection beside the caller's, waiting for one would never end.
   */
  const apart = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | Error> =>
    Effect.withFiber(({ context }): Effect.Effect<A, E | Error> =>
      Context.getOrUndefined(context, sql.transactionService) === undefined
        ? effect
        : dialect.hasOneConnection
        ? Effect.fail(new Error(noWayPast))
        : Effect.updateContext(
          effect,
          (context: Context.Context<never>) => Context.omit(sql.transactionService)(context)
        )
    )

  /**
   * In the caller's transaction, if there is one, as a second connection may not be there. In a savepoint, so that a failure
   * does not take the caller's transaction down: it may be in the wrong role or schema, or be given up already.
   */
  const inside = <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, unknown> =>
    Effect.withFiber((fiber) =>
      Context.getOrUndefined(fiber.context, sql.transactionService) === undefined
        ? effect
        : fiber.getRef(Afresh.IsNeeded)
        ? apart(effect)
        : sql.withTransaction(effect).pipe(Effect.catch(() => apart(effect)))
    )

  const whenFree = dialect.isLockedAsAWhole ? untilFree : <A>(effect: Effect.Effect<A, SqlError>) => effect

  const write = <A>(effect: Effect.Effect<A, SqlError>) => apart(whenFree(untilUndisturbed(effect)))

  // Waiting for its turn here takes no connection of the pool; waiting for the lock of a row does. So whatever may have to
  // wait for a row goes through it, and a row that somebody else has locked takes one connection of each server.
  const locked = KeyLock.make()

  const writeTo = <A>(key: string, effect: Effect.Effect<A, SqlError>) => locked(key)(write(effect))

  // -----------------------------------------------------------------------------
  // operations
  // -----------------------------------------------------------------------------

  const { regenerate } = commits

  const trials: ReadonlyArray<readonly [statement: string, text: string]> = [
    [
      "INSERT",
      `INSERT INTO ${table} (${keyColumn}, ${columns}, fields) ` +
      `SELECT ${keyColumn}, ${columns}, fields FROM ${table} WHERE ${keyColumn} = ''${dialect.orNothing}`
    ],
    [
      "UPDATE",
      `UPDATE ${table} SET touched_at = touched_at, expires_at = expires_at, superseded_until = superseded_until, ` +
      `fields = fields WHERE ${keyColumn} = ''`
    ],
    ["DELETE", `DELETE FROM ${table} WHERE ${keyColumn} = ''`]
  ]

  const { type } = dialect
  const typeOfFields: Effect.Effect<Findings["wrongType"], SqlError> = type === undefined
    ? Effect.undefined
    : Effect.map(
      send.rows<{ readonly type: string }>(type.query(table), []),
      ([row]) =>
        row === undefined || row.type === type.expected ? undefined : { found: row.type, expected: type.expected }
    )

  return {
    driver: "sql",
    load: dialect.hasOneConnection ? (key) => whenFree(load(key)) : (key) => inside(load(key)),
    create: (key, { createdAt, expiresAt, fields, touchedAt }) =>
      write(
        Effect.catchIf(
          changes(insert, [key, createdAt, touchedAt, expiresAt, toText(fields)]),
          isTaken,
          () => Effect.succeed(false)
        )
      ),
    update: (key, change, times) => writeTo(key, commits.update(key, change, times)),
    touch: (key, { expiresAt, touchedAt }) =>
      writeTo(
        key,
        // Where nothing has moved, some clients of MySQL say that there was no row.
        Effect.flatMap(
          changes(touch, [touchedAt, expiresAt, key]),
          (isTouched) => isTouched ? Effect.succeed(true) : Effect.map(row(key), (row) => toSession(row) !== undefined)
        )
      ),
    supersede: (key, mark, fields) => writeTo(key, commits.supersede(key, mark, fields)),
    ...regenerate && {
      regenerate: (key, newKey, record, mark, fields) => writeTo(key, regenerate(key, newKey, record, mark, fields))
    },
    destroy: (key) =>
      writeTo(
        key,
        Effect.flatMap(changes(remove, [key]), (isRemoved) => isRemoved ? Effect.undefined : markAt(key))
      ),
    tryOut: Effect.gen(function*() {
      yield* whenFree(row(""))
      const wrongType = yield* typeOfFields
      const refusals = yield* Effect.forEach(
        trials,
        ([statement, text]) => refusalOf(statement, whenFree(changes(text, [])))
      )
      return { wrongType, refusals: refusals.flat() }
    }),
    sweep: (before) => Effect.asVoid(whenFree(untilUndisturbed(send.rows(sweep, [before]))))
  }
}

const noWayPast = "This database has one connection, and a transaction of yours has it: " +
  "commit the session before the transaction, or after it"

const refusalOf = (statement: string, trial: Effect.Effect<unknown, SqlError>): Effect.Effect<ReadonlyArray<Refusal>> =>
  Effect.match(untilUndisturbed(trial), { onFailure: (error) => [{ statement, error }], onSuccess: () => [] })
