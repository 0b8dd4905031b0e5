/**
 * Applies the store's answers to the session: total functions from one state to the next, without Effects or clock.
 */
import * as Exit from "effect/Exit"
import type { JsonObject } from "effect/Schema"
import type { Loaded as StoreLoaded } from "../../SessionStore.ts"
import * as Draft from "../record/draft.ts"
import * as Flash from "../record/flash.ts"
import * as Lifetime from "../record/lifetime.ts"
import * as Meta from "../record/meta.ts"
import type { Fields, SessionRecord, Times } from "../record/record.ts"
import type { Intent, Write } from "./intent.ts"
import { ended, identified, lost, replacing } from "./operations.ts"
import {
  type Anonymous,
  type Existing,
  isFresh,
  isStored,
  type Loaded,
  type Lost,
  type Outgoing,
  type Regenerated,
  type Replacing,
  type Seen,
  type State,
  type Stored
} from "./state.ts"

// -----------------------------------------------------------------------------
// loading
// -----------------------------------------------------------------------------

const noMessages: JsonObject = {}

/** There is no session. */
export const absent = (isPresented: boolean, fields: Fields = new Map()): Anonymous => ({
  _tag: "Anonymous",
  base: fields,
  draft: Draft.empty,
  sending: undefined,
  flashed: noMessages,
  flashing: undefined,
  isPresented,
  due: undefined,
  outgoing: undefined,
  id: undefined,
  hasEnded: false,
  isNeeded: false
})

/**
 * The store has the session. Its flash messages are consumed unless the request keeps them or rolls back. A token that
 * replaces the client's is sent with the first write, which checks that the session still exists.
 */
export const found = (
  { id, record, renewed }: Pick<Extract<StoreLoaded, { _tag: "Found" }>, "id" | "record" | "renewed">,
  token: Stored["token"],
  keepsMessages: boolean
): Loaded => {
  const fields = Flash.fieldsOf(record.fields)
  return {
    _tag: "Existing",
    base: record.fields,
    draft: keepsMessages ? Draft.empty : fields.reduce(Draft.remove, Draft.empty),
    sending: undefined,
    flashed: fields.length === 0 ? noMessages : Flash.messagesIn(record.fields, fields),
    flashing: undefined,
    isPresented: true,
    due: undefined,
    outgoing: undefined,
    id,
    token: renewed ?? token,
    record,
    isTouched: false,
    isRenewed: renewed !== undefined,
    isFresh: false
  }
}

/** Its flash messages are kept for another request. */
export const unseen = (state: Loaded): Loaded => ({ ...state, flashed: noMessages })

/** Another request gave it a new id a moment ago. */
export const superseded = (): Lost => lost(absent(true), false)

// -----------------------------------------------------------------------------
// committing
// -----------------------------------------------------------------------------

/** The store is being asked. Changes from now on are part of the next commit. */
export const sent = (state: Loaded, intent: Intent): Loaded => {
  const sending = { fields: intent.record.fields, since: Draft.empty }
  if (intent.operation === "create") {
    const { id, record } = intent
    switch (state._tag) {
      case "Anonymous":
        return { ...state, _tag: "Creating", id, record, sending }
      case "Replacing": {
        const { newId: _, last: __, ...rest } = state
        return { ...rest, _tag: "Creating", id, hasEnded: false, isNeeded: true, record, sending }
      }
    }
  }
  return isStored(state) ? { ...state, isTouched: false, sending } : state
}

/** The store has failed, so its task is still pending. */
export const failed = (state: Loaded, intent: Intent): Loaded => {
  if (state._tag === "Creating") {
    const { record: _, ...rest } = state
    return { ...rest, _tag: "Anonymous", sending: undefined }
  }
  // Ended in the meantime, so there is nothing to end. The id may even belong to another session.
  if (state._tag === "Ended" && intent.operation === "create") return destroyed(state)
  if (!isStored(state)) return state
  return { ...state, isTouched: state.isTouched || isTouching(intent), sending: undefined }
}

const isTouching = (intent: Intent): boolean => {
  switch (intent.operation) {
    case "touch":
      return intent.isAsked
    case "update":
      return intent.change.touch
    case "regenerate":
      return intent.touch
    default:
      return false
  }
}

/** The store holds something other than the request has seen; `draft` is the request's changes applied to that. */
export const rebased = (
  state: Existing | Regenerated,
  record: SessionRecord,
  draft: Draft.Draft
): Existing | Regenerated => ({
  ...state,
  record,
  base: record.fields,
  draft
})

/** The store has carried it out. `token` is present if the client needs a new one. */
export const written = (
  state: Loaded,
  { id, intent, isPersistent, renewalWaits = false, token }: Pick<Stored, "id" | "token"> & {
    readonly intent: Write
    /** Whether cookies survive closing the browser, according to the configuration. */
    readonly isPersistent: boolean
    /** Whether a token that replaces the client's waits for a later response. */
    readonly renewalWaits?: boolean
  }
): Loaded => {
  const { record } = intent
  switch (state._tag) {
    case "Creating": {
      const { hasEnded: _, isNeeded: __, ...rest } = state
      const { base, draft } = carriedOut(state)
      const due = send(token, record) ?? state.due
      return {
        ...rest,
        _tag: "Existing",
        base,
        draft,
        sending: undefined,
        id,
        token,
        record,
        due,
        isTouched: false,
        isRenewed: false,
        isFresh: true
      }
    }
    case "Existing":
    case "Regenerated": {
      const isLonger = record.touchedAt !== state.record.touchedAt &&
        Lifetime.isPersistent(record.fields, isPersistent)
      const isOwn = intent.operation !== "update" || intent.successor === undefined
      const isOld = isLonger || state.isRenewed && !renewalWaits || setsLifetime(intent, state.base)
      const sent = send(token ?? (isOld ? state.token : undefined), record) ?? state.due
      const { base, draft } = carriedOut(state)
      const stored = {
        base,
        draft,
        sending: undefined,
        flashed: state.flashed,
        flashing: state.flashing,
        isPresented: state.isPresented,
        // The client must not learn about the successor, and a cookie sent now would overwrite the successor's.
        due: isOwn ? sent : undefined,
        outgoing: isOwn ? state.outgoing : undefined,
        id,
        token: token ?? state.token,
        record,
        isTouched: state.isTouched,
        isRenewed: false,
        isFresh: state.isFresh
      }
      const isStillRegenerated = state._tag === "Regenerated" &&
        !(intent.operation === "regenerate" && state.newId === intent.newId)
      return isStillRegenerated
        ? { ...stored, _tag: "Regenerated", newId: state.newId, leaving: state.leaving }
        : { ...stored, _tag: "Existing" }
    }
    case "Ended":
      // Ended in the meantime, so what has been written must end too.
      return { ...state, ended: { id, record } }
    default:
      return state
  }
}

/**
 * A separate change has been committed, and `record` is what is stored now. The request's uncommitted changes are
 * applied to that; if one of its functions fails on it, the commit reports that. The token is sent even if the request
 * fails.
 */
export const moved = (
  state: Loaded,
  { record, token }: { readonly record: SessionRecord; readonly token: Stored["token"] }
): Loaded => {
  const outgoing = send(token, record) ?? state.outgoing
  if (state._tag === "Ended") return { ...state, ended: { ...state.ended, record }, outgoing }
  if (!isStored(state)) return state
  const again = Draft.rebase(state.draft, record.fields)
  const draft = Exit.isSuccess(again) ? again.value : state.draft
  return { ...rebased(state, record, draft), token: token ?? state.token, outgoing }
}

/** The fields after the store has carried out its task, with the changes made since. */
const carriedOut = ({ base, draft, sending }: Seen): Pick<Seen, "base" | "draft"> =>
  sending === undefined ? { base, draft } : { base: sending.fields, draft: sending.since }

const setsLifetime = (intent: Write, before: Fields): boolean => {
  if (intent.operation !== "update") return false
  const { change: { clear, remove, set }, record: { fields } } = intent
  return (clear || set.has(Meta.lifetime) || remove.has(Meta.lifetime)) &&
    fields.get(Meta.lifetime) !== before.get(Meta.lifetime)
}

const send = (token: Stored["token"], { expiresAt, fields }: SessionRecord): Outgoing | undefined =>
  token && { _tag: "Send", token, expiresAt, persistence: Lifetime.of(fields)?.persistence }

/** The store has ended the session. */
export const destroyed = (state: Loaded): Loaded => {
  if (state._tag !== "Ended") return state
  const { ended: _, ...rest } = state
  return { ...rest, _tag: "Anonymous", hasEnded: true, isNeeded: false }
}

/** Only the end of the session; its successor is handled afterwards. */
export const endedOnly = (state: Loaded): Loaded =>
  state._tag === "Ended" ? { ...state, draft: Draft.empty, flashing: undefined, id: undefined } : state

/** Another request has extended the session. */
export const extended = (state: Loaded, { createdAt, expiresAt, touchedAt }: Times): Loaded =>
  isStored(state) ? { ...state, record: { ...state.record, createdAt, expiresAt, touchedAt } } : state

/**
 * The store no longer has the session. If this request has ended it, nothing is lost; if the request regenerates, it
 * gets its own session. If it has logged out, the session's successor must still be ended.
 */
export const gone = (state: Loaded): Loaded => {
  switch (state._tag) {
    case "Ended":
      return state
    case "Regenerated":
      return state.leaving === undefined ? replacing(state, state.newId) : overtaken(state)
    default:
      return lost(state, isFresh(state))
  }
}

const overtaken = (state: Regenerated): Loaded => {
  const own = Draft.rebase(state.draft, noFields)
  const draft = Exit.isSuccess(own) ? Draft.remove(own.value, Meta.left) : Draft.empty
  const flashing = Exit.isSuccess(own) ? state.flashing : undefined
  // Uses the id from the owner's index if a user has logged in since, because only under that id can the session have
  // been ended in advance.
  return identified({ ...ended(state), draft, flashing }, state.newId)
}

/** This request's own changes, applied to an empty session. */
export const afresh = (state: Replacing): Draft.Rewriting<Replacing> =>
  Exit.map(Draft.rebase(state.draft, noFields), (draft): Replacing => ({ ...state, base: noFields, draft }))

const noFields: Fields = new Map()

/** The commit has ended: the planned cookie is used, unless the session was ended in the meantime. */
export const settled = (state: Loaded): Loaded =>
  state.due === undefined || state._tag === "Ended" ? state : { ...state, outgoing: state.due, due: undefined }

/** The dropped changes have been reported. */
export const dropped = (state: Loaded): Loaded => state._tag === "Lost" ? { ...state, isDropping: false } : state

/** The middleware runs again, so this is no longer the request's session. */
export const abandoned = (state: State): Lost => lost(state._tag === "Unloaded" ? absent(false) : state, false)
