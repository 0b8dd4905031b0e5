/**
 * Sessions without a cookie: in `Authorization: Bearer`, or in a header of their own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { Csrf, MemoryLayer, Session, SessionConfig, SessionMiddleware, Sessions, SessionSocket } from "effect-session"
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
import { mistakesIn, otherSecret, secret } from "../support/config.ts"
import { drivers } from "../support/drivers.ts"
import { observe } from "../support/observe.ts"
import { basicRoutes, Count, Name, ok, post } from "../support/routes.ts"
import { type Answer, cookieOf, serve, serveApp, type StoreLayer } from "../support/server.ts"
import { handshake, openSocket } from "../support/webSocket.ts"

// -----------------------------------------------------------------------------
// an application
// -----------------------------------------------------------------------------

/** As a native application gets its token: in the body. */
const issue = Effect.map(Session.issueToken, (token) => HttpServerResponse.text(Redacted.value(token)))

/** What became of an operation, as text. */
const told = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: ({ _tag }) => _tag as string, onSuccess: () => "done" })

const routes = Layer.mergeAll(
  basicRoutes,
  HttpRouter.add("POST", "/native", Effect.andThen(Session.put(Name, "Ada"), issue)),
  HttpRouter.add("POST", "/empty", issue),
  HttpRouter.add(
    "POST",
    "/twice",
    Effect.gen(function*() {
      yield* Session.issueToken
      return HttpServerResponse.text(yield* told(Session.issueToken))
    })
  ),
  HttpRouter.add(
    "POST",
    "/afterwards",
    Effect.gen(function*() {
      const token = yield* Session.issueToken
      const change = yield* told(Session.put(Name, "Ada"))
      return HttpServerResponse.jsonUnsafe([Redacted.value(token), change])
    })
  ),
  HttpRouter.add("GET", "/public", HttpServerResponse.text("ok", { headers: { vary: "Accept" } })),
  HttpRouter.add("GET", "/count", Effect.as(Session.increment(Count), ok)),
  HttpRouter.add(
    "GET",
    "/socket",
    SessionSocket.serve({ onMessage: () => Effect.map(Session.all, (all) => JSON.stringify(all)) })
  )
)

const guarded = Layer.provide(
  Layer.mergeAll(post("/order", Effect.void), post("/enter", Session.put(Name, "Ada"))),
  Csrf.layer
)

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
const inHeader = (token: string) => ({ headers: { "x-session-token": token } })

const tokenIn = ({ headers }: Answer): string | undefined => headers["x-session-token"] as string | undefined

const nobody = "{}"
const ada = JSON.stringify({ name: "Ada" })

for (const { driver, makeStore } of drivers) {
  const served = (transports: ReadonlyArray<"cookie" | "bearer" | "header">, store: StoreLayer = makeStore()) =>
    serve(routes, { store, config: { transports, touchEvery: "1 ms" } })

  describe(`with the ${driver}`, () => {
    it.effect("a native application logs in without a cookie, and has its session by the token of the body", () =>
      Effect.gen(function*() {
        const server = yield* served(["cookie", "bearer"])
        const login = yield* server.post("/native")
        assert.deepStrictEqual(login.setCookies, [])
        assert.isUndefined(tokenIn(login))
        assert.strictEqual(login.headers["cache-control"], "no-store")
        assert.strictEqual((yield* server.get("/", bearer(login.body))).body, ada)
        assert.strictEqual((yield* server.get("/")).body, nobody)
        // The scheme in any case of letters (RFC 9110, section 11.1).
        const shouted = { headers: { authorization: `BEARER ${login.body}` } }
        assert.strictEqual((yield* server.get("/", shouted)).body, ada)
      }))

    for (const [transport, present] of [["bearer", bearer], ["header", inHeader]] as const) {
      it.effect(`${transport}: what takes another token answers with it in the header, and never with a cookie`, () =>
        Effect.gen(function*() {
          const server = yield* served(["cookie", transport])
          let token = (yield* server.post("/native")).body
          for (const path of ["/count", "/touch", "/count", "/login"]) {
            const answer = yield* server.post(path, present(token))
            assert.strictEqual(answer.status, 200)
            assert.deepStrictEqual(answer.setCookies, [])
            if (path === "/login") assert.notStrictEqual(tokenIn(answer), undefined)
            token = tokenIn(answer) ?? token
          }
          assert.deepStrictEqual(JSON.parse((yield* server.get("/", present(token))).body), { name: "Ada", count: 2 })
          const logout = yield* server.post("/logout", present(token))
          assert.strictEqual(tokenIn(logout), "")
          assert.deepStrictEqual(logout.setCookies, [])
          assert.strictEqual((yield* server.get("/", present(token))).body, nobody)
          // As such a client may send it from then on.
          assert.strictEqual((yield* server.get("/", present(""))).body, nobody)
        }))
    }

    it.effect("where no cookie is accepted, a new session's token goes out in the header", () =>
      Effect.gen(function*() {
        const server = yield* served(["header"])
        const first = yield* server.post("/count")
        assert.deepStrictEqual(first.setCookies, [])
        assert.strictEqual((yield* server.get("/", inHeader(tokenIn(first)!))).body, JSON.stringify({ count: 1 }))
        assert.strictEqual((yield* server.get("/", { cookie: `session=${tokenIn(first)}` })).body, nobody)
        assert.strictEqual((yield* server.get("/", bearer(tokenIn(first)!))).body, nobody)
      }))

    it.effect("a browser gets its cookie, whatever else is accepted before", () =>
      Effect.gen(function*() {
        const server = yield* served(["bearer", "header", "cookie"])
        const browser = server.browser()
        const login = yield* browser.post("/login")
        assert.lengthOf(login.setCookies, 1)
        assert.isUndefined(tokenIn(login))
        assert.strictEqual((yield* browser.get("/")).body, ada)
      }))

    it.effect("two that contradict each other are no session, in whatever order; two that agree are one", () =>
      Effect.gen(function*() {
        for (const transports of [["cookie", "bearer", "header"], ["header", "bearer", "cookie"]] as const) {
          const server = yield* served(transports)
          const [one, another] = [(yield* server.post("/native")).body, (yield* server.post("/native")).body]
          const both = (cookie: string, bearer: string, header: string) =>
            server.get("/", {
              cookie: `session=${cookie}`,
              headers: { authorization: `Bearer ${bearer}`, "x-session-token": header }
            })
          assert.strictEqual((yield* both(one, one, one)).body, ada)
          for (
            const [cookie, bearer, header] of [
              [one, one, another],
              [one, another, one],
              [another, one, one],
              [one, one, "x"]
            ] as const
          ) {
            assert.strictEqual((yield* both(cookie, bearer, header)).body, nobody)
          }
          // One of them twice, and so none.
          const twice = yield* server.get("/", {
            cookie: `session=${one}; session=${another}`,
            ...bearer(one)
          })
          assert.strictEqual(twice.body, nobody)
        }
      }))

    it.effect("a token that is issued is one that nobody has seen: the session leaves the cookie for it", () =>
      Effect.gen(function*() {
        const server = yield* served(["cookie", "bearer"])
        const cookie = cookieOf(yield* server.post("/login"))
        const issued = yield* server.post("/empty", { cookie })
        assert.notInclude(cookie, issued.body)
        assert.match(issued.setCookies.join(), /^session=; .*Max-Age=0/)
        assert.strictEqual((yield* server.get("/", { cookie })).body, nobody)
        assert.strictEqual((yield* server.get("/", bearer(issued.body))).body, ada)
        // The same for one that came without a cookie.
        const again = yield* server.post("/empty", bearer(issued.body))
        assert.isUndefined(tokenIn(again))
        assert.strictEqual((yield* server.get("/", bearer(issued.body))).body, nobody)
        assert.strictEqual((yield* server.get("/", bearer(again.body))).body, ada)
      }))

    it.effect("a socket has the session of the token that its handshake presents; without one, it is refused", () =>
      Effect.gen(function*() {
        const server = yield* served(["cookie", "bearer", "header"])
        const token = (yield* server.post("/native")).body
        for (const { headers } of [bearer(token), inHeader(token)]) {
          const client = yield* openSocket(server, "/socket", { headers })
          assert.strictEqual(yield* client.say("name"), ada)
        }
        const { status } = yield* handshake(server, "/socket", bearer(`${token}A`))
        assert.strictEqual(status, 401)
      }))

    it.effect("a token can be issued for a session that has nothing in it", () =>
      Effect.gen(function*() {
        const server = yield* served(["bearer"])
        const token = (yield* server.post("/empty")).body
        const counted = yield* server.post("/count", bearer(token))
        assert.strictEqual(
          (yield* server.get("/", bearer(tokenIn(counted) ?? token))).body,
          JSON.stringify({ count: 1 })
        )
      }))

    it.effect("a token is issued once, and what is changed afterwards is saved if that takes no other one", () =>
      Effect.gen(function*() {
        const server = yield* served(["bearer"])
        assert.strictEqual((yield* server.post("/twice")).body, "SessionClosedError")
        const [token, change] = JSON.parse((yield* server.post("/afterwards")).body) as [string, string]
        const isSaved = driver !== "CookieLayer"
        assert.strictEqual(change, isSaved ? "done" : "SessionClosedError")
        assert.strictEqual((yield* server.get("/", bearer(token))).body, isSaved ? ada : nobody)
      }))

    it.effect("what is no token of this server is no session, and no crash", () =>
      Effect.gen(function*() {
        const store = makeStore()
        const server = yield* serve(routes, {
          store,
          config: { transports: ["bearer", "cookie"] },
          node: { maxHeaderSize: 1 << 22 }
        })
        const elsewhere = yield* serve(routes, { config: { transports: ["bearer"], secret: otherSecret } })
        const token = (yield* server.post("/native")).body
        const values = [
          `Bearer ${(yield* elsewhere.post("/native")).body}`,
          `Bearer ${"A".repeat(1 << 20)}`,
          `Bearer ${token}A`,
          `Bearer ${token.slice(0, -1)}`,
          `Bearer ${token}, Bearer ${token}`,
          "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk",
          `Basic ${btoa(`ada:${token}`)}`,
          `Bearer${token}`,
          "Bearer",
          "Bearer ",
          token
        ]
        for (const authorization of values) {
          const answer = yield* server.get("/", { headers: { authorization } })
          assert.strictEqual(answer.status, 200)
          assert.strictEqual(answer.body, nobody, authorization.slice(0, 80))
        }
        // What is in another scheme is for somebody else, and the cookie counts.
        const cookie = cookieOf(yield* server.post("/login"))
        const basic = { cookie, headers: { authorization: "Basic YWRhOnB3" } }
        assert.strictEqual((yield* server.get("/", basic)).body, ada)
      }))
  })
}

describe("outside a request", () => {
  it.effect("the headers of a request open the session that the middleware would", () =>
    Effect.gen(function*() {
      const { token } = yield* Sessions.create(Session.put(Name, "Ada"))
      const text = Redacted.value(token)
      const show = (headers: Record<string, string>) =>
        Effect.flatMap(
          Sessions.open({ headers }),
          (session) =>
            Effect.map(Effect.provideService(Session.all, Session.Session, session), (all) => JSON.stringify(all))
        )
      for (const headers of [bearer(text).headers, inHeader(text).headers, { cookie: `session=${text}` }]) {
        assert.strictEqual(yield* show(headers), ada)
        assert.strictEqual(yield* show({ ...headers, cookie: "session=another" }), nobody)
      }
      assert.strictEqual(yield* show({}), nobody)
    }).pipe(
      Effect.provide(Layer.provideMerge(
        MemoryLayer.layer(),
        SessionConfig.layer({ secret, transports: ["cookie", "bearer", "header"] })
      ))
    ))
})

describe("for caches", () => {
  it.effect("a response made with a look at the session varies by each header that it can come in", () =>
    Effect.gen(function*() {
      const server = yield* serve(routes, { config: { transports: ["cookie", "bearer", "header"] } })
      assert.strictEqual((yield* server.get("/")).headers["vary"], "Cookie, Authorization, x-session-token")
      assert.strictEqual((yield* server.get("/public")).headers["vary"], "Accept")
      const counted = yield* server.get("/count")
      assert.strictEqual(counted.headers["vary"], "Cookie, Authorization, x-session-token")
      assert.strictEqual(counted.headers["cache-control"], "no-store")
    }))
})

describe("Csrf", () => {
  const cross = { "sec-fetch-site": "cross-site", origin: "https://evil.example" }

  it.effect("asks only requests that came with a cookie, or may have come from a browser", () =>
    Effect.gen(function*() {
      const server = yield* serve(Layer.merge(routes, guarded), {
        config: { transports: ["cookie", "bearer", "header"] }
      })
      const token = (yield* server.post("/native")).body
      const cookie = cookieOf(yield* server.post("/count"))
      const status = (headers: Record<string, string>) =>
        Effect.map(server.post("/order", { headers }), ({ status }) => status)
      assert.strictEqual(yield* status({ ...cross, authorization: `Bearer ${token}` }), 200)
      assert.strictEqual(yield* status({ ...cross, "x-session-token": token }), 200)
      assert.strictEqual(yield* status({ ...cross, cookie }), 403)
      assert.strictEqual(yield* status({ cookie }), 403)
      assert.strictEqual(yield* status(cross), 403)
      assert.strictEqual(yield* status({ ...cross, authorization: "Basic YWRhOnB3", cookie }), 403)
      // A login of a native application: it has no token yet, and says nothing that only browsers say.
      assert.strictEqual((yield* server.post("/enter")).status, 200)
      assert.strictEqual((yield* server.post("/enter", { headers: cross })).status, 403)
    }))

  it.effect("asks all of them where only the cookie is accepted", () =>
    Effect.gen(function*() {
      const server = yield* serve(Layer.merge(routes, guarded))
      const token = (yield* server.post("/native")).body
      assert.strictEqual(
        (yield* server.post("/enter", { headers: { ...cross, ...bearer(token).headers } })).status,
        403
      )
      assert.strictEqual((yield* server.post("/enter")).status, 403)
    }))
})

describe("what an operator sees", () => {
  it.effect("tokens that contradict each other are counted, and no token is ever logged", () =>
    Effect.gen(function*() {
      const observed = observe()
      const token = yield* Effect.gen(function*() {
        const server = yield* serve(routes, { config: { transports: ["cookie", "bearer"] } })
        const token = (yield* server.post("/native")).body
        yield* server.get("/", { cookie: "session=x", ...bearer(token) })
        yield* server.get("/", bearer(token))
        return token
      }).pipe(Effect.provide(observed.layer))
      const refused = Object.entries(observed.counters()).filter(([name]) => name.endsWith(" duplicate"))
      assert.deepStrictEqual(refused.map(([, count]) => count), [1])
      assert.notInclude(observed.text(), token)
    }))
})

describe("an HttpApi", () => {
  const options = SessionMiddleware.apiOptions({ transports: ["cookie", "bearer", "header"], headerName: "x-token" })
  class AnySession
    extends HttpApiMiddleware.Service<AnySession, { provides: Session.Session }>()("AnySession", options)
  {}

  const Names = HttpApiGroup.make("names").add(
    HttpApiEndpoint.post("login", "/login", { success: HttpApiSchema.NoContent }),
    HttpApiEndpoint.get("names", "/names", { success: Schema.String })
  )
  const Api = HttpApi.make("names").add(Names).middleware(AnySession)

  const handlers = HttpApiBuilder.group(Api, "names", (handlers) =>
    handlers.handleAll({
      login: () => Session.put(Name, "Ada"),
      names: () => Effect.map(Session.all, (all) => JSON.stringify(all))
    }))

  const api = HttpApiBuilder.layer(Api).pipe(
    Layer.provide(handlers),
    Layer.provide(SessionMiddleware.layerApiOf(AnySession))
  )

  const config = { transports: ["header", "cookie", "bearer"], header: { name: "x-token" } } as const

  it.effect("its OpenAPI document has all that are accepted", () =>
    Effect.sync(() => {
      const { components, paths } = OpenApi.fromApi(Api)
      assert.deepStrictEqual(
        Object.values(components.securitySchemes).map(({ description: _, ...scheme }) => scheme),
        [
          { type: "apiKey", in: "cookie", name: "session" },
          { type: "http", scheme: "Bearer" },
          { type: "apiKey", in: "header", name: "x-token" }
        ]
      )
      assert.deepStrictEqual(paths["/names"]!.get!.security, [
        { session: [] },
        { sessionBearer: [] },
        { sessionHeader: [] }
      ])
    }))

  it.effect("takes each of them", () =>
    Effect.gen(function*() {
      const server = yield* serveApp(api, { config })
      const browser = yield* server.post("/login")
      const cookie = cookieOf(browser)
      const token = cookie.split("=")[1]!
      for (const headers of [{ cookie }, { authorization: `Bearer ${token}` }, { "x-token": token }]) {
        const client = yield* HttpApiClient.make(Api, {
          baseUrl: server.url,
          transformClient: HttpClient.mapRequest(HttpClientRequest.setHeaders(headers))
        }).pipe(Effect.provide(FetchHttpClient.layer))
        assert.strictEqual(yield* client.names.names(), ada)
      }
    }))

  it.effect("does not start where the configuration says something else", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* mistakesIn(serveApp(api)), [
        "transports (SESSION_TRANSPORTS): found \"cookie\". The OpenAPI document says \"cookie,bearer,header\": write that, " +
        "or declare the middleware with SessionMiddleware.apiOptions({ transports })",
        "header.name (SESSION_HEADER_NAME): found \"x-session-token\". The OpenAPI document says \"x-token\": write that, " +
        "or declare the middleware with SessionMiddleware.apiOptions({ headerName })"
      ])
    }))
})

describe("in a test of business logic", () => {
  it.effect("a token can be issued", () =>
    Effect.gen(function*() {
      const token = yield* Session.issueToken
      assert.isTrue(Redacted.isRedacted(token))
    }).pipe(Effect.provide(Session.layerTest())))
})
