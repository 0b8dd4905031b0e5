/**
 * Programs in other runtimes: Bun and Deno as processes that are ended by their ids, workerd through miniflare.
 */
import { Effect, Schedule, type Scope } from "effect"
import { Miniflare, type WorkerOptions } from "miniflare"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { dirname, join } from "node:path"

/** The executable itself: ending a wrapper would not end it. */
const executable = (path: string) => join(import.meta.dirname, "../../node_modules", path)

/** The program, and what comes before a file in its arguments. */
export interface Runtime {
  readonly command: string
  readonly options: ReadonlyArray<string>
}

export const bun: Runtime = { command: executable("bun/bin/bun.exe"), options: [] }
export const deno: Runtime = { command: executable("deno/deno"), options: ["run", "--allow-all", "--quiet"] }

/** With the rights that docs/production/runtimes.md gives a server, and no others. */
export const denoRun: Runtime = {
  command: deno.command,
  options: ["run", "--no-prompt", "--quiet", "--allow-net", "--allow-env", "--allow-read", "--allow-sys"]
}

/** Serves the default export of a module, with the rights that docs/production/runtimes.md gives it. */
export const denoServe = (port: number): Runtime => ({
  command: deno.command,
  options: ["serve", "--no-prompt", "--quiet", "--allow-env", "--host", "127.0.0.1", "--port", `${port}`]
})

export interface Started {
  readonly process: ChildProcess
  /** All that it has printed so far. */
  readonly output: () => string
  readonly errors: () => string
  readonly ended: Promise<unknown>
}

/** Starts a program in a folder, and kills it with the scope. */
export const start = (
  { command, options }: Runtime,
  programArguments: ReadonlyArray<string>,
  settings: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {}
): Effect.Effect<Started, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(command, [...options, ...programArguments], {
        ...settings,
        stdio: ["ignore", "pipe", "pipe"]
      })
      let output = ""
      let errors = ""
      child.stdout.on("data", (text) => output += text)
      child.stderr.on("data", (text) => errors += text)
      return { process: child, output: () => output, errors: () => errors, ended: once(child, "close") }
    }),
    ({ ended, process }) =>
      Effect.promise(() => {
        process.kill("SIGKILL")
        return ended
      })
  )

/** Runs a program to its end, and gives what it has printed. */
export const run = (runtime: Runtime, ...programArguments: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.scoped(
    Effect.flatMap(
      start(runtime, programArguments),
      ({ ended, errors, output, process }) =>
        Effect.promise(async () => {
          await ended
          if (process.exitCode !== 0) throw new Error(`It ended with ${process.exitCode}:\n${errors()}`)
          return output()
        })
    )
  )

/** Runs a server as long as the scope, and gives its address when it listens. */
export const startServer = Effect.fnUntraced(
  function*(
    runtime: Runtime,
    file: string,
    port: number,
    settings: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {}
  ) {
    const env = { ...process.env, ...settings.env, PORT: `${port}` }
    const server = yield* start(runtime, [file], { ...settings, env })
    const url = `http://127.0.0.1:${port}`
    const isUp = Effect.tryPromise(() => fetch(url))
    yield* Effect.raceFirst(
      Effect.retry(isUp, Schedule.spaced(50)),
      Effect.promise(async () => {
        await server.ended
        throw new Error(`The server has ended:\n${server.output()}${server.errors()}`)
      })
    )
    return url
  },
  Effect.orDie
)

/** A worker in workerd, the module of a file, for as long as the scope. */
export const startWorker = (file: string, bindings: Bindings = {}): Effect.Effect<Miniflare, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const worker = new Miniflare({
        modules: [{ type: "ESModule", path: file }],
        modulesRoot: dirname(file),
        host: "127.0.0.1",
        compatibilityDate: "2026-07-01",
        compatibilityFlags: ["nodejs_compat"],
        ...bindings
      })
      await worker.ready
      return worker
    }),
    (worker) => Effect.promise(() => worker.dispose())
  )

/** What a worker finds in its environment. */
export type Bindings = Partial<
  Pick<WorkerOptions, "bindings" | "kvNamespaces" | "durableObjects" | "durableObjectsPersist">
>

/** As `examples/runtimes/worker.ts` has it. */
export const endedSessions = { ENDED_SESSIONS: "EndedSessions" }
