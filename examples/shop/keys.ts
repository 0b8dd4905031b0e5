/**
 * What the shop keeps in a session.
 *
 * A key has a name and the schema of its values, so what comes out of a session has the type of what went in. A key is
 * also an Effect: `yield* Visits` reads it.
 */
import { Schema } from "effect"
import { SessionKey } from "effect-session"

/** How often the customer has opened the home page. With its default, reading it gives a number. */
export const Visits = SessionKey.make("visits", Schema.Int).pipe(SessionKey.withDefault(() => 0))

/** Who has logged in. Without a default, reading it gives an Option: none is somebody who has not. */
export const Customer = SessionKey.make(
  "customer",
  Schema.Struct({
    name: Schema.String,
    // A date comes out of the session as a date.
    loggedInAt: Schema.DateTimeUtc
  })
)

/** What the customer's browser and device are called in the list of devices. */
export const Device = SessionKey.make("device", Schema.String)

/** How many of each product, by its id, are in the cart. It stays when the customer logs in or out, and another customer never gets it. */
export const Cart = SessionKey.make("cart", Schema.Record(Schema.String, Schema.Int), { scope: "visitor" }).pipe(
  // Should another release of the shop have stored something else under this name, the cart is empty.
  SessionKey.withDefault(() => ({}), { onInvalid: "default" })
)
