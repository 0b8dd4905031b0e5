/**
 * The parts of a store that support owners. Applications do not call them directly. They appear in types, so that a
 * program that needs more than its store supports does not compile.
 *
 * **Details**
 *
 * - {@link SessionOwners} can end all sessions of an owner. `Sessions.destroyAll` and `Sessions.destroyOthers` need it.
 * - {@link SessionIndex} lists the sessions of an owner. `Sessions.list`, `Sessions.destroyHandle` and every function
 *   that accepts an owner and a handle need it.
 *
 * Stores on a server provide both. Sessions in cookies can't be listed: `CookieLayer.layerShared` can end all sessions
 * of an owner, and `CookieLayer.layer` provides neither.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { SessionLimitError, SessionStoreError } from "./SessionError.ts"
import type { OwnerEntry, SessionRecord } from "./SessionStore.ts"

/**
 * @since 0.1.0
 * @category type IDs
 */
export const TypeId: TypeId = "~effect-session/SessionOwners"

/**
 * @since 0.1.0
 * @category type IDs
 */
export type TypeId = "~effect-session/SessionOwners"

/**
 * @since 0.1.0
 * @category type IDs
 */
export const IndexTypeId: IndexTypeId = "~effect-session/SessionIndex"

/**
 * @since 0.1.0
 * @category type IDs
 */
export type IndexTypeId = "~effect-session/SessionIndex"

/**
 * The owners of sessions. Sessions are identified by their keys, the hashes of their ids. An owner is any string; a
 * back end sees only its hash.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionOwners {
  readonly [TypeId]: TypeId

  /**
   * Registers a session that is about to be written. A login is subject to the limit of sessions per owner, which does
   * not count the session that this one replaces. The session keeps the login mark from the result.
   */
  readonly add: (
    owner: string,
    entry: OwnerEntry,
    login?: { readonly replaces: string | undefined }
  ) => Effect.Effect<Added, SessionStoreError | SessionLimitError>

  /** Unregisters a session that has ended. */
  readonly remove: (owner: string, entry: OwnerEntry) => Effect.Effect<void, SessionStoreError>

  /** Ends all sessions of the owner permanently, except one if given. Returns those that it is known to have ended. */
  readonly end: (owner: string, except?: Excepted) => Effect.Effect<ReadonlyArray<string>, SessionStoreError>
}

/**
 * The result of registering a session: the keys of the sessions that were ended to make room, and a mark that the store
 * wants kept in the session, in its own format.
 *
 * @since 0.1.0
 * @category models
 */
export interface Added {
  readonly ended: ReadonlyArray<string>
  readonly mark?: string | undefined
}

/**
 * The session that is kept when all others of its owner end: its keys, two if it is getting a new id, and the mark of
 * its login.
 *
 * @since 0.1.0
 * @category models
 */
export interface Excepted {
  readonly keys: ReadonlySet<string>
  readonly mark: string | undefined
}

/**
 * The index of sessions by owner.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionIndex {
  readonly [IndexTypeId]: IndexTypeId

  /** Returns the existing sessions, the latest login first, with only these fields. */
  readonly list: (owner: string, options: {
    readonly limit: number
    readonly after: OwnerEntry | undefined
    readonly fields: ReadonlyArray<string>
  }) => Effect.Effect<Listed, SessionStoreError>

  /** Returns the session with this handle and its fields, or `undefined` if the owner has no such session. */
  readonly find: (owner: string, handle: string) => Effect.Effect<Owned | undefined, SessionStoreError>

  /** Ends the session with this handle permanently, and returns its key, if the owner has such a session. */
  readonly endOne: (owner: string, handle: string) => Effect.Effect<ReadonlyArray<string>, SessionStoreError>
}

/**
 * A session of an owner.
 *
 * @since 0.1.0
 * @category models
 */
export interface Owned {
  readonly key: string
  readonly record: SessionRecord
}

/**
 * A page of an owner's sessions, and the entry after which the next page starts, if there may be more.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listed {
  readonly sessions: ReadonlyArray<Owned>
  readonly next: OwnerEntry | undefined
}

/**
 * The owners of sessions. Layers of drivers provide it.
 *
 * @since 0.1.0
 * @category services
 */
export const SessionOwners: Context.Service<SessionOwners, SessionOwners> = Context.Service<SessionOwners>(
  "effect-session/SessionOwners"
)

/**
 * The index of sessions by owner. Layers of drivers on a server provide it.
 *
 * @since 0.1.0
 * @category services
 */
export const SessionIndex: Context.Service<SessionIndex, SessionIndex> = Context.Service<SessionIndex>(
  "effect-session/SessionIndex"
)

/**
 * An index that is always empty and ignores registrations. For sessions without a store, as in tests of business logic.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: SessionOwners & SessionIndex = {
  "~effect-session/SessionOwners": "~effect-session/SessionOwners",
  "~effect-session/SessionIndex": "~effect-session/SessionIndex",
  add: () => Effect.succeed({ ended: [] }),
  remove: () => Effect.void,
  end: () => Effect.succeed([]),
  list: () => Effect.succeed({ sessions: [], next: undefined }),
  find: () => Effect.undefined,
  endOne: () => Effect.succeed([])
}
