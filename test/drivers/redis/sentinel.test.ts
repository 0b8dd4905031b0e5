/**
 * A master with a replica, watched by three Sentinels: the contract, and what becomes of requests when the master goes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { RedisLayer } from "effect-session"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { serveLoad, startLoad } from "../../support/load.ts"
import { observe } from "../../support/observe.ts"
import { shared, startRedis, startSentinels } from "../../support/redisServer.ts"
import type { StoreLayer } from "../../support/server.ts"

const password = "of-the-master"
const sentinelName = "sessions-of-the-shop"
const watched = shared(startSentinels(sentinelName, password))

const SentinelLayer: StoreLayer = Layer.unwrap(
  Effect.sync(() => RedisLayer.layer({ sentinels: watched().addresses, sentinelName, password }))
)

SessionStoreTest.suite({ describe, it }, "RedisLayer under Sentinels", { layer: SentinelLayer })

describe("Sentinels", () => {
  it.live("of which one is gone and another one stands still are asked in turn, within the time limit", () =>
    Effect.gen(function*() {
      const [gone, still] = yield* Effect.all([startRedis(), startRedis()])
      yield* gone.kill
      yield* still.pause
      const addresses = [gone, still].map(({ port }) => `127.0.0.1:${port}`)
      const server = yield* serveLoad(
        RedisLayer.layer({ sentinels: [...addresses, ...watched().addresses], sentinelName, password })
      )
      assert.strictEqual((yield* server.post("/count")).status, 200)
    }))

  it.live("replace a master that is killed under load: requests go on with the new one", () =>
    Effect.gen(function*() {
      const server = yield* serveLoad(SentinelLayer)
      const load = yield* startLoad(server, 8)
      yield* load.more(200, 20)
      yield* watched().master.kill
      yield* load.more(503, 1)
      yield* load.more(200, 20)
      yield* load.end
      // Replication is asynchronous: the last commits may not have reached the replica.
      yield* load.assertNothingLost(() => false)
      assert.include(yield* watched().replica.command<string>("INFO", "replication"), "role:master")
    }).pipe(Effect.provide(observe().layer)))
})
