/**
 * What sessions in files ask of the file system: no more than it takes, and in an order that a power failure can't harm.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Effect, FileSystem, Layer, Path } from "effect"
import { FileLayer, SessionConfig, SessionDriver, SessionStore } from "effect-session"
import { createHook } from "node:async_hooks"
import { basename } from "node:path"
import * as Change from "../../../src/internal/record/change.ts"
import * as Identifier from "../../../src/internal/token/identifier.ts"
import { Id } from "../../../src/internal/token/secret.ts"
import { secret } from "../../support/config.ts"
import { hour, recordUntil, temporaryFolder } from "../../support/fileStore.ts"

/** The file system, or a file, as it is, which tells what it does, and with what kind of file. */
const told = <A extends object>(target: A, tell: (what: string) => void): A => {
  const telling = (effect: Effect.Effect<unknown>, ...what: ReadonlyArray<string>) =>
    Effect.andThen(Effect.sync(() => tell(what.join(" "))), effect)
  return new Proxy(target, {
    get: (target, name: string) => {
      const value: unknown = Reflect.get(target, name)
      if (Effect.isEffect(value)) return telling(value as Effect.Effect<unknown>, name)
      return typeof value !== "function" ? value : (...parameters: ReadonlyArray<unknown>) => {
        const paths = parameters.filter((parameter) => typeof parameter === "string")
        const effect = telling(Reflect.apply(value, target, parameters), name, ...paths.map(kindOf))
        return name === "open" ? Effect.map(effect, (file) => told(file as FileSystem.File, tell)) : effect
      }
    }
  })
}

const kindOf = (path: string): string => {
  const name = basename(path)
  return name.endsWith(".json") ? "version" : name.includes(".expires-") ? "pointer" : "folder"
}

type Store = (location: string) => typeof SessionDriver.layerConfig

const configured: Store = (location) => FileLayer.layer({ location, sweepEvery: "never" })

const stage = Effect.fnUntraced(function*(layer: Store = configured) {
  const location = yield* temporaryFolder
  const steps: Array<string> = []
  const fs = Effect.map(FileSystem.FileSystem, (fs) => told(fs, (what) => steps.push(what)))
  const context = yield* Layer.build(
    layer(location).pipe(
      Layer.provide([Layer.effect(FileSystem.FileSystem, fs), Path.layer]),
      Layer.provide([NodeServices.layer, SessionConfig.layerConfig({ secret })])
    )
  ).pipe(Effect.provideService(ConfigProvider.ConfigProvider, inEnvironment(location)))
  const store = Context.get(context, SessionStore.SessionStore)
  const record = recordUntil(Date.now() + hour, { count: "1" })
  const id = new Id(Identifier.random())
  const created = yield* store.create(id, record)
  assert(created._tag === "Written" && created.token !== undefined)
  const load = store.load(created.token)
  return {
    load,
    create: Effect.suspend(() => store.create(new Id(Identifier.random()), record)),
    /** Creates so many other sessions and loads them. */
    loadOthers: (count: number) =>
      Effect.replicateEffect(
        Effect.gen(function*() {
          const created = yield* store.create(new Id(Identifier.random()), record)
          assert(created._tag === "Written" && created.token !== undefined)
          yield* store.load(created.token)
        }),
        count,
        { discard: true }
      ),
    update: store.update(id, Change.set(Change.none, "count", "2"), record),
    refuse: store.update(id, Change.expect(Change.set(Change.none, "count", "2"), "count", "5"), record),
    touch: store.touch(id, recordUntil(record.expiresAt + hour)),
    destroy: store.destroy(id, record),
    /** Loads the session, and tells what else it takes to do something then. */
    stepsAfterLoad: <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.gen(function*() {
        yield* load
        return yield* stepsOf(effect)
      }),
    stepsOf
  }

  function stepsOf<A, E>(effect: Effect.Effect<A, E>) {
    return Effect.suspend(() => {
      steps.length = 0
      return Effect.map(effect, () => [...steps])
    })
  }
})

/** As an operator would set it. */
const inEnvironment = (location: string) =>
  ConfigProvider.fromEnv({
    env: { SESSION_DRIVER: "file", SESSION_STORE_LOCATION: location, SESSION_STORE_SYNC: "false" }
  })

const withoutSync: ReadonlyArray<readonly [where: string, store: Store]> = [
  ["code", (location) => FileLayer.layer({ location, sweepEvery: "never", sync: false })],
  [
    "any Config",
    (location) =>
      Layer.orDie(
        FileLayer.layerConfig({ location: Config.succeed(location), sync: Config.Boolean("SESSION_STORE_SYNC") })
      )
  ],
  ["SESSION_STORE_SYNC", () => SessionDriver.layerConfig]
]

/** How often the work waits for the file system: each time is one system call, or one look into a folder. */
const waitsOf = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.suspend(() => {
    let waits = 0
    const hook = createHook({ init: (_, type) => void (waits += type.startsWith("FSREQ") ? 1 : 0) }).enable()
    return Effect.ensuring(Effect.as(effect, undefined), Effect.sync(() => hook.disable())).pipe(
      Effect.map(() => waits)
    )
  })

const read = ["readDirectory folder", "readFileString version"]
const write = ["open version", "writeAll", "sync", "rename pointer pointer", "remove version"]

describe("what is asked of the file system", () => {
  it.live("a load looks for the version and reads it", () =>
    Effect.gen(function*() {
      const { load, stepsOf } = yield* stage()
      assert.deepStrictEqual(yield* stepsOf(load), read)
    }))

  it.live("a commit is on the disk before it counts, and does not read again what the request has loaded", () =>
    Effect.gen(function*() {
      const { stepsAfterLoad, update } = yield* stage()
      assert.deepStrictEqual(yield* stepsAfterLoad(update), write)
    }))

  it.live("a commit of something that has not been loaded reads it", () =>
    Effect.gen(function*() {
      const { load, stepsOf, update } = yield* stage()
      assert.deepStrictEqual(yield* stepsOf(update), [...read, ...write])
      yield* load
      yield* update
      assert.deepStrictEqual(yield* stepsOf(update), [...read, ...write], "what was loaded holds for one commit")
    }))

  it.live("what is loaded takes no more memory than a hundred sessions", () =>
    Effect.gen(function*() {
      const { load, loadOthers, stepsOf, update } = yield* stage()
      yield* load
      yield* loadOthers(99)
      assert.deepStrictEqual(yield* stepsOf(update), write)
      yield* load
      yield* loadOthers(100)
      assert.deepStrictEqual(yield* stepsOf(update), [...read, ...write])
    }))

  it.live("a commit that expects something else looks whether that is still so, and writes nothing", () =>
    Effect.gen(function*() {
      const { refuse, stepsAfterLoad } = yield* stage()
      assert.deepStrictEqual(yield* stepsAfterLoad(refuse), read)
    }))

  it.live("to extend a session's life writes nothing", () =>
    Effect.gen(function*() {
      const { stepsAfterLoad, touch } = yield* stage()
      assert.deepStrictEqual(yield* stepsAfterLoad(touch), ["rename pointer pointer"])
    }))

  it.live("a new session is on the disk before it counts", () =>
    Effect.gen(function*() {
      const { create, stepsOf } = yield* stage()
      assert.deepStrictEqual(yield* stepsOf(create), [
        "makeDirectory folder",
        "open version",
        "writeAll",
        "sync",
        "writeFile pointer"
      ])
    }))

  it.live.each(withoutSync)(
    "where sync is off, nothing waits for the disk, and all else is the same: by %s",
    ([, store]) =>
      Effect.gen(function*() {
        const { create, stepsAfterLoad, stepsOf, update } = yield* stage(store)
        assert.deepStrictEqual(yield* stepsAfterLoad(update), write.filter((step) => step !== "sync"))
        assert.notInclude(yield* stepsOf(create), "sync")
      })
  )

  it.live("a load waits five times at most, a commit after it eight times, and a touch once", () =>
    Effect.gen(function*() {
      const { load, touch, update } = yield* stage()
      assert.isAtMost(yield* waitsOf(load), 5)
      assert.isAtMost(yield* waitsOf(update), 8)
      yield* load
      assert.strictEqual(yield* waitsOf(touch), 1)
    }))
})
