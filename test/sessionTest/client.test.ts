/**
 * The client, of an application in process and of one on a port, on each driver that starts at once and on Redis.
 */
import { NodeHttpServer, NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Deferred, Effect, Fiber, Layer, Option, Redacted, Schema, Stream } from "effect"
import {
  CookieLayer,
  Csrf,
  FileLayer,
  MemoryLayer,
  RedisLayer,
  Session,
  SessionConfig,
  SessionMiddleware,
  Sessions
} from "effect-session"
import * as SessionTest from "effect-session/SessionTest"
import {
  Cookies,
  FetchHttpClient,
  HttpBody,
  type HttpClient,
  HttpRouter,
  HttpServer,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiClient, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { TestClock } from "effect/testing"
import { setTimeOfDay } from "../support/clock.ts"
import { secret } from "../support/config.ts"
import { temporaryFolder } from "../support/fileStore.ts"
import { shared, startRedis } from "../support/redisServer.ts"
import type { StoreLayer } from "../support/server.ts"
import { App, Cart, Since, UserId } from "./application.ts"

const redis = shared(startRedis())

const stores: Record<string, () => StoreLayer> = {
  MemoryLayer: () => MemoryLayer.layer(),
  CookieLayer: () => CookieLayer.layer(),
  FileLayer: () =>
    Layer.unwrap(Effect.map(temporaryFolder, (location) => FileLayer.layer({ location }))).pipe(
      Layer.provide(NodeServices.layer)
    ),
  RedisLayer: () => RedisLayer.layer({ url: redis().url })
}

const servers = { "in process": SessionTest.layer(), "on a port": NodeHttpServer.layerTest }

const settings: SessionConfig.Options = { secret, age: "1 hour", absoluteAge: "1 day", touchEvery: "1 minute" }

type Server = Layer.Layer<HttpServer.HttpServer | HttpClient.HttpClient, unknown>

/** An application with all that a test asks it by. */
const appOn = (server: Server, store: StoreLayer) =>
  App.pipe(
    Layer.provideMerge(server),
    Layer.provideMerge(store),
    Layer.provideMerge(SessionConfig.layer(settings))
  )

const inProcess = Effect.provide(
  App.pipe(
    Layer.provideMerge(SessionTest.layer()),
    Layer.provideMerge(MemoryLayer.layer()),
    Layer.provideMerge(SessionConfig.layer(settings))
  )
)

const seenBy = (client: HttpClient.HttpClient) => Effect.flatMap(client.get("/"), ({ json }) => json)

for (const [where, server] of Object.entries(servers)) {
  describe.each(Object.keys(stores))(`a client of an application ${where}, on the %s`, (driver) => {
    const provide = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      // Redis goes by the time of day.
      Effect.andThen(setTimeOfDay, Effect.suspend(() => Effect.provide(effect, appOn(server, stores[driver]!()))))

    it.effect("begins with what the test puts into its session, messages too", () =>
      Effect.gen(function*() {
        const client = yield* SessionTest.client()
        const since = new Date("2026-01-02T03:04:05Z")
        yield* client.modifySession(Session.put(UserId, 7))
        yield* client.modifySession(
          Effect.andThen(
            Session.put(Since, since),
            Session.flash({ message: "Saved", errors: { title: "is missing" } })
          )
        )
        const session = yield* client.session
        assert.isTrue(session.exists)
        assert.deepStrictEqual(session.get(UserId), Option.some(7))
        assert.deepStrictEqual(session.get(Since), Option.some(since))
        assert.deepStrictEqual(session.get(Cart), [])
        assert.deepStrictEqual(session.flashMessages.get("errors.title"), Option.some("is missing"))
        assert.deepStrictEqual(yield* seenBy(client), {
          session: { user_id: 7, since: since.toISOString() },
          flash: { message: "Saved", errors: { title: "is missing" } }
        })
      }).pipe(provide))

    it.effect("shows what a login has done: another id, who it is, and what the next page will say", () =>
      Effect.gen(function*() {
        const client = yield* SessionTest.client()
        yield* client.modifySession(Session.put(Cart, ["tea"]))
        const before = yield* client.session
        const response = yield* client.submit("/login", { name: "Ada" })
        assert.strictEqual(response.status, 303)
        assert.isTrue(Option.isSome(Cookies.get(response.cookies, "session")))
        const after = yield* client.session
        assert.notStrictEqual(Option.getOrThrow(after.handle), Option.getOrThrow(before.handle))
        assert.deepStrictEqual(after.all(), { cart: ["tea"], user_id: 3 })
        assert.deepStrictEqual(Option.getOrThrow(after.authentication).methods, ["password"])
        assert.deepStrictEqual(after.flashMessages.all(), { message: "Hello, Ada" })
        const page = yield* client.follow(response)
        assert.deepStrictEqual(yield* page.json, {
          session: { cart: ["tea"], user_id: 3 },
          flash: { message: "Hello, Ada" }
        })
        assert.isTrue((yield* client.session).flashMessages.isEmpty)
      }).pipe(provide))

    it.effect("looks at a session without a trace: it keeps its messages and its end", () =>
      Effect.gen(function*() {
        const client = yield* SessionTest.client()
        yield* client.modifySession(Session.flash("message", "Saved"))
        const first = yield* client.session
        yield* TestClock.adjust("10 minutes")
        for (let look = 0; look < 2; look++) {
          const session = yield* client.session
          assert.deepStrictEqual(session.expiresAt, first.expiresAt)
          assert.deepStrictEqual(session.flashMessages.all(), { message: "Saved" })
        }
      }).pipe(provide))

    it.effect("has no session once that is over: after a logout, after its time, and none to begin with", () =>
      Effect.gen(function*() {
        const client = yield* SessionTest.client()
        const none = yield* client.session
        assert.isFalse(none.exists)
        assert.deepStrictEqual([none.handle, none.owner, none.createdAt], [Option.none(), Option.none(), Option.none()])
        yield* client.modifySession(Session.put(UserId, 7))
        assert.strictEqual((yield* client.submit("/logout")).status, 302)
        assert.isFalse((yield* client.session).exists)
        assert.deepStrictEqual(yield* client.cookies, [])

        yield* client.modifySession(Session.put(UserId, 7))
        yield* TestClock.adjust("59 minutes")
        assert.deepStrictEqual(yield* seenBy(client), { session: { user_id: 7 }, flash: {} })
        const { createdAt, expiresAt } = yield* client.session
        const created = Option.getOrThrow(createdAt)
        assert.deepStrictEqual(expiresAt, {
          idle: Option.some(DateTime.add(created, { minutes: 119 })),
          absolute: Option.some(DateTime.add(created, { days: 1 }))
        })
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* client.cookies, [])
        assert.isFalse((yield* client.session).exists)
        assert.deepStrictEqual(yield* seenBy(client), { session: {}, flash: {} })
      }).pipe(provide))

    it.effect("is a browser of its own, beside others", () =>
      Effect.gen(function*() {
        const ada = yield* SessionTest.client()
        const bob = yield* SessionTest.client()
        yield* ada.modifySession(Session.put(UserId, 1))
        yield* bob.modifySession(Session.put(UserId, 2))
        yield* bob.submit("/logout")
        assert.deepStrictEqual((yield* ada.session).get(UserId), Option.some(1))
        assert.isFalse((yield* bob.session).exists)
      }).pipe(provide))

    it.effect("sends forms with the hidden fields of the page, and JSON", () =>
      Effect.gen(function*() {
        const client = yield* SessionTest.client({ fetchMetadata: false })
        const hidden = SessionTest.hiddenFields(yield* (yield* client.get("/login")).text)
        assert.strictEqual(hidden["to"], "/?a=1&b=2")
        assert.strictEqual((yield* client.submit("/login", { name: "Ada" })).status, 403, "without the token")
        assert.strictEqual((yield* client.submit("/login", { ...hidden, name: "Ada" })).status, 303)
        const token = yield* client.modifySession(Csrf.token)
        const response = yield* client.post("/cart", {
          body: HttpBody.jsonUnsafe({ product: "tea" }),
          headers: { "x-csrf-token": Redacted.value(token) }
        })
        assert.deepStrictEqual(yield* response.json, ["tea"])
      }).pipe(provide))

    it.effect("does what a page of another site makes it do, as far as a browser would", () =>
      Effect.gen(function*() {
        const client = yield* SessionTest.client()
        yield* client.modifySession(Session.put(UserId, 7))
        const evil = client.from("https://evil.example")
        assert.strictEqual((yield* evil.post("/logout")).status, 403)
        assert.isTrue((yield* client.session).exists)
        assert.deepStrictEqual(yield* seenBy(evil), { session: { user_id: 7 }, flash: {} }, "a link: SameSite=Lax")
      }).pipe(provide))
  })
}

describe("a client", () => {
  it.effect("knows whose session it is, and what ends all sessions of that owner", () =>
    Effect.gen(function*() {
      const [phone, laptop] = [yield* SessionTest.client(), yield* SessionTest.client()]
      for (const client of [phone, laptop]) yield* client.modifySession(Session.login("ada"))
      assert.deepStrictEqual((yield* phone.session).owner, Option.some("ada"))
      yield* laptop.modifySession(Sessions.destroyOthers)
      assert.isFalse((yield* phone.session).exists)
      assert.isTrue((yield* laptop.session).exists)
      assert.strictEqual(yield* Sessions.destroyAll("ada"), 1)
      assert.isFalse((yield* laptop.session).exists)
    }).pipe(inProcess))

  it.effect("loses what ends with the browser when that is closed, and keeps the rest", () =>
    Effect.gen(function*() {
      const [kept, gone] = [yield* SessionTest.client(), yield* SessionTest.client()]
      yield* kept.modifySession(Session.put(UserId, 1))
      yield* gone.modifySession(Session.setLifetime({ persistence: "browser" }))
      assert.isTrue((yield* gone.session).exists)
      yield* kept.restart
      yield* gone.restart
      assert.isTrue((yield* kept.session).exists)
      assert.isFalse((yield* gone.session).exists)
    }).pipe(inProcess))

  it.effect("forgets its cookies where the application asks for that by Clear-Site-Data", () =>
    Effect.gen(function*() {
      const client = yield* SessionTest.client()
      yield* client.modifySession(Session.put(UserId, 1))
      yield* client.post("/forget")
      assert.deepStrictEqual(yield* client.cookies, [])
      assert.isFalse((yield* client.session).exists)
    }).pipe(inProcess))

  it.effect("shows its cookies with all that the application says of them", () =>
    Effect.gen(function*() {
      const client = yield* SessionTest.client()
      yield* client.submit("/login", { name: "Ada" })
      const [cookie, ...others] = yield* client.cookies
      assert.deepStrictEqual(others, [])
      assert.strictEqual(cookie?.name, "session")
      assert.deepInclude(cookie?.options, {
        domain: "localhost",
        httpOnly: true,
        path: "/",
        sameSite: "lax",
        secure: true
      })
    }).pipe(inProcess))

  it.effect("sends a Cookie header of the test's instead of its own", () =>
    Effect.gen(function*() {
      const client = yield* SessionTest.client()
      yield* client.modifySession(Session.put(UserId, 7))
      const response = yield* client.get("/", { headers: { cookie: "session=stolen" } })
      assert.deepStrictEqual(yield* response.json, { session: {}, flash: {} })
    }).pipe(inProcess))

  it.effect("writes nothing of what a test puts before it fails", () =>
    Effect.gen(function*() {
      const client = yield* SessionTest.client()
      const failed = yield* Effect.flip(
        client.modifySession(Effect.andThen(Session.put(UserId, 7), Effect.fail("no" as const)))
      )
      assert.strictEqual(failed, "no")
      assert.isFalse((yield* client.session).exists)
    }).pipe(inProcess))

  it.effect("is the HttpClient of a typed client of an HttpApi", () =>
    Effect.gen(function*() {
      const client = yield* SessionTest.client()
      yield* client.modifySession(Session.put(UserId, 7))
      const api = yield* HttpApiClient.makeWith(Api, { httpClient: client })
      assert.strictEqual(yield* api.user.id(), 7)
    }).pipe(
      Effect.provide(
        HttpRouter.serve(HttpApiBuilder.layer(Api).pipe(Layer.provide(ApiHandlers)), {
          disableLogger: true,
          disableListenLog: true
        }).pipe(
          Layer.provide(SessionMiddleware.layerApi),
          Layer.provide(HttpServer.layerServices),
          Layer.provideMerge(SessionTest.layer()),
          Layer.provideMerge(MemoryLayer.layer()),
          Layer.provideMerge(SessionConfig.layer(settings))
        )
      )
    ))

  it.effect("keeps all cookies of a response, also two of one name", () =>
    Effect.gen(function*() {
      const client = yield* SessionTest.client()
      yield* client.get("/cookies")
      assert.deepStrictEqual(
        (yield* client.cookies).map(({ name, options, value }) => [name, value, options?.path]),
        [["theme", "dark", "/"], ["theme", "light", "/admin"]]
      )
      assert.strictEqual(yield* (yield* client.get("/echo")).text, "theme=dark")
      assert.strictEqual(yield* (yield* client.get("/admin/echo")).text, "theme=light; theme=dark")
    }).pipe(Effect.provide(serving(cookies))))

  it.effect("gets a body piece by piece", () =>
    Effect.gen(function*() {
      const client = yield* SessionTest.client()
      const { stream } = yield* client.get("/stream")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.decodeText(stream)), ["one", "two"])
    }).pipe(Effect.provide(serving(streaming))))

  it.effect("that goes before there is an answer is gone for the application too", () =>
    Effect.gen(function*() {
      const [reached, left] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const waiting = HttpRouter.add(
        "POST",
        "/wait",
        Effect.andThen(Session.put(UserId, 8), Deferred.succeed(reached, undefined)).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => Deferred.succeed(left, undefined))
        )
      )
      yield* Effect.gen(function*() {
        const client = yield* SessionTest.client()
        yield* client.modifySession(Session.put(UserId, 7))
        const request = yield* Effect.forkChild(client.post("/wait"))
        yield* Deferred.await(reached)
        yield* Fiber.interrupt(request)
        yield* Deferred.await(left)
        assert.deepStrictEqual((yield* client.session).get(UserId), Option.some(7))
      }).pipe(Effect.provide(serving(waiting)))
    }))

  it.live("asks a server at any address, by any HttpClient", () =>
    Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      const client = yield* SessionTest.client({ url: HttpServer.formatAddress(address).replace("[::]", "127.0.0.1") })
        .pipe(
          Effect.provide(FetchHttpClient.layer)
        )
      yield* client.modifySession(Session.put(UserId, 7))
      assert.deepStrictEqual(yield* seenBy(client), { session: { user_id: 7 }, flash: {} })
      assert.deepStrictEqual(yield* (yield* client.follow(yield* client.submit("/logout"))).json, {
        session: {},
        flash: {}
      })
    }).pipe(Effect.provide(appOn(NodeHttpServer.layerTest, MemoryLayer.layer()))))
})

/** Routes, each with a session, and all that a test asks them by. */
const serving = <E, R>(routes: Layer.Layer<never, E, R>) =>
  HttpRouter.serve(Layer.provide(routes, SessionMiddleware.layer), { disableLogger: true, disableListenLog: true })
    .pipe(
      Layer.provideMerge(SessionTest.layer()),
      Layer.provideMerge(MemoryLayer.layer()),
      Layer.provideMerge(SessionConfig.layer(settings))
    )

const streaming = HttpRouter.add(
  "GET",
  "/stream",
  HttpServerResponse.stream(Stream.make("one", "two").pipe(Stream.rechunk(1), Stream.encodeText))
)

const echo = Effect.map(
  HttpServerRequest.HttpServerRequest,
  ({ headers }) => HttpServerResponse.text(headers["cookie"] ?? "")
)

// Responses of Effect have one cookie of a name.
const twoOfOneName = HttpServerResponse.raw(
  new Response(null, {
    headers: [["set-cookie", "theme=dark; Path=/"], ["set-cookie", "theme=light; Path=/admin"]]
  })
)

const cookies = Layer.mergeAll(
  HttpRouter.add("GET", "/cookies", twoOfOneName),
  HttpRouter.add("GET", "/echo", echo),
  HttpRouter.add("GET", "/admin/echo", echo)
)

const Api = HttpApi.make("api").add(
  HttpApiGroup.make("user").add(HttpApiEndpoint.get("id", "/id", { success: Schema.Int }))
).middleware(SessionMiddleware.Api)

const ApiHandlers = HttpApiBuilder.group(
  Api,
  "user",
  (handlers) => handlers.handle("id", () => Effect.map(UserId, Option.getOrElse(() => 0)))
)
