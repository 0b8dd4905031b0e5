/**
 * The lifetime of a single session, "Keep me logged in": on stores on a server, in files, on a real Redis, and in cookies.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, DateTime, Effect, Layer, Option, Redacted } from "effect"
import {
  CookieLayer,
  FileLayer,
  MemoryLayer,
  Session,
  SessionConfig,
  SessionError,
  Sessions,
  type SessionStore
} from "effect-session"
import { TestClock } from "effect/testing"
import { secret } from "../support/config.ts"
import { storesWithRedis } from "../support/drivers.ts"
import { temporaryFolder } from "../support/fileStore.ts"
import { observe } from "../support/observe.ts"
import { Name } from "../support/routes.ts"
import type { StoreLayer } from "../support/server.ts"

const stores: Record<string, () => StoreLayer> = {
  ...storesWithRedis(),
  FileLayer: () =>
    Layer.unwrap(Effect.map(temporaryFolder, (location) => FileLayer.layer({ location }))).pipe(
      Layer.provide(NodeServices.layer)
    )
}

const minute = 60
const hour = 60 * minute
const day = 24 * hour

const remember = { age: "30 days", absoluteAge: "90 days", persistence: "persistent" } as const

const allowed = { maximumAge: "30 days", maximumAbsoluteAge: "90 days" } as const

type Services = SessionStore.SessionStore | SessionConfig.SessionConfig

/** Settings of their own, over one store. */
const configured = <A, E>(effect: Effect.Effect<A, E, Services>, options: SessionConfig.Options) =>
  Effect.provide(effect, SessionConfig.layer({ secret, ...options }))

const put = Session.put(Name, "Ada")

const tokenOf = ({ token }: Sessions.Committed) => Option.getOrThrow(token)

/** Of each cookie that the client gets, for how many seconds it keeps it; nothing where that is until the browser is closed. */
const maxAges = ({ setCookie }: Pick<Sessions.Committed, "setCookie">) =>
  Redacted.value(setCookie).map((header) => {
    const [, seconds] = /Max-Age=(\d+)/.exec(header) ?? []
    return seconds === undefined ? undefined : Number(seconds)
  })

/** In how many seconds the session ends: if nobody uses it, and whatever happens. */
const ends = Effect.gen(function*() {
  const { absolute, idle } = yield* Session.expiresAt
  const now = yield* Clock.currentTimeMillis
  return [idle, absolute].map(Option.map((end) => (DateTime.toEpochMillis(end) - now) / 1_000)).map(Option.getOrNull)
})

const read = <A, E>(token: Redacted.Redacted<string>, effect: Effect.Effect<A, E, Session.Session>) =>
  Effect.flatMap(
    Sessions.open({ token }, { readonly: true }),
    (session) => Effect.provideService(effect, Session.Session, session)
  )

const isThere = (token: Redacted.Redacted<string>) => Effect.map(read(token, Session.get(Name)), Option.isSome)

const seconds = (seconds: number) => TestClock.adjust(seconds * 1_000)

/** A request that uses the session, and the token that the client has afterwards. */
const use = (token: Redacted.Redacted<string>) => Sessions.modify({ token }, Session.all)

const setTimeOfDay = Effect.flatMap(TestClock.withLive(Clock.currentTimeMillis), TestClock.setTime)

for (const [driver, makeStore] of Object.entries(stores)) {
  describe(`a lifetime of its own, with the ${driver}`, () => {
    const test = <A, E>(
      title: string,
      effect: Effect.Effect<A, E, Services>,
      options: SessionConfig.Options = allowed
    ) =>
      it.effect(title, () =>
        Effect.gen(function*() {
          yield* setTimeOfDay
          const layer = Layer.provideMerge(makeStore(), SessionConfig.layer({ secret, ...options }))
          // With the real clock: else stores would sweep once a minute for years.
          const services = yield* TestClock.withLive(Layer.build(layer))
          yield* Effect.provide(effect, services)
        }))

    test(
      "is as long as it says, and the cookie, Session.expiresAt and the store agree",
      Effect.gen(function*() {
        const created = yield* Sessions.create(Effect.andThen(put, Session.setLifetime(remember)))
        const { token } = created
        assert.deepStrictEqual(maxAges(created), [30 * day])
        assert.deepStrictEqual(yield* read(token, ends), [30 * day, 90 * day])
        yield* seconds(30 * day - 0.001)
        assert.isTrue(yield* isThere(token))
        yield* seconds(0.001)
        assert.isFalse(yield* isThere(token))
      })
    )

    test(
      "is extended by each use, up to its absolute age",
      Effect.gen(function*() {
        let { token } = yield* Sessions.create(Effect.andThen(put, Session.setLifetime(remember)))
        for (const left of [30, 30, 30, 10]) {
          yield* seconds(20 * day)
          const used = yield* use(token)
          assert.deepStrictEqual(maxAges(used), [left * day])
          token = tokenOf(used)
          assert.deepStrictEqual((yield* read(token, ends))[0], left * day)
        }
        yield* seconds(10 * day)
        assert.isFalse(yield* isThere(token))
      })
    )

    test(
      "holds for a session that is there already, from the commit on",
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(put)
        assert.deepStrictEqual(yield* read(token, ends), [2 * hour, 7 * day])
        yield* seconds(hour)
        const remembered = yield* Sessions.modify({ token }, Session.setLifetime(remember))
        assert.deepStrictEqual(maxAges(remembered), [30 * day])
        assert.deepStrictEqual(yield* read(tokenOf(remembered), ends), [30 * day, 90 * day - hour])
        yield* seconds(30 * day - 0.001)
        assert.isTrue(yield* isThere(tokenOf(remembered)))
      })
    )

    test(
      "goes out in a cookie even if the session was used in the same moment, and only once",
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(put)
        const session = yield* Sessions.open({ token })
        const within = <A, E>(effect: Effect.Effect<A, E, Session.Session>) =>
          Effect.provideService(effect, Session.Session, session)
        yield* within(Session.setLifetime({ persistence: "browser" }))
        assert.deepStrictEqual(maxAges(yield* Sessions.commit(session)), [undefined])
        const again = yield* Sessions.open({ token: tokenOf(yield* Sessions.commit(session)) })
        yield* Effect.provideService(Session.setLifetime({ persistence: "browser" }), Session.Session, again)
        assert.deepStrictEqual(maxAges(yield* Sessions.commit(again)), [], "it is so already")
      })
    )

    test(
      "that is shorter ends sooner, although a longer one was stored",
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(put)
        const shortened = yield* Sessions.modify(
          { token },
          Session.setLifetime({ age: "10 minutes", absoluteAge: "1 hour" })
        )
        assert.deepStrictEqual(maxAges(shortened), [10 * minute])
        assert.deepStrictEqual(yield* read(tokenOf(shortened), ends), [10 * minute, hour])
        yield* seconds(10 * minute - 0.001)
        assert.isTrue(yield* isThere(tokenOf(shortened)))
        const regenerated = yield* Sessions.modify({ token: tokenOf(shortened) }, Session.regenerate)
        assert.deepStrictEqual(yield* read(tokenOf(regenerated), ends), [10 * minute, 50 * minute + 0.001])
        yield* seconds(10 * minute)
        assert.isFalse(yield* isThere(tokenOf(regenerated)))
      })
    )

    test(
      "that is shorter than a window of touches does not end while the session is used",
      Effect.gen(function*() {
        let { token } = yield* Sessions.create(Effect.andThen(put, Session.setLifetime({ age: "30 seconds" })))
        for (let times = 0; times < 10; times++) {
          yield* seconds(20)
          token = tokenOf(yield* use(token))
        }
        assert.isTrue(yield* isThere(token))
        yield* seconds(30)
        assert.isFalse(yield* isThere(token))
      })
    )

    test(
      "is kept when the session is regenerated, or cleared, and is gone with it",
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(Effect.andThen(put, Session.setLifetime(remember)))
        const changed = yield* Sessions.modify({ token }, Effect.all([Session.clear, Session.regenerate, put]))
        assert.deepStrictEqual(maxAges(changed), [30 * day])
        assert.deepStrictEqual(yield* read(tokenOf(changed), ends), [30 * day, 90 * day])
        assert.deepStrictEqual(yield* read(tokenOf(changed), Session.all), { name: "Ada" })
        const next = yield* Sessions.modify({ token: tokenOf(changed) }, Effect.andThen(Session.destroy, put))
        assert.deepStrictEqual(yield* read(tokenOf(next), ends), [2 * hour, 7 * day])
      })
    )

    test(
      "is given back",
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(Effect.andThen(put, Session.setLifetime(remember)))
        const back = yield* Sessions.modify({ token }, Session.setLifetime({}))
        assert.deepStrictEqual(maxAges(back), [2 * hour])
        assert.deepStrictEqual(yield* read(tokenOf(back), ends), [2 * hour, 7 * day])
        yield* seconds(2 * hour)
        assert.isFalse(yield* isThere(tokenOf(back)))
      })
    )

    test(
      "is of a whole with the rest: taken back by a rollback, and by what has failed",
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(put)
        const failing = Session.atomic(Effect.andThen(Session.setLifetime(remember), Effect.fail("no")))
        const changes = [
          Effect.andThen(Session.setLifetime(remember), Session.rollback),
          Effect.ignore(failing)
        ]
        for (const change of changes) {
          const modified = yield* Sessions.modify({ token }, change)
          assert.deepStrictEqual(maxAges(modified), [])
          assert.deepStrictEqual(yield* read(token, ends), [2 * hour, 7 * day])
        }
      })
    )

    test(
      "has the cookie end with the browser, or stay, whatever the configuration says of others",
      Effect.gen(function*() {
        const persistence = (persistence: "browser" | "persistent") =>
          Sessions.create(Effect.andThen(put, Session.setLifetime({ persistence })))
        assert.deepStrictEqual(maxAges(yield* persistence("browser")), [undefined])
        const asBrowser = { cookie: { persistence: "browser" } } as const
        const kept = yield* configured(persistence("persistent"), asBrowser)
        assert.deepStrictEqual(maxAges(kept), [2 * hour])
        assert.deepStrictEqual(maxAges(yield* configured(Sessions.create(put), asBrowser)), [undefined])
        yield* seconds(hour)
        const used = yield* configured(use(kept.token), asBrowser)
        assert.deepStrictEqual(maxAges(used), [2 * hour], "a use extends the cookie")
      })
    )

    test(
      "is cut to what the configuration allows",
      Effect.gen(function*() {
        const cut = yield* Sessions.create(
          Effect.andThen(put, Session.setLifetime({ age: "never", absoluteAge: "3650 days" }))
        )
        assert.deepStrictEqual(maxAges(cut), [30 * day])
        assert.deepStrictEqual(yield* read(cut.token, ends), [30 * day, 90 * day])
      })
    )

    test(
      "can only be shorter where the configuration names no maximum",
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(Effect.andThen(put, Session.setLifetime(remember)))
        assert.deepStrictEqual(yield* read(token, ends), [2 * hour, 7 * day])
      }),
      {}
    )

    test(
      "V9.2.1 ends when the configuration is shortened later",
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(Effect.andThen(put, Session.setLifetime(remember)))
        const shorter = { maximumAge: "5 days", maximumAbsoluteAge: "8 days" } as const
        assert.deepStrictEqual(yield* configured(read(token, ends), shorter), [5 * day, 8 * day])
        yield* seconds(5 * day)
        assert.isTrue(yield* isThere(token))
      })
    )

    test(
      "may be without an end",
      Effect.gen(function*() {
        const never = { age: "never", absoluteAge: "never" } as const
        const created = yield* Sessions.create(Effect.andThen(put, Session.setLifetime(never)))
        assert.deepStrictEqual(maxAges(created), [400 * day], "the most that browsers keep")
        assert.deepStrictEqual(yield* read(created.token, ends), [null, null])
        yield* seconds(10_000 * day)
        assert.isTrue(yield* isThere(created.token))
      }),
      { maximumAge: "never", maximumAbsoluteAge: "never" }
    )

    test(
      "counts from the creation where the configuration has rolling never",
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(put)
        yield* seconds(hour)
        const remembered = yield* Sessions.modify({ token }, Session.setLifetime(remember))
        assert.deepStrictEqual(maxAges(remembered), [30 * day - hour])
        assert.deepStrictEqual(yield* read(tokenOf(remembered), ends), [30 * day - hour, 90 * day - hour])
      }),
      { ...allowed, rolling: "never" }
    )
  })
}

describe("what can't be a lifetime", () => {
  const write =
    "Write a duration longer than zero with its unit, such as \"2 hours\", \"30m\" or \"7 days\", or \"never\""

  const cases: ReadonlyArray<readonly [Session.Lifetime, message: string]> = [
    [{ age: "0 seconds" }, `age: found "0 seconds". ${write}`],
    [{ age: "-5 minutes" }, `age: found "-5 minutes". ${write}`],
    [{ age: "1 hour", absoluteAge: "0d" }, `absoluteAge: found "0d". ${write}`],
    [{ age: 3600 as never }, `age: found 3600. A bare number has no unit. ${write}`],
    [{ persistence: "forever" as never }, "persistence: found \"forever\". Write one of \"persistent\", \"browser\""]
  ]

  for (const [lifetime, message] of cases) {
    it.effect(`is a SessionLifetimeError: ${JSON.stringify(lifetime)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Session.setLifetime(lifetime))
        assert.instanceOf(error, SessionError.SessionLifetimeError)
        assert.strictEqual(error.message, `Session.setLifetime: ${message}`)
        assert.deepStrictEqual(yield* Session.all, {})
      }).pipe(Effect.provide(Session.layerTest())))
  }

  it.effect("is refused in a session that was opened read-only", () =>
    Effect.gen(function*() {
      const { token } = yield* Sessions.create(put)
      const error = yield* Effect.flip(read(token, Session.setLifetime(remember)))
      assert.instanceOf(error, SessionError.SessionReadonlyError)
    }).pipe(Effect.provide(Layer.provideMerge(MemoryLayer.layer(), SessionConfig.layer({ secret })))))
})

describe("a lifetime that is cut", () => {
  it.effect("is counted, and both are logged", () => {
    const observed = observe()
    return Effect.gen(function*() {
      yield* Sessions.create(Effect.andThen(put, Session.setLifetime(remember)))
      yield* Sessions.create(Effect.andThen(put, Session.setLifetime({ age: "never" })))
      yield* Sessions.create(Effect.andThen(put, Session.setLifetime({ age: "2 hours", absoluteAge: "1 hour" })))
      assert.strictEqual(observed.counters()["cut_lifetimes"], 2)
      const logged = observed.logs.filter(({ message }) => message === "Session lifetime cut")
      const lifetimes = (asked: string, granted: string) => ({
        "effect_session.lifetime.asked": asked,
        "effect_session.lifetime.granted": granted
      })
      assert.deepStrictEqual(logged.map(({ annotations, level }) => [level, annotations]), [
        ["Debug", lifetimes("age 30d, absoluteAge 90d", "age 2h, absoluteAge 7d")],
        ["Debug", lifetimes("age never", "age 2h")]
      ])
    }).pipe(
      Effect.provide(Layer.provideMerge(MemoryLayer.layer(), SessionConfig.layer({ secret }))),
      Effect.provide(observed.layer)
    )
  })
})

describe("requests at the same time", () => {
  const within = <A, E>(session: Session.Session, effect: Effect.Effect<A, E, Session.Session>) =>
    Effect.provideService(effect, Session.Session, session)

  const test = <A, E>(title: string, effect: Effect.Effect<A, E, Services>) =>
    it.effect(title, () =>
      Effect.andThen(setTimeOfDay, effect).pipe(
        Effect.provide(
          Layer.provideMerge(MemoryLayer.layer({ sweepEvery: "never" }), SessionConfig.layer({ secret, ...allowed }))
        )
      ))

  const lifetimes = [
    { title: "longer", lifetime: remember, left: 30 * day },
    { title: "shorter", lifetime: { age: "10 minutes" }, left: 10 * minute }
  ] as const

  for (const { left, lifetime, title } of lifetimes) {
    test(
      `leave a ${title} life as it is, whichever writes last`,
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(put)
        yield* seconds(5 * minute)
        const slow = yield* Sessions.open({ token })
        yield* Sessions.modify({ token }, Session.setLifetime(lifetime))
        yield* within(slow, Effect.andThen(Session.put(Name, "Grace"), Session.commit))
        assert.deepStrictEqual((yield* read(token, ends))[0], left)
        assert.deepStrictEqual(yield* read(token, Session.get(Name)), Option.some("Grace"))
        yield* seconds(left - 0.001)
        assert.isTrue(yield* isThere(token))
        yield* seconds(0.001)
        assert.isFalse(yield* isThere(token))
      })
    )
  }

  test(
    "have the last lifetime that was given, and nothing of the one before",
    Effect.gen(function*() {
      const { token } = yield* Sessions.create(put)
      const sessions = yield* Effect.all([Sessions.open({ token }), Sessions.open({ token })])
      yield* within(sessions[0], Effect.andThen(Session.setLifetime(remember), Session.commit))
      yield* within(sessions[1], Effect.andThen(Session.setLifetime({ absoluteAge: "1 day" }), Session.commit))
      assert.deepStrictEqual(yield* read(token, ends), [2 * hour, day])
    })
  )

  test(
    "give it to the session that a login has made of theirs, but not in the place of the one that the login gave",
    Effect.gen(function*() {
      for (const login of [Session.regenerate, Effect.andThen(Session.regenerate, Session.setLifetime(remember))]) {
        const { token } = yield* Sessions.create(put)
        const slow = yield* Sessions.open({ token })
        const next = tokenOf(yield* Sessions.modify({ token }, login))
        yield* within(slow, Effect.andThen(Session.setLifetime({ age: "10 minutes" }), Session.commit))
        const expected = login === Session.regenerate ? 10 * minute : 30 * day
        assert.deepStrictEqual((yield* read(next, ends))[0], expected)
      }
    })
  )
})

describe("a cookie that holds its session", () => {
  it.effect("stays dead after a logout for as long as an earlier copy of it could live", () =>
    Effect.gen(function*() {
      const { token: copy } = yield* Sessions.create(Effect.andThen(put, Session.setLifetime(remember)))
      const current = tokenOf(yield* Sessions.modify({ token: copy }, Session.setLifetime({})))
      yield* Sessions.destroy({ token: current })
      for (let hours = 0; hours < 5; hours++) {
        assert.isFalse(yield* isThere(copy))
        yield* seconds(hour)
      }
    }).pipe(Effect.provide(Layer.provideMerge(CookieLayer.layer(), SessionConfig.layer({ secret, ...allowed })))))
})

describe("an owner's list", () => {
  const listed = Effect.map(Sessions.list("ada"), ({ sessions }) => sessions.map(({ expiresAt }) => expiresAt))

  const endsIn = (seconds: number) =>
    Effect.map(Clock.currentTimeMillis, (now) => Option.some(DateTime.makeUnsafe(now + seconds * 1_000)))

  const orders = [
    { title: "before", login: Effect.andThen(Session.setLifetime(remember), Session.login("ada")) },
    { title: "after", login: Effect.andThen(Session.login("ada"), Session.setLifetime(remember)) }
  ]

  for (const { login, title } of orders) {
    it.effect(`has a session with a lifetime of its own, given ${title} the owner, until it ends, however it is used`, () =>
      Effect.gen(function*() {
        let { token } = yield* Sessions.create(login)
        assert.deepStrictEqual(yield* listed, [yield* endsIn(30 * day)])
        for (const left of [30, 30, 30, 10]) {
          yield* seconds(20 * day)
          token = tokenOf(yield* use(token))
          assert.deepStrictEqual(yield* listed, [yield* endsIn(left * day)])
        }
        const shortened = yield* Sessions.modify(
          { token },
          Session.setLifetime({ age: "1 hour", absoluteAge: "85 days" })
        )
        assert.deepStrictEqual(maxAges(shortened), [hour])
        assert.deepStrictEqual(yield* listed, [yield* endsIn(hour)])
        yield* seconds(hour)
        assert.deepStrictEqual(yield* listed, [])
      }).pipe(
        Effect.provide(
          Layer.provideMerge(MemoryLayer.layer({ sweepEvery: "never" }), SessionConfig.layer({ secret, ...allowed }))
        )
      ))
  }
})
