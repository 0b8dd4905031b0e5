/**
 * Where sessions come from. Whoever has made them, a session that has moved leaves a note: the Set-Cookie headers that lead to
 * the session here, for requests that were sent together with the first one, and for a browser that has not got its answer.
 */
import { Context, Effect } from "effect"
import { SessionConfig, SessionError } from "effect-session"
import { Cookies, HttpEffect, HttpServerRequest } from "effect/http"
import type { Redis } from "effect/persistence"
import { withSetCookie } from "./setCookie.ts"

export type SetCookie = ReadonlyArray<string>

/** The data of an old session as JSON, if it is alive, and where it has moved. */
export interface Found {
  readonly json: string | undefined
  readonly movedTo: SetCookie | undefined
}

export interface OldSession {
  readonly find: Effect.Effect<Found, SessionError.SessionStoreError>
  /**
   * Leaves a note and ends the session, in one step. The answer is `setCookie` itself, or, if another request was faster, what
   * that one has noted, or nothing if the session has ended meanwhile.
   */
  readonly move: (setCookie: SetCookie) => Effect.Effect<SetCookie | undefined, SessionError.SessionStoreError>
  /** Ends the session and removes the note. */
  readonly end: Effect.Effect<void, SessionError.SessionStoreError>
}

export class OldSessions extends Context.Service<OldSessions, {
  /** Whether old sessions stay there, because both servers are running. */
  readonly stay: boolean
  /** The session that a request's cookie names. Only the old server can create such a cookie. */
  readonly of: (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<OldSession | undefined>
  /** The Set-Cookie header that removes the cookie. */
  readonly expired: string
}>()("OldSessions") {}

/**
 * Ends the old session of a request, if it has one: for each login and logout while both servers run, as the old cookie would
 * otherwise bring the user before back.
 */
export const end = Effect.gen(function*() {
  const { expired, of } = yield* OldSessions
  const session = yield* of(yield* HttpServerRequest.HttpServerRequest)
  if (session === undefined) return
  yield* session.end
  yield* HttpEffect.appendPreResponseHandler((_, response) => Effect.succeed(withSetCookie(response, [expired])))
})

/** How the old server sets its cookie: its name, and where. */
export interface CookieOptions {
  readonly name: string
  /** Default `/`. */
  readonly path?: string
  readonly domain?: string
}

export const expire = ({ name, path = "/", ...domain }: CookieOptions): string =>
  Cookies.serializeCookie(
    Cookies.makeCookieUnsafe(name, "", { path, ...domain, maxAge: 0, expires: new Date(0) })
  )

/** Asks Redis, with the time limit of the settings. */
export const asking = Effect.map(
  SessionConfig.SessionConfig,
  ({ timeLimit }) => <A>(question: Effect.Effect<A, Redis.RedisError>) =>
    Effect.interruptible(question).pipe(
      Effect.timeout(timeLimit),
      Effect.mapError((cause) =>
        new SessionError.SessionStoreError({ driver: "old sessions", operation: "load", cause })
      )
    )
)
