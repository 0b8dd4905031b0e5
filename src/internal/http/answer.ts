/**
 * Decides what happens to the session when there is a response: it is committed or rolled back once, and the cookie is
 * set.
 *
 * The response that leaves the middleware decides, so everything further out, such as an access log, sees what the
 * client gets. If an error leaves the middleware, the response that it becomes decides.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Indexing from "../request/indexing.ts"
import type { RequestSession } from "../request/requestSession.ts"
import type { Exchange } from "./exchange.ts"
import * as GiveToken from "./giveToken.ts"
import * as Headers from "./headers.ts"
import * as Late from "./late.ts"
import * as Replacement from "./replacement.ts"
import * as RequestScope from "./requestScope.ts"
import * as Upgrade from "./upgrade.ts"

type Response = HttpServerResponse.HttpServerResponse

/** The first response decides what happens to the session. */
export const answer = (exchange: Exchange, made: Response): Effect.Effect<Response> => {
  if (exchange.isAnswered) return Effect.succeed(made)
  if (exchange.ongoing !== undefined) return Effect.andThen(savingOngoing(exchange), () => answer(exchange, made))
  const { session } = exchange
  exchange.hasMade(made)
  exchange.isTooLateForCookie = session.phase === "late"
  const isNeeded = session.phase === "late" ? Upgrade.isSaved(session) : mayCommit(session)
  exchange.isAnswered = true
  // A later change by a forked fiber would miss the commit.
  session.phase = "closed"
  const answered = decided(exchange, made, isNeeded)
  return session.indexed === undefined ? answered : Effect.tap(answered, () => Indexing.withdraw(session))
}

/** Changes of a stream before its first element are sent with the headers. */
const savingOngoing = (exchange: Exchange): Effect.Effect<void> => {
  const all = [...exchange.ongoing!]
  exchange.ongoing = undefined
  return Effect.forEach(all, (one) => one.saveSoFar(exchange.clock), { discard: true })
}

const decided = (exchange: Exchange, made: Response, isNeeded: boolean): Effect.Effect<Response> => {
  if (rollsBack(Headers.statusOf(made))) return GiveToken.withToken(exchange, made)
  if (isNeeded) return committing(exchange, made)
  if (exchange.isIssued) return saved(exchange, made)
  return exchange.answerWith(exchange.varying(staysLate(exchange.session, made)))
}

/**
 * Runs just before the headers are sent: for an error that became a response outside the middleware, and for a response
 * that was replaced there. It never fails, because without a response the client would wait forever.
 */
export const beforeSending = (exchange: Exchange, response: Response): Effect.Effect<Response> => {
  RequestScope.end(exchange.scope)
  const answered = answeredWith(exchange, response)
  return exchange.session.phase === "closed" && Exit.isExit(answered) ? answered : savingLate(exchange, answered)
}

const answeredWith = (exchange: Exchange, response: Response): Effect.Effect<Response> => {
  if (!exchange.isAnswered) return answer(exchange, response)
  // Usually it is the response that left the middleware.
  return exchange.answer?.value === response ? exchange.answer : GiveToken.withMissingToken(exchange, response)
}

const savingLate = (exchange: Exchange, answered: Effect.Effect<Response>): Effect.Effect<Response> =>
  Effect.flatMapEager(answered, (response) => Late.savingLate(exchange, response))

/**
 * The status decides, not the exit of the handler, because a failure may be a redirect. 499 means that the client has
 * disconnected.
 */
const rollsBack = (status: number): boolean => status >= 500 || status === 499

/** An unused session is loaded only for work that can't wait. */
const mayCommit = (session: RequestSession): boolean => {
  const { isInitiated, settings: { rolling, saveUninitialized } } = session
  return isInitiated || rolling === "always" && !session.extensionWaits || saveUninitialized && !session.cookieWaits
}

/** It is not interrupted halfway, and neither its failure nor its cookie is lost. */
const committing = (exchange: Exchange, response: Response): Effect.Effect<Response> => {
  const { clock, session } = exchange
  const committed = session.isInitiated
    ? session.commit(clock)
    : Effect.andThen(session.ready, Effect.suspend(() => session.commit(clock)))
  const answered = isDone(committed) ? saved(exchange, response) : following(exchange, response, committed)
  return isDone(answered) ? answered : Effect.uninterruptible(answered)
}

const isDone = (effect: Effect.Effect<unknown, unknown>): boolean => Exit.isExit(effect) && Exit.isSuccess(effect)

const saved = (exchange: Exchange, response: Response): Effect.Effect<Response> =>
  GiveToken.withToken(exchange, staysLate(exchange.session, clearingSiteData(exchange.session, response)))

const clearingSiteData = ({ siteData }: RequestSession, response: Response): Response =>
  siteData === undefined
    ? response
    : HttpServerResponse.setHeader(response, "clear-site-data", siteData.map((data) => `"${data}"`).join(", "))

const following = (
  exchange: Exchange,
  response: Response,
  committed: Effect.Effect<unknown, unknown>
): Effect.Effect<Response> =>
  Effect.matchCauseEffect(committed, {
    onSuccess: () => saved(exchange, response),
    onFailure: (cause) =>
      Effect.flatMap(
        Replacement.replace(exchange, response, cause),
        (response) => GiveToken.withToken(exchange, response)
      )
  })

/** While the body is streamed, the session accepts changes that need no new cookie. */
const staysLate = (session: RequestSession, response: Response): Response => {
  if (response.body._tag === "Stream") session.phase = "late"
  return response
}
