/**
 * What a session takes in memory, beside the same data in a Map without any library; and how long it takes to remove the
 * expired ones.
 */
import { type Figure, startAlone, table } from "./alone.ts"
import type { Answer, Question, Sweep } from "./holding.ts"
import { median } from "./speed.ts"

/** Who all others are compared with. */
const floor = "bare data"

const candidates = [floor, "effect-session", "express-session", "hono-sessions"]

export const standardPlan: Question = { sessions: 1_000_000, bytes: 300, sweeps: 5 }

const flags = ["--expose-gc", "--max-old-space-size=8192"]

export const measureMemory = async (plan: Question = standardPlan): Promise<ReadonlyArray<Figure>> => {
  const answers: Array<readonly [candidate: string, answer: Answer]> = []
  for (const candidate of candidates) {
    const { ask, stop } = startAlone<Question, Answer>("holding", candidate, flags)
    answers.push([candidate, await ask(plan).finally(stop)])
  }
  const bare = answers[0]![1].memory
  const { bytes } = plan
  return [
    ...answers.map(([candidate, { memory }]): Figure => ({
      candidate,
      operation: `memory per session of ${count(plan.sessions)}`,
      bytes,
      unit: "bytes",
      value: memory,
      ratio: memory / bare
    })),
    ...answers.flatMap(([candidate, { allAlive, halfExpired }]) => [
      ...sweepFigures(candidate, `sweep of ${count(plan.sessions)}, all alive`, bytes, allAlive),
      ...sweepFigures(candidate, `sweep of ${count(plan.sessions)}, half expired`, bytes, halfExpired)
    ])
  ]
}

const sweepFigures = (
  candidate: string,
  operation: string,
  bytes: number,
  sweeps: ReadonlyArray<Sweep>
): ReadonlyArray<Figure> => {
  if (sweeps.length === 0) return []
  const figure = (operation: string, value: number): Figure => ({
    candidate,
    operation,
    bytes,
    unit: "ms",
    value,
    ratio: undefined
  })
  return [
    figure(operation, median(sweeps.map(({ total }) => total))),
    figure(`${operation}, longest standstill`, Math.max(...sweeps.map(({ standstill }) => standstill)))
  ]
}

const count = (number: number): string => number.toLocaleString("en")

if (import.meta.main) console.log(table(await measureMemory()))
