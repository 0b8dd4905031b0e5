/**
 * The calls that wait, and their deadlines. `Effect.timeout` makes a fiber and a timer for each call: 9 µs on top of a promise,
 * where one watch for all calls takes 0.7 µs.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** In Cloudflare's Workers a timer ends with the request that has set it, so no other request can rely on it. */
const timersEndWithRequest = globalThis.navigator?.userAgent === "Cloudflare-Workers"

/** The watch for each clock: but for tests, there is one. */
export class Watches {
  readonly #nanos: number | undefined
  #latest: Watch | undefined

  constructor(limit: Duration.Duration) {
    this.#nanos = Duration.isFinite(limit) ? Number(Duration.toNanosUnsafe(limit)) : undefined
  }

  of(fiber: AnyFiber): Watch {
    const clock = fiber.getRef(Clock.Clock)
    if (timersEndWithRequest) return new Watch(this.#nanos, clock)
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
export class Watch {
  readonly clock: Clock.Clock
  readonly #nanos: number | undefined
  // In the order in which they began, so that the first one has waited longest. A list, and not a Set: what a Set has
  // copied when it grew still holds on to what was in it, request and all, until the next full garbage collection.
  #first: Waiting | undefined
  #last: Waiting | undefined
  #watcher: Fiber.Fiber<void> | undefined

  constructor(nanos: number | undefined, clock: Clock.Clock) {
    this.#nanos = nanos
    this.clock = clock
  }

  begin(fiber: AnyFiber, waiting: Waiting): void {
    if (this.#nanos === undefined) return
    const { clock } = this
    const last = this.#last
    waiting.until = Number(clock.monotonicTimeNanosUnsafe()) + this.#nanos
    waiting.previous = last
    if (last === undefined) this.#first = waiting
    else last.next = waiting
    this.#last = waiting
    // Not with all of the fiber's context: that is a request's, which would be held as long as there are others.
    this.#watcher ??= Effect.runForkWith(
      Context.make(Clock.Clock, clock).pipe(Context.add(Scheduler.Scheduler, fiber.getRef(Scheduler.Scheduler)))
    )(this.#watch)
  }

  /** It need not wait any more. */
  end(waiting: Waiting): void {
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
    const now = Number(this.clock.monotonicTimeNanosUnsafe())
    for (let waiting = this.#first; waiting !== undefined; waiting = this.#first) {
      if (waiting.until > now) {
        return Effect.andThen(Effect.sleep(Duration.nanos(BigInt(waiting.until - now))), this.#watch)
      }
      this.end(waiting)
      waiting.expire()
    }
    this.#watcher = undefined
    return Effect.void
  })
}

/** Whoever waits is a link of the list itself. */
export abstract class Waiting {
  /** In nanoseconds, by a clock that is never set back. A number: each bigint is an object of its own. */
  until = 0
  previous: Waiting | undefined = undefined
  next: Waiting | undefined = undefined
  /** What to do when it has waited long enough. */
  abstract expire(): void
}
