/**
 * Committing: from the state of the session to one intent, carried out, and back. It is the one place where the session of
 * a request is written.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Semaphore from "effect/Semaphore"
import type { SessionStoreError } from "../../SessionError.ts"
import type { SessionStore } from "../../SessionStore.ts"
import { type Answer, carryOut, type StoreFailure } from "./carryOut.ts"
import * as Intent from "./intent.ts"
import * as Observability from "./observability.ts"
import * as Outcome from "./outcomes.ts"
import type { RequestSession } from "./requestSession.ts"
import type { Existing, Regenerated } from "./state.ts"

/** What a commit came to; `Dropped`: the session was gone, and so are the changes. */
export type Committed = "Done" | "Dropped"

type Commit = Effect.Effect<Committed, StoreFailure>

interface Committing {
  readonly session: RequestSession
  readonly store: SessionStore
  readonly clock: Clock.Clock
  readonly fiber: Fiber.Fiber<unknown, unknown>
}

const done = Effect.succeed<Committed>("Done")

/**
 * Writes what has changed, if anything. It is not interrupted halfway, and commits of parallel fibers take turns. After a
 * failure the changes are still there, for another try.
 */
export const commit = (session: RequestSession, clock: Clock.Clock): Commit => {
  const { environment: { store }, isReadonly, turn } = session
  if (store === undefined || isReadonly) return done
  // Most requests only read: for them a commit is nothing but this.
  if (turn === undefined && !isNeeded(session, clock)) return done
  const committed = Effect.withFiber<Committed, StoreFailure>((fiber) =>
    Effect.map(save({ session, store, clock, fiber }), (committed) => {
      session.state = Outcome.settled(session.loaded)
      return committed
    })
  )
  return Effect.uninterruptible(Semaphore.withPermit(session.turn ??= Semaphore.makeUnsafe(1), committed))
}

const isNeeded = ({ environment, state }: RequestSession, clock: Clock.Clock): boolean =>
  state._tag !== "Unloaded" && Intent.isNeeded(state, environment, clock.currentTimeMillisUnsafe())

const save = (committing: Committing): Commit => {
  const { clock, session, store } = committing
  if (!isNeeded(session, clock)) return done
  const { environment, loaded: state } = session
  switch (state._tag) {
    case "Lost":
      return drop(committing)
    case "Anonymous":
      // While the id is drawn, another fiber may change or end the session.
      return state.id === undefined && Intent.isWanted(state, environment)
        ? Effect.flatMap(session.id, () => save(committing))
        : write(committing)
    case "Existing":
    case "Regenerated":
      return Intent.isOver(state, environment, clock.currentTimeMillisUnsafe())
        ? Effect.flatMap(
          isExtended(session, store, state),
          (isExtended) => isExtended ? write(committing) : lose(committing)
        )
        : write(committing)
    default:
      return write(committing)
  }
}

/** The session's time ran out during the request. Only the store knows whether another request has extended it. */
const isExtended = (
  session: RequestSession,
  store: SessionStore,
  { token }: Existing | Regenerated
): Effect.Effect<boolean, SessionStoreError> =>
  Effect.map(store.load(token!), (loaded) => {
    if (loaded._tag !== "Found") return false
    session.state = Outcome.extended(session.loaded, loaded.record)
    return true
  })

const write = (committing: Committing): Commit => {
  const { clock, fiber, session, store } = committing
  const { drawId, storeTimes } = session.environment
  const intent = Intent.of(session.loaded, session.environment, clock.currentTimeMillisUnsafe())
  if (intent === undefined) return done
  session.state = Outcome.sent(session.loaded, intent)
  const start = performance.now()
  const id = intent.operation === "regenerate" ? intent.newId : intent.id
  const asked = Observability.spanned(
    "Session.commit",
    store.driver,
    fiber,
    Effect.suspend(() => carryOut(store, intent, drawId)),
    id
  )
  return Effect.matchCauseEffect(asked, {
    onFailure: (cause) => {
      Observability.took(storeTimes[intent.operation], start, fiber)
      session.state = Outcome.failed(session.loaded, intent)
      return Effect.failCause(cause)
    },
    onSuccess: (answer) => {
      Observability.took(storeTimes[intent.operation], start, fiber)
      return answered(committing, intent, answer)
    }
  })
}

const answered = (committing: Committing, intent: Intent.Intent, { id, outcome }: Answer): Commit => {
  const { fiber, session } = committing
  if (outcome._tag === "Gone") return lose(committing)
  const happened = Observability.happened(intent.operation, id, fiber)
  if (intent.operation === "destroy") {
    session.state = Outcome.destroyed(session.loaded)
    return Effect.flatMapEager(happened, () => save(committing))
  }
  if (outcome._tag === "Written") {
    const isPersistent = session.settings.cookie.persistence === "persistent"
    session.state = Outcome.written(session.loaded, intent, { id, token: outcome.token, isPersistent })
  }
  return Effect.flatMapEager(happened, () => done)
}

/** The store does not have it any more. */
const lose = (committing: Committing): Commit => {
  const { session } = committing
  session.state = Outcome.gone(session.loaded)
  return session.state._tag === "Lost" ? drop(committing) : done
}

const drop = ({ fiber, session }: Committing): Commit => {
  session.state = Outcome.dropped(session.loaded)
  return Effect.as(Observability.happened("drop", session.loaded.id, fiber), "Dropped")
}
