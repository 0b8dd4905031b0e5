/**
 * What operators see: metrics, log events and spans. They name a session by its handle, never by its id.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import type { StoreOperation } from "../../SessionError.ts"
import type { Rejection, SessionEvent } from "../../SessionEvent.ts"
import type { Lifetime } from "../record/lifetime.ts"
import type { Id } from "./state.ts"

// Attributes are given when a metric is made: with `Metric.withAttributes` each update makes up the key of its series anew.
const counter = (name: string, description: string, attributes: Metric.Metric.AttributeSet = {}) =>
  Metric.counter(`effect_session_${name}`, { description, incremental: true, attributes })

export const loads = counter("loads", "Sessions asked of the store")
const commits = counter("commits", "Changes written to the store")
const creations = counter("creations", "Sessions created")
const regenerations = counter("regenerations", "Sessions that got a new id")
const destructions = counter("destructions", "Sessions destroyed by the application")
export const expiries = counter("expiries", "Tokens of expired sessions")
export const conflicts = counter("conflicts", "Commits that were tried again, as other requests came in between")
export const failedTouches = counter(
  "failed_touches",
  "Requests that could not extend their session, as the store failed"
)
const cutLifetimes = counter("cut_lifetimes", "Lifetimes asked for that are longer than the configuration allows")
const drops = counter("drops", "Requests whose changes were dropped, as the session was gone")

const rejected = (reason: Rejection) => counter("rejected_tokens", "Tokens that are no session, by reason", { reason })

export const rejections: { readonly [Reason in Rejection]: Metric.Metric<number, unknown> } = {
  malformed: rejected("malformed"),
  tampered: rejected("tampered"),
  unknown: rejected("unknown"),
  expired: rejected("expired"),
  superseded: rejected("superseded"),
  duplicate: rejected("duplicate")
}

const dropped = (event: SessionEvent["_tag"]) =>
  counter("dropped_events", "Events that a subscriber was too slow for, by event", { event })

export const droppedEvents: { readonly [Tag in SessionEvent["_tag"]]: Metric.Metric<number, unknown> } = {
  Created: dropped("Created"),
  Regenerated: dropped("Regenerated"),
  Destroyed: dropped("Destroyed"),
  Rejected: dropped("Rejected")
}

export const count = (metric: Metric.Metric<number, unknown>, fiber: Fiber.Fiber<unknown, unknown>): void =>
  metric.updateUnsafe(1, fiber.context)

/** What a commit may come to: what it counts as, and its log event, if it is worth one. */
const happenings = {
  create: { counters: [commits, creations], event: "Session created" },
  update: { counters: [commits], event: undefined },
  touch: { counters: [commits], event: undefined },
  regenerate: { counters: [commits, regenerations], event: "Session regenerated" },
  destroy: { counters: [commits, destructions], event: "Session destroyed" },
  leave: { counters: [commits, destructions, creations], event: "Session destroyed" },
  drop: { counters: [drops], event: "Session changes dropped, as it is gone" }
}

/** Makes known what has become of a session. */
export const happened = (
  what: keyof typeof happenings,
  id: Id | undefined,
  fiber: Fiber.Fiber<unknown, unknown>
): Effect.Effect<void> => {
  const { counters, event: message } = happenings[what]
  for (const counter of counters) count(counter, fiber)
  if (message === undefined || !isLogged("Debug", fiber)) return Exit.void
  return event("Debug", message, id && { handle: id.handle })
}

/** A session got less of a lifetime than was asked for. */
export const lifetimeCut = (id: Id | undefined, asked: Lifetime, granted: Lifetime): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    count(cutLifetimes, fiber)
    if (!isLogged("Debug", fiber)) return Exit.void
    const annotations = { asked: describe(asked), granted: describe(granted), ...(id && { handle: id.handle }) }
    return event("Debug", "Session lifetime cut", annotations)
  })

const describe = ({ absoluteAge, age }: Lifetime): string =>
  Object.entries({ age, absoluteAge })
    .flatMap(([name, time]) =>
      time === undefined ? [] : [`${name} ${time === Infinity ? "never" : Duration.format(Duration.millis(time))}`]
    )
    .join(", ")

type StoreTimes = { readonly [Operation in StoreOperation]: Metric.Metric<number, unknown> }

/** The time that a driver's operations take, in milliseconds. */
export const storeTimes = (driver: string): StoreTimes => {
  const time = (operation: StoreOperation) =>
    Metric.histogram("effect_session_store_time", {
      description: "The time that operations of the store take, in milliseconds",
      attributes: { driver, operation },
      boundaries
    })
  return {
    load: time("load"),
    create: time("create"),
    update: time("update"),
    touch: time("touch"),
    regenerate: time("regenerate"),
    destroy: time("destroy")
  }
}

const boundaries = Metric.exponentialBoundaries({ start: 0.0625, factor: 2, count: 18 })

/** An operation of the store has taken from `start`, a `performance.now()`, until now. */
export const took = (
  time: Metric.Metric<number, unknown>,
  start: number,
  fiber: Fiber.Fiber<unknown, unknown>
): void => time.updateUnsafe(performance.now() - start, fiber.context)

/** A span, where there is a tracer that would see it; with the session's handle, once it has succeeded. */
export const spanned = <A, E>(
  name: string,
  driver: string,
  fiber: Fiber.Fiber<unknown, unknown>,
  effect: Effect.Effect<A, E>,
  id?: Id
): Effect.Effect<A, E> =>
  isTraced(fiber)
    ? Effect.withSpan(
      id === undefined ? effect : Effect.tap(effect, () => annotateHandle(fiber, id)),
      name,
      { attributes: { "session.driver": driver }, captureStackTrace: false }
    )
    : effect

const isTraced = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.getRef(Tracer.Tracer) !== Tracer.nativeTracer

/** Puts the session's handle on the current span, where there is one that is seen. */
export const annotateHandle = (fiber: Fiber.Fiber<unknown, unknown>, id: Id): Effect.Effect<void> =>
  isTraced(fiber)
    ? Effect.annotateCurrentSpan("session.handle", id.handle)
    : Effect.void

/** Whether anybody sees events of the level: making one that nobody sees takes 800 bytes. */
export const isLogged = (level: "Debug" | "Warn", fiber: Fiber.Fiber<unknown, unknown>): boolean =>
  !LogLevel.isGreaterThan(fiber.getRef(References.MinimumLogLevel), level)

/** A log event about a session. */
export const event = (
  level: "Debug" | "Warn",
  message: string,
  annotations: { readonly [name: string]: string } = {}
): Effect.Effect<void> =>
  // A logger that fails does not undo what has happened.
  Effect.catchCause(Effect.annotateLogs(Effect.logWithLevel(level)(message), annotations), () => Effect.void)

/** One line for all requests of a minute. */
export const notExtended = (driver: string, error: unknown): Effect.Effect<void> =>
  event("Warn", "Sessions can be read, but not extended", { driver, reason: reasonOf(error) })

/** What the back end itself has said, on one line. */
const reasonOf = (error: unknown): string => {
  let reason = String(error)
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at.message !== "") reason = at.message
  }
  return reason.replaceAll(/\s*\n\s*/g, " ")
}

/** Lets something through that should not be done for each request. */
export const oncePerMinute = (): (now: number) => boolean => {
  let last = -Infinity
  return (now) => {
    // The clock may have been set back.
    if (Math.abs(now - last) < 60_000) return false
    last = now
    return true
  }
}
