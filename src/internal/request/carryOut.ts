/**
 * Carrying out what a commit asks of the store.
 */
import * as Effect from "effect/Effect"
import { SessionStoreError, type SessionTooLargeError } from "../../SessionError.ts"
import type { Conflict, Gone, SessionStore, Taken, Written } from "../../SessionStore.ts"
import type { Intent } from "./intent.ts"
import type { Id } from "./state.ts"

export interface Answer {
  /** The id of the session from now on. */
  readonly id: Id
  readonly outcome: Written | Gone | Conflict | Destroyed
}

/** The session is ended for good. */
export interface Destroyed {
  readonly _tag: "Destroyed"
}

export type StoreFailure = SessionStoreError | SessionTooLargeError

/** Asks the store; again with another id if the one that was drawn is in use. */
export const carryOut = (
  store: SessionStore,
  intent: Intent,
  drawId: Effect.Effect<Id>
): Effect.Effect<Answer, StoreFailure> => {
  switch (intent.operation) {
    case "create":
      return withUnusedId(store, "create", intent.id, drawId, (id) => store.create(id, intent.record))
    case "regenerate":
      return withUnusedId(
        store,
        "regenerate",
        intent.newId,
        drawId,
        (newId) => store.regenerate(intent.id, newId, intent.record, intent.before, intent.overwritten)
      )
    case "update":
      return answerWith(intent.id, store.update(intent.id, intent.change, intent.record, intent.successor))
    case "touch":
      return answerWith(intent.id, store.touch(intent.id, intent.record))
    case "destroy":
      return answerWith(intent.id, Effect.as(store.destroy(intent.id, intent.record), destroyed))
  }
}

const destroyed: Destroyed = { _tag: "Destroyed" }

const answerWith = (
  id: Id,
  outcome: Effect.Effect<Answer["outcome"], StoreFailure>
): Effect.Effect<Answer, StoreFailure> => Effect.map(outcome, (outcome) => ({ id, outcome }))

// Two random ids never meet; ids from a generator that somebody configured may.
const attempts = 3

const withUnusedId = (
  store: SessionStore,
  operation: "create" | "regenerate",
  id: Id,
  drawId: Effect.Effect<Id>,
  write: (id: Id) => Effect.Effect<Written | Gone | Taken | Conflict, StoreFailure>,
  left: number = attempts
): Effect.Effect<Answer, StoreFailure> =>
  Effect.flatMap(write(id), (outcome): Effect.Effect<Answer, StoreFailure> => {
    if (outcome._tag !== "Taken") return Effect.succeed({ id, outcome })
    if (left > 1) {
      return Effect.flatMap(drawId, (another) => withUnusedId(store, operation, another, drawId, write, left - 1))
    }
    const cause = new Error(`SessionConfig.GenerateId made ${attempts} ids in a row that are in use`)
    return Effect.fail(new SessionStoreError({ driver: store.driver, operation, cause }))
  })
