/**
 * Visits to a session without HTTP: what a request does, from opening the session to writing it.
 */
import { Effect, Layer, type Redacted } from "effect"
import { Session, SessionConfig, type SessionError, Sessions, type SessionStore } from "effect-session"

/** What a visit needs. */
export type Services = SessionStore.SessionStore | SessionConfig.SessionConfig

/** The token of a session is its id, so that a visit knows it without a cookie. */
export const settings = (options: SessionConfig.Options = {}) =>
  SessionConfig.layer({ ...options, id: { protection: "none" } })

/** An application with this store. */
export const application = <E>(
  store: Layer.Layer<SessionStore.SessionStore, E, SessionConfig.SessionConfig>,
  options?: SessionConfig.Options
): Layer.Layer<Services, E | SessionError.SessionConfigError> => Layer.provideMerge(store, settings(options))

/** What a client presents: the token of its session, or none. */
export type Token = Redacted.Redacted<string> | undefined

/** Opens the session of the token and runs the effect with it. Nothing is written but by `Session.commit`. */
export const withSession = <A, E, R>(
  token: Token,
  effect: Effect.Effect<A, E, R>,
  options?: { readonly readonly?: boolean }
): Effect.Effect<A, E | SessionError.SessionStoreError, Exclude<R, Session.Session> | Services> =>
  Effect.flatMap(
    Sessions.open(token === undefined ? { cookies: undefined } : { token }, { ...options, messages: "leave" }),
    (session) => Effect.provideService(effect, Session.Session, session)
  )

/** As a request does: opens the session, runs the effect, and writes the changes. */
export const visit = <A, E, R>(token: Token, effect: Effect.Effect<A, E, R>) =>
  withSession(token, Effect.tap(effect, Session.commit))

/** A new session with what the effect puts into it. */
export const newSession = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  visit(undefined, Effect.andThen(effect, Session.sessionId))
