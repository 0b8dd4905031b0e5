/**
 * Sessions in an HttpApi.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema } from "effect"
import { Session, SessionError, SessionKey, SessionMiddleware } from "effect-session"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import {
  HttpApi,
  HttpApiBuilder,
  HttpApiClient,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  OpenApi
} from "effect/http-api"
import { drivers } from "../support/drivers.ts"
import { watchStore } from "../support/failingStore.ts"
import { Count, Name } from "../support/routes.ts"
import { cookieNames, cookieOf, type Options, serveApp, type Server } from "../support/server.ts"

class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", { attempts: Schema.Number }, {
  httpApiStatus: 403
}) {}

class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", {}, { httpApiStatus: 503 }) {}

const Broken = SessionKey.make("name", Schema.Number)

// No endpoint declares an error of sessions, or the middleware's.
const Counting = HttpApiGroup.make("counting").add(
  HttpApiEndpoint.get("total", "/total", { success: Schema.Number }),
  HttpApiEndpoint.post("add", "/add/:amount", { params: { amount: Schema.FiniteFromString }, success: Schema.Number }),
  HttpApiEndpoint.post("enter", "/enter", { success: HttpApiSchema.NoContent, error: Forbidden }),
  HttpApiEndpoint.post("overload", "/overload", { success: HttpApiSchema.NoContent, error: Overloaded }),
  HttpApiEndpoint.post("name", "/name", { success: HttpApiSchema.NoContent }),
  HttpApiEndpoint.get("broken", "/broken", { success: Schema.Number }),
  HttpApiEndpoint.post("logout", "/logout", { success: HttpApiSchema.NoContent })
)

const Api = HttpApi.make("counting").add(Counting).middleware(SessionMiddleware.Api)

const handlers = HttpApiBuilder.group(Api, "counting", (handlers) =>
  handlers.handleAll({
    total: () => Session.get(Count),
    add: ({ params }) => Session.increment(Count, params.amount),
    enter: () => Effect.flatMap(Session.increment(Count), (attempts) => Effect.fail(new Forbidden({ attempts }))),
    overload: () => Effect.andThen(Session.increment(Count), Effect.fail(new Overloaded())),
    name: () => Session.put(Name, "Ada"),
    broken: () => Effect.map(Session.get(Broken), Option.getOrElse(() => 0)),
    logout: () => Session.destroy
  }))

const routes = HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
  Layer.provide(handlers),
  Layer.provide(SessionMiddleware.layerApi)
)

const served = (options?: Options) => serveApp(routes, options)

/** A generated client that sends this Cookie header. */
const clientOf = (server: Server, cookie = "") =>
  HttpApiClient.make(Api, {
    baseUrl: server.url,
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader("cookie", cookie))
  }).pipe(Effect.provide(FetchHttpClient.layer))

describe.each(drivers)("an HttpApi with the $driver", ({ make }) => {
  const watched = Effect.gen(function*() {
    const store = watchStore(make)
    return { store, server: yield* served({ store: store.layer }) }
  })

  it.effect("commits a success, and sets the cookie", () =>
    Effect.gen(function*() {
      const browser = (yield* watched).server.browser()
      const added = yield* browser.post("/add/5")
      assert.strictEqual(added.status, 200)
      assert.deepStrictEqual(cookieNames(added), ["session"])
      assert.strictEqual((yield* browser.get("/total")).body, "5")
    }))

  it.effect("commits a typed error of status 403, and sets the cookie", () =>
    Effect.gen(function*() {
      const browser = (yield* watched).server.browser()
      const refused = yield* browser.post("/enter")
      assert.strictEqual(refused.status, 403)
      assert.deepStrictEqual(JSON.parse(refused.body), { _tag: "Forbidden", attempts: 1 })
      assert.deepStrictEqual(cookieNames(refused), ["session"])
      assert.strictEqual((yield* browser.get("/total")).body, "1")
    }))

  it.effect("rolls back a typed error of status 503", () =>
    Effect.gen(function*() {
      const { server, store } = yield* watched
      const browser = server.browser()
      yield* browser.post("/add/5")
      store.newCalls()
      const overloaded = yield* browser.post("/overload")
      assert.strictEqual(overloaded.status, 503)
      assert.deepStrictEqual(overloaded.setCookies, [])
      assert.deepStrictEqual(store.newCalls(), ["load"])
      assert.strictEqual((yield* browser.get("/total")).body, "5")
    }))

  it.effect("costs a request nothing that does not get as far as to its session", () =>
    Effect.gen(function*() {
      const { server, store } = yield* watched
      const malformed = yield* server.post("/add/many", { cookie: `session=${"A".repeat(60)}` })
      assert.strictEqual(malformed.status, 400)
      assert.deepStrictEqual(malformed.setCookies, [])
      assert.deepStrictEqual(store.calls, [])
    }))

  it.effect("ends a session", () =>
    Effect.gen(function*() {
      const browser = (yield* watched).server.browser()
      yield* browser.post("/add/5")
      yield* browser.post("/logout")
      assert.strictEqual(browser.cookies(), "")
      assert.strictEqual((yield* browser.get("/total")).body, "0")
    }))

  it.effect("tells a generated client of an outage with a SessionStoreError, when loading and when committing", () =>
    Effect.gen(function*() {
      const { server, store } = yield* watched
      const cookie = cookieOf(yield* server.post("/add/5"))
      const client = yield* clientOf(server, cookie)
      assert.strictEqual(yield* client.counting.total({}), 5)
      store.fails("load")
      assert.strictEqual((yield* Effect.flip(client.counting.total({})))._tag, "SessionStoreError")
      store.works()
      store.fails("update")
      const error = yield* Effect.flip(client.counting.add({ params: { amount: 1 } }))
      assert.strictEqual(error._tag, "SessionStoreError")
      store.works()
      assert.strictEqual(yield* client.counting.add({ params: { amount: 1 } }), 6)
    }))

  it.effect("tells a generated client the error that the endpoint declares", () =>
    Effect.gen(function*() {
      const client = yield* clientOf((yield* watched).server)
      const error = yield* Effect.flip(client.counting.enter({}))
      assert.strictEqual(error._tag, "Forbidden")
    }))

  it.effect("tells a client of a stored value that does not fit with 500, without a body", () =>
    Effect.gen(function*() {
      const { server } = yield* watched
      const cookie = cookieOf(yield* server.post("/name"))
      const answer = yield* server.get("/broken", { cookie })
      assert.strictEqual(answer.status, 500)
      assert.strictEqual(answer.body, "")
      const client = yield* clientOf(server, cookie)
      assert.strictEqual((yield* Effect.flip(client.counting.broken({})))._tag, "InternalServerError")
    }))
})

describe("the OpenAPI document", () => {
  const document = OpenApi.fromApi(Api)

  it("has the cookie as a security scheme", () => {
    const { session } = document.components.securitySchemes
    assert.deepStrictEqual(Object.keys(document.components.securitySchemes), ["session"])
    assert.deepInclude(session, { type: "apiKey", in: "cookie", name: "session" })
    assert.include(session!.description, "The session")
    for (const operation of operationsOf(document)) assert.deepStrictEqual(operation.security, [{ session: [] }])
  })

  it("has the statuses of the sessions' errors, without a body", () => {
    for (const { responses } of operationsOf(document)) {
      for (const status of ["409", "500", "503"]) assert.property(responses, status)
      assert.notProperty(responses["500"], "content")
    }
  })

  it("has the errors of an endpoint beside those of the sessions", () => {
    assert.property(document.paths["/enter"]!.post!.responses, "403")
    assert.property(document.paths["/overload"]!.post!.responses["503"], "content")
  })

  it.effect("is the one that the server answers with", () =>
    Effect.gen(function*() {
      const server = yield* served()
      const answer = yield* server.get("/openapi.json")
      assert.deepStrictEqual(JSON.parse(answer.body), JSON.parse(JSON.stringify(document)))
      assert.deepStrictEqual(answer.setCookies, [])
    }))
})

const operationsOf = ({ paths }: OpenApi.OpenAPISpec): ReadonlyArray<OpenApi.OpenAPISpecOperation> =>
  Object.values(paths).flatMap(({ get, post }) => [get, post].filter((operation) => operation !== undefined))

class AdminSession extends HttpApiMiddleware.Service<AdminSession, { provides: Session.Session }>()(
  "AdminSession",
  SessionMiddleware.apiOptions({ cookieName: "admin" })
) {}

const AdminApi = HttpApi.make("admin").add(
  HttpApiGroup.make("admin").add(HttpApiEndpoint.get("total", "/admin", { success: Schema.Number }))
).middleware(AdminSession)

const adminRoutes = HttpApiBuilder.layer(AdminApi).pipe(
  Layer.provide(
    HttpApiBuilder.group(AdminApi, "admin", (handlers) => handlers.handleAll({ total: () => Session.increment(Count) }))
  ),
  Layer.provide(SessionMiddleware.layerApiOf(AdminSession))
)

describe("the name of the cookie", () => {
  it.effect("may be another one, in the document and in the response", () =>
    Effect.gen(function*() {
      assert.deepInclude(OpenApi.fromApi(AdminApi).components.securitySchemes["session"], { name: "admin" })
      const server = yield* serveApp(adminRoutes, { config: { cookie: { name: "admin" } } })
      const first = yield* server.get("/admin")
      assert.deepStrictEqual(cookieNames(first), ["admin"])
      assert.strictEqual((yield* server.get("/admin", { cookie: cookieOf(first) })).body, "2")
    }))

  it.effect.each([
    { declared: "session", configured: "sid", app: routes },
    { declared: "admin", configured: "session", app: adminRoutes }
  ])(
    "must be that of the configuration: $declared and $configured do not start",
    ({ app, configured, declared }) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(serveApp(app, { config: { cookie: { name: configured } } }))
        assert.strictEqual(error._tag, "SessionConfigError")
        assert.include(error.message, `cookie.name (SESSION_COOKIE_NAME): found "${configured}"`)
        assert.include(error.message, `The OpenAPI document says "${declared}"`)
      })
  )
})

const Logins = HttpApi.make("logins").add(
  HttpApiGroup.make("logins").add(
    HttpApiEndpoint.post("login", "/login/:user", {
      params: { user: Schema.String },
      success: HttpApiSchema.NoContent,
      error: SessionError.SessionLimitError
    })
  )
).middleware(SessionMiddleware.Api)

it.effect("in an HttpApi, a login needs no error declared but that of the limit", () =>
  Effect.gen(function*() {
    const handlers = HttpApiBuilder.group(Logins, "logins", (handlers) =>
      handlers.handleAll({
        login: ({ params }) => Session.login(params.user.repeat(params.user === "x" ? 2_000 : 1))
      }))
    const server = yield* serveApp(
      HttpApiBuilder.layer(Logins).pipe(Layer.provide(handlers), Layer.provide(SessionMiddleware.layerApi)),
      { config: { owner: { limit: 1 } } }
    )
    const answers = yield* Effect.forEach(["ada", "ada", "x"], (user) => server.post(`/login/${user}`))
    assert.deepStrictEqual(answers.map(({ body, status }) => [status, body]), [
      [204, ""],
      [409, JSON.stringify({ _tag: "SessionLimitError", limit: 1 })],
      [500, ""]
    ])
  }))
