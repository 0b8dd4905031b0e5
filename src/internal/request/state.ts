/**
 * What a request knows of its session, as one value with one tag for each state that can occur. What can happen to it is
 * in operations.ts and outcomes.ts.
 */
import type { JsonObject } from "effect/Schema"
import * as Draft from "../record/draft.ts"
import type { Messages } from "../record/flash.ts"
import type { Persistence } from "../record/lifetime.ts"
import * as Meta from "../record/meta.ts"
import * as Owner from "../record/owner.ts"
import type { Fields, SessionRecord } from "../record/record.ts"
import type { Id, Token } from "../token/secret.ts"

export type { Id }

/** What the cookie does in the response. */
export type Outgoing =
  | { readonly _tag: "Send"; readonly token: Token } & CookieLife
  | { readonly _tag: "Clear" }

interface CookieLife {
  readonly expiresAt: number
  /** Whether the cookie stays when the browser is closed, if the session's own lifetime says so. */
  readonly persistence: Persistence | undefined
}

/**
 * Which changes are possible, in whatever state: all while the handler runs; then, while the body is streamed, those that
 * need no other cookie; then none.
 */
export type Phase = "open" | "late" | "closed"

// -----------------------------------------------------------------------------
// what there is
// -----------------------------------------------------------------------------

export type State = Unloaded | Loaded

export type Loaded = Anonymous | Creating | Existing | Regenerated | Replacing | Ended | Lost

/** Nobody has asked for the session yet. */
export interface Unloaded {
  readonly _tag: "Unloaded"
}

export interface Seen {
  /** The fields as they were last read or written. */
  readonly base: Fields
  /** What the request has done to them since. */
  readonly draft: Draft.Draft
  /** What the store is being asked for, while it is. */
  readonly sending: Sending | undefined
  /** What an earlier request flashed for this one. */
  readonly flashed: JsonObject
  /** What this request flashes for the next one, and the field that holds it. */
  readonly flashing: Flashing | undefined
  /** Whether the client sent a cookie, valid or not. */
  readonly isPresented: boolean
  /** What the cookie will do once the pending commit succeeds. */
  readonly due: Outgoing | undefined
  /** What the cookie does in the response, after all commits so far. */
  readonly outgoing: Outgoing | undefined
}

export interface Sending {
  /** The fields that the request will see when it is done. */
  readonly fields: Fields
  /** What the request has done to those meanwhile. It is in the draft as well, as the store may refuse. */
  readonly since: Draft.Draft
}

export interface Flashing {
  readonly field: string
  readonly messages: Messages
}

/** The store has no session, and may never get one. */
export interface Anonymous extends Seen {
  readonly _tag: "Anonymous"
  /** Drawn, if anybody has asked for it. */
  readonly id: Id | undefined
  /** Whether the request ended a session before. */
  readonly hasEnded: boolean
  /** Whether it is to be there whatever is in it, such as in the place of a session that was lost. */
  readonly isNeeded: boolean
}

/** The store is being asked to create the session. */
export interface Creating extends Seen {
  readonly _tag: "Creating"
  readonly id: Id
  readonly hasEnded: boolean
  readonly isNeeded: boolean
  readonly record: SessionRecord
}

export interface Stored extends Seen {
  readonly id: Id
  readonly token: Token | undefined
  /** The record as it was last read or written. */
  readonly record: SessionRecord
  readonly isTouched: boolean
  /** Whether the client needs a new token for the same id, as a secret is being retired. */
  readonly isRenewed: boolean
  /** Whether this request made the id. */
  readonly isFresh: boolean
}

/** The session is in the store. */
export interface Existing extends Stored {
  readonly _tag: "Existing"
}

/** The session is in the store and gets another id. */
export interface Regenerated extends Stored {
  readonly _tag: "Regenerated"
  readonly newId: Id
  /** The request has logged out: under the new id there is another session, with what does not end then. */
  readonly leaving: Leaving | undefined
}

export interface Leaving {
  /** Who has logged out, as a hash; nobody if nobody was logged in, or if somebody has logged in since. */
  readonly by: string | undefined
}

/**
 * Another request ended the session or gave it another id, and this one wants another id as well: it gets a session of its
 * own, with nothing of the lost one in it.
 */
export interface Replacing extends Seen {
  readonly _tag: "Replacing"
  readonly newId: Id
  /** The record of the lost one when it was last seen. */
  readonly last: SessionRecord | undefined
}

/** The session is in the store and has to go. The rest is for the one that follows, if any. */
export interface Ended extends Seen {
  readonly _tag: "Ended"
  readonly ended: { readonly id: Id; readonly record: SessionRecord }
  readonly id: Id | undefined
}

/** Another request ended the session or gave it another id. Nothing of this request counts, not even its cookie. */
export interface Lost extends Seen {
  readonly _tag: "Lost"
  readonly id: Id | undefined
  /** The record when it was last seen. */
  readonly last: SessionRecord | undefined
  readonly isFresh: boolean
  /** Whether there are dropped changes that have not been reported yet. */
  readonly isDropping: boolean
}

export const unloaded: State = { _tag: "Unloaded" }

/** What a field holds for the request. */
export const seen = ({ base, draft }: Seen, field: string): string | undefined => Draft.seen(draft, base, field)

/** All that the request sees. */
export const fieldsOf = ({ base, draft }: Seen): Fields => Draft.fieldsOf(draft, base)

/** Whose it is for the request. */
export const ownerOf = (state: Seen): Owner.Owner | undefined => {
  const text = seen(state, Meta.owner)
  return text === undefined ? undefined : Owner.decode(text)
}

/** The id of the session from this request on, if it has one yet. */
export const idOf = (state: Loaded): Id | undefined => "newId" in state ? state.newId : state.id

/** The keys of the session: where it gets another id, both. */
export const keysOf = (state: Loaded): ReadonlySet<string> => {
  const ids = "newId" in state && "id" in state ? [state.id, state.newId] : [idOf(state)]
  return new Set(ids.flatMap((id) => id === undefined ? [] : [id.key]))
}

/** The key that it is stored under, or that of the one that the request ends. */
export const storedKeyOf = (state: Loaded): string | undefined =>
  state._tag === "Ended" ? state.ended.id.key : isStored(state) ? state.id.key : undefined

/** Whether the request has logged out of a session that is in the store, and goes on with what stays of it. */
export const hasLoggedOut = (state: Loaded): boolean => state._tag === "Regenerated" && state.leaving !== undefined

/** Whether nothing is stored yet under the id that the session has from this request on. */
export const isUnwritten = ({ _tag }: Loaded): boolean => _tag !== "Existing" && _tag !== "Lost"

/** Whether this request made the id. */
export const isFresh = (state: Loaded): boolean => "isFresh" in state ? state.isFresh : true

/** The record of the session as it was last seen, if it is in the store, or was. */
export const recordOf = (state: Loaded): SessionRecord | undefined =>
  isStored(state) ? state.record : "last" in state ? state.last : undefined

export const isStored = (state: State): state is Existing | Regenerated =>
  state._tag === "Existing" || state._tag === "Regenerated"

/** Whether a change can still be saved. `isStateless`: every change needs another cookie. */
export const canChange = (state: State, phase: Phase, isStateless: boolean): boolean =>
  phase === "open" || phase === "late" && state._tag === "Existing" && !isStateless

/** What the cookie does in the response. */
export const outgoingOf = (state: State): Outgoing | undefined => state._tag === "Unloaded" ? undefined : state.outgoing
