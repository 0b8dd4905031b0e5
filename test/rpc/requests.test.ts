/**
 * Calls that take their time, and the places where procedures can be served.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Redacted, Schema } from "effect"
import { Csrf, MemoryLayer, Session, SessionConfig, SessionMiddleware, SessionRpc } from "effect-session"
import { HttpRouter, HttpServer } from "effect/http"
import { Rpc, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { secret } from "../support/config.ts"
import { Count } from "../support/routes.ts"
import { bodyOf, Counting, framed, handlers, type Message, outcomesIn, serveRpc, unframed } from "../support/rpc.ts"
import { cookieNames, cookieOf, type Routes, serveApp, serveLayer } from "../support/server.ts"

const add = bodyOf("json", [{ tag: "add", payload: { amount: 1 } }])

describe.each(Object.entries({ json: unframed.json, ndjson: framed.ndjson }))(
  "a slow call, as %s",
  (name, serialization) => {
    const Slow = RpcGroup.make(
      Rpc.make("add", { payload: { waits: Schema.Boolean }, success: Schema.Number }),
      Rpc.make("total", { success: Schema.Number }),
      Rpc.make("logout")
    ).middleware(SessionRpc.Middleware)

    const started = Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const released = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const wait = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(released))
      const handlers = Slow.toLayer({
        add: ({ waits }) =>
          Session.increment(Count).pipe(
            Effect.tap(waits ? Effect.onInterrupt(wait, () => Deferred.succeed(interrupted, undefined)) : Effect.void),
            SessionRpc.handler
          ),
        total: () => SessionRpc.handler(Session.get(Count)),
        logout: () => SessionRpc.handler(Session.destroy)
      })
      const server = yield* serveRpc(Slow, handlers, { serialization })
      const post = (tag: string, payload?: unknown, cookie?: string) =>
        server.post("/rpc", { cookie, body: bodyOf(name as "json" | "ndjson", [{ tag, payload }]) })
      const cookie = cookieOf(yield* post("add", { waits: false }))
      return {
        post: (tag: string, payload?: unknown) => post(tag, payload, cookie),
        isWaiting: Deferred.await(reached),
        isInterrupted: Deferred.await(interrupted),
        release: Deferred.succeed(released, undefined)
      }
    })

    it.effect("whose session ends meanwhile gets a SessionGoneError, as its change is lost", () =>
      Effect.gen(function*() {
        const { isWaiting, post, release } = yield* started
        const slow = yield* Effect.forkChild(post("add", { waits: true }))
        yield* isWaiting
        yield* post("logout")
        yield* release
        assert.deepStrictEqual(outcomesIn((yield* Fiber.join(slow)).body), ["SessionGoneError"])
        assert.deepStrictEqual(outcomesIn((yield* post("total")).body), [0])
      }))

    it.effect("loses nothing of what others do meanwhile", () =>
      Effect.gen(function*() {
        const { isWaiting, post, release } = yield* started
        const slow = yield* Effect.forkChild(post("add", { waits: true }))
        yield* isWaiting
        yield* post("add", { waits: false })
        yield* release
        assert.deepStrictEqual(outcomesIn((yield* Fiber.join(slow)).body), [2])
        assert.deepStrictEqual(outcomesIn((yield* post("total")).body), [3])
      }))

    it.effect("changes nothing if the client goes", () =>
      Effect.gen(function*() {
        const { isInterrupted, isWaiting, post } = yield* started
        const slow = yield* Effect.forkChild(post("add", { waits: true }))
        yield* isWaiting
        yield* Fiber.interrupt(slow)
        yield* isInterrupted
        assert.deepStrictEqual(outcomesIn((yield* post("total")).body), [1])
      }))
  }
)

describe("procedures", () => {
  const at = (path: `/${string}`) =>
    RpcServer.layerHttp({ group: Counting, path, protocol: "http" }).pipe(
      Layer.provide(handlers),
      Layer.provide(RpcSerialization.layerJson)
    )

  it.effect("with another configuration have another cookie", () =>
    Effect.gen(function*() {
      const admin = at("/admin").pipe(
        Layer.provide(SessionRpc.layer),
        Layer.provide(SessionConfig.layer({ secret, cookie: { name: "admin" } }))
      )
      const app = Layer.merge(at("/rpc").pipe(Layer.provide(SessionRpc.layer)), admin)
      const browser = (yield* serveApp(app as Routes)).browser()
      assert.deepStrictEqual(cookieNames(yield* browser.post("/rpc", { body: add })), ["session"])
      assert.deepStrictEqual(cookieNames(yield* browser.post("/admin", { body: add })), ["admin"])
      assert.deepStrictEqual(outcomesIn((yield* browser.post("/rpc", { body: add })).body), [2])
    }))

  it.effect("of other sites are refused by Csrf.layer, before any of them runs", () =>
    Effect.gen(function*() {
      const app = at("/rpc").pipe(Layer.provide(Csrf.layer), Layer.provide(SessionRpc.layer)) as Routes
      const server = yield* serveApp(app)
      const cookie = cookieOf(yield* server.post("/rpc", { body: add, headers: { "sec-fetch-site": "same-origin" } }))
      const headers = { "sec-fetch-site": "cross-site", "content-type": "text/plain" }
      const answer = yield* server.post("/rpc", { cookie, body: add, headers })
      assert.strictEqual(answer.status, 403)
      const total = bodyOf("json", [{ tag: "total" }])
      const seen = yield* server.post("/rpc", { cookie, body: total, headers: { "sec-fetch-site": "same-origin" } })
      assert.deepStrictEqual(outcomesIn(seen.body), [1])
    }))

  it.effect("with their protocol on its own get the session from it", () =>
    Effect.gen(function*() {
      const session = SessionRpc.layer
      const app = RpcServer.layer(Counting).pipe(
        Layer.provide([handlers, session]),
        Layer.provide(RpcServer.layerProtocolHttp({ path: "/rpc" }).pipe(Layer.provide(session))),
        Layer.provide(RpcSerialization.layerJson)
      )
      const browser = (yield* serveApp(app as Routes)).browser()
      yield* browser.post("/rpc", { body: add })
      assert.deepStrictEqual(outcomesIn((yield* browser.post("/rpc", { body: add })).body), [2])
    }))

  it.effect("say so where only the server has the session's Layer, and share no other session that is around", () =>
    Effect.gen(function*() {
      const app = RpcServer.layer(Counting).pipe(
        Layer.provide([handlers.pipe(Layer.provide(Session.layerTest())), SessionRpc.layer]),
        Layer.provide(RpcServer.layerProtocolHttp({ path: "/rpc" })),
        Layer.provide(RpcSerialization.layerJson)
      )
      const server = yield* serveApp(app as Routes)
      assert.include((yield* server.post("/rpc", { body: add })).body, "Provide SessionRpc.layer to the protocol")
    }))

  it.effect("of a client without cookies have the session of its token, and not of one that a message names", () =>
    Effect.gen(function*() {
      const Tokens = RpcGroup.make(
        Rpc.make("login", { success: Schema.String }),
        Rpc.make("add", { success: Schema.Number })
      ).middleware(SessionRpc.Middleware)
      const handlers = Tokens.toLayer({
        login: () =>
          Effect.andThen(Session.increment(Count), Session.issueToken).pipe(
            Effect.map(Redacted.value),
            SessionRpc.handler
          ),
        add: () => SessionRpc.handler(Session.increment(Count))
      })
      const server = yield* serveRpc(Tokens, handlers, { config: { transports: ["bearer"] } })
      const call = (tags: ReadonlyArray<string>, authorization = "", claimed = authorization) => {
        const messages = tags.map((tag): Message => ({ tag, headers: [["authorization", claimed]] }))
        return server.post("/rpc", { headers: { authorization }, body: bodyOf("json", messages) })
      }
      // The second call of the same request goes on with the session whose token is given away.
      const [token, added] = outcomesIn((yield* call(["login", "add"])).body)
      assert.strictEqual(added, 2)
      assert.deepStrictEqual(outcomesIn((yield* call(["add"], `Bearer ${token}`)).body), [3])
      assert.deepStrictEqual(outcomesIn((yield* call(["add"], "", `Bearer ${token}`)).body), [1])
    }))

  it.effect("in a web handler have their session", () =>
    Effect.gen(function*() {
      const { dispose, handler } = HttpRouter.toWebHandler(
        at("/rpc").pipe(
          Layer.provide(SessionRpc.layer),
          Layer.provide(MemoryLayer.layer()),
          Layer.provide(SessionConfig.layer({ secret })),
          Layer.provide(HttpServer.layerServices)
        ),
        { disableLogger: true }
      )
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const call = (cookie = "") =>
        Effect.promise(() =>
          handler(new Request("http://localhost/rpc", { method: "POST", body: add, headers: { cookie } }))
        )
      const first = yield* call()
      const second = yield* call(first.headers.getSetCookie()[0]!.split(";")[0])
      assert.deepStrictEqual(outcomesIn(yield* Effect.promise(() => second.text())), [2])
    }))

  it.effect("as a plain HTTP effect have the session of SessionMiddleware.make", () =>
    Effect.gen(function*() {
      const app = Effect.gen(function*() {
        const withSession = yield* SessionMiddleware.make
        const procedures = yield* RpcServer.toHttpEffect(Counting)
        yield* HttpServer.serveEffect(withSession(procedures))
      })
      const server = yield* serveLayer(
        Layer.effectDiscard(app).pipe(Layer.provide([handlers, SessionRpc.layer, RpcSerialization.layerJson]))
      )
      const browser = server.browser()
      yield* browser.post("/", { body: add })
      assert.deepStrictEqual(outcomesIn((yield* browser.post("/", { body: add })).body), [2])
    }))
})
