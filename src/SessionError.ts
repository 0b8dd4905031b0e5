/**
 * The errors of sessions. Each is a tagged error, knows its HTTP status, and answers a request by itself where nobody
 * handles it: with that status and a text that says nothing of the store, the session or the application.
 *
 * No message holds a token, a secret or a stored value. What clients of back ends hang on their errors, such as the row that
 * PostgreSQL has refused, is taken out of the `cause`; its message and its code are the back end's own.
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
 * What a store is asked about owners: to index a session, to list those of an owner, or to end them.
 *
 * @since 0.1.0
 * @category models
 */
export const OwnerOperation = Schema.Literals(["index", "list", "end"])

/**
 * What a store is asked about owners: to index a session, to list those of an owner, or to end them.
 *
 * @since 0.1.0
 * @category models
 */
export type OwnerOperation = typeof OwnerOperation.Type

/**
 * The store failed, or did not answer within the time limit. Status 503: the session may well exist, so this is never
 * taken for "not logged in".
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
 * A value does not fit its key: what is stored can't be decoded with the key's schema, what is put can't be encoded, a
 * number can't be incremented, or a function given to `Session.modify` throws when it is run again. Status 500. `path`
 * leads to the part that does not fit, `expected` says what would.
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
 * A lifetime that no session can have, such as one of zero seconds, was given to `Session.setLifetime`. Status 500. A lifetime
 * that is longer than the configuration allows is no error: it is cut.
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
 * A change that comes too late to be saved: the response's headers are out and the client does not hold the cookie that
 * the change needs, or the request is over, or so is the scope that the session was opened in. Status 500.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionClosedError extends Schema.TaggedError<SessionClosedError>()("SessionClosedError", {
  operation: Schema.String
}, { httpApiStatus: 500 }) {
  override get message(): string {
    return `Session.${this.operation}: too late to be saved, as the response's headers are already out, or the scope ` +
      "that the session was opened in is closed. Change the session before that, or call Session.commit first"
  }
  [HttpServerRespondable.symbol]() {
    return internal
  }
}

/**
 * The session does not fit where it is to be kept, or is larger than the setting `sizeLimit` allows. Nothing was written and
 * nothing is sent. Status 500. Both sizes are in bytes; `setting` is the name of the setting that says the limit, if it is
 * one.
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
      ? `The session takes ${size} bytes, and the ${driver} store holds at most ${limit}. ` +
        "Keep less in it, or use a store that holds more"
      : `The session takes ${size} bytes, and ${setting} allows ${limit}. Keep less in it, or set ${setting} higher`
  }
  [HttpServerRespondable.symbol]() {
    return internal
  }
}

/**
 * An explicit `Session.commit` found that the session is gone, so the changes are dropped: another request has destroyed it,
 * it has expired, or it had another id already when this request began. Status 409.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionGoneError extends Schema.TaggedError<SessionGoneError>()("SessionGoneError", {}, {
  httpApiStatus: 409
}) {
  override get message(): string {
    return "The session is gone, or has another id by now: the changes of this request were dropped"
  }
  [HttpServerRespondable.symbol]() {
    return conflict
  }
}

/**
 * The changes can't be saved, as another request came first. Nothing was written. Status 409.
 *
 * **Details**
 *
 * With the reason `"taken"`, another request has taken or replaced the value that this one took with `Session.pull`. With
 * the reason `"busy"`, other requests changed the session each time this one tried, a hundred times.
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
      ? `Session key "${this.key}": another request has taken the value that this one took with Session.pull`
      : "Other requests changed the session each time this one tried to save its changes"
  }
  [HttpServerRespondable.symbol]() {
    return conflict
  }
}

/**
 * A text that can't be the id of an owner. Status 500, as it comes from the application. `reason` says what is wrong with it.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionOwnerError extends Schema.TaggedError<SessionOwnerError>()("SessionOwnerError", {
  reason: Schema.String
}, { httpApiStatus: 500 }) {
  override get message(): string {
    return `This can't be the owner of a session: ${this.reason}. Use a text of 1 to 1,024 bytes, such as the user's id`
  }
  [HttpServerRespondable.symbol]() {
    return internal
  }
}

/**
 * The owner has as many sessions as the setting `owner.limit` allows, and `owner.policy` is `"refuse"`: nothing was written.
 * Status 409.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionLimitError extends Schema.TaggedError<SessionLimitError>()("SessionLimitError", {
  limit: Schema.Int
}, { httpApiStatus: 409 }) {
  override get message(): string {
    return `The owner has ${this.limit} sessions, and owner.limit allows no more. ` +
      "End one of them first, or set owner.policy to \"evict\""
  }
  [HttpServerRespondable.symbol]() {
    return conflict
  }
}

/**
 * `SessionGuard.required`: nobody is logged in. Status 401. It says nothing else, so an `HttpApi` can declare it as it is.
 *
 * The error's own answer has a `WWW-Authenticate` header, as RFC 9110 asks of each 401, with the scheme `Session`, which no
 * browser has a dialog for.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionUnauthenticatedError
  extends Schema.TaggedError<SessionUnauthenticatedError>()("SessionUnauthenticatedError", {}, { httpApiStatus: 401 })
{
  override get message(): string {
    return "Nobody is logged in in this session"
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
 * `maxAge` and `methods` are what was asked for, any of the methods; no methods mean that all will do. `authenticatedAt` is
 * when the user was last authenticated, and is not there if that was never. None of it is a secret, so an `HttpApi` can declare this
 * error as it is. As JSON, `maxAge` is a number of milliseconds.
 *
 * The error's own answer has a `WWW-Authenticate` header, as RFC 9110 asks of each 401, with the scheme `Session`, which no
 * browser has a dialog for, and the parameters of RFC 9470.
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
    return `The user must have been authenticated${how} within the last ${Duration.format(this.maxAge)}; ` +
      `the last time was ${last}`
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
 * With the reason `"failed"`, another request has renewed the value, and failed with the `cause`. With `"timeout"`, the renewal takes
 * longer than its lease, or another server has the lease for longer than that.
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
      ? `Session key "${this.key}": the request that was to renew the value has failed`
      : `Session key "${this.key}": renewing the value takes longer than its lease`
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
 * With the reason `"exhausted"`, it has been tried as often as it may, and is gone. With `"absent"`, there is none: it was never put,
 * its time is over, or somebody was right before.
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
      ? `Session key "${this.key}": the value has been tried as often as it may`
      : `Session key "${this.key}": there is no value to try`
  }
  [HttpServerRespondable.symbol]() {
    return forbidden
  }
}

/**
 * The store can't do what was asked for: `Session.attempt` needs sessions on the server, as somebody who sends an old cookie again
 * would undo what was counted. Status 500.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionStatelessError extends Schema.TaggedError<SessionStatelessError>()("SessionStatelessError", {
  driver: Schema.String,
  operation: Schema.String
}, { httpApiStatus: 500 }) {
  override get message(): string {
    return `Session.${this.operation}: the ${this.driver} store keeps sessions at the client, who could undo what is counted ` +
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
  /** What was found there; never the value of a secret. */
  readonly found: string
  /** What to write instead. */
  readonly write: string
}

/**
 * The configuration has mistakes, and the server does not start. The message has a line for each of them.
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
 * What reading the session can fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type ReadError = SessionStoreError | SessionValueError

/**
 * What changing the session can fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type ChangeError = ReadError | SessionReadonlyError | SessionClosedError

/**
 * What a login can fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type LoginError = ChangeError | SessionOwnerError | SessionLimitError | SessionLifetimeError

/**
 * What writing the session to its store can fail with.
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
 * What renewing a value can fail with, beside the errors of the renewal itself.
 *
 * @since 0.1.0
 * @category models
 */
export type RenewError = CommitError | SessionRenewError

/**
 * What trying a value can fail with, beside the errors of the check itself.
 *
 * @since 0.1.0
 * @category models
 */
export type AttemptError = CommitError | SessionAttemptsError | SessionStatelessError

/**
 * Every error that an operation on a session can fail with.
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
