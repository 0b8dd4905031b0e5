/**
 * The sessions that iron-session 8 or 9 has sealed into cookies. They can't be deleted, so a note stays for as long as such a
 * cookie opens: no copy of it makes a second session, nor one of a user who has logged out.
 *
 * In place of `ExpressSessions.layer`, and `npm install iron-session`.
 */
import { Clock, Duration, Effect, Layer, Redacted } from "effect"
import type { SessionConfig } from "effect-session"
import { Redis } from "effect/persistence"
import { unsealData } from "iron-session"
import { createHash } from "node:crypto"
import { asking, type CookieOptions, expire, OldSessions, type SetCookie } from "./oldSessions.ts"
import { seal, unseal } from "./seal.ts"

export interface Options {
  /** As in iron-session: one, or several by number. */
  readonly password: Redacted.Redacted<string | Record<string, string>>
  readonly cookie: CookieOptions
  /** How long a cookie is valid. Default: 14 days, as in iron-session. */
  readonly ttl?: Duration.Input
}

/** How long a note leads to a session. After that, it only marks the cookie as used. */
const lifeOfNote = Duration.toMillis("5 minutes")

interface Note {
  readonly setCookie: SetCookie
  readonly until: number
}

const make = Effect.fnUntraced(function*({ cookie, password, ttl = "14 days" }: Options) {
  const redis = yield* Redis.Redis
  const ask = yield* asking
  const life = Duration.fromInputUnsafe(ttl)

  const sessionOf = (sealed: string, data: object) => {
    const key = `moved:${createHash("sha256").update(sealed).digest("base64url")}`
    const opened = (note: string) =>
      Effect.map(Clock.currentTimeMillis, (now): SetCookie => {
        const text = unseal(note, sealed)
        const { setCookie, until }: Note = text === undefined ? { setCookie: [], until: 0 } : JSON.parse(text)
        return now < until ? setCookie : []
      })
    return {
      find: Effect.gen(function*() {
        const note = yield* ask(redis.send<string | null>("GET", key))
        return { json: JSON.stringify(data), movedTo: note === null ? undefined : yield* opened(note) }
      }),
      move: (setCookie: SetCookie) =>
        Effect.gen(function*() {
          const note: Note = { setCookie, until: (yield* Clock.currentTimeMillis) + lifeOfNote }
          const own = seal(JSON.stringify(note), sealed)
          const earlier = yield* ask(
            redis.send<string | null>("SET", key, own, "NX", "GET", "PX", String(Duration.toMillis(life)))
          )
          return earlier === null ? setCookie : yield* opened(earlier)
        }),
      // There is nothing to delete, and the note must stay.
      end: Effect.void
    }
  }

  return OldSessions.of({
    stay: false,
    of: ({ cookies }) =>
      Effect.gen(function*() {
        // The part after the tilde is not sealed, so anyone could change it.
        const sealed = cookies[cookie.name]?.split("~", 1)[0]
        if (sealed === undefined || sealed === "") return undefined
        const data = yield* Effect.promise(() =>
          unsealData<object>(sealed, { password: Redacted.value(password), ttl: Duration.toSeconds(life) })
        )
        return Object.keys(data).length === 0 ? undefined : sessionOf(sealed, data)
      }),
    expired: expire(cookie)
  })
})

export const layer = (
  options: Options
): Layer.Layer<OldSessions, never, Redis.Redis | SessionConfig.SessionConfig> =>
  Layer.effect(OldSessions, make(options))
