/**
 * A request and its session, from the moment at which the middleware is entered.
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

/** Something that goes on after the headers are out. */
export interface Ongoing {
  /** Saves what it has done so far. If that fails, it is for itself to say so. */
  readonly saveSoFar: (clock: Clock.Clock) => Effect.Effect<unknown>
}

/** A request and its session, with what it takes to answer it. */
export class Exchange implements Client {
  readonly transports: Transports
  readonly errorResponse: ErrorResponse
  readonly context: Context.Context<RequestServices>
  readonly clock: Clock.Clock
  readonly session: RequestSession
  /** Whether it is decided what becomes of the session. */
  isAnswered = false
  /** Whether a cookie can't be set any more. */
  isTooLateForCookie = false
  /** Whether the client gets its token in the body, and nowhere else. */
  isIssued = false
  /** What the request presents, if anybody has looked at it. */
  #shown: Shown | undefined = undefined
  /** Whether that was before there was a response, so that it may depend on it. */
  isTokenUsed = false
  #response: HttpServerResponse.HttpServerResponse | undefined = undefined
  /** The response that leaves the middleware, when there is one. */
  answer: Exit.Success<HttpServerResponse.HttpServerResponse> | undefined = undefined
  /** What will go on in the body of the response. */
  ongoing: Set<Ongoing> | undefined = undefined
  /** The one that the same request has begun before, if any. */
  previous: Exchange | undefined = undefined
  /** The one that this one is inside of: with another cookie, if any. */
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

  /** Whether the request has become a WebSocket, which goes on. */
  get isUpgraded(): boolean {
    return !this.isAnswered && !this.isIssued && this.session.phase === "late"
  }

  /** Whether the response is just being decided. */
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

  /** The handler has the token for the body. From here on, nothing can be done that takes another one. */
  issue(): void {
    this.isIssued = true
    this.isTooLateForCookie = true
    this.session.phase = "late"
  }

  /** The application has made this response. */
  hasMade(response: HttpServerResponse.HttpServerResponse): void {
    this.isTokenUsed = this.#shown !== undefined
    this.#response = response
  }

  /** This response leaves the middleware. */
  answerWith(response: HttpServerResponse.HttpServerResponse): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    return this.answer = Exit.succeed(response) as Exit.Success<HttpServerResponse.HttpServerResponse>
  }

  /** The response, as caches must take it. */
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

  // From the request as the handler has it: a router may have replaced it, and a body is read only once.
  get input(): Effect.Effect<JsonObject> {
    return Effect.withFiber((fiber) => {
      const current = Context.add(Context.merge(this.context, fiber.context), Scope.Scope, this.scope)
      return RequestBody.fieldsOf(Context.get(current, HttpServerRequest), current)
    })
  }
}
