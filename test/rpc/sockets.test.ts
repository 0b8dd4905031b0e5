/**
 * Procedures over a WebSocket: each call has the session of the handshake's cookie as it is then, and can't set a cookie.
 */
import { NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Queue, Schema, type Scope, Stream } from "effect"
import { CookieLayer, MemoryLayer, Session, SessionMiddleware, SessionRpc, Sessions } from "effect-session"
import { Rpc, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { watchStore } from "../support/failingStore.ts"
import { basicRoutes, Count } from "../support/routes.ts"
import { bodyOf, Counting, handlers, type Message, outcomesIn } from "../support/rpc.ts"
import { cookieOf, type Options, type Routes, serveApp, type Server } from "../support/server.ts"

const serving = <Rpcs extends Rpc.Any, R>(
  group: RpcGroup.RpcGroup<Rpcs>,
  handlers: Layer.Layer<Rpc.ToHandler<Rpcs>, never, R>
) =>
  RpcServer.layerHttp({ group, path: "/rpc", protocol: "websocket" }).pipe(
    Layer.provide(handlers),
    Layer.provide(SessionRpc.layer),
    Layer.provide(RpcSerialization.layerNdjson)
  )

const app = Layer.merge(serving(Counting, handlers), basicRoutes.pipe(Layer.provide(SessionMiddleware.layer))) as Routes

interface Connection {
  /** Calls a procedure and waits for what it comes to. */
  readonly call: (message: Message) => Effect.Effect<unknown>
  readonly send: (message: Message) => Effect.Effect<void>
  /** Waits for the next message. */
  readonly next: Effect.Effect<string>
  readonly setCookies: ReadonlyArray<string>
}

/** Connects, or fails with the status of the refusal. */
const connect = (
  { url }: Server,
  headers: Readonly<Record<string, string>> = {}
): Effect.Effect<Connection, number, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Connection & { readonly client: NodeWS.WebSocket }, number>((resume) => {
      const client = new NodeWS.WebSocket(`${url.replace("http:", "ws:")}/rpc`, { headers })
      let setCookies: ReadonlyArray<string> = []
      const messages = Effect.runSync(Queue.unbounded<string>())
      client.on("upgrade", (response) => void (setCookies = response.headers["set-cookie"] ?? []))
      client.on("unexpected-response", (_, response) => {
        resume(Effect.fail(response.statusCode!))
        client.terminate()
      })
      client.on("error", () => {})
      client.on("message", (data) => Queue.offerUnsafe(messages, String(data)))
      const next = Queue.take(messages)
      const send = (message: Message) => Effect.sync(() => client.send(bodyOf("ndjson", [message])))
      const call = (message: Message) => Effect.map(Effect.andThen(send(message), next), (text) => outcomesIn(text)[0])
      client.on("open", () => resume(Effect.succeed({ client, call, next, send, setCookies })))
    }),
    ({ client }) => Effect.sync(() => client.terminate())
  )

const add: Message = { tag: "add", payload: { amount: 1 } }
const total: Message = { tag: "total" }

const started = Effect.fnUntraced(function*(options: Options = {}) {
  const server = yield* serveApp(app, options)
  const cookie = cookieOf(yield* server.post("/count"))
  return { cookie, server, stored: Effect.map(server.get("/", { cookie }), ({ body }) => JSON.parse(body)) }
})

describe("a call over a WebSocket", () => {
  it.effect("changes the session of the handshake's cookie, and sees what others have changed", () =>
    Effect.gen(function*() {
      const { cookie, server, stored } = yield* started()
      const { call, setCookies } = yield* connect(server, { cookie })
      assert.deepStrictEqual(setCookies, [])
      assert.strictEqual(yield* call(total), 1)
      assert.strictEqual(yield* call(add), 2)
      assert.deepStrictEqual(yield* stored, { count: 2 })
      yield* server.post("/count", { cookie })
      assert.strictEqual(yield* call(add), 4)
      assert.deepStrictEqual(yield* stored, { count: 4 })
    }))

  it.effect("changes the session of the handshake's bearer token", () =>
    Effect.gen(function*() {
      const { cookie, server, stored } = yield* started({ config: { transports: ["cookie", "bearer"] } })
      const { call } = yield* connect(server, { authorization: `Bearer ${cookie.slice("session=".length)}` })
      assert.strictEqual(yield* call(add), 2)
      assert.deepStrictEqual(yield* stored, { count: 2 })
    }))

  it.effect("has an empty session when that has ended meanwhile, and can't begin another one", () =>
    Effect.gen(function*() {
      const { cookie, server } = yield* started()
      const { call } = yield* connect(server, { cookie })
      assert.strictEqual(yield* call(total), 1)
      yield* server.post("/logout", { cookie })
      assert.strictEqual(yield* call(total), 0)
      assert.strictEqual(yield* call(add), "SessionClosedError")
    }))

  it.effect("has an empty session when the session has another id meanwhile, as by a login", () =>
    Effect.gen(function*() {
      const { cookie, server } = yield* started()
      const { call } = yield* connect(server, { cookie })
      const after = cookieOf(yield* server.post("/login", { cookie }))
      assert.strictEqual(yield* call(total), 0)
      assert.strictEqual(yield* call(add), "SessionClosedError")
      assert.deepStrictEqual(JSON.parse((yield* server.get("/", { cookie: after })).body), { count: 1, name: "Ada" })
    }))

  it.effect("gets a SessionClosedError for what needs a cookie, and nothing is changed", () =>
    Effect.gen(function*() {
      const { cookie, server, stored } = yield* started()
      const { call } = yield* connect(server, { cookie })
      assert.strictEqual(yield* call({ tag: "login", payload: { name: "Ada" } }), "SessionClosedError")
      assert.strictEqual(yield* call({ tag: "logout" }), "SessionClosedError")
      assert.deepStrictEqual(yield* stored, { count: 1 })
      const stranger = yield* connect(server)
      assert.strictEqual(yield* stranger.call(total), 0)
      assert.strictEqual(yield* stranger.call(add), "SessionClosedError")
    }))

  it.effect("can only read with the CookieLayer", () =>
    Effect.gen(function*() {
      const { cookie, server } = yield* started({ store: CookieLayer.layer() })
      const { call } = yield* connect(server, { cookie })
      assert.strictEqual(yield* call(total), 1)
      assert.strictEqual(yield* call(add), "SessionClosedError")
    }))

  it.effect("fails with the error of the store, and the next one goes on", () =>
    Effect.gen(function*() {
      const store = watchStore(MemoryLayer.make())
      const { cookie, server } = yield* started({ store: store.layer })
      const { call } = yield* connect(server, { cookie })
      for (const operation of ["load", "update"] as const) {
        store.fails(operation)
        assert.strictEqual(yield* call(add), "SessionStoreError")
        store.works()
      }
      assert.strictEqual(yield* call(add), 2)
    }))

  it.effect("does not get the session of another cookie that its message names", () =>
    Effect.gen(function*() {
      const { cookie, server } = yield* started()
      const { call } = yield* connect(server)
      assert.strictEqual(yield* call({ ...total, headers: [["cookie", cookie]] }), 0)
    }))
})

describe("a stream over a WebSocket", () => {
  const Feed = RpcGroup.make(Rpc.make("feed", { success: Schema.Number, stream: true })).middleware(
    SessionRpc.Middleware
  )

  it.effect("can end with its session", () =>
    Effect.gen(function*() {
      const isOpen = yield* Deferred.make<void>()
      const handlers = Feed.toLayer({
        feed: () =>
          Stream.fromEffectDrain(Effect.andThen(Session.get(Count), Deferred.succeed(isOpen, undefined))).pipe(
            Stream.concat(Stream.never),
            Stream.interruptWhen(Effect.flatMap(Session.Session, (session) => Sessions.watch(session))),
            SessionRpc.handler
          )
      })
      const app = Layer.merge(serving(Feed, handlers), basicRoutes.pipe(Layer.provide(SessionMiddleware.layer)))
      const server = yield* serveApp(app as Routes)
      const cookie = cookieOf(yield* server.post("/count"))
      const { next, send } = yield* connect(server, { cookie })
      yield* send({ tag: "feed" })
      yield* Deferred.await(isOpen)
      yield* server.post("/logout", { cookie })
      assert.deepStrictEqual(outcomesIn(yield* next), [null])
    }))
})

describe("the handshake", () => {
  const own = (server: Server) => server.url
  const refused: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    "another origin": { origin: "https://evil.example" },
    "a page of another site": { "sec-fetch-site": "cross-site", origin: "https://evil.example" },
    "no origin that can be named": { origin: "null" }
  }
  for (const [name, headers] of Object.entries(refused)) {
    it.effect(`is refused with 403: ${name}`, () =>
      Effect.gen(function*() {
        const { cookie, server } = yield* started()
        assert.strictEqual(yield* Effect.flip(connect(server, { cookie, ...headers })), 403)
      }))
  }

  it.effect("is taken from a page of the server's own, and from one that the settings name", () =>
    Effect.gen(function*() {
      const { cookie, server } = yield* started({ config: { csrf: { origins: ["https://partner.example"] } } })
      for (const origin of [own(server), "https://partner.example"]) {
        const { call } = yield* connect(server, { cookie, origin })
        assert.strictEqual(yield* call(total), 1)
      }
    }))
})
