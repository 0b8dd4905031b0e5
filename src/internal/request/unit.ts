/**
 * A session for one piece of work, such as a job or the message of a socket: what it has changed is written at its end.
 */
import * as Effect from "effect/Effect"
import { type SessionClosedError, SessionGoneError } from "../../SessionError.ts"
import type { CommitFailure } from "./committing.ts"
import * as Indexing from "./indexing.ts"
import type { RequestSession } from "./requestSession.ts"

/** Runs the effect, and writes what it has changed. What comes later would miss that, and is refused. */
export const run = Effect.fnUntraced(
  function*<A, E, R>(
    session: RequestSession,
    effect: Effect.Effect<A, E, R>
  ): Effect.fn.Return<A, E | CommitFailure | SessionClosedError | SessionGoneError, R> {
    const value = yield* Effect.ensuring(effect, close(session))
    if ((yield* Effect.clockWith((clock) => session.commit(clock))) === "Dropped") {
      return yield* new SessionGoneError({})
    }
    return value
  },
  (ran, session) => Effect.ensuring(ran, Effect.suspend(() => Indexing.withdraw(session)))
)

/** Nothing changes it any more. */
export const close = (session: RequestSession): Effect.Effect<void> =>
  Effect.sync(() => void (session.phase = "closed"))
