/** Sealing and opening alone: CPU time per operation, and its ratio to AES-256-GCM of node:crypto without any library. */
import { type Alone, type Figure, startAlone, table } from "./alone.ts"
import type { Answer, Question } from "./sealing.ts"
import { median } from "./speed.ts"

const given = {
  text: [
    "AES-256-GCM",
    "effect-session",
    "ChaCha20-Poly1305",
    "libsodium, XChaCha20-Poly1305",
    "libsodium, secretbox"
  ],
  values: [
    "AES-256-GCM",
    "effect-session",
    "@fastify/secure-session",
    "AdonisJS, AES-256-GCM",
    "AdonisJS, ChaCha20-Poly1305",
    "iron-session"
  ]
}

/** Who all others of the same kind are compared with. */
const floor = "AES-256-GCM"

const operations = ["seal", "open"] as const

export interface Plan {
  readonly sizes: ReadonlyArray<number>
  readonly rounds: number
  /** How long a candidate does one operation in one round. Short, as machines have fast and slow seconds. */
  readonly milliseconds: number
}

export const standardPlan: Plan = { sizes: [300, 2_800, 30_000], rounds: 11, milliseconds: 20 }

interface Running {
  readonly kind: string
  readonly candidate: string
  readonly alone: Alone<Question, Answer>
}

const start = (): ReadonlyArray<Running> =>
  Object.entries(given).flatMap(([kind, candidates]) =>
    candidates.map((candidate) => ({ kind, candidate, alone: startAlone("sealing", `${kind} ${candidate}`, flags) }))
  )

// On one core the threads of the garbage collector get into each other's way, and how often is a matter of luck.
const flags = ["--single-threaded-gc"]

export const measureSeals = async (plan: Plan = standardPlan): Promise<ReadonlyArray<Figure>> => {
  const running = start()
  try {
    const tasks = plan.sizes.flatMap((bytes) =>
      operations.flatMap((operation) =>
        running.map((running) => ({ ...running, bytes, operation, values: new Array<number>() }))
      )
    )
    for (let round = 0; round < plan.rounds; round++) {
      for (const { alone, bytes, operation, values } of tasks) {
        values.push(await alone.ask({ operation, bytes, milliseconds: plan.milliseconds }))
      }
    }
    return tasks.map(({ bytes, candidate, kind, operation, values }) => {
      const least = tasks.find((other) =>
        other.candidate === floor && other.kind === kind && other.bytes === bytes && other.operation === operation
      )!
      return {
        candidate,
        operation: `${operation} ${kind}`,
        bytes,
        unit: "µs",
        value: median(values),
        ratio: median(values.map((value, round) => value / least.values[round]!))
      }
    })
  } finally {
    for (const { alone } of running) alone.stop()
  }
}

if (import.meta.main) console.log(table(await measureSeals()))
