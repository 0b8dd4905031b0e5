/**
 * MariaDB servers of the tests' own, each with a folder of its own, on free ports, stopped by their process ids.
 */
import { Effect, type Layer, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { createPool } from "mysql2/promise"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { type ClientOptions, mysqlClient } from "./mysqlClient.ts"
import { eventually, freePort, temporaryFolder } from "./redisServer.ts"

export interface MariadbServer {
  readonly port: number
  readonly folder: string
  /** A client with a pool of its own, on a database that is there. */
  readonly client: (options?: ClientOptions) => Layer.Layer<SqlClient>
  /** All rows of a table, past the driver. */
  readonly query: (statement: string) => Effect.Effect<ReadonlyArray<object>>
  /** Ends it in order. */
  readonly stop: Effect.Effect<void>
  /** Ends it at once, without a word to the clients and to the disk. */
  readonly kill: Effect.Effect<void>
  /** Stops it where it is: connections stay, and nobody answers. */
  readonly pause: Effect.Effect<void>
  readonly goOn: Effect.Effect<void>
}

/** Starts a server on an empty folder, or on that of one that has ended; waits until it answers. */
export const startMariadb = Effect.fnUntraced(function*(
  ended?: MariadbServer
): Effect.fn.Return<MariadbServer, never, Scope.Scope> {
  const folder = ended?.folder ?? (yield* temporaryFolder)
  const port = ended?.port ?? (yield* freePort)
  const data = join(folder, "data")
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => {
      mkdirSync(data, { recursive: true })
      return spawn("mariadbd", parametersOf(data, port), { stdio: "ignore" })
    }),
    end("SIGKILL")
  )
  const config = { host: "127.0.0.1", port, user: "root", database: "sessions" }
  const admin = yield* Effect.acquireRelease(
    Effect.sync(() => createPool({ ...config, database: "" })),
    (pool) => Effect.promise(() => pool.end())
  )
  yield* eventually(Effect.tryPromise(() => admin.query("CREATE DATABASE IF NOT EXISTS sessions")))
  return {
    port,
    folder,
    client: (options) => mysqlClient({ ...config, ...options }),
    query: (statement) => Effect.promise(async () => (await admin.query(statement))[0] as ReadonlyArray<object>),
    stop: end("SIGTERM")(server),
    kill: end("SIGKILL")(server),
    pause: Effect.sync(() => void server.kill("SIGSTOP")),
    goOn: Effect.sync(() => void server.kill("SIGCONT"))
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
  // To the operating system, which outlives the process, but not to the disk.
  "--innodb-flush-log-at-trx-commit=2",
  ...process.getuid?.() === 0 ? ["--user=root"] : []
]

const end = (signal: NodeJS.Signals) => (process: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (process.exitCode !== null || process.signalCode !== null) return resume(Effect.void)
    process.once("exit", () => resume(Effect.void))
    process.kill(signal)
  })
