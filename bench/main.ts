/**
 * The whole benchmark, or parts of it:
 *
 *     node main.ts                       everything: half an hour
 *     node main.ts speed seals           some parts: speed, connections, seals, memory, correctness
 *     node main.ts speed --only=fastify  some candidates, by a regular expression; nothing is written
 *     node main.ts --quick               to see whether it runs: a minute, and nothing is written
 *     node main.ts report                writes the tables into the README again
 *
 * The figures are in results/results.json, in the tables of the README, and in docs/speed.svg.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { table } from "./alone.ts"
import { findOut, toTables } from "./correctness.ts"
import { measureMemory, standardPlan as memoryPlan } from "./memory.ts"
import { leaveServerCore } from "./processes.ts"
import { toChartOf, toReport } from "./report.ts"
import { read, type Results, write } from "./results.ts"
import { measureSeals, standardPlan as sealsPlan } from "./seals.ts"
import { candidates, measure, type Measured, operations } from "./speed.ts"

const { positionals, values: { only, quick } } = parseArgs({
  allowPositionals: true,
  options: { only: { type: "string" }, quick: { type: "boolean", default: false } }
})
const parts = positionals.length > 0 ? positionals : ["speed", "connections", "seals", "memory", "correctness"]
const chosen = candidates.filter(({ name }) => only === undefined || new RegExp(only).test(name))

/** Sessions of a usual size, of one that a cookie just holds, and of one that is too large. */
const sizes = [300, 2_800, 30_000]
const connections = [1, 10, 100, 1_000]
const pace = quick ? { rounds: 1, milliseconds: 100 } : { rounds: 5, milliseconds: 400 }

const speed = async () => {
  const settings: Record<string, unknown> = {}
  const measured: Array<Measured> = []
  for (const bytes of quick ? sizes.slice(0, 1) : sizes) {
    const fitting = chosen.filter(({ kind }) => bytes < 4_096 || kind !== "cookie")
    const found = await measure({ candidates: fitting, operations, connections: 50, bytes, ...pace })
    measured.push(...found.measured)
    Object.assign(settings, found.settings)
  }
  return { measured, settings }
}

const atOnce = async () => {
  const measured: Array<Measured> = []
  const concerned = chosen.filter(({ kind, name }) =>
    (kind === "redis" && !/hono|adonis/.test(name)) || kind === "floor"
  )
  for (const count of quick ? connections.slice(1, 2) : connections) {
    const plan = { candidates: concerned, operations: ["bare", "read", "write"] as const, bytes: 300, ...pace }
    measured.push(...(await measure({ ...plan, connections: count })).measured)
  }
  return measured
}

/** Of the candidates that are in the list twice, the one that comes as its documentation has it. */
const inCorrectness = chosen.filter(({ name }) => !/ioredis 5|plain id|rolling: false/.test(name))

const measureParts = async (): Promise<Partial<Results>> => {
  const before = read()
  const found = parts.includes("speed") ? await speed() : undefined
  const grown = parts.includes("connections") ? await atOnce() : undefined
  const isSpeed = ({ connections }: Measured) => connections === 50
  return {
    ...(found && { settings: found.settings }),
    ...((found || grown) && {
      speed: [
        ...(found?.measured ?? before.speed.filter(isSpeed)),
        ...(grown ?? before.speed.filter((one) => !isSpeed(one)))
      ]
    }),
    ...(parts.includes("seals") && {
      seals: await measureSeals(quick ? { ...sealsPlan, sizes: [300], rounds: 1 } : sealsPlan)
    }),
    ...(parts.includes("memory") && {
      memory: await measureMemory(quick ? { ...memoryPlan, sessions: 10_000, sweeps: 1 } : memoryPlan)
    }),
    ...(parts.includes("correctness") &&
      { correctness: await findOut(quick ? inCorrectness.slice(0, 1) : inCorrectness) })
  }
}

const readme = new URL("../README.md", import.meta.url)
const chart = new URL("../docs/speed.svg", import.meta.url)

/** Puts the tables between their marks in the README. */
const writeReport = (results: Results): void => {
  const text = readFileSync(readme, "utf8").replace(
    /(<!-- bench:(\w+) -->\n)[^]*?(<!-- bench:end -->)/g,
    (_, begin: string, part: string, end: string) => `${begin}\n${toReport(results)[part]!}\n\n${end}`
  )
  writeFileSync(readme, text)
  mkdirSync(new URL(".", chart), { recursive: true })
  writeFileSync(chart, toChartOf(results))
}

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1))
leaveServerCore()
if (parts.includes("report")) {
  writeReport(read())
} else {
  const measured = await measureParts()
  const results = { ...read(), ...measured }
  console.log(JSON.stringify(measured.settings, undefined, 2))
  for (const [part, text] of Object.entries(toReport(results))) console.log(`\n## ${part}\n\n${text}`)
  if (measured.seals) console.log(table(measured.seals))
  if (measured.memory) console.log(table(measured.memory))
  if (measured.correctness) console.log(toTables(measured.correctness))
  if (only === undefined && !quick) writeReport(write(measured))
}
process.exit()
