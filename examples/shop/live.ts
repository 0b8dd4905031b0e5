/**
 * The number in the cart's badge, in all tabs of a customer: a WebSocket that says what it is by now (see badge.js).
 */
import { Context, Effect, Layer, PubSub, Stream } from "effect"
import { Session, SessionSocket } from "effect-session"
import * as Cart from "./cart.ts"

/**
 * The sessions whose cart has just changed, by their handles. It is told in this process alone: a shop on several servers
 * would have its database or its Redis tell the others.
 */
export class CartChanges extends Context.Service<CartChanges, PubSub.PubSub<string>>()("CartChanges") {
  // Who has missed some only wants to know the latest.
  static readonly layer = Layer.effect(CartChanges, PubSub.sliding<string>(1_024))
}

/** Does something with the cart, and tells the other tabs when it is saved. */
export const telling = <A, E, R>(change: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const done = yield* change
    yield* Session.commit
    yield* PubSub.publish(yield* CartChanges, yield* Session.handle)
    return done
  })

/** Says how much is in the cart, now and each time that it changes. When the session ends, the socket is closed. */
export const badge = Effect.flatMap(CartChanges, (changes) =>
  SessionSocket.serve({
    onOpen: ({ run, send }) =>
      Effect.gen(function*() {
        const own = yield* Session.handle
        // What changes from here on is not missed.
        const subscription = yield* PubSub.subscribe(changes)
        // The session of the socket is as it was when that was opened; "run" looks at it as it is now.
        const say = Effect.flatMap(run(Cart.contents), ({ count }) => send(String(count)))
        yield* say
        yield* Stream.fromSubscription(subscription).pipe(
          Stream.filter((handle) => handle === own),
          Stream.runForEach(() => say)
        )
      })
  }))
