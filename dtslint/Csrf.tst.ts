import { Effect, Layer, type Redacted, Schema } from "effect"
import { Csrf, MemoryLayer, type Session, SessionConfig, type SessionError, SessionMiddleware } from "effect-session"
import { HttpRouter, type HttpServer, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, type HttpApiClient, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { describe, expect, it } from "tstyche"

const page = Effect.map(Csrf.field, (field) => HttpServerResponse.html(field))
const route = HttpRouter.add("POST", "/login", HttpServerResponse.empty())

const server = {} as Layer.Layer<HttpServer.HttpServer>
const launch = <A, E, R>(layer: Layer.Layer<A, E, R>) =>
  layer.pipe(
    Layer.provide(MemoryLayer.layer()),
    Layer.provide(SessionConfig.layer()),
    Layer.provide(server),
    Layer.launch
  )
const run = <A, E>(_: Effect.Effect<A, E>): void => {}

describe("a token", () => {
  it("needs the session and nothing else", () => {
    type Errors = SessionError.SessionStoreError | SessionError.SessionClosedError
    expect(Csrf.token).type.toBe<Effect.Effect<Redacted.Redacted<string>, Errors, Session.Session>>()
    expect(Csrf.field).type.toBe<Effect.Effect<string, Errors, Session.Session>>()
    expect(page).type.toBeAssignableTo<Effect.Effect<unknown, unknown, Session.Session>>()
  })
})

describe("the check", () => {
  it("fails with its reason, or as the session does", () => {
    expect(Csrf.check).type.toBe<
      Effect.Effect<
        void,
        Csrf.CsrfError | SessionError.SessionStoreError,
        Session.Session | HttpServerRequest.HttpServerRequest
      >
    >()
    expect<Csrf.CsrfError["reason"]>().type.toBe<"cross-site" | "same-site" | "origin" | "missing" | "invalid">()
  })
})

describe("the middleware for routes", () => {
  it("compiles inside of the session's", () => {
    const served = HttpRouter.serve(route.pipe(Layer.provide(Csrf.layer), Layer.provide(SessionMiddleware.layer)))
    expect(run).type.toBeCallableWith(launch(served))
  })

  it("compiles where the session is for all routes", () => {
    const served = HttpRouter.serve(route.pipe(Layer.provide(Csrf.layer), Layer.provide(SessionMiddleware.layerGlobal)))
    expect(run).type.toBeCallableWith(launch(served))
  })

  it("does not compile without the session's, nor outside of it", () => {
    const without = HttpRouter.serve(route.pipe(Layer.provide(Csrf.layer)))
    expect(run).type.not.toBeCallableWith(launch(without))
    const outside = HttpRouter.serve(route.pipe(Layer.provide(SessionMiddleware.layer), Layer.provide(Csrf.layer)))
    expect(run).type.not.toBeCallableWith(launch(outside))
  })

  it("leaves its error to middleware further out", () => {
    const friendly = HttpRouter.middleware<{ handles: Csrf.CsrfError }>()((route) =>
      route.pipe(Effect.catch((error) =>
        error instanceof Csrf.CsrfError
          ? Effect.succeed(HttpServerResponse.text(error.reason))
          : Effect.fail(error)
      ))
    )
    const served = HttpRouter.serve(
      route.pipe(Layer.provide(Csrf.layer), Layer.provide(friendly.layer), Layer.provide(SessionMiddleware.layer))
    )
    expect(run).type.toBeCallableWith(launch(served))
  })
})

describe("the middleware for an HttpApi", () => {
  const Cart = HttpApiGroup.make("cart").add(HttpApiEndpoint.post("add", "/add", { success: Schema.Number }))

  it("declares its error for the client", () => {
    const Api = HttpApi.make("shop").add(Cart).middleware(Csrf.Api).middleware(SessionMiddleware.Api)
    type Client = HttpApiClient.ForApi<typeof Api>
    type Failure = Effect.Error<ReturnType<Client["cart"]["add"]>>
    expect<Csrf.CsrfError>().type.toBeAssignableTo<Failure>()
    expect<SessionError.SessionStoreError>().type.toBeAssignableTo<Failure>()
  })

  it("needs the session's", () => {
    const Api = HttpApi.make("shop").add(Cart).middleware(Csrf.Api)
    const handlers = HttpApiBuilder.group(Api, "cart", (handlers) => handlers.handle("add", () => Effect.succeed(1)))
    const served = HttpRouter.serve(
      HttpApiBuilder.layer(Api).pipe(Layer.provide(handlers), Layer.provide(Csrf.layerApi))
    )
    expect(run).type.not.toBeCallableWith(launch(served))
  })
})
