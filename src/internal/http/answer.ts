/**
 * What becomes of the session when the response is known: committed or rolled back, with the cookie, once.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cookies from "effect/http/Cookies"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { SessionStoreError } from "../../SessionError.ts"
import * as State from "../request/state.ts"
import type { Exchange } from "./exchange.ts"
import * as RequestScope from "./requestScope.ts"

/**
 * What happens to the session just before the headers go out. It never fails: without a response the client would wait
 * for ever.
 */
export const finish = (
  exchange: Exchange,
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const { clock, session } = exchange
  // A change that a forked fiber makes from here on would miss the commit.
  session.phase = "closed"
  RequestScope.end(exchange.scope)
  if (rollsBack(response.status)) return withCookie(exchange, response)
  const { rolling, saveUninitialized } = session.settings
  const isUsed = session.isInitiated
  if (!isUsed && !saveUninitialized && rolling !== "always") return stayingOpenLate(exchange, response)
  const committed = isUsed
    ? session.commit(clock)
    : Effect.andThen(session.ready, Effect.suspend(() => session.commit(clock)))
  return Effect.matchCauseEffectEager(committed, {
    onSuccess: () =>
      Effect.flatMapEager(stayingOpenLate(exchange, response), (response) => withCookie(exchange, response)),
    onFailure: (cause) => Effect.flatMap(failed(exchange, cause), (response) => withCookie(exchange, response))
  })
}

/** The final status decides, not the exit of the handler: a failure may be a redirect. 499 is a client that has gone. */
const rollsBack = (status: number): boolean => status >= 500 || status === 499

/** While a body is being streamed, what needs no other cookie can still be saved when the request's scope closes. */
const stayingOpenLate = (
  { clock, scope, session }: Exchange,
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const { body } = response
  if (body._tag !== "Stream") return Effect.succeed(response)
  session.phase = "late"
  let isBroken = false
  const close = Scope.addFinalizerExit(scope, (exit) => {
    session.phase = "closed"
    if (Exit.isFailure(exit) || isBroken || session.isStateless) return Effect.void
    return Effect.catchCause(session.commit(clock), (cause) => log("Session commit failed", cause))
  })
  // The scope's exit alone does not tell: where requests are logged, it is a success even if the body has failed.
  const stream = Stream.onExit(body.stream, (exit) => Effect.sync(() => void (isBroken = Exit.isFailure(exit))))
  const streamed = HttpServerResponse.setBody(response, HttpBody.stream(stream, body.contentType, body.contentLength))
  return Effect.as(close, withItsHeaders(response, streamed))
}

/** Another body or other cookies would bring back the headers of the body, over those that the application has set. */
const withItsHeaders = (
  response: HttpServerResponse.HttpServerResponse,
  changed: HttpServerResponse.HttpServerResponse
): HttpServerResponse.HttpServerResponse => HttpServerResponse.setHeaders(changed, response.headers)

/** The answer to a commit that failed: what went wrong is for the log, not for the client. */
const failed = (
  { errorResponse }: Exchange,
  cause: Cause.Cause<unknown>
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.as(
    log("Session commit failed", cause),
    errorResponse(
      cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error instanceof SessionStoreError)
        ? 503
        : 500
    )
  )

/** A logger that fails must not keep the client waiting. */
const log = (message: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.catchCause(Effect.logError(message, cause), () => Effect.void)

const withCookie = (
  exchange: Exchange,
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const { clock, cookie, header, session } = exchange
  const outgoing = State.outgoingOf(session.state)
  if (outgoing === undefined) return Effect.succeed(response)
  return Effect.catchCause(
    Effect.sync(() => {
      const cookies = outgoing._tag === "Clear"
        ? cookie.clear(header)
        : cookie.write(Redacted.value(outgoing.token), outgoing.expiresAt, clock.currentTimeMillisUnsafe(), header)
      const updated = HttpServerResponse.updateCookies(response, (others) => cookies.reduce(setCookie, others))
      return notCached(withItsHeaders(response, updated))
    }),
    (cause) => failed(exchange, cause)
  )
}

const setCookie = (cookies: Cookies.Cookies, cookie: Cookies.Cookie) => Cookies.setCookie(cookies, cookie)

/** A shared cache must not hand one client's cookie to another (OWASP ASVS 5.0, V14.3.2). */
const notCached = (response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse =>
  response.headers["cache-control"] === undefined
    ? HttpServerResponse.setHeader(response, "cache-control", "no-store")
    : response
