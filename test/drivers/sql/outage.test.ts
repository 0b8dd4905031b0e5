/**
 * What becomes of requests, and of what they were told, when PostgreSQL is killed, stands still, or can't be reached.
 */
import type { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlLayer } from "effect-session"
import { loadRoutes, startLoad } from "../../support/load.ts"
import { observe } from "../../support/observe.ts"
import { type PostgresServer, startPostgres } from "../../support/postgresServer.ts"
import { eventually, freePort } from "../../support/redisServer.ts"
import { cookieOf, serve } from "../../support/server.ts"
import { layWire } from "../../support/wire.ts"

const serveOn = (postgres: PostgresServer, options?: Partial<PgClient.PgPoolConfig>) =>
  serve(loadRoutes, {
    store: SqlLayer.layer().pipe(
      Layer.provide(Layer.effectDiscard(Effect.orDie(SqlLayer.migration()))),
      Layer.provide(postgres.client(options))
    ),
    config: { timeLimit: "1 second" },
    logger: false
  })

describe("under load", () => {
  it.live("a server that is killed and started again: 503 meanwhile, and nothing acknowledged is lost", () =>
    Effect.gen(function*() {
      const postgres = yield* startPostgres()
      const server = yield* serveOn(postgres)
      const load = yield* startLoad(server, 8)
      yield* load.more(200, 20)
      yield* postgres.kill
      yield* load.more(503, 3)
      yield* startPostgres(postgres)
      yield* load.more(200, 20)
      yield* load.end
      yield* load.assertNothingLost()
    }).pipe(Effect.provide(observe().layer)))

  it.live("a server that stands still: 503 at the time limit meanwhile, and nothing acknowledged is lost", () =>
    Effect.gen(function*() {
      const postgres = yield* startPostgres()
      const server = yield* serveOn(postgres)
      const load = yield* startLoad(server, 8)
      yield* load.more(200, 20)
      yield* postgres.pause
      yield* load.more(503, 2)
      yield* postgres.goOn
      yield* load.more(200, 20)
      yield* load.end
      yield* load.assertNothingLost()
    }).pipe(Effect.provide(observe().layer)))
})

describe("the wire to PostgreSQL", () => {
  const countOn = Effect.gen(function*() {
    const postgres = yield* startPostgres()
    const wire = yield* layWire(yield* freePort, postgres.port)
    // Not prepared, so that each statement can be seen on the wire.
    const server = yield* serveOn(postgres, { port: wire.port, prepare: false })
    const cookie = cookieOf(yield* server.post("/count"))
    return { wire, server, cookie }
  })

  for (const [statement, left] of [["UPDATE \"effect_sessions\"", 1], ["COMMIT\0", 2]] as const) {
    it.live(`that breaks before the answer to ${statement.slice(0, 6)} comes: 503, and no change is made twice`, () =>
      Effect.gen(function*() {
        const { cookie, server, wire } = yield* countOn
        const lost = wire.loseAnswerTo(statement)
        assert.strictEqual((yield* server.post("/count", { cookie })).status, 503)
        yield* lost
        assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":${left}}`)
        assert.strictEqual((yield* server.post("/count", { cookie })).status, 200)
        assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":${left + 1}}`)
      }).pipe(Effect.provide(observe().layer)))
  }

  it.live("that falls silent without being closed: new connections take the place of those that there were", () =>
    Effect.gen(function*() {
      const { cookie, server, wire } = yield* countOn
      wire.fallSilent()
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 503)
      yield* eventually(Effect.map(server.get("/", { cookie }), ({ status }) => assert.strictEqual(status, 200)))
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }).pipe(Effect.provide(observe().layer)))
})
