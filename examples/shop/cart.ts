/**
 * What can be done with a cart. These Effects need a session. They don't care whether it came with an HTTP request, where it is
 * stored, or whether it is a test's (see test/examples/cart.test.ts).
 */
import { Effect, Option, Schema } from "effect"
import { Session, type SessionKey } from "effect-session"
import { NotLoggedIn } from "./account.ts"
import { Cart, Customer } from "./keys.ts"
import { type Product, products } from "./products.ts"

// -----------------------------------------------------------------------------
// what is in it
// -----------------------------------------------------------------------------

export interface Contents {
  readonly lines: ReadonlyArray<{ readonly product: Product; readonly quantity: number }>
  readonly count: number
  /** In cents. */
  readonly total: number
}

export const contentsOf = (cart: SessionKey.Type<typeof Cart>): Contents => {
  const lines = products.flatMap((product) => {
    const quantity = cart[product.id] ?? 0
    return quantity > 0 ? [{ product, quantity }] : []
  })
  return {
    lines,
    count: lines.reduce((sum, { quantity }) => sum + quantity, 0),
    total: lines.reduce((sum, { product, quantity }) => sum + product.price * quantity, 0)
  }
}

export const contents = Effect.map(Cart, contentsOf)

// -----------------------------------------------------------------------------
// changing it
// -----------------------------------------------------------------------------

export const add = ({ id }: Product) => Session.modify(Cart, (cart) => ({ ...cart, [id]: (cart[id] ?? 0) + 1 }))

export const setQuantity = ({ id }: Product, quantity: number) =>
  Session.modify(Cart, ({ [id]: _, ...others }) => quantity > 0 ? { ...others, [id]: quantity } : others)

export const remove = (product: Product) => setQuantity(product, 0)

// -----------------------------------------------------------------------------
// buying it
// -----------------------------------------------------------------------------

export class CartIsEmpty extends Schema.TaggedError<CartIsEmpty>()("CartIsEmpty", {}) {}

/** Takes the contents of the cart for an order. Once the session is committed, no other order can have them. */
export const order = Effect.gen(function*() {
  const customer = yield* Customer
  if (Option.isNone(customer)) return yield* new NotLoggedIn()
  const { count, total } = yield* contents
  if (count === 0) return yield* new CartIsEmpty()
  yield* Session.pull(Cart)
  return { customer: customer.value.name, total }
})
