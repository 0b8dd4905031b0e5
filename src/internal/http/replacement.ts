/**
 * The response that takes the place of the application's when a commit fails.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import { SessionStoreError } from "../../SessionError.ts"
import type { ErrorStatus, Exchange } from "./exchange.ts"
import * as Headers from "./headers.ts"
import * as Log from "./log.ts"

/** What went wrong is for the log, not for the client. */
export const replace = (
  { errorResponse }: Exchange,
  response: HttpServerResponse.HttpServerResponse,
  cause: Cause.Cause<unknown>
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.map(Log.failedCommit(cause), () => {
    const error = errorResponse(statusOf(cause))
    try {
      return Headers.withHeadersOf(response, error)
    } catch {
      // Headers that no client could get are no reason to leave this one without a response.
      return error
    }
  })

const statusOf = (cause: Cause.Cause<unknown>): ErrorStatus =>
  Log.isConflict(cause)
    ? 409
    : cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error instanceof SessionStoreError)
    ? 503
    : 500
