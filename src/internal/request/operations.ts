/**
 * What a handler does to its session: total functions from one state to the next. No Effects, no store, no clock.
 */
import type { JsonObject } from "effect/Schema"
import * as Change from "../record/change.ts"
import * as Flash from "../record/flash.ts"
import type { Fields } from "../record/record.ts"
import {
  type Creating,
  type Existing,
  type Id,
  isStored,
  type Loaded,
  type Outgoing,
  type Regenerated
} from "./state.ts"

export const changed = (state: Loaded, change: Change.Change): Loaded => {
  switch (state._tag) {
    case "Anonymous":
    case "Ended":
      return { ...state, fields: Change.apply(state.fields, change) }
    case "Lost":
      return {
        ...state,
        fields: Change.apply(state.fields, change),
        isDropping: state.isDropping || !Change.isEmpty(change)
      }
    default:
      return pend(state, change)
  }
}

const pend = <S extends Creating | Existing | Regenerated>(state: S, change: Change.Change): S => ({
  ...state,
  fields: Change.apply(state.fields, change),
  pending: Change.compose(state.pending, change)
})

/** Adds to what the request flashes; `field` names the field if nothing was flashed yet. */
export const flashed = (state: Loaded, messages: JsonObject, field: () => string): Loaded => {
  const flashing = {
    field: state.flashing?.field ?? field(),
    messages: Flash.assign(state.flashing?.messages ?? {}, messages)
  }
  return changed({ ...state, flashing }, Change.set(Change.none, flashing.field, JSON.stringify(flashing.messages)))
}

export const cleared = (state: Loaded): Loaded => changed({ ...state, flashing: undefined }, Change.clear(Change.none))

export const touched = (state: Loaded): Loaded => isStored(state) ? { ...state, isTouched: true } : state

/** An id was drawn, for a session that has none yet. */
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
      return { ...state, id: newId, isFresh: true }
    case "Creating":
      // Its id is new already.
      return state
    default:
      return { ...state, _tag: "Regenerated", newId, isFresh: true }
  }
}

/** What is put from now on is for another session. */
export const ended = (state: Loaded): Loaded => {
  const next = {
    fields: noFields,
    flashed: state.flashed,
    flashing: undefined,
    isPresented: state.isPresented,
    due: state.isPresented || state.outgoing !== undefined ? clear : undefined,
    outgoing: state.outgoing,
    id: undefined
  }
  switch (state._tag) {
    case "Anonymous":
      return { ...next, _tag: "Anonymous", hasEnded: true }
    case "Ended":
      return { ...next, _tag: "Ended", ended: state.ended }
    case "Lost":
      return { ...state, fields: noFields, flashing: undefined, isFresh: true, isDropping: true, id: undefined }
    default:
      return { ...next, _tag: "Ended", ended: { id: state.id, record: state.record } }
  }
}

const noFields: Fields = new Map()

const clear: Outgoing = { _tag: "Clear" }
