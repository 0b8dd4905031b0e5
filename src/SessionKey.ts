/**
 * A named, schema-typed slot of a session. A key is also an Effect that reads its value from the session of the
 * request.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import { durationFor } from "./internal/config/settings.ts"
import * as Codec from "./internal/record/codec.ts"
import type { Rules } from "./internal/record/life.ts"
import * as FieldScope from "./internal/record/scope.ts"
import * as Session from "./Session.ts"
import type { DurationInput } from "./SessionConfig.ts"
import type { ChangeError, ReadError, SessionValueError } from "./SessionError.ts"

/**
 * @since 0.1.0
 * @category type IDs
 */
export const TypeId: TypeId = "~effect-session/SessionKey"

/**
 * @since 0.1.0
 * @category type IDs
 */
export type TypeId = "~effect-session/SessionKey"

/**
 * A named slot of a session.
 *
 * **Details**
 *
 * `A` is the type of the values. `Value` is the result of reading the key: an `Option`, or an `A` if the key has a
 * default. `Encoded` is the type that the schema encodes to; a key can be incremented if both are numbers. `E` are the
 * errors of reading; a key made with {@link once} adds those of a change. `Attempts` is how often a value can be tried
 * ({@link attempts}).
 *
 * Running a key as an Effect reads it, like `Session.get`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionKey<
  in out A,
  out Value = Option.Option<A>,
  out Encoded = unknown,
  out E = ReadError,
  out Attempts = number | undefined
> extends Effect.Effect<Value, E, Session.Session> {
  readonly [TypeId]: {
    readonly _A: (value: A) => A
    readonly _Encoded: (_: never) => Encoded
  }
  readonly name: string
  readonly scope: Scope
  readonly schema: Schema.Codec<A, unknown>
  /** How often each value can be tried, if limited. */
  readonly attempts: Attempts

  /** The Effect that runs when the key is used as one. @internal */
  readonly reading: Effect.Effect<Value, E, Session.Session>
  /** Whether the values have their own lifetime. @internal */
  readonly life: Rules | undefined
  /** Whether reading removes the value. @internal */
  readonly isOnce: boolean
  /** The name of the field in the store. @internal */
  readonly field: string
  /** @internal */
  readonly encode: (value: A) => Exit.Exit<string, SessionValueError>
  /** @internal */
  readonly decode: (text: string) => Exit.Exit<A, SessionValueError>
  /** The result of reading a value that exists. @internal */
  readonly present: (value: A) => Value
  /** The result of reading a missing value. @internal */
  readonly absent: () => Value
  /** The initial value for `modify` and `increment`. @internal */
  readonly initial: Option.Option<() => A>
  /** Whether a stored value that does not fit the schema counts as absent. @internal */
  readonly ignoresInvalid: boolean
}

/**
 * What happens to the value of a key at a login or logout.
 *
 * - `"login"`: removed by {@link Session.logout}. Another owner never sees it.
 * - `"visitor"`: kept through logins and logouts, like a shopping basket. After a logout, anyone who uses the browser
 *   can still see it, so it must not be private. If the same owner logs in again, it is still there; if another owner
 *   does, it is removed.
 * - `"device"`: kept for everyone who uses the browser, like a language or a theme.
 *
 * @since 0.1.0
 * @category models
 */
export type Scope = "login" | "visitor" | "device"

/**
 * A key of any type.
 *
 * @since 0.1.0
 * @category models
 */
// A key is invariant in its values, so nothing narrower fits every key.
// oxlint-disable-next-line typescript/no-explicit-any
export type Any = SessionKey<any, unknown, unknown, ChangeError>

/**
 * The type of a key's values.
 *
 * **Example**
 *
 * ```ts
 * import { Schema } from "effect"
 * import { SessionKey } from "effect-session"
 *
 * const Cart = SessionKey.make("cart", Schema.Record(Schema.String, Schema.Int))
 *
 * const total = (cart: SessionKey.Type<typeof Cart>) => Object.values(cart).reduce((sum, count) => sum + count, 0)
 * ```
 *
 * @since 0.1.0
 * @category utility types
 */
export type Type<Key extends Any> = Key["schema"]["Type"]

/**
 * A key whose values can be incremented: numbers in the program and in the store.
 *
 * @since 0.1.0
 * @category models
 */
export type Numeric<Value = unknown> = SessionKey<number, Value, number>

const Prototype = {
  ...Effectable.Prototype<Any>({
    label: "SessionKey",
    evaluate() {
      return this.reading
    }
  }),
  [TypeId]: { _A: (value: unknown) => value, _Encoded: (value: never) => value },
  toJSON(this: Any) {
    return { _id: "SessionKey", name: this.name }
  }
}

/** The reading Effect is built once per key, not on each request. */
const fromParts = (parts: object) => {
  const key = Object.assign(Object.create(Prototype), parts)
  key.reading = Session.get(key)
  return key
}

/** Returns the key with its own lifetime for each value. */
const withLife = <A, Value, Encoded, E, Attempts>(
  self: SessionKey<A, Value, Encoded, E, unknown>,
  rules: Rules,
  attempts: Attempts
): SessionKey<A, Value, Encoded, E, Attempts> =>
  fromParts({
    ...self,
    attempts,
    life: { ...self.life, ...rules },
    field: FieldScope.toField(self.scope, self.name, true)
  })

/**
 * Makes a key from a name and the schema of its values. Reading it returns an `Option`.
 *
 * **Details**
 *
 * Values are stored as JSON through the schema's JSON codec. Everything that the schema can express comes out as it
 * went in, including dates, maps and big integers, up to 500 levels of nesting. The schema must encode and decode
 * synchronously.
 *
 * `scope` defines what happens to the value when a user logs in or out; the default is `"login"`. See {@link Scope}.
 * The scope is part of where the value is stored. If you change it, values that are already stored keep their old
 * scope, and the key no longer finds them.
 *
 * The name can be any well-formed string. A name with a lone surrogate throws, because not every store can tell two of
 * them apart.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Option, Schema } from "effect"
 * import { SessionKey } from "effect-session"
 *
 * const UserId = SessionKey.make("user_id", Schema.String)
 *
 * const greeting = Effect.gen(function*() {
 *   const userId = yield* UserId // a key is an Effect that reads it
 *   return Option.match(userId, { onNone: () => "Who are you?", onSome: (id) => `Hello, ${id}` })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A, Encoded>(
  name: string,
  schema: Schema.Codec<A, Encoded>,
  { scope = "login" }: { readonly scope?: Scope } = {}
): SessionKey<A, Option.Option<A>, Encoded> => {
  if (!name.isWellFormed()) throw new Error(`SessionKey.make(${JSON.stringify(name)}): ${howToWriteName}`)
  if (!FieldScope.isScope(scope)) {
    throw new Error(`SessionKey.make(${JSON.stringify(name)}): write "login", "visitor" or "device" as its scope`)
  }
  return fromParts({
    name,
    scope,
    schema,
    attempts: undefined,
    life: undefined,
    isOnce: false,
    field: FieldScope.toField(scope, name),
    ...Codec.make(name, schema),
    present: Option.some,
    absent: Option.none,
    initial: Option.none(),
    ignoresInvalid: false
  })
}

const howToWriteName = "the name has a lone surrogate, which is half a character. " +
  "Write a well-formed string such as \"user_id\", or convert it with String.prototype.toWellFormed"

/**
 * Returns the key with a default, so that reading it returns the value itself.
 *
 * **Details**
 *
 * The default replaces a missing value. A stored value that does not fit the schema is still an error, unless
 * `onInvalid` is `"default"`.
 *
 * **Example**
 *
 * ```ts
 * import { Schema } from "effect"
 * import { SessionKey } from "effect-session"
 *
 * const Theme = SessionKey.make("theme", Schema.Literals(["light", "dark"])).pipe(
 *   SessionKey.withDefault(() => "light" as const, { onInvalid: "default" })
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const withDefault: {
  /**
   * Returns the key with a default, so that reading it returns the value itself.
   *
   * @since 0.1.0
   * @category combinators
   */
  <A>(
    value: () => NoInfer<A>,
    options?: { readonly onInvalid?: "fail" | "default" }
  ): <Value, Encoded, E, Attempts>(
    self: SessionKey<A, Value, Encoded, E, Attempts>
  ) => SessionKey<A, A, Encoded, E, Attempts>
  /**
   * Returns the key with a default, so that reading it returns the value itself.
   *
   * @since 0.1.0
   * @category combinators
   */
  <A, Value, Encoded, E, Attempts>(
    self: SessionKey<A, Value, Encoded, E, Attempts>,
    value: () => NoInfer<A>,
    options?: { readonly onInvalid?: "fail" | "default" }
  ): SessionKey<A, A, Encoded, E, Attempts>
} = dual(
  (parameters) => isSessionKey(parameters[0]),
  <A, Value, Encoded, E, Attempts>(
    self: SessionKey<A, Value, Encoded, E, Attempts>,
    value: () => A,
    options?: { readonly onInvalid?: "fail" | "default" }
  ): SessionKey<A, A, Encoded, E, Attempts> =>
    fromParts({
      ...self,
      present: (value: A) => value,
      absent: value,
      initial: Option.some(value),
      ignoresInvalid: options?.onInvalid === "default"
    })
)

/**
 * Returns the key with a lifetime for each value. Once it is over, the value reads as missing.
 *
 * **Details**
 *
 * The time starts with `Session.put` and `Session.renew`. `Session.modify`, `Session.increment` and `Session.decrement`
 * do not extend it, so a counter counts within a fixed window; the next window starts with the first change after it.
 * Expiry is checked by the clock when the value is read, so an expired value may stay in the store for a while.
 *
 * A key whose values expire or have a limited number of attempts uses a different slot than a key of the same name
 * without.
 *
 * Throws if the duration is not longer than zero.
 *
 * **Example** (A return path that is forgotten after ten minutes)
 *
 * ```ts
 * import { Schema } from "effect"
 * import { SessionKey } from "effect-session"
 *
 * const WayBack = SessionKey.make("way_back", Schema.String).pipe(SessionKey.expires("10 minutes"))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const expires: {
  /**
   * Returns the key with a lifetime for each value.
   *
   * @since 0.1.0
   * @category combinators
   */
  (age: Age): <A, Value, Encoded, E, Attempts>(
    self: SessionKey<A, Value, Encoded, E, Attempts>
  ) => SessionKey<A, Value, Encoded, E, Attempts>
  /**
   * Returns the key with a lifetime for each value.
   *
   * @since 0.1.0
   * @category combinators
   */
  <A, Value, Encoded, E, Attempts>(
    self: SessionKey<A, Value, Encoded, E, Attempts>,
    age: Age
  ): SessionKey<A, Value, Encoded, E, Attempts>
} = /* @__PURE__ */ dual(
  2,
  <A, Value, Encoded, E, Attempts>(
    self: SessionKey<A, Value, Encoded, E, Attempts>,
    age: Age
  ): SessionKey<A, Value, Encoded, E, Attempts> =>
    withLife(self, { age: Duration.toMillis(durationFor("SessionKey.expires", age)) }, self.attempts)
)

type Age = Exclude<DurationInput, "never">

/**
 * Returns the key with values that can be read once: reading removes the value, like `Session.pull`, and can fail with
 * the errors of a change. Use it for the state and the verifier of an OAuth login.
 *
 * **Details**
 *
 * If several requests read the same value, only the first one to commit gets it; the others fail with a
 * `SessionConflictError`, status 409. If the request fails, the value stays. If the value authorizes something outside
 * the session, call `Session.commit` before you use it.
 *
 * `Session.has` does not remove the value. `Session.view` and `Session.modify` do not accept such a key.
 *
 * **Gotchas**
 *
 * With `CookieLayer` the client holds the session, so sending an old cookie again brings the value back. Add
 * {@link expires} to limit that.
 *
 * **Example** (The state of an OAuth login)
 *
 * ```ts
 * import { Schema } from "effect"
 * import { SessionKey } from "effect-session"
 *
 * const OAuth = SessionKey.make("oauth", Schema.Struct({ state: Schema.String, verifier: Schema.String })).pipe(
 *   SessionKey.expires("10 minutes"),
 *   SessionKey.once
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const once = <A, Value, Encoded, Attempts>(
  self: SessionKey<A, Value, Encoded, ChangeError, Attempts>
): SessionKey<A, Value, Encoded, ChangeError, Attempts> => fromParts({ ...self, isOnce: true })

/**
 * Returns the key with values that `Session.attempt` can try a limited number of times: for one-time codes and
 * captchas.
 *
 * **Details**
 *
 * Each `put` starts a new count. The last attempt removes the value.
 *
 * A key whose values expire or have a limited number of attempts uses a different slot than a key of the same name
 * without.
 *
 * Throws if the number is not a positive integer.
 *
 * **Example** (A code that can be tried three times)
 *
 * ```ts
 * import { Schema } from "effect"
 * import { SessionKey } from "effect-session"
 *
 * const Code = SessionKey.make("code", Schema.String).pipe(SessionKey.attempts(3), SessionKey.expires("10 minutes"))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const attempts: {
  /**
   * Returns the key with values that `Session.attempt` can try a limited number of times.
   *
   * @since 0.1.0
   * @category combinators
   */
  (times: number): <A, Value, Encoded, E>(
    self: SessionKey<A, Value, Encoded, E>
  ) => SessionKey<A, Value, Encoded, E, number>
  /**
   * Returns the key with values that `Session.attempt` can try a limited number of times.
   *
   * @since 0.1.0
   * @category combinators
   */
  <A, Value, Encoded, E>(
    self: SessionKey<A, Value, Encoded, E>,
    times: number
  ): SessionKey<A, Value, Encoded, E, number>
} = /* @__PURE__ */ dual(
  2,
  <A, Value, Encoded, E>(
    self: SessionKey<A, Value, Encoded, E>,
    times: number
  ): SessionKey<A, Value, Encoded, E, number> => {
    if (!Number.isSafeInteger(times) || times < 1) {
      throw new Error(`SessionKey.attempts(${times}): write a positive whole number, such as 3`)
    }
    return withLife(self, { attempts: times }, times)
  }
)

/**
 * @since 0.1.0
 * @category guards
 */
export const isSessionKey = (value: unknown): value is Any => Predicate.hasProperty(value, TypeId)
