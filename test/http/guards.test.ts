/**
 * Guards over HTTP: who gets past one, what everybody else gets, and where a login leads back to.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Context, Effect, Layer, Option, Schema } from "effect"
import { Session, SessionError, SessionGuard, SessionKey, SessionMiddleware } from "effect-session"
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
import { AnyText, oneOf } from "../support/arbitraries.ts"
import { storesWithRedis } from "../support/drivers.ts"
import { watchStore } from "../support/failingStore.ts"
import { Count, ok, post } from "../support/routes.ts"
import { cookieNames, cookieOf, serve, serveApp, type Server, serveWeb } from "../support/server.ts"

const stores = Object.entries(storesWithRedis()).map(([driver, makeStore]) => ({ driver, makeStore }))

interface User {
  readonly name: string
  readonly isAdmin: boolean
}

class CurrentUser extends Context.Service<CurrentUser, User>()("CurrentUser") {}
class Admin extends Context.Service<Admin, string>()("Admin") {}
class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", {}) {}

const UserId = SessionKey.make("user_id", Schema.String)

const users = new Map<string, User>([
  ["1", { name: "Ada", isAdmin: true }],
  ["2", { name: "Grace", isAdmin: false }]
])

const findUser = (id: string) => Effect.sync(() => Option.fromUndefinedOr(users.get(id)))

/** Ends the session of a user that there is no more. */
const loggedIn = SessionGuard.required(UserId).pipe(
  Effect.flatMap((id) => Effect.tapError(SessionGuard.required(findUser(id)), () => Session.destroy))
)

const orLogin = Effect.catchTag(loggedIn, "SessionUnauthenticatedError", () => SessionGuard.redirect("/login"))

const greet = Effect.map(CurrentUser, ({ name }) => HttpServerResponse.text(`Hello, ${name}`))

const logIn = post("/login/:id", Effect.flatMap(HttpRouter.params, ({ id }) => Session.put(UserId, id!)))

const behind = SessionGuard.layer(CurrentUser, loggedIn)

// -----------------------------------------------------------------------------
// routes
// -----------------------------------------------------------------------------

const routes = Layer.mergeAll(
  logIn,
  Layer.mergeAll(
    HttpRouter.add("GET", "/account", greet),
    // A handler that runs would be seen by its cookie.
    post("/account/count", Effect.andThen(CurrentUser, Session.increment(Count)))
  ).pipe(Layer.provide(behind))
)

describe.each(stores)("routes behind a guard, with the $driver", ({ makeStore }) => {
  const served = Effect.suspend(() => serve(routes, { store: makeStore() }))

  it.effect("get the user of the session, and the session", () =>
    Effect.gen(function*() {
      const browser = (yield* served).browser()
      yield* browser.post("/login/1")
      assert.strictEqual((yield* browser.get("/account")).body, "Hello, Ada")
      assert.strictEqual((yield* browser.post("/account/count")).status, 200)
    }))

  it.effect("do not run without a user: 401, without a cookie, and with a challenge that no browser has a dialog for", () =>
    Effect.gen(function*() {
      const server = yield* served
      for (const cookie of ["", "session=forged"]) {
        const answer = yield* server.post("/account/count", { cookie })
        assert.strictEqual(answer.status, 401)
        assert.strictEqual(answer.body, "Unauthorized")
        assert.strictEqual(answer.headers["www-authenticate"], "Session")
        assert.deepStrictEqual(cookieOf(answer), "")
      }
    }))

  it.effect("tell caches that the answer depends on the cookie, whatever it is", () =>
    Effect.gen(function*() {
      const server = yield* served
      const cookie = cookieOf(yield* server.post("/login/1"))
      for (const sent of [{}, { cookie }]) {
        const { headers } = yield* server.get("/account", sent)
        assert.include(headers["vary"]?.toLowerCase(), "cookie")
      }
    }))

  it.effect("commit what the guard does where it refuses: the session of a user that there is no more is ended", () =>
    Effect.gen(function*() {
      const server = yield* served
      const cookie = cookieOf(yield* server.post("/login/nobody"))
      const refused = yield* server.get("/account", { cookie })
      assert.strictEqual(refused.status, 401)
      assert.deepStrictEqual(cookieNames(refused), ["session"])
      assert.strictEqual(cookieOf(refused), "", "the cookie is cleared")
    }))
})

describe("routes behind a guard", () => {
  it.effect("get the owner of the session", () =>
    Effect.gen(function*() {
      class Owner extends Context.Service<Owner, string>()("Owner") {}
      const server = yield* serve(
        Layer.mergeAll(
          post("/login", Session.login("ada")),
          HttpRouter.add("GET", "/owner", Effect.map(Owner, (id) => HttpServerResponse.text(id))).pipe(
            Layer.provide(SessionGuard.layer(Owner, SessionGuard.required(Session.owner)))
          )
        )
      )
      assert.strictEqual((yield* server.get("/owner")).status, 401)
      const cookie = cookieOf(yield* server.post("/login"))
      assert.strictEqual((yield* server.get("/owner", { cookie })).body, "ada")
    }))

  it.effect("need no other middleware", () =>
    Effect.gen(function*() {
      const server = yield* serveApp(Layer.mergeAll(
        Layer.provide(logIn, SessionMiddleware.layer),
        HttpRouter.add("GET", "/account", greet).pipe(Layer.provide(behind))
      ))
      const cookie = cookieOf(yield* server.post("/login/1"))
      assert.strictEqual((yield* server.get("/account", { cookie })).body, "Hello, Ada")
      assert.strictEqual((yield* server.get("/account")).status, 401)
    }))

  it.effect.each([["layer", SessionMiddleware.layer], ["layerGlobal", SessionMiddleware.layerGlobal]] as const)(
    "have one session with SessionMiddleware.%s, which is loaded and written once",
    ([, middleware]) =>
      Effect.gen(function*() {
        const store = watchStore()
        const server = yield* serve(routes, {
          store: store.layer,
          middleware: middleware as typeof SessionMiddleware.layer
        })
        const cookie = cookieOf(yield* server.post("/login/1"))
        store.newCalls()
        const answer = yield* server.post("/account/count", { cookie })
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual(store.newCalls(), ["load", "update"])
        assert.isAtMost(answer.setCookies.length, 1)
      })
  )

  it.effect("can have another guard, which needs the service of the first", () =>
    Effect.gen(function*() {
      const isAdmin = Effect.flatMap(
        CurrentUser,
        ({ isAdmin, name }) => isAdmin ? Effect.succeed(name) : Effect.fail(new Forbidden())
      ).pipe(Effect.catchTag("Forbidden", () => Effect.fail(HttpServerResponse.empty({ status: 403 }))))
      const server = yield* serve(
        Layer.merge(
          logIn,
          HttpRouter.add("GET", "/admin", Effect.map(Admin, (name) => HttpServerResponse.text(name))).pipe(
            Layer.provide(SessionGuard.layer(Admin, isAdmin)),
            Layer.provide(behind)
          )
        )
      )
      const statusOf = (path: `/login/${string}`) =>
        Effect.gen(function*() {
          const cookie = cookieOf(yield* server.post(path))
          return (yield* server.get("/admin", { cookie })).status
        })
      assert.strictEqual((yield* server.get("/admin")).status, 401)
      assert.strictEqual(yield* statusOf("/login/1"), 200)
      assert.strictEqual(yield* statusOf("/login/2"), 403)
    }))

  it.effect("answer 503 and not 401 while the store is down, and do not run", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serve(routes, { store: store.layer })
      const cookie = cookieOf(yield* server.post("/login/1"))
      store.fails("load")
      assert.strictEqual((yield* server.get("/account", { cookie })).status, 503)
      store.works()
      assert.strictEqual((yield* server.get("/account", { cookie })).status, 200)
    }))

  it.effect("answer 500 where what is in the session is no user, and do not run", () =>
    Effect.gen(function*() {
      const wrong = post("/wrong", Session.put(SessionKey.make("user_id", Schema.Number), 1))
      const server = yield* serve(Layer.merge(routes, wrong))
      const cookie = cookieOf(yield* server.post("/wrong"))
      assert.strictEqual((yield* server.get("/account", { cookie })).status, 500)
    }))
})

// -----------------------------------------------------------------------------
// pages
// -----------------------------------------------------------------------------

const pages = Layer.mergeAll(
  logIn,
  HttpRouter.add("*", "/*", greet).pipe(Layer.provide(SessionGuard.layer(CurrentUser, orLogin)))
)

const redirected = Effect.fnUntraced(function*(
  server: Pick<Server, "send">,
  method: string,
  path: string,
  headers: Record<string, string> = {}
) {
  const answer = yield* server.send(method, path, { headers })
  assert.strictEqual(answer.status, 303)
  return answer.headers["location"]
})

describe("pages behind a guard that redirects", () => {
  it.effect("send to the login, which is told the path and the query that were asked for", () =>
    Effect.gen(function*() {
      const server = yield* serve(pages)
      assert.strictEqual(yield* redirected(server, "GET", "/orders"), "/login?to=%2Forders")
      assert.strictEqual(
        yield* redirected(server, "HEAD", "/orders?page=2&q=a%20b"),
        "/login?to=%2Forders%3Fpage%3D2%26q%3Da%2520b"
      )
    }))

  it.effect("lead back to just that", () =>
    Effect.gen(function*() {
      const server = yield* serve(pages)
      const path = "/orders/t%C3%A9?page=2&from=https://shop.example//x&q=a%20b%2F%5C"
      const location = (yield* redirected(server, "GET", path))!
      assert.strictEqual(
        SessionGuard.wayBack(new URLSearchParams(location.slice("/login?".length)).get("to")!, "/"),
        path
      )
    }))

  it.effect("lead back to the page with the form, where it is one of their own", () =>
    Effect.gen(function*() {
      const server = yield* serve(pages)
      const from = (referer: string) => redirected(server, "POST", "/orders/new", { host: "shop.example", referer })
      assert.strictEqual(yield* from("https://shop.example/cart?a=1#top"), "/login?to=%2Fcart%3Fa%3D1")
      for (
        const referer of [
          "https://evil.example/cart",
          "https://shop.example.evil.example/cart",
          "https://shop.example@evil.example/cart",
          "https://shop.example:8443/cart",
          "https://shop.example//evil.example",
          "https://shop.example/%5cevil.example",
          "/cart",
          "no URL at all",
          "data:text/html,cart"
        ]
      ) assert.strictEqual(yield* from(referer), "/login", referer)
      assert.strictEqual(yield* redirected(server, "POST", "/orders/new"), "/login")
    }))

  it.effect("keep no way back that leads elsewhere, or is too long", () =>
    Effect.gen(function*() {
      const server = yield* serve(pages)
      for (
        const path of [
          "//evil.example",
          "/\\evil.example",
          "/..//evil.example",
          "/%2fevil.example",
          `/${"x".repeat(2000)}`
        ]
      ) {
        assert.strictEqual(yield* redirected(server, "GET", path), "/login", path)
      }
      assert.strictEqual(yield* redirected(server, "GET", `/${"x".repeat(1999)}`), `/login?to=%2F${"x".repeat(1999)}`)
    }))

  it.effect("know the whole path where a router takes something off it, and in a web handler", () =>
    Effect.gen(function*() {
      const prefixed = HttpRouter.use((router) => {
        const shop = router.prefixed("/shop")
        return shop.add("GET", "/orders", Effect.as(orLogin, ok))
      })
      assert.strictEqual(
        yield* redirected(yield* serve(prefixed), "GET", "/shop/orders?a"),
        "/login?to=%2Fshop%2Forders%3Fa"
      )
      const web = yield* serveWeb(pages)
      const answer = yield* web.send("GET", "/orders?a=1")
      assert.strictEqual(answer.headers["location"], "/login?to=%2Forders%3Fa%3D1")
    }))

  it.effect("do not redirect who is logged in", () =>
    Effect.gen(function*() {
      const browser = (yield* serve(pages)).browser()
      yield* browser.post("/login/2")
      assert.strictEqual((yield* browser.get("/orders")).body, "Hello, Grace")
    }))

  it.effect("save a message for the login page", () =>
    Effect.gen(function*() {
      const withMessage = Effect.catchTag(
        loggedIn,
        "SessionUnauthenticatedError",
        () => Effect.andThen(Session.flash("message", "Please log in."), SessionGuard.redirect("/login"))
      )
      const server = yield* serve(Layer.mergeAll(
        HttpRouter.add("GET", "/orders", greet).pipe(Layer.provide(SessionGuard.layer(CurrentUser, withMessage))),
        HttpRouter.add(
          "GET",
          "/login",
          Effect.map(Session.flashMessages, (messages) => HttpServerResponse.text(String(messages.get("message", ""))))
        )
      ))
      const browser = server.browser()
      const { headers } = yield* browser.get("/orders")
      assert.strictEqual((yield* browser.get(headers["location"]!)).body, "Please log in.")
    }))
})

describe("SessionGuard.redirect", () => {
  it.effect("goes to any login: one with a query of its own, or one of another host", () =>
    Effect.gen(function*() {
      for (const login of ["/login?lang=en", "https://login.example/?client=shop"]) {
        const route = HttpRouter.add("GET", "/orders", SessionGuard.redirect(login))
        assert.strictEqual(yield* redirected(yield* serve(route), "GET", "/orders"), `${login}&to=%2Forders`)
      }
    }))

  it.each(["", "/log in", "/login#form", "/login\r\nset-cookie: a=b", "/anmelden/für", "\\login"])(
    "throws where it is called for %j, and says what to write",
    (login) => {
      assert.throws(
        () => SessionGuard.redirect(login),
        `SessionGuard.redirect(${JSON.stringify(login)}): write a path or a URL, such as "/login"`
      )
    }
  )
})

// -----------------------------------------------------------------------------
// the way back
// -----------------------------------------------------------------------------

const origin = "https://shop.example"

/** Where a browser goes that gets this as the Location, and where it goes if something decodes that first, or normalizes it. */
const destinations = (to: string): ReadonlyArray<URL> => {
  const decoded = [to]
  for (let times = 0; times < 4; times++) {
    try {
      decoded.push(decodeURIComponent(decoded.at(-1)!))
    } catch {
      break
    }
  }
  return decoded.flatMap((text) => {
    const path = text.split(/[?#]/, 1)[0]!
    const url = new URL(path, `${origin}/login`)
    return [url, new URL(url.pathname, origin)]
  })
}

const parts = [
  "/",
  "//",
  "\\",
  ".",
  "..",
  "@",
  ":",
  "?",
  "#",
  "%",
  "%2f",
  "%2F",
  "%5c",
  "%252f",
  "%25255C",
  "%2e",
  "%09",
  "%00",
  "\t",
  "\r\n",
  " ",
  "\u0000",
  "\uff0f",
  "\u3002",
  "https:",
  "javascript:",
  "evil.example",
  "orders"
]

const Hostile = Arbitrary.map(
  Arbitrary.all([oneOf(["/", ""]), Arbitrary.array(oneOf(parts))]),
  ([start, rest]) => start + rest.join("")
)

describe("SessionGuard.wayBack", () => {
  it.each([
    "/",
    "/orders",
    "/orders/2/?page=3&sort=-date",
    "/@ada/~b/c;d=e,f+g:(h)!",
    "/t%C3%A9",
    "/a/../b",
    "/?to=https://evil.example//",
    "/search?q=%2F%5c%0d%0a",
    "/page#part/2"
  ])("goes to %j", (to) => {
    assert.strictEqual(SessionGuard.wayBack(to, "/"), to)
  })

  it.each([
    "",
    "orders",
    "?a",
    "#a",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/orders\\..\\evil",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/ /evil.example",
    "/%2fevil.example",
    "/%2Fevil.example",
    "/%5cevil.example",
    "/%5Cevil.example",
    "/%252fevil.example",
    "/%25255cevil.example",
    "/%09/evil.example",
    "/%00/evil.example",
    "/..//evil.example",
    "/.//evil.example",
    "/%2e%2e//evil.example",
    "/a/..//evil.example",
    "/..%2fevil.example",
    "/.%2f%2fevil.example",
    "http:evil.example",
    "https:evil.example",
    "https://evil.example",
    "https://shop.example/orders",
    "HtTpS:\\evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "@evil.example",
    "/orders\r\nset-cookie: session=evil",
    "/orders%0d%0aset-cookie: session=evil",
    "/orders%0D%0A",
    "/orders\u0000",
    "/orders\u007f",
    "/\u2028/evil.example",
    "/\uff0fevil.example",
    "/\u{1f375}",
    "/\ud800"
  ])("does not go to %j", (to) => {
    assert.strictEqual(SessionGuard.wayBack(to, "/safe"), "/safe")
  })

  it("does not go to a path of more than 2,000 characters", () => {
    const longest = `/${"x".repeat(1_999)}`
    assert.strictEqual(SessionGuard.wayBack(longest, "/safe"), longest)
    assert.strictEqual(SessionGuard.wayBack(`${longest}x`, "/safe"), "/safe")
  })

  it("goes nowhere else if there is no way back, or more than one", () => {
    assert.strictEqual(SessionGuard.wayBack(undefined, "/"), "/")
    assert.strictEqual(SessionGuard.wayBack([], "/"), "/")
    assert.strictEqual(SessionGuard.wayBack(["/orders"], "/"), "/")
    assert.strictEqual(SessionGuard.wayBack(["/orders", "//evil.example"], "/"), "/")
  })

  const staysHere = (text: string) => {
    const to = SessionGuard.wayBack(text, "/safe")
    if (to !== "/safe") assert.strictEqual(to, text)
    for (const url of destinations(to)) {
      assert.strictEqual(url.origin, origin, JSON.stringify(text))
      assert.isFalse(url.pathname.startsWith("//"), JSON.stringify(text))
    }
  }

  it.prop("stays on the server for any text", [AnyText], ([text]) => staysHere(text))

  it.prop(
    "stays on the server for what attackers write, decoded or normalized as often as you like",
    [Hostile],
    ([text]) => staysHere(text),
    { arbitrary: { runs: 3_000 } }
  )
})

// -----------------------------------------------------------------------------
// HttpApi
// -----------------------------------------------------------------------------

class LoggedIn extends HttpApiMiddleware.Service<LoggedIn, { requires: Session.Session; provides: CurrentUser }>()(
  "LoggedIn",
  { error: SessionError.SessionUnauthenticatedError }
) {}

const Login = HttpApiGroup.make("login").add(
  HttpApiEndpoint.post("login", "/login/:id", { params: { id: Schema.String }, success: HttpApiSchema.NoContent })
)

const Account = HttpApiGroup.make("account").add(
  HttpApiEndpoint.get("name", "/name", { success: Schema.String }),
  HttpApiEndpoint.post("count", "/count", { success: Schema.Number })
).middleware(LoggedIn)

const Api = HttpApi.make("shop").add(Login, Account).middleware(SessionMiddleware.Api)

const apiRoutes = HttpApiBuilder.layer(Api).pipe(
  Layer.provide([
    HttpApiBuilder.group(
      Api,
      "login",
      (handlers) => handlers.handle("login", ({ params }) => Session.put(UserId, params.id))
    ),
    HttpApiBuilder.group(Api, "account", (handlers) =>
      handlers
        .handle("name", () => Effect.map(CurrentUser, ({ name }) => name))
        .handle("count", () => Session.increment(Count)))
  ]),
  Layer.provide(SessionGuard.layerApi(LoggedIn, CurrentUser, loggedIn)),
  Layer.provide(SessionMiddleware.layerApi)
)

/** A generated client that sends this Cookie header. */
const clientOf = (server: Server, cookie = "") =>
  HttpApiClient.make(Api, {
    baseUrl: server.url,
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader("cookie", cookie))
  }).pipe(Effect.provide(FetchHttpClient.layer))

describe.each(stores)("an HttpApi with a guard, with the $driver", ({ makeStore }) => {
  const served = Effect.suspend(() => serveApp(apiRoutes, { store: makeStore() }))

  it.effect("gives the user to the handlers of the group", () =>
    Effect.gen(function*() {
      const server = yield* served
      const client = yield* clientOf(server, cookieOf(yield* server.post("/login/2")))
      assert.strictEqual(yield* client.account.name(), "Grace")
      assert.strictEqual(yield* client.account.count(), 1)
    }))

  it.effect("tells a generated client that nobody is logged in, with 401, and no handler runs", () =>
    Effect.gen(function*() {
      const server = yield* served
      const answer = yield* server.post("/count")
      assert.strictEqual(answer.status, 401)
      assert.deepStrictEqual(JSON.parse(answer.body), { _tag: "SessionUnauthenticatedError" })
      assert.deepStrictEqual(cookieNames(answer), [])
      assert.include(answer.headers["vary"]?.toLowerCase(), "cookie")
      const error = yield* Effect.flip((yield* clientOf(server)).account.name())
      assert.instanceOf(error, SessionError.SessionUnauthenticatedError)
    }))
})

describe("an HttpApi with a guard", () => {
  it.effect("tells a generated client of an outage of the store with a SessionStoreError", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serveApp(apiRoutes, { store: store.layer })
      const cookie = cookieOf(yield* server.post("/login/1"))
      store.fails("load")
      assert.strictEqual((yield* server.get("/name", { cookie })).status, 503)
      const error = yield* Effect.flip((yield* clientOf(server, cookie)).account.name())
      assert.strictEqual(error._tag, "SessionStoreError")
    }))

  it("has the 401 in its OpenAPI document where it is declared, and nowhere else", () => {
    const { paths } = OpenApi.fromApi(Api)
    assert.property(paths["/name"]!.get!.responses, "401")
    assert.notProperty(paths["/login/{id}"]!.post!.responses, "401")
  })
})
