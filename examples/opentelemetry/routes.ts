/**
 * A cart, and a login that keeps it. Nothing here mentions telemetry.
 */
import { Effect, Layer, Schema } from "effect"
import { Session, SessionKey, SessionMiddleware, Sessions } from "effect-session"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { prometheusName } from "./telemetry.ts"

const Total = SessionKey.make("total", Schema.Number).pipe(SessionKey.withDefault(() => 0))

const text = Effect.map((text: unknown) => HttpServerResponse.text(String(text)))

// A real login checks a password.
const login = Effect.gen(function*() {
  const { user } = yield* HttpServerRequest.schemaBodyUrlParams(Schema.Struct({ user: Schema.NonEmptyString }))
  yield* Session.login(user)
  return user
})

const Pages = Layer.mergeAll(
  HttpRouter.add("GET", "/cart", text(Total)),
  HttpRouter.add("POST", "/cart", text(Session.increment(Total, 10))),
  HttpRouter.add("POST", "/login", text(login)),
  HttpRouter.add("POST", "/logout", text(Effect.as(Session.logout, "Bye"))),
  HttpRouter.add("POST", "/logout-elsewhere", text(Sessions.destroyOthers))
).pipe(Layer.provide(SessionMiddleware.layer))

export const Routes = Layer.merge(Pages, PrometheusMetrics.layerHttp({ metricNameMapper: prometheusName }))
