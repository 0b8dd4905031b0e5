/**
 * What a commit asks of the store: one operation, as data, made from the state of the session and the time.
 */
import type { Settings } from "../../SessionConfig.ts"
import type { Change, Overwritten } from "../record/change.ts"
import * as Draft from "../record/draft.ts"
import type { Expiry } from "../record/expiry.ts"
import * as Meta from "../record/meta.ts"
import type { Fields, SessionRecord } from "../record/record.ts"
import { type Anonymous, type Existing, fieldsOf, type Id, isStored, type Loaded, type Regenerated } from "./state.ts"

export type Write =
  | { readonly operation: "create"; readonly id: Id; readonly record: SessionRecord }
  | {
    readonly operation: "update"
    readonly id: Id
    readonly record: SessionRecord
    readonly change: Change
    /** Where the session is if another request has regenerated it. */
    readonly successor?: string
  }
  | {
    readonly operation: "touch"
    readonly id: Id
    readonly record: SessionRecord
    /** Whether the handler has asked for it; otherwise it is due, and does no harm if it fails. */
    readonly isAsked: boolean
  }
  | {
    readonly operation: "regenerate"
    readonly id: Id
    readonly newId: Id
    readonly record: SessionRecord
    /** The fields that the session is expected to hold until then. */
    readonly before: Fields
    readonly overwritten: Overwritten
    readonly touch: boolean
  }

export type Intent = Write | { readonly operation: "destroy"; readonly id: Id; readonly record: SessionRecord }

/** The id of the session when that is done. */
export const idOf = (intent: Intent): Id => intent.operation === "regenerate" ? intent.newId : intent.id

export interface Rules {
  readonly settings: Pick<Settings, "saveUninitialized">
  readonly expiry: Expiry
  /** Whether a cookie that the request has not asked for waits for another response. */
  readonly cookieWaits?: boolean
  /** Whether the extension of the session's life does. */
  readonly extensionWaits?: boolean
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

/** What the store is asked for, if anything. A new session needs an id before. */
export const of = (state: Loaded, rules: Rules, now: number): Intent | undefined => {
  switch (state._tag) {
    case "Anonymous":
      return isWanted(state, rules) && state.id !== undefined
        ? { operation: "create", id: state.id, record: recordOf(fieldsOf(state), rules, now) }
        : undefined
    case "Replacing":
      return { operation: "create", id: state.newId, record: recordOf(fieldsOf(state), rules, now) }
    case "Existing":
    case "Regenerated":
      return toStored(state, rules, now)
    case "Ended":
      return { operation: "destroy", ...state.ended }
    default:
      return undefined
  }
}

const recordOf = (fields: Fields, { expiry }: Rules, now: number): SessionRecord => ({
  ...expiry.start(now, fields),
  fields
})

const toStored = (state: Existing | Regenerated, rules: Rules, now: number): Write | undefined => {
  const { draft, id } = state
  const fields = fieldsOf(state)
  const isDue = isTouchDue(state, rules, now)
  const touch = isDue || setsLifetime(state)
  const record = touch ? touched(state.record, fields, isDue, rules, now) : untouched(state.record, fields, rules)
  if (state._tag === "Regenerated") {
    const overwritten = Draft.overwrittenBy(draft)
    return { operation: "regenerate", id, newId: state.newId, record, before: state.base, overwritten, touch }
  }
  if (!Draft.isEmpty(draft)) return { operation: "update", id, record, change: Draft.changeOf(draft, touch) }
  return touch ? { operation: "touch", id, record, isAsked: state.isTouched } : undefined
}

const touched = (
  before: SessionRecord,
  fields: Fields,
  isDue: boolean,
  { expiry }: Rules,
  now: number
): SessionRecord => {
  const { createdAt, expiresAt, touchedAt } = isDue
    ? expiry.touch(before, fields, now)
    : expiry.adjust(before, fields, now)
  return { createdAt, touchedAt, expiresAt, fields }
}

/** It ends no later than it may today, and neither does its cookie. */
const untouched = (before: SessionRecord, fields: Fields, { expiry }: Rules): SessionRecord => ({
  createdAt: before.createdAt,
  touchedAt: before.touchedAt,
  expiresAt: expiry.end(before),
  fields
})

/** Whether the request gives the session another lifetime than it has: that moves its times, and needs another cookie. */
export const setsLifetime = ({ base, draft }: Existing | Regenerated): boolean =>
  Draft.changes(draft, base, Meta.lifetime)

/** If the request has just ended a session, nobody wants an empty one in its place. */
export const isWanted = (state: Anonymous, rules: Rules): boolean =>
  state.isReplacement || Draft.hasFields(state.draft, state.base) ||
  rules.settings.saveUninitialized && !state.hasEnded && rules.cookieWaits !== true

// Whether something waits is asked last: it takes a look at the response.
const isTouchDue = (
  { isRenewed, isTouched, record }: Existing | Regenerated,
  rules: Rules,
  now: number
): boolean =>
  isTouched || isRenewed && rules.cookieWaits !== true ||
  rules.expiry.isTouchDue(record, now) && rules.extensionWaits !== true

/** Whether the session's time ran out while the request was at work. Another one may have extended it. */
export const isOver = (state: Loaded, { expiry }: Rules, now: number): state is Existing | Regenerated =>
  isStored(state) && expiry.isExpired(state.record, now)
