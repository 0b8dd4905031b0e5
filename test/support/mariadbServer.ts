/**
 * MariaDB servers of the tests' own, each with a folder of its own, on free ports, stopped by their process ids.
 */
import { Effect, type Layer, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { createPool, type PoolOptions } from "mysql2/promise"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { mysqlClient } from "./mysqlClient.ts"
import { eventually, freePort, temporaryFolder } from "./redisServer.ts"

export interface MariadbServer {
  /** A client with a pool of its own, on a database that is there. */
  readonly client: (options?: PoolOptions) => Layer.Layer<SqlClient>
  /** All rows of a table, past the driver. */
  readonly query: (statement: string) => Effect.Effect<ReadonlyArray<object>>
}

/** Starts a server on an empty folder; waits until it answers. */
export const startMariadb = Effect.fnUntraced(function*(): Effect.fn.Return<MariadbServer, never, Scope.Scope> {
  const folder = yield* temporaryFolder
  const port = yield* freePort
  const data = join(folder, "data")
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      mkdirSync(data)
      return spawn("mariadbd", parametersOf(data, port), { stdio: "ignore" })
    }),
    kill
  )
  const config = { host: "127.0.0.1", port, user: "root", database: "sessions" }
  const admin = yield* Effect.acquireRelease(
    Effect.sync(() => createPool({ ...config, database: "" })),
    (pool) => Effect.promise(() => pool.end())
  )
  yield* eventually(Effect.tryPromise(() => admin.query("CREATE DATABASE IF NOT EXISTS sessions")))
  return {
    client: (options) => mysqlClient({ ...config, ...options }),
    query: (statement) => Effect.promise(async () => (await admin.query(statement))[0] as ReadonlyArray<object>)
  }
})

const parametersOf = (data: string, port: number): Array<string> => [
  "--no-defaults",
  `--datadir=${data}`,
  `--socket=${join(data, "socket")}`,
  "--bind-address=127.0.0.1",
  `--port=${port}`,
  // Without these tables, an empty folder is all that it needs.
  "--skip-grant-tables",
  "--innodb-flush-log-at-trx-commit=0",
  ...process.getuid?.() === 0 ? ["--user=root"] : []
]

const kill = (process: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (process.exitCode !== null || process.signalCode !== null) return resume(Effect.void)
    process.once("exit", () => resume(Effect.void))
    process.kill("SIGKILL")
  })
