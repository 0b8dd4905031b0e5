/**
 * Servers behind a cache that many clients share: nobody gets what was made for somebody else, least of all a cookie.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema, Stream } from "effect"
import { CookieLayer, MemoryLayer, Session, SessionConfig, SessionMiddleware } from "effect-session"
import { HttpMiddleware, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { TestClock } from "effect/testing"
import { secret } from "../support/config.ts"
import { drivers } from "../support/drivers.ts"
import { countedBackend, serveWatched, watchStore } from "../support/failingStore.ts"
import { observe } from "../support/observe.ts"
import { basicRoutes, Count, Name, ok } from "../support/routes.ts"
import { cookieOf, type Routes, serve, serveApp, serveLayer, type Server, serveWeb } from "../support/server.ts"
import { mayKeep, sharedCache } from "../support/sharedCache.ts"

const account = Effect.map(Session.get(Name), Option.getOrElse(() => "nobody"))

const login = Effect.gen(function*() {
  const { name } = yield* HttpRouter.params
  yield* Session.regenerate
  yield* Session.put(Name, name!)
})

const accountRoutes = Layer.mergeAll(
  HttpRouter.add("GET", "/account", Effect.map(account, (name) => HttpServerResponse.text(`account of ${name}`))),
  HttpRouter.add("POST", "/login/:name", Effect.as(login, ok))
)

// -----------------------------------------------------------------------------
// what depends on the cookie
// -----------------------------------------------------------------------------

const assertEachTheirOwn = Effect.fnUntraced(function*(server: Server) {
  const cache = sharedCache(server)
  for (const name of ["ada", "bob"]) {
    const cookie = cookieOf(yield* server.post(`/login/${name}`))
    assert.include((yield* cache.get("/account", { cookie })).body, name)
    assert.include((yield* cache.get("/account", { cookie })).body, name, "from the cache")
  }
  assert.include((yield* cache.get("/account")).body, "nobody")
})

const Api = HttpApi.make("api").middleware(SessionMiddleware.Api).add(
  HttpApiGroup.make("all").add(
    HttpApiEndpoint.get("account", "/account", { success: Schema.String }),
    HttpApiEndpoint.post("login", "/login/:name", { params: { name: Schema.String } })
  )
).middleware(SessionMiddleware.Api)

const ApiRoutes = HttpApiBuilder.layer(Api).pipe(
  Layer.provide(
    HttpApiBuilder.group(
      Api,
      "all",
      (handlers) =>
        handlers.handle("account", () => account).handle(
          "login",
          ({ params }) => Effect.andThen(Session.regenerate, Session.put(Name, params.name))
        )
    )
  ),
  Layer.provide(SessionMiddleware.layerApi)
)

const plain = Layer.unwrap(
  Effect.gen(function*() {
    const withSession = yield* SessionMiddleware.make
    const app = yield* HttpRouter.toHttpEffect(accountRoutes as Layer.Layer<never>)
    return HttpServer.serve(withSession(app))
  })
)

describe.each(drivers)(
  "V14.2.2 a page that reads the session behind a shared cache, with the $driver",
  ({ makeStore }) => {
    const store = makeStore()

    it.effect("is each visitor's own under SessionMiddleware.layer", () =>
      Effect.flatMap(serve(accountRoutes, { store }), assertEachTheirOwn))

    it.effect("is each visitor's own under SessionMiddleware.layerGlobal", () =>
      Effect.flatMap(
        serveApp(Layer.mergeAll(accountRoutes, SessionMiddleware.layerGlobal), { store }),
        assertEachTheirOwn
      ))

    it.effect("is each visitor's own under SessionMiddleware.layerApi", () =>
      Effect.flatMap(serveApp(ApiRoutes as Routes, { store }), assertEachTheirOwn))

    it.effect("is each visitor's own under SessionMiddleware.make", () =>
      Effect.flatMap(serveLayer(plain as Parameters<typeof serveLayer>[0], { store }), assertEachTheirOwn))
  }
)

const used = (response: HttpServerResponse.HttpServerResponse) => Effect.as(Session.has(Name), response)

const web = (status: number, headers: Record<string, string> = {}) =>
  HttpServerResponse.raw(new Response("from elsewhere", { status, headers }))

const varies: ReadonlyArray<
  readonly [
    title: string,
    handler: Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, Session.Session>,
    status: number,
    vary: string | undefined
  ]
> = [
  ["a page that does not use the session", Effect.succeed(ok), 200, undefined],
  ["a page that does not use it and varies", Effect.succeed(setVary("Accept")), 200, "Accept"],
  ["a page that reads it", used(ok), 200, "Cookie"],
  ["a page that only asks whether it is new", Effect.as(Session.fresh, ok), 200, "Cookie"],
  ["a page that only asks whether it was loaded", Effect.as(Session.initiated, ok), 200, undefined],
  ["a page that changes it", Effect.as(Session.increment(Count), ok), 200, "Cookie"],
  ["a page that changes a part of it", Effect.as(Session.atomic(Session.increment(Count)), ok), 200, "Cookie"],
  ["a page that varies by something else", used(setVary("Accept-Encoding")), 200, "Accept-Encoding, Cookie"],
  ["a page that varies by nothing", used(setVary("")), 200, "Cookie"],
  ["a page that says it already", used(setVary("accept, cookie")), 200, "accept, cookie"],
  ["a page that varies by everything", used(setVary("*")), 200, "*"],
  ["a redirect", used(HttpServerResponse.redirect("/")), 302, "Cookie"],
  ["a 304", used(HttpServerResponse.empty({ status: 304 })), 304, "Cookie"],
  ["a 404", used(HttpServerResponse.empty({ status: 404 })), 404, "Cookie"],
  ["a 500", used(HttpServerResponse.empty({ status: 500 })), 500, "Cookie"],
  [
    "a failure that is a response",
    Effect.flatMap(Session.has(Name), () => Effect.fail(setVary("Accept"))),
    200,
    "Accept, Cookie"
  ],
  ["a defect", Effect.flatMap(Session.has(Name), () => Effect.die(new Error("no"))), 500, "Cookie"],
  ["a stream whose handler has used it", used(stream()), 200, "Cookie"],
  ["a stream whose handler has not", Effect.succeed(stream()), 200, undefined]
]

function setVary(vary: string) {
  return HttpServerResponse.setHeader(ok, "vary", vary)
}

function stream() {
  return HttpServerResponse.stream(Stream.encodeText(Stream.make("a", "b")))
}

describe("V14.2.2 Vary: Cookie", () => {
  for (const [title, handler, status, vary] of varies) {
    for (const method of ["GET", "HEAD"] as const) {
      it.effect(`${method} of ${title}: ${vary}`, () =>
        Effect.gen(function*() {
          const server = yield* serve(HttpRouter.add("GET", "/page", handler as typeof account & typeof handler))
          for (const cookie of [undefined, "session=unknown"]) {
            const answer = yield* server.send(method, "/page", { cookie })
            assert.strictEqual(answer.status, status)
            assert.strictEqual(answer.headers.vary, vary)
          }
        }))
    }
  }

  for (
    const [title, response, vary] of [
      ["a response of the web platform", web(200), "Cookie"],
      ["one that varies by itself", web(200, { vary: "Accept" }), "Accept, Cookie"],
      ["one that says it already", web(200, { vary: "Cookie" }), "Cookie"],
      ["one that varies by everything", web(404, { vary: "*" }), "*"]
    ] as const
  ) {
    it.effect(`is in ${title}`, () =>
      Effect.gen(function*() {
        const server = yield* serveWeb(HttpRouter.add("GET", "/page", used(response)))
        assert.strictEqual((yield* server.send("GET", "/page")).headers.vary, vary)
      }))
  }

  it.effect("is in the answer to a request whose session can't be loaded, whatever the handler makes of that", () =>
    Effect.gen(function*() {
      const handled = Effect.catchTag(used(ok), "SessionStoreError", () => Effect.succeed(ok))
      const { cookie, server, store } = yield* serveWatched(
        Layer.mergeAll(HttpRouter.add("GET", "/page", used(ok)), HttpRouter.add("GET", "/handled", handled))
      )
      store.fails("load")
      const failed = yield* server.get("/page", { cookie })
      assert.deepStrictEqual([failed.status, failed.headers.vary], [503, "Cookie"])
      const answer = yield* server.get("/handled", { cookie })
      assert.deepStrictEqual([answer.status, answer.headers.vary], [200, "Cookie"])
    }))

  it.effect("is in the 503 of a commit that has failed", () =>
    Effect.gen(function*() {
      const { cookie, server, store } = yield* serveWatched(
        HttpRouter.add("POST", "/page", Effect.as(Session.increment(Count), setVary("Accept")))
      )
      store.fails("update")
      const answer = yield* server.post("/page", { cookie })
      assert.deepStrictEqual([answer.status, answer.headers.vary], [503, "Accept, Cookie"])
    }))

  it.effect("is in a response that has taken the place of the handler's further out", () =>
    Effect.gen(function*() {
      const replace = HttpRouter.middleware((app) => Effect.as(app, setVary("Accept")), { global: true })
      const answer = yield* Effect.flatMap(
        serveApp(Layer.mergeAll(replace, Layer.provide(accountRoutes, SessionMiddleware.layer))),
        (server) => server.get("/account")
      )
      assert.strictEqual(answer.headers.vary, "Accept, Cookie")
    }))

  it.effect("is there beside what CORS says", () =>
    Effect.gen(function*() {
      const cors = HttpRouter.middleware(HttpMiddleware.cors({ allowedOrigins: ["https://a.example"] }), {
        global: true
      })
      const routes = Layer.provide(accountRoutes, SessionMiddleware.layer)
      const { headers } = yield* Effect.flatMap(
        serveApp(Layer.mergeAll(cors, routes)),
        (server) => server.get("/account", { headers: { origin: "https://a.example" } })
      )
      assert.sameMembers(headers.vary!.split(", "), ["Origin", "Cookie"])
    }))

  it.effect("is there once where two sessions are used", () =>
    Effect.gen(function*() {
      const inner = SessionMiddleware.layer.pipe(
        Layer.provide(MemoryLayer.layer()),
        Layer.provide(SessionConfig.layer({ secret, cookie: { name: "admin" } }))
      )
      const routes = Layer.provide(accountRoutes, inner)
      const outer = HttpRouter.middleware((app) => Effect.andThen(Effect.orDie(Session.has(Name)), app), {
        global: true
      })
      const server = yield* serveApp(Layer.mergeAll(SessionMiddleware.layerGlobal, outer, routes))
      assert.strictEqual((yield* server.get("/account")).headers.vary, "Cookie")
    }))

  it.effect("is not there where the middleware alone has used the session, to extend it", () =>
    Effect.gen(function*() {
      const server = yield* serve(basicRoutes, { config: { rolling: "always" } })
      const cookie = cookieOf(yield* server.post("/count"))
      yield* TestClock.adjust("2 minutes")
      const answer = yield* server.get("/untouched", { cookie })
      assert.strictEqual(answer.setCookies.length, 1)
      assert.strictEqual(answer.headers.vary, undefined)
    }))

  it.effect("is not there where sessions are switched off, as nothing depends on the cookie then", () =>
    Effect.gen(function*() {
      const server = yield* serve(accountRoutes, { config: { enabled: false } })
      assert.strictEqual((yield* server.get("/account")).headers.vary, undefined)
    }))
})

// -----------------------------------------------------------------------------
// cookies
// -----------------------------------------------------------------------------

/** What lets a shared cache keep a response, and what becomes of it in one with a cookie. */
const shared: ReadonlyArray<
  readonly [said: Readonly<Record<string, string>>, withCookie: Readonly<Record<string, string>>]
> = [
  [{ "cache-control": "public" }, { "cache-control": "private" }],
  [{ "cache-control": "public, max-age=60" }, { "cache-control": "max-age=60, private" }],
  [{ "cache-control": "Public, Max-Age=60, S-MaxAge=600, immutable" }, {
    "cache-control": "Max-Age=60, immutable, private"
  }],
  [{ "cache-control": "s-maxage=600, stale-while-revalidate=60" }, {
    "cache-control": "stale-while-revalidate=60, private"
  }],
  [{ "cache-control": "max-age=60" }, { "cache-control": "max-age=60, private" }],
  [{ "cache-control": "max-age=\"60\"" }, { "cache-control": "max-age=\"60\", private" }],
  [{ "cache-control": "public, no-cache" }, { "cache-control": "no-cache, private" }],
  [{ "cache-control": "immutable" }, { "cache-control": "immutable, private" }],
  [{ "cache-control": "private=\"x-user\", max-age=60" }, { "cache-control": "max-age=60, private" }],
  [{ "cache-control": "must-understand, no-store, max-age=60" }, { "cache-control": "no-store, max-age=60, private" }],
  [{ expires: "Thu, 01 Dec 2050 16:00:00 GMT" }, {
    expires: "Thu, 01 Dec 2050 16:00:00 GMT",
    "cache-control": "private"
  }],
  [{ "cache-control": "private", "cdn-cache-control": "max-age=60" }, {
    "cache-control": "private",
    "cdn-cache-control": "no-store"
  }],
  [{ "cache-control": "no-store", "Vercel-CDN-Cache-Control": "max-age=60" }, {
    "cache-control": "no-store",
    "vercel-cdn-cache-control": "no-store"
  }],
  [{ "surrogate-control": "max-age=60" }, { "cache-control": "no-store", "surrogate-control": "no-store" }],
  [{ "x-accel-expires": "60" }, { "cache-control": "no-store", "x-accel-expires": "0" }]
]

/** What shared caches keep at most until they have asked again: a cookie may extend the session there. */
const validated: ReadonlyArray<
  readonly [said: Readonly<Record<string, string>>, withCookie: Readonly<Record<string, string>>]
> = [
  [{}, { "cache-control": "no-store" }],
  [{ "cache-control": "no-cache" }, { "cache-control": "no-cache, private" }],
  [{ "cache-control": "max-age=0, must-revalidate" }, { "cache-control": "max-age=0, must-revalidate, private" }],
  [{ "cache-control": "no-cache", expires: "0" }, { "cache-control": "no-cache, private", expires: "0" }],
  [{ "cache-control": "private, max-age=60" }, { "cache-control": "private, max-age=60" }],
  [{ "cache-control": "no-store" }, { "cache-control": "no-store" }],
  [{ "cache-control": "private", "cdn-cache-control": "no-store" }, {
    "cache-control": "private",
    "cdn-cache-control": "no-store"
  }],
  [{ "x-accel-expires": "0" }, { "x-accel-expires": "0", "cache-control": "no-store" }]
]

const saying = (headers: Readonly<Record<string, string>>) => HttpServerResponse.setHeaders(ok, headers)

const cacheHeaders = [
  "cache-control",
  "expires",
  "cdn-cache-control",
  "vercel-cdn-cache-control",
  "surrogate-control",
  "x-accel-expires"
]

const cachingIn = ({ headers }: { readonly headers: Readonly<Record<string, unknown>> }) =>
  Object.fromEntries(cacheHeaders.flatMap((name) => headers[name] === undefined ? [] : [[name, headers[name]]]))

const lowerCase = (headers: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

/** A page that says this of caches, with what it does to the session before. */
const publicRoutes = (said: Readonly<Record<string, string>>) =>
  Layer.mergeAll(
    HttpRouter.add("GET", "/static", Effect.succeed(saying(said))),
    HttpRouter.add("GET", "/read", used(saying(said))),
    HttpRouter.add("GET", "/write", Effect.as(Session.increment(Count), saying(said))),
    HttpRouter.add("GET", "/regenerate", Effect.as(Session.regenerate, saying(said))),
    HttpRouter.add("GET", "/destroy", Effect.as(Session.destroy, saying(said))),
    HttpRouter.add("GET", "/touch", Effect.as(Session.touch, saying(said))),
    HttpRouter.add("GET", "/commit", Effect.as(Effect.andThen(Session.has(Name), Session.commit), saying(said)))
  )

describe.each(drivers)("V14.3.2 a response that a shared cache may keep, with the $driver", ({ driver, make }) => {
  const isServer = driver === "MemoryLayer"

  for (const [said, withCookie] of shared) {
    const title = JSON.stringify(said)

    it.effect(`gets no cookie that only extends the session, and the next one extends it: ${title}`, () =>
      Effect.gen(function*() {
        const { cookie, server, store } = yield* serveWatched(publicRoutes(said), {
          store: watchStore(make),
          config: { rolling: "always" }
        })
        yield* TestClock.adjust("10 minutes")
        for (const path of ["/static", "/read"]) {
          const answer = yield* server.get(path, { cookie })
          assert.deepStrictEqual(answer.setCookies, [], path)
          assert.deepStrictEqual(cachingIn(answer), lowerCase(said), "what the application says stays")
        }
        assert.deepStrictEqual(store.newCalls(), ["load"], "nothing is extended, and nothing loaded for nothing")
        const next = yield* server.get("/", { cookie })
        assert.include(next.setCookies[0], "Max-Age=7200")
        yield* TestClock.adjust("115 minutes")
        assert.strictEqual((yield* server.get("/", { cookie: cookieOf(next) })).body, `{"count":1}`)
      }))

    it.effect(`becomes private where a cookie must go out: ${title}`, () =>
      Effect.gen(function*() {
        const { cookie, server } = yield* serveWatched(publicRoutes(said), { store: watchStore(make) })
        const answers = [
          yield* server.get("/write"),
          yield* server.get("/regenerate", { cookie }),
          yield* server.get("/destroy", { cookie: cookieOf(yield* server.post("/count")) }),
          yield* Effect.andThen(
            TestClock.adjust("1 second"),
            server.get("/touch", { cookie: cookieOf(yield* server.post("/count")) })
          )
        ]
        for (const answer of answers) {
          assert.strictEqual(answer.setCookies.length, 1)
          assert.deepStrictEqual(cachingIn(answer), withCookie)
          assert.isFalse(mayKeep(answer))
        }
      }))
  }

  for (const [said, withCookie] of validated) {
    it.effect(`does not count as shared, so the session is extended: ${JSON.stringify(said)}`, () =>
      Effect.gen(function*() {
        const { cookie, server } = yield* serveWatched(publicRoutes(said), { store: watchStore(make) })
        yield* TestClock.adjust("10 minutes")
        const answer = yield* server.get("/read", { cookie })
        assert.strictEqual(answer.setCookies.length, 1)
        assert.deepStrictEqual(cachingIn(answer), withCookie)
        assert.isFalse(mayKeep(answer))
      }))
  }

  const said = { "cache-control": "public, max-age=60" }

  it.effect("writes without extending, where the store is on the server", () =>
    Effect.gen(function*() {
      const { cookie, server, store } = yield* serveWatched(publicRoutes(said), { store: watchStore(make) })
      yield* TestClock.adjust("10 minutes")
      const answer = yield* server.get("/write", { cookie })
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      assert.strictEqual(answer.setCookies.length, isServer ? 0 : 1)
      assert.strictEqual(answer.headers["cache-control"], isServer ? "public, max-age=60" : "max-age=60, private")
      const next = yield* server.get("/", { cookie: cookieOf(answer) || cookie })
      assert.strictEqual(next.body, `{"count":2}`)
      assert.include(next.setCookies[0], "Max-Age=7200", "the extension is still due")
    }))

  it.effect("takes the cookie of an extension that was committed by hand, and is private", () =>
    Effect.gen(function*() {
      const { cookie, server } = yield* serveWatched(publicRoutes(said), { store: watchStore(make) })
      yield* TestClock.adjust("10 minutes")
      const answer = yield* server.get("/commit", { cookie })
      assert.include(answer.setCookies[0], "Max-Age=7200")
      assert.strictEqual(answer.headers["cache-control"], "max-age=60, private")
    }))

  it.effect("begins no session that nobody has asked for", () =>
    Effect.gen(function*() {
      const { server, store } = yield* serveWatched(publicRoutes(said), {
        store: watchStore(make),
        config: { saveUninitialized: true }
      })
      for (const path of ["/static", "/read"]) assert.deepStrictEqual((yield* server.get(path)).setCookies, [])
      assert.deepStrictEqual(store.newCalls(), [])
      assert.strictEqual((yield* server.get("/untouched")).setCookies.length, 1)
    }))

  it.effect("leaves the rotation of a secret to the next one", () =>
    Effect.gen(function*() {
      const store = isServer ? countedBackend().layer : CookieLayer.layer()
      const old = "an old secret of at least thirty-two characters"
      const cookie = cookieOf(yield* (yield* serve(basicRoutes, { store, config: { secret: old } })).post("/count"))
      const routes = Layer.mergeAll(basicRoutes, publicRoutes(said))
      const server = yield* serve(routes, { store, config: { secret: [secret, old] } })
      for (const path of isServer ? ["/read", "/write"] : ["/read"]) {
        assert.deepStrictEqual((yield* server.get(path, { cookie })).setCookies, [])
      }
      const next = yield* server.get("/", { cookie })
      assert.strictEqual(next.setCookies.length, 1)
      assert.notStrictEqual(cookieOf(next), cookie)
    }))

  it.effect("is private too where that is said further out, after the cookie was set", () =>
    Effect.gen(function*() {
      const says = HttpRouter.middleware(
        (app) => Effect.map(app, HttpServerResponse.setHeader("cache-control", "public, max-age=60")),
        { global: true }
      )
      const routes = Layer.provide(basicRoutes, SessionMiddleware.layer)
      const server = yield* serveApp(Layer.mergeAll(says, routes), { store: watchStore(make).layer })
      const answer = yield* server.post("/count")
      assert.strictEqual(answer.setCookies.length, 1)
      assert.strictEqual(answer.headers["cache-control"], "max-age=60, private")
    }))

  it.effect("is extended without a cookie where the cookie ends with the browser and the session is on the server", () =>
    Effect.gen(function*() {
      const { cookie, server, store } = yield* serveWatched(publicRoutes(said), {
        store: watchStore(make),
        config: { cookie: { persistence: "browser" } }
      })
      yield* TestClock.adjust("10 minutes")
      const answer = yield* server.get("/read", { cookie })
      assert.deepStrictEqual(answer.setCookies, [])
      assert.strictEqual(answer.headers["cache-control"], "public, max-age=60")
      assert.deepStrictEqual(store.newCalls(), isServer ? ["load", "touch"] : ["load"])
    }))
})

describe("a cookie in a response of the web platform that a shared cache may keep", () => {
  it.effect("makes it private, with the headers of its own", () =>
    Effect.gen(function*() {
      const response = () => web(200, { "cache-control": "public, max-age=60", "cdn-cache-control": "max-age=60" })
      const server = yield* serveWeb(
        HttpRouter.add("GET", "/page", Effect.map(Session.increment(Count), response))
      )
      const answer = yield* server.send("GET", "/page")
      assert.strictEqual(answer.setCookies.length, 1)
      assert.deepStrictEqual(cachingIn(answer), {
        "cache-control": "max-age=60, private",
        "cdn-cache-control": "no-store"
      })
    }))
})

describe("a session that a stream has used for long", () => {
  it.effect("is not extended in the store when its end can't extend the cookie, so the next request extends both", () =>
    Effect.gen(function*() {
      const { cookie, server, store } = yield* serveWatched(
        HttpRouter.add(
          "GET",
          "/stream",
          Effect.as(
            Session.has(Name),
            HttpServerResponse.stream(
              Stream.encodeText(Stream.fromEffect(Effect.as(TestClock.adjust("10 minutes"), "late")))
            )
          )
        )
      )
      assert.strictEqual((yield* server.get("/stream", { cookie })).body, "late")
      assert.deepStrictEqual(store.newCalls(), ["load"])
      assert.include((yield* server.get("/", { cookie })).setCookies[0], "Max-Age=7200")
    }))
})

describe("the log", () => {
  it.effect("has one warning of cookies in responses that shared caches may keep, however many there are", () =>
    Effect.gen(function*() {
      const observed = observe()
      const routes = publicRoutes({ "cache-control": "public" })
      yield* Effect.gen(function*() {
        const server = yield* serve(routes)
        yield* server.get("/write?token=not-for-the-log")
        yield* server.get("/write")
        yield* server.get("/read")
      }).pipe(Effect.provide(observed.layer))
      const warnings = observed.logs.filter(({ level }) => level === "Warn")
      assert.strictEqual(warnings.length, 1)
      assert.match(warnings[0]!.message, /shared caches/)
      assert.deepStrictEqual(warnings[0]!.annotations, { "http.request.method": "GET", "url.path": "/write" })
    }))

  it.effect("has none where the response may be kept by its client alone", () =>
    Effect.gen(function*() {
      const observed = observe()
      yield* Effect.gen(function*() {
        for (const said of [{}, { "cache-control": "no-cache" }, { "cache-control": "private" }]) {
          yield* (yield* serve(publicRoutes(said), { store: CookieLayer.layer() })).get("/write")
        }
      }).pipe(Effect.provide(observed.layer))
      assert.deepStrictEqual(observed.logs.filter(({ level }) => level === "Warn"), [])
    }))
})
