/**
 * Streams that end with their session: server-sent events, over real servers.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Layer, Stream } from "effect"
import { CookieLayer, MemoryLayer, RedisLayer, Session, SessionStream } from "effect-session"
import { Sse } from "effect/encoding"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import type { IncomingMessage } from "node:http"
import { connect, type Socket } from "node:net"
import { setTimeOfDay } from "../support/clock.ts"
import { shared, startRedis } from "../support/redisServer.ts"
import { basicRoutes, Count, post } from "../support/routes.ts"
import { cookieOf, type Opened, type Options, type Routes, serve, type StoreLayer } from "../support/server.ts"

const redis = shared(startRedis())

const onRedis = () => RedisLayer.layer({ url: redis().url })

const event = (data: string) => Sse.encoder.write({ _tag: "Event", event: "count", id: undefined, data })

/** One event, and then nothing until it ends. */
const oneEvent = Stream.concat(Stream.make("hello"), Stream.never)

/** A server with a stream, and a client that has a session in which one was counted. */
const start = Effect.fnUntraced(function*<E>(
  { extend, stream = oneEvent }: {
    readonly stream?: Stream.Stream<string, E, Session.Session>
  } & SessionStream.Options = {},
  options: Options = {}
) {
  const closed: Array<string> = []
  const route = HttpRouter.add(
    "GET",
    "/events",
    Effect.gen(function*() {
      const { source, url } = yield* HttpServerRequest.HttpServerRequest
      const { socket } = source as IncomingMessage
      socket.once("close", () => closed.push(url))
      const alive = yield* SessionStream.whileAlive(stream, { ...(extend !== undefined && { extend }) })
      return HttpServerResponse.stream(Stream.encodeText(Stream.map(alive, event)), {
        contentType: "text/event-stream"
      })
    })
  )
  const server = yield* serve(
    Layer.mergeAll(basicRoutes, post("/flash", Session.flash("message", "Saved")), route) as Routes,
    {
      ...options,
      config: { cookie: { persistence: "browser" }, touchEvery: "10 seconds", age: "1 minute", ...options.config }
    }
  )
  const cookie = cookieOf(yield* server.post("/count"))
  const open = Effect.tap(server.open("GET", "/events", { cookie }), ({ chunk }) => chunk)
  return { closed, cookie, open, server }
})

/** Watches whether the body is over. */
const watch = Effect.fnUntraced(function*({ text }: Opened) {
  const over = yield* Deferred.make<string, Error>()
  yield* Effect.forkChild(Deferred.complete(over, text))
  return { isOver: () => Deferred.isDoneUnsafe(over), text: Deferred.await(over) }
})

/** Asks for the stream and reads the beginning of it, and nothing more. */
const neverReading = (url: string, cookie: string) =>
  Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = connect(Number(new URL(url).port), "127.0.0.1")
      socket.on("error", () => {})
      socket.once("data", () => {
        socket.pause()
        resume(Effect.succeed(socket))
      })
      socket.write(`GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: ${cookie}\r\n\r\n`)
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const realTime = Effect.promise(() => new Promise(setImmediate))

/** Time goes by until that is so; the answer is how many seconds. */
const secondsUntil = Effect.fnUntraced(function*(isSo: () => boolean) {
  const from = yield* Clock.currentTimeMillis
  while (!isSo()) {
    yield* TestClock.adjust("1 second")
    yield* realTime
  }
  return ((yield* Clock.currentTimeMillis) - from) / 1000
})

/** Until no more is sent, as nobody reads it. */
const untilStalled = Effect.fnUntraced(function*(sent: () => number) {
  for (let before = -1; before !== sent();) {
    before = sent()
    for (let turns = 0; turns < 100; turns++) yield* realTime
  }
})

describe("a stream", () => {
  it.effect("ends at once if this server ends its session, and no other stream does", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start()
      const stream = yield* open
      const other = yield* server.open("GET", "/events", { cookie: cookieOf(yield* server.post("/count")) })
      yield* other.chunk
      const others = yield* watch(other)
      yield* server.post("/logout", { cookie })
      assert.strictEqual(yield* stream.text, "event: count\ndata: hello\n\n")
      assert.isFalse(others.isOver())
    }))

  it.effect("ends within touchEvery if another server ends its session", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const store = onRedis()
      const here = yield* start({}, { store })
      const there = yield* start({}, { store })
      const stream = yield* watch(yield* here.open)
      yield* there.server.post("/logout", { cookie: here.cookie })
      assert.isAtMost(yield* secondsUntil(stream.isOver), 20)
    }))

  const stores: Readonly<Record<string, () => StoreLayer>> = {
    Memory: () => MemoryLayer.layer(),
    Redis: onRedis,
    Cookie: () => CookieLayer.layer()
  }

  it.effect.each(Object.keys(stores))(
    "ends when the time of its session is over, which it does not extend, on %s",
    (driver) =>
      Effect.gen(function*() {
        yield* setTimeOfDay
        const { open } = yield* start({}, { store: stores[driver]!() })
        const stream = yield* watch(yield* open)
        assert.isAtLeast(yield* secondsUntil(stream.isOver), 60)
      })
  )

  it.effect("ends when its session gets another id, and the old one gets none any more", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start()
      const stream = yield* open
      const login = yield* server.post("/login", { cookie })
      assert.strictEqual(yield* stream.text, "event: count\ndata: hello\n\n")
      assert.strictEqual((yield* server.get("/events", { cookie })).status, 401)
      yield* (yield* server.open("GET", "/events", { cookie: cookieOf(login) })).chunk
    }))

  it.effect("goes on for as long as it extends its session", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start({ extend: true })
      const stream = yield* watch(yield* open)
      for (let minutes = 0; minutes < 5; minutes++) {
        for (let seconds = 0; seconds < 60; seconds += 10) {
          yield* TestClock.adjust("10 seconds")
          yield* realTime
        }
      }
      assert.isFalse(stream.isOver())
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }))

  it.effect("extends nothing any more when the client has gone", () =>
    Effect.gen(function*() {
      const { cookie, open, server } = yield* start({ extend: true })
      yield* Effect.scoped(open)
      yield* server.aborted
      for (let seconds = 0; seconds < 90; seconds += 10) {
        yield* TestClock.adjust("10 seconds")
        yield* realTime
      }
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
    }))

  it.effect.each([
    { what: "a persistent cookie", options: { config: { cookie: { persistence: "persistent" } } } as Options },
    { what: "the CookieLayer", options: { store: CookieLayer.layer() } as Options }
  ])("that would extend its session is refused with $what", ({ options }) =>
    Effect.gen(function*() {
      const { cookie, server } = yield* start({ extend: true }, options)
      assert.strictEqual((yield* server.get("/events", { cookie })).status, 500)
    }))

  it.effect("is refused with 401 without a session", () =>
    Effect.gen(function*() {
      const { server } = yield* start()
      assert.strictEqual((yield* server.get("/events")).status, 401)
      assert.strictEqual((yield* server.get("/events", { cookie: "session=abc" })).status, 401)
    }))

  it.effect("has the session of its request, and what it changes is saved at its end", () =>
    Effect.gen(function*() {
      const stream = Stream.concat(
        Stream.fromEffect(Effect.map(Session.increment(Count), String)),
        Stream.fromEffect(Effect.map(Count, String))
      )
      const { cookie, server } = yield* start({ stream })
      assert.strictEqual(
        (yield* server.get("/events", { cookie })).body,
        "event: count\ndata: 2\n\nevent: count\ndata: 2\n\n"
      )
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
    }))

  it.effect("leaves the flash messages for the next page, if an EventSource asks for it", () =>
    Effect.gen(function*() {
      const { cookie, server } = yield* start({
        stream: Stream.fromEffect(Effect.map(Session.flashMessages, ({ isEmpty }) => String(isEmpty)))
      })
      yield* server.post("/flash", { cookie })
      const events = { cookie, headers: { accept: "text/event-stream" } }
      assert.include((yield* server.get("/events", events)).body, "data: false")
      assert.include((yield* server.get("/events", { cookie })).body, "data: false")
      assert.include((yield* server.get("/events", { cookie })).body, "data: true")
    }))

  it.effect("that fails fails as it would without", () =>
    Effect.gen(function*() {
      const { cookie, server } = yield* start({ stream: Stream.concat(Stream.make("hello"), Stream.fail("no")) })
      assert.strictEqual((yield* Effect.flip(server.get("/events", { cookie }))).name, "Error")
    }))

  it.effect("that nobody reads is broken off half a minute after its session has ended", () =>
    Effect.gen(function*() {
      let sent = 0
      const endless = Stream.forever(Stream.sync(() => {
        sent++
        return "x".repeat(60_000)
      }))
      const { closed, cookie, server } = yield* start({ stream: endless })
      yield* neverReading(server.url, cookie)
      yield* untilStalled(() => sent)
      yield* server.post("/logout", { cookie })
      const seconds = yield* secondsUntil(() => closed.length > 0)
      assert.isAtLeast(seconds, 29)
      assert.isAtMost(seconds, 40)
    }))
})
