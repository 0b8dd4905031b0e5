/**
 * MariaDB servers of the tests' own, each with a folder of its own, on free ports, stopped by their process ids.
 */
import { Effect, type Layer, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { createPool } from "mysql2/promise"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type ClientOptions, mysqlClient } from "./mysqlClient.ts"
import { eventually, freePort, temporaryFolder } from "./redisServer.ts"
import type { SqlServer } from "./sqlServer.ts"

export interface MariadbServer extends SqlServer {
  readonly port: number
  readonly folder: string
  readonly client: (options?: ClientOptions) => Layer.Layer<SqlClient>
  /** From now on, users other than root have only the rights that they are granted. */
  readonly enforceRights: Effect.Effect<void>
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
  const config = { host: "127.0.0.1", port, database: "sessions" }
  const admin = yield* Effect.acquireRelease(
    Effect.sync(() => createPool({ ...config, user: "root", database: "", multipleStatements: true })),
    (pool) => Effect.promise(() => pool.end())
  )
  yield* eventually(Effect.tryPromise(() => admin.query("CREATE DATABASE IF NOT EXISTS sessions")))

  const query = <A extends object>(statement: string) =>
    Effect.promise(async () => (await admin.query(statement))[0] as unknown as ReadonlyArray<A>)
  const client: MariadbServer["client"] = (options) => mysqlClient({ ...config, ...options })
  let schemas = 0

  return {
    port,
    folder,
    client,
    clientOn: (schema, options) => client({ ...options, database: schema }),
    serializable: () => client({ variables: { tx_isolation: "SERIALIZABLE" } }),
    readOnlyOn: (database) => client({ database, variables: { tx_read_only: 1 } }),
    query,
    schema: Effect.suspend(() => {
      const name = `test_${++schemas}`
      return Effect.as(query(`CREATE DATABASE ${name}`), name)
    }),
    waitForLocks: (count) =>
      Effect.suspend(() => query<{ readonly count: number }>(waiting)).pipe(
        Effect.repeat({ until: ([row]) => row!.count === count }),
        Effect.asVoid
      ),
    enforceRights: Effect.gen(function*() {
      const [variables] = yield* query<{ readonly folder: string }>("SELECT @@character_sets_dir AS folder")
      const tables = readFileSync(join(variables!.folder, "..", "mysql_system_tables.sql"), "utf8")
      yield* query(
        `CREATE DATABASE mysql; USE mysql; ${tables}
         INSERT INTO global_priv VALUES ('%', 'root', '{"access":18446744073709551615}'); FLUSH PRIVILEGES`
      )
    }),
    stop: end("SIGTERM")(server),
    kill: end("SIGKILL")(server),
    pause: Effect.sync(() => void server.kill("SIGSTOP")),
    goOn: Effect.sync(() => void server.kill("SIGCONT"))
  }
})

/** For a row, or for a whole table. What InnoDB has of its transactions grows old as long as somebody asks for it. */
const waiting = `SELECT
  (SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Innodb_row_lock_current_waits') +
  (SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for table%lock') AS count`

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
