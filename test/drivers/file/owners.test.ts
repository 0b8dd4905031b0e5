/**
 * Owners of sessions in files: the contract of back ends, the laws of owners, and what is in the folder.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path } from "effect"
import { FileLayer, Session, SessionConfig, Sessions } from "effect-session"
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { mistakesIn, secret } from "../../support/config.ts"
import {
  type Before,
  fileBackend,
  filesIn,
  hour,
  newKey,
  pathsIn,
  recordUntil,
  stage,
  temporaryFolder,
  watched
} from "../../support/fileStore.ts"
import * as OwnerIndex from "../../support/ownerIndex.ts"
import * as OwnerLaws from "../../support/ownerLaws.ts"
import { shared } from "../../support/redisServer.ts"

const location = shared(temporaryFolder)

OwnerIndex.suite("FileLayer's owners", {
  backend: Effect.suspend(() => fileBackend(location())),
  isForSeveral: true
})

describe("the sessions of an owner, in files", () => {
  OwnerLaws.suite(() => Effect.flatMap(temporaryFolder, fileBackend), { orders: 10 })
})

const entryUntil = (until: number, key = newKey()) => ({ key, at: until - hour, until })

const fileOf = (owner: string, { at, key, until }: ReturnType<typeof entryUntil>) =>
  `owners/${owner.slice(0, 2)}/${owner}.${key}.at-${at}.until-${until}`

/** The files of all entries below a folder. */
const entriesIn = (folder: string) => filesIn(folder).flatMap(([path]) => path.startsWith("owners/") ? [path] : [])

describe("what a person finds", () => {
  it.effect("an empty file for each session of an owner, named after all there is to know", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      const owner = newKey()
      const entries = [entryUntil(hour), entryUntil(2 * hour)]
      yield* Effect.forEach(entries, (entry) => backend.owners.add(owner, entry, undefined))
      assert.sameDeepMembers([...filesIn(location)], entries.map((entry) => [fileOf(owner, entry), ""]))
      yield* backend.owners.remove(owner, entries)
      assert.deepStrictEqual(filesIn(location), [])
    }))

  it.effect("a file in the place of a session that was ended before it came", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      const key = newKey()
      yield* backend.owners.bury(key, { supersededUntil: Date.parse("2026-07-01T12:00:00Z"), successor: "" })
      assert.deepStrictEqual(filesIn(location), [[
        key,
        "{\n  \"endedUntil\": \"2026-07-01T12:00:00.000Z\",\n  \"successor\": \"\"\n}\n"
      ]])
    }))

  it.effect("folders and files that are nobody else's, whatever the rights of the location", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      chmodSync(location, 0o2777)
      yield* backend.owners.add(newKey(), entryUntil(hour), undefined)
      yield* backend.owners.bury(newKey(), { supersededUntil: hour, successor: "" })
      const modes = pathsIn(location).map((path) => {
        const stat = statSync(join(location, path))
        return [stat.isDirectory() ? "folder" : "file", (stat.mode & 0o777).toString(8)].join(" ")
      })
      assert.deepStrictEqual(modes.toSorted(), ["file 600", "file 600", "folder 700", "folder 700"])
    }))
})

describe("ids of owners", () => {
  const odd = [
    "..",
    "../../etc/passwd",
    "../".repeat(20),
    "/etc/passwd",
    "a/b",
    "a\0b",
    "*",
    "~",
    " ",
    ".",
    "-rf",
    "owners",
    "日本",
    "x".repeat(1024)
  ]

  it.live("never reach the file system: nothing is asked for outside the location, and no name tells whose it is", () =>
    Effect.gen(function*() {
      const above = yield* temporaryFolder
      const location = join(above, "sessions")
      mkdirSync(location)
      writeFileSync(join(above, "secret.json"), "{}")
      const paths: Array<string> = []
      const fs = Effect.map(
        FileSystem.FileSystem,
        (fs) => watched(fs, (asked) => Effect.sync(() => void paths.push(...asked)))
      )
      const store = FileLayer.layer({ location }).pipe(
        Layer.provide([Layer.effect(FileSystem.FileSystem, fs), Path.layer]),
        Layer.provide(NodeServices.layer),
        Layer.provideMerge(SessionConfig.layer({ secret }))
      )
      yield* Effect.gen(function*() {
        for (const owner of odd) {
          yield* Sessions.create(Session.login(owner))
          assert.lengthOf((yield* Sessions.list(owner)).sessions, 1, owner)
        }
        assert.lengthOf(entriesIn(location), odd.length)
        for (const owner of odd) assert.strictEqual(yield* Sessions.destroyAll(owner), 1, owner)
      }).pipe(Effect.provide(store))
      const known =
        /^([A-Za-z0-9_-]{43}(\/[^/]*)?|\.[0-9a-f-]{36}(\/[^/]*)?|owners(\/[\w-]{2}(\/[\w-]{43}\.[\w-]{43}\.at-\d+\.until-\d+)?)?)?$/
      for (const path of paths) assert.match(relative(location, path), known)
      assert.deepStrictEqual(entriesIn(location), [])
      assert.deepStrictEqual(readdirSync(above), ["secret.json", "sessions"])
    }))
})

describe("the sweeper", () => {
  it.effect("removes entries whose time is over, to the millisecond, and marks", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      const now = Date.now()
      const [owner, other] = [newKey(), newKey()]
      const [over, alive] = [entryUntil(now), entryUntil(now + 1)]
      yield* Effect.forEach([over, alive], (entry) => backend.owners.add(owner, entry, undefined))
      yield* backend.owners.add(other, over, undefined)
      const [ended, buried] = [newKey(), newKey()]
      yield* backend.owners.bury(ended, { supersededUntil: now, successor: "" })
      yield* backend.owners.bury(buried, { supersededUntil: now + 1, successor: "" })

      yield* backend.sweep(now - 1)
      assert.lengthOf(entriesIn(location), 3)
      assert.isDefined(yield* backend.load(ended))
      yield* backend.sweep(now)
      assert.deepStrictEqual(entriesIn(location), [fileOf(owner, alive)])
      assert.isUndefined(yield* backend.load(ended))
      assert.isDefined(yield* backend.load(buried))
      assert.isTrue(yield* backend.create(ended, recordUntil(now + hour)))
      yield* backend.sweep(now + 1)
      assert.deepStrictEqual(entriesIn(location), [])
      assert.isUndefined(yield* backend.load(buried))
    }))

  it.effect("leaves alone what somebody else has put there, and so do lists", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      const owner = newKey()
      const entry = entryUntil(hour)
      yield* backend.owners.add(owner, entry, undefined)
      const shard = dirname(fileOf(owner, entry))
      const foreign = [
        "owners/README.md",
        `${shard}/.gitkeep`,
        `${shard}/${owner}`,
        `${shard}/${owner}.${newKey()}.at-0.until-0.bak`,
        `${shard}/${owner}.${newKey()}.at-0.until-x`
      ]
      for (const path of foreign) writeFileSync(join(location, path), "")
      assert.deepStrictEqual(yield* backend.owners.list(owner, 10), [entry])
      yield* backend.sweep(2 * hour)
      assert.sameMembers(entriesIn(location), foreign)
    }))
})

describe("a folder that is removed under way", () => {
  it.effect.each([".", "owners"])("is made again, with its rights: %s", (path) =>
    Effect.gen(function*() {
      const location = yield* temporaryFolder
      chmodSync(location, 0o2770)
      const backend = yield* fileBackend(location)
      yield* backend.tryOut
      const owner = newKey()
      yield* backend.owners.add(owner, entryUntil(hour), undefined)
      const again = entryUntil(2 * hour)
      rmSync(join(location, path), { recursive: true })
      assert.deepStrictEqual(yield* backend.owners.list(owner, 10), [])
      yield* backend.owners.remove(owner, [again])
      yield* backend.sweep(0)
      rmSync(join(location, path), { recursive: true, force: true })
      yield* Effect.forEach([again, again], (entry) => backend.owners.add(owner, entry, 5), { concurrency: 2 })
      assert.deepStrictEqual(yield* backend.owners.list(owner, 10), [again])
      assert.strictEqual(statSync(location).mode & 0o7777, 0o2770)
      assert.strictEqual(statSync(join(location, "owners")).mode & 0o777, 0o700)
    }))

  it.effect("does not keep a session from being ended before it comes", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      rmSync(location, { recursive: true })
      const key = newKey()
      yield* backend.owners.bury(key, { supersededUntil: hour, successor: "" })
      assert.isFalse(yield* backend.create(key, recordUntil(hour)))
    }))
})

describe("a folder of owners that can't be written to", () => {
  it.effect("is found out at the start, and nothing is left in one that can", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      yield* backend.tryOutOwners
      assert.deepStrictEqual(pathsIn(location), [])
      yield* backend.owners.add(newKey(), entryUntil(hour), undefined)
      const before = pathsIn(location)
      yield* backend.tryOutOwners
      assert.deepStrictEqual(pathsIn(location), before)

      const other = yield* temporaryFolder
      writeFileSync(join(other, "owners"), "")
      const [mistake] = yield* mistakesIn(
        Layer.build(
          Layer.provide(FileLayer.layer({ location: other }), [NodeServices.layer, SessionConfig.layer({ secret })])
        )
      )
      assert.match(mistake!, /^store\.location .*found ".*\/owners"\. It is not a folder\. Write the path/)
    }))
})

describe("what is asked of the file system", () => {
  const told = Effect.gen(function*() {
    const location = yield* temporaryFolder
    const asked: Array<string> = []
    const before: Before = (paths) =>
      Effect.sync(() => void asked.push(paths.map((it) => relative(location, it)).join()))
    const backend = yield* fileBackend(location, before)
    const stepsOf = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.suspend(() => {
        asked.length = 0
        return Effect.map(effect, () => [...asked])
      })
    return { backend, location, stepsOf }
  })

  it.effect("one step to add an entry, and one to remove it; a list looks into one folder", () =>
    Effect.gen(function*() {
      const { backend: { owners }, stepsOf } = yield* told
      const owner = newKey()
      const [first, second] = [entryUntil(hour), entryUntil(2 * hour)]
      yield* owners.add(owner, first, undefined)
      const shard = `owners/${owner.slice(0, 2)}`
      assert.deepStrictEqual(yield* stepsOf(owners.add(owner, second, undefined)), [fileOf(owner, second)])
      assert.deepStrictEqual(yield* stepsOf(owners.add(owner, second, 5)), [fileOf(owner, second), shard])
      assert.deepStrictEqual(yield* stepsOf(owners.list(owner, 10)), [shard])
      assert.deepStrictEqual(yield* stepsOf(owners.remove(owner, [second])), [fileOf(owner, second)])
    }))

  it.effect("nothing of the index by a session that has no owner", () =>
    Effect.gen(function*() {
      const { backend, location, stepsOf } = yield* told
      const key = newKey()
      const steps = yield* stepsOf(
        Effect.gen(function*() {
          yield* backend.create(key, recordUntil(hour))
          yield* backend.load(key)
          yield* backend.touch(key, recordUntil(2 * hour))
          yield* backend.destroy(key)
        })
      )
      assert.isFalse(steps.some((step) => step.includes("owners")))
      assert.isFalse(existsSync(join(location, "owners")))
    }))
})

describe("sessions that are switched off", () => {
  it.effect("have no owners, and no folder", () =>
    Effect.gen(function*() {
      const location = join(yield* temporaryFolder, "missing")
      yield* Effect.gen(function*() {
        assert.isFalse(yield* Sessions.destroyHandle("Ada", "a".repeat(16)))
        assert.deepStrictEqual((yield* Sessions.list("Ada")).sessions, [])
        assert.strictEqual(yield* Sessions.destroyAll("Ada"), 0)
      }).pipe(
        Effect.provide(Layer.provideMerge(
          Layer.provide(FileLayer.layer({ location }), NodeServices.layer),
          SessionConfig.layer({ secret, enabled: false })
        ))
      )
      assert.isFalse(existsSync(location))
    }))
})
