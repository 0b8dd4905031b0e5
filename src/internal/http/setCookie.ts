/**
 * Setting the session's cookie in a response.
 */
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Environment } from "../request/environment.ts"
import * as State from "../request/state.ts"
import * as Caching from "./caching.ts"
import type { Exchange } from "./exchange.ts"
import * as Headers from "./headers.ts"
import * as Log from "./log.ts"
import * as Replacement from "./replacement.ts"

type Response = HttpServerResponse.HttpServerResponse

/** The response with the cookie, if the client needs another one than it has. */
export const withCookie = (exchange: Exchange, response: Response): Effect.Effect<Response> => {
  const outgoing = State.outgoingOf(exchange.session.state)
  if (outgoing === undefined) return Effect.succeed(response)
  return Effect.catchCause(
    Effect.suspend(() => {
      const cookies = cookiesFor(exchange, outgoing)
      const updated = HttpServerResponse.updateCookies(response, (others) => cookies.reduce(setCookie, others))
      return forOneClient(exchange, Headers.withItsHeaders(response, updated))
    }),
    (cause) => Replacement.replace(exchange, response, cause)
  )
}

/** The same, for a response that may have it already: another one may have taken its place. */
export const withMissingCookie = (exchange: Exchange, response: Response): Effect.Effect<Response> =>
  Object.hasOwn(response.cookies.cookies, exchange.cookieName)
    ? forOneClient(exchange, response)
    : withCookie(exchange, response)

/** No shared cache may keep the response, whatever the application lets it do: the others would get the cookie too. */
const forOneClient = (exchange: Exchange, response: Response): Effect.Effect<Response> => {
  const { clock, request, session: { environment } } = exchange
  const guarded = Caching.forOneClient(response)
  const isContradicted = Caching.isShared(response, clock.currentTimeMillisUnsafe())
  if (!isContradicted || hasWarned.has(environment)) return Effect.succeed(guarded)
  hasWarned.add(environment)
  return Effect.as(Log.warning(contradiction, { method: request.method, path: request.url.split("?", 1)[0]! }), guarded)
}

/** Once for each middleware that is built: an application says it at each request. */
const hasWarned = new WeakSet<Environment>()

const contradiction = "The response sets the session's cookie, and the application lets shared caches keep it: " +
  "they would give the cookie to others, so the response is made private. " +
  "Don't change the session in responses with Cache-Control: public, s-maxage or max-age, or add private"

const cookiesFor = (
  { clock, cookie, header }: Exchange,
  outgoing: State.Outgoing
): ReadonlyArray<Cookies.Cookie> =>
  outgoing._tag === "Clear"
    ? cookie.clear(header)
    : cookie.write(outgoing.token.text, outgoing.expiresAt, clock.currentTimeMillisUnsafe(), header)

const setCookie = (cookies: Cookies.Cookies, cookie: Cookies.Cookie) => Cookies.setCookie(cookies, cookie)
