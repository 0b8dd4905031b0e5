/**
 * The session of a part of a handler that counts as a whole: it works on a copy, and only if it succeeds, what it has done
 * is done to the session itself.
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
import type { Rewrite } from "../record/draft.ts"
import type { CommitFailure, Committed } from "./committing.ts"
import * as Operation from "./operations.ts"
import { RequestSession, type Step } from "./requestSession.ts"
import type { Id, Loaded, Phase } from "./state.ts"

export class AtomicSession extends RequestSession {
  readonly #parent: RequestSession
  readonly #phase: Phase
  readonly #steps: Array<Step> = []
  #hasBegun = false
  #isOver = false

  constructor(parent: RequestSession) {
    super(parent.environment, parent.client, { readonly: parent.isReadonly })
    this.#parent = parent
    this.#phase = parent.phase
  }

  override get phase(): Phase {
    return this.#isOver ? "closed" : this.#parent.phase
  }

  override get isInitiated(): boolean {
    return this.#parent.isInitiated
  }

  override readyIn(fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<void, SessionStoreError> {
    if (this.#hasBegun) return Exit.void
    return Effect.flatMapEager(this.#parent.readyIn(fiber), () => this.#begin())
  }

  #begin(): Effect.Effect<void> {
    // Another fiber may have been quicker.
    if (!this.#hasBegun) this.begin(this.#parent.loaded)
    this.#hasBegun = true
    return Exit.void
  }

  override update(f: (state: Loaded) => Loaded): Effect.Effect<void> {
    this.#steps.push((session) => {
      session.update(f)
      return Exit.void
    })
    return super.update(f)
  }

  override rewritten(field: string, rewrite: Rewrite, text: string | undefined): Effect.Effect<void> {
    this.#steps.push((session) => session.rewrite(field, rewrite))
    return super.update((state) => Operation.rewritten(state, field, rewrite, text))
  }

  override identify(id: Id): void {
    this.update((state) => Operation.identified(state, id))
  }

  override take(steps: ReadonlyArray<Step>): ReturnType<Step> {
    const before = this.#steps.length
    const taken = super.take(steps)
    if (Exit.isFailure(taken)) this.#steps.length = before
    return taken
  }

  override rollback(): Effect.Effect<void> {
    this.#steps.length = 0
    return super.rollback()
  }

  /** What is done so far counts, with all that was done before. */
  override commit(clock: Clock.Clock): Effect.Effect<Committed, CommitFailure> {
    const taken = this.#parent.take(this.#steps)
    if (Exit.isFailure(taken)) return Exit.failCause(taken.cause)
    this.#steps.length = 0
    return Effect.onExitPrimitive(this.#parent.commit(clock), () => {
      this.begin(this.#parent.loaded)
      return undefined
    })
  }

  /** It has succeeded. */
  succeed(): Effect.Effect<void, SessionClosedError | SessionValueError | SessionConflictError> {
    this.#isOver = true
    if (this.#steps.length === 0) return Exit.void
    if (this.#parent.phase !== this.#phase) return Effect.fail(new SessionClosedError({ operation: "atomic" }))
    return this.#parent.take(this.#steps)
  }

  /** It has failed. */
  fail(): void {
    this.#isOver = true
  }
}
