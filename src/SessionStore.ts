/**
 * The contract between sessions and their drivers: where sessions are stored.
 *
 * One contract covers stores that keep the record on a server and stores that hand it to the client in the cookie. Most
 * drivers are a {@link Backend}: six operations on a hashed key. {@link fromBackend} turns it into a store and adds the
 * protection of tokens, hashing, expiry, retries and time limits, so a driver only translates operations into its back
 * end's commands. If your back end offers only read, write, destroy and touch, use {@link fromDriver}. For any other
 * kind of store, use {@link make}.
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
   * What one request did to a session. Each field is in at most one of `set`, `remove` and `increment`; `clear` applies
   * before all of them. If a stored field differs from what the change expects, nothing is written.
   *
   * @since 0.1.0
   * @category models
   */
  Change,
  /**
   * The fields that must hold a certain text, or be absent (`undefined`), before a change. The text is compared as it
   * was loaded: a back end that increments a number in place may format it differently than `JSON.stringify`.
   *
   * @since 0.1.0
   * @category models
   */
  Expected,
  /**
   * Adds `by` to a number; if the field holds no number, starts from `initial`. Both are finite.
   *
   * @since 0.1.0
   * @category models
   */
  Increment,
  /**
   * What a request overwrote without reading it first: the names of fields, or all of them. `"ended"` if it ended the
   * session, so that the new id belongs to a different one.
   *
   * @since 0.1.0
   * @category models
   */
  Overwritten
} from "./internal/record/change.ts"
export {
  /**
   * Whether the fields hold what a change expects. For back ends that can't compare themselves.
   *
   * @since 0.1.0
   * @category combinators
   */
  isExpected,
  /**
   * Applies a change to the stored fields, and returns the fields to store. For back ends that can't merge themselves.
   *
   * @since 0.1.0
   * @category combinators
   */
  merge
} from "./internal/record/change.ts"
export type {
  /**
   * The fields of a session by name, each value as JSON text: any `ReadonlyMap`, not necessarily a `Map`.
   *
   * @since 0.1.0
   * @category models
   */
  Fields,
  /**
   * Everything that is stored for one session.
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
   * The id of a session, which is a secret. Printed, encoded or inspected, it shows `Id(<redacted>)`. Its `key` is the
   * SHA-256 hash of the id. The key is not a secret, and a store should identify the session by it.
   *
   * @since 0.1.0
   * @category models
   */
  Id,
  /**
   * The value of a session's cookie, which is a secret. Printed, encoded or inspected, it shows `Token(<redacted>)`.
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
 * A store of sessions.
 *
 * **Details**
 *
 * `load` accepts the token from the cookie. After that, a session is identified by its id, and every operation that
 * writes returns the token that the cookie must carry from then on. No operation fails because of client input: errors
 * are for system faults only. An unknown, expired, malformed or tampered token means that the client has no session.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionStore {
  readonly [TypeId]: TypeId

  /** The name of the driver, for errors, metrics and spans. */
  readonly driver: string

  /** Whether the token itself contains the session, so that every change needs a new cookie. */
  readonly stateless: boolean

  /** The operations on owners, if the store can end the sessions of an owner. */
  readonly owners?: SessionOwners | undefined

  /**
   * Loads the session of a token. A token consists of letters, digits, `-`, `_` and `.`. `Superseded` means that
   * another request regenerated the session a moment ago: the current request is then anonymous, its changes are
   * dropped, and it sends no cookie. If it regenerates, it gets its own session.
   */
  readonly load: (token: Token) => Effect.Effect<Loaded, SessionStoreError>

  /**
   * Creates a session. Never overwrites: if the id is in use, the result is `Taken`, and the caller generates another
   * id. If the owner's sessions were ended while this login was running, the result is `Gone`.
   */
  readonly create: (
    id: Id,
    record: SessionRecord
  ) => Effect.Effect<Written | Gone | Taken, SessionStoreError | SessionTooLargeError>

  /**
   * Applies the change to the stored session, only if it still exists and holds what the change expects. The record is
   * the session as the request sees it, with its changes and times: a store that can't merge writes this.
   *
   * If the session was regenerated a moment ago, nothing is written either. The `Conflict` then contains the record of
   * the successor, and a second call with that `successor` applies the change to it.
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
   * Moves the session to a new id, with the record as the request sees it, only if the old one holds exactly the fields
   * that the request saw `before` its changes, so no commit under the old id is missed. The new session exists before
   * the old one is removed. The old token stops working immediately: it is `Superseded` for a short while, or
   * `NotFound` if `overwritten` is `"ended"`, as after a `destroy`.
   */
  readonly regenerate: (
    id: Id,
    newId: Id,
    record: SessionRecord,
    before: Fields,
    overwritten?: Overwritten
  ) => Effect.Effect<Written | Gone | Taken | Conflict, SessionStoreError | SessionTooLargeError>

  /** Ends a session permanently. Ending a session that does not exist is not an error. */
  readonly destroy: (id: Id, record: SessionRecord) => Effect.Effect<void, SessionStoreError>

  /**
   * Returns the current keys of several sessions: the same key, or the new one if the session was regenerated a moment
   * ago. Sessions missing from the result have ended. Without this operation, only changes by this process are noticed.
   */
  readonly look?:
    | ((sessions: ReadonlyArray<Watched>) => Effect.Effect<ReadonlyMap<string, string>, SessionStoreError>)
    | undefined
}

/**
 * A session that is watched for its end: its key, and the text of its owner field, if it has an owner.
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
 * A store that can also list the sessions of an owner.
 *
 * @since 0.1.0
 * @category models
 */
export interface WithIndex extends WithOwners {
  readonly owners: SessionOwners & SessionIndex
}

/**
 * The result of loading a token.
 *
 * @since 0.1.0
 * @category models
 */
export type Loaded =
  | {
    readonly _tag: "Found"
    readonly id: Id
    readonly record: SessionRecord
    /** A token to send instead, if the presented one was made with a secret that is being retired. */
    readonly renewed: Token | undefined
  }
  | {
    readonly _tag: "NotFound"
    readonly reason: NotFoundReason
    /** The id in the token, if this application issued it. Events use it to name the session. */
    readonly id?: Id
    /** The record that is still stored, if the session has expired. */
    readonly record?: SessionRecord
  }
  | { readonly _tag: "Superseded"; readonly id?: Id }

/**
 * Why there is no session: the token is malformed; it was not issued here, or was altered; nothing is stored for it; or
 * the session has expired.
 *
 * @since 0.1.0
 * @category models
 */
export type NotFoundReason = "malformed" | "tampered" | "unknown" | "expired"

/**
 * The session was written. `token` is present if the client needs a new one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Written {
  readonly _tag: "Written"
  readonly token: Token | undefined
}

/**
 * The session no longer exists. Nothing was written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Gone {
  readonly _tag: "Gone"
}

/**
 * The new id is in use. Nothing was written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Taken {
  readonly _tag: "Taken"
}

/**
 * The session does not hold what the change expects. Nothing was written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Conflict {
  readonly _tag: "Conflict"
  /** The record that is stored now. */
  readonly record: SessionRecord
  /** The location of the successor, if the session was regenerated; the record is then the successor's. */
  readonly successor?: string
  /** What the requests that regenerated it overwrote, so that no older value replaces it. */
  readonly overwritten?: Overwritten
}

/**
 * The store of the application. Each driver's Layer provides it.
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
 * The operations of a store before {@link make}. Any failure becomes a `SessionStoreError` with that failure as its
 * cause, except a `SessionTooLargeError`, which is kept.
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
 * Makes a store from its operations. It adds the configured time limit (`timeLimit`), retries of load, touch and
 * destroy (`retries`), and, unless the store is stateless, the size limit (`sizeLimit`).
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  operations: Operations,
  options?: {
    /** As in {@link Backend}. Default `false`. */
    readonly keepsTimeLimit?: boolean
  }
) => Effect.Effect<SessionStore, never, SessionConfig> = Guard.make

/**
 * The driver of a server-side store: six operations on a key, which is the hash of a session's id. Any failure becomes
 * a `SessionStoreError` with that failure as its cause.
 *
 * **Details**
 *
 * A driver contains no rules about expiry, cookies or schemas. It may remove a record at any time after its
 * `expiresAt`. If the back end can't merge, use {@link merge}; no other update may then run between reading and
 * writing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Backend {
  /** The name of the driver. */
  readonly driver: string

  /**
   * Whether each operation ends within the configured `timeLimit` on its own, for example because it answers
   * immediately. The store then enforces the limit only across several operations and retries. Default `false`.
   */
  readonly keepsTimeLimit?: boolean

  /** Returns what is stored under the key: a record, the mark of a superseded session, or nothing. */
  readonly load: (key: string) => Effect.Effect<SessionRecord | SupersededRecord | undefined, unknown>

  /** Stores a new record. Returns `false` if anything is already stored under the key. */
  readonly create: (key: string, record: SessionRecord) => Effect.Effect<boolean, unknown>

  /**
   * Applies the change to the record under the key. Returns `false` if there is no record, whatever the change expects;
   * the mark of a superseded session is not a record. If the change has `touch`, each time in `times` that is later
   * than the stored one replaces it. If the record does not hold what the change expects, nothing is written, not even
   * the times, and the result is a `Conflict` with that record. Comparing and writing must be atomic.
   */
  readonly update: (key: string, change: Change, times: Times) => Effect.Effect<boolean | Conflict, unknown>

  /** Replaces each stored time that is earlier than the given one. Returns `false` if there is no record. */
  readonly touch: (key: string, times: Times) => Effect.Effect<boolean, unknown>

  /**
   * Replaces the record with the mark of a superseded session, and returns the record, or `undefined` if there was
   * none. If the record does not hold exactly these fields, it stays, and the result is a `Conflict` with it.
   */
  readonly supersede: (
    key: string,
    mark: SupersededRecord,
    fields: Fields
  ) => Effect.Effect<SessionRecord | Conflict | undefined, unknown>

  /**
   * Does {@link create} under the new key and {@link supersede} under the old one atomically. Returns `"taken"` if
   * anything is stored under the new key, `false` if there is no record under the old one, and a `Conflict` if that
   * record does not hold exactly these fields. The new record ends no earlier than the old one. Only for back ends that
   * can change two keys at once; without it, the store takes the two steps one after the other.
   */
  readonly regenerate?: (
    key: string,
    newKey: string,
    record: SessionRecord,
    mark: SupersededRecord,
    fields: Fields
  ) => Effect.Effect<boolean | "taken" | Conflict, unknown>

  /**
   * Removes the record under the key, if there is one. The mark of a superseded session stays and is returned, so that
   * ending the session under its old id can be retried.
   */
  readonly destroy: (key: string) => Effect.Effect<SupersededRecord | undefined, unknown>

  /**
   * Returns what is stored under several keys: of each session the times, and those of the given fields that it has.
   * Keys without a session are missing from the result. The read must be consistent, even if `load` is not. Without
   * this operation, the store loads the keys one by one.
   */
  readonly peek?: (
    keys: ReadonlyArray<string>,
    fields: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyMap<string, SessionRecord | SupersededRecord>, unknown>

  /** The index of sessions by owner. Without it, the store does not support owners. */
  readonly owners?: OwnerIndex
}

/**
 * What is stored in place of a session that was regenerated, or that its owner has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface SupersededRecord {
  /** When the mark may be removed, in milliseconds since the epoch. */
  readonly supersededUntil: number

  /**
   * Describes the session under its new id, in the store's own format. Empty if the session was ended permanently.
   */
  readonly successor: string
}

/**
 * The index of sessions by owner. Like a session, an owner is identified by a hash of 43 base64url characters.
 *
 * **Details**
 *
 * A driver contains no rules here either: the store decides when to add an entry, and handles entries whose session no
 * longer exists. An added entry must appear in every list from then on, until it is removed or expires: a list that
 * lags behind would miss the most recent login.
 *
 * @since 0.1.0
 * @category models
 */
export interface OwnerIndex {
  /**
   * Adds an entry. If there is already one with that key, the driver may replace it or keep both. Returns whether the
   * owner may now have more than `limit` entries; the result does not matter if `limit` is `undefined`.
   */
  readonly add: (owner: string, entry: OwnerEntry, limit: number | undefined) => Effect.Effect<boolean, unknown>

  /**
   * Returns up to `limit` entries in descending order of `at`, then of `key` compared as bytes, like an index on both
   * that is read backwards. Starts with the last entry, or after `before`, an entry that may no longer exist.
   */
  readonly list: (
    owner: string,
    limit: number,
    after?: OwnerEntry
  ) => Effect.Effect<ReadonlyArray<OwnerEntry>, unknown>

  /** Removes entries, given as they were listed. Removing an entry that no longer exists is not an error. */
  readonly remove: (owner: string, entries: ReadonlyArray<OwnerEntry>) => Effect.Effect<void, unknown>

  /**
   * Stores the mark under the key, replacing what is there, if anything. Until the mark expires, no session can be
   * created under the key.
   */
  readonly bury: (key: string, mark: SupersededRecord) => Effect.Effect<void, unknown>
}

/**
 * An entry of the index: a session that an owner has, or is about to get.
 *
 * @since 0.1.0
 * @category models
 */
export interface OwnerEntry {
  /** The key of the session. */
  readonly key: string

  /** When the entry was made, in milliseconds since the epoch. */
  readonly at: number

  /** When the entry may be removed, because the session has ended by then, in milliseconds since the epoch. */
  readonly until: number
}

/**
 * Makes a store from a back end. Ids are protected according to the setting `id.protection`, and the back end sees only
 * their SHA-256 hashes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromBackend: {
  /**
   * Makes a store from a back end that keeps an index of owners.
   *
   * @since 0.1.0
   * @category constructors
   */
  (backend: Backend & { readonly owners: OwnerIndex }): Effect.Effect<WithIndex, SessionConfigError, SessionConfig>
  /**
   * Makes a store from a back end. Ids are protected according to the setting `id.protection`, and the back end sees
   * only their SHA-256 hashes.
   *
   * @since 0.1.0
   * @category constructors
   */
  (backend: Backend): Effect.Effect<SessionStore, SessionConfigError, SessionConfig>
} = ServerStore.fromBackend as (backend: Backend) => Effect.Effect<WithIndex, SessionConfigError, SessionConfig>

/**
 * The Layer of a store that can list the sessions of an owner: it provides the store, its owners, and their index.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E, R>(
  store: Effect.Effect<WithIndex, E, R>
): Layer.Layer<SessionStore | SessionOwners | SessionIndex, E, Exclude<R, Scope.Scope>> =>
  Layer.effectContext(Effect.map(store, (store) => Context.add(servicesOf(store), Index, store.owners)))

/**
 * The Layer of a store that can end the sessions of an owner but not list them: it provides the store and its owners.
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
 * The four functions of a driver, as in many other frameworks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Driver {
  /** The name of the driver. Default `"custom"`. */
  readonly driver?: string

  /**
   * Returns the values stored under an id, as they were passed to `write`, or `undefined` or `null` if there are none.
   */
  readonly read: (id: string) => Effect.Effect<{ readonly [key: string]: Json } | null | undefined, unknown>

  /** Stores the values. They may be removed after `expiresAt`, in milliseconds since the epoch. */
  readonly write: (
    id: string,
    values: { readonly [key: string]: Json },
    expiresAt: number
  ) => Effect.Effect<void, unknown>

  /** Removes the values stored under the id, if any. */
  readonly destroy: (id: string) => Effect.Effect<void, unknown>

  /**
   * Extends the life of stored values: only the times in them differ. If the back end has no cheaper way, write the
   * values.
   */
  readonly touch: (
    id: string,
    values: { readonly [key: string]: Json },
    expiresAt: number
  ) => Effect.Effect<void, unknown>
}

/**
 * Makes a store from four functions. They receive ids that are already hashed: 43 base64url characters. The sessions of
 * an owner are listed in a separate document, whose id is `owner-` followed by a hash.
 *
 * **Gotchas**
 *
 * Such a store merges by reading and writing, one commit at a time per session. This works within one process: if two
 * processes change a session at the same moment, one change can be lost, even the end of the session. If two processes
 * change the sessions of one owner at the same moment, the owner's index can lose an entry. That session is then in no
 * list, and `Sessions.destroyAll` does not end it, until it is regenerated or has been in use for as long as `age`. If
 * your back end can do better, write a {@link Backend}.
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
