/**
 * What a request knows about its session, as a tagged union of all possible states. The transitions are in
 * operations.ts and outcomes.ts.
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

/** What happens to the cookie in the response. */
export type Outgoing =
  | { readonly _tag: "Send"; readonly token: Token } & CookieLife
  | { readonly _tag: "Clear" }

interface CookieLife {
  readonly expiresAt: number
  /** Whether the cookie survives closing the browser, if the session has its own lifetime. */
  readonly persistence: Persistence | undefined
}

/**
 * Which changes are possible, in any state: all while the handler runs; those that need no new cookie while the body is
 * streamed; then none.
 */
export type Phase = "open" | "late" | "closed"

// -----------------------------------------------------------------------------
// what there is
// -----------------------------------------------------------------------------

export type State = Unloaded | Loaded

export type Loaded = Anonymous | Creating | Existing | Regenerated | Replacing | Ended | Lost

/** The session has not been used yet. */
export interface Unloaded {
  readonly _tag: "Unloaded"
}

export interface Seen {
  /** The fields as they were last read or written. */
  readonly base: Fields
  /** The request's changes to them. */
  readonly draft: Draft.Draft
  /** What the store is currently being asked to do. */
  readonly sending: Sending | undefined
  /** The messages that an earlier request flashed for this one. */
  readonly flashed: JsonObject
  /** The messages that this request flashes for the next one, and their field. */
  readonly flashing: Flashing | undefined
  /** Whether the client sent a cookie, valid or not. */
  readonly isPresented: boolean
  /** What happens to the cookie if the pending commit succeeds. */
  readonly due: Outgoing | undefined
  /** What happens to the cookie in the response, after all commits so far. */
  readonly outgoing: Outgoing | undefined
}

export interface Sending {
  /** The fields that the request will see afterwards. */
  readonly fields: Fields
  /** The request's changes to them since. They are in the draft too, because the store may reject the commit. */
  readonly since: Draft.Draft
}

export interface Flashing {
  readonly field: string
  readonly messages: Messages
}

/** The store has no session, and may never get one. */
export interface Anonymous extends Seen {
  readonly _tag: "Anonymous"
  /** The generated id, if it was needed. */
  readonly id: Id | undefined
  /** Whether the request has already ended a session. */
  readonly hasEnded: boolean
  /** Whether it must be stored even if it is empty, for example to replace a lost session. */
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
  /** Whether the client needs a new token for the same id because a secret is being retired. */
  readonly isRenewed: boolean
  /** Whether this request created the id. */
  readonly isFresh: boolean
}

/** The session is in the store. */
export interface Existing extends Stored {
  readonly _tag: "Existing"
}

/** The session is in the store and gets a new id. */
export interface Regenerated extends Stored {
  readonly _tag: "Regenerated"
  readonly newId: Id
  /** The request has logged out: the new id belongs to another session with the values that outlive the login. */
  readonly leaving: Leaving | undefined
}

export interface Leaving {
  /** The hash of the owner who has logged out; missing if no one was logged in, or someone has logged in since. */
  readonly by: string | undefined
}

/**
 * Another request ended the session or gave it a new id, and this one regenerates too: it gets its own session without
 * any values of the lost one.
 */
export interface Replacing extends Seen {
  readonly _tag: "Replacing"
  readonly newId: Id
  /** The last known record of the lost session. */
  readonly last: SessionRecord | undefined
}

/** The session is in the store and must be ended. The other fields are for its successor, if any. */
export interface Ended extends Seen {
  readonly _tag: "Ended"
  readonly ended: { readonly id: Id; readonly record: SessionRecord }
  readonly id: Id | undefined
}

/** Another request ended the session or gave it a new id. Nothing of this request is kept, not even its cookie. */
export interface Lost extends Seen {
  readonly _tag: "Lost"
  readonly id: Id | undefined
  /** The last known record. */
  readonly last: SessionRecord | undefined
  readonly isFresh: boolean
  /** Whether dropped changes still have to be reported. */
  readonly isDropping: boolean
}

export const unloaded: State = { _tag: "Unloaded" }

/** The value of a field as the request sees it. */
export const seen = ({ base, draft }: Seen, field: string): string | undefined => Draft.seen(draft, base, field)

/** All fields as the request sees them. */
export const fieldsOf = ({ base, draft }: Seen): Fields => Draft.fieldsOf(draft, base)

/** The owner as the request sees it. */
export const ownerOf = (state: Seen): Owner.Owner | undefined => {
  const text = seen(state, Meta.owner)
  return text === undefined ? undefined : Owner.decode(text)
}

/** The id of the session from this request on, if it has one yet. */
export const idOf = (state: Loaded): Id | undefined => "newId" in state ? state.newId : state.id

/** The keys of the session: both, if it is getting a new id. */
export const keysOf = (state: Loaded): ReadonlySet<string> => {
  const ids = "newId" in state && "id" in state ? [state.id, state.newId] : [idOf(state)]
  return new Set(ids.flatMap((id) => id === undefined ? [] : [id.key]))
}

/** The key that it is stored under, or that of the session that the request ends. */
export const storedKeyOf = (state: Loaded): string | undefined =>
  state._tag === "Ended" ? state.ended.id.key : isStored(state) ? state.id.key : undefined

/** Whether the request has logged out of a stored session, and continues with the remaining values. */
export const hasLoggedOut = (state: Loaded): boolean => state._tag === "Regenerated" && state.leaving !== undefined

/** Whether nothing is stored yet under the session's new id. */
export const isUnwritten = ({ _tag }: Loaded): boolean => _tag !== "Existing" && _tag !== "Lost"

/** Whether this request created the id. */
export const isFresh = (state: Loaded): boolean => "isFresh" in state ? state.isFresh : true

/** The last known record of the session, if it is or was in the store. */
export const recordOf = (state: Loaded): SessionRecord | undefined =>
  isStored(state) ? state.record : "last" in state ? state.last : undefined

export const isStored = (state: State): state is Existing | Regenerated =>
  state._tag === "Existing" || state._tag === "Regenerated"

/** Whether a change can still be saved. `isStateless`: every change needs a new cookie. */
export const canChange = (state: State, phase: Phase, isStateless: boolean): boolean =>
  phase === "open" || phase === "late" && state._tag === "Existing" && !isStateless

/** What happens to the cookie in the response. */
export const outgoingOf = (state: State): Outgoing | undefined => state._tag === "Unloaded" ? undefined : state.outgoing
