/**
 * A SqlClient on the SQLite that comes with Node.js: Effect's own statements, transactions and errors, with just the
 * connection made here.
 */
import { Effect, Layer, Semaphore } from "effect"
import { Reactivity } from "effect/reactivity"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"

/** A client with one connection, as those of SQLite have it. */
export const sqliteClient = (file = ":memory:"): Layer.Layer<SqlClient.SqlClient> =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function*() {
      const database = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(file)),
        (database) => Effect.sync(() => database.close())
      )
      const { acquirer, borrower, onCommitFailure, transactionAcquirer } = SqlClient.makeSqliteAcquirers({
        connection: Effect.succeed(connectionTo(database)),
        semaphore: Semaphore.makeUnsafe(1)
      })
      return yield* SqlClient.make({
        acquirer,
        borrower,
        onCommitFailure,
        transactionAcquirer,
        compiler: Statement.makeCompilerSqlite(),
        driver: "sqlite-test",
        spanAttributes: []
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))

const connectionTo = (database: DatabaseSync): Connection => {
  const all = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.try({
      try: () => database.prepare(sql).all(...params as ReadonlyArray<SQLInputValue>),
      catch: (cause) =>
        new SqlError({
          reason: classifySqliteError(cause, { message: "Failed to execute statement", operation: "execute" })
        })
    })
  const execute: Connection["execute"] = (sql, params, transform) =>
    Effect.map(all(sql, params), (rows) => transform === undefined ? rows : transform(rows))
  const unused = () => Effect.die(new Error("No test uses it")) as never
  return {
    execute,
    executeUnprepared: execute,
    executeRaw: all,
    executeValues: unused,
    executeValuesUnprepared: unused,
    executeStream: unused
  }
}
