/**
 * The settings of the drivers themselves, from each place where they can be written.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Effect, Exit, Layer, Option, type Scope } from "effect"
import { CookieLayer, MemoryLayer, SessionConfig, SessionDriver, Sessions, SessionStore } from "effect-session"
import { Id } from "../../src/internal/token/secret.ts"
import { errorIn, mistakesIn, secret } from "../support/config.ts"

/** The driver that the configuration names. */
const layerConfig = Layer.provide(SessionDriver.layerConfig, NodeServices.layer)

const build = <E>(
  store: Layer.Layer<SessionStore.SessionStore, E, SessionConfig.SessionConfig>,
  options: SessionConfig.Options = {}
): Effect.Effect<SessionStore.SessionStore, unknown, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.provide(store, SessionConfig.layer({ secret, ...options }))),
    (context) => Context.get(context, SessionStore.SessionStore)
  )

/** The driver of the configuration, with these environment variables. */
const configured = (env: Record<string, string>, options?: SessionConfig.Options) =>
  Layer.build(Layer.provide(layerConfig, SessionConfig.layerConfig({ secret, ...options }))).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
  )

const writeCapacity = "Write a whole number from 1 to 16000000"
const writeDuration =
  "Write a duration longer than zero with its unit, such as \"2 hours\", \"30m\" or \"7 days\", or \"never\""
const memoryMistakes = [
  `store.capacity (SESSION_STORE_CAPACITY): found 0. ${writeCapacity}`,
  `store.sweepEvery (SESSION_STORE_SWEEP_EVERY): found 5. A bare number has no unit. ${writeDuration}`
]

/** An empty record; where it is stored is all that matters. */
const record = { createdAt: 0, touchedAt: 0, expiresAt: 1, fields: new Map() }

const create = (store: SessionStore.SessionStore, id: string) => store.create(new Id(id.padEnd(43, "0")), record)

describe("MemoryLayer", () => {
  it.effect("takes its settings from code", () =>
    Effect.gen(function*() {
      const store = yield* build(MemoryLayer.layer({ capacity: 1, sweepEvery: "5 seconds" }))
      yield* create(store, "one")
      assert.strictEqual((yield* Effect.flip(create(store, "two")))._tag, "SessionStoreError")
    }))

  it.effect("takes each of them from a Config", () =>
    Effect.gen(function*() {
      const layer = MemoryLayer.layerConfig({ capacity: Config.Int("CAPACITY"), sweepEvery: Config.succeed("5s") })
      const store = yield* build(layer).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: { CAPACITY: "1" } }))
      )
      yield* create(store, "one")
      assert.strictEqual((yield* Effect.flip(create(store, "two")))._tag, "SessionStoreError")
    }))

  it.effect("tells of a Config that has nothing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        build(MemoryLayer.layerConfig({ capacity: Config.Int("CAPACITY") })).pipe(
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: {} }))
        )
      )
      assert.instanceOf(error, Config.ConfigError)
    }))

  it.effect("takes them from the document of the configuration, and from the environment", () =>
    Effect.gen(function*() {
      yield* build(layerConfig, { store: { type: "memory", capacity: 1, sweepEvery: "5s" } })
      yield* configured({ SESSION_DRIVER: "memory", SESSION_STORE_CAPACITY: "1", SESSION_STORE_SWEEP_EVERY: "5s" })
      yield* configured({ SESSION_STORE_CAPACITY: "1" }, { store: { type: "memory", sweepEvery: "5s" } })
    }))

  it.effect("names its mistakes as settings of the store", () =>
    Effect.gen(function*() {
      const options = { capacity: 0, sweepEvery: 5 as never }
      assert.deepStrictEqual(yield* mistakesIn(build(MemoryLayer.layer(options))), memoryMistakes)
      assert.deepStrictEqual(
        yield* mistakesIn(build(layerConfig, { store: { type: "memory", ...options } })),
        memoryMistakes
      )
      assert.deepStrictEqual(
        yield* mistakesIn(
          build(MemoryLayer.layerConfig({ capacity: Config.succeed(0), sweepEvery: Config.succeed(5 as never) }))
        ),
        memoryMistakes
      )
    }))

  it.effect("names its mistakes by their variables", () =>
    Effect.gen(function*() {
      const env = { SESSION_DRIVER: "memory", SESSION_STORE_CAPACITY: "none", SESSION_STORE_SWEEPEVERY: "5s" }
      assert.deepStrictEqual(yield* mistakesIn(configured(env)), [
        "store.sweepevery (SESSION_STORE_SWEEPEVERY): found a text of 2 characters. There is no such setting. " +
        "Did you mean store.sweepEvery (SESSION_STORE_SWEEP_EVERY)?",
        `store.capacity (SESSION_STORE_CAPACITY): found "none". ${writeCapacity}`
      ])
    }))

  it.effect("knows no setting of another driver, and shows nothing of it", () =>
    Effect.gen(function*() {
      const store = { type: "memory", password: "hunter2-hunter2" } as const
      const error = yield* errorIn(build(layerConfig, { store }))
      assert.deepStrictEqual(error.mistakes, [{
        setting: "store.password (SESSION_STORE_PASSWORD)",
        found: "a text of 15 characters",
        write: "There is no such setting. The settings are: store.capacity, store.sweepEvery"
      }])
    }))
})

describe("CookieLayer", () => {
  const mistake = [`store.revocations (SESSION_STORE_REVOCATIONS): found "many". ${writeCapacity}`]

  it.effect("takes its setting from code, a Config, the document and the environment", () =>
    Effect.gen(function*() {
      yield* build(CookieLayer.layer({ revocations: 5 }))
      yield* build(CookieLayer.layerConfig({ revocations: Config.succeed(5) }))
      yield* build(layerConfig, { store: { type: "cookie", revocations: 5 } })
      yield* configured({ SESSION_DRIVER: "cookie", SESSION_STORE_REVOCATIONS: "5" })
    }))

  it.effect("names its mistakes as settings of the store", () =>
    Effect.gen(function*() {
      const revocations = "many" as never
      const sources = [
        build(CookieLayer.layer({ revocations })),
        build(CookieLayer.layerConfig({ revocations: Config.succeed(revocations) })),
        build(layerConfig, { store: { type: "cookie", revocations } }),
        configured({ SESSION_DRIVER: "cookie", SESSION_STORE_REVOCATIONS: "many" })
      ]
      for (const source of sources) assert.deepStrictEqual(yield* mistakesIn(source), mistake)
    }))
})

describe("SessionDriver.layerConfig", () => {
  it.effect("builds the driver that is written, and the CookieLayer where none is", () =>
    Effect.gen(function*() {
      const driver = (options: SessionConfig.Options) => Effect.map(build(layerConfig, options), ({ driver }) => driver)
      assert.strictEqual(yield* driver({}), "cookie")
      assert.strictEqual(yield* driver({ store: { type: "cookie" } }), "cookie")
      assert.strictEqual(yield* driver({ store: { type: "memory" } }), "memory")
    }))

  it.effect("builds the driver of SESSION_DRIVER, whatever the defaults in code are", () =>
    Effect.gen(function*() {
      const context = yield* configured({ SESSION_DRIVER: "memory" }, { store: { type: "cookie", revocations: 5 } })
      assert.strictEqual(Context.get(context, SessionStore.SessionStore).driver, "memory")
    }))
})

describe("SessionDriver.layerConfigWithOwners", () => {
  const layerConfigWithOwners = Layer.provide(SessionDriver.layerConfigWithOwners, NodeServices.layer)

  const build = (options: SessionConfig.Options = {}, env: Record<string, string> = {}) =>
    Layer.build(Layer.provide(layerConfigWithOwners, SessionConfig.layerConfig({ secret, ...options }))).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
    )

  it.effect("builds the driver that is written, with the owners of its sessions", () =>
    Effect.gen(function*() {
      const sources = [build({ store: { type: "memory" } }), build({}, { SESSION_DRIVER: "memory" })]
      for (const source of sources) {
        const context = yield* source
        assert.strictEqual(Context.get(context, SessionStore.SessionStore).driver, "memory")
        const listed = yield* Effect.provide(Sessions.list("ada"), context)
        assert.deepStrictEqual(listed, { sessions: [], next: Option.none() })
      }
    }))

  it.effect("refuses sessions in cookies, also where no driver is written, and says which to write", () =>
    Effect.gen(function*() {
      const mistake = "store.type (SESSION_DRIVER): found \"cookie\". Sessions in cookies have no lists of a user's " +
        "sessions, which this application needs. Write one of \"dynamodb\", \"file\", \"memory\", \"redis\""
      const sources = [build(), build({ store: { type: "cookie" } }), build({}, { SESSION_DRIVER: "cookie" })]
      for (const source of sources) assert.deepStrictEqual(yield* mistakesIn(source), [mistake])
    }))

  it.effect("names the mistakes in a driver's settings, as layerConfig does", () =>
    Effect.gen(function*() {
      const options = { capacity: 0, sweepEvery: 5 }
      assert.deepStrictEqual(yield* mistakesIn(build({ store: { type: "memory", ...options } })), memoryMistakes)
    }))
})

describe("a server whose configuration is wrong does not start", () => {
  const launch = (config: Layer.Layer<SessionConfig.SessionConfig, unknown>) => {
    let started = false
    const server = Layer.effectDiscard(Effect.sync(() => void (started = true))).pipe(
      Layer.provideMerge(layerConfig),
      Layer.provide(config)
    )
    return Effect.map(Effect.exit(Effect.scoped(Layer.build(server))), (exit) => ({ exit, started }))
  }

  it.effect("V7.1.1 a timeout without a unit", () =>
    Effect.gen(function*() {
      const { exit, started } = yield* launch(SessionConfig.layer({ secret, age: 7200 as never }))
      assert.isTrue(Exit.isFailure(exit))
      assert.isFalse(started)
    }))

  it.effect("no secret", () =>
    Effect.gen(function*() {
      const { exit, started } = yield* launch(SessionConfig.layer())
      assert.isTrue(Exit.isFailure(exit))
      assert.isFalse(started)
    }))

  it.effect("nothing wrong, and it does", () =>
    Effect.gen(function*() {
      const { exit, started } = yield* launch(SessionConfig.layer({ secret }))
      assert.isTrue(Exit.isSuccess(exit))
      assert.isTrue(started)
    }))

  it.effect("a provider that can't be read", () =>
    Effect.gen(function*() {
      const broken = ConfigProvider.make(() => Effect.fail(new ConfigProvider.SourceError({ message: "disk on fire" })))
      const error = yield* Effect.flip(
        Effect.scoped(Layer.build(SessionConfig.layerConfig())).pipe(
          Effect.provideService(ConfigProvider.ConfigProvider, broken)
        )
      )
      assert.strictEqual(error.message, "disk on fire")
    }))
})
