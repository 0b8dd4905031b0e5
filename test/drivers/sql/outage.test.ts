/**
 * What becomes of requests, and of what they were told, when PostgreSQL is killed, stands still, or can't be reached.
 */
import type { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { serveLoad } from "../../support/load.ts"
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
