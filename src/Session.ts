/**
 * The session of the request, and every operation on it.
 *
 * An operation is an Effect that needs the {@link Session}, which the middleware provides. The first one loads the
 * session; changes stay in memory until the response leaves the middleware, and are then written in one operation of the
 * store. A handler that ends in a defect, an interruption or a response of the 5xx class has changed
 * nothing.
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
 * The session of one request. All that can be done with it are the functions of this module.
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

/** An operation on what is loaded. */
const reading = <A, E = never, R = never>(
  f: (session: RequestSession, fiber: AnyFiber) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | SessionStoreError, R | Session> =>
  Effect.withFiber((fiber) => {
    const session = sessionOf(fiber)
    return session.isReady ? f(session, fiber) : Effect.flatMapEager(session.readyIn(fiber), () => f(session, fiber))
  })

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** An operation that changes what is loaded, where that is still possible. */
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
 * The value of a key: an `Option`, or the value itself if the key has a default. A key run as an Effect does the same.
 *
 * @since 0.1.0
 * @category reading
 */
export const get = <A, Value, Encoded, E>(
  key: SessionKey.SessionKey<A, Value, Encoded, E>
): Effect.Effect<Value, E, Session> =>
  // By its type, a key that is taken by reading says what that can fail with.
  (key.isOnce ? pull(key as TakenKey<A, Value, Encoded>) : peek(key)) as Effect.Effect<Value, E, Session>

const peek = <A, Value, Encoded>(
  key: SessionKey.SessionKey<A, Value, Encoded, unknown>
): Effect.Effect<Value, ReadError, Session> =>
  reading((session, fiber) => valueOf(session.loaded, key, clockOf(key, fiber)))

/** A key whose values may also be of those that reading takes. */
type TakenKey<A, Value, Encoded> = SessionKey.SessionKey<A, Value, Encoded, ChangeError>

/** Whatever can be read at a time. */
type Readable<A, Value, Encoded> = SessionKey.SessionKey<A, Value, Encoded, unknown>

/** The clock by which a value is there, if it is a matter of time. */
const clockOf = ({ life }: { readonly life: Life.Rules | undefined }, fiber: AnyFiber): Clock.Clock | undefined =>
  life && fiber.getRef(Clock.Clock)

const valueOf = <A, Value, Encoded>(
  state: State.Loaded,
  key: Readable<A, Value, Encoded>,
  clock: Clock.Clock | undefined
): Exit.Exit<Value, SessionValueError> => decoded(textOf(State.seen(state, key.field), key, clock), key)

/** The text of a value, of that of its field. */
const textOf = (
  text: string | undefined,
  { life }: { readonly life: Life.Rules | undefined },
  clock: Clock.Clock | undefined
): string | undefined => life === undefined ? text : Life.valueIn(text, clock!.currentTimeMillisUnsafe())

/** The text of the field, of that of a value that is put. */
const fieldText = (key: SessionKey.Any, text: string, clock: Clock.Clock): string =>
  key.life === undefined ? text : Life.begun(key.life, text, clock.currentTimeMillisUnsafe())

/** The same for a value that has been made of the one before. */
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
 * The value of a key, or what `orElse` gives where there is none.
 *
 * @since 0.1.0
 * @category reading
 */
export const getOrElse: {
  /**
   * The value of a key, or what `orElse` gives where there is none.
   *
   * @since 0.1.0
   * @category reading
   */
  <B>(
    orElse: () => B
  ): <A, Value, Encoded>(self: SessionKey.SessionKey<A, Value, Encoded>) => Effect.Effect<A | B, ReadError, Session>
  /**
   * The value of a key, or what `orElse` gives where there is none.
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
 * Whether there is a value for the key. A default does not count.
 *
 * @since 0.1.0
 * @category reading
 */
export const has = (key: SessionKey.Any): Effect.Effect<boolean, SessionStoreError, Session> =>
  reading((session, fiber) =>
    Exit.succeed(textOf(State.seen(session.loaded, key.field), key, clockOf(key, fiber)) !== undefined)
  )

/**
 * Everything that is in the session, as it is stored. Flash messages do not belong to it.
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
 * A read-only view of the session, for rendering: plain functions, no Effects.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionView {
  /** As `Session.get`. Throws a `SessionValueError` where that would fail with one. */
  readonly get: <A, Value, Encoded>(key: SessionKey.SessionKey<A, Value, Encoded>) => Value
  readonly has: (key: SessionKey.Any) => boolean
  /** As `Session.all`. Throws a `SessionValueError` where that would fail with one. */
  readonly all: () => JsonObject
  /** As `Session.flashed`. Throws a `SessionValueError` where that would fail with one. */
  readonly flashed: <A, Value, Encoded>(key: SessionKey.SessionKey<A, Value, Encoded>) => Value
  readonly flashMessages: FlashMessages
}

/**
 * A read-only view of the session as it is now, for rendering.
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
 * Takes the value of a key out of the session: reads it, and removes it. Of several requests that take one value at the
 * same time, such as a token that is good for one use, only the first to commit can have it.
 *
 * **Details**
 *
 * The others learn of it when they commit: `Session.commit` fails with a {@link SessionError.SessionConflictError}, as does the
 * commit at the end of the request, which answers 409 then. None of their changes are saved. So if what you take is good
 * for something outside the session, commit before you use it. If you answer the error yourself, call {@link rollback}: the
 * value can't be had any more, and the commit at the end would fail for the same reason.
 *
 * If the store's answer to the commit is lost, a second commit finds the value taken, by the first one. A session that was
 * gone before a login could take the value counts as taken as well.
 *
 * **Example** (One order for a cart, also after a double click)
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
 * Puts what a function makes of the value, and gives it back. The function must be pure: where another request has changed
 * the value by the time this one commits, the function is run again, on what is there then. So no change is lost, and no
 * lock is held; it takes no more calls of the store as long as nobody is in the way.
 *
 * **Details**
 *
 * What you get back is what this request sees; what is stored may be the result of a later run. If the function throws
 * then, or makes something that the key's schema refuses, the commit fails with a `SessionValueError`, and none of the
 * request's changes are saved. If other requests come in between a hundred times, it fails with a
 * `SessionConflictError`.
 *
 * With `CookieLayer`, the session is at the client, so of two requests at the same time the last response wins.
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
   * Puts what a function makes of the value, and gives it back.
   *
   * @since 0.1.0
   * @category changing
   */
  <A, Value>(
    f: (value: Value) => NoInfer<A>
  ): <Encoded>(self: SessionKey.SessionKey<A, Value, Encoded>) => Effect.Effect<A, ChangeError, Session>
  /**
   * Puts what a function makes of the value, and gives it back.
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

/** The function of the value as one of the stored text, for when the handler is over. */
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
    (operation === "modify" ? " when it is run again, on what another request has put" : "")
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
  // Also where this request sees none: another one may have put it meanwhile.
  changing("forget", (session) => session.update((state) => Operation.removed(state, key.field)))

/**
 * Adds to a number (by default 1), and gives what this request sees as the result. Where there is no number yet, it
 * begins with the key's default, or else with 0. Increments of parallel requests add up.
 *
 * **Details**
 *
 * If the key's schema is `Schema.Number` or `Schema.Finite`, the store does the sum itself. If it says more, such as
 * `Schema.Int` or a limit, an increment is as {@link modify}: what is stored always fits the schema, and a request whose
 * sum would not is refused with a `SessionValueError`.
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
   * Adds to a number, by default 1.
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
 * Subtracts from a number (by default 1), and gives what this request sees as the result. As {@link increment}.
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
   * Subtracts from a number, by default 1.
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
  /** Whether what was there, if anything, is a number of the key's. */
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

/** Whether the schema takes every sum that the store can make: additions as small as these don't leave the finite numbers. */
const fitsAnySum = ({ life, schema }: SessionKey.Numeric, by: number): boolean =>
  life === undefined && (schema.ast === Schema.Number.ast || schema.ast === Schema.Finite.ast) &&
  Math.abs(by) <= Number.MAX_SAFE_INTEGER

// -----------------------------------------------------------------------------
// committed at once
// -----------------------------------------------------------------------------

/**
 * How a value is renewed.
 *
 * - `when`: whether it is time for that.
 * - `renew`: the new value, of the old one: a request to whoever has given it.
 * - `lease`: how long a server may take for it, default `"10 seconds"`. Let it be longer than your own time limit for the request,
 *   as a renewal that takes longer is interrupted, and another server may begin one of its own. If a server dies meanwhile, the
 *   others wait for so long.
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
 * The value of a key, as {@link get} gives it, and renewed before if it is time for that: once, however many requests find so on
 * however many servers. For an access token with a refresh token that is good for one use: two requests that both refresh would
 * log the user out.
 *
 * **Details**
 *
 * One request gets the lease, which is a field of the session, runs `renew` and commits the new value at once: without what the
 * request has changed otherwise, and whatever becomes of the request. The others wait and get that value.
 *
 * - If the client of that request goes away, the renewal goes on, so `renew` must not need what ends with the request.
 * - If `renew` fails, its error is that of the request that has run it. Those of the same server that have waited get a
 *   {@link SessionError.SessionRenewError} of the reason `"failed"`, and no request of its own is made for them. The lease is free at
 *   once, for the next request and for other servers.
 * - If it takes longer than the lease, it is interrupted, and all get a `SessionRenewError` of the reason `"timeout"`. So do
 *   requests that have waited for longer than the lease and the setting `timeLimit`.
 * - If the server dies, the next one that needs the value gets the lease when it is over. If the server comes back then, its value
 *   is not taken any more. The ends of leases are compared with the servers' clocks.
 * - If the store fails after the renewal, it is asked five times more.
 *
 * Where there is no value, there is nothing to renew. A value that the request has put itself and not committed is renewed for
 * this request alone. Inside {@link atomic}, what has been renewed stays also if that fails.
 *
 * A lease that is not longer than zero throws.
 *
 * **Gotchas**
 *
 * With `CookieLayer`, this holds within one process, as servers can't know of each other. The new value goes out with the response of
 * each request that has waited, also if it is an error. For as long as `supersededFor`, the process gives it to requests that still
 * come with the old cookie; if no response has reached the client by then, it is lost.
 *
 * **Example** (An access token that is refreshed a minute before its end)
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
   * The value of a key, renewed before if it is time for that.
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
   * The value of a key, renewed before if it is time for that.
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
          // While others were asked, its time may have passed.
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
 * Whether somebody who tries the value of a key is right, as `check` says: for one-time codes and captchas. Each try is counted
 * before `check` runs, and committed at once, so that nobody can try more often: not by sending many requests at the same time,
 * and not by making a request fail.
 *
 * **Details**
 *
 * The key says how often, see `SessionKey.attempts`. If `check` says `true`, the value is gone, and so it is if that was the last try.
 *
 * It is a {@link SessionError.SessionAttemptsError}, status 403, if there are no more tries: `check` does not run then, or it has run
 * for the last time and has said `false`. Its reason is `"absent"` if there is no value, as its time is over or somebody was right
 * before: of several who are right at the same time, one is.
 *
 * If `check` fails, that is the error, and the try counts.
 *
 * **Gotchas**
 *
 * It counts for one session. Who can begin another session gets another value: limit how often somebody is sent a code, by whom it
 * is sent to.
 *
 * With `CookieLayer`, it is a {@link SessionError.SessionStatelessError}: an old cookie would have the old count in it.
 *
 * **Example** (A code that was sent by mail)
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
   * Whether somebody who tries the value of a key is right.
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
   * Whether somebody who tries the value of a key is right.
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
 * Removes everything from the session, flash messages too. The session itself stays; {@link destroy} ends it.
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
 * The id of the session: a secret. A session that is not stored yet draws one. For logs and lists there is
 * {@link handle}.
 *
 * @since 0.1.0
 * @category life
 */
export const sessionId: Effect.Effect<Redacted.Redacted<string>, SessionStoreError, Session> = reading((session) =>
  Effect.map(session.id, ({ text }) => Redacted.make(text))
)

/**
 * The name of the session for logs and lists, made from the hash of its id: 16 characters, not a secret.
 *
 * @since 0.1.0
 * @category life
 */
export const handle: Effect.Effect<string, SessionStoreError, Session> = reading((session) =>
  Effect.map(session.id, ({ handle }) => handle)
)

/**
 * Whether the session has been loaded already. Asking does not load it.
 *
 * @since 0.1.0
 * @category life
 */
export const initiated: Effect.Effect<boolean, never, Session> = Effect.withFiber((fiber) =>
  Effect.succeed(sessionOf(fiber).isInitiated)
)

/**
 * Whether the id was made in this request: the session is new, or was regenerated.
 *
 * @since 0.1.0
 * @category life
 */
export const fresh: Effect.Effect<boolean, SessionStoreError, Session> = reading((session) =>
  Exit.succeed(State.isFresh(session.loaded))
)

/**
 * Whether the session was opened read-only. In a request it never is.
 *
 * @since 0.1.0
 * @category life
 */
export const readonly: Effect.Effect<boolean, never, Session> = Effect.withFiber((fiber) =>
  Effect.succeed(sessionOf(fiber).isReadonly)
)

/**
 * When the session was created; none if it is not stored yet.
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
 * Gives the session a new id and keeps what is in it. Do it at every change of rights (session fixation, OWASP ASVS 5.0,
 * V7.2.4); {@link login} does it by itself. The old id is dead as soon as this request's changes are committed.
 *
 * **Details**
 *
 * A request that regenerates always ends with a session of its own. Where its session is gone by then, as it has expired, was
 * logged out, or was regenerated by another click on the same button, it gets a new one, with what this request has put and
 * nothing else. What a slower request that had loaded the session before commits afterwards goes to the new session, for as
 * long as `supersededFor`, and does not write over what this request has put, forgotten or cleared.
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
 * Ends the session for good, whatever the scopes of its keys, and clears the cookie. What is put afterwards, such as a flash
 * message, goes to a new session. For a logout there is {@link logout}.
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
 * Whose session it is; none if nobody has said so.
 *
 * @since 0.1.0
 * @category owner
 */
export const owner: Effect.Effect<Option.Option<string>, SessionStoreError, Session> = reading((session) =>
  Exit.succeed(Option.map(Option.fromUndefinedOr(State.ownerOf(session.loaded)), ({ id }) => id))
)

/**
 * Extends the life of the session by its `age`, also if that was done a moment ago. Otherwise requests that use the
 * session do it by themselves, once per `touchEvery`. If the store fails, that is an error of the commit; when requests do
 * it by themselves, a failure harms none of them.
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
 * Writes what has changed now, instead of when there is a response: for changes that must survive even if the request
 * fails, and for handling the errors of the store. The cookie still goes out with the response. There may be more
 * changes afterwards, and more commits.
 *
 * **Gotchas**
 *
 * After a `SessionStoreError` nobody knows whether the store has got the changes. They are still there for another commit,
 * which puts the same values again, but adds increments once more, and runs functions given to {@link modify} again on what
 * they have made.
 *
 * After a `SessionConflictError` or a `SessionValueError` nothing was written, and the changes are still there too:
 * {@link rollback} takes them back.
 *
 * @since 0.1.0
 * @category life
 */
export const commit: Effect.Effect<void, CommitError, Session> = Effect.flatMap(
  changing("commit", (session, clock) => session.commit(clock)),
  (committed) => committed === "Dropped" ? Effect.fail(new SessionGoneError({})) : Effect.void
)

/**
 * Writes what has changed, as {@link commit} does, and gives you the session's token for the body of the response: for a native
 * application, a command line or an agent, which presents it from then on as `Authorization: Bearer` or in a header of its own.
 * See the setting `transports`.
 *
 * **Details**
 *
 * It is always a token that nobody has seen yet: a session that the client has presented gets another id. The response sets no
 * cookie, and clears the one that the session had. If there is no session yet, there is one then, whatever is in it.
 *
 * A request can do it once. What it changes afterwards is saved if that takes no other token, so with the CookieLayer it is a
 * `SessionClosedError`, and so is a second call, or one after the headers are out.
 *
 * **Gotchas**
 *
 * Do it only in the answer to a login: what a page's script can read is not protected as a cookie with `HttpOnly` is.
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
 * Takes back all that is not committed: changes, flash messages, a new id, the end of the session.
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
 * All or nothing: what the effect does to the session counts only if it succeeds. If it fails, dies or is interrupted, as by
 * a timeout, the session is as it was before, flash messages included. They nest.
 *
 * **Details**
 *
 * What other fibers of the request do meanwhile is not seen inside, and stays whatever becomes of the effect; functions
 * given to {@link modify} are run again on that. `Session.commit` inside writes what is done so far, and only what comes after it
 * can be taken back; if that commit fails, nothing of it stays. {@link rollback} inside takes back the effect's own changes.
 *
 * **Example** (Nothing is debited if the order fails)
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
 * What else a login says.
 *
 * - `methods`: how the owner was authenticated just now. Without them, {@link requireRecent} knows of no authentication but
 *   an earlier one of the same owner.
 * - `lifetime`: how long the session lives, as {@link setLifetime} says it.
 * - `merge`: what becomes of values that the visitor has brought: for each key, a pure function from the visitor's value.
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
 * A key, and what its value becomes at a login. `visitor` is what reading the key gives: an `Option`, or the value itself if the
 * key has a default.
 *
 * @since 0.1.0
 * @category models
 */
export type Merge<Key extends SessionKey.Any> = readonly [
  key: Key,
  merge: (visitor: Effect.Success<Key>) => SessionKey.Type<Key>
]

/**
 * Logs somebody in, by the user's id, a text of 1 to 1,024 bytes. Call it at each login, and each time that somebody who is
 * logged in gives a password, a code or a passkey again.
 *
 * **Details**
 *
 * All of this happens in one commit:
 *
 * - The session gets a new id, so that somebody who knew the old one is not logged in as well (session fixation, OWASP ASVS 5.0,
 *   V7.2.4).
 * - From this call on it is the owner's: `Sessions.list` has it, and `Sessions.destroyAll` ends it, even if that is called
 *   before this request has written anything. Stores that know owners are asked once for that. So a session that is written
 *   more than an hour later is gone.
 * - The time and the `methods` are recorded, for {@link requireRecent}.
 * - What another owner has left goes, by the scopes of the keys (`SessionKey.make`). What an anonymous visitor has put stays.
 * - `merge` joins what the visitor has brought with what your application has of the user. The functions are run again when
 *   another request changes the value meanwhile, as those of {@link modify}; they are not run for somebody who is logged in
 *   already.
 *
 * Where the setting `owner.limit` allows no more sessions of that owner, this is a {@link SessionError.SessionLimitError}, or,
 * with `owner.policy` `"evict"`, it ends the session of the owner that has been unused for longest. A merge function that
 * throws, or makes what the key's schema refuses, is a `SessionValueError`. In either case nothing has changed.
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
 * **Example** (The methods that an application has)
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
    // Of functions, only those of `pull` are refused with a conflict.
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
 * Logs out: ends what has the scope `"login"`, with the session's owner, authentication and lifetime, and the session's id with it.
 * What has another scope goes on in an anonymous session under a new id; if there is nothing of that, the cookie is cleared.
 *
 * **Details**
 *
 * All of this happens in one commit. As after {@link destroy}, a copy of the old cookie is worth nothing, what slower requests
 * commit is dropped, and `Sessions.events` says that the session was destroyed. What is put afterwards, such as a flash message,
 * goes to the anonymous session.
 *
 * On a computer that others use as well, also tell the browser to forget what it has kept: {@link clearSiteData}.
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
 * What a browser keeps of a site: the pages and files that it has been sent; all cookies of the domain, also those of its other
 * hosts; what scripts have stored; and the pages that are open, which it loads again.
 *
 * @since 0.1.0
 * @category models
 */
export type SiteData = "cache" | "cookies" | "storage" | "executionContexts"

/**
 * Asks the browser to forget what it keeps of this site, by the header `Clear-Site-Data`, once the response is committed: beside a
 * {@link logout} on a computer that others use as well (OWASP ASVS 5.0, V14.3.1).
 *
 * **Details**
 *
 * A second call takes the place of the first, and {@link rollback} takes it back. A response that is rolled back, or that can't be
 * committed, has no such header.
 *
 * **Gotchas**
 *
 * Browsers heed it over https alone. `"cache"` may take them seconds. With `"cookies"`, the session's own cookie goes as well, and with
 * it what a logout keeps.
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
 * How long a session lives. What is left out is as the configuration says.
 *
 * - `age`: how long after its last use it ends, at most `maximumAge`.
 * - `absoluteAge`: how long after its creation it ends, whatever happens, at most `maximumAbsoluteAge`.
 * - `persistence`: whether its cookie stays when the browser is closed (`"persistent"`) or goes (`"browser"`).
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
 * When a session ends; none where it never does, or is not stored yet.
 *
 * - `idle`: if nobody uses it any more.
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
 * When the session ends, as far as it is committed: this request counts only from then on.
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
 * Gives this session a lifetime of its own: for "Keep me logged in", or for one that should end sooner than others. It takes
 * the place of an earlier one; `{}` is the configuration's again. The session keeps it when it is regenerated or cleared. At a
 * login, give it to {@link login}.
 *
 * **Details**
 *
 * It holds from the commit on, which counts as a use of the session, and the client gets a cookie that lasts as long. With
 * `rolling: "never"`, the age still counts from the session's creation. `absoluteAge` always does: a visitor who logs in after
 * a day of shopping has one day less.
 *
 * A lifetime can be longer than `age` and `absoluteAge` if the settings `maximumAge` and `maximumAbsoluteAge` say so. More
 * than they allow is cut, and so is an `age` that is longer than the absolute age: {@link expiresAt} says what became of it,
 * the metric `effect_session.cut_lifetimes` counts it, and a log event of the level Debug names both. If the settings are
 * lowered later, that holds for sessions that are already out.
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
    // The response needs another cookie.
    if (session.phase !== "open") return Effect.fail(new SessionClosedError({ operation: "setLifetime" }))
    const asked = LifetimeInput.decode(lifetime)
    return Result.isFailure(asked) ? Effect.fail(asked.failure) : session.setLifetime(asked.success)
  })

// -----------------------------------------------------------------------------
// flash messages
// -----------------------------------------------------------------------------

/**
 * What the previous request that used the session has flashed.
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
 * What the previous request that used the session has flashed.
 *
 * @since 0.1.0
 * @category flash messages
 */
export const flashMessages: Effect.Effect<FlashMessages, SessionStoreError, Session> = reading((session) =>
  Exit.succeed(flashMessagesOf(session.loaded.flashed))
)

/**
 * The value of a key that was flashed by the previous request.
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
 * Leaves a message for the next request that uses the session, and only for that: one by name or by key, or several as
 * an object. A HEAD and a prefetch leave it for the request after them.
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
 * Flashes what `pick` makes of the values that were given, or else of the fields of the request's body: of those that are
 * neither too large nor too deep.
 */
const flashing = (
  operation: string,
  values: JsonObject | undefined,
  pick: (values: JsonObject, session: RequestSession) => JsonObject
) =>
  // The body may take a while to arrive: whether a change is still possible is asked afterwards.
  Effect.flatMap(
    values === undefined ? reading((session) => session.client.input) : Effect.succeed(values),
    (values) =>
      changing(operation, (session, clock) => {
        const { sizeLimit } = session.settings.flash
        return session.flashForm(pick(FlashMessage.eligible(values, sizeLimit), session), clock, sizeLimit)
      })
  )

/**
 * Flashes these values, or else the fields of the request's body (a form or JSON), to fill a form again after a
 * redirect. What looks like a password or another secret by its name is left out (the setting `flash.except`).
 *
 * **Details**
 *
 * What a client sends is no error. Of a form of more bytes than the setting `flash.sizeLimit` (16 KiB by default), as JSON, the
 * longest fields are left out first, and of a smaller one too, if the session would become too large for its store. Fields with
 * more than 500 levels of lists and objects are left out always.
 *
 * @since 0.1.0
 * @category flash messages
 */
export const flashAll = (values?: JsonObject): Effect.Effect<void, ChangeError, Session> =>
  flashing("flashAll", values, (values, session) => FlashMessage.withoutNamed(values, session.settings.flash.except))

/**
 * As {@link flashAll}, but only the fields with these names, whatever they look like.
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
 * As {@link flashAll}, and without the fields with these names.
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
 * Keeps the messages of the previous request for the next one.
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
 * Keeps all messages but those with these names for the next request.
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
 * When the user was last authenticated, and with which methods.
 *
 * @since 0.1.0
 * @category models
 */
export interface Authentication {
  readonly at: DateTime.Utc
  readonly methods: Methods
}

/**
 * Methods to authenticate with: at least one name of your own choice, such as `"password"`, of 1 to 64 characters.
 *
 * @since 0.1.0
 * @category models
 */
export type Methods<Method extends string = string> = readonly [Method, ...ReadonlyArray<Method>]

/** What is recorded, and what time it is. */
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
 * When the user was last authenticated, and with which methods; none if that was never.
 *
 * **Details**
 *
 * A time that is ahead of this server's clock, as another server has written it, is taken for now; one that is more than
 * ten minutes ahead counts as never.
 *
 * @since 0.1.0
 * @category authentication
 */
export const authentication: Effect.Effect<Option.Option<Authentication>, SessionStoreError, Session> = Effect.map(
  authenticationNow,
  ([last]) => Option.map(Option.fromUndefinedOr(last), withMoment)
)

/**
 * When the user was last authenticated; none if that was never. See {@link authentication}.
 *
 * @since 0.1.0
 * @category authentication
 */
export const authenticatedAt: Effect.Effect<Option.Option<DateTime.Utc>, SessionStoreError, Session> = Effect.map(
  authentication,
  Option.map(({ at }) => at)
)

/**
 * Fails with a {@link SessionError.SessionNotRecentError}, which answers 401, unless the user was authenticated within the
 * last `maxAge`, and with one of the `methods`, if you name some: for what needs the password again, such as a new email address.
 *
 * **Details**
 *
 * Methods are those of the last authentication alone. If several are needed, require each of them.
 *
 * For a body of your own, make another error of it, or a redirect to your login. In an `HttpApi`, declare it or an error of
 * your own at the endpoint, or guard a whole group by `SessionMiddleware.layerApiGuard`.
 *
 * A `maxAge` that is no duration longer than zero throws when this is called, and so does a wrong list of methods.
 *
 * **Example** (An error of the application's)
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
 * A session without HTTP and without a store, with these values in it as they would be stored: for tests of business
 * logic. It can have an owner, with no other sessions. Name the `keys` that have another scope than `"login"`.
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
