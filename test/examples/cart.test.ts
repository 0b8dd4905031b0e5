/**
 * The cart of the example shop, tested as business logic is: without HTTP and without a store.
 */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect } from "effect"
import { Session } from "effect-session"
import * as Cart from "../../examples/shop/cart.ts"
import { Cart as CartKey, Customer, Visits } from "../../examples/shop/keys.ts"
import { type Product, products } from "../../examples/shop/products.ts"

const [assam, earlGrey] = products as [Product, Product]

const customer = { name: "Ada", loggedInAt: "2026-01-02T03:04:05.000Z" }

describe("the cart", () => {
  it.effect("is empty in a new session", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Cart.contents, { lines: [], count: 0, total: 0 })
    }).pipe(Effect.provide(Session.layerTest())))

  it.effect("adds up what was put into it", () =>
    Effect.gen(function*() {
      yield* Cart.add(assam)
      yield* Cart.add(earlGrey)
      yield* Cart.add(assam)
      assert.deepStrictEqual(yield* Cart.contents, {
        lines: [{ product: assam, quantity: 2 }, { product: earlGrey, quantity: 1 }],
        count: 3,
        total: 2 * 850 + 920
      })
    }).pipe(Effect.provide(Session.layerTest())))

  it.effect("has as many of a product as was said, and none of one that was removed", () =>
    Effect.gen(function*() {
      yield* Cart.setQuantity(assam, 5)
      yield* Cart.remove(earlGrey)
      assert.deepStrictEqual((yield* Cart.contents).lines, [{ product: assam, quantity: 5 }])
    }).pipe(Effect.provide(Session.layerTest({ cart: { assam: 1, "earl-grey": 1 } }, [CartKey]))))

  it.effect("shows nothing that is not sold any more", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Cart.contents, { lines: [], count: 0, total: 0 })
    }).pipe(Effect.provide(Session.layerTest({ cart: { coffee: 1 } }, [CartKey]))))

  it.effect("is empty where an older release stored something else under its name", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Cart.contents).count, 0)
      yield* Cart.add(assam)
      assert.strictEqual((yield* Cart.contents).count, 1)
    }).pipe(Effect.provide(Session.layerTest({ cart: ["assam"] }, [CartKey]))))
})

describe("an order", () => {
  it.effect("comes to the total, and leaves the cart empty and the rest of the session alone", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Cart.order, { customer: "Ada", total: 1700 })
      assert.deepStrictEqual(yield* Session.all, { customer, visits: 3 })
      assert.strictEqual(yield* Visits, 3)
    }).pipe(Effect.provide(Session.layerTest({ customer, cart: { assam: 2 }, visits: 3 }, [CartKey]))))

  it.effect("is for customers who have logged in: without that, the cart stays as it is", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(Cart.order))._tag, "NotLoggedIn")
      assert.strictEqual((yield* Cart.contents).count, 2)
    }).pipe(Effect.provide(Session.layerTest({ cart: { assam: 2 } }, [CartKey]))))

  it.effect("needs something in the cart", () =>
    Effect.gen(function*() {
      yield* Session.put(Customer, { name: "Ada", loggedInAt: yield* DateTime.now })
      assert.strictEqual((yield* Effect.flip(Cart.order))._tag, "CartIsEmpty")
    }).pipe(Effect.provide(Session.layerTest())))
})
