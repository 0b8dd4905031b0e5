/**
 * What happens to sessions: for audit logs, emails about a new login, and closing the sockets of a session that has
 * ended. `Sessions.events` is the stream of these events.
 *
 * **Details**
 *
 * An event is published after the store has confirmed the operation, and never for an operation that failed. It names
 * the session by its handle, which is `Session.handle` in the session's requests, and contains nothing that a token
 * could be derived from. Reading, changing and extending a session publish no events.
 *
 * A login gives the session a new id, so it is published as `Regenerated` with an owner, or as `Created` if there was
 * no session before.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Option from "effect/Option"
import type { NotFoundReason } from "./SessionStore.ts"

/**
 * Something that happened to a session.
 *
 * @since 0.1.0
 * @category models
 */
export type SessionEvent = Created | Regenerated | Destroyed | Rejected

/**
 * A session was created.
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
 * A session got a new id, and with it a new handle. The old handle is no longer used.
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
 * If two requests end a session at the same moment, each publishes the event. If a request ends a session that another
 * one regenerates at the same moment, the handle is the old one, which is `previousHandle` in {@link Regenerated}.
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
 * - `"itself"`: a request of the session, or a holder of its token.
 * - `"owner"`: another session of the same owner, including a login that exceeds `owner.limit`.
 * - `"administrator"`: anyone else, with `Sessions.destroyHandle` and similar functions: a job, or another user's
 *   request.
 * - `"expiry"`: it had expired when a request presented it, or before that request wrote its changes. This is published
 *   once. A session that is never presented again ends without an event. So does one that the back end has already
 *   removed, as Redis does: its token is `Rejected` as `"unknown"`.
 *
 * @since 0.1.0
 * @category models
 */
export type EndedBy = "itself" | "owner" | "administrator" | "expiry"

/**
 * A client presented a token that is not that of a session, or no longer is.
 *
 * **Details**
 *
 * If the token was issued by this application, the event has the handle of its session, and the owner if the store
 * still has the session. With `id.protection: "none"` that can't be checked, so any id that a client invents has a
 * handle. The first request that finds a session expired publishes {@link Destroyed} instead.
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
 * Why there is no session: the store's reason; `"superseded"` if another request gave the session a new id a moment
 * ago; or `"duplicate"` if the request had two cookies of the same name with different values.
 *
 * @since 0.1.0
 * @category models
 */
export type Rejection = NotFoundReason | "superseded" | "duplicate"
