/**
 * WebSockets with sessions, on real servers, with real clients.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Queue } from "effect"
import {
  CookieLayer,
  FileLayer,
  MemoryLayer,
  RedisLayer,
  Session,
  type SessionConfig,
  type SessionError,
  Sessions,
  SessionSocket
} from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { KeyValueStore, Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { setTimeOfDay } from "../support/clock.ts"
import { watchStore } from "../support/failingStore.ts"
import { temporaryFolder } from "../support/fileStore.ts"
import { observe } from "../support/observe.ts"
import { shared, startRedis } from "../support/redisServer.ts"
import { basicRoutes, Count, Name, post } from "../support/routes.ts"
import {
  type Answer,
  cookieOf,
  type Options,
  type Routes,
  serve,
  type Server,
  type StoreLayer
} from "../support/server.ts"
import { type Client, frame, handshake, openSocket, type Sent } from "../support/webSocket.ts"

// -----------------------------------------------------------------------------
// servers
// -----------------------------------------------------------------------------

const redis = shared(startRedis())

const onRedis = () => RedisLayer.layer({ url: redis().url })

const inFolder = (folder: string): StoreLayer =>
  FileLayer.layer({ location: folder }).pipe(Layer.provide(NodeServices.layer)) as StoreLayer

/** What a message can ask for; an answer is a text. */
const deeds: Readonly<Record<string, Effect.Effect<string, SessionError.SessionError | "no", Session.Session>>> = {
  count: Effect.map(Session.increment(Count), String),
  read: Effect.map(Session.all, (all) => JSON.stringify(all)),
  put: Effect.as(Session.put(Name, "Ada"), "put"),
  pull: Effect.map(Session.pull(Count), String),
  regenerate: Effect.as(Session.regenerate, "regenerated"),
  destroy: Effect.as(Session.destroy, "destroyed"),
  lifetime: Effect.as(Session.setLifetime({ age: "1 minute" }), "set"),
  owner: Effect.as(Session.put(Name, "owner"), "set"),
  fail: Effect.andThen(Session.increment(Count), Effect.fail("no" as const)),
  die: Effect.andThen(Session.increment(Count), Effect.die(new Error("no")))
}

const onMessage = (message: SessionSocket.Message) =>
  deeds[String(message)] ?? Effect.succeed(`What is ${String(message)}?`)

const tag = (error: SessionError.SessionError | "no"): string => typeof error === "string" ? error : error._tag

const onError = (error: SessionError.SessionError | "no") => Effect.succeed(tag(error))

type ServeOptions = SessionSocket.Options<unknown, unknown, unknown, unknown> & {
  readonly onError?: (
    error: never,
    socket: SessionSocket.SessionSocket
  ) => Effect.Effect<SessionSocket.Answer, unknown, unknown>
}

const socketRoute = (options: ServeOptions): Routes =>
  HttpRouter.add("GET", "/socket", SessionSocket.serve(options as { readonly onError: typeof onError })) as Routes

/** A server with a socket, and a client that has a session in which one was counted. */
const start = Effect.fnUntraced(function*(
  socket: ServeOptions = {},
  options: Options = {},
  others: Routes = Layer.empty
) {
  const server = yield* serve(
    Layer.mergeAll(basicRoutes, socketRoute({ onMessage, onError, ...socket }), others) as Routes,
    { ...options, config: { cookie: { persistence: "browser" }, touchEvery: "10 seconds", ...options.config } }
  )
  const cookie = cookieOf(yield* server.post("/count"))
  return { server, cookie, open: openSocket(server, "/socket", { cookie }) }
})

const countIn = (server: Server, cookie: string) =>
  Effect.map(server.get("/", { cookie }), ({ body }) => JSON.parse(body))

/** A real server takes its own time, whatever the clock says. */
const realTime = Effect.promise(() => new Promise(setImmediate))

/** No time goes by until that is so, by the test's clock. */
const untilDone = Effect.fnUntraced(function*(isDone: () => boolean) {
  while (!isDone()) yield* realTime
})

/** Time goes by, until that is so. */
const untilSo = Effect.fnUntraced(function*(isSo: () => boolean) {
  while (!isSo()) {
    yield* TestClock.adjust("1 second")
    yield* realTime
  }
})

const untilClosed = (client: Client) => Effect.andThen(untilSo(client.isClosed), client.closed)

const ended = { code: 4401, reason: "The session has ended" }
const renewed = { code: 4409, reason: "The session has a new id: reconnect" }

// -----------------------------------------------------------------------------
// messages
// -----------------------------------------------------------------------------

describe("a message", () => {
  it.effect("has the session as it is then, and what it changes is written before its answer", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start()
      const client = yield* open
      assert.strictEqual(yield* client.say("count"), "2")
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 2 })
      yield* server.post("/count", { cookie })
      assert.strictEqual(yield* client.say("read"), `{"count":3}`)
      assert.strictEqual(yield* client.say("put"), "put")
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 3, name: "Ada" })
      assert.strictEqual((yield* client.close).code, 1000)
    }))

  it.effect("that fails changes nothing, and the socket goes on", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start()
      const client = yield* open
      assert.strictEqual(yield* client.say("fail"), "no")
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 1 })
      assert.strictEqual(yield* client.say("count"), "2")
    }))

  it.effect("that fails closes the socket with 1011 where nobody handles it", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start({ onError: Effect.fail })
      const client = yield* open
      yield* client.send("fail")
      assert.strictEqual((yield* client.closed).code, 1011)
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 1 })
    }))

  it.effect("that dies closes its socket with 1011, and no other", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const { cookie, open, server } = yield* start()
      const client = yield* open
      const other = yield* open
      yield* client.send("die")
      assert.strictEqual((yield* client.closed).code, 1011)
      assert.strictEqual(yield* other.say("count"), "2")
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 2 })
    }).pipe(Effect.provide(observed.layer))
  })

  it.effect.each(["regenerate", "destroy", "lifetime"])(
    "can't %s, as that takes a cookie",
    (deed) =>
      Effect.gen(function*() {
        const { cookie, open, server } = yield* start()
        const client = yield* open
        assert.strictEqual(yield* client.say(deed), "SessionClosedError")
        assert.strictEqual(yield* client.say("count"), "2")
        assert.deepStrictEqual(yield* countIn(server, cookie), { count: 2 })
      })
  )

  it.effect("leaves the flash messages for the next page", () =>
    Effect.gen(function*() {
      const flashes = Layer.mergeAll(
        post("/flash", Session.flash("message", "Saved")),
        HttpRouter.add(
          "GET",
          "/flashed",
          Effect.map(Session.flashMessages, (messages) =>
            HttpServerResponse.text(messages.get("message", "none") as string))
        )
      )
      const { cookie, open, server } = yield* start({}, {}, flashes as Routes)
      yield* server.post("/flash", { cookie })
      const client = yield* open
      assert.strictEqual(yield* client.say("count"), "2")
      assert.strictEqual((yield* server.get("/flashed", { cookie })).body, "Saved")
    }))

  it.effect("is text or bytes, and so is its answer", () =>
    Effect.gen(function*() {
      const { open } = yield* start({ onMessage: (message) => Effect.succeed(message) })
      const client = yield* open
      assert.strictEqual(yield* client.say("Grüße"), "Grüße")
      yield* client.send(new Uint8Array([104, 105]))
      assert.strictEqual(yield* client.next, "hi")
    }))

  it.effect("is handled when those before it are, one at a time", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const gates = yield* Queue.unbounded<void>()
      const { open } = yield* start({
        onMessage: (message) =>
          Effect.gen(function*() {
            order.push(`${message} begins`)
            yield* Queue.take(gates)
            order.push(`${message} ends`)
            return message
          })
      })
      const client = yield* open
      for (const message of ["a", "b", "c"]) yield* client.send(message)
      yield* Queue.offerAll(gates, [undefined, undefined, undefined])
      assert.deepStrictEqual([yield* client.next, yield* client.next, yield* client.next], ["a", "b", "c"])
      assert.deepStrictEqual(order, ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"])
    }))

  it.effect("is handled beside others if the application says so", () =>
    Effect.gen(function*() {
      const both = yield* Deferred.make<void>()
      let running = 0
      const { open } = yield* start({
        concurrency: 2,
        onMessage: (message) =>
          Effect.gen(function*() {
            if (++running === 2) yield* Deferred.succeed(both, undefined)
            yield* Deferred.await(both)
            return message
          })
      })
      const client = yield* open
      yield* client.send("a")
      yield* client.send("b")
      assert.deepStrictEqual([yield* client.next, yield* client.next].toSorted(), ["a", "b"])
    }))

  it.effect("counts together with others and with requests, and none is lost", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start({ concurrency: 5 })
      const clients = [yield* open, yield* open]
      const messages = clients.flatMap((client) => Array.from({ length: 10 }, () => client.say("count")))
      const requests = Array.from({ length: 5 }, () => server.post("/count", { cookie }))
      yield* Effect.all([...messages, ...requests], { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 26 })
    }))

  it.effect("that was sent just before the client closes is handled", () =>
    Effect.gen(function*() {
      const all = yield* Deferred.make<void>()
      let handled = 0
      const { cookie, open, server } = yield* start({
        onMessage: () =>
          Effect.gen(function*() {
            yield* Session.increment(Count)
            yield* Session.commit
            if (++handled === 3) yield* Deferred.succeed(all, undefined)
            return "counted"
          })
      })
      const client = yield* open
      for (let count = 0; count < 3; count++) yield* client.send("count")
      yield* client.close
      yield* Deferred.await(all)
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 4 })
    }))

  it.effect("has a typed error if the store fails, and the socket goes on", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const { cookie, open, server } = yield* start({}, { store: store.layer })
      const client = yield* open
      store.fails("load")
      assert.strictEqual(yield* client.say("count"), "SessionStoreError")
      store.works()
      store.fails("update")
      assert.strictEqual(yield* client.say("count"), "SessionStoreError")
      store.works()
      assert.strictEqual(yield* client.say("count"), "2")
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 2 })
    }))

  it.effect("has a typed error if another one has taken the value before", () =>
    Effect.gen(function*() {
      const both = yield* Deferred.make<void>()
      let pulled = 0
      const { open } = yield* start({
        onMessage: () =>
          Effect.gen(function*() {
            const value = yield* Session.pull(Count)
            if (++pulled === 2) yield* Deferred.succeed(both, undefined)
            yield* Deferred.await(both)
            return String(value)
          })
      })
      const first = yield* open
      const second = yield* open
      const answers = yield* Effect.all([first.say("pull"), second.say("pull")], { concurrency: 2 })
      assert.deepStrictEqual(answers.toSorted(), ["1", "SessionConflictError"])
    }))

  it.effect("has a scope of its own", () =>
    Effect.gen(function*() {
      let closed = 0
      const { open } = yield* start({
        onMessage: () => Effect.as(Effect.addFinalizer(() => Effect.sync(() => void closed++)), String(closed))
      })
      const client = yield* open
      assert.strictEqual(yield* client.say("?"), "0")
      assert.strictEqual(yield* client.say("?"), "1")
    }))

  it.effect("can't be changed any more by what it has left behind", () =>
    Effect.gen(function*() {
      const told = yield* Deferred.make<string>()
      const goOn = yield* Deferred.make<void>()
      const { cookie, open, server } = yield* start({
        onMessage: () =>
          Effect.as(
            Effect.forkDetach(
              Effect.andThen(Deferred.await(goOn), Effect.flip(Session.increment(Count))).pipe(
                Effect.flatMap(({ _tag }) => Deferred.succeed(told, _tag))
              )
            ),
            "left"
          )
      })
      const client = yield* open
      yield* client.say("leave")
      yield* Deferred.succeed(goOn, undefined)
      assert.strictEqual(yield* Deferred.await(told), "SessionClosedError")
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 1 })
    }))
})

// -----------------------------------------------------------------------------
// what the server does by itself
// -----------------------------------------------------------------------------

describe("onOpen", () => {
  it.effect("has the session of the handshake for reading, and runs in the one that there is by then", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start({
        onOpen: ({ run, send }) =>
          Effect.gen(function*() {
            yield* send(`${yield* Count}`)
            yield* send((yield* Effect.flip(Session.increment(Count)))._tag)
            yield* send(`${yield* run(Session.increment(Count))}`)
            // As it was.
            yield* send(`${yield* Count}`)
          })
      })
      const client = yield* open
      const messages = [yield* client.next, yield* client.next, yield* client.next, yield* client.next]
      assert.deepStrictEqual(messages, ["1", "SessionReadonlyError", "2", "1"])
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 2 })
      // The socket is still open.
      assert.strictEqual(yield* client.say("count"), "3")
    }))

  it.effect("is interrupted when the client goes, and when it breaks off", () =>
    Effect.gen(function*() {
      const interrupted = yield* Queue.unbounded<void>()
      const { cookie, open, server } = yield* start({
        onOpen: ({ send }) =>
          Effect.onInterrupt(Effect.andThen(send("here"), Effect.never), () => Queue.offer(interrupted, undefined))
      })
      const client = yield* open
      yield* client.next
      yield* client.close
      yield* Queue.take(interrupted)
      const { wire } = yield* handshake(server, "/socket", { cookie })
      wire!.socket.destroy()
      yield* Queue.take(interrupted)
    }))

  it.effect("closes the socket with a code and a reason of its own", () =>
    Effect.gen(function*() {
      const { open } = yield* start({ onOpen: ({ close }) => close(4000, "Enough") })
      assert.deepStrictEqual(yield* (yield* open).closed, { code: 4000, reason: "Enough" })
    }))

  it.effect("closes the socket with 1011 if it fails", () =>
    Effect.gen(function*() {
      const { open } = yield* start({ onOpen: () => Effect.fail("no") })
      assert.strictEqual((yield* (yield* open).closed).code, 1011)
    }))

  it.effect("leaves nothing behind that can still send or change the session", () =>
    Effect.gen(function*() {
      const over = yield* Deferred.make<void>()
      const left = yield* Deferred.make<SessionSocket.SessionSocket>()
      const socket = SessionSocket.serve({ onOpen: (socket) => Deferred.succeed(left, socket) })
      const { cookie, server } = yield* start(
        {},
        {},
        HttpRouter.add("GET", "/left", Effect.ensuring(socket, Deferred.succeed(over, undefined))) as Routes
      )
      yield* Effect.scoped(openSocket(server, "/left", { cookie }))
      const { run, send } = yield* Deferred.await(left)
      yield* Deferred.await(over)
      const exit = yield* Effect.exit(send("too late"))
      assert.isTrue(Exit.hasInterrupts(exit))
      const error = yield* Effect.flip(run(Session.increment(Count)))
      assert.strictEqual(error._tag, "SessionClosedError")
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 1 })
    }))
})

// -----------------------------------------------------------------------------
// the end
// -----------------------------------------------------------------------------

describe("the end of the session", () => {
  it.effect("closes all its sockets at once if this server ends it, and no others", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start()
      const other = cookieOf(yield* server.post("/count"))
      const clients = [yield* open, yield* open]
      const another = yield* openSocket(server, "/socket", { cookie: other })
      yield* server.post("/logout", { cookie })
      for (const client of clients) assert.deepStrictEqual(yield* client.closed, ended)
      assert.strictEqual(yield* another.say("count"), "2")
    }))

  it.effect("has the code of the application", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start({ closeCodes: { ended: 4000, renewed: 4001 } })
      const client = yield* open
      yield* server.post("/logout", { cookie })
      assert.strictEqual((yield* client.closed).code, 4000)
    }))

  it.effect("closes the socket when its time is over, and no message after that is handled", () =>
    Effect.gen(function*() {
      const { open } = yield* start({ extend: "never" }, { config: { age: "1 minute" } })
      const client = yield* open
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* client.say("read"), `{"count":1}`)
      assert.deepStrictEqual(yield* untilClosed(client), ended)
    }))

  it.effect("is noticed by the next message, before anybody has looked", () =>
    Effect.gen(function*() {
      let handled = 0
      const { open } = yield* start(
        { extend: "never", onMessage: () => Effect.sync(() => void handled++) },
        { config: { age: "1 minute", touchEvery: "50 seconds" } }
      )
      const client = yield* open
      yield* TestClock.adjust("61 seconds")
      yield* client.send("count")
      assert.deepStrictEqual(yield* client.closed, ended)
      assert.strictEqual(handled, 0)
    }))

  const stores: Readonly<Record<string, (folder: string) => StoreLayer>> = { Redis: onRedis, File: inFolder }

  it.effect.each(Object.keys(stores))(
    "on another server closes the socket here within touchEvery, or with the next message, on %s",
    (driver) =>
      Effect.gen(function*() {
        yield* setTimeOfDay
        const store = stores[driver]!(yield* temporaryFolder)
        const here = yield* start({}, { store })
        const there = yield* start({}, { store })
        const client = yield* here.open
        const other = yield* here.open
        assert.strictEqual(yield* client.say("count"), "2")
        yield* there.server.post("/logout", { cookie: here.cookie })
        yield* other.send("count")
        assert.deepStrictEqual(yield* other.closed, ended)
        assert.deepStrictEqual(yield* untilClosed(client), ended)
        assert.deepStrictEqual(yield* countIn(here.server, here.cookie), {})
      })
  )

  it.effect("closes the socket within touchEvery with CookieLayer.layerShared, if all sessions of the owner are ended", () =>
    Effect.gen(function*() {
      const revocations = Layer.provide(Persistence.layerBackingKvs, KeyValueStore.layerMemory)
      const owners = Layer.mergeAll(
        post("/owner", Session.login("ada")),
        post("/end", Sessions.destroyAll("ada"))
      ) as Routes
      const { cookie, server } = yield* start(
        {},
        { store: Layer.provide(CookieLayer.layerShared, revocations) },
        owners
      )
      const hers = cookieOf(yield* server.post("/owner", { cookie }))
      const client = yield* openSocket(server, "/socket", { cookie: hers })
      assert.strictEqual(yield* client.say("read"), `{"count":1}`)
      yield* server.post("/end")
      assert.deepStrictEqual(yield* untilClosed(client), ended)
      assert.isBelow(yield* Clock.currentTimeMillis, 60_000)
    }))

  it.effect("is that of the cookie, with the CookieLayer, whatever other tabs do", () =>
    Effect.gen(function*() {
      const { open } = yield* start({}, { store: CookieLayer.layer(), config: { age: "1 minute" } })
      const client = yield* open
      assert.strictEqual(yield* client.say("read"), `{"count":1}`)
      assert.strictEqual(yield* client.say("count"), "SessionClosedError")
      assert.deepStrictEqual(yield* untilClosed(client), ended)
    }))
})

// -----------------------------------------------------------------------------
// another id
// -----------------------------------------------------------------------------

describe("another id of the session", () => {
  const stores: Readonly<Record<string, () => StoreLayer>> = { Memory: () => MemoryLayer.layer(), Redis: onRedis }

  it.effect.each(Object.keys(stores))(
    "closes the socket so that its page connects again, on %s",
    (driver) =>
      Effect.gen(function*() {
        yield* setTimeOfDay
        const { cookie, open, server } = yield* start({}, { store: stores[driver]!() })
        const client = yield* open
        const login = yield* server.post("/login", { cookie })
        assert.deepStrictEqual(yield* client.closed, renewed)
        const again = yield* openSocket(server, "/socket", { cookie: cookieOf(login) })
        assert.strictEqual(yield* again.say("read"), `{"count":1,"name":"Ada"}`)
      })
  )

  it.effect("on another server closes it as well, and no message gets into the new session", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const store = onRedis()
      const here = yield* start({}, { store })
      const there = yield* start({}, { store })
      const planted = yield* here.open
      const waiting = yield* here.open
      const login = yield* there.server.post("/login", { cookie: here.cookie })
      yield* planted.send("read")
      assert.deepStrictEqual(yield* planted.closed, renewed)
      assert.strictEqual(planted.waiting(), 0)
      assert.deepStrictEqual(yield* untilClosed(waiting), renewed)
      assert.strictEqual((yield* handshake(here.server, "/socket", { cookie: here.cookie })).status, 401)
      assert.deepStrictEqual(yield* countIn(there.server, cookieOf(login)), { count: 1, name: "Ada" })
    }))
})

// -----------------------------------------------------------------------------
// use
// -----------------------------------------------------------------------------

describe("the life of the session", () => {
  /** How long it is still there, if a message comes each 30 seconds, or none. */
  const lifeOf = Effect.fnUntraced(function*(socket: ServeOptions, says: boolean, config: SessionConfig.Options = {}) {
    const { open, server } = yield* start(socket, { config: { age: "1 minute", ...config } })
    const client = yield* open
    for (let seconds = 10; seconds < 300; seconds += 10) {
      if (says && seconds % 30 === 0) yield* Effect.raceFirst(client.say("read"), client.closed)
      yield* TestClock.adjust("10 seconds")
      // By the time that this is answered, what the server has sent before has come.
      yield* server.get("/untouched")
      yield* server.get("/untouched")
      if (client.isClosed()) return seconds
    }
    return Infinity
  })

  it.effect("is extended by messages, as it is by requests", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* lifeOf({}, true), Infinity)
    }))

  it.effect("is not extended by a socket that is open", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* lifeOf({}, false), 60)
    }))

  it.effect("is not extended by messages either, if the application says so", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* lifeOf({ extend: "never" }, true), 60)
    }))

  it.effect("is extended by a socket that is open, if the application says so", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* lifeOf({ extend: "open" }, false), Infinity)
    }))

  it.effect("has its absolute end all the same", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* lifeOf({ extend: "open" }, true, { absoluteAge: "2 minutes" }), 120)
    }))

  it.effect("is not extended by messages where the cookie would have to be", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* lifeOf({}, true, { cookie: { persistence: "persistent" } }), 60)
    }))

  it.effect.each([
    { what: "a persistent cookie", options: { config: { cookie: { persistence: "persistent" } } } as Options },
    { what: "the CookieLayer", options: { store: CookieLayer.layer() } as Options }
  ])(
    "can't be extended by a socket that is open with $what: the handshake is refused",
    ({ options }) =>
      Effect.gen(function*() {
        const { cookie, server } = yield* start({ extend: "open" }, options)
        assert.strictEqual((yield* handshake(server, "/socket", { cookie })).status, 500)
      })
  )
})

// -----------------------------------------------------------------------------
// who may connect
// -----------------------------------------------------------------------------

describe("a handshake", () => {
  const host = "shop.example"

  it.effect.each(
    [
      ["none: no browser", {}, 101],
      ["its own", { origin: `https://${host}` }, 101],
      ["its own, with the usual port", { origin: `https://${host}:443` }, 101],
      ["null, as of a sandboxed frame", { origin: "null" }, 403],
      ["another site", { origin: "https://evil.example" }, 403],
      ["a subdomain", { origin: `https://blog.${host}` }, 403],
      ["the host as the beginning of another", { origin: `https://${host}.evil.example` }, 403],
      ["another port", { origin: `https://${host}:8443` }, 403],
      ["without TLS, where the cookie is Secure", { origin: `http://${host}` }, 403],
      ["one that is allowed", { origin: "https://partner.example" }, 101],
      ["one that is allowed, and the browser says so", {
        origin: "https://partner.example",
        "sec-fetch-site": "cross-site"
      }, 101],
      ["garbage", { origin: "https://" }, 403],
      ["two", { origin: `https://${host}, https://evil.example` }, 403],
      ["its own, by Sec-Fetch-Site", { origin: `https://${host}`, "sec-fetch-site": "same-origin" }, 101],
      ["another site, by Sec-Fetch-Site alone", { "sec-fetch-site": "cross-site" }, 403],
      [
        "another host of the site, by Sec-Fetch-Site",
        { origin: `https://blog.${host}`, "sec-fetch-site": "same-site" },
        403
      ],
      ["its own, but a proxy's header says otherwise", {
        origin: `https://${host}`,
        "x-forwarded-host": "other.example"
      }, 101],
      ["what a proxy's header says, which anybody can send", {
        origin: "https://evil.example",
        "x-forwarded-host": "evil.example"
      }, 403]
    ] as const
  )("with the origin: %s", ([, headers, status]) =>
    Effect.gen(function*() {
      const { cookie, server } = yield* start({}, { config: { csrf: { origins: ["https://partner.example"] } } })
      assert.strictEqual(
        (yield* handshake(server, "/socket", { cookie, headers: { host, ...headers } })).status,
        status
      )
    }))

  it.effect.each(
    [
      ["its own", { origin: `https://${host}` }, 101],
      ["its own, without TLS", { origin: `http://${host}` }, 403],
      ["the proxy's own host", { origin: "https://10.0.0.5:3000" }, 403],
      ["another site", { origin: "https://evil.example" }, 403]
    ] as const
  )("behind a proxy that says the host, with the origin: %s", ([, headers, status]) =>
    Effect.gen(function*() {
      const { cookie, server } = yield* start({}, { config: { csrf: { forwarded: true } } })
      const proxied = { host: "10.0.0.5:3000", "x-forwarded-host": host, "x-forwarded-proto": "https", ...headers }
      assert.strictEqual((yield* handshake(server, "/socket", { cookie, headers: proxied })).status, status)
    }))

  const refusals: ReadonlyArray<[string, (cookie: string) => Sent]> = [
    ["without a cookie", () => ({})],
    ["with a cookie that nobody has made", () => ({ cookie: "session=abc.def" })],
    ["with a cookie that was altered", (cookie) => ({ cookie: cookie.slice(0, -2) + "AA" })],
    ["with two cookies", (cookie) => ({ cookie: `${cookie}; session=abc.def` })]
  ]

  it.effect.each(refusals)("%s is refused with 401", ([, sent]) =>
    Effect.gen(function*() {
      const { cookie, server } = yield* start()
      const { headers, status } = yield* handshake(server, "/socket", sent(cookie))
      assert.deepStrictEqual([status, headers["set-cookie"]], [401, undefined])
    }))

  it.effect("is refused with 401 where sessions are switched off", () =>
    Effect.gen(function*() {
      const { server } = yield* start({}, { config: { enabled: false } })
      assert.strictEqual((yield* handshake(server, "/socket", { cookie: "session=abc" })).status, 401)
    }))

  it.effect("is refused with 503 if the store fails", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const { cookie, server } = yield* start({}, { store: store.layer })
      store.fails("load")
      assert.strictEqual((yield* handshake(server, "/socket", { cookie })).status, 503)
    }))

  it.effect("that is none is answered 426, whoever asks", () =>
    Effect.gen(function*() {
      const { cookie, server } = yield* start()
      const answer: Answer = yield* server.get("/socket", { cookie })
      assert.deepStrictEqual([answer.status, answer.headers["upgrade"]], [426, "websocket"])
      const other = yield* handshake(server, "/socket", { cookie, headers: { upgrade: "tcp" } })
      assert.strictEqual(other.status, 426)
    }))

  it.effect("without a key is refused, and the server goes on", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start()
      const { status } = yield* handshake(server, "/socket", { cookie, headers: { "sec-websocket-key": "short" } })
      assert.strictEqual(status, 400)
      assert.strictEqual(yield* (yield* open).say("count"), "2")
    }))

  it.effect("of a session that ends in the meantime is refused with 401", () =>
    Effect.gen(function*() {
      const inside = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const slow = HttpRouter.add(
        "GET",
        "/slow",
        Effect.gen(function*() {
          yield* Session.all
          yield* Deferred.succeed(inside, undefined)
          yield* Deferred.await(goOn)
          return yield* SessionSocket.serve({ onMessage })
        })
      ) as Routes
      const { cookie, server } = yield* start({}, {}, slow)
      const shaking = yield* Effect.forkChild(handshake(server, "/slow", { cookie }))
      yield* Deferred.await(inside)
      yield* server.post("/logout", { cookie })
      yield* Deferred.succeed(goOn, undefined)
      assert.strictEqual((yield* Fiber.join(shaking)).status, 401)
    }))
})

// -----------------------------------------------------------------------------
// clients that misbehave
// -----------------------------------------------------------------------------

describe("a client", () => {
  /** The code of the close frame that the server has sent last. */
  const closeCode = (bytes: Buffer): number | undefined => {
    const at = bytes.lastIndexOf(0x88)
    return at < 0 ? undefined : bytes.readUInt16BE(at + 2)
  }

  const mischief: ReadonlyArray<[string, Buffer, number]> = [
    ["bytes that are no frame", Buffer.from("GET / HTTP/1.1\r\n\r\n"), 1002],
    ["a frame without a mask", Buffer.from([0x81, 0x02, 104, 105]), 1002],
    ["the end of a message that has not begun", frame(0x80, Buffer.from("hi")), 1002],
    ["text that is no UTF-8", frame(0x81, Buffer.from([0xff, 0xfe])), 1007],
    ["a message that is too large", frame(0x81, Buffer.alloc(70_000, 97)), 1009]
  ]

  it.effect.each(mischief)(
    "that sends %s is disconnected, and nobody else is",
    ([, bytes, code]) =>
      Effect.gen(function*() {
        const { cookie, open, server } = yield* start()
        const other = yield* open
        const { wire } = yield* handshake(server, "/socket", { cookie })
        yield* wire!.write(bytes)
        // With the answer that a server waits for which has closed a socket.
        yield* wire!.write(frame(0x88, Buffer.from([3, 232])))
        yield* wire!.over
        assert.strictEqual(closeCode(wire!.received()), code)
        assert.strictEqual(yield* other.say("count"), "2")
        assert.deepStrictEqual(yield* countIn(server, cookie), { count: 2 })
      })
  )

  it.effect("that sends half a message and goes changes nothing", () =>
    Effect.gen(function*() {
      const over = yield* Deferred.make<void>()
      const { cookie, server } = yield* start({
        onOpen: () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(over, undefined))
      })
      const { wire } = yield* handshake(server, "/socket", { cookie })
      yield* wire!.write(frame(0x01, Buffer.from("cou")))
      yield* wire!.write(frame(0x80, Buffer.from("nt")).subarray(0, 3))
      wire!.socket.destroy()
      yield* Deferred.await(over)
      assert.deepStrictEqual(yield* countIn(server, cookie), { count: 1 })
    }))

  it.effect("that sends more than is handled is kept waiting", () =>
    Effect.gen(function*() {
      let handled = 0
      const goOn = yield* Deferred.make<void>()
      const { cookie, server } = yield* start({
        onMessage: () => Effect.andThen(Deferred.await(goOn), Effect.sync(() => void handled++))
      })
      const { wire } = yield* handshake(server, "/socket", { cookie })
      const bytes = frame(0x82, Buffer.alloc(60_000))
      // Until nothing more goes out: the connection is full, and the server reads no more.
      let sent = 0
      for (let idle = 0; idle < 50;) {
        if (wire!.socket.writableLength === 0) {
          yield* wire!.write(bytes)
          sent++
          idle = 0
        } else {
          idle++
        }
        yield* realTime
      }
      assert.isBelow(sent * 60_000, 64_000_000)
      assert.strictEqual(handled, 0)
      yield* Deferred.succeed(goOn, undefined)
      yield* untilDone(() => handled === sent)
    }))

  it.effect("that does not read is disconnected when it has not for sendTimeout, and is sent no more than fits", () =>
    Effect.gen(function*() {
      let sent = 0
      const over = yield* Deferred.make<void>()
      const { cookie, server } = yield* start({
        onOpen: ({ send }) =>
          Effect.forever(Effect.andThen(send(new Uint8Array(60_000)), Effect.sync(() => void sent++))).pipe(
            Effect.onInterrupt(() => Deferred.succeed(over, undefined))
          )
      })
      const { wire } = yield* handshake(server, "/socket", { cookie })
      wire!.socket.pause()
      yield* untilSo(() => Deferred.isDoneUnsafe(over))
      assert.isBelow(sent * 60_000, 64_000_000)
      // Long before its session would have ended.
      assert.isBelow(yield* Clock.currentTimeMillis, 60_000)
    }))

  it.effect("that pings and does not read is disconnected", () =>
    Effect.gen(function*() {
      const over = yield* Deferred.make<void>()
      const { cookie, server } = yield* start({
        onOpen: () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(over, undefined))
      })
      const { wire } = yield* handshake(server, "/socket", { cookie })
      wire!.socket.pause()
      const pings = Buffer.concat(Array.from({ length: 500 }, () => frame(0x89, Buffer.alloc(125))))
      while (!Deferred.isDoneUnsafe(over)) {
        if (wire!.socket.writableLength < 1e6) yield* wire!.write(pings)
        yield* realTime
      }
    }))
})

// -----------------------------------------------------------------------------
// options
// -----------------------------------------------------------------------------

describe("an option that can't be", () => {
  it.each([
    [{ concurrency: 0 }, /^SessionSocket\.serve: concurrency: found 0\. Write a positive whole number$/],
    [{ maxMessageSize: "lots" as never }, /maxMessageSize: found "lots"\. Write a size such as/],
    [{ sendTimeout: "0 seconds" as const }, /sendTimeout: found "0 seconds"\. Write a duration longer than zero/],
    [{ closeCodes: { ended: 401 } }, /closeCodes\.ended: found 401\. Write a code from 4000 to 4999/],
    [{ extend: "always" as never }, /extend: found "always"\. Write one of "never", "messages", "open"$/]
  ])("%o says what to write", (options, message) => {
    assert.throws(() => SessionSocket.serve(options), message)
  })
})
