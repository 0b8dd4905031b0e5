/**
 * What a client may send to procedures: it gets a session of its own, an empty one, or an answer that says no. Never a crash, and
 * never somebody else's session.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { otherSecret } from "../support/config.ts"
import { drivers } from "../support/drivers.ts"
import { bodyOf, Counting, framed, handlers, type Message, outcomesIn, serveRpc, unframed } from "../support/rpc.ts"
import { cookieNames, cookieOf } from "../support/server.ts"

const kinds = { json: unframed.json, ndjson: framed.ndjson }

const add: Message = { tag: "add", payload: { amount: 1 } }
const total: Message = { tag: "total" }

for (const { driver, makeStore } of drivers) {
  describe.each(Object.keys(kinds) as ReadonlyArray<keyof typeof kinds>)(`with the ${driver}, as %s`, (kind) => {
    const started = Effect.gen(function*() {
      const server = yield* serveRpc(Counting, handlers, { serialization: kinds[kind], store: makeStore() })
      const post = (messages: ReadonlyArray<Message>, cookie?: string) =>
        server.post("/rpc", { cookie, body: bodyOf(kind, messages) })
      const outcomes = (messages: ReadonlyArray<Message>, cookie?: string) =>
        Effect.map(post(messages, cookie), ({ body }) => outcomesIn(body))
      const ada = cookieOf(yield* post([add, add, add]))
      return { ada, outcomes, post, server }
    })

    it.effect("a broken cookie is an empty session", () =>
      Effect.gen(function*() {
        const { ada, outcomes } = yield* started
        const broken = [
          ada.slice(0, -1),
          `${ada}A`,
          ada.replace("=", "=A"),
          "session=",
          "session=%00%ff",
          `session=${"A".repeat(10_000)}`,
          `${ada}; session=other`,
          "session=\uFFFF".replace("\uFFFF", "\u00FF")
        ]
        for (const cookie of broken) assert.deepStrictEqual(yield* outcomes([total], cookie), [0], cookie)
        assert.deepStrictEqual(yield* outcomes([total], ada), [3])
      }))

    it.effect("the cookie of another server is an empty session", () =>
      Effect.gen(function*() {
        const { outcomes } = yield* started
        const other = yield* serveRpc(Counting, handlers, {
          serialization: kinds[kind],
          store: makeStore(),
          config: { secret: otherSecret }
        })
        const cookie = cookieOf(yield* other.post("/rpc", { body: bodyOf(kind, [add]) }))
        assert.deepStrictEqual(yield* outcomes([total], cookie), [0])
      }))

    it.effect("a message that names another cookie in its headers does not get that session", () =>
      Effect.gen(function*() {
        const { ada, outcomes, post } = yield* started
        const claims: ReadonlyArray<Message["headers"]> = [
          [["cookie", ada]],
          [["Cookie", ada]],
          [["cookie", ""], ["cookie", ada]]
        ]
        for (const headers of claims) {
          assert.deepStrictEqual(yield* outcomes([{ ...total, headers: headers! }]), [0])
          const answer = yield* post([{ ...add, headers: headers! }])
          assert.deepStrictEqual(cookieNames(answer), ["session"])
          assert.deepStrictEqual(outcomesIn(answer.body), [1])
          assert.deepStrictEqual(yield* outcomes([{ ...total, headers: headers! }], cookieOf(answer)), [1])
        }
        assert.deepStrictEqual(yield* outcomes([total], ada), [3])
      }))

    it.effect("two requests at the same time each have their own session", () =>
      Effect.gen(function*() {
        const { ada, outcomes, post } = yield* started
        const bob = cookieOf(yield* post([add]))
        const sums = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, index) => index % 2 === 0 ? ada : bob),
          (cookie) => outcomes([total], cookie),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(sums.flat(), Array.from({ length: 20 }, (_, index) => index % 2 === 0 ? 3 : 1))
      }))

    const garbage: Readonly<Record<string, string | Buffer>> = {
      nothing: "",
      "no JSON": "{{{",
      "a number": "1",
      "a list of nonsense": "[1, null, \"text\", {}]",
      "a message without a tag": "{\"_tag\":\"Request\",\"id\":\"1\"}\n",
      "an unknown message": "{\"_tag\":\"Nonsense\",\"id\":\"1\"}\n",
      "an unknown procedure": bodyOf(kind, [{ tag: "__proto__" }]),
      "a payload that does not fit": bodyOf(kind, [{ tag: "add", payload: { amount: "many" } }]),
      bytes: Buffer.from([0, 255, 254, 10, 128, 13])
    }
    for (const [name, body] of Object.entries(garbage)) {
      it.effect(`${name} as the body changes nothing, and the server goes on`, () =>
        Effect.gen(function*() {
          const { ada, outcomes, server } = yield* started
          const answer = yield* server.post("/rpc", { cookie: ada, body })
          assert.deepStrictEqual(answer.setCookies, [])
          assert.deepStrictEqual(yield* outcomes([total], ada), [3])
        }))
    }

    it.effect("of two calls in one request, of which one does not fit, the other one counts", () =>
      Effect.gen(function*() {
        const { ada, outcomes, post } = yield* started
        const answer = yield* post([{ tag: "add", payload: { amount: "many" } }, add], ada)
        assert.deepStrictEqual(outcomesIn(answer.body), ["Die", 4])
        const now = cookieOf(answer) || ada
        assert.deepStrictEqual(yield* outcomes([total], now), [4])
      }))
  })
}
