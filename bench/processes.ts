/**
 * The processes of a run: each candidate in one of its own on the first core; Redis, and this process, which makes the
 * load, on the second.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Answers, Question, Ready } from "./candidate.ts"

export const serverCore = "0"
const loadCore = "1"

/** From now on this process leaves the first core to the candidates. */
export const leaveServerCore = (): void => {
  spawnSync("taskset", ["--all-tasks", "--cpu-list", "--pid", loadCore, String(process.pid)])
}

export interface Running {
  readonly port: number
  readonly settings: unknown
  readonly pid: number
  readonly ask: <Q extends Question>(question: Q) => Promise<Answers[Q]>
  readonly stop: () => Promise<void>
}

export const startCandidate = async (
  module: string,
  { environment = {}, variant = "" }: {
    readonly variant?: string
    readonly environment?: Readonly<Record<string, string>>
  } = {}
): Promise<Running> => {
  const file = new URL(`candidates/${module}.ts`, import.meta.url).pathname
  const parameters = ["--cpu-list", serverCore, process.execPath, file, variant]
  const child = spawn("taskset", parameters, {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    env: { ...process.env, ...environment, NODE_ENV: "production", NODE_NO_WARNINGS: "1" }
  })
  const exited = once(child, "exit").then(() => {
    throw new Error(`${module} ${variant} has ended`)
  })
  exited.catch(() => {})
  const answer = async <A>(): Promise<A> => {
    const [message] = await Promise.race([once(child, "message", { signal: AbortSignal.timeout(60_000) }), exited])
    return message as A
  }
  const { port, settings } = await answer<Ready>()
  return {
    port,
    settings,
    pid: child.pid!,
    ask: (question) => {
      child.send(question)
      return answer()
    },
    stop: () => stop(child)
  }
}

export interface RunningRedis {
  readonly url: string
  readonly port: number
  readonly process: ChildProcess
  readonly stop: () => Promise<void>
}

export const startRedis = async (
  { parameters = [], port }: { readonly port?: number; readonly parameters?: ReadonlyArray<string> } = {}
): Promise<RunningRedis> => {
  const chosen = port ?? await freePort()
  const folder = mkdtempSync(join(tmpdir(), "effect-session-bench-"))
  const child = spawn(
    "taskset",
    ["--cpu-list", loadCore, "redis-server", "--port", `${chosen}`, "--bind", "127.0.0.1", "--dir", folder].concat(
      ["--save", "", "--appendonly", "no"],
      parameters
    ),
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  servers.add(child)
  for await (const output of child.stdout) {
    if (String(output).includes("Ready to accept connections")) break
  }
  return {
    url: `redis://127.0.0.1:${chosen}`,
    port: chosen,
    process: child,
    stop: async () => {
      await stop(child)
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** Those that do not notice by themselves when this process ends. */
const servers = new Set<ChildProcess>()
process.once("exit", () => {
  for (const server of servers) server.kill("SIGKILL")
})

const stop = async (child: ChildProcess): Promise<void> => {
  servers.delete(child)
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, "exit")
  child.kill("SIGKILL")
  await exited
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve((address as { port: number }).port))
    })
  })
