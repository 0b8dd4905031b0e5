/**
 * In development, a change that comes too late and that nobody would hear of: a forked fiber takes its error with it.
 */
import * as Effect from "effect/Effect"
import type { SessionClosedError } from "../../SessionError.ts"
import type { Environment } from "./environment.ts"
import * as Observability from "./observability.ts"
import { isProduction } from "./production.ts"
import type { RequestSession } from "./requestSession.ts"

/** Fails with the error; the first time, and only once the request is over, the log has it too. */
export const failing = (
  { environment, phase }: RequestSession,
  error: SessionClosedError
): Effect.Effect<never, SessionClosedError> => {
  const failed = Effect.fail(error)
  if (phase !== "closed" || hasWarned.has(environment) || isProduction()) return failed
  hasWarned.add(environment)
  return Effect.andThen(Observability.event("Warn", error.message), failed)
}

/** Once for each middleware that is built. */
const hasWarned = new WeakSet<Environment>()
