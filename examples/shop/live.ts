/**
 * Keeps the number in the cart's badge current in all tabs of a customer, over a WebSocket (see badge.js).
 */
import { Context, Effect, Layer, PubSub, Stream } from "effect"
import { Session, SessionSocket } from "effect-session"
import * as Cart from "./cart.ts"

/**
 * Publishes the handles of sessions whose cart has just changed, within this process. A shop on several servers would use its
 * database or Redis.
 */
export class CartChanges extends Context.Service<CartChanges, PubSub.PubSub<string>>()("CartChanges") {
  // A subscriber that has missed some only needs the latest.
  static readonly layer = Layer.effect(CartChanges, PubSub.sliding<string>(1_024))
}

/** Changes the cart, and notifies the other tabs once the change is saved. */
export const telling = <A, E, R>(change: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const done = yield* change
    yield* Session.commit
    yield* PubSub.publish(yield* CartChanges, yield* Session.handle)
    return done
  })

/** Sends the number of items in the cart, now and at each change. When the session ends, the socket is closed. */
export const badge = Effect.flatMap(CartChanges, (changes) =>
  SessionSocket.serve({
    onOpen: ({ run, send }) =>
      Effect.gen(function*() {
        const own = yield* Session.handle
        // Changes from here on are not missed.
        const subscription = yield* PubSub.subscribe(changes)
        // The socket's session is as it was when the socket was opened. "run" loads the current one.
        const say = Effect.flatMap(run(Cart.contents), ({ count }) => send(String(count)))
        yield* say
        yield* Stream.fromSubscription(subscription).pipe(
          Stream.filter((handle) => handle === own),
          Stream.runForEach(() => say)
        )
      })
  }))
