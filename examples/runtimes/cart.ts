// cart.ts
import { Effect, Layer, Schema } from "effect"
import { Session, SessionKey, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"

const CartTotal = SessionKey.make("cart_total", Schema.Number).pipe(SessionKey.withDefault(() => 0))

export const Routes = Layer.mergeAll(
  HttpRouter.add("GET", "/cart", Effect.map(CartTotal, (total) => HttpServerResponse.text(`total: ${total}`))),
  HttpRouter.add("POST", "/cart", Effect.as(Session.increment(CartTotal, 10), HttpServerResponse.redirect("/cart"))),
  HttpRouter.add("POST", "/logout", Effect.as(Session.logout, HttpServerResponse.redirect("/cart")))
).pipe(Layer.provide(SessionMiddleware.layer))
