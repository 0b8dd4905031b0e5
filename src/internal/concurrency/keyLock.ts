/**
 * Runs one effect at a time for each key, within this process. An `RcMap` of semaphores takes twice as long, and
 * `PartitionedSemaphore` shares its permits among all keys.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { TimeLimit } from "./timeLimit.ts"

/** With `patience`, an effect that has waited that long runs without its turn. */
export type KeyLock = (
  key: string,
  patience?: TimeLimit
) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

interface Door {
  /** What others wait for. It is created only if there are others, which is rare. */
  queue: Semaphore.Semaphore | undefined
  users: number
}

export const make = (): KeyLock => {
  const doors = new Map<string, Door>()
  return (key, patience) => (effect) =>
    Effect.suspend(() => {
      let used: Door | undefined
      let isFirst = false
      const enter = Effect.suspend(() => {
        used = doors.get(key)
        if (used !== undefined) {
          used.users++
          return behind(used.queue ??= Semaphore.makeUnsafe(0), patience, effect)
        }
        isFirst = true
        doors.set(key, used = { queue: undefined, users: 1 })
        return effect
      })
      // It wraps `enter`, so that an interruption can't happen in between.
      return Effect.onExitPrimitive(enter, () => {
        if (used === undefined) return undefined
        if (--used.users === 0) doors.delete(key)
        return isFirst ? used.queue?.resize(1) : undefined
      })
    })
}

const behind = <A, E, R>(
  queue: Semaphore.Semaphore,
  patience: TimeLimit | undefined,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  patience === undefined
    ? queue.withPermit(effect)
    : Effect.uninterruptibleMask((restore) => withPatience(queue, patience, restore(effect)))

const withPatience = <A, E, R>(
  semaphore: Semaphore.Semaphore,
  patience: TimeLimit,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.matchEffect(patience(semaphore.take(1), () => "too long"), {
    onFailure: () => effect,
    onSuccess: () => Effect.ensuring(effect, semaphore.release(1))
  })
