/**
 * The contract, on every way to run the driver.
 */
import type { PgClient } from "@effect/sql-pg"
import { Effect, Layer, String } from "effect"
import type { SqlLayer } from "effect-session"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { inspect } from "node:util"
import { startPostgres } from "../../support/postgresServer.ts"
import { shared } from "../../support/redisServer.ts"
import { sqliteClient } from "../../support/sqliteClient.ts"
import { sqlStore } from "../../support/sqlStore.ts"

const server = shared(startPostgres())

const onPostgres = (config: Partial<PgClient.PgPoolConfig>, options?: SqlLayer.Options) =>
  Layer.unwrap(Effect.sync(() => sqlStore(server().client(config), options)))

const dump = Effect.suspend(() => Effect.map(server().query("SELECT * FROM effect_sessions"), (rows) => inspect(rows)))

SessionStoreTest.suite("SqlLayer on PostgreSQL", { layer: onPostgres({}), dump })

SessionStoreTest.suite("SqlLayer on PostgreSQL, with a pool of one connection", {
  layer: onPostgres({ maxConnections: 1 })
})

SessionStoreTest.suite("SqlLayer on PostgreSQL, with a pool that sends several statements at once", {
  layer: onPostgres({ multiplex: true, maxConnections: 2 })
})

SessionStoreTest.suite("SqlLayer on a PostgreSQL where transactions are serializable by default", {
  layer: onPostgres({ startupParameters: { default_transaction_isolation: "serializable" } })
})

SessionStoreTest.suite("SqlLayer on a client that transforms names", {
  layer: onPostgres(
    { transformQueryNames: (name) => `${name}_`, transformResultNames: String.snakeToCamel },
    { table: "transformedSessions" }
  )
})

SessionStoreTest.suite("SqlLayer on a client that transforms the names in queries alone", {
  layer: onPostgres({ transformQueryNames: (name) => `${name}_` }, { table: "transformedSessions" })
})

SessionStoreTest.suite("SqlLayer on SQLite", { layer: sqlStore(sqliteClient()) })
