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
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Cookies from "effect/http/Cookies"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type { unhandled } from "effect/Types"
import * as Cookie from "./internal/cookie.ts"
import * as RequestBody from "./internal/requestBody.ts"
import { type Environment, makeEnvironment, RequestSession } from "./internal/requestSession.ts"
import * as Setting from "./internal/settings.ts"
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
> = Effect.gen(function*() {
  const settings = yield* SessionConfig
  const environment = makeEnvironment(settings, yield* SessionStore, yield* GenerateId)
  const cookie = Cookie.make(settings.cookie)
  return (app) =>
    Effect.withFiber((fiber) =>
      Effect.provideService(app, Session, begin(environment, cookie, fiber.context as Context.Context<RequestServices>))
    )
})

type RequestServices = HttpServerRequest | Scope.Scope

/** The session of a request. Nothing is loaded, but the hook is set: registered any later, it would not run. */
const begin = (
  environment: Environment,
  cookie: Cookie.SessionCookie,
  context: Context.Context<RequestServices>
): RequestSession => {
  const request = Context.get(context, HttpServerRequest)
  const session = new RequestSession(environment, {
    present: () => cookie.read(request.headers["cookie"]),
    input: Effect.suspend(() => RequestBody.fieldsOf(request, context))
  })
  HttpEffect.appendPreResponseHandlerUnsafe(
    context,
    (_, response) => finish(session, cookie, Context.get(context, Scope.Scope), request.headers["cookie"], response)
  )
  return session
}

/**
 * What happens to the session just before the headers go out. It never fails: without a response the client would wait
 * for ever.
 */
const finish = (
  session: RequestSession,
  cookie: Cookie.SessionCookie,
  scope: Scope.Scope,
  header: string | undefined,
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  if (rollsBack(response.status)) {
    session.close()
    return withCookie(session, cookie, header, response)
  }
  const { rolling, saveUninitialized } = session.settings
  const isUsed = session.isInitiated
  if (!isUsed && !saveUninitialized && rolling !== "always") {
    leaveOpen(session, scope, response)
    return Effect.succeed(response)
  }
  return Effect.matchCauseEffect(isUsed ? session.commit : Effect.andThen(session.ready, session.commit), {
    onSuccess: () => {
      leaveOpen(session, scope, response)
      return withCookie(session, cookie, header, response)
    },
    onFailure: (cause) => {
      session.close()
      return Effect.flatMap(failed(cause), (response) => withCookie(session, cookie, header, response))
    }
  })
}

/** The final status decides, not the exit of the handler: a failure may be a redirect. 499 is a client that has gone. */
const rollsBack = (status: number): boolean => status >= 500 || status === 499

/** While a body is being streamed, what needs no other cookie can still be saved when the request's scope closes. */
const leaveOpen = (
  session: RequestSession,
  scope: Scope.Scope,
  response: HttpServerResponse.HttpServerResponse
): void => {
  if (response.body._tag !== "Stream") return session.close()
  const commitLate = Effect.catchCause(session.commit, (cause) => Effect.logError("Session commit failed", cause))
  session.stayOpenLate(
    Scope.addFinalizerExit(scope, (exit) => {
      session.close()
      return Exit.isSuccess(exit) ? commitLate : Effect.void
    })
  )
}

/** The answer to a commit that failed: what went wrong is for the log, not for the client. */
const failed = (cause: Cause.Cause<unknown>): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.as(
    Effect.logError("Session commit failed", cause),
    cause.reasons.some((reason) => Cause.isFailReason(reason) && reason.error instanceof SessionStoreError)
      ? HttpServerResponse.text("Service Unavailable", { status: 503 })
      : HttpServerResponse.text("Internal Server Error", { status: 500 })
  )

const withCookie = (
  session: RequestSession,
  cookie: Cookie.SessionCookie,
  header: string | undefined,
  response: HttpServerResponse.HttpServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const outgoing = session.outgoing
  if (outgoing === undefined) return Effect.succeed(response)
  return Effect.catchCause(
    Effect.map(Clock.currentTimeMillis, (now) => {
      const cookies = outgoing._tag === "Clear"
        ? cookie.clear(header)
        : cookie.write(Redacted.value(outgoing.token), outgoing.expiresAt, now, header)
      return notCached(
        HttpServerResponse.updateCookies(response, (others) => cookies.reduce(setCookie, others))
      )
    }),
    failed
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
  HttpRouter.middleware<{ provides: Session }>()(makeForRouter).layer

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
  SessionValueError.pipe(HttpApiSchema.asNoContent({
    decode: () => new SessionValueError({ key: "", operation: "decode", path: [], expected: "" })
  })),
  SessionReadonlyError.pipe(HttpApiSchema.asNoContent({ decode: () => new SessionReadonlyError({ operation: "" }) })),
  SessionClosedError.pipe(HttpApiSchema.asNoContent({ decode: () => new SessionClosedError({ operation: "" }) })),
  SessionTooLargeError.pipe(HttpApiSchema.asNoContent({
    decode: () => new SessionTooLargeError({ driver: "remote", size: 0, limit: 0 })
  })),
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
      const withSession = yield* make
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
