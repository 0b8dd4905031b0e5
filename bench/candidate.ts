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
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { countAllocations } from "./heap.ts"

export const secret = "bench-bench-bench-bench-bench-bench-bench"

export const redisUrl = process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379"

export const postgresUrl = process.env["POSTGRES_URL"] ?? "postgres://postgres@127.0.0.1:5432/postgres"

/** How many connections to PostgreSQL each candidate has. */
export const poolSize = 10

/** For what is kept in files: one that is there. */
export const folder = process.env["FOLDER"] ?? tmpdir()

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

/** What was allocated between the start and the stop of counting, in bytes. */
export interface Allocations {
  readonly bytes: number
}

/** What the parent process may ask, and what it gets for an answer. */
export interface Answers {
  readonly usage: Usage
  readonly startCounting: {}
  readonly stopCounting: Allocations
}
export type Question = keyof Answers

let stopCounting: () => number

const answers: { readonly [Q in Question]: () => Promise<Answers[Q]> } = {
  usage: async () => {
    const { system, user } = process.cpuUsage()
    return { cpu: user + system }
  },
  startCounting: async () => {
    stopCounting = countAllocations()
    return {}
  },
  stopCounting: async () => ({ bytes: stopCounting() })
}

process.on("message", async (question: Question) => process.send!(await answers[question]()))
process.on("disconnect", () => process.exit())
