/**
 * Finds the session that a request already has.
 */
import type * as Scope from "effect/Scope"
import type { RequestSession } from "../request/requestSession.ts"
import { Exchange } from "./exchange.ts"

// The exchanges of a request, newest first, are stored on its scope until it is answered. V8 may allocate scopes in its old
// generation, where a scope, like a WeakMap, would keep its whole request alive until the next full garbage collection. That
// costs ten times as much as everything else for an untouched session.
const newest: unique symbol = Symbol("effect-session/exchanges")

export interface RequestScope extends Scope.Scope {
  [newest]?: Exchange | typeof answered | undefined
}

const answered = "answered"

/**
 * A request has one session per cookie. If the middleware is applied twice, for example to a router and to one of its routes, the
 * inner one uses the outer one's session, and the outer one commits it.
 */
export const sessionAround = (
  scope: RequestScope,
  cookieName: string,
  outer: RequestSession | undefined
): RequestSession | undefined => {
  const own = exchangeOf(scope, outer)
  let exchange = own
  while (exchange !== undefined && exchange.cookieName !== cookieName) exchange = exchange.around
  // The outer one may belong to an atomic part of the handler.
  return exchange === undefined ? undefined : exchange === own ? outer : exchange.session
}

/** A session from the context in which the server was built is not the request's. */
const exchangeOf = (scope: RequestScope, session: RequestSession | undefined): Exchange | undefined =>
  session?.client instanceof Exchange && session.client.scope === scope ? session.client : undefined

/** If the middleware runs again, as in a retry, exchanges without a response don't count. */
export const begin = (scope: RequestScope, exchange: Exchange, outer: RequestSession | undefined): void => {
  const exchanges = scope[newest]
  if (exchanges === answered) return tooLate(exchange)
  for (let before = exchanges; before !== undefined; before = before.previous) {
    if (before.cookieName === exchange.cookieName && !before.isAnswered) abandon(before)
  }
  exchange.previous = exchanges
  exchange.around = exchangeOf(scope, outer)
  scope[newest] = exchange
}

const abandon = (exchange: Exchange): void => {
  exchange.isAnswered = true
  exchange.session.abandon()
}

/** While a body is streamed, only a session that the request already had can be saved. */
const tooLate = (exchange: Exchange): void => {
  exchange.isAnswered = true
  exchange.session.phase = "closed"
}

/** The exchanges of an unanswered request, newest first. */
export const exchangesOf = (scope: RequestScope): ReadonlyArray<Exchange> => {
  const exchanges: Array<Exchange> = []
  const first = scope[newest]
  if (first === answered) return exchanges
  for (let exchange = first; exchange !== undefined; exchange = exchange.previous) exchanges.push(exchange)
  return exchanges
}

/** Marks the request as answered: it is too late for another session. */
export const end = (scope: RequestScope): void => {
  scope[newest] = answered
}
