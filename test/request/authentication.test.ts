/**
 * When the user was last authenticated: recorded, kept, gone, and asked for, on stores on a server, on a real Redis and in
 * cookies.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, DateTime, Duration, Effect, Exit, Layer, Option, Redacted, Schema } from "effect"
import { Session, SessionConfig, SessionError, SessionKey, Sessions, SessionStore } from "effect-session"
import { TestClock } from "effect/testing"
import { setTimeOfDay } from "../support/clock.ts"
import { secret } from "../support/config.ts"
import { storesWithRedis } from "../support/drivers.ts"
import { watchStore } from "../support/failingStore.ts"
import { Name } from "../support/routes.ts"
import { createSession } from "../support/storedSession.ts"

const stores = storesWithRedis()

type Services = SessionStore.SessionStore | SessionConfig.SessionConfig
type Token = Extract<Sessions.Presented, { readonly token: unknown }>

const read = <A, E>(presented: Sessions.Presented, effect: Effect.Effect<A, E, Session.Session>) =>
  Effect.flatMap(
    Sessions.open(presented, { readonly: true }),
    (session) => Effect.provideService(effect, Session.Session, session)
  )

const tokenOf = ({ token }: Sessions.Committed): Token => ({ token: Option.getOrThrow(token) })

const login = Effect.map(
  Sessions.create(Effect.andThen(Session.put(Name, "Ada"), Session.login("ada", { methods: ["password", "otp"] }))),
  ({ token }): Token => ({ token })
)

const notRecent = <A, E>(effect: Effect.Effect<A, E, Session.Session>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, SessionError.SessionNotRecentError)
    return error
  })

for (const [driver, makeStore] of Object.entries(stores)) {
  describe(driver, () => {
    const test = <A, E>(title: string, effect: () => Effect.Effect<A, E, Services>) =>
      it.effect(title, () =>
        Effect.andThen(
          setTimeOfDay,
          Effect.provide(
            Effect.suspend(effect),
            Layer.suspend(() => Layer.provideMerge(makeStore(), SessionConfig.layer({ secret })))
          )
        ))

    test("V7.5.1 Session.requireRecent accepts an authentication no longer ago than that, to the millisecond", () =>
      Effect.gen(function*() {
        const at = yield* DateTime.now
        const token = yield* login
        yield* TestClock.adjust("10 minutes")
        const last = yield* read(token, Session.requireRecent("10 minutes"))
        assert.deepStrictEqual(last, { at, methods: ["password", "otp"] })
        yield* TestClock.adjust(1)
        const error = yield* read(token, notRecent(Session.requireRecent("10 minutes")))
        assert.deepStrictEqual(error.authenticatedAt, at)
        assert.strictEqual(Duration.toMillis(error.maxAge), 600_000)
        assert.deepStrictEqual(error.methods, [])
        yield* read(token, Session.requireRecent(Duration.minutes(11)))
      }))

    test("V7.5.3 Session.requireRecent asks for any of the methods", () =>
      Effect.gen(function*() {
        const token = yield* login
        yield* read(token, Session.requireRecent("10 minutes", { methods: ["otp"] }))
        yield* read(token, Session.requireRecent("10 minutes", { methods: ["passkey", "password"] }))
        const error = yield* read(token, notRecent(Session.requireRecent("10 minutes", { methods: ["passkey"] })))
        assert.deepStrictEqual(error.methods, ["passkey"])
      }))

    test("nobody is authenticated in a session that was never told so, or without a session", () =>
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(Session.put(Name, "Ada"))
        for (const presented of [{ token }, { cookies: undefined }]) {
          assert.isTrue(Option.isNone(yield* read(presented, Session.authentication)))
          assert.isTrue(Option.isNone(yield* read(presented, Session.authenticatedAt)))
          const error = yield* read(presented, notRecent(Session.requireRecent("1 day")))
          assert.isUndefined(error.authenticatedAt)
        }
      }))

    test("a second authentication takes the place of the first, with its methods", () =>
      Effect.gen(function*() {
        const token = yield* login
        yield* TestClock.adjust("1 hour")
        const later = tokenOf(yield* Sessions.modify(token, Session.login("ada", { methods: ["passkey", "passkey"] })))
        const at = yield* DateTime.now
        assert.deepStrictEqual(
          yield* read(later, Session.authentication),
          Option.some({ at, methods: ["passkey"] } as const)
        )
        assert.deepStrictEqual(yield* read(later, Session.authenticatedAt), Option.some(at))
        yield* read(later, notRecent(Session.requireRecent("2 hours", { methods: ["password"] })))
      }))

    test("it is kept when the session is regenerated, cleared or changed, and its time with it", () =>
      Effect.gen(function*() {
        const at = yield* DateTime.now
        let token = yield* login
        for (const change of [Session.regenerate, Session.clear, Session.put(Name, "Grace")]) {
          yield* TestClock.adjust("1 minute")
          token = tokenOf(yield* Sessions.modify(token, change))
          assert.deepStrictEqual(yield* read(token, Session.authenticatedAt), Option.some(at))
        }
      }))

    test("it is gone with the session, and not in one that comes after it in the same request", () =>
      Effect.gen(function*() {
        const token = yield* login
        const next = yield* Sessions.modify(token, Effect.andThen(Session.destroy, Session.put(Name, "Grace")))
        for (const presented of [token, tokenOf(next)]) {
          yield* read(presented, notRecent(Session.requireRecent("1 day")))
        }
      }))

    test("a session that was ended elsewhere takes nothing of it along when a request regenerates it", () =>
      Effect.gen(function*() {
        const token = yield* login
        const session = yield* Sessions.open(token)
        yield* Effect.provideService(Session.authenticatedAt, Session.Session, session)
        yield* Sessions.destroy(token)
        yield* Effect.provideService(
          Effect.andThen(Session.regenerate, Session.put(Name, "Grace")),
          Session.Session,
          session
        )
        const next = tokenOf(yield* Sessions.commit(session))
        assert.deepStrictEqual(yield* read(next, Session.get(Name)), Option.some("Grace"))
        yield* read(next, notRecent(Session.requireRecent("1 day")))
      }))

    test("what is taken back was not recorded", () =>
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(
          Effect.andThen(
            Effect.exit(Session.atomic(Effect.andThen(Session.login("ada", { methods: ["otp"] }), Effect.fail("no")))),
            Session.put(Name, "Ada")
          )
        )
        yield* read({ token }, notRecent(Session.requireRecent("1 day")))
      }))

    test("it is no value of the application's: Session.all does not have it, and no key is in its way", () =>
      Effect.gen(function*() {
        const key = SessionKey.make("~authenticated", Schema.String)
        const token = tokenOf(yield* Sessions.modify(yield* login, Session.put(key, "mine")))
        assert.deepStrictEqual(yield* read(token, Session.all), { name: "Ada", "~authenticated": "mine" })
        yield* read(token, Session.requireRecent("1 minute"))
      }))

    test("a damaged field counts as never", () =>
      Effect.gen(function*() {
        const store = yield* SessionStore.SessionStore
        const now = yield* Clock.currentTimeMillis
        const times = { createdAt: now, touchedAt: now, expiresAt: now + 3_600_000 }
        for (
          const text of ["{}", "not JSON", `{"at":${now},"methods":[]}`, `{"at":${now + 3_600_000},"methods":["otp"]}`]
        ) {
          const { token } = yield* createSession(store, { "~authenticated": text }, times)
          assert.isTrue(Option.isNone(yield* read({ token: Redacted.make(token.text) }, Session.authentication)), text)
        }
      }))

    test("methods that are no names are a SessionValueError, and record nothing", () =>
      Effect.gen(function*() {
        const wrong = [[], [""], ["p".repeat(65)], ["otp", 5]] as unknown as ReadonlyArray<Session.Methods>
        for (const methods of wrong) {
          const error = yield* Effect.flip(Sessions.create(Session.login("ada", { methods })))
          assert.instanceOf(error, SessionError.SessionValueError)
          assert.strictEqual(
            error.message,
            "Session key \"~authenticated\" at methods: can't encode the value. " +
              "Expected at least one method, each a name of 1 to 64 characters, such as \"password\""
          )
        }
      }))

    test("a session that was opened read-only says when, and records nothing", () =>
      Effect.gen(function*() {
        const error = yield* read(yield* login, Effect.flip(Session.login("ada", { methods: ["otp"] })))
        assert.instanceOf(error, SessionError.SessionReadonlyError)
      }))
  })
}

describe("Session.requireRecent", () => {
  const wrongAges: ReadonlyArray<unknown> = [
    "0 minutes",
    "never",
    "10",
    "",
    "soon",
    "-5 minutes",
    600,
    5n,
    null,
    undefined,
    {},
    Duration.zero,
    Duration.infinity,
    Duration.minutes(-1)
  ]

  for (const written of wrongAges) {
    it(`throws at once for a maxAge of ${typeof written} ${String(written)}`, () => {
      assert.throws(
        () => Session.requireRecent(written as Duration.Duration),
        /^Session\.requireRecent\(.*\): write a duration longer than zero with its unit, such as "10 minutes"$/
      )
    })
  }

  it("throws at once for an empty list of methods, which no method is in", () => {
    for (const methods of [[], [""], ["p".repeat(65)], "otp"] as unknown as ReadonlyArray<Session.Methods>) {
      assert.throws(
        () => Session.requireRecent("10 minutes", { methods }),
        "Session.requireRecent: write at least one method"
      )
    }
  })

  it.effect("is a SessionStoreError if the store fails, not one of the user's", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const exit = yield* Effect.gen(function*() {
        const token = yield* login
        store.fails("load")
        return yield* Effect.exit(read(token, Session.requireRecent("10 minutes")))
      }).pipe(Effect.provide(Layer.provideMerge(store.layer, SessionConfig.layer({ secret }))))
      assert.isTrue(Exit.isFailure(exit))
      const error = yield* Effect.flip(exit)
      assert.strictEqual(error._tag, "SessionStoreError")
    }))

  it.effect("costs the load of the session, and no call more", () =>
    Effect.gen(function*() {
      const store = watchStore()
      yield* Effect.gen(function*() {
        const token = yield* login
        store.newCalls()
        yield* read(token, Effect.andThen(Session.requireRecent("10 minutes"), Session.authenticatedAt))
        assert.deepStrictEqual(store.newCalls(), ["load"])
      }).pipe(Effect.provide(Layer.provideMerge(store.layer, SessionConfig.layer({ secret }))))
    }))
})

describe("a SessionNotRecentError", () => {
  const error = new SessionError.SessionNotRecentError({
    maxAge: Duration.minutes(10),
    methods: ["password", "otp"],
    authenticatedAt: DateTime.makeUnsafe(1_800_000_000_000)
  })

  it("says what was asked for, and when the last time was", () => {
    assert.strictEqual(
      error.message,
      "The user must have authenticated by password or otp within the last 10m; " +
        "last authenticated: 2027-01-15T08:00:00.000Z"
    )
    assert.strictEqual(
      new SessionError.SessionNotRecentError({ maxAge: Duration.hours(1), methods: [] }).message,
      "The user must have authenticated within the last 1h; last authenticated: never"
    )
  })

  it("is plain as JSON", () => {
    assert.deepStrictEqual<unknown>(Schema.encodeSync(Schema.toCodecJson(SessionError.SessionNotRecentError))(error), {
      _tag: "SessionNotRecentError",
      maxAge: 600_000,
      methods: ["password", "otp"],
      authenticatedAt: "2027-01-15T08:00:00.000Z"
    })
  })
})
