/**
 * Publishes session events to subscribers in this process. Publishing never waits: each subscriber has its own buffer,
 * and events that do not fit are counted and dropped.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { Destroyed, EndedBy, Rejection, SessionEvent } from "../../SessionEvent.ts"
import type { SessionIndex, SessionOwners } from "../../SessionOwners.ts"
import type { SessionStore, Watched } from "../../SessionStore.ts"
import * as Meta from "../record/meta.ts"
import * as Owner from "../record/owner.ts"
import type { Fields, SessionRecord } from "../record/record.ts"
import { Id } from "../token/secret.ts"
import type { Intent } from "./intent.ts"
import * as Observability from "./observability.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** The size of a subscriber's buffer. */
export const bufferSize = 1_024

/** A token without a session. */
export interface Refused {
  readonly reason: Rejection
  readonly id?: Id | undefined
  readonly record?: SessionRecord | undefined
}

/**
 * Receives an event and, for a regenerated session, its current state. Returns `false` if there is no room for it. It
 * must not fail.
 */
export type Listener = (event: SessionEvent, now: Watched | undefined) => boolean

/** The subscribers to the events of one store. Check for subscribers first: without any, no event is created. */
export class Listeners {
  readonly #listeners = new Set<Listener>()
  /** The handles of the latest sessions that have ended, so that each end is published once. */
  readonly #ended = new Set<string>()

  get areThere(): boolean {
    return this.#listeners.size > 0
  }

  /** The events from the time the stream starts until it ends. */
  get events(): Stream.Stream<SessionEvent> {
    const listening = Effect.acquireRelease(
      Effect.map(Queue.dropping<SessionEvent>(bufferSize), (queue) => {
        const listener: Listener = (event) => Queue.offerUnsafe(queue, event)
        this.add(listener)
        return { queue, listener }
      }),
      ({ listener, queue }) => {
        this.remove(listener)
        return Queue.shutdown(queue)
      }
    )
    return Stream.unwrap(Effect.map(listening, ({ queue }) => Stream.fromQueue(queue)))
  }

  add(listener: Listener): void {
    this.#listeners.add(listener)
  }

  remove(listener: Listener): void {
    this.#listeners.delete(listener)
  }

  /**
   * The store has carried out an intent, and `id` is the session's current id. `by` is who ended it, if it has ended.
   */
  committed(intent: Intent, id: Id, by: EndedBy, fiber: AnyFiber): void {
    const { record: { fields } } = intent
    switch (intent.operation) {
      case "create":
        return this.#created(id, fields, fiber)
      case "regenerate":
        if (intent.overwritten === "ended") {
          this.destroyed({ handle: intent.id.handle, owner: ownerIn(intent.before), by }, fiber)
          return this.#created(id, fields, fiber)
        }
        return this.#tell(
          {
            _tag: "Regenerated",
            handle: id.handle,
            previousHandle: intent.id.handle,
            owner: ownerIn(fields),
            previousOwner: ownerIn(intent.before),
            at: now(fiber)
          },
          fiber,
          { key: id.key, owner: fields.get(Meta.owner) }
        )
      case "destroy":
        return this.destroyed({ handle: id.handle, owner: ownerIn(fields), by }, fiber)
    }
  }

  #created({ handle }: Id, fields: Fields, fiber: AnyFiber): void {
    this.#tell({ _tag: "Created", handle, owner: ownerIn(fields), at: now(fiber) }, fiber)
  }

  /** A session has ended. */
  destroyed(ended: Omit<Destroyed, "_tag" | "at">, fiber: AnyFiber): void {
    remember(this.#ended, ended.handle)
    this.#tell({ _tag: "Destroyed", ...ended, at: now(fiber) }, fiber)
  }

  /** A session has expired, which may already have been published. */
  expired(id: Id, fields: Fields, fiber: AnyFiber): boolean {
    if (this.#ended.has(id.handle)) return false
    this.destroyed({ handle: id.handle, owner: ownerIn(fields), by: "expiry" }, fiber)
    return true
  }

  /** A client presented a token without a session. */
  rejected({ id, reason, record }: Refused, fiber: AnyFiber): void {
    if (reason === "expired" && id && record && this.expired(id, record.fields, fiber)) return
    const handle = Option.map(Option.fromUndefinedOr(id), ({ handle }) => handle)
    const owner = record === undefined ? Option.none() : ownerIn(record.fields)
    this.#tell({ _tag: "Rejected", reason, handle, owner, at: now(fiber) }, fiber)
  }

  #tell(event: SessionEvent, fiber: AnyFiber, now?: Watched): void {
    for (const listener of this.#listeners) {
      if (!listener(event, now)) Observability.count(Observability.droppedEvents[event._tag], fiber)
    }
  }
}

/**
 * The subscribers of a store, or of its operations on owners: they receive everything that is done with it in this
 * process.
 */
export const listenersOf = (store: SessionStore | SessionOwners | SessionIndex): Listeners => {
  const key = ("owners" in store ? store.owners : undefined) ?? store
  const known = listeners.get(key)
  if (known !== undefined) return known
  const made = new Listeners()
  listeners.set(key, made)
  return made
}

const listeners = new WeakMap<SessionStore | SessionOwners | SessionIndex, Listeners>()

/** Sessions of an owner, given by their keys, were ended by someone else. */
export const ended = (
  listeners: Listeners,
  owner: string,
  keys: ReadonlyArray<string>,
  by: (key: string) => EndedBy
): Effect.Effect<void> =>
  keys.length === 0 ? Exit.void : Effect.withFiber((fiber) => {
    Observability.count(Observability.revocations, fiber, keys.length)
    if (!listeners.areThere) return Exit.void
    for (const key of keys) {
      listeners.destroyed({ handle: Id.ofKey(key).handle, owner: Option.some(owner), by: by(key) }, fiber)
    }
    return Exit.void
  })

const now = (fiber: AnyFiber): DateTime.Utc => DateTime.makeUnsafe(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe())

/** Keeps as many as fit into a subscriber's buffer, and drops the oldest. */
const remember = (handles: Set<string>, handle: string): void => {
  handles.add(handle)
  if (handles.size > bufferSize) handles.delete(handles.values().next().value!)
}

const ownerIn = (fields: Fields): Option.Option<string> =>
  Option.map(Option.fromUndefinedOr(Owner.of(fields)), ({ id }) => id)
