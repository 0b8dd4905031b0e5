/**
 * A store that fails when the test says so: what the application makes of it, and that the test itself is spared.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Option, Stream } from "effect"
import {
  CookieLayer,
  MemoryLayer,
  Session,
  SessionConfig,
  SessionError,
  SessionOwners,
  Sessions,
  SessionStore
} from "effect-session"
import * as SessionTest from "effect-session/SessionTest"
import { HttpBody } from "effect/http"
import { TestClock } from "effect/testing"
import { secret } from "../support/config.ts"
import { App, Cart, UserId } from "./application.ts"

const appOn = (config: SessionConfig.Options = {}) =>
  Effect.provide(
    App.pipe(
      Layer.provideMerge(SessionTest.layer()),
      Layer.provideMerge(SessionTest.layerFaults(MemoryLayer.layer())),
      Layer.provideMerge(SessionConfig.layer({ secret, ...config }))
    )
  )

const signedIn = Effect.gen(function*() {
  const client = yield* SessionTest.client()
  yield* client.modifySession(Effect.andThen(Session.put(UserId, 7), Session.login("ada")))
  return { client, store: yield* SessionTest.StoreFaults }
})

const down = Effect.fail(new Error("ECONNREFUSED redis://operator:hunter2@10.0.0.5:6379"))

const assertDown = Effect.fnUntraced(
  function*<A, R>(operation: SessionTest.Operation, effect: Effect.Effect<A, unknown, R>) {
    const error = yield* Effect.flip(effect)
    assert.instanceOf(error, SessionError.SessionStoreError)
    assert.deepInclude(error, { driver: "memory", operation })
    assert.match(String(error.cause), /ECONNREFUSED/)
  }
)

const product = HttpBody.jsonUnsafe({ product: "tea" })

/** A request that needs the operation. */
const requests = {
  load: (client: SessionTest.Client) => client.get("/"),
  create: () => Effect.flatMap(SessionTest.client(), (stranger) => stranger.submit("/login", { name: "Ada" })),
  update: (client: SessionTest.Client) => client.post("/cart", { body: product }),
  regenerate: (client: SessionTest.Client) => client.submit("/login", { name: "Ada" }),
  destroy: (client: SessionTest.Client) => client.submit("/logout")
}

const sessionOperations = Object.entries(requests) as ReadonlyArray<[SessionTest.Operation, typeof requests.load]>

describe.each(sessionOperations)("a store that fails to %s", (operation, send) => {
  it.effect("is a 503, once or from then on, and works again when the test says so", () =>
    Effect.gen(function*() {
      const { client, store } = yield* signedIn
      yield* store.inject(operation, down, { times: 1 })
      assert.strictEqual((yield* send(client)).status, 503)
      assert.strictEqual((yield* client.get("/")).status, 200)
      yield* store.inject(operation, down)
      assert.strictEqual((yield* send(client)).status, 503)
      assert.strictEqual((yield* send(client)).status, 503)
      assert.deepStrictEqual((yield* client.session).all(), { user_id: 7 }, "nothing has changed")
      yield* store.clear
      assert.isBelow((yield* send(client)).status, 400)
    }).pipe(appOn()))

  it.effect("by never answering is a 503 at the time limit", () =>
    Effect.gen(function*() {
      const { client, store } = yield* signedIn
      const silence = yield* store.inject(operation, Effect.never)
      const answer = yield* Effect.forkChild(send(client))
      yield* silence.reached
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(answer)).status, 503)
      yield* silence.remove
      assert.isBelow((yield* send(client)).status, 400)
    }).pipe(appOn({ timeLimit: "3 seconds" })))

  it.effect("by being slow is answered in the end", () =>
    Effect.gen(function*() {
      const { client, store } = yield* signedIn
      const slowness = yield* store.inject(operation, Effect.sleep("2 seconds"))
      const answer = yield* Effect.forkChild(send(client))
      yield* slowness.reached
      yield* TestClock.adjust("2 seconds")
      assert.isBelow((yield* Fiber.join(answer)).status, 400)
    }).pipe(appOn({ timeLimit: "3 seconds" })))
})

describe("a store that fails", () => {
  it.effect("to extend a session is noticed by nobody who only reads", () =>
    Effect.gen(function*() {
      const { client, store } = yield* signedIn
      yield* TestClock.adjust("10 minutes")
      const before = yield* client.session
      yield* store.inject("touch", down)
      assert.strictEqual((yield* client.get("/")).status, 200)
      assert.deepStrictEqual((yield* client.session).expiresAt, before.expiresAt)
      yield* store.clear
      yield* client.get("/")
      assert.notDeepEqual((yield* client.session).expiresAt, before.expiresAt)
    }).pipe(appOn()))

  it.effect("after it has done its work leaves the change behind, and the client without an answer", () =>
    Effect.gen(function*() {
      const { client, store } = yield* signedIn
      yield* store.inject("update", down, { after: true })
      assert.strictEqual((yield* client.post("/cart", { body: product })).status, 503)
      assert.deepStrictEqual((yield* client.session).get(Cart), ["tea"])
    }).pipe(appOn()))

  it.effect("once is tried again, where the settings say so", () =>
    Effect.gen(function*() {
      const { client, store } = yield* signedIn
      yield* store.inject("load", down, { times: 2 })
      assert.strictEqual((yield* client.get("/")).status, 200)
      assert.deepStrictEqual(yield* store.takeCalls, ["load", "load", "load"])
    }).pipe(appOn({ retries: 2 })))

  it.effect("in all that it does is down: with the typed error, and the test's own cause in it", () =>
    Effect.gen(function*() {
      const { client, store } = yield* signedIn
      const handle = (yield* client.session).handle.pipe(Option.getOrThrow)
      yield* store.inject(SessionTest.operations, down)
      yield* assertDown("index", Sessions.create(Session.login("bob")))
      yield* assertDown("list", Sessions.list("ada"))
      yield* assertDown("list", Sessions.open({ owner: "ada", handle }))
      yield* assertDown("end", Sessions.destroyAll("ada"))
      yield* assertDown("end", Sessions.destroyHandle("ada", handle))
      yield* store.clear
      assert.strictEqual(yield* Sessions.destroyAll("ada"), 1)
    }).pipe(appOn()))

  it.effect("is not what the test itself asks: its looks and changes come through, and are not counted", () =>
    Effect.gen(function*() {
      const { client, store } = yield* signedIn
      yield* store.inject(SessionTest.operations, down)
      yield* store.takeCalls
      yield* client.modifySession(Session.put(Cart, ["tea"]))
      assert.deepStrictEqual((yield* client.session).get(Cart), ["tea"])
      assert.deepStrictEqual(yield* store.takeCalls, [])
    }).pipe(appOn()))
})

describe("a store that a test disturbs", () => {
  it.effect("tells what the application asks it, in order", () =>
    Effect.gen(function*() {
      const { client, store } = yield* signedIn
      yield* client.get("/about")
      assert.deepStrictEqual(yield* store.takeCalls, [])
      yield* client.get("/")
      yield* client.post("/cart", { body: product })
      yield* client.submit("/logout")
      assert.deepStrictEqual(yield* store.takeCalls, ["load", "load", "update", "load", "destroy", "index"])
      assert.deepStrictEqual(yield* store.takeCalls, [])
    }).pipe(appOn()))

  it.effect("lets two requests meet where the test wants them to", () =>
    Effect.gen(function*() {
      const { client, store } = yield* signedIn
      const other = yield* Deferred.make<void>()
      const held = yield* store.inject("update", Deferred.await(other), { times: 1 })
      const slow = yield* Effect.forkChild(client.post("/cart", { body: product }))
      yield* held.reached
      yield* client.post("/cart", { body: HttpBody.jsonUnsafe({ product: "cup" }) })
      yield* Deferred.succeed(other, undefined)
      yield* Fiber.join(slow)
      assert.deepStrictEqual((yield* client.session).get(Cart), ["cup", "tea"])
    }).pipe(appOn()))

  it.effect("provides what the store provides: owners and events, and no index where there is none", () =>
    Effect.gen(function*() {
      const config = SessionConfig.layer({ secret })
      const built = yield* Layer.build(Layer.provide(SessionTest.layerFaults(CookieLayer.layer()), config))
      assert.isTrue(Option.isSome(Context.getOption(built, SessionStore.SessionStore)))
      assert.isTrue(Option.isNone(Context.getOption(built as Context.Context<never>, SessionOwners.SessionOwners)))
      const { client } = yield* signedIn
      const first = yield* Effect.forkChild(Stream.runHead(Sessions.events), { startImmediately: true })
      yield* client.submit("/logout")
      assert.strictEqual(Option.getOrThrow(yield* Fiber.join(first))._tag, "Destroyed")
    }).pipe(appOn()))
})
