import { type DateTime, Effect, Layer, type Option, Schema } from "effect"
import {
  CookieLayer,
  MemoryLayer,
  Session,
  SessionConfig,
  type SessionError,
  SessionKey,
  SessionMiddleware,
  type SessionOwners,
  Sessions,
  type SessionStore
} from "effect-session"
import { HttpRouter, type HttpServer, HttpServerResponse } from "effect/http"
import type { BackingPersistence } from "effect/persistence/Persistence"
import { describe, expect, it } from "tstyche"

type Services = SessionStore.SessionStore | SessionConfig.SessionConfig
type OwnerError = SessionError.SessionStoreError | SessionError.SessionOwnerError

const Device = SessionKey.make("device", Schema.String)
const Visits = SessionKey.make("visits", Schema.NumberFromString).pipe(SessionKey.withDefault(() => 0))

describe("what needs the owners of sessions", () => {
  it("says so in its type", () => {
    expect(Sessions.destroyAll("ada")).type.toBe<Effect.Effect<number, OwnerError, SessionOwners.SessionOwners>>()
    expect(Sessions.destroyHandle("ada", "handle")).type.toBe<
      Effect.Effect<boolean, OwnerError, SessionOwners.SessionIndex>
    >()
    expect(Sessions.destroyOthers).type.toBe<
      Effect.Effect<number, OwnerError, Session.Session | SessionOwners.SessionOwners>
    >()
    expect(Sessions.open({ owner: "ada", handle: "handle" })).type.toBe<
      Effect.Effect<Session.Session, SessionError.SessionStoreError, Services | SessionOwners.SessionIndex>
    >()
  })

  it("is not needed to log in, or to read whose session it is", () => {
    expect(Session.login("ada")).type.toBe<Effect.Effect<void, SessionError.LoginError, Session.Session>>()
    expect(Session.owner).type.toBe<
      Effect.Effect<Option.Option<string>, SessionError.SessionStoreError, Session.Session>
    >()
  })
})

describe("a list", () => {
  it("has the attributes that are asked for, as their schemas have them, if they are there", () => {
    expect(Sessions.list("ada", { attributes: { device: Device, visits: Visits } })).type.toBe<
      Effect.Effect<
        Sessions.Page<{ readonly device: typeof Device; readonly visits: typeof Visits }>,
        OwnerError,
        SessionOwners.SessionIndex
      >
    >()
    type Info = Sessions.Info<{ readonly device: typeof Device; readonly visits: typeof Visits }>
    expect<Info["attributes"]>().type.toBe<
      { readonly device: Option.Option<string>; readonly visits: Option.Option<number> }
    >()
    expect<Info["lastUsedAt"]>().type.toBe<DateTime.Utc>()
    expect<Info["expiresAt"]>().type.toBe<Option.Option<DateTime.Utc>>()
  })

  it("has none if none are asked for", () => {
    expect(Sessions.list("ada")).type.toBe<
      Effect.Effect<Sessions.Page<{}>, OwnerError, SessionOwners.SessionIndex>
    >()
    expect<Sessions.Info<{}>["attributes"]>().type.not.toHaveProperty("device")
  })

  it("takes keys and no names of them, and a cursor that is a text", () => {
    expect(Sessions.list).type.not.toBeCallableWith("ada", { attributes: { device: "device" } })
    expect(Sessions.list).type.not.toBeCallableWith("ada", { after: 7 })
    expect(Sessions.list).type.not.toBeCallableWith()
  })
})

/** What an application does last: it runs what needs nothing any more. */
const run = <A, E>(_: Effect.Effect<A, E>): void => {}
const server = {} as Layer.Layer<HttpServer.HttpServer>

const launch = <A, E, R, StoreR>(
  routes: Layer.Layer<A, E, R>,
  store: Layer.Layer<SessionStore.SessionStore | StoreR, unknown, SessionConfig.SessionConfig>
) =>
  HttpRouter.serve(routes.pipe(Layer.provide(SessionMiddleware.layer))).pipe(
    Layer.provide(store),
    Layer.provide(SessionConfig.layer()),
    Layer.provide(server),
    Layer.launch
  )

const route = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  HttpRouter.add("POST", "/", Effect.as(effect, HttpServerResponse.empty()))

describe("a program that uses the owners of sessions", () => {
  const login = route(Session.login("ada"))
  const list = route(Sessions.list("ada"))
  const all = route(Sessions.destroyAll("ada"))
  const others = route(Sessions.destroyOthers)
  const one = route(Sessions.destroyHandle("ada", "handle"))
  const byHandle = route(Sessions.open({ owner: "ada", handle: "handle" }))
  const whose = route(Session.owner)

  it("compiles with a store on the server", () => {
    expect(run).type.toBeCallableWith(launch(login, MemoryLayer.layer()))
    expect(run).type.toBeCallableWith(launch(list, MemoryLayer.layer()))
    expect(run).type.toBeCallableWith(launch(all, MemoryLayer.layer()))
    expect(run).type.toBeCallableWith(launch(others, MemoryLayer.layer()))
    expect(run).type.toBeCallableWith(launch(one, MemoryLayer.layer()))
    expect(run).type.toBeCallableWith(launch(byHandle, MemoryLayer.layer()))
  })

  it("does not compile with CookieLayer, which has none", () => {
    expect(run).type.not.toBeCallableWith(launch(list, CookieLayer.layer()))
    expect(run).type.not.toBeCallableWith(launch(all, CookieLayer.layer()))
    expect(run).type.not.toBeCallableWith(launch(others, CookieLayer.layer()))
    expect(run).type.not.toBeCallableWith(launch(one, CookieLayer.layer()))
    expect(run).type.not.toBeCallableWith(launch(byHandle, CookieLayer.layer()))
    expect(run).type.toBeCallableWith(launch(whose, CookieLayer.layer()))
    expect(run).type.toBeCallableWith(launch(login, CookieLayer.layer()))
  })

  it("compiles with CookieLayer.layerShared if it only ends all sessions of an owner, or all others", () => {
    const shared = CookieLayer.layerShared.pipe(Layer.provide({} as Layer.Layer<BackingPersistence>))
    expect(run).type.toBeCallableWith(launch(login, shared))
    expect(run).type.toBeCallableWith(launch(all, shared))
    expect(run).type.toBeCallableWith(launch(others, shared))
    expect(run).type.toBeCallableWith(launch(whose, shared))
    expect(run).type.not.toBeCallableWith(launch(list, shared))
    expect(run).type.not.toBeCallableWith(launch(one, shared))
    expect(run).type.not.toBeCallableWith(launch(byHandle, shared))
  })

  it("outside a request needs them as well", () => {
    const store = Layer.provideMerge(CookieLayer.layer(), SessionConfig.layer())
    const owned = Effect.asVoid(Sessions.create(Sessions.destroyOthers))
    expect(run).type.not.toBeCallableWith(Effect.provide(owned, store))
    expect(run).type.toBeCallableWith(
      Effect.provide(owned, Layer.provideMerge(MemoryLayer.layer(), SessionConfig.layer()))
    )
  })
})
