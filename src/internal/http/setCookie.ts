/**
 * Setting the session's cookie in a response.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Environment } from "../request/environment.ts"
import * as State from "../request/state.ts"
import * as Caching from "./caching.ts"
import * as Cookie from "./cookie.ts"
import type { Exchange } from "./exchange.ts"
import * as Log from "./log.ts"
import * as Replacement from "./replacement.ts"

type Response = HttpServerResponse.HttpServerResponse

/** The response as the client gets it: with the cookie, if it needs another one than it has, and with what caches must know. */
export const withCookie = (exchange: Exchange, response: Response): Effect.Effect<Response> => {
  const outgoing = State.outgoingOf(exchange.session.state)
  if (outgoing === undefined) return exchange.answerWith(exchange.varying(response))
  const { clock, cookie, header } = exchange
  try {
    const cookies = Cookie.toClient(cookie, outgoing, clock.currentTimeMillisUnsafe(), header)
    return forOneClient(exchange, response, cookies)
  } catch (defect) {
    return Effect.flatMap(
      Replacement.replace(exchange, response, Cause.die(defect)),
      (error) => exchange.answerWith(exchange.varying(error))
    )
  }
}

/** The same, for a response that may have it already: another one may have taken its place. */
export const withMissingCookie = (exchange: Exchange, response: Response): Effect.Effect<Response> =>
  Object.hasOwn(response.cookies.cookies, exchange.cookieName)
    ? forOneClient(exchange, response, [])
    : withCookie(exchange, response)

/** No shared cache may keep the response, whatever the application lets it do: the others would get the cookie too. */
const forOneClient = (
  exchange: Exchange,
  response: Response,
  cookies: ReadonlyArray<Cookies.Cookie>
): Effect.Effect<Response> => {
  const { clock, request, session: { environment } } = exchange
  const guarded = Caching.forOneClient(response)
  if (exchange.isCookieUsed) guarded.headers["vary"] = Caching.varyOf(response)
  if (cookies.length > 0) guarded.cookies = cookies.reduce(setCookie, response.cookies)
  const isContradicted = Caching.isShared(response, clock.currentTimeMillisUnsafe())
  if (!isContradicted || hasWarned.has(environment)) return exchange.answerWith(guarded)
  hasWarned.add(environment)
  return Effect.andThen(Log.warning(contradiction, request), exchange.answerWith(guarded))
}

/** Once for each middleware that is built: an application says it at each request. */
const hasWarned = new WeakSet<Environment>()

const contradiction = "The response sets the session's cookie, and the application lets shared caches keep it: " +
  "they would give the cookie to others, so the response is made private. " +
  "Don't change the session in responses with Cache-Control: public, s-maxage or max-age, or add private"

const setCookie = (cookies: Cookies.Cookies, cookie: Cookies.Cookie) => Cookies.setCookie(cookies, cookie)
