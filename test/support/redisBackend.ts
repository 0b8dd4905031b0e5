/**
 * Back ends on a Redis of the tests', through each kind of client.
 */
import { NodeRedis } from "@effect/platform-node"
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import type { SessionStore } from "effect-session"
import { Redis as RedisService } from "effect/persistence"
import { Redis } from "ioredis"
import * as Backend from "../../src/internal/drivers/redis/backend.ts"
import * as Client from "../../src/internal/drivers/redis/client.ts"
import { connectNodeRedis } from "./redisServer.ts"

type Made = Effect.Effect<SessionStore.Backend, unknown, Scope.Scope>

export interface RedisBackend {
  readonly client: string
  readonly backend: (url: string, prefix?: string) => Made
}

export const onClient = (
  client: Client.IoRedis | Client.NodeRedis,
  options: Backend.Options
): Effect.Effect<SessionStore.Backend, never, Scope.Scope> =>
  Effect.map(Client.make(client, Duration.seconds(5)), (client) => Backend.make(client, options))

const connectIoRedis = (url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => new Redis(url)),
    (client) => Effect.sync(() => client.disconnect())
  )

const options = (prefix = "sessions:") => ({ prefix, ofTwoKeys: true })

export const redisBackends: ReadonlyArray<RedisBackend> = [
  {
    client: "ioredis",
    backend: (url, prefix) => Effect.flatMap(connectIoRedis(url), (client) => onClient(client, options(prefix)))
  },
  {
    client: "node-redis",
    backend: (url, prefix) =>
      Effect.flatMap(connectNodeRedis({ url }), (client) => onClient(client, options(prefix)))
  },
  {
    client: "node-redis with the second version of the protocol",
    backend: (url, prefix) =>
      Effect.flatMap(connectNodeRedis({ url, RESP: 2 }), (client) => onClient(client, options(prefix)))
  },
  {
    client: "the Redis service",
    backend: (url, prefix) =>
      Effect.map(
        Layer.build(NodeRedis.layer({ url })),
        (context) =>
          Backend.make(Backend.fromService(Context.get(context, RedisService.Redis), () => {}), options(prefix))
      )
  }
]
