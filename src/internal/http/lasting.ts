/**
 * A session that lasts longer than its request: that of a WebSocket, or of a body that is still being streamed. It may do what the
 * request's cookie may do, and no more. Each piece of work loads the session of that cookie again, and once the cookie is no longer
 * valid, it is over. So a session that got a new id, for example by a login, can't be entered this way.
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

/** What a piece of work can fail with, besides its own errors. */
export type WorkFailure = CommitFailure | SessionGoneError | SessionClosedError

/** A session is not extended more often than this, however short its life is. */
const leastEvery = Duration.toMillis("1 second")

/** Continues with the session of the request. Fails if there is none. */
export const of = Effect.fnUntraced(function*(
  session: RequestSession
): Effect.fn.Return<LastingSession, SessionStoreError | SessionUnauthenticatedError> {
  yield* session.ready
  const { state } = session
  // Without a store, as when sessions are turned off, there is nothing to continue with.
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
      // With a stateless store, other responses extend the session in a cookie that is unknown here.
      until: isStateless ? expiry.end(record) : expiry.latest(record.createdAt, endOfTime),
      follows: false
    })
    return Effect.raceFirst(Deferred.await(this.#over), watched)
  }

  /** The session as it was loaded, read-only. */
  get snapshot(): RequestSession {
    const session = this.#anew(false, { readonly: true })
    session.beginWith(this.#state.id, this.#state.record)
    return session
  }

  /**
   * Does some work with the current session, and writes its changes if they need no cookie. `isUse` is whether that extends the
   * session's life.
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

  /** A commit has found that the session has ended. */
  #afterwards({ state }: RequestSession): Effect.Effect<void> {
    return state._tag === "Lost" ? this.#found("ended") : Exit.void
  }

  #found(end: Watching.End): Effect.Effect<void> {
    return Effect.asVoid(Deferred.succeed(this.#over, end))
  }

  /** Whether the session still exists. Ask once {@link over} is being waited for, because it may have ended before. */
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

  /** Extends the session's life while it runs, if asked for. Fails if each extension would need a cookie. */
  extension(isWanted: boolean): Effect.Effect<Effect.Effect<never>, SessionClosedError> {
    const { expiry, isPersistent, isStateless, settings: { rolling, touchEvery } } = this.#session
    if (!isWanted) return Effect.succeed(Effect.never)
    if (isStateless || isPersistent) return Effect.fail(new SessionClosedError({ operation: "touch" }))
    if (rolling === "never") return Effect.succeed(Effect.never)
    const { record } = this.#state
    // As with requests, often enough for the session's own lifetime.
    const every = Math.min(Duration.toMillis(touchEvery), (expiry.end(record) - record.touchedAt) / 2)
    const touch = this.work(true, (session) => session.update(Operation.touched))
    // A failing store may work next time.
    return Effect.succeed(
      Effect.forever(Effect.andThen(Effect.ignore(touch), Effect.sleep(Math.max(leastEvery, every))))
    )
  }

  /** Whether it is known to be over. */
  get isOver(): boolean {
    return Deferred.isDoneUnsafe(this.#over)
  }

  /** Stops using it. */
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
