/**
 * What the process of every candidate has in common: it tells its port and its settings, and answers how much CPU time
 * it has taken so far, and what it allocates.
 *
 * A candidate serves these, each written as its own documentation does it:
 *
 * - `/bare`: the server alone, without the session's middleware
 * - `/untouched`: with it, and a handler that does not use the session
 * - `/read`: answers with the session's `page`
 * - `/write`: puts another `page`
 * - `/increment`: adds one to `count`
 * - `/login`: gives the session a new id, and puts `user`
 * - `/fill?bytes=300`: puts {@link contentOf} so many bytes
 * - if it keeps sessions on a server, the paths of scenarios.ts
 */
import type { Server } from "node:http"
import { type HeapProfiler, Session } from "node:inspector/promises"
import type { AddressInfo } from "node:net"

export const secret = "bench-bench-bench-bench-bench-bench-bench"

export const redisUrl = process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379"

/**
 * For a client of node-redis. It has a timer for each command, from version 6 on, which costs much: under
 * load no candidate has it, but where Redis fails, all of them have their clients as they come.
 */
export const nodeRedisOptions = {
  url: redisUrl,
  ...(process.env["COMMAND_TIMER"] === "none" && { commandOptions: { timeout: 0 } })
}

/** The command line names which of its variants a module shall be. */
export const variant = process.argv[2] ?? ""

/** Another value each time, or the candidates that compare would not write. */
export const nextPage = (): string => `/page/${++pages}`
let pages = 0

export interface Ready {
  readonly port: number
  readonly settings: unknown
}

/** Tells the parent process that the server listens. */
export const ready = (server: Server | number, settings: unknown): void => {
  const port = typeof server === "number" ? server : (server.address() as AddressInfo).port
  process.send!({ port, settings } satisfies Ready)
}

/** CPU time in microseconds, user and system, of all threads. */
export interface Usage {
  readonly cpu: number
}

/** What was allocated between the start and the stop of sampling, in bytes. */
export interface Allocations {
  readonly bytes: number
}

/** What the parent process may ask, and what it gets for an answer. */
export interface Answers {
  readonly usage: Usage
  readonly startSampling: {}
  readonly stopSampling: Allocations
}
export type Question = keyof Answers

const inspector = new Session()

// Most of what a request allocates is garbage before the end, and belongs to the figure all the same.
const sampling = {
  samplingInterval: 1024,
  includeObjectsCollectedByMajorGC: true,
  includeObjectsCollectedByMinorGC: true
}

const bytesOf = ({ children, selfSize }: HeapProfiler.SamplingHeapProfileNode): number =>
  children.reduce((sum, child) => sum + bytesOf(child), selfSize)

const answers: { readonly [Q in Question]: () => Promise<Answers[Q]> } = {
  usage: async () => {
    const { system, user } = process.cpuUsage()
    return { cpu: user + system }
  },
  startSampling: async () => {
    inspector.connect()
    await inspector.post("HeapProfiler.startSampling", sampling)
    return {}
  },
  stopSampling: async () => {
    const { profile } = await inspector.post("HeapProfiler.stopSampling")
    inspector.disconnect()
    return { bytes: bytesOf(profile.head) }
  }
}

process.on("message", async (question: Question) => process.send!(await answers[question]()))
process.on("disconnect", () => process.exit())
