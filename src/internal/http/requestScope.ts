/**
 * Where the middleware finds the session that the request already has.
 */
import type * as Scope from "effect/Scope"
import type { RequestSession } from "../request/requestSession.ts"

// The sessions of a request, by the name of the cookie, are on its scope until it is answered. V8 may allocate scopes in its
// old generation, where one would keep its whole request alive until the next full garbage collection, as a WeakMap would:
// that costs ten times as much as everything else for an untouched session.
const sessions: unique symbol = Symbol("effect-session/sessions")

export interface RequestScope extends Scope.Scope {
  [sessions]?: Map<string, RequestSession> | typeof answered
}

const answered = "answered"

/**
 * A request has one session for each cookie: where the middleware stands twice, as for a router and for one of its
 * routes, the inner one takes the outer one's. Where it runs again, as in a retry, what came before does not count.
 */
export const sessionOf = (
  scope: RequestScope,
  cookieName: string,
  outer: RequestSession | undefined,
  begin: () => RequestSession
): RequestSession => {
  const ofRequest = scope[sessions] ??= new Map<string, RequestSession>()
  if (ofRequest === answered) return lateSessionOf(cookieName, outer, begin)
  const before = ofRequest.get(cookieName)
  if (before !== undefined && (before === outer || outer !== undefined && [...ofRequest.values()].includes(outer))) {
    return before
  }
  if (before !== undefined) before.abandon()
  const session = begin()
  ofRequest.set(cookieName, session)
  return session
}

/** In a body that is being streamed, only a session that the request had before can still be saved. */
const lateSessionOf = (
  cookieName: string,
  outer: RequestSession | undefined,
  begin: () => RequestSession
): RequestSession => {
  if (outer?.settings.cookie.name === cookieName) return outer
  const session = begin()
  session.phase = "closed"
  return session
}

/** The request is answered: what comes now is too late for a session of its own. */
export const end = (scope: RequestScope): void => {
  scope[sessions] = answered
}
