/**
 * Signing and encrypting need a secret.
 */
import * as Effect from "effect/Effect"
import type { Settings } from "../../SessionConfig.ts"
import { SessionConfigError } from "../../SessionError.ts"
import * as Setting from "./settings.ts"

/** Fails if no secret is configured; `why` names what needs it. */
export const requireSecret = (settings: Settings, why: string): Effect.Effect<void, SessionConfigError> =>
  settings.secret.length > 0
    ? Effect.void
    : Effect.fail(
      new SessionConfigError({
        mistakes: [Setting.mistake(["secret"], undefined, `${why} needs a secret. ${Setting.howToMakeSecret}`)]
      })
    )
