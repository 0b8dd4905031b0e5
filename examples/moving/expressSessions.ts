/**
 * The sessions that connect-redis keeps for an Express server.
 *
 * - `sess:<id>` is the session, as JSON: what connect-redis has written.
 * - `{sess:<id>}:moved` is our note. The braces make a Redis Cluster keep both keys on one node.
 */
import { Duration, Effect, Layer, Redacted } from "effect"
import { SessionConfig } from "effect-session"
import { Redis } from "effect/persistence"
import * as ExpressCookie from "./expressCookie.ts"
import { asking, type CookieOptions, expire, OldSessions, type SetCookie } from "./oldSessions.ts"
import { seal, unseal } from "./seal.ts"

export interface Options {
  /** The `secret` of express-session, or all of them. They verify its cookie, and seal our note. */
  readonly secrets: ReadonlyArray<Redacted.Redacted>
  /** Default: `connect.sid`, at the path `/`. */
  readonly cookie?: CookieOptions
  /** The `prefix` of connect-redis. Default `sess:`. */
  readonly prefix?: string
  /**
   * For as long as both servers run: how long the Express server keeps a session that nobody uses. That is its
   * `cookie.maxAge`, or else the `ttl` of connect-redis. Sessions then stay there. Without this, one that moves is deleted there.
   */
  readonly sideBySide?: Duration.Input
}

/**
 * The state of a session. Side by side, it stays alive there for as long as it is used here. Otherwise a session that has moved is
 * deleted again, because a slow request may have written it back.
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

/** The only place where a session moves. Of several requests, one succeeds in leaving its note. */
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

const lifeOfNote = Duration.minutes(5)

/** The maximum that browsers keep a cookie. */
const longest = Duration.days(400)

const make = Effect.fnUntraced(function*(
  { cookie = { name: "connect.sid" }, prefix = "sess:", secrets, sideBySide }: Options
) {
  const redis = yield* Redis.Redis
  const ask = yield* asking
  const { maximumAge } = yield* SessionConfig.SessionConfig
  const stay = sideBySide !== undefined
  const maxAge = stay ? Duration.toMillis(Duration.fromInputUnsafe(sideBySide)) : 0
  // Side by side, a note lives as long as an unused session here, and each use extends both.
  const life = Duration.toMillis(stay ? Duration.min(maximumAge, longest) : lifeOfNote)
  const plain = secrets.map(Redacted.value)

  const sessionOf = ({ id, secret }: ExpressCookie.ExpressCookie) => {
    const key = prefix + id
    const opened = (note: string): SetCookie | undefined => {
      const text = unseal(note, secret)
      return text === undefined ? undefined : JSON.parse(text)
    }
    return {
      find: Effect.map(ask(redis.eval(find)(key, maxAge, life)), ([json, note]) => ({
        json: json ?? undefined,
        movedTo: note === null ? undefined : opened(note)
      })),
      move: (setCookie: SetCookie) => {
        const own = seal(JSON.stringify(setCookie), secret)
        return Effect.map(ask(redis.eval(move)(key, own, life, stay)), (note) => {
          if (note === null) return undefined
          return note === own ? setCookie : opened(note)
        })
      },
      end: Effect.asVoid(ask(redis.send("DEL", ...bothKeys(key))))
    }
  }

  return OldSessions.of({
    stay,
    of: ({ cookies }) =>
      Effect.sync(() => {
        const signed = ExpressCookie.read(cookies[cookie.name], plain)
        return signed === undefined ? undefined : sessionOf(signed)
      }),
    expired: expire(cookie)
  })
})

export const layer = (
  options: Options
): Layer.Layer<OldSessions, never, Redis.Redis | SessionConfig.SessionConfig> =>
  Layer.effect(OldSessions, make(options))
