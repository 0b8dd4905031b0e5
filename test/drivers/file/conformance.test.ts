/**
 * Sessions in files: the contract, what a person finds in the folder, and which folder it is.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Effect, FileSystem, Layer, Path, Schema } from "effect"
import { FileLayer, Session, SessionConfig, SessionDriver, SessionKey, Sessions, SessionStore } from "effect-session"
import * as SessionOwnersTest from "effect-session/SessionOwnersTest"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { TestClock } from "effect/testing"
import { mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { basename, join, relative } from "node:path"
import { Id, Token } from "../../../src/internal/token/secret.ts"
import { AnyText } from "../../support/arbitraries.ts"
import { errorIn, secret } from "../../support/config.ts"
import { filesIn, fileStore, pathsIn, startWorker, temporaryFolder, watched } from "../../support/fileStore.ts"
import { shared } from "../../support/redisServer.ts"

const location = shared(temporaryFolder)

SessionStoreTest.suite({ describe, it }, "FileLayer", {
  layer: Layer.unwrap(Effect.sync(() => fileStore(location()))),
  dump: Effect.sync(() => JSON.stringify([pathsIn(location()), filesIn(location())]))
})

SessionOwnersTest.suite({ describe, it }, "FileLayer", {
  layer: Layer.unwrap(Effect.sync(() => fileStore(location()))),
  dump: Effect.sync(() => JSON.stringify([pathsIn(location()), filesIn(location())]))
})

const open = (location: string, options: SessionConfig.Options = {}) =>
  Layer.build(Layer.provideMerge(fileStore(location), SessionConfig.layer({ secret, ...options })))

describe("what a person finds", () => {
  const Total = SessionKey.make("cart_total", Schema.Number)
  const User = SessionKey.make("user", Schema.Struct({ name: Schema.String, since: Schema.Date }))

  const visit = Effect.gen(function*() {
    const location = yield* temporaryFolder
    yield* TestClock.setTime(Date.parse("2026-07-01T12:00:00Z"))
    const context = yield* open(location)
    const session = yield* Effect.provide(Sessions.open({ cookies: undefined }), context)
    const change = <A, E>(effect: Effect.Effect<A, E, Session.Session>) =>
      Effect.andThen(effect, Session.commit).pipe(Effect.provideService(Session.Session, session))
    yield* change(Session.put(User, { name: "Zoë", since: new Date("2020-02-29") }))
    yield* change(Session.put(Total, 12.5))
    return { change, location }
  })

  it.effect("a folder for each session, with its values as JSON and a file that says since when and until when", () =>
    Effect.gen(function*() {
      const { location } = yield* visit
      const [folder, ...names] = pathsIn(location)
      assert.match(folder!, /^[A-Za-z0-9_-]{43}$/)
      const version = basename(names[0]!, ".json")
      assert.deepStrictEqual(names, [
        `${folder}/${version}.json`,
        `${folder}/${version}.touched-${Date.parse("2026-07-01T12:00:00Z")}.expires-${
          Date.parse("2026-07-01T14:00:00Z")
        }`
      ])
      assert.deepStrictEqual(filesIn(location).map(([, content]) => content), [
        `{
  "createdAt": "2026-07-01T12:00:00.000Z",
  "data": {
    "user": {"name":"Zoë","since":"2020-02-29T00:00:00.000Z"},
    "cart_total": 12.5
  }
}
`,
        ""
      ])
    }))

  it.effect("of a session that was regenerated, until when that is remembered, and the session that it is now", () =>
    Effect.gen(function*() {
      const { change, location } = yield* visit
      const [before] = pathsIn(location)
      yield* change(Session.regenerate)
      const now = readdirSync(location).find((name) => name !== before)
      const old = filesIn(location).filter(([path]) => path.startsWith(before!))
      assert.deepStrictEqual(old.map(([, content]) => content), [`{\n  "successor": "${now}"\n}\n`, ""])
      assert.match(old[1]![0], new RegExp(`\\.expires-${Date.parse("2026-07-01T12:00:30Z")}$`))
    }))

  it.effect("folders and files that are nobody else's", () =>
    Effect.gen(function*() {
      const { change, location } = yield* visit
      yield* change(Session.regenerate)
      const modes = pathsIn(location).map((path) => {
        const stat = statSync(join(location, path))
        return [stat.isDirectory() ? "folder" : "file", (stat.mode & 0o777).toString(8)].join(" ")
      })
      assert.lengthOf(modes, 6)
      assert.sameMembers([...new Set(modes)], ["folder 700", "file 600"])
    }))

  it.effect("nothing any more once the session is destroyed", () =>
    Effect.gen(function*() {
      const { change, location } = yield* visit
      yield* change(Session.destroy)
      assert.deepStrictEqual(pathsIn(location), [])
    }))
})

describe("tokens", () => {
  /** A store of ids without protection, so that all that looks like an id is looked up. */
  const unprotected = Effect.gen(function*() {
    const above = yield* temporaryFolder
    const location = join(above, "sessions")
    mkdirSync(location)
    writeFileSync(join(above, "secret.json"), "{}")
    const paths: Array<string> = []
    const fs = Effect.map(
      FileSystem.FileSystem,
      (fs) => watched(fs, (asked) => Effect.sync(() => void paths.push(...asked)))
    )
    const context = yield* Layer.build(
      FileLayer.layer({ location }).pipe(
        Layer.provide([Layer.effect(FileSystem.FileSystem, fs), Path.layer]),
        Layer.provide(NodeServices.layer),
        Layer.provide(SessionConfig.layer({ id: { protection: "none" } }))
      )
    )
    return { above, location, paths, store: Context.get(context, SessionStore.SessionStore) }
  })

  const attacks = [
    "../../etc/passwd",
    "../secret.json",
    "..",
    "../".repeat(20),
    "..%2f..%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "\\..\\..\\etc\\passwd",
    "C:\\Windows\\system.ini",
    "file:///etc/passwd",
    "a".repeat(22) + "/../../secret.json",
    "a".repeat(22) + "\0.json",
    ".damaged",
    "-rf",
    "~",
    "$(id)",
    "|id"
  ]

  it.effect.prop(
    "no cookie's value reaches the file system, nor does anything outside the location",
    [AnyText],
    ([text]) =>
      Effect.gen(function*() {
        const { above, location, paths, store } = yield* unprotected
        const before = [pathsIn(above), filesIn(above)]
        paths.length = 0
        const id = "a".repeat(43)
        for (const token of [text, ...attacks, ...attacks.map((attack) => attack + text), id, `${id}.${text}`]) {
          assert.strictEqual((yield* store.load(new Token(token)))._tag, "NotFound")
        }
        // The sweeper looks at the folder of the owners, whatever is asked for.
        for (const path of paths) assert.match(relative(location, path), /^([A-Za-z0-9_-]{43}|owners)?$/)
        assert.include(paths.join(), location, "what looks like an id was looked up")
        assert.deepStrictEqual([pathsIn(above), filesIn(above)], before)
      })
  )
})

describe("sync", () => {
  it.effect("is true or false, wherever it is written", () =>
    Effect.gen(function*() {
      const location = yield* temporaryFolder
      const mistake = {
        setting: "store.sync (SESSION_STORE_SYNC)",
        found: `"sometimes"`,
        write: "Write true or false"
      }
      const sync = "sometimes" as never
      const settings = [
        FileLayer.layer({ location, sync }),
        FileLayer.layerConfig({ location: Config.succeed(location), sync: Config.succeed(sync) })
      ]
      for (const layer of settings) {
        const built = Layer.build(Layer.provide(layer, [SessionConfig.layer({ secret }), NodeServices.layer]))
        assert.deepStrictEqual((yield* errorIn(Effect.scoped(built))).mistakes, [mistake])
      }
    }))
})

describe("the location", () => {
  const whatToWrite = "Write the path of a folder for the sessions, such as \"./tmp/sessions\""
  const whatItTakes = "Write the path of a folder that exists and that this process may write to"
  const setting = "store.location (SESSION_STORE_LOCATION)"

  const messageOf = (location: unknown) =>
    Effect.map(errorIn(Effect.scoped(open(location as string))), ({ mistakes }) => mistakes)

  const assertWritesTo = (folder: string, store: SessionStore.SessionStore) =>
    Effect.map(
      store.create(new Id("a".repeat(43)), { createdAt: 0, touchedAt: 0, expiresAt: 1, fields: new Map() }),
      () => assert.lengthOf(pathsIn(folder), 3)
    )

  it.effect("has to be written", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* messageOf(undefined), [{ setting, found: "nothing", write: whatToWrite }])
      assert.deepStrictEqual(yield* messageOf(""), [{ setting, found: `""`, write: whatToWrite }])
      assert.deepStrictEqual(yield* messageOf("a\0b"), [{ setting, found: `"a\\u0000b"`, write: whatToWrite }])
      assert.deepStrictEqual(yield* messageOf(5), [{ setting, found: "5", write: whatToWrite }])
    }))

  it.effect("has to exist", () =>
    Effect.gen(function*() {
      const missing = join(yield* temporaryFolder, "missing")
      assert.deepStrictEqual(yield* messageOf(missing), [
        { setting, found: JSON.stringify(missing), write: `There is no such folder. ${whatItTakes}` }
      ])
    }))

  it.effect("has to be a folder", () =>
    Effect.gen(function*() {
      const file = join(yield* temporaryFolder, "file")
      writeFileSync(file, "")
      for (const path of [file, join(file, "below")]) {
        assert.deepStrictEqual(yield* messageOf(path), [
          { setting, found: JSON.stringify(path), write: `It is not a folder. ${whatItTakes}` }
        ])
      }
    }))

  it.live("has to be writable, to the user that the process runs as", () =>
    Effect.gen(function*() {
      const location = join(yield* temporaryFolder, "sessions")
      mkdirSync(location, { mode: 0o555 })
      const worker = yield* startWorker({ location, task: { name: "open" } })
      assert.deepStrictEqual(yield* worker.hear, {
        what: "mistake",
        detail: "The session configuration has a mistake:\n" +
          `  ${setting}: found ${JSON.stringify(location)}. This process may not write there. ${whatItTakes}`
      })
    }))

  it.effect("may be a symbolic link, and stays what it was if the process goes to another folder", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const link = join(yield* temporaryFolder, "link")
      symlinkSync(folder, link)
      const store = Context.get(yield* open(relative(process.cwd(), link)), SessionStore.SessionStore)
      const here = process.cwd()
      yield* Effect.acquireRelease(Effect.sync(() => process.chdir("/")), () => Effect.sync(() => process.chdir(here)))
      yield* assertWritesTo(folder, store)
    }))

  it.effect("keeps nothing of the attempt to write there", () =>
    Effect.gen(function*() {
      const location = yield* temporaryFolder
      yield* open(location)
      assert.deepStrictEqual(pathsIn(location), [])
    }))

  const inEnvironment = (env: Record<string, string>) =>
    Layer.build(Layer.provide(SessionDriver.layerConfig, [SessionConfig.layerConfig(), NodeServices.layer])).pipe(
      Effect.map(Context.get(SessionStore.SessionStore)),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
    )

  it.effect("comes from SESSION_STORE_LOCATION where SESSION_DRIVER is file", () =>
    Effect.gen(function*() {
      const location = yield* temporaryFolder
      const env = { SESSION_SECRET: secret, SESSION_DRIVER: "file", SESSION_STORE_LOCATION: location }
      const store = yield* inEnvironment(env)
      assert.strictEqual(store.driver, "file")
      yield* assertWritesTo(location, store)
    }))

  it.effect("is missed there by its name", () =>
    Effect.gen(function*() {
      const { mistakes } = yield* errorIn(inEnvironment({ SESSION_SECRET: secret, SESSION_DRIVER: "file" }))
      assert.deepStrictEqual(mistakes, [{ setting, found: "nothing", write: whatToWrite }])
    }))

  it.effect("comes from any Config", () =>
    Effect.gen(function*() {
      const location = yield* temporaryFolder
      const context = yield* Layer.build(
        FileLayer.layerConfig({ location: Config.String("DIRECTORY"), sweepEvery: Config.succeed("1 hour") }).pipe(
          Layer.provide([SessionConfig.layer({ secret }), NodeServices.layer])
        )
      ).pipe(
        Effect.provideService(
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnv({ env: { DIRECTORY: location } })
        )
      )
      assert.strictEqual(Context.get(context, SessionStore.SessionStore).driver, "file")
    }))
})
