/**
 * The operations of a handler on its session: total functions from one state to the next, without Effects, store or
 * clock.
 */
import * as Exit from "effect/Exit"
import type { Increment } from "../record/change.ts"
import * as Draft from "../record/draft.ts"
import * as Flash from "../record/flash.ts"
import * as Left from "../record/left.ts"
import * as Meta from "../record/meta.ts"
import * as Owner from "../record/owner.ts"
import type { Fields } from "../record/record.ts"
import * as Scope from "../record/scope.ts"
import {
  type Existing,
  fieldsOf,
  type Id,
  idOf,
  isStored,
  type Leaving,
  type Loaded,
  type Lost,
  type Outgoing,
  ownerOf,
  recordOf,
  type Regenerated,
  type Replacing,
  seen
} from "./state.ts"

// -----------------------------------------------------------------------------
// what is in it
// -----------------------------------------------------------------------------

/** `since`: the draft of the changes made while the store was being asked. */
const drafted = (state: Loaded, draft: Draft.Draft, since: Draft.Draft | undefined): Loaded => {
  const next = since === undefined || state.sending === undefined
    ? { ...state, draft }
    : { ...state, draft, sending: { ...state.sending, since } }
  return next._tag === "Lost" && !next.isDropping ? { ...next, isDropping: true } : next
}

type Edit = (draft: Draft.Draft, base: Fields) => Draft.Draft

const edited = (state: Loaded, edit: Edit): Loaded => {
  const { base, draft, sending } = state
  return drafted(state, edit(draft, base), sending && edit(sending.since, sending.fields))
}

// The most frequent operation, so it avoids allocating a function.
export const put = (state: Loaded, field: string, text: string): Loaded =>
  drafted(state, Draft.put(state.draft, field, text), state.sending && Draft.put(state.sending.since, field, text))

export const removed = (state: Loaded, field: string): Loaded => edited(state, (draft) => Draft.remove(draft, field))

export const added = (state: Loaded, field: string, increment: Increment): Loaded =>
  edited(state, (draft) => Draft.add(draft, field, increment))

/** A function has computed `text` from what the request sees in the field. */
export const rewritten = (
  state: Loaded,
  field: string,
  rewrite: Draft.Rewrite,
  text: string | undefined
): Loaded => edited(state, (draft, base) => Draft.rewrite(draft, base, field, rewrite, text))

/** Adds an object of messages, as JSON text, to what the request flashes. */
export const flashed = (state: Loaded, text: string, field: string, isForm = false): Loaded => {
  const flashing = { field, messages: { text, isForm, before: state.flashing?.messages } }
  return edited({ ...state, flashing }, (draft) => Draft.flash(draft, flashing.field, flashing.messages))
}

/**
 * Removes at least this many bytes from the forms that the request flashes. Returns the same state if nothing is left
 * to remove.
 */
export const lightened = (state: Loaded, bytes: number): Loaded => {
  if (state.flashing === undefined) return state
  const { field, messages: before } = state.flashing
  const messages = Flash.lighter(before, bytes)
  if (messages === before) return state
  const isEmpty = Flash.encode(messages) === "{}"
  return edited(
    { ...state, flashing: { field, messages } },
    (draft, base) => isEmpty ? Draft.unflash(draft, base, field) : Draft.flash(draft, field, messages)
  )
}

/** Fields of the session itself stay, such as its owner. */
export const cleared = (state: Loaded): Loaded =>
  edited({ ...state, flashing: undefined }, (draft, base) => Draft.clear(draft, base, Meta.all))

// -----------------------------------------------------------------------------
// its life
// -----------------------------------------------------------------------------

export const touched = (state: Loaded): Loaded => isStored(state) ? { ...state, isTouched: true } : state

/** An id was generated for a session without one. */
export const identified = (state: Loaded, id: Id): Loaded => {
  switch (state._tag) {
    case "Anonymous":
    case "Ended":
    case "Lost":
      return state.id === undefined ? { ...state, id } : state
    default:
      return state
  }
}

export const regenerated = (state: Loaded, newId: Id): Loaded => {
  switch (state._tag) {
    case "Anonymous":
    case "Ended":
      return { ...state, id: newId }
    case "Lost":
      return replacing(state, newId)
    case "Replacing":
      return { ...state, newId }
    case "Creating":
      // Its id is new already.
      return state
    default:
      return { ...state, _tag: "Regenerated", newId, isFresh: true, leaving: leavingOf(state) }
  }
}

const leavingOf = (state: Existing | Regenerated): Leaving | undefined =>
  state._tag === "Regenerated" ? state.leaving : undefined

/** The session must be stored even if it is empty. */
export const needed = (state: Loaded): Loaded => state._tag === "Anonymous" ? { ...state, isNeeded: true } : state

/** What happens to fields at a login. */
export type Merges = ReadonlyArray<readonly [field: string, rewrite: Draft.Rewrite]>

/** The data of a login. The texts are those of the session's own fields; fields without a text stay as they are. */
export interface Login {
  readonly owner: Owner.Owner
  readonly authenticated?: string | undefined
  readonly lifetime?: { readonly text: string | undefined } | undefined
}

/** The session gets an owner and this id. Values of another owner are removed. */
export const loggedIn = (state: Loaded, id: Id, { authenticated, lifetime, owner }: Login): Loaded => {
  const next = handedOver(idOf(state)?.key === id.key ? state : regenerated(state, id), owner.id)
  const live = lifetime === undefined ? next : withField(next, Meta.lifetime, lifetime.text)
  const owned = put(live, Meta.owner, Owner.encode(owner))
  return authenticated === undefined ? owned : put(owned, Meta.authenticated, authenticated)
}

/** Applies the functions to the fields in turn. */
export const merged = (state: Loaded, merges: Merges): Draft.Rewriting<Loaded> =>
  merges.reduce<Draft.Rewriting<Loaded>>((merged, [field, rewrite]) => {
    if (Exit.isFailure(merged)) return merged
    const { value } = merged
    return Exit.map(rewrite(seen(value, field)), (text) => rewritten(value, field, rewrite, text))
  }, Exit.succeed(state))

const withField = (state: Loaded, field: string, text: string | undefined): Loaded =>
  seen(state, field) === text ? state : text === undefined ? removed(state, field) : put(state, field, text)

/** Removes another owner's values: those of the current owner, or those left after a logout. */
const handedOver = (state: Loaded, owner: string): Loaded => {
  const before = ownerOf(state)
  if (before !== undefined) return before.id === owner ? state : ending(state, "visitor")
  const by = Owner.hashOf(owner)
  if (state._tag === "Regenerated" && state.leaving?.by !== undefined) {
    const next = { ...state, leaving: { by: undefined } }
    return state.leaving.by === by ? next : ending(next, "visitor")
  }
  const left = Left.of(fieldsOf(state))
  if (left === undefined) return state
  return [Meta.left, ...left.by === by ? [] : left.fields].reduce(removed, state)
}

/** Removes the values of this scope and of narrower ones. */
const ending = (state: Loaded, reach: Scope.Scope): Loaded =>
  edited({ ...state, flashing: undefined }, (draft) => Draft.end(draft, reach))

/**
 * Logs out. Values that outlive the login continue in another session under this id; if there are none, there is no
 * session.
 */
export const loggedOut = (state: Loaded, newId: Id): Loaded => {
  const fields = fieldsOf(state)
  const kept = [...fields.keys()].filter((field) => Scope.of(field) !== "login")
  if (kept.length === 0 || state._tag === "Lost" || state._tag === "Replacing") return ended(state)
  const owner = ownerOf(state)
  const by = owner && Owner.hashOf(owner.id)
  const left = fields.get(Meta.left)
  if (isStored(state)) {
    const leaving = { by: by ?? leavingOf(state)?.by }
    const next = ending({ ...state, _tag: "Regenerated", newId, isFresh: true, leaving }, "login")
    return by === undefined && left !== undefined ? put(next, Meta.left, left) : next
  }
  const next = kept.reduce<Loaded>((next, field) => put(next, field, fields.get(field)!), ended(state))
  return withField(next, Meta.left, by === undefined ? left : Left.encode(by, fields))
}

/** The request still sees its own changes, but no cookie is sent for a lost session. */
const afterLoss = (state: Loaded) => ({
  base: state.base,
  draft: state.draft,
  sending: undefined,
  flashed: state.flashed,
  flashing: state.flashing,
  isPresented: state.isPresented,
  due: undefined,
  outgoing: undefined,
  last: recordOf(state)
})

/** The session is lost, and the request gets its own. */
export const replacing = (state: Loaded, newId: Id): Replacing => ({ ...afterLoss(state), _tag: "Replacing", newId })

/** The session and the request's changes are lost. */
export const lost = (state: Loaded, isFresh: boolean): Lost => ({
  ...afterLoss(state),
  _tag: "Lost",
  id: idOf(state),
  isFresh,
  isDropping: false
})

/** Anything put from now on goes into another session. */
export const ended = (state: Loaded): Loaded => {
  const next = {
    base: noFields,
    draft: Draft.empty,
    sending: undefined,
    flashed: state.flashed,
    flashing: undefined,
    isPresented: state.isPresented,
    due: state.isPresented || state.outgoing !== undefined ? clear : undefined,
    outgoing: state.outgoing,
    id: undefined
  }
  switch (state._tag) {
    case "Anonymous":
      return { ...next, _tag: "Anonymous", hasEnded: true, isNeeded: false }
    case "Ended":
      return { ...next, _tag: "Ended", ended: state.ended }
    case "Lost":
    case "Replacing":
      // There is no session to end, and no cookie of this request to clear.
      return {
        ...lost(state, true),
        base: noFields,
        draft: Draft.empty,
        flashing: undefined,
        isDropping: true,
        id: undefined
      }
    default:
      return { ...next, _tag: "Ended", ended: { id: state.id, record: state.record } }
  }
}

const noFields: Fields = new Map()

const clear: Outgoing = { _tag: "Clear" }
