import { Effect, Option, Schema } from "effect"
import { type Session, type SessionError, SessionKey } from "effect-session"
import { describe, expect, it } from "tstyche"

const Count = SessionKey.make("count", Schema.Number)

describe("make", () => {
  it("knows the values and what they are encoded to", () => {
    expect(Count).type.toBe<SessionKey.SessionKey<number, Option.Option<number>, number>>()
    expect(SessionKey.make("since", Schema.Date)).type.toBe<SessionKey.SessionKey<Date, Option.Option<Date>, Date>>()
    expect(SessionKey.make("count", Schema.NumberFromString)).type.toBe<
      SessionKey.SessionKey<number, Option.Option<number>, string>
    >()
  })

  it("takes any schema that needs no service", () => {
    expect(SessionKey.make).type.toBeCallableWith("user", Schema.Struct({ name: Schema.String }))
    expect(SessionKey.make).type.not.toBeCallableWith("user")
    expect(SessionKey.make).type.not.toBeCallableWith(Schema.String)
    const needy = {} as Schema.Codec<string, string, Session.Session, never>
    expect(SessionKey.make).type.not.toBeCallableWith("needy", needy)
  })
})

describe("withDefault", () => {
  it("makes reading give the value itself", () => {
    expect(SessionKey.withDefault(Count, () => 0)).type.toBe<SessionKey.SessionKey<number, number, number>>()
    expect(Count.pipe(SessionKey.withDefault(() => 0))).type.toBe<SessionKey.SessionKey<number, number, number>>()
    expect(Count.pipe(SessionKey.withDefault(() => 0, { onInvalid: "default" }))).type.toBe<
      SessionKey.SessionKey<number, number, number>
    >()
  })

  it("takes a default of the key's type only", () => {
    expect(SessionKey.withDefault).type.toBeCallableWith(Count, () => 0)
    expect(SessionKey.withDefault).type.not.toBeCallableWith(Count, () => "0")
    expect(SessionKey.withDefault).type.not.toBeCallableWith(Count, 0)
    expect(SessionKey.withDefault).type.not.toBeCallableWith(Count, () => 0, { onInvalid: "ignore" })
    expect(SessionKey.withDefault<string>(() => "0")).type.not.toBeCallableWith(Count)
  })

  it("takes a literal for a key of literals, and no other", () => {
    const Theme = SessionKey.make("theme", Schema.Literals(["light", "dark"]))
    expect(Theme.pipe(SessionKey.withDefault(() => "light"))).type.toBe<
      SessionKey.SessionKey<"light" | "dark", "light" | "dark", "light" | "dark">
    >()
    expect(SessionKey.withDefault).type.not.toBeCallableWith(Theme, () => "blue")
  })
})

describe("a key", () => {
  it("is an Effect that reads it", () => {
    expect(Count).type.toBeAssignableTo<
      Effect.Effect<Option.Option<number>, SessionError.ReadError, Session.Session>
    >()
    const Total = Count.pipe(SessionKey.withDefault(() => 0))
    expect(Effect.gen(function*() {
      const count = yield* Count
      const total = yield* Total
      return Option.getOrElse(count, () => "none") === total
    })).type.toBe<Effect.Effect<boolean, SessionError.ReadError, Session.Session>>()
    expect(Effect.map(Total, (total) => total + 1)).type.toBe<
      Effect.Effect<number, SessionError.ReadError, Session.Session>
    >()
  })

  it("is a key of any type, and a numeric one only where it is a number in the store as well", () => {
    expect(Count).type.toBeAssignableTo<SessionKey.Any>()
    expect(SessionKey.make("name", Schema.String)).type.toBeAssignableTo<SessionKey.Any>()
    expect(Count).type.toBeAssignableTo<SessionKey.Numeric>()
    expect(SessionKey.make("name", Schema.String)).type.not.toBeAssignableTo<SessionKey.Numeric>()
    expect(SessionKey.make("text", Schema.NumberFromString)).type.not.toBeAssignableTo<SessionKey.Numeric>()
  })

  it("is neither a key of a wider type nor one of a narrower type", () => {
    type Key<A> = SessionKey.SessionKey<A, unknown>
    expect<Key<"a" | "b">>().type.not.toBeAssignableTo<Key<string>>()
    expect<Key<string>>().type.not.toBeAssignableTo<Key<"a" | "b">>()
  })
})

describe("keys with a life", () => {
  const Once = SessionKey.once(Count)
  const Code = SessionKey.attempts(Count, 3)

  it("are keys of the same values, by whatever combinators and in whatever order", () => {
    expect(SessionKey.expires(Count, "10 minutes")).type.toBe<typeof Count>()
    expect(Count.pipe(SessionKey.expires("10 minutes"))).type.toBe<typeof Count>()
    type All = SessionKey.SessionKey<number, number, number, SessionError.ChangeError, number>
    expect(
      Count.pipe(
        SessionKey.once,
        SessionKey.attempts(3),
        SessionKey.expires("1 hour"),
        SessionKey.withDefault(() => 0)
      )
    ).type.toBe<All>()
    expect(
      Count.pipe(
        SessionKey.withDefault(() => 0),
        SessionKey.expires("1 hour"),
        SessionKey.attempts(3),
        SessionKey.once
      )
    ).type.toBe<All>()
  })

  it("take a duration that ends", () => {
    expect(SessionKey.expires).type.toBeCallableWith(Count, "10 minutes")
    expect(SessionKey.expires).type.not.toBeCallableWith(Count, "never")
    expect(SessionKey.expires).type.not.toBeCallableWith(Count, 600)
  })

  it("say what reading can fail with: of those that it takes, with what a change can", () => {
    expect(Once).type.toBeAssignableTo<
      Effect.Effect<Option.Option<number>, SessionError.ChangeError, Session.Session>
    >()
    expect(Once).type.not.toBeAssignableTo<Effect.Effect<unknown, SessionError.ReadError, Session.Session>>()
    expect(Code).type.toBeAssignableTo<Effect.Effect<Option.Option<number>, SessionError.ReadError, Session.Session>>()
  })
})
