/**
 * What the store answers, and what that makes of the session: total functions from one state to the next. No Effects, no
 * clock.
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
 * The store has it. Its flash messages leave it, unless the request keeps them; a rollback keeps them too. A token that takes
 * the place of the client's goes out with the first write, which finds out whether the session is still there.
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

/** Its flash messages are for another request. */
export const unseen = (state: Loaded): Loaded => ({ ...state, flashed: noMessages })

/** Another request gave it another id a moment ago. */
export const superseded = (): Lost => lost(absent(true), false)

// -----------------------------------------------------------------------------
// committing
// -----------------------------------------------------------------------------

/** The store is being asked. What changes from now on is for the next commit. */
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

/** The store has failed: what it was asked for is still to be done. */
export const failed = (state: Loaded, intent: Intent): Loaded => {
  if (state._tag === "Creating") {
    const { record: _, ...rest } = state
    return { ...rest, _tag: "Anonymous", sending: undefined }
  }
  // Ended meanwhile: there is nothing to end. The id may even be somebody else's.
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

/** The store holds something else than the request has seen; `draft` is what its changes come to there. */
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

/** The store has done it: `token` is there if the client needs another one. */
export const written = (
  state: Loaded,
  { id, intent, isPersistent, renewalWaits = false, token }: Pick<Stored, "id" | "token"> & {
    readonly intent: Write
    /** Whether cookies stay when the browser is closed, by the configuration. */
    readonly isPersistent: boolean
    /** Whether a token that takes the place of the client's goes out with another response. */
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
        // The client must not learn of the successor, and the cookie that it has would take the place of the successor's.
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
      // Ended meanwhile: so must be what has been written.
      return { ...state, ended: { id, record } }
    default:
      return state
  }
}

/**
 * A change apart from those of the request has been committed, and `record` is what is stored now. What the request has not
 * committed is done again on that; where a function fails on it, the commit will find out. A token goes out whatever else
 * becomes of the request.
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

/** What is there when the store has done what it was asked for, and what has been done since. */
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

/** The store has ended it. */
export const destroyed = (state: Loaded): Loaded => {
  if (state._tag !== "Ended") return state
  const { ended: _, ...rest } = state
  return { ...rest, _tag: "Anonymous", hasEnded: true, isNeeded: false }
}

/** The end alone, without what follows: that is told after it. */
export const endedOnly = (state: Loaded): Loaded =>
  state._tag === "Ended" ? { ...state, draft: Draft.empty, flashing: undefined, id: undefined } : state

/** Another request has extended its life. */
export const extended = (state: Loaded, { createdAt, expiresAt, touchedAt }: Times): Loaded =>
  isStored(state) ? { ...state, record: { ...state.record, createdAt, expiresAt, touchedAt } } : state

/**
 * The store has no such session any more. If this request ended it meanwhile, nothing is lost; if it wants another id, it
 * gets a session of its own. If it has logged out, what has come of the session is still to be ended.
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
  // Under the id that the owner's index knows it by, if somebody has logged in since: only so it can have been ended in advance.
  return identified({ ...ended(state), draft, flashing }, state.newId)
}

/** What this request has done by itself, with nothing there before. */
export const afresh = (state: Replacing): Draft.Rewriting<Replacing> =>
  Exit.map(Draft.rebase(state.draft, noFields), (draft): Replacing => ({ ...state, base: noFields, draft }))

const noFields: Fields = new Map()

/** The commit is over: the cookie does what it was to do, unless the session was ended meanwhile. */
export const settled = (state: Loaded): Loaded =>
  state.due === undefined || state._tag === "Ended" ? state : { ...state, outgoing: state.due, due: undefined }

/** It is known that the changes are dropped. */
export const dropped = (state: Loaded): Loaded => state._tag === "Lost" ? { ...state, isDropping: false } : state

/** The middleware runs again, and this is not the request's session any more. */
export const abandoned = (state: State): Lost => lost(state._tag === "Unloaded" ? absent(false) : state, false)
