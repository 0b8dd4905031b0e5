/**
 * Sessions for HTTP: middleware that provides the {@link Session} of each request, writes what has changed just before
 * the response's headers go out, and sets the cookie.
 *
 * **Details**
 *
 * A request that does not use its session costs no store call and no cookie. What a request has changed is written if
 * its response is an answer of the application: a success, a redirect, a typed error that became a response. A response
 * of the 5xx class, a defect or an interruption changes nothing, unless the handler committed by hand. A commit that
 * fails becomes the response: 503, without a cookie.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Cookies from "effect/http/Cookies"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { unhandled } from "effect/Types"
import * as Setting from "./internal/config/settings.ts"
import * as Cookie from "./internal/http/cookie.ts"
import * as RequestBody from "./internal/http/requestBody.ts"
import { type Client, type Environment, makeEnvironment, RequestSession } from "./internal/request/requestSession.ts"
import { Session } from "./Session.ts"
import { GenerateId, SessionConfig } from "./SessionConfig.ts"
import {
  SessionClosedError,
  SessionConfigError,
  SessionGoneError,
  SessionReadonlyError,
  SessionStoreError,
  SessionTooLargeError,
  SessionValueError
} from "./SessionError.ts"
import { SessionStore } from "./SessionStore.ts"

// -----------------------------------------------------------------------------
// any HTTP effect
// -----------------------------------------------------------------------------

/**
 * The middleware itself, for a plain HTTP effect: a function that provides the session to it.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { HttpServer, HttpServerResponse } from "effect/http"
 * import { Session, SessionMiddleware } from "effect-session"
 *
 * const app = Effect.map(Session.fresh, (fresh) => HttpServerResponse.text(fresh ? "Welcome" : "Welcome back"))
 *
 * const serve = Effect.gen(function*() {
 *   const withSession = yield* SessionMiddleware.make
 *   yield* HttpServer.serveEffect(withSession(app))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<
  <E, R>(
    app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) => Effect.Effect<
    HttpServerResponse.HttpServerResponse,
    E,
    Exclude<R, Session> | HttpServerRequest | Scope.Scope
  >,
  never,
  SessionStore | SessionConfig
> = Effect.suspend(() => makeWith(withText))

/** The response to a commit that failed. */
type ErrorResponse = (status: 500 | 503) => HttpServerResponse.HttpServerResponse

const withText: ErrorResponse = (status) =>
  HttpServerResponse.text(status === 503 ? "Service Unavailable" : "Internal Server Error", { status })

// As the errors of an HttpApi are declared: a client of it does not accept a body.
const withoutBody: ErrorResponse = (status) => HttpServerResponse.empty({ status })

const makeWith = Effect.fnUntraced(function*(errorResponse: ErrorResponse) {
  const settings = yield* SessionConfig
  const environment = makeEnvironment(settings, yield* SessionStore, yield* GenerateId)
  const cookie = Cookie.make(settings.cookie)
  return <E, R>(app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.withFiber<HttpServerResponse.HttpServerResponse, E, Exclude<R, Session> | RequestServices>((fiber) => {
      const outer = Context.getOrUndefined(fiber.context, Session)
      const session = sessionOf(
        Context.getUnsafe(fiber.context, Scope.Scope),
        settings.cookie.name,
        outer,
        () => begin(environment, cookie, errorResponse, fiber)
      )
      return Effect.provideService(app, Session, session)
    })
})

type RequestServices = HttpServerRequest | Scope.Scope

// The sessions of a request, by the name of the cookie, are on its scope until it is answered. V8 may make scopes in its
// old generation, from where one would keep all of its request until the next full garbage collection, as would a WeakMap:
// that costs ten times what all else does for an untouched session.
const sessions: unique symbol = Symbol("effect-session/sessions")

interface RequestScope extends Scope.Scope {
  [sessions]?: Map<string, RequestSession> | typeof answered
}

const answered = "answered"

/**
 * A request has one session for each cookie: where the middleware stands twice, as for a router and for one of its
 * routes, the inner one takes the outer one's. Where it runs again, as in a retry, what came before does not count.
 */
const sessionOf = (
  scope: RequestScope,
  cookieName: string,
  outer: Session | undefined,
  begin: () => RequestSession
): RequestSession => {
  const ofRequest = scope[sessions] ??= new Map<string, RequestSession>()
  if (ofRequest === answered) return lateSessionOf(cookieName, outer as RequestSession | undefined, begin)
  const before = ofRequest.get(cookieName)
  if (before !== undefined && (before === outer || [...ofRequest.values()].includes(outer as RequestSession))) {
    return before
  }
  before?.abandon()
  const session = begin()
  ofRequest.set(cookieName, session)
  return session
}

/** In a body that is being streamed, only a session that the request had before can still be saved. */
const lateSessionOf = (
  cookieName: string,
  outer: RequestSession | undefined,
  begin: () => RequestSession
): RequestSession => {
  if (outer?.settings.cookie.name === cookieName) return outer
  const session = begin()
  session.close()
  return session
}

/** The session of a request. Nothing is loaded, but the hook is set: registered any later, it would not run. */
const begin = (
  environment: Environment,
  cookie: Cookie.SessionCookie,
  errorResponse: ErrorResponse,
  fiber: Fiber.Fiber<unknown, unknown>
): RequestSession => {
  const exchange = new Exchange(environment, cookie, errorResponse, fiber)
  HttpEffect.appendPreResponseHandlerUnsafe(exchange.context, (_, response) => finish(exchange, response))
  return exchange.session
}

/** A request and its session, with what it takes to answer it. */
class Exchange implements Client {
  readonly cookie: Cookie.SessionCookie
  readonly errorResponse: ErrorResponse
  readonly context: Context.Context<RequestServices>
  readonly clock: Clock.Clock
  readonly session: RequestSession

  constructor(
    environment: Environment,
    cookie: Cookie.SessionCookie,
    errorResponse: ErrorResponse,
    fiber: Fiber.Fiber<unknown, unknown>
  ) {
    this.cookie = cookie
    this.errorResponse = errorResponse
    this.context = fiber.context as Context.Context<RequestServices>
    this.clock = fiber.getRef(Clock.Clock)
    this.session = new RequestSession(environment, this)
  }

  get scope(): RequestScope {
    return Context.get(this.context, Scope.Scope)
  }

  /** The Cookie header of the request. */
  get header(): string | undefined {
    return Context.get(this.context, HttpServerRequest).headers["cookie"]
  }

  present(): Cookie.Presented {
    return this.cookie.read(this.header)
  }

  // From the request as the handler has it: a router may have made another one of it, and a body is read only once.
  get input(): Effect.Effect<Schema.JsonObject> {
    return Effect.withFiber((fiber) => {
      const current = Context.add(Context.merge(this.context, fiber.context), Scope.Scope, this.scope)
      return RequestBody.fieldsOf(Context.get(current, HttpServerRequest), current)
    })
  }
}

/**
 * What happens to the session just before the headers go out. It never fails: without a response the client would wait
 * for ever.
 */
const finish = (
  exchange: Exchange,
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const { clock, session } = exchange
  // What a fiber of the handler's still does from now on could not be part of the commit.
  session.close()
  exchange.scope[sessions] = answered
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
  session.stayOpenLate()
  let isBroken = false
  const close = Scope.addFinalizerExit(scope, (exit) => {
    session.close()
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
  const outgoing = session.outgoing
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

// -----------------------------------------------------------------------------
// HttpRouter
// -----------------------------------------------------------------------------

const makeForRouter = Effect.map(
  make,
  (withSession) => (route: Effect.Effect<HttpServerResponse.HttpServerResponse, unhandled, Session>) =>
    withSession(route)
)

/**
 * The session for the routes that this Layer is provided to. A route that uses the session without it does not compile.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 * import { Session, SessionMiddleware } from "effect-session"
 *
 * const Routes = HttpRouter.add("GET", "/", Effect.map(Session.all, HttpServerResponse.jsonUnsafe)).pipe(
 *   Layer.provide(SessionMiddleware.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<HttpRouter.Request<"Requires", Session>, never, SessionStore | SessionConfig> =
  // Built anew wherever it is provided: one that is shared would give all routes the session of the first.
  Layer.fresh(HttpRouter.middleware<{ provides: Session }>()(makeForRouter).layer)

/**
 * The session for all routes of a router, and for requests that no route answers.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerGlobal: Layer.Layer<
  HttpRouter.Request<"Requires", Session> | HttpRouter.Request<"GlobalRequires", Session>,
  never,
  SessionStore | SessionConfig | HttpRouter.HttpRouter
> = HttpRouter.middleware<{ provides: Session }>()(makeForRouter, { global: true })

// -----------------------------------------------------------------------------
// HttpApi
// -----------------------------------------------------------------------------

/**
 * What a middleware of an `HttpApi` declares: the errors of sessions with their statuses and without a body, as the
 * client learns nothing of the store, and the cookie, for the OpenAPI document.
 *
 * **Example** (Another cookie name)
 *
 * ```ts
 * import { HttpApiMiddleware } from "effect/http-api"
 * import { type Session, SessionMiddleware } from "effect-session"
 *
 * class AdminSession extends HttpApiMiddleware.Service<AdminSession, { provides: Session.Session }>()(
 *   "AdminSession",
 *   SessionMiddleware.apiOptions({ cookieName: "admin" })
 * ) {}
 *
 * const AdminSessionLayer = SessionMiddleware.layerApiOf(AdminSession)
 * ```
 *
 * @since 0.1.0
 * @category HttpApi
 */
export const apiOptions = ({ cookieName = "session" }: { readonly cookieName?: string } = {}) => ({
  error: apiErrors,
  security: {
    session: HttpApiSecurity.apiKey({ in: "cookie", key: cookieName }).pipe(
      HttpApiSecurity.annotate(
        OpenApi.Description,
        "The session. A request without it, or with one that is not valid, has an empty session; the server sets it."
      )
    )
  }
})

const apiErrors = [
  SessionStoreError.pipe(HttpApiSchema.asNoContent({
    decode: () => new SessionStoreError({ driver: "remote", operation: "load", cause: undefined })
  })),
  // A client can't tell these from each other, nor from any other failure of the server.
  Schema.Union([
    SessionValueError,
    SessionReadonlyError,
    SessionClosedError,
    SessionTooLargeError,
    HttpApiError.InternalServerError
  ]).pipe(
    HttpApiSchema.asNoContent({ decode: () => new HttpApiError.InternalServerError() }),
    HttpApiSchema.status(500)
  ),
  SessionGoneError.pipe(HttpApiSchema.asNoContent({ decode: () => new SessionGoneError({}) }))
] as const

/**
 * The session for an `HttpApi`, a group or an endpoint, in the cookie `session`. For another name see {@link apiOptions}.
 *
 * **Example**
 *
 * ```ts
 * import { Schema } from "effect"
 * import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
 * import { SessionMiddleware } from "effect-session"
 *
 * const Cart = HttpApiGroup.make("cart").add(
 *   HttpApiEndpoint.get("total", "/cart", { success: Schema.Number })
 * )
 *
 * const Api = HttpApi.make("shop").add(Cart).middleware(SessionMiddleware.Api)
 * ```
 *
 * @since 0.1.0
 * @category HttpApi
 */
export class Api extends HttpApiMiddleware.Service<Api, { provides: Session }>()(
  "effect-session/SessionMiddleware/Api",
  apiOptions()
) {}

/**
 * A middleware service that was declared with {@link apiOptions}.
 *
 * @since 0.1.0
 * @category HttpApi
 */
export type ApiService<Self> =
  & Context.Service<
    Self,
    HttpApiMiddleware.HttpApiMiddlewareSecurity<
      ReturnType<typeof apiOptions>["security"],
      Session,
      typeof apiErrors,
      never
    >
  >
  & { readonly security: ReturnType<typeof apiOptions>["security"] }

/**
 * The Layer of a middleware that was declared with {@link apiOptions}. Its cookie name must be that of the configuration.
 *
 * @since 0.1.0
 * @category HttpApi
 */
export const layerApiOf = <Self>(
  service: ApiService<Self>
): Layer.Layer<Self, SessionConfigError, SessionStore | SessionConfig> =>
  Layer.effect(
    service,
    Effect.gen(function*() {
      const { cookie } = yield* SessionConfig
      const documented = service.security.session.key
      if (cookie.name !== documented) {
        const write =
          `The OpenAPI document says ${JSON.stringify(documented)}: write that, or declare the middleware ` +
          "with SessionMiddleware.apiOptions({ cookieName })"
        return yield* new SessionConfigError({ mistakes: [Setting.mistake(["cookie", "name"], cookie.name, write)] })
      }
      const withSession = yield* makeWith(withoutBody)
      return { session: (endpoint) => withSession(endpoint) }
    })
  )

/**
 * The Layer of {@link Api}.
 *
 * @since 0.1.0
 * @category HttpApi
 */
export const layerApi: Layer.Layer<Api, SessionConfigError, SessionStore | SessionConfig> = layerApiOf(Api)
