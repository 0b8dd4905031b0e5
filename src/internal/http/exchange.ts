/**
 * A request and its session, from the moment the middleware is entered.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { JsonObject } from "effect/Schema"
import * as Scope from "effect/Scope"
import type { Environment } from "../request/environment.ts"
import { type Client, type Messages, type Presented, RequestSession } from "../request/requestSession.ts"
import * as Caching from "./caching.ts"
import * as Prefetch from "./prefetch.ts"
import * as RequestBody from "./requestBody.ts"
import type { RequestScope } from "./requestScope.ts"
import type { Shown, Transports } from "./transports.ts"

/** What the server provides for each request. */
export type RequestServices = HttpServerRequest | Scope.Scope

/** The status of the response to a commit that failed. */
export type ErrorStatus = 409 | 500 | 503

/** That response. */
export type ErrorResponse = (status: ErrorStatus) => HttpServerResponse.HttpServerResponse

/** Something that continues after the headers are sent. */
export interface Ongoing {
  /** Saves what it has done so far. It reports its own failures. */
  readonly saveSoFar: (clock: Clock.Clock) => Effect.Effect<unknown>
}

/** A request and its session, with everything needed to answer it. */
export class Exchange implements Client {
  readonly transports: Transports
  readonly errorResponse: ErrorResponse
  readonly context: Context.Context<RequestServices>
  readonly clock: Clock.Clock
  readonly session: RequestSession
  /** Whether the session has been committed or rolled back. */
  isAnswered = false
  /** Whether it is too late to set a cookie. */
  isTooLateForCookie = false
  /** Whether the client gets its token in the body only. */
  isIssued = false
  /** What the request presents, once it has been read. */
  #shown: Shown | undefined = undefined
  /** Whether it was read before the response was made, so that the response may depend on it. */
  isTokenUsed = false
  #response: HttpServerResponse.HttpServerResponse | undefined = undefined
  /** The response that leaves the middleware, once there is one. */
  answer: Exit.Success<HttpServerResponse.HttpServerResponse> | undefined = undefined
  /** What continues in the body of the response. */
  ongoing: Set<Ongoing> | undefined = undefined
  /** The previous exchange of the same request, if any. */
  previous: Exchange | undefined = undefined
  /** The enclosing exchange, which has another cookie, if any. */
  around: Exchange | undefined = undefined

  constructor(
    environment: Environment,
    transports: Transports,
    errorResponse: ErrorResponse,
    fiber: Fiber.Fiber<unknown, unknown>
  ) {
    this.transports = transports
    this.errorResponse = errorResponse
    this.context = fiber.context as Context.Context<RequestServices>
    this.clock = fiber.getRef(Clock.Clock)
    this.session = new RequestSession(environment, this)
  }

  get cookieName(): string {
    return this.session.settings.cookie.name
  }

  get scope(): RequestScope {
    return Context.get(this.context, Scope.Scope)
  }

  /** Whether the request has become a WebSocket. */
  get isUpgraded(): boolean {
    return !this.isAnswered && !this.isIssued && this.session.phase === "late"
  }

  /** Whether the response is being decided. */
  get isAnswering(): boolean {
    return this.isAnswered && this.answer === undefined
  }

  /** The Cookie header of the request. */
  get header(): string | undefined {
    return this.request.headers["cookie"]
  }

  get request(): HttpServerRequest {
    return Context.get(this.context, HttpServerRequest)
  }

  get shown(): Shown {
    return this.#shown ??= this.transports.read(this.request.headers)
  }

  present(): Presented {
    return this.shown.presented
  }

  /** The handler has the token for the body. From now on, changes that need another token fail. */
  issue(): void {
    this.isIssued = true
    this.isTooLateForCookie = true
    this.session.phase = "late"
  }

  /** Records the application's response. */
  hasMade(response: HttpServerResponse.HttpServerResponse): void {
    this.isTokenUsed = this.#shown !== undefined
    this.#response = response
  }

  /** Records the response that leaves the middleware. */
  answerWith(response: HttpServerResponse.HttpServerResponse): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return this.answer = Exit.succeed(response) as Exit.Success<HttpServerResponse.HttpServerResponse>
  }

  /** The response with the headers for caches. */
  varying(response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse {
    return this.isTokenUsed ? Caching.varying(response, this.transports.vary) : response
  }

  get takesCookie(): boolean {
    if (this.isTooLateForCookie || this.session.phase === "late") return false
    return this.#response === undefined || !Caching.isShared(this.#response, this.clock.currentTimeMillisUnsafe())
  }

  get messages(): Messages {
    return Prefetch.messagesFor(this.request)
  }

  // From the handler's request: a router may have replaced the request, and a body can be read only once.
  get input(): Effect.Effect<JsonObject> {
    return Effect.withFiber((fiber) => {
      const current = Context.add(Context.merge(this.context, fiber.context), Scope.Scope, this.scope)
      return RequestBody.fieldsOf(Context.get(current, HttpServerRequest), current)
    })
  }
}
