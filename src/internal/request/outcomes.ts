/**
 * What the store answers, and what that makes of the session: total functions from one state to the next. No Effects, no
 * clock.
 */
import type { JsonObject } from "effect/Schema"
import type { Loaded as StoreLoaded } from "../../SessionStore.ts"
import * as Change from "../record/change.ts"
import * as Flash from "../record/flash.ts"
import type { Fields, Times } from "../record/record.ts"
import type { Intent, Write } from "./intent.ts"
import { changed } from "./operations.ts"
import {
  type Anonymous,
  type Existing,
  idOf,
  isFresh,
  isStored,
  type Loaded,
  type Lost,
  type Outgoing,
  type Regenerated,
  type State,
  type Stored,
  timesOf
} from "./state.ts"

// -----------------------------------------------------------------------------
// loading
// -----------------------------------------------------------------------------

const noMessages: JsonObject = {}

/** There is no session. */
export const absent = (isPresented: boolean, fields: Fields = new Map()): Anonymous => ({
  _tag: "Anonymous",
  fields,
  flashed: noMessages,
  flashing: undefined,
  isPresented,
  due: undefined,
  outgoing: undefined,
  id: undefined,
  hasEnded: false
})

/**
 * The store has it. Its flash messages leave it, unless the request only reads; a rollback keeps them. A token that takes
 * the place of the client's goes out with the first write, which finds out whether the session is still there.
 */
export const found = (
  { id, record, renewed }: Pick<Extract<StoreLoaded, { _tag: "Found" }>, "id" | "record" | "renewed">,
  token: Stored["token"],
  isReadonly: boolean
): Loaded => {
  const fields = Flash.fieldsOf(record.fields)
  const state: Existing = {
    _tag: "Existing",
    fields: record.fields,
    flashed: fields.length === 0 ? noMessages : Flash.messagesIn(record.fields, fields),
    flashing: undefined,
    isPresented: true,
    due: undefined,
    outgoing: undefined,
    id,
    token: renewed ?? token,
    record,
    pending: Change.none,
    isTouched: false,
    isRenewed: renewed !== undefined,
    isFresh: false
  }
  return fields.length === 0 || isReadonly ? state : changed(state, fields.reduce(Change.remove, Change.none))
}

/** Another request gave it another id a moment ago. */
export const superseded = (): Lost => lose(absent(true), false)

// -----------------------------------------------------------------------------
// committing
// -----------------------------------------------------------------------------

/** The store is being asked. What changes from now on is for the next commit. */
export const sent = (state: Loaded, intent: Intent): Loaded => {
  if (state._tag === "Anonymous" && intent.operation === "create") {
    const { id, record } = intent
    return { ...state, _tag: "Creating", id, record, pending: Change.none }
  }
  return isStored(state) ? { ...state, pending: Change.none, isTouched: false } : state
}

/** The store has failed: what it was asked for is still to be done. */
export const failed = (state: Loaded, intent: Intent): Loaded => {
  if (state._tag === "Creating") {
    const { pending: _, record: __, ...rest } = state
    return { ...rest, _tag: "Anonymous" }
  }
  // Ended meanwhile: there is nothing to end. The id may even be somebody else's.
  if (state._tag === "Ended" && intent.operation === "create") return destroyed(state)
  if (!isStored(state) || !("change" in intent || intent.operation === "touch")) return state
  const before = "change" in intent ? intent.change : Change.onlyTouch
  return {
    ...state,
    pending: { ...Change.compose(before, state.pending), touch: false },
    isTouched: state.isTouched || before.touch
  }
}

/** The store has done it: `token` is there if the client needs another one. */
export const written = (
  state: Loaded,
  intent: Write,
  { id, isPersistent, token }: Pick<Stored, "id" | "token"> & { readonly isPersistent: boolean }
): Loaded => {
  const { record } = intent
  switch (state._tag) {
    case "Creating": {
      const { hasEnded: _, ...rest } = state
      const due = send(token, record) ?? state.due
      return { ...rest, _tag: "Existing", id, token, record, due, isTouched: false, isRenewed: false, isFresh: true }
    }
    case "Existing":
    case "Regenerated": {
      const isLonger = isPersistent && record.touchedAt !== state.record.touchedAt
      const due = send(token ?? (isLonger || state.isRenewed ? state.token : undefined), record) ?? state.due
      const next = { ...state, id, token: token ?? state.token, record, due, isRenewed: false }
      return state._tag === "Regenerated" && intent.operation === "regenerate" && state.newId === intent.newId
        ? existing(next as Regenerated)
        : next
    }
    case "Ended":
      // Ended meanwhile: so must be what has been written.
      return { ...state, ended: { id, record } }
    default:
      return state
  }
}

const existing = ({ newId: _, ...state }: Regenerated): Existing => ({ ...state, _tag: "Existing" })

const send = (token: Stored["token"], { expiresAt }: Times): Outgoing | undefined =>
  token && { _tag: "Send", token, expiresAt }

/** The store has ended it. */
export const destroyed = (state: Loaded): Loaded => {
  if (state._tag !== "Ended") return state
  const { ended: _, ...rest } = state
  return { ...rest, _tag: "Anonymous", hasEnded: true }
}

/** Another request has extended its life. */
export const extended = (state: Loaded, { createdAt, expiresAt, touchedAt }: Times): Loaded =>
  isStored(state) ? { ...state, record: { ...state.record, createdAt, expiresAt, touchedAt } } : state

/** The store has no such session any more. If this request ended it meanwhile, nothing is lost. */
export const gone = (state: Loaded): Loaded => state._tag === "Ended" ? state : lose(state, isFresh(state))

const lose = (state: Loaded, isFresh: boolean): Lost => ({
  _tag: "Lost",
  fields: state.fields,
  flashed: state.flashed,
  flashing: state.flashing,
  isPresented: state.isPresented,
  due: undefined,
  outgoing: undefined,
  id: idOf(state),
  times: timesOf(state),
  isFresh,
  isDropping: false
})

/** The commit is over: the cookie does what it was to do, unless the session was ended meanwhile. */
export const settled = (state: Loaded): Loaded =>
  state.due === undefined || state._tag === "Ended" ? state : { ...state, outgoing: state.due, due: undefined }

/** It is known that the changes are dropped. */
export const dropped = (state: Loaded): Loaded => state._tag === "Lost" ? { ...state, isDropping: false } : state

/** The middleware runs again, and this is not the request's session any more. */
export const abandoned = (state: State): Lost => lose(state._tag === "Unloaded" ? absent(false) : state, false)
