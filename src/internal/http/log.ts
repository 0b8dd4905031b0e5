/**
 * Logs without letting a failing logger keep the client waiting.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { SessionConflictError } from "../../SessionError.ts"

/** Logs a commit that failed. */
export const failedCommit = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  // One of two clicks may be refused, which is not a fault.
  Effect.ignoreCause(
    isConflict(cause)
      ? Effect.logDebug("Session commit refused", cause)
      : Effect.logError("Session commit failed", cause)
  )

/** Logs something that the application should know about a request, without its query, which may contain secrets. */
export const warning = (
  message: string,
  { method, url }: HttpServerRequest,
  annotations: Readonly<Record<string, string>> = {}
): Effect.Effect<void> =>
  Effect.ignoreCause(
    Effect.annotateLogs(Effect.logWarning(message), {
      "http.request.method": method,
      "url.path": url.split("?", 1)[0]!,
      ...annotations
    })
  )

export const isConflict = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.length > 0 &&
  cause.reasons.every((reason) => Cause.isFailReason(reason) && reason.error instanceof SessionConflictError)
