/**
 * Calls that go on while the headers of the response are out already: streams, and others of the same request.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schema, Stream } from "effect"
import { CookieLayer, MemoryLayer, Session, type SessionError, SessionRpc } from "effect-session"
import { HttpRouter } from "effect/http"
import { Rpc, RpcGroup } from "effect/rpc"
import { watchStore } from "../support/failingStore.ts"
import { Count, Name } from "../support/routes.ts"
import { bodyOf, framed, type Message, outcomesIn, rpcClient, serveRpc, unframed } from "../support/rpc.ts"
import { cookieNames, cookieOf, type StoreLayer } from "../support/server.ts"

const Streaming = RpcGroup.make(
  Rpc.make("numbers", {
    payload: { before: Schema.String, after: Schema.String },
    success: Schema.Number,
    stream: true
  }),
  Rpc.make("change", { payload: { what: Schema.String } }),
  Rpc.make("slow", { payload: { what: Schema.String } }),
  Rpc.make("waiting", { payload: { what: Schema.String } }),
  Rpc.make("total", { success: Schema.Number })
).middleware(SessionRpc.Middleware)

type Change = Effect.Effect<unknown, SessionError.SessionError, Session.Session>

const changes: Readonly<Record<string, Change>> = {
  nothing: Effect.void,
  add: Session.increment(Count),
  login: Effect.andThen(Session.regenerate, Session.put(Name, "Ada")),
  logout: Session.destroy,
  lifetime: Session.setLifetime({ age: "10 minutes" }),
  addAndDie: Effect.andThen(Session.increment(Count), Effect.die(new Error("crash")))
}

/** A server whose streams wait after their first element, and whose slow calls wait after their change. */
const started = Effect.fnUntraced(function*(options: Parameters<typeof serveRpc>[2] = {}) {
  const released = yield* Deferred.make<void>()
  const isWaiting = yield* Deferred.make<void>()
  const wait = Effect.andThen(Deferred.succeed(isWaiting, undefined), Deferred.await(released))
  const handlers = Streaming.toLayer({
    numbers: ({ before, after }) =>
      Stream.fromEffect(Effect.as(changes[before]!, 1)).pipe(
        Stream.concat(Stream.fromEffect(Effect.as(Effect.andThen(wait, changes[after]!), 2))),
        SessionRpc.handler
      ) as Stream.Stream<number, never, Session.Session>,
    change: ({ what }) => SessionRpc.handler(changes[what]!) as Effect.Effect<void, never, Session.Session>,
    slow: ({ what }) =>
      SessionRpc.handler(Effect.andThen(changes[what]!, wait)) as Effect.Effect<void, never, Session.Session>,
    waiting: ({ what }) =>
      SessionRpc.handler(Effect.andThen(wait, changes[what]!)) as Effect.Effect<void, never, Session.Session>,
    total: () => SessionRpc.handler(Session.get(Count))
  })
  const server = yield* serveRpc(Streaming, handlers, options)
  const post = (messages: ReadonlyArray<Message>, cookie?: string) =>
    server.post("/rpc", { cookie, body: bodyOf("ndjson", messages) })
  const total = (cookie: string) => Effect.map(post([{ tag: "total" }], cookie), ({ body }) => outcomesIn(body)[0])
  return {
    server,
    post,
    total,
    isWaiting: Deferred.await(isWaiting),
    release: Deferred.succeed(released, undefined),
    /** Sends the calls and waits for the headers, and then for the rest. */
    open: (messages: ReadonlyArray<Message>, cookie?: string) =>
      server.open("POST", "/rpc", { cookie, body: bodyOf("ndjson", messages) }),
    begin: Effect.map(post([{ tag: "change", payload: { what: "add" } }]), cookieOf)
  }
})

const numbers = (before: string, after: string): Message => ({ tag: "numbers", payload: { before, after } })

describe("a stream, as ndjson", () => {
  const served = (store: StoreLayer = MemoryLayer.layer()) => started({ serialization: framed.ndjson, store })

  it.effect("saves with the headers what it did before its first element, and in the end what needs no other cookie", () =>
    Effect.gen(function*() {
      const { begin, isWaiting, open, release, total } = yield* served()
      const cookie = yield* begin
      const answer = yield* open([numbers("add", "add")], cookie)
      yield* isWaiting
      assert.strictEqual(yield* total(cookie), 2)
      yield* release
      assert.deepStrictEqual(outcomesIn(yield* answer.text), [null])
      assert.strictEqual(yield* total(cookie), 3)
    }))

  it.effect("keeps what it did before its first element if it dies, and nothing of what came after it", () =>
    Effect.gen(function*() {
      const { begin, open, release, total } = yield* served()
      const cookie = yield* begin
      const answer = yield* open([numbers("add", "addAndDie")], cookie)
      assert.strictEqual(yield* total(cookie), 2)
      yield* release
      assert.include(yield* answer.text, "\"Defect\"")
      assert.strictEqual(yield* total(cookie), 2)
    }))

  for (const first of ["add", "login", "logout", "lifetime"]) {
    it.effect(`sets the cookie that a change before its first element needs: ${first}`, () =>
      Effect.gen(function*() {
        const { begin, open, release } = yield* served()
        const cookie = first === "add" ? undefined : yield* begin
        const answer = yield* open([numbers(first, "nothing")], cookie)
        assert.deepStrictEqual(cookieNames(answer), ["session"])
        yield* release
        assert.deepStrictEqual(outcomesIn(yield* answer.text), [null])
      }))
  }

  it.effect("begins a session before its first element, and changes it afterwards", () =>
    Effect.gen(function*() {
      const { open, release, total } = yield* served()
      const answer = yield* open([numbers("add", "add")])
      yield* release
      assert.deepStrictEqual(outcomesIn(yield* answer.text), [null])
      assert.strictEqual(yield* total(cookieOf(answer)), 2)
    }))

  it.effect("sets the cookie once more with the CookieLayer, and not any more after its first element", () =>
    Effect.gen(function*() {
      const { begin, open, release, total } = yield* served(CookieLayer.layer())
      const cookie = yield* begin
      const answer = yield* open([numbers("add", "add")], cookie)
      yield* release
      assert.deepStrictEqual(outcomesIn(yield* answer.text), ["SessionClosedError"])
      assert.strictEqual(yield* total(cookieOf(answer)), 2)
    }))

  for (const then of ["login", "logout", "lifetime"]) {
    it.effect(`ends with a SessionClosedError if a change after its first element needs a cookie: ${then}`, () =>
      Effect.gen(function*() {
        const { begin, open, release, total } = yield* served()
        const cookie = yield* begin
        const answer = yield* open([numbers("add", then)], cookie)
        yield* release
        assert.deepStrictEqual(outcomesIn(yield* answer.text), ["SessionClosedError"])
        assert.strictEqual(yield* total(cookie), 2)
      }))
  }

  it.effect("ends with a SessionClosedError if the session could not be stored when the headers went out", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const { open, release } = yield* served(store.layer)
      store.fails("create")
      const answer = yield* open([numbers("add", "nothing")])
      assert.deepStrictEqual(answer.setCookies, [])
      store.works()
      yield* release
      assert.deepStrictEqual(outcomesIn(yield* answer.text), ["SessionClosedError"])
    }))

  it.effect("ends with a SessionStoreError if the store fails in the end", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const { begin, open, release, total } = yield* served(store.layer)
      const cookie = yield* begin
      const answer = yield* open([numbers("add", "add")], cookie)
      store.fails("update")
      yield* release
      assert.deepStrictEqual(outcomesIn(yield* answer.text), ["SessionStoreError"])
      store.works()
      assert.strictEqual(yield* total(cookie), 2)
    }))
})

describe("a stream, as json", () => {
  it.effect("is over before the headers go out, so that it may need a cookie", () =>
    Effect.gen(function*() {
      const { release, server } = yield* started({ serialization: unframed.json })
      yield* release
      const answer = yield* server.post("/rpc", { body: bodyOf("json", [numbers("add", "login")]) })
      assert.deepStrictEqual(outcomesIn(answer.body), [null])
      assert.deepStrictEqual(cookieNames(answer), ["session"])
      const total = yield* server.post("/rpc", { cookie: cookieOf(answer), body: bodyOf("json", [{ tag: "total" }]) })
      assert.deepStrictEqual(outcomesIn(total.body), [1])
    }))
})

describe("two calls of one request, as ndjson", () => {
  const both = (what: string): ReadonlyArray<Message> => [
    { tag: "slow", payload: { what } },
    { tag: "change", payload: { what: "add" } }
  ]

  it.effect("each save what needs no other cookie, whichever is first", () =>
    Effect.gen(function*() {
      const { begin, open, release, total } = yield* started({ serialization: framed.ndjson })
      const cookie = yield* begin
      const answer = yield* open(both("add"), cookie)
      assert.strictEqual(yield* total(cookie), 2)
      yield* release
      assert.deepStrictEqual(outcomesIn(yield* answer.text), [null, null])
      assert.strictEqual(yield* total(cookie), 3)
    }))

  it.effect("the second one gets a SessionClosedError if it needs a cookie, and the first one is not harmed", () =>
    Effect.gen(function*() {
      const { begin, open, release, total } = yield* started({ serialization: framed.ndjson })
      const cookie = yield* begin
      const answer = yield* open(both("login"), cookie)
      yield* release
      assert.deepStrictEqual(outcomesIn(yield* answer.text), ["SessionClosedError", null])
      assert.strictEqual(yield* total(cookie), 2)
    }))
})

describe("a call that goes on while the response is being decided", () => {
  it.effect("can change the session, and saves it after that", () =>
    Effect.gen(function*() {
      const store = watchStore()
      // Something further out has the last word before the headers go out.
      const inside = HttpRouter.middleware<{ provides: never }>()((route) =>
        Effect.tap(route, () => Effect.orDie(Session.increment(Count)) as Effect.Effect<unknown>)
      ).layer
      const { begin, open, release, total } = yield* started({
        serialization: framed.ndjson,
        store: store.layer,
        inside
      })
      const cookie = yield* begin
      const before = yield* total(cookie)
      const deciding = store.holds("update")
      const answer = yield* Effect.forkChild(
        open([{ tag: "waiting", payload: { what: "add" } }, { tag: "change", payload: { what: "nothing" } }], cookie)
      )
      yield* deciding.reached
      yield* release
      yield* deciding.release
      const { text } = yield* Fiber.join(answer)
      assert.deepStrictEqual(outcomesIn(yield* text), [null, null])
      assert.strictEqual(yield* total(cookie), Number(before) + 3)
    }))
})

describe("a typed client", () => {
  it.effect("gets the elements of a stream, and then the error of the session", () =>
    Effect.gen(function*() {
      const { release, server } = yield* started({ serialization: framed.ndjson })
      const client = yield* rpcClient(Streaming, server, { serialization: framed.ndjson })
      const seen: Array<number> = []
      const error = yield* client.numbers({ before: "nothing", after: "add" }).pipe(
        Stream.runForEach((number) => {
          seen.push(number)
          return release
        }),
        Effect.flip
      )
      assert.deepStrictEqual(seen, [1])
      assert.strictEqual(error._tag, "SessionClosedError")
    }))
})
