/**
 * The sweeper of sessions in files: what has expired goes, and what crashed processes have left behind; nothing else.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Logger } from "effect"
import { SessionConfig } from "effect-session"
import { TestClock } from "effect/testing"
import { cpSync, mkdirSync, readdirSync, rmSync, utimesSync, watch, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Change from "../../../src/internal/record/change.ts"
import { secret } from "../../support/config.ts"
import {
  fileBackend,
  fileStore,
  hour,
  largeFolder,
  newKey,
  pathsIn,
  recordUntil,
  stage
} from "../../support/fileStore.ts"
import { basicRoutes } from "../../support/routes.ts"
import { cookieOf, serve } from "../../support/server.ts"

/** Waits until nothing is left in a folder. */
const untilEmpty = (folder: string): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const watcher = watch(folder, () => check())
    const check = () => {
      if (readdirSync(folder).length > 0) return
      watcher.close()
      resume(Effect.void)
    }
    check()
    return Effect.sync(() => watcher.close())
  })

describe("what has expired", () => {
  it.effect("goes while requests are served: 10,000 sessions, and none that is alive", () =>
    Effect.gen(function*() {
      const location = yield* largeFolder
      const backend = yield* fileBackend(location)
      const now = Date.now()
      yield* TestClock.setTime(now)
      const server = yield* serve(basicRoutes, { store: fileStore(location) })
      const cookies = yield* Effect.replicateEffect(Effect.map(server.post("/count"), cookieOf), 10)

      const alive = Array.from({ length: 50 }, newKey)
      yield* Effect.forEach(alive, (key) => backend.create(key, recordUntil(now + 1, { key: `"${key}"` })))
      const expired = newKey()
      yield* backend.create(expired, recordUntil(now))
      for (let copy = 1; copy < 10_000; copy++) {
        cpSync(join(location, expired), join(location, newKey()), { recursive: true })
      }

      const sweeping = yield* Effect.forkChild(backend.sweep(now))
      const counts = cookies.map(() => 1)
      while (sweeping.pollUnsafe() === undefined) {
        for (const [client, cookie] of cookies.entries()) {
          assert.strictEqual((yield* server.post("/count", { cookie })).status, 200)
          counts[client]!++
        }
      }
      yield* Fiber.join(sweeping)

      for (const [client, cookie] of cookies.entries()) {
        assert.isAbove(counts[client]!, 2, "requests were answered meanwhile")
        assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":${counts[client]}}`)
      }
      for (const key of alive) {
        assert.deepStrictEqual(yield* backend.load(key), recordUntil(now + 1, { key: `"${key}"` }))
      }
      const remaining = new Set(readdirSync(location).filter((name) => !name.startsWith(".")))
      assert.strictEqual(remaining.size, alive.length + cookies.length)
      assert.isTrue(alive.every((key) => remaining.has(key)))
    }), 120_000)

  it.effect("goes to the millisecond, whatever has become of it", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      const now = Date.now()
      const [untouched, touched, committed, superseded] = [newKey(), newKey(), newKey(), newKey()]
      for (const key of [untouched, touched, committed, superseded]) yield* backend.create(key, recordUntil(now))
      yield* backend.touch(touched, recordUntil(now + 5))
      yield* backend.update(committed, Change.set(Change.none, "a", "1"), recordUntil(now + 5))
      yield* backend.supersede(superseded, { supersededUntil: now + 5, successor: newKey() }, new Map())
      yield* backend.sweep(now - 1)
      assert.lengthOf(readdirSync(location), 4)
      yield* backend.sweep(now)
      assert.sameMembers(readdirSync(location), [touched, superseded])
      yield* backend.sweep(now + 4)
      assert.lengthOf(readdirSync(location), 2)
      yield* backend.sweep(now + 5)
      assert.deepStrictEqual(pathsIn(location), [])
    }))

  it.effect("never goes where a session has no end", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      const endOfTime = 8_640_000_000_000_000
      const key = newKey()
      yield* backend.create(key, recordUntil(endOfTime))
      yield* backend.sweep(endOfTime - 1)
      assert.deepStrictEqual(readdirSync(location), [key])
    }))

  it.effect("goes when the server starts, and then every 10 minutes, or as the setting says", () =>
    Effect.gen(function*() {
      for (const [options, elapsed] of [[{}, "10 minutes"], [{ sweepEvery: "30s" }, "30 seconds"]] as const) {
        const { backend, location } = yield* stage
        const now = Date.now()
        yield* TestClock.setTime(now)
        yield* backend.create(newKey(), recordUntil(now))
        yield* Layer.build(Layer.provide(fileStore(location, options), SessionConfig.layer({ secret })))
        yield* untilEmpty(location)
        for (let round = 0; round < 3; round++) {
          yield* backend.create(newKey(), recordUntil(now + 1))
          yield* TestClock.adjust(elapsed)
          yield* untilEmpty(location)
        }
      }
    }))
})

describe("what can't be removed", () => {
  it.effect("does not keep the rest from going, and is told in a warning", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      const now = Date.now()
      yield* TestClock.setTime(now)
      yield* Effect.replicateEffect(Effect.suspend(() => backend.create(newKey(), recordUntil(now))), 20)
      // A file with the name of a session, among the others.
      const obstacle = readdirSync(location).toSorted()[10]!
      rmSync(join(location, obstacle), { recursive: true })
      writeFileSync(join(location, obstacle), "")

      const warning = yield* Deferred.make<unknown>()
      const logger = Logger.make(({ message }) => Deferred.doneUnsafe(warning, Effect.succeed(message)))
      yield* Layer.build(Layer.provide(fileStore(location), SessionConfig.layer({ secret }))).pipe(
        Effect.provide(Logger.layer([logger]))
      )
      const [text] = (yield* Deferred.await(warning)) as ReadonlyArray<unknown>
      assert.strictEqual(text, "Expired sessions could not be removed")
      assert.deepStrictEqual(readdirSync(location), [obstacle])
    }))
})

describe("what a crashed process has left behind", () => {
  const stageRemains = Effect.gen(function*() {
    const { backend, location } = yield* stage
    const key = newKey()
    const record = recordUntil(Date.now() + 100 * hour, { count: "1" })
    yield* backend.create(key, record)
    const place = (path: string, content?: string) => {
      mkdirSync(dirname(join(location, path)), { recursive: true })
      if (content === undefined) mkdirSync(join(location, path))
      else writeFileSync(join(location, path), content)
      return path
    }
    const [one, another, third] = [newKey(), newKey(), newKey()]
    const remains = [
      // a commit: the temporary file, and a version that was never, or is no more, the one that counts
      place(`${key}/.0b5c5b1e-6f1c-4b57-9d0b-2b8a4f3c7a11`, "{"),
      place(`${key}/0b5c5b1e-6f1c-4b57-9d0b-2b8a4f3c7a11.json`, "{}"),
      // sessions that were about to be created
      place(one),
      dirname(place(`${another}/.0b5c5b1e-6f1c-4b57-9d0b-2b8a4f3c7a11`, "{")),
      dirname(place(`${third}/0b5c5b1e-6f1c-4b57-9d0b-2b8a4f3c7a11.json`, "{}")),
      // one that was about to be destroyed
      dirname(place(".0b5c5b1e-6f1c-4b57-9d0b-2b8a4f3c7a11/0b5c5b1e-6f1c-4b57-9d0b-2b8a4f3c7a11.json", "{}"))
    ]
    const foreign = [
      place(".gitkeep", ""),
      place("README.md", "Sessions"),
      place("a folder"),
      place(`.damaged-${newKey()}-0b5c5b1e-6f1c-4b57-9d0b-2b8a4f3c7a11`)
    ]
    const setAge = (paths: ReadonlyArray<string>, hours: number) => {
      const then = new Date(Date.now() - hours * hour)
      for (const path of paths) utimesSync(join(location, path), then, then)
    }
    return { backend, foreign, key, location, record, remains, setAge }
  })

  it.effect("goes when it is older than an hour", () =>
    Effect.gen(function*() {
      const { backend, foreign, key, location, record, remains, setAge } = yield* stageRemains
      setAge(remains, 1.1)
      yield* backend.sweep(Date.now())
      assert.sameMembers(readdirSync(location), [key, ...foreign])
      assert.lengthOf(readdirSync(join(location, key)), 2)
      assert.deepStrictEqual(yield* backend.load(key), record)
    }))

  it.effect("stays as long as a process may be at work on it", () =>
    Effect.gen(function*() {
      const { backend, location, remains, setAge } = yield* stageRemains
      setAge(remains, 0.9)
      const before = pathsIn(location)
      yield* backend.sweep(Date.now())
      assert.deepStrictEqual(pathsIn(location), before)
    }))

  it.effect("is not what somebody else has put there, however old", () =>
    Effect.gen(function*() {
      const { backend, foreign, location, setAge } = yield* stageRemains
      setAge(foreign, 10_000)
      yield* backend.sweep(Date.now())
      for (const path of foreign) assert.include(readdirSync(location), path)
    }))
})
