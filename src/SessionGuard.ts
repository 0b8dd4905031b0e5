/**
 * Guards: routes and endpoints for logged-in users only, which receive the user as a service.
 *
 * **When to use**
 *
 * Use a guard to make "logged in" part of the type. A handler that needs the service, such as `CurrentUser`, does not
 * compile without a guard that provides it, so no handler can forget the check.
 *
 * **Details**
 *
 * A guard is an Effect that returns the value of the service, or fails. {@link required} makes one from a session key,
 * from `Session.owner`, or from any Effect of an `Option`: `None` becomes a `SessionUnauthenticatedError`, status 401.
 * For pages, {@link redirect} redirects to the login instead, and {@link wayBack} leads back from there. {@link layer}
 * puts a guard in front of routes, {@link layerApi} in front of endpoints of an `HttpApi`, and {@link layerRpc} in
 * front of procedures.
 *
 * The guard runs before the handler, once per request or procedure call, in the handler's session. If it fails, the
 * handler does not run.
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
 * - A guard's response is a response of the application: like any other below 500, it commits the guard's changes, such
 *   as a `Session.destroy` because the user is no longer in the database.
 * - Shared caches do not serve a guarded response to other clients, because a response that has read the session has
 *   `Vary: Cookie`. A browser may still show its own copy after a logout. Set `Cache-Control: no-store` if that
 *   matters.
 * - Keep the login page outside a guard that redirects to it.
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
 * A guard that requires an optional value: of a session key, of `Session.owner`, or of your own Effect. Fails with a
 * `SessionUnauthenticatedError` if the value is `None`.
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
 * Fails with a redirect (303) to a login page, with the original destination in the query parameter `to`. Read it there
 * with {@link wayBack}.
 *
 * **Details**
 *
 * For a GET or HEAD request, the destination is the path with its query. A form can't be sent again after the login, so
 * for any other method it is the page that the form was on, if the `Referer` is of the same host; otherwise there is no
 * `to`.
 *
 * `login` is a path or a URL without a fragment. `redirect` throws if it can't be sent in a header.
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

// The characters of a URL without a fragment, since the query must come before a fragment.
const canBeSent = /^[!"$-[\]-~]+$/

/**
 * Returns where to redirect after a login: `to` from the query or a form if it is safe, otherwise `fallback`.
 *
 * **Details**
 *
 * A link to your login page can contain any `to`, so only a path on your own server is accepted: no other host in any
 * spelling (`//evil.example`, `/\evil.example`, `https:evil.example`, `/%2f` and what that becomes if something on the
 * way decodes or normalizes it), no control characters, at most 2,000 characters, and only ASCII, like every URL that a
 * browser sends.
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
 * Puts a guard in front of the routes that this Layer is provided to. They receive its value as a service, and the
 * session. A route that uses the service without it does not compile.
 *
 * **Details**
 *
 * It includes `SessionMiddleware.layer`. If the routes already have that, they share the session. A guard can use the
 * service of another guard, which you then provide further out.
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
  // Effect has no Layer for a middleware that needs a service of the request, as this one does if the guard does. Our
  // type therefore asks it of the routes. Like the session's, it is built separately wherever it is provided.
  return Layer.fresh(middleware.layer as unknown as ReturnType<typeof layer<I, A, E, R>>)
}

// -----------------------------------------------------------------------------
// HttpApi
// -----------------------------------------------------------------------------

/**
 * Puts a guard in front of endpoints of an `HttpApi`, as the Layer of a middleware that provides its value. The
 * middleware declares the guard's errors, except those of sessions, which `SessionMiddleware.Api` declares.
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
  // The session's own middleware declares how the errors of sessions are encoded.
  Layer.succeed(middleware, (handler) =>
    Effect.flatMap(
      guard as Effect.Effect<A, unhandled, R | HttpRouter.Provided>,
      (value) => Effect.provideService(handler, service, value)
    ))

// -----------------------------------------------------------------------------
// RPC
// -----------------------------------------------------------------------------

/**
 * Puts a guard in front of procedures (`effect/rpc`), as the Layer of a middleware that provides its value. The
 * middleware declares the guard's errors, except those of sessions, which `SessionRpc.Middleware` declares: add that
 * one afterwards.
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
  // The session's own middleware declares how the errors of sessions are encoded.
  Layer.succeed(middleware, (procedure) =>
    Effect.flatMap(
      guard as Effect.Effect<A, unhandled, R>,
      (value) => Effect.provideService(procedure, service, value)
    ))
