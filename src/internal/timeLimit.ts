/**
 * A time limit that holds everywhere: also where the caller can't be interrupted, as while a response is being sent, and
 * also when what it waits for can't be.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

export type TimeLimit = <A, E, E2, R>(
  self: Effect.Effect<A, E, R>,
  onTimeout: () => E2
) => Effect.Effect<A, E | E2, R>

class Waiting {
  /** By a clock that is never set back. */
  readonly until: bigint
  readonly expire: () => void
  previous: Waiting | undefined
  next: Waiting | undefined

  constructor(until: bigint, expire: () => void, previous: Waiting | undefined) {
    this.until = until
    this.expire = expire
    this.previous = previous
    this.next = undefined
  }
}

/**
 * All that share a limit also share a fiber that watches over them, as long as there are any: a timer for each would take
 * longer than most of what it is for.
 */
export const make = (limit: Duration.Duration): TimeLimit => {
  if (!Duration.isFinite(limit)) return (self) => self
  const nanos = Duration.toNanosUnsafe(limit)
  // In the order in which they began, so that the first one has waited longest. A list, and not a Set: what a Set has
  // copied when it grew still holds on to what was in it, request and all, until the next full garbage collection.
  let first: Waiting | undefined
  let last: Waiting | undefined
  let watcher: Fiber.Fiber<void> | undefined

  const watch: Effect.Effect<void> = Effect.flatMap(Clock.Clock, (clock) => {
    const now = clock.monotonicTimeNanosUnsafe()
    for (let one = first; one !== undefined; one = first) {
      if (one.until > now) return Effect.andThen(Effect.sleep(Duration.nanos(one.until - now)), watch)
      remove(one)
      one.expire()
    }
    watcher = undefined
    return Effect.void
  })

  const begin = (fiber: Fiber.Fiber<unknown, unknown>, expire: () => void): Waiting => {
    const clock = fiber.getRef(Clock.Clock)
    const one = new Waiting(clock.monotonicTimeNanosUnsafe() + nanos, expire, last)
    if (last === undefined) first = one
    else last.next = one
    last = one
    // Not with all of its context: that is a request's, which would be held as long as there are others.
    watcher ??= Effect.runForkWith(
      Context.make(Clock.Clock, clock).pipe(Context.add(Scheduler.Scheduler, fiber.getRef(Scheduler.Scheduler)))
    )(watch)
    return one
  }

  const remove = (one: Waiting): void => {
    const { next, previous } = one
    if (first === one) first = next
    else if (previous !== undefined) previous.next = next
    if (last === one) last = previous
    else if (next !== undefined) next.previous = previous
    one.previous = undefined
    one.next = undefined
  }

  const end = (one: Waiting): void => {
    remove(one)
    if (first !== undefined) return
    // With nobody to watch over, it would only keep the process from ending.
    watcher?.interruptUnsafe()
    watcher = undefined
  }

  return <A, E, E2, R>(self: Effect.Effect<A, E, R>, onTimeout: () => E2) =>
    Effect.withFiber<A, E | E2, R>((parent) =>
      // All in one step, as the caller may be interrupted between two.
      Effect.callback<A, E | E2>((resume) => {
        // A fiber of its own, which can be interrupted even if the caller can't.
        const fiber = Effect.runForkWith(parent.context)(self as Effect.Effect<A, E>)
        const exit = fiber.pollUnsafe()
        if (exit !== undefined) return resume(exit)
        const one = begin(parent, () => {
          // Before the interruption, whose exit would otherwise be the answer.
          resume(Effect.fail(onTimeout()))
          // Not awaited: what hangs may not let itself be interrupted either.
          fiber.interruptUnsafe()
        })
        fiber.addObserver((exit) => {
          end(one)
          resume(exit)
        })
        return Effect.sync(() => {
          end(one)
          fiber.interruptUnsafe()
        })
      })
    )
}
