/**
 * Guards: routes and endpoints for logged-in users only, which get the user as a service.
 *
 * **When to use**
 *
 * Use a guard so that "logged in" is a type. A handler that needs the service, such as `CurrentUser`, does not compile where no
 * guard provides it, so no handler can forget the check.
 *
 * **Details**
 *
 * A guard is an Effect of yours that gives the value of the service, or fails. {@link required} makes one of a session key, of
 * `Session.owner`, or of whatever else gives an `Option`: nothing there is a `SessionUnauthenticatedError`, status 401. For pages,
 * {@link redirect} sends to the login instead, and {@link wayBack} leads back from there. {@link layer} puts a guard before
 * routes, {@link layerApi} before endpoints of an `HttpApi`, {@link layerRpc} before procedures.
 *
 * The guard runs once for each request, or for each call of a procedure, before the handler, in the session that the handler has.
 * If it fails, the handler does not run.
 *
 * **Example** (A user from a database)
 *
 * ```ts
 * import { Context, Effect, Layer, Option, Schema } from "effect"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 * import { Session, SessionGuard, SessionKey } from "effect-session"
 *
 * interface User {
 *   readonly name: string
 * }
 *
 * class CurrentUser extends Context.Service<CurrentUser, User>()("CurrentUser") {}
 *
 * declare const findUser: (id: string) => Effect.Effect<Option.Option<User>>
 *
 * const UserId = SessionKey.make("user_id", Schema.String)
 *
 * const loggedIn = SessionGuard.required(UserId).pipe(
 *   Effect.flatMap((id) => SessionGuard.required(findUser(id))),
 *   Effect.catchTag("SessionUnauthenticatedError", () => SessionGuard.redirect("/login"))
 * )
 *
 * const Account = HttpRouter.add(
 *   "GET",
 *   "/account",
 *   Effect.map(CurrentUser, ({ name }) => HttpServerResponse.text(`Hello, ${name}`))
 * ).pipe(Layer.provide(SessionGuard.layer(CurrentUser, loggedIn)))
 * ```
 *
 * **Gotchas**
 *
 * - A guard's answer is one of the application: as any answer below 500, it commits what the guard has changed, such as a
 *   `Session.destroy` where the user is no longer in the database.
 * - Caches that several clients share keep no answer of a guard for somebody else: what has read the session has `Vary: Cookie`.
 *   A browser may show its own copy again after a logout. Set `Cache-Control: no-store` where that matters.
 * - The login page must stay outside of a guard that redirects to it.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as RpcMiddleware from "effect/rpc/RpcMiddleware"
import type * as Schema from "effect/Schema"
import type { unhandled } from "effect/Types"
import * as WayBack from "./internal/http/wayBack.ts"
import type { Session } from "./Session.ts"
import type { SessionConfig } from "./SessionConfig.ts"
import { type CommitError, type LoginError, SessionUnauthenticatedError } from "./SessionError.ts"
import * as SessionMiddleware from "./SessionMiddleware.ts"
import type { SessionStore } from "./SessionStore.ts"

// -----------------------------------------------------------------------------
// guards
// -----------------------------------------------------------------------------

/**
 * A guard of something that may be absent: a session key, `Session.owner`, or an Effect of yours. If there is nothing, it fails
 * with a `SessionUnauthenticatedError`.
 *
 * **Example** (The owner)
 *
 * ```ts
 * import { Session, SessionGuard } from "effect-session"
 *
 * const userId = SessionGuard.required(Session.owner)
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const required = <A, E, R>(
  source: Effect.Effect<Option.Option<A>, E, R>
): Effect.Effect<A, E | SessionUnauthenticatedError, R> =>
  Effect.flatMap(
    source,
    (found) => found._tag === "Some" ? Effect.succeed(found.value) : Effect.fail(new SessionUnauthenticatedError())
  )

/**
 * Fails with a redirect to a login page (303), whose query says in `to` where the browser was going. Read it there with
 * {@link wayBack}.
 *
 * **Details**
 *
 * For a GET or a HEAD, that is the path with its query. A form can't be sent again after the login, so for any other method it is
 * the page that the form was on, if the `Referer` says so and is of the same host, and otherwise there is no `to`.
 *
 * `login` is a path or a URL, without a fragment. Anything that can't be sent in a header throws where `redirect` is called.
 *
 * **Example** (A message for the login page)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Session, SessionGuard } from "effect-session"
 *
 * const userId = SessionGuard.required(Session.owner).pipe(
 *   Effect.catchTag("SessionUnauthenticatedError", () =>
 *     Effect.andThen(Session.flash("message", "Please log in first."), SessionGuard.redirect("/login")))
 * )
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const redirect = (
  login: string
): Effect.Effect<never, HttpServerResponse.HttpServerResponse, HttpServerRequest> => {
  if (!canBeSent.test(login)) {
    throw new Error(`SessionGuard.redirect(${JSON.stringify(login)}): write a path or a URL, such as "/login"`)
  }
  return Effect.flatMap(HttpServerRequest, (request) => {
    const target = WayBack.toLogin(login, request)
    return Effect.fail(HttpServerResponse.redirect(target, { status: 303 }))
  })
}

// What a URL may have in it, but for a fragment: the query would have to stand before that.
const canBeSent = /^[!"$-[\]-~]+$/

/**
 * The way back from a login, if it is one: `to` as the query or a form has it, or else `fallback`.
 *
 * **Details**
 *
 * A link to your login page can say anything there, so only a path of your own server counts: no other host in any spelling
 * (`//evil.example`, `/\evil.example`, `https:evil.example`, nor `/%2f` and what becomes that where something decodes or normalizes
 * it on the way), no control characters, at most 2,000 characters, and only ASCII, as in any URL that a browser sends.
 *
 * **Example**
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { HttpServerRequest, HttpServerResponse } from "effect/http"
 * import { SessionGuard } from "effect-session"
 *
 * const LoginForm = Schema.Struct({ name: Schema.String, to: Schema.optional(Schema.String) })
 *
 * const login = Effect.gen(function*() {
 *   const { to } = yield* HttpServerRequest.schemaBodyUrlParams(LoginForm)
 *   return HttpServerResponse.redirect(SessionGuard.wayBack(to, "/"), { status: 303 })
 * })
 * ```
 *
 * @since 0.1.0
 * @category redirects
 */
export const wayBack = (to: string | ReadonlyArray<string> | undefined, fallback: string): string =>
  typeof to === "string" && WayBack.isOwnPath(to) ? to : fallback

// -----------------------------------------------------------------------------
// HttpRouter
// -----------------------------------------------------------------------------

/**
 * A guard before the routes that this Layer is provided to: they get its value as a service, and the session. A route that uses the
 * service without it does not compile.
 *
 * **Details**
 *
 * It brings `SessionMiddleware.layer` with it. If the routes have that anyway, it is the same session. A guard may need the service
 * of another one, which is then provided further out.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <I, A, E, R>(
  service: Context.Key<I, A>,
  guard: Effect.Effect<A, E, R>
): Layer.Layer<
  HttpRouter.Request.From<"Requires", I | Session>,
  never,
  | SessionStore
  | SessionConfig
  | HttpRouter.Request.From<"Requires", Exclude<R, Session | HttpRouter.Provided>>
  | HttpRouter.Request.From<"Error", E>
> => {
  type Route = Effect.Effect<HttpServerResponse.HttpServerResponse, unhandled, I | Session>
  const middleware = HttpRouter.middleware<{ provides: I | Session }>()(
    Effect.map(
      SessionMiddleware.make,
      (withSession) => (route: Route) =>
        withSession(Effect.flatMap(guard, (value) => Effect.provideService(route, service, value)))
    )
  )
  // Effect offers no Layer for a middleware that needs a service of the request, as this one does if the guard does. In our
  // type, it is needed of the routes' own.
  // Built anew wherever it is provided, as the session's is.
  return Layer.fresh(middleware.layer as unknown as ReturnType<typeof layer<I, A, E, R>>)
}

// -----------------------------------------------------------------------------
// HttpApi
// -----------------------------------------------------------------------------

/**
 * A guard before endpoints of an `HttpApi`, as the Layer of a middleware that provides its value. The middleware declares the
 * guard's errors, but for those of sessions, which `SessionMiddleware.Api` declares.
 *
 * **Example**
 *
 * ```ts
 * import { Context, Schema } from "effect"
 * import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware } from "effect/http-api"
 * import { Session, SessionError, SessionGuard, SessionMiddleware } from "effect-session"
 *
 * class CurrentUser extends Context.Service<CurrentUser, string>()("CurrentUser") {}
 *
 * class LoggedIn extends HttpApiMiddleware.Service<LoggedIn, { requires: Session.Session; provides: CurrentUser }>()(
 *   "LoggedIn",
 *   { error: SessionError.SessionUnauthenticatedError }
 * ) {}
 *
 * const LoggedInLayer = SessionGuard.layerApi(LoggedIn, CurrentUser, SessionGuard.required(Session.owner))
 *
 * const Account = HttpApiGroup.make("account").add(
 *   HttpApiEndpoint.get("name", "/name", { success: Schema.String })
 * ).middleware(LoggedIn)
 *
 * const Api = HttpApi.make("shop").add(Account).middleware(SessionMiddleware.Api)
 * ```
 *
 * @since 0.1.0
 * @category HttpApi
 */
export const layerApi = <Self, I, A, E extends Schema.Top | ReadonlyArray<Schema.Top>, R>(
  middleware: Context.Service<Self, HttpApiMiddleware.HttpApiMiddleware<I, E, R>>,
  service: Context.Key<I, A>,
  guard: Effect.Effect<
    A,
    (E extends ReadonlyArray<Schema.Top> ? E[number] : E)["Type"] | LoginError | CommitError,
    R | HttpRouter.Provided
  >
): Layer.Layer<Self> =>
  // The errors of sessions are encoded as the session's own middleware declares them.
  Layer.succeed(middleware, (handler) =>
    Effect.flatMap(
      guard as Effect.Effect<A, unhandled, R | HttpRouter.Provided>,
      (value) => Effect.provideService(handler, service, value)
    ))

// -----------------------------------------------------------------------------
// RPC
// -----------------------------------------------------------------------------

/**
 * A guard before procedures (`effect/rpc`), as the Layer of a middleware that provides its value. The middleware declares the
 * guard's errors, but for those of sessions, which `SessionRpc.Middleware` declares: add that one afterwards.
 *
 * **Example**
 *
 * ```ts
 * import { Context, Schema } from "effect"
 * import { Rpc, RpcGroup, RpcMiddleware } from "effect/rpc"
 * import { Session, SessionError, SessionGuard, SessionRpc } from "effect-session"
 *
 * class CurrentUser extends Context.Service<CurrentUser, string>()("CurrentUser") {}
 *
 * class LoggedIn extends RpcMiddleware.Service<LoggedIn, { requires: Session.Session; provides: CurrentUser }>()(
 *   "LoggedIn",
 *   { error: SessionError.SessionUnauthenticatedError }
 * ) {}
 *
 * const LoggedInLayer = SessionGuard.layerRpc(LoggedIn, CurrentUser, SessionGuard.required(Session.owner))
 *
 * const Account = RpcGroup.make(Rpc.make("name", { success: Schema.String }))
 *   .middleware(LoggedIn)
 *   .middleware(SessionRpc.Middleware)
 * ```
 *
 * @since 0.1.0
 * @category RPC
 */
export const layerRpc = <Self, I, A, E, R>(
  middleware: Context.Key<Self, RpcMiddleware.RpcMiddleware<I, E, R>>,
  service: Context.Key<I, A>,
  guard: Effect.Effect<A, E | LoginError | CommitError, R>
): Layer.Layer<Self> =>
  // The errors of sessions are encoded as the session's own middleware declares them.
  Layer.succeed(middleware, (procedure) =>
    Effect.flatMap(
      guard as Effect.Effect<A, unhandled, R>,
      (value) => Effect.provideService(procedure, service, value)
    ))
