/**
 * A change that is committed immediately and separately from the request's other changes, and stays even if the request
 * fails. Afterwards the request sees it, and its own changes are applied again on top.
 *
 * No other request can see a value that this one has put but not committed, so changing such a value is just one more
 * change of the request.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { SessionConflictError, SessionGoneError } from "../../SessionError.ts"
import type { Conflict, Gone, SessionStore, Written } from "../../SessionStore.ts"
import * as Change from "../record/change.ts"
import * as Draft from "../record/draft.ts"
import type { Fields, SessionRecord } from "../record/record.ts"
import type { StoreFailure } from "./carryOut.ts"
import { attempts, takingTurn } from "./committing.ts"
import * as Observability from "./observability.ts"
import * as Operation from "./operations.ts"
import * as Outcome from "./outcomes.ts"
import type { RequestSession } from "./requestSession.ts"
import * as State from "./state.ts"

export interface Aside<A> {
  /** The fields that it reads. It is written only if they are still the same. */
  readonly reads: ReadonlyArray<string>
  /**
   * Decides what to write, given the current fields. It may be called several times, until no other request interferes.
   */
  readonly decide: (fields: Fields) => Decision<A>
  /** Fields that are assumed to be absent at first; only the store knows whether they are. */
  readonly guesses?: ReadonlyArray<string>
  /**
   * Whether it also applies if another request has given the session a new id. The new session's contents must not
   * leak, so the decision must not reveal them.
   */
  readonly follows?: boolean
}

export interface Decision<A> {
  readonly answer: A
  /** New texts by field name; `undefined` removes the field. */
  readonly writes?: ReadonlyMap<string, string | undefined>
}

export type AsideFailure = StoreFailure | SessionConflictError | SessionGoneError

export interface Done<A> {
  readonly answer: A
  /** What is stored now; nothing if only this request can see it, or if its client must not. */
  readonly moved: Moved | undefined
}

interface Moved {
  readonly record: SessionRecord
  readonly token: State.Stored["token"]
}

/** Commits it, and returns the answer. */
export const commit = <A>(session: RequestSession, aside: Aside<A>): Effect.Effect<A, AsideFailure> =>
  Effect.map(done(session, aside), ({ answer }) => answer)

/** Commits it. Inside an atomic part of a handler, this is done for the request, and stays even if the part fails. */
export const done = <A>(session: RequestSession, aside: Aside<A>): Effect.Effect<Done<A>, AsideFailure> =>
  Effect.suspend(() => {
    const { loaded, parent } = session
    if (isOwn(loaded, aside.reads)) return Exit.succeed(within(session, aside))
    return parent === undefined ?
      session.inTurn(takingTurn(session, (fiber) => begin(session, aside, fiber))) :
      Effect.map(
        done(parent, aside),
        (done) => learned(session, done)
      )
  })

/** Whether only this request can see the fields that it reads. */
export const isOwn = (state: State.Loaded, reads: ReadonlyArray<string>): boolean =>
  !State.isStored(state) || reads.some((field) => Draft.isEdited(state.draft, field))

/** The decision, given what the request sees. */
const within = <A>(session: RequestSession, { decide }: Aside<A>): Done<A> => {
  const { answer, writes } = decide(State.fieldsOf(session.loaded))
  writes?.forEach((text, field) => {
    if (text === undefined) session.update((state) => Operation.removed(state, field))
    else session.put(field, text)
  })
  return { answer, moved: undefined }
}

const learned = <A>(session: RequestSession, done: Done<A>): Done<A> => {
  if (done.moved !== undefined) session.learn(Outcome.moved, done.moved)
  return done
}

const begin = <A>(
  session: RequestSession,
  aside: Aside<A>,
  fiber: Fiber.Fiber<unknown, unknown>
): Effect.Effect<Done<A>, AsideFailure> => {
  const { environment: { store }, expiry, loaded: state } = session
  // In the meantime, another fiber may have put a value or ended the session.
  if (store === undefined || !State.isStored(state) || isOwn(state, aside.reads)) {
    return Exit.succeed(within(session, aside))
  }
  if (expiry.isExpired(state.record, fiber.getRef(Clock.Clock).currentTimeMillisUnsafe())) return gone
  const fields = Change.apply(state.base, guessing(aside))
  return Effect.map(
    decideOn({ session, store, fiber, id: state.id, aside }, state.record, fields),
    (done) => learned(session, done)
  )
}

interface Asking<A> {
  readonly session: RequestSession
  readonly store: SessionStore
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly id: State.Id
  readonly aside: Aside<A>
}

/** Decides and asks the store to write the decision; repeats that if the store holds something else. */
const decideOn = <A>(
  asking: Asking<A>,
  record: SessionRecord,
  fields: Fields = record.fields,
  left: number = attempts,
  successor?: string
): Effect.Effect<Done<A>, AsideFailure> => {
  const { aside, fiber, id } = asking
  const { answer, writes } = aside.decide(fields)
  const doneWith = (record: SessionRecord, token: State.Stored["token"]): Done<A> => ({
    answer,
    moved: successor === undefined ? { record, token } : undefined
  })
  if (writes === undefined) return Exit.succeed(doneWith(record, undefined))
  if (left === 0) return Exit.fail(new SessionConflictError({ reason: "busy" }))
  const change = changeOf(aside, fields, writes)
  const next = { ...record, fields: Change.apply(fields, change) }
  return Effect.flatMap(ask(asking, change, next, successor), (outcome): Effect.Effect<Done<A>, AsideFailure> => {
    switch (outcome._tag) {
      case "Written":
        return Effect.as(Observability.happened("update", id, fiber), doneWith(next, outcome.token))
      case "Gone":
        return gone
      case "Conflict":
        Observability.count(Observability.conflicts, fiber)
        return outcome.successor !== undefined && aside.follows !== true
          ? gone
          : decideOn(asking, outcome.record, outcome.record.fields, left - 1, outcome.successor)
    }
  })
}

const gone = Effect.suspend(() => Exit.fail(new SessionGoneError({})))

const guessing = ({ guesses = [] }: Aside<unknown>): Change.Change => ({ ...Change.none, remove: new Set(guesses) })

const changeOf = ({ reads }: Aside<unknown>, fields: Fields, writes: NonNullable<Decision<unknown>["writes"]>) => {
  const change = { ...Change.none, expect: new Map(reads.map((field) => [field, fields.get(field)])) }
  return [...writes].reduce<Change.Change>(
    (change, [field, text]) => text === undefined ? Change.remove(change, field) : Change.set(change, field, text),
    change
  )
}

const ask = (
  { fiber, id, session: { environment: { storeTimes: { update: time } } }, store }: Asking<unknown>,
  change: Change.Change,
  record: SessionRecord,
  successor: string | undefined
): Effect.Effect<Written | Gone | Conflict, StoreFailure> =>
  Effect.suspend(() => {
    const start = performance.now()
    const asked = Effect.suspend(() => store.update(id, change, record, successor))
    return Effect.onExitPrimitive(Observability.spanned("Session.commit", time, fiber, asked, id), (exit) => {
      Observability.took(time, start, fiber, exit)
      return undefined
    })
  })
