import { type Effect, Layer, type Option, Schema, type Scope } from "effect"
import {
  CookieLayer,
  MemoryLayer,
  Session,
  SessionConfig,
  type SessionError,
  SessionKey,
  type SessionOwners,
  type SessionStore
} from "effect-session"
import * as SessionTest from "effect-session/SessionTest"
import {
  type Cookies,
  type HttpClient,
  type HttpClientError,
  type HttpClientResponse,
  HttpRouter,
  type HttpServer
} from "effect/http"
import { describe, expect, it } from "tstyche"

declare const client: SessionTest.Client
declare const snapshot: SessionTest.Snapshot
declare const faults: SessionTest.StoreFaults["Service"]
declare const routes: Layer.Layer<never, never, HttpRouter.HttpRouter>

const UserId = SessionKey.make("user_id", Schema.Int)
const Visits = SessionKey.make("visits", Schema.Int).pipe(SessionKey.withDefault(() => 0))

type Services = HttpClient.HttpClient | SessionStore.SessionStore | SessionConfig.SessionConfig
type Response = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

describe("a client", () => {
  it("is an HttpClient, and needs one, with the application's store and settings", () => {
    expect(SessionTest.client()).type.toBe<Effect.Effect<SessionTest.Client, never, Services>>()
    expect(SessionTest.client).type.toBeCallableWith({ url: "http://127.0.0.1:3000", fetchMetadata: false })
    expect(SessionTest.client).type.not.toBeCallableWith({ uri: "http://127.0.0.1:3000" })
    expect(client).type.toBeAssignableTo<HttpClient.HttpClient>()
    expect(client.get("/")).type.toBe<Response>()
  })

  it("sends forms, follows redirects, and does as a page of another site", () => {
    expect(client.submit("/logout")).type.toBe<Response>()
    expect(client.submit).type.toBeCallableWith("/login", { name: "Ada", remember: true })
    expect(client.follow).type.toBeCallableWith(null as unknown as HttpClientResponse.HttpClientResponse)
    expect(client.from("https://evil.example")).type.toBe<HttpClient.HttpClient>()
    expect(client.cookies).type.toBe<Effect.Effect<ReadonlyArray<Cookies.Cookie>>>()
    expect(client.restart).type.toBe<Effect.Effect<void>>()
  })

  it("changes its session by any effect that needs one, and needs what else that needs", () => {
    expect(client.modifySession(Session.put(UserId, 7))).type.toBe<Effect.Effect<void, SessionError.CommitError>>()
    expect(client.modifySession(null as unknown as Effect.Effect<number, "no", Session.Session | Scope.Scope>)).type
      .toBe<
        Effect.Effect<number, "no" | SessionError.CommitError, Scope.Scope>
      >()
    expect(client.modifySession(Session.login("ada"))).type.toBeAssignableTo<
      Effect.Effect<
        void,
        SessionError.CommitError | SessionError.SessionOwnerError | SessionError.SessionLimitError,
        SessionOwners.SessionOwners
      >
    >()
  })
})

describe("what is in a session", () => {
  it("is typed by its keys", () => {
    expect(client.session).type.toBe<Effect.Effect<SessionTest.Snapshot, SessionError.SessionStoreError>>()
    expect(snapshot.get(UserId)).type.toBe<Option.Option<number>>()
    expect(snapshot.get(Visits)).type.toBe<number>()
    expect(snapshot.flashed(UserId)).type.toBe<Option.Option<number>>()
    expect(snapshot.owner).type.toBe<Option.Option<string>>()
    expect(snapshot.exists).type.toBe<boolean>()
  })
})

describe("a server in process", () => {
  it("takes the place of one on a port", () => {
    expect(SessionTest.layer()).type.toBe<Layer.Layer<HttpServer.HttpServer | HttpClient.HttpClient>>()
    expect(Layer.provide(HttpRouter.serve(routes), SessionTest.layer({ url: "https://shop.example" }))).type.toBe<
      Layer.Layer<never>
    >()
  })
})

describe("a store that fails", () => {
  type Of<Provided> = Layer.Layer<
    Provided | SessionTest.StoreFaults,
    SessionError.SessionConfigError,
    SessionConfig.SessionConfig
  >

  it("provides what the store provides, and the faults", () => {
    expect(SessionTest.layerFaults(CookieLayer.layer())).type.toBe<Of<SessionStore.SessionStore>>()
    expect(SessionTest.layerFaults(MemoryLayer.layer())).type.toBe<
      Of<SessionStore.SessionStore | SessionOwners.SessionOwners | SessionOwners.SessionIndex>
    >()
    expect(SessionTest.layerFaults).type.not.toBeCallableWith(SessionConfig.layer())
  })

  it("takes any effect, and no other names than those of operations", () => {
    expect(faults.inject).type.toBeCallableWith(SessionTest.operations, null as unknown as Effect.Effect<never, Error>)
    expect(faults.inject).type.toBeCallableWith("index", null as unknown as Effect.Effect<void>, {
      times: 1,
      after: true
    })
    expect(faults.inject).type.not.toBeCallableWith("save", null as unknown as Effect.Effect<void>)
    expect(faults.takeCalls).type.toBe<Effect.Effect<ReadonlyArray<SessionTest.Operation>>>()
  })
})
