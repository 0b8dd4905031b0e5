/**
 * Protection against cross-site request forgery (CSRF): middleware that rejects requests which a page of another site
 * has made in the user's name, and tokens for clients that do not state where a request comes from.
 *
 * **Details**
 *
 * GET, HEAD, OPTIONS and TRACE pass. For all other methods, the first matching rule decides:
 *
 * 1. An `Origin` that is in the setting `csrf.origins` passes.
 * 2. `Sec-Fetch-Site`, which all browsers since 2023 send over HTTPS and to localhost: `same-origin` and `none` pass,
 *    `cross-site` does not, and `same-site` (a sibling domain) passes only if `csrf.sameSite` is `"allow"`.
 * 3. `Origin` must be the server's own: the request's host, and https if the session's cookie is `Secure`.
 * 4. Otherwise the request must have a token, in the header `x-csrf-token` or in the field `_csrf` of a form.
 *
 * A token is bound to the session's id, so a login, which regenerates the id, invalidates older tokens. Without a
 * session, tokens are bound to a separate cookie: this protects login forms too, and showing one creates no session.
 * The token is masked differently each time (BREACH), and nothing is stored for it.
 *
 * **Gotchas**
 *
 * - A GET request that changes something is not protected.
 * - To find the token of a multipart form, the whole form is read. If the handler streams the form, send the token in
 *   the header.
 * - A client other than a browser needs a token for requests that change something, unless it presents its session
 *   without a cookie (setting `transports`). Leave the middleware out of routes that do not use a cookie, such as
 *   webhooks.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { unhandled } from "effect/Types"
import { requireSecret } from "./internal/config/secret.ts"
import { type Guard, guardOf } from "./internal/csrf/guard.ts"
import * as Site from "./internal/csrf/site.ts"
import { bindingOf } from "./internal/csrf/token.ts"
import * as Caching from "./internal/http/caching.ts"
import { Exchange } from "./internal/http/exchange.ts"
import * as Log from "./internal/http/log.ts"
import type { RequestSession } from "./internal/request/requestSession.ts"
import * as State from "./internal/request/state.ts"
import { Session } from "./Session.ts"
import { SessionConfig } from "./SessionConfig.ts"
import { SessionClosedError, type SessionConfigError, type SessionStoreError } from "./SessionError.ts"

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/**
 * Why a request was rejected: the browser reports that it comes from another site (`"cross-site"`), from a sibling
 * domain (`"same-site"`), or from an origin that is neither the server's nor allowed (`"origin"`); or the browser
 * reports nothing, and the request has no token (`"missing"`) or one that is not valid for this client (`"invalid"`).
 *
 * @since 0.1.0
 * @category models
 */
export const Reason = Schema.Literals(["cross-site", "same-site", "origin", "missing", "invalid"])

/**
 * Why a request was rejected.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = typeof Reason.Type

/**
 * The request may have been made by a page of another site, and was rejected before its handler ran. Status 403.
 *
 * @since 0.1.0
 * @category errors
 */
export class CsrfError extends Schema.TaggedError<CsrfError>()("CsrfError", { reason: Reason }, {
  httpApiStatus: 403
}) {
  override get message(): string {
    return `The request may come from another site: ${explanations[this.reason]}`
  }
  [HttpServerRespondable.symbol]() {
    return forbidden
  }
}

const forbidden = Effect.succeed(HttpServerResponse.text("Forbidden", { status: 403 }))

const explanations: { readonly [R in Reason]: string } = {
  "cross-site": "Sec-Fetch-Site is cross-site. Add its Origin to csrf.origins if you trust that site",
  "same-site":
    "Sec-Fetch-Site is same-site. Add its Origin to csrf.origins if you trust that host, or set csrf.sameSite " +
    "to \"allow\" if you trust all hosts of the site",
  origin: "its Origin is not the server's. Add it to csrf.origins if you trust it, or if a proxy changes the Host",
  missing:
    "it has neither Sec-Fetch-Site nor Origin, and no token. Put Csrf.field into the form, or Csrf.token into the header",
  invalid: "its token was not issued for this client's session, or the user has logged in since"
}

// -----------------------------------------------------------------------------
// tokens
// -----------------------------------------------------------------------------

/**
 * A token for this client's requests. Send it in the header `x-csrf-token`, or in the form field `_csrf`, see
 * {@link field}. Each token looks different, and is valid until the session gets a new id.
 *
 * **Details**
 *
 * This loads the session and does not create one. If the client has no session, the response sets a cookie for the
 * token, unless the request has `Sec-Fetch-Site`: then the next request has it too, and needs no token.
 *
 * @since 0.1.0
 * @category tokens
 */
export const token: Effect.Effect<Redacted.Redacted<string>, SessionStoreError | SessionClosedError, Session> = Effect
  .gen(function*() {
    const session = yield* requestSession
    yield* session.ready
    const { tokens } = guardOf(session.settings)
    const own = bindingOf((yield* session.id).text)
    if (State.isStored(session.state)) return Redacted.make(tokens.make([own]))
    const presented = yield* bindClient(session, own)
    return Redacted.make(tokens.make(presented === undefined ? [own] : [presented, own]))
  })

/**
 * A hidden form field with a {@link token}, as HTML.
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Csrf } from "effect-session"
 * import { HttpServerResponse } from "effect/http"
 *
 * const page = Effect.map(
 *   Csrf.field,
 *   (field) => HttpServerResponse.html(`<form method="post" action="/login">${field}<input name="name"></form>`)
 * )
 * ```
 *
 * @since 0.1.0
 * @category tokens
 */
export const field: Effect.Effect<string, SessionStoreError | SessionClosedError, Session> = Effect.gen(function*() {
  const { settings } = yield* requestSession
  return `<input type="hidden" name="${settings.csrf.field}" value="${Redacted.value(yield* token)}">`
})

const requestSession = Effect.map(Session, (session) => session as unknown as RequestSession)

/** The value that a client without a session is already bound to. If it is missing, the response sets it. */
const bindClient = (
  session: RequestSession,
  binding: string
): Effect.Effect<string | undefined, SessionClosedError> => {
  const { client, settings } = session
  // Outside a request there is no response.
  if (!(client instanceof Exchange)) return Effect.undefined
  const guard = guardOf(settings)
  const presented = guard.bindingIn(client.header)
  if (presented !== undefined) return Effect.succeed(presented)
  const tells = Site.tells(client.request.headers)
  if (client.isAnswered || client.isTooLateForCookie) {
    return tells ? Effect.undefined : Effect.fail(new SessionClosedError({ operation: "csrfToken" }))
  }
  HttpEffect.appendPreResponseHandlerUnsafe(client.context, (_, response) =>
    Effect.succeed(
      // With a session, the session's middleware has already set these headers.
      State.isStored(session.state)
        ? response
        : Caching.varying(tells ? response : withBinding(guard, response, binding), ["Sec-Fetch-Site"])
    ))
  return Effect.undefined
}

const withBinding = ({ cookie }: Guard, response: HttpServerResponse.HttpServerResponse, binding: string) =>
  cookie.write(binding, 0, 0, undefined).reduce(
    (response, { name, options, value }) => HttpServerResponse.setCookieUnsafe(response, name, value, options),
    Caching.varying(Caching.forOneClient(response), ["Cookie"]) as HttpServerResponse.HttpServerResponse
  )

// -----------------------------------------------------------------------------
// any HTTP effect
// -----------------------------------------------------------------------------

/**
 * Fails with a {@link CsrfError} if the request may have been made by a page of another site. The middleware runs it before
 * the handler.
 *
 * @since 0.1.0
 * @category checking
 */
export const check: Effect.Effect<void, CsrfError | SessionStoreError, Session | HttpServerRequest> = Effect.gen(
  function*() {
    const request = yield* HttpServerRequest
    if (safeMethods.has(request.method)) return
    const session = yield* requestSession
    const sender = senderOf(session)
    if (sender === "bearer") return
    const verdict = Site.verdict(request.headers, session.settings)
    if (verdict === "unknown" && sender === "native") return
    const reason = verdict === "unknown" ? yield* checkToken(request, session) : verdict
    if (reason !== undefined) yield* refuse(request, reason)
  }
)

/**
 * Fails with a {@link CsrfError} if a WebSocket handshake may have been made by a page of another site (cross-site
 * WebSocket hijacking). `SessionSocket` already does this.
 *
 * **Details**
 *
 * A handshake is a GET request, which {@link check} lets pass, and the same-origin policy does not cover WebSockets:
 * without this check, a page of any site could send and receive messages with the user's cookie. Every browser sends an
 * `Origin` with a handshake (RFC 6455, section 4.1). A client that sends neither `Origin` nor `Sec-Fetch-Site` is not a
 * browser, so its cookie does not come from a page's request, and it passes.
 *
 * @since 0.1.0
 * @category checking
 */
export const checkHandshake: Effect.Effect<void, CsrfError, Session | HttpServerRequest> = Effect.gen(function*() {
  const request = yield* HttpServerRequest
  const session = yield* requestSession
  if (senderOf(session) === "bearer") return
  const verdict = Site.verdict(request.headers, session.settings)
  if (verdict !== undefined && verdict !== "unknown") yield* refuse(request, verdict)
})

const refuse = Effect.fnUntraced(function*(request: HttpServerRequest, reason: Reason) {
  yield* Log.warning("A request that may come from another site was rejected", request, {
    "effect_session.refusal": reason
  })
  return yield* new CsrfError({ reason })
})

/**
 * A page of another site can't send a token outside of a cookie. If such clients are expected, a request without a
 * cookie and without the headers in which browsers state its origin comes from one that has no token yet.
 */
const senderOf = ({ client }: RequestSession): "bearer" | "native" | "browser" => {
  if (!(client instanceof Exchange) || !client.transports.areSeveral) return "browser"
  const { transport } = client.shown
  if (transport === "bearer" || transport === "header") return "bearer"
  return client.header === undefined ? "native" : "browser"
}

const safeMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"])

/** Why the token is insufficient, if it is. */
const checkToken = Effect.fnUntraced(function*(request: HttpServerRequest, session: RequestSession) {
  const { csrf } = session.settings
  const token = request.headers[csrf.header] ?? (yield* fieldIn(request, session))[csrf.field]
  if (token === undefined) return "missing"
  yield* session.ready
  const { bindingIn, tokens } = guardOf(session.settings)
  const { state } = session
  const binding = State.isStored(state) ? bindingOf(state.id.text) : bindingIn(request.headers["cookie"])
  // A field that occurs twice is a list.
  return typeof token === "string" && binding !== undefined && tokens.isValid(token, binding) ? undefined : "invalid"
})

/** The fields of a form. No other body is read, because only the handler knows how to read it. */
const fieldIn = ({ headers }: HttpServerRequest, { client }: RequestSession) =>
  forms.test(headers["content-type"] ?? "") ? client.input : Effect.succeed<{ readonly [name: string]: unknown }>({})

const forms = /^(?:application\/x-www-form-urlencoded|multipart\/form-data)\b/

// -----------------------------------------------------------------------------
// HttpRouter
// -----------------------------------------------------------------------------

const checkBefore = <E, R>(handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
  Effect.andThen(check, handler)

/** Signing needs a secret. */
const whenReady = Effect.flatMap(SessionConfig, (settings) => requireSecret(settings, "Csrf"))

/**
 * Runs {@link check} before the routes that this Layer is provided to. The session's middleware must be further out.
 *
 * **Example**
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Csrf, SessionMiddleware } from "effect-session"
 * import { HttpRouter, HttpServerResponse } from "effect/http"
 *
 * const Routes = HttpRouter.add("POST", "/login", HttpServerResponse.redirect("/")).pipe(
 *   Layer.provide(Csrf.layer),
 *   Layer.provide(SessionMiddleware.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  never,
  SessionConfigError,
  | SessionConfig
  | HttpRouter.Request<"Requires", Session>
  | HttpRouter.Request<"Error", CsrfError>
  | HttpRouter.Request<"Error", SessionStoreError>
> = HttpRouter.middleware<{ provides: never }>()(
  Effect.as(
    whenReady,
    (route: Effect.Effect<HttpServerResponse.HttpServerResponse, unhandled>) =>
      // The type below declares that the session is needed: a router's middleware can't get it from a Layer.
      checkBefore(route) as Effect.Effect<
        HttpServerResponse.HttpServerResponse,
        CsrfError | SessionStoreError | unhandled
      >
  )
).layer

// -----------------------------------------------------------------------------
// HttpApi
// -----------------------------------------------------------------------------

/**
 * Runs {@link check} before the endpoints of an `HttpApi`, a group or an endpoint, and declares the {@link CsrfError}. The
 * session's middleware must be further out, so add it afterwards.
 *
 * **Example**
 *
 * ```ts
 * import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
 * import { Csrf, SessionMiddleware } from "effect-session"
 *
 * const Cart = HttpApiGroup.make("cart").add(HttpApiEndpoint.post("order", "/order"))
 *
 * const Api = HttpApi.make("shop").add(Cart).middleware(Csrf.Api).middleware(SessionMiddleware.Api)
 * ```
 *
 * @since 0.1.0
 * @category HttpApi
 */
export class Api extends HttpApiMiddleware.Service<Api, { requires: Session }>()("effect-session/Csrf/Api", {
  error: CsrfError
}) {}

/**
 * The Layer of {@link Api}.
 *
 * @since 0.1.0
 * @category HttpApi
 */
export const layerApi: Layer.Layer<Api, SessionConfigError, SessionConfig> = Layer.effect(
  Api,
  // The session's own middleware declares its errors.
  Effect.as(whenReady, (handler) =>
    checkBefore(handler) as Effect.Effect<
      HttpServerResponse.HttpServerResponse,
      CsrfError | unhandled,
      Session | HttpRouter.Provided
    >)
)
