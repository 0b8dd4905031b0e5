/**
 * A session that lasts longer than its request: that of a WebSocket, or of a body that goes on being streamed. What holds it
 * open may do what its cookie may do, and no more: each piece of work loads the session of that cookie anew, and once the cookie
 * is worth nothing, all is over. So nobody gets into a session that was given another id, as by a login.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import {
  SessionClosedError,
  SessionGoneError,
  type SessionStoreError,
  SessionUnauthenticatedError
} from "../../SessionError.ts"
import { endOfTime } from "../record/record.ts"
import type { CommitFailure } from "../request/committing.ts"
import * as Operation from "../request/operations.ts"
import { type Client, type Presented, RequestSession } from "../request/requestSession.ts"
import * as State from "../request/state.ts"
import * as Unit from "../request/unit.ts"
import * as Watching from "../request/watching.ts"

export type { End } from "../request/watching.ts"

/** What a piece of work can fail with, beside its own errors. */
export type WorkFailure = CommitFailure | SessionGoneError | SessionClosedError

/** However short the life of a session is, it is extended no more often. */
const leastEvery = Duration.toMillis("1 second")

/** The session of the request, to go on with; there has to be one. */
export const of = Effect.fnUntraced(function*(
  session: RequestSession
): Effect.fn.Return<LastingSession, SessionStoreError | SessionUnauthenticatedError> {
  yield* session.ready
  const { state } = session
  // Without a store, as where sessions are switched off, there is nothing to go on with.
  if (session.environment.store === undefined || state._tag !== "Existing") {
    return yield* new SessionUnauthenticatedError()
  }
  return new LastingSession(session, state)
})

export class LastingSession {
  readonly #session: RequestSession
  readonly #state: State.Existing
  readonly #presented: Presented
  readonly #over = Deferred.makeUnsafe<Watching.End>()
  #isClosed = false

  constructor(session: RequestSession, state: State.Existing) {
    this.#session = session
    this.#state = state
    this.#presented = session.client.present()
  }

  /** Waits until the session has ended, or has another id. */
  get over(): Effect.Effect<Watching.End> {
    const { environment, expiry, isStateless } = this.#session
    const { record } = this.#state
    const watched = Watching.untilOver(environment, Watching.watchedOf(this.#state), {
      // What other responses extend is in a cookie that is not known here.
      until: isStateless ? expiry.end(record) : expiry.latest(record.createdAt, endOfTime),
      follows: false
    })
    return Effect.raceFirst(Deferred.await(this.#over), watched)
  }

  /** The session as it was found, for reading only. */
  get snapshot(): RequestSession {
    const session = this.#anew(false, { readonly: true })
    session.beginWith(this.#state.id, this.#state.record)
    return session
  }

  /**
   * Does some work with the session as it is now, and writes what that has changed, if it needs no cookie. `isUse` says whether
   * that extends the session's life.
   */
  work<A, E, R>(
    isUse: boolean,
    f: (session: RequestSession) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | WorkFailure, R> {
    return Effect.suspend((): Effect.Effect<A, E | WorkFailure, R> => {
      if (this.#isClosed) return Effect.fail(new SessionClosedError({ operation: "commit" }))
      const session = this.#anew(isUse)
      const loaded = Effect.flatMap(session.ready, () => this.#begin(session))
      return Effect.flatMap(
        loaded,
        () => Effect.tapError(Unit.run(session, f(session)), () => this.#afterwards(session))
      )
    })
  }

  #begin(session: RequestSession): Effect.Effect<void, SessionGoneError> {
    session.phase = "late"
    const { state } = session
    if (State.isStored(state)) return Exit.void
    return Effect.andThen(this.#found(state._tag === "Lost" ? "renewed" : "ended"), new SessionGoneError({}))
  }

  /** A commit finds that it has ended. */
  #afterwards({ state }: RequestSession): Effect.Effect<void> {
    return state._tag === "Lost" ? this.#found("ended") : Exit.void
  }

  #found(end: Watching.End): Effect.Effect<void> {
    return Effect.asVoid(Deferred.succeed(this.#over, end))
  }

  /** Whether the session is still there: to be asked once {@link over} is waited for, as it may have ended before. */
  get check(): Effect.Effect<void, SessionStoreError | SessionUnauthenticatedError> {
    return Effect.catchTag(
      Effect.suspend(() => {
        const session = this.#anew(false)
        return Effect.andThen(session.ready, () => this.#begin(session))
      }),
      "SessionGoneError",
      () => new SessionUnauthenticatedError()
    )
  }

  /** What extends the session's life for as long as it runs, if that is wanted; an error, if each time takes a cookie. */
  extension(isWanted: boolean): Effect.Effect<Effect.Effect<never>, SessionClosedError> {
    const { expiry, isPersistent, isStateless, settings: { rolling, touchEvery } } = this.#session
    if (!isWanted) return Effect.succeed(Effect.never)
    if (isStateless || isPersistent) return Effect.fail(new SessionClosedError({ operation: "touch" }))
    if (rolling === "never") return Effect.succeed(Effect.never)
    const { record } = this.#state
    // As with requests: often enough for a lifetime of its own.
    const every = Math.min(Duration.toMillis(touchEvery), (expiry.end(record) - record.touchedAt) / 2)
    const touch = this.work(true, (session) => session.update(Operation.touched))
    // A store that fails may work the next time.
    return Effect.succeed(
      Effect.forever(Effect.andThen(Effect.ignore(touch), Effect.sleep(Math.max(leastEvery, every))))
    )
  }

  /** Whether it was found to be over. */
  get isOver(): boolean {
    return Deferred.isDoneUnsafe(this.#over)
  }

  /** Nothing is done with it any more. */
  close(): void {
    this.#isClosed = true
  }

  #anew(isUse: boolean, options?: { readonly readonly: boolean }): RequestSession {
    const client: Client = {
      present: () => this.#presented,
      input: Effect.succeed({}),
      messages: "stay",
      takesCookie: false,
      isUse
    }
    return new RequestSession(this.#session.environment, client, options)
  }
}
