/**
 * Which request does what.
 *
 * The session of a request is loaded when a handler first uses it, and changes are saved just before the response is sent. A
 * handler neither loads nor saves anything.
 */
import { DateTime, Effect, Layer, Option, Schema, SchemaIssue } from "effect"
import {
  Csrf,
  Session,
  SessionConfig,
  type SessionError,
  SessionGuard,
  SessionMiddleware,
  Sessions
} from "effect-session"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { fileURLToPath } from "node:url"
import * as Account from "./account.ts"
import * as Cart from "./cart.ts"
import { deviceName } from "./devices.ts"
import { Html } from "./html.ts"
import { Customer, Visits } from "./keys.ts"
import * as Live from "./live.ts"
import * as Pages from "./pages.ts"
import { products } from "./products.ts"

// -----------------------------------------------------------------------------
// responses
// -----------------------------------------------------------------------------

/** A page shows the current session, through a view that it can read without Effects. */
const page = (render: (visit: Pages.Visit) => Html) =>
  Effect.gen(function*() {
    const visit = { session: yield* Session.view, hasEnded: yield* hasEnded, csrf: new Html(yield* Csrf.field) }
    return HttpServerResponse.setHeaders(HttpServerResponse.html(render(visit).source), headers)
  })

/** Whether the browser has sent a session that has ended, for example from another device. */
const hasEnded = Effect.gen(function*() {
  const { cookies } = yield* HttpServerRequest.HttpServerRequest
  const { cookie } = yield* SessionConfig.SessionConfig
  return cookie.name in cookies && (yield* Session.fresh)
})

const headers = {
  // Otherwise browsers show a stored page when the user goes back, even after a logout.
  "cache-control": "no-store",
  // Only the shop's own resources can be loaded, run, connected to or posted to.
  "content-security-policy":
    "default-src 'self'; img-src data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}

/** After a form, redirects to a page, so that reloading does not send the form again. */
const seeOther = (path: string) => HttpServerResponse.redirect(path, { status: 303 })

/** The messages of a schema, by the name of the field. */
const errorsByField = ({ issue }: Schema.SchemaError): Record<string, string> =>
  Object.fromEntries(formatIssue(issue).issues.map(({ message, path }) => [path?.join(".") ?? "", message]))

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

// -----------------------------------------------------------------------------
// home and login
// -----------------------------------------------------------------------------

const home = Effect.gen(function*() {
  // "increment" and not "read, add, write": simultaneous visits in two tabs are both counted, if the store is on
  // the server.
  yield* Session.increment(Visits)
  return yield* page(Pages.home)
})

const PasswordForm = Schema.Struct({
  // Where the customer was going. Anyone can put anything into a link, so "wayBack" checks it.
  to: Schema.optionalKey(Schema.String),
  name: Schema.Trim.check(
    Schema.isNonEmpty({ message: "Please write your name." }),
    Schema.isMaxLength(40, { message: "Please write at most 40 characters." })
  ),
  password: Schema.String.check(Schema.isMinLength(8, { message: "A password has at least 8 characters." }))
})

const LoginForm = Schema.Struct({
  ...PasswordForm.fields,
  keep: Schema.optionalKey(Schema.Literal("yes"))
})

const thisDevice = Effect.map(
  HttpServerRequest.HttpServerRequest,
  ({ headers }) => deviceName(headers["user-agent"])
)

/** A page with a form that continues to where the customer was going. */
const pageOnTheWay = (render: (visit: Pages.Visit, to: string) => Html) =>
  Effect.flatMap(
    HttpServerRequest.ParsedSearchParams,
    ({ to }) => page((visit) => render(visit, SessionGuard.wayBack(to, "")))
  )

/** Back to a form with its errors and its input, except passwords. */
const again = (path: string, errors: Record<string, string>) =>
  Effect.gen(function*() {
    yield* Session.flash("errors", errors)
    yield* Session.flashAll()
    return seeOther(path)
  })

const failedLogin = (form: string) => ({
  SchemaError: (error: Schema.SchemaError) => again(form, errorsByField(error)),
  // Only with a limit, such as SESSION_OWNER_LIMIT=3.
  SessionLimitError: ({ limit }: SessionError.SessionLimitError) =>
    Effect.andThen(
      Session.rollback,
      again("/login", {
        name: `You are logged in on as many devices as you may be: ${limit}. Log out on one of them first.`
      })
    )
})

const login = Effect.gen(function*() {
  // A real shop would look the customer up and check the password here.
  const { keep, name, to } = yield* HttpServerRequest.schemaBodyUrlParams(LoginForm, { errors: "all" })
  yield* Account.logIn(name, yield* thisDevice, Account.keptLoggedIn(keep === "yes"))
  yield* Session.flash("message", `Welcome, ${name}.`)
  const { count } = yield* Cart.contents
  return seeOther(SessionGuard.wayBack(to, count > 0 ? "/cart" : "/"))
}).pipe(Effect.catchTags(failedLogin("/login")))

const logout = Effect.gen(function*() {
  // The session has ended, and a copy of its cookie no longer works. The cart stays, in a new session.
  yield* Session.logout
  yield* Session.flash("message", "You are logged out.")
  return seeOther("/")
})

// -----------------------------------------------------------------------------
// security
// -----------------------------------------------------------------------------

/** A logged-in customer confirms the password, which is a login like any other. */
const confirm = Effect.gen(function*() {
  const { name, to } = yield* HttpServerRequest.schemaBodyUrlParams(PasswordForm, { errors: "all" })
  yield* Account.logIn(name, yield* thisDevice)
  return seeOther(SessionGuard.wayBack(to, "/security"))
}).pipe(Effect.catchTags(failedLogin("/password")))

const password = Effect.gen(function*() {
  return Option.isSome(yield* Customer) ? yield* pageOnTheWay(Pages.password) : seeOther("/login")
})

/** Asks for the password if the customer has not entered it recently, and then returns to the page. */
const confirmed = Account.confirmedCustomer.pipe(
  Effect.catchTags({
    SessionUnauthenticatedError: () =>
      Effect.gen(function*() {
        yield* Session.flash(
          "message",
          (yield* hasEnded) ? Pages.sessionHasEnded : "Please log in to see your devices."
        )
        return yield* SessionGuard.redirect("/login")
      }),
    SessionNotRecentError: () => SessionGuard.redirect("/password")
  })
)

const NextPage = Schema.Struct({ after: Schema.optional(Schema.String) })

const security = Effect.gen(function*() {
  const { after } = yield* HttpServerRequest.schemaSearchParams(NextPage)
  const devices = yield* Account.devices(yield* Account.CurrentCustomer, after)
  const now = yield* DateTime.now
  return yield* page((visit) => Pages.security(visit, devices, now))
})

const DeviceForm = Schema.Struct({ handle: Schema.String })

const logOutDevice = Effect.gen(function*() {
  const { handle } = yield* HttpServerRequest.schemaBodyUrlParams(DeviceForm)
  const wasThere = yield* Sessions.destroyHandle(yield* Account.CurrentCustomer, handle)
  yield* Session.flash("message", wasThere ? "The device is logged out." : "The device was logged out already.")
  return seeOther("/security")
})

const logOutOthers = Effect.gen(function*() {
  // Required so that this does not compile without the guard.
  yield* Account.CurrentCustomer
  const count = yield* Sessions.destroyOthers
  yield* Session.flash("message", `${count === 1 ? "One other device is" : `${count} other devices are`} logged out.`)
  return seeOther("/security")
})

// -----------------------------------------------------------------------------
// cart
// -----------------------------------------------------------------------------

/** A product in a form is its id. A form with any other id is not ours, and gets a 400 Bad Request. */
const ProductForm = Schema.Struct({ product: Schema.Literals(products.map(({ id }) => id)) })

const productInForm = HttpServerRequest.schemaBodyUrlParams(ProductForm).pipe(
  Effect.map((form) => products.find(({ id }) => id === form.product)!)
)

const addToCart = Effect.gen(function*() {
  const product = yield* productInForm
  yield* Cart.add(product)
  yield* Session.flash("message", `${product.name} is in your cart.`)
  return seeOther("/cart")
})

const removeFromCart = Effect.gen(function*() {
  const product = yield* productInForm
  yield* Cart.remove(product)
  yield* Session.flash("message", `${product.name} is no longer in your cart.`)
  return seeOther("/cart")
})

const QuantityForm = Schema.Struct({
  quantity: Schema.String.check(
    Schema.isPattern(/^\d{1,2}$/, { message: "Please write a whole number from 0 to 99." })
  ).pipe(Schema.decodeTo(Schema.FiniteFromString))
})

const changeQuantity = Effect.gen(function*() {
  const product = yield* productInForm
  yield* HttpServerRequest.schemaBodyUrlParams(QuantityForm).pipe(
    Effect.flatMap(({ quantity }) => Cart.setQuantity(product, quantity)),
    Effect.catchTag("SchemaError", (error) => Session.flash("errors", { [product.id]: errorsByField(error) }))
  )
  return seeOther("/cart")
})

const order = Effect.gen(function*() {
  const { customer, total } = yield* Cart.order
  yield* Session.flash("message", `Thank you, ${customer}. Your order comes to ${Pages.money(total)}.`)
  // A double click sends two orders. If the store is on the server, only one of them gets past this line.
  yield* Session.commit
  // A real shop would handle the payment here.
  return seeOther("/")
}).pipe(
  Effect.catchTags({
    NotLoggedIn: () => Effect.as(Session.flash("message", "Please log in to order."), seeOther("/login")),
    // The previous order's message may not have been shown yet.
    CartIsEmpty: () => Effect.as(Session.reflash, seeOther("/cart")),
    // Another order has taken the cart, or its contents have changed: show the customer the current cart.
    SessionConflictError: () => Effect.as(Session.rollback, seeOther("/cart"))
  })
)

// -----------------------------------------------------------------------------
// what is in the session
// -----------------------------------------------------------------------------

const session = Effect.gen(function*() {
  const facts = {
    // The name of the session for logs and lists. The id itself is a secret.
    handle: yield* Session.handle,
    createdAt: Option.getOrUndefined(yield* Session.createdAt),
    expiresAt: Option.getOrUndefined((yield* Session.expiresAt).idle),
    fresh: yield* Session.fresh
  }
  return yield* page((visit) => Pages.session(visit, facts))
})

// -----------------------------------------------------------------------------
// routes
// -----------------------------------------------------------------------------

/** Without it, routes that need the current customer do not compile. */
const ConfirmedOnly = SessionGuard.layer(Account.CurrentCustomer, confirmed)

const ShownPages = Layer.mergeAll(
  HttpRouter.add("GET", "/", home),
  HttpRouter.add("GET", "/login", pageOnTheWay(Pages.login)),
  HttpRouter.add("GET", "/password", password),
  HttpRouter.add("GET", "/security", security).pipe(Layer.provide(ConfirmedOnly)),
  HttpRouter.add("GET", "/cart", page(Pages.cart)),
  HttpRouter.add("GET", "/session", session)
)

// It checks the origin of the handshake itself.
const Badge = HttpRouter.add("GET", "/live", Live.badge)

const PostedForms = Layer.mergeAll(
  HttpRouter.add("POST", "/login", login),
  HttpRouter.add("POST", "/logout", logout),
  HttpRouter.add("POST", "/password", confirm),
  Layer.mergeAll(
    HttpRouter.add("POST", "/security/log-out", logOutDevice),
    HttpRouter.add("POST", "/security/log-out-others", logOutOthers)
  ).pipe(Layer.provide(ConfirmedOnly)),
  HttpRouter.add("POST", "/cart/add", Live.telling(addToCart)),
  HttpRouter.add("POST", "/cart/remove", Live.telling(removeFromCart)),
  HttpRouter.add("POST", "/cart/quantity", Live.telling(changeQuantity)),
  HttpRouter.add("POST", "/cart/order", Live.telling(order))
).pipe(
  // Other sites can't post forms in the customer's name (CSRF), nor log the customer in under another name.
  Layer.provide(Csrf.layer)
)

const file = (name: string, contentType: string) =>
  HttpRouter.add(
    "GET",
    `/${name}`,
    HttpServerResponse.file(fileURLToPath(new URL(name, import.meta.url)), { contentType })
  )

const Files = Layer.mergeAll(file("style.css", "text/css"), file("badge.js", "text/javascript"))

export const Routes = Layer.mergeAll(ShownPages, PostedForms, Badge).pipe(
  // Without this line the shop does not compile, because the routes need a session. Nor does it with a store that
  // does not support owners.
  Layer.provide(SessionMiddleware.layer),
  Layer.merge(Files)
)
