/**
 * The results as Markdown tables, for the terminal and for the documentation.
 */
import type { Allocated } from "./allocations.ts"
import type { Figure } from "./alone.ts"
import { type Candidate, candidates, type Operation } from "./candidates.ts"
import { toChart } from "./chart.ts"
import { toTables } from "./correctness.ts"
import type { Results } from "./results.ts"
import type { Measured } from "./speed.ts"
import { toTable } from "./table.ts"

const microseconds = (value: number | undefined): string =>
  value === undefined ? "" : Math.max(0, value).toFixed(value < 9.95 ? 1 : 0)

const thousands = (value: number | undefined): string => value === undefined ? "" : `${(value / 1000).toFixed(1)}k`

interface Case {
  readonly bytes: number
  readonly connections: number
}

const finder =
  (speed: ReadonlyArray<Measured>, { bytes, connections }: Case) => (candidate: string, operation: Operation) =>
    speed.find((one) =>
      one.candidate === candidate && one.operation === operation && one.bytes === bytes &&
      one.connections === connections
    )

const named = (kinds: ReadonlyArray<Candidate["kind"]>): ReadonlyArray<string> =>
  candidates.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => name)

const changing = ["untouched", "read", "write", "increment", "login"] as const

/** What a session adds to a request: CPU time over the same server's without one; and the whole request for a read. */
export const toSpeedTable = (
  speed: ReadonlyArray<Measured>,
  wanted: Case,
  kinds: ReadonlyArray<Candidate["kind"]>
): string => {
  const find = finder(speed, wanted)
  const rows = named(kinds).filter((name) => find(name, "read") !== undefined).map((name) => [
    name,
    ...changing.map((operation) => microseconds(find(name, operation)?.own)),
    thousands(find(name, "read")?.perSecond),
    thousands(find(name, "write")?.perSecond),
    find(name, "read")!.p99.toFixed(1)
  ])
  return toTable(["µs of CPU", ...changing, "reads/s", "writes/s", "p99 ms"], rows)
}

const sizeName = (bytes: number): string => bytes < 1000 ? `${bytes} B` : `${bytes / 1000} kB`

/** How it grows with the size of a session. */
export const toSizesTable = (
  speed: ReadonlyArray<Measured>,
  sizes: ReadonlyArray<number>,
  connections: number
): string => {
  const rows = named(["redis", "floor", "cookie", "memory", "sql", "file"])
    .map((name) => [
      name,
      ...sizes.flatMap((bytes) =>
        (["read", "write"] as const).map((operation) =>
          microseconds(finder(speed, { bytes, connections })(name, operation)?.own)
        )
      )
    ])
    .filter(([, ...cells]) => cells.some((cell) => cell !== ""))
  return toTable(["µs of CPU", ...sizes.flatMap((bytes) => [`${sizeName(bytes)}, read`, "write"])], rows)
}

/** How it grows with the number of requests at the same time. */
export const toConnectionsTable = (
  speed: ReadonlyArray<Measured>,
  bytes: number,
  all: ReadonlyArray<number>
): string => {
  const rows = named(["redis", "floor"])
    .map((name) => [
      name,
      ...all.flatMap((connections) => {
        const read = finder(speed, { bytes, connections })(name, "read")
        return [microseconds(read?.own), read === undefined ? "" : read.p99.toFixed(1)]
      })
    ])
    .filter(([, ...cells]) => cells.every((cell) => cell !== ""))
  return toTable(["a read", ...all.flatMap((connections) => [`${connections}: µs`, "p99 ms"])], rows)
}

/** The goals of the project: what a session of ours takes, as a part of what the best peer's takes. */
export const toRatios = (speed: ReadonlyArray<Measured>, wanted: Case): string => {
  const find = finder(speed, wanted)
  const peers = named(["redis"]).filter((name) => !name.startsWith("effect-session"))
  const best = (operation: Operation) => {
    const values = peers.map((name) => [name, find(name, operation)?.own ?? Infinity] as const)
    return values.toSorted(([, one], [, other]) => one - other)[0]!
  }
  const ratio = (name: string, operation: Operation) => {
    const [, value] = best(operation === "untouched" ? "read" : operation)
    return Math.max(0, (find(name, operation)?.own ?? Number.NaN) / value).toFixed(2)
  }
  const rows = named(["redis"]).filter((name) => name.startsWith("effect-session"))
    .map((name) => [name, ...changing.map((operation) => ratio(name, operation))])
  const bests = changing.map((operation) => {
    const [name, value] = best(operation === "untouched" ? "read" : operation)
    return `${name}, ${value.toFixed(0)}`
  })
  return toTable(["part of the best peer's", ...changing], [["best peer, µs", ...bests], ...rows])
}

/** And as a multiple of what it takes by hand in Effect, on the same client: CPU time, and what is allocated. */
const toFloorRatios = ({ allocations, speed }: Results, wanted: Case): string => {
  const cpu = finder(speed, wanted)
  const bytes = allocationsFinder(allocations)
  const ratio = (ours: number | undefined, floor: number | undefined) =>
    ours === undefined || floor === undefined ? "" : Math.max(0, ours / floor).toFixed(2)
  const rows = named(["floor"]).filter((name) => name.startsWith(byHand))
    .map((name) => {
      const [client, ...others] = name.slice(byHand.length).split(", ")
      const ours = `effect-session, ${client}`
      return [
        [ours, ...others.map((other) => `by hand ${other}`)].join("; "),
        ...compared.flatMap((operation) => [
          ratio(cpu(ours, operation)?.own, cpu(name, operation)?.own),
          ratio(bytes(ours, operation)?.own, bytes(name, operation)?.own)
        ])
      ]
    })
    .filter(([, ...cells]) => cells.some((cell) => cell !== ""))
  return toTable(["multiple of by hand", ...compared.flatMap((operation) => [`${operation}, µs`, "bytes"])], rows)
}

const byHand = "by hand in Effect, "
const compared = ["read", "write", "increment", "login"] as const

export const toVersions = ({ date, machine, versions }: Results): string =>
  `Measured on ${date} with ${machine}; ${
    Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")
  }.`

const common: Case = { bytes: 300, connections: 50 }

/** All that the page of measurements shows, by the names of the places where it is. */
export const toReport = (results: Results): Readonly<Record<string, string>> => {
  const { allocations, correctness, memory, seals, speed } = results
  return {
    redis: toSpeedTable(speed, common, ["redis", "floor"]),
    others: toSpeedTable(speed, common, ["cookie", "memory", "sql", "file"]),
    ratios: toRatios(speed, common),
    floor: toFloorRatios(results, common),
    sizes: toSizesTable(speed, [300, 2_800, 30_000], common.connections),
    connections: toConnectionsTable(speed, common.bytes, [1, 10, 100, 1_000]),
    allocations: toAllocationsTable(allocations),
    seals: toSealsTable(seals),
    memory: toMemoryTable(memory),
    correctness: toTables(correctness),
    versions: toVersions(results)
  }
}

/** The third digit moves from run to run. */
const wholeBytes = (value: number | undefined): string =>
  value === undefined
    ? ""
    : Number(Math.max(0, value).toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 0 })

const allocationsFinder =
  (allocations: ReadonlyArray<Allocated>) => (candidate: string, operation: Operation): Allocated | undefined =>
    allocations.find((one) => one.candidate === candidate && one.operation === operation)

/** What a request of the bare server allocates, and what a session adds to it. */
const toAllocationsTable = (allocations: ReadonlyArray<Allocated>): string => {
  const find = allocationsFinder(allocations)
  const rows = named(["redis", "floor", "cookie", "memory", "sql", "file"])
    .filter((name) => find(name, "bare") !== undefined)
    .map((name) => [
      name,
      ...changing.map((operation) => wholeBytes(find(name, operation)?.own)),
      wholeBytes(find(name, "bare")?.total)
    ])
  return toTable(["bytes", ...changing, "bare server"], rows)
}

/** A table for those that seal a text, and one for those that seal values and make the text themselves. */
const toSealsTable = (seals: ReadonlyArray<Figure>): string =>
  ["text", "values"].map((kind) => {
    const figures = seals.filter(({ operation }) => operation.endsWith(kind))
    const columns = [...new Set(figures.map(({ bytes, operation }) => toColumn(operation, bytes)))]
    const cell = (name: string, column: string) => {
      const figure = figures.find(({ bytes, candidate, operation }) =>
        candidate === name && toColumn(operation, bytes) === column
      )
      return figure === undefined ? "" : `${microseconds(figure.value)} (${figure.ratio?.toFixed(2)})`
    }
    const names = [...new Set(figures.map(({ candidate }) => candidate))]
    const rows = names.map((name) => [name, ...columns.map((column) => cell(name, column))])
    return toTable([kind === "text" ? "a text" : "values, as JSON", ...columns], rows)
  }).join("\n\n")

const toColumn = (operation: string, bytes: number): string => `${operation.split(" ")[0]} ${sizeName(bytes)}`

const toMemoryTable = (memory: ReadonlyArray<Figure>): string =>
  toTable(
    ["", "what", "value", "ratio"],
    memory.map(({ candidate, operation, ratio, unit, value }) => [
      candidate,
      operation,
      `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`,
      ratio?.toFixed(2) ?? ""
    ])
  )

const shown = ["untouched", "read", "write"] as const

/** By hand, us, and the peers. */
export const toChartOf = ({ speed }: Results): string => {
  const find = finder(speed, common)
  const isOurs = (name: string) => name.startsWith("effect-session")
  const [floors, others] = [named(["floor"]).filter((name) => name.startsWith(byHand)), named(["redis"])]
  const bars = [
    ...floors.map((name) => ({ name, kind: "floor" }) as const),
    ...others.filter(isOurs).map((name) => ({ name, kind: "ours" }) as const),
    ...others.filter((name) => !isOurs(name)).map((name) => ({ name, kind: "peer" }) as const)
  ]
    .filter(({ name }) => find(name, "read") !== undefined)
    .map(({ kind, name }) => ({ name, kind, values: shown.map((operation) => find(name, operation)!.own) }))
  return toChart("What a session in Redis adds to a request: µs of CPU", shown, bars, 120)
}
