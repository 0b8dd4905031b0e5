/**
 * Requests that become WebSockets, or another protocol: their response 101 can't set a cookie.
 */
import { NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, type Scope } from "effect"
import { CookieLayer, MemoryLayer, Session, SessionConfig, type SessionError, SessionMiddleware } from "effect-session"
import {
  HttpMiddleware,
  HttpRouter,
  HttpServer,
  type HttpServerError,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import { secret } from "../support/config.ts"
import { watchStore } from "../support/failingStore.ts"
import { observe } from "../support/observe.ts"
import { basicRoutes, Count, Name, ok, post } from "../support/routes.ts"
import {
  cookieNames,
  cookieOf,
  type Options,
  type Routes,
  serve,
  serveApp,
  serveLayer,
  type Server
} from "../support/server.ts"

type Change = Effect.Effect<unknown, SessionError.SessionError, Session.Session>
type Provided = HttpServerRequest.HttpServerRequest | Scope.Scope | Session.Session
type Upgrade = (request: HttpServerRequest.HttpServerRequest) => HttpServerRequest.HttpServerRequest["upgrade"]

/** What a client can ask for. */
const changes: Readonly<Record<string, Change>> = {
  read: Session.all,
  put: Session.increment(Count, 10),
  regenerate: Session.regenerate,
  destroy: Session.destroy,
  commit: Session.commit
}

/** Does what each message says, and answers with what has become of it, until the client goes. */
const conversation = ({ after = Effect.void, before = Effect.void, over, upgrade = (request) => request.upgrade }: {
  /** What it does before the upgrade, and when the client has gone. */
  readonly before?: Change
  readonly after?: Effect.Effect<void>
  readonly over?: Deferred.Deferred<void>
  readonly upgrade?: Upgrade
} = {}) =>
  Effect.gen(function*() {
    if (over !== undefined) yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))
    yield* before
    const socket = yield* upgrade(yield* HttpServerRequest.HttpServerRequest)
    const talk = Effect.gen(function*() {
      const reader = yield* socket.reader
      const writer = yield* socket.writer
      while (true) {
        for (const message of yield* reader.pull) {
          const change = changes[typeof message === "string" ? message : new TextDecoder().decode(message)]!
          yield* writer.write(yield* told(change))
        }
      }
    })
    yield* Effect.ignore(Effect.scoped(talk))
    yield* after
    return HttpServerResponse.empty()
  })

const told = (change: Change) => Effect.match(change, { onFailure: ({ _tag }) => _tag, onSuccess: () => "done" })

const socketAt = (path: `/${string}`, options?: Parameters<typeof conversation>[0]): Routes =>
  HttpRouter.add("GET", path, conversation(options)) as Routes

// -----------------------------------------------------------------------------
// clients
// -----------------------------------------------------------------------------

interface Connection {
  readonly setCookies: ReadonlyArray<string>
  /** Sends a message and waits for what it comes to. */
  readonly say: (message: string) => Effect.Effect<string>
  readonly close: Effect.Effect<void>
  /** Breaks the connection without a word. */
  readonly terminate: Effect.Effect<void>
}

/** Connects, or gets another response than 101. */
const connect = (
  { url }: Pick<Server, "url">,
  path: string,
  cookie?: string
): Effect.Effect<Connection, Refused, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Connection & { readonly client: NodeWS.WebSocket }, Refused>((resume) => {
      const client = new NodeWS.WebSocket(url.replace("http:", "ws:") + path, {
        headers: cookie === undefined ? {} : { cookie }
      })
      let setCookies: ReadonlyArray<string> = []
      client.on("upgrade", (response) => void (setCookies = response.headers["set-cookie"] ?? []))
      client.on("unexpected-response", (_, response) => {
        resume(Effect.fail(new Refused(response.statusCode!, response.headers["set-cookie"] ?? [])))
        client.terminate()
      })
      client.on("error", () => {})
      client.on("open", () => resume(Effect.succeed({ client, setCookies, ...talking(client) })))
    }),
    ({ client }) => Effect.sync(() => client.terminate())
  )

class Refused extends Error {
  readonly status: number
  readonly setCookies: ReadonlyArray<string>

  constructor(status: number, setCookies: ReadonlyArray<string>) {
    super(`Refused with ${status}`)
    this.status = status
    this.setCookies = setCookies
  }
}

const talking = (client: NodeWS.WebSocket): Omit<Connection, "setCookies"> => ({
  say: (message) =>
    Effect.callback((resume) => {
      client.once("message", (data) => resume(Effect.succeed(String(data))))
      client.send(message)
    }),
  close: Effect.callback((resume) => {
    client.once("close", () => resume(Effect.void))
    client.close()
  }),
  terminate: Effect.sync(() => client.terminate())
})

/** What becomes of these messages, one after the other, in a conversation that is over then. */
const talk = (server: Server, over: Deferred.Deferred<void>, messages: ReadonlyArray<string>, cookie?: string) =>
  Effect.scoped(
    Effect.gen(function*() {
      const connection = yield* connect(server, "/socket", cookie)
      assert.deepStrictEqual(connection.setCookies, [])
      const replies: Array<string> = []
      for (const message of messages) replies.push(yield* connection.say(message))
      yield* connection.close
      yield* Deferred.await(over)
      return replies
    })
  )

/** The status and the cookies of the response that a client gets that was refused. */
const refused = (server: Server, path: string, cookie?: string) =>
  Effect.map(
    Effect.flip(Effect.scoped(connect(server, path, cookie))),
    ({ setCookies, status }) => ({ status, setCookies })
  )

// -----------------------------------------------------------------------------
// every way to attach the middleware
// -----------------------------------------------------------------------------

const Sockets = HttpApiGroup.make("sockets").add(
  HttpApiEndpoint.get("socket", "/socket", { success: HttpApiSchema.NoContent }),
  HttpApiEndpoint.post("count", "/count", { success: HttpApiSchema.NoContent }),
  HttpApiEndpoint.get("show", "/", { success: HttpApiSchema.NoContent })
)
const Api = HttpApi.make("sockets").add(Sockets).middleware(SessionMiddleware.Api)

const api = (over: Deferred.Deferred<void>): Routes =>
  HttpApiBuilder.layer(Api).pipe(
    Layer.provide(
      HttpApiBuilder.group(Api, "sockets", (handlers) =>
        handlers.handleAll({
          socket: () => Effect.orDie(conversation({ over })),
          count: () => Effect.as(Session.increment(Count), ok),
          show: () => Effect.map(Session.all, HttpServerResponse.jsonUnsafe)
        }))
    ),
    Layer.provide(SessionMiddleware.layerApi)
  ) as Routes

/** Without a router. */
const plain = (over: Deferred.Deferred<void>, options: Options) =>
  serveLayer(
    Layer.unwrap(
      Effect.map(SessionMiddleware.make, (withSession) =>
        HttpServer.serve(
          withSession(
            HttpServerRequest.HttpServerRequest.use(
              ({ url }): Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, Provided> =>
                url === "/socket"
                  ? conversation({ over })
                  : url === "/count"
                  ? Effect.as(Session.increment(Count), ok)
                  : Effect.map(Session.all, HttpServerResponse.jsonUnsafe)
            )
          ),
          HttpMiddleware.logger
        ))
    ) as Parameters<typeof serveLayer>[0],
    options
  )

const ways = [
  { way: "SessionMiddleware.make", start: plain },
  {
    way: "SessionMiddleware.layer",
    start: (over: Deferred.Deferred<void>, options: Options) =>
      serve(Layer.merge(basicRoutes, socketAt("/socket", { over })), options)
  },
  {
    way: "SessionMiddleware.layerGlobal",
    start: (over: Deferred.Deferred<void>, options: Options) =>
      serveApp(Layer.mergeAll(SessionMiddleware.layerGlobal, basicRoutes, socketAt("/socket", { over })), options)
  },
  {
    way: "SessionMiddleware.layerApi",
    start: (over: Deferred.Deferred<void>, options: Options) => serveApp(api(over), options)
  }
]

describe.each(ways)("in a WebSocket, with $way", ({ start }) => {
  const started = Effect.gen(function*() {
    const store = watchStore()
    const over = yield* Deferred.make<void>()
    return { store, over, server: yield* start(over, { store: store.layer }) }
  })

  it.effect("a change of a client without a session is a SessionClosedError, and leaves nothing in the store", () =>
    Effect.gen(function*() {
      const { over, server, store } = yield* started
      const replies = yield* talk(server, over, ["put", "commit", "read"])
      assert.deepStrictEqual(replies, ["SessionClosedError", "SessionClosedError", "done"])
      assert.deepStrictEqual(store.calls, [])
    }))

  it.effect("a change of a session that the client has is saved when the socket is closed", () =>
    Effect.gen(function*() {
      const { over, server, store } = yield* started
      const cookie = cookieOf(yield* server.post("/count"))
      store.newCalls()
      assert.deepStrictEqual(yield* talk(server, over, ["put", "put"], cookie), ["done", "done"])
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":21}`)
    }))

  it.effect("regenerate and destroy are SessionClosedErrors, and the session stays the client's", () =>
    Effect.gen(function*() {
      const { over, server, store } = yield* started
      const cookie = cookieOf(yield* server.post("/count"))
      store.newCalls()
      const replies = yield* talk(server, over, ["regenerate", "destroy", "put"], cookie)
      assert.deepStrictEqual(replies, ["SessionClosedError", "SessionClosedError", "done"])
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":11}`)
    }))
})

// -----------------------------------------------------------------------------
// in the socket
// -----------------------------------------------------------------------------

/** Serves a socket beside the basic routes, and begins a session that has counted to one. */
const serveSocket = Effect.fnUntraced(function*(
  options: Omit<NonNullable<Parameters<typeof conversation>[0]>, "over"> = {},
  serverOptions: Options = {}
) {
  const store = watchStore()
  const over = yield* Deferred.make<void>()
  const server = yield* serve(Layer.merge(basicRoutes, socketAt("/socket", { ...options, over })), {
    store: store.layer,
    ...serverOptions
  })
  const cookie = cookieOf(yield* server.post("/count"))
  store.newCalls()
  return { cookie, over, server, store }
})

describe("in a WebSocket", () => {
  it.effect("Session.commit saves at once", () =>
    Effect.gen(function*() {
      const { cookie, over, server } = yield* serveSocket()
      const connection = yield* connect(server, "/socket", cookie)
      assert.strictEqual(yield* connection.say("put"), "done")
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
      assert.strictEqual(yield* connection.say("commit"), "done")
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":11}`)
      assert.strictEqual(yield* connection.say("regenerate"), "SessionClosedError")
      yield* connection.close
      yield* Deferred.await(over)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":11}`)
    }))

  it.effect("what was changed is saved although the connection breaks, where the handler ends with a response", () =>
    Effect.gen(function*() {
      const { cookie, over, server, store } = yield* serveSocket()
      const connection = yield* connect(server, "/socket", cookie)
      assert.strictEqual(yield* connection.say("regenerate"), "SessionClosedError")
      assert.strictEqual(yield* connection.say("put"), "done")
      yield* connection.terminate
      yield* Deferred.await(over)
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":11}`)
    }))

  it.effect("what was not committed by hand is dropped where the handler fails", () =>
    Effect.gen(function*() {
      const { cookie, over, server, store } = yield* serveSocket({ after: Effect.die(new Error("no")) })
      const replies = yield* talk(server, over, ["regenerate", "put", "commit", "put"], cookie)
      assert.deepStrictEqual(replies, ["SessionClosedError", "done", "done", "done"])
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":11}`)
    }))

  it.effect("a commit at the end that fails does no harm, and is logged", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const { cookie, over, server, store } = yield* serveSocket()
      store.fails("update")
      assert.deepStrictEqual(yield* talk(server, over, ["regenerate", "put"], cookie), ["SessionClosedError", "done"])
      store.works()
      assert.isTrue(observed.logs.some(({ message }) => message.startsWith("Session commit failed")))
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }).pipe(Effect.provide(observed.layer))
  })

  it.effect("every change is a SessionClosedError with the CookieLayer, as it needs another cookie", () =>
    Effect.gen(function*() {
      const { cookie, over, server } = yield* serveSocket({}, { store: CookieLayer.layer() })
      assert.deepStrictEqual(yield* talk(server, over, ["read", "put"], cookie), ["done", "SessionClosedError"])
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }))

  it.effect.each([
    { when: "only in the socket", before: Effect.void },
    { when: "before the upgrade as well", before: Session.all }
  ])(
    "saveUninitialized does not begin a session that nobody would have the cookie of, used $when",
    ({ before }) =>
      Effect.gen(function*() {
        const { over, server, store } = yield* serveSocket({ before }, { config: { saveUninitialized: true } })
        assert.deepStrictEqual(yield* talk(server, over, ["read"]), ["done"])
        assert.deepStrictEqual(store.newCalls(), [])
      })
  )

  it.effect("a session that is switched off takes all changes, as anywhere", () =>
    Effect.gen(function*() {
      const { over, server } = yield* serveSocket({ before: Session.put(Name, "Ada") }, { config: { enabled: false } })
      const replies = yield* talk(server, over, ["put", "regenerate", "destroy"])
      assert.deepStrictEqual(replies, ["done", "done", "done"])
    }))

  it.effect("the log and the span say 101", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const { cookie, over, server } = yield* serveSocket()
      assert.deepStrictEqual(yield* talk(server, over, ["destroy"], cookie), ["SessionClosedError"])
      const statuses = () => observed.logs.map(({ annotations }) => annotations["http.status"])
      yield* Effect.promise(async () => {
        for (let waits = 0; waits < 500 && !statuses().includes(101); waits++) {
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      })
      assert.include(statuses(), 101)
    }).pipe(Effect.provide(observed.layer))
  })

  it.effect("two sessions both refuse what needs a cookie", () =>
    Effect.gen(function*() {
      const over = yield* Deferred.make<void>()
      const admin = SessionMiddleware.layer.pipe(
        Layer.provide(MemoryLayer.layer()),
        Layer.provide(SessionConfig.layer({ secret, cookie: { name: "admin" } }))
      )
      const store = watchStore()
      const visits = HttpRouter.middleware(
        (app) =>
          Effect.gen(function*() {
            const request = yield* HttpServerRequest.HttpServerRequest
            if (request.url === "/socket?visit") yield* Effect.orDie(Session.increment(Count))
            return yield* app
          }),
        { global: true }
      ) as Routes
      const nested = Layer.mergeAll(
        SessionMiddleware.layerGlobal,
        visits,
        Layer.provide(socketAt("/socket", { over }), admin) as Routes
      )
      const server = yield* serveApp(nested, { store: store.layer })
      assert.deepStrictEqual(yield* talk(server, over, ["put"]), ["SessionClosedError"])
      assert.deepStrictEqual(yield* refused(server, "/socket?visit"), { status: 500, setCookies: [] })
      assert.deepStrictEqual(store.calls, [])
    }))
})

// -----------------------------------------------------------------------------
// before the upgrade
// -----------------------------------------------------------------------------

describe("before an upgrade", () => {
  it.effect("a change that needs no cookie is saved before the 101", () =>
    Effect.gen(function*() {
      const { cookie, server, store } = yield* serveSocket({ before: Session.increment(Count) })
      const connection = yield* connect(server, "/socket", cookie)
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      yield* connection.close
    }))

  it.effect.each([
    { name: "a new session", before: Session.put(Name, "Ada"), anonymous: true },
    { name: "another id", before: Session.regenerate, anonymous: false },
    { name: "another lifetime", before: Session.setLifetime({ age: "1 hour" }), anonymous: false },
    { name: "the end of the session", before: Session.destroy, anonymous: false },
    {
      name: "another session",
      before: Effect.andThen(Session.destroy, Session.put(Name, "Ada")),
      anonymous: false
    }
  ])(
    "$name needs a cookie: the upgrade fails with 500, and nothing is changed",
    ({ anonymous, before }) =>
      Effect.gen(function*() {
        const { cookie, server, store } = yield* serveSocket({ before })
        const answer = yield* refused(server, "/socket", anonymous ? undefined : cookie)
        assert.deepStrictEqual(answer, { status: 500, setCookies: [] })
        assert.deepStrictEqual(store.newCalls(), anonymous ? [] : ["load"])
        assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
      })
  )

  it.effect("a session that was committed by hand gets its cookie with the response that refuses the upgrade", () =>
    Effect.gen(function*() {
      const { server } = yield* serveSocket({ before: Effect.andThen(Session.put(Name, "Ada"), Session.commit) })
      const answer = yield* refused(server, "/socket")
      assert.strictEqual(answer.status, 500)
      assert.deepStrictEqual(cookieNames(answer), ["session"])
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(answer) })).body, `{"name":"Ada"}`)
    }))

  it.effect("with the CookieLayer a change needs a cookie, but flash messages that were read do not", () =>
    Effect.gen(function*() {
      const over = yield* Deferred.make<void>()
      const server = yield* serve(
        Layer.mergeAll(
          basicRoutes,
          post("/flash", Session.flash("saved", true)),
          socketAt("/socket", { before: Session.all, over }),
          socketAt("/changing", { before: Session.put(Name, "Ada") })
        ) as Routes,
        { store: CookieLayer.layer() }
      )
      const cookie = cookieOf(yield* server.post("/flash"))
      assert.deepStrictEqual(yield* talk(server, over, ["read", "put"], cookie), ["done", "SessionClosedError"])
      assert.strictEqual((yield* refused(server, "/changing", cookie)).status, 500)
    }))

  it.effect("the error of the upgrade is typed, so that the handler can answer in another way, with the cookie", () =>
    Effect.gen(function*() {
      let error: HttpServerError.HttpServerError | undefined
      const polite = HttpRouter.add(
        "GET",
        "/polite",
        Effect.gen(function*() {
          yield* Session.put(Name, "Ada")
          const request = yield* HttpServerRequest.HttpServerRequest
          error = yield* Effect.flip(request.upgrade)
          yield* Session.increment(Count)
          return HttpServerResponse.empty({ status: 426 })
        })
      )
      const server = yield* serve(Layer.merge(basicRoutes, polite) as Routes)
      const answer = yield* refused(server, "/polite")
      assert.strictEqual(answer.status, 426)
      assert.strictEqual((error!.cause as SessionError.SessionClosedError)._tag, "SessionClosedError")
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(answer) })).body, `{"name":"Ada","count":1}`)
    }))

  it.effect("a commit that fails is a 503, in the log as well", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const { cookie, server, store } = yield* serveSocket({ before: Session.increment(Count) })
      store.fails("update")
      assert.deepStrictEqual(yield* refused(server, "/socket", cookie), { status: 503, setCookies: [] })
      store.works()
      assert.include(observed.logs.map(({ annotations }) => annotations["http.status"]), 503)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }).pipe(Effect.provide(observed.layer))
  })
})

// -----------------------------------------------------------------------------
// other upgrades
// -----------------------------------------------------------------------------

describe("an upgrade", () => {
  it.effect("that the server refuses leaves the session open", () =>
    Effect.gen(function*() {
      // A WebSocket takes no other headers.
      const fallback = HttpRouter.add(
        "GET",
        "/fallback",
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          yield* Effect.flip(request.upgradeWith({ headers: { "x-own": "1" } }))
          yield* Session.put(Name, "Ada")
          return HttpServerResponse.empty({ status: 426 })
        })
      )
      const server = yield* serve(Layer.merge(basicRoutes, fallback) as Routes)
      const answer = yield* refused(server, "/fallback")
      assert.strictEqual(answer.status, 426)
      assert.deepStrictEqual(cookieNames(answer), ["session"])
    }))

  it.effect("of a request that was modified counts as well", () =>
    Effect.gen(function*() {
      const { over, server, store } = yield* serveSocket({
        upgrade: (request) => request.modify({ url: "/another" }).upgrade
      })
      assert.deepStrictEqual(yield* talk(server, over, ["put"]), ["SessionClosedError"])
      assert.deepStrictEqual(store.newCalls(), [])
    }))

  it.effect("to another protocol counts as well", () =>
    Effect.gen(function*() {
      const { over, server, store } = yield* serveSocket({ upgrade: (request) => request.upgradeWith({ headers: {} }) })
      const reply = yield* Effect.callback<string>((resume) => {
        const request = Http.request(`${server.url}/socket`, {
          agent: false,
          headers: { connection: "upgrade", upgrade: "plain" }
        })
        request.on("upgrade", (_, socket) => {
          socket.on("data", (data) => {
            resume(Effect.succeed(String(data)))
            socket.end()
          })
          socket.write("put")
        })
        request.end()
      })
      yield* Deferred.await(over)
      assert.strictEqual(reply, "SessionClosedError")
      assert.deepStrictEqual(store.newCalls(), [])
    }))

  it.effect("that is not asked for leaves the request as it is", () =>
    Effect.gen(function*() {
      const plain = HttpRouter.add(
        "GET",
        "/plain",
        Effect.gen(function*() {
          yield* Session.put(Name, "Ada")
          return HttpServerResponse.text(yield* HttpServerRequest.HttpServerRequest.useSync(({ url }) => url))
        })
      )
      const server = yield* serve(Layer.merge(basicRoutes, plain))
      const answer = yield* server.get("/plain")
      assert.strictEqual(answer.body, "/plain")
      assert.deepStrictEqual(cookieNames(answer), ["session"])
    }))
})

describe("a session that a WebSocket has used for long", () => {
  const usedFor10Minutes = (persistence: "persistent" | "browser") =>
    Effect.gen(function*() {
      const over = yield* Deferred.make<void>()
      const store = watchStore()
      const server = yield* serve(Layer.mergeAll(basicRoutes, socketAt("/socket", { over })), {
        store: store.layer,
        config: { cookie: { persistence } }
      })
      const cookie = cookieOf(yield* server.post("/count"))
      const connection = yield* connect(server, "/socket", cookie)
      yield* connection.say("read")
      yield* TestClock.adjust("10 minutes")
      store.newCalls()
      yield* connection.say("put")
      yield* connection.say("commit")
      const calls = store.newCalls()
      yield* connection.close
      yield* Deferred.await(over)
      return { next: yield* server.get("/", { cookie }), calls: [...calls, ...store.newCalls()] }
    })

  it.effect("is not extended by that, as its cookie can't be, and so by the next request", () =>
    Effect.gen(function*() {
      const { calls, next } = yield* usedFor10Minutes("persistent")
      assert.deepStrictEqual(calls, ["update", "load", "touch"])
      assert.include(next.setCookies[0], "Max-Age=7200")
      assert.strictEqual(next.body, `{"count":11}`)
    }))

  it.effect("is extended by that where the cookie ends with the browser", () =>
    Effect.gen(function*() {
      const { calls, next } = yield* usedFor10Minutes("browser")
      assert.deepStrictEqual(calls, ["update", "load"])
      assert.deepStrictEqual(next.setCookies, [])
    }))
})
