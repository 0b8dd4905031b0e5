/**
 * Procedures with sessions over HTTP, called by a typed client that keeps its cookie.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Option, Ref } from "effect"
import { SessionError } from "effect-session"
import type { Cookies } from "effect/http"
import { storesWithRedis } from "../support/drivers.ts"
import { breakdown, watchStore } from "../support/failingStore.ts"
import { observe } from "../support/observe.ts"
import {
  bodyOf,
  Counting,
  Forbidden,
  framed,
  handlers,
  outcomesIn,
  rpcClient,
  serializations,
  serveRpc,
  unframed
} from "../support/rpc.ts"
import { cookieNames, cookieOf } from "../support/server.ts"

const serve = (options?: Parameters<typeof serveRpc>[2]) => serveRpc(Counting, handlers, options)

const stores = storesWithRedis()

for (const [driver, makeStore] of Object.entries(stores)) {
  describe.each(Object.entries(serializations))(`with the ${driver}, as %s`, (_, serialization) => {
    const started = Effect.gen(function*() {
      const server = yield* serve({ serialization, store: makeStore() })
      const cookies = yield* Ref.make<ReadonlyArray<Cookies.Cookie>>([])
      return { cookies, server, client: yield* rpcClient(Counting, server, { serialization, cookies }) }
    })

    it.effect("a client that keeps its cookie keeps its session", () =>
      Effect.gen(function*() {
        const { client, server } = yield* started
        assert.strictEqual(yield* client.add({ amount: 2 }), 2)
        assert.strictEqual(yield* client.add({ amount: 3 }), 5)
        const other = yield* rpcClient(Counting, server, { serialization })
        assert.strictEqual(yield* other.total(), 0)
        assert.strictEqual(yield* client.total(), 5)
      }))

    it.effect("logs in and out", () =>
      Effect.gen(function*() {
        const { client, cookies } = yield* started
        yield* client.add({ amount: 1 })
        const [before] = yield* Ref.get(cookies)
        yield* client.login({ name: "Ada" })
        const [after] = yield* Ref.get(cookies)
        assert.notStrictEqual(after!.value, before!.value)
        assert.deepStrictEqual(yield* client.name(), Option.some("Ada"))
        yield* client.logout()
        assert.deepStrictEqual(yield* client.name(), Option.none())
        assert.strictEqual(yield* client.total(), 0)
      }))

    it.effect("commits a typed error of the application, and rolls back an error of the session and a defect", () =>
      Effect.gen(function*() {
        const { client } = yield* started
        yield* client.login({ name: "Ada" })
        assert.deepStrictEqual(yield* Effect.flip(client.enter()), new Forbidden({ attempts: 1 }))
        assert.strictEqual(yield* client.total(), 1)
        const error = yield* Effect.flip(client.broken())
        assert.instanceOf(error, SessionError.SessionValueError)
        assert.strictEqual(yield* client.total(), 1)
        const crashed = yield* Effect.exit(client.crash())
        assert.isTrue(Exit.isFailure(crashed) && Cause.hasDies(crashed.cause))
        assert.strictEqual(yield* client.total(), 1)
      }))

    it.effect("calls that go out in one request share its session, and each counts for itself", () =>
      Effect.gen(function*() {
        const { cookies, server, client: alone } = yield* started
        yield* alone.add({ amount: 1 })
        const client = yield* rpcClient(Counting, server, { serialization, cookies, maxSize: 3 })
        const [, entered] = yield* Effect.all([
          client.add({ amount: 10 }),
          Effect.flip(client.enter()),
          client.add({ amount: 100 })
        ], { concurrency: "unbounded" })
        assert.instanceOf(entered, Forbidden)
        assert.strictEqual(yield* alone.total(), 112)
      }))
  })
}

describe("a call", () => {
  it.effect("that does not use its session costs no store call and no cookie", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serve({ store: store.layer })
      const cookie = cookieOf(
        yield* server.post("/rpc", { body: bodyOf("json", [{ tag: "add", payload: { amount: 1 } }]) })
      )
      store.newCalls()
      const answer = yield* server.post("/rpc", { cookie, body: bodyOf("json", [{ tag: "untouched" }]) })
      assert.deepStrictEqual(outcomesIn(answer.body), ["untouched"])
      assert.deepStrictEqual(answer.setCookies, [])
      assert.isUndefined(answer.headers["vary"])
      assert.deepStrictEqual(store.newCalls(), [])
    }))

  it.effect("answers with the session's cookie and what caches must know", () =>
    Effect.gen(function*() {
      const server = yield* serve()
      const answer = yield* server.post("/rpc", { body: bodyOf("json", [{ tag: "add", payload: { amount: 1 } }]) })
      assert.deepStrictEqual(cookieNames(answer), ["session"])
      assert.strictEqual(answer.headers["cache-control"], "no-store")
      assert.strictEqual(answer.headers["vary"], "Cookie")
    }))
})

describe.each(Object.entries({ json: unframed.json, ndjson: framed.ndjson }))(
  "a store that fails, as %s",
  (name, serialization) => {
    const kind = name as "json" | "ndjson"

    const started = Effect.gen(function*() {
      const store = watchStore()
      const operator = observe()
      const server = yield* Effect.provide(serve({ serialization, store: store.layer }), operator.layer)
      const post = (messages: Parameters<typeof bodyOf>[1], cookie?: string) =>
        server.post("/rpc", { cookie, body: bodyOf(kind, messages) })
      const cookie = cookieOf(yield* post([{ tag: "add", payload: { amount: 1 } }]))
      return { cookie, operator, post, server, store }
    })

    it.effect("at the commit is the typed error of the call, without a cookie, and in the log", () =>
      Effect.gen(function*() {
        const { operator, post, store } = yield* started
        store.fails("create")
        const answer = yield* post([{ tag: "add", payload: { amount: 1 } }])
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual(outcomesIn(answer.body), ["SessionStoreError"])
        assert.deepStrictEqual(answer.setCookies, [])
        assert.include(operator.text(), breakdown)
        assert.deepStrictEqual(operator.logs.filter(({ level }) => level === "Error").map(({ message }) => message), [
          "Session commit failed"
        ])
      }))

    it.effect("while a session is loaded is the typed error of the call", () =>
      Effect.gen(function*() {
        const { cookie, post, store } = yield* started
        store.fails("load")
        assert.deepStrictEqual(outcomesIn((yield* post([{ tag: "total" }], cookie)).body), ["SessionStoreError"])
        store.works()
        assert.deepStrictEqual(outcomesIn((yield* post([{ tag: "total" }], cookie)).body), [1])
      }))

    it.effect("tells the client nothing of the store, of keys, or of the server", () =>
      Effect.gen(function*() {
        const { cookie, post, store } = yield* started
        yield* post([{ tag: "login", payload: { name: "Ada" } }], cookie)
        const { cookie: named } = { cookie: cookieOf(yield* post([{ tag: "login", payload: { name: "Ada" } }])) }
        const invalid = yield* post([{ tag: "broken" }], named)
        store.fails("update")
        const failed = yield* post([{ tag: "add", payload: { amount: 1 } }], named)
        assert.deepStrictEqual(outcomesIn(invalid.body), ["SessionValueError"])
        assert.deepStrictEqual(outcomesIn(failed.body), ["SessionStoreError"])
        for (const text of [breakdown, "custom", "memory", "name", "update", "Expected"]) {
          assert.notInclude(invalid.body + failed.body, text)
        }
      }))

    it.effect("fails only the calls that have something to write", () =>
      Effect.gen(function*() {
        const { cookie, post, store } = yield* started
        store.fails("update")
        const answer = yield* post([{ tag: "total" }, { tag: "add", payload: { amount: 5 } }], cookie)
        assert.deepStrictEqual(outcomesIn(answer.body), [1, "SessionStoreError"])
        store.works()
        assert.deepStrictEqual(outcomesIn((yield* post([{ tag: "total" }], cookie)).body), [1])
      }))
  }
)
