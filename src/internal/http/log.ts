import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Logs an error. A logger that fails must not keep the client waiting. */
export const failure = (message: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.catchCause(Effect.logError(message, cause), () => Effect.void)
