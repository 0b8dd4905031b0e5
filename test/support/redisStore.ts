/**
 * Stores on a Redis of the tests', through each kind of client.
 */
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { RedisLayer } from "effect-session"
import { connectNodeRedis } from "./redisServer.ts"
import type { OwnerStoreLayer } from "./server.ts"

export interface RedisClient {
  readonly client: string
  readonly store: (url: string, options?: RedisLayer.ClientOptions) => OwnerStoreLayer
}

export const ioredis: RedisClient = {
  client: "ioredis",
  store: (url, options) => RedisLayer.layer({ ...options, url })
}

export const nodeRedis = (
  settings: Omit<NonNullable<Parameters<typeof connectNodeRedis>[0]>, "url"> = {}
): RedisClient => ({
  client: "node-redis",
  store: (url, options) =>
    Layer.unwrap(
      Effect.map(connectNodeRedis({ ...settings, url }), (client) => RedisLayer.layerClient(client, options))
    )
})

export const redisService = (
  settings: Omit<Parameters<typeof NodeRedis.layer>[0] & object, "url"> = {}
): RedisClient => ({
  client: "the Redis service",
  store: (url, options) =>
    Layer.provide(RedisLayer.layerRedis(options), Layer.orDie(NodeRedis.layer({ ...settings, url })))
})

export const redisClients: ReadonlyArray<RedisClient> = [ioredis, nodeRedis(), redisService()]
