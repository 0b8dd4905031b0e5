/**
 * An example as it is started from a command line, in a process of its own.
 */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { freePort } from "./redisServer.ts"

export interface ExampleServer {
  readonly process: ChildProcess
  readonly port: number
  /** Waits until it says that it listens. */
  readonly listens: Effect.Effect<void>
  readonly ended: Effect.Effect<void>
}

/** Starts a file of the folder `examples`, and kills it with the scope. */
export const startExample = (
  file: string,
  env: Readonly<Record<string, string>>
): Effect.Effect<ExampleServer, never, Scope.Scope> =>
  Effect.flatMap(freePort, (port) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, ["--conditions=effect-session/source", `examples/${file}`], {
          cwd: fileURLToPath(new URL("../..", import.meta.url)),
          env: { ...process.env, PORT: String(port), ...env },
          stdio: ["ignore", "pipe", "ignore"]
        })
        const ended = once(child, "exit")
        const listens = new Promise<void>((resolve) => {
          child.stdout.on("data", (text) => {
            if (String(text).includes("Listening on")) resolve()
          })
        })
        return {
          process: child,
          port,
          listens: Effect.promise(() => listens),
          ended: Effect.promise(async () => void await ended)
        }
      }),
      ({ process }) => Effect.sync(() => void process.kill("SIGKILL"))
    ))
