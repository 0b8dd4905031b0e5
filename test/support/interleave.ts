/**
 * Every order in which the steps of two programs can happen. A step is a call of a back end: each program has one of its own,
 * which waits at every call until it is its turn.
 */
import { Deferred, Effect, Exit, type Fiber } from "effect"
import type { SessionStore } from "effect-session"

export type Name = "A" | "B"

export interface Run {
  /** The steps in their order: `"A add"` is a call of `add` by the program A. */
  readonly steps: ReadonlyArray<string>
  readonly exits: Readonly<Record<Name, Exit.Exit<unknown, unknown>>>
}

/** What one of the programs does, given its back end. */
export type Program<Target = SessionStore.Backend> = (backend: Target) => Effect.Effect<unknown, unknown>

export type Programs<Target = SessionStore.Backend> = Readonly<Record<Name, Program<Target>>>

/** Has its turn before the call of that name. */
export type Step = <A, E>(call: Effect.Effect<A, E>, name: string) => Effect.Effect<A, E>

class Turns {
  readonly waiting: Array<{ readonly call: string; readonly turn: Deferred.Deferred<void> }> = []
  /** Where it stops for good, as after a crash. */
  readonly stopsAt: number
  steps = 0
  /** Calls that have begun and not ended. */
  underway = 0

  constructor(stopsAt: number) {
    this.stopsAt = stopsAt
  }

  /** Waits for its turn before the call. */
  readonly step: Step = (call, name) =>
    Effect.suspend(() => {
      if (this.steps++ === this.stopsAt) return Effect.never
      const turn = Deferred.makeUnsafe<void>()
      this.waiting.push({ call: name, turn })
      return Effect.andThen(Deferred.await(turn), Effect.ensuring(call, Effect.sync(() => void this.underway--)))
    })
}

const methods = ["load", "create", "update", "touch", "supersede", "regenerate", "destroy", "peek"] as const
const indexMethods = ["add", "list", "remove", "bury"] as const

type AnyCall = (...parameters: ReadonlyArray<never>) => Effect.Effect<unknown, unknown>

/** The same back end, with each of its calls as `step` has it. */
export const stepwise = (backend: SessionStore.Backend, step: Step): SessionStore.Backend => {
  const wrap = (target: object, names: ReadonlyArray<string>) =>
    Object.fromEntries(
      names.filter((name) => name in target).map((name) => {
        const call = Reflect.get(target, name) as AnyCall
        return [name, (...parameters: ReadonlyArray<never>) => step(Effect.suspend(() => call(...parameters)), name)]
      })
    )
  return {
    ...backend,
    ...wrap(backend, methods),
    ...(backend.owners && { owners: { ...backend.owners, ...wrap(backend.owners, indexMethods) } })
  } as SessionStore.Backend
}

// Between two calls of a back end, a program does nothing that takes more than a turn of the event loop.
const settled = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

const play = Effect.fnUntraced(function*<Target>(
  stepwise: (target: Target, step: Step) => Target,
  backend: Target,
  programs: Programs<Target>,
  wanted: ReadonlyArray<Name>,
  stops: Partial<Record<Name, number>>
) {
  const turns = { A: new Turns(stops.A ?? -1), B: new Turns(stops.B ?? -1) }
  const start = (name: Name) => Effect.forkDetach(programs[name](stepwise(backend, turns[name].step)))
  const fibers = { A: yield* start("A"), B: yield* start("B") }
  const order: Array<Name> = []
  const steps: Array<string> = []
  const choices: Array<number> = []
  for (;;) {
    // What has been allowed happens before anything else is.
    yield* untilIdle(turns.A, fibers.A, turns.B, fibers.B)
    const ready = (["A", "B"] as const).filter((name) => turns[name].waiting.length > 0)
    if (ready.length === 0) break
    if (ready.length === 2) choices.push(order.length)
    const next = ready.length === 2 ? wanted[order.length] ?? "A" : ready[0]!
    order.push(next)
    const { call, turn } = turns[next].waiting.shift()!
    steps.push(`${next} ${call}`)
    turns[next].underway++
    yield* Deferred.succeed(turn, undefined)
  }
  const exitOf = (fiber: Fiber.Fiber<unknown, unknown>): Exit.Exit<unknown, unknown> =>
    fiber.pollUnsafe() ?? Exit.fail("stopped")
  const exits = { A: exitOf(fibers.A), B: exitOf(fibers.B) }
  fibers.A.interruptUnsafe()
  fibers.B.interruptUnsafe()
  const run: Run = { steps, exits }
  return { run, order, choices }
})

/** Until each program waits, has ended, or has stopped. */
const untilIdle = Effect.fnUntraced(function*(
  a: Turns,
  fiberA: Fiber.Fiber<unknown, unknown>,
  b: Turns,
  fiberB: Fiber.Fiber<unknown, unknown>
) {
  const isIdle = (turns: Turns, fiber: Fiber.Fiber<unknown, unknown>) =>
    turns.underway === 0 &&
    (turns.waiting.length > 0 || fiber.pollUnsafe() !== undefined ||
      turns.stopsAt >= 0 && turns.steps > turns.stopsAt)
  do {
    yield* settled
  } while (!isIdle(a, fiberA) || !isIdle(b, fiberB))
})

/** Which orders there are, and where a program stops for good, as after a crash. */
export interface Options {
  /** If there are more, so many of them, by chance. */
  readonly atMost?: number | undefined
  /** After so many of its steps. */
  readonly stops?: Partial<Record<Name, number>>
}

type Test<Target, E, R> = (
  play: (backend: Target, programs: Programs<Target>) => Effect.Effect<Run>
) => Effect.Effect<void, E, R>

/** Runs the test for each order, one after the other; the answer is how many there were. */
export const everyOrder = <E, R>(test: Test<SessionStore.Backend, E, R>, options?: Options) =>
  everyOrderOf(stepwise, test, options)

/** As {@link everyOrder}, of programs on something else than a back end. */
export const everyOrderOf = Effect.fnUntraced(function*<Target, E, R>(
  stepwise: (target: Target, step: Step) => Target,
  test: Test<Target, E, R>,
  { atMost = Infinity, stops = {} }: Options = {}
) {
  let wanted: ReadonlyArray<Name> | undefined = []
  let count = 0
  while (wanted !== undefined && count < atMost) {
    const current: ReadonlyArray<Name> = wanted
    wanted = undefined
    yield* test((backend, programs) =>
      Effect.map(play(stepwise, backend, programs, current, stops), ({ choices, order, run }) => {
        // The last choice that can be made in the other way.
        const last = choices.findLast((at) => order[at] === "A")
        if (atMost < Infinity) wanted = byChance()
        else if (last !== undefined) wanted = [...order.slice(0, last), "B"]
        return run
      })
    )
    count++
  }
  return count
})

const byChance = (): ReadonlyArray<Name> => Array.from({ length: 50 }, () => Math.random() < 0.5 ? "A" : "B")
