/**
 * A time limit that holds everywhere: also where the caller can't be interrupted, as while a response is being sent, and
 * also when what it waits for can't be.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

export const within = <A, E, E2, R>(
  self: Effect.Effect<A, E, R>,
  limit: Duration.Duration,
  onTimeout: () => E2
): Effect.Effect<A, E | E2, R> => {
  if (!Duration.isFinite(limit)) return self
  return Effect.withFiber<A, E | E2, R>((parent) =>
    // All in one step, as the caller may be interrupted between two.
    Effect.callback<A, E | E2>((resume) => {
      // A fiber of its own, which can be interrupted even if the caller can't.
      const fiber = Effect.runForkWith(parent.context)(self as Effect.Effect<A, E>)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return resume(exit)
      const timer: Fiber.Fiber<void> = Effect.runForkWith(parent.context)(
        Effect.map(Effect.sleep(limit), () => {
          // Before the interruption, whose exit would otherwise be the answer.
          resume(Effect.fail(onTimeout()))
          // Not awaited: what hangs may not let itself be interrupted either.
          fiber.interruptUnsafe()
        })
      )
      fiber.addObserver((exit) => {
        timer.interruptUnsafe()
        resume(exit)
      })
      return Effect.sync(() => {
        timer.interruptUnsafe()
        fiber.interruptUnsafe()
      })
    })
  )
}
