/**
 * Sessions in a database over HTTP: requests of one session at the same time, on one server and on two, and handlers that
 * have a transaction of their own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer } from "effect"
import { Session, type SessionConfig, SqlLayer } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { BeginTransaction, SqlClient } from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { watchStore } from "../../support/failingStore.ts"
import { startMariadb } from "../../support/mariadbServer.ts"
import { ownerRaces } from "../../support/ownerRaces.ts"
import { startPostgres } from "../../support/postgresServer.ts"
import { races } from "../../support/races.ts"
import { shared } from "../../support/redisServer.ts"
import { renewals } from "../../support/renewals.ts"
import { basicRoutes, Count, Name, ok } from "../../support/routes.ts"
import { cookieOf, serve } from "../../support/server.ts"
import { sqliteClient } from "../../support/sqliteClient.ts"
import { migrate, sqlStore } from "../../support/sqlStore.ts"

const postgres = shared(startPostgres())
const mariadb = shared(startMariadb())

/** Each client has a pool of its own, as each server has. */
const newClient = () => postgres().client()

// -----------------------------------------------------------------------------
// requests at the same time
// -----------------------------------------------------------------------------

races("PostgreSQL", { store: () => sqlStore(newClient()) })

races("MariaDB", { store: () => sqlStore(mariadb().client()) })

races("SQLite", { store: () => sqlStore(sqliteClient()), servers: [1] })

renewals("PostgreSQL", () => sqlStore(newClient()))

renewals("MariaDB", () => sqlStore(mariadb().client()))

ownerRaces("PostgreSQL", { store: () => sqlStore(newClient()) })

ownerRaces("MariaDB", { store: () => sqlStore(mariadb().client()) })

ownerRaces("SQLite", { store: () => sqlStore(sqliteClient()), servers: 1 })

describe("a commit and a logout that wait for the same row", () => {
  const orders = [
    ["/count", "/logout"],
    ["/logout", "/count"],
    ["/touch", "/logout"],
    ["/logout", "/login"],
    ["/login", "/logout"]
  ] as const
  for (const [first, second] of orders) {
    it.effect(`POST ${first} before POST ${second}: both are answered, and the session is gone`, () =>
      Effect.gen(function*() {
        const [one, other] = yield* Effect.all([
          serve(basicRoutes, { store: sqlStore(newClient()) }),
          serve(basicRoutes, { store: sqlStore(newClient()) })
        ])
        const cookie = cookieOf(yield* one.post("/count"))
        const sql = Context.get(yield* Layer.build(newClient()), SqlClient)
        const requests = yield* sql.withTransaction(
          Effect.gen(function*() {
            yield* sql`SELECT key FROM effect_sessions FOR UPDATE`
            const firstRequest = yield* Effect.forkScoped(one.post(first, { cookie }))
            yield* postgres().waitForLocks(1)
            const secondRequest = yield* Effect.forkScoped(other.post(second, { cookie }))
            yield* postgres().waitForLocks(2)
            return [firstRequest, secondRequest]
          })
        )
        const answers = yield* Effect.forEach(requests, Fiber.join)
        assert.deepStrictEqual(answers.map(({ status }) => status), [200, 200])
        // A login that comes too late has a session of its own.
        const left = second === "/login" ? `{"name":"Ada"}` : "{}"
        for (const each of [cookie, cookieOf(answers[0]!)]) {
          assert.strictEqual((yield* one.get("/", { cookie: each })).body, "{}")
        }
        assert.strictEqual((yield* one.get("/", { cookie: cookieOf(answers[1]!) })).body, left)
      }))
  }
})

describe("a database where transactions are serializable by default", () => {
  for (const [path, left] of [["/touch", `{"count":1}`], ["/count", `{"count":2}`], ["/logout", "{}"]] as const) {
    it.effect(`does not fail POST ${path} because another transaction has changed the row meanwhile`, () =>
      Effect.gen(function*() {
        const startupParameters = { default_transaction_isolation: "serializable" }
        const server = yield* serve(basicRoutes, { store: sqlStore(postgres().client({ startupParameters })) })
        const cookie = cookieOf(yield* server.post("/count"))
        const sql = Context.get(yield* Layer.build(newClient()), SqlClient)
        const request = yield* sql.withTransaction(
          Effect.gen(function*() {
            yield* sql`UPDATE effect_sessions SET touched_at = touched_at + 1`
            const request = yield* Effect.forkScoped(server.post(path, { cookie }))
            yield* postgres().waitForLocks(1)
            return request
          })
        )
        assert.strictEqual((yield* Fiber.join(request)).status, 200)
        assert.strictEqual((yield* server.get("/", { cookie })).body, left)
      }))
  }
})

describe("a row that a report or a backup has locked", () => {
  const paths = [
    { path: "/count", left: `{"count":6}` },
    { path: "/touch", left: `{"count":1}` },
    { path: "/login", left: `{"count":1}` },
    { path: "/logout", left: "{}" }
  ]
  it.effect.each(paths)(
    "takes one connection of the pool: other sessions go on while five requests POST $path of the locked one",
    ({ left, path }) =>
      Effect.gen(function*() {
        const server = yield* serve(basicRoutes, { store: sqlStore(postgres().client({ maxConnections: 2 })) })
        const cookie = cookieOf(yield* server.post("/count"))
        const sql = Context.get(yield* Layer.build(newClient()), SqlClient)
        const requests = yield* sql.withTransaction(
          Effect.gen(function*() {
            yield* sql`SELECT key FROM effect_sessions FOR UPDATE`
            const requests = Array.from({ length: 5 }, () => Effect.forkScoped(server.post(path, { cookie })))
            const fibers = yield* Effect.all(requests)
            yield* postgres().waitForLocks(1)
            const browser = server.browser()
            yield* browser.post("/count")
            yield* browser.post("/count")
            assert.strictEqual((yield* browser.get("/")).body, `{"count":2}`)
            yield* postgres().waitForLocks(1)
            return fibers
          })
        )
        for (const { status } of yield* Effect.forEach(requests, Fiber.join)) assert.strictEqual(status, 200)
        if (path !== "/login") assert.strictEqual((yield* server.get("/", { cookie })).body, left)
      })
  )

  it.live("frees that connection at the time limit, and the next request takes no second one", () =>
    Effect.gen(function*() {
      const store = sqlStore(postgres().client({ maxConnections: 2 }))
      const server = yield* serve(basicRoutes, { store, config: { timeLimit: "300 ms" } })
      const cookie = cookieOf(yield* server.post("/count"))
      const sql = Context.get(yield* Layer.build(newClient()), SqlClient)
      yield* sql.withTransaction(
        Effect.gen(function*() {
          yield* sql`SELECT key FROM effect_sessions FOR UPDATE`
          for (const path of ["/logout", "/touch", "/count", "/logout", "/touch", "/count"]) {
            assert.strictEqual((yield* server.post(path, { cookie })).status, 503)
            assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
          }
        })
      )
      assert.strictEqual((yield* server.post("/logout", { cookie })).status, 200)
    }))
})

// -----------------------------------------------------------------------------
// transactions of the application
// -----------------------------------------------------------------------------

interface Snapshot {
  readonly taken: Deferred.Deferred<void>
  readonly used: Deferred.Deferred<void>
}

/** Handlers whose transactions begin with an order, and routes to look at what is in the database. */
const routesWith = (context: Context.Context<SqlClient>, snapshot: Snapshot) => {
  const sql = Context.get(context, SqlClient)
  const order = sql`INSERT INTO orders VALUES (1)`
  const changes = {
    count: Session.increment(Count),
    touch: Session.touch,
    login: Effect.andThen(Session.regenerate, Session.put(Name, "Ada")),
    logout: Session.destroy
  }
  const rolledBack = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    sql.withTransaction(Effect.andThen(Effect.andThen(order, effect), Effect.fail("rolled back" as const))).pipe(
      Effect.catchIf((error) => error === "rolled back", () => Effect.succeed(ok))
    )
  const add = <E, R>(path: `/${string}`, effect: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    HttpRouter.add("POST", path, Effect.provide(effect, context))
  return Layer.mergeAll(
    basicRoutes,
    ...Object.entries(changes).map(([name, change]) =>
      add(`/rollback/${name}`, rolledBack(Effect.andThen(change, Session.commit)))
    ),
    add(
      "/readonly",
      Effect.as(Effect.andThen(Session.increment(Count), Session.commit), ok).pipe(
        Effect.provideService(BeginTransaction, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")
      )
    ),
    add(
      "/aborted",
      sql.withTransaction(
        Effect.gen(function*() {
          yield* Effect.flip(sql`SELECT 1 / 0`)
          return yield* Effect.fail({ count: yield* Count })
        })
      ).pipe(
        Effect.catchIf((error) => "count" in error, (error) => Effect.succeed(HttpServerResponse.jsonUnsafe(error)))
      )
    ),
    add(
      "/order",
      sql.withTransaction(Effect.andThen(order, Effect.map(Count, (count) => HttpServerResponse.text(`${count}`))))
    ),
    add(
      "/role",
      sql.withTransaction(
        Effect.gen(function*() {
          yield* order
          yield* sql`SET LOCAL ROLE pg_monitor`
          const count = yield* Count
          yield* sql`RESET ROLE`
          yield* order
          return HttpServerResponse.text(`${count}`)
        })
      )
    ),
    add(
      "/snapshot",
      sql.withTransaction(
        Effect.gen(function*() {
          yield* order
          yield* Session.increment(Count, 10)
          yield* Deferred.succeed(snapshot.taken, undefined)
          yield* Deferred.await(snapshot.used)
          yield* Session.commit
          return ok
        })
      ).pipe(Effect.provideService(BeginTransaction, "BEGIN ISOLATION LEVEL REPEATABLE READ"))
    ),
    add(
      "/inside",
      Effect.andThen(Session.increment(Count), Effect.as(sql.withTransaction(Session.commit), ok))
    ),
    add(
      "/refused",
      sql.withTransaction(
        Effect.gen(function*() {
          const before = yield* Count
          yield* Session.increment(Count)
          const error = yield* Effect.flip(Session.commit)
          return HttpServerResponse.jsonUnsafe([before, error._tag, String(error.cause)])
        })
      )
    )
  )
}

describe("a transaction of the application", () => {
  const serveOn = Effect.fnUntraced(function*(client: Layer.Layer<SqlClient>, config: SessionConfig.Options = {}) {
    const context = yield* Layer.build(Layer.provideMerge(migrate(), client))
    const sql = Context.get(context, SqlClient)
    yield* sql`CREATE TABLE IF NOT EXISTS orders (id INTEGER)`
    const store = watchStore(Effect.provide(SqlLayer.make(), context))
    const snapshot: Snapshot = { taken: Deferred.makeUnsafe(), used: Deferred.makeUnsafe() }
    const server = yield* serve(routesWith(context, snapshot), { store: store.layer, config })
    return { ...server, snapshot, store, orders: Effect.map(sql`SELECT * FROM orders`, (rows) => rows.length) }
  })

  const changes = [
    { path: "/count", left: { count: 2 } },
    { path: "/touch", left: { count: 1 } },
    { path: "/login", left: { count: 1, name: "Ada" } },
    { path: "/logout", left: {} }
  ]
  const databases = [
    { database: "PostgreSQL", client: newClient },
    { database: "MariaDB", client: () => mariadb().client() }
  ]
  for (const { client, database } of databases) {
    for (const { left, path } of changes) {
      it.effect(`that is rolled back does not take back what the session has committed: ${path} on ${database}`, () =>
        Effect.gen(function*() {
          const server = yield* serveOn(client())
          const browser = server.browser()
          yield* browser.post("/count")
          assert.strictEqual((yield* browser.post(`/rollback${path}`)).status, 200)
          assert.deepStrictEqual(JSON.parse((yield* browser.get("/")).body), left)
          assert.strictEqual(yield* server.orders, 0)
        }))
    }
  }

  it.effect("that is rolled back does not take back a new session", () =>
    Effect.gen(function*() {
      const server = yield* serveOn(newClient())
      const browser = server.browser()
      yield* browser.post("/rollback/count")
      assert.strictEqual((yield* browser.get("/")).body, `{"count":1}`)
      assert.strictEqual(yield* server.orders, 0)
    }))

  it.effect("that the database has given up does not keep the session from being read", () =>
    Effect.gen(function*() {
      const browser = (yield* serveOn(newClient())).browser()
      yield* browser.post("/count")
      assert.strictEqual((yield* browser.post("/aborted")).body, `{"count":1}`)
    }))

  it.live("needs no second connection to load the session: 20 of them at a time on a pool of two", () =>
    Effect.gen(function*() {
      const server = yield* serveOn(postgres().client({ maxConnections: 2 }), { timeLimit: "2 seconds" })
      const cookie = cookieOf(yield* server.post("/count"))
      const requests = Array.from({ length: 20 }, () => server.post("/order", { cookie }))
      const answers = yield* Effect.all(requests, { concurrency: 20 })
      assert.deepStrictEqual(answers.map(({ body }) => body), requests.map(() => "1"))
    }))

  it.effect("that can't read the table does not keep the session from being read, and goes on", () =>
    Effect.gen(function*() {
      const server = yield* serveOn(newClient())
      const browser = server.browser()
      yield* browser.post("/count")
      const orders = yield* server.orders
      assert.strictEqual((yield* browser.post("/role")).body, "1")
      assert.strictEqual(yield* server.orders, orders + 2)
    }))

  it.effect("with a snapshot from before a login or a logout does not hide that from a commit", () =>
    Effect.gen(function*() {
      for (
        const [path, status, body] of [["/login", 200, { count: 11, name: "Ada" }], ["/logout", 409, {}]] as const
      ) {
        const server = yield* serveOn(newClient())
        const cookie = cookieOf(yield* server.post("/count"))
        const request = yield* Effect.forkChild(server.post("/snapshot", { cookie }))
        yield* Deferred.await(server.snapshot.taken)
        const next = cookieOf(yield* server.post(path, { cookie }))
        yield* Deferred.succeed(server.snapshot.used, undefined)
        assert.strictEqual((yield* Fiber.join(request)).status, status)
        assert.deepStrictEqual(JSON.parse((yield* server.get("/", { cookie: next })).body), body)
      }
    }))

  it.effect("begins as the application wants it, and those of the session do not", () =>
    Effect.gen(function*() {
      const browser = (yield* serveOn(newClient())).browser()
      yield* browser.post("/count")
      assert.strictEqual((yield* browser.post("/readonly")).status, 200)
      assert.strictEqual((yield* browser.get("/")).body, `{"count":2}`)
    }))

  it.effect("that holds the last connection of the pool: 503 at the time limit, and then the server goes on", () =>
    Effect.gen(function*() {
      const server = yield* serveOn(postgres().client({ maxConnections: 1 }), { timeLimit: "100 ms" })
      const browser = server.browser()
      yield* browser.post("/count")
      const committing = server.store.before("update", Effect.void)
      const request = yield* Effect.forkChild(browser.post("/inside"))
      yield* committing
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(request)).status, 503)
      assert.strictEqual((yield* browser.post("/count")).status, 200)
      assert.strictEqual((yield* browser.get("/")).body, `{"count":2}`)
    }))

  it.effect("on SQLite: the session can be read in it, and be committed after it, and is refused in it at once", () =>
    Effect.gen(function*() {
      const browser = (yield* serveOn(sqliteClient())).browser()
      yield* browser.post("/count")
      const answer = yield* browser.post("/refused")
      assert.deepStrictEqual(JSON.parse(answer.body), [
        1,
        "SessionStoreError",
        "Error: This database has one connection, and a transaction of yours has it: " +
        "commit the session before the transaction, or after it"
      ])
      assert.strictEqual((yield* browser.get("/")).body, `{"count":2}`)
    }))
})
