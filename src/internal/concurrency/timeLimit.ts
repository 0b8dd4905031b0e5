/**
 * A time limit that holds everywhere: also where the caller can't be interrupted, as while a response is being sent, and
 * also when what it waits for can't be. `Effect.timeout` waits for ever in both cases.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Watches } from "./watch.ts"

/** For any effect. */
export type TimeLimit = <A, E, E2, R>(
  self: Effect.Effect<A, E, R>,
  onTimeout: () => E2
) => Effect.Effect<A, E | E2, R>

export const make = (limit: Duration.Duration): TimeLimit => {
  if (!Duration.isFinite(limit)) return (self) => self
  const watches = new Watches(limit)
  return <A, E, E2, R>(self: Effect.Effect<A, E, R>, onTimeout: () => E2) =>
    Effect.withFiber<A, E | E2, R>((parent) =>
      // All in one step, as the caller may be interrupted between two.
      Effect.callback<A, E | E2>((resume) => {
        // A fiber of its own, which can be interrupted even if the caller can't.
        const fiber = Effect.runForkWith(parent.context)(self as Effect.Effect<A, E>)
        const exit = fiber.pollUnsafe()
        if (exit !== undefined) return resume(exit)
        const watch = watches.of(parent)
        const waiting = watch.begin(parent, () => {
          // Before the interruption, whose exit would otherwise be the answer.
          resume(Effect.fail(onTimeout()))
          // Not awaited: what hangs may not let itself be interrupted either.
          fiber.interruptUnsafe()
        })
        const end = () => {
          watch.end(waiting)
          // With nobody to watch over, it would only keep the process from ending.
          watch.stopIfIdle()
        }
        fiber.addObserver((exit) => {
          end()
          resume(exit)
        })
        return Effect.sync(() => {
          end()
          fiber.interruptUnsafe()
        })
      })
    )
}

/**
 * For promises, which takes no fiber for each. After a failure, `again` may try something else within the same limit. The
 * watch stays for a while when nobody waits any more, but not after the scope.
 */
export const makeForPromises = (limit: Duration.Duration) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Watches(limit)),
      (watches) => Effect.sync(() => watches.stopIfIdle())
    ),
    (watches) =>
    <A, E>(
      start: () => Promise<A>,
      failed: (cause: unknown) => E,
      timedOut: () => E,
      again?: (cause: unknown) => (() => Promise<A>) | undefined
    ): Effect.Effect<A, E> =>
      Effect.withFiber<A, E>((fiber) =>
        Effect.callback<A, E>((resume) => {
          let isOver = false
          const watch = watches.of(fiber)
          const waiting = watch.begin(fiber, () => {
            isOver = true
            resume(Effect.fail(timedOut()))
          })
          const end = (answer: Effect.Effect<A, E>) => {
            watch.end(waiting)
            resume(answer)
          }
          const succeed = (value: A) => end(Effect.succeed(value))
          const fail = (cause: unknown) => end(Effect.fail(failed(cause)))
          const ask = (start: () => Promise<A>, onFailure: (cause: unknown) => void) => {
            try {
              start().then(succeed, onFailure)
            } catch (cause) {
              onFailure(cause)
            }
          }
          ask(start, (cause) => {
            const another = isOver ? undefined : again?.(cause)
            if (another === undefined) fail(cause)
            else ask(another, fail)
          })
        })
      )
  )

/** Why a call has failed that took longer. */
export const noAnswer = (limit: Duration.Duration): Error => new Error(`No answer within ${Duration.format(limit)}`)
