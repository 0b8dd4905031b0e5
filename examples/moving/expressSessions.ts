/**
 * The sessions that connect-redis keeps for an Express server, and a note about each one that has moved.
 *
 * - `sess:<id>` is the session, as JSON: what connect-redis has written.
 * - `{sess:<id>}:moved` is the note: the Set-Cookie headers that lead to the session here, sealed. The braces make a Redis
 *   Cluster keep both keys on one node.
 */
import { Context, Duration, Effect, Layer, Redacted } from "effect"
import { SessionConfig, SessionError } from "effect-session"
import { Cookies, HttpEffect, HttpServerRequest } from "effect/http"
import { Redis } from "effect/persistence"
import * as ExpressCookie from "./expressCookie.ts"
import { seal, unseal } from "./seal.ts"
import { withSetCookie } from "./setCookie.ts"

export interface Options {
  /** The `secret` of express-session, or all of them. They sign its cookie, and seal the note here. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
  /** What the Express server calls its cookie, by default `connect.sid`, and where it sets it, by default at `/`. */
  readonly cookie?: { readonly name?: string; readonly path?: string; readonly domain?: string }
  /** The `prefix` of connect-redis, by default `sess:`. */
  readonly prefix?: string
  /**
   * For as long as both servers run: how long the Express server keeps a session that nobody uses. That is its
   * `cookie.maxAge`, or else the `ttl` of connect-redis. Sessions then stay there. Without this, one that moves is deleted there.
   */
  readonly sideBySide?: Duration.Input
}

/** What is in an old session, if it is alive, and where it has moved. */
export interface Found {
  readonly json: string | undefined
  readonly movedTo: ReadonlyArray<string> | undefined
}

type Cookie = ExpressCookie.ExpressCookie

/** The Express server's sessions. */
export class ExpressSessions extends Context.Service<ExpressSessions, {
  /** Whether old sessions stay where they are. */
  readonly stay: boolean
  /** The old cookie of a request, if the Express server has signed it. */
  readonly cookieOf: (request: HttpServerRequest.HttpServerRequest) => Cookie | undefined
  /** The Set-Cookie header that removes it. */
  readonly expired: string
  readonly find: (cookie: Cookie) => Effect.Effect<Found, SessionError.SessionStoreError>
  /**
   * Notes where the session has moved and deletes it, in one step. The answer is these Set-Cookie headers themselves, or, if
   * another request was faster, those that it has noted, or nothing if the session has ended meanwhile.
   */
  readonly move: (
    cookie: Cookie,
    setCookie: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<string> | undefined, SessionError.SessionStoreError>
  /** Deletes the session and the note. */
  readonly end: (cookie: Cookie) => Effect.Effect<void, SessionError.SessionStoreError>
}>()("ExpressSessions") {}

/**
 * Ends the old session of a request, if it has one: for each login and logout while both servers run, as the old cookie would
 * otherwise bring the user before back.
 */
export const end = Effect.gen(function*() {
  const sessions = yield* ExpressSessions
  const cookie = sessions.cookieOf(yield* HttpServerRequest.HttpServerRequest)
  if (cookie === undefined) return
  yield* sessions.end(cookie)
  yield* HttpEffect.appendPreResponseHandler((_, response) =>
    Effect.succeed(withSetCookie(response, [sessions.expired]))
  )
})

// -----------------------------------------------------------------------------
// in Redis
// -----------------------------------------------------------------------------

/**
 * What there is of a session. Side by side, it lives on there for as long as it is used here. Otherwise one that has moved is
 * deleted again, as a slow request may have written it there meanwhile.
 */
const find = Redis.script((key: string, maxAge: number, life: number) => [...bothKeys(key), maxAge, life], {
  numberOfKeys: 2,
  lua: `
    local json, note = redis.call("GET", KEYS[1]), redis.call("GET", KEYS[2])
    if ARGV[1] == "0" then
      if note then redis.call("DEL", KEYS[1]) end
    else
      local left = redis.call("PTTL", KEYS[1])
      if left > 0 and left < tonumber(ARGV[1]) then redis.call("PEXPIRE", KEYS[1], ARGV[1]) end
      redis.call("PEXPIRE", KEYS[2], ARGV[2])
    end
    return { json, note }
  `
}).withReturnType<readonly [json: string | null, note: string | null]>()

/** The only place where a session moves: of several requests, one gets its note in. */
const move = Redis.script(
  (key: string, note: string, life: number, stays: boolean) => [...bothKeys(key), note, life, stays ? 1 : 0],
  {
    numberOfKeys: 2,
    lua: `
    local note = redis.call("GET", KEYS[2])
    if note then return note end
    if redis.call("EXISTS", KEYS[1]) == 0 then return false end
    redis.call("SET", KEYS[2], ARGV[1], "PX", ARGV[2])
    if ARGV[3] == "0" then redis.call("DEL", KEYS[1]) end
    return ARGV[1]
  `
  }
).withReturnType<string | null>()

const bothKeys = (key: string) => [key, `{${key}}:moved`] as const

/** For requests that were sent together with the first one, and for a browser that has not got its answer. */
const lifeOfNote = Duration.minutes(5)

/** The longest that a browser keeps a cookie. */
const longest = Duration.days(400)

export const layer = (
  { cookie: { name = "connect.sid", path = "/", ...scope } = {}, prefix = "sess:", secrets, sideBySide }: Options
): Layer.Layer<ExpressSessions, never, Redis.Redis | SessionConfig.SessionConfig> =>
  Layer.effect(
    ExpressSessions,
    Effect.gen(function*() {
      const redis = yield* Redis.Redis
      const { maximumAge, timeLimit } = yield* SessionConfig.SessionConfig
      const stay = sideBySide !== undefined
      const maxAge = stay ? Duration.toMillis(Duration.fromInputUnsafe(sideBySide)) : 0
      // Side by side, a note lives as long as the session here may, and so is extended whenever that is used.
      const life = Duration.toMillis(stay ? Duration.min(maximumAge, longest) : lifeOfNote)
      const plain = secrets.map(Redacted.value)
      const keyOf = ({ id }: Cookie) => prefix + id
      const opened = (note: string, { secret }: Cookie): ReadonlyArray<string> | undefined => {
        const text = unseal(note, secret)
        return text === undefined ? undefined : JSON.parse(text)
      }
      const ask = <A>(question: Effect.Effect<A, Redis.RedisError>) =>
        Effect.interruptible(question).pipe(
          Effect.timeout(timeLimit),
          Effect.mapError((cause) =>
            new SessionError.SessionStoreError({ driver: "connect-redis", operation: "load", cause })
          )
        )
      return ExpressSessions.of({
        stay,
        cookieOf: ({ cookies }) => ExpressCookie.read(cookies[name], plain),
        expired: Cookies.serializeCookie(
          Cookies.makeCookieUnsafe(name, "", { path, ...scope, maxAge: 0, expires: new Date(0) })
        ),
        find: (cookie) =>
          Effect.gen(function*() {
            const [json, note] = yield* ask(redis.eval(find)(keyOf(cookie), maxAge, life))
            return { json: json ?? undefined, movedTo: note === null ? undefined : opened(note, cookie) }
          }),
        move: (cookie, setCookie) =>
          Effect.gen(function*() {
            const own = seal(JSON.stringify(setCookie), cookie.secret)
            const note = yield* ask(redis.eval(move)(keyOf(cookie), own, life, stay))
            if (note === null) return undefined
            return note === own ? setCookie : opened(note, cookie)
          }),
        end: (cookie) => Effect.asVoid(ask(redis.send("DEL", ...bothKeys(keyOf(cookie)))))
      })
    })
  )
