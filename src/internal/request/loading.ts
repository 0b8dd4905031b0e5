/**
 * Loads the session of a request once, at its first use, however many fibers use it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { SessionStoreError } from "../../SessionError.ts"
import type { Loaded, SessionStore } from "../../SessionStore.ts"
import * as Identifier from "../token/identifier.ts"
import { Token } from "../token/secret.ts"
import type * as Events from "./events.ts"
import * as Observability from "./observability.ts"
import * as Outcome from "./outcomes.ts"
import type { RequestSession } from "./requestSession.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

type Load = Effect.Effect<void, SessionStoreError>

/** Asks the store for the session of the client's token, if there is one. */
export const load = (session: RequestSession, fiber: AnyFiber): Load => {
  const { client, environment: { store } } = session
  const presented = store === undefined ? none : client.present()
  if (store !== undefined && presented._tag === "Token") {
    return once(session, store, new Token(presented.token), fiber)
  }
  session.beginAnew(presented._tag !== "None")
  session.endLoading(Exit.void)
  return presented._tag === "Duplicate" ? rejected(session, fiber, { reason: "duplicate" }) : Exit.void
}

const none = { _tag: "None" } as const

/** Asks the store, or waits for the fiber that already does. After a failure, the request has no session. */
const once = (session: RequestSession, store: SessionStore, token: Token, fiber: AnyFiber): Load => {
  let start: number | undefined
  const first = Effect.suspend(() => {
    // Another fiber was faster.
    if (!session.beginLoading()) return session.readyIn(fiber)
    start = performance.now()
    Observability.count(Observability.loads, fiber)
    const loaded = Effect.flatMap(store.load(token), (loaded) => answered(session, loaded, token, fiber))
    return Observability.spanned("Session.load", session.environment.storeTimes.load, fiber, loaded)
  })
  // Covers all steps: if the fiber is interrupted after the first one, the others must not wait forever.
  return Effect.onExitPrimitive(first, (exit) => {
    if (start === undefined) return undefined
    Observability.took(session.environment.storeTimes.load, start, fiber, exit)
    session.endLoading(exit)
    return undefined
  })
}

const answered = (
  session: RequestSession,
  loaded: Loaded,
  token: Token,
  fiber: AnyFiber
): Effect.Effect<void> => {
  switch (loaded._tag) {
    case "Found":
      session.begin(found(session, loaded, token))
      return Observability.annotateHandle(fiber, loaded.id)
    case "NotFound":
      session.beginAnew(true)
      return rejected(session, fiber, loaded, token)
    case "Superseded":
      session.begin(Outcome.superseded())
      return rejected(session, fiber, { reason: "superseded", id: loaded.id }, token)
  }
}

const found = (
  { client: { messages }, isReadonly }: RequestSession,
  loaded: Extract<Loaded, { _tag: "Found" }>,
  token: Token
) => {
  const state = Outcome.found(loaded, token, isReadonly || messages !== "leave")
  return messages === "wait" ? Outcome.unseen(state) : state
}

const rejected = (
  { environment: { listeners } }: RequestSession,
  fiber: AnyFiber,
  what: Events.Refused,
  token?: Token
): Effect.Effect<void> => {
  const { id, reason } = what
  Observability.count(Observability.rejections[reason], fiber)
  if (listeners.areThere) listeners.rejected(what, fiber)
  const handle = id?.handle ?? (token && Identifier.handle(token.text))
  const { handle: handleAttribute, rejection } = Observability.Attribute
  const annotations = { [rejection]: reason, ...(handle && { [handleAttribute]: handle }) }
  return Effect.andThen(
    Observability.annotateRejection(fiber, reason),
    Observability.event(reason === "tampered" ? "Warn" : "Debug", "Session token rejected", annotations)
  )
}
