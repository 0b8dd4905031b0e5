/**
 * The processes of a run: each candidate in one of its own on the first core; Redis, PostgreSQL, and this process, which
 * makes the load, on the second.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { chownSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { findPostgresql } from "../scripts/postgresql.mjs"
import type { Answers, Question, Ready } from "./candidate.ts"

export const serverCore = "0"
const loadCore = "1"

/** Only if {@link leaveServerCore} says so: not every system has `taskset`, and a count needs no cores of its own. */
let arePinned = false

/** From now on this process leaves the first core to the candidates, and every process keeps to its core. */
export const leaveServerCore = (): void => {
  arePinned = true
  spawnSync("taskset", ["--all-tasks", "--cpu-list", "--pid", loadCore, String(process.pid)])
}

type Core = typeof serverCore | typeof loadCore | "any"

const onCore = (core: Core, command: ReadonlyArray<string>): readonly [string, Array<string>] => {
  const [program, ...parameters] = arePinned && core !== "any" ? ["taskset", "--cpu-list", core, ...command] : command
  return [program!, parameters]
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
  { core = serverCore, environment = {}, flags = [], variant = "" }: {
    readonly variant?: string
    readonly core?: Core
    /** Of Node.js and V8. */
    readonly flags?: ReadonlyArray<string>
    readonly environment?: Readonly<Record<string, string>>
  } = {}
): Promise<Running> => {
  const file = new URL(`candidates/${module}.ts`, import.meta.url).pathname
  const child = spawn(...onCore(core, [process.execPath, ...flags, file, variant]), {
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
  const command = ["redis-server", "--port", `${chosen}`, "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
  const child = spawn(...onCore(loadCore, [...command, "--appendonly", "no", ...parameters]), {
    stdio: ["ignore", "pipe", "inherit"]
  })
  servers.set(child, "SIGKILL")
  await untilItSays(child, child.stdout, "Ready to accept connections")
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

export interface RunningPostgres {
  readonly url: string
  readonly stop: () => Promise<void>
}

/** It does not wait for the disk: what is compared is what a request costs the server that asks. */
export const startPostgres = async (): Promise<RunningPostgres> => {
  const programs = findPostgresql()
  if (programs === undefined) throw new Error("PostgreSQL is missing: node scripts/setup.mjs postgres")
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), "effect-session-bench-"))
  const user = ownerOf(folder)
  const initialize = ["--pgdata", folder, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]
  execFileSync(join(programs, "initdb"), initialize, { ...user, stdio: ["ignore", "ignore", "inherit"], cwd: folder })
  const settings = {
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    fsync: "off",
    max_connections: 200,
    lc_messages: "C"
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
  const child = spawn(...onCore(loadCore, [join(programs, "postgres"), "-D", folder, ...options]), {
    ...user,
    stdio: ["ignore", "ignore", "pipe"]
  })
  // It stops its own processes only if it is asked to.
  servers.set(child, "SIGQUIT")
  await untilItSays(child, child.stderr, "ready to accept connections")
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    stop: async () => {
      await stop(child)
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** PostgreSQL refuses to run as root: then the folder is given to the user that it has made for itself. */
const ownerOf = (folder: string): { readonly uid?: number; readonly gid?: number } => {
  if (process.getuid?.() !== 0) return {}
  const [uid, gid] = ["-u", "-g"].map((kind) => Number(execFileSync("id", [kind, "postgres"])))
  chownSync(folder, uid!, gid!)
  return { uid: uid!, gid: gid! }
}

/** What comes afterwards is thrown away. */
const untilItSays = (child: ChildProcess, output: Readable, text: string): Promise<void> =>
  new Promise((resolve, reject) => {
    let said = ""
    output.on("data", (data) => {
      said += data
      if (said.includes(text)) {
        resolve()
        output.removeAllListeners("data").resume()
      }
    })
    child.once("exit", () => reject(new Error(`${child.spawnfile} has ended: ${said}`)))
  })

/** Those that do not notice by themselves when this process ends, with the signal that ends them. */
const servers = new Map<ChildProcess, "SIGKILL" | "SIGQUIT">()
process.once("exit", () => {
  for (const [server, signal] of servers) server.kill(signal)
})

const stop = async (child: ChildProcess): Promise<void> => {
  const signal = servers.get(child) ?? "SIGKILL"
  servers.delete(child)
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, "exit")
  child.kill(signal)
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
