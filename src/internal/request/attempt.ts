/**
 * Trying a value that may be tried so often: what is committed before, and what afterwards if somebody was right.
 */
import type * as Clock from "effect/Clock"
import * as Life from "../record/life.ts"
import type { Aside } from "./aside.ts"

/** Counts. */
export const begun = (field: string, attempts: number, clock: Clock.Clock): Aside<Life.Trying> => ({
  reads: [field],
  decide: (fields) => {
    const trying = Life.tried(fields.get(field), attempts, clock.currentTimeMillisUnsafe())
    return trying._tag === "Begun"
      ? { answer: trying, writes: new Map([[field, trying.text]]) }
      : { answer: trying }
  }
})

/** Somebody was right, and has it if nobody else had it before. */
export const ended = (field: string, put: string | undefined, clock: Clock.Clock): Aside<boolean> => ({
  reads: [field],
  decide: (fields) =>
    Life.isOf(fields.get(field), put, clock.currentTimeMillisUnsafe())
      ? { answer: true, writes: new Map([[field, undefined]]) }
      : { answer: false }
})
