/**
 * The response that replaces the application's when a commit fails.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import { SessionStoreError } from "../../SessionError.ts"
import type { ErrorStatus, Exchange } from "./exchange.ts"
import * as Headers from "./headers.ts"
import * as Log from "./log.ts"

/** The cause goes to the log, not to the client. */
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
      // Invalid headers must not leave the client without a response.
      return error
    }
  })

const statusOf = (cause: Cause.Cause<unknown>): ErrorStatus =>
  Log.isConflict(cause)
    ? 409
    : cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error instanceof SessionStoreError)
    ? 503
    : 500
