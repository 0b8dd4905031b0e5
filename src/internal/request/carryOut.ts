/**
 * Carries out what a commit asks of the store.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { SessionStoreError, type SessionTooLargeError } from "../../SessionError.ts"
import type { Conflict, Gone, SessionStore, Taken, Written } from "../../SessionStore.ts"
import type { Intent } from "./intent.ts"
import type { Id } from "./state.ts"

export type Answer = Written | Gone | Conflict | Destroyed | Renamed

/** The generated id is in use, so the session has a new one. */
export interface Renamed {
  readonly _tag: "Renamed"
  readonly id: Id
  readonly outcome: Written | Gone | Conflict
}

/** The session is ended permanently. */
export interface Destroyed {
  readonly _tag: "Destroyed"
}

export type StoreFailure = SessionStoreError | SessionTooLargeError

/** What must happen before the session is written under an id. */
export type Prepare = (id: Id) => Effect.Effect<void, StoreFailure>

/** Asks the store; repeats that with another id if the generated one is in use. */
export const carryOut = (
  store: SessionStore,
  intent: Intent,
  drawId: Effect.Effect<Id>,
  prepare: Prepare | undefined
): Effect.Effect<Answer, StoreFailure> => {
  try {
    const asked = ask(store, intent, drawId, prepare)
    return prepare !== undefined && intent.operation === "update" ? Effect.andThen(prepare(intent.id), asked) : asked
  } catch (defect) {
    return Exit.die(defect)
  }
}

const ask = (
  store: SessionStore,
  intent: Intent,
  drawId: Effect.Effect<Id>,
  prepare: Prepare | undefined
): Effect.Effect<Answer, StoreFailure> => {
  switch (intent.operation) {
    case "create":
      return withUnusedId(store, "create", intent.id, drawId, after(prepare, (id) => store.create(id, intent.record)))
    case "regenerate":
      return withUnusedId(
        store,
        "regenerate",
        intent.newId,
        drawId,
        after(prepare, (newId) => store.regenerate(intent.id, newId, intent.record, intent.before, intent.overwritten))
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

// Random ids never collide, but ids of a configured generator may.
const attempts = 3

const after = (prepare: Prepare | undefined, write: Write): Write =>
  prepare === undefined ? write : (id) => Effect.andThen(prepare(id), Effect.suspend(() => write(id)))

type Write = (id: Id) => Effect.Effect<Written | Gone | Taken | Conflict, StoreFailure>

const withUnusedId = (
  store: SessionStore,
  operation: "create" | "regenerate",
  id: Id,
  drawId: Effect.Effect<Id>,
  write: Write,
  left: number = attempts
): Effect.Effect<Answer, StoreFailure> =>
  Effect.flatMap(write(id), (outcome): Effect.Effect<Answer, StoreFailure> => {
    if (outcome._tag !== "Taken") {
      return Effect.succeed(left === attempts ? outcome : { _tag: "Renamed", id, outcome })
    }
    if (left > 1) {
      return Effect.flatMap(drawId, (another) => withUnusedId(store, operation, another, drawId, write, left - 1))
    }
    const cause = new Error(`SessionConfig.GenerateId returned ${attempts} ids in a row that are already in use`)
    return Effect.fail(new SessionStoreError({ driver: store.driver, operation, cause }))
  })
