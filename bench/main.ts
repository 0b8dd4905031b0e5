/**
 * The whole benchmark, or parts of it:
 *
 *     node main.ts                       everything: an hour
 *     node main.ts speed seals           some parts: speed, connections, allocations, seals, memory,
 *                                        correctness
 *     node main.ts allocations           what requests allocate: two minutes
 *     node main.ts speed --only=fastify  some candidates, by a regular expression; nothing is written
 *     node main.ts --quick               to see whether it runs: a few minutes, and nothing is written
 *     node main.ts report                writes the tables of docs/comparison/measurements.md again
 *
 * The figures are in results/results.json, in docs/comparison/measurements.md, and in docs/comparison/speed.svg.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { measureAllocations, standardPlan as allocationsPlan } from "./allocations.ts"
import { candidates, operations } from "./candidates.ts"
import { findOut } from "./correctness.ts"
import { measureMemory, standardPlan as memoryPlan } from "./memory.ts"
import { leaveServerCore } from "./processes.ts"
import { toChartOf, toReport } from "./report.ts"
import { read, type Results, write } from "./results.ts"
import { measureSeals, standardPlan as sealsPlan } from "./seals.ts"
import { measure, type Measured } from "./speed.ts"

const { positionals, values: { only, quick } } = parseArgs({
  allowPositionals: true,
  options: { only: { type: "string" }, quick: { type: "boolean", default: false } }
})
const allParts = ["speed", "connections", "allocations", "seals", "memory", "correctness"]
const parts = positionals.length > 0 ? positionals : allParts
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
    // How it grows with the size is shown for reads and writes.
    const asked = bytes === sizes[0] ? operations : (["bare", "read", "write"] as const)
    const found = await measure({ candidates: fitting, operations: asked, connections: 50, bytes, ...pace })
    measured.push(...found.measured)
    Object.assign(settings, found.settings)
  }
  return { measured, settings }
}

const atOnce = async () => {
  const measured: Array<Measured> = []
  const concerned = chosen.filter(({ kind, name }) =>
    (kind === "redis" || kind === "floor") && !/hono|adonis|loads first/.test(name)
  )
  for (const count of quick ? connections.slice(1, 2) : connections) {
    const plan = { candidates: concerned, operations: ["bare", "read", "write"] as const, bytes: 300, ...pace }
    measured.push(...(await measure({ ...plan, connections: count })).measured)
  }
  return measured
}

/** Of the candidates that are in the list twice, the one that comes as its documentation has it. */
const inCorrectness = chosen.filter(({ name }) => !/ioredis 5|plain id|rolling: false/.test(name))

const isUsual = ({ connections }: Measured) => connections === 50

/** What each part adds to the results that there are. */
const measurements: Readonly<Record<string, (before: Results) => Promise<Partial<Results>>>> = {
  speed: async (before) => {
    const { measured, settings } = await speed()
    return { settings, speed: [...measured, ...before.speed.filter((one) => !isUsual(one))] }
  },
  connections: async (before) => ({ speed: [...before.speed.filter(isUsual), ...await atOnce()] }),
  allocations: async () => ({
    allocations: await measureAllocations(
      chosen,
      quick ? { ...allocationsPlan, requests: 100, warmUp: 0, rounds: 1 } : allocationsPlan
    )
  }),
  seals: async () => ({ seals: await measureSeals(quick ? { ...sealsPlan, sizes: [300], rounds: 1 } : sealsPlan) }),
  memory: async () => ({
    memory: await measureMemory(quick ? { ...memoryPlan, sessions: 10_000, sweeps: 1 } : memoryPlan)
  }),
  correctness: async () => ({ correctness: await findOut(quick ? inCorrectness.slice(0, 1) : inCorrectness) })
}

/** The tables of the report that show each part. */
const tablesOf: Readonly<Record<string, ReadonlyArray<string>>> = {
  speed: ["redis", "others", "ratios", "floor", "sizes", "versions"],
  connections: ["connections"],
  allocations: ["allocations", "floor"],
  seals: ["seals"],
  memory: ["memory"],
  correctness: ["correctness"]
}

const page = new URL("../docs/comparison/measurements.md", import.meta.url)
const chart = new URL("../docs/comparison/speed.svg", import.meta.url)

/** Puts the tables between their marks in the page. */
const writeReport = (results: Results): void => {
  const text = readFileSync(page, "utf8").replace(
    /(<!-- bench:(\w+) -->\n)[^]*?(<!-- bench:end -->)/g,
    (_, begin: string, part: string, end: string) => `${begin}\n${toReport(results)[part]!}\n\n${end}`
  )
  writeFileSync(page, text)
  mkdirSync(new URL(".", chart), { recursive: true })
  writeFileSync(chart, toChartOf(results))
}

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1))
leaveServerCore()
const isKept = only === undefined && !quick
let results = read()
for (const part of parts.filter((part) => part !== "report")) {
  const measure = measurements[part]
  if (measure === undefined) {
    throw new Error(`No such part: ${part}. There are: ${Object.keys(measurements).join(", ")}`)
  }
  console.log(`Measuring ${part} …`)
  const found = await measure(results)
  results = isKept ? write(found) : { ...results, ...found }
}
if (parts.includes("speed")) console.log(JSON.stringify(results.settings, undefined, 2))
for (const [name, text] of Object.entries(toReport(results))) {
  if (parts.some((part) => part === "report" || tablesOf[part]!.includes(name))) console.log(`\n## ${name}\n\n${text}`)
}
if (isKept) writeReport(results)
process.exit()
