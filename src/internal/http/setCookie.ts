/**
 * Setting the session's cookie in a response.
 */
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Redacted from "effect/Redacted"
import * as State from "../request/state.ts"
import type { Exchange } from "./exchange.ts"
import * as Headers from "./headers.ts"
import * as Replacement from "./replacement.ts"

type Response = HttpServerResponse.HttpServerResponse

/** The response with the cookie, if the client needs another one than it has. */
export const withCookie = (exchange: Exchange, response: Response): Effect.Effect<Response> => {
  const outgoing = State.outgoingOf(exchange.session.state)
  if (outgoing === undefined) return Effect.succeed(response)
  return Effect.catchCause(
    Effect.sync(() => {
      const cookies = cookiesFor(exchange, outgoing)
      const updated = HttpServerResponse.updateCookies(response, (others) => cookies.reduce(setCookie, others))
      return Headers.notCached(Headers.withItsHeaders(response, updated))
    }),
    (cause) => Replacement.replace(exchange, response, cause)
  )
}

/** The same, for a response that may have it already: another one may have taken its place. */
export const withMissingCookie = (exchange: Exchange, response: Response): Effect.Effect<Response> =>
  Object.hasOwn(response.cookies.cookies, exchange.cookieName)
    ? Effect.succeed(response)
    : withCookie(exchange, response)

const cookiesFor = (
  { clock, cookie, header }: Exchange,
  outgoing: State.Outgoing
): ReadonlyArray<Cookies.Cookie> =>
  outgoing._tag === "Clear"
    ? cookie.clear(header)
    : cookie.write(Redacted.value(outgoing.token), outgoing.expiresAt, clock.currentTimeMillisUnsafe(), header)

const setCookie = (cookies: Cookies.Cookies, cookie: Cookies.Cookie) => Cookies.setCookie(cookies, cookie)
