/**
 * The table of docs/production/outages.md is what clients, logs and metrics show when a real back end fails.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { DynamoLayer, RedisLayer } from "effect-session"
import { rmSync } from "node:fs"
import { canMount, disk, remountReadonly } from "../support/disk.ts"
import { startDynamo } from "../support/dynamoServer.ts"
import { fileStore, temporaryFolder } from "../support/fileStore.ts"
import { startMariadb } from "../support/mariadbServer.ts"
import { observe } from "../support/observe.ts"
import { startPostgres } from "../support/postgresServer.ts"
import { startRedis } from "../support/redisServer.ts"
import { basicRoutes } from "../support/routes.ts"
import { type Answer, cookieOf, serve, type StoreLayer } from "../support/server.ts"
import { sqlStore } from "../support/sqlStore.ts"
import { rowsBehind } from "../support/tables.ts"

interface Failing {
  readonly store: StoreLayer
  readonly fail: Effect.Effect<unknown, unknown, Scope.Scope>
}

type Start = Effect.Effect<Failing, unknown, Scope.Scope>

const redis = (
  fail: (redis: Effect.Success<ReturnType<typeof startRedis>>) => Failing["fail"]
): Start => Effect.map(startRedis(), (server) => ({ store: RedisLayer.layer({ url: server.url }), fail: fail(server) }))

const postgres = (
  fail: (postgres: Effect.Success<ReturnType<typeof startPostgres>>) => Failing["fail"]
): Start => Effect.map(startPostgres(), (server) => ({ store: sqlStore(server.client()), fail: fail(server) }))

const mariadb: Start = Effect.map(
  startMariadb(),
  (server) => ({ store: sqlStore(server.client()), fail: server.kill })
)

const dynamo = (fail: (dynamo: Effect.Success<ReturnType<typeof startDynamo>>) => Failing["fail"]): Start =>
  Effect.map(startDynamo(), (server) => ({ store: DynamoLayer.layer(server.options), fail: fail(server) }))

const readOnlyDisk: Start = Effect.map(disk("size=1m"), (location) => ({
  store: fileStore(location),
  fail: remountReadonly(location)
}))

const folderIsGone: Start = Effect.map(temporaryFolder, (location) => ({
  store: fileStore(location),
  fail: Effect.sync(() => rmSync(location, { recursive: true }))
}))

/** By the first cell of their rows. */
const situations: Readonly<Record<string, Start>> = {
  "Redis is down": redis((server) => server.kill),
  "Redis doesn't answer": redis((server) => server.pause),
  "Redis is full": redis((server) => server.command("CONFIG", "SET", "maxmemory", "1")),
  "Redis has become a replica": redis((server) => server.command("REPLICAOF", "127.0.0.1", "1")),
  "PostgreSQL is down": postgres((server) => server.kill),
  // Not while the pool opens a connection: that one would go on.
  "PostgreSQL doesn't answer": postgres((server) => Effect.andThen(Effect.sleep("500 millis"), server.pause)),
  "PostgreSQL is read-only": postgres((server) =>
    Effect.andThen(
      server.query("ALTER SYSTEM SET default_transaction_read_only = on"),
      // Each of its processes reads the setting by itself.
      Effect.andThen(server.query("SELECT pg_reload_conf()"), Effect.sleep("300 millis"))
    )
  ),
  "MariaDB is down": mariadb,
  "DynamoDB can't be reached": dynamo((server) => server.stop),
  "DynamoDB throttles": dynamo((server) =>
    Effect.sync(() => server.breaks({ code: "ProvisionedThroughputExceededException" }))
  ),
  "The disk is read-only": readOnlyDisk,
  "The folder was deleted": folderIsGone
}

const shown = ({ setCookies, status }: Answer): string => setCookies.length === 0 ? `${status}` : `${status}, cookie`

// Whether a client tries to connect meanwhile, or a sweeper is at work, depends on the moment.
const isLasting = (message: string): boolean => !/^Redis can't be reached|^Expired sessions/.test(message)

/** What clients get, and what operators see. */
const cellsOf = Effect.fnUntraced(function*(start: Start) {
  const observed = observe()
  return yield* Effect.gen(function*() {
    const { fail, store } = yield* start
    const config = { timeLimit: "1 second", touchEvery: "1 ms" } as const
    const server = yield* serve(basicRoutes, { store, config, logger: false })
    const cookie = cookieOf(yield* server.post("/count"))
    yield* fail
    const answers = [
      yield* server.get("/", { cookie }),
      yield* server.post("/count", { cookie }),
      yield* server.post("/logout", { cookie }),
      yield* server.post("/count"),
      yield* server.get("/untouched", { cookie })
    ]
    for (const { body, status } of answers) assert.strictEqual(body === "Service Unavailable", status === 503)
    const refused = Object.keys(observed.storeTimes()).filter((name) => name.endsWith("SessionStoreError"))
    assert.strictEqual(refused.length > 0, answers.some(({ status }) => status === 503))
    const messages = observed.logs
      .filter(({ level, message }) => (level === "Error" || level === "Warn") && isLasting(message))
      .map(({ message }) => `\`${message}\``)
    return [...answers.map(shown), [...new Set(messages)].join(", ")]
  }).pipe(Effect.provide(observed.layer))
})

describe("docs/production/outages.md", () => {
  const [, , ...rows] = rowsBehind("production/outages.md", "outages")

  it("has a row for each situation", () => {
    assert.deepStrictEqual(rows.map(([what]) => what), Object.keys(situations))
  })

  for (const [what, ...cells] of rows) {
    it.live.skipIf(what === "The disk is read-only" && !canMount)(
      what!,
      () => Effect.map(cellsOf(situations[what!]!), (found) => assert.deepStrictEqual(found, cells))
    )
  }
})
