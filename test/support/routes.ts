/**
 * Keys and routes that several tests use.
 */
import { Effect, Layer, Schema } from "effect"
import { Session, SessionKey } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"

export const Count = SessionKey.make("count", Schema.Number).pipe(SessionKey.withDefault(() => 0))
export const Name = SessionKey.make("name", Schema.String)

export const ok = HttpServerResponse.text("ok")

/** Answers with all that is in the session, as JSON. */
export const show = HttpRouter.add("GET", "/", Effect.map(Session.all, HttpServerResponse.jsonUnsafe))

export const count = HttpRouter.add("POST", "/count", Effect.as(Session.increment(Count), ok))

export const login = HttpRouter.add(
  "POST",
  "/login",
  Effect.gen(function*() {
    yield* Session.regenerate
    yield* Session.put(Name, "Ada")
    return ok
  })
)

export const logout = HttpRouter.add("POST", "/logout", Effect.as(Session.destroy, ok))

export const touch = HttpRouter.add("POST", "/touch", Effect.as(Session.touch, ok))

/** A route that does not use its session. */
export const untouched = HttpRouter.add("GET", "/untouched", ok)

export const basicRoutes = Layer.mergeAll(show, count, login, logout, touch, untouched)
