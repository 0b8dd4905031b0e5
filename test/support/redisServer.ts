/**
 * Servers of the tests' own, each with a folder of its own, on free ports, stopped by their process ids.
 */
import { Effect, Schedule, type Scope } from "effect"
import { Redis } from "ioredis"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as { readonly port: number }
    server.close(() => resume(Effect.succeed(port)))
  })
})

export interface RedisServer {
  readonly port: number
  readonly url: string
  readonly process: ChildProcess
  /** Runs a command, past the driver. */
  readonly command: <A>(command: string, ...parameters: ReadonlyArray<string>) => Effect.Effect<A>
}

/** A folder that is removed with the scope. */
export const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-session-redis-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Starts a process, waits until the server answers, and stops it with the scope. */
export const startRedis = Effect.fnUntraced(function*(
  options: { readonly port?: number; readonly folder?: string; readonly parameters?: ReadonlyArray<string> } = {}
) {
  const port = options.port ?? (yield* freePort)
  const folder = options.folder ?? (yield* temporaryFolder)
  const parameters = [
    "--port",
    `${port}`,
    "--bind",
    "127.0.0.1",
    "--dir",
    folder,
    "--save",
    "",
    ...options.parameters ?? []
  ]
  const process = yield* Effect.acquireRelease(
    Effect.sync(() => spawn("redis-server", parameters, { stdio: "ignore" })),
    stop
  )
  yield* Effect.retry(send(port, "PING"), { schedule: Schedule.spaced("50 millis"), times: 200 })
  const server: RedisServer = {
    port,
    url: `redis://127.0.0.1:${port}`,
    process,
    command: <A>(command: string, ...rest: ReadonlyArray<string>) =>
      Effect.orDie(send(port, command, ...rest)) as Effect.Effect<A>
  }
  return server
}, (effect) => Effect.orDie(effect))

export const stop = (process: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (process.exitCode !== null || process.signalCode !== null) return resume(Effect.void)
    process.once("exit", () => resume(Effect.void))
    process.kill("SIGKILL")
  })

const send = (port: number, command: string, ...parameters: ReadonlyArray<string>) =>
  Effect.tryPromise(async () => {
    const client = new Redis({ host: "127.0.0.1", port, lazyConnect: true, retryStrategy: () => null })
    // What goes wrong is in the rejections; without a listener it would be printed as well.
    client.on("error", () => {})
    try {
      await client.connect()
      return await client.call(command, ...parameters)
    } finally {
      client.disconnect()
    }
  })
