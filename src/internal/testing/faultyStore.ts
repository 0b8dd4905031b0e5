/**
 * A store around another one, whose operations a test can disturb.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { SessionConfig } from "../../SessionConfig.ts"
import type { OwnerOperation, SessionStoreError, StoreOperation } from "../../SessionError.ts"
import * as Owners from "../../SessionOwners.ts"
import type { SessionIndex, SessionOwners } from "../../SessionOwners.ts"
import type { SessionStore } from "../../SessionStore.ts"
import * as Guard from "../store/guard.ts"

export type Operation = StoreOperation | OwnerOperation

/** What a test does to an operation before the store does it, and before there is an answer. */
export interface Faults {
  readonly before: (operation: Operation) => Effect.Effect<void, unknown>
  readonly after: (operation: Operation) => Effect.Effect<void, unknown>
}

/** Whether the test itself asks the store: that is neither disturbed nor counted. */
const IsTest = Context.Reference<boolean>("effect-session/SessionTest/IsTest", { defaultValue: () => false })

export const asTest: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Effect.provideService(
  IsTest,
  true
)

const unlessTest = (fault: Effect.Effect<void, unknown>): Effect.Effect<void, unknown> =>
  Effect.flatMap(IsTest, (isTest) => isTest ? Effect.void : fault)

export const make = Effect.fnUntraced(function*(store: SessionStore, { after, before }: Faults) {
  const guarded = Guard.ofOwners(store.driver, yield* SessionConfig)
  const called = <A, E>(operation: Operation, effect: Effect.Effect<A, E>): Effect.Effect<A, unknown> =>
    unlessTest(before(operation)).pipe(Effect.andThen(effect), Effect.tap(unlessTest(after(operation))))
  // The store's own errors stay what they are.
  const asked = <A, E>(operation: OwnerOperation, effect: Effect.Effect<A, E>) =>
    guarded(operation)(unlessTest(before(operation))).pipe(
      Effect.andThen(effect),
      Effect.tap(guarded(operation)(unlessTest(after(operation))))
    )
  const { look, owners } = store
  return yield* Guard.make({
    driver: store.driver,
    stateless: store.stateless,
    owners: owners && faultyOwners(owners, asked),
    look: look && ((sessions) => called("load", look(sessions))),
    load: (token) => called("load", store.load(token)),
    create: (id, record) => called("create", store.create(id, record)),
    update: (id, change, record, successor) => called("update", store.update(id, change, record, successor)),
    touch: (id, record) => called("touch", store.touch(id, record)),
    regenerate: (id, newId, record, before, overwritten) =>
      called("regenerate", store.regenerate(id, newId, record, before, overwritten)),
    destroy: (id, record) => called("destroy", store.destroy(id, record))
  })
})

type Asked = <A, E>(
  operation: OwnerOperation,
  effect: Effect.Effect<A, E>
) => Effect.Effect<A, E | SessionStoreError>

/** A store may know how to end an owner's sessions, and not which ones there are. */
const faultyOwners = (owners: SessionOwners, asked: Asked): SessionOwners => ({
  "~effect-session/SessionOwners": "~effect-session/SessionOwners",
  add: (owner, entry, login) => asked("index", owners.add(owner, entry, login)),
  remove: (owner, entry) => asked("index", owners.remove(owner, entry)),
  end: (owner, except) => asked("end", owners.end(owner, except)),
  ...(isIndex(owners) && faultyIndex(owners, asked))
})

/** The services of a store that knows the owners of its sessions. */
export const ownersOf = ({ owners }: SessionStore): Context.Context<never> => {
  if (owners === undefined) return Context.empty()
  const known = Context.make(Owners.SessionOwners, owners)
  return isIndex(owners) ? Context.add(known, Owners.SessionIndex, owners) : known
}

const isIndex = (owners: SessionOwners): owners is SessionOwners & SessionIndex =>
  "~effect-session/SessionIndex" in owners

const faultyIndex = (index: SessionIndex, asked: Asked): SessionIndex => ({
  "~effect-session/SessionIndex": "~effect-session/SessionIndex",
  list: (owner, options) => asked("list", index.list(owner, options)),
  find: (owner, handle) => asked("list", index.find(owner, handle)),
  endOne: (owner, handle) => asked("end", index.endOne(owner, handle))
})
