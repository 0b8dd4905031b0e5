/**
 * A small model of a request's session, to hold the state machine against: it has no states, only a list of what the
 * request has done and what the store was told of it.
 */
import type { JsonObject } from "effect/Schema"
import * as Change from "../../src/internal/record/change.ts"
import type { Expiry } from "../../src/internal/record/expiry.ts"
import type { Fields, SessionRecord, Times } from "../../src/internal/record/record.ts"
import type { Id, Phase } from "../../src/internal/request/state.ts"

interface Told {
  readonly operation: "create" | "update" | "touch" | "regenerate" | "destroy"
  readonly id: Id
  readonly newId: Id | undefined
  readonly record: SessionRecord
  readonly changes: ReadonlyArray<Change.Change>
  readonly touch: boolean
}

/** What the cookie does: the token to send, or `null` to clear it. */
type Cookie = { readonly token: Id; readonly expiresAt: number } | null | undefined

export class RequestModel {
  readonly expiry: Expiry
  readonly saveUninitialized: boolean
  phase: Phase = "open"
  fields: Fields = new Map()
  flashed: JsonObject = {}
  flashing: { readonly field: string; readonly messages: JsonObject } | undefined
  isPresented = false
  /** Where the request's session is in the store. */
  stored: { id: Id; token: Id | undefined; record: SessionRecord } | undefined
  /** The id of a session that is not in the store, or that the stored one gets. */
  nextId: Id | undefined
  /** A session that has to go. */
  ending: { id: Id; record: SessionRecord } | undefined
  isLost = false
  lostTimes: Times | undefined
  isFresh = true
  hasEnded = false
  isRenewed = false
  touchAsked = false
  /** What the request has done that the store has not been told. */
  untold: ReadonlyArray<Change.Change> = []
  told: Told | undefined
  /** Whether the session was ended while the store was being told. */
  endedMeanwhile = false
  wanted: Cookie
  cookie: Cookie

  constructor(expiry: Expiry, saveUninitialized: boolean) {
    this.expiry = expiry
    this.saveUninitialized = saveUninitialized
  }

  // ---------------------------------------------------------------------------
  // the handler
  // ---------------------------------------------------------------------------

  change(change: Change.Change): void {
    this.fields = Change.apply(this.fields, change)
    this.untold = [...this.untold, change]
  }

  flash(messages: JsonObject, field: string): void {
    this.flashing = {
      field: this.flashing?.field ?? field,
      messages: { ...this.flashing?.messages, ...messages }
    }
    this.change(Change.set(Change.none, this.flashing.field, JSON.stringify(this.flashing.messages)))
  }

  clear(): void {
    this.flashing = undefined
    this.change(Change.clear(Change.none))
  }

  touch(): void {
    if (this.stored !== undefined) this.touchAsked = true
  }

  identify(id: Id): void {
    if (this.stored === undefined && !this.isCreating) this.nextId ??= id
  }

  regenerate(id: Id): void {
    // A session that is just being created has a new id.
    if (this.isCreating) return
    this.nextId = id
    this.isFresh = true
  }

  end(): void {
    const inStore = this.stored ?? (this.isCreating ? this.told : undefined)
    if (inStore !== undefined) this.ending = { id: inStore.id, record: inStore.record }
    this.endedMeanwhile = true
    if (!this.isLost) this.wanted = this.isPresented || this.cookie !== undefined ? null : undefined
    this.stored = undefined
    this.nextId = undefined
    this.fields = new Map()
    this.flashing = undefined
    this.untold = this.isLost ? [Change.clear(Change.none)] : []
    this.isFresh = true
    this.hasEnded = true
    this.isRenewed = false
    this.touchAsked = false
  }

  // ---------------------------------------------------------------------------
  // the commit
  // ---------------------------------------------------------------------------

  /** Whether the store is being told to create the request's session. */
  get isCreating(): boolean {
    return this.told?.operation === "create" && !this.endedMeanwhile && !this.isLost
  }

  get isWanted(): boolean {
    return this.fields.size > 0 || this.saveUninitialized && !this.hasEnded
  }

  get hasUntold(): boolean {
    return this.untold.some((change) => !Change.isEmpty(change))
  }

  /** What the store is to be told. */
  tell(now: number): Told | undefined {
    if (this.isLost) return undefined
    const none = { newId: undefined, changes: [], touch: false }
    if (this.ending !== undefined) return { operation: "destroy", ...this.ending, ...none }
    const { fields, nextId, stored } = this
    if (stored === undefined) {
      if (!this.isWanted || nextId === undefined) return undefined
      return { operation: "create", id: nextId, record: { ...this.expiry.start(now), fields }, ...none }
    }
    const touch = this.touchAsked || this.isRenewed || this.expiry.isTouchDue(stored.record, now)
    const { createdAt, expiresAt, touchedAt } = touch ? this.expiry.touch(stored.record, now) : stored.record
    const told = {
      id: stored.id,
      newId: nextId,
      record: { createdAt, expiresAt, touchedAt, fields },
      changes: this.untold,
      touch
    }
    if (nextId !== undefined) return { operation: "regenerate", ...told }
    if (this.hasUntold) return { operation: "update", ...told }
    return touch ? { operation: "touch", ...told } : undefined
  }

  isNeeded(now: number): boolean {
    if (this.wanted !== undefined) return true
    if (this.isLost) return this.hasUntold
    if (this.isCreating) return true
    return this.tell(now) !== undefined || this.stored === undefined && this.isWanted
  }

  begin(told: Told): void {
    this.told = told
    this.endedMeanwhile = false
    if (told.operation === "destroy") return
    this.untold = []
    this.touchAsked = false
    if (told.operation === "create") this.nextId = undefined
  }

  fail(): void {
    const { changes, operation, touch, id } = this.told!
    this.told = undefined
    if (this.endedMeanwhile && operation === "create") this.ending = undefined
    if (this.isLost || this.endedMeanwhile || operation === "destroy") return
    if (operation === "create") {
      this.nextId = id
      this.untold = []
      return
    }
    this.untold = [...changes, ...this.untold]
    this.touchAsked ||= touch
  }

  written(id: Id, token: Id | undefined, isPersistent: boolean): void {
    const { newId, operation, record } = this.told!
    this.told = undefined
    if (this.isLost) return
    if (operation === "destroy") {
      this.ending = undefined
      return
    }
    if (this.endedMeanwhile) {
      this.ending = { id, record }
      return
    }
    const isExtended = isPersistent && record.touchedAt !== this.stored?.record.touchedAt
    const sent = token ?? (isExtended || this.isRenewed ? this.stored?.token : undefined)
    if (sent !== undefined) this.wanted = { token: sent, expiresAt: record.expiresAt }
    this.stored = { id, token: token ?? this.stored?.token, record }
    if (operation === "regenerate" && this.nextId === newId) this.nextId = undefined
    this.isRenewed = false
  }

  gone(): void {
    if (this.isLost || !this.endedMeanwhile) this.lose()
    this.told = undefined
  }

  lose(): void {
    const id = this.isCreating ? this.told!.id : undefined
    this.nextId ??= this.stored?.id ?? id
    this.lostTimes = this.stored?.record ?? this.lostTimes
    this.isLost = true
    this.stored = undefined
    this.ending = undefined
    this.untold = []
    this.wanted = undefined
    this.cookie = undefined
  }

  settle(): void {
    if (this.wanted === undefined || this.ending !== undefined) return
    this.cookie = this.wanted
    this.wanted = undefined
  }

  extend({ createdAt, expiresAt, touchedAt }: Times): void {
    if (this.stored) this.stored.record = { ...this.stored.record, createdAt, expiresAt, touchedAt }
  }

  abandon(): void {
    this.lose()
    this.isFresh = false
    this.phase = "closed"
  }

  // ---------------------------------------------------------------------------
  // what is seen
  // ---------------------------------------------------------------------------

  get id(): Id | undefined {
    const creating = this.told?.operation === "create" && !this.endedMeanwhile && !this.isLost
      ? this.told.id
      : undefined
    return this.nextId ?? this.stored?.id ?? creating
  }

  canChange(isStateless: boolean): boolean {
    if (this.phase !== "late") return this.phase === "open"
    return this.stored !== undefined && this.nextId === undefined && !isStateless
  }
}
