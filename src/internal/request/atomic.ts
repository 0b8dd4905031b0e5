/**
 * The session of an atomic part of a handler: the part works on a copy, and its changes are applied to the session only
 * if it succeeds.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import {
  SessionClosedError,
  type SessionConflictError,
  type SessionStoreError,
  type SessionValueError
} from "../../SessionError.ts"
import type { CommitFailure, Committed } from "./committing.ts"
import * as Operation from "./operations.ts"
import { type Indexed, RequestSession, type Step } from "./requestSession.ts"
import type { Id, Phase } from "./state.ts"

export class AtomicSession extends RequestSession {
  readonly #parent: RequestSession
  readonly #phase: Phase
  #hasBegun = false
  #isOver = false

  constructor(parent: RequestSession) {
    super(parent.environment, parent.client, { readonly: parent.isReadonly })
    this.#parent = parent
    this.#phase = parent.phase
    this.steps = []
  }

  override get parent(): RequestSession {
    return this.#parent
  }

  override get phase(): Phase {
    return this.#isOver ? "closed" : this.#parent.phase
  }

  override get isInitiated(): boolean {
    return this.#parent.isInitiated
  }

  override get isReady(): boolean {
    return this.#hasBegun
  }

  override readyIn(fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<void, SessionStoreError> {
    if (this.#hasBegun) return Exit.void
    return Effect.flatMapEager(this.#parent.readyIn(fiber), () => this.#begin())
  }

  #begin(): Effect.Effect<void> {
    // Another fiber may have been faster.
    if (!this.#hasBegun) this.begin(this.#parent.loaded)
    this.#hasBegun = true
    return Exit.void
  }

  // An entry in the index stays, even if the steps fail.
  override get indexed(): Indexed | undefined {
    return this.#parent.indexed
  }

  override set indexed(indexed: Indexed | undefined) {
    this.#parent.indexed = indexed
  }

  override identify(id: Id): void {
    this.update((state) => Operation.identified(state, id))
  }

  override rollback(): Effect.Effect<void> {
    this.steps = []
    return super.rollback()
  }

  /** Commits the changes so far, together with all earlier ones. If that fails, none of them are kept. */
  override commit(clock: Clock.Clock): Effect.Effect<Committed, CommitFailure | SessionClosedError> {
    const steps = [...this.steps!]
    return Effect.onExitPrimitive(this.#parent.commitWith(this.tried(steps), clock), (exit) => {
      if (Exit.isSuccess(exit)) this.#goOn(this.steps!.slice(steps.length))
      return undefined
    })
  }

  /** These steps, with what must hold after them, if anything. */
  protected tried(steps: ReadonlyArray<Step>): ReadonlyArray<Step> {
    return steps
  }

  /** Changes of other fibers in the meantime are left for the next commit. */
  #goOn(steps: ReadonlyArray<Step>): void {
    this.begin(this.#parent.loaded)
    this.steps = []
    this.take(steps)
  }

  /** The part has succeeded. */
  succeed(): Effect.Effect<void, SessionClosedError | SessionValueError | SessionConflictError> {
    this.#isOver = true
    const steps = this.steps!
    if (steps.length === 0) return Exit.void
    if (this.#parent.phase !== this.#phase) return Effect.fail(new SessionClosedError({ operation: "atomic" }))
    return this.#parent.take(steps)
  }

  /** The part has failed. */
  fail(): void {
    this.#isOver = true
  }
}
