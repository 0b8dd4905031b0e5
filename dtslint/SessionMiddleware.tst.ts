import { Effect, Layer, Schema } from "effect"
import {
  MemoryLayer,
  Session,
  SessionConfig,
  SessionError,
  SessionKey,
  SessionMiddleware,
  type SessionStore
} from "effect-session"
import { HttpRouter, type HttpServer, type HttpServerRequest, HttpServerResponse } from "effect/http"
import {
  HttpApi,
  HttpApiBuilder,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSecurity
} from "effect/http-api"
import type { Scope } from "effect/Scope"
import { describe, expect, it } from "tstyche"

const Count = SessionKey.make("count", Schema.Number)
const handler = Effect.map(Session.all, HttpServerResponse.jsonUnsafe)
const route = HttpRouter.add("POST", "/count", Effect.as(Session.increment(Count), HttpServerResponse.empty()))

type Needs<L> = L extends Layer.Layer<infer _A, infer _E, infer R> ? R : never

/** What an application does last: it runs what needs nothing any more. */
const run = <A, E>(_: Effect.Effect<A, E>): void => {}
const server = {} as Layer.Layer<HttpServer.HttpServer>
const launch = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
  layer.pipe(
    Layer.provide(MemoryLayer.layer()),
    Layer.provide(SessionConfig.layer()),
    Layer.provide(server),
    Layer.launch
  )

describe("a handler that uses the session", () => {
  it("does not compile when served without the middleware", () => {
    expect<Session.Session>().type.toBeAssignableTo<Needs<ReturnType<typeof serveBare>>>()
    expect(run).type.not.toBeCallableWith(launch(serveBare()))
  })

  it("says so already as a route", () => {
    expect<HttpRouter.Request<"Requires", Session.Session>>().type.toBeAssignableTo<Needs<typeof route>>()
  })

  it("compiles with the middleware", () => {
    const served = HttpRouter.serve(route.pipe(Layer.provide(SessionMiddleware.layer)))
    expect<Needs<typeof served>>().type.toBe<
      HttpServer.HttpServer | SessionStore.SessionStore | SessionConfig.SessionConfig
    >()
    expect(run).type.toBeCallableWith(launch(served))
  })

  it("compiles with the middleware for all routes", () => {
    const served = HttpRouter.serve(route.pipe(Layer.provide(SessionMiddleware.layerGlobal)))
    expect<Needs<typeof served>>().type.toBe<
      HttpServer.HttpServer | SessionStore.SessionStore | SessionConfig.SessionConfig
    >()
  })

  it("does not compile where only another route has the middleware", () => {
    const other = HttpRouter.add("GET", "/", handler).pipe(Layer.provide(SessionMiddleware.layer))
    const served = HttpRouter.serve(Layer.mergeAll(route, other))
    expect<Session.Session>().type.toBeAssignableTo<Needs<typeof served>>()
    expect(run).type.not.toBeCallableWith(launch(served))
  })
})

const serveBare = () => HttpRouter.serve(route)

describe("the middleware", () => {
  it("needs a store and the settings", () => {
    expect(SessionMiddleware.layer).type.toBe<
      Layer.Layer<
        HttpRouter.Request<"Requires", Session.Session>,
        never,
        SessionStore.SessionStore | SessionConfig.SessionConfig
      >
    >()
  })

  it("provides the session to any HTTP effect, and leaves its errors and other needs", () => {
    class Database {
      readonly _ = 1
    }
    const app = {} as Effect.Effect<HttpServerResponse.HttpServerResponse, "error", Session.Session | Database>
    const served = Effect.flatMap(SessionMiddleware.make, (withSession) => withSession(app))
    expect(served).type.toBe<
      Effect.Effect<
        HttpServerResponse.HttpServerResponse,
        "error",
        | SessionStore.SessionStore
        | SessionConfig.SessionConfig
        | Database
        | HttpServerRequest.HttpServerRequest
        | Scope
      >
    >()
  })
})

describe("an HttpApi", () => {
  const Total = HttpApiEndpoint.get("total", "/total", { success: Schema.Number })
  const total = Effect.map(Session.increment(Count), (count) => count)

  it("provides the session to its handlers where it has the middleware", () => {
    const Api = HttpApi.make("shop").add(HttpApiGroup.make("cart").add(Total)).middleware(SessionMiddleware.Api)
    const group = HttpApiBuilder.group(Api, "cart", (handlers) => handlers.handle("total", () => total))
    expect<Session.Session>().type.not.toBeAssignableTo<Needs<typeof group>>()
    expect<SessionMiddleware.Api>().type.toBeAssignableTo<Needs<typeof group>>()
  })

  it("does not where it has none", () => {
    const Api = HttpApi.make("shop").add(HttpApiGroup.make("cart").add(Total))
    const group = HttpApiBuilder.group(Api, "cart", (handlers) => handlers.handle("total", () => Effect.orDie(total)))
    expect<HttpRouter.Request<"Requires", Session.Session>>().type.toBeAssignableTo<Needs<typeof group>>()
  })

  it("has guards that fail with what they declare, and with the errors of sessions", () => {
    class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}
    class Guard extends HttpApiMiddleware.Service<Guard, { requires: Session.Session }>()("Guard", {
      error: [Refused, SessionError.SessionNotRecentError]
    }) {}
    class Silent extends HttpApiMiddleware.Service<Silent, { requires: Session.Session }>()("Silent", {
      error: Refused
    }) {}
    const recent = Session.requireRecent("10 minutes")
    expect(SessionMiddleware.layerApiGuard(Guard, recent)).type.toBe<Layer.Layer<Guard>>()
    expect(SessionMiddleware.layerApiGuard).type.toBeCallableWith(Guard, Effect.fail(new Refused()))
    expect(SessionMiddleware.layerApiGuard).type.toBeCallableWith(Silent, Session.get(Count))
    expect(SessionMiddleware.layerApiGuard).type.not.toBeCallableWith(Silent, recent)
    expect(SessionMiddleware.layerApiGuard).type.not.toBeCallableWith(Guard, Effect.fail("something else"))
  })

  it("does not compile where an endpoint that needs a recent login does not declare the error", () => {
    const Declared = HttpApiEndpoint.get("total", "/total", {
      success: Schema.Number,
      error: SessionError.SessionNotRecentError
    })
    const handler = Effect.as(Session.requireRecent("10 minutes"), 5)
    const Api = HttpApi.make("shop").add(HttpApiGroup.make("cart").add(Total)).middleware(SessionMiddleware.Api)
    const Other = HttpApi.make("shop").add(HttpApiGroup.make("cart").add(Declared)).middleware(SessionMiddleware.Api)
    HttpApiBuilder.group(Api, "cart", (handlers) => {
      expect(handlers.handle).type.not.toBeCallableWith("total", () => handler)
      return handlers.handle("total", () => total)
    })
    HttpApiBuilder.group(Other, "cart", (handlers) => {
      expect(handlers.handle).type.toBeCallableWith("total", () => handler)
      return handlers.handle("total", () => handler)
    })
  })
})

describe("the middleware of an HttpApi", () => {
  const browsers = SessionMiddleware.apiOptions()
  const all = SessionMiddleware.apiOptions({ transports: ["cookie", "bearer"] })

  class Browsers extends HttpApiMiddleware.Service<Browsers, { provides: Session.Session }>()("Browsers", browsers) {}
  class All extends HttpApiMiddleware.Service<All, { provides: Session.Session }>()("All", all) {}
  class Other extends HttpApiMiddleware.Service<Other, { provides: Session.Session }>()("Other", {
    error: browsers.error,
    security: { session: HttpApiSecurity.basic }
  }) {}

  it("declares what it accepts", () => {
    expect<keyof typeof browsers.security>().type.toBe<"session">()
    expect<keyof typeof all.security>().type.toBe<"session" | "sessionBearer">()
  })

  it("has a Layer if it was declared for sessions, and for no others", () => {
    expect(SessionMiddleware.layerApiOf).type.toBeCallableWith(Browsers)
    expect(SessionMiddleware.layerApiOf).type.toBeCallableWith(All)
    expect(SessionMiddleware.layerApiOf).type.not.toBeCallableWith(Other)
  })

  it("knows the transports that there are", () => {
    expect(SessionMiddleware.apiOptions).type.not.toBeCallableWith({ transports: ["query"] })
  })
})
