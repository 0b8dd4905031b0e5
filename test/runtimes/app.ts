/**
 * An application for every runtime that serves a function from a Request to a Response: pages, a stream, an `HttpApi`, and a
 * store that can be told to hang.
 */
import { Effect, Layer, Schema, Stream } from "effect"
import { Session, SessionConfig, SessionMiddleware, SessionStore } from "effect-session"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { secret } from "../support/config.ts"
import { basicRoutes, Count, countAndPut, post } from "../support/routes.ts"

// -----------------------------------------------------------------------------
// the store
// -----------------------------------------------------------------------------

const stored = new Map<string, Parameters<SessionStore.Driver["write"]>[1]>()

/** How many have begun to read since it was told to hang; `undefined` if it was not. */
let readers: number | undefined

/** From then on the first one who reads waits for the second one, who waits for ever. */
const read = (id: string) =>
  Effect.suspend(() => {
    if (readers === undefined) return Effect.sync(() => stored.get(id))
    if (++readers > 1) return Effect.never
    return Effect.as(Effect.repeat(Effect.sleep(5), { while: () => readers === 1 }), stored.get(id))
  })

const Store = SessionStore.layer(SessionStore.fromDriver({
  read,
  write: (id, values) => Effect.sync(() => void stored.set(id, values)),
  destroy: (id) => Effect.sync(() => void stored.delete(id)),
  touch: (id, values) => Effect.sync(() => void stored.set(id, values))
}))

const hang = HttpRouter.add(
  "POST",
  "/hang",
  Effect.sync(() => {
    readers = 0
    return HttpServerResponse.empty()
  })
)

// -----------------------------------------------------------------------------
// the routes
// -----------------------------------------------------------------------------

/** Adds ten when the headers have gone out. */
const stream = HttpRouter.add(
  "POST",
  "/stream",
  Effect.gen(function*() {
    const session = yield* Session.Session
    const body = Stream.make("begun ").pipe(
      Stream.concat(Stream.fromEffect(Effect.as(Session.increment(Count, 10), "changed "))),
      Stream.concat(Stream.fromEffect(Effect.delay(Effect.succeed("ended"), 50))),
      Stream.provideService(Session.Session, session),
      Stream.encodeText
    )
    return HttpServerResponse.stream(body)
  })
)

const Api = HttpApi.make("api").add(
  HttpApiGroup.make("counting").add(HttpApiEndpoint.post("add", "/api/add", { success: Schema.Number }))
).middleware(SessionMiddleware.Api)

const api = HttpApiBuilder.layer(Api).pipe(
  Layer.provide(
    HttpApiBuilder.group(Api, "counting", (handlers) => handlers.handle("add", () => Session.increment(Count)))
  ),
  Layer.provide(SessionMiddleware.layerApi)
)

const keys = post("/keys/:number", countAndPut)

const App = Layer.mergeAll(basicRoutes, stream, keys, hang).pipe(
  Layer.provide(SessionMiddleware.layer),
  Layer.merge(api),
  Layer.provide(Store),
  Layer.provide(SessionConfig.layer({ secret, timeLimit: "500 millis", retries: 0 })),
  Layer.provide(HttpServer.layerServices)
)

let handler: ((request: Request) => Promise<Response>) | undefined

export default {
  port: process.env.PORT,
  hostname: "127.0.0.1",
  fetch: (request: Request) => (handler ??= HttpRouter.toWebHandler(App, { disableLogger: true }).handler)(request)
}
