/**
 * What operators see: metrics, log events and spans. They name a session by its handle, never by its id.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import { SessionStoreError, SessionTooLargeError, type StoreOperation } from "../../SessionError.ts"
import type { Rejection, SessionEvent } from "../../SessionEvent.ts"
import type { Lifetime } from "../record/lifetime.ts"
import type { Id } from "./state.ts"

/** What an attribute is called, in metrics, spans and logs alike. `docs/production/observability.md` says why. */
export const Attribute = {
  driver: "effect_session.driver",
  operation: "effect_session.operation",
  handle: "effect_session.handle",
  rejection: "effect_session.rejection",
  event: "effect_session.event",
  lifetimeAsked: "effect_session.lifetime.asked",
  lifetimeGranted: "effect_session.lifetime.granted",
  errorType: "error.type",
  errorMessage: "error.message"
} as const

type AnyFiber = Fiber.Fiber<unknown, unknown>

type AnyMetric = Metric.Metric<number, unknown>

// Attributes are given when a metric is made: with `Metric.withAttributes` each update makes up the key of its series anew.
// Exporters take the unit from the attribute of that name.
const counter = (
  name: string,
  unit: string,
  description: string,
  attributes: { readonly [name: string]: string } = {}
): AnyMetric =>
  Metric.counter(`effect_session.${name}`, { description, incremental: true, attributes: { ...attributes, unit } })

/** One for each value of an attribute. */
const counters = <Value extends string>(values: ReadonlyArray<Value>, make: (value: Value) => AnyMetric) =>
  Object.fromEntries(values.map((value) => [value, make(value)])) as { readonly [Each in Value]: AnyMetric }

export const loads = counter("loads", "{load}", "Sessions loaded from the store")
export const conflicts = counter(
  "conflicts",
  "{conflict}",
  "Commits retried because other requests committed first"
)
export const failedTouches = counter(
  "failed_touches",
  "{request}",
  "Requests that could not extend their session because the store failed"
)
const cutLifetimes = counter(
  "cut_lifetimes",
  "{lifetime}",
  "Requested lifetimes that were longer than the configuration allows"
)
const drops = counter("drops", "{request}", "Requests whose changes were dropped because the session had ended")
export const revocations = counter(
  "revocations",
  "{session}",
  "Sessions ended for an owner: by handle, all of them, or beyond the limit"
)

const commits = counters(
  ["create", "update", "touch", "regenerate", "destroy"],
  (operation) =>
    counter("commits", "{commit}", "Writes confirmed by the store, by operation", { [Attribute.operation]: operation })
)

export const rejections = counters<Rejection>(
  ["malformed", "tampered", "unknown", "expired", "superseded", "duplicate"],
  (rejection) =>
    counter("rejected_tokens", "{token}", "Tokens without a session, by reason", { [Attribute.rejection]: rejection })
)

export const droppedEvents = counters<SessionEvent["_tag"]>(
  ["Created", "Regenerated", "Destroyed", "Rejected"],
  (event) =>
    counter("dropped_events", "{event}", "Events dropped for slow subscribers, by event", {
      [Attribute.event]: event
    })
)

export const count = (metric: AnyMetric, fiber: AnyFiber, times = 1): void => metric.updateUnsafe(times, fiber.context)

/** What a commit may come to: what it counts as, and its log event, if it is worth one. */
const happenings = {
  create: { counter: commits.create, event: "Session created" },
  update: { counter: commits.update, event: undefined },
  touch: { counter: commits.touch, event: undefined },
  regenerate: { counter: commits.regenerate, event: "Session regenerated" },
  destroy: { counter: commits.destroy, event: "Session destroyed" },
  drop: { counter: drops, event: "Session changes dropped: the session has ended" }
}

/** Makes known what has become of a session. */
export const happened = (
  what: keyof typeof happenings,
  id: Id | undefined,
  fiber: AnyFiber
): Effect.Effect<void> => {
  const { counter, event: message } = happenings[what]
  count(counter, fiber)
  if (message === undefined || !isLogged("Debug", fiber)) return Exit.void
  return event("Debug", message, id && { [Attribute.handle]: id.handle })
}

/** A session got less of a lifetime than was asked for. */
export const lifetimeCut = (id: Id | undefined, asked: Lifetime, granted: Lifetime): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    count(cutLifetimes, fiber)
    if (!isLogged("Debug", fiber)) return Exit.void
    return event("Debug", "Session lifetime cut", {
      [Attribute.lifetimeAsked]: describe(asked),
      [Attribute.lifetimeGranted]: describe(granted),
      ...(id && { [Attribute.handle]: id.handle })
    })
  })

const describe = ({ absoluteAge, age }: Lifetime): string =>
  Object.entries({ age, absoluteAge })
    .flatMap(([name, time]) =>
      time === undefined ? [] : [`${name} ${time === Infinity ? "never" : Duration.format(Duration.millis(time))}`]
    )
    .join(", ")

/** The time that one operation of a driver takes, in seconds. */
export interface StoreTime {
  readonly driver: string
  readonly operation: StoreOperation
  readonly succeeded: AnyMetric
}

export type StoreTimes = { readonly [Operation in StoreOperation]: StoreTime }

export const storeTimes = (driver: string): StoreTimes => {
  const of = (operation: StoreOperation): StoreTime => ({ driver, operation, succeeded: storeTime(driver, operation) })
  return {
    load: of("load"),
    create: of("create"),
    update: of("update"),
    touch: of("touch"),
    regenerate: of("regenerate"),
    destroy: of("destroy")
  }
}

const storeTime = (driver: string, operation: StoreOperation, errorType?: string): AnyMetric =>
  Metric.histogram("effect_session.store.duration", {
    description: "Duration of store operations",
    attributes: {
      [Attribute.driver]: driver,
      [Attribute.operation]: operation,
      ...(errorType !== undefined && { [Attribute.errorType]: errorType }),
      unit: "s"
    },
    boundaries
  })

/** From what memory takes to twice the default time limit. */
const boundaries = Metric.boundariesFromIterable(
  [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
)

/** An operation of the store has taken from `start`, a `performance.now()`, until now. */
export const took = (
  time: StoreTime,
  start: number,
  fiber: AnyFiber,
  exit: Exit.Exit<unknown, unknown>
): void => {
  // A series for each kind of failure, which is made when it is needed.
  const metric = Exit.isSuccess(exit) ? time.succeeded : storeTime(time.driver, time.operation, errorTypeOf(exit.cause))
  metric.updateUnsafe((performance.now() - start) / 1000, fiber.context)
}

/** What kind of failure it is: one of our errors by its tag, and else one of two words, so that there are few. */
const errorTypeOf = (cause: Cause.Cause<unknown>): string => {
  if (Cause.hasInterruptsOnly(cause)) return "interrupted"
  const error = Cause.squash(cause)
  return error instanceof SessionStoreError || error instanceof SessionTooLargeError ? error._tag : "_OTHER"
}

/** A span, where there is a tracer that would see it; with the session's handle, once it has succeeded. */
export const spanned = <A, E>(
  name: string,
  { driver, operation }: StoreTime,
  fiber: AnyFiber,
  effect: Effect.Effect<A, E>,
  id?: Id
): Effect.Effect<A, E> => {
  if (!isTraced(fiber)) return effect
  const annotated = Effect.onExit(effect, (exit) => {
    if (Exit.isFailure(exit)) return Effect.annotateCurrentSpan(Attribute.errorType, errorTypeOf(exit.cause))
    return id === undefined ? Exit.void : annotateHandle(fiber, id)
  })
  const attributes = { [Attribute.driver]: driver, [Attribute.operation]: operation }
  return Effect.withSpan(annotated, name, { attributes, captureStackTrace: false })
}

const isTraced = (fiber: AnyFiber): boolean => fiber.getRef(Tracer.Tracer) !== Tracer.nativeTracer

const annotate = (fiber: AnyFiber, attribute: string, value: string): Effect.Effect<void> =>
  isTraced(fiber) ? Effect.annotateCurrentSpan(attribute, value) : Exit.void

/** Puts the session's handle on the current span, where there is one that is seen. */
export const annotateHandle = (fiber: AnyFiber, id: Id): Effect.Effect<void> =>
  annotate(fiber, Attribute.handle, id.handle)

/** Puts on the current span why the client's token is no session. */
export const annotateRejection = (fiber: AnyFiber, rejection: Rejection): Effect.Effect<void> =>
  annotate(fiber, Attribute.rejection, rejection)

/** Whether anybody sees events of the level: making one that nobody sees takes 800 bytes. */
export const isLogged = (level: "Debug" | "Warn", fiber: AnyFiber): boolean =>
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
  event("Warn", "Sessions can be read but not extended", {
    [Attribute.driver]: driver,
    [Attribute.errorMessage]: reasonOf(error)
  })

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
