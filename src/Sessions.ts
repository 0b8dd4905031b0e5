/**
 * Sessions outside the handling of an HTTP request, such as in a job, a WebSocket, a test or on a command line.
 *
 * **Details**
 *
 * Each function works on every driver. Nothing is written but by {@link create}, {@link modify}, {@link commit},
 * {@link regenerate} and {@link destroy}, and by `Session.commit`: what is opened and not committed writes nothing. What
 * writes says what the client must hold from then on, as a token and as the Set-Cookie headers that the middleware would
 * send, see {@link Committed}.
 *
 * Nobody is shown a page here, so flash messages stay in the session for the next request, unless you open it with
 * `messages: "leave"`.
 *
 * **Gotchas**
 *
 * With `CookieLayer`, the session is at its client: a change counts only if the client gets the cookie. A job that has nobody to
 * give it to can read such a session, but not change it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Cookie from "./internal/http/cookie.ts"
import * as Transports from "./internal/http/transports.ts"
import * as Life from "./internal/record/life.ts"
import * as Owner from "./internal/record/owner.ts"
import { endOfTime } from "./internal/record/record.ts"
import * as Environment from "./internal/request/environment.ts"
import * as Events from "./internal/request/events.ts"
import * as Indexing from "./internal/request/indexing.ts"
import { type Client, type Presented as Shown, RequestSession } from "./internal/request/requestSession.ts"
import * as State from "./internal/request/state.ts"
import * as Unit from "./internal/request/unit.ts"
import * as Watching from "./internal/request/watching.ts"
import * as Session from "./Session.ts"
import { GenerateId, SessionConfig, type Settings } from "./SessionConfig.ts"
import { type CommitError, SessionGoneError, SessionOwnerError, type SessionStoreError } from "./SessionError.ts"
import type { EndedBy, SessionEvent } from "./SessionEvent.ts"
import type * as SessionKey from "./SessionKey.ts"
import { type Excepted, type Owned, SessionIndex, SessionOwners } from "./SessionOwners.ts"
import { Id, type OwnerEntry, SessionStore } from "./SessionStore.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * What a client presents: its token, the Cookie header of its request, or all headers, of which those of the setting `transports`
 * count.
 *
 * @since 0.1.0
 * @category models
 */
export type Presented =
  | { readonly token: Redacted.Redacted<string> }
  | { readonly cookies: string | undefined }
  | { readonly headers: { readonly [name: string]: string | undefined } }

/**
 * A session by its owner and its handle, as {@link list} has it. The store has to know which sessions an owner has. The id and
 * the token of such a session stay unknown.
 *
 * @since 0.1.0
 * @category models
 */
export interface ByHandle {
  readonly owner: string
  readonly handle: string
}

/**
 * What it takes to find a session.
 *
 * @since 0.1.0
 * @category models
 */
export type Needs<P extends Presented | ByHandle> =
  | SessionStore
  | SessionConfig
  | (P extends ByHandle ? SessionIndex : never)

/**
 * How a session is opened.
 *
 * - `readonly`: a change is a `SessionReadonlyError`, and nothing is ever written, not even that the session was used: for
 *   connections that live longer than a request. Default `false`.
 * - `messages`: whether flash messages stay in the session, or leave it with the first commit, as in a request. Default
 *   `"stay"`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly readonly?: boolean
  readonly messages?: "stay" | "leave"
}

/**
 * What a client must hold after a commit.
 *
 * - `token`: the token of the session; none if there is no session, as it was destroyed, or nothing was ever put into it.
 * - `setCookie`: the values of the Set-Cookie headers, several if the session takes several cookies; none if the client can
 *   keep what it has. Each commit gives all that has become due since the session was opened.
 *
 * @since 0.1.0
 * @category models
 */
export interface Committed {
  readonly token: Option.Option<Redacted.Redacted<string>>
  readonly setCookie: Redacted.Redacted<ReadonlyArray<string>>
}

/**
 * What {@link modify} has done, and what the effect has given.
 *
 * @since 0.1.0
 * @category models
 */
export interface Modified<A> extends Committed {
  readonly value: A
}

/**
 * A new session, and what the effect has given.
 *
 * @since 0.1.0
 * @category models
 */
export interface Created<A> extends Omit<Modified<A>, "token"> {
  readonly token: Redacted.Redacted<string>
}

// -----------------------------------------------------------------------------
// in one step
// -----------------------------------------------------------------------------

/**
 * A new session with what the effect puts into it: it is stored, also if that is nothing, and its token or its Set-Cookie can
 * be handed out.
 *
 * **Details**
 *
 * If the effect fails, nothing is written. If it destroys the session, or sessions are switched off (`enabled`), there is
 * none to hand out, which is a `SessionGoneError`.
 *
 * **Example** (A test that is logged in)
 *
 * ```ts
 * import { Effect, Redacted, Schema } from "effect"
 * import { HttpClientRequest } from "effect/http"
 * import { Session, SessionKey, Sessions } from "effect-session"
 *
 * const UserId = SessionKey.make("user_id", Schema.String)
 *
 * const loggedIn = Effect.gen(function*() {
 *   const { token } = yield* Sessions.create(Session.put(UserId, "ada"))
 *   return HttpClientRequest.get("/account").pipe(
 *     HttpClientRequest.setHeader("cookie", `session=${Redacted.value(token)}`)
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category in one step
 */
export const create = Effect.fnUntraced(function*<A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.fn.Return<Created<A>, E | CommitError, Exclude<R, Session.Session> | SessionStore | SessionConfig> {
  const settings = yield* SessionConfig
  // It is wanted also if there is nothing in it.
  const session = yield* load({ ...settings, saveUninitialized: true }, { cookies: undefined })
  const created = yield* runIn(session, effect)
  if (Option.isNone(created.token)) return yield* new SessionGoneError({})
  return { ...created, token: created.token.value }
})

/**
 * Runs the effect with the session of a token, or of the Cookie header of a request, and writes what it has changed. If it
 * fails, nothing is written.
 *
 * **Details**
 *
 * If there is no such session (any more), it is a `SessionGoneError`, and the effect does not run. What fibers that the effect
 * has left behind do to the session afterwards is a `SessionClosedError`.
 *
 * **Example** (A job that reports how far it is)
 *
 * ```ts
 * import { Effect, type Redacted, Schema } from "effect"
 * import { Session, SessionKey, Sessions } from "effect-session"
 *
 * const Progress = SessionKey.make("progress", Schema.Number)
 *
 * const report = (token: Redacted.Redacted<string>, progress: number) =>
 *   Sessions.modify({ token }, Session.put(Progress, progress)).pipe(
 *     // The person has logged out meanwhile.
 *     Effect.catchTag("SessionGoneError", () => Effect.logInfo("Nobody waits for the job any more"))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category in one step
 */
export const modify = Effect.fnUntraced(function*<P extends Presented | ByHandle, A, E, R>(
  presented: P,
  effect: Effect.Effect<A, E, R>
): Effect.fn.Return<Modified<A>, E | CommitError, Exclude<R, Session.Session> | Needs<P>> {
  const session = yield* load(yield* SessionConfig, presented)
  if (!State.isStored(session.state)) return yield* new SessionGoneError({})
  return yield* runIn(session, effect)
})

// -----------------------------------------------------------------------------
// step by step
// -----------------------------------------------------------------------------

/**
 * Opens the session of a token, or of the Cookie header of a request, and loads it. What is no valid session is an empty
 * one. Changes are written by {@link commit}, {@link regenerate}, {@link destroy} and `Session.commit` only.
 *
 * **Example** (What is in it)
 *
 * ```ts
 * import { Effect, type Redacted } from "effect"
 * import { Session, Sessions } from "effect-session"
 *
 * const show = Effect.fn(function*(token: Redacted.Redacted<string>) {
 *   const session = yield* Sessions.open({ token }, { readonly: true })
 *   return yield* Effect.provideService(Session.all, Session.Session, session)
 * })
 * ```
 *
 * @since 0.1.0
 * @category step by step
 */
export const open = Effect.fnUntraced(function*<P extends Presented | ByHandle>(
  presented: P,
  options?: Options
): Effect.fn.Return<Session.Session, SessionStoreError, Needs<P>> {
  return yield* load(yield* SessionConfig, presented, options)
})

/**
 * As {@link open}, until the scope closes. From then on a change is a `SessionClosedError`; what is not committed by then is
 * never written.
 *
 * **Example** (For as long as a WebSocket is open)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { HttpServerRequest } from "effect/http"
 * import { Session, Sessions } from "effect-session"
 *
 * const SocketSession = Layer.effect(
 *   Session.Session,
 *   Effect.flatMap(
 *     HttpServerRequest.HttpServerRequest,
 *     ({ headers }) => Sessions.openScoped({ headers }, { readonly: true })
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category step by step
 */
export const openScoped = <P extends Presented | ByHandle>(
  presented: P,
  options?: Options
): Effect.Effect<Session.Session, SessionStoreError, Needs<P> | Scope.Scope> =>
  Effect.acquireRelease(open(presented, options), (session) => giveUp(requestSessionOf(session)), {
    interruptible: true
  })

/**
 * Writes what has changed, as `Session.commit` does, and says what the client must hold.
 *
 * **Example** (Step by step)
 *
 * ```ts
 * import { Effect, type Redacted, Schema } from "effect"
 * import { Session, SessionKey, Sessions } from "effect-session"
 *
 * const Steps = SessionKey.make("steps", Schema.Int).pipe(SessionKey.withDefault(() => 0))
 *
 * declare const step: Effect.Effect<void>
 *
 * const job = Effect.fn(function*(token: Redacted.Redacted<string>) {
 *   const session = yield* Sessions.open({ token })
 *   for (let count = 0; count < 3; count++) {
 *     yield* step
 *     yield* Effect.provideService(Session.increment(Steps), Session.Session, session)
 *     yield* Sessions.commit(session)
 *   }
 * })
 * ```
 *
 * @since 0.1.0
 * @category step by step
 */
export const commit = (session: Session.Session): Effect.Effect<Committed, CommitError> =>
  committing(session, Effect.void)

/**
 * Gives the session a new id, as `Session.regenerate` does, writes that with all that has changed, and says what the client
 * must hold: the old token is dead.
 *
 * @since 0.1.0
 * @category step by step
 */
export const regenerate = (session: Session.Session): Effect.Effect<Committed, CommitError> =>
  committing(session, Session.regenerate)

/**
 * Ends a session for good, an opened one or that of a token or a Cookie header, and says how the client is to clear its
 * cookies. It is no error if the session does not exist (any more).
 *
 * **Details**
 *
 * A token whose session another request has regenerated a moment ago is a `SessionGoneError`: the session goes on under
 * its new id, and who holds the old one cannot end it.
 *
 * @since 0.1.0
 * @category step by step
 */
export function destroy(session: Session.Session): Effect.Effect<Committed, CommitError>
/**
 * Ends the session of a token, or of the Cookie header of a request, for good.
 *
 * @since 0.1.0
 * @category step by step
 */
export function destroy<P extends Presented | ByHandle>(presented: P): Effect.Effect<Committed, CommitError, Needs<P>>
export function destroy(
  target: Session.Session | Presented | ByHandle
): Effect.Effect<Committed, CommitError, Needs<Presented | ByHandle>> {
  return Session.TypeId in target
    ? committing(target, Session.destroy)
    : Effect.flatMap(open(target), (session) => committing(session, Session.destroy))
}

// -----------------------------------------------------------------------------
// the sessions of an owner
// -----------------------------------------------------------------------------

/**
 * A session, as a list of an owner's sessions has it. Nothing in it gives access to the session.
 *
 * - `handle`: its name for {@link destroyHandle}, as `Session.handle` has it.
 * - `lastUsedAt`: when a request last extended its life, which happens once per `touchEvery`.
 * - `expiresAt`: when it ends if it is not used any more; none if never.
 * - `isCurrent`: whether it is the session of the request that asks, if one asks.
 * - `attributes`: the values of the keys that were asked for; none where there is no value, or one that does not fit its
 *   schema (any more).
 *
 * @since 0.1.0
 * @category owners
 */
export interface Info<Attributes extends AnyAttributes> {
  readonly handle: string
  readonly createdAt: DateTime.Utc
  readonly lastUsedAt: DateTime.Utc
  readonly expiresAt: Option.Option<DateTime.Utc>
  readonly isCurrent: boolean
  readonly attributes: { readonly [Name in keyof Attributes]: Option.Option<ValueOf<Attributes[Name]>> }
}

/**
 * The keys whose values a list has, by name.
 *
 * @since 0.1.0
 * @category owners
 */
export interface AnyAttributes {
  readonly [name: string]: SessionKey.Any
}

type ValueOf<Key extends SessionKey.Any> = Key extends SessionKey.SessionKey<infer A, infer _Value, infer _Encoded> ? A
  : never

/**
 * Sessions of an owner, and where the next ones begin, if there may be more.
 *
 * @since 0.1.0
 * @category owners
 */
export interface Page<Attributes extends AnyAttributes> {
  readonly sessions: ReadonlyArray<Info<Attributes>>
  readonly next: Option.Option<string>
}

/**
 * The sessions of an owner, the latest login first, 50 at once if `limit` says nothing else, and 100 at most. With the `next` of
 * a page as `after`, the next ones; what is no `next` begins at the beginning.
 *
 * **Details**
 *
 * Of each session, the store reads its times and the keys that you name as `attributes`, and nothing else.
 *
 * **Example** (Where am I logged in?)
 *
 * ```ts
 * import { Effect, Option, Schema } from "effect"
 * import { SessionKey, Sessions } from "effect-session"
 *
 * const Device = SessionKey.make("device", Schema.String)
 *
 * const devices = (userId: string) =>
 *   Effect.map(
 *     Sessions.list(userId, { attributes: { device: Device } }),
 *     ({ sessions }) => sessions.map(({ attributes }) => Option.getOrElse(attributes.device, () => "Unknown device"))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category owners
 */
export const list = Effect.fnUntraced(function*<const Attributes extends AnyAttributes = {}>(owner: string, options: {
  readonly attributes?: Attributes
  readonly limit?: number
  readonly after?: string
} = {}): Effect.fn.Return<Page<Attributes>, SessionStoreError | SessionOwnerError, SessionIndex> {
  const { after, attributes = {} as Attributes, limit = 50 } = options
  yield* checked(owner)
  const index = yield* SessionIndex
  const own = yield* currentKeys
  const page = yield* index.list(owner, {
    limit: Math.min(Math.max(1, Math.floor(limit) || 1), 100),
    after: after === undefined ? undefined : decodeCursor(after),
    fields: Object.values(attributes).map(({ field }) => field)
  })
  const now = yield* Clock.currentTimeMillis
  return {
    sessions: page.sessions.map((one) => infoOf(one, attributes, own, now)),
    next: Option.map(Option.fromUndefinedOr(page.next), encodeCursor)
  }
})

/**
 * Ends the session of an owner that has this handle, such as one that the owner does not recognize. The answer is whether there
 * was one. A request of it that is under way can't write it any more.
 *
 * @since 0.1.0
 * @category owners
 */
export const destroyHandle = (
  owner: string,
  handle: string
): Effect.Effect<boolean, SessionStoreError | SessionOwnerError, SessionIndex> =>
  isHandle(handle)
    ? Effect.flatMap(SessionIndex, (index) =>
      Effect.map(ending(owner, index, index.endOne(owner, handle)), (ended) => ended > 0))
    : Effect.as(checked(owner), false)

/**
 * Ends all sessions of an owner, such as after a change of the password, and answers with how many there were, as far as the
 * store knows: with `CookieLayer.layerShared`, that is 0.
 *
 * **Details**
 *
 * No session that was created before survives it: not if its request is under way, not if it is getting another id, and not if the
 * login itself is under way and has called `Session.login`. A login that comes while this runs may be ended as well.
 *
 * @since 0.1.0
 * @category owners
 */
export const destroyAll = (
  owner: string
): Effect.Effect<number, SessionStoreError | SessionOwnerError, SessionOwners> => end(owner)

/**
 * Ends all sessions of the owner of this request's session but that one, and answers with how many there were, as
 * {@link destroyAll} does. Without an owner, there are none.
 *
 * **Details**
 *
 * The session stays also if this request or another one has given it a new id, or is about to.
 *
 * **Gotchas**
 *
 * If another request writes it under its new id in the very moment in which the others are ended, it can be taken for one of
 * them. Then the user has to log in again.
 *
 * @since 0.1.0
 * @category owners
 */
export const destroyOthers: Effect.Effect<
  number,
  SessionStoreError | SessionOwnerError,
  Session.Session | SessionOwners
> = Effect.gen(function*() {
  const session = requestSessionOf(yield* Session.Session)
  yield* session.ready
  const { loaded } = session
  const owner = State.ownerOf(loaded)
  return owner === undefined ? 0 : yield* end(owner.id, { keys: State.keysOf(loaded), mark: owner.mark })
})

const end = (
  owner: string,
  except?: Excepted
): Effect.Effect<number, SessionStoreError | SessionOwnerError, SessionOwners> =>
  Effect.flatMap(SessionOwners, (owners) => ending(owner, owners, Effect.suspend(() => owners.end(owner, except))))

/** Ends sessions of an owner, and tells those who listen. */
const ending = Effect.fnUntraced(function*(
  owner: string,
  owners: SessionOwners | SessionIndex,
  end: Effect.Effect<ReadonlyArray<string>, SessionStoreError>
): Effect.fn.Return<number, SessionStoreError | SessionOwnerError> {
  yield* checked(owner)
  const listeners = Events.listenersOf(owners)
  // Before, as afterwards it may have ended.
  const by = yield* whoEnds(owner, listeners)
  const ended = yield* end
  yield* Events.ended(listeners, owner, ended, by)
  return ended.length
})

/** By whom sessions of an owner are ended, by their keys: by the owner, if this is a request of one of them. */
const whoEnds = Effect.fnUntraced(function*(
  owner: string,
  listeners: Events.Listeners
): Effect.fn.Return<(key: string) => EndedBy> {
  if (!listeners.areThere) return () => "administrator"
  const own = yield* Effect.option(currentKeys)
  const service = yield* Effect.serviceOption(Session.Session)
  if (Option.isNone(own) || Option.isNone(service)) return () => "administrator"
  const others = State.ownerOf(requestSessionOf(service.value).loaded)?.id === owner ? "owner" : "administrator"
  return (key) => own.value.has(key) ? "itself" : others
})

const checked = (owner: string): Effect.Effect<void, SessionOwnerError> => {
  const reason = Owner.mistakeIn(owner)
  return reason === undefined ? Effect.void : Effect.fail(new SessionOwnerError({ reason }))
}

/** The keys of the session of this request, if there is one: it may be getting another one. */
const currentKeys: Effect.Effect<ReadonlySet<string>, SessionStoreError> = Effect.gen(function*() {
  const service = yield* Effect.serviceOption(Session.Session)
  if (Option.isNone(service)) return new Set()
  const session = requestSessionOf(service.value)
  yield* session.ready
  return State.keysOf(session.loaded)
})

const infoOf = <Attributes extends AnyAttributes>(
  { key, record }: Owned,
  attributes: Attributes,
  own: ReadonlySet<string>,
  now: number
): Info<Attributes> => ({
  handle: Id.ofKey(key).handle,
  createdAt: DateTime.makeUnsafe(record.createdAt),
  lastUsedAt: DateTime.makeUnsafe(record.touchedAt),
  expiresAt: record.expiresAt === endOfTime ? Option.none() : Option.some(DateTime.makeUnsafe(record.expiresAt)),
  isCurrent: own.has(key),
  attributes: Object.fromEntries(
    Object.entries(attributes).map(([name, { decode, field, life }]) => {
      const stored = record.fields.get(field)
      const text = life === undefined ? stored : Life.valueIn(stored, now)
      return [name, text === undefined ? Option.none() : Exit.getSuccess(decode(text))]
    })
  ) as Info<Attributes>["attributes"]
})

const encodeCursor = ({ at, key, until }: OwnerEntry): string => `${at}.${until}.${key}`

const decodeCursor = (text: string): OwnerEntry | undefined => {
  const [, at, until, key] = /^(\d{1,16})\.(\d{1,16})\.([A-Za-z0-9_-]{43})$/.exec(text) ?? []
  return key === undefined ? undefined : { at: Number(at), until: Number(until), key }
}

// -----------------------------------------------------------------------------
// what happens
// -----------------------------------------------------------------------------

/**
 * What happens to the sessions of a store in this process, from now on: in the requests of the middleware, and in what you
 * do with `Sessions`. See `SessionEvent` for what there is.
 *
 * **Details**
 *
 * Nobody waits for those who listen. For each of them, up to 1,024 events wait; what comes on top of that is dropped for it
 * and counted in the metric `effect_session.dropped_events`, by `event`. If that is too few, put `Stream.buffer` behind.
 * While nobody listens, events cost nothing.
 *
 * **Gotchas**
 *
 * What happens on another server is not told here, and with `CookieLayer.layerShared` nobody knows which sessions
 * {@link destroyAll} and {@link destroyOthers} have ended. A store is known by the service: give the stream the same Layer as the
 * middleware.
 *
 * **Example** (A mail about a new login)
 *
 * ```ts
 * import { Effect, Layer, Option, Stream } from "effect"
 * import { Sessions } from "effect-session"
 *
 * declare const sendMail: (owner: string) => Effect.Effect<void>
 *
 * const Mails = Layer.effectDiscard(
 *   Sessions.events.pipe(
 *     Stream.filter((event) =>
 *       event._tag === "Created" || event._tag === "Regenerated" && Option.isNone(event.previousOwner)
 *     ),
 *     Stream.runForEach(({ owner }) => Option.isSome(owner) ? sendMail(owner.value) : Effect.void),
 *     Effect.forkScoped
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category what happens
 */
export const events: Stream.Stream<SessionEvent, never, SessionStore> = Stream.unwrap(
  Effect.map(SessionStore, (store) => Events.listenersOf(store).events)
)

/**
 * Waits until a session has ended: that of a request, or that of a token, a Cookie header or a handle. One that is not there
 * has ended already.
 *
 * **Details**
 *
 * What ends it in this process is noticed at once. What another server does is noticed once per `touchEvery`, if that is not
 * `"never"`, and not more often than once a second: then one call of the store asks for all sessions that are watched, where the back end can. If
 * the store fails, nobody's session has ended for that.
 *
 * If the session gets another id, as by a login, the one under that id is watched.
 *
 * **Gotchas**
 *
 * If another server gives the session another id, and nobody looks within `supersededFor`, it has ended: nothing is left that
 * says where it has gone. To be sure, let `touchEvery` be shorter than that.
 *
 * With `CookieLayer`, a session that is not used any more ends here only with its `absoluteAge`: what other servers extend
 * stays in the cookie. With `CookieLayer.layerShared`, what {@link destroyAll} and {@link destroyOthers} end is noticed once per
 * `touchEvery`, also in this process.
 *
 * **Example** (A socket that closes when its session ends)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Session, Sessions } from "effect-session"
 *
 * declare const chat: Effect.Effect<void>
 *
 * const socket = Effect.gen(function*() {
 *   const session = yield* Session.Session
 *   yield* Effect.raceFirst(chat, Sessions.watch(session))
 * })
 * ```
 *
 * @since 0.1.0
 * @category what happens
 */
export function watch(session: Session.Session): Effect.Effect<void, SessionStoreError>
/**
 * Waits until the session of a token, of the Cookie header of a request, or of an owner and a handle has ended.
 *
 * @since 0.1.0
 * @category what happens
 */
export function watch<P extends Presented | ByHandle>(presented: P): Effect.Effect<void, SessionStoreError, Needs<P>>
export function watch(
  target: Session.Session | Presented | ByHandle
): Effect.Effect<void, SessionStoreError, Needs<Presented | ByHandle>> {
  const opened = Session.TypeId in target ? Effect.succeed(target) : open(target, { readonly: true })
  return Effect.flatMap(opened, (opened) => {
    const session = requestSessionOf(opened)
    return Effect.flatMap(session.ready, () => {
      const { environment, expiry, state } = session
      if (!State.isStored(state)) return Effect.void
      const until = expiry.latest(state.record.createdAt, endOfTime)
      return Effect.asVoid(Watching.untilOver(environment, Watching.watchedOf(state), { until, follows: true }))
    })
  })
}

// -----------------------------------------------------------------------------
// the session itself
// -----------------------------------------------------------------------------

const load = Effect.fnUntraced(function*<P extends Presented | ByHandle>(
  settings: Settings,
  presented: P,
  options: Options = {}
): Effect.fn.Return<RequestSession, SessionStoreError, Needs<P>> {
  const environment = Environment.make(settings, yield* SessionStore, yield* GenerateId)
  const found = "handle" in presented
    ? yield* find(presented) as Effect.Effect<Owned | undefined, SessionStoreError, Needs<P>>
    : undefined
  const client: Client = {
    present: () => shownIn(presented, settings),
    input: Effect.succeed({}),
    messages: options.messages ?? "stay",
    takesCookie: true,
    ...(found !== undefined && "owner" in presented && {
      endsAs: (yield* whoEnds(presented.owner, environment.listeners))(found.key)
    })
  }
  const session = new RequestSession(environment, client, options)
  if (found !== undefined) session.beginWith(Id.ofKey(found.key), found.record)
  yield* session.ready
  return session
})

const shownIn = (presented: Presented | ByHandle, settings: Settings): Shown => {
  if ("token" in presented) return { _tag: "Token", token: Redacted.value(presented.token) }
  if ("headers" in presented) return Transports.make(settings).read(presented.headers).presented
  return Cookie.make(settings.cookie).read("cookies" in presented ? presented.cookies : undefined)
}

const find = ({ handle, owner }: ByHandle): Effect.Effect<Owned | undefined, SessionStoreError, SessionIndex> =>
  isHandle(handle) && Owner.mistakeIn(owner) === undefined
    ? Effect.flatMap(SessionIndex, (index) => index.find(owner, handle))
    : Effect.undefined

const isHandle = (handle: string): boolean => /^[A-Za-z0-9_-]{16}$/.test(handle)

const requestSessionOf = (session: Session.Session): RequestSession => session as unknown as RequestSession

const runIn = <A, E, R>(session: RequestSession, effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Unit.run(session, Effect.provideService(effect, Session.Session, session)),
    (value) => Effect.map(committed(session), (committed) => ({ ...committed, value }))
  )

/** Nothing of it is written any more. */
const giveUp = (session: RequestSession): Effect.Effect<void> =>
  Effect.andThen(Unit.close(session), Effect.suspend(() => Indexing.withdraw(session)))

const committing = (
  session: Session.Session,
  change: Effect.Effect<void, CommitError, Session.Session>
): Effect.Effect<Committed, CommitError> =>
  Effect.andThen(
    Effect.provideService(Effect.andThen(change, Session.commit), Session.Session, session),
    committed(requestSessionOf(session))
  )

const committed = (session: RequestSession): Effect.Effect<Committed> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const { settings, state } = session
    const token = State.isStored(state) ? Option.fromUndefinedOr(state.token) : Option.none()
    return {
      token: Option.map(token, ({ text }) => Redacted.make(text)),
      setCookie: Redacted.make(setCookieOf(Cookie.make(settings.cookie), State.outgoingOf(state), now))
    }
  })

/** Nobody knows which cookies the client holds, so those that the session does not take are cleared. */
const setCookieOf = (
  cookie: Cookie.SessionCookie,
  outgoing: State.Outgoing | undefined,
  now: number
): ReadonlyArray<string> =>
  outgoing === undefined ? [] : Cookie.toClient(cookie, outgoing, now, cookie.all).map(Cookie.toHeader)
