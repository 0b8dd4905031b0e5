/**
 * Where the middleware finds the session that the request already has.
 */
import type * as Scope from "effect/Scope"
import type { RequestSession } from "../request/requestSession.ts"
import { Exchange } from "./exchange.ts"

// The exchanges of a request, the newest first, are on its scope until it is answered. V8 may allocate scopes in its old
// generation, where one would keep its whole request alive until the next full garbage collection, as a WeakMap would: that
// costs ten times as much as everything else for an untouched session.
const newest: unique symbol = Symbol("effect-session/exchanges")

export interface RequestScope extends Scope.Scope {
  [newest]?: Exchange | typeof answered | undefined
}

const answered = "answered"

/**
 * A request has one session for each cookie: where the middleware stands twice, as for a router and for one of its
 * routes, the inner one takes the outer one's, which stays in the hands of the outer one.
 */
export const sessionAround = (
  scope: RequestScope,
  cookieName: string,
  outer: RequestSession | undefined
): RequestSession | undefined => {
  const own = exchangeOf(scope, outer)
  let exchange = own
  while (exchange !== undefined && exchange.cookieName !== cookieName) exchange = exchange.around
  // The outer one may be that of an atomic part of the handler.
  return exchange === undefined ? undefined : exchange === own ? outer : exchange.session
}

/** A session in the context that the server was built in is not one of the request. */
const exchangeOf = (scope: RequestScope, session: RequestSession | undefined): Exchange | undefined =>
  session?.client instanceof Exchange && session.client.scope === scope ? session.client : undefined

/** Where the middleware runs again, as in a retry, what has come before without a response does not count. */
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

/** In a body that is being streamed, only a session that the request had before can still be saved. */
const tooLate = (exchange: Exchange): void => {
  exchange.isAnswered = true
  exchange.session.phase = "closed"
}

/** The exchanges of a request that is not answered yet, the newest first. */
export const exchangesOf = (scope: RequestScope): ReadonlyArray<Exchange> => {
  const exchanges: Array<Exchange> = []
  const first = scope[newest]
  if (first === answered) return exchanges
  for (let exchange = first; exchange !== undefined; exchange = exchange.previous) exchanges.push(exchange)
  return exchanges
}

/** The request is answered: what comes now is too late for a session of its own. */
export const end = (scope: RequestScope): void => {
  scope[newest] = answered
}
