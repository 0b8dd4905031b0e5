/**
 * A SqlClient on mysql2: Effect's own statements, transactions and errors, with just the connections made here, as
 * `@effect/sql-mysql2` makes them.
 */
import { Effect, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import {
  AuthorizationError,
  ConstraintError,
  DeadlockError,
  LockTimeoutError,
  SqlError,
  SqlSyntaxError,
  UniqueViolation,
  UnknownError
} from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import { createPool, type Pool, type PoolConnection, type PoolOptions } from "mysql2"

export interface ClientOptions extends PoolOptions {
  /** Whether statements are prepared, so that they are on the wire only once. */
  readonly isPrepared?: boolean
  readonly username?: string
  readonly maxConnections?: number
  /** Variables of each connection, by name. */
  readonly variables?: Readonly<Record<string, string | number>>
}

/** A client with a pool of its own. */
export const mysqlClient = (
  { isPrepared = true, maxConnections = 10, username = "root", variables = {}, ...options }: ClientOptions
): Layer.Layer<SqlClient.SqlClient> =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function*() {
      const connections = new Set<PoolConnection>()
      const pool = yield* Effect.acquireRelease(
        Effect.sync(() =>
          createPool({ supportBigNumbers: true, user: username, connectionLimit: maxConnections, ...options })
        ),
        (pool) =>
          Effect.callback<void>((resume) => {
            // A pool waits for ever for the answer to a statement, also if the server is silent.
            connections.forEach((connection) => connection.destroy())
            pool.end(() => resume(Effect.void))
          })
      )
      pool.on("connection", (connection) => {
        connections.add(connection)
        Object.entries(variables).forEach(([name, value]) => connection.query(`SET ${name} = ?`, [value]))
        connection.on("end", () => connections.delete(connection))
      })
      const reserved = Effect.acquireRelease(
        Effect.callback<PoolConnection, SqlError>((resume) =>
          pool.getConnection((cause, connection) =>
            resume(cause ? Effect.fail(toError(cause)) : Effect.succeed(connection))
          )
        ),
        (connection) => Effect.sync(() => connection.release())
      )
      return yield* SqlClient.make({
        acquirer: Effect.succeed(connectionTo(pool, isPrepared)),
        transactionAcquirer: Effect.map(reserved, (connection) => connectionTo(connection, isPrepared)),
        compiler: Statement.makeCompiler({
          dialect: "mysql",
          placeholder: () => "?",
          onIdentifier: Statement.defaultEscape("`"),
          onRecordUpdate: () => ["", []],
          onCustom: () => ["", []]
        }),
        releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
        driver: "mysql-test",
        spanAttributes: []
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))

const connectionTo = (connection: Pool | PoolConnection, isPrepared: boolean): Connection => {
  const usual = isPrepared ? "execute" : "query"
  const run = (method: "execute" | "query", sql: string, parameters: ReadonlyArray<unknown>) =>
    Effect.callback<unknown, SqlError>((resume) => {
      connection[method](
        { sql, values: [...parameters] as Array<string> },
        (cause, result) => resume(cause ? Effect.fail(toError(cause)) : Effect.succeed(result))
      )
    })
  const rows = (method: "execute" | "query"): Connection["execute"] => (sql, parameters, transform) =>
    Effect.map(run(method, sql, parameters), (result) => {
      const rows = Array.isArray(result) ? result : []
      return transform === undefined ? rows : transform(rows)
    })
  const unused = () => Effect.die(new Error("No test uses it")) as never
  return {
    execute: rows(usual),
    executeUnprepared: rows("query"),
    executeRaw: (sql, parameters) => run(usual, sql, parameters),
    executeValues: unused,
    executeValuesUnprepared: unused,
    executeStream: unused
  }
}

const toError = (cause: NodeJS.ErrnoException): SqlError => {
  const details = { cause, message: "Failed to execute statement", operation: "execute" }
  switch (cause.errno) {
    case 1054:
    case 1064:
    case 1146:
      return new SqlError({ reason: new SqlSyntaxError(details) })
    case 1062:
      return new SqlError({ reason: new UniqueViolation({ ...details, constraint: "PRIMARY" }) })
    case 1142:
      return new SqlError({ reason: new AuthorizationError(details) })
    case 1205:
      return new SqlError({ reason: new LockTimeoutError(details) })
    case 1213:
      return new SqlError({ reason: new DeadlockError(details) })
    case 1451:
      return new SqlError({ reason: new ConstraintError(details) })
    default:
      return new SqlError({ reason: new UnknownError(details) })
  }
}
