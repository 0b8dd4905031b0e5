/**
 * A file of SQLite that another process has locked, as for a backup.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { temporaryFolder } from "../../support/redisServer.ts"
import { basicRoutes } from "../../support/routes.ts"
import { cookieOf, serve } from "../../support/server.ts"
import { sqliteClient } from "../../support/sqliteClient.ts"
import { sqlStore } from "../../support/sqlStore.ts"

const stage = Effect.gen(function*() {
  const file = join(yield* temporaryFolder, "sessions.sqlite")
  const other = yield* Effect.acquireRelease(
    Effect.sync(() => new DatabaseSync(file)),
    (database) => Effect.sync(() => database.close())
  )
  const start = (timeLimit: "5 seconds" | "200 ms" = "5 seconds") =>
    serve(basicRoutes, { store: sqlStore(sqliteClient(file)), config: { timeLimit } })
  yield* Effect.scoped(start())
  return {
    start,
    lock: Effect.sync(() => other.exec("BEGIN EXCLUSIVE")),
    unlock: Effect.sync(() => other.exec("COMMIT"))
  }
})

describe("a SQLite that another process has locked", () => {
  it.live("makes requests wait, stops no others meanwhile, and loses nothing", () =>
    Effect.gen(function*() {
      const { lock, start, unlock } = yield* stage
      const server = yield* start()
      const cookie = cookieOf(yield* server.post("/count"))
      for (const path of ["/count", "/touch", "/login", "/logout"]) {
        const own = path === "/count" ? cookie : cookieOf(yield* server.post("/count"))
        yield* lock
        const request = yield* Effect.forkChild(server.post(path, { cookie: own }))
        yield* Effect.sleep("100 millis")
        assert.strictEqual((yield* server.get("/untouched")).status, 200)
        assert.isUndefined(request.pollUnsafe())
        yield* unlock
        assert.strictEqual((yield* Fiber.join(request)).status, 200)
      }
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
    }))

  it.live("makes requests wait no longer than the time limit", () =>
    Effect.gen(function*() {
      const { lock, start, unlock } = yield* stage
      const server = yield* start("200 ms")
      const cookie = cookieOf(yield* server.post("/count"))
      yield* lock
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 503)
      yield* unlock
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 200)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
    }))
})
