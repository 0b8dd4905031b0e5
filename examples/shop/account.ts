/**
 * Who is logged in, and on which devices. As in cart.ts, these are Effects that need a session. These also need a store that
 * supports owners (SessionOwners).
 */
import { Context, DateTime, Effect, Option, Schema } from "effect"
import { Session, SessionGuard, Sessions } from "effect-session"
import { Customer, Device } from "./keys.ts"

// -----------------------------------------------------------------------------
// logging in
// -----------------------------------------------------------------------------

/**
 * Logs a customer in, and runs again when the password is confirmed. A real shop would use the customer's id instead of the
 * name.
 */
export const logIn = Effect.fnUntraced(function*(name: string, device: string, lifetime?: Session.Lifetime) {
  // The session gets a new id, so an attacker who knows the old one (session fixation) gains nothing. Values of another
  // customer are removed.
  yield* Session.login(name, { methods: ["password"], lifetime })
  const before = yield* Customer
  yield* Session.put(Customer, {
    name,
    loggedInAt: Option.isSome(before) ? before.value.loggedInAt : yield* DateTime.now
  })
  yield* Session.put(Device, device)
})

/** "Keep me logged in", or only until the browser is closed. */
export const keptLoggedIn = (isKept: boolean): Session.Lifetime =>
  isKept ? { age: "30 days", absoluteAge: "90 days", persistence: "persistent" } : { persistence: "browser" }

export class NotLoggedIn extends Schema.TaggedError<NotLoggedIn>()("NotLoggedIn", {}) {}

const enteredLately = Session.requireRecent("10 minutes", { methods: ["password"] })

/** Who is logged in. A handler that needs it compiles only behind a guard, so no handler can forget the check. */
export class CurrentCustomer extends Context.Service<CurrentCustomer, string>()("CurrentCustomer") {}

/**
 * Guards what must not be possible at a browser that someone has left open: the password must have been entered recently.
 */
export const confirmedCustomer = Effect.tap(SessionGuard.required(Session.owner), () => enteredLately)

// -----------------------------------------------------------------------------
// devices
// -----------------------------------------------------------------------------

const attributes = { customer: Customer, device: Device }

export type Devices = Sessions.Page<typeof attributes>

/** Where a customer is logged in: one page of the list, which may be long. */
export const devices = (customer: string, after = "") => Sessions.list(customer, { attributes, after })
