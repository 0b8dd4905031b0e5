/**
 * The errors of sessions. Each is a tagged error with an HTTP status. If you do not handle it, it becomes the response:
 * that status, with a text that reveals nothing about the store, the session or the application.
 *
 * No message contains a token, a secret or a stored value. Details that database clients attach to their errors, such
 * as the row that PostgreSQL rejected, are removed from the `cause`; its message and code are the back end's own.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"

const unavailable = Effect.succeed(HttpServerResponse.text("Service Unavailable", { status: 503 }))
const conflict = Effect.succeed(HttpServerResponse.text("Conflict", { status: 409 }))
const unauthenticated = Effect.succeed(
  HttpServerResponse.text("Unauthorized", { status: 401, headers: { "www-authenticate": "Session" } })
)
const forbidden = Effect.succeed(HttpServerResponse.text("Forbidden", { status: 403 }))
const internal = Effect.succeed(HttpServerResponse.text("Internal Server Error", { status: 500 }))

/**
 * The operations of a store.
 *
 * @since 0.1.0
 * @category models
 */
export const StoreOperation = Schema.Literals(["load", "create", "update", "touch", "regenerate", "destroy"])

/**
 * The operations of a store.
 *
 * @since 0.1.0
 * @category models
 */
export type StoreOperation = typeof StoreOperation.Type

/**
 * The operations of a store on owners: `"index"` adds a session to its owner, `"list"` lists an owner's sessions,
 * `"end"` ends them.
 *
 * @since 0.1.0
 * @category models
 */
export const OwnerOperation = Schema.Literals(["index", "list", "end"])

/**
 * The operations of a store on owners: `"index"` adds a session to its owner, `"list"` lists an owner's sessions,
 * `"end"` ends them.
 *
 * @since 0.1.0
 * @category models
 */
export type OwnerOperation = typeof OwnerOperation.Type

/**
 * The store failed, or did not answer within the time limit. Status 503. The session may still exist, so this error
 * never counts as "not logged in".
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionStoreError extends Schema.TaggedError<SessionStoreError>()("SessionStoreError", {
  driver: Schema.String,
  operation: Schema.Literals([...StoreOperation.literals, ...OwnerOperation.literals]),
  cause: Schema.Defect()
}, { httpApiStatus: 503 }) {
  override get message(): string {
    return `The ${this.driver} session store failed to ${this.operation}`
  }
  [HttpServerRespondable.symbol]() {
    return unavailable
  }
}

/**
 * A value does not fit its key. A stored value can't be decoded with the key's schema, a new value can't be encoded, a
 * number can't be incremented, or a function passed to `Session.modify` throws when it runs again. Status 500. `path`
 * leads to the part that does not fit, and `expected` describes a value that would.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionValueError extends Schema.TaggedError<SessionValueError>()("SessionValueError", {
  key: Schema.String,
  operation: Schema.Literals(["decode", "encode", "increment", "merge", "modify"]),
  path: Schema.Array(Schema.String),
  expected: Schema.String
}, { httpApiStatus: 500 }) {
  override get message(): string {
    const where = this.path.length === 0 ? "" : ` at ${this.path.join(".")}`
    return `Session key "${this.key}"${where}: can't ${this.operation} the value. ${this.expected}`
  }
  [HttpServerRespondable.symbol]() {
    return internal
  }
}

/**
 * A change to a session that was opened read-only. Status 500.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionReadonlyError extends Schema.TaggedError<SessionReadonlyError>()("SessionReadonlyError", {
  operation: Schema.String
}, { httpApiStatus: 500 }) {
  override get message(): string {
    return `Session.${this.operation}: this session was opened read-only`
  }
  [HttpServerRespondable.symbol]() {
    return internal
  }
}

/**
 * `Session.setLifetime` was called with an impossible lifetime, such as zero seconds. Status 500. A lifetime longer
 * than the configuration allows is not an error: it is cut.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionLifetimeError extends Schema.TaggedError<SessionLifetimeError>()("SessionLifetimeError", {
  part: Schema.Literals(["age", "absoluteAge", "persistence"]),
  found: Schema.String,
  write: Schema.String
}, { httpApiStatus: 500 }) {
  override get message(): string {
    return `Session.setLifetime: ${this.part}: found ${this.found}. ${this.write}`
  }
  [HttpServerRespondable.symbol]() {
    return internal
  }
}

/**
 * A change was made too late to be saved: the response's headers are out and the change needs a cookie that the client
 * does not hold, or the request or the scope that the session was opened in is over. Status 500.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionClosedError extends Schema.TaggedError<SessionClosedError>()("SessionClosedError", {
  operation: Schema.String
}, { httpApiStatus: 500 }) {
  override get message(): string {
    return `Session.${this.operation}: too late to be saved. The response's headers are already out, or the scope ` +
      "that the session was opened in is closed. Change the session earlier, or call Session.commit first"
  }
  [HttpServerRespondable.symbol]() {
    return internal
  }
}

/**
 * The session is too large for its store, or larger than the setting `sizeLimit` allows. Nothing was written or sent.
 * Status 500. Both sizes are in bytes; `setting` is the name of the setting that sets the limit, if there is one.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionTooLargeError extends Schema.TaggedError<SessionTooLargeError>()("SessionTooLargeError", {
  driver: Schema.String,
  size: Schema.Int,
  limit: Schema.Int,
  setting: Schema.optionalKey(Schema.String)
}, { httpApiStatus: 500 }) {
  override get message(): string {
    const { driver, limit, setting, size } = this
    return setting === undefined
      ? `The session is ${size} bytes, and the ${driver} store holds at most ${limit}. ` +
        "Store less in it, or use a driver with more room"
      : `The session is ${size} bytes, and ${setting} allows ${limit}. Store less in it, or raise ${setting}`
  }
  [HttpServerRespondable.symbol]() {
    return internal
  }
}

/**
 * An explicit `Session.commit` found that the session no longer exists, so the changes were dropped: another request
 * destroyed it, it expired, or it already had a new id when this request began. Status 409.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionGoneError extends Schema.TaggedError<SessionGoneError>()("SessionGoneError", {}, {
  httpApiStatus: 409
}) {
  override get message(): string {
    return "The session has ended, or has a new id by now. The changes of this request were dropped"
  }
  [HttpServerRespondable.symbol]() {
    return conflict
  }
}

/**
 * The changes can't be saved because another request was faster. Nothing was written. Status 409.
 *
 * **Details**
 *
 * With the reason `"taken"`, another request has removed or replaced the value that this one read with `Session.pull`.
 * With the reason `"busy"`, this request tried 100 times, and each time another request had changed the session first.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionConflictError extends Schema.TaggedError<SessionConflictError>()("SessionConflictError", {
  reason: Schema.Literals(["taken", "busy"]),
  key: Schema.optionalKey(Schema.String)
}, { httpApiStatus: 409 }) {
  override get message(): string {
    return this.reason === "taken"
      ? `Session key "${this.key}": another request has already taken the value that this one read with Session.pull`
      : "Other requests kept changing the session while this one tried to save its changes"
  }
  [HttpServerRespondable.symbol]() {
    return conflict
  }
}

/**
 * A string can't be the id of an owner. Status 500, because the application supplied it. `reason` says what is wrong
 * with it.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionOwnerError extends Schema.TaggedError<SessionOwnerError>()("SessionOwnerError", {
  reason: Schema.String
}, { httpApiStatus: 500 }) {
  override get message(): string {
    return `Not a valid session owner: ${this.reason}. Use a string of 1 to 1,024 bytes, such as the user's id`
  }
  [HttpServerRespondable.symbol]() {
    return internal
  }
}

/**
 * The owner already has as many sessions as the setting `owner.limit` allows, and `owner.policy` is `"refuse"`. Nothing
 * was written. Status 409.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionLimitError extends Schema.TaggedError<SessionLimitError>()("SessionLimitError", {
  limit: Schema.Int
}, { httpApiStatus: 409 }) {
  override get message(): string {
    return `The owner already has ${this.limit} sessions, the most that owner.limit allows. ` +
      "End one of them first, or set owner.policy to \"evict\""
  }
  [HttpServerRespondable.symbol]() {
    return conflict
  }
}

/**
 * `SessionGuard.required`: no user is logged in. Status 401. The error has no fields, so an `HttpApi` can declare it
 * directly.
 *
 * The error's response has a `WWW-Authenticate` header, which RFC 9110 requires for every 401, with the scheme
 * `Session`, for which browsers show no dialog.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionUnauthenticatedError
  extends Schema.TaggedError<SessionUnauthenticatedError>()("SessionUnauthenticatedError", {}, { httpApiStatus: 401 })
{
  override get message(): string {
    return "No user is logged in"
  }
  [HttpServerRespondable.symbol]() {
    return unauthenticated
  }
}

/**
 * `Session.requireRecent`: the user must authenticate again, or with another method. Status 401.
 *
 * **Details**
 *
 * `maxAge` and `methods` are the requirement: one of the methods is enough, and no methods mean any. `authenticatedAt`
 * is when the user last authenticated; it is missing if that never happened. None of these is secret, so an `HttpApi`
 * can declare this error directly. In JSON, `maxAge` is a number of milliseconds.
 *
 * The error's response has a `WWW-Authenticate` header, which RFC 9110 requires for every 401, with the scheme
 * `Session`, for which browsers show no dialog, and the parameters of RFC 9470.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionNotRecentError extends Schema.TaggedError<SessionNotRecentError>()("SessionNotRecentError", {
  maxAge: Schema.DurationFromMillis,
  methods: Schema.Array(Schema.String),
  authenticatedAt: Schema.optionalKey(Schema.DateTimeUtcFromString)
}, { httpApiStatus: 401 }) {
  override get message(): string {
    const how = this.methods.length === 0 ? "" : ` by ${this.methods.join(" or ")}`
    const last = this.authenticatedAt === undefined ? "never" : DateTime.formatIso(this.authenticatedAt)
    return `The user must have authenticated${how} within the last ${Duration.format(this.maxAge)}; ` +
      `last authenticated: ${last}`
  }
  [HttpServerRespondable.symbol]() {
    const maxAge = Math.ceil(Duration.toSeconds(this.maxAge))
    const challenge = `Session error="insufficient_user_authentication", max_age="${maxAge}"`
    return Effect.succeed(
      HttpServerResponse.text("Unauthorized", { status: 401, headers: { "www-authenticate": challenge } })
    )
  }
}

/**
 * `Session.renew`: the value could not be renewed. Status 503.
 *
 * **Details**
 *
 * With the reason `"failed"`, the request that tried to renew the value failed with the `cause`. With `"timeout"`, the
 * renewal took longer than its lease, or another server held the lease for longer than that.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionRenewError extends Schema.TaggedError<SessionRenewError>()("SessionRenewError", {
  key: Schema.String,
  reason: Schema.Literals(["failed", "timeout"]),
  cause: Schema.optionalKey(Schema.Defect())
}, { httpApiStatus: 503 }) {
  override get message(): string {
    return this.reason === "failed"
      ? `Session key "${this.key}": the request that tried to renew the value failed`
      : `Session key "${this.key}": renewing the value took longer than its lease`
  }
  [HttpServerRespondable.symbol]() {
    return unavailable
  }
}

/**
 * `Session.attempt`: the value can't be tried. Status 403.
 *
 * **Details**
 *
 * With the reason `"exhausted"`, no attempts are left, and the value has been removed. With `"absent"`, the key has no
 * value: it was never put, it expired, or another attempt succeeded.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionAttemptsError extends Schema.TaggedError<SessionAttemptsError>()("SessionAttemptsError", {
  key: Schema.String,
  reason: Schema.Literals(["exhausted", "absent"])
}, { httpApiStatus: 403 }) {
  override get message(): string {
    return this.reason === "exhausted"
      ? `Session key "${this.key}": no attempts are left`
      : `Session key "${this.key}": there is no value to try`
  }
  [HttpServerRespondable.symbol]() {
    return forbidden
  }
}

/**
 * The store does not support the operation: `Session.attempt` needs a store on the server, because sending an old
 * cookie again would reset the count. Status 500.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionStatelessError extends Schema.TaggedError<SessionStatelessError>()("SessionStatelessError", {
  driver: Schema.String,
  operation: Schema.String
}, { httpApiStatus: 500 }) {
  override get message(): string {
    return `Session.${this.operation}: the ${this.driver} store keeps sessions on the client, which could reset the count ` +
      "by sending an old cookie. Use a store on the server, such as RedisLayer"
  }
  [HttpServerRespondable.symbol]() {
    return internal
  }
}

/**
 * One mistake in the configuration.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConfigMistake {
  /** The setting, such as `cookie.sameSite`. */
  readonly setting: string
  /** The value that was found, but never that of a secret. */
  readonly found: string
  /** How to fix it. */
  readonly write: string
}

/**
 * The configuration has mistakes, so the server does not start. The message has one line per mistake.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionConfigError extends Schema.TaggedError<SessionConfigError>()("SessionConfigError", {
  mistakes: Schema.Array(Schema.Struct({ setting: Schema.String, found: Schema.String, write: Schema.String }))
}) {
  override get message(): string {
    const lines = this.mistakes.map(({ found, setting, write }) => `  ${setting}: found ${found}. ${write}`)
    return `The session configuration has ${lines.length === 1 ? "a mistake" : `${lines.length} mistakes`}:\n${
      lines.join("\n")
    }`
  }
}

/**
 * The errors of reading the session.
 *
 * @since 0.1.0
 * @category models
 */
export type ReadError = SessionStoreError | SessionValueError

/**
 * The errors of changing the session.
 *
 * @since 0.1.0
 * @category models
 */
export type ChangeError = ReadError | SessionReadonlyError | SessionClosedError

/**
 * The errors of a login.
 *
 * @since 0.1.0
 * @category models
 */
export type LoginError = ChangeError | SessionOwnerError | SessionLimitError | SessionLifetimeError

/**
 * The errors of writing the session to its store.
 *
 * @since 0.1.0
 * @category models
 */
export type CommitError =
  | SessionStoreError
  | SessionConflictError
  | SessionValueError
  | SessionTooLargeError
  | SessionGoneError
  | SessionReadonlyError
  | SessionClosedError

/**
 * The errors of renewing a value, in addition to those of the renewal itself.
 *
 * @since 0.1.0
 * @category models
 */
export type RenewError = CommitError | SessionRenewError

/**
 * The errors of trying a value, in addition to those of the check itself.
 *
 * @since 0.1.0
 * @category models
 */
export type AttemptError = CommitError | SessionAttemptsError | SessionStatelessError

/**
 * All errors of operations on a session.
 *
 * @since 0.1.0
 * @category models
 */
export type SessionError =
  | ReadError
  | ChangeError
  | CommitError
  | RenewError
  | AttemptError
  | SessionLifetimeError
  | SessionUnauthenticatedError
  | SessionNotRecentError
  | SessionOwnerError
  | SessionLimitError
