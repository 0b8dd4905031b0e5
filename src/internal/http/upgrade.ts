/**
 * A request that becomes a WebSocket or another protocol. Its 101 response can't set a cookie, so from then on the
 * session accepts only changes that need none, as while a body is streamed.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { HttpServerError, InternalError } from "effect/http/HttpServerError"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Socket } from "effect/socket/Socket"
import { SessionClosedError } from "../../SessionError.ts"
import * as Draft from "../record/draft.ts"
import * as Intent from "../request/intent.ts"
import type { RequestSession } from "../request/requestSession.ts"
import type { Existing } from "../request/state.ts"
import type { Exchange } from "./exchange.ts"
import * as Replacement from "./replacement.ts"

/**
 * Whether the client asks for an upgrade. The source's headers are already available, those of the request may not be.
 */
export const isAskedFor = ({ source }: HttpServerRequest): boolean => {
  const { headers } = source as { readonly headers?: Headers | Readonly<Record<string, unknown>> }
  return headers instanceof Headers ? headers.has("upgrade") : headers?.["upgrade"] !== undefined
}

/** Whether it asks for a WebSocket. */
export const isForWebSocket = ({ headers }: HttpServerRequest): boolean =>
  headers["upgrade"]?.toLowerCase() === "websocket"

/** The request for the handler: an upgrade first saves the pending changes, and fails if they need a cookie. */
export const watched = (exchange: Exchange, request: HttpServerRequest): HttpServerRequest =>
  new Proxy(request, {
    get(target, property) {
      switch (property) {
        case "upgrade":
          return upgrading(exchange, target, target.upgrade)
        case "upgradeWith":
          return (...options: Parameters<typeof target.upgradeWith>) =>
            upgrading(exchange, target, target.upgradeWith(...options))
        case "modify":
          return (...options: Parameters<typeof target.modify>) => watched(exchange, target.modify(...options))
        default:
          return Reflect.get(target, property, target)
      }
    }
  })

const upgrading = (
  exchange: Exchange,
  request: HttpServerRequest,
  upgrade: Effect.Effect<Socket, HttpServerError>
): Effect.Effect<Socket, HttpServerError> =>
  Effect.suspend(() => {
    const { session } = exchange
    if (session.phase !== "open" || session.environment.store === undefined) return upgrade
    if (needsCookie(session)) return Effect.fail(tooLate(request))
    session.phase = "late"
    return Effect.onExit(Effect.andThen(saving(exchange), upgrade), (exit) =>
      Effect.sync(() => {
        // The handler may then answer differently.
        if (Exit.isFailure(exit) && session.phase === "late") session.phase = "open"
      }))
  })

const tooLate = (request: HttpServerRequest) =>
  new HttpServerError({
    reason: new InternalError({
      request,
      description: "The session has changes that need a cookie, which the response to an upgrade can't set",
      cause: new SessionClosedError({ operation: "commit" })
    })
  })

/** A failed commit becomes the response, so the handler ends here. */
const saving = (exchange: Exchange): Effect.Effect<unknown> => {
  const { clock, session } = exchange
  if (!isSaved(session)) return Effect.void
  return Effect.catchCause(
    session.commit(clock),
    (cause) => Effect.flatMap(Replacement.replace(exchange, HttpServerResponse.empty(), cause), Effect.die)
  )
}

/** Whether a commit is possible without setting a cookie. */
export const isSaved = ({ isStateless, state: { _tag } }: RequestSession): boolean =>
  !isStateless && (_tag === "Existing" || _tag === "Lost")

const needsCookie = ({ hasChanges, isStateless, state }: RequestSession): boolean => {
  switch (state._tag) {
    case "Unloaded":
    case "Lost":
      return false
    case "Anonymous":
      return Draft.hasFields(state.draft, state.base) || isCookieDue(state)
    case "Existing":
      return state.isFresh || Intent.setsLifetime(state) || isStateless && (hasChanges || isCookieDue(state))
    default:
      return true
  }
}

const isCookieDue = ({ due, outgoing }: Pick<Existing, "due" | "outgoing">): boolean =>
  due !== undefined || outgoing !== undefined
