/**
 * The two clocks of a session: how long it lives, to the millisecond.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration } from "effect"
import * as Expiry from "../../src/internal/record/expiry.ts"
import * as Lifetime from "../../src/internal/record/lifetime.ts"
import { endOfTime, type Fields, type Times } from "../../src/internal/record/record.ts"
import { TextFields } from "../../src/internal/record/textFields.ts"
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

describe("a session with a lifetime of its own", () => {
  interface Limits {
    readonly age: number
    readonly absoluteAge: number
    readonly maximumAge: number
    readonly maximumAbsoluteAge: number
    readonly touchEvery: number
    readonly rolling: "onUse" | "always" | "never"
  }

  const expiryOf = ({ absoluteAge, age, maximumAbsoluteAge, maximumAge, rolling, touchEvery }: Limits) =>
    Expiry.make({
      age: Duration.millis(age),
      absoluteAge: Duration.millis(absoluteAge),
      maximumAge: Duration.millis(maximumAge),
      maximumAbsoluteAge: Duration.millis(maximumAbsoluteAge),
      touchEvery: Duration.millis(touchEvery),
      rolling
    })

  /** As the configuration accepts them. */
  const Limits: Arbitrary.Arbitrary<Limits> = Arbitrary.map(
    Arbitrary.all({
      settings: Settings,
      more: intBetween(0, 1_000_000),
      rolling: oneOf(["onUse", "always", "never"]),
      ages: intBetween(100, 10_000)
    }),
    ({ ages, more, rolling, settings: { absoluteAge, age, touchEvery } }) => {
      const maximumAge = Math.floor(age * ages / 100)
      return {
        age,
        absoluteAge,
        maximumAge,
        maximumAbsoluteAge: Math.max(absoluteAge, maximumAge) + more,
        touchEvery,
        rolling
      }
    }
  )

  const Ages = oneOf([1, 3, 50, 1_000, 77_777, 3_000_000, Infinity, undefined])

  const Own: Arbitrary.Arbitrary<Lifetime.Lifetime> = Arbitrary.map(
    Arbitrary.all({ age: Ages, absoluteAge: Ages }),
    ({ absoluteAge, age }) => ({ ...(age !== undefined && { age }), ...(absoluteAge !== undefined && { absoluteAge }) })
  )

  const fieldsWith = (own: Lifetime.Lifetime): Fields => {
    const text = Lifetime.encode(own)
    return new Map([["a", "1"], ...(text === undefined ? [] : [["~lifetime", text] as const])])
  }

  const idle = ({ age, maximumAge }: Limits, own: Lifetime.Lifetime) =>
    Math.min(own.age ?? age, own.age === undefined ? age : maximumAge)
  const absolute = ({ absoluteAge, maximumAbsoluteAge }: Limits, own: Lifetime.Lifetime) =>
    own.absoluteAge === undefined ? absoluteAge : Math.min(own.absoluteAge, maximumAbsoluteAge)

  it.prop(
    "ends at its own ages, or at the maximum where they are longer",
    [Limits, Own, Start],
    ([limits, own, start]) => {
      const expiry = expiryOf(limits)
      const fields = fieldsWith(own)
      const record = { ...expiry.start(start, fields), fields }
      const end = start + Math.min(idle(limits, own), absolute(limits, own))
      assert.strictEqual(record.expiresAt, end)
      assert.strictEqual(expiry.end(record), end)
      assert.strictEqual(expiry.absoluteEnd(record), start + absolute(limits, own))
      assert.isFalse(expiry.isExpired(record, end - 1))
      assert.isTrue(expiry.isExpired(record, end))
      assert.isAtMost(end, expiry.latest(start, start))
    },
    many
  )

  it.prop("V7.3.2 is gone at the maximum, whatever it is given and however often it is used", [
    Limits,
    Arbitrary.array(Arbitrary.all({ own: Own, pause: intBetween(0, 60_000) }), { minLength: 1, maxLength: 30 }),
    Start
  ], ([limits, uses, start]) => {
    const expiry = expiryOf(limits)
    let record = { ...expiry.start(start, noFields), fields: noFields }
    let now = start
    for (const { own, pause } of uses) {
      now += pause
      if (expiry.isExpired(record, now)) break
      const fields = fieldsWith(own)
      const { createdAt, expiresAt, touchedAt } = expiry.adjust(record, fields, now)
      // As back ends do it: only forward.
      record = {
        createdAt,
        touchedAt: Math.max(touchedAt, record.touchedAt),
        expiresAt: Math.max(expiresAt, record.expiresAt),
        fields
      }
      assert.strictEqual(createdAt, start)
      assert.isAtMost(expiry.end(record), expiry.latest(start, now))
      assert.isAtMost(expiry.end(record), expiry.absoluteEnd(record))
      const last = limits.rolling === "never" ? start : now
      assert.strictEqual(record.touchedAt, last, "with rolling never, the age counts from the creation")
      const expected = Math.min(last + idle(limits, own), start + absolute(limits, own))
      assert.strictEqual(expiry.end(record), expected, "also where a longer life is stored")
    }
    assert.isTrue(expiry.isExpired(record, now + limits.maximumAge))
    assert.isTrue(expiry.isExpired(record, start + limits.maximumAbsoluteAge))
  }, many)

  it.prop("lives no shorter for ages that are longer", [Limits, Own, Own, Start], ([limits, one, other, start]) => {
    const expiry = expiryOf(limits)
    const longer: Lifetime.Lifetime = {
      age: Math.max(one.age ?? limits.age, other.age ?? limits.age),
      absoluteAge: Math.max(one.absoluteAge ?? limits.absoluteAge, other.absoluteAge ?? limits.absoluteAge)
    }
    const endOf = (own: Lifetime.Lifetime) => expiry.start(start, fieldsWith(own)).expiresAt
    assert.isAtLeast(endOf(longer), endOf(one))
  }, many)

  it.prop(
    "V9.2.1 ends at a maximum that was lowered since",
    [Limits, Limits, Own, Start],
    ([before, after, own, start]) => {
      const fields = fieldsWith(expiryOf(before).grant(own))
      const record = { ...expiryOf(before).start(start, fields), fields }
      const expiry = expiryOf(after)
      assert.isTrue(expiry.isExpired(record, start + after.maximumAge))
      assert.isTrue(expiry.isExpired(record, start + after.maximumAbsoluteAge))
      assert.isTrue(expiry.isExpired(record, record.expiresAt))
    },
    many
  )

  it.prop("does not expire while it is used more often than its age, however short that is", [
    Limits,
    intBetween(20, 100_000)
  ], ([limits, age]) => {
    const expiry = expiryOf({ ...limits, absoluteAge: 1e12, maximumAbsoluteAge: 1e12, rolling: "onUse" })
    const fields = fieldsWith({ age })
    const granted = Math.min(age, limits.maximumAge)
    // Of less than a millisecond nothing could be told.
    if (granted < 20) return
    let record = { ...expiry.start(0, fields), fields }
    for (let now = 0; now < granted * 20; now += Math.max(1, Math.floor(granted / 2))) {
      assert.isFalse(expiry.isExpired(record, now), `${now}`)
      if (expiry.isTouchDue(record, now)) record = { ...expiry.touch(record, fields, now), fields }
    }
  })

  it.prop("is given no more than the maximum, and it is said whether that is less", [Limits, Own], ([limits, own]) => {
    const granted = expiryOf(limits).grant(own)
    assert.isAtMost(granted.age ?? 0, limits.maximumAge)
    assert.isAtMost(granted.absoluteAge ?? 0, limits.maximumAbsoluteAge)
    assert.isAtMost(granted.age ?? 0, granted.absoluteAge ?? limits.absoluteAge)
    assert.deepStrictEqual(expiryOf(limits).grant(granted), granted)
    const lived = (own: Lifetime.Lifetime) => Math.min(own.age ?? 0, own.absoluteAge ?? Infinity)
    const isLess = lived(granted) < lived(own) || (granted.absoluteAge ?? 0) < (own.absoluteAge ?? 0)
    assert.strictEqual(Expiry.isCut(own, granted), isLess)
  }, many)

  it.prop("is in its field, and nothing where all is as the configuration says", [Own], ([own]) => {
    const fields = fieldsWith(own)
    assert.deepStrictEqual(Lifetime.of(fields) ?? {}, own)
    const text = [...fields].flat().map((line) => `\n${line}`).join("")
    assert.deepStrictEqual(Lifetime.of(new TextFields(text, 0)) ?? {}, own, "as it is stored")
  })

  it("is as the configuration says where its field is damaged", () => {
    const limits = { age: 10, absoluteAge: 20, maximumAge: 30, maximumAbsoluteAge: 40, touchEvery: 1, rolling: "onUse" }
    const expiry = expiryOf(limits as Limits)
    const damaged = [
      "",
      "{",
      "null",
      "5",
      "[]",
      "{\"age\":\"1\",\"absoluteAge\":-5}",
      "{\"age\":0}",
      "{\"persistence\":1}"
    ]
    for (const text of damaged) {
      const fields = new Map([["~lifetime", text]])
      assert.strictEqual(expiry.start(100, fields).expiresAt, 110, text)
      assert.isTrue(Lifetime.isPersistent(fields, true))
      assert.isFalse(Lifetime.isPersistent(fields, false))
    }
  })
})
