/**
 * The two clocks of a session: how long it lives, to the millisecond.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration } from "effect"
import * as Expiry from "../../src/internal/record/expiry.ts"
import { endOfTime, type Fields, type Times } from "../../src/internal/record/record.ts"
import { intBetween, oneOf } from "../support/arbitraries.ts"

/** What there is to know of sessions that have no lifetime of their own. */
const plain = (settings: Omit<Parameters<typeof Expiry.make>[0], "maximumAge" | "maximumAbsoluteAge">) => {
  const { age: maximumAge, absoluteAge: maximumAbsoluteAge } = settings
  const expiry = Expiry.make({ ...settings, maximumAge, maximumAbsoluteAge })
  return {
    start: (now: number) => expiry.start(now, noFields),
    touch: (times: Times, now: number) => expiry.touch(times, noFields, now),
    isTouchDue: (times: Times, now: number) => expiry.isTouchDue({ ...times, fields: noFields }, now),
    isExpired: (times: Times, now: number) => expiry.isExpired({ ...times, fields: noFields }, now)
  }
}

const noFields: Fields = new Map()

const expiryOf = (settings: {
  readonly age: number
  readonly absoluteAge: number
  readonly touchEvery?: number
  readonly rolling?: "onUse" | "always" | "never"
}) =>
  plain({
    age: Duration.millis(settings.age),
    absoluteAge: Duration.millis(settings.absoluteAge),
    touchEvery: Duration.millis(settings.touchEvery ?? 1),
    rolling: settings.rolling ?? "onUse"
  })

const Start = intBetween(0, 2_000_000_000_000)
const Age = intBetween(2, 100_000)

/** Settings as the configuration accepts them: `touchEvery` is less than `age`, and that is `absoluteAge` at most. */
const Settings = Arbitrary.map(
  Arbitrary.all({ age: Age, ages: intBetween(100, 10_000), touch: intBetween(1, 100_000), start: Start }),
  ({ age, ages, start, touch }) => ({
    age,
    absoluteAge: Math.floor(age * ages / 100),
    touchEvery: 1 + touch % (age - 1),
    start
  })
)

/** The moments of requests, each some time after the one before. */
const Pauses = Arbitrary.array(intBetween(0, 60_000), { minLength: 1, maxLength: 30 })

const many = { arbitrary: { runs: 1_000 } }

/** What requests do to a session, as long as it lives: each touches it, if that is due. */
const live = (expiry: ReturnType<typeof plain>, start: number, pauses: ReadonlyArray<number>) => {
  let times = expiry.start(start)
  let lastUse = start
  for (const pause of pauses) {
    const now = lastUse + pause
    if (expiry.isExpired(times, now)) break
    if (expiry.isTouchDue(times, now)) times = expiry.touch(times, now)
    lastUse = now
  }
  return { times, lastUse }
}

describe("a session", () => {
  it.prop("V7.3.1 is there one millisecond before its idle timeout, and gone at it", [Settings], (settings) => {
    const [{ age, start }] = settings
    const expiry = expiryOf(settings[0])
    const times = expiry.start(start)
    assert.deepStrictEqual(times, { createdAt: start, touchedAt: start, expiresAt: start + age })
    assert.isFalse(expiry.isExpired(times, start))
    assert.isFalse(expiry.isExpired(times, start + age - 1))
    assert.isTrue(expiry.isExpired(times, start + age))
    assert.isTrue(expiry.isExpired(times, start + age + 1))
  })

  it.prop("V7.3.2 is gone at its absolute timeout, however often it is touched", [Settings], ([settings]) => {
    const { absoluteAge, start } = settings
    const expiry = expiryOf(settings)
    let times = expiry.start(start)
    for (let now = start; !expiry.isExpired(times, now); now += Math.ceil(settings.age / 4)) {
      times = expiry.touch(times, now)
      assert.isAtMost(times.expiresAt, start + absoluteAge)
      assert.strictEqual(times.createdAt, start)
    }
    const late = expiry.touch(times, start + absoluteAge - 1)
    assert.isFalse(expiry.isExpired(late, start + absoluteAge - 1))
    assert.isTrue(expiry.isExpired(late, start + absoluteAge))
    assert.isTrue(expiry.isExpired(expiry.touch(times, start + absoluteAge + 5), start + absoluteAge + 5))
  })

  it.prop("is never there longer than its age after its last use, nor after its last touch", [Settings, Pauses], ([
    settings,
    pauses
  ]) => {
    const expiry = expiryOf(settings)
    const { lastUse, times } = live(expiry, settings.start, pauses)
    assert.isTrue(expiry.isExpired(times, lastUse + settings.age))
    assert.isTrue(expiry.isExpired(times, times.touchedAt + settings.age))
    assert.isTrue(expiry.isExpired(times, settings.start + settings.absoluteAge))
  }, many)

  it.prop("loses no more of its age than the window in which touches are saved", [Settings, Pauses], ([
    settings,
    pauses
  ]) => {
    const { absoluteAge, age, start, touchEvery } = settings
    const expiry = expiryOf(settings)
    const { lastUse, times } = live(expiry, start, pauses)
    const sure = Math.min(lastUse + age - touchEvery, start + absoluteAge - 1)
    assert.isFalse(expiry.isExpired(times, Math.max(sure, lastUse)))
  }, many)

  it.prop("is touched once per window at most, however many requests there are", [Settings, Pauses], ([
    settings,
    pauses
  ]) => {
    const expiry = expiryOf(settings)
    let times = expiry.start(settings.start)
    let now = settings.start
    for (const pause of pauses) {
      now += pause % settings.touchEvery
      if (!expiry.isTouchDue(times, now)) continue
      assert.isAtLeast(now - times.touchedAt, settings.touchEvery)
      times = expiry.touch(times, now)
      assert.isFalse(expiry.isTouchDue(times, now + settings.touchEvery - 1))
      assert.isTrue(expiry.isTouchDue(times, now + settings.touchEvery))
    }
  }, many)

  it.prop("with rolling never is gone an age after its creation", [Settings, Pauses], ([settings, pauses]) => {
    const expiry = expiryOf({ ...settings, rolling: "never" })
    const { times } = live(expiry, settings.start, pauses)
    assert.deepStrictEqual(times, expiry.start(settings.start))
    assert.isTrue(expiry.isExpired(times, settings.start + settings.age))
  })

  it.prop("is only ever the later for a touch, and a clock that goes backwards does no harm", [
    Settings,
    intBetween(-100_000, 100_000)
  ], ([settings, step]) => {
    const expiry = expiryOf(settings)
    const times = expiry.start(settings.start)
    const touched = expiry.touch(times, settings.start + step)
    if (step >= 0) assert.isAtLeast(touched.expiresAt, times.expiresAt)
    if (step < 0) assert.isFalse(expiry.isTouchDue(times, settings.start + step))
    if (step < 0) assert.isFalse(expiry.isExpired(times, settings.start + step))
  })
})

describe("a change of the settings", () => {
  const Rolling = oneOf(["onUse", "always", "never"])

  it.prop("V9.2.1 a shortened timeout holds for sessions that are already out", [
    Settings,
    Age,
    intBetween(0, 1_000_000),
    Pauses,
    Rolling
  ], ([settings, age, longer, pauses, rolling]) => {
    const { times } = live(expiryOf(settings), settings.start, pauses)
    const now = expiryOf({ age, absoluteAge: age + longer, rolling })
    assert.isTrue(now.isExpired(times, times.touchedAt + age))
    assert.isTrue(now.isExpired(times, times.createdAt + age + longer))
    assert.isTrue(now.isExpired(times, times.expiresAt))
    const end = Math.min(times.touchedAt + age, times.createdAt + age + longer, times.expiresAt)
    assert.isFalse(now.isExpired(times, end - 1))
    assert.isTrue(now.isExpired(times, end))
  }, many)

  it.prop("a longer one holds from the next touch on", [Settings, intBetween(1, 100_000)], ([settings, more]) => {
    const { absoluteAge, age, start } = settings
    const times = expiryOf(settings).start(start)
    const longer = expiryOf({ age: age + more, absoluteAge: absoluteAge + more })
    assert.isTrue(longer.isExpired(times, start + age))
    assert.strictEqual(longer.touch(times, start).expiresAt, start + age + more)
  })
})

describe("never", () => {
  const never = plain({
    age: Duration.infinity,
    absoluteAge: Duration.infinity,
    touchEvery: Duration.minutes(1),
    rolling: "onUse"
  })

  it.prop("is the last moment that a Date can hold", [Start], ([start]) => {
    const times = never.start(start)
    assert.strictEqual(times.expiresAt, endOfTime)
    assert.isFalse(never.isExpired(times, endOfTime - 1))
    assert.deepStrictEqual(never.touch(times, start + 5), { ...times, touchedAt: start + 5 })
  })

  it.prop("for the absolute timeout leaves the idle one", [Start, Age], ([start, age]) => {
    const idle = plain({
      age: Duration.millis(age),
      absoluteAge: Duration.infinity,
      touchEvery: Duration.millis(1),
      rolling: "onUse"
    })
    let times: Times = idle.start(start)
    for (let day = 0; day < 1_000; day++) times = idle.touch(times, times.expiresAt - 1)
    assert.strictEqual(times.touchedAt, start + 1_000 * (age - 1))
    assert.isTrue(idle.isExpired(times, times.touchedAt + age))
  })

  it("Durations with a fraction of a millisecond, or longer than there is time, make whole moments", () => {
    for (const age of [Duration.nanos(1_500_000n), Duration.millis(Number.MAX_SAFE_INTEGER), Duration.weeks(1e15)]) {
      const expiry = plain({
        age,
        absoluteAge: Duration.infinity,
        touchEvery: Duration.millis(1),
        rolling: "onUse"
      })
      const { expiresAt } = expiry.start(1_700_000_000_000)
      assert.isTrue(Number.isSafeInteger(expiresAt) && expiresAt <= endOfTime, `${expiresAt}`)
    }
  })
})
