/**
 * One at a time for each key, within this process. An `RcMap` of semaphores does the same in twice the time, and
 * `PartitionedSemaphore` shares its permits among all keys.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { TimeLimit } from "./timeLimit.ts"

/** With patience, whoever has waited that long goes on without a turn. */
export type KeyLock = (
  key: string,
  patience?: TimeLimit
) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export const make = (): KeyLock => {
  const locks = new Map<string, { readonly semaphore: Semaphore.Semaphore; users: number }>()
  return (key, patience) => (effect) =>
    // Nothing comes between the count of the users going up and what makes it go down again.
    Effect.uninterruptibleMask((restore) => {
      const lock = locks.get(key) ?? { semaphore: Semaphore.makeUnsafe(1), users: 0 }
      locks.set(key, lock)
      lock.users++
      const { semaphore } = lock
      return Effect.ensuring(
        patience === undefined
          ? restore(Semaphore.withPermit(semaphore, effect))
          : withPatience(semaphore, patience, restore(effect)),
        Effect.sync(() => {
          if (--lock.users === 0) locks.delete(key)
        })
      )
    })
}

const withPatience = <A, E, R>(
  semaphore: Semaphore.Semaphore,
  patience: TimeLimit,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.matchEffect(patience(semaphore.take(1), () => "too long"), {
    onFailure: () => effect,
    onSuccess: () => Effect.ensuring(effect, semaphore.release(1))
  })
