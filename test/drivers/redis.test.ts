import { NodeRedis } from "@effect/platform-node"
import { afterAll, beforeAll } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Exit, Scope } from "effect"
import { RedisLayer } from "effect-session"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { type RedisServer, startRedis } from "../support/redisServer.ts"

const scope = Scope.makeUnsafe()
let server: RedisServer

beforeAll(async () => {
  server = await Effect.runPromise(Scope.provide(startRedis(), scope))
})
afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

SessionStoreTest.suite("RedisLayer", {
  layer: Layer.unwrap(Effect.sync(() => RedisLayer.layer({ url: server.url }))),
  dump: Effect.gen(function*() {
    const keys = yield* server.command<ReadonlyArray<string>>("KEYS", "*")
    const hashes = yield* Effect.forEach(keys, (key) => server.command("HGETALL", key))
    return JSON.stringify([keys, hashes])
  })
})

SessionStoreTest.suite("RedisLayer.layerRedis on node-redis", {
  layer: Layer.unwrap(
    Effect.sync(() =>
      RedisLayer.layerRedis({ prefix: "node-redis:" }).pipe(Layer.provide(NodeRedis.layer({ url: server.url })))
    )
  )
})
