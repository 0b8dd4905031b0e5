/**
 * The session of the request, and every operation on it.
 *
 * An operation is an Effect that needs the {@link Session}, which the middleware provides. The first operation loads
 * the session. Changes stay in memory until the response leaves the middleware, which then writes them in one store
 * operation. A handler that ends in a defect, an interruption or a 5xx response changes nothing.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Json, JsonObject } from "effect/Schema"
import * as LifetimeInput from "./internal/config/lifetime.ts"
import { durationFor } from "./internal/config/settings.ts"
import * as Authenticated from "./internal/record/authentication.ts"
import type { Rewrite } from "./internal/record/draft.ts"
import * as FlashMessage from "./internal/record/flash.ts"
import * as Life from "./internal/record/life.ts"
import * as Meta from "./internal/record/meta.ts"
import * as Owner from "./internal/record/owner.ts"
import { endOfTime, fieldOfKey, type Fields, parse } from "./internal/record/record.ts"
import * as Scope from "./internal/record/scope.ts"
import * as Aside from "./internal/request/aside.ts"
import { AtomicSession } from "./internal/request/atomic.ts"
import * as Attempt from "./internal/request/attempt.ts"
import type { CommitFailure } from "./internal/request/committing.ts"
import * as Environment from "./internal/request/environment.ts"
import * as Operation from "./internal/request/operations.ts"
import * as Renewing from "./internal/request/renewing.ts"
import { type Client, RequestSession } from "./internal/request/requestSession.ts"
import * as State from "./internal/request/state.ts"
import * as TooLate from "./internal/request/tooLate.ts"
import * as Identifier from "./internal/token/identifier.ts"
import type { Token } from "./internal/token/secret.ts"
import * as SessionConfig from "./SessionConfig.ts"
import {
  type AttemptError,
  type ChangeError,
  type CommitError,
  type LoginError,
  type ReadError,
  type RenewError,
  SessionAttemptsError,
  SessionClosedError,
  SessionConflictError,
  SessionGoneError,
  type SessionLifetimeError,
  SessionNotRecentError,
  SessionOwnerError,
  SessionReadonlyError,
  SessionStatelessError,
  type SessionStoreError,
  SessionValueError
} from "./SessionError.ts"
import type * as SessionKey from "./SessionKey.ts"
import * as Owners from "./SessionOwners.ts"
import type { SessionIndex, SessionOwners } from "./SessionOwners.ts"

/**
 * @since 0.1.0
 * @category type IDs
 */
export const TypeId: TypeId = "~effect-session/Session"

/**
 * @since 0.1.0
 * @category type IDs
 */
export type TypeId = "~effect-session/Session"

/**
 * The session of one request. It is opaque: use the functions of this module to work with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session {
  readonly [TypeId]: TypeId
}

/**
 * The session of the request.
 *
 * @since 0.1.0
 * @category services
 */
export const Session: Context.Service<Session, Session> = Context.Service<Session>("effect-session/Session")

const sessionOf = (fiber: AnyFiber): RequestSession =>
  Context.getUnsafe(fiber.context as Context.Context<Session>, Session) as unknown as RequestSession

/** An operation on the loaded session. */
const reading = <A, E = never, R = never>(
  f: (session: RequestSession, fiber: AnyFiber) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | SessionStoreError, R | Session> =>
  Effect.withFiber((fiber) => {
    const session = sessionOf(fiber)
    return session.isReady ? f(session, fiber) : Effect.flatMapEager(session.readyIn(fiber), () => f(session, fiber))
  })

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** An operation that changes the loaded session, if it can still be changed. */
const changing = <A = void, E = never, R = never>(
  operation: string,
  f: (session: RequestSession, clock: Clock.Clock) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | SessionStoreError | SessionReadonlyError | SessionClosedError, R | Session> =>
  Effect.withFiber((fiber) => {
    const session = sessionOf(fiber)
    if (session.isReadonly) return Effect.fail(new SessionReadonlyError({ operation }))
    const change = (): Effect.Effect<A, E | SessionReadonlyError | SessionClosedError, R> => {
      const refusal = session.refusal(operation)
      if (refusal === undefined) return f(session, fiber.getRef(Clock.Clock))
      return refusal._tag === "SessionClosedError" ? TooLate.failing(session, refusal) : Effect.fail(refusal)
    }
    return session.isReady ? change() : Effect.flatMapEager(session.readyIn(fiber), change)
  })

// -----------------------------------------------------------------------------
// reading
// -----------------------------------------------------------------------------

/**
 * Reads the value of a key: an `Option`, or the value itself if the key has a default. Running the key as an Effect
 * does the same.
 *
 * @since 0.1.0
 * @category reading
 */
export const get = <A, Value, Encoded, E>(
  key: SessionKey.SessionKey<A, Value, Encoded, E>
): Effect.Effect<Value, E, Session> =>
  // A key whose value is removed when it is read (`SessionKey.once`) declares the errors of that in its type.
  (key.isOnce ? pull(key as TakenKey<A, Value, Encoded>) : peek(key)) as Effect.Effect<Value, E, Session>

const peek = <A, Value, Encoded>(
  key: SessionKey.SessionKey<A, Value, Encoded, unknown>
): Effect.Effect<Value, ReadError, Session> =>
  reading((session, fiber) => valueOf(session.loaded, key, clockOf(key, fiber)))

/** A key of any kind, including those whose value is removed when it is read. */
type TakenKey<A, Value, Encoded> = SessionKey.SessionKey<A, Value, Encoded, ChangeError>

/** A key that can be read at a given time. */
type Readable<A, Value, Encoded> = SessionKey.SessionKey<A, Value, Encoded, unknown>

/** The current time, read only if the key's values expire. */
const clockOf = ({ life }: { readonly life: Life.Rules | undefined }, fiber: AnyFiber): Clock.Clock | undefined =>
  life && fiber.getRef(Clock.Clock)

const valueOf = <A, Value, Encoded>(
  state: State.Loaded,
  key: Readable<A, Value, Encoded>,
  clock: Clock.Clock | undefined
): Exit.Exit<Value, SessionValueError> => decoded(textOf(State.seen(state, key.field), key, clock), key)

/** The stored text of a value, taken from the text of its field. */
const textOf = (
  text: string | undefined,
  { life }: { readonly life: Life.Rules | undefined },
  clock: Clock.Clock | undefined
): string | undefined => life === undefined ? text : Life.valueIn(text, clock!.currentTimeMillisUnsafe())

/** The text of the field for a value that is put. */
const fieldText = (key: SessionKey.Any, text: string, clock: Clock.Clock): string =>
  key.life === undefined ? text : Life.begun(key.life, text, clock.currentTimeMillisUnsafe())

/** The text of the field for a value computed from the previous one. */
const nextFieldText = (key: SessionKey.Any, before: string | undefined, text: string, clock: Clock.Clock): string =>
  key.life === undefined ? text : Life.goneOn(key.life, before, text, clock.currentTimeMillisUnsafe())

const decoded = <A, Value, Encoded>(
  text: string | undefined,
  key: Readable<A, Value, Encoded>
): Exit.Exit<Value, SessionValueError> => {
  if (text === undefined) return Exit.succeed(key.absent())
  const value = key.decode(text)
  if (Exit.isSuccess(value)) return Exit.succeed(key.present(value.value))
  return key.ignoresInvalid ? Exit.succeed(key.absent()) : Exit.failCause(value.cause)
}

/**
 * Reads the value of a key, or returns the result of `orElse` if the key has no value.
 *
 * @since 0.1.0
 * @category reading
 */
export const getOrElse: {
  /**
   * Reads the value of a key, or returns the result of `orElse` if the key has no value.
   *
   * @since 0.1.0
   * @category reading
   */
  <B>(
    orElse: () => B
  ): <A, Value, Encoded>(self: SessionKey.SessionKey<A, Value, Encoded>) => Effect.Effect<A | B, ReadError, Session>
  /**
   * Reads the value of a key, or returns the result of `orElse` if the key has no value.
   *
   * @since 0.1.0
   * @category reading
   */
  <A, Value, Encoded, B>(
    self: SessionKey.SessionKey<A, Value, Encoded>,
    orElse: () => B
  ): Effect.Effect<A | B, ReadError, Session>
} = dual(
  2,
  <A, Value, Encoded, B>(
    self: SessionKey.SessionKey<A, Value, Encoded>,
    orElse: () => B
  ): Effect.Effect<A | B, ReadError, Session> =>
    reading((session, fiber): Effect.Effect<A | B, SessionValueError> => {
      const text = textOf(State.seen(session.loaded, self.field), self, clockOf(self, fiber))
      const value = text === undefined ? undefined : self.decode(text)
      return value === undefined || Exit.isFailure(value) && self.ignoresInvalid ? Effect.sync(orElse) : value
    })
)

/**
 * Returns whether the session holds a value for the key. A default does not count.
 *
 * @since 0.1.0
 * @category reading
 */
export const has = (key: SessionKey.Any): Effect.Effect<boolean, SessionStoreError, Session> =>
  reading((session, fiber) =>
    Exit.succeed(textOf(State.seen(session.loaded, key.field), key, clockOf(key, fiber)) !== undefined)
  )

/**
 * Returns all values of the session, as they are stored. Flash messages are not included.
 *
 * @since 0.1.0
 * @category reading
 */
export const all: Effect.Effect<JsonObject, ReadError, Session> = reading((session, fiber) =>
  allOf(State.fieldsOf(session.loaded), fiber.getRef(Clock.Clock))
)

const allOf = (fields: Fields, clock: Clock.Clock): Exit.Exit<JsonObject, SessionValueError> => {
  const entries: Array<[string, Json]> = []
  for (const [field, stored] of fields) {
    const name = Scope.toKey(field)
    if (name === undefined) continue
    const text = Scope.hasLife(field) ? Life.valueIn(stored, clock.currentTimeMillisUnsafe()) : stored
    if (text === undefined) continue
    const value = parse(text)
    if (value === undefined) {
      const error = { key: name, operation: "decode", path: [], expected: "Expected JSON text" } as const
      return Exit.fail(new SessionValueError(error))
    }
    entries.push([name, value])
  }
  return Exit.succeed(Object.fromEntries(entries))
}

/**
 * A read-only view of the session for rendering, with plain functions instead of Effects.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionView {
  /** Like `Session.get`, but throws a `SessionValueError` instead of failing with it. */
  readonly get: <A, Value, Encoded>(key: SessionKey.SessionKey<A, Value, Encoded>) => Value
  readonly has: (key: SessionKey.Any) => boolean
  /** Like `Session.all`, but throws a `SessionValueError` instead of failing with it. */
  readonly all: () => JsonObject
  /** Like `Session.flashed`, but throws a `SessionValueError` instead of failing with it. */
  readonly flashed: <A, Value, Encoded>(key: SessionKey.SessionKey<A, Value, Encoded>) => Value
  readonly flashMessages: FlashMessages
}

/**
 * Returns a read-only view of the session as it is now, for rendering.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { HttpServerResponse } from "effect/http"
 * import { Session, SessionKey } from "effect-session"
 *
 * const CartTotal = SessionKey.make("cart_total", Schema.Number).pipe(SessionKey.withDefault(() => 0))
 *
 * const render = (session: Session.SessionView) => `<p>Cart total: ${session.get(CartTotal)}</p>`
 *
 * const page = Effect.map(Session.view, (session) => HttpServerResponse.html(render(session)))
 * ```
 *
 * @since 0.1.0
 * @category reading
 */
export const view: Effect.Effect<SessionView, SessionStoreError, Session> = reading(({ loaded }, fiber) => {
  const clock = fiber.getRef(Clock.Clock)
  return Exit.succeed({
    get: (key) => getOrThrow(valueOf(loaded, key, clock)),
    has: (key) => textOf(State.seen(loaded, key.field), key, clock) !== undefined,
    all: () => getOrThrow(allOf(State.fieldsOf(loaded), clock)),
    flashed: (key) => getOrThrow(flashedOf(loaded.flashed, key)),
    flashMessages: flashMessagesOf(loaded.flashed)
  })
})

const getOrThrow = <A>(exit: Exit.Exit<A, SessionValueError>): A => {
  if (Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit.cause)
}

// -----------------------------------------------------------------------------
// changing
// -----------------------------------------------------------------------------

/**
 * Puts a value under a key.
 *
 * @since 0.1.0
 * @category changing
 */
export const put: {
  /**
   * Puts a value under a key.
   *
   * @since 0.1.0
   * @category changing
   */
  <A>(
    value: NoInfer<A>
  ): <Value, Encoded>(
    self: SessionKey.SessionKey<A, Value, Encoded, ChangeError>
  ) => Effect.Effect<void, ChangeError, Session>
  /**
   * Puts a value under a key.
   *
   * @since 0.1.0
   * @category changing
   */
  <A, Value, Encoded>(
    self: SessionKey.SessionKey<A, Value, Encoded, ChangeError>,
    value: NoInfer<A>
  ): Effect.Effect<void, ChangeError, Session>
} = dual(
  2,
  <A, Value, Encoded>(
    self: TakenKey<A, Value, Encoded>,
    value: A
  ): Effect.Effect<void, ChangeError, Session> =>
    changing("put", (session, clock) => putInto(session, self, value, clock))
)

const putInto = <A, Value, Encoded>(
  session: RequestSession,
  key: TakenKey<A, Value, Encoded>,
  value: A,
  clock: Clock.Clock
): Effect.Effect<void, SessionValueError> => {
  const text = key.encode(value)
  return Exit.isFailure(text)
    ? Exit.failCause(text.cause)
    : session.put(key.field, fieldText(key, text.value, clock))
}

/**
 * Reads the value of a key and removes it from the session. If several requests pull the same value at the same time,
 * such as a single-use token, only the first one to commit gets it.
 *
 * **Details**
 *
 * The other requests find out when they commit: `Session.commit` fails with a
 * {@link SessionError.SessionConflictError}, and so does the commit at the end of the request, which then answers 409.
 * None of their changes are saved. If the value authorizes something outside the session, commit before you use it. If
 * you handle the error yourself, call {@link rollback}: otherwise the commit at the end of the request fails for the
 * same reason.
 *
 * If the store's answer to a commit is lost, a second commit finds the value already taken, by the first one. If the
 * session no longer exists when a login commits, the value counts as taken too.
 *
 * **Example** (One order per cart, even after a double click)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Session, SessionKey } from "effect-session"
 *
 * type Cart = { readonly [product: string]: number }
 *
 * const Cart = SessionKey.make("cart", Schema.Record(Schema.String, Schema.Int)).pipe(SessionKey.withDefault(() => ({})))
 *
 * declare const order: (cart: Cart) => Effect.Effect<void>
 *
 * const checkout = Effect.gen(function*() {
 *   const cart = yield* Session.pull(Cart)
 *   yield* Session.commit // of all requests with this cart, one gets past this line
 *   yield* order(cart)
 * })
 * ```
 *
 * @since 0.1.0
 * @category changing
 */
export const pull = <A, Value, Encoded>(
  key: SessionKey.SessionKey<A, Value, Encoded, ChangeError>
): Effect.Effect<Value, ChangeError, Session> =>
  changing("pull", (session, clock) =>
    Effect.flatMapEager(valueOf(session.loaded, key, clock), (value) => {
      const taken = State.seen(session.loaded, key.field)
      return taken === undefined
        ? Effect.succeed(value)
        : Effect.as(session.rewritten(key.field, taking(key, taken), undefined), value)
    }))

const taking = (key: SessionKey.Any, taken: string): Rewrite => {
  const nothing = Exit.succeed(undefined)
  const gone = Exit.fail(new SessionConflictError({ reason: "taken", key: key.name }))
  return (text) => text === taken ? nothing : gone
}

/**
 * Replaces the value with the result of a function, and returns the result. The function must be pure: if another
 * request has changed the value before this one commits, it runs again on the new value. No change is lost and no lock
 * is held, and without contention it costs no extra store call.
 *
 * **Details**
 *
 * The returned value is what this request sees; the stored value may come from a later run. If that later run throws,
 * or returns a value that the key's schema rejects, the commit fails with a `SessionValueError` and none of the
 * request's changes are saved. After 100 attempts in which another request was faster, it fails with a
 * `SessionConflictError`.
 *
 * With `CookieLayer` the client holds the session, so if two requests run at the same time, the last response wins.
 *
 * **Example**
 *
 * ```ts
 * import { Schema } from "effect"
 * import { Session, SessionKey } from "effect-session"
 *
 * const Cart = SessionKey.make("cart", Schema.Record(Schema.String, Schema.Int)).pipe(SessionKey.withDefault(() => ({})))
 *
 * const add = (product: string) => Session.modify(Cart, (cart) => ({ ...cart, [product]: (cart[product] ?? 0) + 1 }))
 * ```
 *
 * @since 0.1.0
 * @category changing
 */
export const modify: {
  /**
   * Replaces the value with the result of a function, and returns the result.
   *
   * @since 0.1.0
   * @category changing
   */
  <A, Value>(
    f: (value: Value) => NoInfer<A>
  ): <Encoded>(self: SessionKey.SessionKey<A, Value, Encoded>) => Effect.Effect<A, ChangeError, Session>
  /**
   * Replaces the value with the result of a function, and returns the result.
   *
   * @since 0.1.0
   * @category changing
   */
  <A, Value, Encoded>(
    self: SessionKey.SessionKey<A, Value, Encoded>,
    f: (value: Value) => NoInfer<A>
  ): Effect.Effect<A, ChangeError, Session>
} = dual(
  2,
  <A, Value, Encoded>(
    self: SessionKey.SessionKey<A, Value, Encoded>,
    f: (value: Value) => A
  ): Effect.Effect<A, ChangeError, Session> =>
    changing("modify", (session, clock) =>
      Effect.flatMapEager(valueOf(session.loaded, self, clock), (value) => {
        const next = f(value)
        return Effect.flatMapEager(self.encode(next), (encoded) => {
          const text = nextFieldText(self, State.seen(session.loaded, self.field), encoded, clock)
          return Effect.as(session.rewritten(self.field, runningAgain(self, f, clock), text), next)
        })
      }))
)

/** The function lifted to the stored text, so that it can run again after the handler has returned. */
const runningAgain = <A, Value, Encoded>(
  key: TakenKey<A, Value, Encoded>,
  f: (value: Value) => A,
  clock: Clock.Clock,
  operation: "modify" | "merge" = "modify"
): Rewrite =>
(stored) => {
  const value = decoded(textOf(stored, key, clock), key)
  if (Exit.isFailure(value)) return Exit.failCause(value.cause)
  const result = Result.try(() => f(value.value))
  if (Result.isSuccess(result)) {
    return Exit.map(key.encode(result.success), (text) => nextFieldText(key, stored, text, clock))
  }
  const expected = "Expected a function that does not throw" +
    (operation === "modify" ? " when it runs again on the value of another request" : "")
  return Exit.fail(new SessionValueError({ key: key.name, operation, path: [], expected }))
}

/**
 * Removes a key.
 *
 * @since 0.1.0
 * @category changing
 */
export const forget = (
  key: SessionKey.Any
): Effect.Effect<void, SessionStoreError | SessionReadonlyError | SessionClosedError, Session> =>
  // Remove it even if this request sees no value: another request may have put one in the meantime.
  changing("forget", (session) => session.update((state) => Operation.removed(state, key.field)))

/**
 * Adds to a number (1 by default), and returns the result as this request sees it. If the key has no value yet, it
 * starts from the key's default, or from 0. Increments of parallel requests add up.
 *
 * **Details**
 *
 * If the key's schema is `Schema.Number` or `Schema.Finite`, the store does the addition. If the schema is stricter,
 * such as `Schema.Int` or a range, an increment works like {@link modify}: the stored value always fits the schema, and
 * a request whose sum does not fit fails with a `SessionValueError`.
 *
 * @since 0.1.0
 * @category changing
 */
export const increment: {
  /**
   * Adds to a number.
   *
   * @since 0.1.0
   * @category changing
   */
  (by: number): (self: SessionKey.Numeric) => Effect.Effect<number, ChangeError, Session>
  /**
   * Adds to a number, 1 by default.
   *
   * @since 0.1.0
   * @category changing
   */
  (self: SessionKey.Numeric, by?: number): Effect.Effect<number, ChangeError, Session>
} = dual(
  (parameters) => !Predicate.isNumber(parameters[0]),
  (self: SessionKey.Numeric, by: number = 1): Effect.Effect<number, ChangeError, Session> =>
    changing("increment", (session, clock) => add(session, self, by, clock))
)

/**
 * Subtracts from a number (1 by default), and returns the result as this request sees it. Otherwise like
 * {@link increment}.
 *
 * @since 0.1.0
 * @category changing
 */
export const decrement: {
  /**
   * Subtracts from a number.
   *
   * @since 0.1.0
   * @category changing
   */
  (by: number): (self: SessionKey.Numeric) => Effect.Effect<number, ChangeError, Session>
  /**
   * Subtracts from a number, 1 by default.
   *
   * @since 0.1.0
   * @category changing
   */
  (self: SessionKey.Numeric, by?: number): Effect.Effect<number, ChangeError, Session>
} = dual(
  (parameters) => !Predicate.isNumber(parameters[0]),
  (self: SessionKey.Numeric, by: number = 1): Effect.Effect<number, ChangeError, Session> =>
    changing("decrement", (session, clock) => add(session, self, -by, clock))
)

const add = (
  session: RequestSession,
  key: SessionKey.Numeric,
  by: number,
  clock: Clock.Clock
): Effect.Effect<number, SessionValueError> => {
  const before = State.seen(session.loaded, key.field)
  return Effect.flatMapEager(sumOf(key, before, by, clock), ({ isOfNumbers, sum, text }) =>
    Effect.as(
      isOfNumbers && fitsAnySum(key, by)
        ? session.update((state) => Operation.added(state, key.field, { by, initial: initialOf(key) }))
        : session.rewritten(key.field, (text) => Exit.map(sumOf(key, text, by, clock), ({ text }) => text), text),
      sum
    ))
}

const initialOf = ({ initial }: SessionKey.Numeric): number => initial._tag === "Some" ? initial.value() : 0

interface Sum {
  readonly sum: number
  readonly text: string
  /** Whether the current value, if any, is a valid number for the key. */
  readonly isOfNumbers: boolean
}

const sumOf = (
  key: SessionKey.Numeric,
  before: string | undefined,
  by: number,
  clock: Clock.Clock
): Exit.Exit<Sum, SessionValueError> => {
  const text = textOf(before, key, clock)
  const stored = text === undefined ? undefined : key.decode(text)
  if (stored !== undefined && Exit.isFailure(stored) && !key.ignoresInvalid) return Exit.failCause(stored.cause)
  const sum = (stored !== undefined && Exit.isSuccess(stored) ? stored.value : initialOf(key)) + by
  if (!Number.isFinite(sum)) {
    return Exit.fail(
      new SessionValueError({ key: key.name, operation: "increment", path: [], expected: "Expected a finite sum" })
    )
  }
  return Exit.map(key.encode(sum), (text) => ({
    sum,
    text: nextFieldText(key, before, text, clock),
    isOfNumbers: stored === undefined || Exit.isSuccess(stored)
  }))
}

/**
 * Whether the schema accepts every sum that the store can compute: additions this small stay within the finite numbers.
 */
const fitsAnySum = ({ life, schema }: SessionKey.Numeric, by: number): boolean =>
  life === undefined && (schema.ast === Schema.Number.ast || schema.ast === Schema.Finite.ast) &&
  Math.abs(by) <= Number.MAX_SAFE_INTEGER

// -----------------------------------------------------------------------------
// committed at once
// -----------------------------------------------------------------------------

/**
 * How a value is renewed.
 *
 * - `when`: whether the value must be renewed.
 * - `renew`: obtains the new value from the old one, usually by a request to the service that issued it.
 * - `lease`: how long a renewal may take; `"10 seconds"` by default. Make it longer than the time limit of the request
 *   in `renew`: a renewal that takes longer is interrupted, and another server may start its own. If a server crashes,
 *   the others wait for the rest of the lease.
 *
 * @since 0.1.0
 * @category models
 */
export interface Renewal<A, E = never, R = never> {
  readonly when: (value: A) => boolean
  readonly renew: (value: A) => Effect.Effect<A, E, R>
  readonly lease?: Exclude<SessionConfig.DurationInput, "never"> | undefined
}

/**
 * Reads the value of a key like {@link get}, and renews it first if it is due. However many requests on however many
 * servers find it due, it is renewed once. Use it for an access token with a single-use refresh token: if two requests
 * both refreshed, the user would be logged out.
 *
 * **Details**
 *
 * One request gets the lease, which is stored in the session, runs `renew` and commits the new value immediately. The
 * request's other changes are not part of that commit, and the new value stays whether the request succeeds or fails.
 * The other requests wait for the new value.
 *
 * - If that request's client disconnects, the renewal continues, so `renew` must not depend on anything that ends with
 *   the request.
 * - If `renew` fails, the request that ran it gets its error. Requests that were waiting on the same server get a
 *   {@link SessionError.SessionRenewError} with the reason `"failed"`, and do not try themselves. The lease is released
 *   immediately, so the next request and other servers can try again.
 * - If it takes longer than the lease, it is interrupted, and all of these requests get a `SessionRenewError` with the
 *   reason `"timeout"`. So do requests that have waited longer than the lease plus the setting `timeLimit`.
 * - If the server crashes, the next one that needs the value gets the lease once it has run out. If the first server
 *   comes back after that, its value is discarded. Leases are compared against the servers' clocks.
 * - If the store fails after the renewal, the write is retried up to five times.
 *
 * A key without a value is not renewed. A value that this request has put but not committed is renewed for this request
 * alone. Inside {@link atomic}, a renewed value stays even if the effect fails.
 *
 * Throws if the lease is not longer than zero.
 *
 * **Gotchas**
 *
 * With `CookieLayer` this works within one process only, because the servers share nothing. Each request that has
 * waited sends the new value with its response, even if that is an error. For the time of `supersededFor`, the process
 * also gives the new value to requests that still send the old cookie. If no response reaches the client within that
 * time, the value is lost.
 *
 * **Example** (An access token that is refreshed a minute before it expires)
 *
 * ```ts
 * import { Clock, Effect, Schema } from "effect"
 * import { Session, SessionKey } from "effect-session"
 *
 * const Tokens = SessionKey.make("tokens", Schema.Struct({
 *   access: Schema.String,
 *   refresh: Schema.String,
 *   expiresAt: Schema.Number
 * }))
 *
 * declare const refresh: (token: string) => Effect.Effect<typeof Tokens.schema.Type, Error>
 *
 * const currentTokens = Effect.flatMap(Clock.currentTimeMillis, (now) =>
 *   Session.renew(Tokens, {
 *     when: ({ expiresAt }) => now > expiresAt - 60_000,
 *     renew: (tokens) => Effect.timeout(refresh(tokens.refresh), "5 seconds")
 *   }))
 * ```
 *
 * @since 0.1.0
 * @category committed at once
 */
export const renew: {
  /**
   * Reads the value of a key, and renews it first if it is due.
   *
   * @since 0.1.0
   * @category committed at once
   */
  <A, E, R>(
    renewal: Renewal<A, E, R>
  ): <Value, Encoded>(
    self: SessionKey.SessionKey<A, Value, Encoded>
  ) => Effect.Effect<Value, E | RenewError, R | Session>
  /**
   * Reads the value of a key, and renews it first if it is due.
   *
   * @since 0.1.0
   * @category committed at once
   */
  <A, Value, Encoded, E, R>(
    self: SessionKey.SessionKey<A, Value, Encoded>,
    renewal: Renewal<A, E, R>
  ): Effect.Effect<Value, E | RenewError, R | Session>
} = /* @__PURE__ */ dual(
  2,
  <A, Value, Encoded, E, R>(
    self: SessionKey.SessionKey<A, Value, Encoded>,
    { lease = "10 seconds", renew, when }: Renewal<A, E, R>
  ): Effect.Effect<Value, E | RenewError, R | Session> => {
    const { field, name } = self
    const duration = durationFor("Session.renew: lease", lease)
    return reading<Value, E | RenewError, R>((session, fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const isDue = (text: string): boolean => {
        const value = textOf(text, self, clock)
        const decoded = value === undefined ? undefined : self.decode(value)
        return decoded !== undefined && Exit.isSuccess(decoded) && when(decoded.value)
      }
      const valueAt = (text: string | undefined) => decoded(textOf(text, self, clock), self)
      const before = State.seen(session.loaded, field)
      if (before === undefined || !isDue(before)) return valueAt(before)
      const refusal = session.refusal("renew")
      if (refusal !== undefined) return Effect.fail(refusal)
      const renewal = {
        key: name,
        field,
        lease: duration,
        isDue,
        renew: (text: string) =>
          // The value may have expired while this request waited.
          Effect.flatMap(self.decode(self.life === undefined ? text : Life.valueIn(text, 0)!), (value) =>
            Effect.flatMapEager(renew(value), (next) =>
              Effect.mapEager(self.encode(next), (encoded) =>
                fieldText(self, encoded, clock))))
      }
      return Effect.flatMap(Renewing.renewed(session, before, renewal), valueAt)
    })
  }
)

/**
 * Lets a client try the value of a key, and returns whether `check` accepts the attempt: for one-time codes and
 * captchas. Each attempt is counted and committed before `check` runs, so a client can't get extra attempts by sending
 * many requests at once or by making a request fail.
 *
 * **Details**
 *
 * The key sets the limit, see `SessionKey.attempts`. The value is removed when `check` returns `true`, and after the
 * last attempt.
 *
 * Fails with a {@link SessionError.SessionAttemptsError}, status 403. The reason is `"exhausted"` if no attempts are
 * left: `check` does not run, or it has just rejected the last attempt. The reason is `"absent"` if the key has no
 * value, because it expired or another attempt succeeded first. If several correct attempts run at the same time, one
 * succeeds.
 *
 * If `check` fails, `attempt` fails with its error, and the attempt counts.
 *
 * **Gotchas**
 *
 * Attempts are counted per session, and a client can always start another session. Limit how often you send a code per
 * recipient as well.
 *
 * Fails with a {@link SessionError.SessionStatelessError} with `CookieLayer`: an old cookie would carry the old count.
 *
 * **Example** (A code sent by email)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Session, SessionKey } from "effect-session"
 *
 * const Code = SessionKey.make("code", Schema.Struct({ userId: Schema.String, code: Schema.String })).pipe(
 *   SessionKey.attempts(3),
 *   SessionKey.expires("10 minutes")
 * )
 *
 * const isRight = (given: string) => Session.attempt(Code, ({ code }) => code === given)
 * ```
 *
 * @since 0.1.0
 * @category committed at once
 */
export const attempt: {
  /**
   * Lets a client try the value of a key, and returns whether the attempt is right.
   *
   * @since 0.1.0
   * @category committed at once
   */
  <A, E = never, R = never>(
    check: (value: A) => boolean | Effect.Effect<boolean, E, R>
  ): <Value, Encoded>(
    self: SessionKey.SessionKey<A, Value, Encoded, ChangeError, number>
  ) => Effect.Effect<boolean, E | AttemptError, R | Session>
  /**
   * Lets a client try the value of a key, and returns whether the attempt is right.
   *
   * @since 0.1.0
   * @category committed at once
   */
  <A, Value, Encoded, E = never, R = never>(
    self: SessionKey.SessionKey<A, Value, Encoded, ChangeError, number>,
    check: (value: A) => boolean | Effect.Effect<boolean, E, R>
  ): Effect.Effect<boolean, E | AttemptError, R | Session>
} = /* @__PURE__ */ dual(
  2,
  <A, Value, Encoded, E, R>(
    self: SessionKey.SessionKey<A, Value, Encoded, ChangeError, number>,
    check: (value: A) => boolean | Effect.Effect<boolean, E, R>
  ): Effect.Effect<boolean, E | AttemptError, R | Session> => {
    const { attempts, field, name: key } = self
    const failed = (reason: "absent" | "exhausted") => new SessionAttemptsError({ key, reason })
    return changing<boolean, E | AttemptError, R>("attempt", (session, clock) =>
      session.isStateless
        ? Effect.fail(new SessionStatelessError({ driver: session.environment.store!.driver, operation: "attempt" }))
        : Effect.gen(function*() {
          const trying = yield* Aside.commit(session, Attempt.begun(field, attempts, clock))
          if (trying._tag !== "Begun") return yield* failed(trying._tag === "Absent" ? "absent" : "exhausted")
          const checked = check(yield* self.decode(trying.value))
          const isRight = typeof checked === "boolean" ? checked : yield* checked
          if (isRight) {
            return (yield* Aside.commit(session, Attempt.ended(field, trying.put, clock))) || (yield* failed("absent"))
          }
          return trying.isLast ? yield* failed("exhausted") : false
        }))
  }
)

/**
 * Removes all values and flash messages from the session. The session itself stays; {@link destroy} ends it.
 *
 * @since 0.1.0
 * @category changing
 */
export const clear: Effect.Effect<
  void,
  SessionStoreError | SessionReadonlyError | SessionClosedError,
  Session
> = changing("clear", (session) => session.update(Operation.cleared))

// -----------------------------------------------------------------------------
// life
// -----------------------------------------------------------------------------

/**
 * The id of the session, which is a secret. A session that is not stored yet gets its id here. For logs and lists, use
 * {@link handle}.
 *
 * @since 0.1.0
 * @category life
 */
export const sessionId: Effect.Effect<Redacted.Redacted<string>, SessionStoreError, Session> = reading((session) =>
  Effect.map(session.id, ({ text }) => Redacted.make(text))
)

/**
 * The name of the session for logs and lists: 16 characters, derived from the hash of its id. It is not a secret.
 *
 * @since 0.1.0
 * @category life
 */
export const handle: Effect.Effect<string, SessionStoreError, Session> = reading((session) =>
  Effect.map(session.id, ({ handle }) => handle)
)

/**
 * Whether the session has been loaded. Reading this does not load it.
 *
 * @since 0.1.0
 * @category life
 */
export const initiated: Effect.Effect<boolean, never, Session> = Effect.withFiber((fiber) =>
  Effect.succeed(sessionOf(fiber).isInitiated)
)

/**
 * Whether the id was created in this request, because the session is new or was regenerated.
 *
 * @since 0.1.0
 * @category life
 */
export const fresh: Effect.Effect<boolean, SessionStoreError, Session> = reading((session) =>
  Exit.succeed(State.isFresh(session.loaded))
)

/**
 * Whether the session was opened read-only. The session of a request never is.
 *
 * @since 0.1.0
 * @category life
 */
export const readonly: Effect.Effect<boolean, never, Session> = Effect.withFiber((fiber) =>
  Effect.succeed(sessionOf(fiber).isReadonly)
)

/**
 * When the session was created, or `None` if it is not stored yet.
 *
 * @since 0.1.0
 * @category life
 */
export const createdAt: Effect.Effect<Option.Option<DateTime.Utc>, SessionStoreError, Session> = reading((session) =>
  Exit.succeed(
    Option.map(
      Option.fromUndefinedOr(State.recordOf(session.loaded)),
      ({ createdAt }) => DateTime.makeUnsafe(createdAt)
    )
  )
)

/**
 * Gives the session a new id and keeps its contents. Call it whenever a user's rights change (session fixation, OWASP
 * ASVS 5.0, V7.2.4); {@link login} already does. The old id stops working when this request's changes are committed.
 *
 * **Details**
 *
 * A request that regenerates always ends with its own session. If the original session no longer exists, because it
 * expired, was logged out, or was regenerated by a double click, the request gets a new session that holds only what
 * this request has put. If a slower request had loaded the session before, its changes go to the new session for the
 * time of `supersededFor`. They do not overwrite what this request has put, forgotten or cleared.
 *
 * @since 0.1.0
 * @category life
 */
export const regenerate: Effect.Effect<
  void,
  SessionStoreError | SessionReadonlyError | SessionClosedError,
  Session
> = changing("regenerate", (session) =>
  session.phase === "open"
    ? session.regenerate
    : Effect.fail(new SessionClosedError({ operation: "regenerate" })))

/**
 * Ends the session with all its values, whatever the scopes of their keys, and clears the cookie. Anything you put
 * afterwards, such as a flash message, goes into a new session. To log a user out, use {@link logout}.
 *
 * @since 0.1.0
 * @category life
 */
export const destroy: Effect.Effect<
  void,
  SessionStoreError | SessionReadonlyError | SessionClosedError,
  Session
> = changing("destroy", (session) =>
  session.phase === "open"
    ? session.update(Operation.ended)
    : Effect.fail(new SessionClosedError({ operation: "destroy" })))

/**
 * The owner of the session, or `None` if it has no owner.
 *
 * @since 0.1.0
 * @category owner
 */
export const owner: Effect.Effect<Option.Option<string>, SessionStoreError, Session> = reading((session) =>
  Exit.succeed(Option.map(Option.fromUndefinedOr(State.ownerOf(session.loaded)), ({ id }) => id))
)

/**
 * Extends the life of the session by its `age`, even if it was extended a moment ago. You rarely need it: requests that
 * use the session extend it once per `touchEvery`. If the store fails here, the commit fails; if it fails during an
 * automatic extension, the request succeeds anyway.
 *
 * @since 0.1.0
 * @category life
 */
export const touch: Effect.Effect<
  void,
  SessionStoreError | SessionReadonlyError | SessionClosedError,
  Session
> = changing("touch", (session) => session.update(Operation.touched))

/**
 * Writes the changes now instead of with the response. Use it for changes that must survive even if the request fails,
 * and to handle the store's errors yourself. The cookie still goes out with the response. You can make more changes
 * afterwards, and commit again.
 *
 * **Gotchas**
 *
 * After a `SessionStoreError`, the changes may or may not have been stored. They are still pending for another commit.
 * That commit puts the same values again, but it repeats increments, and runs functions given to {@link modify} on
 * their own results.
 *
 * After a `SessionConflictError` or a `SessionValueError`, nothing was written and the changes are still pending. Call
 * {@link rollback} to discard them.
 *
 * @since 0.1.0
 * @category life
 */
export const commit: Effect.Effect<void, CommitError, Session> = Effect.flatMap(
  changing("commit", (session, clock) => session.commit(clock)),
  (committed) => committed === "Dropped" ? Effect.fail(new SessionGoneError({})) : Effect.void
)

/**
 * Writes the changes like {@link commit}, and returns the session's token for the response body: for a native
 * application, a command-line tool or an agent, which then presents it as `Authorization: Bearer` or in a custom
 * header. See the setting `transports`.
 *
 * **Details**
 *
 * The token is always a new one: a session that the client has already presented gets a new id. The response sets no
 * cookie, and clears the session's existing cookie. If there is no session yet, this creates one, even if it is empty.
 *
 * Call it at most once per request, before the headers are sent; otherwise it fails with a `SessionClosedError`. Later
 * changes are saved if they don't need another token. With CookieLayer every change does, so they fail with a
 * `SessionClosedError` too.
 *
 * **Gotchas**
 *
 * Call it only in the response to a login: a token that scripts can read does not have the protection of an `HttpOnly`
 * cookie.
 *
 * **Example** (A login without a browser)
 *
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import { HttpServerResponse } from "effect/http"
 * import { Session } from "effect-session"
 *
 * declare const checkPassword: Effect.Effect<string, Error>
 *
 * const login = Effect.gen(function*() {
 *   const userId = yield* checkPassword
 *   yield* Session.login(userId)
 *   const token = yield* Session.issueToken
 *   return HttpServerResponse.jsonUnsafe({ token: Redacted.value(token) })
 * })
 * ```
 *
 * @since 0.1.0
 * @category life
 */
export const issueToken: Effect.Effect<Redacted.Redacted<string>, CommitError, Session> = Effect.flatMap(
  changing(
    "issueToken",
    (session, clock): Effect.Effect<Token | undefined, CommitFailure | SessionClosedError> =>
      session.phase === "open"
        ? session.issueToken(clock)
        : Effect.fail(new SessionClosedError({ operation: "issueToken" }))
  ),
  (token) => token === undefined ? Effect.fail(new SessionGoneError({})) : Effect.succeed(Redacted.make(token.text))
)

/**
 * Discards everything that is not committed: changes, flash messages, a regeneration, a destroy.
 *
 * @since 0.1.0
 * @category life
 */
export const rollback: Effect.Effect<
  void,
  SessionStoreError | SessionReadonlyError | SessionClosedError,
  Session
> = changing("rollback", (session) => session.rollback())

/**
 * Runs an effect whose changes to the session are kept only if it succeeds. If it fails, dies or is interrupted, for
 * example by a timeout, the session is restored, flash messages included. Calls can be nested.
 *
 * **Details**
 *
 * Changes made by other fibers of the request in the meantime are not visible inside, and stay whether the effect
 * succeeds or fails; functions given to {@link modify} run again on top of them. `Session.commit` inside the effect
 * writes the changes made so far, and only later changes can still be undone. If that commit fails, none of them are
 * kept. {@link rollback} inside discards the effect's own changes.
 *
 * **Example** (No money is debited if the order fails)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Session, SessionKey } from "effect-session"
 *
 * const Credits = SessionKey.make("credits", Schema.Int).pipe(SessionKey.withDefault(() => 0))
 *
 * declare const order: Effect.Effect<void, Error>
 *
 * const buy = Session.atomic(
 *   Effect.andThen(Session.decrement(Credits, 5), order)
 * ).pipe(Effect.timeout("2 seconds"))
 * ```
 *
 * @since 0.1.0
 * @category life
 */
export const atomic = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SessionValueError | SessionConflictError | SessionClosedError, R | Session> =>
  Effect.withFiber((fiber) => {
    const session = new AtomicSession(sessionOf(fiber))
    return Effect.uninterruptibleMask((restore) =>
      Effect.matchCauseEffect(restore(Effect.provideService(effect, Session, session)), {
        onFailure: (cause) => {
          session.fail()
          return Effect.failCause(cause)
        },
        onSuccess: (value) => Effect.as(session.succeed(), value)
      })
    )
  })

// -----------------------------------------------------------------------------
// login and logout
// -----------------------------------------------------------------------------

/**
 * Options of a login.
 *
 * - `methods`: how the owner has just authenticated. Without them, this login records no authentication, and
 *   {@link requireRecent} relies on an earlier one by the same owner.
 * - `lifetime`: how long the session lives, as for {@link setLifetime}.
 * - `merge`: how to merge the values of the anonymous visitor: for each key, a pure function of the visitor's value.
 *
 * @since 0.1.0
 * @category models
 */
export interface LoginOptions<Keys extends ReadonlyArray<SessionKey.Any> = [], Method extends string = string> {
  readonly methods?: Methods<Method> | undefined
  readonly lifetime?: Lifetime | undefined
  readonly merge?: { readonly [Index in keyof Keys]: Merge<Keys[Index]> } | undefined
}

/**
 * A key, and the function that computes its value at a login. `visitor` is the key's value before the login: an
 * `Option`, or the value itself if the key has a default.
 *
 * @since 0.1.0
 * @category models
 */
export type Merge<Key extends SessionKey.Any> = readonly [
  key: Key,
  merge: (visitor: Effect.Success<Key>) => SessionKey.Type<Key>
]

/**
 * Logs a user in. `owner` is the user's id, a string of 1 to 1,024 bytes. Call it at every login, and whenever a
 * logged-in user confirms a password, a code or a passkey again.
 *
 * **Details**
 *
 * One commit does all of this:
 *
 * - The session gets a new id, so that an attacker who knew the old one is not logged in too (session fixation, OWASP
 *   ASVS 5.0, V7.2.4).
 * - The session belongs to the owner from this call on: `Sessions.list` includes it, and `Sessions.destroyAll` ends it
 *   even before this request has written anything. This costs one extra store call in stores that support owners. A
 *   session that is written more than an hour after this call is treated as ended.
 * - The time and the `methods` are recorded, for {@link requireRecent}.
 * - Values of another owner are removed, according to the scopes of the keys (`SessionKey.make`). Values of an
 *   anonymous visitor stay.
 * - `merge` combines the visitor's values with those that your application holds for the user. Like those of
 *   {@link modify}, the functions run again if another request changes the value in the meantime. They do not run if
 *   the owner is already logged in.
 *
 * If the owner already has as many sessions as the setting `owner.limit` allows, it fails with a
 * {@link SessionError.SessionLimitError}; with `owner.policy` set to `"evict"`, it ends the owner's least recently used
 * session instead. If a merge function throws, or returns a value that the key's schema rejects, it fails with a
 * `SessionValueError`. After either error, nothing has changed.
 *
 * **Example** (A login that keeps the visitor's basket)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Session, SessionKey } from "effect-session"
 *
 * const Basket = SessionKey.make("basket", Schema.Record(Schema.String, Schema.Int), { scope: "visitor" }).pipe(
 *   SessionKey.withDefault(() => ({}))
 * )
 *
 * declare const storedBasket: (userId: string) => Effect.Effect<{ readonly [product: string]: number }>
 *
 * const login = Effect.fn(function*(userId: string) {
 *   const stored = yield* storedBasket(userId)
 *   yield* Session.login(userId, {
 *     methods: ["password"],
 *     merge: [[Basket, (visitor) => ({ ...stored, ...visitor })]]
 *   })
 * })
 * ```
 *
 * **Example** (Naming an application's methods once)
 *
 * ```ts
 * import { Session } from "effect-session"
 *
 * type Method = "password" | "otp" | "passkey"
 *
 * const login = (userId: string, methods: Session.Methods<Method>) => Session.login(userId, { methods })
 *
 * const requireRecent = Session.requireRecent<Method>
 * ```
 *
 * @since 0.1.0
 * @category login and logout
 */
export const login = <const Keys extends ReadonlyArray<SessionKey.Any> = [], Method extends string = string>(
  owner: string,
  { lifetime, merge, methods }: LoginOptions<Keys, Method> = {}
): Effect.Effect<void, LoginError, Session> =>
  changing("login", (session, clock): Effect.Effect<void, LoginError> => {
    if (session.phase !== "open") return Effect.fail(new SessionClosedError({ operation: "login" }))
    const reason = Owner.mistakeIn(owner)
    if (reason !== undefined) return Effect.fail(new SessionOwnerError({ reason }))
    if (methods !== undefined && !Authenticated.isMethods(methods)) return Effect.fail(wrongMethods())
    const asked = lifetime === undefined ? undefined : LifetimeInput.decode(lifetime)
    if (asked !== undefined && Result.isFailure(asked)) return Effect.fail(asked.failure)
    const merges = (merge ?? []).map(([key, f]): Operation.Merges[number] => [
      key.field,
      runningAgain(key, f, clock, "merge")
    ])
    // Among the functions, only those of `pull` can fail with a conflict.
    return session.logIn({ owner, methods, lifetime: asked?.success, merges }, clock) as Effect.Effect<void, LoginError>
  })

const wrongMethods = () =>
  new SessionValueError({
    key: Meta.authenticated,
    operation: "encode",
    path: ["methods"],
    expected: `Expected ${Authenticated.howToNameMethods}`
  })

/**
 * Logs the user out: removes all values with the scope `"login"`, the owner, the authentication, the lifetime and the
 * id of the session. Values with other scopes continue in an anonymous session under a new id; if there are none, the
 * cookie is cleared.
 *
 * **Details**
 *
 * All of this happens in one commit. As after {@link destroy}, a copy of the old cookie no longer works, commits of
 * slower requests are dropped, and `Sessions.events` reports the session as destroyed. Anything you put afterwards,
 * such as a flash message, goes into the anonymous session.
 *
 * On a shared computer, also tell the browser to forget what it has stored: {@link clearSiteData}.
 *
 * @since 0.1.0
 * @category login and logout
 */
export const logout: Effect.Effect<
  void,
  SessionStoreError | SessionReadonlyError | SessionClosedError,
  Session
> = changing("logout", (session) =>
  session.phase === "open"
    ? session.logOut
    : Effect.fail(new SessionClosedError({ operation: "logout" })))

/**
 * What a browser can be told to forget about a site: `"cache"`, cached pages and files; `"cookies"`, all cookies of the
 * domain, including those of its other hosts; `"storage"`, what scripts have stored; `"executionContexts"`, open pages,
 * which are reloaded.
 *
 * @since 0.1.0
 * @category models
 */
export type SiteData = "cache" | "cookies" | "storage" | "executionContexts"

/**
 * Asks the browser to forget what it has stored for this site, with the header `Clear-Site-Data` on a committed
 * response. Use it together with {@link logout} on shared computers (OWASP ASVS 5.0, V14.3.1).
 *
 * **Details**
 *
 * A second call replaces the first, and {@link rollback} undoes it. A response that is rolled back, or whose commit
 * fails, does not have the header.
 *
 * **Gotchas**
 *
 * Browsers obey it over HTTPS only. `"cache"` can take several seconds. `"cookies"` deletes the session's own cookie
 * too, and with it the values that a logout would keep.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Session } from "effect-session"
 *
 * const logout = Effect.andThen(Session.logout, Session.clearSiteData(["cache", "storage"]))
 * ```
 *
 * @since 0.1.0
 * @category login and logout
 */
export const clearSiteData = (data: readonly [SiteData, ...ReadonlyArray<SiteData>]): Effect.Effect<
  void,
  SessionStoreError | SessionReadonlyError | SessionClosedError,
  Session
> =>
  changing("clearSiteData", (session) =>
    session.phase === "open"
      ? session.clearSiteData(data)
      : Effect.fail(new SessionClosedError({ operation: "clearSiteData" })))

// -----------------------------------------------------------------------------
// lifetime
// -----------------------------------------------------------------------------

/**
 * How long a session lives. Fields that you leave out are as configured.
 *
 * - `age`: the idle timeout, at most `maximumAge`.
 * - `absoluteAge`: the absolute timeout, counted from the session's creation, at most `maximumAbsoluteAge`.
 * - `persistence`: whether the cookie survives closing the browser (`"persistent"`) or not (`"browser"`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Lifetime {
  readonly age?: SessionConfig.DurationInput | undefined
  readonly absoluteAge?: SessionConfig.DurationInput | undefined
  readonly persistence?: SessionConfig.Settings["cookie"]["persistence"] | undefined
}

/**
 * When a session ends. A field is `None` if it never does, or if the session is not stored yet.
 *
 * - `idle`: if it is not used again.
 * - `absolute`: however much it is used.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ends {
  readonly idle: Option.Option<DateTime.Utc>
  readonly absolute: Option.Option<DateTime.Utc>
}

/**
 * When the session ends, according to its last commit. Changes of this request count once they are committed.
 *
 * @since 0.1.0
 * @category lifetime
 */
export const expiresAt: Effect.Effect<Ends, SessionStoreError, Session> = reading(({ expiry, loaded }) => {
  const record = State.recordOf(loaded)
  return Exit.succeed(
    record === undefined
      ? { idle: Option.none(), absolute: Option.none() }
      : { idle: toMoment(expiry.end(record)), absolute: toMoment(expiry.absoluteEnd(record)) }
  )
})

const toMoment = (time: number): Option.Option<DateTime.Utc> =>
  time === endOfTime ? Option.none() : Option.some(DateTime.makeUnsafe(time))

/**
 * Gives this session its own lifetime: for "Keep me logged in", or to end it sooner than others. It replaces an earlier
 * one, and `{}` restores the configured lifetime. The session keeps it when it is regenerated or cleared. At a login,
 * pass it to {@link login} instead.
 *
 * **Details**
 *
 * It applies from the commit on. The commit counts as a use of the session, and the client gets a cookie with the
 * matching lifetime. With `rolling: "never"`, `age` still counts from the session's creation, and so does `absoluteAge`
 * always: a visitor who logs in after a day of shopping has one day less.
 *
 * A lifetime can be longer than the settings `age` and `absoluteAge`, up to `maximumAge` and `maximumAbsoluteAge`.
 * Longer ones are cut, and so is an `age` that is longer than the absolute age: read the result from {@link expiresAt}.
 * The metric `effect_session.cut_lifetimes` counts it, and a log event at level Debug names both durations. If you
 * lower the settings later, they also apply to existing sessions.
 *
 * **Example** (Keep me logged in)
 *
 * ```ts
 * import { Session, SessionConfig } from "effect-session"
 *
 * const Config = SessionConfig.layerConfig({ maximumAge: "30 days", maximumAbsoluteAge: "90 days" })
 *
 * const logIn = (userId: string, remember: boolean) =>
 *   Session.login(userId, {
 *     methods: ["password"],
 *     lifetime: remember
 *       ? { age: "30 days", absoluteAge: "90 days", persistence: "persistent" }
 *       : { persistence: "browser" }
 *   })
 * ```
 *
 * @since 0.1.0
 * @category lifetime
 */
export const setLifetime = (
  lifetime: Lifetime
): Effect.Effect<
  void,
  SessionStoreError | SessionReadonlyError | SessionClosedError | SessionLifetimeError,
  Session
> =>
  changing("setLifetime", (session): Effect.Effect<void, SessionClosedError | SessionLifetimeError> => {
    // The response needs a new cookie.
    if (session.phase !== "open") return Effect.fail(new SessionClosedError({ operation: "setLifetime" }))
    const asked = LifetimeInput.decode(lifetime)
    return Result.isFailure(asked) ? Effect.fail(asked.failure) : session.setLifetime(asked.success)
  })

// -----------------------------------------------------------------------------
// flash messages
// -----------------------------------------------------------------------------

/**
 * The messages flashed by the previous request that used the session.
 *
 * @since 0.1.0
 * @category models
 */
export interface FlashMessages {
  /** The value at a path such as `"errors.title"`, or the default. */
  readonly get: {
    (path: string): Option.Option<Json>
    <A>(path: string, orElse: A): Json | A
  }
  readonly has: (path: string) => boolean
  readonly all: () => JsonObject
  readonly isEmpty: boolean
}

const flashMessagesOf = (messages: JsonObject): FlashMessages => {
  const get = (path: string, ...orElse: ReadonlyArray<unknown>) => {
    const value = FlashMessage.at(messages, path)
    if (orElse.length > 0) return value === undefined ? orElse[0] : value
    return Option.fromUndefinedOr(value)
  }
  return {
    get: get as FlashMessages["get"],
    has: (path) => FlashMessage.at(messages, path) !== undefined,
    all: () => messages,
    isEmpty: Object.keys(messages).length === 0
  }
}

/**
 * The messages flashed by the previous request that used the session.
 *
 * @since 0.1.0
 * @category flash messages
 */
export const flashMessages: Effect.Effect<FlashMessages, SessionStoreError, Session> = reading((session) =>
  Exit.succeed(flashMessagesOf(session.loaded.flashed))
)

/**
 * Reads the value of a key that the previous request flashed.
 *
 * @since 0.1.0
 * @category flash messages
 */
export const flashed = <A, Value, Encoded>(
  key: SessionKey.SessionKey<A, Value, Encoded>
): Effect.Effect<Value, ReadError, Session> => reading(({ loaded }) => flashedOf(loaded.flashed, key))

const flashedOf = <A, Value, Encoded>(
  messages: JsonObject,
  key: SessionKey.SessionKey<A, Value, Encoded>
): Exit.Exit<Value, SessionValueError> =>
  decoded(Object.hasOwn(messages, key.name) ? JSON.stringify(messages[key.name]) : undefined, key)

/**
 * Leaves a message for the next request that uses the session, and only for that one: a single message by name or by
 * key, or several as an object. HEAD requests and prefetches do not consume it.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { HttpServerResponse } from "effect/http"
 * import { Session } from "effect-session"
 *
 * const save = Session.flash("message", "Saved").pipe(
 *   Effect.as(HttpServerResponse.redirect("/"))
 * )
 * ```
 *
 * @since 0.1.0
 * @category flash messages
 */
export const flash: {
  /**
   * Leaves the value of a key for the next request that uses the session.
   *
   * @since 0.1.0
   * @category flash messages
   */
  <A, Value, Encoded>(
    key: SessionKey.SessionKey<A, Value, Encoded>,
    value: NoInfer<A>
  ): Effect.Effect<void, ChangeError, Session>
  /**
   * Leaves a message for the next request that uses the session.
   *
   * @since 0.1.0
   * @category flash messages
   */
  (name: string, message: Json): Effect.Effect<void, ChangeError, Session>
  /**
   * Leaves messages for the next request that uses the session.
   *
   * @since 0.1.0
   * @category flash messages
   */
  (messages: JsonObject): Effect.Effect<void, ChangeError, Session>
} = (first: SessionKey.Any | string | JsonObject, value?: unknown): Effect.Effect<void, ChangeError, Session> =>
  changing("flash", (session, clock): Effect.Effect<void, SessionValueError> => {
    if (typeof first === "string") return session.flash({ [first]: value as Json }, clock)
    if (!isKey(first)) return session.flash(first, clock)
    return Effect.flatMapEager(first.encode(value), (text) => session.flash({ [first.name]: JSON.parse(text) }, clock))
  })

const isKey = (value: SessionKey.Any | JsonObject): value is SessionKey.Any =>
  Predicate.hasProperty(value, "~effect-session/SessionKey")

/**
 * Flashes the fields that `pick` selects from the given values, or from the request's body, without those that are too
 * large or too deeply nested.
 */
const flashing = (
  operation: string,
  values: JsonObject | undefined,
  pick: (values: JsonObject, session: RequestSession) => JsonObject
) =>
  // The body may take a while to arrive, so check only afterwards whether a change is still possible.
  Effect.flatMap(
    values === undefined ? reading((session) => session.client.input) : Effect.succeed(values),
    (values) =>
      changing(operation, (session, clock) => {
        const { sizeLimit } = session.settings.flash
        return session.flashForm(pick(FlashMessage.eligible(values, sizeLimit), session), clock, sizeLimit)
      })
  )

/**
 * Flashes the given values, or the fields of the request's body (a form or JSON), to fill in a form again after a
 * redirect. Fields whose names look like a password or another secret are left out (the setting `flash.except`).
 *
 * **Details**
 *
 * Unsuitable input from a client is dropped and never an error. If the form exceeds the setting `flash.sizeLimit` (16
 * KiB of JSON by default), or would make the session too large for its store, the longest fields are left out first.
 * Fields nested more than 500 levels deep are always left out.
 *
 * @since 0.1.0
 * @category flash messages
 */
export const flashAll = (values?: JsonObject): Effect.Effect<void, ChangeError, Session> =>
  flashing("flashAll", values, (values, session) => FlashMessage.withoutNamed(values, session.settings.flash.except))

/**
 * Like {@link flashAll}, but only for the fields with these names, even if they look like secrets.
 *
 * @since 0.1.0
 * @category flash messages
 */
export const flashOnly = (
  names: ReadonlyArray<string>,
  values?: JsonObject
): Effect.Effect<void, ChangeError, Session> =>
  flashing("flashOnly", values, (values) => FlashMessage.only(values, names))

/**
 * Like {@link flashAll}, but without the fields with these names.
 *
 * @since 0.1.0
 * @category flash messages
 */
export const flashExcept = (
  names: ReadonlyArray<string>,
  values?: JsonObject
): Effect.Effect<void, ChangeError, Session> =>
  flashing(
    "flashExcept",
    values,
    (values, session) => FlashMessage.except(FlashMessage.withoutNamed(values, session.settings.flash.except), names)
  )

const reflashing = (operation: string, pick: (messages: JsonObject) => JsonObject) =>
  changing(operation, (session, clock) => session.flashForm(pick(session.loaded.flashed), clock, Infinity))

/**
 * Keeps the previous request's messages for the next request.
 *
 * @since 0.1.0
 * @category flash messages
 */
export const reflash: Effect.Effect<void, ChangeError, Session> = reflashing("reflash", (messages) => messages)

/**
 * Keeps the messages with these names for the next request.
 *
 * @since 0.1.0
 * @category flash messages
 */
export const reflashOnly = (names: ReadonlyArray<string>): Effect.Effect<void, ChangeError, Session> =>
  reflashing("reflashOnly", (messages) => FlashMessage.only(messages, names))

/**
 * Keeps all messages for the next request except those with these names.
 *
 * @since 0.1.0
 * @category flash messages
 */
export const reflashExcept = (names: ReadonlyArray<string>): Effect.Effect<void, ChangeError, Session> =>
  reflashing("reflashExcept", (messages) => FlashMessage.except(messages, names))

// -----------------------------------------------------------------------------
// authentication
// -----------------------------------------------------------------------------

/**
 * When the user last authenticated, and with which methods.
 *
 * @since 0.1.0
 * @category models
 */
export interface Authentication {
  readonly at: DateTime.Utc
  readonly methods: Methods
}

/**
 * Authentication methods: one or more names that you choose, such as `"password"`, of 1 to 64 characters each.
 *
 * @since 0.1.0
 * @category models
 */
export type Methods<Method extends string = string> = readonly [Method, ...ReadonlyArray<Method>]

/** The recorded authentication and the current time. */
const authenticationNow: Effect.Effect<
  readonly [Authenticated.Authentication | undefined, now: number],
  SessionStoreError,
  Session
> = reading((session) =>
  Effect.map(
    Clock.currentTimeMillis,
    (now) => [Authenticated.decode(State.seen(session.loaded, Meta.authenticated), now), now] as const
  )
)

const withMoment = ({ at, methods }: Authenticated.Authentication): Authentication => ({
  at: DateTime.makeUnsafe(at),
  methods
})

/**
 * When the user last authenticated, and with which methods, or `None` if never.
 *
 * **Details**
 *
 * If another server recorded a time that is ahead of this server's clock, it counts as now. A time more than ten
 * minutes ahead counts as never.
 *
 * @since 0.1.0
 * @category authentication
 */
export const authentication: Effect.Effect<Option.Option<Authentication>, SessionStoreError, Session> = Effect.map(
  authenticationNow,
  ([last]) => Option.map(Option.fromUndefinedOr(last), withMoment)
)

/**
 * When the user last authenticated, or `None` if never. See {@link authentication}.
 *
 * @since 0.1.0
 * @category authentication
 */
export const authenticatedAt: Effect.Effect<Option.Option<DateTime.Utc>, SessionStoreError, Session> = Effect.map(
  authentication,
  Option.map(({ at }) => at)
)

/**
 * Fails with a {@link SessionError.SessionNotRecentError}, status 401, unless the user has authenticated within the
 * last `maxAge`, and with one of the `methods` if you name any. Use it for actions that need the password again, such
 * as changing the email address.
 *
 * **Details**
 *
 * Only the methods of the last authentication count. To require several methods, call it once for each.
 *
 * To send your own response body or redirect to your login page, map the error. In an `HttpApi`, declare this error or
 * your own on the endpoint, or guard a whole group with `SessionMiddleware.layerApiGuard`.
 *
 * Throws when it is called if `maxAge` is not a duration longer than zero, or if the list of methods is invalid.
 *
 * **Example** (An application's own error)
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Session } from "effect-session"
 *
 * class PasswordNeeded extends Schema.TaggedError<PasswordNeeded>()("PasswordNeeded", {
 *   loginAt: Schema.String
 * }, { httpApiStatus: 401 }) {}
 *
 * const passwordAgain = Session.requireRecent("10 minutes", { methods: ["password"] }).pipe(
 *   Effect.catchTag("SessionNotRecentError", () => Effect.fail(new PasswordNeeded({ loginAt: "/login" })))
 * )
 *
 * declare const changeEmail: Effect.Effect<void>
 *
 * const handler = Effect.andThen(passwordAgain, changeEmail)
 * ```
 *
 * @since 0.1.0
 * @category authentication
 */
export const requireRecent = <Method extends string = string>(
  maxAge: Exclude<SessionConfig.DurationInput, "never">,
  options: { readonly methods?: Methods<Method> } = {}
): Effect.Effect<Authentication, SessionStoreError | SessionNotRecentError, Session> => {
  const duration = durationFor("Session.requireRecent", maxAge)
  if (options.methods !== undefined && !Authenticated.isMethods(options.methods)) {
    throw new Error(`Session.requireRecent: write ${Authenticated.howToNameMethods}, or leave methods out`)
  }
  const { methods = [] } = options
  return Effect.flatMap(
    authenticationNow,
    ([last, now]) =>
      last !== undefined && Authenticated.isRecent(last, now, Duration.toMillis(duration), methods)
        ? Effect.succeed(withMoment(last))
        : Effect.fail(
          new SessionNotRecentError({
            maxAge: duration,
            methods,
            ...(last !== undefined && { authenticatedAt: DateTime.makeUnsafe(last.at) })
          })
        )
  )
}

// -----------------------------------------------------------------------------
// testing
// -----------------------------------------------------------------------------

/**
 * Provides a session without HTTP and without a store, for tests of business logic. `values` are the session's values
 * in stored form. `Session.login` works, and the owner has no other sessions. List `keys` whose scope is not `"login"`.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Session, SessionKey } from "effect-session"
 *
 * const CartTotal = SessionKey.make("cart_total", Schema.Number).pipe(SessionKey.withDefault(() => 0))
 *
 * const program = Session.increment(CartTotal, 5).pipe(
 *   Effect.provide(Session.layerTest({ cart_total: 10 }))
 * )
 *
 * Effect.runSync(program) // 15
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTest = (
  values: JsonObject = {},
  keys: ReadonlyArray<SessionKey.Any> = []
): Layer.Layer<Session | SessionOwners | SessionIndex> =>
  Layer.effectContext(
    Effect.map(Effect.orDie(SessionConfig.decode({})), (settings) => {
      const fieldOf = (name: string) => keys.find((key) => key.name === name)?.field ?? fieldOfKey(name)
      const fields = new Map(Object.entries(values).map(([name, value]) => [fieldOf(name), JSON.stringify(value)]))
      const environment = Environment.make(settings, undefined, Effect.sync(Identifier.random), fields)
      return Context.make(Session, new RequestSession(environment, noClient) as Session).pipe(
        Context.add(Owners.SessionOwners, Owners.none),
        Context.add(Owners.SessionIndex, Owners.none)
      )
    })
  )

const noClient: Client = {
  present: () => ({ _tag: "None" }),
  input: Effect.succeed({}),
  messages: "leave",
  takesCookie: true
}
