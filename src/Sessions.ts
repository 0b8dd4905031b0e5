/**
 * Sessions outside of HTTP requests, such as in a job, a WebSocket, a test or a command-line tool.
 *
 * **Details**
 *
 * These functions work with every driver. Only {@link create}, {@link modify}, {@link commit}, {@link regenerate},
 * {@link destroy} and `Session.commit` write: a session that is opened and not committed writes nothing. The functions
 * that write return what the client must hold from then on, as a token and as the Set-Cookie headers that the
 * middleware would send: see {@link Committed}.
 *
 * Flash messages stay in the session for the next request, because no page is shown here. To consume them, open the
 * session with `messages: "leave"`.
 *
 * **Gotchas**
 *
 * With `CookieLayer` the client holds the session, so a change takes effect only if the client gets the new cookie. A
 * job that has no way to send it can read such a session, but not change it.
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
 * What a client presents: its token, the Cookie header of its request, or all headers, of which those named by the
 * setting `transports` are used.
 *
 * @since 0.1.0
 * @category models
 */
export type Presented =
  | { readonly token: Redacted.Redacted<string> }
  | { readonly cookies: string | undefined }
  | { readonly headers: { readonly [name: string]: string | undefined } }

/**
 * A session identified by its owner and its handle, as returned by {@link list}. The store must be able to list an
 * owner's sessions. The id and the token of such a session are not available.
 *
 * @since 0.1.0
 * @category models
 */
export interface ByHandle {
  readonly owner: string
  readonly handle: string
}

/**
 * Identifies a session: by what a client presents, or by owner and handle.
 *
 * @since 0.1.0
 * @category models
 */
export type Needs<P extends Presented | ByHandle> =
  | SessionStore
  | SessionConfig
  | (P extends ByHandle ? SessionIndex : never)

/**
 * Options for opening a session.
 *
 * - `readonly`: changes fail with a `SessionReadonlyError`, and nothing is written, not even that the session was used.
 *   For connections that live longer than a request. Default `false`.
 * - `messages`: whether flash messages stay in the session (`"stay"`), or are consumed by the first commit, as in a
 *   request (`"leave"`). Default `"stay"`.
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
 * - `token`: the token of the session, or `None` if there is no session because it was destroyed or never contained
 *   anything.
 * - `setCookie`: the values of the Set-Cookie headers, several if the session is split into several cookies, and empty
 *   if the client's cookie is still valid. Each commit returns all headers that are due since the session was opened.
 *
 * @since 0.1.0
 * @category models
 */
export interface Committed {
  readonly token: Option.Option<Redacted.Redacted<string>>
  readonly setCookie: Redacted.Redacted<ReadonlyArray<string>>
}

/**
 * The result of {@link modify}: what the client must hold, and the value of the effect.
 *
 * @since 0.1.0
 * @category models
 */
export interface Modified<A> extends Committed {
  readonly value: A
}

/**
 * The result of {@link create}: the new session's token and cookies, and the value of the effect.
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
 * Creates a session and runs the effect in it. The session is stored even if it is empty, so that you can hand out its
 * token or its Set-Cookie headers.
 *
 * **Details**
 *
 * If the effect fails, nothing is written. If the effect destroys the session, or sessions are turned off (`enabled`),
 * it fails with a `SessionGoneError`.
 *
 * **Example** (A logged-in test client)
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
  // Store the session even if it is empty.
  const session = yield* load({ ...settings, saveUninitialized: true }, { cookies: undefined })
  const created = yield* runIn(session, effect)
  if (Option.isNone(created.token)) return yield* new SessionGoneError({})
  return { ...created, token: created.token.value }
})

/**
 * Runs the effect with the session of a token, or of a request's Cookie header, and writes its changes. If it fails,
 * nothing is written.
 *
 * **Details**
 *
 * If the session does not exist, `modify` fails with a `SessionGoneError` and the effect does not run. Fibers that
 * outlive the effect get a `SessionClosedError` if they change the session.
 *
 * **Example** (A job that reports its progress)
 *
 * ```ts
 * import { Effect, type Redacted, Schema } from "effect"
 * import { Session, SessionKey, Sessions } from "effect-session"
 *
 * const Progress = SessionKey.make("progress", Schema.Number)
 *
 * const report = (token: Redacted.Redacted<string>, progress: number) =>
 *   Sessions.modify({ token }, Session.put(Progress, progress)).pipe(
 *     // The user has logged out in the meantime.
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
 * Opens and loads the session of a token, or of a request's Cookie header. An invalid one opens an empty session. Only
 * {@link commit}, {@link regenerate}, {@link destroy} and `Session.commit` write changes.
 *
 * **Example** (Reading a session)
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
 * Like {@link open}, until the scope closes. After that, changes fail with a `SessionClosedError`. Uncommitted changes
 * are not written.
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
 * Writes the changes, like `Session.commit`, and returns what the client must hold.
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
 * Gives the session a new id, like `Session.regenerate`, writes that together with all changes, and returns what the
 * client must hold. The old token no longer works.
 *
 * @since 0.1.0
 * @category step by step
 */
export const regenerate = (session: Session.Session): Effect.Effect<Committed, CommitError> =>
  committing(session, Session.regenerate)

/**
 * Ends a session permanently: an opened one, or that of a token or a Cookie header. Returns the headers that clear the
 * client's cookies. It is not an error if the session does not exist.
 *
 * **Details**
 *
 * Fails with a `SessionGoneError` if another request regenerated the token's session a moment ago. The session
 * continues under its new id, and a holder of the old one can't end it.
 *
 * @since 0.1.0
 * @category step by step
 */
export function destroy(session: Session.Session): Effect.Effect<Committed, CommitError>
/**
 * Ends the session of a token, or of a request's Cookie header, permanently.
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
 * An entry in the list of an owner's sessions. Nothing in it grants access to the session.
 *
 * - `handle`: the session's name for {@link destroyHandle}, the same as `Session.handle`.
 * - `lastUsedAt`: when a request last extended its life, which happens once per `touchEvery`.
 * - `expiresAt`: when it expires if it is not used again, or `None` if never.
 * - `isCurrent`: whether it is the session of the current request, if there is one.
 * - `attributes`: the values of the requested keys, each `None` if the value is missing or no longer fits its schema.
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
 * The keys whose values a list includes, by name.
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
 * A page of an owner's sessions, and where the next page starts, if there may be more.
 *
 * @since 0.1.0
 * @category owners
 */
export interface Page<Attributes extends AnyAttributes> {
  readonly sessions: ReadonlyArray<Info<Attributes>>
  readonly next: Option.Option<string>
}

/**
 * Lists the sessions of an owner, the latest login first. `limit` is the size of a page: 50 by default, 100 at most.
 * For the next page, pass the `next` of a page as `after`; an invalid `after` starts from the beginning.
 *
 * **Details**
 *
 * The store reads only the times of each session and the keys that you name in `attributes`.
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
 * Ends the owner's session with this handle, such as one that the owner does not recognize. Returns whether there was
 * one. Requests of that session that are still running can no longer write it.
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
 * Ends all sessions of an owner, such as after a password change. Returns how many there were, as far as the store
 * knows: with `CookieLayer.layerShared` the result is 0.
 *
 * **Details**
 *
 * Every session created before this call ends: even one with a running request, one that is getting a new id, or one
 * whose login is still running but has already called `Session.login`. A login that arrives while this runs may be
 * ended too.
 *
 * @since 0.1.0
 * @category owners
 */
export const destroyAll = (
  owner: string
): Effect.Effect<number, SessionStoreError | SessionOwnerError, SessionOwners> => end(owner)

/**
 * Ends all other sessions of the current session's owner, and returns how many there were, like {@link destroyAll}.
 * Returns 0 if the session has no owner.
 *
 * **Details**
 *
 * The current session stays, even if this request or another one has given it a new id or is about to.
 *
 * **Gotchas**
 *
 * If another request writes the current session under its new id at the very moment the others are ended, it can be
 * mistaken for one of them. The user then has to log in again.
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

/** Ends sessions of an owner, and publishes the events. */
const ending = Effect.fnUntraced(function*(
  owner: string,
  owners: SessionOwners | SessionIndex,
  end: Effect.Effect<ReadonlyArray<string>, SessionStoreError>
): Effect.fn.Return<number, SessionStoreError | SessionOwnerError> {
  yield* checked(owner)
  const listeners = Events.listenersOf(owners)
  // Read this first: afterwards the session may have ended.
  const by = yield* whoEnds(owner, listeners)
  const ended = yield* end
  yield* Events.ended(listeners, owner, ended, by)
  return ended.length
})

/** Who ends sessions of an owner, given their keys: the owner, if this is a request of one of them. */
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

/** The keys of this request's session, if there is one: two if it is getting a new id. */
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
 * The stream of what happens to a store's sessions in this process from now on, through the middleware and through
 * `Sessions`. See `SessionEvent` for the events.
 *
 * **Details**
 *
 * Publishing never waits for subscribers. Up to 1,024 events are buffered per subscriber; further ones are dropped for
 * that subscriber and counted in the metric `effect_session.dropped_events`, by `event`. For a larger buffer, add
 * `Stream.buffer`. Without subscribers, events cost nothing.
 *
 * **Gotchas**
 *
 * Events of other servers are not included. With `CookieLayer.layerShared` there are no events for sessions ended by
 * {@link destroyAll} and {@link destroyOthers}, because the store can't list them. The stream and the middleware must
 * share the same store service: provide both with the same Layer.
 *
 * **Example** (An email about a new login)
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
 * Waits until a session has ended: that of the request, or that of a token, a Cookie header or a handle. A session that
 * does not exist has already ended.
 *
 * **Details**
 *
 * An end caused by this process is noticed immediately. An end caused by another server is noticed within `touchEvery`,
 * unless that is `"never"`; the store is asked at most once a second, in one call for all watched sessions if the back
 * end supports it. If the store fails, no session counts as ended.
 *
 * If the session gets a new id, as at a login, it is watched under that id.
 *
 * **Gotchas**
 *
 * If another server gives the session a new id and this server does not check within `supersededFor`, the session
 * counts as ended, because the link to the new id is gone. To avoid that, make `touchEvery` shorter than
 * `supersededFor`.
 *
 * With `CookieLayer`, an unused session ends here only after its `absoluteAge`, because extensions by other servers are
 * visible only in the cookie. With `CookieLayer.layerShared`, the effect of {@link destroyAll} and
 * {@link destroyOthers} is noticed within `touchEvery`, even in the same process.
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

/** Nothing more is written for it. */
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

/** The client's cookies are unknown here, so those that the session does not use are cleared. */
const setCookieOf = (
  cookie: Cookie.SessionCookie,
  outgoing: State.Outgoing | undefined,
  now: number
): ReadonlyArray<string> =>
  outgoing === undefined ? [] : Cookie.toClient(cookie, outgoing, now, cookie.all).map(Cookie.toHeader)
