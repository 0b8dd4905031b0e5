/**
 * What a commit asks of the store: one operation as data, derived from the session's state and the time.
 */
import type { Settings } from "../../SessionConfig.ts"
import type { Change, Overwritten } from "../record/change.ts"
import * as Draft from "../record/draft.ts"
import type { Expiry } from "../record/expiry.ts"
import * as Left from "../record/left.ts"
import * as Meta from "../record/meta.ts"
import * as Owner from "../record/owner.ts"
import type { Fields, SessionRecord, Times } from "../record/record.ts"
import {
  type Anonymous,
  type Existing,
  fieldsOf,
  type Id,
  isStored,
  type Leaving,
  type Loaded,
  ownerOf,
  type Regenerated,
  type Replacing,
  type Seen
} from "./state.ts"

export type Write =
  | { readonly operation: "create"; readonly id: Id; readonly record: SessionRecord }
  | {
    readonly operation: "update"
    readonly id: Id
    readonly record: SessionRecord
    readonly change: Change
    /** The location of the session if another request has regenerated it. */
    readonly successor?: string
  }
  | {
    readonly operation: "touch"
    readonly id: Id
    readonly record: SessionRecord
    /** Whether the handler has asked for it. Otherwise it is a due extension, whose failure does no harm. */
    readonly isAsked: boolean
  }
  | {
    readonly operation: "regenerate"
    readonly id: Id
    readonly newId: Id
    readonly record: SessionRecord
    /** The fields that the session is expected to hold before the change. */
    readonly before: Fields
    readonly overwritten: Overwritten
    readonly touch: boolean
  }

export type Intent = Write | { readonly operation: "destroy"; readonly id: Id; readonly record: SessionRecord }

/** Whether it ends a session and starts another one with the remaining values. */
export const isLogout = (intent: Intent): boolean => intent.operation === "regenerate" && intent.overwritten === "ended"

/** The id of the session afterwards. */
export const idOf = (intent: Intent): Id => intent.operation === "regenerate" ? intent.newId : intent.id

export interface Rules {
  readonly settings: Pick<Settings, "saveUninitialized">
  readonly expiry: Expiry
  /** Whether a cookie that the request has not asked for waits for a later response. */
  readonly cookieWaits?: boolean
  /** Whether extending the session waits for a later response. */
  readonly extensionWaits?: boolean
  /** The entry that this request has made in the index of an owner. */
  readonly indexed?: { readonly key: string } | undefined
}

/** Whether there is anything to do: for the store, for the cookie, or to report. */
export const isNeeded = (state: Loaded, rules: Rules, now: number): boolean => {
  if (state.due !== undefined) return true
  switch (state._tag) {
    case "Anonymous":
      return isWanted(state, rules)
    case "Existing":
      return !Draft.isEmpty(state.draft) || isTouchDue(state, rules, now)
    case "Lost":
      return state.isDropping
    default:
      return true
  }
}

/** What to ask of the store, if anything. A new session needs an id first. */
export const of = (state: Loaded, rules: Rules, now: number): Intent | undefined => {
  switch (state._tag) {
    case "Anonymous":
      return isWanted(state, rules) && state.id !== undefined ? toCreate(state, state.id, rules, now) : undefined
    case "Replacing":
      return toCreate(state, state.newId, rules, now)
    case "Existing":
    case "Regenerated":
      return toStored(state, rules, now)
    case "Ended":
      return { operation: "destroy", ...state.ended }
    default:
      return undefined
  }
}

const toCreate = (state: Anonymous | Replacing, id: Id, rules: Rules, now: number): Write => {
  const fields = fieldsOf(state)
  const times = rules.expiry.start(now, fields)
  const draft = ownedIn(state, id, times, fields, rules, now)
  return {
    operation: "create",
    id,
    record: { ...times, fields: draft === state.draft ? fields : seenIn(state, draft) }
  }
}

const seenIn = ({ base }: Seen, draft: Draft.Draft): Fields => Draft.fieldsOf(draft, base)

/**
 * The index has an entry for each session of an owner, added before the session is written, with the time at which the
 * session must have ended. A new id or a longer life therefore needs a new entry.
 */
const ownedIn = (
  state: Anonymous | Replacing | Existing | Regenerated,
  id: Id,
  times: Times,
  fields: Fields,
  { expiry, indexed }: Rules,
  now: number
): Draft.Draft => {
  const owner = ownerOf(state)
  if (owner === undefined) return state.draft
  const isKnown = state._tag === "Existing" || indexed?.key === id.key
  if (isKnown && Owner.keptUntil(times.expiresAt) <= owner.until) return state.draft
  const until = Owner.keptUntil(expiry.horizon(times, fields))
  return Draft.put(state.draft, Meta.owner, Owner.encode({ ...owner, at: now, until }))
}

const toStored = (state: Existing | Regenerated, rules: Rules, now: number): Write | undefined => {
  const { id } = state
  const seen = fieldsOf(state)
  if (state._tag === "Regenerated" && state.leaving !== undefined) return toLeave(state, state.leaving, rules, now)
  const isDue = isTouchDue(state, rules, now)
  const touch = isDue || setsLifetime(state)
  const times = touch ? touched(state.record, seen, isDue, rules, now) : untouched(state.record, rules)
  const isSame = !touch && state._tag === "Existing"
  const draft = isSame ? state.draft : ownedIn(state, "newId" in state ? state.newId : id, times, seen, rules, now)
  const { createdAt, expiresAt, touchedAt } = times
  const record = { createdAt, touchedAt, expiresAt, fields: draft === state.draft ? seen : seenIn(state, draft) }
  if (state._tag === "Regenerated") {
    const overwritten = Draft.overwrittenBy(draft)
    return { operation: "regenerate", id, newId: state.newId, record, before: state.base, overwritten, touch }
  }
  if (!Draft.isEmpty(draft)) {
    return { operation: "update", id, record, change: Draft.changeOf(draft, touch, state.base) }
  }
  return touch ? { operation: "touch", id, record, isAsked: state.isTouched } : undefined
}

/** The session ends, and another one starts with the remaining values. */
const toLeave = (state: Regenerated, { by }: Leaving, rules: Rules, now: number): Write => {
  const { base: before, id, newId } = state
  const left = by === undefined ? undefined : Left.encode(by, fieldsOf(state))
  const marked = left === undefined ? state : { ...state, draft: Draft.put(state.draft, Meta.left, left) }
  const fields = fieldsOf(marked)
  const times = rules.expiry.start(now, fields)
  const draft = ownedIn(marked, newId, times, fields, rules, now)
  const record = { ...times, fields: draft === marked.draft ? fields : seenIn(marked, draft) }
  return { operation: "regenerate", id, newId, record, before, overwritten: "ended", touch: false }
}

const touched = (before: Times, fields: Fields, isDue: boolean, { expiry }: Rules, now: number): Times =>
  isDue ? expiry.touch(before, fields, now) : expiry.adjust(before, fields, now)

/** The session and its cookie end no later than today's settings allow. */
const untouched = (before: SessionRecord, { expiry }: Rules): Times => {
  const { createdAt, touchedAt } = before
  return { createdAt, touchedAt, expiresAt: expiry.end(before) }
}

/** Whether the request changes the session's lifetime, which moves its times and needs a new cookie. */
export const setsLifetime = ({ base, draft }: Existing | Regenerated): boolean =>
  Draft.changes(draft, base, Meta.lifetime)

/** A request that has just ended a session does not need an empty one instead. */
export const isWanted = (state: Anonymous, rules: Rules): boolean =>
  state.isNeeded || Draft.hasFields(state.draft, state.base) ||
  rules.settings.saveUninitialized && !state.hasEnded && rules.cookieWaits !== true

// Checked last, because it inspects the response.
const isTouchDue = (
  { isRenewed, isTouched, record }: Existing | Regenerated,
  rules: Rules,
  now: number
): boolean =>
  isTouched || isRenewed && rules.cookieWaits !== true ||
  rules.expiry.isTouchDue(record, now) && rules.extensionWaits !== true

/** Whether the session expired during the request. Another request may have extended it. */
export const isOver = (state: Loaded, { expiry }: Rules, now: number): state is Existing | Regenerated =>
  isStored(state) && expiry.isExpired(state.record, now)
