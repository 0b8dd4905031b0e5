/**
 * Around every operation of a store: the time limit, the retries, and one kind of error.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { SessionConfig, type Settings } from "../../SessionConfig.ts"
import { SessionStoreError, SessionTooLargeError, type StoreOperation } from "../../SessionError.ts"
import type { Operations, SessionStore } from "../../SessionStore.ts"
import * as TimeLimit from "../concurrency/timeLimit.ts"
import { withoutValues } from "./withoutValues.ts"

const repeatable: ReadonlySet<StoreOperation> = new Set(["load", "touch", "destroy"])

/** The others are several: each of those may keep the time limit while all together do not. */
const ofOneStep: ReadonlySet<StoreOperation> = new Set(["load", "create", "update", "touch"])

type Guard = (
  operation: StoreOperation
) => <A>(effect: Effect.Effect<A, unknown>) => Effect.Effect<A, SessionStoreError | SessionTooLargeError>

const makeGuard = (driver: string, { retries, timeLimit }: Settings, keepsTimeLimit: boolean): Guard => {
  const within = TimeLimit.make(timeLimit)
  return (operation) => {
    const failed = (cause: unknown) => new SessionStoreError({ driver, operation, cause: withoutValues(cause) })
    const timedOut = () => failed(TimeLimit.noAnswer(timeLimit))
    const onCause = (cause: Cause.Cause<unknown>) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      // A driver that throws has failed as well.
      const error = Cause.squash(cause)
      const isOurs = error instanceof SessionStoreError || error instanceof SessionTooLargeError
      return Effect.fail(isOurs ? withoutValues(error) : failed(error))
    }
    const isRepeated = retries > 0 && repeatable.has(operation)
    if (keepsTimeLimit && !isRepeated && ofOneStep.has(operation)) {
      return (effect) => Effect.catchCause(effect, onCause)
    }
    return (effect) =>
      Effect.catchCause(within(isRepeated ? Effect.retry(effect, { times: retries }) : effect, timedOut), onCause)
  }
}

const guarded = (store: Operations, guard: Guard): SessionStore => {
  const load = guard("load")
  const create = guard("create")
  const update = guard("update")
  const touch = guard("touch")
  const regenerate = guard("regenerate")
  const destroy = guard("destroy")
  return {
    "~effect-session/SessionStore": "~effect-session/SessionStore",
    driver: store.driver,
    stateless: store.stateless,
    load: (token) => onlyStoreError(load(store.load(token))),
    create: (id, record) => create(store.create(id, record)),
    update: (id, change, record, successor) => update(store.update(id, change, record, successor)),
    touch: (id, record) => touch(store.touch(id, record)),
    regenerate: (id, newId, record, before) => regenerate(store.regenerate(id, newId, record, before)),
    destroy: (id, record) => onlyStoreError(destroy(store.destroy(id, record)))
  }
}

// Nothing is too large to be loaded or destroyed.
const onlyStoreError = <A>(effect: Effect.Effect<A, SessionStoreError | SessionTooLargeError>) =>
  effect as Effect.Effect<A, SessionStoreError>

export const make = (
  store: Operations,
  { keepsTimeLimit = false }: { readonly keepsTimeLimit?: boolean } = {}
): Effect.Effect<SessionStore, never, SessionConfig> =>
  Effect.map(SessionConfig, (settings) => guarded(store, makeGuard(store.driver, settings, keepsTimeLimit)))
