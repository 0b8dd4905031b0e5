/**
 * The time limit of store calls: it holds where interruption is not possible, and cuts nothing in half.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as TimeLimit from "../../src/internal/concurrency/timeLimit.ts"

const limit = Duration.seconds(5)
const late = () => "too late" as const

const within = <A, E>(self: Effect.Effect<A, E>, limit: Duration.Duration, onTimeout: () => string) =>
  TimeLimit.make(limit)(self, onTimeout)

/** Something that goes on until it is released, and what became of it. */
const job = Effect.gen(function*() {
  const started = yield* Deferred.make<void>()
  const released = yield* Deferred.make<string, string>()
  const ended = yield* Deferred.make<Exit.Exit<string, string>>()
  const run = Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(released)).pipe(
    Effect.onExit((exit) => Deferred.succeed(ended, exit))
  )
  return { started: Deferred.await(started), released, ended: Deferred.await(ended), run }
})

describe("within the limit", () => {
  it.effect("the answer is the answer, whether it comes at once or later", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* within(Effect.succeed("now"), limit, late), "now")
      assert.strictEqual(yield* Effect.flip(within(Effect.fail("down"), limit, late)), "down")
      const { released, run, started } = yield* job
      const fiber = yield* Effect.forkChild(within(run, limit, late))
      yield* started
      yield* TestClock.adjust("4999 millis")
      yield* Deferred.succeed(released, "later")
      assert.strictEqual(yield* Fiber.join(fiber), "later")
    }))

  it.effect("a defect stays a defect, and an error an error", () =>
    Effect.gen(function*() {
      const exits = [
        yield* Effect.exit(within(Effect.die("bug"), limit, late)),
        yield* Effect.exit(within(Effect.andThen(Effect.yieldNow, Effect.die("bug")), limit, late)),
        yield* Effect.exit(within(Effect.andThen(Effect.yieldNow, Effect.fail("down")), limit, late)),
        yield* Effect.exit(within(
          Effect.suspend((): Effect.Effect<void> => {
            throw new Error("bug")
          }),
          limit,
          late
        ))
      ]
      assert.deepStrictEqual(exits.slice(0, 3), [Exit.die("bug"), Exit.die("bug"), Exit.fail("down")])
      assert.isTrue(Exit.hasDies(exits[3]!))
    }))

  it.effect("leaves no timer behind", () =>
    Effect.gen(function*() {
      let timedOut = 0
      const counting = () => {
        timedOut++
        return "too late"
      }
      const answers = Effect.andThen(Effect.yieldNow, Effect.succeed("answer"))
      yield* Effect.replicateEffect(within(answers, limit, counting), 100)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(timedOut, 0)
    }))

  it.effect("sees the services and the clock of its caller", () =>
    Effect.gen(function*() {
      const Name = Context.Reference("Name", { defaultValue: () => "nobody" })
      yield* TestClock.setTime(12_345)
      const seen = Effect.andThen(Effect.yieldNow, Effect.all([Name, Clock.currentTimeMillis]))
      assert.deepStrictEqual(yield* Effect.provideService(within(seen, limit, late), Name, "Ada"), ["Ada", 12_345])
    }))

  it.effect("is for ever where the limit is never", () =>
    Effect.gen(function*() {
      const { released, run } = yield* job
      const fiber = yield* Effect.forkChild(within(run, Duration.infinity, late))
      yield* TestClock.adjust("10000 days")
      yield* Deferred.succeed(released, "at last")
      assert.strictEqual(yield* Fiber.join(fiber), "at last")
    }))
})

describe("beyond the limit", () => {
  it.effect("fails at the limit and not before, and interrupts what hangs", () =>
    Effect.gen(function*() {
      const { ended, run, started } = yield* job
      const fiber = yield* Effect.forkChild(within(run, limit, late))
      yield* started
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Effect.flip(Fiber.join(fiber)), "too late")
      assert.isTrue(Exit.hasInterrupts(yield* ended))
    }))

  it.effect("fails where the caller can't be interrupted", () =>
    Effect.gen(function*() {
      const { ended, run, started } = yield* job
      const fiber = yield* Effect.forkChild(Effect.uninterruptible(within(run, limit, late)))
      yield* started
      yield* TestClock.adjust(limit)
      assert.strictEqual(yield* Effect.flip(Fiber.join(fiber)), "too late")
      assert.isTrue(Exit.hasInterrupts(yield* ended))
    }))

  it.effect("fails even if what hangs can't be interrupted, which then goes on by itself", () =>
    Effect.gen(function*() {
      const { ended, released, run, started } = yield* job
      const fiber = yield* Effect.forkChild(within(Effect.uninterruptible(run), limit, late))
      yield* started
      yield* TestClock.adjust(limit)
      assert.strictEqual(yield* Effect.flip(Fiber.join(fiber)), "too late")
      yield* Deferred.succeed(released, "nobody listens")
      assert.deepStrictEqual(yield* ended, Exit.succeed("nobody listens"))
    }))

  it.effect("an answer that comes after the limit changes nothing any more", () =>
    Effect.gen(function*() {
      const { released, run, started } = yield* job
      const fiber = yield* Effect.forkChild(Effect.exit(within(Effect.uninterruptible(run), limit, late)))
      yield* started
      yield* TestClock.adjust(limit)
      yield* Deferred.fail(released, "down")
      assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("too late"))
    }))

  it.effect("each call has its own limit, also many at once", () =>
    Effect.gen(function*() {
      const limits = Array.from({ length: 50 }, (_, index) => Duration.millis(index + 1))
      const fibers = yield* Effect.forEach(limits, (limit) =>
        Effect.forkChild(Effect.exit(within(Effect.never, limit, late))))
      yield* Effect.yieldNow
      for (const [index, fiber] of fibers.entries()) {
        assert.isUndefined(fiber.pollUnsafe(), `limit ${index + 1}`)
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("too late"))
      }
    }))
})

/** What hangs ends by the clock of its caller, and not by the one of another caller, which stands still. */
const assertOwnClock = Effect.fnUntraced(function*(hanging: Effect.Effect<unknown, string>) {
  const elsewhere = yield* Effect.forkChild(Effect.provide(hanging, TestClock.layer()), { startImmediately: true })
  assert.strictEqual(yield* Effect.flip(hanging), "too late")
  assert.isUndefined(elsewhere.pollUnsafe())
  yield* Fiber.interrupt(elsewhere)
})

describe("callers with several clocks", () => {
  it.live("do not end each other's calls", () => assertOwnClock(within(Effect.never, Duration.millis(20), late)))
})

describe("a caller that is interrupted", () => {
  it.effect("interrupts the call, and the timer with it", () =>
    Effect.gen(function*() {
      let timedOut = false
      const { ended, run, started } = yield* job
      const fiber = yield* Effect.forkChild(within(run, limit, () => {
        timedOut = true
        return "too late"
      }))
      yield* started
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.hasInterrupts(yield* ended))
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      yield* TestClock.adjust("1 hour")
      assert.isFalse(timedOut)
    }))

  it.effect("while it can't be, as during a commit, does not cut the call in half", () =>
    Effect.gen(function*() {
      const { ended, released, run, started } = yield* job
      const fiber = yield* Effect.forkChild(Effect.uninterruptible(within(run, limit, late)))
      yield* started
      const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* Effect.yieldNow
      assert.isUndefined(fiber.pollUnsafe())
      yield* Deferred.succeed(released, "whole")
      assert.deepStrictEqual(yield* ended, Exit.succeed("whole"))
      yield* Fiber.join(interruption)
    }))
})

describe("the limit of promises", () => {
  const makeForPromises = (limit: Duration.Duration) =>
    Effect.map(TimeLimit.makeForPromises(limit), (limited) =>
    <A, E>(
      start: () => Promise<A>,
      failed: (cause: unknown) => E,
      timedOut: () => E,
      again?: (cause: unknown) => () => Promise<A>
    ) =>
      limited<typeof start, A, A, E>({
        ask: (start) => start(),
        read: (answer) => answer,
        failed: (cause) => Exit.fail(failed(cause)),
        timedOut,
        again: (cause) => again?.(cause)()
      })(start))

  const promising = Effect.fnUntraced(function*<A>(start: () => Promise<A>, limit: Duration.Duration) {
    const limited = yield* makeForPromises(limit)
    return yield* limited(start, (cause) => `failed: ${cause}`, late)
  })

  it.effect("the answer is the answer, whether it is there at once or comes later", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* promising(() => Promise.resolve("now"), limit), "now")
      assert.strictEqual(yield* Effect.flip(promising(() => Promise.reject("down"), limit)), "failed: down")
      const { promise, resolve } = Promise.withResolvers<string>()
      const fiber = yield* Effect.forkChild(promising(() => promise, limit))
      yield* TestClock.adjust("4999 millis")
      resolve("later")
      assert.strictEqual(yield* Fiber.join(fiber), "later")
    }))

  it.effect("what throws instead of giving a promise has failed", () =>
    Effect.gen(function*() {
      const throwing = () => {
        throw new Error("bug")
      }
      assert.strictEqual(yield* Effect.flip(promising(throwing, limit)), "failed: Error: bug")
    }))

  it.effect("the answer is what is read of it, a failure may be one, and what can't be read is a defect", () =>
    Effect.gen(function*() {
      const limited = yield* TimeLimit.makeForPromises(limit)
      const parsed = limited<string, string, { readonly a: number } | undefined, never>({
        ask: (text) => text === "" ? Promise.reject("nothing") : Promise.resolve(text),
        read: (text) => JSON.parse(text),
        failed: () => Exit.succeed(undefined),
        timedOut: () => assert.fail("too late")
      })
      assert.deepStrictEqual(yield* parsed(`{"a":1}`), { a: 1 })
      assert.isUndefined(yield* parsed(""))
      const exit = yield* Effect.exit(parsed("{broken"))
      assert.isTrue(Exit.hasDies(exit) && !Exit.hasFails(exit))
    }))

  it.effect("each try is asked with the question and the clock of its caller", () =>
    Effect.gen(function*() {
      const limited = yield* TimeLimit.makeForPromises(limit)
      const asked: Array<unknown> = []
      const late = limited<string, string, string, string>({
        ask: (question, clock) => Promise.reject(asked.push([question, clock.currentTimeMillisUnsafe()])),
        read: (answer) => answer,
        failed: () => Exit.fail("down"),
        timedOut: () => "too late",
        again: (_cause, question, clock) => Promise.resolve(`${question} at ${clock.currentTimeMillisUnsafe()}`)
      })
      yield* TestClock.setTime(12_345)
      assert.strictEqual(yield* late("what"), "what at 12345")
      assert.deepStrictEqual(asked, [["what", 12_345]])
    }))

  it.effect("holds where the caller can't be interrupted, for each call on its own", () =>
    Effect.gen(function*() {
      const limited = yield* makeForPromises(limit)
      const hanging = limited(() => new Promise<string>(() => {}), String, late)
      const fibers = yield* Effect.forEach([1, 2, 3], () =>
        Effect.tap(
          Effect.forkChild(Effect.exit(Effect.uninterruptible(hanging)), { startImmediately: true }),
          TestClock.adjust("1 second")
        ))
      yield* TestClock.adjust("1999 millis")
      for (const fiber of fibers) {
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("too late"))
        yield* TestClock.adjust("999 millis")
      }
    }))

  it.effect("holds again after nobody has waited for long", () =>
    Effect.gen(function*() {
      const limited = yield* makeForPromises(limit)
      for (let round = 0; round < 3; round++) {
        assert.strictEqual(yield* limited(() => Promise.resolve("now"), String, late), "now")
        yield* TestClock.adjust("1 hour")
        const fiber = yield* Effect.forkChild(
          Effect.exit(limited(() => new Promise(() => {}), String, late)),
          { startImmediately: true }
        )
        yield* TestClock.adjust("4999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("too late"))
      }
    }))

  it.effect("an answer that comes after the limit changes nothing any more, nor does a failure", () =>
    Effect.gen(function*() {
      const { promise, reject } = Promise.withResolvers<string>()
      const fiber = yield* Effect.forkChild(Effect.exit(promising(() => promise, limit)), { startImmediately: true })
      yield* TestClock.adjust(limit)
      reject("down")
      assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("too late"))
    }))

  it.effect("a caller that is interrupted does not wait", () =>
    Effect.gen(function*() {
      const { promise, resolve } = Promise.withResolvers<string>()
      const fiber = yield* Effect.forkChild(promising(() => promise, limit), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      resolve("nobody listens")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
    }))

  it.effect("is for ever where the limit is never", () =>
    Effect.gen(function*() {
      const { promise, resolve } = Promise.withResolvers<string>()
      const fiber = yield* Effect.forkChild(promising(() => promise, Duration.infinity), { startImmediately: true })
      yield* TestClock.adjust("10000 days")
      resolve("at last")
      assert.strictEqual(yield* Fiber.join(fiber), "at last")
    }))

  it.effect("another try after a failure is within the same limit, and there is none after it", () =>
    Effect.gen(function*() {
      const limited = yield* makeForPromises(limit)
      const tries: Array<string> = []
      const { promise, reject } = Promise.withResolvers<string>()
      const trying = (again: () => Promise<string>) =>
        Effect.exit(limited(() => promise, String, late, (cause) => {
          tries.push(String(cause))
          return again
        }))
      const answered = yield* Effect.forkChild(trying(() => Promise.resolve("then")), { startImmediately: true })
      const failed = yield* Effect.forkChild(trying(() => Promise.reject("again")), { startImmediately: true })
      const throws = (): never => {
        throw new Error("bug")
      }
      const throwing = yield* Effect.forkChild(trying(throws), { startImmediately: true })
      const hanging = yield* Effect.forkChild(trying(() => new Promise(() => {})), { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      reject("down")
      assert.deepStrictEqual(yield* Fiber.join(answered), Exit.succeed("then"))
      assert.deepStrictEqual(yield* Fiber.join(failed), Exit.fail("again"))
      assert.deepStrictEqual(yield* Fiber.join(throwing), Exit.fail("Error: bug"))
      assert.isUndefined(hanging.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(hanging), Exit.fail("too late"))
      assert.deepStrictEqual(tries, ["down", "down", "down", "down"])

      const slow = Promise.withResolvers<string>()
      const over = limited(() => slow.promise, String, late, () => () => Promise.reject(tries.push("too late")))
      const fiber = yield* Effect.forkChild(Effect.exit(over), { startImmediately: true })
      yield* TestClock.adjust(limit)
      slow.reject("down")
      assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("too late"))
      assert.strictEqual(tries.length, 4)
    }))

  it.effect("holds for those who still wait when its scope closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const limited = yield* Scope.provide(makeForPromises(limit), scope)
      const hanging = limited(() => new Promise(() => {}), String, late)
      const fiber = yield* Effect.forkChild(Effect.exit(hanging), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(limit)
      assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("too late"))
    }))

  it.live("holds by the clock of its caller, whatever other clock there was or is", () =>
    Effect.gen(function*() {
      const limited = yield* makeForPromises(Duration.millis(20))
      const answer = limited(() => Promise.resolve("now"), String, late)
      assert.strictEqual(yield* Effect.provide(answer, TestClock.layer()), "now")
      yield* assertOwnClock(limited(() => new Promise(() => {}), String, late))
    }))

  it.live("keeps no process alive after its scope", () =>
    Effect.gen(function*() {
      const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length
      const before = timers()
      yield* Effect.scoped(
        Effect.gen(function*() {
          const limited = yield* makeForPromises(Duration.hours(1))
          yield* limited(() => Promise.resolve("now"), String, late)
          assert.strictEqual(timers(), before + 1)
        })
      )
      assert.strictEqual(timers(), before)
    }))
})
