import { Config, type ConfigProvider, Duration, type Effect, type Layer, Redacted } from "effect"
import {
  CookieLayer,
  MemoryLayer,
  type Session,
  SessionConfig,
  type SessionError,
  type SessionOwners,
  Sessions,
  SessionStore
} from "effect-session"
import type { Persistence } from "effect/persistence"
import { describe, expect, it } from "tstyche"

const never = "never"
type SessionConfigError = SessionError.SessionConfigError

describe("settings in code", () => {
  it("V7.1.1 durations have a unit", () => {
    expect(SessionConfig.layer).type.toBeCallableWith({ age: "2 hours", absoluteAge: "7d", touchEvery: "0.5 minutes" })
    expect(SessionConfig.layer).type.toBeCallableWith({ age: "2 h", timeLimit: "250ms", supersededFor: "1week" })
    expect(SessionConfig.layer).type.toBeCallableWith({ age: Duration.hours(2), absoluteAge: never })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ age: 7200 })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ age: 7200n })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ age: "7200" })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ age: "2 fortnights" })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ age: "2 nanos" })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ age: "two hours" })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ age: "forever" })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ age: null })
    expect(MemoryLayer.layer).type.toBeCallableWith({ sweepEvery: "5s" })
    expect(MemoryLayer.layer).type.not.toBeCallableWith({ sweepEvery: 5 })
  })

  it("sizes are bytes, or have a unit", () => {
    expect(SessionConfig.layer).type.toBeCallableWith({ sizeLimit: 65_536, flash: { sizeLimit: "16 KiB" } })
    expect(SessionConfig.layer).type.toBeCallableWith({ sizeLimit: "unlimited", flash: { sizeLimit: "1.5MB" } })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ sizeLimit: "64 KB" })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ sizeLimit: never })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ flash: { sizeLimit: "large" } })
  })

  it("there are no other settings", () => {
    expect(SessionConfig.layer).type.not.toBeCallableWith({ sercet: "x" })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ cookie: { samesite: "lax" } })
    expect(SessionConfig.layerConfig).type.not.toBeCallableWith({ maxAge: "2h" })
    expect(MemoryLayer.layer).type.not.toBeCallableWith({ revocations: 5 })
    expect(CookieLayer.layer).type.not.toBeCallableWith({ capacity: 5 })
  })

  it("choices are those that there are", () => {
    expect(SessionConfig.layer).type.toBeCallableWith({
      rolling: "always",
      id: { protection: "none" },
      cookie: { sameSite: "strict", persistence: "browser" },
      store: { type: "memory", capacity: 5 }
    })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ rolling: true })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ id: { protection: "sign" } })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ cookie: { sameSite: "Lax" } })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ store: { type: "redsi" } })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ store: {} })
  })

  it("a secret is one or several, redacted or not", () => {
    expect(SessionConfig.layer).type.toBeCallableWith({ secret: "x" })
    expect(SessionConfig.layer).type.toBeCallableWith({ secret: Redacted.make("x") })
    expect(SessionConfig.layer).type.toBeCallableWith({ secret: ["x", Redacted.make("x")] })
    expect(SessionConfig.layer).type.not.toBeCallableWith({ secret: 5 })
    expect<SessionConfig.Settings["secret"]>().type.toBe<ReadonlyArray<Redacted.Redacted<string>>>()
    expect(SessionConfig.generateSecret).type.toBe<Effect.Effect<Redacted.Redacted<string>>>()
  })

  it("a driver takes each of its settings from a Config", () => {
    expect(MemoryLayer.layerConfig).type.toBeCallableWith({ capacity: Config.Int("CAPACITY") })
    expect(MemoryLayer.layerConfig).type.toBeCallableWith(Config.succeed({ capacity: 5 }))
    expect(MemoryLayer.layerConfig).type.not.toBeCallableWith({ capacity: Config.String("CAPACITY") })
    expect(MemoryLayer.layerConfig).type.not.toBeCallableWith({ sweepEvery: Config.Int("SWEEP_EVERY") })
    expect(CookieLayer.layerConfig).type.toBeCallableWith({ revocations: Config.Int("REVOCATIONS") })
  })
})

describe("Layers", () => {
  type Store<R, E = never> = Layer.Layer<SessionStore.SessionStore, SessionConfigError | E, R>
  type StoreWithOwners<R, E = never> = Layer.Layer<
    SessionStore.SessionStore | SessionOwners.SessionOwners | SessionOwners.SessionIndex,
    SessionConfigError | E,
    R
  >

  it("of the settings need nothing", () => {
    expect(SessionConfig.layer()).type.toBe<Layer.Layer<SessionConfig.SessionConfig, SessionConfigError>>()
    expect(SessionConfig.layerConfig()).type.toBe<
      Layer.Layer<SessionConfig.SessionConfig, SessionConfigError | ConfigProvider.SourceError>
    >()
    expect(SessionConfig.decode({})).type.toBe<Effect.Effect<SessionConfig.Settings, SessionConfigError>>()
  })

  it("of the drivers need the settings", () => {
    expect(MemoryLayer.layer()).type.toBe<StoreWithOwners<SessionConfig.SessionConfig>>()
    expect(CookieLayer.layer()).type.toBe<Store<SessionConfig.SessionConfig>>()
    expect(MemoryLayer.layerConfig({})).type.toBe<StoreWithOwners<SessionConfig.SessionConfig, Config.ConfigError>>()
    expect(CookieLayer.layerConfig({})).type.toBe<Store<SessionConfig.SessionConfig, Config.ConfigError>>()
  })

  it("of a cookie store that several processes share need where it remembers ended sessions", () => {
    expect(CookieLayer.layerShared).type.toBe<
      Layer.Layer<
        SessionStore.SessionStore | SessionOwners.SessionOwners,
        SessionConfigError,
        SessionConfig.SessionConfig | Persistence.BackingPersistence
      >
    >()
  })
})

describe("a store", () => {
  it("does what the contract says and nothing else", () => {
    expect<Exclude<keyof SessionStore.SessionStore, typeof SessionStore.TypeId>>().type.toBe<
      "driver" | "stateless" | "owners" | "look" | "load" | "create" | "update" | "touch" | "regenerate" | "destroy"
    >()
  })

  it("fails with errors of its own, and never because of what a client sent", () => {
    type Failure<Operation extends SessionError.StoreOperation> =
      ReturnType<SessionStore.SessionStore[Operation]> extends Effect.Effect<infer _A, infer E, infer _R> ? E : never
    expect<Failure<"load" | "destroy">>().type.toBe<SessionError.SessionStoreError>()
    expect<Failure<"create" | "update" | "touch" | "regenerate">>().type.toBe<
      SessionError.SessionStoreError | SessionError.SessionTooLargeError
    >()
  })

  it("is made of four functions", () => {
    const driver = {} as SessionStore.Driver
    expect(SessionStore.fromDriver(driver)).type.toBe<
      Effect.Effect<SessionStore.WithIndex, SessionConfigError, SessionConfig.SessionConfig>
    >()
    const { touch: _, ...three } = driver
    expect(SessionStore.fromDriver).type.not.toBeCallableWith(three)
  })
})

describe("Sessions.open", () => {
  it("takes a token or a Cookie header", () => {
    expect(Sessions.open).type.toBeCallableWith({ token: Redacted.make("x") })
    expect(Sessions.open).type.toBeCallableWith({ cookies: undefined }, { readonly: true })
    expect(Sessions.open).type.not.toBeCallableWith({ token: "x" })
    expect(Sessions.open).type.not.toBeCallableWith({})
    expect(Sessions.open({ cookies: "a=b" })).type.toBe<
      Effect.Effect<
        Session.Session,
        SessionError.SessionStoreError,
        SessionStore.SessionStore | SessionConfig.SessionConfig
      >
    >()
  })
})
