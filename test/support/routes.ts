/**
 * Keys and routes that several tests use.
 */
import { Deferred, Effect, Layer, Schema } from "effect"
import { Session, SessionKey } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"

export const Count = SessionKey.make("count", Schema.Number).pipe(SessionKey.withDefault(() => 0))
export const Name = SessionKey.make("name", Schema.String)

/** Stays through logins and logouts. */
export const Basket = SessionKey.make("basket", Schema.Array(Schema.String), { scope: "visitor" }).pipe(
  SessionKey.withDefault(() => [])
)

export const ok = HttpServerResponse.text("ok")

/** A route that does this with its session. */
export const post = <E, R>(path: `/${string}`, work: Effect.Effect<unknown, E, R>) =>
  HttpRouter.add("POST", path, Effect.as(work, ok))

/** Answers with all that is in the session, as JSON. */
export const show = HttpRouter.add("GET", "/", Effect.map(Session.all, HttpServerResponse.jsonUnsafe))

export const count = post("/count", Session.increment(Count))

export const login = post("/login", Effect.andThen(Session.regenerate, Session.put(Name, "Ada")))

export const logout = post("/logout", Session.destroy)

export const touch = post("/touch", Session.touch)

/** A route that does not use its session. */
export const untouched = HttpRouter.add("GET", "/untouched", ok)

export const basicRoutes = Layer.mergeAll(show, count, login, logout, touch, untouched)

/** Counts every request of an application, before the routes of it do. */
export const countVisits = HttpRouter.middleware(
  (app) => Effect.andThen(Effect.orDie(Session.increment(Count)), app),
  { global: true }
)

export const keyOf = (number: string | number) => SessionKey.make(`key_${number}`, Schema.Number)

/** Adds one to the counter and puts a key of its own, which the path says. */
export const countAndPut = Effect.gen(function*() {
  const { number } = yield* HttpRouter.params
  yield* Session.increment(Count)
  yield* Session.put(keyOf(number!), Number(number))
})

/** A route for so many requests: when all of them have loaded the session, each sets a key of its own and adds one. */
export const keysRoute = (requests: number) =>
  Effect.map(Deferred.make<void>(), (allHaveLoaded) => {
    let waiting = 0
    return post(
      "/keys/:number",
      Effect.gen(function*() {
        yield* countAndPut
        if (++waiting === requests) yield* Deferred.succeed(allHaveLoaded, undefined)
        yield* Deferred.await(allHaveLoaded)
      })
    )
  })

/** Where something is held. */
export interface Gate {
  /** Waits for it to come there. */
  readonly reached: Effect.Effect<void>
  readonly release: Effect.Effect<void>
}

/** A route that stays in the middle of its work, so that another request can come in between. */
export const slowRoute = <E = never, F = never>(
  path: `/${string}`,
  first: Effect.Effect<unknown, E, Session.Session>,
  last: Effect.Effect<unknown, F, Session.Session> = Effect.void
) => {
  const reached = Deferred.makeUnsafe<void>()
  const released = Deferred.makeUnsafe<void>()
  const gate: Gate = {
    reached: Deferred.await(reached),
    release: Effect.asVoid(Deferred.succeed(released, undefined))
  }
  const wait = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(released))
  return { ...gate, route: post(path, Effect.andThen(Effect.andThen(first, wait), last)) }
}
