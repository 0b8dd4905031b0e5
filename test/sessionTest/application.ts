/**
 * A small application, as those who use `SessionTest` have them: pages, forms, a login, and requests of other sites refused.
 */
import { Effect, Layer, Schema } from "effect"
import { Csrf, Session, SessionKey, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"

export const UserId = SessionKey.make("user_id", Schema.Int)
export const Cart = SessionKey.make("cart", Schema.Array(Schema.String)).pipe(SessionKey.withDefault(() => []))
export const Since = SessionKey.make("since", Schema.Date)

/** Answers with what the request sees of its session. */
const show = HttpRouter.add(
  "GET",
  "/",
  Effect.map(
    Session.view,
    (view) => HttpServerResponse.jsonUnsafe({ session: view.all(), flash: view.flashMessages.all() })
  )
)

const loginForm = HttpRouter.add(
  "GET",
  "/login",
  Effect.map(Csrf.field, (field) =>
    HttpServerResponse.html(
      `<form method="post">${field}<input type="hidden" name="to" value="/?a=1&amp;b=2"><input name="name"></form>`
    ))
)

const login = HttpRouter.add(
  "POST",
  "/login",
  Effect.gen(function*() {
    const { name } = yield* HttpServerRequest.schemaBodyForm(Schema.Struct({ name: Schema.String }))
    yield* Session.login(name, { methods: ["password"] })
    yield* Session.put(UserId, name.length)
    yield* Session.flash("message", `Hello, ${name}`)
    return HttpServerResponse.redirect("/", { status: 303 })
  })
)

const add = HttpRouter.add(
  "POST",
  "/cart",
  Effect.gen(function*() {
    const { product } = yield* HttpServerRequest.schemaBodyJson(Schema.Struct({ product: Schema.String }))
    return HttpServerResponse.jsonUnsafe(yield* Session.modify(Cart, (cart) => [...cart, product]))
  })
)

const logout = HttpRouter.add("POST", "/logout", Effect.as(Session.logout, HttpServerResponse.redirect("/")))

const forget = HttpRouter.add(
  "POST",
  "/forget",
  Effect.as(Session.clearSiteData(["cookies"]), HttpServerResponse.empty())
)

/** Does not use the session. */
const about = HttpRouter.add("GET", "/about", HttpServerResponse.text("About us"))

const routes = Layer.mergeAll(show, loginForm, login, add, logout, forget, about).pipe(
  Layer.provide(Csrf.layer),
  Layer.provide(SessionMiddleware.layer)
)

export const App = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provide(HttpServer.layerServices)
)
