/**
 * ioredis as the client of the Redis driver: connects when the Layer is built, and reconnects after any outage.
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

/** In certificates from the environment, a line may end with the two characters `\\n`. */
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

/** The options of a connection to a host. Node.js does not send the server name on its own. */
const toTls = (tls: true | Tls, host: string | undefined): NodeTls.ConnectionOptions => {
  const own = tls === true ? {} : tls
  const servername = own.serverName ?? host
  return {
    ...toSecureContext(own),
    // An IP address is not a name, so none is sent.
    ...(servername !== undefined && Net.isIP(servername) === 0 && { servername })
  }
}

// `catch` directly on the import tells bundlers that the package may be missing.
const load = Effect.flatMap(
  Effect.promise(() => import("ioredis").catch(() => undefined)),
  (module) => module === undefined ? Effect.fail(missing()) : Effect.succeed(module)
)

const missing = () =>
  new SessionConfigError({
    mistakes: [Setting.mistake(["store", "type"], "redis", "The Redis driver needs ioredis: run `npm install ioredis`")]
  })

/** A tested client that lives until the scope closes, and whether a script may use two keys there. */
export const connect = Effect.fnUntraced(function*(
  connection: Connection,
  timeLimit: Duration.Duration,
  { isQuiet = false, prefix, waits }: {
    readonly prefix: string
    /** Whether `WAIT` is needed too. */
    readonly waits: boolean
    /** Whether another client already reports outages. */
    readonly isQuiet?: boolean
  }
) {
  const ioredis = yield* load
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  const log = (effect: Effect.Effect<void>) => isQuiet ? undefined : runFork(effect)
  let status: "starting" | "up" | "down" | "over" = "starting"
  const hasStarted = () => status === "up" || status === "down"
  let readySince = Infinity
  // At startup, one attempt is enough, so that a wrong setting is reported immediately. A lost connection is replaced
  // at once, unless it was lost as soon as it was made.
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
  // Without a listener, ioredis prints all errors. Here each reason is logged once per outage.
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
    // If the database does not exist, ioredis reports that in an event, and continues with the first one.
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

/** ioredis prints some warnings itself, bypassing any logger. These checks log them before it does. */
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
  // ioredis uses a callback, and treats an empty answer as a server that has finished loading.
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
  // A valid duration for a timer of Node.js; ioredis handles "never".
  const limit = Duration.isFinite(timeLimit) ? Math.min(Duration.toMillis(timeLimit), 2 ** 31 - 1) : undefined
  // With several addresses, those that do not answer leave time for the others.
  const limitOfEach = limit && Math.ceil(limit / (1 + Math.min(3, (cluster ?? sentinels ?? []).length)))
  const options = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password: Redacted.value(password) }),
    ...(db !== undefined && { db }),
    ...(tls && { tls: toTls(tls, hostOf(connection)) }),
    lazyConnect: true,
    ...(limit !== undefined && {
      connectTimeout: (sentinels && limitOfEach) ?? limit,
      // Replaces a silent connection, which might otherwise never be closed.
      socketTimeout: limit
    }),
    // Without a connection, a command fails at once, so that nothing is written after the client has got an error.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: retry,
    // The master has become a replica: the address may lead to the new master by now.
    reconnectOnError: reconnectAtTimes()
  }
  if (cluster !== undefined) {
    const { enableOfflineQueue, lazyConnect, retryStrategy: _, ...redisOptions } = options
    const client = new Cluster(cluster.map(parseAddress), {
      lazyConnect,
      enableOfflineQueue,
      ...(limitOfEach !== undefined && { slotsRefreshTimeout: limitOfEach }),
      clusterRetryStrategy: retry,
      // Otherwise, commands that were in flight when a connection broke would be repeated, and applied twice.
      clusterNodeRetryStrategy: (times: number) => times <= 3 ? retry(times) : null,
      // Each connection resolves its own name: a wrong name does not affect the others, and certificates are for names.
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

/** If the server stays a replica, reconnecting after each rejected command would keep interrupting reads. */
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

/** Removes the brackets of an IPv6 address, which are required before a port and allowed without one. */
const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, "$1")

/** The host may include the port. */
const parseHost = ({ host = "localhost", port }: Connection): { readonly host: string; readonly port: number } =>
  port === undefined && hasPort(host) ? parseAddress(host) : { host: withoutBrackets(host), port: port ?? 6379 }

/**
 * The single host of all connections. Those of a Cluster, of Sentinels and of their masters are known per connection.
 */
const hostOf = (connection: Connection): string | undefined => {
  const { cluster, sentinels, url } = connection
  if (cluster !== undefined || sentinels !== undefined || url?.startsWith("unix:")) return undefined
  return url === undefined ? parseHost(connection).host : withoutBrackets(new URL(url).hostname)
}

/** ioredis has one set of TLS options for all Sentinels, and another one for all masters. */
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

/** Which setting to report when the first connection fails. */
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
