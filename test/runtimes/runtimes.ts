/**
 * Programs in other runtimes: Bun and Deno as processes that are ended by their ids, workerd through miniflare.
 */
import { Effect, type Scope } from "effect"
import { Miniflare } from "miniflare"
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
      const child = spawn(command, [...options, ...programArguments], { ...settings, stdio: ["ignore", "pipe", "pipe"] })
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
    Effect.flatMap(start(runtime, programArguments), ({ ended, errors, output, process }) =>
      Effect.promise(async () => {
        await ended
        if (process.exitCode !== 0) throw new Error(`It ended with ${process.exitCode}:\n${errors()}`)
        return output()
      }))
  )

/** A worker in workerd, with a namespace of Workers KV and a Durable Object as `examples/runtimes/worker.ts` has it. */
export const startWorker = (
  file: string,
  bindings: Record<string, string> = {}
): Effect.Effect<Miniflare, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const worker = new Miniflare({
        modules: [{ type: "ESModule", path: file }],
        modulesRoot: dirname(file),
        host: "127.0.0.1",
        compatibilityDate: "2026-07-01",
        compatibilityFlags: ["nodejs_compat"],
        bindings,
        kvNamespaces: ["KV"],
        durableObjects: { ENDED_SESSIONS: "EndedSessions" }
      })
      await worker.ready
      return worker
    }),
    (worker) => Effect.promise(() => worker.dispose())
  )
