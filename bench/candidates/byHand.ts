/**
 * The floor for effect-session: what you would write by hand in Effect if you needed sessions in Redis for just this
 * server. The variant is the client, and whether what changes a session loads it first.
 *
 * The cookie holds a random id with its HMAC, Redis a hash for each session. Reading takes one command, and extends the
 * session once a minute; a change and a login are a script each, which does nothing to a session that is gone. It needs
 * nothing loaded before; but most handlers want to know whose session it is, and every library loads it.
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Data, Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Redis } from "ioredis"
import { Redis as Redis6 } from "ioredis6"
import { createHmac, createSecretKey, randomBytes, timingSafeEqual } from "node:crypto"
import { createServer } from "node:http"
import { type CommandParser, createClient, defineScript } from "redis"
import { nextPage, nodeRedisOptions, ready, redisUrl, secret, variant } from "../candidate.ts"
import { contentOf } from "../content.ts"

const [client, mode] = variant.split(", ")

const lifetime = 7_200_000
const touchEvery = 60_000

// -----------------------------------------------------------------------------
// the cookie
// -----------------------------------------------------------------------------

const key = createSecretKey(secret, "utf8")

const signatureOf = (id: string): Buffer => createHmac("sha256", key).update(id).digest()

const newId = (): string => randomBytes(18).toString("base64url")

const tokenOf = (id: string): string => `${id}.${signatureOf(id).toString("base64url")}`

/** Nothing if it is not one of ours. */
const idOf = (token: string | undefined): string | undefined => {
  if (token === undefined) return undefined
  const dot = token.indexOf(".")
  const id = token.slice(0, dot)
  const signature = Buffer.from(token.slice(dot + 1), "base64url")
  return signature.length === 32 && timingSafeEqual(signature, signatureOf(id)) ? id : undefined
}

const cookieOptions = { path: "/", httpOnly: true, sameSite: "lax", maxAge: lifetime } as const

const withCookie = (response: HttpServerResponse.HttpServerResponse, id: string) =>
  HttpServerResponse.setCookieUnsafe(response, "session", tokenOf(id), cookieOptions)

// -----------------------------------------------------------------------------
// Redis
// -----------------------------------------------------------------------------

type Fields = Readonly<Record<string, string | number>>

/** Its keys come before its other parameters. A script that changes a session answers with 0 if the session does not exist. */
type Script = (...parameters: ReadonlyArray<string>) => Promise<number>

interface Scripts {
  readonly extend: Script
  readonly putField: Script
  readonly addToField: Script
  readonly login: Script
}

interface Commands extends Scripts {
  readonly load: (key: string) => Promise<Readonly<Record<string, string>>>
  readonly create: (key: string, expiresAt: number, fields: Fields) => Promise<unknown>
}

const changing = (change: string) => `
if redis.call("EXISTS", KEYS[1]) == 0 then return 0 end
${change}
redis.call("HSET", KEYS[1], "expiresAt", ARGV[1])
redis.call("PEXPIREAT", KEYS[1], ARGV[1])
return 1
`

const scripts = {
  extend: changing(""),
  putField: changing(`redis.call("HSET", KEYS[1], ARGV[2], ARGV[3])`),
  addToField: changing(`redis.call("HINCRBY", KEYS[1], ARGV[2], ARGV[3])`),
  login: `
local found = redis.call("EXISTS", KEYS[1])
if found == 1 then redis.call("RENAME", KEYS[1], KEYS[2]) end
redis.call("HSET", KEYS[2], "user", ARGV[2], "expiresAt", ARGV[1])
redis.call("PEXPIREAT", KEYS[2], ARGV[1])
return found
`
}

const nodeRedis = async (): Promise<Commands> => {
  const script = (text: string, keys: number) =>
    defineScript({
      SCRIPT: text,
      NUMBER_OF_KEYS: keys,
      parseCommand: (parser: CommandParser, ...parameters: ReadonlyArray<string>) => {
        for (let index = 0; index < keys; index++) parser.pushKey(parameters[index]!)
        for (let index = keys; index < parameters.length; index++) parser.push(parameters[index]!)
      },
      transformReply: (reply: unknown) => reply as number
    })
  const client = createClient({
    ...nodeRedisOptions,
    scripts: {
      extend: script(scripts.extend, 1),
      putField: script(scripts.putField, 1),
      addToField: script(scripts.addToField, 1),
      login: script(scripts.login, 2)
    }
  })
  client.on("error", () => {})
  await client.connect()
  return {
    load: (key) => client.hGetAll(key),
    create: (key, expiresAt, fields) =>
      client.multi().hSet(key, { ...fields, expiresAt }).pExpireAt(key, expiresAt).exec(),
    extend: (...parameters) => client.extend(...parameters),
    putField: (...parameters) => client.putField(...parameters),
    addToField: (...parameters) => client.addToField(...parameters),
    login: (...parameters) => client.login(...parameters)
  }
}

const ioredisOptions = {
  maxRetriesPerRequest: 1,
  socketTimeout: 5_000,
  scripts: {
    extend: { lua: scripts.extend, numberOfKeys: 1 },
    putField: { lua: scripts.putField, numberOfKeys: 1 },
    addToField: { lua: scripts.addToField, numberOfKeys: 1 },
    login: { lua: scripts.login, numberOfKeys: 2 }
  }
}

const ioredis = (plain: Redis | Redis6): Commands => {
  const client = plain as (Redis | Redis6) & Scripts
  client.on("error", () => {})
  return {
    load: (key) => client.hgetall(key),
    create: (key, expiresAt, fields) =>
      client.multi().hset(key, { ...fields, expiresAt }).pexpireat(key, expiresAt).exec(),
    extend: (...parameters) => client.extend(...parameters),
    putField: (...parameters) => client.putField(...parameters),
    addToField: (...parameters) => client.addToField(...parameters),
    login: (...parameters) => client.login(...parameters)
  }
}

const clients = {
  ioredis5: async () => ioredis(new Redis(redisUrl, ioredisOptions)),
  ioredis6: async () => ioredis(new Redis6(redisUrl, ioredisOptions)),
  "node-redis": nodeRedis
}

const commands = await clients[client as keyof typeof clients]()

class RedisError extends Data.TaggedError("RedisError")<{ readonly cause: unknown }> {}

const ask = <A>(command: () => Promise<A>): Effect.Effect<A, RedisError> =>
  Effect.tryPromise({ try: command, catch: (cause) => new RedisError({ cause }) })

// -----------------------------------------------------------------------------
// the session
// -----------------------------------------------------------------------------

const keyOf = (id: string): string => `by-hand:${id}`

/** The client's, if it is one of ours; the session may be gone. */
const sessionId = Effect.map(HttpServerRequest.HttpServerRequest, ({ cookies }) => idOf(cookies["session"]))

const load = Effect.gen(function*() {
  const id = yield* sessionId
  if (id === undefined) return undefined
  const key = keyOf(id)
  const fields = yield* ask(() => commands.load(key))
  const now = Date.now()
  const expiresAt = Number(fields["expiresAt"])
  if (!(expiresAt > now)) return undefined
  if (expiresAt < now + lifetime - touchEvery) yield* ask(() => commands.extend(key, `${now + lifetime}`))
  return { id, fields }
})

/** Whose session is to be changed. */
const changedId = mode === "loads first" ? Effect.map(load, (session) => session?.id) : sessionId

/** A session that is gone begins anew, with a cookie. */
const change = (field: string, script: Script, parameter: () => string) =>
  Effect.gen(function*() {
    const id = yield* changedId
    const value = parameter()
    const expiresAt = Date.now() + lifetime
    if (id !== undefined) {
      const changed = yield* ask(() => script(keyOf(id), `${expiresAt}`, field, value))
      if (changed === 1) return HttpServerResponse.text("ok")
    }
    return yield* create({ [field]: value })
  })

const create = (fields: Fields) =>
  Effect.suspend(() => {
    const id = newId()
    const response = withCookie(HttpServerResponse.text("ok"), id)
    return Effect.as(ask(() => commands.create(keyOf(id), Date.now() + lifetime, fields)), response)
  })

/** What is in the session stays, under a new id. */
const login = (user: string) =>
  Effect.gen(function*() {
    const id = yield* changedId
    if (id === undefined) return yield* create({ user })
    const successor = newId()
    yield* ask(() => commands.login(keyOf(id), keyOf(successor), `${Date.now() + lifetime}`, user))
    return withCookie(HttpServerResponse.text("ok"), successor)
  })

// -----------------------------------------------------------------------------
// the server
// -----------------------------------------------------------------------------

const ok = Effect.sync(() => HttpServerResponse.text("ok"))

const fill = Effect.gen(function*() {
  const { url } = yield* HttpServerRequest.HttpServerRequest
  return yield* create(contentOf(Number(new URL(url, "http://localhost").searchParams.get("bytes"))))
})

const unavailable = Effect.succeed(HttpServerResponse.empty({ status: 503 }))

const route = <R>(path: `/${string}`, handler: Effect.Effect<HttpServerResponse.HttpServerResponse, RedisError, R>) =>
  HttpRouter.add("GET", path, Effect.catchTag(handler, "RedisError", () => unavailable))

const Routes = Layer.mergeAll(
  HttpRouter.add("GET", "/bare", ok),
  HttpRouter.add("GET", "/untouched", ok),
  route("/read", Effect.map(load, (session) => HttpServerResponse.text(session?.fields["page"] ?? ""))),
  route("/write", change("page", commands.putField, nextPage)),
  route("/increment", change("count", commands.addToField, () => "1")),
  route("/login", login("ada")),
  route("/fill", fill)
)

const Listening = Layer.effectDiscard(
  Effect.map(HttpServer.HttpServer, ({ address }) => {
    if ("port" in address) ready(address.port, { client, loads: mode ?? "never before a change", lifetime, touchEvery })
  })
)

Layer.mergeAll(HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }), Listening).pipe(
  Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
  Layer.launch,
  NodeRuntime.runMain
)
