/**
 * Sessions in files: the store in a folder of its own, what is in that folder, and processes that work on it.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer, Path, Queue, type Scope } from "effect"
import { FileLayer } from "effect-session"
import { spawn } from "node:child_process"
import { chmodSync, existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import * as FileBackend from "../../src/internal/drivers/file/backend.ts"
import type { SessionRecord } from "../../src/internal/record/record.ts"
import * as Identifier from "../../src/internal/token/identifier.ts"
import type { Job, Said } from "./fileWorker.ts"

// -----------------------------------------------------------------------------
// folders
// -----------------------------------------------------------------------------

const folderIn = (parent: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = mkdtempSync(join(parent, "effect-session-"))
      chmodSync(folder, 0o755)
      return folder
    }),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )

/** A folder that everybody may look into, and that is removed with the scope. */
export const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = folderIn(tmpdir())

/** The same for many thousands of files: in memory, where there is room. */
export const largeFolder: Effect.Effect<string, never, Scope.Scope> = Effect.suspend(() => {
  const memory = "/dev/shm"
  const room = existsSync(memory) ? statfsSync(memory) : { bavail: 0, bsize: 0 }
  return folderIn(room.bavail * room.bsize > 256e6 ? memory : tmpdir())
})

/** The paths of all files and folders below a folder. */
export const pathsIn = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted()

/** All files below a folder, with what is in them. */
export const filesIn = (folder: string): ReadonlyArray<readonly [path: string, content: string]> =>
  pathsIn(folder).flatMap((path) => {
    const file = join(folder, path)
    return lstatSync(file).isFile() ? [[path, readFileSync(file, "utf8")] as const] : []
  })

/** The session files below a folder, parsed. */
export const documentsIn = (folder: string): ReadonlyArray<unknown> =>
  filesIn(folder).flatMap(([path, content]) => path.endsWith(".json") ? [JSON.parse(content)] : [])

// -----------------------------------------------------------------------------
// stores
// -----------------------------------------------------------------------------

export const fileStore = (location: string, options: Omit<FileLayer.Options, "location"> = {}) =>
  Layer.provide(FileLayer.layer({ ...options, location }), NodeServices.layer)

/** The driver without the store around it; `before` runs before each step that it takes in the file system. */
export const fileBackend = (location: string, before?: Before): Effect.Effect<FileBackend.FileBackend> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    return FileBackend.make(before === undefined ? fs : watched(fs, before), yield* Path.Path, location, true)
  }).pipe(Effect.provide(NodeServices.layer))

/** The driver on a folder of its own. */
export const stage = Effect.gen(function*() {
  const location = yield* temporaryFolder
  return { location, backend: yield* fileBackend(location) }
})

export type Before = (paths: ReadonlyArray<string>) => Effect.Effect<void>

/** The file system as it is, but that something comes before each step. */
export const watched = (fs: FileSystem.FileSystem, before: Before): FileSystem.FileSystem =>
  new Proxy(fs, {
    get: (target, name: keyof FileSystem.FileSystem) => {
      const value: unknown = target[name]
      return typeof value !== "function" ? value : (...parameters: ReadonlyArray<unknown>) =>
        Effect.andThen(
          Effect.suspend(() => before(parameters.filter((parameter) => typeof parameter === "string"))),
          Reflect.apply(value, target, parameters) as Effect.Effect<unknown>
        )
    }
  })

export const newKey = (): string => Identifier.hash(Identifier.random())

export const hour = 3_600_000

export const recordUntil = (expiresAt: number, fields: Readonly<Record<string, string>> = {}): SessionRecord => ({
  createdAt: expiresAt - hour,
  touchedAt: expiresAt - hour,
  expiresAt,
  fields: new Map(Object.entries(fields))
})

// -----------------------------------------------------------------------------
// processes
// -----------------------------------------------------------------------------

export interface Worker {
  /** What it says next; waits for it. Fails if it ends before. */
  readonly hear: Effect.Effect<Said, Error>
  /** Gives it a word to go on. */
  readonly goOn: Effect.Effect<void>
  readonly kill: Effect.Effect<void>
  /** Waits until it is gone: all that it has said and not been heard yet, and the signal that ended it, if one did. */
  readonly end: Effect.Effect<{ readonly said: ReadonlyArray<Said>; readonly signal: string | null }, Error>
}

const script = join(import.meta.dirname, "fileWorker.ts")

/** The script with all that it imports in one file. It starts in a fourth of the time: for hundreds of processes. */
export const bundledScript: Effect.Effect<string, never, Scope.Scope> = Effect.flatMap(
  temporaryFolder,
  (folder) =>
    Effect.promise(async () => {
      const { build } = await import("rolldown")
      const file = join(folder, "fileWorker.mjs")
      await build({ input: script, output: { file }, platform: "node", external: "effect-session" })
      return file
    })
)

/** Starts a process, and kills it with the scope. */
export const startWorker = Effect.fnUntraced(function*(job: Job, file: string = script) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=effect-session/source", file, JSON.stringify(job)], {
        stdio: ["pipe", "pipe", "inherit"],
        // The bundle is compiled once.
        env: file === script ? process.env : { ...process.env, NODE_COMPILE_CACHE: dirname(file) }
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const heard = yield* Queue.unbounded<Said>()
  const ended = new Promise<{ readonly signal: string | null }>((resolve, reject) => {
    child.once("error", reject)
    // After all that it has said.
    child.once("close", (_, signal) => resolve({ signal }))
  })
  createInterface(child.stdout).on("line", (line) => Queue.offerUnsafe(heard, JSON.parse(line) as Said))
  const end = Effect.promise(() => ended)
  const worker: Worker = {
    hear: Effect.raceFirst(
      Queue.take(heard),
      Effect.andThen(end, Effect.fail(new Error("The process has ended")))
    ),
    goOn: Effect.sync(() => child.stdin.end("\n")),
    kill: Effect.sync(() => child.kill("SIGKILL")),
    end: Effect.gen(function*() {
      const { signal } = yield* end
      return { said: yield* Queue.clear(heard), signal }
    })
  }
  return worker
})
