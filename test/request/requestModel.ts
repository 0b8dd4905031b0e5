/**
 * A small model of a request's session, to hold the state machine against: it has no states, only a list of what the
 * request has done, as functions on fields, and what the store was told of it. Whatever turns out to be there, the list is
 * done anew on it.
 */
import type { JsonObject } from "effect/Schema"
import type { Expiry } from "../../src/internal/record/expiry.ts"
import * as Lifetime from "../../src/internal/record/lifetime.ts"
import * as Meta from "../../src/internal/record/meta.ts"
import * as Owner from "../../src/internal/record/owner.ts"
import { endOfTime, type Fields, type SessionRecord, type Times } from "../../src/internal/record/record.ts"
import type { Id, Phase } from "../../src/internal/request/state.ts"
import type { Token } from "../../src/internal/token/secret.ts"
import { type Deed, ends, fieldsAfter, type Scope, scopeOf, seenBy } from "../support/deeds.ts"

// -----------------------------------------------------------------------------
// the model
// -----------------------------------------------------------------------------

export interface Told {
  readonly operation: "create" | "update" | "touch" | "regenerate" | "destroy"
  readonly id: Id
  readonly newId: Id | undefined
  readonly record: SessionRecord
  readonly deeds: ReadonlyArray<Deed>
  readonly touch: boolean
  /** Whether the request has asked for it. */
  readonly touchAsked: boolean
  /** All that is there until then. */
  readonly before: Fields
  readonly expected: ReadonlyMap<string, string | undefined>
  /** What it makes of fields that are as expected. */
  readonly effect: (fields: Fields) => Fields | undefined
  readonly isForSuccessor?: boolean
}

/** What the cookie does: the token to send, or `null` to clear it. */
type Cookie =
  | { readonly token: Token; readonly expiresAt: number; readonly persistence: Lifetime.Persistence | undefined }
  | null
  | undefined

export class RequestModel {
  readonly expiry: Expiry
  readonly saveUninitialized: boolean
  phase: Phase = "open"
  /** What is there, as it was last read or written. */
  there: Fields = new Map()
  /** What the request has done that the store has not been told. */
  untold: ReadonlyArray<Deed> = []
  flashed: JsonObject = {}
  flashing: { readonly field: string; readonly messages: JsonObject } | undefined
  isPresented = false
  /** Where the request's session is in the store. */
  stored: { id: Id; token: Token | undefined; record: SessionRecord } | undefined
  /** The id of a session that is not in the store, or that the stored one gets. */
  nextId: Id | undefined
  /** A session that has to go. */
  ending: { id: Id; record: SessionRecord } | undefined
  /** The request has logged out of the stored session: who was it? */
  leaving: { readonly by: string | undefined } | undefined
  overtaken: Pick<RequestModel, "flashing" | "nextId"> & { readonly deeds: ReadonlyArray<Deed> } | undefined
  isLost = false
  /** Whether it gets a session of its own in the place of one that is lost. */
  isReplacing = false
  /** Whether a session is wanted whatever is in it, in the place of one that was lost. */
  isDemanded = false
  isDropping = false
  lostTimes: Times | undefined
  isFresh = true
  hasEnded = false
  isRenewed = false
  touchAsked = false
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

  do(deed: Deed): void {
    if (fieldsAfter(this.fields, [deed]) === undefined) return
    this.untold = [...this.untold, deed]
    if (this.isLost) this.isDropping = true
  }

  flash(messages: JsonObject, field: string): void {
    this.flashing = {
      field: this.flashing?.field ?? field,
      messages: { ...this.flashing?.messages, ...messages }
    }
    const text = JSON.stringify(this.flashing.messages)
    this.do({ kind: "set", field: this.flashing.field, run: () => text })
  }

  clear(): void {
    this.flashing = undefined
    this.do({ kind: "clear", keeps: Meta.all })
  }

  setLifetime(text: string | undefined): void {
    if (this.fields.get("~lifetime") !== text) this.do({ kind: "set", field: "~lifetime", run: () => text })
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
    if (this.isLost) {
      this.isLost = false
      this.isReplacing = true
    }
  }

  /** Under an id that is the session's already, or a new one. */
  login(id: Id, owner: string): void {
    if (this.id?.text !== id.text) this.regenerate(id)
    const by = Owner.hashOf(owner)
    const { leaving, left } = this
    if (this.owner !== undefined) {
      if (this.owner.id !== owner) this.#endAll("visitor")
    } else if (leaving?.by !== undefined) {
      this.leaving = { by: undefined }
      if (leaving.by !== by) this.#endAll("visitor")
    } else if (left !== undefined) {
      for (const field of ["~left", ...left.by === by ? [] : left.fields]) this.#put(field, undefined)
    }
    this.#put("~owner", Owner.encode({ id: owner, at: 0, until: endOfTime }))
  }

  /** What goes on in another session after a logout. */
  get goingOn(): ReadonlyArray<readonly [field: string, text: string]> {
    if (this.isLost || this.isReplacing) return []
    const kept = [...this.fields].filter(([field]) => scopeOf(field) !== "login")
    if (kept.length === 0) return []
    const { fields, owner } = this
    const left = owner === undefined ? fields.get("~left") : leftBy(Owner.hashOf(owner.id), fields)
    return left === undefined ? kept : [...kept, ["~left", left]]
  }

  /** A logout of a stored session, of which something goes on. */
  leave(id: Id): void {
    const { fields, leaving, owner } = this
    const left = fields.get("~left")
    this.nextId = id
    this.isFresh = true
    this.leaving = { by: owner === undefined ? leaving?.by : Owner.hashOf(owner.id) }
    this.#endAll("login")
    if (owner === undefined && left !== undefined) this.#put("~left", left)
  }

  goOn(fields: ReadonlyArray<readonly [field: string, text: string]>): void {
    for (const [field, text] of fields) this.#put(field, text)
  }

  #endAll(reach: Scope): void {
    this.flashing = undefined
    this.do({ kind: "end", reach })
  }

  #put(field: string, text: string | undefined): void {
    this.do({ kind: "set", field, run: () => text })
  }

  get owner(): Owner.Owner | undefined {
    return Owner.of(this.fields)
  }

  get left(): { readonly by: string; readonly fields: ReadonlyArray<string> } | undefined {
    const text = this.fields.get("~left")
    return text === undefined ? undefined : JSON.parse(text)
  }

  end(): void {
    const inStore = this.stored ?? (this.isCreating ? this.told : undefined)
    if (inStore !== undefined) this.ending = { id: inStore.id, record: inStore.record }
    this.endedMeanwhile = true
    if (this.isReplacing) this.isLost = true
    if (this.isLost) this.isDropping = true
    else this.wanted = this.isPresented || this.cookie !== undefined ? null : undefined
    this.isReplacing = false
    this.isDemanded = false
    this.stored = undefined
    this.nextId = undefined
    this.leaving = undefined
    this.there = new Map()
    this.flashing = undefined
    this.untold = []
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

  /** Whether the store is being told of the session that the request has now. */
  get isTelling(): boolean {
    if (this.told === undefined || this.told.operation === "destroy") return false
    return !this.endedMeanwhile && !this.isLost && !this.isReplacing
  }

  /** What it is told of that session. */
  get underway(): ReadonlyArray<Deed> {
    return this.isTelling ? this.told!.deeds : []
  }

  get fields(): Fields {
    return fieldsAfter(this.there, [...this.underway, ...this.untold])!
  }

  get isWanted(): boolean {
    return this.isDemanded || this.fields.size > 0 || this.saveUninitialized && !this.hasEnded
  }

  /** What the store is to be told; "error" if it can't be done on what is there. */
  tell(now: number): Told | "error" | undefined {
    if (this.isLost) return undefined
    const none = {
      newId: undefined,
      deeds: [],
      touch: false,
      touchAsked: false,
      before: new Map(),
      expected: new Map(),
      effect: identity
    }
    if (this.ending !== undefined) return { operation: "destroy", ...this.ending, ...none }
    const { fields, nextId, stored, there, untold } = this
    if (stored === undefined) {
      const own = this.isReplacing ? fieldsAfter(new Map(), untold) : fields
      if (own === undefined) return "error"
      if (!this.isWanted && !this.isReplacing || nextId === undefined) return undefined
      const record = { ...this.expiry.start(now, own), fields: entered(own, now) }
      return { operation: "create", id: nextId, record, ...none, deeds: untold }
    }
    if (this.leaving !== undefined) {
      const left = this.leaving.by === undefined ? undefined : leftBy(this.leaving.by, fields)
      const own = left === undefined ? fields : new Map(fields).set("~left", left)
      const record = { ...this.expiry.start(now, own), fields: entered(own, now) }
      return { ...none, operation: "regenerate", id: stored.id, newId: nextId, record, deeds: untold, before: there }
    }
    const isDue = this.touchAsked || this.isRenewed || this.expiry.isTouchDue(stored.record, now)
    const isLived = fields.get("~lifetime") !== there.get("~lifetime")
    const touch = isDue || isLived
    const { createdAt, expiresAt, touchedAt } = isDue
      ? this.expiry.touch(stored.record, fields, now)
      : isLived
      ? this.expiry.adjust(stored.record, fields, now)
      : { ...stored.record, expiresAt: this.expiry.end(stored.record) }
    const record = { createdAt, expiresAt, touchedAt, fields }
    const expected = seenBy(untold, there)
    const effect = (fields: Fields) => fieldsAfter(fields, untold, (field) => there.has(field))
    const { touchAsked } = this
    const told = {
      id: stored.id,
      newId: nextId,
      record,
      deeds: untold,
      touch,
      touchAsked,
      before: there,
      expected,
      effect
    }
    if (nextId !== undefined) {
      return { operation: "regenerate", ...told, record: { ...record, fields: entered(fields, now) } }
    }
    if (untold.length > 0) return { operation: "update", ...told }
    return touch ? { operation: "touch", ...told } : undefined
  }

  isNeeded(now: number): boolean {
    if (this.wanted !== undefined) return true
    if (this.isLost) return this.isDropping
    if (this.isCreating) return true
    return this.tell(now) !== undefined || this.stored === undefined && this.isWanted
  }

  begin(now: number): void {
    const told = this.tell(now)
    if (told !== undefined && told !== "error") this.beginTelling(told)
  }

  beginTelling(told: Told): void {
    this.told = told
    this.endedMeanwhile = false
    if (told.operation === "destroy") return
    if (this.isReplacing) {
      this.there = new Map()
      this.isReplacing = false
      this.isDemanded = true
      this.hasEnded = false
    }
    this.untold = []
    this.touchAsked = false
    if (told.operation === "create") this.nextId = undefined
  }

  fail(): void {
    const { deeds, id, operation, touch, touchAsked } = this.told!
    if (this.endedMeanwhile && operation === "create") this.ending = undefined
    if (!this.isLost && !this.isReplacing && !this.endedMeanwhile && operation !== "destroy") {
      if (operation === "create") this.nextId = id
      this.untold = [...deeds, ...this.untold]
      this.touchAsked ||= operation === "touch" ? touchAsked : touch
    }
    this.told = undefined
  }

  /** Something else is there: all is done again on that, unless something is refused. */
  rebase(record: SessionRecord): void {
    if (this.stored === undefined || fieldsAfter(record.fields, this.untold) === undefined) return
    this.stored.record = record
    this.there = record.fields
  }

  /** The session has another id by now: what the request has done is written as if it had come first. */
  inSuccessor(now: number, successor: Fields): Told | undefined {
    const told = this.tell(now)
    if (typeof told !== "object" || told.operation !== "update") return undefined
    const { there, untold } = this
    if (fieldsAfter(successor, untold) === undefined) return undefined
    const functions = new Set(seenBy(untold, there).keys())
    const isDone = (field: string) =>
      onlyAdds(untold, field) || functions.has(field) || there.get(field) === successor.get(field)
    const cleared = untold.some(({ kind }) => kind === "clear") ? [...there.keys(), ...Meta.all] : []
    const ended = untold.flatMap((deed) =>
      deed.kind === "end" ? [...there.keys()].filter((field) => ends(field, deed.reach)) : []
    )
    const touched = [...fieldsOf(untold), ...cleared, ...ended]
    const done = new Set(touched.filter(isDone))
    const expecting = [...functions, ...[...done].filter((field) => !onlyAdds(untold, field))]
    return {
      ...told,
      touch: false,
      expected: new Map(expecting.map((field) => [field, successor.get(field)])),
      effect: (fields) => {
        const after = fieldsAfter(fields, untold)!
        const chosen = [...new Set([...fields.keys(), ...after.keys()])].map((field) =>
          [field, (done.has(field) ? after : fields).get(field)] as const
        )
        return new Map(chosen.filter((entry): entry is [string, string] => entry[1] !== undefined))
      },
      isForSuccessor: true
    }
  }

  beginInSuccessor(now: number, successor: Fields): void {
    this.beginTelling(this.inSuccessor(now, successor)!)
  }

  written(id: Id, token: Token | undefined, isPersistent: boolean): void {
    const { isForSuccessor, newId, operation, record } = this.told!
    const { endedMeanwhile } = this
    this.told = undefined
    if (this.isLost || this.isReplacing) return
    if (operation === "destroy") {
      this.ending = undefined
      return
    }
    if (endedMeanwhile) {
      this.ending = { id, record }
      return
    }
    const persistence = Lifetime.of(record.fields)?.persistence
    const isExtended = (persistence ?? (isPersistent ? "persistent" : "browser")) === "persistent" &&
      record.touchedAt !== this.stored?.record.touchedAt
    const isLived = operation === "update" && record.fields.get("~lifetime") !== this.there.get("~lifetime")
    const sent = token ?? (isExtended || isLived || this.isRenewed ? this.stored?.token : undefined)
    if (isForSuccessor) {
      this.wanted = undefined
      this.cookie = undefined
    } else if (sent !== undefined) {
      this.wanted = { token: sent, expiresAt: record.expiresAt, persistence }
    }
    this.isDemanded = false
    this.stored = { id, token: token ?? this.stored?.token, record }
    this.there = record.fields
    if (operation === "regenerate" && this.nextId === newId) {
      this.nextId = undefined
      this.leaving = undefined
    }
    this.isRenewed = false
  }

  gone(): void {
    if (this.told === undefined || this.isLost || !this.endedMeanwhile) {
      if (this.leaving !== undefined) return this.#overtaken()
      const isRegenerated = this.isReplacing || this.stored !== undefined && this.nextId !== undefined
      this.lose()
      if (isRegenerated) {
        this.isLost = false
        this.isReplacing = true
      }
    }
    this.told = undefined
  }

  /** What has come of the session that the request has logged out of is still to be ended. */
  #overtaken(): void {
    const { flashing, nextId } = this
    const deeds = [...this.underway, ...this.untold]
    this.told = undefined
    this.end()
    this.overtaken = { deeds, flashing, nextId }
  }

  /** After a logout that was overtaken, the request goes on with what it has done by itself. */
  goOnAlone(): void {
    const { deeds, flashing, nextId } = this.overtaken!
    this.nextId = nextId
    if (fieldsAfter(new Map(), deeds) === undefined) return
    this.flashing = flashing
    this.untold = [...deeds, { kind: "set", field: "~left", run: () => undefined }]
  }

  lose(): void {
    const id = this.isCreating ? this.told!.id : undefined
    this.untold = [...this.underway, ...this.untold]
    this.nextId ??= this.stored?.id ?? id
    this.lostTimes = this.stored?.record ?? (this.isLost || this.isReplacing ? this.lostTimes : undefined)
    this.isLost = true
    this.isReplacing = false
    this.isDemanded = false
    this.isDropping = false
    this.isRenewed = false
    this.touchAsked = false
    this.stored = undefined
    this.leaving = undefined
    this.ending = undefined
    this.wanted = undefined
    this.cookie = undefined
  }

  settle(): void {
    if (this.wanted === undefined || this.ending !== undefined) return
    this.cookie = this.wanted
    this.wanted = undefined
  }

  drop(): void {
    if (this.isLost) this.isDropping = false
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
    return this.nextId ?? this.stored?.id ?? (this.isCreating ? this.told!.id : undefined)
  }

  get times(): Times | undefined {
    return this.stored?.record ?? (this.isLost || this.isReplacing ? this.lostTimes : undefined)
  }

  canChange(isStateless: boolean): boolean {
    if (this.phase !== "late") return this.phase === "open"
    return this.stored !== undefined && this.nextId === undefined && !isStateless
  }
}

const identity = (fields: Fields): Fields => fields

/** In the index of the owner, which knows a session that is written under a new id from that moment on. */
const entered = (fields: Fields, now: number): Fields => {
  const owner = Owner.of(fields)
  return owner === undefined
    ? fields
    : new Map(fields).set("~owner", Owner.encode({ ...owner, at: now, until: endOfTime }))
}

const leftBy = (by: string, fields: Fields): string | undefined => {
  const left = [...fields.keys()].filter((field) => scopeOf(field) === "visitor")
  return left.length === 0 ? undefined : JSON.stringify({ by, fields: left })
}

/** The fields that are done something to, after the last clear. */
const fieldsOf = (deeds: ReadonlyArray<Deed>): ReadonlyArray<string> =>
  deeds.slice(deeds.findLastIndex(({ kind }) => kind === "clear") + 1).reduce<ReadonlyArray<string>>(
    (fields, deed) =>
      deed.kind === "clear"
        ? fields
        : deed.kind === "end"
        ? fields.filter((field) => !ends(field, deed.reach))
        : [...fields, deed.field],
    []
  )

/** Additions are done to whatever is there. */
const onlyAdds = (deeds: ReadonlyArray<Deed>, field: string): boolean =>
  deeds.every((deed) =>
    deed.kind === "end"
      ? !ends(field, deed.reach)
      : deed.kind !== "clear" && (deed.field !== field || deed.kind === "add")
  )

// -----------------------------------------------------------------------------
// rollback
// -----------------------------------------------------------------------------

/** Something that has happened: what the handler does, what the store is told and answers, what is learnt otherwise. */
export interface Happening {
  readonly kind: "step" | "end" | "begin" | "answer" | "learnt" | "identified"
  /** Whether the session ends with it. */
  readonly isEnd: boolean
  readonly run: (model: RequestModel) => void
}

/** A model that can take back what is not committed: that has never happened. */
export class ModelWithPast {
  readonly #start: () => RequestModel
  #past: ReadonlyArray<Happening> = []
  /** What was told and not done. */
  readonly #refused = new Set<Happening>()
  now: RequestModel

  constructor(start: () => RequestModel) {
    this.#start = start
    this.now = start()
  }

  happen(kind: Happening["kind"], run: Happening["run"], isEnd = kind === "end"): void {
    this.#past = [...this.#past, { kind, run, isEnd }]
    run(this.now)
  }

  /** The store has not done what it was told last. */
  refuse(): void {
    this.#refused.add(this.#past.findLast(({ kind }) => kind === "begin")!)
  }

  rollback(): void {
    const past = this.#past
    const told = past.findLastIndex((one) => one.kind === "begin" && !this.#refused.has(one))
    const next = past.findIndex(({ kind }, index) => kind === "begin" && index > told)
    const isAnswerOfTold = (index: number) => next === -1 || index < next
    const end = this.#endOf(told)
    this.#past = past.filter(({ kind }, index) =>
      index <= end ||
      (index <= told
        ? kind !== "step" && kind !== "identified"
        : kind === "learnt" || kind === "identified" || kind === "answer" && isAnswerOfTold(index))
    )
    const { phase } = this.now
    this.now = this.#replayed(this.#past)
    this.now.phase = phase
  }

  /** Where what was told ends: what comes after the end of a session is not told with it. */
  #endOf(told: number): number {
    return told >= 0 && this.#replayed(this.#past.slice(0, told + 1)).told?.operation === "destroy"
      ? this.#past.findLastIndex(({ isEnd }, index) => isEnd && index < told)
      : told
  }

  #replayed(past: ReadonlyArray<Happening>): RequestModel {
    const model = this.#start()
    for (const { run } of past) run(model)
    return model
  }
}
