/**
 * A time limit that holds everywhere: also where the caller can't be interrupted, as while a response is being sent, and
 * also when what it waits for can't be. `Effect.timeout` waits for ever in both cases.
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
    // All in one step, as the caller may be interrupted between two.
    Effect.callback<A, E | E2, R>((resume) => {
      const parent = caller()
      // A fiber of its own, which can be interrupted even if the caller can't.
      const fiber = Effect.runForkWith(parent.context)(self as Effect.Effect<A, E>)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return resume(exit)
      const watch = watches.of(parent)
      const waiting = new Hanging(() => {
        // Before the interruption, whose exit would otherwise be the answer.
        resume(Effect.fail(onTimeout()))
        // Not awaited: what hangs may not let itself be interrupted either.
        fiber.interruptUnsafe()
      })
      watch.begin(parent, waiting)
      const end = () => {
        watch.end(waiting)
        // With nobody to watch over, it would only keep the process from ending.
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

/** The fiber that runs this. `Effect.withFiber` would be one step more around each call. */
const caller = () => Fiber.getCurrent()!

class Hanging extends Waiting {
  readonly expire: () => void

  constructor(expire: () => void) {
    super()
    this.expire = expire
  }
}

/** How something is asked that answers with a promise, and what becomes of the answer. */
export interface Calls<Question, Answer, A, E> {
  readonly ask: (question: Question, clock: Clock.Clock) => Promise<Answer>
  readonly read: (answer: Answer) => A
  readonly failed: (cause: unknown) => Exit.Exit<A, E>
  readonly timedOut: () => E
  /** After a failure, something else to try within the same limit. */
  readonly again?: (cause: unknown, question: Question, clock: Clock.Clock) => Promise<Answer> | undefined
}

/** Made once for each kind of call, so that a call itself is its question and little else. */
export type LimitCalls = <Question, Answer, A, E>(
  calls: Calls<Question, Answer, A, E>
) => (question: Question) => Effect.Effect<A, E>

/**
 * For promises, which takes no fiber for each. The watch stays for a while when nobody waits any more, but not after the
 * scope.
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

/** One object, where closures would be six: it is made for each command that a store sends. */
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

/** Why a call has failed that took longer. */
export const noAnswer = (limit: Duration.Duration): Error => new Error(`No answer within ${Duration.format(limit)}`)
