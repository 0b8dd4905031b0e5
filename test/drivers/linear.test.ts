/**
 * What a session of many fields costs a driver grows with their number, and not with its square.
 */
import { NodeServices } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { DynamoLayer, FileLayer, KeyValueLayer, MemoryLayer, Session, SessionKey } from "effect-session"
import { KeyValueStore } from "effect/persistence"
import { assertLinear } from "../support/allocations.ts"
import { startDynamo } from "../support/dynamoServer.ts"
import { temporaryFolder } from "../support/fileStore.ts"
import { shared, startRedis } from "../support/redisServer.ts"
import { redisClients } from "../support/redisStore.ts"
import type { StoreLayer } from "../support/server.ts"
import { sqliteClient } from "../support/sqliteClient.ts"
import { sqlStore } from "../support/sqlStore.ts"
import { application, newSession, visit } from "../support/visits.ts"

const redis = shared(startRedis())
const dynamo = shared(startDynamo())

const stores: Readonly<Record<string, () => StoreLayer>> = {
  "memory": () => MemoryLayer.layer(),
  "key-value": () => Layer.provide(KeyValueLayer.layer(), KeyValueStore.layerMemory),
  "file": () =>
    Layer.unwrap(Effect.map(temporaryFolder, (location) => FileLayer.layer({ location }))).pipe(
      Layer.provide(NodeServices.layer)
    ),
  "SQLite": () => sqlStore(sqliteClient()),
  ...Object.fromEntries(
    redisClients.map(({ client, store }) => [`Redis through ${client}`, () => store(redis().url)])
  ),
  "DynamoDB": () => DynamoLayer.layer(dynamo().options)
}

/** A session of so many keys: it is created, each key is modified, it gets another id, and each key is removed. */
const work = (times: number) => {
  const keys = Array.from(
    { length: times },
    (_, index) => SessionKey.make(`key ${index}`, Schema.Int).pipe(SessionKey.withDefault(() => 0))
  )
  const each = <E>(operation: (key: typeof keys[number]) => Effect.Effect<unknown, E, Session.Session>) =>
    Effect.forEach(keys, operation, { discard: true })
  return Effect.gen(function*() {
    const token = yield* newSession(each((key) => Session.put(key, 1)))
    yield* visit(token, each((key) => Session.modify(key, (value) => value + 1)))
    const next = yield* visit(token, Effect.andThen(Session.regenerate, Session.sessionId))
    yield* visit(next, each(Session.forget))
  })
}

describe("a session of many fields costs in proportion to their number", () => {
  for (const [driver, store] of Object.entries(stores)) {
    it(
      `with ${driver}`,
      () => assertLinear((times) => Effect.runPromise(Effect.provide(work(times), application(store())))),
      60_000
    )
  }
})
