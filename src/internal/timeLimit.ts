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
import type * as Scope from "effect/Scope"

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

/** For promises, which takes no fiber for each. After a failure, `again` may try something else within the same limit. */
export type PromiseTimeLimit = <A, E>(
  start: () => Promise<A>,
  failed: (cause: unknown) => E,
  timedOut: () => E,
  again?: (cause: unknown) => (() => Promise<A>) | undefined
) => Effect.Effect<A, E>

/** The watch stays for a while when nobody waits any more, but not after the scope. */
export const makeForPromises = (
  limit: Duration.Duration
): Effect.Effect<PromiseTimeLimit, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Watches(limit)),
      (watches) => Effect.sync(() => watches.stopIfIdle())
    ),
    (watches): PromiseTimeLimit =>
    <A, E>(
      start: () => Promise<A>,
      failed: (cause: unknown) => E,
      timedOut: () => E,
      again?: (cause: unknown) => (() => Promise<A>) | undefined
    ) =>
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

/** The watch for each clock: but for tests, there is one. */
class Watches {
  readonly #nanos: bigint | undefined
  #latest: Watch | undefined

  constructor(limit: Duration.Duration) {
    this.#nanos = Duration.isFinite(limit) ? Duration.toNanosUnsafe(limit) : undefined
  }

  of(fiber: AnyFiber): Watch {
    const clock = fiber.getRef(Clock.Clock)
    const latest = this.#latest
    // The one of another clock goes on as long as somebody waits there.
    return latest?.clock === clock ? latest : this.#latest = new Watch(this.#nanos, clock)
  }

  stopIfIdle(): void {
    this.#latest?.stopIfIdle()
  }
}

/**
 * All that share a limit also share a fiber that watches over them: a timer for each would take longer than most of what
 * it is for.
 */
class Watch {
  readonly clock: Clock.Clock
  readonly #nanos: bigint | undefined
  // In the order in which they began, so that the first one has waited longest. A list, and not a Set: what a Set has
  // copied when it grew still holds on to what was in it, request and all, until the next full garbage collection.
  #first: Waiting | undefined
  #last: Waiting | undefined
  #watcher: Fiber.Fiber<void> | undefined

  constructor(nanos: bigint | undefined, clock: Clock.Clock) {
    this.#nanos = nanos
    this.clock = clock
  }

  begin(fiber: AnyFiber, expire: () => void): Waiting | undefined {
    if (this.#nanos === undefined) return undefined
    const { clock } = this
    const last = this.#last
    const waiting = new Waiting(clock.monotonicTimeNanosUnsafe() + this.#nanos, expire, last)
    if (last === undefined) this.#first = waiting
    else last.next = waiting
    this.#last = waiting
    // Not with all of the fiber's context: that is a request's, which would be held as long as there are others.
    this.#watcher ??= Effect.runForkWith(
      Context.make(Clock.Clock, clock).pipe(Context.add(Scheduler.Scheduler, fiber.getRef(Scheduler.Scheduler)))
    )(this.#watch)
    return waiting
  }

  /** It need not wait any more. */
  end(waiting: Waiting | undefined): void {
    if (waiting === undefined) return
    const { next, previous } = waiting
    if (this.#first === waiting) this.#first = next
    else if (previous !== undefined) previous.next = next
    if (this.#last === waiting) this.#last = previous
    else if (next !== undefined) next.previous = previous
    waiting.previous = undefined
    waiting.next = undefined
  }

  /** Whoever waits is watched over to the end. */
  stopIfIdle(): void {
    if (this.#first !== undefined) return
    this.#watcher?.interruptUnsafe()
    this.#watcher = undefined
  }

  readonly #watch: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.clock.monotonicTimeNanosUnsafe()
    for (let waiting = this.#first; waiting !== undefined; waiting = this.#first) {
      if (waiting.until > now) return Effect.andThen(Effect.sleep(Duration.nanos(waiting.until - now)), this.#watch)
      this.end(waiting)
      waiting.expire()
    }
    this.#watcher = undefined
    return Effect.void
  })
}

type AnyFiber = Fiber.Fiber<unknown, unknown>

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
