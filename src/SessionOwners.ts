/**
 * Whose sessions they are: the part of a store that knows which sessions an owner has. Stores on a server have it; where the
 * session is in the cookie, nobody knows which ones there are, so `CookieLayer` does not provide it.
 *
 * **Details**
 *
 * Applications don't call it: they use `Session.setOwner`, `Session.owner`, and `Sessions.list`, `Sessions.destroyHandle`,
 * `Sessions.destroyAll` and `Sessions.destroyOthers`. These need the service, so that a program which uses them with a store
 * that has no owners does not compile.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
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
 * The sessions of each owner. Sessions go by their keys, the hashes of their ids; an owner is any text, of which a back end
 * sees the hash.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionOwners {
  readonly [TypeId]: TypeId

  /**
   * Makes a session known that is about to be written. At a login, the limit of sessions per owner counts, but not the session
   * that this one takes the place of; the answer is the keys of the sessions that were ended to make room.
   */
  readonly add: (
    owner: string,
    entry: OwnerEntry,
    login?: { readonly replaces: string | undefined }
  ) => Effect.Effect<ReadonlyArray<string>, SessionStoreError | SessionLimitError>

  /** Forgets a session that has ended. */
  readonly remove: (owner: string, entry: OwnerEntry) => Effect.Effect<void, SessionStoreError>

  /** The sessions that there are, the latest login first, with these fields and no others. */
  readonly list: (owner: string, options: {
    readonly limit: number
    readonly after: OwnerEntry | undefined
    readonly fields: ReadonlyArray<string>
  }) => Effect.Effect<Listed, SessionStoreError>

  /** The session of a handle, with its fields; `undefined` if the owner has no such session. */
  readonly find: (owner: string, handle: string) => Effect.Effect<Owned | undefined, SessionStoreError>

  /** Ends the sessions of the owner for good, but for some keys, and answers with those it has ended. */
  readonly end: (
    owner: string,
    options?: { readonly handle?: string; readonly except?: ReadonlySet<string> }
  ) => Effect.Effect<ReadonlyArray<string>, SessionStoreError>
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
