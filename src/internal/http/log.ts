import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Logs an error. A logger that fails must not keep the client waiting. */
export const failure = (message: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.ignoreCause(Effect.logError(message, cause))

/** Logs something that the application should do in another way. */
export const warning = (message: string, annotations: Readonly<Record<string, string>>): Effect.Effect<void> =>
  Effect.ignoreCause(Effect.annotateLogs(Effect.logWarning(message), annotations))
