/**
 * What a commit asks of the store: one operation, as data, and how it is carried out.
 */
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { SessionStoreError, type SessionTooLargeError } from "../../SessionError.ts"
import type { Gone, SessionStore, Taken, Written } from "../../SessionStore.ts"
import type { Change } from "../record/change.ts"
import type { SessionRecord } from "../record/record.ts"

type Id = Redacted.Redacted<string>

export type Intent =
  | { readonly operation: "create"; readonly id: Id; readonly record: SessionRecord }
  | { readonly operation: "update"; readonly id: Id; readonly record: SessionRecord; readonly change: Change }
  | { readonly operation: "touch"; readonly id: Id; readonly record: SessionRecord }
  | {
    readonly operation: "regenerate"
    readonly id: Id
    readonly newId: Id
    readonly record: SessionRecord
    readonly change: Change
  }

export interface Answer {
  /** The id of the session from now on. */
  readonly id: Id
  readonly outcome: Written | Gone
}

type StoreFailure = SessionStoreError | SessionTooLargeError

/** Carries it out; where an id that was drawn is in use, with another one. */
export const carryOut = (
  store: SessionStore,
  intent: Intent,
  drawId: Effect.Effect<Id>
): Effect.Effect<Answer, StoreFailure> => {
  switch (intent.operation) {
    case "create":
      return withUnusedId(store, intent, drawId, (id) => store.create(id, intent.record))
    case "regenerate":
      return withUnusedId(store, intent, drawId, (id) => store.regenerate(intent.id, id, intent.change, intent.record))
    case "update":
      return answerWith(intent.id, store.update(intent.id, intent.change, intent.record))
    case "touch":
      return answerWith(intent.id, store.touch(intent.id, intent.record))
  }
}

const answerWith = (
  id: Id,
  outcome: Effect.Effect<Written | Gone, StoreFailure>
): Effect.Effect<Answer, StoreFailure> => Effect.map(outcome, (outcome) => ({ id, outcome }))

// Two random ids never meet; ids from a generator that somebody configured may.
const attempts = 3

const withUnusedId = (
  store: SessionStore,
  intent: Intent,
  drawId: Effect.Effect<Id>,
  write: (id: Id) => Effect.Effect<Written | Gone | Taken, StoreFailure>
): Effect.Effect<Answer, StoreFailure> => {
  const attempt = (id: Id, left: number): Effect.Effect<Answer, StoreFailure> =>
    Effect.flatMap(write(id), (outcome) => {
      if (outcome._tag !== "Taken") return Effect.succeed({ id, outcome })
      return left > 1
        ? Effect.flatMap(drawId, (another) => attempt(another, left - 1))
        : Effect.fail(
          new SessionStoreError({
            driver: store.driver,
            operation: intent.operation,
            cause: new Error(`SessionConfig.GenerateId made ${attempts} ids in a row that are in use`)
          })
        )
    })
  return attempt(intent.operation === "regenerate" ? intent.newId : intent.id, attempts)
}
