/**
 * Who is logged in, and on which devices. As in cart.ts, these are Effects that need a session, and here also a store that
 * knows whose sessions it has (SessionOwners).
 */
import { Context, DateTime, Effect, Option, Schema } from "effect"
import { Session, SessionGuard, Sessions } from "effect-session"
import { Customer, Device } from "./keys.ts"

// -----------------------------------------------------------------------------
// logging in
// -----------------------------------------------------------------------------

/**
 * What every login does, and entering the password again does too. The name stands for the id that a real shop has for its
 * customers.
 */
export const logIn = Effect.fnUntraced(function*(name: string, device: string, lifetime?: Session.Lifetime) {
  // A new id comes with it, so an old one that somebody knows (session fixation) is worth nothing. What another customer has left
  // is gone from here on.
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

/** Who is logged in. A handler that needs it compiles only behind a guard, so none can forget to look. */
export class CurrentCustomer extends Context.Service<CurrentCustomer, string>()("CurrentCustomer") {}

/**
 * The guard of what nobody may do at a browser that somebody has left open: the password has to have been entered a short
 * time ago.
 */
export const confirmedCustomer = Effect.tap(SessionGuard.required(Session.owner), () => enteredLately)

// -----------------------------------------------------------------------------
// devices
// -----------------------------------------------------------------------------

const attributes = { customer: Customer, device: Device }

export type Devices = Sessions.Page<typeof attributes>

/** Where a customer is logged in: a page of the list, which may have many. */
export const devices = (customer: string, after = "") => Sessions.list(customer, { attributes, after })
