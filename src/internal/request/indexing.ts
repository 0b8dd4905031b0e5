/**
 * Adds a session to the index of its owner before it is written.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { SessionStoreError } from "../../SessionError.ts"
import type { SessionOwners } from "../../SessionOwners.ts"
import * as Meta from "../record/meta.ts"
import * as Owner from "../record/owner.ts"
import type { Fields } from "../record/record.ts"
import type { Prepare } from "./carryOut.ts"
import { idOf, type Intent } from "./intent.ts"
import type { RequestSession } from "./requestSession.ts"

/** The owner whose index needs an entry for the session, if any; `base` are the stored fields. */
export const ownerIn = (intent: Intent, base: Fields): Owner.Owner | undefined => {
  switch (intent.operation) {
    case "create":
    case "regenerate":
      return Owner.of(intent.record.fields)
    case "update":
      return intent.change.set.get(Meta.owner) === base.get(Meta.owner) ? undefined : Owner.of(intent.change.set)
    default:
      return undefined
  }
}

/** Adds the entry, unless this request has already added it. */
export const before =
  (session: RequestSession, owners: SessionOwners, { at, id, until }: Owner.Owner): Prepare => ({ key }) => {
    const { indexed } = session
    if (indexed?.key === key && indexed.at === at) {
      session.indexed = { ...indexed, isUsed: true }
      return Exit.void
    }
    // The limit applies to logins only.
    return Effect.asVoid(owners.add(id, { key, at, until })) as Effect.Effect<void, SessionStoreError>
  }

/** The request has ended: a login that was never written must not count against the limit. */
export const withdraw = ({ environment: { store }, indexed }: RequestSession): Effect.Effect<void> =>
  indexed === undefined || indexed.isUsed || store?.owners === undefined
    ? Exit.void
    : Effect.ignore(store.owners.remove(indexed.owner, indexed))

/**
 * Whether the request added its session to the index so long ago that it could have been ended in advance without a
 * trace.
 */
export const isTooLate = ({ indexed }: RequestSession, intent: Intent, clock: Clock.Clock): boolean =>
  intent.operation !== "update" && indexed?.key === idOf(intent).key &&
  clock.currentTimeMillisUnsafe() - indexed.at > Owner.patience

/** A session that has ended needs no entry. Leftover entries are removed when the owner's sessions are listed. */
export const forget = (owners: SessionOwners | undefined, intent: Intent): Effect.Effect<void> => {
  const { id: { key } } = intent
  const owner = owners && Owner.of(intent.operation === "regenerate" ? intent.before : intent.record.fields)
  return owner === undefined
    ? Exit.void
    : Effect.ignore(owners!.remove(owner.id, { key, at: owner.at, until: owner.until }))
}
