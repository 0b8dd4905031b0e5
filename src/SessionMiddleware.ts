/**
 * Sessions for HTTP: middleware that provides the {@link Session} of each request, writes its changes as soon as there
 * is a response, and sets the cookie.
 *
 * **Details**
 *
 * A request that does not use its session makes no store call and sets no cookie.
 *
 * The response that leaves the middleware decides what is saved. An answer of the application, such as a success, a
 * redirect or a 404, commits the request's changes. A 5xx response discards them, unless the handler has committed
 * explicitly. If a commit fails, it replaces the response: 503, without a cookie, with the headers and cookies that
 * others have set on the original response. Access logs, spans, metrics and all other middleware outside this one see
 * what the client gets.
 *
 * For an error that leaves the middleware, the response that it becomes further out decides, just before that
 * response's headers are sent: a typed error that becomes a 409 commits; a defect or an interruption discards the
 * changes.
 *
 * If the middleware is applied twice for the same cookie, the outer one commits.
 *
 * A response whose handler has used the session has `Vary: Cookie`. A response that sets the cookie has `Cache-Control:
 * no-store`, or `private` if the application sets its own caching rules. If the application lets shared caches keep a
 * response, a cookie that would only extend the session waits for the next response.
 *
 * **Gotchas**
 *
 * - If something further out replaces a committed response, for example by failing, the changes stay committed and the
 *   new response gets the cookie.
 * - If the commit for an error's response fails, the client gets the 503, but access logs, spans and metrics have
 *   already seen the original response. To make them agree, turn errors into responses inside the middleware.
 * - The response that leaves the middleware may carry the cookie. A cache further out must obey `Cache-Control` and
 *   `Vary`.
 * - If only the body of a streamed response uses the session, the response has no `Vary: Cookie`, because the headers
 *   are already sent.
 * - The response to a WebSocket handshake can't set a cookie. After `HttpServerRequest.upgrade`, a change that needs a
 *   cookie fails with a `SessionClosedError`: any change for a client without a session, `regenerate`, `destroy`, and
 *   every change with CookieLayer. Other changes are saved by `Session.commit`, or when the handler ends with a
 *   response. If such a change is already pending, the upgrade fails with an `HttpServerError` whose cause is the
 *   `SessionClosedError`: make the change in an earlier request.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { unhandled } from "effect/Types"
import * as Setting from "./internal/config/settings.ts"
import { answer, beforeSending } from "./internal/http/answer.ts"
import * as ApiErrors from "./internal/http/apiErrors.ts"
import { type ErrorResponse, type ErrorStatus, Exchange, type RequestServices } from "./internal/http/exchange.ts"
import * as RequestScope from "./internal/http/requestScope.ts"
import * as Transports from "./internal/http/transports.ts"
import * as Upgrade from "./internal/http/upgrade.ts"
import * as Environment from "./internal/request/environment.ts"
import type { RequestSession } from "./internal/request/requestSession.ts"
import { Session } from "./Session.ts"
import { GenerateId, SessionConfig, type Settings, type Transport } from "./SessionConfig.ts"
import { type CommitError, type ConfigMistake, type LoginError, SessionConfigError } from "./SessionError.ts"
import { SessionStore } from "./SessionStore.ts"

// -----------------------------------------------------------------------------
// any HTTP effect
// -----------------------------------------------------------------------------

/**
 * The middleware as a function on a plain HTTP effect: provides the session to it.
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

const withText: ErrorResponse = (status) => HttpServerResponse.text(texts[status], { status })

const texts: { readonly [Status in ErrorStatus]: string } = {
  409: "Conflict",
  500: "Internal Server Error",
  503: "Service Unavailable"
}

// The errors of an HttpApi are declared without a body, and its client accepts none.
const withoutBody: ErrorResponse = (status) => HttpServerResponse.empty({ status })

type Response = HttpServerResponse.HttpServerResponse

const makeWith = Effect.fnUntraced(function*(errorResponse: ErrorResponse) {
  const settings = yield* SessionConfig
  const environment = Environment.make(settings, yield* SessionStore, yield* GenerateId)
  const transports = Transports.make(settings)

  return <E, R>(app: Effect.Effect<Response, E, R>) =>
    Effect.withFiber<Response, E, Exclude<R, Session> | RequestServices>((fiber) => {
      const context = fiber.context as Context.Context<RequestServices>
      const scope = Context.get(context, Scope.Scope)
      const outer = Context.getOrUndefined(context, Session) as RequestSession | undefined
      const present = RequestScope.sessionAround(scope, settings.cookie.name, outer)
      if (present !== undefined) return Effect.provideService(app, Session, present)
      const exchange = new Exchange(environment, transports, errorResponse, fiber)
      RequestScope.begin(scope, exchange, outer)
      // Nothing is loaded yet, but the hook must be registered now: any later, it would not run.
      HttpEffect.appendPreResponseHandlerUnsafe(context, (_, response) => beforeSending(exchange, response))
      // The same as `Effect.provideContext`, with fewer allocations.
      fiber.setContext(contextInside(exchange))
      const made = Effect.onExitPrimitive(app as Effect.Effect<Response, E, Exclude<R, Session>>, () => {
        fiber.setContext(context)
        return undefined
      })
      return Effect.flatMap(made, (response) => answer(exchange, response))
    })
})

/** The session, and a request that reports the upgrade if the client asks for one. */
const contextInside = (exchange: Exchange) => {
  const { context } = exchange
  const request = Context.get(context, HttpServerRequest)
  const withSession = Context.add(context, Session, exchange.session)
  return Upgrade.isAskedFor(request)
    ? Context.add(withSession, HttpServerRequest, Upgrade.watched(exchange, request))
    : withSession
}

// -----------------------------------------------------------------------------
// HttpRouter
// -----------------------------------------------------------------------------

const makeForRouter = Effect.map(
  make,
  (withSession) => (route: Effect.Effect<HttpServerResponse.HttpServerResponse, unhandled, Session>) =>
    withSession(route)
)

/**
 * Provides the session to the routes that this Layer is provided to. A route that uses the session without it does not
 * compile.
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
  // Built separately wherever it is provided: a shared one would give all routes the session of the first.
  Layer.fresh(HttpRouter.middleware<{ provides: Session }>()(makeForRouter).layer)

/**
 * Provides the session to all routes of a router, and to requests that match no route.
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
 * Options for declaring a middleware of an `HttpApi`: the errors of sessions with their statuses and without a body, so
 * that clients learn nothing about the store, and for the OpenAPI document how a client can present its session.
 *
 * **Details**
 *
 * `transports`, `cookieName` and `headerName` must match the settings `transports`, `cookie.name` and `header.name`;
 * otherwise the server does not start. By default only the cookie `session`.
 *
 * **Example** (A different cookie name)
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
 * **Example** (Browsers and native applications)
 *
 * ```ts
 * import { HttpApiMiddleware } from "effect/http-api"
 * import { type Session, SessionMiddleware } from "effect-session"
 *
 * class AnySession extends HttpApiMiddleware.Service<AnySession, { provides: Session.Session }>()(
 *   "AnySession",
 *   SessionMiddleware.apiOptions({ transports: ["cookie", "bearer"] })
 * ) {}
 *
 * const AnySessionLayer = SessionMiddleware.layerApiOf(AnySession)
 * ```
 *
 * @since 0.1.0
 * @category HttpApi
 */
export const apiOptions = <const T extends ReadonlyArray<Transport> = readonly ["cookie"]>(options: {
  readonly transports?: T
  readonly cookieName?: string
  readonly headerName?: string
} = {}): { readonly error: typeof ApiErrors.all; readonly security: ApiSecurity<T[number]> } => {
  const { cookieName = "session", headerName = "x-session-token", transports = ["cookie"] as const } = options
  const all: ApiSecurity<Transport> = {
    session: described(
      HttpApiSecurity.apiKey({ in: "cookie", key: cookieName }),
      "The session. The server sets it. A request without a valid session has an empty one."
    ),
    sessionBearer: described(
      HttpApiSecurity.bearer,
      `The session. If the server issues a new token, the response has it in the header ${headerName}.`
    ),
    sessionHeader: described(
      HttpApiSecurity.apiKey({ in: "header", key: headerName }),
      "The session. If the server issues a new token, the response has it in this header."
    )
  }
  const security = Object.fromEntries(transports.map((transport) => [schemes[transport], all[schemes[transport]]]))
  return { error: ApiErrors.all, security: security as unknown as ApiSecurity<T[number]> }
}

const described = <S extends HttpApiSecurity.HttpApiSecurity>(scheme: S, description: string): S =>
  HttpApiSecurity.annotate(scheme, OpenApi.Description, description)

const schemes = { cookie: "session", bearer: "sessionBearer", header: "sessionHeader" } as const

/**
 * The security schemes of an `HttpApi` for these transports.
 *
 * @since 0.1.0
 * @category HttpApi
 */
export type ApiSecurity<T extends Transport> = {
  readonly [K in T as typeof schemes[K]]: K extends "bearer" ? HttpApiSecurity.Http : HttpApiSecurity.ApiKey
}

/**
 * Provides the session to an `HttpApi`, a group or an endpoint, in the cookie `session`. For a different name, see
 * {@link apiOptions}.
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
export type ApiService<Self, Security extends AnyApiSecurity = ApiSecurity<"cookie">> =
  & Context.Service<Self, ApiMiddleware<Security>>
  & { readonly security: Security }

type ApiMiddleware<Security extends AnyApiSecurity> = HttpApiMiddleware.HttpApiMiddlewareSecurity<
  Security,
  Session,
  typeof ApiErrors.all,
  never
>

/**
 * The security schemes of an `HttpApi` for a set of transports.
 *
 * @since 0.1.0
 * @category HttpApi
 */
export type AnyApiSecurity =
  & {
    readonly [K in keyof ApiSecurity<Transport>]?: ApiSecurity<Transport>[K]
  }
  & Record<string, HttpApiSecurity.HttpApiSecurity>

/**
 * The Layer of a middleware that was declared with {@link apiOptions}. The declaration must match the configuration.
 *
 * @since 0.1.0
 * @category HttpApi
 */
export const layerApiOf = <Self, Security extends AnyApiSecurity>(
  service: ApiService<Self, Security>
): Layer.Layer<Self, SessionConfigError, SessionStore | SessionConfig> =>
  Layer.effect(
    service,
    Effect.gen(function*() {
      const mistakes = undocumented(service.security, yield* SessionConfig)
      if (mistakes.length > 0) return yield* new SessionConfigError({ mistakes })
      const withSession = yield* makeWith(withoutBody)
      // The middleware finds the session in every transport, so all schemes share one implementation.
      const middleware = (endpoint: Effect.Effect<Response, unhandled, Session>) => withSession(endpoint)
      return Record.map(service.security, () => middleware) as ApiMiddleware<Security>
    })
  )

/** The differences between the configuration and the OpenAPI document. */
const undocumented = (
  { session, sessionBearer, sessionHeader }: Partial<ApiSecurity<Transport>>,
  { cookie, header, transports }: Settings
): ReadonlyArray<ConfigMistake> => {
  const documented: ReadonlyArray<Transport> = [
    ...(session ? ["cookie" as const] : []),
    ...(sessionBearer ? ["bearer" as const] : []),
    ...(sessionHeader ? ["header" as const] : [])
  ]
  const isSame = documented.length === transports.length && documented.every((one) => transports.includes(one))
  return [
    ...differing(["transports"], isSame, transports.join(","), documented.join(","), "transports"),
    ...(session
      ? differing(["cookie", "name"], session.key === cookie.name, cookie.name, session.key, "cookieName")
      : []),
    ...(sessionHeader
      ? differing(["header", "name"], sessionHeader.key === header.name, header.name, sessionHeader.key, "headerName")
      : [])
  ]
}

const differing = (
  path: ReadonlyArray<string>,
  isSame: boolean,
  found: unknown,
  documented: unknown,
  option: string
): ReadonlyArray<ConfigMistake> =>
  isSame ? [] : [
    Setting.mistake(
      path,
      found,
      `The OpenAPI document says ${JSON.stringify(documented)}. Write the same, or declare the middleware ` +
        `with SessionMiddleware.apiOptions({ ${option} })`
    )
  ]

/**
 * The Layer of {@link Api}.
 *
 * @since 0.1.0
 * @category HttpApi
 */
export const layerApi: Layer.Layer<Api, SessionConfigError, SessionStore | SessionConfig> = layerApiOf(Api)

/**
 * The Layer of a middleware that runs an effect before each handler, such as `Session.requireRecent`. If the effect
 * fails, the handler does not run. It can fail with the errors that the middleware declares, and with those of
 * sessions, which {@link Api} declares.
 *
 * **Example** (A group that requires the password again)
 *
 * ```ts
 * import { Schema } from "effect"
 * import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware } from "effect/http-api"
 * import { Session, SessionError, SessionMiddleware } from "effect-session"
 *
 * class PasswordAgain extends HttpApiMiddleware.Service<PasswordAgain, { requires: Session.Session }>()(
 *   "PasswordAgain",
 *   { error: SessionError.SessionNotRecentError }
 * ) {}
 *
 * const PasswordAgainLayer = SessionMiddleware.layerApiGuard(
 *   PasswordAgain,
 *   Session.requireRecent("10 minutes", { methods: ["password"] })
 * )
 *
 * const Account = HttpApiGroup.make("account").add(
 *   HttpApiEndpoint.put("email", "/email", { payload: Schema.Struct({ email: Schema.String }) })
 * ).middleware(PasswordAgain)
 *
 * const Shop = HttpApi.make("shop").add(Account).middleware(SessionMiddleware.Api)
 * ```
 *
 * @since 0.1.0
 * @category HttpApi
 */
export const layerApiGuard = <Self, E extends Schema.Top | ReadonlyArray<Schema.Top>>(
  service: Context.Service<Self, HttpApiMiddleware.HttpApiMiddleware<never, E, Session>>,
  guard: Effect.Effect<
    unknown,
    (E extends ReadonlyArray<Schema.Top> ? E[number] : E)["Type"] | LoginError | CommitError,
    Session
  >
): Layer.Layer<Self> =>
  // The session's own middleware declares how the errors of sessions are encoded.
  Layer.succeed(service, (handler) => Effect.andThen(guard as Effect.Effect<unknown, unhandled, Session>, handler))
