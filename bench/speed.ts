/**
 * CPU time per request, requests per second and times to an answer, of all candidates in turn, round by round.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Client, connectClient, run } from "./load.ts"
import { type Running, startCandidate, startRedis } from "./processes.ts"

export const operations = ["bare", "untouched", "read", "write", "increment", "login"] as const
export type Operation = typeof operations[number]

export interface Candidate {
  readonly name: string
  readonly kind: "redis" | "cookie" | "memory" | "file" | "floor"
  readonly module: string
  readonly variant?: string
}

export const candidates: ReadonlyArray<Candidate> = [
  { name: "effect-session, ioredis 5", kind: "redis", module: "effectSession", variant: "ioredis5" },
  { name: "effect-session, ioredis 6", kind: "redis", module: "effectSession", variant: "ioredis6" },
  { name: "effect-session, node-redis", kind: "redis", module: "effectSession", variant: "node-redis" },
  { name: "express-session", kind: "redis", module: "express" },
  { name: "@fastify/session", kind: "redis", module: "fastify", variant: "rolling" },
  { name: "@fastify/session, rolling: false", kind: "redis", module: "fastify", variant: "session" },
  { name: "hono-sessions, encrypted id", kind: "redis", module: "hono", variant: "encrypted" },
  { name: "hono-sessions, plain id", kind: "redis", module: "hono", variant: "plain" },
  { name: "@adonisjs/session, redis", kind: "redis", module: "adonis", variant: "redis" },
  { name: "by hand in Effect, ioredis 5", kind: "floor", module: "byHand", variant: "ioredis5" },
  { name: "by hand in Effect, ioredis 6", kind: "floor", module: "byHand", variant: "ioredis6" },
  { name: "by hand in Effect, node-redis", kind: "floor", module: "byHand", variant: "node-redis" },
  {
    name: "by hand in Effect, ioredis 5, loads first",
    kind: "floor",
    module: "byHand",
    variant: "ioredis5, loads first"
  },
  {
    name: "by hand in Effect, node-redis, loads first",
    kind: "floor",
    module: "byHand",
    variant: "node-redis, loads first"
  },
  { name: "node:http, ioredis 5", kind: "floor", module: "nodeHttp", variant: "ioredis5" },
  { name: "node:http, ioredis 6", kind: "floor", module: "nodeHttp", variant: "ioredis6" },
  { name: "node:http, node-redis", kind: "floor", module: "nodeHttp", variant: "node-redis" },
  { name: "effect-session, cookie", kind: "cookie", module: "effectSession", variant: "cookie" },
  { name: "@fastify/secure-session", kind: "cookie", module: "fastify", variant: "secure-session" },
  { name: "iron-session", kind: "cookie", module: "iron" },
  { name: "@adonisjs/session, cookie", kind: "cookie", module: "adonis", variant: "cookie" },
  { name: "effect-session, memory", kind: "memory", module: "effectSession", variant: "memory" },
  { name: "effect-session, file", kind: "file", module: "effectSession", variant: "file" }
]

export interface Plan {
  readonly candidates: ReadonlyArray<Candidate>
  readonly operations: ReadonlyArray<Operation>
  readonly connections: number
  /** The size of a session. */
  readonly bytes: number
  readonly rounds: number
  /** How long a candidate is under load for one operation in one round. */
  readonly milliseconds: number
}

/** Of one operation of one candidate: the medians of the rounds. */
export interface Measured {
  readonly candidate: string
  readonly operation: Operation
  readonly connections: number
  readonly bytes: number
  /** CPU time of the server's process per request, in microseconds. */
  readonly cpu: number
  /** The same, less that of the bare server in the same round. */
  readonly own: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

export interface Outcome {
  readonly measured: ReadonlyArray<Measured>
  /** Of each candidate, as it tells them. */
  readonly settings: Readonly<Record<string, unknown>>
}

interface Round {
  readonly cpu: number
  readonly own: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

export interface Started {
  readonly candidate: Candidate
  readonly server: Running
}

/** Starts the candidates, with a Redis for all of them, and stops them after their use. */
export const withCandidates = async <A>(
  candidates: ReadonlyArray<Candidate>,
  use: (running: ReadonlyArray<Started>) => Promise<A>
): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "effect-session-bench-"))
  const redis = await startRedis()
  const running: Array<Started> = []
  try {
    for (const candidate of candidates) {
      const environment = { REDIS_URL: redis.url, FOLDER: folder, COMMAND_TIMER: "none" }
      running.push({ candidate, server: await startCandidate(candidate.module, { ...candidate, environment }) })
    }
    return await use(running)
  } finally {
    await Promise.all(running.map(({ server }) => server.stop()))
    await redis.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Clients that have a session each. */
export const connectClients = async (
  { port }: Running,
  { bytes, connections }: Pick<Plan, "bytes" | "connections">
): Promise<ReadonlyArray<Client>> => {
  const clients: Array<Client> = []
  for (let index = 0; index < connections; index++) clients.push(await connectClient(port))
  for (const client of clients) await client.get(`/fill?bytes=${bytes}`)
  return clients
}

export const measure = (plan: Plan): Promise<Outcome> =>
  withCandidates(plan.candidates, async (running) => {
    // The first round is for warming up.
    const rounds: Array<Map<string, Round>> = []
    for (let index = 0; index <= plan.rounds; index++) {
      const round = new Map<string, Round>()
      for (const { candidate, server } of running) await measureRound(plan, candidate, server, round)
      if (index > 0) rounds.push(round)
    }
    const measured = running.flatMap(({ candidate: { name } }) =>
      plan.operations.map((operation) => ({
        candidate: name,
        operation,
        connections: plan.connections,
        bytes: plan.bytes,
        ...mediansOf(rounds.map((round) => round.get(`${name} ${operation}`)!))
      }))
    )
    return { measured, settings: Object.fromEntries(running.map((one) => [one.candidate.name, one.server.settings])) }
  })

const measureRound = async (plan: Plan, { name }: Candidate, server: Running, round: Map<string, Round>) => {
  const clients = await connectClients(server, plan)
  const usedCpu = async () => (await server.ask("usage")).cpu
  let bare = 0
  for (const operation of plan.operations) {
    await run(clients, `/${operation}`, plan.milliseconds / 5)
    const before = await usedCpu()
    const { p50, p99, requests, seconds } = await run(clients, `/${operation}`, plan.milliseconds)
    const cpu = (await usedCpu() - before) / requests
    if (operation === "bare") bare = cpu
    round.set(`${name} ${operation}`, { cpu, own: cpu - bare, perSecond: requests / seconds, p50, p99 })
  }
  for (const client of clients) client.close()
}

const mediansOf = (rounds: ReadonlyArray<Round>): Round => {
  const of = (field: keyof Round) => median(rounds.map((round) => round[field]))
  return { cpu: of("cpu"), own: of("own"), perSecond: of("perSecond"), p50: of("p50"), p99: of("p99") }
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
