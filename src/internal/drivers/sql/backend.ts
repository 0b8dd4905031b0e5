/**
 * The back end on a SQL database: one row for each session.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { BeginTransaction, type SqlClient } from "effect/sql/SqlClient"
import { SqlError } from "effect/sql/SqlError"
import type { Statement } from "effect/sql/Statement"
import type { Backend, Conflict, SupersededRecord } from "../../../SessionStore.ts"
import * as Afresh from "../../concurrency/afresh.ts"
import * as KeyLock from "../../concurrency/keyLock.ts"
import * as Change from "../../record/change.ts"
import { type Fields, parse, type SessionRecord } from "../../record/record.ts"
import { conflict, isConflict } from "../../store/answers.ts"
import type { Dialect } from "./dialect.ts"

export interface SqlBackend extends Backend {
  /**
   * Fails if there is no such table, or not with these columns. The answer is which of the other statements are refused, as
   * the role lacks a right, or as the database takes no changes. They touch no row.
   */
  readonly tryOut: Effect.Effect<ReadonlyArray<Refusal>, SqlError>

  /** Removes what has expired before that moment. */
  readonly sweep: (before: number) => Effect.Effect<void, SqlError>
}

export interface Refusal {
  readonly statement: string
  readonly error: SqlError
}

interface Row {
  readonly created_at: unknown
  readonly touched_at: unknown
  readonly expires_at: unknown
  readonly superseded_until: unknown
  readonly fields: string
}

export const make = (sql: SqlClient, dialect: Dialect, name: string): SqlBackend => {
  const table = sql(name)
  const keyColumn = sql("key")
  const columns = sql.literal("created_at, touched_at, expires_at, superseded_until, fields")
  const greatest = sql.literal(dialect.greatest)
  const isSession = (key: string) => sql`${keyColumn} = ${key} AND superseded_until IS NULL`

  // The names are what they are, also for a client that transforms those of the application.
  const run = <A>(statement: Statement<A>) => statement.withoutTransform
  const some = <A>(statement: Statement<A>) => Effect.map(run(statement), (rows) => rows.length > 0)

  /**
   * Past a transaction of the caller's: what a session has committed stays, even if that one is rolled back. Where there
   * is no connection beside the caller's, waiting for one would never end.
   */
  const apart = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | Error> =>
    dialect.hasOneConnection
      ? Effect.flatMap(
        Effect.serviceOption(sql.transactionService),
        (transaction): Effect.Effect<A, E | Error> =>
          Option.isNone(transaction) ? effect : Effect.fail(new Error(noWayPast))
      )
      : Effect.updateContext(effect, (context: Context.Context<never>) => Context.omit(sql.transactionService)(context))

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

  const whenFree = dialect.isLockedAsAWhole ? untilFree : <A, E>(effect: Effect.Effect<A, E>) => effect

  const write = <A>(effect: Effect.Effect<A, SqlError>) => apart(whenFree(untilUndisturbed(effect)))

  // Waiting for its turn here takes no connection of the pool; waiting for the lock of a row does. So whatever may have to
  // wait for a row goes through it, and a row that somebody else has locked takes one connection of each server.
  const locked = KeyLock.make()

  const read = (key: string, ending = sql.literal("")) =>
    Effect.map(
      run(sql<Row>`SELECT ${columns} FROM ${table} WHERE ${keyColumn} = ${key}${ending}`),
      ([row]) => row && fromRow(row)
    )

  /** Others that would change the row wait until the transaction ends. */
  const readAndLock = (key: string) => read(key, sql.literal(dialect.forUpdate))

  const inTransaction = <A>(key: string, effect: Effect.Effect<A, SqlError>) =>
    effect.pipe(sql.withTransaction, Effect.provideService(BeginTransaction, dialect.begin), write, locked(key))

  /** Does what `f` does with the record, if there is one that is as expected; the answer is the record that was there. */
  const modify = (
    key: string,
    isExpected: (fields: Fields) => boolean,
    f: (record: SessionRecord) => Statement<object>
  ) =>
    inTransaction(
      key,
      Effect.flatMap(
        readAndLock(key),
        (stored): Effect.Effect<SessionRecord | Conflict | undefined, SqlError> =>
          stored === undefined || "supersededUntil" in stored
            ? Effect.succeed(undefined)
            : isExpected(stored.fields)
            ? Effect.as(run(f(stored)), stored)
            : Effect.succeed(conflict(stored))
      )
    )

  const insertNothing = sql`INSERT INTO ${table} (${keyColumn}, created_at, touched_at, expires_at, fields)
    SELECT ${keyColumn}, created_at, touched_at, expires_at, fields FROM ${table} WHERE ${keyColumn} = ''`
  const trials: ReadonlyArray<readonly [statement: string, trial: Statement<object>]> = [
    [
      "INSERT",
      dialect.hasReturning
        ? sql`${insertNothing} ON CONFLICT (${keyColumn}) DO NOTHING RETURNING ${keyColumn}`
        : insertNothing
    ],
    [
      "SELECT … FOR UPDATE",
      sql`SELECT ${columns} FROM ${table} WHERE ${keyColumn} = ''${sql.literal(dialect.forUpdate)}`
    ],
    [
      "UPDATE",
      sql`UPDATE ${table} SET touched_at = touched_at, expires_at = expires_at, superseded_until = superseded_until,
        fields = fields WHERE ${keyColumn} = ''`
    ],
    ["DELETE", sql`DELETE FROM ${table} WHERE ${keyColumn} = ''`]
  ]

  return {
    driver: "sql",
    load: (key): Effect.Effect<SessionRecord | SupersededRecord | undefined, unknown> =>
      dialect.hasOneConnection ? whenFree(read(key)) : inside(read(key)),
    create: (key, { createdAt, expiresAt, fields, touchedAt }) => {
      const insert = sql`INSERT INTO ${table} (${keyColumn}, created_at, touched_at, expires_at, fields)
        VALUES (${key}, ${createdAt}, ${touchedAt}, ${expiresAt}, ${toText(fields)})`
      return write(
        dialect.hasReturning
          ? some(sql`${insert} ON CONFLICT (${keyColumn}) DO NOTHING RETURNING ${keyColumn}`)
          : Effect.catchIf(Effect.as(run(insert), true), isTaken, () => Effect.succeed(false))
      )
    },
    update: (key, change, times) =>
      Effect.map(
        modify(key, (fields) => Change.isExpected(fields, change.expect), (stored) => {
          const { expiresAt, fields, touchedAt } = Change.merge(stored, change, times)
          return sql`UPDATE ${table}
            SET touched_at = ${touchedAt}, expires_at = ${expiresAt}, fields = ${toText(fields)}
            WHERE ${keyColumn} = ${key}`
        }),
        (stored) => isConflict(stored) ? stored : stored !== undefined
      ),
    touch: (key, { expiresAt, touchedAt }) => {
      const update = sql`UPDATE ${table}
        SET touched_at = ${greatest}(touched_at, ${touchedAt}), expires_at = ${greatest}(expires_at, ${expiresAt})
        WHERE ${isSession(key)}`
      return locked(key)(write(
        dialect.hasReturning
          ? some(sql`${update} RETURNING ${keyColumn}`)
          : Effect.andThen(run(update), some(sql`SELECT ${keyColumn} FROM ${table} WHERE ${isSession(key)}`))
      ))
    },
    supersede: (key, { successor, supersededUntil }, expected) =>
      modify(
        key,
        (fields) => Change.isSame(fields, expected),
        () =>
          sql`UPDATE ${table}
            SET superseded_until = ${supersededUntil}, expires_at = ${supersededUntil}, fields = ${toMark(successor)}
            WHERE ${keyColumn} = ${key}`
      ),
    destroy: (key) => {
      const remove = sql`DELETE FROM ${table} WHERE ${isSession(key)}`
      const left = dialect.hasReturning
        ? Effect.flatMap(
          some(sql`${remove} RETURNING ${keyColumn}`),
          (isRemoved) => isRemoved ? Effect.undefined : read(key)
        )
        : Effect.andThen(run(remove), read(key))
      return Effect.map(
        locked(key)(write(left)),
        (stored) => stored !== undefined && "supersededUntil" in stored ? stored : undefined
      )
    },
    tryOut: Effect.andThen(
      whenFree(read("")),
      Effect.flatMap(
        Effect.forEach(trials, ([statement, trial]) => refusalOf(statement, whenFree(run(trial)))),
        (refusals) => Effect.succeed(refusals.flat())
      )
    ),
    sweep: (before) =>
      Effect.asVoid(whenFree(untilUndisturbed(run(sql`DELETE FROM ${table} WHERE expires_at <= ${before}`))))
  }
}

const noWayPast = "This database has one connection, and a transaction of yours has it: " +
  "commit the session before the transaction, or after it"

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/** What the database has undone, as others were in its way, has not happened: once more. One of them always gets through. */
const untilUndisturbed = <A>(effect: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> =>
  Effect.retry(effect, { while: isDisturbed })

/**
 * Another process has locked all of a SQLite file. Its own `busy_timeout` would wait too, but stop everything else in this
 * process meanwhile; here other requests go on. The time limit ends it.
 */
const untilFree = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.retry(effect, { while: isLocked, schedule: Schedule.spaced("10 millis") })

const isLocked = (error: unknown): boolean =>
  error instanceof SqlError && (error.reason._tag === "LockTimeoutError" ||
    // Where a client does not tell one error of SQLite from another.
    error.reason.cause instanceof Error && /database (table )?is locked/.test(error.reason.cause.message))

const isDisturbed = ({ reason }: SqlError): boolean =>
  reason._tag === "DeadlockError" || reason._tag === "SerializationError"

const isTaken = ({ reason }: SqlError): boolean => reason._tag === "UniqueViolation"

const refusalOf = (statement: string, trial: Effect.Effect<unknown, SqlError>): Effect.Effect<ReadonlyArray<Refusal>> =>
  Effect.match(untilUndisturbed(trial), { onFailure: (error) => [{ statement, error }], onSuccess: () => [] })

// -----------------------------------------------------------------------------
// rows
// -----------------------------------------------------------------------------

const fromRow = (row: Row): SessionRecord | SupersededRecord | undefined =>
  row.superseded_until === null ? toRecord(row) : fromMark(row)

/** The mark of a superseded session has its successor in the place of the fields. */
const fromMark = (row: Row): SupersededRecord | undefined =>
  row.superseded_until === null
    ? undefined
    : { supersededUntil: Number(row.superseded_until), successor: String(parse(row.fields)) }

const toMark = (successor: string): string => JSON.stringify(successor)

/** What somebody else has damaged is no session. */
const toRecord = (row: Row): SessionRecord | undefined => {
  const fields = parse(row.fields)
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return undefined
  return {
    // A client may give a BIGINT as a text, or as a bigint.
    createdAt: Number(row.created_at),
    touchedAt: Number(row.touched_at),
    expiresAt: Number(row.expires_at),
    fields: new Map(Object.entries(fields).map(([name, value]) => [name, JSON.stringify(value)]))
  }
}

/** One JSON object, put together from what is JSON text already. */
const toText = (fields: Fields): string =>
  `{${Array.from(fields, ([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`
