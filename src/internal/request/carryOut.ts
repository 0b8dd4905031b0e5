/**
 * Carrying out what a commit asks of the store.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { SessionStoreError, type SessionTooLargeError } from "../../SessionError.ts"
import type { Conflict, Gone, SessionStore, Taken, Written } from "../../SessionStore.ts"
import type { Intent } from "./intent.ts"
import type { Id } from "./state.ts"

export type Answer = Written | Gone | Conflict | Destroyed | Renamed

/** The id that was drawn is in use, and the session has another one. */
export interface Renamed {
  readonly _tag: "Renamed"
  readonly id: Id
  readonly outcome: Written | Gone | Conflict
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
  try {
    return ask(store, intent, drawId)
  } catch (defect) {
    return Exit.die(defect)
  }
}

const ask = (
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
      return store.update(intent.id, intent.change, intent.record, intent.successor)
    case "touch":
      return store.touch(intent.id, intent.record)
    case "destroy":
      return Effect.as(store.destroy(intent.id, intent.record), destroyed)
  }
}

const destroyed: Destroyed = { _tag: "Destroyed" }

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
    if (outcome._tag !== "Taken") {
      return Effect.succeed(left === attempts ? outcome : { _tag: "Renamed", id, outcome })
    }
    if (left > 1) {
      return Effect.flatMap(drawId, (another) => withUnusedId(store, operation, another, drawId, write, left - 1))
    }
    const cause = new Error(`SessionConfig.GenerateId made ${attempts} ids in a row that are in use`)
    return Effect.fail(new SessionStoreError({ driver: store.driver, operation, cause }))
  })
