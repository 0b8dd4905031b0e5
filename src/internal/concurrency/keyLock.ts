/**
 * One at a time for each key, within this process. An `RcMap` of semaphores does the same in twice the time, and
 * `PartitionedSemaphore` shares its permits among all keys.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

export type KeyLock = (key: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export const make = (): KeyLock => {
  const locks = new Map<string, { readonly semaphore: Semaphore.Semaphore; users: number }>()
  return (key) => (effect) =>
    // Nothing comes between the count of the users going up and what makes it go down again.
    Effect.uninterruptibleMask((restore) => {
      const lock = locks.get(key) ?? { semaphore: Semaphore.makeUnsafe(1), users: 0 }
      locks.set(key, lock)
      lock.users++
      return Effect.ensuring(
        restore(Semaphore.withPermit(lock.semaphore, effect)),
        Effect.sync(() => {
          if (--lock.users === 0) locks.delete(key)
        })
      )
    })
}
