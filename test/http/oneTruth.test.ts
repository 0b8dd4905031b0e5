/**
 * One truth about a response: what the client gets is what the access log, the span of the request, a metric and every
 * other middleware outside of the session's see, also where the commit fails.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Stream } from "effect"
import { CookieLayer, Session, SessionConfig, SessionKey, SessionMiddleware } from "effect-session"
import {
  HttpEffect,
  HttpMiddleware,
  HttpRouter,
  HttpServer,
  HttpServerError,
  HttpServerRespondable,
  HttpServerResponse
} from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { secret } from "../support/config.ts"
import { watchStore } from "../support/failingStore.ts"
import { observe, type Observed } from "../support/observe.ts"
import { basicRoutes, Count, count, Name, ok, post, show } from "../support/routes.ts"
import {
  type Answer,
  cookieNames,
  cookieOf,
  type Options,
  type Routes,
  serveApp,
  serveLayer,
  serveWeb
} from "../support/server.ts"

type Response = HttpServerResponse.HttpServerResponse
type Middleware = <E, R>(app: Effect.Effect<Response, E, R>) => Effect.Effect<Response, E, R>

const outside = (middleware: (app: Effect.Effect<Response, never>) => Effect.Effect<Response, never, never>): Routes =>
  HttpRouter.middleware(middleware as never, { global: true }) as Routes

const inside = (...routes: ReadonlyArray<Routes>): Routes =>
  Layer.provide(Layer.mergeAll(Layer.empty, ...routes), SessionMiddleware.layer) as Routes

/** A middleware of an application that counts what is answered. */
const meter = () => {
  const statuses: Array<number> = []
  const middleware: Middleware = (app) => Effect.tap(app, ({ status }) => Effect.sync(() => statuses.push(status)))
  return { statuses, middleware }
}

const accessLog = ({ logs }: Observed) =>
  logs.filter(({ message }) => message === "Sent HTTP response").map(({ annotations }) => annotations["http.status"])

const requestSpans = ({ spans }: Observed) =>
  spans.flatMap(({ attributes, kind, status }) =>
    kind === "server" && status._tag === "Ended"
      ? [[attributes.get("http.response.status_code"), status.exit._tag]]
      : []
  )

/** Logs and spans are complete only after the client has its answer. */
const seen = (observed: Observed, requests: number) =>
  Effect.promise(async () => {
    const isComplete = () => accessLog(observed).length >= requests && requestSpans(observed).length >= requests
    for (let waits = 0; waits < 500 && !isComplete(); waits++) await new Promise((resolve) => setTimeout(resolve, 5))
    return { log: accessLog(observed), spans: requestSpans(observed) }
  })

// -----------------------------------------------------------------------------
// every way to attach the middleware
// -----------------------------------------------------------------------------

const Counting = HttpApiGroup.make("counting").add(
  HttpApiEndpoint.post("count", "/count", { success: HttpApiSchema.NoContent })
)
const Api = HttpApi.make("counting").add(Counting).middleware(SessionMiddleware.Api)
const api: Routes = HttpApiBuilder.layer(Api).pipe(
  Layer.provide(
    HttpApiBuilder.group(
      Api,
      "counting",
      (handlers) => handlers.handle("count", () => Effect.asVoid(Session.increment(Count)))
    )
  ),
  Layer.provide(SessionMiddleware.layerApi)
)

const router = (app: Routes) => (middleware: Middleware, options: Options) =>
  serveApp(Layer.mergeAll(outside(middleware), app), options)

const plain = (middleware: Middleware, options: Options) =>
  serveLayer(
    Layer.unwrap(
      Effect.map(
        SessionMiddleware.make,
        (withSession) =>
          HttpServer.serve(middleware(withSession(Effect.as(Session.increment(Count), ok))), HttpMiddleware.logger)
      )
    ),
    options
  )

const ways = [
  { way: "SessionMiddleware.make", serve: plain, success: 200, body: "Service Unavailable" },
  { way: "SessionMiddleware.layer", serve: router(inside(count)), success: 200, body: "Service Unavailable" },
  {
    way: "SessionMiddleware.layerGlobal",
    serve: router(Layer.mergeAll(SessionMiddleware.layerGlobal, count)),
    success: 200,
    body: "Service Unavailable"
  },
  { way: "SessionMiddleware.layerApi", serve: router(api), success: 204, body: "" }
]

describe.each(ways)("with $way", ({ body, serve, success }) => {
  it.effect("a commit that fails is a 503 in the access log, in the span and in a metric", () => {
    const observed = observe()
    const { middleware, statuses } = meter()
    return Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serve(middleware, { store: store.layer })
      const works = yield* server.post("/count")
      store.fails("create")
      const fails = yield* server.post("/count")
      assert.deepStrictEqual([works.status, fails.status], [success, 503])
      assert.strictEqual(fails.body, body)
      assert.deepStrictEqual(fails.setCookies, [])
      const { log, spans } = yield* seen(observed, 2)
      assert.deepStrictEqual(log, [success, 503])
      assert.deepStrictEqual(spans, [[success, "Success"], [503, "Failure"]])
      assert.deepStrictEqual(statuses, [success, 503])
    }).pipe(Effect.provide(observed.layer))
  })

  it.effect("middleware further out sees the cookie, and can set headers on the error", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const names: Array<ReadonlyArray<string>> = []
      const looking: Middleware = (app) =>
        Effect.map(app, (response) => {
          names.push(Object.keys(response.cookies.cookies))
          return HttpServerResponse.setHeader(response, "x-status", String(response.status))
        })
      const server = yield* serve(looking, { store: store.layer })
      const works = yield* server.post("/count")
      store.fails("create")
      const fails = yield* server.post("/count")
      assert.deepStrictEqual(names, [["session"], []])
      assert.deepStrictEqual(cookieNames(works), ["session"])
      assert.deepStrictEqual([works, fails].map(({ headers }) => headers["x-status"]), [String(success), "503"])
    }))

  it.effect("a response that is replaced further out takes the cookie of what was committed along", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const replacing: Middleware = (app) => Effect.as(app, HttpServerResponse.text("another", { status: 502 }))
      const server = yield* serve(replacing, { store: store.layer })
      const replaced = yield* server.post("/count")
      assert.strictEqual(replaced.status, 502)
      assert.strictEqual(replaced.body, "another")
      assert.strictEqual(replaced.headers["cache-control"], "no-store")
      assert.deepStrictEqual(cookieNames(replaced), ["session"])
      yield* server.post("/count", { cookie: cookieOf(replaced) })
      assert.deepStrictEqual(store.calls, ["create", "load", "update"])
    }))
})

// -----------------------------------------------------------------------------
// what is further out
// -----------------------------------------------------------------------------

/** Serves a session with what is outside of its middleware. */
const serveInside = (further: Routes, routes: Routes = Layer.empty, options: Options = {}) =>
  serveApp(Layer.mergeAll(further, inside(basicRoutes, routes)), options)

describe("further out than the middleware", () => {
  it.effect("a defect does not undo what was committed, and its 500 has the cookie", () =>
    Effect.gen(function*() {
      const dying = outside((app) =>
        Effect.flatMap(app, (response) =>
          response.status === 204 ? Effect.die(new Error("no")) : Effect.succeed(response))
      )
      const store = watchStore()
      const noContent = HttpRouter.add(
        "POST",
        "/no-content",
        Effect.as(Session.increment(Count), HttpServerResponse.empty())
      )
      const server = yield* serveInside(dying, noContent, { store: store.layer })
      const failed = yield* server.post("/no-content")
      assert.strictEqual(failed.status, 500)
      assert.deepStrictEqual(cookieNames(failed), ["session"])
      assert.deepStrictEqual(store.calls, ["create"])
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(failed) })).body, `{"count":1}`)
    }))

  it.effect("a response of another status does not bring back what was rolled back", () =>
    Effect.gen(function*() {
      const hiding = outside((app) =>
        Effect.map(app, (response) => response.status === 502 ? HttpServerResponse.text("all is well") : response)
      )
      const store = watchStore()
      const broken = HttpRouter.add(
        "POST",
        "/broken",
        Effect.as(Session.increment(Count), HttpServerResponse.empty({ status: 502 }))
      )
      const server = yield* serveInside(hiding, broken, { store: store.layer })
      const answer = yield* server.post("/broken")
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(answer.setCookies, [])
      assert.deepStrictEqual(store.calls, [])
    }))

  it.effect("a time limit does not take the cookie from what was committed", () =>
    Effect.gen(function*() {
      const late = outside((app) =>
        Effect.flatMap(Effect.result(Effect.andThen(app, Effect.interrupt)), () => Effect.die("unreachable"))
      )
      const server = yield* serveInside(late)
      const answer = yield* server.post("/count")
      assert.strictEqual(answer.status, 503)
      assert.deepStrictEqual(cookieNames(answer), ["session"])
    }))

  it.effect("a retry of a response 503 gets a session of its own", () =>
    Effect.gen(function*() {
      let runs = 0
      const retrying = outside((app) =>
        Effect.repeat(app, { until: ({ status }) => status !== 503, times: 3 }) as Effect.Effect<Response>
      )
      const flaky = HttpRouter.add(
        "POST",
        "/flaky",
        Effect.map(
          Session.increment(Count),
          () => ++runs < 3 ? HttpServerResponse.empty({ status: 503 }) : ok
        )
      )
      const store = watchStore()
      const server = yield* serveInside(retrying, flaky, { store: store.layer })
      const answer = yield* server.post("/flaky")
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(store.calls, ["create"])
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(answer) })).body, `{"count":1}`)
    }))

  it.effect("a commit that failed can be tried again with the whole request", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const retrying = outside((app) =>
        Effect.flatMap(app, (response) => {
          if (response.status !== 503) return Effect.succeed(response)
          store.works()
          return app
        })
      )
      const server = yield* serveInside(retrying, Layer.empty, { store: store.layer })
      store.fails("create")
      const answer = yield* server.post("/count")
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(store.calls, ["create", "create"])
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(answer) })).body, `{"count":1}`)
    }))

  it.effect("a second run that rolls back does not take the cookie from what the first one has committed", () =>
    Effect.gen(function*() {
      let runs = 0
      const again = outside((app) => Effect.flatMap(app, (response) => runs === 1 ? app : Effect.succeed(response)))
      const route = HttpRouter.add(
        "POST",
        "/once",
        Effect.map(Session.increment(Count), () => ++runs === 1 ? ok : HttpServerResponse.empty({ status: 502 }))
      )
      const server = yield* serveInside(again, route)
      const answer = yield* server.post("/once")
      assert.strictEqual(answer.status, 502)
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(answer) })).body, `{"count":1}`)
    }))

  it.effect("a choice among the responses of several runs is a choice among their cookies", () =>
    Effect.gen(function*() {
      const amounts = [1, 10]
      const route = HttpRouter.add(
        "POST",
        "/add",
        Effect.as(Effect.suspend(() => Session.put(Count, amounts.shift()!)), ok)
      )
      const first = outside((app) =>
        Effect.flatMap(app, (response) => amounts.length === 1 ? Effect.as(app, response) : Effect.succeed(response))
      )
      const server = yield* serveInside(first, route)
      const answer = yield* server.post("/add")
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(answer) })).body, `{"count":1}`)
    }))

  it.effect("the session of another request is not taken for the one of this request", () =>
    Effect.gen(function*() {
      let other: Session.Session | undefined
      const providing = outside((app) =>
        Effect.suspend(() => other === undefined ? app : Effect.provideService(app, Session.Session, other))
      )
      const capturing = post("/capture", Effect.map(Session.Session, (session) => void (other = session)))
      const server = yield* serveInside(providing, capturing)
      yield* server.post("/capture")
      const answer = yield* server.post("/count")
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(cookieNames(answer), ["session"])
    }))

  it.effect("a change is a SessionClosedError", () =>
    Effect.gen(function*() {
      let captured: Session.Session | undefined
      let outcome: Exit.Exit<unknown, unknown> | undefined
      const changing = outside((app) =>
        Effect.tap(app, () =>
          Effect.gen(function*() {
            outcome = yield* Effect.exit(Effect.provideService(Session.increment(Count), Session.Session, captured!))
          })) as Effect.Effect<Response>
      )
      const capturing = post(
        "/capture",
        Effect.andThen(Session.increment(Count), Effect.map(Session.Session, (session) => void (captured = session)))
      )
      const server = yield* serveInside(changing, capturing)
      const answer = yield* server.post("/capture")
      assert.strictEqual(answer.status, 200)
      assert.isTrue(
        outcome !== undefined && Exit.isFailure(outcome) && Cause.pretty(outcome.cause).includes("too late")
      )
      captured = undefined
    }))

  it.effect("compression sees the error, and no longer the page that it replaces", () =>
    Effect.gen(function*() {
      const compressed: Array<string> = []
      const compressing = outside((app) =>
        Effect.map(app, (response) => {
          const { body } = response
          if (body._tag !== "Uint8Array") return response
          compressed.push(new TextDecoder().decode(body.body))
          return HttpServerResponse.setHeader(response, "x-length", String(body.contentLength))
        })
      )
      const store = watchStore()
      const page = HttpRouter.add(
        "POST",
        "/page",
        Effect.as(Session.increment(Count), HttpServerResponse.text("a page ".repeat(1000)))
      )
      const server = yield* serveInside(compressing, page, { store: store.layer })
      store.fails("create")
      const answer = yield* server.post("/page")
      assert.deepStrictEqual(compressed, ["Service Unavailable"])
      assert.strictEqual(answer.headers["x-length"], String(answer.body.length))
    }))

  it.effect("the middleware that began the session commits it, and not the one that stands inside of it", () =>
    Effect.gen(function*() {
      const observed = observe()
      const store = watchStore()
      const calls: Array<ReadonlyArray<string>> = []
      const afterwards = HttpRouter.middleware(
        (app) =>
          Effect.tap(app, () =>
            Effect.gen(function*() {
              calls.push(store.newCalls())
              yield* Effect.orDie(Session.put(Name, "Ada"))
            })),
        { global: true }
      ) as Routes
      const twice = Layer.mergeAll(SessionMiddleware.layerGlobal, afterwards, show, inside(count))
      yield* Effect.gen(function*() {
        const server = yield* serveApp(twice, { store: store.layer })
        const answer = yield* server.post("/count")
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual(calls, [[]])
        assert.deepStrictEqual(store.newCalls(), ["create"])
        const shown = yield* server.get("/", { cookie: cookieOf(answer) })
        assert.deepStrictEqual(JSON.parse(shown.body), { count: 1, name: "Ada" })
        store.fails("create")
        assert.strictEqual((yield* server.post("/count")).status, 503)
        const { log } = yield* seen(observed, 3)
        assert.deepStrictEqual(log, [200, 200, 503])
      }).pipe(Effect.provide(observed.layer))
    }))

  it.effect("of two sessions, the outer one's failure keeps the cookie of the inner one", () =>
    Effect.gen(function*() {
      const observed = observe()
      const outer = watchStore()
      const admin = SessionMiddleware.layer.pipe(
        Layer.provide(watchStore().layer),
        Layer.provide(SessionConfig.layer({ secret, cookie: { name: "admin" } }))
      )
      const visits = HttpRouter.middleware(
        (app) => Effect.andThen(Effect.orDie(Session.increment(Count)), app),
        { global: true }
      ) as Routes
      const nested = Layer.mergeAll(SessionMiddleware.layerGlobal, visits, Layer.provide(count, admin) as Routes)
      yield* Effect.gen(function*() {
        const server = yield* serveApp(nested, { store: outer.layer })
        outer.fails("create")
        const answer = yield* server.post("/count")
        assert.strictEqual(answer.status, 503)
        assert.deepStrictEqual(cookieNames(answer), ["admin"])
        assert.deepStrictEqual((yield* seen(observed, 1)).log, [503])
      }).pipe(Effect.provide(observed.layer))
    }))

  it.effect("between two sessions, a retry gets an inner session of its own", () =>
    Effect.gen(function*() {
      let runs = 0
      const admin = SessionMiddleware.layer.pipe(
        Layer.provide(watchStore().layer),
        Layer.provide(SessionConfig.layer({ secret, cookie: { name: "admin" } }))
      )
      const retrying = outside((app) => Effect.retry(app, { times: 2 }))
      const flaky = HttpRouter.add(
        "POST",
        "/flaky",
        Effect.flatMap(
          Session.increment(Count),
          (count) => ++runs < 3 ? Effect.fail("once more") : Effect.succeed(HttpServerResponse.text(String(count)))
        )
      )
      const nested = Layer.mergeAll(SessionMiddleware.layerGlobal, retrying, Layer.provide(flaky, admin) as Routes)
      const server = yield* serveApp(nested)
      assert.strictEqual((yield* server.post("/flaky")).body, "1")
    }))
})

// -----------------------------------------------------------------------------
// errors that become responses further out
// -----------------------------------------------------------------------------

class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", {}) {
  [HttpServerRespondable.symbol]() {
    return Effect.succeed(
      HttpServerResponse.text("Sold out", { status: 409, headers: { "x-request-id": "7", "etag": "\"1\"" } })
    )
  }
}

describe("an error that becomes a response further out", () => {
  const sell = HttpRouter.add("POST", "/sell", Effect.andThen(Session.increment(Count), Effect.fail(new SoldOut())))

  it.effect("commits by the status of that response", () =>
    Effect.gen(function*() {
      const caught: Array<number> = []
      const catching = outside((app) =>
        Effect.catchCause(app, (cause) =>
          Effect.map(HttpServerError.causeResponse(cause), ([response]) => {
            caught.push(response.status)
            return HttpServerResponse.setStatus(response, response.status === 409 ? 410 : 503)
          })) as Effect.Effect<Response>
      )
      const store = watchStore()
      const server = yield* serveInside(
        catching,
        Layer.mergeAll(
          sell,
          post("/die", Effect.andThen(Session.increment(Count), Effect.die(new Error("no"))))
        ) as Routes,
        { store: store.layer }
      )
      const sold = yield* server.post("/sell")
      assert.strictEqual(sold.status, 410)
      assert.deepStrictEqual(cookieNames(sold), ["session"])
      assert.deepStrictEqual(store.newCalls(), ["create"])
      assert.deepStrictEqual((yield* server.post("/die")).setCookies, [])
      assert.deepStrictEqual(store.newCalls(), [])
      assert.deepStrictEqual(caught, [409, 500])
    }))

  it.effect("is replaced where its commit fails, and keeps its headers but for those of the content", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serveInside(
        outside(HttpMiddleware.cors({ allowedOrigins: ["https://app.example"], credentials: true }) as never),
        sell as Routes,
        { store: store.layer }
      )
      store.fails("create")
      const answer = yield* server.post("/sell", { headers: { origin: "https://app.example" } })
      assert.strictEqual(answer.status, 503)
      assert.strictEqual(answer.body, "Service Unavailable")
      assert.deepInclude(answer.headers, { "x-request-id": "7", "access-control-allow-origin": "https://app.example" })
      assert.notProperty(answer.headers, "etag")
    }))
})

// -----------------------------------------------------------------------------
// bodies
// -----------------------------------------------------------------------------

describe("whatever the body is", () => {
  const bodies: ReadonlyArray<readonly [name: string, method: string, response: () => Response]> = [
    ["a HEAD request", "HEAD", () => ok],
    ["a HEAD request to a stream", "HEAD", () => HttpServerResponse.stream(Stream.encodeText(Stream.make("a")))],
    ["a stream", "GET", () => HttpServerResponse.stream(Stream.encodeText(Stream.make("a")))],
    ["304", "GET", () => HttpServerResponse.empty({ status: 304 })],
    ["an empty body", "GET", () => HttpServerResponse.empty()],
    ["a response of the web platform", "GET", () => HttpServerResponse.fromWeb(new Response("web"))],
    [
      "a redirect of the web platform",
      "GET",
      () => HttpServerResponse.fromWeb(Response.redirect("http://x.example/", 303))
    ]
  ]
  for (const [name, method, response] of bodies) {
    it.effect(`${name}: committed before it leaves, and 503 everywhere if that fails`, () => {
      const observed = observe()
      const { middleware, statuses } = meter()
      return Effect.gen(function*() {
        const store = watchStore()
        const route = HttpRouter.add("GET", "/body", Effect.map(Session.increment(Count), response))
        const server = yield* serveInside(outside(middleware), route, { store: store.layer })
        const works = yield* server.send(method, "/body")
        assert.deepStrictEqual(cookieNames(works), ["session"])
        assert.strictEqual(works.status, response().status)
        store.fails("create")
        const fails = yield* server.send(method, "/body")
        assert.strictEqual(fails.status, 503)
        assert.strictEqual(fails.body, method === "HEAD" ? "" : "Service Unavailable")
        assert.notProperty(fails.headers, "location")
        assert.deepStrictEqual(statuses, [works.status, 503])
        assert.deepStrictEqual((yield* seen(observed, 2)).log, [works.status, 503])
      }).pipe(Effect.provide(observed.layer))
    })
  }

  it.effect("a raw response of the web platform, as a web handler", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const headers = new Headers({ "x-request-id": "7", "etag": "\"1\"", "set-cookie": "own=1; Path=/" })
      const raw = HttpRouter.add(
        "GET",
        "/raw",
        Effect.map(Session.increment(Count), () => HttpServerResponse.raw(new Response("raw", { headers })))
      )
      const server = yield* serveWeb(raw, { store: store.layer })
      const works = yield* server.send("GET", "/raw")
      assert.strictEqual(works.body, "raw")
      assert.sameMembers([...cookieNames(works)], ["own", "session"])
      store.fails("create")
      const fails = yield* server.send("GET", "/raw")
      assert.strictEqual(fails.status, 503)
      assert.strictEqual(fails.headers["x-request-id"], "7")
      assert.notProperty(fails.headers, "etag")
      assert.deepStrictEqual(cookieNames(fails), ["own"])
    }))

  it.effect("a stream that is wrapped further out still saves what changes in it", () =>
    Effect.gen(function*() {
      const over = yield* Deferred.make<void>()
      const wrapping = outside((app) =>
        Effect.map(app, (response) =>
          response.body._tag === "Stream"
            ? HttpServerResponse.stream(Stream.map(response.body.stream, (chunk) => chunk))
            : response)
      )
      const stream = HttpRouter.add(
        "POST",
        "/stream",
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))
          const session = yield* Session.Session
          yield* Session.increment(Count)
          return HttpServerResponse.stream(
            Stream.fromEffect(Effect.as(Session.increment(Count, 10), "done")).pipe(
              Stream.provideService(Session.Session, session),
              Stream.encodeText
            )
          )
        })
      )
      const store = watchStore()
      const server = yield* serveInside(wrapping, stream as Routes, { store: store.layer })
      const answer = yield* server.post("/stream")
      yield* Deferred.await(over)
      assert.strictEqual(answer.body, "done")
      assert.deepStrictEqual(store.newCalls(), ["create", "update"])
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(answer) })).body, `{"count":11}`)
    }))

  it.effect("a stream that is replaced further out leaves the session as it was committed", () =>
    Effect.gen(function*() {
      const replacing = outside((app) =>
        Effect.map(app, (response) => response.body._tag === "Stream" ? HttpServerResponse.text("no stream") : response)
      )
      const stream = HttpRouter.add(
        "POST",
        "/stream",
        Effect.as(Session.increment(Count), HttpServerResponse.stream(Stream.encodeText(Stream.make("a"))))
      )
      const store = watchStore()
      const server = yield* serveInside(replacing, stream, { store: store.layer })
      const answer = yield* server.post("/stream")
      assert.strictEqual(answer.body, "no stream")
      assert.deepStrictEqual(cookieNames(answer), ["session"])
      assert.deepStrictEqual(store.newCalls(), ["create"])
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(answer) })).body, `{"count":1}`)
    }))
})

// -----------------------------------------------------------------------------
// the response to a commit that failed
// -----------------------------------------------------------------------------

const Large = SessionKey.make("large", Schema.String)

describe("the response to a commit that failed", () => {
  const origin = "https://app.example"

  /** What each of those who know the response has set on it. */
  const answering = (wrap: (response: Response) => Response, serve: (route: Routes) => Routes = inside) =>
    Effect.gen(function*() {
      const store = watchStore()
      const route = HttpRouter.add("POST", "/put", Effect.map(Session.increment(Count), () => wrap(ok)))
      const server = yield* serveApp(serve(route), { store: store.layer })
      store.fails("create")
      const answer = yield* server.post("/put", { headers: { origin } })
      assert.strictEqual(answer.status, 503)
      assert.strictEqual(answer.body, "Service Unavailable")
      return answer
    })

  const inCors = (routes: Routes, further: Routes = Layer.empty) =>
    inside(
      Layer.provide(
        Layer.merge(routes, further),
        HttpRouter.middleware(HttpMiddleware.cors({ allowedOrigins: [origin], credentials: true })).layer
      ) as Routes
    )

  it.effect("can be read from another origin, as CORS inside of the middleware allows it", () =>
    Effect.gen(function*() {
      const { headers } = yield* answering((response) => response, inCors)
      assert.deepInclude(headers, {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true"
      })
    }))

  it.effect("can be read from another origin, as the router's CORS allows it", () =>
    Effect.gen(function*() {
      const { headers } = yield* answering(
        (response) => response,
        (route) => Layer.mergeAll(HttpRouter.cors({ allowedOrigins: [origin], credentials: true }), inside(route))
      )
      assert.strictEqual(headers["access-control-allow-origin"], origin)
    }))

  it.effect("keeps the headers that the handler has set, and the cookies of others", () =>
    Effect.gen(function*() {
      const { headers, setCookies } = yield* answering((response) =>
        response.pipe(
          HttpServerResponse.setHeaders({
            "access-control-allow-origin": origin,
            "x-request-id": "7",
            "x-frame-options": "DENY",
            "content-security-policy": "default-src 'none'",
            "strict-transport-security": "max-age=1",
            "vary": "Origin"
          }),
          HttpServerResponse.setCookieUnsafe("theme", "dark")
        )
      )
      assert.deepInclude(headers, {
        "access-control-allow-origin": origin,
        "x-request-id": "7",
        "x-frame-options": "DENY",
        "content-security-policy": "default-src 'none'",
        "strict-transport-security": "max-age=1",
        "vary": "Origin, Cookie"
      })
      assert.deepStrictEqual(setCookies, ["theme=dark"])
    }))

  it.effect("keeps what a hook for the response sets, whether it is registered outside or inside", () =>
    Effect.gen(function*() {
      const hook = (name: string) =>
        HttpEffect.appendPreResponseHandler((_, response) =>
          Effect.succeed(HttpServerResponse.setHeader(response, name, String(response.status)))
        )
      const { headers } = yield* answering(
        (response) => response,
        (route) =>
          Layer.mergeAll(
            outside((app) => Effect.andThen(hook("x-outside"), app) as Effect.Effect<Response>),
            inside(
              Layer.provide(
                route,
                HttpRouter.middleware((app) => Effect.andThen(hook("x-inside"), app)).layer
              ) as Routes
            )
          )
      )
      assert.deepInclude(headers, { "x-outside": "503", "x-inside": "503" })
    }))

  it.effect("has nothing that was about the content, the redirect or the file that it replaces", () =>
    Effect.gen(function*() {
      const about = {
        "accept-ranges": "bytes",
        "age": "1",
        "cdn-cache-control": "max-age=60",
        "content-digest": "sha-256=:x:",
        "content-disposition": "attachment",
        "content-encoding": "gzip",
        "content-language": "de",
        "content-location": "/other",
        "content-md5": "x",
        "content-range": "bytes 0-1/2",
        "digest": "sha-256=x",
        "etag": "\"1\"",
        "expires": "Thu, 01 Jan 2099 00:00:00 GMT",
        "last-modified": "Thu, 01 Jan 2015 00:00:00 GMT",
        "location": "/elsewhere",
        "pragma": "x",
        "refresh": "0; url=/elsewhere",
        "repr-digest": "sha-256=:x:",
        "surrogate-control": "max-age=60",
        "trailer": "x-checksum",
        "x-accel-expires": "60",
        "x-accel-redirect": "/protected/file",
        "x-sendfile": "/protected/file"
      }
      const { headers } = yield* answering(
        HttpServerResponse.setHeaders({ ...about, "cache-control": "public, max-age=60", "content-type": "image/png" })
      )
      for (const name of Object.keys(about)) assert.notProperty(headers, name)
      assert.strictEqual(headers["cache-control"], "no-store")
      assert.match(headers["content-type"]!, /^text\/plain/)
      assert.strictEqual(headers["content-length"], String("Service Unavailable".length))
    }))

  it.effect("of an HttpApi keeps the headers of others too, and has no content", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const observed = observe()
      yield* Effect.gen(function*() {
        const server = yield* serveApp(
          Layer.mergeAll(HttpRouter.cors({ allowedOrigins: [origin], credentials: true }), headed),
          { store: store.layer }
        )
        store.fails("create")
        const answer: Answer = yield* server.post("/total", { headers: { origin } })
        assert.strictEqual(answer.status, 503)
        assert.strictEqual(answer.body, "")
        assert.deepInclude(answer.headers, { "access-control-allow-origin": origin, "x-request-id": "7" })
        assert.notProperty(answer.headers, "content-type")
        assert.deepStrictEqual((yield* seen(observed, 1)).log, [503])
      }).pipe(Effect.provide(observed.layer))
    }))

  it.effect("is a 500 where the session does not fit into its cookie, in the log as well", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const fill = HttpRouter.add(
        "POST",
        "/fill",
        Effect.as(
          Session.put(Large, "x".repeat(10_000)),
          HttpServerResponse.setHeader(HttpServerResponse.text("full"), "x-request-id", "7")
        )
      )
      const server = yield* serveApp(inside(fill), { store: CookieLayer.layer() })
      const answer = yield* server.post("/fill")
      assert.strictEqual(answer.status, 500)
      assert.strictEqual(answer.body, "Internal Server Error")
      assert.strictEqual(answer.headers["x-request-id"], "7")
      assert.deepStrictEqual(answer.setCookies, [])
      const { log, spans } = yield* seen(observed, 1)
      assert.deepStrictEqual(log, [500])
      assert.deepStrictEqual(spans, [[500, "Failure"]])
    }).pipe(Effect.provide(observed.layer))
  })

  it.effect("goes out with its headers although the logger fails", () =>
    Effect.gen(function*() {
      const { headers } = yield* answering(HttpServerResponse.setHeader("x-request-id", "7"))
      assert.strictEqual(headers["x-request-id"], "7")
    }).pipe(Effect.provide(Logger.layer([Logger.make(() => {
      throw new Error("the disk is full")
    })]))))

  it.effect("is not sent where the client has gone meanwhile, but the failure is logged", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serveApp(inside(count), { store: store.layer })
      const gate = yield* Deferred.make<void>()
      const reached = store.before("create", Effect.andThen(Deferred.await(gate), Effect.fail(new Error("down"))))
      const request = yield* Effect.forkChild(server.post("/count"))
      yield* reached
      yield* Fiber.interrupt(request)
      yield* server.aborted
      yield* Deferred.succeed(gate, undefined)
      yield* seen(observed, 1)
      assert.isTrue(observed.logs.some(({ message }) => message.startsWith("Session commit failed")))
    }).pipe(Effect.provide(observed.layer))
  })
})

const Totals = HttpApiGroup.make("totals").add(HttpApiEndpoint.post("total", "/total", { success: Schema.Number }))
const TotalsApi = HttpApi.make("totals").add(Totals).middleware(SessionMiddleware.Api)
const headed: Routes = HttpApiBuilder.layer(TotalsApi).pipe(
  Layer.provide(
    HttpApiBuilder.group(TotalsApi, "totals", (handlers) =>
      handlers.handle("total", () =>
        Effect.map(
          Session.increment(Count),
          (total) => HttpServerResponse.setHeader(HttpServerResponse.jsonUnsafe(total), "x-request-id", "7")
        )))
  ),
  Layer.provide(SessionMiddleware.layerApi)
)
