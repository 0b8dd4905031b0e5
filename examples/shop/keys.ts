/**
 * What the shop keeps in a session.
 *
 * A key has a name and the schema of its values, so what comes out of a session has the type of what went in. A key is
 * also an Effect: `yield* Visits` reads it.
 */
import { Schema } from "effect"
import { SessionKey } from "effect-session"

/** How often the customer has opened the home page. With its default, reading it returns a number. */
export const Visits = SessionKey.make("visits", Schema.Int).pipe(SessionKey.withDefault(() => 0))

/** Who is logged in. Without a default, reading it returns an Option: `None` if nobody is. */
export const Customer = SessionKey.make(
  "customer",
  Schema.Struct({
    name: Schema.String,
    // A date comes out of the session as a date.
    loggedInAt: Schema.DateTimeUtc
  })
)

/** The name of the customer's browser and device in the list of devices. */
export const Device = SessionKey.make("device", Schema.String)

/** How many of each product, by its id, are in the cart. It stays when the customer logs in or out, and another customer never gets it. */
export const Cart = SessionKey.make("cart", Schema.Record(Schema.String, Schema.Int), { scope: "visitor" }).pipe(
  // If another release of the shop has stored something else under this name, the cart is empty.
  SessionKey.withDefault(() => ({}), { onInvalid: "default" })
)
