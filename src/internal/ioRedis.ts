/**
 * ioredis as the client of the Redis driver: connected when the Layer is built, with an answer or an error for every
 * command, whatever becomes of the server.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { RedisError } from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import { type ConfigMistake, SessionConfigError } from "../SessionError.ts"
import type { Client } from "./redisBackend.ts"
import * as Setting from "./settings.ts"

/** What the driver uses of a client of ioredis. */
export interface IoRedis {
  readonly call: (command: string, ...parameters: ReadonlyArray<string>) => Promise<unknown>
}

export interface Connection {
  readonly url: string | undefined
  readonly host: string | undefined
  readonly port: number | undefined
  readonly username: string | undefined
  readonly password: Redacted.Redacted<string> | undefined
  readonly db: number | undefined
  readonly tls: boolean
  readonly cluster: ReadonlyArray<string> | undefined
  readonly sentinels: ReadonlyArray<string> | undefined
  readonly sentinelName: string | undefined
  readonly sentinelPassword: Redacted.Redacted<string> | undefined
}

export const fromClient = (client: IoRedis): Client => ({
  send: <A>(command: string, ...parameters: ReadonlyArray<string>) =>
    Effect.tryPromise({
      try: () => client.call(command, ...parameters) as Promise<A>,
      catch: (cause) => new RedisError({ cause })
    })
})

/** A client for as long as the scope. */
export const connect = Effect.fnUntraced(function*(connection: Connection, timeLimit: Duration.Duration) {
  const ioredis = yield* Effect.tryPromise({
    try: () => import("ioredis"),
    catch: () =>
      new SessionConfigError({
        mistakes: [
          Setting.mistake(["store", "type"], "redis", "The Redis driver needs ioredis: run `npm install ioredis`")
        ]
      })
  })
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => makeClient(ioredis, connection, Duration.toMillis(timeLimit))),
    (client) => Effect.sync(() => client.disconnect())
  )
  // Without a listener ioredis prints. It tries again by itself, and says so each time: once per outage is enough.
  let isUp = false
  let lastError: unknown
  client.on("error", (error: unknown) => {
    lastError = error
    if (isUp) runFork(Effect.logWarning("The connection to Redis was lost", error))
    isUp = false
  })
  client.on("ready", () => {
    if (!isUp && lastError !== undefined) runFork(Effect.logInfo("The connection to Redis is back"))
    isUp = true
  })
  yield* Effect.tryPromise(async () => {
    await client.connect()
    await client.call("PING")
    if (connection.cluster === undefined && connection.db !== undefined) await client.call("SELECT", `${connection.db}`)
  }).pipe(
    Effect.timeout(timeLimit),
    Effect.mapError((error) => new SessionConfigError({ mistakes: [explain(connection, lastError ?? error)] }))
  )
  lastError = undefined
  return fromClient(client)
})

type Module = Pick<typeof import("ioredis"), "Cluster" | "Redis">

const makeClient = ({ Cluster, Redis }: Module, connection: Connection, timeLimit: number) => {
  const { cluster, db, host, password, port, sentinelName, sentinelPassword, sentinels, tls, url, username } =
    connection
  const options = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: Redacted.value(password) }),
    ...(db !== undefined && { db }),
    ...(tls && { tls: {} }),
    lazyConnect: true,
    connectTimeout: timeLimit,
    commandTimeout: timeLimit,
    // While there is no server, a command fails at once: the client is told, and nothing is written behind its back.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times: number) => Math.min(1000, 50 * 2 ** times)
  }
  if (cluster !== undefined) {
    const { lazyConnect: _, ...redisOptions } = options
    return new Cluster(cluster.map(parseAddress), {
      lazyConnect: true,
      enableOfflineQueue: false,
      slotsRefreshTimeout: timeLimit,
      clusterRetryStrategy: options.retryStrategy,
      redisOptions
    })
  }
  if (sentinels !== undefined) {
    return new Redis({
      ...options,
      sentinels: sentinels.map(parseAddress),
      name: sentinelName ?? "mymaster",
      ...(sentinelPassword !== undefined && { sentinelPassword: Redacted.value(sentinelPassword) }),
      sentinelRetryStrategy: options.retryStrategy
    })
  }
  return host === undefined
    ? new Redis(url ?? "redis://localhost:6379/0", options)
    : new Redis({ ...options, host, port: port ?? 6379 })
}

const parseAddress = (address: string): { readonly host: string; readonly port: number } => {
  const colon = address.lastIndexOf(":")
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) }
}

/** Which setting to look at when the first connection fails. */
const explain = (connection: Connection, error: unknown): ConfigMistake => {
  const reason = error instanceof Error ? error.message : String(error)
  const at = connection.cluster !== undefined
    ? "cluster"
    : connection.sentinels !== undefined
    ? "sentinels"
    : connection.host !== undefined
    ? "host"
    : "url"
  const place = (setting: keyof Connection) => ["store", setting]
  if (/WRONGPASS|NOAUTH|invalid username-password|without any password/.test(reason)) {
    const setting = connection.password === undefined ? at : "password"
    return Setting.mistake(place(setting), connection[setting], "Redis does not accept this user name and password")
  }
  if (/DB index/.test(reason)) {
    const setting = connection.db === undefined ? at : "db"
    return Setting.mistake(
      place(setting),
      connection[setting],
      "Redis has no database of this number (there are 16, unless configured)"
    )
  }
  return Setting.mistake(place(at), connection[at] ?? "redis://localhost:6379/0", `No Redis answers there: ${reason}`)
}
