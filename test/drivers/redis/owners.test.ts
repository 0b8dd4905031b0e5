/**
 * Owners and their sessions on a single Redis, and what it stores of them.
 */
import { describe } from "@effect/vitest"
import { Effect } from "effect"
import * as OwnerIndex from "../../support/ownerIndex.ts"
import { redisBackends } from "../../support/redisBackend.ts"
import { shared, startRedis } from "../../support/redisServer.ts"

const redis = shared(startRedis())

for (const { backend, client } of redisBackends) {
  OwnerIndex.suite(`Redis through ${client}`, {
    backend: Effect.suspend(() => backend(redis().url)),
    isForSeveral: true
  })
}
