/**
 * What goes to the log, where a logger that fails must not keep the client waiting.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { SessionConflictError } from "../../SessionError.ts"

/** Logs a commit that failed. */
export const failedCommit = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  // Of two clicks, one may be refused: that is no fault.
  Effect.ignoreCause(
    isConflict(cause)
      ? Effect.logDebug("Session commit refused", cause)
      : Effect.logError("Session commit failed", cause)
  )

/** Logs something that the application should do in another way. */
export const warning = (message: string, annotations: Readonly<Record<string, string>>): Effect.Effect<void> =>
  Effect.ignoreCause(Effect.annotateLogs(Effect.logWarning(message), annotations))

export const isConflict = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.length > 0 &&
  cause.reasons.every((reason) => Cause.isFailReason(reason) && reason.error instanceof SessionConflictError)
