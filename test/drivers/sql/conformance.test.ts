/**
 * The contract, on every way to run the driver.
 */
import type { PgClient } from "@effect/sql-pg"
import { describe, it } from "@effect/vitest"
import { Effect, Layer, String } from "effect"
import { SessionStore, type SqlLayer } from "effect-session"
import * as SessionOwnersTest from "effect-session/SessionOwnersTest"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { SqlClient } from "effect/sql/SqlClient"
import { inspect } from "node:util"
import * as SqlBackend from "../../../src/internal/drivers/sql/backend.ts"
import type { Dialect } from "../../../src/internal/drivers/sql/dialect.ts"
import { postgresql } from "../../../src/internal/drivers/sql/postgresql.ts"
import { sqlite } from "../../../src/internal/drivers/sql/sqlite.ts"
import { startMariadb } from "../../support/mariadbServer.ts"
import { startPostgres } from "../../support/postgresServer.ts"
import { shared } from "../../support/redisServer.ts"
import { sqliteClient } from "../../support/sqliteClient.ts"
import { migrate, sqlStore } from "../../support/sqlStore.ts"

const server = shared(startPostgres())
const mariadb = shared(startMariadb())

const onPostgres = (config: Partial<PgClient.PgPoolConfig>, options?: SqlLayer.Options) =>
  Layer.unwrap(Effect.sync(() => sqlStore(server().client(config), options)))

/** The store as it is for a back end that can't change two rows at once. */
const stepByStep = (client: Layer.Layer<SqlClient>, dialect: Dialect) =>
  Layer.effect(
    SessionStore.SessionStore,
    Effect.flatMap(SqlClient, (sql) => {
      const { regenerate: _, ...backend } = SqlBackend.make(sql, dialect, "effect_sessions")
      return SessionStore.fromBackend(backend)
    })
  ).pipe(Layer.provide(migrate()), Layer.provide(client))

const dump = Effect.suspend(() => Effect.map(server().query("SELECT * FROM effect_sessions"), (rows) => inspect(rows)))

SessionStoreTest.suite({ describe, it }, "SqlLayer on PostgreSQL", { layer: onPostgres({}), dump })

SessionStoreTest.suite({ describe, it }, "SqlLayer on PostgreSQL, where a session is superseded in a step of its own", {
  layer: Layer.unwrap(Effect.sync(() => stepByStep(server().client(), postgresql)))
})

SessionStoreTest.suite({ describe, it }, "SqlLayer on PostgreSQL, with a pool of one connection", {
  layer: onPostgres({ maxConnections: 1 })
})

SessionStoreTest.suite({ describe, it }, "SqlLayer on PostgreSQL, with a pool that sends several statements at once", {
  layer: onPostgres({ multiplex: true, maxConnections: 2 })
})

SessionStoreTest.suite({ describe, it }, "SqlLayer on a PostgreSQL where transactions are serializable by default", {
  layer: onPostgres({ startupParameters: { default_transaction_isolation: "serializable" } })
})

SessionStoreTest.suite({ describe, it }, "SqlLayer on a client that transforms names", {
  layer: onPostgres(
    { transformQueryNames: (name) => `${name}_`, transformResultNames: String.snakeToCamel },
    { table: "transformedSessions" }
  )
})

SessionStoreTest.suite({ describe, it }, "SqlLayer on a client that transforms the names in queries alone", {
  layer: onPostgres({ transformQueryNames: (name) => `${name}_` }, { table: "transformedSessions" })
})

SessionStoreTest.suite({ describe, it }, "SqlLayer on MariaDB", {
  layer: Layer.unwrap(Effect.sync(() => sqlStore(mariadb().client()))),
  dump: Effect.suspend(() =>
    Effect.map(mariadb().query("SELECT * FROM sessions.effect_sessions"), (rows) => inspect(rows))
  )
})

SessionStoreTest.suite({ describe, it }, "SqlLayer on MariaDB, with a pool of one connection", {
  layer: Layer.unwrap(Effect.sync(() => sqlStore(mariadb().client({ maxConnections: 1 }))))
})

SessionStoreTest.suite({ describe, it }, "SqlLayer on a MariaDB where transactions are serializable by default", {
  layer: Layer.unwrap(Effect.sync(() => sqlStore(mariadb().serializable())))
})

SessionStoreTest.suite(
  { describe, it },
  "SqlLayer on MariaDB, through a client that counts only rows that have changed",
  {
    layer: Layer.unwrap(Effect.sync(() => sqlStore(mariadb().client({ flags: ["-FOUND_ROWS"] }))))
  }
)

SessionStoreTest.suite({ describe, it }, "SqlLayer on SQLite", { layer: sqlStore(sqliteClient()) })

SessionStoreTest.suite({ describe, it }, "SqlLayer on SQLite, where a session is superseded in a step of its own", {
  layer: stepByStep(sqliteClient(), sqlite)
})

// -----------------------------------------------------------------------------
// owners
// -----------------------------------------------------------------------------

SessionOwnersTest.suite({ describe, it }, "SqlLayer on PostgreSQL", { layer: onPostgres({}), dump })

SessionOwnersTest.suite({ describe, it }, "SqlLayer on a PostgreSQL where transactions are serializable by default", {
  layer: onPostgres({ startupParameters: { default_transaction_isolation: "serializable" } })
})

SessionOwnersTest.suite({ describe, it }, "SqlLayer on MariaDB", {
  layer: Layer.unwrap(Effect.sync(() => sqlStore(mariadb().client())))
})

SessionOwnersTest.suite({ describe, it }, "SqlLayer on a MariaDB where transactions are serializable by default", {
  layer: Layer.unwrap(Effect.sync(() => sqlStore(mariadb().serializable())))
})

SessionOwnersTest.suite({ describe, it }, "SqlLayer on SQLite", {
  layer: sqlStore(sqliteClient()),
  skip: [
    "a login is in the list at once, also that of another server",
    "another server knows at once that all sessions, or all others, have ended"
  ]
})
