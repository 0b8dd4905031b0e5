/**
 * What happens to sessions, for audit logs, for mails about a new login, and for closing the sockets of a session that has
 * ended. `Sessions.events` has the stream of them.
 *
 * **Details**
 *
 * An event is told when the store has confirmed it, never for what failed. It names a session by its handle, which is
 * `Session.handle` of its requests, and holds nothing from which a token could be made. Reading a session, changing it and
 * extending its life are no events.
 *
 * A login gives the session another id, so it is `Regenerated`, with an owner where there was none before; or it is
 * `Created`, where there was no session.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Option from "effect/Option"
import type { NotFoundReason } from "./SessionStore.ts"

/**
 * What has happened to a session.
 *
 * @since 0.1.0
 * @category models
 */
export type SessionEvent = Created | Regenerated | Destroyed | Rejected

/**
 * There is a new session.
 *
 * @since 0.1.0
 * @category models
 */
export interface Created {
  readonly _tag: "Created"
  readonly handle: string
  readonly owner: Option.Option<string>
  readonly at: DateTime.Utc
}

/**
 * A session got another id, and with it another handle: the old one is not used any more.
 *
 * @since 0.1.0
 * @category models
 */
export interface Regenerated {
  readonly _tag: "Regenerated"
  readonly handle: string
  readonly previousHandle: string
  readonly owner: Option.Option<string>
  readonly previousOwner: Option.Option<string>
  readonly at: DateTime.Utc
}

/**
 * A session has ended.
 *
 * **Gotchas**
 *
 * If two requests end a session in the same moment, each of them tells it. If a request ends one that another has
 * regenerated in the same moment, the handle is the old one, which {@link Regenerated} has as `previousHandle`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Destroyed {
  readonly _tag: "Destroyed"
  readonly handle: string
  readonly owner: Option.Option<string>
  readonly by: EndedBy
  readonly at: DateTime.Utc
}

/**
 * What ended a session.
 *
 * - `"itself"`: a request of the session, or whoever holds its token.
 * - `"owner"`: another session of its owner, also by logging in where `owner.limit` leaves no room.
 * - `"administrator"`: anybody else, with `Sessions.destroyHandle` and the like: a job, or a request of somebody else.
 * - `"expiry"`: its time was over when a request came with it, or before that request had written its changes. It is told
 *   once. A session that no request comes with any more ends silently, and so does one that the back end itself has
 *   removed by then, as Redis does: its token is `Rejected` as `"unknown"`.
 *
 * @since 0.1.0
 * @category models
 */
export type EndedBy = "itself" | "owner" | "administrator" | "expiry"

/**
 * A client has presented what is not a session, or not any more.
 *
 * **Details**
 *
 * If the token was made here, it has the handle of the session that the token was for, and the owner if the store still has
 * the session. With `id.protection: "none"` there is nothing to tell by, and any id that a client makes up has a handle.
 * The first request that finds a session expired is told as {@link Destroyed} and not as this.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rejected {
  readonly _tag: "Rejected"
  readonly reason: Rejection
  readonly handle: Option.Option<string>
  readonly owner: Option.Option<string>
  readonly at: DateTime.Utc
}

/**
 * Why there is no session: what the store says of the token; another request has given the session a new id a moment ago
 * (`"superseded"`); or there were two cookies of the name, with different values (`"duplicate"`).
 *
 * @since 0.1.0
 * @category models
 */
export type Rejection = NotFoundReason | "superseded" | "duplicate"
