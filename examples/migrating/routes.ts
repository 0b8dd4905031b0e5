/**
 * The same pages in three releases. GET / shows the session, POST /customer puts a customer into it, and POST /dark and
 * POST /german change the settings.
 */
import { Effect, Layer, Option } from "effect"
import { Session, type SessionKey, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { Customer1, Customer2, Customer3, Settings1, Settings2, Visits } from "./keys.ts"

const done = HttpServerResponse.empty({ status: 204 })

const home = <A, B>(customer: SessionKey.SessionKey<A>, settings: SessionKey.SessionKey<B, B>) =>
  Effect.gen(function*() {
    const visits = yield* Session.increment(Visits)
    return HttpServerResponse.jsonUnsafe({
      visits,
      customer: Option.getOrNull(yield* customer),
      settings: yield* settings
    })
  })

const Release1 = Layer.mergeAll(
  HttpRouter.add("GET", "/", home(Customer1, Settings1)),
  HttpRouter.add("POST", "/customer", Effect.as(Session.put(Customer1, { name: "Ada Lovelace" }), done)),
  HttpRouter.add("POST", "/dark", Effect.as(Session.modify(Settings1, (all) => ({ ...all, theme: "dark" })), done))
)

// The second and the third release share their code. They store different shapes, which only the keys define.
const release = (customer: typeof Customer2 | typeof Customer3) =>
  Layer.mergeAll(
    HttpRouter.add("GET", "/", home(customer, Settings2)),
    HttpRouter.add("POST", "/customer", Effect.as(Session.put(customer, { given: "Grace", family: "Hopper" }), done)),
    HttpRouter.add("POST", "/dark", Effect.as(Session.modify(Settings2, (all) => ({ ...all, colors: "dark" })), done)),
    HttpRouter.add(
      "POST",
      "/german",
      Effect.as(Session.modify(Settings2, (all) => ({ ...all, language: "de" })), done)
    )
  )

const withSession = Layer.provide(SessionMiddleware.layer)

export const releases = {
  1: withSession(Release1),
  2: withSession(release(Customer2)),
  3: withSession(release(Customer3))
}
