/**
 * The pending calls and their deadlines. `Effect.timeout` creates a fiber and a timer for each call, which adds 9 µs to a promise;
 * one watch for all calls adds 0.7 µs.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** In Cloudflare Workers a timer ends with the request that has set it, so other requests can't rely on it. */
const timersEndWithRequest = globalThis.navigator?.userAgent === "Cloudflare-Workers"

/** The watch for each clock. Outside of tests, there is one. */
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
    // The watch of another clock continues as long as it has pending calls.
    return latest?.clock === clock ? latest : this.#latest = new Watch(this.#nanos, clock)
  }

  stopIfIdle(): void {
    this.#latest?.stopIfIdle()
  }
}

/**
 * All calls with the same limit share a fiber that watches over them. A timer for each would take longer than most of the
 * calls.
 */
export class Watch {
  readonly clock: Clock.Clock
  readonly #nanos: number | undefined
  // In the order in which they began, so the first has waited longest. A list and not a Set: when a Set grows, its old copy
  // keeps what was in it, requests included, until the next full garbage collection.
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
    // Without the rest of the fiber's context, which belongs to a request and would be kept as long as there are others.
    this.#watcher ??= Effect.runForkWith(
      Context.make(Clock.Clock, clock).pipe(Context.add(Scheduler.Scheduler, fiber.getRef(Scheduler.Scheduler)))
    )(this.#watch)
  }

  /** Stops watching it. */
  end(waiting: Waiting): void {
    const { next, previous } = waiting
    if (this.#first === waiting) this.#first = next
    else if (previous !== undefined) previous.next = next
    if (this.#last === waiting) this.#last = previous
    else if (next !== undefined) next.previous = previous
    waiting.previous = undefined
    waiting.next = undefined
  }

  /** Each call is watched until it ends. */
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

/** A pending call is a node of the list. */
export abstract class Waiting {
  /** In nanoseconds, by a monotonic clock. A number, because each bigint is an object. */
  until = 0
  previous: Waiting | undefined = undefined
  next: Waiting | undefined = undefined
  /** Runs at the deadline. */
  abstract expire(): void
}
