/**
 * Giving the client another token than it has: in the cookie, or in a header, as it presents it.
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
import * as PlainHttp from "./plainHttp.ts"
import * as Replacement from "./replacement.ts"

type Response = HttpServerResponse.HttpServerResponse

/** What the response gets. */
interface Given {
  readonly cookies: ReadonlyArray<Cookies.Cookie>
  /** The value of the header for tokens. */
  readonly header?: string
}

/** The response as the client gets it: with the token, if it needs another one than it has, and with what caches must know. */
export const withToken = (exchange: Exchange, response: Response): Effect.Effect<Response> => {
  const outgoing = State.outgoingOf(exchange.session.state)
  if (outgoing === undefined) return exchange.answerWith(exchange.varying(response))
  try {
    return forOneClient(exchange, response, given(exchange, outgoing))
  } catch (defect) {
    return Effect.flatMap(
      Replacement.replace(exchange, response, Cause.die(defect)),
      (error) => exchange.answerWith(exchange.varying(error))
    )
  }
}

/** The same, for a response that may have it already: another one may have taken its place. */
export const withMissingToken = (exchange: Exchange, response: Response): Effect.Effect<Response> =>
  Object.hasOwn(response.cookies.cookies, exchange.cookieName) ||
    Object.hasOwn(response.headers, exchange.transports.header)
    ? forOneClient(exchange, response, nothing)
    : withToken(exchange, response)

const nothing: Given = { cookies: [] }

const given = (exchange: Exchange, outgoing: State.Outgoing): Given => {
  const { clock, header, isIssued, shown, transports: { cookie, first } } = exchange
  if ((shown.transport ?? first) === "cookie") {
    if (!isIssued) return { cookies: Cookie.toClient(cookie, outgoing, clock.currentTimeMillisUnsafe(), header) }
    // The session that it has there has another id now.
    return shown.transport === undefined ? nothing : { cookies: cookie.clear(header) }
  }
  const token = outgoing._tag === "Clear" ? "" : outgoing.token.text
  const isKnown = shown.presented._tag === "Token" && shown.presented.token === token
  return isIssued || isKnown ? nothing : { cookies: [], header: token }
}

/** No shared cache may keep the response, whatever the application lets it do: the others would get the token too. */
const forOneClient = (
  exchange: Exchange,
  response: Response,
  { cookies, header }: Given
): Effect.Effect<Response> => {
  const { clock, request, session: { environment }, transports } = exchange
  const guarded = Caching.forOneClient(response)
  if (exchange.isTokenUsed) guarded.headers["vary"] = Caching.varyOf(response, transports.vary)
  if (cookies.length > 0) guarded.cookies = cookies.reduce(setCookie, response.cookies)
  if (header !== undefined) guarded.headers[transports.header] = header
  const answered = exchange.answerWith(guarded)
  if (cookies.length > 0 && transports.plainHttp?.(request.headers)) {
    return Effect.andThen(Log.warning(PlainHttp.message, request), answered)
  }
  const isContradicted = Caching.isShared(response, clock.currentTimeMillisUnsafe())
  if (!isContradicted || hasWarned.has(environment)) return answered
  hasWarned.add(environment)
  return Effect.andThen(Log.warning(contradiction, request), answered)
}

/** Once for each middleware that is built: an application says it at each request. */
const hasWarned = new WeakSet<Environment>()

const contradiction = "The response gives the client its session, and the application lets shared caches keep it: " +
  "they would give the session to others, so the response is made private. " +
  "Don't change the session in responses with Cache-Control: public, s-maxage or max-age, or add private"

const setCookie = (cookies: Cookies.Cookies, cookie: Cookies.Cookie) => Cookies.setCookie(cookies, cookie)
