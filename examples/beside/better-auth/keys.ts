/**
 * What is in a session. The user is not: that is better-auth's job.
 */
import { Schema } from "effect"
import { SessionKey } from "effect-session"

/** How many of each product. A visitor fills it before the login, and finds it again after the logout. */
export const Basket = SessionKey.make("basket", Schema.Record(Schema.String, Schema.Int), { scope: "visitor" }).pipe(
  SessionKey.withDefault(() => ({}))
)

/** A letter that the user is writing: nobody else may see it, so it ends with the login. */
export const Draft = SessionKey.make("draft", Schema.String)
