/**
 * Around every operation of a store: the limits of time and size, the retries, and one kind of error.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { SessionConfig, type Settings } from "../../SessionConfig.ts"
import {
  type OwnerOperation,
  SessionStoreError,
  SessionTooLargeError,
  type StoreOperation
} from "../../SessionError.ts"
import type { Operations, SessionStore } from "../../SessionStore.ts"
import * as TimeLimit from "../concurrency/timeLimit.ts"
import type { Change } from "../record/change.ts"
import * as Meta from "../record/meta.ts"
import type { Fields, SessionRecord } from "../record/record.ts"
import * as SizeLimit from "./sizeLimit.ts"
import { withoutValues } from "./withoutValues.ts"

type AnyOperation = StoreOperation | OwnerOperation

const repeatable: ReadonlySet<AnyOperation> = new Set(["load", "touch", "destroy"])

/** The others consist of several steps, each of which may keep the time limit while all together exceed it. */
const ofOneStep: ReadonlySet<AnyOperation> = new Set(["load", "create", "update", "touch"])

export interface Options {
  /** Whether single-step operations keep the time limit themselves. */
  readonly keepsTimeLimit?: boolean
  /** Whether regenerating is a single step. */
  readonly regeneratesInOneStep?: boolean
}

type Guard = (
  operation: AnyOperation
) => <A>(effect: Effect.Effect<A, unknown>) => Effect.Effect<A, SessionStoreError | SessionTooLargeError>

const guardOf = (
  driver: string,
  { retries, timeLimit }: Settings,
  { keepsTimeLimit = false, regeneratesInOneStep = false }: Options
): Guard => {
  const within = TimeLimit.make(timeLimit)
  return (operation) => {
    const failed = (cause: unknown) => new SessionStoreError({ driver, operation, cause: withoutValues(cause) })
    const timedOut = () => failed(TimeLimit.noAnswer(timeLimit))
    const onCause = (cause: Cause.Cause<unknown>) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      // An exception in a driver is a failure too.
      const error = Cause.squash(cause)
      const isOurs = error instanceof SessionStoreError || error instanceof SessionTooLargeError
      return Effect.fail(isOurs ? withoutValues(error) : failed(error))
    }
    const isRepeated = retries > 0 && repeatable.has(operation)
    const isOneStep = ofOneStep.has(operation) || operation === "regenerate" && regeneratesInOneStep
    if (keepsTimeLimit && !isRepeated && isOneStep) {
      return (effect) => Effect.catchCause(effect, onCause)
    }
    return (effect) =>
      Effect.catchCause(within(isRepeated ? Effect.retry(effect, { times: retries }) : effect, timedOut), onCause)
  }
}

const guarded = (store: Operations, guard: Guard, { sizeLimit }: Settings): SessionStore => {
  const load = guard("load")
  const create = guard("create")
  const update = guard("update")
  const touch = guard("touch")
  const regenerate = guard("regenerate")
  const destroy = guard("destroy")
  const { look } = store
  // Cookies have their own size limit.
  const refused = (fields: Fields, before?: Fields): Effect.Effect<never, SessionTooLargeError> | undefined => {
    const refusal = store.stateless ? undefined : SizeLimit.refusal(store.driver, sizeLimit, fields, before)
    return refusal && Effect.fail(refusal)
  }
  const refusedIfPut = (change: Change, record: SessionRecord) =>
    putsNothing(change) ? undefined : refused(record.fields)
  return {
    "~effect-session/SessionStore": "~effect-session/SessionStore",
    driver: store.driver,
    stateless: store.stateless,
    owners: store.owners,
    load: (token) => onlyStoreError(load(store.load(token))),
    create: (id, record) => refused(record.fields) ?? create(store.create(id, record)),
    update: (id, change, record, successor) =>
      refusedIfPut(change, record) ?? update(store.update(id, change, record, successor)),
    touch: (id, record) => touch(store.touch(id, record)),
    regenerate: (id, newId, record, before, overwritten) =>
      refused(record.fields, before) ?? regenerate(store.regenerate(id, newId, record, before, overwritten)),
    destroy: (id, record) => onlyStoreError(destroy(store.destroy(id, record))),
    look: look && ((sessions) => onlyStoreError(load(look(sessions))))
  }
}

/** A new entry in the index does not make the session larger. */
const putsNothing = ({ set }: Change): boolean => set.size === 0 || set.size === 1 && set.has(Meta.owner)

// A session of any size can be loaded and destroyed.
const onlyStoreError = <A>(effect: Effect.Effect<A, SessionStoreError | SessionTooLargeError>) =>
  effect as Effect.Effect<A, SessionStoreError>

/** The operations on owners, which consist of several steps. */
export const ofOwners = (
  driver: string,
  settings: Settings
): (operation: OwnerOperation) => <A>(effect: Effect.Effect<A, unknown>) => Effect.Effect<A, SessionStoreError> => {
  const guard = guardOf(driver, settings, {})
  return (operation) => {
    const guarded = guard(operation)
    return (effect) => onlyStoreError(guarded(effect))
  }
}

export const make = (
  store: Operations,
  options: Options = {}
): Effect.Effect<SessionStore, never, SessionConfig> =>
  Effect.map(SessionConfig, (settings) => guarded(store, guardOf(store.driver, settings, options), settings))
