/**
 * Middleware that moves the sessions of another server to this one when their users return.
 *
 * A request with an old cookie continues as if it had the new one: its handler finds the session, and its response sets the
 * cookie.
 */
import { Effect, Redacted, Result } from "effect"
import {
  type Session,
  SessionConfig,
  SessionError,
  type SessionOwners,
  Sessions,
  type SessionStore
} from "effect-session"
import { Headers, HttpEffect, HttpRouter, HttpServerRequest, HttpServerRespondable } from "effect/http"
import { type OldSession, OldSessions, type SetCookie } from "./oldSessions.ts"
import { received, withSetCookie } from "./setCookie.ts"

/** Puts the data of an old session, which is JSON, into a new one. */
export type TakeOver = (json: string) => Effect.Effect<
  void,
  { readonly _tag: string },
  Session.Session | SessionOwners.SessionOwners
>

type Services =
  | OldSessions
  | SessionStore.SessionStore
  | SessionConfig.SessionConfig
  | SessionOwners.SessionOwners

/** For all routes of a router. A request without an old cookie costs nothing. */
export const layer = (takeOver: TakeOver) =>
  HttpRouter.middleware(
    Effect.gen(function*() {
      const { of } = yield* OldSessions
      const services = yield* Effect.context<Services>()
      return (app) =>
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          const old = yield* of(request)
          if (old === undefined) return yield* app
          const moved = yield* Effect.result(Effect.provideContext(cookiesAfter(old, request, takeOver), services))
          // A store is down, so it is unknown whether the user is logged in: answer 503, and leave the cookies.
          if (Result.isFailure(moved)) return yield* HttpServerRespondable.toResponse(moved.failure)
          // The response has them whatever happens to the request.
          yield* HttpEffect.appendPreResponseHandler((_, response) =>
            Effect.succeed(withSetCookie(response, moved.success))
          )
          const headers = Headers.set(request.headers, "cookie", received(request.headers["cookie"], moved.success))
          return yield* Effect.provideService(app, HttpServerRequest.HttpServerRequest, request.modify({ headers }))
        })
    }),
    { global: true }
  )

/** The Set-Cookie headers for a request with an old cookie. */
const cookiesAfter = Effect.fnUntraced(function*(
  old: OldSession,
  request: HttpServerRequest.HttpServerRequest,
  takeOver: TakeOver
) {
  const sessions = yield* OldSessions
  const { json, movedTo } = yield* old.find
  if (movedTo === undefined) return json === undefined ? [sessions.expired] : yield* move(old, json, takeOver)
  if (sessions.stay && json === undefined) return yield* endHere(old, request, movedTo)
  // A browser that has our cookie may have logged in since.
  const missing = (yield* hasOurs(request)) ? [] : movedTo
  return sessions.stay ? missing : [...missing, sessions.expired]
})

const move = Effect.fnUntraced(function*(old: OldSession, json: string, takeOver: TakeOver) {
  const sessions = yield* OldSessions
  const created = yield* Effect.result(Sessions.create(takeOver(json)))
  if (Result.isFailure(created)) {
    if (created.failure instanceof SessionError.SessionStoreError) return yield* created.failure
    // It stays there, for a release of this server that can convert it. Don't log the data.
    yield* Effect.logWarning("A session of the other server could not be moved", { reason: created.failure._tag })
    return []
  }
  const ours = Redacted.value(created.success.setCookie)
  const theirs = yield* old.move(ours)
  // Another request was faster, or the user has logged out there in the meantime. Nobody has our token yet.
  if (theirs !== ours) yield* Effect.ignore(Sessions.destroy({ token: created.success.token }))
  if (theirs === undefined) return [sessions.expired]
  return sessions.stay ? theirs : [...theirs, sessions.expired]
})

/** The other server has ended the session, so it ends here too. */
const endHere = Effect.fnUntraced(function*(
  old: OldSession,
  request: HttpServerRequest.HttpServerRequest,
  movedTo: SetCookie
) {
  const sessions = yield* OldSessions
  const header = request.headers["cookie"]
  const cookies = (yield* hasOurs(request)) ? header : received(header, movedTo)
  const cleared = yield* Sessions.destroy({ cookies }).pipe(
    Effect.map(({ setCookie }) => Redacted.value(setCookie)),
    // Of all errors, only this one is possible: the user is logging in at this moment, and so has a session of their own.
    Effect.catchIf((error) => !(error instanceof SessionError.SessionStoreError), () => Effect.succeed([]))
  )
  yield* old.end
  return [...cleared, sessions.expired]
})

const hasOurs = ({ cookies }: HttpServerRequest.HttpServerRequest) =>
  Effect.map(SessionConfig.SessionConfig, ({ cookie }) => cookie.name in cookies)
