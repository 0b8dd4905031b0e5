/**
 * Which request does what. Each library has its own cookie, and no route reads or writes either.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { Csrf, Session, SessionGuard, SessionMiddleware } from "effect-session"
import { type Cookies, HttpEffect, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { agree, type Login } from "../agreement.ts"
import { Auth } from "./auth.ts"
import { Basket, Draft } from "./keys.ts"

// -----------------------------------------------------------------------------
// better-auth's routes
// -----------------------------------------------------------------------------

/** The user according to better-auth, after our session has been made to agree. */
const visit = Effect.fnUntraced(function*(received?: Cookies.Cookies) {
  const auth = yield* Auth
  const found = yield* auth.find(received)
  yield* agree(found.login)
  return found
})

/** better-auth may have handled a login or a logout. */
const mounted = Effect.gen(function*() {
  const auth = yield* Auth
  const response = yield* auth.handler
  const { cookies } = yield* visit(response.cookies)
  return HttpServerResponse.mergeCookies(response, cookies)
})

const Mounted = HttpRouter.add("*", "/api/auth/*", mounted)

// -----------------------------------------------------------------------------
// our own
// -----------------------------------------------------------------------------

/** The user of the request according to better-auth, if any. */
export class Visitor extends Context.Service<Visitor, Option.Option<Login["user"]>>()("Visitor") {}

const visitor = Effect.gen(function*() {
  const { cookies, login } = yield* visit()
  // better-auth extends its session once a day, and the cookie with it.
  yield* HttpEffect.appendPreResponseHandler((_, response) =>
    Effect.succeed(HttpServerResponse.mergeCookies(response, cookies))
  )
  return Option.map(login, ({ user }) => user)
})

const home = Effect.gen(function*() {
  return yield* HttpServerResponse.json({
    user: Option.getOrNull(Option.map(yield* Visitor, ({ name }) => name)),
    basket: yield* Basket,
    draft: Option.getOrNull(yield* Draft),
    message: (yield* Session.flashMessages).get("message", null)
  })
})

const done = HttpServerResponse.empty()

const addToBasket = Effect.gen(function*() {
  const { product } = yield* HttpRouter.schemaPathParams(Schema.Struct({ product: Schema.String }))
  yield* Session.modify(Basket, (basket) => ({ ...basket, [product]: (basket[product] ?? 0) + 1 }))
  return done
})

const saveDraft = Effect.gen(function*() {
  yield* SessionGuard.required(Visitor)
  const { text } = yield* HttpServerRequest.schemaBodyJson(Schema.Struct({ text: Schema.String }))
  yield* Session.put(Draft, text)
  return done
})

const order = Effect.gen(function*() {
  const { name } = yield* SessionGuard.required(Visitor)
  yield* Session.requireRecent("10 minutes")
  yield* Session.pull(Basket)
  yield* Session.flash("message", `Thank you, ${name}.`)
  return done
})

const Forms = Layer.mergeAll(
  HttpRouter.add("POST", "/basket/:product", addToBasket),
  HttpRouter.add("POST", "/draft", saveDraft),
  HttpRouter.add("POST", "/order", order)
).pipe(
  // better-auth protects its own routes, and accepts callbacks from other sites.
  Layer.provide(Csrf.layer)
)

const Ours = Layer.mergeAll(HttpRouter.add("GET", "/", home), Forms).pipe(
  Layer.provide(SessionGuard.layer(Visitor, visitor))
)

export const Routes = Layer.mergeAll(Mounted, Ours).pipe(Layer.provide(SessionMiddleware.layer))
