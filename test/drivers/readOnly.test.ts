/**
 * A back end that can be read but not written, as a database that has become a standby, a replica, or a disk that is full:
 * whoever only reads goes on, although the session can't be extended, and changes are refused.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { DynamoLayer, KeyValueLayer, Session, type SessionError } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { KeyValueStore } from "effect/persistence"
import { SqlClient } from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeOfDay } from "../support/clock.ts"
import { canMount, disk, remountReadonly, remountWritable } from "../support/disk.ts"
import { startDynamo } from "../support/dynamoServer.ts"
import { fileStore } from "../support/fileStore.ts"
import { startMariadb } from "../support/mariadbServer.ts"
import { observe } from "../support/observe.ts"
import { startPostgres } from "../support/postgresServer.ts"
import { eventually, startRedis } from "../support/redisServer.ts"
import { redisClients } from "../support/redisStore.ts"
import { basicRoutes } from "../support/routes.ts"
import { cookieOf, serve, type StoreLayer } from "../support/server.ts"
import { sqliteClient } from "../support/sqliteClient.ts"
import { sqlStore } from "../support/sqlStore.ts"

interface BackEnd {
  readonly store: StoreLayer
  /** From now on it takes no changes. */
  readonly lock: Effect.Effect<unknown, unknown, Scope.Scope>
  readonly unlock: Effect.Effect<unknown, unknown, Scope.Scope>
}

/** What it says when it is asked for a change. */
interface Situation {
  readonly what: string
  readonly says: RegExp
  readonly start: Effect.Effect<BackEnd, unknown, Scope.Scope>
}

const postgresSetting: Situation = {
  what: "PostgreSQL in read-only mode",
  says: /read-only transaction/,
  start: Effect.map(startPostgres(), (postgres) => {
    const set = (value: string) =>
      Effect.andThen(
        postgres.query(`ALTER SYSTEM SET default_transaction_read_only = ${value}`),
        Effect.andThen(postgres.query("SELECT pg_reload_conf()"), reloading)
      )
    return { store: sqlStore(postgres.client()), lock: set("on"), unlock: set("off") }
  })
}

/** Each of its processes reads the setting by itself. */
const reloading = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 300)))

const standby: Situation = {
  what: "PostgreSQL that has become a standby",
  says: /read-only transaction/,
  start: Effect.map(startPostgres(), (postgres) => {
    let again = postgres
    return {
      store: sqlStore(postgres.client()),
      lock: Effect.gen(function*() {
        yield* postgres.kill
        writeFileSync(join(postgres.folder, "standby.signal"), "")
        again = yield* startPostgres(postgres)
      }),
      unlock: Effect.suspend(() => again.query("SELECT pg_promote()"))
    }
  })
}

/** A replica of MariaDB is in this mode as well. Root would get past it. */
const mariadb: Situation = {
  what: "MariaDB in read-only mode, as a replica is",
  says: /--read-only/,
  start: Effect.gen(function*() {
    const mariadb = yield* startMariadb()
    yield* mariadb.enforceRights
    yield* mariadb.query("CREATE USER shop; GRANT ALL ON sessions.* TO shop")
    const set = (value: string) => mariadb.query(`SET GLOBAL read_only = ${value}`)
    return { store: sqlStore(mariadb.client({ username: "shop" })), lock: set("ON"), unlock: set("OFF") }
  })
}

const replica = (store: (url: string) => StoreLayer) =>
  Effect.map(startRedis(), (redis): BackEnd => ({
    store: store(redis.url),
    lock: redis.command("REPLICAOF", "127.0.0.1", "1"),
    unlock: redis.command("REPLICAOF", "NO", "ONE")
  }))

const full = (store: (url: string) => StoreLayer) =>
  Effect.map(startRedis(), (redis): BackEnd => ({
    store: store(redis.url),
    lock: redis.command("CONFIG", "SET", "min-replicas-to-write", "1"),
    unlock: redis.command("CONFIG", "SET", "min-replicas-to-write", "0")
  }))

const dynamo: Situation = {
  what: "DynamoDB whose role may only read by now",
  says: /No permission for dynamodb:UpdateItem/,
  start: Effect.map(startDynamo(), (server) => ({
    store: DynamoLayer.layer(server.options),
    lock: Effect.sync(() => server.allows(["GetItem"])),
    unlock: Effect.sync(() => server.allows(undefined))
  }))
}

const readonlyDisk: Situation = {
  what: "a read-only disk",
  says: /EROFS/,
  start: Effect.map(disk("size=1m"), (location) => ({
    store: fileStore(location),
    lock: remountReadonly(location),
    unlock: remountWritable(location)
  }))
}

const keyValueStore: Situation = {
  what: "a KeyValueStore that only reads",
  says: /no room/,
  start: Effect.sync(() => {
    let isLocked = false
    const failing = Effect.map(KeyValueStore.KeyValueStore, (store) => ({
      ...store,
      set: (key: string, value: string | Uint8Array) =>
        isLocked ? Effect.fail(noRoom("set", key)) : store.set(key, value),
      remove: (key: string) => isLocked ? Effect.fail(noRoom("remove", key)) : store.remove(key)
    }))
    const layer = Layer.provide(Layer.effect(KeyValueStore.KeyValueStore, failing), KeyValueStore.layerMemory)
    return {
      store: Layer.provide(KeyValueLayer.layer(), layer),
      lock: Effect.sync(() => void (isLocked = true)),
      unlock: Effect.sync(() => void (isLocked = false))
    }
  })
}

const noRoom = (method: string, key: string) =>
  new KeyValueStore.KeyValueStoreError({ method, key, message: "no room" })

const sqlite: Situation = {
  what: "SQLite that only reads",
  says: /readonly/,
  start: Effect.map(Layer.build(sqliteClient()), (context) => {
    const sql = Context.get(context, SqlClient)
    return {
      store: sqlStore(Layer.succeedContext(context)),
      lock: sql`PRAGMA query_only = 1`,
      unlock: sql`PRAGMA query_only = 0`
    }
  })
}

const situations: ReadonlyArray<Situation> = [
  postgresSetting,
  standby,
  mariadb,
  sqlite,
  dynamo,
  keyValueStore,
  ...canMount ? [readonlyDisk] : [],
  ...redisClients.flatMap(({ client, store }): ReadonlyArray<Situation> => [
    { what: `Redis that has become a replica, through ${client}`, says: /READONLY/, start: replica(store) },
    { what: `Redis that misses its replicas, through ${client}`, says: /NOREPLICAS/, start: full(store) }
  ])
]

const routes = Layer.mergeAll(
  basicRoutes,
  HttpRouter.add(
    "POST",
    "/touch-by-hand",
    Effect.andThen(Session.touch, Session.commit).pipe(
      Effect.match({
        onSuccess: () => "extended",
        onFailure: ({ _tag }) => _tag
      }),
      Effect.tap(Session.rollback),
      Effect.map((text) => HttpServerResponse.text(text))
    )
  ),
  HttpRouter.add(
    "POST",
    "/of-an-owner",
    // Each of these stores has owners, which the type of a store in general does not say.
    Effect.as(Session.login("Ada"), HttpServerResponse.text("ok")) as Effect.Effect<
      HttpServerResponse.HttpServerResponse,
      SessionError.SessionError,
      Session.Session
    >
  ),
  HttpRouter.add("POST", "/commit-by-hand", Effect.as(Session.commit, HttpServerResponse.text("ok")))
)

describe.each(situations)("$what", ({ says, start }) => {
  it.effect("lets sessions be read, also when it is time to extend them, and refuses changes", () => {
    const observed = observe()
    const warnings = () => observed.logs.filter(({ message }) => /read but not extended/.test(message))
    return Effect.gen(function*() {
      yield* setTimeOfDay
      const { lock, store, unlock } = yield* TestClock.withLive(start)
      const server = yield* serve(routes, { store, config: { age: "1 hour", touchEvery: "1 minute" } })
      const cookie = cookieOf(yield* server.post("/count"))
      const assertRead = Effect.map(
        server.get("/", { cookie }),
        ({ body, setCookies, status }) => assert.deepStrictEqual([status, body, setCookies], [200, `{"count":1}`, []])
      )

      yield* TestClock.withLive(lock)
      yield* TestClock.withLive(eventually(assertRead))
      yield* TestClock.adjust("2 minutes")
      // At the first refusal, ioredis looks whether the address leads to another server by now.
      yield* assertRead
      yield* TestClock.withLive(eventually(assertRead))
      for (let request = 0; request < 5; request++) yield* assertRead
      yield* Effect.all(Array.from({ length: 5 }, () => assertRead), { concurrency: 5 })
      assert.strictEqual((yield* server.post("/commit-by-hand", { cookie })).status, 200)
      assert.isAtLeast(observed.counters()["failed_touches"]!, 14)
      assert.deepStrictEqual(warnings().map(({ level }) => level), ["Warn"])
      assert.match(String(warnings()[0]!.annotations["error.message"]), says)
      assert.notInclude(String(warnings()[0]!.annotations["error.message"]), "\n")
      yield* TestClock.adjust("1 minute")
      yield* assertRead
      assert.lengthOf(warnings(), 2)

      for (const path of ["/count", "/login", "/logout", "/touch"]) {
        const answer = yield* server.post(path, { cookie })
        assert.deepStrictEqual([path, answer.status, answer.setCookies], [path, 503, []])
      }
      assert.strictEqual((yield* server.post("/touch-by-hand", { cookie })).body, "SessionStoreError")

      yield* TestClock.withLive(unlock)
      const extended = Effect.map(server.get("/", { cookie }), ({ body, setCookies }) => {
        assert.strictEqual(body, `{"count":1}`)
        assert.match(setCookies[0]!, /Max-Age=3600/)
      })
      yield* TestClock.withLive(eventually(extended))
      assert.strictEqual((yield* server.post("/logout", { cookie })).status, 200)
    }).pipe(Effect.provide(observed.layer))
  })

  it.effect("lets the sessions of an owner be read, also when it is time that the owner's index knows them for longer", () => {
    const observed = observe()
    return Effect.gen(function*() {
      yield* setTimeOfDay
      const { lock, store, unlock } = yield* TestClock.withLive(start)
      const server = yield* serve(routes, { store, config: { age: "1 hour", touchEvery: "1 minute" } })
      const cookie = cookieOf(yield* server.post("/of-an-owner"))
      const read = Effect.map(server.get("/", { cookie }), ({ body, setCookies, status }) => {
        assert.deepStrictEqual([status, body], [200, "{}"])
        return setCookies.length
      })
      yield* TestClock.adjust("50 minutes")
      assert.strictEqual(yield* read, 1)
      yield* TestClock.withLive(lock)
      yield* TestClock.adjust("50 minutes")
      // As before, ioredis looks whether the address leads to another server by now.
      assert.strictEqual(yield* read, 0)
      yield* TestClock.withLive(eventually(Effect.map(read, (cookies) => assert.strictEqual(cookies, 0))))
      for (let request = 0; request < 5; request++) assert.strictEqual(yield* read, 0)
      assert.isAtLeast(observed.counters()["failed_touches"]!, 6)
      yield* TestClock.withLive(unlock)
      yield* TestClock.withLive(eventually(Effect.map(read, (cookies) => assert.strictEqual(cookies, 1))))
      yield* TestClock.adjust("50 minutes")
      assert.strictEqual(yield* read, 1)
    }).pipe(Effect.provide(observed.layer))
  })
})
