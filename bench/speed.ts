/**
 * CPU time per request, requests per second and times to an answer, of all candidates in turn, round by round.
 */
import { withBackends } from "./backends.ts"
import type { Candidate, Operation } from "./candidates.ts"
import { type Client, connectClient, run } from "./load.ts"
import { type Running, startCandidate } from "./processes.ts"

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

interface Started {
  readonly candidate: Candidate
  readonly server: Running
}

/** Starts the candidates, with what they keep their sessions in, and stops them after their use. */
const withCandidates = <A>(
  candidates: ReadonlyArray<Candidate>,
  use: (running: ReadonlyArray<Started>) => Promise<A>
): Promise<A> =>
  withBackends(candidates, async (environment) => {
    const running: Array<Started> = []
    try {
      for (const candidate of candidates) {
        running.push({ candidate, server: await startCandidate(candidate.module, { ...candidate, environment }) })
      }
      return await use(running)
    } finally {
      await Promise.all(running.map(({ server }) => server.stop()))
    }
  })

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
