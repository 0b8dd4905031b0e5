/**
 * Metrics, log events and spans for operators. They name a session by its handle, never by its id.
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

/** The names of attributes in metrics, spans and logs. `docs/production/observability.md` explains them. */
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

// Attributes are set when a metric is created, because `Metric.withAttributes` would compute the key of its series on
// each update. Exporters read the unit from the attribute `unit`.
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

/** The outcomes of a commit: the counter, and the log event, if any. */
const happenings = {
  create: { counter: commits.create, event: "Session created" },
  update: { counter: commits.update, event: undefined },
  touch: { counter: commits.touch, event: undefined },
  regenerate: { counter: commits.regenerate, event: "Session regenerated" },
  destroy: { counter: commits.destroy, event: "Session destroyed" },
  drop: { counter: drops, event: "Session changes dropped: the session has ended" }
}

/** Records what happened to a session. */
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

/** A session got a shorter lifetime than requested. */
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

/** The duration of one driver operation, in seconds. */
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

/** From the duration of a memory store to twice the default time limit. */
const boundaries = Metric.boundariesFromIterable(
  [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
)

/** Records an operation of the store that took from `start`, a `performance.now()`, until now. */
export const took = (
  time: StoreTime,
  start: number,
  fiber: AnyFiber,
  exit: Exit.Exit<unknown, unknown>
): void => {
  // A series for each kind of failure, created on first use.
  const metric = Exit.isSuccess(exit) ? time.succeeded : storeTime(time.driver, time.operation, errorTypeOf(exit.cause))
  metric.updateUnsafe((performance.now() - start) / 1000, fiber.context)
}

/**
 * The kind of a failure: the tag of our own errors, or one of two words for all others, so that there are few series.
 */
const errorTypeOf = (cause: Cause.Cause<unknown>): string => {
  if (Cause.hasInterruptsOnly(cause)) return "interrupted"
  const error = Cause.squash(cause)
  return error instanceof SessionStoreError || error instanceof SessionTooLargeError ? error._tag : "_OTHER"
}

/** A span, if a tracer records it, with the session's handle after success. */
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

/** Adds the session's handle to the current span, if it is recorded. */
export const annotateHandle = (fiber: AnyFiber, id: Id): Effect.Effect<void> =>
  annotate(fiber, Attribute.handle, id.handle)

/** Adds the reason why the client's token has no session to the current span. */
export const annotateRejection = (fiber: AnyFiber, rejection: Rejection): Effect.Effect<void> =>
  annotate(fiber, Attribute.rejection, rejection)

/** Whether events of this level are logged: creating one that is not allocates 800 bytes. */
export const isLogged = (level: "Debug" | "Warn", fiber: AnyFiber): boolean =>
  !LogLevel.isGreaterThan(fiber.getRef(References.MinimumLogLevel), level)

/** A log event about a session. */
export const event = (
  level: "Debug" | "Warn",
  message: string,
  annotations: { readonly [name: string]: string } = {}
): Effect.Effect<void> =>
  // A failing logger must not undo what has happened.
  Effect.catchCause(Effect.annotateLogs(Effect.logWithLevel(level)(message), annotations), () => Effect.void)

/** One log line per minute for all requests. */
export const notExtended = (driver: string, error: unknown): Effect.Effect<void> =>
  event("Warn", "Sessions can be read but not extended", {
    [Attribute.driver]: driver,
    [Attribute.errorMessage]: reasonOf(error)
  })

/** The back end's own message, on one line. */
const reasonOf = (error: unknown): string => {
  let reason = String(error)
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at.message !== "") reason = at.message
  }
  return reason.replaceAll(/\s*\n\s*/g, " ")
}

/** Rate-limits something that should not happen on each request. */
export const oncePerMinute = (): (now: number) => boolean => {
  let last = -Infinity
  return (now) => {
    // The clock may have been set back.
    if (Math.abs(now - last) < 60_000) return false
    last = now
    return true
  }
}
