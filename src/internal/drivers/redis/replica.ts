/**
 * A master that has become a replica keeps its connections and rejects all changes: the address leads to the new master
 * only after reconnecting.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { IoRedis, NodeRedis } from "./client.ts"
import type { Script } from "./scripts.ts"
import * as Scripts from "./scripts.ts"

/** Whether that is why a command has failed. */
export const isReadOnly = (cause: unknown): boolean => String(cause).includes("READONLY")

/** A rejected touch does no harm, so it is no reason to interrupt reads. */
export const breaksOff = (script: Script): boolean => script !== Scripts.touch

/**
 * Handles a rejected command: calls `connectAgain`, if there is a way to, at most once a second, and logs it at most
 * once a minute, because an address may lead to a replica permanently.
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

const isReplica = "Redis rejects changes (READONLY): the former master is a replica now"
const byUs = "Reconnecting, because the address may lead to the new master by now"
const byItsOwner = "The client must reconnect, but does not do so itself: see the documentation of RedisLayer"

/** Whether a Cluster client sends reads to replicas, which may lag behind the latest login or logout. */
export const readsFromReplicas = (client: (IoRedis & Partial<InnerIoRedis>) | NodeRedis): boolean =>
  "call" in client && client.isCluster === true && (client.options?.scaleReads ?? "master") !== "master"

/** How to make a client reconnect, if it reconnects at all. */
export const wayToConnectAgain = (client: IoRedis | NodeRedis): (() => void) | undefined =>
  "call" in client ? ofIoRedis(client) : ofNodeRedis(client)

const ofIoRedis = (client: IoRedis & Partial<InnerIoRedis>) =>
  client.isCluster === true || client.disconnect === undefined || typeof client.options?.retryStrategy !== "function"
    ? undefined
    // Unless its `reconnectOnError` has already done it.
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
    // Redis answers and closes the connection, which the client treats as a lost connection.
    : () => void client.sendCommand(["QUIT"]).catch(() => {})

interface InnerNodeRedis {
  readonly options: { readonly socket?: { readonly reconnectStrategy?: unknown } }
}

/** The client behind the `Redis` service, if it is that of `@effect/platform-node`. */
export const clientOfService: Effect.Effect<NodeRedis | undefined> = Effect.map(
  Effect.serviceOption(
    Context.Service<{ readonly client: NodeRedis }, { readonly client: NodeRedis }>("@effect/platform-node/NodeRedis")
  ),
  (service) => Option.getOrUndefined(service)?.client
)
