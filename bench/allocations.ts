/**
 * What a request allocates, of all candidates in turn, round by round. It is what the garbage collector has to clear away,
 * and, unlike CPU time, it hardly depends on what else the machine does.
 */
import { runTimes } from "./load.ts"
import type { Running } from "./processes.ts"
import { type Candidate, connectClients, median, type Operation, operations, withCandidates } from "./speed.ts"

export interface Plan {
  readonly connections: number
  /** The size of a session. */
  readonly bytes: number
  readonly rounds: number
  /** How many requests come before those that are measured, for one operation in one round. */
  readonly warmUp: number
  /** How many are measured. */
  readonly requests: number
}

// Code that is not optimized allocates more, and when the profiler stops, V8 collects all garbage and throws away much of
// the code that it had optimized. It takes some 10,000 requests to have all of it again.
export const standardPlan: Plan = { connections: 50, bytes: 300, rounds: 3, warmUp: 12_000, requests: 2_000 }

/** Of one operation of one candidate: the medians of the rounds, in bytes per request. */
export interface Allocated {
  readonly candidate: string
  readonly operation: Operation
  readonly total: number
  /** The same, less that of the bare server in the same round. */
  readonly own: number
}

type Round = Readonly<Record<Operation, number>>

export const measureAllocations = (
  candidates: ReadonlyArray<Candidate>,
  plan: Plan = standardPlan
): Promise<ReadonlyArray<Allocated>> =>
  withCandidates(candidates, async (running) => {
    const allocated: Array<Allocated> = []
    for (const { candidate, server } of running) {
      const rounds: Array<Round> = []
      for (let index = 0; index < plan.rounds; index++) rounds.push(await measureRound(plan, server))
      allocated.push(...operations.map((operation) => ({
        candidate: candidate.name,
        operation,
        total: median(rounds.map((round) => round[operation])),
        own: median(rounds.map((round) => round[operation] - round.bare))
      })))
    }
    return allocated
  })

const measureRound = async (plan: Plan, server: Running): Promise<Round> => {
  const { requests, warmUp } = plan
  const clients = await connectClients(server, plan)
  const found: Array<readonly [Operation, number]> = []
  for (const operation of operations) {
    const path = `/${operation}`
    await runTimes(clients, path, warmUp)
    await server.ask("startSampling")
    await runTimes(clients, path, requests)
    const { bytes } = await server.ask("stopSampling")
    found.push([operation, bytes / requests])
  }
  for (const client of clients) client.close()
  return Object.fromEntries(found) as Round
}
