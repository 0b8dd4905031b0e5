/**
 * A time limit that always holds, even if the caller can't be interrupted (as while a response is being sent), or if the effect
 * can't. `Effect.timeout` waits forever in both cases.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { Waiting, type Watch, Watches } from "./watch.ts"

/** For any effect. */
export type TimeLimit = <A, E, E2, R>(
  self: Effect.Effect<A, E, R>,
  onTimeout: () => E2
) => Effect.Effect<A, E | E2, R>

export const make = (limit: Duration.Duration): TimeLimit => {
  if (!Duration.isFinite(limit)) return (self) => self
  const watches = new Watches(limit)
  return <A, E, E2, R>(self: Effect.Effect<A, E, R>, onTimeout: () => E2) =>
    // All in one step, because the caller may be interrupted between two.
    Effect.callback<A, E | E2, R>((resume) => {
      const parent = caller()
      // A separate fiber, which can be interrupted even if the caller can't.
      const fiber = Effect.runForkWith(parent.context)(self as Effect.Effect<A, E>)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return resume(exit)
      const watch = watches.of(parent)
      const waiting = new Hanging(() => {
        // Before the interruption, or its exit would be the answer.
        resume(Effect.fail(onTimeout()))
        // Not awaited: an effect that hangs may ignore the interruption too.
        fiber.interruptUnsafe()
      })
      watch.begin(parent, waiting)
      const end = () => {
        watch.end(waiting)
        // With nothing to watch, it would only keep the process alive.
        watch.stopIfIdle()
      }
      fiber.addObserver((exit) => {
        end()
        resume(exit)
      })
      return Effect.sync(() => {
        end()
        fiber.interruptUnsafe()
      })
    })
}

/** The current fiber. `Effect.withFiber` would add a step to each call. */
const caller = () => Fiber.getCurrent()!

class Hanging extends Waiting {
  readonly expire: () => void

  constructor(expire: () => void) {
    super()
    this.expire = expire
  }
}

/** How to make a call that returns a promise, and how to handle its result. */
export interface Calls<Question, Answer, A, E> {
  readonly ask: (question: Question, clock: Clock.Clock) => Promise<Answer>
  readonly read: (answer: Answer) => A
  readonly failed: (cause: unknown) => Exit.Exit<A, E>
  readonly timedOut: () => E
  /** What to try after a failure, within the same limit. */
  readonly again?: (cause: unknown, question: Question, clock: Clock.Clock) => Promise<Answer> | undefined
}

/** Created once for each kind of call, so that a call allocates little. */
export type LimitCalls = <Question, Answer, A, E>(
  calls: Calls<Question, Answer, A, E>
) => (question: Question) => Effect.Effect<A, E>

/**
 * For promises: it needs no fiber for each call. The watch continues for a while after the last call, but not after the
 * scope is closed.
 */
export const makeForPromises = (limit: Duration.Duration) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Watches(limit)),
      (watches) => Effect.sync(() => watches.stopIfIdle())
    ),
    (watches): LimitCalls => <Question, Answer, A, E>(calls: Calls<Question, Answer, A, E>) => (question: Question) =>
      Effect.callback<A, E>((resume) => {
        const fiber = caller()
        const watch = watches.of(fiber)
        const call = new Call(calls, question, watch, resume)
        watch.begin(fiber, call)
        call.start()
      })
  )

/** One object instead of six closures, because it is created for each command of a store. */
class Call<Question, Answer, A, E> extends Waiting {
  readonly #calls: Calls<Question, Answer, A, E>
  readonly #question: Question
  readonly #watch: Watch
  readonly #resume: (exit: Exit.Exit<A, E>) => void
  #isOver = false

  constructor(
    calls: Calls<Question, Answer, A, E>,
    question: Question,
    watch: Watch,
    resume: (exit: Exit.Exit<A, E>) => void
  ) {
    super()
    this.#calls = calls
    this.#question = question
    this.#watch = watch
    this.#resume = resume
  }

  start(): void {
    try {
      this.#calls.ask(this.#question, this.#watch.clock).then(
        (answer) => this.#succeed(answer),
        (cause) => this.#tryAgain(cause)
      )
    } catch (cause) {
      this.#tryAgain(cause)
    }
  }

  expire(): void {
    this.#isOver = true
    this.#resume(Exit.fail(this.#calls.timedOut()))
  }

  #tryAgain(cause: unknown): void {
    try {
      const another = this.#isOver ? undefined : this.#calls.again?.(cause, this.#question, this.#watch.clock)
      if (another === undefined) this.#fail(cause)
      else another.then((answer) => this.#succeed(answer), (cause) => this.#fail(cause))
    } catch (cause) {
      this.#fail(cause)
    }
  }

  #succeed(answer: Answer): void {
    let exit: Exit.Exit<A, E>
    try {
      exit = Exit.succeed(this.#calls.read(answer))
    } catch (defect) {
      exit = Exit.die(defect)
    }
    this.#end(exit)
  }

  #fail(cause: unknown): void {
    this.#end(this.#calls.failed(cause))
  }

  #end(exit: Exit.Exit<A, E>): void {
    this.#watch.end(this)
    this.#resume(exit)
  }
}

/** Why a call failed that took too long. */
export const noAnswer = (limit: Duration.Duration): Error => new Error(`No answer within ${Duration.format(limit)}`)
