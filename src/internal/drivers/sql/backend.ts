/**
 * The back end on a SQL database: one row per session, and one per entry of an owner.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Backend, OwnerIndex, SupersededRecord } from "../../../SessionStore.ts"
import * as Afresh from "../../concurrency/afresh.ts"
import * as KeyLock from "../../concurrency/keyLock.ts"
import { toName } from "../../store/fieldName.ts"
import { type Dialect, ownersOf, type Send, type Table } from "./dialect.ts"
import { isTaken, untilFree, untilUndisturbed } from "./errors.ts"
import * as Owners from "./owners.ts"
import { fromRow, roundedUp, type Row, type Stored, toMark, toSession, toText } from "./rows.ts"

export interface SqlBackend extends Backend {
  readonly owners: OwnerIndex

  /** Fails if a table is missing or lacks columns. It touches no row. */
  readonly tryOut: Effect.Effect<Findings, SqlError>

  /** Removes what expired before this moment. */
  readonly sweep: (before: number) => Effect.Effect<void, SqlError>
}

/** What is wrong with tables that are readable. */
export interface Findings {
  /** The type of the column `fields`, if it is not the `expected` one. */
  readonly wrongType: { readonly found: string; readonly expected: string } | undefined
  /** What is refused because the role lacks a right or the database is read-only. */
  readonly refusals: ReadonlyArray<Refusal>
}

export interface Refusal {
  readonly statement: string
  readonly error: SqlError
}

export const make = (sql: SqlClient, dialect: Dialect, name: string): SqlBackend => {
  const quoted = (name: string): string => sql`${sql(name)}`.compile(true)[0]
  const table = quoted(name)
  const ownersTable = quoted(ownersOf(name))
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
  const written = ["superseded_until", "expires_at", "fields"]
  const bury = `INSERT INTO ${table} (${keyColumn}, ${columns}, superseded_until, fields) ` +
    `VALUES (${[1, 2, 3, 4, 5, 6].map(parameter).join(", ")})${dialect.orReplace(keyColumn, written)}`
  const sweepOf = (table: string) => `DELETE FROM ${table} WHERE expires_at <= ${parameter(1)}`
  const sweeps = [sweepOf(ownersTable), sweepOf(table)]

  // Each is built once, and bypasses the client's name transformations.
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
  const owners = Owners.make(ownersTable, dialect, send)

  const peek = (keys: ReadonlyArray<string>, names: ReadonlyArray<string>) => {
    const { parameters, text } = dialect.picked(names.map(toName))
    const rounded = roundedUp(keys)
    const list = rounded.map((_, index) => parameter(parameters.length + index + 1)).join(", ")
    return Effect.map(
      send.rows<Row & { readonly key: string }>(
        `SELECT ${keyColumn}, ${columns}, superseded_until, ${text} AS fields FROM ${table} WHERE ${keyColumn} IN (${list})`,
        [...parameters, ...rounded]
      ),
      (rows) => new Map(rows.flatMap((row) => entryOf(row.key, only(fromRow(row), names))))
    )
  }

  // -----------------------------------------------------------------------------
  // transactions and locks
  // -----------------------------------------------------------------------------

  /**
   * Outside of the caller's transaction: what a session has committed stays even if that is rolled back. If there is no other
   * connection, it fails, because waiting for one would never end.
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
   * In the caller's transaction, if any, because there may be no second connection. In a savepoint, so that a failure does not abort
   * the caller's transaction, which may have the wrong role or schema, or have failed already. On MySQL it may have ended silently,
   * and the savepoint with it, which is a defect.
   */
  const inside = <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, unknown> =>
    Effect.withFiber((fiber) =>
      Context.getOrUndefined(fiber.context, sql.transactionService) === undefined
        ? effect
        : fiber.getRef(Afresh.IsNeeded)
        ? apart(effect)
        : sql.withTransaction(effect).pipe(Effect.catchDefect(Effect.fail), Effect.catch(() => apart(effect)))
    )

  const whenFree = dialect.isLockedAsAWhole ? untilFree : <A>(effect: Effect.Effect<A, SqlError>) => effect

  const write = <A>(effect: Effect.Effect<A, SqlError>) => apart(whenFree(untilUndisturbed(effect)))

  // Waiting for a turn here takes no connection of the pool, and waiting for the lock of a row does. So all statements that
  // may wait for a row go through it, and a locked row takes only one connection of each server.
  const locked = KeyLock.make()

  const writeTo = <A>(key: string, effect: Effect.Effect<A, SqlError>) => locked(key)(write(effect))

  /** Reads the latest state, which the caller's transaction may not see. */
  const readNow = dialect.hasOneConnection ? whenFree : write

  // -----------------------------------------------------------------------------
  // operations
  // -----------------------------------------------------------------------------

  const { regenerate } = commits

  const trials = [
    ...trialsOf(table, [keyColumn, "created_at"], ["touched_at", ...written], dialect),
    ...trialsOf(ownersTable, ["owner", "entered_at", keyColumn], ["expires_at"], dialect)
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
        // If nothing changes, some MySQL clients report that there was no row.
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
    peek: (keys, names) => keys.length === 0 ? Effect.succeed(new Map()) : readNow(peek(keys, names)),
    owners: {
      add: (owner, entry, limit) =>
        // Counted afterwards in a separate statement: of two simultaneous logins, one must see the other.
        Effect.flatMap(write(owners.add(owner, entry)), () =>
          limit === undefined
            ? Effect.succeed(false)
            : Effect.map(readNow(owners.count(owner)), (count) => count > limit)),
      list: (owner, limit, after) => readNow(owners.list(owner, limit, after)),
      remove: (owner, entries) =>
        entries.length === 0 ? Effect.void : Effect.asVoid(writeTo(owner, owners.remove(owner, entries))),
      bury: (key, { successor, supersededUntil }) =>
        Effect.asVoid(
          writeTo(key, changes(bury, [key, 0, 0, supersededUntil, supersededUntil, toMark(successor)]))
        )
    },
    tryOut: Effect.gen(function*() {
      yield* whenFree(Effect.andThen(row(""), owners.list("", 1)))
      const wrongType = yield* typeOfFields
      const refusals = yield* Effect.forEach(
        trials,
        ([statement, text]) => refusalOf(statement, whenFree(changes(text, [])))
      )
      return { wrongType, refusals: refusals.flat() }
    }),
    sweep: (before) =>
      Effect.forEach(sweeps, (sweep) => whenFree(untilUndisturbed(send.rows(sweep, [before]))), { discard: true })
  }
}

const noWayPast = "This database has one connection, which your transaction is using: " +
  "commit the session before or after the transaction"

const only = (stored: Stored, names: ReadonlyArray<string>): Stored =>
  stored !== undefined && "fields" in stored
    ? { ...stored, fields: new Map([...stored.fields].filter(([name]) => names.includes(name))) }
    : stored

const entryOf = <A>(key: string, stored: A | undefined): ReadonlyArray<[string, A]> =>
  stored === undefined ? [] : [[key, stored]]

type Trial = readonly [statement: string, text: string]

/** Tries a statement on none of a table's rows. */
const trialsOf = (
  table: string,
  key: readonly [first: string, ...more: ReadonlyArray<string>],
  written: ReadonlyArray<string>,
  { orNothing }: Dialect
): ReadonlyArray<Trial> => {
  const columns = [...key, ...written].join(", ")
  const ofNone = `WHERE ${key[0]} = ''`
  return [
    ["INSERT", `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM ${table} ${ofNone}${orNothing}`],
    ["UPDATE", `UPDATE ${table} SET ${written.map((column) => `${column} = ${column}`).join(", ")} ${ofNone}`],
    ["DELETE", `DELETE FROM ${table} ${ofNone}`]
  ]
}

const refusalOf = (statement: string, trial: Effect.Effect<unknown, SqlError>): Effect.Effect<ReadonlyArray<Refusal>> =>
  Effect.match(untilUndisturbed(trial), { onFailure: (error) => [{ statement, error }], onSuccess: () => [] })
