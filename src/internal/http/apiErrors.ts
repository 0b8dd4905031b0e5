/**
 * Session errors as an `HttpApi` declares them: a status without a body, so that the client learns nothing about the store.
 */
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import {
  SessionClosedError,
  SessionConflictError,
  SessionGoneError,
  SessionLifetimeError,
  SessionOwnerError,
  SessionReadonlyError,
  SessionStoreError,
  SessionTooLargeError,
  SessionValueError
} from "../../SessionError.ts"

export const all = [
  SessionStoreError.pipe(HttpApiSchema.asNoContent({
    decode: () => new SessionStoreError({ driver: "remote", operation: "load", cause: undefined })
  })),
  // A client can't distinguish these from each other or from other failures of the server.
  Schema.Union([
    SessionValueError,
    SessionReadonlyError,
    SessionClosedError,
    SessionTooLargeError,
    SessionLifetimeError,
    SessionOwnerError,
    HttpApiError.InternalServerError
  ]).pipe(
    HttpApiSchema.asNoContent({ decode: () => new HttpApiError.InternalServerError() }),
    HttpApiSchema.status(500)
  ),
  Schema.Union([SessionGoneError, SessionConflictError, HttpApiError.Conflict]).pipe(
    HttpApiSchema.asNoContent({ decode: () => new HttpApiError.Conflict() }),
    HttpApiSchema.status(409)
  )
] as const
