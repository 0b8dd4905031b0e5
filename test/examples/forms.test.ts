/**
 * The shop's forms, tested as those of any application are: in process, with customers who are logged in already.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { MemoryLayer, Session, SessionConfig } from "effect-session"
import * as SessionTest from "effect-session/SessionTest"
import { HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import * as Account from "../../examples/shop/account.ts"
import { Cart } from "../../examples/shop/keys.ts"
import { CartChanges } from "../../examples/shop/live.ts"
import { Routes } from "../../examples/shop/routes.ts"
import { secret } from "../support/config.ts"

const inShop = Effect.provide(
  HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(NodeHttpServer.layerHttpServices),
    Layer.provide(CartChanges.layer),
    Layer.provideMerge(SessionTest.layer()),
    Layer.provideMerge(SessionTest.layerFaults(MemoryLayer.layer())),
    Layer.provideMerge(SessionConfig.layer({ secret, maximumAge: "30 days", maximumAbsoluteAge: "90 days" }))
  )
)

const customer = Effect.gen(function*() {
  const ada = yield* SessionTest.client()
  yield* ada.modifySession(Account.logIn("Ada", "Test"))
  yield* ada.modifySession(Session.put(Cart, { assam: 2 }))
  return ada
})

describe("an order", () => {
  it.effect("empties the cart, and the next page says thank you", () =>
    Effect.gen(function*() {
      const ada = yield* customer
      const ordered = yield* ada.submit("/cart/order")
      assert.deepStrictEqual((yield* ada.session).get(Cart), {})
      assert.include(yield* (yield* ada.follow(ordered)).text, "Thank you, Ada.")
    }).pipe(inShop))

  it.effect("of somebody who is not logged in leads to the login, and the cart stays", () =>
    Effect.gen(function*() {
      const stranger = yield* SessionTest.client()
      yield* stranger.modifySession(Session.put(Cart, { assam: 2 }))
      const refused = yield* stranger.submit("/cart/order")
      assert.strictEqual(refused.headers["location"], "/login")
      const session = yield* stranger.session
      assert.deepStrictEqual(session.get(Cart), { assam: 2 })
      assert.deepStrictEqual(session.flashMessages.get("message"), Option.some("Please log in to order."))
    }).pipe(inShop))

  it.effect("that can't be saved is none, and can be sent again", () =>
    Effect.gen(function*() {
      const ada = yield* customer
      const store = yield* SessionTest.StoreFaults
      yield* store.inject("update", Effect.fail("ECONNRESET"), { times: 1 })
      assert.strictEqual((yield* ada.submit("/cart/order")).status, 503)
      assert.deepStrictEqual((yield* ada.session).get(Cart), { assam: 2 })
      assert.strictEqual((yield* ada.submit("/cart/order")).status, 303)
    }).pipe(inShop))

  it.effect("that a page of another site sends is refused", () =>
    Effect.gen(function*() {
      const ada = yield* customer
      assert.strictEqual((yield* ada.from("https://evil.example").post("/cart/order")).status, 403)
      assert.deepStrictEqual((yield* ada.session).get(Cart), { assam: 2 })
    }).pipe(inShop))
})

describe("the password", () => {
  it.effect("leaves a customer logged in who clicks twice when it is entered", () =>
    Effect.gen(function*() {
      const ada = yield* customer
      yield* TestClock.adjust("11 minutes")
      const enter = ada.submit("/password", { name: "Ada", password: "correct horse" })
      for (const click of yield* Effect.all([enter, enter], { concurrency: "unbounded" })) {
        assert.strictEqual(click.headers["location"], "/security")
        assert.strictEqual((yield* ada.get("/security")).status, 200)
      }
    }).pipe(inShop))
})
