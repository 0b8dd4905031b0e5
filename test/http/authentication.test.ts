/**
 * What needs a recent login, over HTTP: the answer of its own, one of the application's, and in an HttpApi.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Option, Schema } from "effect"
import { Session, SessionError, SessionMiddleware } from "effect-session"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpRouter, HttpServerResponse } from "effect/http"
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
import { TestClock } from "effect/testing"
import { setTimeOfDay } from "../support/clock.ts"
import { storesWithRedis } from "../support/drivers.ts"
import { watchStore } from "../support/failingStore.ts"
import { Name, ok, post, slowRoute } from "../support/routes.ts"
import { cookieNames, cookieOf, serve, serveApp, type Server } from "../support/server.ts"

const layers = storesWithRedis()
const stores = Object.entries(layers).map(([driver, makeStore]) => ({ driver, makeStore }))

class PasswordNeeded extends Schema.TaggedError<PasswordNeeded>()("PasswordNeeded", {
  loginAt: Schema.String,
  hasLoggedIn: Schema.Boolean
}, { httpApiStatus: 401 }) {}

const passwordAgain = Session.requireRecent("10 minutes", { methods: ["password"] })

const orPasswordNeeded = Effect.catchTag(
  passwordAgain,
  "SessionNotRecentError",
  ({ authenticatedAt }) =>
    Effect.fail(new PasswordNeeded({ loginAt: "/login", hasLoggedIn: authenticatedAt !== undefined }))
)

const login = Session.login("ada", { methods: ["password"] })

// -----------------------------------------------------------------------------
// handlers
// -----------------------------------------------------------------------------

const routes = Layer.mergeAll(
  post("/login", login),
  post("/otp", Session.login("ada", { methods: ["otp"] })),
  post("/logout", Session.destroy),
  post("/email", Effect.andThen(Session.put(Name, "Ada"), passwordAgain)),
  post(
    "/page",
    Effect.catchTag(passwordAgain, "SessionNotRecentError", () => Effect.fail(HttpServerResponse.redirect("/login")))
  ),
  HttpRouter.add(
    "POST",
    "/body",
    Effect.as(orPasswordNeeded, ok).pipe(
      Effect.catchTag(
        "PasswordNeeded",
        (error) => HttpServerResponse.schemaJson(PasswordNeeded)(error, { status: 401 })
      )
    )
  )
)

describe.each(stores)("a handler that needs a recent login, with the $driver", ({ makeStore }) => {
  const served = Effect.andThen(setTimeOfDay, Effect.suspend(() => serve(routes, { store: makeStore() })))

  it.effect("V7.5.1 accepts a login of a moment ago, and answers 401 ten minutes later, until the next login", () =>
    Effect.gen(function*() {
      const browser = (yield* served).browser()
      yield* browser.post("/login")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* browser.post("/email")).status, 200)
      yield* TestClock.adjust("1 second")
      const refused = yield* browser.post("/email")
      assert.strictEqual(refused.status, 401)
      assert.strictEqual(refused.body, "Unauthorized")
      yield* browser.post("/login")
      assert.strictEqual((yield* browser.post("/email")).status, 200)
    }))

  it.effect("V7.5.3 does not take another method for the one that is asked for", () =>
    Effect.gen(function*() {
      const browser = (yield* served).browser()
      yield* browser.post("/otp")
      assert.strictEqual((yield* browser.post("/email")).status, 401)
    }))

  it.effect("answers 401 where there is no session, with a challenge that no browser has a dialog for", () =>
    Effect.gen(function*() {
      const answer = yield* (yield* served).post("/email")
      assert.strictEqual(answer.status, 401)
      assert.strictEqual(
        answer.headers["www-authenticate"],
        "Session error=\"insufficient_user_authentication\", max_age=\"600\""
      )
    }))

  it.effect("answers as the application says: with a body, or a redirect", () =>
    Effect.gen(function*() {
      const browser = (yield* served).browser()
      const body = yield* browser.post("/body")
      assert.strictEqual(body.status, 401)
      assert.deepStrictEqual(JSON.parse(body.body), {
        _tag: "PasswordNeeded",
        loginAt: "/login",
        hasLoggedIn: false
      })
      const page = yield* browser.post("/page")
      assert.strictEqual(page.status, 302)
      assert.strictEqual(page.headers["location"], "/login")
    }))

  it.effect("accepts a login whose button was clicked twice, whichever answer comes last", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const slow = slowRoute("/slow", login)
      const server = yield* serve(Layer.mergeAll(routes, slow.route), { store: makeStore() })
      const before = cookieOf(yield* server.post("/otp"))
      const second = yield* Effect.forkChild(server.post("/slow", { cookie: before }))
      yield* slow.reached
      const first = yield* server.post("/login", { cookie: before })
      yield* slow.release
      for (const answer of [first, yield* Fiber.join(second)]) {
        assert.strictEqual((yield* server.post("/email", { cookie: cookieOf(answer) })).status, 200)
      }
    }))

  it.effect("answers 401 after a logout", () =>
    Effect.gen(function*() {
      const browser = (yield* served).browser()
      yield* browser.post("/login")
      yield* browser.post("/logout")
      assert.strictEqual((yield* browser.post("/email")).status, 401)
    }))

  it.effect("answers 401 with an old cookie, after a login has made a new one", () =>
    Effect.gen(function*() {
      const server = yield* served
      const before = cookieOf(yield* server.post("/otp"))
      const after = cookieOf(yield* server.post("/login", { cookie: before }))
      assert.strictEqual((yield* server.post("/email", { cookie: before })).status, 401)
      assert.strictEqual((yield* server.post("/email", { cookie: after })).status, 200)
    }))
})

// -----------------------------------------------------------------------------
// HttpApi
// -----------------------------------------------------------------------------

class PasswordAgain extends HttpApiMiddleware.Service<PasswordAgain, { requires: Session.Session }>()(
  "PasswordAgain",
  { error: PasswordNeeded }
) {}

const Login = HttpApiGroup.make("login").add(
  HttpApiEndpoint.post("login", "/login", { success: HttpApiSchema.NoContent, error: SessionError.SessionLimitError })
)

// One endpoint declares the error of the library, and a whole group is guarded with one of the application's.
const Orders = HttpApiGroup.make("orders").add(
  HttpApiEndpoint.post("order", "/order", { success: Schema.String, error: SessionError.SessionNotRecentError })
)

const Account = HttpApiGroup.make("account").add(
  HttpApiEndpoint.post("email", "/email/:email", { params: { email: Schema.String }, success: Schema.String })
).middleware(PasswordAgain)

const Api = HttpApi.make("shop").add(Login, Orders, Account).middleware(SessionMiddleware.Api)

const apiRoutes = HttpApiBuilder.layer(Api).pipe(
  Layer.provide([
    HttpApiBuilder.group(Api, "login", (handlers) => handlers.handle("login", () => login)),
    HttpApiBuilder.group(
      Api,
      "orders",
      (handlers) => handlers.handle("order", () => Effect.as(passwordAgain, "ordered"))
    ),
    HttpApiBuilder.group(
      Api,
      "account",
      (handlers) => handlers.handle("email", ({ params }) => Effect.as(Session.put(Name, params.email), params.email))
    )
  ]),
  Layer.provide(SessionMiddleware.layerApiGuard(PasswordAgain, orPasswordNeeded)),
  Layer.provide(SessionMiddleware.layerApi)
)

/** A generated client that sends this Cookie header. */
const clientOf = (server: Server, cookie = "") =>
  HttpApiClient.make(Api, {
    baseUrl: server.url,
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader("cookie", cookie))
  }).pipe(Effect.provide(FetchHttpClient.layer))

describe.each(stores)("an HttpApi that needs a recent login, with the $driver", ({ makeStore }) => {
  const served = Effect.andThen(setTimeOfDay, Effect.suspend(() => serveApp(apiRoutes, { store: makeStore() })))
  const email = { params: { email: "ada@example.com" } }

  it.effect("lets a client pass that has just logged in", () =>
    Effect.gen(function*() {
      const server = yield* served
      const client = yield* clientOf(server, cookieOf(yield* server.post("/login")))
      assert.strictEqual(yield* client.orders.order({}), "ordered")
      assert.strictEqual(yield* client.account.email(email), "ada@example.com")
    }))

  it.effect("tells a generated client what an endpoint asks for, with 401", () =>
    Effect.gen(function*() {
      const server = yield* served
      const cookie = cookieOf(yield* server.post("/login"))
      yield* TestClock.adjust("11 minutes")
      const answer = yield* server.post("/order", { cookie })
      assert.strictEqual(answer.status, 401)
      const error = yield* Effect.flip((yield* clientOf(server, cookie)).orders.order({}))
      assert.instanceOf(error, SessionError.SessionNotRecentError)
      assert.include(error.message, "authenticated by password within the last 10m")
    }))

  it.effect("answers a guarded group with the application's error, and no handler runs", () =>
    Effect.gen(function*() {
      const server = yield* served
      const answer = yield* server.post("/email/ada")
      assert.strictEqual(answer.status, 401)
      assert.deepStrictEqual(JSON.parse(answer.body), { _tag: "PasswordNeeded", loginAt: "/login", hasLoggedIn: false })
      assert.deepStrictEqual(cookieNames(answer), [])
      const error = yield* Effect.flip((yield* clientOf(server)).account.email(email))
      assert.instanceOf(error, PasswordNeeded)
    }))
})

describe("an HttpApi that needs a recent login", () => {
  it.effect("tells a generated client of an outage of the store with a SessionStoreError, also in the guard", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serveApp(apiRoutes, { store: store.layer })
      const cookie = cookieOf(yield* server.post("/login"))
      const client = yield* clientOf(server, cookie)
      store.fails("load")
      assert.strictEqual((yield* server.post("/email/ada", { cookie })).status, 503)
      const error = yield* Effect.flip(client.account.email({ params: { email: "ada" } }))
      assert.strictEqual(error._tag, "SessionStoreError")
      assert.strictEqual((yield* Effect.flip(client.orders.order({})))._tag, "SessionStoreError")
    }))

  it("has the 401 in its OpenAPI document where it is declared, and nowhere else", () => {
    const { paths } = OpenApi.fromApi(Api)
    assert.property(paths["/order"]!.post!.responses, "401")
    assert.property(paths["/email/{email}"]!.post!.responses, "401")
    assert.notProperty(paths["/login"]!.post!.responses, "401")
  })
})

// -----------------------------------------------------------------------------
// several servers
// -----------------------------------------------------------------------------

describe("two servers whose clocks differ by ten minutes", () => {
  const when = HttpRouter.add(
    "GET",
    "/when",
    Effect.map(Session.authenticatedAt, (at) => HttpServerResponse.text(Option.isSome(at) ? "known" : "never"))
  )

  it.effect("know of each other's logins: one from the future is as if it were now", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const store = layers.RedisLayer()
      const ahead = yield* serve(Layer.mergeAll(routes, when), { store })
      const behind = yield* serve(Layer.mergeAll(routes, when), { store })
      const cookie = cookieOf(yield* ahead.post("/login"))
      // There is one clock in a test: it is the other server's from here on.
      const now = yield* Clock.currentTimeMillis
      yield* TestClock.setTime(now - 600_000)
      assert.strictEqual((yield* behind.get("/when", { cookie })).body, "known")
      assert.strictEqual((yield* behind.post("/email", { cookie })).status, 200)
      yield* TestClock.setTime(now - 600_001)
      assert.strictEqual((yield* behind.get("/when", { cookie })).body, "never")
      assert.strictEqual((yield* behind.post("/email", { cookie })).status, 401)
    }))
})
