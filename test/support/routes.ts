/**
 * Keys and routes that several tests use.
 */
import { Deferred, Effect, Layer, Schema } from "effect"
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

export const keyOf = (number: string | number) => SessionKey.make(`key_${number}`, Schema.Number)

/** A route for so many requests: when all of them have loaded the session, each sets a key of its own and adds one. */
export const keysRoute = (requests: number) =>
  Effect.map(Deferred.make<void>(), (allHaveLoaded) => {
    let waiting = 0
    return HttpRouter.add(
      "POST",
      "/keys/:number",
      Effect.gen(function*() {
        const { number } = yield* HttpRouter.params
        yield* Session.increment(Count)
        yield* Session.put(keyOf(number!), Number(number))
        if (++waiting === requests) yield* Deferred.succeed(allHaveLoaded, undefined)
        yield* Deferred.await(allHaveLoaded)
        return ok
      })
    )
  })
