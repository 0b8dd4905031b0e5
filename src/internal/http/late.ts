/**
 * While a body is being streamed, changes that need no cookie can still be saved: when the request's scope closes.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Exchange } from "./exchange.ts"
import * as Headers from "./headers.ts"
import * as Log from "./log.ts"

/** Saves the changes at the end, unless the body fails. */
export const savingLate = (
  exchange: Exchange,
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const { clock, scope, session } = exchange
  if (session.phase !== "late") return Effect.succeed(response)
  exchange.isTooLateForCookie = true
  let isBroken = false
  const close = Scope.addFinalizerExit(scope, (exit) => {
    session.phase = "closed"
    if (Exit.isFailure(exit) || isBroken || session.isStateless) return Effect.void
    return Effect.catchCause(session.commit(clock), (cause) => Log.failedCommit(cause))
  })
  // The scope's exit is not enough: if requests are logged, it is a success even if the body has failed.
  const watched = whenOver(response, (exit) => void (isBroken = Exit.isFailure(exit)))
  return Effect.as(close, watched)
}

const whenOver = (
  response: HttpServerResponse.HttpServerResponse,
  f: (exit: Exit.Exit<unknown, unknown>) => void
): HttpServerResponse.HttpServerResponse => {
  const { body } = response
  // Other middleware may have replaced the response that is streamed.
  if (body._tag !== "Stream") return response
  const stream = Stream.onExit(body.stream, (exit) => Effect.sync(() => f(exit)))
  const streamed = HttpServerResponse.setBody(response, HttpBody.stream(stream, body.contentType, body.contentLength))
  return Headers.withItsHeaders(response, streamed)
}
