/**
 * Procedures in a test without HTTP: what they do with the session that the caller has.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { Session, SessionError, SessionRpc } from "effect-session"
import { RpcTest } from "effect/rpc"
import { Count, Name } from "../support/routes.ts"
import { Counting, Forbidden, handlers } from "../support/rpc.ts"

const procedures = Layer.merge(handlers, SessionRpc.layerTest)

describe("RpcTest with Session.layerTest", () => {
  it.effect("gives the session to the procedures, and shows what they have made of it", () =>
    Effect.gen(function*() {
      const client = yield* RpcTest.makeClient(Counting)
      assert.strictEqual(yield* client.add({ amount: 5 }), 15)
      yield* client.login({ name: "Ada" })
      assert.deepStrictEqual(yield* client.name(), Option.some("Ada"))
      assert.strictEqual(yield* Session.get(Count), 15)
    }).pipe(Effect.provide([procedures, Session.layerTest({ count: 10 })])))

  it.effect("takes back what a call has done that did not succeed, as a server does", () =>
    Effect.gen(function*() {
      const client = yield* RpcTest.makeClient(Counting)
      assert.deepStrictEqual(yield* Effect.flip(client.enter()), new Forbidden({ attempts: 1 }))
      assert.strictEqual(yield* client.total(), 1)
      yield* Effect.exit(client.crash())
      yield* Session.put(Name, "Ada")
      assert.instanceOf(yield* Effect.flip(client.broken()), SessionError.SessionValueError)
      assert.strictEqual(yield* client.total(), 1)
    }).pipe(Effect.provide([procedures, Session.layerTest()])))

  it.effect("each caller has their own session", () =>
    Effect.gen(function*() {
      const client = yield* RpcTest.makeClient(Counting)
      const alone = Session.layerTest()
      assert.strictEqual(yield* Effect.provide(client.add({ amount: 1 }), Session.layerTest({ count: 1 })), 2)
      assert.strictEqual(yield* Effect.provide(client.add({ amount: 1 }), alone), 1)
    }).pipe(Effect.provide([procedures])))

  it.effect("says what is missing where there is no session", () =>
    Effect.gen(function*() {
      const client = yield* RpcTest.makeClient(Counting)
      const defect = yield* Effect.catchDefect(Effect.as(client.total(), undefined), Effect.succeed)
      assert.instanceOf(defect, Error)
      assert.include((defect as Error).message, "Provide SessionRpc.layer to the protocol of the server")
    }).pipe(Effect.provide([procedures])))
})
