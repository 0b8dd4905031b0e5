/**
 * An example, started as its users start it.
 */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

export interface Example {
  readonly url: string
  /** Stops it as a process manager does, and waits until it has sent what it had to send. */
  readonly stop: Effect.Effect<void>
}

export const startExample = (
  main: string,
  environment: Readonly<Record<string, string>>
): Effect.Effect<Example, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const child = spawn(process.execPath, ["--conditions=effect-session/source", main], {
          cwd: fileURLToPath(new URL("../..", import.meta.url)),
          env: { ...process.env, PORT: "0", ...environment },
          stdio: ["ignore", "pipe", "pipe"]
        })
        return { child, url: await listening(child) }
      }),
      ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
    ),
    ({ child, url }) => ({
      url,
      stop: Effect.promise(async () => {
        const ended = once(child, "exit")
        child.kill("SIGTERM")
        await ended
      })
    })
  )

const listening = (child: ChildProcess): Promise<string> =>
  new Promise((resolve, reject) => {
    let printed = ""
    const read = (chunk: Buffer) => {
      printed += chunk
      const [, url] = /Listening on (http:\S+)/.exec(printed) ?? []
      if (url !== undefined) resolve(url)
    }
    child.stdout!.on("data", read)
    child.stderr!.on("data", read)
    child.once("close", () => reject(new Error(`The example has not started:\n${printed}`)))
  })
