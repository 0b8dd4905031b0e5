/**
 * Committing: turns the state of the session into one intent, carries it out, and updates the state. This is the only
 * place where the session of a request is written.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import {
  SessionConflictError,
  SessionStoreError,
  SessionTooLargeError,
  type SessionValueError
} from "../../SessionError.ts"
import type { Conflict, SessionStore } from "../../SessionStore.ts"
import * as Afresh from "../concurrency/afresh.ts"
import * as KeyLock from "../concurrency/keyLock.ts"
import * as Change from "../record/change.ts"
import * as Draft from "../record/draft.ts"
import { type Answer, carryOut, type StoreFailure } from "./carryOut.ts"
import * as Indexing from "./indexing.ts"
import * as Intent from "./intent.ts"
import * as Observability from "./observability.ts"
import * as Operation from "./operations.ts"
import * as Outcome from "./outcomes.ts"
import type { RequestSession } from "./requestSession.ts"
import * as State from "./state.ts"

/** The result of a commit. `Dropped`: the session was gone, so the changes were dropped. */
export type Committed = "Done" | "Dropped"

export type CommitFailure = StoreFailure | SessionConflictError | SessionValueError

type Commit = Effect.Effect<Committed, CommitFailure>

interface Committing {
  readonly session: RequestSession
  readonly store: SessionStore
  readonly clock: Clock.Clock
  readonly fiber: Fiber.Fiber<unknown, unknown>
  /** How often the store held something other than expected. */
  readonly conflicts: number
  /** What was overwritten if the session was regenerated in the meantime. */
  readonly overwritten: Change.Overwritten
}

/**
 * The maximum number of retries of a commit. Commits of one server take turns, so another server must interfere each
 * time.
 */
export const attempts = 100

const done = Effect.succeed<Committed>("Done")

/**
 * Writes the changes, if any. It is not interrupted halfway, and commits of parallel fibers take turns. After a failure
 * the changes are kept for another attempt.
 */
export const commit = (session: RequestSession, clock: Clock.Clock): Commit => {
  const { environment: { store }, isReadonly } = session
  if (store === undefined || isReadonly) return done
  // Most requests only read, and need nothing more than this.
  if (!session.isCommitting && !isNeeded(session, clock)) return done
  return Effect.uninterruptible(inTurn(session, store, clock))
}

const inTurn = (session: RequestSession, store: SessionStore, clock: Clock.Clock): Commit =>
  takingTurn(session, (fiber) => save({ session, store, clock, fiber, conflicts: 0, overwritten: [] }))

/** Of the fibers of a request, only one asks the store to write at a time. */
export const takingTurn = <A, E>(
  session: RequestSession,
  write: (fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  let isOwn = false
  const committed = Effect.withFiber((fiber): Effect.Effect<A, E> => {
    if (session.isCommitting) return Effect.andThen(session.untilCommitted, takingTurn(session, write))
    isOwn = true
    session.beginCommit()
    return write(fiber)
  })
  return Effect.onExitPrimitive(committed, (exit) => {
    if (!isOwn) return undefined
    if (Exit.isSuccess(exit)) session.learn(Outcome.settled)
    session.endCommit()
    return undefined
  })
}

const isNeeded = (session: RequestSession, clock: Clock.Clock): boolean =>
  session.state._tag !== "Unloaded" && Intent.isNeeded(session.state, session, clock.currentTimeMillisUnsafe())

const save = (committing: Committing): Commit => {
  const { clock, session, store } = committing
  if (!isNeeded(session, clock)) return done
  const { loaded: state } = session
  switch (state._tag) {
    case "Lost":
      return drop(committing)
    case "Replacing": {
      const afresh = Outcome.afresh(state)
      if (Exit.isFailure(afresh)) return Exit.failCause(afresh.cause)
      session.state = afresh.value
      return write(committing)
    }
    case "Anonymous":
      // While the id is generated, another fiber may change or end the session.
      return state.id === undefined && Intent.isWanted(state, session)
        ? Effect.flatMap(session.id, () => save(committing))
        : write(committing)
    case "Existing":
    case "Regenerated":
      return Intent.isOver(state, session, clock.currentTimeMillisUnsafe())
        ? Effect.flatMap(
          isExtended(session, store, state),
          (isExtended) => isExtended ? write(committing) : expire(committing, state)
        )
        : write(committing)
    default:
      return write(committing)
  }
}

/** The session expired during the request. Only the store knows whether another request has extended it. */
const isExtended = (
  session: RequestSession,
  store: SessionStore,
  { token }: State.Stored
): Effect.Effect<boolean, SessionStoreError> =>
  // A session that was opened by its handle has no id.
  token === undefined ? Effect.succeed(false) : Effect.map(Afresh.reading(store.load(token)), (loaded) => {
    if (loaded._tag === "Found") session.learn(Outcome.extended, loaded.record)
    // A change to a session that was regenerated goes to its successor.
    return loaded._tag !== "NotFound"
  })

const write = (committing: Committing): Commit => {
  const { clock, session } = committing
  const intent = Intent.of(session.loaded, session, clock.currentTimeMillisUnsafe())
  if (intent !== undefined) return ask(committing, intent)
  session.tellNothing()
  return done
}

const ask = (committing: Committing, intent: Intent.Intent): Commit => {
  const { clock, fiber, session, store } = committing
  const { drawId, storeTimes } = session.environment
  const owner = store.owners && Indexing.ownerIn(intent, session.loaded.base)
  if (owner !== undefined && Indexing.isTooLate(session, intent, clock)) return lose(committing)
  // Read this before the store is told: afterwards nothing is pending.
  const isOnlyReading = !session.hasChanges
  session.tell(intent)
  const start = performance.now()
  const time = storeTimes[intent.operation]
  const asked = Observability.spanned(
    "Session.commit",
    time,
    fiber,
    carryOut(store, intent, drawId, owner && Indexing.before(session, store.owners!, owner)),
    Intent.idOf(intent)
  )
  return Effect.matchCauseEffect(asked, {
    onFailure: (cause) => {
      Observability.took(time, start, fiber, Exit.failCause(cause))
      if (isOnlyReading && isHarmless(intent, cause)) return notExtended(committing, intent, cause)
      session.refused(intent)
      return lighter(committing, cause) ?? Effect.failCause(cause)
    },
    onSuccess: (answer) => {
      Observability.took(time, start, fiber, Exit.void)
      return answered(committing, intent, answer)
    }
  })
}

/**
 * A store that can be read but not written must not prevent reads: neither when an extension is due, nor when flash
 * messages were shown, which are then shown again.
 */
const isHarmless = ({ operation }: Intent.Intent, cause: Cause.Cause<StoreFailure>): boolean =>
  (operation === "touch" || operation === "update") && !Cause.hasInterrupts(cause) &&
  Cause.squash(cause) instanceof SessionStoreError

/** The client must not get a cookie that outlives the session; the next request tries again. */
const notExtended = (committing: Committing, intent: Intent.Intent, cause: Cause.Cause<StoreFailure>): Commit => {
  const { clock, fiber, session, store } = committing
  session.learn(Outcome.failed, intent)
  Observability.count(Observability.failedTouches, fiber)
  if (!session.environment.mayWarn(clock.currentTimeMillisUnsafe())) return done
  return Effect.andThen(Observability.notExtended(store.driver, Cause.squash(cause)), done)
}

/** A flashed form must not make the commit fail: if it does not fit, the commit is retried with less and less of it. */
const lighter = (committing: Committing, cause: Cause.Cause<StoreFailure>): Commit | undefined => {
  const { session } = committing
  const [reason] = cause.reasons.filter(Cause.isFailReason)
  if (!(reason?.error instanceof SessionTooLargeError)) return undefined
  const { limit, size } = reason.error
  const before = session.state
  // In a cookie, three bytes take four.
  session.learn(Operation.lightened, Math.ceil((size - limit) * 3 / 4))
  return session.state === before ? undefined : save(committing)
}

const answered = (committing: Committing, intent: Intent.Intent, answer: Answer): Commit => {
  const { session } = committing
  const { id, outcome } = answer._tag === "Renamed" ? answer : { id: Intent.idOf(intent), outcome: answer }
  if (outcome._tag === "Gone") {
    session.refused(intent)
    return lose(committing)
  }
  if (outcome._tag === "Conflict") return conflicted(committing, intent, outcome)
  const happened = tell(committing, intent, id)
  if (intent.operation === "destroy") {
    session.learn(Outcome.destroyed)
    return Effect.flatMapEager(
      Effect.flatMapEager(forget(committing, intent), () => happened),
      () => save(committing)
    )
  }
  if (outcome._tag === "Written") wrote(session, intent, id, outcome.token)
  if (Intent.isLogout(intent)) return Effect.andThen(Effect.andThen(forget(committing, intent), happened), done)
  return Exit.isExit(happened) ? done : Effect.andThen(happened, done)
}

const forget = ({ store }: Committing, intent: Intent.Intent): Effect.Effect<void> =>
  Indexing.forget(store.owners, intent)

/** Publishes what the store has done. */
const tell = ({ fiber, session }: Committing, intent: Intent.Intent, id: State.Id): Effect.Effect<void> => {
  const { listeners } = session.environment
  if (listeners.areThere) listeners.committed(intent, id, session.client.endsAs ?? "itself", fiber)
  return Intent.isLogout(intent)
    ? Effect.andThen(
      Observability.happened("destroy", intent.id, fiber),
      Observability.happened("create", id, fiber)
    )
    : Observability.happened(intent.operation, id, fiber)
}

const wrote = (session: RequestSession, intent: Intent.Write, id: State.Id, token: State.Stored["token"]): void => {
  const { settings: { cookie }, state } = session
  const isPersistent = cookie.persistence === "persistent"
  // Checked only if it matters, because it inspects the response.
  const renewalWaits = State.isStored(state) && state.isRenewed && session.cookieWaits
  session.learn(Outcome.written, { intent, id, token, isPersistent, renewalWaits })
}

// -----------------------------------------------------------------------------
// others were quicker
// -----------------------------------------------------------------------------

/**
 * After a conflict, commits of one session retry one at a time, because otherwise most would fail again. If the store
 * hangs, none of them waits for all earlier ones to time out.
 */
const turns = KeyLock.make()

/** Other requests have changed what this one has read, or have regenerated the session. */
const conflicted = (committing: Committing, intent: Intent.Intent, conflict: Conflict): Commit => {
  const { conflicts, fiber, session } = committing
  Observability.count(Observability.conflicts, fiber)
  session.refused(intent)
  if (conflicts === attempts) return giveUp(committing, intent)
  const overwritten = Change.both(committing.overwritten, conflict.overwritten ?? [])
  const next = { ...committing, conflicts: conflicts + 1, overwritten }
  const again = Effect.suspend(() =>
    conflict.successor === undefined
      ? rebase(next, conflict)
      : saveInSuccessor(next, conflict, conflict.successor)
  )
  return conflicts === 0 ? turns(intent.id.key, session.environment.patience)(again) : again
}

/**
 * No one can prevent a request from logging in: it gets its own session, without the fields that others keep changing.
 */
const giveUp = (committing: Committing, intent: Intent.Intent): Commit => {
  if (intent.operation !== "regenerate") return Effect.fail(new SessionConflictError({ reason: "busy" }))
  if (Intent.isLogout(intent)) return lose(committing)
  const { before, id } = intent
  const end: Intent.Intent = { operation: "destroy", id, record: { ...intent.record, fields: before } }
  return Effect.flatMap(
    committing.store.destroy(id, end.record),
    () => Effect.flatMapEager(tell(committing, end, id), () => lose(committing))
  )
}

const rebase = (committing: Committing, { record }: Conflict): Commit => {
  const { session } = committing
  const { loaded: state } = session
  // The record does not apply to the successor of a session that was ended in the meantime.
  if (!State.isStored(state)) return save(committing)
  const draft = Draft.rebase(state.draft, record.fields)
  if (Exit.isFailure(draft)) return Exit.failCause(draft.cause)
  session.state = Outcome.rebased(state, record, draft.value)
  return save(committing)
}

/**
 * The session has a new id, which this client must not learn. The request's changes are applied as if they had come
 * first.
 */
const saveInSuccessor = (committing: Committing, { record }: Conflict, successor: string): Commit => {
  const { clock, session } = committing
  const { loaded: state } = session
  const update = Intent.of(state, session, clock.currentTimeMillisUnsafe())
  if (state._tag !== "Existing" || update?.operation !== "update") return save(committing)
  const change = Draft.ontoSuccessor(state.draft, state.base, record.fields, committing.overwritten)
  if (Exit.isFailure(change)) return Exit.failCause(change.cause)
  const intent = { ...update, change: change.value, successor }
  if (!Change.isEmpty(intent.change)) return ask(committing, intent)
  session.tell(intent)
  wrote(session, intent, intent.id, undefined)
  return done
}

/** It expired, and no request has extended it. */
const expire = (committing: Committing, { id, record }: State.Stored): Commit => {
  const { fiber, session: { environment: { listeners } } } = committing
  if (listeners.areThere) listeners.expired(id, record.fields, fiber)
  return lose(committing)
}

/** The store no longer has it. */
const lose = (committing: Committing): Commit => {
  const { session } = committing
  const hasLoggedOut = State.hasLoggedOut(session.loaded)
  session.learn(Outcome.gone)
  switch (session.state._tag) {
    case "Lost":
      return drop(committing)
    case "Ended":
      return hasLoggedOut ? save(committing) : done
    case "Replacing":
      return save(committing)
    default:
      return done
  }
}

const drop = ({ fiber, session }: Committing): Commit => {
  session.learn(Outcome.dropped)
  return Effect.as(Observability.happened("drop", State.idOf(session.loaded), fiber), "Dropped")
}
