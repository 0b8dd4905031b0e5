/**
 * Whose sessions they are: the parts of a store that know something of owners. Applications don't call them, but need them in
 * their types, so that a program which asks too much of its store does not compile.
 *
 * **Details**
 *
 * - {@link SessionOwners} can end all sessions of an owner. `Sessions.destroyAll` and `Sessions.destroyOthers` need it.
 * - {@link SessionIndex} knows which sessions an owner has. `Sessions.list`, `Sessions.destroyHandle` and whatever takes an
 *   owner and a handle need it.
 *
 * Stores on a server have both. Where sessions are in cookies, nobody knows which ones there are: `CookieLayer.layerShared` can
 * end all of an owner, and `CookieLayer.layer` has neither.
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
 * Whose sessions they are. Sessions go by their keys, the hashes of their ids; an owner is any text, of which a back end sees
 * the hash.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionOwners {
  readonly [TypeId]: TypeId

  /**
   * Makes a session known that is about to be written. At a login, the limit of sessions per owner counts, but not the session
   * that this one takes the place of, and what the answer marks the login with stays in the session.
   */
  readonly add: (
    owner: string,
    entry: OwnerEntry,
    login?: { readonly replaces: string | undefined }
  ) => Effect.Effect<Added, SessionStoreError | SessionLimitError>

  /** Forgets a session that has ended. */
  readonly remove: (owner: string, entry: OwnerEntry) => Effect.Effect<void, SessionStoreError>

  /** Ends the sessions of the owner for good, but for one, and answers with those that it knows it has ended. */
  readonly end: (owner: string, except?: Excepted) => Effect.Effect<ReadonlyArray<string>, SessionStoreError>
}

/**
 * What came of making a session known: the keys of the sessions that were ended to make room, and what the store wants to find
 * in the session again, in a form that only the store has to understand.
 *
 * @since 0.1.0
 * @category models
 */
export interface Added {
  readonly ended: ReadonlyArray<string>
  readonly mark?: string | undefined
}

/**
 * The session that goes on when all others of its owner end: its keys, two if it is getting another id, and what its login was
 * marked with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Excepted {
  readonly keys: ReadonlySet<string>
  readonly mark: string | undefined
}

/**
 * Which sessions an owner has.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionIndex {
  readonly [IndexTypeId]: IndexTypeId

  /** The sessions that there are, the latest login first, with these fields and no others. */
  readonly list: (owner: string, options: {
    readonly limit: number
    readonly after: OwnerEntry | undefined
    readonly fields: ReadonlyArray<string>
  }) => Effect.Effect<Listed, SessionStoreError>

  /** The session of a handle, with its fields; `undefined` if the owner has no such session. */
  readonly find: (owner: string, handle: string) => Effect.Effect<Owned | undefined, SessionStoreError>

  /** Ends the session of a handle for good, if the owner has such a session: the answer has its key then. */
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
 * Sessions of an owner, and the entry after which the next ones follow, if there may be more.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listed {
  readonly sessions: ReadonlyArray<Owned>
  readonly next: OwnerEntry | undefined
}

/**
 * The owners of sessions, as the Layer of a driver provides them.
 *
 * @since 0.1.0
 * @category services
 */
export const SessionOwners: Context.Service<SessionOwners, SessionOwners> = Context.Service<SessionOwners>(
  "effect-session/SessionOwners"
)

/**
 * Which sessions an owner has, as the Layer of a driver on a server provides it.
 *
 * @since 0.1.0
 * @category services
 */
export const SessionIndex: Context.Service<SessionIndex, SessionIndex> = Context.Service<SessionIndex>(
  "effect-session/SessionIndex"
)

/**
 * Where nobody has a session: what is made known is forgotten. For sessions without a store, as in tests of business logic.
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
