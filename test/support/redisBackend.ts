/**
 * Back ends on a Redis of the tests', through each kind of client.
 */
import { NodeRedis } from "@effect/platform-node"
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import { Redis as RedisService } from "effect/persistence"
import { Redis } from "ioredis"
import * as Backend from "../../src/internal/drivers/redis/backend.ts"
import * as Client from "../../src/internal/drivers/redis/client.ts"
import * as Replicas from "../../src/internal/drivers/redis/replicas.ts"
import type { Backend as WithOwners } from "./ownerIndex.ts"
import { connectNodeRedis } from "./redisServer.ts"

export interface Options {
  readonly prefix?: string
  readonly isCluster?: boolean
  readonly wait?: Replicas.Wait
}

export interface RedisBackend {
  readonly client: string
  readonly backend: (url: string, options?: Options) => Effect.Effect<WithOwners, unknown, Scope.Scope>
}

const make = (
  client: Backend.Client,
  confirm: Backend.Confirm | undefined,
  { isCluster = false, prefix = "sessions:", wait }: Options
): WithOwners => {
  const confirmation = confirm && wait && { confirm, waitForReplicas: wait.waitForReplicas }
  return Backend.make(client, { prefix, ofTwoKeys: !isCluster, confirmation }) as WithOwners
}

const timeLimit = Duration.seconds(5)

/** On a client of its own, and on another one that waits for replicas. */
export const onClient = Effect.fnUntraced(function*(
  connect: Effect.Effect<Client.IoRedis | Client.NodeRedis, unknown, Scope.Scope>,
  options: Options = {}
) {
  const { wait } = options
  const client = yield* Client.make(yield* connect, timeLimit)
  const confirm = wait && (yield* Replicas.make(yield* connect, timeLimit, wait, () => {}))
  return make(client, confirm, options)
})

export const onService = (service: RedisService.Redis["Service"], options: Options = {}): WithOwners => {
  const confirm = options.wait && Replicas.fromService(service, options.wait, () => {})
  return make(Backend.fromService(service, () => {}), confirm, options)
}

const connectIoRedis = (url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => new Redis(url).on("error", () => {})),
    (client) => Effect.sync(() => client.disconnect())
  )

export const connectService = (url: string) =>
  Effect.map(Layer.build(NodeRedis.layer({ url })), (context) => Context.get(context, RedisService.Redis))

export const redisBackends: ReadonlyArray<RedisBackend> = [
  { client: "ioredis", backend: (url, options) => onClient(connectIoRedis(url), options) },
  { client: "node-redis", backend: (url, options) => onClient(connectNodeRedis({ url }), options) },
  {
    client: "node-redis with the second version of the protocol",
    backend: (url, options) => onClient(connectNodeRedis({ url, RESP: 2 }), options)
  },
  {
    client: "the Redis service",
    backend: (url, options) => Effect.map(connectService(url), (service) => onService(service, options))
  }
]
