/**
 * ioredis as the client of the Redis driver: connected when the Layer is built, and connected again whatever becomes of the
 * server.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as IoRedisModule from "ioredis"
import { type ConfigMistake, SessionConfigError } from "../../../SessionError.ts"
import * as Setting from "../../config/settings.ts"
import * as RedisClient from "./client.ts"

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

// With `catch` on the import itself, bundlers know that the package may be missing.
const load = Effect.flatMap(
  Effect.promise(() => import("ioredis").catch(() => undefined)),
  (module) => module === undefined ? Effect.fail(missing()) : Effect.succeed(module)
)

const missing = () =>
  new SessionConfigError({
    mistakes: [Setting.mistake(["store", "type"], "redis", "The Redis driver needs ioredis: run `npm install ioredis`")]
  })

/** A client for as long as the scope. `key` is one that nothing is ever stored under. */
export const connect = Effect.fnUntraced(function*(connection: Connection, timeLimit: Duration.Duration, key: string) {
  const ioredis = yield* load
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  let status: "starting" | "up" | "down" | "over" = "starting"
  const hasStarted = () => status === "up" || status === "down"
  let lastError: unknown
  const client = yield* Effect.acquireRelease(
    // While it starts, one try is enough: a wrong setting is told at once.
    Effect.sync(() => makeClient(ioredis, connection, timeLimit, hasStarted)),
    (client) =>
      Effect.sync(() => {
        status = "over"
        client.disconnect()
      })
  )
  // Without a listener ioredis prints them all; each reason is told once in an outage.
  client.on("error", (error: unknown) => {
    const isNew = reasonOf(error) !== reasonOf(lastError)
    lastError = RedisClient.withoutCommand(error)
    if (isNew && hasStarted()) runFork(Effect.logWarning("Redis can't be reached", lastError))
  })
  client.on("close", () => {
    if (status !== "up") return
    status = "down"
    runFork(Effect.logWarning("The connection to Redis is lost"))
  })
  client.on("ready", () => {
    lastError = undefined
    if (status !== "down") return
    status = "up"
    runFork(Effect.logInfo("The connection to Redis is back"))
  })
  yield* Effect.tryPromise({
    try: async () => {
      await client.connect()
      // Where there is no such database, ioredis says so in an event, and goes on with the first one.
      if (client instanceof ioredis.Redis && client.options.db) await client.call("SELECT", `${client.options.db}`)
      await client.call("UNLINK", key)
    },
    catch: (error) => lastError ?? error
  }).pipe(
    Effect.timeoutOrElse({
      duration: timeLimit,
      orElse: () => Effect.fail(lastError ?? new Error(`no answer within ${Duration.format(timeLimit)}`))
    }),
    Effect.mapError((error) => new SessionConfigError({ mistakes: [explain(connection, error)] }))
  )
  status = "up"
  return client
})

type Module = Pick<typeof IoRedisModule, "Cluster" | "Redis">

const makeClient = (
  { Cluster, Redis }: Module,
  connection: Connection,
  timeLimit: Duration.Duration,
  hasStarted: () => boolean
) => {
  const { cluster, db, host, password, port, sentinelName, sentinelPassword, sentinels, tls, url, username } =
    connection
  // What Node.js takes for a timer; "never" is left to ioredis.
  const limit = Duration.isFinite(timeLimit) ? Math.min(Duration.toMillis(timeLimit), 2 ** 31 - 1) : undefined
  // Of several addresses, some that do not answer leave time for the others.
  const limitOfEach = limit && Math.ceil(limit / (1 + Math.min(3, (cluster ?? sentinels ?? []).length)))
  const retry = (times: number) => hasStarted() ? Math.min(1000, 50 * 2 ** times) : null
  const options = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: Redacted.value(password) }),
    ...(db !== undefined && { db }),
    ...(tls && { tls: {} }),
    lazyConnect: true,
    ...(limit !== undefined && {
      connectTimeout: (sentinels && limitOfEach) ?? limit,
      // A connection that has fallen silent gives way to a new one: nobody may ever close it.
      socketTimeout: limit
    }),
    // While there is no server, a command fails at once: the client is told, and nothing is written behind its back.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: retry,
    // A master that has become a replica: the address may lead to the new one by now.
    reconnectOnError: reconnectAtTimes()
  }
  if (cluster !== undefined) {
    const { enableOfflineQueue, lazyConnect, retryStrategy: _, ...redisOptions } = options
    return new Cluster(cluster.map(parseAddress), {
      lazyConnect,
      enableOfflineQueue,
      ...(limitOfEach !== undefined && { slotsRefreshTimeout: limitOfEach }),
      clusterRetryStrategy: retry,
      // Without it, commands that were on their way when a connection broke would be sent again, and done twice.
      clusterNodeRetryStrategy: (times: number) => times <= 3 ? retry(times) : null,
      // Names are for the connections to resolve: one that is wrong leaves the others, and certificates are for names.
      dnsLookup: (name, resolved) => resolved(null, name),
      redisOptions
    })
  }
  if (sentinels !== undefined) {
    return new Redis({
      ...options,
      sentinels: sentinels.map(parseAddress),
      name: sentinelName ?? "mymaster",
      ...(sentinelPassword !== undefined && { sentinelPassword: Redacted.value(sentinelPassword) }),
      ...(tls && { enableTLSForSentinelMode: true, sentinelTLS: {} }),
      ...(limitOfEach !== undefined && { sentinelCommandTimeout: limitOfEach }),
      sentinelRetryStrategy: retry
    })
  }
  if (url === undefined) return new Redis({ ...options, host: host ?? "localhost", port: port ?? 6379 })
  return new Redis(url.replace(/^unix:\/\//, ""), options)
}

/** Where it still is the replica, those who only read must not lose the connection again and again. */
const reconnectAtTimes = () => {
  let last = -Infinity
  let pause = 0
  return (error: Error): boolean => {
    const since = performance.now() - last
    if (!error.message.includes("READONLY") || since < pause) return false
    last = performance.now()
    pause = since > 120_000 ? 5000 : Math.min(2 * pause, 60_000)
    return true
  }
}

const parseAddress = (address: string): { readonly host: string; readonly port: number } => {
  const colon = address.lastIndexOf(":")
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) }
}

/** Which setting to look at when the first connection fails. */
const explain = (connection: Connection, error: unknown): ConfigMistake => {
  const reason = reasonOf(error)
  const at = (["host", "port", "cluster", "sentinels"] as const).find((way) => connection[way] !== undefined) ?? "url"
  const own = (setting: "password" | "db") => connection[setting] === undefined && connection.url ? "url" : setting
  const hints: ReadonlyArray<readonly [pattern: RegExp, setting: keyof Connection, write: string]> = [
    [/sentinels.*(NOAUTH|WRONGPASS)/, "sentinelPassword", "The Sentinels ask for another password"],
    [/NOAUTH/, "password", "Redis asks for a password"],
    [
      /WRONGPASS|invalid username-password|without any password/,
      own("password"),
      "Redis does not accept this user name and password"
    ],
    [/DB index/, own("db"), "Redis has no database of this number (there are 16, unless configured)"],
    [/No such master/, "sentinelName", "The Sentinels watch no master of this name"],
    [/MOVED/, "cluster", "The server is a node of a Cluster: write its address here, and nowhere else"],
    [
      /cluster support disabled/,
      "cluster",
      "The server is not part of a Cluster: write store.url or store.host instead"
    ],
    [/READONLY/, at, "The server is a replica, which takes no changes: write the address of its master"],
    [/^[A-Z]+ /, at, `Redis refuses: ${reason}`]
  ]
  const [, setting, write] = hints.find(([pattern]) => pattern.test(reason)) ??
    [undefined, at, `No Redis answers there: ${reason}`]
  return Setting.mistake(["store", setting], connection[setting], write)
}

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  // Of a Cluster, what its last node said.
  if ("lastNodeError" in error && error.lastNodeError !== undefined) return reasonOf(error.lastNodeError)
  return error.message
}
