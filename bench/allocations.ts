/**
 * What a request allocates, of each candidate by itself. It is what the garbage collector has to clear away, and, unlike CPU
 * time, it does not depend on what else the machine does: so two candidates are measured at a time.
 */
import { existsSync } from "node:fs"
import { tmpdir } from "node:os"
import { withBackends } from "./backends.ts"
import { type Candidate, type Operation, operations } from "./candidates.ts"
import { type Client, runTimes } from "./load.ts"
import { type Running, startCandidate } from "./processes.ts"
import { connectClients, median } from "./speed.ts"

export interface Plan {
  readonly connections: number
  /** The size of a session. */
  readonly bytes: number
  /** How many requests there are for each operation in one round. */
  readonly requests: number
  /** How many rounds come before those that count: code that is not optimized allocates more. */
  readonly warmUp: number
  readonly rounds: number
}

export const standardPlan: Plan = { connections: 50, bytes: 300, requests: 300, warmUp: 6, rounds: 3 }

// V8 optimizes what has been called some thousand times. With a tenth or a third of that, a server allocates after 2,000
// requests of a kind what it would after 12,000: within a percent the same, as long as it sees all kinds of requests.
const flags = ["--invocation-count-for-maglev=200", "--invocation-count-for-turbofan=1000"]

/** Of one operation of one candidate: the medians of the rounds, in bytes per request. */
export interface Allocated {
  readonly candidate: string
  readonly operation: Operation
  readonly total: number
  /** The same, less that of the bare server in the same round. */
  readonly own: number
}

export const measureAllocations = (
  candidates: ReadonlyArray<Candidate>,
  plan: Plan = standardPlan
): Promise<ReadonlyArray<Allocated>> =>
  withBackends(candidates, async (environment) => {
    const allocated: Array<ReadonlyArray<Allocated>> = []
    const left = candidates.entries()
    const measureNext = async () => {
      for (const [index, candidate] of left) {
        const server = await startCandidate(candidate.module, { ...candidate, environment, flags, core: "any" })
        allocated[index] = await measureOne(plan, candidate, server).finally(server.stop)
      }
    }
    await Promise.all([measureNext(), measureNext()])
    return allocated.flat()
  }, inMemory)

/** What is allocated is the same without a disk, and files are written a hundred times faster. */
const inMemory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()

type Round = Readonly<Record<Operation, number>>

const measureOne = async (plan: Plan, { name }: Candidate, server: Running): Promise<ReadonlyArray<Allocated>> => {
  const clients = await connectClients(server, plan)
  const all: Array<Round> = []
  for (let index = 0; index < plan.warmUp + plan.rounds; index++) {
    // Some libraries throw away at a login what is in the session.
    for (const client of clients) await client.get(`/fill?bytes=${plan.bytes}`)
    all.push(await measureRound(clients, server, plan.requests))
  }
  for (const client of clients) client.close()
  const rounds = all.slice(plan.warmUp)
  return operations.map((operation) => ({
    candidate: name,
    operation,
    total: median(rounds.map((round) => round[operation])),
    own: median(rounds.map((round) => round[operation] - round.bare))
  }))
}

/** All operations in turn, as on a server that is in use: V8 optimizes what it has seen. */
const measureRound = async (clients: ReadonlyArray<Client>, server: Running, requests: number): Promise<Round> => {
  const found: Array<readonly [Operation, number]> = []
  for (const operation of operations) {
    await server.ask("startCounting")
    await runTimes(clients, `/${operation}`, requests)
    const { bytes } = await server.ask("stopCounting")
    found.push([operation, bytes / requests])
  }
  return Object.fromEntries(found) as Round
}
