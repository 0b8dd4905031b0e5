/**
 * Where sessions are kept: the contract between sessions and their drivers.
 *
 * One contract serves stores that keep the record on a server and stores that hand it to the client in the cookie. Most
 * drivers are a {@link Backend}, six operations on a hashed key, from which {@link fromBackend} makes the store: it does
 * the token's protection, the hashing, the expiry, the retries and the time limits, so that a driver is a translation
 * into its back end's commands and nothing else. If you have only the four functions read, write, destroy and touch, use
 * {@link fromDriver}. A store of any other kind goes through {@link make}.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Json } from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Change, Overwritten } from "./internal/record/change.ts"
import type { Fields, SessionRecord, Times } from "./internal/record/record.ts"
import * as DriverBackend from "./internal/store/driverBackend.ts"
import * as Guard from "./internal/store/guard.ts"
import * as ServerStore from "./internal/store/serverStore.ts"
import { Id, Token } from "./internal/token/secret.ts"
import type { SessionConfig } from "./SessionConfig.ts"
import type { SessionConfigError, SessionStoreError, SessionTooLargeError, StoreOperation } from "./SessionError.ts"
import { SessionIndex as Index, SessionOwners as Owners } from "./SessionOwners.ts"
import type { SessionIndex, SessionOwners } from "./SessionOwners.ts"

export type {
  /**
   * What one request did to a session. Each field is in at most one of `set`, `remove` and `increment`; `clear` comes
   * before all of them. If anything stored is not what the change expects, nothing is written.
   *
   * @since 0.1.0
   * @category models
   */
  Change,
  /**
   * The fields that must hold a certain text, or nothing (`undefined`), before a change. The text is compared as it was
   * loaded: a back end that adds to a number in place may write it in another way than `JSON.stringify`.
   *
   * @since 0.1.0
   * @category models
   */
  Expected,
  /**
   * Add `by` to a number; if the field holds no number, begin at `initial`. Both are finite.
   *
   * @since 0.1.0
   * @category models
   */
  Increment,
  /**
   * What a request wrote over without regard to what was there: the names of fields, or all of them; `"ended"` where it has
   * ended the session, and what goes on under the new id is another one.
   *
   * @since 0.1.0
   * @category models
   */
  Overwritten
} from "./internal/record/change.ts"
export {
  /**
   * Whether the fields hold what a change expects of them. For back ends that can't compare by themselves.
   *
   * @since 0.1.0
   * @category combinators
   */
  isExpected,
  /**
   * What is stored after a commit: the change, applied to what is stored now. For back ends that can't merge by
   * themselves.
   *
   * @since 0.1.0
   * @category combinators
   */
  merge
} from "./internal/record/change.ts"
export type {
  /**
   * The fields of a session by name, each value as JSON text. They have what a `ReadonlyMap` has, and need not be a `Map`.
   *
   * @since 0.1.0
   * @category models
   */
  Fields,
  /**
   * All that is stored of one session.
   *
   * @since 0.1.0
   * @category models
   */
  SessionRecord,
  /**
   * The times of a session, in milliseconds since the epoch.
   *
   * @since 0.1.0
   * @category models
   */
  Times
} from "./internal/record/record.ts"

export {
  /**
   * The id of a session, a secret. Whatever prints, encodes or inspects it sees `Id(<redacted>)`. Its `key` is the SHA-256 of
   * it, which is no secret, and what a store should know the session by.
   *
   * @since 0.1.0
   * @category models
   */
  Id,
  /**
   * What the cookie of a session holds, a secret. Whatever prints, encodes or inspects it sees `Token(<redacted>)`.
   *
   * @since 0.1.0
   * @category models
   */
  Token
}

// -----------------------------------------------------------------------------
// the contract
// -----------------------------------------------------------------------------

/**
 * @since 0.1.0
 * @category type IDs
 */
export const TypeId: TypeId = "~effect-session/SessionStore"

/**
 * @since 0.1.0
 * @category type IDs
 */
export type TypeId = "~effect-session/SessionStore"

/**
 * Where sessions are kept.
 *
 * **Details**
 *
 * Loading takes the token from the cookie; from then on a session goes by its id, and whatever writes says which token
 * the cookie shall carry from now on. No operation fails because of what a client sent: an error is for system faults
 * only. Unknown, expired, malformed and tampered tokens are all the same to the client: no session.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionStore {
  readonly [TypeId]: TypeId

  /** The name of the driver, for errors, metrics and spans. */
  readonly driver: string

  /** Whether the token itself holds the session, so that every change needs a new cookie. */
  readonly stateless: boolean

  /** Whose sessions they are, if the store can end those of an owner. */
  readonly owners?: SessionOwners | undefined

  /**
   * The session of a token. A token consists of letters, digits, `-`, `_` and `.`. `Superseded` is a session that another
   * request has regenerated a moment ago: the request that asks is anonymous, its changes are dropped, and it sends no
   * cookie, unless it regenerates: then it gets a session of its own.
   */
  readonly load: (token: Token) => Effect.Effect<Loaded, SessionStoreError>

  /**
   * A new session. Never overwrites: an id that is in use is `Taken`, and the caller draws another. One whose owner has ended
   * it in advance, when the login was still under way, is `Gone`.
   */
  readonly create: (
    id: Id,
    record: SessionRecord
  ) => Effect.Effect<Written | Gone | Taken, SessionStoreError | SessionTooLargeError>

  /**
   * Applies the change to what is stored now, only if the session still exists and holds what the change expects. The
   * record is the session as the request sees it, changes and times included: what a store keeps that can't merge.
   *
   * Where the session was regenerated a moment ago, nothing is written either: the `Conflict` has the record of its
   * successor, to which the change is applied if it comes again with that `successor`.
   */
  readonly update: (
    id: Id,
    change: Change,
    record: SessionRecord,
    successor?: string
  ) => Effect.Effect<Written | Gone | Conflict, SessionStoreError | SessionTooLargeError>

  /** Extends the life of an existing session to the times of the record. */
  readonly touch: (
    id: Id,
    record: SessionRecord
  ) => Effect.Effect<Written | Gone, SessionStoreError | SessionTooLargeError>

  /**
   * The same session under a new id, with the record as the request sees it, only if the old one holds just the fields
   * that the request has seen `before` it changed anything: so nothing that was committed under the old id is missed. The new
   * one exists before the old one goes. The old token is dead at once, and `Superseded` for a short while; `NotFound`
   * where it is `"ended"`, as after a `destroy`.
   */
  readonly regenerate: (
    id: Id,
    newId: Id,
    record: SessionRecord,
    before: Fields,
    overwritten?: Overwritten
  ) => Effect.Effect<Written | Gone | Taken | Conflict, SessionStoreError | SessionTooLargeError>

  /** Ends a session for good. Ending one that is not there is no error. */
  readonly destroy: (id: Id, record: SessionRecord) => Effect.Effect<void, SessionStoreError>

  /**
   * What has become of several sessions, by their keys: each has the same key, or another one if it was regenerated a moment
   * ago. One that is not in the answer has ended. Without this, only what this process does is known.
   */
  readonly look?:
    | ((sessions: ReadonlyArray<Watched>) => Effect.Effect<ReadonlyMap<string, string>, SessionStoreError>)
    | undefined
}

/**
 * A session whose end somebody waits for: its key, and the text of the field that says whose it is, if it has an owner.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watched {
  readonly key: string
  readonly owner: string | undefined
}

/**
 * A store that can end the sessions of an owner.
 *
 * @since 0.1.0
 * @category models
 */
export interface WithOwners extends SessionStore {
  readonly owners: SessionOwners
}

/**
 * A store that also knows which ones these are.
 *
 * @since 0.1.0
 * @category models
 */
export interface WithIndex extends WithOwners {
  readonly owners: SessionOwners & SessionIndex
}

/**
 * What became of a token.
 *
 * @since 0.1.0
 * @category models
 */
export type Loaded =
  | {
    readonly _tag: "Found"
    readonly id: Id
    readonly record: SessionRecord
    /** A token to send instead, where the one that came was made with a secret that is being retired. */
    readonly renewed: Token | undefined
  }
  | {
    readonly _tag: "NotFound"
    readonly reason: NotFoundReason
    /** The id in the token, if the token was made here: what is told of it names the session. */
    readonly id?: Id
    /** What is still stored, if the session's time is over. */
    readonly record?: SessionRecord
  }
  | { readonly _tag: "Superseded"; readonly id?: Id }

/**
 * Why there is no session: the token has not the shape of one; it was not made here, or altered; nothing is stored for
 * it; or its time is over.
 *
 * @since 0.1.0
 * @category models
 */
export type NotFoundReason = "malformed" | "tampered" | "unknown" | "expired"

/**
 * Written. The token is there when the client must get another one than it has.
 *
 * @since 0.1.0
 * @category models
 */
export interface Written {
  readonly _tag: "Written"
  readonly token: Token | undefined
}

/**
 * The session does not exist any more; nothing was written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Gone {
  readonly _tag: "Gone"
}

/**
 * The new id is in use; nothing was written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Taken {
  readonly _tag: "Taken"
}

/**
 * The session does not hold what the change expects; nothing was written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Conflict {
  readonly _tag: "Conflict"
  /** What is stored now. */
  readonly record: SessionRecord
  /** If the session was regenerated, where its successor is; the record is the successor's then. */
  readonly successor?: string
  /** And what the requests that regenerated it wrote over, so that nothing older takes its place. */
  readonly overwritten?: Overwritten
}

/**
 * The store of the application: each driver's Layer provides it.
 *
 * @since 0.1.0
 * @category services
 */
export const SessionStore: Context.Service<SessionStore, SessionStore> = Context.Service<SessionStore>(
  "effect-session/SessionStore"
)

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * The operations of a store before {@link make}: a failure of any kind becomes a `SessionStoreError` with it as the
 * cause, but for a `SessionTooLargeError`, which stays what it is.
 *
 * @since 0.1.0
 * @category models
 */
export type Operations =
  & Pick<SessionStore, "driver" | "stateless" | "owners">
  & {
    readonly look?:
      | ((sessions: ReadonlyArray<Watched>) => Effect.Effect<ReadonlyMap<string, string>, unknown>)
      | undefined
  }
  & {
    readonly [Operation in StoreOperation]: SessionStore[Operation] extends
      (...parameters: infer Parameters) => Effect.Effect<infer A, unknown>
      ? (...parameters: Parameters) => Effect.Effect<A, unknown>
      : never
  }

/**
 * A store from its operations, which get the time limit (`timeLimit`), the retries (`retries`, for the operations that
 * can be repeated: load, touch and destroy) and, unless it is stateless, the limit of size (`sizeLimit`) of the configuration.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  operations: Operations,
  options?: {
    /** As in a {@link Backend}. Default `false`. */
    readonly keepsTimeLimit?: boolean
  }
) => Effect.Effect<SessionStore, never, SessionConfig> = Guard.make

/**
 * What a driver of a server-side store does: six operations on a key, which is the hash of a session's id. A failure of
 * any kind becomes a `SessionStoreError` with it as the cause.
 *
 * **Details**
 *
 * A driver has no rules of its own: not for expiry, not for cookies, not for schemas. It may remove a record whose
 * `expiresAt` has passed, whenever it likes. Where its back end can't merge, {@link merge} does it, but then reading and
 * writing must not be divided by another update.
 *
 * @since 0.1.0
 * @category models
 */
export interface Backend {
  /** The name of the driver. */
  readonly driver: string

  /**
   * Whether each operation ends within the configuration's `timeLimit` by itself, as one that answers at once does. Then
   * the store does not watch over it, but where it needs several of them or repeats one. Default `false`.
   */
  readonly keepsTimeLimit?: boolean

  /** What is stored under the key: a record, the mark of a superseded session, or nothing. */
  readonly load: (key: string) => Effect.Effect<SessionRecord | SupersededRecord | undefined, unknown>

  /** Stores a new record, unless there is anything under the key: then `false`. */
  readonly create: (key: string, record: SessionRecord) => Effect.Effect<boolean, unknown>

  /**
   * Applies the change to the record under the key; `false` if there is none. If the change has `touch`, the times of
   * `times` take the place of those that are stored where they are later. If the record does not hold what the change
   * expects, nothing is written, not even the times, and the answer is a `Conflict` with that record. The mark of a
   * superseded session is no record: the answer is `false`, whatever the change expects. Comparing and writing must not
   * be divided by another update.
   */
  readonly update: (key: string, change: Change, times: Times) => Effect.Effect<boolean | Conflict, unknown>

  /** Takes over the times where they are later than those that are stored; `false` if there is no record. */
  readonly touch: (key: string, times: Times) => Effect.Effect<boolean, unknown>

  /**
   * Puts the mark of a superseded session in the place of the record, and answers with the record that was there;
   * `undefined` if there was none. If the record holds anything but just these fields, it stays, and the answer is a
   * `Conflict` with it.
   */
  readonly supersede: (
    key: string,
    mark: SupersededRecord,
    fields: Fields
  ) => Effect.Effect<SessionRecord | Conflict | undefined, unknown>

  /**
   * What {@link create} under the new key and {@link supersede} under the old one do, in one step: both or neither. The
   * answer is `"taken"` if there is anything under the new key, `false` if there is no record under the old one, and a
   * `Conflict` if that record holds anything but just these fields. The new record ends no earlier than the old one does.
   * Only for a back end that can change two keys at once; without it, the store takes the steps one by one.
   */
  readonly regenerate?: (
    key: string,
    newKey: string,
    record: SessionRecord,
    mark: SupersededRecord,
    fields: Fields
  ) => Effect.Effect<boolean | "taken" | Conflict, unknown>

  /**
   * Removes the record under the key, if there is one. The mark of a superseded session stays, and is the answer: whoever
   * ends the session under its old id has to be able to try again.
   */
  readonly destroy: (key: string) => Effect.Effect<SupersededRecord | undefined, unknown>

  /**
   * What is stored under several keys, with no more of each session than its times and these fields, as far as it has them.
   * Keys with nothing under them are not in the answer. It never lags behind, even if `load` does. Without it, the store loads
   * them one by one.
   */
  readonly peek?: (
    keys: ReadonlyArray<string>,
    fields: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyMap<string, SessionRecord | SupersededRecord>, unknown>

  /** Which sessions an owner has; without it, the store's sessions have no owners. */
  readonly owners?: OwnerIndex
}

/**
 * What is stored in the place of a session that was regenerated, or that its owner has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface SupersededRecord {
  /** Until then, in milliseconds since the epoch, the mark stays. */
  readonly supersededUntil: number

  /**
   * What there is to know of the session under its new id, in a form that only the store has to understand. Empty, where the
   * session was ended for good.
   */
  readonly successor: string
}

/**
 * Which sessions an owner has: an index beside the sessions. An owner goes by a hash of 43 characters of base64url, as a
 * session does.
 *
 * **Details**
 *
 * A driver has no rules here either: not when an entry is added, not what an entry of a session means that is not there.
 * An entry that was added is in every list from then on, until it is removed or its time is over: a list that lags behind
 * would miss the login of a moment ago.
 *
 * @since 0.1.0
 * @category models
 */
export interface OwnerIndex {
  /**
   * Adds an entry. If there is one of that key already, the new one takes its place, or both stay. The answer is whether the
   * owner may have more than `limit` entries now, which is not asked where that is `undefined`.
   */
  readonly add: (owner: string, entry: OwnerEntry, limit: number | undefined) => Effect.Effect<boolean, unknown>

  /**
   * The last so many entries, or those before an entry that need not be there any more, in the order of `at` and then of `key`,
   * beginning with the last: as an index of both is read backwards. Keys are in the order of their bytes.
   */
  readonly list: (
    owner: string,
    limit: number,
    after?: OwnerEntry
  ) => Effect.Effect<ReadonlyArray<OwnerEntry>, unknown>

  /** Removes entries, as they were listed. Those that are not there any more are no error. */
  readonly remove: (owner: string, entries: ReadonlyArray<OwnerEntry>) => Effect.Effect<void, unknown>

  /**
   * Puts the mark in the place of whatever is under the key, also if there is nothing: from then on until the mark's end,
   * no session can be created under it.
   */
  readonly bury: (key: string, mark: SupersededRecord) => Effect.Effect<void, unknown>
}

/**
 * That an owner has a session, or is about to get it.
 *
 * @since 0.1.0
 * @category models
 */
export interface OwnerEntry {
  /** The key of the session. */
  readonly key: string

  /** When the entry was made, in milliseconds since the epoch. */
  readonly at: number

  /** From this moment on it may be removed, as the session is over by then. In milliseconds since the epoch. */
  readonly until: number
}

/**
 * The store of a driver. Ids are protected as `id.protection` says, and the back end sees only their SHA-256.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromBackend: {
  /**
   * The store of a driver that keeps an index of owners.
   *
   * @since 0.1.0
   * @category constructors
   */
  (backend: Backend & { readonly owners: OwnerIndex }): Effect.Effect<WithIndex, SessionConfigError, SessionConfig>
  /**
   * The store of a driver. Ids are protected as `id.protection` says, and the back end sees only their SHA-256.
   *
   * @since 0.1.0
   * @category constructors
   */
  (backend: Backend): Effect.Effect<SessionStore, SessionConfigError, SessionConfig>
} = ServerStore.fromBackend as (backend: Backend) => Effect.Effect<WithIndex, SessionConfigError, SessionConfig>

/**
 * The Layer of a store that knows the sessions of each owner: it provides the store, its owners, and its index of them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E, R>(
  store: Effect.Effect<WithIndex, E, R>
): Layer.Layer<SessionStore | SessionOwners | SessionIndex, E, Exclude<R, Scope.Scope>> =>
  Layer.effectContext(Effect.map(store, (store) => Context.add(servicesOf(store), Index, store.owners)))

/**
 * The Layer of a store that can end the sessions of an owner without knowing them: it provides the store and its owners.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithOwners = <E, R>(
  store: Effect.Effect<WithOwners, E, R>
): Layer.Layer<SessionStore | SessionOwners, E, Exclude<R, Scope.Scope>> =>
  Layer.effectContext(Effect.map(store, servicesOf))

const servicesOf = (store: WithOwners): Context.Context<SessionStore | SessionOwners> =>
  Context.make(SessionStore, store as SessionStore).pipe(Context.add(Owners, store.owners))

/**
 * The four functions of a driver as many frameworks know it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Driver {
  /** The name of the driver. Default `"custom"`. */
  readonly driver?: string

  /** The values stored under an id, as they were given to `write`; `undefined` or `null` if there are none. */
  readonly read: (id: string) => Effect.Effect<{ readonly [key: string]: Json } | null | undefined, unknown>

  /** Stores the values, which can be forgotten once `expiresAt` (in milliseconds since the epoch) has passed. */
  readonly write: (
    id: string,
    values: { readonly [key: string]: Json },
    expiresAt: number
  ) => Effect.Effect<void, unknown>

  /** Removes what is stored under the id, if anything. */
  readonly destroy: (id: string) => Effect.Effect<void, unknown>

  /**
   * Extends the life of what is stored: the same values but for the times in them. A driver with nothing better to do
   * writes them.
   */
  readonly touch: (
    id: string,
    values: { readonly [key: string]: Json },
    expiresAt: number
  ) => Effect.Effect<void, unknown>
}

/**
 * A store made of just four functions. The ids that they get are hashes already, of 43 characters of base64url; the sessions
 * of an owner are listed in a document of their own, whose id is `owner-` and a hash.
 *
 * **Gotchas**
 *
 * Such a store merges by reading and writing, one commit after another for each session. That holds within one process:
 * of two processes that change one session in the same moment, one can lose its change, even if it has destroyed the
 * session. If two of them change the sessions of one owner in the same moment, the index of that owner can lose an entry:
 * that session is in no list, and `Sessions.destroyAll` does not end it, until it is regenerated or has been in use for as
 * long as `age`. A back end that can do better is a {@link Backend}.
 *
 * **Example** (A driver on a Map)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { SessionStore } from "effect-session"
 *
 * const values = new Map<string, Parameters<SessionStore.Driver["write"]>[1]>()
 *
 * const MapLayer = SessionStore.layer(
 *   SessionStore.fromDriver({
 *     read: (id) => Effect.sync(() => values.get(id)),
 *     write: (id, session) => Effect.sync(() => void values.set(id, session)),
 *     destroy: (id) => Effect.sync(() => void values.delete(id)),
 *     touch: (id, session) => Effect.sync(() => void values.set(id, session))
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDriver = (driver: Driver): Effect.Effect<WithIndex, SessionConfigError, SessionConfig> =>
  fromBackend(DriverBackend.make(driver))
