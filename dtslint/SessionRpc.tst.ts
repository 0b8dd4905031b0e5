import { Context, Effect, Layer, type Option, Schema, type Stream } from "effect"
import {
  Session,
  type SessionConfig,
  SessionError,
  SessionGuard,
  SessionKey,
  SessionRpc,
  type SessionStore
} from "effect-session"
import { HttpRouter, type HttpServer } from "effect/http"
import {
  Rpc,
  type RpcClient,
  type RpcClientError,
  RpcGroup,
  RpcMiddleware,
  RpcSerialization,
  RpcServer
} from "effect/rpc"
import { describe, expect, it } from "tstyche"

class CurrentUser extends Context.Service<CurrentUser, string>()("CurrentUser") {}
class Database
  extends Context.Service<Database, { readonly find: (id: string) => Option.Option<string> }>()("Database")
{}

class LoggedIn extends RpcMiddleware.Service<LoggedIn, { requires: Session.Session; provides: CurrentUser }>()(
  "LoggedIn",
  { error: SessionError.SessionUnauthenticatedError }
) {}

const UserId = SessionKey.make("user_id", Schema.String)
const loggedIn = SessionGuard.required(UserId)

const Name = Rpc.make("name", { success: Schema.String })

type Needs<L> = L extends Layer.Layer<infer _A, infer _E, infer R> ? R : never

const serve = <Rpcs extends Rpc.Any, A, R>(group: RpcGroup.RpcGroup<Rpcs>, layer: Layer.Layer<A, never, R>) =>
  HttpRouter.serve(
    RpcServer.layerHttp({ group, path: "/rpc", protocol: "http" }).pipe(
      Layer.provide(layer),
      Layer.provide(SessionRpc.layer),
      Layer.provide(RpcSerialization.layerJson)
    )
  )

describe("a procedure", () => {
  it("gets the session from the middleware", () => {
    const group = RpcGroup.make(Name).middleware(SessionRpc.Middleware)
    const handlers = group.toLayer({
      name: () => SessionRpc.handler(Effect.map(Session.all, String))
    })
    expect<Needs<typeof handlers>>().type.toBe<never>()
    const served = serve(group, handlers)
    expect<Needs<typeof served>>().type.toBe<
      HttpServer.HttpServer | SessionStore.SessionStore | SessionConfig.SessionConfig
    >()
  })

  it("that uses the session does not compile without the middleware: it can't be served", () => {
    const group = RpcGroup.make(Name)
    const handlers = group.toLayer({ name: () => SessionRpc.handler(Effect.map(Session.all, String)) })
    expect<Session.Session>().type.toBeAssignableTo<Needs<typeof handlers>>()
  })

  it("does not compile with errors of sessions that nobody has declared", () => {
    const group = RpcGroup.make(Name).middleware(SessionRpc.Middleware)
    expect(group.toLayer).type.not.toBeCallableWith({ name: () => Effect.map(Session.all, String) })
  })

  it("leaves the errors of sessions to the middleware, and declares its own", () => {
    expect(SessionRpc.handler(Session.requireRecent("1 hour"))).type.toBe<
      Effect.Effect<Session.Authentication, SessionError.SessionNotRecentError, Session.Session>
    >()
    expect(SessionRpc.handler(Session.setLifetime({}))).type.toBe<Effect.Effect<void, never, Session.Session>>()
    expect(SessionRpc.handler({} as Stream.Stream<number, SessionError.SessionStoreError | "mine", Session.Session>))
      .type
      .toBe<Stream.Stream<number, "mine", Session.Session>>()
  })
})

describe("a client", () => {
  it("sees the errors of sessions", () => {
    const group = RpcGroup.make(Name).middleware(SessionRpc.Middleware)
    type Client = RpcClient.FromGroup<typeof group, RpcClientError.RpcClientError>
    expect<ReturnType<Client["name"]>>().type.toBe<
      Effect.Effect<string, SessionRpc.SessionFailure | RpcClientError.RpcClientError>
    >()
  })
})

describe("a guard", () => {
  it("gives the current user to the procedures of a group", () => {
    const group = RpcGroup.make(Name).middleware(LoggedIn).middleware(SessionRpc.Middleware)
    const handlers = group.toLayer({ name: () => CurrentUser })
    expect<Needs<typeof handlers>>().type.toBe<never>()
  })

  it("is needed by a procedure that needs the current user: without it, that can't be served", () => {
    const group = RpcGroup.make(Name).middleware(SessionRpc.Middleware)
    const handlers = group.toLayer({ name: () => CurrentUser })
    expect<CurrentUser>().type.toBeAssignableTo<Needs<typeof handlers>>()
  })

  it("needs the session from further out: in the other order, it can't be served", () => {
    const group = RpcGroup.make(Name).middleware(SessionRpc.Middleware).middleware(LoggedIn)
    const handlers = group.toLayer({ name: () => CurrentUser })
    expect<Session.Session>().type.toBeAssignableTo<Needs<typeof handlers>>()
  })

  it("provides what its middleware says, and fails with what that declares, and with the errors of sessions", () => {
    class Silent extends RpcMiddleware.Service<Silent, { requires: Session.Session; provides: CurrentUser }>()(
      "Silent"
    ) {}
    expect(SessionGuard.layerRpc(LoggedIn, CurrentUser, loggedIn)).type.toBe<Layer.Layer<LoggedIn>>()
    expect(SessionGuard.layerRpc).type.toBeCallableWith(LoggedIn, CurrentUser, Effect.as(Session.destroy, "Ada"))
    expect(SessionGuard.layerRpc).type.not.toBeCallableWith(Silent, CurrentUser, loggedIn)
    expect(SessionGuard.layerRpc).type.not.toBeCallableWith(LoggedIn, CurrentUser, Effect.fail("something else"))
    expect(SessionGuard.layerRpc).type.not.toBeCallableWith(LoggedIn, Database, loggedIn)
  })
})

describe("in a test without HTTP", () => {
  it("nothing is needed but the session of the caller", () => {
    expect(SessionRpc.layerTest).type.toBe<Layer.Layer<SessionRpc.Middleware>>()
  })
})
