/**
 * A few routes. They don't notice that some of their sessions come from elsewhere.
 */
import { Effect, Layer, Option } from "effect"
import { Csrf, Session, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { Cart, LastOrder, takeOver, Visits } from "./keys.ts"
import * as Moving from "./moving.ts"
import * as OldSessions from "./oldSessions.ts"

const home = Effect.gen(function*() {
  const visits = yield* Session.increment(Visits)
  const userId = Option.getOrElse(yield* Session.owner, () => "a stranger")
  const lastOrder = Option.getOrNull(yield* LastOrder)
  return HttpServerResponse.jsonUnsafe({ userId, visits, cart: yield* Cart, lastOrder })
})

const logout = Effect.gen(function*() {
  yield* Session.logout
  // Only while both servers are running.
  yield* OldSessions.end
  return HttpServerResponse.empty({ status: 204 })
})

export const Routes = Layer.mergeAll(
  HttpRouter.add("GET", "/", home),
  HttpRouter.add("POST", "/logout", logout).pipe(Layer.provide(Csrf.layer))
).pipe(
  Layer.provide(SessionMiddleware.layer),
  Layer.merge(Moving.layer(takeOver))
)
