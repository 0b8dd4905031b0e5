/**
 * Trying a value with limited attempts: one commit before the check counts the attempt, and one after a successful
 * check removes the value.
 */
import type * as Clock from "effect/Clock"
import * as Life from "../record/life.ts"
import type { Aside } from "./aside.ts"

/** Counts the attempt. */
export const begun = (field: string, attempts: number, clock: Clock.Clock): Aside<Life.Trying> => ({
  reads: [field],
  decide: (fields) => {
    const trying = Life.tried(fields.get(field), attempts, clock.currentTimeMillisUnsafe())
    return trying._tag === "Begun"
      ? { answer: trying, writes: new Map([[field, trying.text]]) }
      : { answer: trying }
  }
})

/** Removes the value after a correct attempt; fails if another request has taken it first. */
export const ended = (field: string, put: string | undefined, clock: Clock.Clock): Aside<boolean> => ({
  reads: [field],
  decide: (fields) =>
    Life.isOf(fields.get(field), put, clock.currentTimeMillisUnsafe())
      ? { answer: true, writes: new Map([[field, undefined]]) }
      : { answer: false }
})
