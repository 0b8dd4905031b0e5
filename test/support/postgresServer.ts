/**
 * PostgreSQL servers of the tests' own, each with a folder of its own, on free ports, stopped by their process ids.
 */
import { PgClient } from "@effect/sql-pg"
import { Deferred, Effect, Layer, Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlClient } from "effect/sql/SqlClient"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chmodSync, chownSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { findPostgresql } from "../../scripts/postgresql.mjs"
import { eventually, freePort, temporaryFolder } from "./redisServer.ts"
import type { SqlServer } from "./sqlServer.ts"

export interface PostgresServer extends SqlServer {
  readonly port: number
  readonly folder: string
  /** A client with a pool, whose statements can be told from those of others. */
  readonly client: (options?: Partial<PgClient.PgPoolConfig>) => Layer.Layer<PgClient.PgClient | SqlClient>
  /** What the server gets from the clients of this name while the effect runs, as it logs it. */
  readonly statements: <A, E, R>(
    name: string,
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<ReadonlyArray<string>, E, R>
  /** Ends all of its processes at once, without a word to the clients and to the disk. */
  readonly kill: Effect.Effect<void>
  /** Stops all of its processes where they are: connections stay, and nobody answers. */
  readonly pause: Effect.Effect<void>
  readonly goOn: Effect.Effect<void>
}

const programs = findPostgresql() ?? "PostgreSQL is not installed: npm run pretest"

/** PostgreSQL refuses to run as root. */
const user = process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g") } : {}

function idOf(kind: "-u" | "-g"): number {
  return Number(execFileSync("id", [kind, "postgres"]))
}

// -----------------------------------------------------------------------------
// processes
// -----------------------------------------------------------------------------

/** Starts a server on an empty folder, or on that of one that was killed; waits until it answers. */
export const startPostgres = Effect.fnUntraced(
  function*(killed?: PostgresServer): Effect.fn.Return<PostgresServer, never, Scope.Scope> {
    const folder = killed?.folder ?? (yield* initialized)
    const port = killed?.port ?? (yield* freePort)
    const scope = yield* Effect.scope
    const config = { host: "127.0.0.1", port, username: "postgres", database: "postgres" }
    const log: Array<string> = []
    const paused = new Set<number>()
    let schemas = 0
    let marker: { readonly text: string; readonly logged: Deferred.Deferred<void> } | undefined

    const goOn = Effect.sync(() => {
      paused.forEach((pid) => signal(pid, "SIGCONT"))
      paused.clear()
    })

    const server = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(join(programs, "postgres"), parametersOf(folder, port), { ...user, stdio })),
      (server) => Effect.andThen(goOn, kill(server))
    )
    createInterface(server.stderr).on("line", (line) => {
      log.push(line)
      if (marker !== undefined && line.includes(marker.text)) Deferred.doneUnsafe(marker.logged, Effect.void)
    })

    const admin = yield* eventually(
      PgClient.makeClient({ ...config, applicationName: "admin" }).pipe(
        Scope.provide(scope),
        Effect.provide(Reactivity.layer)
      )
    )

    const query = <A extends object>(statement: string) => Effect.orDie(admin.unsafe<A>(statement).unprepared)

    /** Waits until all that has been done up to now is in the log. */
    const mark = Effect.gen(function*() {
      marker = { text: `marker ${log.length}`, logged: yield* Deferred.make<void>() }
      yield* query(`SELECT '${marker.text}'`)
      yield* Deferred.await(marker.logged)
      return log.length
    })

    const client: PostgresServer["client"] = (options) => Layer.orDie(PgClient.layer({ ...config, ...options }))

    return {
      port,
      folder,
      client,
      clientOn: (schema, options) => client({ ...options, startupParameters: { search_path: schema } }),
      serializable: () => client({ startupParameters: { default_transaction_isolation: "serializable" } }),
      readOnlyOn: (schema) =>
        client({ startupParameters: { search_path: schema, default_transaction_read_only: "on" } }),
      query,
      schema: Effect.suspend(() => {
        const name = `test_${++schemas}`
        return Effect.as(query(`CREATE SCHEMA ${name}`), name)
      }),
      statements: (name, effect) =>
        Effect.gen(function*() {
          const start = yield* mark
          yield* effect
          return statementsIn(log.slice(start, yield* mark), name)
        }),
      waitForLocks: (count) =>
        Effect.suspend(() => query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")).pipe(
          Effect.repeat({ until: (rows) => rows.length === count }),
          Effect.asVoid
        ),
      kill: Effect.andThen(goOn, kill(server)),
      pause: Effect.gen(function*() {
        // First the one that starts the others, so that no more are coming.
        paused.add(server.pid!)
        signal(server.pid!, "SIGSTOP")
        const rows = yield* query<{ readonly pid: number }>(
          "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        for (const { pid } of rows) {
          paused.add(pid)
          signal(pid, "SIGSTOP")
        }
      }),
      goOn
    }
  }
)

const stdio: ["ignore", "ignore", "pipe"] = ["ignore", "ignore", "pipe"]

const initialized = Effect.tap(temporaryFolder, (folder) =>
  Effect.sync(() => {
    if (user.uid !== undefined) chownSync(folder, user.uid, user.gid!)
    chmodSync(folder, 0o700)
    execFileSync(
      join(programs, "initdb"),
      ["--pgdata", folder, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
      { ...user, stdio: ["ignore", "ignore", "inherit"], cwd: folder }
    )
  }))

const parametersOf = (folder: string, port: number): Array<string> => {
  const settings = {
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    fsync: "off",
    log_statement: "all",
    log_line_prefix: "%a|",
    lc_messages: "C"
  }
  return ["-D", folder, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])]
}

/** An immediate shutdown; what is left is what a power cut leaves. */
const kill = (process: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (process.exitCode !== null || process.signalCode !== null) return resume(Effect.void)
    process.once("exit", () => resume(Effect.void))
    process.kill("SIGQUIT")
  })

/** A process that is gone meanwhile needs none. */
const signal = (pid: number, name: "SIGSTOP" | "SIGCONT"): void => {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
  }
}

// -----------------------------------------------------------------------------
// the log
// -----------------------------------------------------------------------------

/** The statements of the clients with a name, each on one line. */
const statementsIn = (lines: ReadonlyArray<string>, name: string): ReadonlyArray<string> => {
  const statements: Array<string> = []
  let isOurs = false
  for (const line of lines) {
    const [, application, statement] = /^([^|]*)\|LOG: +(?:execute [^:]+|statement): (.*)$/.exec(line) ?? []
    if (application !== undefined) {
      isOurs = application === name
      if (isOurs) statements.push(statement!)
    } else if (line.startsWith("\t")) {
      if (isOurs) statements.push(`${statements.pop()} ${line.trim()}`)
    } else {
      isOurs = false
    }
  }
  return statements
}
