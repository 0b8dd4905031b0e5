/**
 * A master that has become a replica keeps its connections, and refuses changes for ever: the address leads to the new
 * master only those who connect again.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { IoRedis, NodeRedis } from "./client.ts"
import type { Script } from "./scripts.ts"
import * as Scripts from "./scripts.ts"

/** Whether that is why a command has failed. */
export const isReadOnly = (cause: unknown): boolean => String(cause).includes("READONLY")

/** A touch that is refused harms nobody: it is no reason to break off what others are reading. */
export const breaksOff = (script: Script): boolean => script !== Scripts.touch

/**
 * What to do each time a command is refused: `connectAgain`, if there is a way to, and tell of it. At most once a second, and
 * once a minute: an address may lead to a replica for good.
 */
export const make = (connectAgain: (() => void) | undefined): Effect.Effect<() => void> =>
  Effect.map(Effect.context<never>(), (context) => {
    let tried = -Infinity
    let told = -Infinity
    return () => {
      const now = performance.now()
      if (now - told > 60_000) {
        told = now
        Effect.runForkWith(context)(Effect.logWarning(isReplica, connectAgain === undefined ? byItsOwner : byUs))
      }
      if (now - tried > 1000) {
        tried = now
        connectAgain?.()
      }
    }
  })

const isReplica = "Redis takes no changes (READONLY): the server that was the master is a replica now"
const byUs = "Connecting again, as the address may lead to the new master by now"
const byItsOwner = "The client must connect again, and does not do so by itself: RedisLayer's documentation says how"

/** Whether a client of a Cluster sends what only reads to replicas. They lag behind the login, or the logout, of a moment ago. */
export const readsFromReplicas = (client: (IoRedis & Partial<InnerIoRedis>) | NodeRedis): boolean =>
  "call" in client && client.isCluster === true && (client.options?.scaleReads ?? "master") !== "master"

/** How to have a client connect again, if it does so at all when it loses its connection. */
export const wayToConnectAgain = (client: IoRedis | NodeRedis): (() => void) | undefined =>
  "call" in client ? ofIoRedis(client) : ofNodeRedis(client)

const ofIoRedis = (client: IoRedis & Partial<InnerIoRedis>) =>
  client.isCluster === true || client.disconnect === undefined || typeof client.options?.retryStrategy !== "function"
    ? undefined
    // Unless its `reconnectOnError` has seen to it.
    : () => client.status === "ready" && client.disconnect?.(true)

interface InnerIoRedis {
  readonly isCluster: boolean
  readonly status: string
  readonly options: { readonly retryStrategy?: unknown; readonly scaleReads?: unknown }
  readonly disconnect: (reconnect: boolean) => void
}

const ofNodeRedis = (client: NodeRedis & Partial<InnerNodeRedis>) =>
  client.options?.socket?.reconnectStrategy === false
    ? undefined
    // Redis answers and closes the connection; to the client, that is a connection that was lost.
    : () => void client.sendCommand(["QUIT"]).catch(() => {})

interface InnerNodeRedis {
  readonly options: { readonly socket?: { readonly reconnectStrategy?: unknown } }
}

/** The client behind the `Redis` service, where it is that of `@effect/platform-node`. */
export const clientOfService: Effect.Effect<NodeRedis | undefined> = Effect.map(
  Effect.serviceOption(
    Context.Service<{ readonly client: NodeRedis }, { readonly client: NodeRedis }>("@effect/platform-node/NodeRedis")
  ),
  (service) => Option.getOrUndefined(service)?.client
)
