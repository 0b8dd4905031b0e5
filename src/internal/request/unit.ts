/**
 * A session for one unit of work, such as a job or a message of a socket: its changes are written at the end.
 */
import * as Effect from "effect/Effect"
import { type SessionClosedError, SessionGoneError } from "../../SessionError.ts"
import type { CommitFailure } from "./committing.ts"
import * as Indexing from "./indexing.ts"
import type { RequestSession } from "./requestSession.ts"

/** Runs the effect and writes its changes. Later changes would miss the commit, so they are rejected. */
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

/** No more changes are possible. */
export const close = (session: RequestSession): Effect.Effect<void> =>
  Effect.sync(() => void (session.phase = "closed"))
