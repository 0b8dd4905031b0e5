/**
 * What becomes of requests, and of what they were told, when PostgreSQL or MariaDB is killed, stands still, or can't be
 * reached.
 */
import type { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { serveLoad } from "../../support/load.ts"
import { type MariadbServer, startMariadb } from "../../support/mariadbServer.ts"
import type { ClientOptions } from "../../support/mysqlClient.ts"
import { brokenWires, countTwice, outages } from "../../support/outages.ts"
import { type PostgresServer, startPostgres } from "../../support/postgresServer.ts"
import { freePort } from "../../support/redisServer.ts"
import { sqlStore } from "../../support/sqlStore.ts"
import { layWire } from "../../support/wire.ts"

const storeOn = (postgres: PostgresServer, options?: Partial<PgClient.PgPoolConfig>) =>
  sqlStore(postgres.client(options))

outages("a PostgreSQL", { start: startPostgres(), startAgain: startPostgres, store: storeOn })

brokenWires("to PostgreSQL", {
  start: Effect.gen(function*() {
    const postgres = yield* startPostgres()
    const wire = yield* layWire(yield* freePort, postgres.port)
    // Not prepared, so that each statement can be seen on the wire.
    const server = yield* serveLoad(storeOn(postgres, { port: wire.port, prepare: false }))
    return { wire, server, ...(yield* countTwice(server)) }
  }),
  losses: [{ text: "UPDATE \"effect_sessions\"", isMade: true }],
  isBackAtOnce: true
})

const storeOnMariadb = (mariadb: MariadbServer, options?: ClientOptions) => sqlStore(mariadb.client(options))

/** Its files are not whole before it has ended in order for the first time. */
const startLasting = Effect.flatMap(startMariadb(), (first) => Effect.andThen(first.stop, startMariadb(first)))

outages("a MariaDB", { start: startLasting, startAgain: startMariadb, store: storeOnMariadb })

brokenWires("to MariaDB", {
  start: Effect.gen(function*() {
    const mariadb = yield* startMariadb()
    const wire = yield* layWire(yield* freePort, mariadb.port)
    const server = yield* serveLoad(storeOnMariadb(mariadb, { port: wire.port, isPrepared: false }))
    return { wire, server, ...(yield* countTwice(server)) }
  }),
  losses: [{ text: "UPDATE `effect_sessions`", isMade: true }],
  isBackAtOnce: true
})
