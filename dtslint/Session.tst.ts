import { Context, type DateTime, Duration, Effect, Option, Schema } from "effect"
import { Session, type SessionError, SessionKey } from "effect-session"
import type { Json, JsonObject } from "effect/Schema"
import { describe, expect, it } from "tstyche"

type Service = Session.Session
type ReadError = SessionError.ReadError
type ChangeError = SessionError.ChangeError
/** What an operation can fail with that has no value to encode or decode. */
type PlainChangeError =
  | SessionError.SessionStoreError
  | SessionError.SessionReadonlyError
  | SessionError.SessionClosedError

const Name = SessionKey.make("name", Schema.String)
const Count = SessionKey.make("count", Schema.Number)
const Total = Count.pipe(SessionKey.withDefault(() => 0))
const Percent = SessionKey.make("percent", Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })))
const FromText = SessionKey.make("from_text", Schema.NumberFromString)
const Since = SessionKey.make("since", Schema.Date)
const MaybeCount = SessionKey.make("maybe", Schema.NullOr(Schema.Number))
const Theme = SessionKey.make("theme", Schema.Literals(["light", "dark"]))
const Profile = SessionKey.make("profile", Schema.Struct({ name: Schema.String, since: Schema.Date }))

describe("reading", () => {
  it("gives an Option, or the value where the key has a default", () => {
    expect(Session.get(Name)).type.toBe<Effect.Effect<Option.Option<string>, ReadError, Service>>()
    expect(Session.get(Total)).type.toBe<Effect.Effect<number, ReadError, Service>>()
    expect(Session.get(Since)).type.toBe<Effect.Effect<Option.Option<Date>, ReadError, Service>>()
    expect(Session.flashed(Name)).type.toBe<Effect.Effect<Option.Option<string>, ReadError, Service>>()
    expect(Session.flashed(Total)).type.toBe<Effect.Effect<number, ReadError, Service>>()
  })

  it("gives the value or something else", () => {
    expect(Session.getOrElse(Name, () => null)).type.toBe<Effect.Effect<string | null, ReadError, Service>>()
    expect(Name.pipe(Session.getOrElse(() => 5))).type.toBe<Effect.Effect<string | number, ReadError, Service>>()
    expect(Session.getOrElse(Total, () => "none")).type.toBe<Effect.Effect<number | string, ReadError, Service>>()
  })

  it("fails with what reading can fail with, and no more", () => {
    expect<ReadError>().type.toBe<SessionError.SessionStoreError | SessionError.SessionValueError>()
    expect(Session.all).type.toBe<Effect.Effect<JsonObject, ReadError, Service>>()
    type Plain<A> = Effect.Effect<A, SessionError.SessionStoreError, Service>
    expect(Session.has(Name)).type.toBe<Plain<boolean>>()
    expect(Session.view).type.toBe<Plain<Session.SessionView>>()
    expect(Session.handle).type.toBe<Plain<string>>()
    expect(Session.fresh).type.toBe<Plain<boolean>>()
    expect(Session.flashMessages).type.toBe<Plain<Session.FlashMessages>>()
    expect(Session.initiated).type.toBe<Effect.Effect<boolean, never, Service>>()
    expect(Session.readonly).type.toBe<Effect.Effect<boolean, never, Service>>()
  })

  it("has a view with plain functions", () => {
    const view = {} as Session.SessionView
    expect(view.get(Name)).type.toBe<Option.Option<string>>()
    expect(view.get(Total)).type.toBe<number>()
    expect(view).type.not.toHaveProperty("put")
  })
})

describe("changing", () => {
  it("puts values of the key's type only", () => {
    expect(Session.put).type.toBeCallableWith(Name, "Ada")
    expect(Session.put).type.toBeCallableWith(Since, new Date())
    expect(Session.put).type.toBeCallableWith(Profile, { name: "Ada", since: new Date() })
    expect(Session.put).type.toBeCallableWith(Theme, "dark")
    expect(Session.put).type.toBeCallableWith(Total, 5)
    expect(Session.put).type.not.toBeCallableWith(Name, 5)
    expect(Session.put).type.not.toBeCallableWith(Since, "2026-01-01")
    expect(Session.put).type.not.toBeCallableWith(Profile, { name: "Ada" })
    expect(Session.put).type.not.toBeCallableWith(Theme, "blue")
    expect(Session.put).type.not.toBeCallableWith(Count, undefined)
    expect(Session.put).type.not.toBeCallableWith("name", "Ada")
    expect(Session.put).type.not.toBeCallableWith()
  })

  it("puts values of the key's type only, also at the end of a pipe", () => {
    expect(Name.pipe(Session.put("Ada"))).type.toBe<Effect.Effect<void, ChangeError, Service>>()
    expect(Theme.pipe(Session.put("dark"))).type.toBe<Effect.Effect<void, ChangeError, Service>>()
    expect(Name.pipe).type.not.toBeCallableWith(Session.put(5))
    expect(Theme.pipe).type.not.toBeCallableWith(Session.put("blue"))
  })

  it("modifies with the value that reading gives", () => {
    expect(Session.modify(Total, (total) => {
      expect(total).type.toBe<number>()
      return total + 1
    })).type.toBe<Effect.Effect<number, ChangeError, Service>>()
    expect(Session.modify(Name, (name) => {
      expect(name).type.toBe<Option.Option<string>>()
      return "Ada"
    })).type.toBe<Effect.Effect<string, ChangeError, Service>>()
    expect(Total.pipe(Session.modify((total: number) => total + 1))).type.toBe<
      Effect.Effect<number, ChangeError, Service>
    >()
    expect(Session.modify).type.not.toBeCallableWith(Name, () => 5)
    expect(Session.modify).type.not.toBeCallableWith(Name, (name: string) => name)
    expect(Session.modify((name: string) => name)).type.not.toBeCallableWith(Name)
  })

  it("increments numbers only: in the program and in the store", () => {
    expect(Session.increment).type.toBeCallableWith(Count)
    expect(Session.increment).type.toBeCallableWith(Count, 5)
    expect(Session.increment).type.toBeCallableWith(Total)
    expect(Session.increment).type.toBeCallableWith(Percent, 5)
    expect(Session.increment).type.not.toBeCallableWith(Name)
    expect(Session.increment).type.not.toBeCallableWith(Name, 5)
    expect(Session.increment).type.not.toBeCallableWith(FromText)
    expect(Session.increment).type.not.toBeCallableWith(Since)
    expect(Session.increment).type.not.toBeCallableWith(MaybeCount)
    expect(Session.increment).type.not.toBeCallableWith(Count, "5")
    expect(Session.increment(5)).type.toBeCallableWith(Count)
    expect(Session.increment(5)).type.not.toBeCallableWith(Name)
    expect(Session.increment(5)).type.not.toBeCallableWith(FromText)
    expect(Session.increment(Count)).type.toBe<Effect.Effect<number, ChangeError, Service>>()
  })

  it("decrements numbers only", () => {
    expect(Session.decrement).type.toBeCallableWith(Total, 5)
    expect(Session.decrement).type.not.toBeCallableWith(Name)
    expect(Session.decrement).type.not.toBeCallableWith(FromText)
    expect(Session.decrement(5)).type.toBeCallableWith(Percent)
    expect(Session.decrement(5)).type.not.toBeCallableWith(Since)
    expect(Count.pipe(Session.decrement(5))).type.toBe<Effect.Effect<number, ChangeError, Service>>()
  })

  it("fails with what changing can fail with, and no more", () => {
    expect<ChangeError>().type.toBe<
      ReadError | SessionError.SessionReadonlyError | SessionError.SessionClosedError
    >()
    expect(Session.put(Name, "Ada")).type.toBe<Effect.Effect<void, ChangeError, Service>>()
    expect(Session.pull(Name)).type.toBe<Effect.Effect<Option.Option<string>, ChangeError, Service>>()
    expect(Session.pull(Total)).type.toBe<Effect.Effect<number, ChangeError, Service>>()
    expect(Session.forget(Name)).type.toBe<Effect.Effect<void, PlainChangeError, Service>>()
    expect(Session.clear).type.toBe<Effect.Effect<void, PlainChangeError, Service>>()
    expect(Session.regenerate).type.toBe<Effect.Effect<void, PlainChangeError, Service>>()
    expect(Session.destroy).type.toBe<Effect.Effect<void, PlainChangeError, Service>>()
    expect(Session.touch).type.toBe<Effect.Effect<void, PlainChangeError, Service>>()
  })

  it("gives a lifetime, whose ages have a unit", () => {
    expect(Session.setLifetime({ age: "30 days", absoluteAge: "never", persistence: "browser" })).type.toBe<
      Effect.Effect<void, PlainChangeError | SessionError.SessionLifetimeError, Service>
    >()
    expect(Session.setLifetime).type.toBeCallableWith({})
    expect(Session.setLifetime).type.toBeCallableWith({ age: undefined })
    expect(Session.setLifetime).type.not.toBeCallableWith({ age: 3600 })
    expect(Session.setLifetime).type.not.toBeCallableWith({ age: "3600" })
    expect(Session.setLifetime).type.not.toBeCallableWith({ maximumAge: "1 day" })
    expect(Session.setLifetime).type.not.toBeCallableWith({ persistence: "forever" })
    type Moment = Option.Option<DateTime.Utc>
    expect(Session.expiresAt).type.toBe<Effect.Effect<Session.Ends, SessionError.SessionStoreError, Service>>()
    expect<Session.Ends>().type.toBe<{ readonly idle: Moment; readonly absolute: Moment }>()
  })

  it("commits, and fails with what the store and its limits can fail with", () => {
    expect(Session.commit).type.toBe<Effect.Effect<void, SessionError.CommitError, Service>>()
    expect<SessionError.CommitError>().type.toBe<
      | PlainChangeError
      | SessionError.SessionTooLargeError
      | SessionError.SessionGoneError
      | SessionError.SessionConflictError
      | SessionError.SessionValueError
    >()
  })

  it("takes back what is not committed", () => {
    expect(Session.rollback).type.toBe<Effect.Effect<void, PlainChangeError, Service>>()
  })

  it("makes a part of a handler count as a whole, whatever it gives, fails with and needs", () => {
    class Stock extends Context.Service<Stock, { readonly left: number }>()("Stock") {}
    const buy = Effect.gen(function*() {
      yield* Session.increment(Count)
      const { left } = yield* Stock
      return left > 0 ? left : yield* Effect.fail("sold out" as const)
    })
    expect(Session.atomic(buy)).type.toBe<
      Effect.Effect<
        number,
        | "sold out"
        | ChangeError
        | SessionError.SessionConflictError,
        Stock | Service
      >
    >()
    expect(Session.atomic(Effect.succeed(1))).type.toBe<
      Effect.Effect<
        number,
        SessionError.SessionValueError | SessionError.SessionConflictError | SessionError.SessionClosedError,
        Service
      >
    >()
  })
})

describe("flash messages", () => {
  it("come by key, by name or as an object", () => {
    expect(Session.flash).type.toBeCallableWith(Name, "Ada")
    expect(Session.flash).type.toBeCallableWith(Since, new Date())
    expect(Session.flash).type.toBeCallableWith("message", "Saved")
    expect(Session.flash).type.toBeCallableWith("errors", { title: ["too short"] })
    expect(Session.flash).type.toBeCallableWith({ message: "Saved", errors: { title: 1 } })
    expect(Session.flash).type.not.toBeCallableWith(Name, 5)
    expect(Session.flash).type.not.toBeCallableWith("message")
    expect(Session.flash).type.not.toBeCallableWith("message", undefined)
    expect(Session.flash).type.not.toBeCallableWith("since", new Date())
    expect(Session.flash).type.not.toBeCallableWith({ since: new Date() })
    expect(Session.flash).type.not.toBeCallableWith({ size: 5n })
    expect(Session.flash).type.not.toBeCallableWith(["message"])
    expect(Session.flash).type.not.toBeCallableWith()
  })

  it("are read by paths", () => {
    const messages = {} as Session.FlashMessages
    expect(messages.get("errors.title")).type.toBe<Option.Option<Json>>()
    expect(messages.get("errors.title", undefined)).type.toBe<Json | undefined>()
    expect(messages.get("errors.title", new Date())).type.toBe<Json | Date>()
    expect(messages.isEmpty).type.toBe<boolean>()
    expect(messages.all()).type.toBe<JsonObject>()
  })

  it("fail with what changing can fail with", () => {
    type Change = Effect.Effect<void, ChangeError, Service>
    expect(Session.flash("a", 1)).type.toBe<Change>()
    expect(Session.flashAll()).type.toBe<Change>()
    expect(Session.flashAll({ a: 1 })).type.toBe<Change>()
    expect(Session.flashOnly(["a"])).type.toBe<Change>()
    expect(Session.flashExcept(["a"], { a: 1 })).type.toBe<Change>()
    expect(Session.reflash).type.toBe<Change>()
    expect(Session.reflashOnly(["a"])).type.toBe<Change>()
    expect(Session.reflashExcept(["a"])).type.toBe<Change>()
  })
})

describe("the session", () => {
  it("can't be made by hand", () => {
    expect<Service>().type.not.toBeAssignableFrom<{}>()
    expect<keyof Service>().type.toBe<typeof Session.TypeId>()
  })

  it("for tests needs nothing", () => {
    expect(Effect.provide(Session.increment(Count), Session.layerTest({ count: 1 }))).type.toBe<
      Effect.Effect<number, ChangeError>
    >()
    expect(Effect.provide(Effect.ignore(Session.login("ada")), Session.layerTest())).type.toBe<Effect.Effect<void>>()
    expect(Session.layerTest).type.not.toBeCallableWith({ since: new Date() })
  })
})

describe("login and logout", () => {
  const Theme = SessionKey.make("theme", Schema.String, { scope: "device" })
  const Hits = SessionKey.make("hits", Schema.Number, { scope: "visitor" }).pipe(SessionKey.withDefault(() => 0))

  it("needs nothing but a session, with every store", () => {
    expect(Session.login("ada")).type.toBe<Effect.Effect<void, SessionError.LoginError, Service>>()
    expect(Session.login).type.not.toBeCallableWith(5)
    expect(Session.logout).type.toBe<
      Effect.Effect<
        void,
        SessionError.SessionStoreError | SessionError.SessionReadonlyError | SessionError.SessionClosedError,
        Service
      >
    >()
  })

  it("merges each key by a function from what reading it gives to a value of it", () => {
    const both = Session.login("ada", {
      methods: ["password"],
      merge: [
        [Hits, (visitor) => {
          expect(visitor).type.toBe<number>()
          return visitor + 1
        }],
        [Theme, (visitor) => {
          expect(visitor).type.toBe<Option.Option<string>>()
          return Option.getOrElse(visitor, () => "dark")
        }]
      ]
    })
    expect(both).type.toBe<Effect.Effect<void, SessionError.LoginError, Service>>()
    const merging = (merge: Session.Merge<typeof Hits>) => Session.login("ada", { merge: [merge] })
    expect(merging).type.toBeCallableWith([Hits, () => 5])
    expect(merging).type.not.toBeCallableWith([Hits, () => "five"])
  })

  it("clears what browsers know", () => {
    expect(Session.clearSiteData).type.toBeCallableWith(["cache", "cookies", "storage", "executionContexts"])
    expect(Session.clearSiteData).type.not.toBeCallableWith([])
    expect(Session.clearSiteData).type.not.toBeCallableWith(["everything"])
  })
})

describe("what is committed at once", () => {
  const Once = SessionKey.once(Name)
  const Code = SessionKey.attempts(Name, 3)

  it("renews a value by one of the key's type, and says what that can fail with", () => {
    const due = { when: (name: string) => name === "" }
    class Refused {
      readonly _tag = "Refused"
    }
    class Upstream extends Context.Service<Upstream, string>()("Upstream") {}
    const renewed = Session.renew(Name, {
      ...due,
      renew: (name) => name === "" ? Upstream : Effect.fail(new Refused())
    })
    expect(renewed).type.toBe<
      Effect.Effect<Option.Option<string>, SessionError.RenewError | Refused, Service | Upstream>
    >()
    const plain = { when: (total: number) => total > 5, renew: () => Effect.succeed(0), lease: "1 minute" } as const
    expect(Session.renew(Total, plain)).type.toBe<Effect.Effect<number, SessionError.RenewError, Service>>()
    expect(Total.pipe(Session.renew(plain))).type.toBe<Effect.Effect<number, SessionError.RenewError, Service>>()
    expect(Session.renew).type.not.toBeCallableWith(Name, plain)
    expect(Session.renew).type.not.toBeCallableWith(Total, { ...plain, lease: "never" })
    expect(Session.renew).type.not.toBeCallableWith(Once, { ...due, renew: () => Effect.succeed("") })
  })

  it("tries the value of a key that says how often, and of no other", () => {
    expect(Session.attempt(Code, (code) => code === "1199")).type.toBe<
      Effect.Effect<boolean, SessionError.AttemptError, Service>
    >()
    expect(Code.pipe(Session.attempt((code) => code === "1199"))).type.toBe<
      Effect.Effect<boolean, SessionError.AttemptError, Service>
    >()
    expect(Session.attempt(Code, () => Effect.fail("no" as const))).type.toBe<
      Effect.Effect<boolean, SessionError.AttemptError | "no", Service>
    >()
    expect(Session.attempt).type.toBeCallableWith(SessionKey.once(Code), () => true)
    expect(Session.attempt).type.not.toBeCallableWith(Name, () => true)
    expect(Session.attempt).type.not.toBeCallableWith(Code, () => "yes")
  })

  it("reads a key that is taken by reading, and has no view of it", () => {
    expect(Session.get(Once)).type.toBe<Effect.Effect<Option.Option<string>, ChangeError, Service>>()
    expect(Session.put(Once, "one")).type.toBe<Effect.Effect<void, ChangeError, Service>>()
    expect(Session.pull(Once)).type.toBe<Effect.Effect<Option.Option<string>, ChangeError, Service>>()
    expect(Session.has).type.toBeCallableWith(Once)
    expect(Session.modify).type.not.toBeCallableWith(Once, () => "two")
    const view = {} as Session.SessionView
    expect(view.get).type.not.toBeCallableWith(Once)
    expect(view.has).type.toBeCallableWith(Once)
  })
})

describe("authentication", () => {
  type Store = SessionError.SessionStoreError
  type Method = "password" | "otp"

  it("takes at least one method, of any name or of the application's own", () => {
    const login = (methods: Session.Methods<Method>) => Session.login("ada", { methods })
    expect(login).type.toBeCallableWith(["password", "otp"])
    expect(login).type.not.toBeCallableWith(["top"])
    expect(Session.login).type.not.toBeCallableWith("ada", { methods: [] })
    expect(Session.login).type.not.toBeCallableWith("ada", { methods: "password" })
    expect(Session.requireRecent<Method>).type.toBeCallableWith("10 minutes", { methods: ["otp"] })
    expect(Session.requireRecent<Method>).type.not.toBeCallableWith("10 minutes", { methods: ["top"] })
    expect(Session.requireRecent).type.not.toBeCallableWith("10 minutes", { methods: [] })
  })

  it("asks for a duration with its unit", () => {
    expect(Session.requireRecent).type.toBeCallableWith(Duration.minutes(10))
    expect(Session.requireRecent).type.not.toBeCallableWith(600)
    expect(Session.requireRecent).type.not.toBeCallableWith("600")
    expect(Session.requireRecent).type.not.toBeCallableWith("soon")
    expect(Session.requireRecent).type.not.toBeCallableWith("never")
    expect(Session.requireRecent).type.not.toBeCallableWith()
  })

  it("says when and how, and fails with an error of its own", () => {
    expect(Session.authenticatedAt).type.toBe<Effect.Effect<Option.Option<DateTime.Utc>, Store, Service>>()
    expect(Session.authentication).type.toBe<Effect.Effect<Option.Option<Session.Authentication>, Store, Service>>()
    expect(Session.requireRecent("10 minutes")).type.toBe<
      Effect.Effect<Session.Authentication, Store | SessionError.SessionNotRecentError, Service>
    >()
  })
})
