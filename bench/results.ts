/**
 * What was measured, in a file: each part can be measured again by itself.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { join } from "node:path"
import { findPostgresql } from "../scripts/postgresql.mjs"
import type { Allocated } from "./allocations.ts"
import type { Figure } from "./alone.ts"
import type { Findings } from "./correctness.ts"
import type { Measured } from "./speed.ts"

export interface Results {
  readonly date: string
  readonly machine: string
  readonly versions: Readonly<Record<string, string>>
  /** What each candidate says of how it is set. */
  readonly settings: Readonly<Record<string, unknown>>
  readonly speed: ReadonlyArray<Measured>
  readonly allocations: ReadonlyArray<Allocated>
  readonly seals: ReadonlyArray<Figure>
  readonly memory: ReadonlyArray<Figure>
  readonly correctness: ReadonlyArray<Findings>
}

const file = new URL("results/results.json", import.meta.url)

const nothing: Results = {
  date: "",
  machine: "",
  versions: {},
  settings: {},
  speed: [],
  allocations: [],
  seals: [],
  memory: [],
  correctness: []
}

export const read = (): Results => {
  try {
    // A part may be missing that nobody has measured yet.
    return { ...nothing, ...JSON.parse(readFileSync(file, "utf8")) }
  } catch {
    return nothing
  }
}

/** Puts the parts that were measured now in the place of those that were there. */
export const write = (parts: Partial<Results>): Results => {
  const results = { ...read(), ...parts, date: today(), machine: machine(), versions: versions() }
  mkdirSync(new URL(".", file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`)
  return results
}

const today = (): string => new Date().toISOString().slice(0, 10)

const machine = (): string => {
  const versionOf = (program: string, pattern: RegExp) =>
    pattern.exec(execFileSync(program, ["--version"], { encoding: "utf8" }))?.[1]
  const redis = versionOf("redis-server", /v=(\S+)/)
  const postgres = versionOf(join(findPostgresql() ?? "", "postgres"), /(\d[.\d]*)/)
  return `Node.js ${process.version}, Redis ${redis}, PostgreSQL ${postgres}, ${cpus().length} cores of ${
    cpus()[0]!.model.trim()
  }`
}

/** Of the candidates, and of what they run on. */
const versions = (): Readonly<Record<string, string>> => {
  const { dependencies } = json("package.json") as { readonly dependencies: Readonly<Record<string, string>> }
  const own = ["package.json", "node_modules/effect/package.json", "node_modules/@effect/platform-node/package.json"]
    .map((path) => json(`../${path}`) as { readonly name: string; readonly version: string })
  return { ...Object.fromEntries(own.map(({ name, version }) => [name, version])), ...dependencies }
}

const json = (path: string): unknown => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"))
