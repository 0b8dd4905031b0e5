import { Context, Effect, Layer, type Option, Schema } from "effect"
import {
  MemoryLayer,
  Session,
  SessionConfig,
  SessionError,
  SessionGuard,
  SessionKey,
  SessionMiddleware,
  type SessionStore
} from "effect-session"
import { HttpRouter, type HttpServer, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware } from "effect/http-api"
import { describe, expect, it } from "tstyche"

class CurrentUser extends Context.Service<CurrentUser, string>()("CurrentUser") {}
class Database
  extends Context.Service<Database, { readonly find: (id: string) => Option.Option<string> }>()("Database")
{}

const UserId = SessionKey.make("user_id", Schema.String)
const loggedIn = SessionGuard.required(UserId)
const guard = SessionGuard.layer(CurrentUser, loggedIn)

const route = HttpRouter.add("GET", "/account", Effect.map(CurrentUser, HttpServerResponse.text))

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

describe("a handler that needs the current user", () => {
  it("does not compile when served without the guard", () => {
    const served = HttpRouter.serve(route)
    expect<CurrentUser>().type.toBeAssignableTo<Needs<typeof served>>()
    expect(run).type.not.toBeCallableWith(launch(served))
  })

  it("does not compile with the session alone", () => {
    const served = HttpRouter.serve(route.pipe(Layer.provide(SessionMiddleware.layer)))
    expect<CurrentUser>().type.toBeAssignableTo<Needs<typeof served>>()
    expect(run).type.not.toBeCallableWith(launch(served))
  })

  it("does not compile where only another route has the guard", () => {
    const other = HttpRouter.add("GET", "/other", HttpServerResponse.text("other")).pipe(Layer.provide(guard))
    const served = HttpRouter.serve(Layer.mergeAll(route, other))
    expect<CurrentUser>().type.toBeAssignableTo<Needs<typeof served>>()
    expect(run).type.not.toBeCallableWith(launch(served))
  })

  it("compiles with the guard, which brings the session", () => {
    const count = HttpRouter.add("POST", "/count", Effect.as(Session.touch, HttpServerResponse.empty()))
    const served = HttpRouter.serve(Layer.mergeAll(route, count).pipe(Layer.provide(guard)))
    expect<Needs<typeof served>>().type.toBe<
      HttpServer.HttpServer | SessionStore.SessionStore | SessionConfig.SessionConfig
    >()
    expect(run).type.toBeCallableWith(launch(served))
  })
})

describe("a guard", () => {
  it("gives what is required, or fails with an error that has a status", () => {
    expect(loggedIn).type.toBe<
      Effect.Effect<string, SessionError.ReadError | SessionError.SessionUnauthenticatedError, Session.Session>
    >()
    expect(SessionGuard.required(Session.owner)).type.toBe<
      Effect.Effect<
        string,
        SessionError.SessionStoreError | SessionError.SessionUnauthenticatedError,
        Session.Session
      >
    >()
  })

  it("is not made of a key with a default, which is never absent", () => {
    const Theme = SessionKey.make("theme", Schema.String).pipe(SessionKey.withDefault(() => "light"))
    expect(SessionGuard.required).type.not.toBeCallableWith(Theme)
  })

  it("has no error any more for who is sent to the login", () => {
    const orLogin = Effect.catchTag(loggedIn, "SessionUnauthenticatedError", () => SessionGuard.redirect("/login"))
    expect(orLogin).type.toBe<
      Effect.Effect<
        string,
        SessionError.ReadError | HttpServerResponse.HttpServerResponse,
        Session.Session | HttpServerRequest.HttpServerRequest
      >
    >()
  })

  it("must have the type of the service", () => {
    expect(SessionGuard.layer).type.not.toBeCallableWith(CurrentUser, Effect.succeed(1))
  })

  it("leaves to the application what else it needs, for each request, and its errors", () => {
    const find = Effect.gen(function*() {
      const { find } = yield* Database
      return yield* SessionGuard.required(Effect.succeed(find(yield* loggedIn)))
    })
    const layer = SessionGuard.layer(CurrentUser, find)
    expect<HttpRouter.Request<"Requires", Database>>().type.toBeAssignableTo<Needs<typeof layer>>()
    expect<HttpRouter.Request<"Error", SessionError.SessionUnauthenticatedError>>().type.toBeAssignableTo<
      Needs<typeof layer>
    >()
    const served = HttpRouter.serve(route.pipe(Layer.provide(layer)))
    expect<Needs<typeof served>>().type.toBe<
      HttpServer.HttpServer | SessionStore.SessionStore | SessionConfig.SessionConfig | Database
    >()
  })
})

describe("an HttpApi", () => {
  class LoggedIn extends HttpApiMiddleware.Service<LoggedIn, { requires: Session.Session; provides: CurrentUser }>()(
    "LoggedIn",
    { error: SessionError.SessionUnauthenticatedError }
  ) {}
  const Name = HttpApiEndpoint.get("name", "/name", { success: Schema.String })
  it("gives the current user to the handlers of a group with the guard", () => {
    const Api = HttpApi.make("shop").add(HttpApiGroup.make("account").add(Name).middleware(LoggedIn)).middleware(
      SessionMiddleware.Api
    )
    const group = HttpApiBuilder.group(Api, "account", (handlers) => handlers.handle("name", () => CurrentUser))
    expect<HttpRouter.Request<"Requires", CurrentUser>>().type.not.toBeAssignableTo<Needs<typeof group>>()
    expect<LoggedIn>().type.toBeAssignableTo<Needs<typeof group>>()
  })

  it("does not compile without a guard: it can't be served", () => {
    const Api = HttpApi.make("shop").add(HttpApiGroup.make("account").add(Name)).middleware(SessionMiddleware.Api)
    const group = HttpApiBuilder.group(Api, "account", (handlers) => handlers.handle("name", () => CurrentUser))
    expect<HttpRouter.Request<"Requires", CurrentUser>>().type.toBeAssignableTo<Needs<typeof group>>()
    const served = HttpRouter.serve(
      HttpApiBuilder.layer(Api).pipe(Layer.provide(group), Layer.provide(SessionMiddleware.layerApi))
    )
    expect<CurrentUser>().type.toBeAssignableTo<Needs<typeof served>>()
  })

  it("has a guard that provides what its middleware says, and fails with what that declares, and with the errors of sessions", () => {
    class Silent extends HttpApiMiddleware.Service<Silent, { requires: Session.Session; provides: CurrentUser }>()(
      "Silent"
    ) {}
    expect(SessionGuard.layerApi(LoggedIn, CurrentUser, loggedIn)).type.toBe<Layer.Layer<LoggedIn>>()
    expect(SessionGuard.layerApi).type.toBeCallableWith(LoggedIn, CurrentUser, Effect.as(Session.destroy, "Ada"))
    expect(SessionGuard.layerApi).type.not.toBeCallableWith(Silent, CurrentUser, loggedIn)
    expect(SessionGuard.layerApi).type.not.toBeCallableWith(LoggedIn, CurrentUser, Effect.fail("something else"))
    expect(SessionGuard.layerApi).type.not.toBeCallableWith(LoggedIn, Database, loggedIn)
  })
})
