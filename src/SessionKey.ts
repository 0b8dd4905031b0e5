/**
 * A named, schema-typed slot of a session. A key is also an Effect that reads it from the session of the request.
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
 * `A` is the type of its values. `Value` is what reading it gives: an `Option`, or just an `A` if the key has a default.
 * `Encoded` is what the schema encodes to; a key can be incremented if that and `A` are numbers. `E` is what reading it can fail
 * with: more, if that takes the value ({@link once}). `Attempts` is how often a value may be tried ({@link attempts}).
 *
 * Run as an Effect, a key reads itself, as `Session.get` does.
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
  /** How often each value may be tried, if that is limited. */
  readonly attempts: Attempts

  /** What running the key does. @internal */
  readonly reading: Effect.Effect<Value, E, Session.Session>
  /** Whether its values have a life of their own. @internal */
  readonly life: Rules | undefined
  /** Whether reading takes. @internal */
  readonly isOnce: boolean
  /** The name of the field in the store. @internal */
  readonly field: string
  /** @internal */
  readonly encode: (value: A) => Exit.Exit<string, SessionValueError>
  /** @internal */
  readonly decode: (text: string) => Exit.Exit<A, SessionValueError>
  /** What reading gives for a value that is there. @internal */
  readonly present: (value: A) => Value
  /** What reading gives where there is nothing. @internal */
  readonly absent: () => Value
  /** The value to go on from where there is none. @internal */
  readonly initial: Option.Option<() => A>
  /** Whether a stored value that does not fit counts as absent. @internal */
  readonly ignoresInvalid: boolean
}

/**
 * How long the value of a key stays.
 *
 * - `"login"`: until {@link Session.logout}. Another owner never sees it.
 * - `"visitor"`: through logins and logouts, as a basket does. After a logout, whoever uses the browser still sees it, so it must not
 *   be private; if the same owner logs in again, it is there, and if another owner does, it goes.
 * - `"device"`: for whoever uses the browser, as a language or a theme does.
 *
 * @since 0.1.0
 * @category models
 */
export type Scope = "login" | "visitor" | "device"

/**
 * A key of whatever type.
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
 * A key whose values can be incremented: a number in the program and in the store.
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

/** Reading a key is made once for each, and not at each request. */
const fromParts = (parts: object) => {
  const key = Object.assign(Object.create(Prototype), parts)
  key.reading = Session.get(key)
  return key
}

/** The same key, whose values have a life of their own. */
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
 * A key with a name and the schema of its values. Reading it gives an `Option`.
 *
 * **Details**
 *
 * Values are stored as JSON, through the schema's JSON codec: whatever the schema can express comes out as it went in,
 * dates, maps and big integers too, as long as they have at most 500 levels of lists and objects. The schema must encode
 * and decode at once, without asynchronous steps.
 *
 * With `scope` you say what becomes of the value when somebody logs in or out: see {@link Scope}. Default `"login"`. Values are
 * stored with their scope, so a key with another scope is another slot, also if the name is the same: what is there keeps the
 * scope that it was put with.
 *
 * The name may be any text, but for one with half a character in it (a lone surrogate), which not every store can tell from
 * another: that throws.
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

const howToWriteName = "the name has half a character in it, a surrogate without the other one of its pair. " +
  "Write well-formed text such as \"user_id\"; String.prototype.toWellFormed makes it of any other"

/**
 * The same key with a default: reading it gives the value itself.
 *
 * **Details**
 *
 * The default takes the place of a value that is not there. What is stored but does not fit the schema stays an error,
 * unless `onInvalid` is `"default"`.
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
   * The same key with a default: reading it gives the value itself.
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
   * The same key with a default: reading it gives the value itself.
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
 * The same key, with values that are there for so long. Then reading gives what it gives where there is nothing.
 *
 * **Details**
 *
 * The time begins with `Session.put`, and with `Session.renew`. `Session.modify`, `Session.increment` and `Session.decrement` go on
 * with a value until its time is over, as if it were counted in a window; the next one begins anew. Whether the time is over is
 * seen by the clock when the value is read: the session may hold what nobody sees any more.
 *
 * A key whose values have a life of their own is another slot than one of the same name without.
 *
 * A duration that is not longer than zero throws.
 *
 * **Example** (A wish that is forgotten after ten minutes)
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
   * The same key, with values that are there for so long.
   *
   * @since 0.1.0
   * @category combinators
   */
  (age: Age): <A, Value, Encoded, E, Attempts>(
    self: SessionKey<A, Value, Encoded, E, Attempts>
  ) => SessionKey<A, Value, Encoded, E, Attempts>
  /**
   * The same key, with values that are there for so long.
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
 * The same key, with values that can be read once: reading takes, as `Session.pull` does, and so it can fail with what a change can
 * fail with. For the state and the verifier of an OAuth login.
 *
 * **Details**
 *
 * Of several requests that read the same value, only the first to commit has it; the others are refused with a
 * `SessionConflictError`, status 409. If the request fails, the value is still there. So if the value is good for something outside
 * of the session, call `Session.commit` before you use it.
 *
 * `Session.has` looks and takes nothing. `Session.view` and `Session.modify` don't take such a key.
 *
 * **Gotchas**
 *
 * With `CookieLayer` the session is at the client: if somebody sends an old cookie again, the value is there again. Add
 * {@link expires}, so that this ends.
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
 * The same key, with values that can be tried so often by `Session.attempt`, and no more: for one-time codes and captchas.
 *
 * **Details**
 *
 * Each put begins to count anew. After the last try, the value is gone.
 *
 * A key whose values have a life of their own is another slot than one of the same name without.
 *
 * A number that is not a whole one from 1 on throws.
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
   * The same key, with values that can be tried so often by `Session.attempt`.
   *
   * @since 0.1.0
   * @category combinators
   */
  (times: number): <A, Value, Encoded, E>(
    self: SessionKey<A, Value, Encoded, E>
  ) => SessionKey<A, Value, Encoded, E, number>
  /**
   * The same key, with values that can be tried so often by `Session.attempt`.
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
      throw new Error(`SessionKey.attempts(${times}): write a whole number from 1 on, such as 3`)
    }
    return withLife(self, { attempts: times }, times)
  }
)

/**
 * @since 0.1.0
 * @category guards
 */
export const isSessionKey = (value: unknown): value is Any => Predicate.hasProperty(value, TypeId)
