/**
 * What the Effect server keeps in a session, and how to convert what the Express server kept.
 */
import { Effect, Schema } from "effect"
import { Session, SessionKey } from "effect-session"

const Products = Schema.Record(Schema.String, Schema.Int)

export const Cart = SessionKey.make("cart", Products).pipe(SessionKey.withDefault(() => ({})))

export const Visits = SessionKey.make("visits", Schema.Number).pipe(SessionKey.withDefault(() => 0))

/** In Express it came back as a string; here a date stays a date. */
export const LastOrder = SessionKey.make("last_order", Schema.DateTimeUtc)

/** `req.session` as express-session stores it. Fields that are not named here are left behind, `cookie` among them. */
const ExpressSession = Schema.fromJsonString(
  Schema.Struct({
    userId: Schema.optionalKey(Schema.NonEmptyString),
    cart: Schema.optionalKey(Products),
    visits: Schema.optionalKey(Schema.Finite),
    lastOrder: Schema.optionalKey(Schema.DateTimeUtcFromString)
  })
)

/**
 * Puts the data of an old session into a new one. The user has not been authenticated by this, so `Session.login` gets no methods:
 * what asks for a recent login asks for the password.
 */
export const takeOver = Effect.fnUntraced(function*(json: string) {
  const { cart, lastOrder, userId, visits } = yield* Schema.decodeEffect(ExpressSession)(json)
  if (userId !== undefined) yield* Session.login(userId)
  if (cart !== undefined) yield* Session.put(Cart, cart)
  if (visits !== undefined) yield* Session.put(Visits, visits)
  if (lastOrder !== undefined) yield* Session.put(LastOrder, lastOrder)
})
