/**
 * Sessions in Redis or Valkey, for any number of servers.
 *
 * **Details**
 *
 * A session is one Redis hash: a field for each key of the session, with its value as JSON, and one internal field for
 * the times. Its key is the prefix and the hash of the session's id. These are the commands, each of them one round
 * trip:
 *
 * | operation  | commands |
 * | ---------- | -------- |
 * | load       | `HGETALL` |
 * | create     | `EVALSHA`: stores the hash, unless the key exists |
 * | update     | `EVALSHA`: sets, removes and adds to fields, if the session exists and its fields are as the change expects; if they are not, the answer is the whole hash |
 * | touch      | `EVALSHA`: moves the times forward, if the session exists |
 * | regenerate | `EVALSHA` on both keys: moves the hash to the new one, and puts the mark of a superseded session in its place; if another request has changed the session meanwhile, the answer is the whole hash |
 * | destroy    | `EVALSHA`: removes the hash; another one for the session that followed, if it is the mark of a superseded one |
 * | login of an owner | `EVALSHA` before the session is written: adds it to the sorted set of its owner |
 * | list of an owner  | `ZREVRANGEBYSCORE`, and for each session in it an `HMGET` of nothing but what the list shows, all sent together |
 * | end of an owner's sessions | `EVALSHA` for each: puts a mark in its place, also if it is not there yet; and one `ZREM` |
 * | start      | `HGETALL`, `EVAL` and `EVALSHA` on keys that are never there, to see whether Redis allows all of this |
 *
 * The sessions of an owner are a sorted set under the prefix, `owner:` and the hash of the owner's id. Each member
 * takes about 80 bytes, or 180 if there are more than 128. The set expires an hour after the last of its sessions, to
 * allow for differences between your servers' clocks. Adding a member removes up to ten expired ones. An owner's key
 * and the session keys may be on different nodes of a Cluster, since no script uses both.
 *
 * An update of a session that no longer exists needs an `HGETALL` to see whether it was regenerated, and another one
 * for its successor.
 *
 * If Redis does not have a script cached, it is sent once with `EVAL`.
 *
 * In a Cluster, which is detected at startup, the two keys of a regeneration can be on different nodes. It then takes
 * an `EVALSHA` to create the new session, another one to replace the old session with the mark, and a third one to
 * remove the new session if another request has changed the old one in the meantime. The same applies to a prefix with
 * a hash tag, such as `{sessions}:`, even on a single server. A proxy that distributes keys over several servers must
 * reject a script whose keys are on two of them, as a Cluster does.
 *
 * This Redis user has the minimum permissions for the prefix `sessions:`, including the commands that the clients send
 * on their own:
 *
 * ```text
 * ACL SETUSER sessions on >password ~sessions:* +hgetall +evalsha +eval +zrevrangebyscore +exists +hset +pexpire +pttl +hget
 *   +hmget +hkeys +hexists +hdel +type +zadd +zcard +zrange +zrem +del +unlink +rename +info +ping +select +wait
 *   +cluster|slots +cluster|info
 * ```
 *
 * If a permission is missing when the Layer is built, the server does not start, and the `SessionConfigError` names it.
 *
 * `PEXPIRE`, inside the scripts, only cleans up, a minute after the session has expired. Whether it has expired is
 * decided by its times and your server's clock. Redis counts the remaining time, so its clock may be wrong. The clocks
 * of your servers should agree: a server whose clock is ten minutes ahead treats the other servers' sessions as expired
 * ten minutes early. No command uses a key pattern.
 *
 * **Gotchas**
 *
 * Redis confirms a change before its replicas have it, and before it is on disk. If a replica that lags behind replaces
 * the master, or if Redis restarts from a snapshot, the last changes are lost: a session may lack recent changes, a new
 * session may be gone, and a session that was ended, or whose id a login had replaced, may be back. `appendfsync
 * always` prevents losses at a restart, and `appendfsync everysec` limits them to a second. With `min-replicas-to-write
 * 1` and a `min-replicas-max-lag` of a few seconds, a master rejects changes (503) when its replicas lag further
 * behind.
 *
 * Set the `maxmemory-policy` of Redis to `noeviction`. With any other policy, a full Redis evicts sessions, which logs
 * their users out. It may also evict the set of an owner whose sessions stay, because a set is read and written less
 * often: those sessions are then in no list, and `Sessions.destroyAll` does not end them, until they have been in use
 * for as long as `age`.
 *
 * With `waitForReplicas`, a logout, a regeneration or the end of an owner's session succeeds only when that many
 * replicas have confirmed it (`WAIT`). If they do not within `waitAtMost`, the request fails with a
 * `SessionStoreError`, status 503. The master has carried out the change anyway: the old session is gone there, and a
 * client that was logging in gets no new one and logs in again. A repeated logout finds no session, so it succeeds
 * without a confirmation: set `waitAtMost` to the time that your replicas may need, but less than `timeLimit`. Each
 * wait costs one more command, on a second connection, because `WAIT` blocks all later commands of its connection. On a
 * Cluster, each login of an owner waits too: the sorted set is on another node than the session, and a session missing
 * from it can't be ended with the others. This reduces the risk but does not eliminate it: a failover may choose a
 * replica other than the one that confirmed.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { Redis } from "effect/persistence/Redis"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TimeLimit from "./internal/concurrency/timeLimit.ts"
import * as Setting from "./internal/config/settings.ts"
import * as RedisBackend from "./internal/drivers/redis/backend.ts"
import * as RedisClient from "./internal/drivers/redis/client.ts"
import * as IoRedis from "./internal/drivers/redis/ioredis.ts"
import * as Replica from "./internal/drivers/redis/replica.ts"
import * as Replicas from "./internal/drivers/redis/replicas.ts"
import * as TryOut from "./internal/drivers/redis/tryOut.ts"
import * as Inert from "./internal/store/inert.ts"
import { type DurationInput, SessionConfig } from "./SessionConfig.ts"
import { type ConfigMistake, SessionConfigError } from "./SessionError.ts"
import type { SessionIndex, SessionOwners } from "./SessionOwners.ts"
import * as SessionStore from "./SessionStore.ts"

/**
 * The settings of the Redis store. All are optional.
 *
 * - `prefix`: the prefix of every key. Default `"sessions:"`.
 * - The address of Redis, in one of four ways: `url`, default `"redis://localhost:6379/0"`, with `rediss://` for TLS
 *   and `unix://` for a socket; or `host` (`"localhost"`) and `port` (6379); or `cluster`, the addresses of some nodes
 *   of a Cluster as `"host:port"`; or `sentinels`, the addresses of the Sentinels as `"host:port"`, with
 *   `sentinelName`, the name of the master (`"mymaster"`), and `sentinelPassword`. Write an IPv6 address with a port in
 *   brackets: `"[::1]:6379"`.
 * - `username`, `password` and `db` (0), unless they are in the URL.
 * - `tls` (false): TLS for all connections, which a `rediss://` URL also turns on. Either `true`, or an object with the
 *   optional settings `ca`, `cert` and `key` in PEM format, and `serverName`. The client sends the host name of the
 *   connection to the server (SNI), and the certificate must be for that name. Set `serverName` to use a different
 *   name, for example if a Cluster uses IP addresses.
 *
 * - `waitForReplicas` (0): how many replicas must confirm that a session was ended or got a new id, so that a failover
 *   does not bring it back; and `waitAtMost` (1 second), how long that may take.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly prefix?: string
  readonly url?: string
  readonly host?: string
  readonly port?: number
  readonly username?: string
  readonly password?: string | Redacted.Redacted<string>
  readonly db?: number
  readonly tls?: boolean | TlsOptions
  readonly cluster?: ReadonlyArray<string>
  readonly sentinels?: ReadonlyArray<string>
  readonly sentinelName?: string
  readonly sentinelPassword?: string | Redacted.Redacted<string>
  readonly waitForReplicas?: number
  readonly waitAtMost?: DurationInput
}

/**
 * The settings of a store with your own client, see {@link Options}. All are optional.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientOptions = Pick<Options, "prefix" | "waitForReplicas" | "waitAtMost">

/**
 * TLS settings, see {@link Options}. All are optional.
 *
 * @since 0.1.0
 * @category models
 */
export interface TlsOptions {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string | Redacted.Redacted<string>
  readonly serverName?: string
}

const fieldsOfAll = {
  waitForReplicas: Setting.integer({ minimum: 0, maximum: 100 }, 0),
  waitAtMost: Setting.duration("1 second"),
  prefix: Setting.textOr(
    /^[^\0]{0,256}$/,
    "Write a string of at most 256 characters, such as \"sessions:\"",
    "sessions:"
  )
}

const OptionsOfClient = Schema.Struct(fieldsOfAll)

const address = /^[^\s,/@]+:\d{1,5}$/
const howToWriteAddresses =
  "Write addresses such as \"localhost:6379\" or \"[::1]:6379\" (in an environment variable, separated by commas)"

const howToWriteUrl = "Write a URL such as \"redis://localhost:6379/0\", with special characters of a user name or a " +
  "password percent-encoded (\"/\" is \"%2F\")"

const fields = {
  ...fieldsOfAll,
  url: Schema.optionalKey(Setting.text(/^(rediss?:\/\/|unix:\/\/\/)\S+$/, howToWriteUrl)),
  host: Schema.optionalKey(Setting.text(/^[^\s/@]+$/, "Write a host name or an address")),
  port: Schema.optionalKey(Setting.anyInteger({ minimum: 1, maximum: 65_535 })),
  username: Schema.optionalKey(Setting.text(/^\S+$/, "Write a user name")),
  password: Schema.optionalKey(Setting.password),
  db: Schema.optionalKey(Setting.anyInteger({ minimum: 0, maximum: 1_000_000 })),
  cluster: Schema.optionalKey(Setting.list(address, howToWriteAddresses)),
  sentinels: Schema.optionalKey(Setting.list(address, howToWriteAddresses)),
  sentinelName: Schema.optionalKey(Setting.text(/^\S+$/, "Write the name of the master that the Sentinels watch")),
  sentinelPassword: Schema.optionalKey(Setting.password)
}

const certificates = Schema.optionalKey(
  Setting.text(
    /^\s*-----BEGIN /,
    "Write certificates in PEM format, from \"-----BEGIN CERTIFICATE-----\" on"
  )
)

const Options = Schema.Struct({ ...fields, tls: Setting.flag(false) })

const OptionsWithTls = Schema.Struct({
  ...fields,
  tls: Schema.Struct({
    ca: certificates,
    cert: certificates,
    key: Schema.optionalKey(Setting.hidden("Write the key in PEM format, from \"-----BEGIN PRIVATE KEY-----\" on")),
    serverName: Schema.optionalKey(Setting.text(/^[^\s/@:]+$/, "Write the name that the server's certificate is for"))
  })
})

/**
 * Makes a store with its own client, which connects when the store is made and is closed with the scope. Needs ioredis.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: Options
) => Effect.Effect<SessionStore.WithIndex, SessionConfigError, SessionConfig | Scope.Scope> = Effect.fnUntraced(
  function*(options = {}) {
    const { enabled, timeLimit } = yield* SessionConfig
    const { prefix, waitAtMost, waitForReplicas, ...connection } = yield* decode(options)
    if (!enabled) return Inert.make("redis")
    const waits = waitForReplicas > 0
    const connect = (isQuiet: boolean) => IoRedis.connect(connection, timeLimit, { prefix, waits, isQuiet })
    const { client, ofTwoKeys } = yield* connect(false)
    const limited = yield* RedisClient.make(client, timeLimit)
    const wait = { waitAtMost, waitForReplicas }
    const confirm = waits
      ? yield* Replicas.make((yield* connect(true)).client, timeLimit, wait, () => {})
      : undefined
    const confirmation = confirm && { confirm, waitForReplicas }
    return yield* SessionStore.fromBackend(RedisBackend.make(limited, { prefix, ofTwoKeys, confirmation }))
  }
)

const decode = Effect.fnUntraced(function*(options: Options) {
  const schema: Schema.Codec<Decoded, unknown> = isGroup(options.tls) ? OptionsWithTls : Options
  const decoded = yield* Effect.fromResult(Setting.decode(schema, options, ["store"]))
  const mistakes = contradictions(decoded)
  if (mistakes.length > 0) return yield* new SessionConfigError({ mistakes })
  return { ...absent, ...decoded }
})

type Decoded = typeof Options.Type | typeof OptionsWithTls.Type

const isGroup = (written: unknown) => typeof written === "object" && written !== null

type Name = keyof Options

/** The ways to write the address of Redis. Only one can be used. */
const ways: ReadonlyArray<ReadonlyArray<Name>> = [["url"], ["host", "port"], ["cluster"], ["sentinels"]]

/** Settings that are wrong only in combination: no setting is silently ignored because of another one. */
const contradictions = (options: Decoded): ReadonlyArray<ConfigMistake> => {
  const isWritten = (name: Name) => options[name] !== undefined
  const inUrl = options.url === undefined ? [] : partsOf(options.url)
  if (inUrl === undefined) return [Setting.mistake(["store", "url"], options.url, howToWriteUrl)]
  const [[way] = [], ...others] = ways.map((names) => names.filter(isWritten)).filter(({ length }) => length > 0)
  const pairs: ReadonlyArray<readonly [Name, Name]> = [
    ...others.flat().map((name) => [way!, name] as const),
    ...inUrl.map((part) => ["url", part] as const),
    ...options.host !== undefined && IoRedis.hasPort(options.host) ? [["host", "port"] as const] : [],
    // A Cluster has a single database.
    ["cluster", "db"]
  ]
  const { tls } = options
  if (typeof tls === "object") {
    const { cert, key } = tls
    if ((cert === undefined) !== (key === undefined)) {
      const absent = cert === undefined ? "cert" : "key"
      return [
        Setting.mistake(["store", "tls", absent], undefined, "A certificate and its key need each other: write both")
      ]
    }
    const mistake = IoRedis.mistakeIn(tls)
    if (mistake !== undefined) return [Setting.mistake(["store", "tls"], {}, `TLS can't use it: ${mistake}`)]
  }
  const forSentinels = (["sentinelName", "sentinelPassword"] as const).filter(isWritten)
  return [
    ...pairs.filter((pair) => pair.every(isWritten)).map(([one, other]) =>
      Setting.mistake(["store", other], options[other], `It contradicts store.${one}: write only one of them`)
    ),
    ...isWritten("sentinels") ?
      [] :
      forSentinels.map((name) => Setting.mistake(["store", name], options[name], "It is for store.sentinels only"))
  ]
}

/** The settings in a URL, or `undefined` if a client can't read it. */
const partsOf = (url: string): ReadonlyArray<Name> | undefined => {
  if (url.startsWith("unix:")) return []
  try {
    const { password, pathname, username } = new URL(url)
    decodeURIComponent(username + password)
    if (!/^\/?\d*$/.test(pathname)) return undefined
    return [
      ...username || password ? ["username", "password"] as const : [],
      ...pathname.length > 1 ? ["db"] as const : []
    ]
  } catch {
    return undefined
  }
}

const absent = {
  url: undefined,
  host: undefined,
  port: undefined,
  username: undefined,
  password: undefined,
  db: undefined,
  cluster: undefined,
  sentinels: undefined,
  sentinelName: undefined,
  sentinelPassword: undefined
}

/**
 * Sessions in Redis, through ioredis, which must be installed. If Redis can't be reached, building the Layer fails with
 * a `SessionConfigError`. Later, each request that needs its session fails with a `SessionStoreError` until Redis is
 * back.
 *
 * **Example**
 *
 * ```ts
 * import { Layer } from "effect"
 * import { RedisLayer, SessionConfig } from "effect-session"
 *
 * const Sessions = RedisLayer.layer({ url: "redis://localhost:6379", prefix: "sess:" }).pipe(
 *   Layer.provideMerge(SessionConfig.layerConfig())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options
): Layer.Layer<SessionStore.SessionStore | SessionOwners | SessionIndex, SessionConfigError, SessionConfig> =>
  SessionStore.layer(make(options))

/**
 * Like {@link layer}, with each setting from a `Config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<
  SessionStore.SessionStore | SessionOwners | SessionIndex,
  SessionConfigError | Config.ConfigError,
  SessionConfig
> => SessionStore.layer(Effect.flatMap(Config.unwrap(options), make))

/**
 * Sessions in Redis, through the `Redis` service of `effect/persistence`, which for example `NodeRedis` of
 * `@effect/platform-node` provides. The time limit costs one fiber per operation; {@link layerClient} does not need it.
 *
 * **Gotchas**
 *
 * The client decides what happens to commands during an outage: see {@link layerClient}. The client of `NodeRedis`
 * reconnects when the master has become a replica, as described there; any other client must do so itself, and a
 * warning in the log says so. The client is tested when the Layer is built: if Redis does not allow what the store
 * needs, the Layer fails with a `SessionConfigError`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerRedis = (
  options: ClientOptions = {}
): Layer.Layer<SessionStore.SessionStore | SessionOwners | SessionIndex, SessionConfigError, SessionConfig | Redis> =>
  SessionStore.layer(
    Effect.gen(function*() {
      const redis = yield* Redis
      const client = yield* Replica.clientOfService
      const onReadOnly = yield* Replica.make(client && Replica.wayToConnectAgain(client))
      return yield* makeWith(RedisBackend.fromService(redis, onReadOnly), options, {
        layer: "layerRedis",
        confirmBy: (wait) => Effect.succeed(Replicas.fromService(redis, wait, onReadOnly))
      })
    })
  )

/**
 * Sessions in Redis, through a client that you make, connect and close: node-redis (a single server) or ioredis
 * (single, Sentinel or Cluster). Commands of node-redis cost less than half of those of ioredis. The client is tested
 * when the Layer is built: if it is not connected, or if Redis does not allow what the store needs, the Layer fails
 * with a `SessionConfigError`.
 *
 * **Example** (node-redis)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { RedisLayer } from "effect-session"
 * import { createClient } from "redis"
 *
 * const Client = Effect.gen(function*() {
 *   const client = yield* Effect.acquireRelease(
 *     Effect.sync(() =>
 *       createClient({
 *         disableOfflineQueue: true,
 *         socket: { socketTimeout: 5000, reconnectStrategy: (retries) => retries && Math.min(2 ** retries * 50, 1000) },
 *         pingInterval: 2000,
 *         commandOptions: { timeout: 0 }
 *       }).on("error", console.error)
 *     ),
 *     (client) => Effect.sync(() => client.isOpen && client.destroy())
 *   )
 *   yield* Effect.promise(() => client.connect())
 *   return client
 * })
 *
 * const Sessions = Layer.unwrap(Effect.map(Client, (client) => RedisLayer.layerClient(client)))
 * ```
 *
 * **Gotchas**
 *
 * The client decides what happens to commands during an outage.
 *
 * By default, ioredis repeats commands that were in flight when a connection broke, so an increment can be applied
 * twice, and it waits forever on a connection that has gone silent. Set `autoResendUnfulfilledCommands: false`,
 * `maxRetriesPerRequest: 0`, `enableOfflineQueue: false` and a `socketTimeout`; a Cluster also needs a
 * `clusterNodeRetryStrategy`. {@link layer} does this.
 *
 * An ioredis Cluster must read from the masters, which is its default: any other `scaleReads` is rejected.
 *
 * If one address always leads to the master, as with hosted services, a master that becomes a replica may keep its
 * connections and reject all changes (`READONLY`). The store then logs a warning and makes the client reconnect:
 * ioredis with `disconnect(true)`, node-redis with a `QUIT`, after which its `reconnectStrategy` applies. A client that
 * never reconnects (`retryStrategy: null`, `reconnectStrategy: false`) is left alone, and you must replace it. With
 * ioredis, `reconnectOnError: (error) => error.message.includes("READONLY")` does the same for the application's other
 * commands.
 *
 * With TLS, neither client sends the host name to the server (SNI), which routers and some hosted services require. Set
 * `tls: { servername: "redis.example.com" }` for ioredis, and `socket: { tls: true, servername: "redis.example.com" }`
 * for node-redis. {@link layer} does this.
 *
 * By default, node-redis queues commands while it is disconnected and sends them later, after their requests have
 * already failed with 503; `disableOfflineQueue: true` prevents that. It also waits forever on a connection that has
 * gone silent, unless `socket` has both a `socketTimeout` and a `reconnectStrategy`. Since it treats an idle connection
 * as silent, it also needs a `pingInterval`. From version 6 on it creates a timer for each command; `commandOptions: {
 * timeout: 0 }` is faster, and the store has its own time limit. It must return strings, which is its default.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = (
  client: RedisClient.IoRedis | RedisClient.NodeRedis,
  options: ClientOptions = {}
): Layer.Layer<SessionStore.SessionStore | SessionOwners | SessionIndex, SessionConfigError, SessionConfig> =>
  SessionStore.layer(
    Effect.gen(function*() {
      const { timeLimit } = yield* SessionConfig
      if (Replica.readsFromReplicas(client)) return yield* new SessionConfigError({ mistakes: [readsFromReplicas] })
      const onReadOnly = yield* Replica.make(Replica.wayToConnectAgain(client))
      const limited = yield* RedisClient.make(client, timeLimit, onReadOnly)
      const scope = yield* Effect.scope
      return yield* Effect.scoped(Effect.flatMap(
        RedisClient.lastErrorOf(client),
        (lastError) =>
          makeWith(limited, options, {
            layer: "layerClient",
            lastError,
            confirmBy: (wait) =>
              Effect.gen(function*() {
                const copy = yield* Replicas.duplicate(client)
                const onReadOnly = yield* Replica.make(Replica.wayToConnectAgain(copy))
                return yield* Replicas.make(copy, timeLimit, wait, onReadOnly)
              }).pipe(Effect.provideService(Scope.Scope, scope))
          })
      ))
    })
  )

const readsFromReplicas: ConfigMistake = {
  setting: "RedisLayer.layerClient",
  found: "a client",
  write: "It reads from replicas (scaleReads), which may not have the latest login or logout yet. " +
    "Use a client with scaleReads: \"master\" for sessions"
}

const makeWith = Effect.fnUntraced(function*(
  client: RedisBackend.Client,
  options: ClientOptions,
  { confirmBy, lastError = () => undefined, layer }: {
    readonly layer: "layerClient" | "layerRedis"
    readonly confirmBy: (wait: Replicas.Wait) => Effect.Effect<RedisBackend.Confirm, unknown>
    readonly lastError?: () => unknown
  }
) {
  const { enabled, timeLimit } = yield* SessionConfig
  const { prefix, ...wait } = yield* Effect.fromResult(Setting.decode(OptionsOfClient, options, ["store"]))
  if (!enabled) return Inert.make("redis")
  const { waitForReplicas } = wait
  const waits = waitForReplicas > 0
  const { confirm, ofTwoKeys } = yield* TryOut.tryOut(client.send, `${prefix}none`, waits).pipe(
    // A client that is still connecting may reject commands until it is ready.
    Effect.retry({ while: RedisClient.isConnecting, schedule: Schedule.spaced("50 millis") }),
    Effect.bindTo("ofTwoKeys"),
    Effect.bind("confirm", () => waits ? confirmBy(wait) : Effect.undefined),
    Effect.timeoutOrElse({
      duration: timeLimit,
      orElse: () => Effect.fail(lastError() ?? TimeLimit.noAnswer(timeLimit))
    }),
    Effect.mapError((error) => {
      const reason = TryOut.isReply(error) ? error : lastError() ?? error
      const { write } = TryOut.explain(reason, { prefix, waits, isTheCallers: true })
      return new SessionConfigError({ mistakes: [{ setting: `RedisLayer.${layer}`, found: "a client", write }] })
    })
  )
  const confirmation = confirm && { confirm, waitForReplicas }
  return yield* SessionStore.fromBackend(RedisBackend.make(client, { prefix, ofTwoKeys, confirmation }))
})
