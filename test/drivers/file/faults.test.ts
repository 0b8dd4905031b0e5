/**
 * Sessions in files on a disk that is full or read-only, and files that somebody has damaged.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { SessionConfig, SessionError, SessionStore } from "effect-session"
import type { PlatformError } from "effect/PlatformError"
import { TestClock } from "effect/testing"
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Change from "../../../src/internal/record/change.ts"
import * as Identifier from "../../../src/internal/token/identifier.ts"
import { Id } from "../../../src/internal/token/secret.ts"
import { errorIn, secret } from "../../support/config.ts"
import { canMount, disk, remountReadonly } from "../../support/disk.ts"
import {
  documentsIn,
  filesIn,
  fileStore,
  hour,
  pathsIn,
  recordUntil,
  temporaryFolder
} from "../../support/fileStore.ts"
import { observe, type Observed } from "../../support/observe.ts"
import { eventually } from "../../support/redisServer.ts"
import { basicRoutes } from "../../support/routes.ts"
import { cookieOf, serve } from "../../support/server.ts"

const open = (location: string) =>
  Layer.build(Layer.provide(fileStore(location), SessionConfig.layer({ secret }))).pipe(
    Effect.map(Context.get(SessionStore.SessionStore))
  )

const newId = () => new Id(Identifier.random())

// -----------------------------------------------------------------------------
// disks
// -----------------------------------------------------------------------------

/** A failure of the operation that is typed, has a cause, and says nothing of it. */
const assertFails = <A, R>(
  operation: SessionError.StoreOperation,
  effect: Effect.Effect<A, SessionError.SessionStoreError | SessionError.SessionTooLargeError, R>,
  code: string
) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, SessionError.SessionStoreError)
    const { cause, driver, message } = error as SessionError.SessionStoreError
    assert.deepStrictEqual([(error as SessionError.SessionStoreError).operation, driver], [operation, "file"])
    assert.strictEqual(message, `The file session store failed to ${operation}`)
    assert.strictEqual(((cause as PlatformError).reason.cause as NodeJS.ErrnoException).code, code)
  })

/** Each session is a folder with two files, and there is nothing else. */
const assertWhole = (location: string, sessions: number) => {
  assert.lengthOf(pathsIn(location), 3 * sessions)
  assert.lengthOf(documentsIn(location), sessions)
}

describe.skipIf(!canMount)("a full disk", () => {
  const record = recordUntil(hour, { text: JSON.stringify("x".repeat(3_000)) })

  const operations = ["create", "update", "regenerate"] as const

  // A session takes a folder and two files, and the disk has one folder of its own.
  it.effect.each([
    { what: "bytes", options: "size=256k", failing: operations },
    { what: "folders", options: "nr_inodes=100", failing: operations },
    { what: "files in a new folder", options: "nr_inodes=101", failing: ["create", "regenerate"] as const },
    { what: "files beside a new session", options: "nr_inodes=102", failing: ["create", "regenerate"] as const }
  ])(
    "is a typed error, with nothing half written and nothing left behind: no room for $what",
    ({ failing, options }) =>
      Effect.gen(function*() {
        const location = yield* disk(options)
        const store = yield* open(location)
        const id = newId()
        const written = yield* store.create(id, recordUntil(hour, { count: "1" }))
        assert(written._tag === "Written" && written.token !== undefined)

        let sessions = 1
        const ids: Array<Id> = []
        const createAnother = Effect.suspend(() => {
          ids.push(newId())
          return Effect.map(store.create(ids.at(-1)!, record), () => sessions++)
        })
        yield* Effect.ignore(Effect.forever(createAnother))
        assert.isAbove(sessions, 10)

        const change = Change.set(Change.none, "text", JSON.stringify("y".repeat(3_000)))
        const attempts = {
          create: createAnother,
          update: store.update(id, change, record),
          regenerate: store.regenerate(id, newId(), record, record.fields)
        }
        for (const operation of [...failing, ...failing]) {
          yield* assertFails<unknown, never>(operation, attempts[operation], "ENOSPC")
          assertWhole(location, sessions)
        }
        const loaded = yield* store.load(written.token)
        assert(loaded._tag === "Found", "the session is still there")
        assert.deepStrictEqual([...loaded.record.fields], [["count", "1"]])

        // A longer life needs no room.
        assert.strictEqual((yield* store.touch(id, recordUntil(2 * hour)))._tag, "Written")
        const extended = yield* store.load(written.token)
        assert(extended._tag === "Found")
        assert.deepStrictEqual(extended.record, { ...loaded.record, touchedAt: hour, expiresAt: 2 * hour })

        // A logout needs none either, and makes some.
        yield* store.destroy(ids[0]!, record)
        yield* store.update(id, change, record)
        assertWhole(location, sessions - 1)
      })
  )
})

describe.skipIf(!canMount)("a read-only disk", () => {
  it.effect("lets sessions be read; every change is a typed error, and nothing is lost", () =>
    Effect.gen(function*() {
      const location = yield* disk("size=1m")
      const store = yield* open(location)
      const id = newId()
      const record = recordUntil(hour, { count: "1" })
      const written = yield* store.create(id, record)
      assert(written._tag === "Written" && written.token !== undefined)
      const before = filesIn(location)

      yield* remountReadonly(location)
      assert.strictEqual((yield* store.load(written.token))._tag, "Found")
      const change = Change.set(Change.none, "count", "2")
      yield* assertFails("create", store.create(newId(), record), "EROFS")
      yield* assertFails("update", store.update(id, change, record), "EROFS")
      yield* assertFails("touch", store.touch(id, record), "EROFS")
      yield* assertFails("regenerate", store.regenerate(id, newId(), record, record.fields), "EROFS")
      yield* assertFails("destroy", store.destroy(id, record), "EROFS")
      assert.deepStrictEqual(filesIn(location), before)
    }))

  it.effect("V16.5.2 is not taken for a logout: 503, without a cookie", () =>
    Effect.gen(function*() {
      const location = yield* disk("size=1m")
      const server = yield* serve(basicRoutes, { store: fileStore(location) })
      const cookie = cookieOf(yield* server.post("/count"))
      yield* remountReadonly(location)
      for (const path of ["/count", "/login", "/logout"]) {
        const answer = yield* server.post(path, { cookie })
        assert.deepStrictEqual([answer.status, answer.body, answer.setCookies], [503, "Service Unavailable", []])
      }
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }))

  it.effect("is found out when the server starts", () =>
    Effect.gen(function*() {
      const location = yield* disk("size=1m")
      yield* remountReadonly(location)
      const { mistakes: [mistake] } = yield* errorIn(Effect.scoped(open(location)))
      assert.strictEqual(mistake!.found, JSON.stringify(location))
      assert.match(mistake!.write, /^EROFS: read-only .* Write the path of a folder that exists and that this process/)
    }))
})

describe("a folder of the sessions that is removed under way", () => {
  const stage = Effect.gen(function*() {
    const parent = yield* temporaryFolder
    const location = join(parent, "tmp", "sessions")
    mkdirSync(location, { recursive: true })
    chmodSync(location, 0o2770)
    const server = yield* serve(basicRoutes, { store: fileStore(location, { sweepEvery: "10 minutes" }) })
    return { cookie: cookieOf(yield* server.post("/count")), location, parent, server }
  })
  const warnings = (observed: Observed) =>
    observed.logs.filter(({ level }) => level === "Warn").map((
      { annotations, message }
    ) => [message, annotations["file.directory"]])

  it.effect.each(["/count", "/login"])(
    "is made again with its rights by POST %s, with one line in the log; the sessions in it are gone",
    (path) => {
      const observed = observe()
      return Effect.gen(function*() {
        const { cookie, location, parent, server } = yield* stage
        rmSync(join(parent, "tmp"), { recursive: true })
        assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
        assert.strictEqual((yield* server.post("/logout", { cookie })).status, 200)
        const requests = Array.from({ length: 10 }, () => server.post(path, { cookie }))
        const answers = yield* Effect.all(requests, { concurrency: 10 })
        assert.deepStrictEqual(answers.map(({ status }) => status), requests.map(() => 200))
        assert.strictEqual(statSync(location).mode & 0o7777, 0o2770)
        assert.deepStrictEqual(warnings(observed), [[
          "The folder of the sessions was missing, and has been created again",
          location
        ]])
        const next = cookieOf(answers[0]!)
        assert.strictEqual((yield* server.post("/count", { cookie: next })).status, 200)
        assertWhole(location, 10)
      }).pipe(Effect.provide(observed.layer))
    }
  )

  it.effect("is made again by the sweeper, with one line in the log", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const { location, parent } = yield* stage
      rmSync(join(parent, "tmp"), { recursive: true })
      yield* TestClock.adjust("10 minutes")
      const madeAgain = Effect.sync(() => {
        assert.isTrue(existsSync(location))
        assert.lengthOf(warnings(observed), 1)
      })
      yield* TestClock.withLive(eventually(madeAgain))
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(warnings(observed), 1)
    }).pipe(Effect.provide(observed.layer))
  })

  it.effect("and can't be made again: 503, and one line in the log each time that the sweeper runs", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const { cookie, parent, server } = yield* stage
      rmSync(join(parent, "tmp"), { recursive: true })
      writeFileSync(join(parent, "tmp"), "")
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 503)
      yield* TestClock.adjust("10 minutes")
      const warned = Effect.sync(() => {
        const [warning] = observed.logs.filter(({ level }) => level === "Warn")
        assert.strictEqual(warning!.message, "Expired sessions could not be removed")
        assert.match(String(warning!.annotations["error.message"]), /^[^\n]*sessions[^\n]*$/)
      })
      yield* TestClock.withLive(eventually(warned))
      rmSync(join(parent, "tmp"))
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 200)
    }).pipe(Effect.provide(observed.layer))
  })
})

// -----------------------------------------------------------------------------
// damage
// -----------------------------------------------------------------------------

describe("a file that does not parse", () => {
  const damages: ReadonlyArray<readonly [what: string, damage: (text: string) => string | Buffer]> = [
    ["cut short", (text) => text.slice(0, text.length / 2)],
    ["without its last line", (text) => text.slice(0, -2)],
    ["without its first line", (text) => text.slice(2)],
    ["a value that is not JSON", (text) => text.replace(/: \d/, ": {")],
    ["a field without a value", (text) => text.replace(/: \d/, ": ")],
    ["a field without a name", (text) => text.replace("\"count\"", "count")],
    ["empty", () => ""],
    ["not JSON", () => "<html>"],
    ["bytes", () => Buffer.from([0, 255, 254, 1])],
    ["another document", () => `{"name":"effect-session"}`],
    ["a list", () => "[]"],
    ["null", () => "null"],
    ["without its values", (text) => text.replace(/"data": \{[^}]*\}/, `"data": null`)],
    ["without a time that is one", (text) => text.replace(/"createdAt": "[^"]*"/, `"createdAt": "tomorrow"`)]
  ]

  const stage = Effect.gen(function*() {
    const location = yield* temporaryFolder
    const server = yield* serve(basicRoutes, { store: fileStore(location) })
    const other = cookieOf(yield* server.post("/login"))
    const others = filesIn(location)
    const cookie = cookieOf(yield* server.post("/count"))
    const path = pathsIn(location).find((path) => path.endsWith(".json") && !others.some(([other]) => other === path))!
    return { cookie, location, other, path, server }
  })

  it.effect.each(damages)("is put aside with a warning, and is no session: %s", ([, damage]) => {
    const observed = observe()
    return Effect.gen(function*() {
      const { cookie, location, other, path, server } = yield* stage
      const file = join(location, path)
      writeFileSync(file, damage(readFileSync(file, "utf8")))
      const damaged = readFileSync(file)

      const answer = yield* server.get("/", { cookie })
      assert.deepStrictEqual([answer.status, answer.body, answer.setCookies], [200, "{}", []])

      // It is kept for whoever wants to know what has happened, and the warning says where.
      const [folder, name] = path.split("/") as [string, string]
      const aside = pathsIn(location).filter((path) => path.startsWith(".damaged"))
      assert.match(aside[0]!, new RegExp(`^\\.damaged-${folder}-[0-9a-f-]{36}$`))
      assert.deepStrictEqual(readFileSync(join(location, aside[0]!, name)), damaged)
      assert.isFalse(pathsIn(location).includes(folder))
      const warnings = observed.logs.filter(({ level }) => level === "Warn")
      assert.deepStrictEqual(
        warnings.map(({ annotations, message }) => [message, annotations["file.directory"]]),
        [["A session file can't be parsed. It was set aside, and its session is gone", aside[0]]]
      )

      // The next request of the client gets a new session; the others have not noticed anything.
      const counted = yield* server.post("/count", { cookie })
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(counted) })).body, `{"count":1}`)
      assert.strictEqual((yield* server.get("/", { cookie: other })).body, `{"name":"Ada"}`)
    }).pipe(Effect.provide(observed.layer))
  })

  it.effect.each(["/logout", "/count", "/login"])(
    "does not keep POST %s from working",
    (request) =>
      Effect.gen(function*() {
        const { cookie, location, path, server } = yield* stage
        writeFileSync(join(location, path), "{")
        const answer = yield* server.post(request, { cookie })
        assert.strictEqual(answer.status, 200)
        assert.isTrue(pathsIn(location).some((path) => path.startsWith(".damaged")))
        assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
      })
  )

  it.effect("that is not even there is no session either", () =>
    Effect.gen(function*() {
      const { cookie, location, path, server } = yield* stage
      writeFileSync(join(location, path), "{")
      const { rm } = yield* Effect.promise(() => import("node:fs/promises"))
      yield* Effect.promise(() => rm(join(location, path)))
      for (const request of ["/", "/"]) assert.strictEqual((yield* server.get(request, { cookie })).body, "{}")
      assert.strictEqual((yield* server.post("/logout", { cookie })).status, 200)
    }))
})
