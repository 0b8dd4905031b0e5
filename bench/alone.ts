/** What is measured without a server: in processes on the core where servers are measured. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { serverCore } from "./processes.ts"
import { toTable } from "./table.ts"

/** One figure of one candidate. */
export interface Figure {
  readonly candidate: string
  readonly operation: string
  /** The size of a session. */
  readonly bytes: number
  readonly unit: "µs" | "ms" | "bytes"
  /** The median of the rounds; of what is the longest of something, the longest of all rounds. */
  readonly value: number
  /** To the floor of the same round, if there is one; the median of the rounds. */
  readonly ratio: number | undefined
}

export interface Alone<Question, Answer> {
  readonly ask: (question: Question) => Promise<Answer>
  readonly stop: () => void
}

/** Starts a module of this folder that calls {@link answerWith}. */
export const startAlone = <Question extends object, Answer>(
  module: string,
  candidate = "",
  flags: ReadonlyArray<string> = []
): Alone<Question, Answer> => {
  const file = new URL(`${module}.ts`, import.meta.url).pathname
  const child = spawn("taskset", ["--cpu-list", serverCore, process.execPath, ...flags, file, candidate], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    env: { ...process.env, NODE_ENV: "production", NODE_NO_WARNINGS: "1" }
  })
  const ended = once(child, "exit").then(() => {
    throw new Error(`${module} ${candidate} has ended`)
  })
  ended.catch(() => {})
  return {
    ask: async (question) => {
      child.send(question)
      const [answer] = await Promise.race([once(child, "message", { signal: AbortSignal.timeout(timeLimit) }), ended])
      return answer as Answer
    },
    stop: () => void child.kill("SIGKILL")
  }
}

const timeLimit = 300_000

/** In the process: answers each question that the parent asks. */
export const answerWith = <Question, Answer>(answer: (question: Question) => Promise<Answer>): void => {
  process.on("message", (question) => void answer(question as Question).then((answer) => process.send!(answer)))
  process.on("disconnect", () => process.exit())
}

/** Collects all garbage there is; needs `--expose-gc`. */
export const collectGarbage = (): void => {
  for (let times = 0; times < 3; times++) globalThis.gc!()
}

export const table = (figures: ReadonlyArray<Figure>): string =>
  toTable(
    ["", "operation", "bytes", "value", "ratio"],
    figures.map(({ bytes, candidate, operation, ratio, unit, value }) => [
      candidate,
      operation,
      String(bytes),
      `${value.toFixed(unit === "bytes" ? 0 : 2)} ${unit}`,
      ratio === undefined ? "" : ratio.toFixed(2)
    ])
  )
