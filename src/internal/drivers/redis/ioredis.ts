/**
 * ioredis as the client of the Redis driver: connected when the Layer is built, and connected again whatever becomes of the
 * server.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as IoRedisModule from "ioredis"
import * as Net from "node:net"
import * as NodeTls from "node:tls"
import { type ConfigMistake, SessionConfigError } from "../../../SessionError.ts"
import * as Setting from "../../config/settings.ts"
import { withoutValues } from "../../store/withoutValues.ts"
import * as TryOut from "./tryOut.ts"

export interface Connection {
  readonly url: string | undefined
  readonly host: string | undefined
  readonly port: number | undefined
  readonly username: string | undefined
  readonly password: Redacted.Redacted<string> | undefined
  readonly db: number | undefined
  readonly tls: boolean | Tls
  readonly cluster: ReadonlyArray<string> | undefined
  readonly sentinels: ReadonlyArray<string> | undefined
  readonly sentinelName: string | undefined
  readonly sentinelPassword: Redacted.Redacted<string> | undefined
}

export interface Tls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: Redacted.Redacted<string>
  readonly serverName?: string
}

/** Where certificates come from the environment, a line may end with the two characters `\\n`. */
const toPem = (text: string): string => text.replaceAll("\\n", "\n")

const toSecureContext = ({ ca, cert, key }: Tls) => ({
  ...(ca !== undefined && { ca: toPem(ca) }),
  ...(cert !== undefined && { cert: toPem(cert) }),
  ...(key !== undefined && { key: toPem(Redacted.value(key)) })
})

/** Why these settings can't be used, if they can't. */
export const mistakeIn = (tls: Tls): string | undefined => {
  try {
    NodeTls.createSecureContext(toSecureContext(tls))
    return undefined
  } catch (error) {
    return TryOut.reasonOf(error)
  }
}

/** The options of a connection to a host. Node.js tells a server by itself neither the name nor that it is meant. */
const toTls = (tls: true | Tls, host: string | undefined): NodeTls.ConnectionOptions => {
  const own = tls === true ? {} : tls
  const servername = own.serverName ?? host
  return {
    ...toSecureContext(own),
    // An address is no name: there is nothing to tell.
    ...(servername !== undefined && Net.isIP(servername) === 0 && { servername })
  }
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

/** A client for as long as the scope, which has been tried out, and whether a script may have two keys there. */
export const connect = Effect.fnUntraced(function*(
  connection: Connection,
  timeLimit: Duration.Duration,
  { isQuiet = false, prefix, waits }: {
    readonly prefix: string
    /** Whether `WAIT` is needed as well. */
    readonly waits: boolean
    /** Where another client tells of outages already. */
    readonly isQuiet?: boolean
  }
) {
  const ioredis = yield* load
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  const log = (effect: Effect.Effect<void>) => isQuiet ? undefined : runFork(effect)
  let status: "starting" | "up" | "down" | "over" = "starting"
  const hasStarted = () => status === "up" || status === "down"
  let readySince = Infinity
  // While it starts, one try is enough: a wrong setting is told at once. A connection that is lost is replaced at once, unless
  // it was lost as soon as it was there.
  const retry = (times: number): number | null => {
    if (!hasStarted()) return null
    return times === 1 && performance.now() - readySince > 1000 ? 0 : Math.min(1000, 50 * 2 ** times)
  }
  let lastError: unknown
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => makeClient(ioredis, connection, timeLimit, retry)),
    (client) =>
      Effect.sync(() => {
        status = "over"
        client.disconnect()
      })
  )
  const warn = (message: string) => log(Effect.logWarning(message))
  if (client instanceof ioredis.Redis) listen(client, warn)
  else client.on("+node", (node: IoRedisModule.Redis) => listen(node, warn))
  // Without a listener ioredis prints them all; each reason is told once in an outage.
  client.on("error", (error: unknown) => {
    const isNew = TryOut.reasonOf(error) !== TryOut.reasonOf(lastError)
    lastError = withoutValues(error)
    if (isNew && hasStarted()) log(Effect.logWarning("Redis can't be reached", lastError))
  })
  client.on("close", () => {
    if (status !== "up") return
    status = "down"
    log(Effect.logWarning("The connection to Redis was lost"))
  })
  client.on("ready", () => {
    readySince = performance.now()
    lastError = undefined
    if (status !== "down") return
    status = "up"
    log(Effect.logInfo("The connection to Redis is back"))
  })
  const attempt = <A>(promise: () => Promise<A>) => Effect.tryPromise({ try: promise, catch: (error) => error })
  const ofTwoKeys = yield* attempt(async () => {
    await client.connect()
    // Where there is no such database, ioredis says so in an event, and goes on with the first one.
    if (client instanceof ioredis.Redis && client.options.db) await client.call("SELECT", `${client.options.db}`)
  }).pipe(
    Effect.andThen(TryOut.tryOut((...command) => attempt(() => client.call(...command)), `${prefix}none`, waits)),
    Effect.mapError((error) => lastError ?? error),
    Effect.timeoutOrElse({
      duration: timeLimit,
      orElse: () => Effect.fail(lastError ?? new Error(`no answer within ${Duration.format(timeLimit)}`))
    }),
    Effect.mapError((error) => new SessionConfigError({ mistakes: [explain(connection, error, { prefix, waits })] }))
  )
  status = "up"
  return { client, ofTwoKeys }
})

/** ioredis prints some warnings itself, past any logger: these are ours, before it sees the reason. */
const listen = (client: IoRedisModule.Redis, warn: (message: string) => void): void => {
  const inner = client as unknown as Record<
    "auth" | "hello" | "info",
    (...parameters: Array<unknown>) => Promise<unknown>
  >
  const { auth, hello, info } = inner
  const told = new Set<string>()
  const tellOnce = (message: string) => {
    if (!told.has(message)) warn(message)
    told.add(message)
  }
  const unlessNeedless = (answer: Promise<unknown>) =>
    answer.catch((error: Error) => {
      if (!/no password is set|without any password configured/.test(error.message)) throw error
      tellOnce("A password is configured, but Redis does not require one: is it the right server?")
    })
  inner.auth = (...parameters) => unlessNeedless(auth.apply(client, parameters))
  inner.hello = (...parameters) => unlessNeedless(hello.apply(client, parameters))
  // ioredis asks with a callback, and takes an empty answer for a server that has loaded all.
  inner.info = (callback, ...others) =>
    typeof callback !== "function" ?
      info.call(client, callback, ...others) :
      info.call(client, (error: Error | null, text: unknown) => {
        const isRefused = error !== null && error !== undefined && error.message.includes("NOPERM")
        if (isRefused) tellOnce(mayNotAsk)
        if (isRefused) callback(null, "")
        else callback(error, text)
      })
}

const mayNotAsk =
  "Redis does not let this user run INFO, so it is unknown whether it is still loading its data from disk"

type Module = Pick<typeof IoRedisModule, "Cluster" | "Redis" | "SentinelConnector">

const makeClient = (
  { Cluster, Redis, SentinelConnector }: Module,
  connection: Connection,
  timeLimit: Duration.Duration,
  retry: (times: number) => number | null
) => {
  const { cluster, db, password, sentinelName, sentinelPassword, sentinels, url, username } = connection
  const tls = connection.tls === false && url?.startsWith("rediss:") ? true : connection.tls
  // What Node.js takes for a timer; "never" is left to ioredis.
  const limit = Duration.isFinite(timeLimit) ? Math.min(Duration.toMillis(timeLimit), 2 ** 31 - 1) : undefined
  // Of several addresses, some that do not answer leave time for the others.
  const limitOfEach = limit && Math.ceil(limit / (1 + Math.min(3, (cluster ?? sentinels ?? []).length)))
  const options = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: Redacted.value(password) }),
    ...(db !== undefined && { db }),
    ...(tls && { tls: toTls(tls, hostOf(connection)) }),
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
    const client = new Cluster(cluster.map(parseAddress), {
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
    // Before it connects.
    if (tls) client.on("+node", (node: IoRedisModule.Redis) => node.options.tls = toTls(tls, node.options.host))
    return client
  }
  if (sentinels !== undefined) {
    return new Redis({
      ...options,
      sentinels: sentinels.map(parseAddress),
      name: sentinelName ?? "mymaster",
      ...(sentinelPassword !== undefined && { sentinelPassword: Redacted.value(sentinelPassword) }),
      ...(tls && {
        enableTLSForSentinelMode: true,
        sentinelTLS: toTls(tls, undefined),
        Connector: connectorByName(SentinelConnector, (host) => toTls(tls, host)) as ConnectorConstructor
      }),
      ...(limitOfEach !== undefined && { sentinelCommandTimeout: limitOfEach }),
      sentinelRetryStrategy: retry
    })
  }
  if (url === undefined) return new Redis({ ...options, ...parseHost(connection) })
  return new Redis(url.replace(/^unix:\/\//, ""), options)
}

/** If the server stays a replica, connecting again at each refusal would keep interrupting requests that only read. */
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
  return { host: withoutBrackets(address.slice(0, colon)), port: Number(address.slice(colon + 1)) }
}

/** An address of IPv6 is in brackets where a port follows, and for those who always write it so. */
const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, "$1")

/** The host may have the port with it. */
const parseHost = ({ host = "localhost", port }: Connection): { readonly host: string; readonly port: number } =>
  port === undefined && hasPort(host) ? parseAddress(host) : { host: withoutBrackets(host), port: port ?? 6379 }

/** The one host that connections go to; those of a Cluster, of Sentinels and of their masters are known one by one. */
const hostOf = (connection: Connection): string | undefined => {
  const { cluster, sentinels, url } = connection
  if (cluster !== undefined || sentinels !== undefined || url?.startsWith("unix:")) return undefined
  return url === undefined ? parseHost(connection).host : withoutBrackets(new URL(url).hostname)
}

/** ioredis has one set of options for TLS to all Sentinels, and another one for TLS to all masters. */
const connectorByName = (
  SentinelConnector: typeof IoRedisModule.SentinelConnector,
  tlsOf: (host: string) => NodeTls.ConnectionOptions
) =>
  class extends SentinelConnector {
    constructor(options: ConstructorParameters<typeof SentinelConnector>[0]) {
      super(options)
      const inner = this as unknown as {
        connectToSentinel: (endpoint: Endpoint, options?: object) => unknown
        resolveMaster: (client: unknown) => Promise<Endpoint | null>
      }
      const connectToSentinel = inner.connectToSentinel.bind(this)
      const resolveMaster = inner.resolveMaster.bind(this)
      inner.connectToSentinel = (endpoint, options) =>
        connectToSentinel(endpoint, { ...options, tls: tlsOf(endpoint.host) })
      inner.resolveMaster = async (client) => {
        const master = await resolveMaster(client)
        return master && { ...tlsOf(master.host), ...master }
      }
    }
  }

type ConnectorConstructor = NonNullable<IoRedisModule.RedisOptions["Connector"]>

interface Endpoint {
  readonly host: string
}

export const hasPort = (host: string): boolean => /^(?:\[.*\]|[^:]*):\d{1,5}$/.test(host)

/** Which setting to look at when the first connection fails. */
const explain = (
  connection: Connection,
  error: unknown,
  options: { readonly prefix: string; readonly waits: boolean }
): ConfigMistake => {
  const { about, write } = TryOut.explain(error, options)
  const at = (["host", "port", "cluster", "sentinels"] as const).find((way) => connection[way] !== undefined) ?? "url"
  const own = (setting: "username" | "password" | "db") =>
    connection[setting] === undefined && connection.url ? "url" : setting
  const settings: Record<typeof about, keyof Connection> = {
    address: at,
    user: own("username"),
    noPassword: "password",
    password: own("password"),
    db: own("db"),
    cluster: "cluster",
    sentinelName: "sentinelName",
    sentinelPassword: "sentinelPassword"
  }
  const setting = settings[about]
  return Setting.mistake(["store", setting], connection[setting], write)
}
