/**
 * A store that a test watches and disturbs, as `SessionTest.layerFaults` does, but from outside of all Effects: it counts the
 * calls of each operation, and makes one fail, hang or wait.
 */
import { Deferred, Effect, Layer, Schema } from "effect"
import { MemoryLayer, SessionError, SessionStore } from "effect-session"
import type { SessionConfig } from "effect-session"
import type * as SessionTest from "effect-session/SessionTest"
import type * as Scope from "effect/Scope"
import * as FaultyStore from "../../src/internal/testing/faultyStore.ts"
import { basicRoutes, type Gate } from "./routes.ts"
import { cookieOf, type Options, type Routes, serve, type StoreLayer } from "./server.ts"

export type Operation = SessionError.StoreOperation

export const operations = SessionError.StoreOperation.literals

const isOperation = Schema.is(SessionError.StoreOperation)

/** What a driver's client may say when it fails; nobody outside shall read it. */
export const breakdown = "ECONNREFUSED redis://operator:hunter2@10.0.0.5:6379"

export interface WatchedStore {
  readonly layer: StoreLayer
  /** The operations that were called, in order. */
  readonly calls: ReadonlyArray<Operation>
  /** The calls since the last time it was asked. */
  readonly newCalls: () => ReadonlyArray<Operation>
  /** What happens before an operation from now on; the Effect waits for the next call of it. */
  readonly before: (operation: Operation, effect: Effect.Effect<void, unknown>) => Effect.Effect<void>
  readonly fails: (operation: Operation) => void
  /** The next call of the operation waits until it is released. */
  readonly holds: (operation: Operation) => Gate
  /** Nothing is disturbed any more. */
  readonly works: () => void
}

type MakeStore = Effect.Effect<
  SessionStore.SessionStore,
  SessionError.SessionConfigError,
  SessionConfig.SessionConfig | Scope.Scope
>

/** Watches a store, by default one in memory. */
export const watchStore = (store: MakeStore = MemoryLayer.make()): WatchedStore => {
  const calls: Array<Operation> = []
  const disturbances = new Map<Operation, Effect.Effect<void, unknown>>()
  let seen = 0

  const called = (operation: SessionTest.Operation) =>
    Effect.suspend(() => {
      if (!isOperation(operation)) return Effect.void
      calls.push(operation)
      return disturbances.get(operation) ?? Effect.void
    })

  const before: WatchedStore["before"] = (operation, effect) => {
    const reached = Deferred.makeUnsafe<void>()
    disturbances.set(operation, Effect.andThen(Deferred.succeed(reached, undefined), effect))
    return Deferred.await(reached)
  }

  const holds: WatchedStore["holds"] = (operation) => {
    const released = Deferred.makeUnsafe<void>()
    const hold = Effect.suspend(() => {
      disturbances.delete(operation)
      return Deferred.await(released)
    })
    return { reached: before(operation, hold), release: Effect.asVoid(Deferred.succeed(released, undefined)) }
  }

  return {
    layer: Layer.effect(
      SessionStore.SessionStore,
      Effect.flatMap(store, (store) => FaultyStore.make(store, { before: called, after: () => Effect.void }))
    ),
    calls,
    newCalls: () => {
      const since = calls.slice(seen)
      seen = calls.length
      return since
    },
    before,
    fails: (operation) => void before(operation, Effect.fail(new Error(breakdown))),
    holds,
    works: () => disturbances.clear()
  }
}

export interface WatchedOptions extends Omit<Options, "store"> {
  /** By default one in memory. */
  readonly store?: WatchedStore
}

/** Serves routes beside the basic ones with a store that is watched, and begins a session that has counted to one. */
export const serveWatched = Effect.fnUntraced(
  function*(routes: Routes = basicRoutes, { store = watchStore(), ...options }: WatchedOptions = {}) {
    const server = yield* serve(Layer.mergeAll(basicRoutes, routes), { ...options, store: store.layer })
    const cookie = cookieOf(yield* server.post("/count"))
    store.newCalls()
    return { cookie, server, store }
  }
)

/** A store on a Map that counts what reaches its back end. */
export const countedBackend = () => {
  const values = new Map<string, Parameters<SessionStore.Driver["write"]>[1]>()
  const calls: Array<string> = []
  const counted = <A>(name: string, f: () => A) =>
    Effect.sync(() => {
      calls.push(name)
      return f()
    })
  const layer: StoreLayer = Layer.effect(
    SessionStore.SessionStore,
    SessionStore.fromDriver({
      read: (id) => counted("read", () => values.get(id)),
      write: (id, session) => counted("write", () => void values.set(id, session)),
      destroy: (id) => counted("destroy", () => void values.delete(id)),
      touch: (id, session) => counted("touch", () => void values.set(id, session))
    })
  )
  return { layer, calls, values }
}
