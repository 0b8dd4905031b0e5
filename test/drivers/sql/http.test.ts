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
import type { Database, PoolOptions, SqlServer } from "../../support/sqlServer.ts"
import { migrate, sqlStore } from "../../support/sqlStore.ts"

const postgres = shared(startPostgres())
const mariadb = shared(startMariadb())

const databases: ReadonlyArray<Database> = [
  { database: "PostgreSQL", server: postgres },
  { database: "MariaDB", server: mariadb }
]

// -----------------------------------------------------------------------------
// requests at the same time
// -----------------------------------------------------------------------------

races("PostgreSQL", { store: () => sqlStore(postgres().client()) })

races("MariaDB", { store: () => sqlStore(mariadb().client()) })

races("SQLite", { store: () => sqlStore(sqliteClient()), servers: [1] })

renewals("PostgreSQL", () => sqlStore(postgres().client()))

renewals("MariaDB", () => sqlStore(mariadb().client()))

ownerRaces("PostgreSQL", { store: () => sqlStore(postgres().client()) })

ownerRaces("MariaDB", { store: () => sqlStore(mariadb().client()) })

ownerRaces("SQLite", { store: () => sqlStore(sqliteClient()), servers: 1 })

// -----------------------------------------------------------------------------
// rows that somebody else has locked
// -----------------------------------------------------------------------------

/** On MariaDB, a sweeper waits as well: for the row that is the next to expire. */
const quietStore = (client: Layer.Layer<SqlClient>) => sqlStore(client, { sweepEvery: "never" })

/** Runs an effect while a transaction of somebody else has changed or locked the only session of a schema. */
const whileLocked = Effect.fnUntraced(function*<A, E, R>(
  server: SqlServer,
  schema: string,
  effect: Effect.Effect<A, E, R>
) {
  const sql = Context.get(yield* Layer.build(server.clientOn(schema)), SqlClient)
  const [row] = yield* sql<{ readonly key: string }>`SELECT ${sql("key")} FROM effect_sessions`
  // By its key, as MariaDB locks what is between rows as well when it goes through all of them.
  const locked = sql`SELECT 1 FROM effect_sessions WHERE ${sql("key")} = ${row!.key} FOR UPDATE`
  return yield* sql.withTransaction(Effect.andThen(locked, effect))
})

describe.each(databases)("on $database, a commit and a logout that wait for the same row", ({ server }) => {
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
        const schema = yield* server().schema
        const [one, other] = yield* Effect.all([
          serve(basicRoutes, { store: quietStore(server().clientOn(schema)) }),
          serve(basicRoutes, { store: quietStore(server().clientOn(schema)) })
        ])
        const cookie = cookieOf(yield* one.post("/count"))
        const requests = yield* whileLocked(
          server(),
          schema,
          Effect.gen(function*() {
            const firstRequest = yield* Effect.forkScoped(one.post(first, { cookie }))
            yield* server().waitForLocks(1)
            const secondRequest = yield* Effect.forkScoped(other.post(second, { cookie }))
            yield* server().waitForLocks(2)
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

describe.each(databases)("a $database where transactions are serializable by default", ({ server }) => {
  for (const [path, left] of [["/touch", `{"count":1}`], ["/count", `{"count":2}`], ["/logout", "{}"]] as const) {
    it.effect(`does not fail POST ${path} because another transaction has changed the row meanwhile`, () =>
      Effect.gen(function*() {
        const client = server().serializable()
        const app = yield* serve(basicRoutes, { store: quietStore(client) })
        const cookie = cookieOf(yield* app.post("/count"))
        const sql = Context.get(yield* Layer.build(server().client()), SqlClient)
        const request = yield* sql.withTransaction(
          Effect.gen(function*() {
            yield* sql`UPDATE effect_sessions SET touched_at = touched_at + 1`
            const request = yield* Effect.forkScoped(app.post(path, { cookie }))
            yield* server().waitForLocks(1)
            return request
          })
        )
        assert.strictEqual((yield* Fiber.join(request)).status, 200)
        assert.strictEqual((yield* app.get("/", { cookie })).body, left)
      }))
  }
})

describe.each(databases)("a row of $database that a report or a backup has locked", ({ server }) => {
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
        const schema = yield* server().schema
        const app = yield* serve(basicRoutes, { store: quietStore(server().clientOn(schema, { maxConnections: 2 })) })
        const cookie = cookieOf(yield* app.post("/count"))
        const requests = yield* whileLocked(
          server(),
          schema,
          Effect.gen(function*() {
            const requests = Array.from({ length: 5 }, () => Effect.forkScoped(app.post(path, { cookie })))
            const fibers = yield* Effect.all(requests)
            yield* server().waitForLocks(1)
            const browser = app.browser()
            yield* browser.post("/count")
            yield* browser.post("/count")
            assert.strictEqual((yield* browser.get("/")).body, `{"count":2}`)
            yield* server().waitForLocks(1)
            return fibers
          })
        )
        for (const { status } of yield* Effect.forEach(requests, Fiber.join)) assert.strictEqual(status, 200)
        if (path !== "/login") assert.strictEqual((yield* app.get("/", { cookie })).body, left)
      })
  )

  it.live("takes no second one after the time limit, however many requests come", () =>
    Effect.gen(function*() {
      const schema = yield* server().schema
      const store = quietStore(server().clientOn(schema, { maxConnections: 2 }))
      const app = yield* serve(basicRoutes, { store, config: { timeLimit: "300 ms" } })
      const cookie = cookieOf(yield* app.post("/count"))
      yield* whileLocked(
        server(),
        schema,
        Effect.gen(function*() {
          for (const path of ["/logout", "/touch", "/count", "/logout", "/touch", "/count"]) {
            assert.strictEqual((yield* app.post(path, { cookie })).status, 503)
            assert.strictEqual((yield* app.get("/", { cookie })).body, `{"count":1}`)
          }
        })
      )
      assert.strictEqual((yield* app.post("/logout", { cookie })).status, 200)
    }))
})

describe("a MariaDB that says nothing for longer than it lets anybody wait for a row", () => {
  it.effect("is out of reach: after a minute, the next request no longer waits for that statement", () =>
    Effect.gen(function*() {
      const schema = yield* mariadb().schema
      const context = yield* Layer.build(Layer.provideMerge(migrate(), mariadb().clientOn(schema)))
      const store = watchStore(Effect.provide(SqlLayer.make({ sweepEvery: "never" }), context))
      const app = yield* serve(basicRoutes, { store: store.layer })
      const cookie = cookieOf(yield* app.post("/count"))
      /** When it is refused, so many statements wait, with those of earlier ones. */
      const refused = Effect.fnUntraced(function*(waiting: number) {
        const touching = store.before("touch", Effect.void)
        const request = yield* Effect.forkScoped(app.post("/touch", { cookie }))
        yield* touching
        yield* mariadb().waitForLocks(waiting)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* Fiber.join(request)).status, 503)
      })
      const waiting = yield* whileLocked(
        mariadb(),
        schema,
        Effect.gen(function*() {
          yield* refused(1)
          yield* refused(1)
          yield* TestClock.adjust("1 minute")
          yield* refused(2)
          return yield* Effect.forkScoped(app.post("/count", { cookie }))
        })
      )
      assert.strictEqual((yield* Fiber.join(waiting)).status, 200)
    }))
})

// -----------------------------------------------------------------------------
// transactions of the application
// -----------------------------------------------------------------------------

interface Snapshot {
  readonly taken: Deferred.Deferred<void>
  readonly used: Deferred.Deferred<void>
}

/** How each database says what the handlers ask of it. */
interface Words {
  readonly readOnly: string
  readonly repeatable: string
  /** Statements after which the database has given the transaction up. */
  readonly giveUp: ReadonlyArray<string>
  /** Keeps the transaction from the table of the sessions. */
  readonly shutOut: string
  readonly letIn: string
}

const ofPostgres: Words = {
  readOnly: "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY",
  repeatable: "BEGIN ISOLATION LEVEL REPEATABLE READ",
  giveUp: ["SELECT 1 / 0"],
  shutOut: "SET LOCAL ROLE pg_monitor",
  letIn: "RESET ROLE"
}

const ofMariadb: Words = {
  readOnly: "START TRANSACTION READ ONLY",
  repeatable: "START TRANSACTION WITH CONSISTENT SNAPSHOT",
  // It ends before a statement that changes a table.
  giveUp: ["ALTER TABLE orders COMMENT 'x'"],
  shutOut: "LOCK TABLES orders WRITE",
  letIn: "UNLOCK TABLES"
}

/** Handlers whose transactions begin with an order, and routes to look at what is in the database. */
const routesWith = (context: Context.Context<SqlClient>, snapshot: Snapshot, words: Words) => {
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
        Effect.provideService(BeginTransaction, words.readOnly)
      )
    ),
    add(
      "/aborted",
      sql.withTransaction(
        Effect.gen(function*() {
          for (const statement of words.giveUp) yield* Effect.exit(sql.unsafe(statement))
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
          yield* sql.unsafe(words.shutOut).unprepared
          const count = yield* Count
          yield* sql.unsafe(words.letIn).unprepared
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
      ).pipe(Effect.provideService(BeginTransaction, words.repeatable))
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

const serveOn = Effect.fnUntraced(
  function*(client: Layer.Layer<SqlClient>, words: Words, config: SessionConfig.Options = {}) {
    const context = yield* Layer.build(Layer.provideMerge(migrate(), client))
    const sql = Context.get(context, SqlClient)
    yield* sql`CREATE TABLE IF NOT EXISTS orders (id INTEGER)`
    const store = watchStore(Effect.provide(SqlLayer.make(), context))
    const snapshot: Snapshot = { taken: Deferred.makeUnsafe(), used: Deferred.makeUnsafe() }
    const server = yield* serve(routesWith(context, snapshot, words), { store: store.layer, config })
    return { ...server, snapshot, store, orders: Effect.map(sql`SELECT * FROM orders`, (rows) => rows.length) }
  }
)

const withWords = [
  { database: "PostgreSQL", server: postgres, words: ofPostgres },
  { database: "MariaDB", server: mariadb, words: ofMariadb }
]

describe.each<Database & { readonly words: Words }>(withWords)(
  "a transaction of the application on $database",
  ({ server, words }) => {
    /** A server on a schema of its own. */
    const newServer = (options?: PoolOptions, config?: SessionConfig.Options) =>
      Effect.flatMap(server().schema, (schema) => serveOn(server().clientOn(schema, options), words, config))

    const changes = [
      { path: "/count", left: { count: 2 } },
      { path: "/touch", left: { count: 1 } },
      { path: "/login", left: { count: 1, name: "Ada" } },
      { path: "/logout", left: {} }
    ]
    for (const { left, path } of changes) {
      it.effect(`that is rolled back does not take back what the session has committed: ${path}`, () =>
        Effect.gen(function*() {
          const app = yield* newServer()
          const browser = app.browser()
          yield* browser.post("/count")
          assert.strictEqual((yield* browser.post(`/rollback${path}`)).status, 200)
          assert.deepStrictEqual(JSON.parse((yield* browser.get("/")).body), left)
          assert.strictEqual(yield* app.orders, 0)
        }))
    }

    it.effect("that is rolled back does not take back a new session", () =>
      Effect.gen(function*() {
        const app = yield* newServer()
        const browser = app.browser()
        yield* browser.post("/rollback/count")
        assert.strictEqual((yield* browser.get("/")).body, `{"count":1}`)
        assert.strictEqual(yield* app.orders, 0)
      }))

    it.effect("that the database has given up does not keep the session from being read", () =>
      Effect.gen(function*() {
        const browser = (yield* newServer()).browser()
        yield* browser.post("/count")
        assert.strictEqual((yield* browser.post("/aborted")).body, `{"count":1}`)
      }))

    it.live("needs no second connection to load the session: 20 of them at a time on a pool of two", () =>
      Effect.gen(function*() {
        const app = yield* newServer({ maxConnections: 2 }, { timeLimit: "2 seconds" })
        const cookie = cookieOf(yield* app.post("/count"))
        const requests = Array.from({ length: 20 }, () => app.post("/order", { cookie }))
        const answers = yield* Effect.all(requests, { concurrency: 20 })
        assert.deepStrictEqual(answers.map(({ body }) => body), requests.map(() => "1"))
      }))

    it.effect("that can't read the table does not keep the session from being read, and goes on", () =>
      Effect.gen(function*() {
        const app = yield* newServer()
        const browser = app.browser()
        yield* browser.post("/count")
        const orders = yield* app.orders
        assert.strictEqual((yield* browser.post("/role")).body, "1")
        assert.strictEqual(yield* app.orders, orders + 2)
      }))

    it.effect("with a snapshot from before a login or a logout does not hide that from a commit", () =>
      Effect.gen(function*() {
        for (
          const [path, status, body] of [["/login", 200, { count: 11, name: "Ada" }], ["/logout", 409, {}]] as const
        ) {
          const app = yield* newServer()
          const cookie = cookieOf(yield* app.post("/count"))
          const request = yield* Effect.forkChild(app.post("/snapshot", { cookie }))
          yield* Deferred.await(app.snapshot.taken)
          const next = cookieOf(yield* app.post(path, { cookie }))
          yield* Deferred.succeed(app.snapshot.used, undefined)
          assert.strictEqual((yield* Fiber.join(request)).status, status)
          assert.deepStrictEqual(JSON.parse((yield* app.get("/", { cookie: next })).body), body)
        }
      }))

    it.effect("begins as the application wants it, and those of the session do not", () =>
      Effect.gen(function*() {
        const browser = (yield* newServer()).browser()
        yield* browser.post("/count")
        assert.strictEqual((yield* browser.post("/readonly")).status, 200)
        assert.strictEqual((yield* browser.get("/")).body, `{"count":2}`)
      }))

    it.effect("that holds the last connection of the pool: 503 at the time limit, and then the server goes on", () =>
      Effect.gen(function*() {
        const app = yield* newServer({ maxConnections: 1 }, { timeLimit: "100 ms" })
        const browser = app.browser()
        yield* browser.post("/count")
        const committing = app.store.before("update", Effect.void)
        const request = yield* Effect.forkChild(browser.post("/inside"))
        yield* committing
        yield* TestClock.adjust("100 millis")
        assert.strictEqual((yield* Fiber.join(request)).status, 503)
        assert.strictEqual((yield* browser.post("/count")).status, 200)
        assert.strictEqual((yield* browser.get("/")).body, `{"count":2}`)
      }))
  }
)

describe("a serializable transaction of the application on MariaDB", () => {
  it.live("locks a session that it reads: a commit in it is refused at the time limit, and made when it has ended", () =>
    Effect.gen(function*() {
      const app = yield* serveOn(mariadb().serializable(), ofMariadb, { timeLimit: "300 ms" })
      const browser = app.browser()
      yield* browser.post("/count")
      assert.strictEqual((yield* browser.post("/rollback/count")).status, 503)
      assert.strictEqual((yield* browser.post("/count")).status, 200)
      assert.strictEqual((yield* browser.get("/")).body, `{"count":3}`)
    }))
})

describe("a transaction of the application on SQLite", () => {
  it.effect("lets the session be read in it, and be committed after it, and refuses a commit in it at once", () =>
    Effect.gen(function*() {
      const browser = (yield* serveOn(sqliteClient(), ofPostgres)).browser()
      yield* browser.post("/count")
      const answer = yield* browser.post("/refused")
      assert.deepStrictEqual(JSON.parse(answer.body), [
        1,
        "SessionStoreError",
        "Error: This database has one connection, which your transaction is using: " +
        "commit the session before or after the transaction"
      ])
      assert.strictEqual((yield* browser.get("/")).body, `{"count":2}`)
    }))
})
