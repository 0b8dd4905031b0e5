/**
 * Sessions in a KeyValueStore: one in memory, and one in real files.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Config, ConfigProvider, Context, Effect, Layer } from "effect"
import { KeyValueLayer, type SessionConfig, SessionStore } from "effect-session"
import * as SessionOwnersTest from "effect-session/SessionOwnersTest"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { KeyValueStore } from "effect/persistence"
import { TestClock } from "effect/testing"
import { readdirSync, readFileSync, renameSync } from "node:fs"
import { join } from "node:path"
import * as Change from "../../../src/internal/record/change.ts"
import * as Identifier from "../../../src/internal/token/identifier.ts"
import { Id, Token } from "../../../src/internal/token/secret.ts"
import { mistakesIn } from "../../support/config.ts"
import { temporaryFolder } from "../../support/fileStore.ts"
import { type LogEvent, observe } from "../../support/observe.ts"
import { eventually, shared } from "../../support/redisServer.ts"
import { settings } from "../../support/visits.ts"

type Store = Layer.Layer<KeyValueStore.KeyValueStore>

const inFolder = (folder: string): Store =>
  KeyValueStore.layerFileSystem(folder).pipe(Layer.provide(NodeServices.layer), Layer.orDie)

const folder = shared(temporaryFolder)

/** The values of a store, each with its key. */
const contentOf = Effect.flatMap(
  KeyValueStore.KeyValueStore,
  (store) =>
    Effect.flatMap(
      store.keys,
      (keys) => Effect.forEach(keys, (key) => Effect.map(store.get(key), (value) => [key, value] as const))
    )
)

SessionStoreTest.suite({ describe, it }, "KeyValueLayer in memory", {
  layer: KeyValueLayer.layer().pipe(Layer.provide(KeyValueStore.layerMemory))
})

SessionStoreTest.suite({ describe, it }, "KeyValueLayer in files", {
  layer: Layer.unwrap(Effect.sync(() => KeyValueLayer.layer().pipe(Layer.provide(inFolder(folder()))))),
  dump: Effect.sync(() =>
    readdirSync(folder()).map((name) => `${name}: ${readFileSync(join(folder(), name), "utf8")}`).join("\n")
  )
})

SessionOwnersTest.suite({ describe, it }, "KeyValueLayer in memory", {
  layer: KeyValueLayer.layer().pipe(Layer.provide(KeyValueStore.layerMemory)),
  skip: [
    "a login is in the list at once, also that of another server",
    "another server knows at once that all sessions, or all others, have ended"
  ]
})

SessionOwnersTest.suite({ describe, it }, "KeyValueLayer in files", {
  layer: Layer.unwrap(Effect.sync(() => KeyValueLayer.layer().pipe(Layer.provide(inFolder(folder()))))),
  dump: Effect.sync(() =>
    readdirSync(folder()).map((name) => `${name}: ${readFileSync(join(folder(), name), "utf8")}`).join("\n")
  )
})

const stores = [
  { where: "in memory", store: Effect.succeed(KeyValueStore.layerMemory) },
  { where: "in files", store: Effect.map(temporaryFolder, inFolder) }
]

const hour = 3_600_000

const newId = Effect.sync(() => new Id(Identifier.random()))

/** A new session, and what a request does with it. */
const newSession = Effect.fnUntraced(function*(fields: Readonly<Record<string, string>> = { name: "\"Ada\"" }) {
  const store = yield* SessionStore.SessionStore
  const now = yield* Clock.currentTimeMillis
  const id = yield* newId
  const record = { createdAt: now, touchedAt: now, expiresAt: now + hour, fields: new Map(Object.entries(fields)) }
  yield* store.create(id, record)
  return {
    id,
    key: id.key,
    load: store.load(new Token(id.text)),
    update: (field: string, value: string) => store.update(id, Change.set(Change.none, field, value), record),
    touchUntil: (expiresAt: number) => store.touch(id, { ...record, touchedAt: expiresAt - hour, expiresAt })
  }
})

describe.each(stores)("a KeyValueStore $where", ({ store }) => {
  const withStore = <A, E>(
    effect: Effect.Effect<A, E, SessionStore.SessionStore | SessionConfig.SessionConfig | KeyValueStore.KeyValueStore>,
    options?: KeyValueLayer.Options
  ) =>
    Effect.flatMap(store, (store) =>
      Effect.scoped(
        Effect.provide(
          effect,
          KeyValueLayer.layer(options).pipe(
            Layer.provideMerge(settings({ sizeLimit: "unlimited" })),
            Layer.provideMerge(store)
          )
        )
      ))

  it.effect("holds documents that a person can read, under the prefix and a hash", () =>
    withStore(
      Effect.gen(function*() {
        const { key, update } = yield* newSession()
        yield* update("cart", "[1,2]")
        assert.deepStrictEqual(yield* contentOf, [[
          `shop:${key}`,
          JSON.stringify({
            createdAt: "1970-01-01T00:00:00.000Z",
            touchedAt: "1970-01-01T00:00:00.000Z",
            expiresAt: "1970-01-01T01:00:00.000Z",
            data: { name: "Ada", cart: [1, 2] }
          })
        ]])
      }),
      { prefix: "shop:" }
    ))

  it.effect("may be damaged: no session, and no error", () =>
    withStore(
      Effect.gen(function*() {
        const store = yield* KeyValueStore.KeyValueStore
        for (const damaged of ["", "{", "null", "[1]", "3", "\"text\"", "{\"data\":{}}"]) {
          const { id, key, load, update } = yield* newSession()
          yield* store.set(`session:${key}`, damaged)
          assert.deepStrictEqual(yield* load, { _tag: "NotFound", reason: "unknown", id })
          assert.strictEqual((yield* update("name", "1"))._tag, "Gone")
          assert.strictEqual(yield* store.get(`session:${key}`), damaged)
        }
      })
    ))

  it.effect("shows a session to a request while another one writes it", () =>
    withStore(
      Effect.gen(function*() {
        // So large that writing it takes a while.
        const { load, update } = yield* newSession({ text: JSON.stringify("text ".repeat(200_000)) })
        const loaded = yield* Effect.all(
          Array.from({ length: 20 }, (_, index) => Effect.andThen(update("index", `${index}`), load)),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(new Set(loaded.map(({ _tag }) => _tag)), new Set(["Found"]))
      })
    ))

  it.effect("is swept every hour: what has expired is removed, and nothing else", () =>
    withStore(
      Effect.gen(function*() {
        const store = yield* KeyValueStore.KeyValueStore
        yield* newSession()
        const damaged = yield* newSession()
        yield* store.set(`session:${damaged.key}`, "{")
        yield* store.set("session:of another kind", "{}")
        yield* store.set("other:key", "{}")
        const used = yield* newSession()
        yield* used.touchUntil(2 * hour + 1)
        yield* hours(2)
        yield* expectKeys(store, ["other:key", "session:of another kind", `session:${used.key}`])
        yield* hours(2)
        yield* expectKeys(store, ["other:key", "session:of another kind"])
      })
    ))

  it.effect("is not swept if it never shall be", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(yield* store)
      const values = Context.get(context, KeyValueStore.KeyValueStore)
      const key = `session:${Identifier.hash("damaged")}`
      yield* values.set(key, "{")
      const layer = KeyValueLayer.layer({ sweepEvery: "never" }).pipe(
        Layer.provide(Layer.succeedContext(context)),
        Layer.provide(settings())
      )
      yield* Effect.provide(Effect.andThen(hours(10), expectKeys(values, [key])), layer)
    }))
})

/** In single hours, as the next sweep comes an hour after the one before has ended. */
const hours = (count: number) => Effect.repeat(TestClock.adjust("1 hour"), { times: count - 1 })

const expectKeys = (store: KeyValueStore.KeyValueStore, expected: ReadonlyArray<string>) =>
  TestClock.withLive(
    eventually(Effect.map(store.keys, (keys) => assert.deepStrictEqual(keys.toSorted(), expected.toSorted())))
  )

describe("a sweep that fails", () => {
  it.effect("says so, and the next one works", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const away = `${folder}-away`
      const store = inFolder(folder)
      yield* Effect.gen(function*() {
        yield* newSession()
        renameSync(folder, away)
        yield* hours(2)
        yield* TestClock.withLive(eventually(Effect.sync(() => assert.isNotEmpty(warningsIn(observed.logs)))))
        renameSync(away, folder)
        yield* hours(2)
        yield* expectKeys(yield* KeyValueStore.KeyValueStore, [])
        assert.deepStrictEqual(new Set(warningsIn(observed.logs)), new Set(["Expired sessions could not be removed"]))
      }).pipe(
        Effect.provide(KeyValueLayer.layer().pipe(Layer.provideMerge(settings()), Layer.provideMerge(store)))
      )
    }).pipe(Effect.provide(observed.layer))
  })
})

const warningsIn = (logs: ReadonlyArray<LogEvent>) =>
  logs.flatMap(({ level, message }) => level === "Warn" ? [message.split("\n", 1)[0]] : [])

describe("the settings", () => {
  const mistakesWith = (options: object) =>
    mistakesIn(
      Effect.provide(
        Effect.void,
        KeyValueLayer.layer(options).pipe(Layer.provide(settings()), Layer.provide(KeyValueStore.layerMemory))
      )
    )

  it.effect("are checked", () =>
    Effect.gen(function*() {
      const mistakes = yield* mistakesWith({ prefix: "\0", sweepEvery: 10, perfix: "x" })
      assert.lengthOf(mistakes, 3)
      const text = mistakes.join("\n")
      assert.include(text, "Write a string of at most 128 characters, such as \"session:\"")
      assert.include(text, "A bare number has no unit")
      assert.include(text, "Did you mean store.prefix (SESSION_STORE_PREFIX)?")
    }))

  it.effect("can come from a Config", () =>
    Effect.gen(function*() {
      yield* newSession()
      assert.match((yield* contentOf)[0]![0], /^shop:/)
    }).pipe(
      Effect.provide(
        KeyValueLayer.layerConfig({ prefix: Config.String("PREFIX") }).pipe(
          Layer.provideMerge(settings()),
          Layer.provideMerge(KeyValueStore.layerMemory)
        )
      ),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: { PREFIX: "shop:" } }))
    ))
})
