/**
 * Sessions for HTTP: middleware that provides the {@link Session} of each request, writes what has changed as soon as there
 * is a response, and sets the cookie.
 *
 * **Details**
 *
 * A request that does not use its session costs no store call and no cookie.
 *
 * The response that leaves the middleware decides. An answer of the application, such as a success, a redirect or a 404,
 * commits what the request has changed; a response of the 5xx class changes nothing, unless the handler committed by
 * hand. A commit that fails becomes the response: 503, without a cookie, with the headers and cookies that others have set
 * on the response that it replaces. Access logs, spans, metrics and all other middleware outside of this one see what the
 * client gets.
 *
 * An error that leaves the middleware is decided by the response that it becomes further out, just before the headers of
 * that response go out: a typed error that becomes a 409 commits; a defect or an interruption changes nothing.
 *
 * Where the middleware stands twice for the same cookie, the outer one commits.
 *
 * A response whose handler has used the session has `Vary: Cookie`. One that sets the cookie is `no-store`, or, if the application
 * says something else of caches, `private`; a cookie that would only extend the session's life waits for the next response if
 * the application lets shared caches keep this one.
 *
 * **Gotchas**
 *
 * - If something further out replaces a response whose changes were committed, also by an error, they stay committed, and
 *   the new response gets the cookie.
 * - If the commit of an error's response fails, the client gets the 503, but access logs, spans and metrics have seen the
 *   response from before. Turn errors into responses inside of the middleware if you need them to agree.
 * - The response that leaves the middleware may have the cookie. Something further out that keeps responses must obey
 *   their `Cache-Control` and `Vary`.
 * - A stream whose body uses the session has no `Vary: Cookie` unless the handler has used it as well: the headers are out
 *   by then.
 * - The response to a WebSocket's handshake can't set a cookie. From `HttpServerRequest.upgrade` on, a change that needs
 *   one is a `SessionClosedError`: every change of a client without a session, `regenerate` and `destroy`, and with the
 *   CookieLayer every change. Other changes are saved when the handler ends with a response, or by `Session.commit`. If
 *   there is such a change already, the upgrade itself fails, with an `HttpServerError` whose cause is the
 *   `SessionClosedError`: make it in a request before.
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

const withText: ErrorResponse = (status) => HttpServerResponse.text(texts[status], { status })

const texts: { readonly [Status in ErrorStatus]: string } = {
  409: "Conflict",
  500: "Internal Server Error",
  503: "Service Unavailable"
}

// As the errors of an HttpApi are declared: a client of it does not accept a body.
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
      // Nothing is loaded, but the hook is set: registered any later, it would not run.
      HttpEffect.appendPreResponseHandlerUnsafe(context, (_, response) => beforeSending(exchange, response))
      // As `Effect.provideContext` would do it, which allocates more.
      fiber.setContext(contextInside(exchange))
      const made = Effect.onExitPrimitive(app as Effect.Effect<Response, E, Exclude<R, Session>>, () => {
        fiber.setContext(context)
        return undefined
      })
      return Effect.flatMap(made, (response) => answer(exchange, response))
    })
})

/** The session, and a request that tells of an upgrade if the client asks for one. */
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
 * client learns nothing of the store, and how a client can present its session, for the OpenAPI document.
 *
 * **Details**
 *
 * `transports`, `cookieName` and `headerName` say what the settings `transports`, `cookie.name` and `header.name` say; otherwise
 * the server does not start. Default: only the cookie `session`.
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
 * **Example** (For browsers and for native applications)
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
      "The session. A request without it, or with one that is not valid, has an empty session; the server sets it."
    ),
    sessionBearer: described(
      HttpApiSecurity.bearer,
      `The session. If the server gives it another token, the response has it in the header ${headerName}.`
    ),
    sessionHeader: described(
      HttpApiSecurity.apiKey({ in: "header", key: headerName }),
      "The session. If the server gives it another token, the response has it in this header."
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
 * The security schemes of an `HttpApi` for some transports.
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
 * The Layer of a middleware that was declared with {@link apiOptions}. What it says must be what the configuration says.
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
      // However the client presents the session, the middleware finds it.
      const middleware = (endpoint: Effect.Effect<Response, unhandled, Session>) => withSession(endpoint)
      return Record.map(service.security, () => middleware) as ApiMiddleware<Security>
    })
  )

/** Where the configuration says something else than the OpenAPI document. */
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
      `The OpenAPI document says ${JSON.stringify(documented)}: write that, or declare the middleware ` +
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
 * The Layer of a middleware that runs an effect before each handler, such as `Session.requireRecent`: if it fails, the
 * handler does not run. The errors are those that the middleware declares, and those of sessions, which {@link Api} declares.
 *
 * **Example** (A group that needs the password again)
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
  // The errors of sessions are encoded as the session's own middleware declares them.
  Layer.succeed(service, (handler) => Effect.andThen(guard as Effect.Effect<unknown, unhandled, Session>, handler))
