/**
 * Waits for sessions to end. An end in this process is noticed immediately; for other servers, one fiber polls the
 * store for all waiting callers.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { SessionEvent } from "../../SessionEvent.ts"
import type { SessionStore, Watched } from "../../SessionStore.ts"
import * as Meta from "../record/meta.ts"
import { Id } from "../token/secret.ts"
import type { Environment } from "./environment.ts"
import type { Listeners } from "./events.ts"
import type { Stored } from "./state.ts"

/** How many sessions are checked together. */
const batch = 1_000

/** The minimum interval between checks, however often sessions are extended. */
const leastEvery = Duration.seconds(1)

/** What happened to a session: it has ended, or it has a new id. */
export type End = "ended" | "renewed"

export interface Waiting {
  /** The latest moment at which it can still be alive. */
  readonly until: number
  /** Whether the session is watched on under its new id, if it gets one. */
  readonly follows: boolean
}

interface Watcher extends Waiting {
  /** The session's current state. */
  session: Watched
  readonly over: Deferred.Deferred<End>
}

class Watchers {
  readonly #store: SessionStore
  readonly #listeners: Listeners
  readonly #every: Duration.Duration
  readonly #byHandle = new Map<string, Set<Watcher>>()
  #looking: Fiber.Fiber<unknown> | undefined

  constructor({ listeners, settings, store }: Environment & { readonly store: SessionStore }) {
    this.#store = store
    this.#listeners = listeners
    this.#every = Duration.max(settings.touchEvery, leastEvery)
  }

  /** Waits until the session has ended. */
  wait(session: Watched, waiting: Waiting): Effect.Effect<End> {
    return Effect.acquireUseRelease(
      Effect.withFiber((fiber) => {
        const watcher = { ...waiting, session, over: Deferred.makeUnsafe<End>() }
        this.#add(watcher)
        this.#begin(fiber.getRef(Clock.Clock))
        return Effect.succeed(watcher)
      }),
      ({ over }) => Deferred.await(over),
      (watcher) => {
        this.#remove(watcher)
        return Exit.void
      }
    )
  }

  #add(watcher: Watcher): void {
    const handle = handleOf(watcher.session)
    const watchers = this.#byHandle.get(handle)
    if (watchers === undefined) this.#byHandle.set(handle, new Set([watcher]))
    else watchers.add(watcher)
  }

  #remove(watcher: Watcher): void {
    const handle = handleOf(watcher.session)
    const watchers = this.#byHandle.get(handle)
    watchers?.delete(watcher)
    if (watchers?.size === 0) this.#byHandle.delete(handle)
    if (this.#byHandle.size > 0) return
    this.#listeners.remove(this.#hear)
    this.#looking?.interruptUnsafe()
    this.#looking = undefined
  }

  // Not in the context of the first caller: that would keep its request in memory, or use its transaction.
  #begin(clock: Clock.Clock): void {
    if (this.#looking !== undefined) return
    this.#listeners.add(this.#hear)
    const look = Effect.andThen(Effect.sleep(this.#every), Effect.ignoreCause(this.#look))
    this.#looking = Effect.runForkWith(Context.make(Clock.Clock, clock))(Effect.forever(look))
  }

  readonly #hear = (event: SessionEvent, now: Watched | undefined): boolean => {
    if (event._tag === "Destroyed") this.#end(event.handle)
    if (event._tag === "Regenerated" && now !== undefined) this.#renew(event.previousHandle, now)
    return true
  }

  #end(handle: string): void {
    for (const { over } of this.#taken(handle)) Deferred.doneUnsafe(over, ended)
  }

  #renew(handle: string, session: Watched): void {
    for (const watcher of this.#taken(handle)) {
      if (watcher.follows) {
        watcher.session = session
        this.#add(watcher)
      } else {
        Deferred.doneUnsafe(watcher.over, renewed)
      }
    }
  }

  #taken(handle: string): Iterable<Watcher> {
    const watchers = this.#byHandle.get(handle)
    this.#byHandle.delete(handle)
    return watchers ?? []
  }

  /** If the store fails, nothing is known, so no session counts as ended. */
  get #look(): Effect.Effect<void, unknown> {
    return Effect.gen({ self: this }, function*() {
      const now = yield* Clock.currentTimeMillis
      const all = [...this.#byHandle.values()].flatMap((watchers) => [...watchers])
      for (const { over, until } of all) if (now >= until) Deferred.doneUnsafe(over, ended)
      const sessions = [...new Map(all.map(({ session }) => [session.key, session])).values()]
      const { look } = this.#store
      if (look === undefined) return
      for (let at = 0; at < sessions.length; at += batch) {
        const some = sessions.slice(at, at + batch)
        const current = yield* look(some)
        for (const session of some) this.#seen(session, current.get(session.key))
      }
    })
  }

  #seen(session: Watched, key: string | undefined): void {
    if (key === undefined) this.#end(handleOf(session))
    else if (key !== session.key) this.#renew(handleOf(session), { ...session, key })
  }
}

const ended = Exit.succeed<End>("ended")
const renewed = Exit.succeed<End>("renewed")

const handleOf = ({ key }: Watched): string => Id.ofKey(key).handle

/** Waits until the session has ended, or has a new id if that is not followed. */
export const untilOver = (environment: Environment, session: Watched, waiting: Waiting): Effect.Effect<End> => {
  const { listeners, store } = environment
  if (store === undefined) return ended
  let watchers = known.get(listeners)
  if (watchers === undefined) known.set(listeners, watchers = new Watchers({ ...environment, store }))
  return watchers.wait(session, waiting)
}

/** The form in which the store is asked for it. */
export const watchedOf = ({ id: { key }, record: { fields } }: Stored): Watched => ({
  key,
  owner: fields.get(Meta.owner)
})

const known = new WeakMap<Listeners, Watchers>()
