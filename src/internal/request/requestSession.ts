/**
 * The session of one request: loaded at its first use, changed in memory, and written at commit. It is the one place
 * where it is decided whether and what to commit; it knows no HTTP but what {@link Client} offers.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import type { JsonObject } from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import type { Settings } from "../../SessionConfig.ts"
import {
  SessionClosedError,
  SessionReadonlyError,
  type SessionStoreError,
  type SessionTooLargeError,
  type StoreOperation
} from "../../SessionError.ts"
import type { Loaded, SessionStore, Written } from "../../SessionStore.ts"
import type { Presented } from "../http/cookie.ts"
import * as Change from "../record/change.ts"
import * as Expiry from "../record/expiry.ts"
import * as Flash from "../record/flash.ts"
import type { Fields, SessionRecord } from "../record/record.ts"
import * as Identifier from "../token/identifier.ts"
import { carryOut, type Intent } from "./intent.ts"
import * as Observability from "./observability.ts"

/** What all requests of an application share. */
export interface Environment {
  readonly settings: Settings
  /** Where sessions are kept; `undefined` for a session that ends with its request. */
  readonly store: SessionStore | undefined
  readonly expiry: Expiry.Expiry
  readonly generateId: Effect.Effect<string>
  readonly storeTimes: { readonly [Operation in StoreOperation]: Metric.Metric<number, unknown> }
}

export const makeEnvironment = (
  settings: Settings,
  store: SessionStore | undefined,
  generateId: Effect.Effect<string>
): Environment => {
  const time = (operation: StoreOperation) => Observability.storeTime(store?.driver ?? "none", operation)
  return {
    settings,
    store: settings.enabled ? store : undefined,
    expiry: Expiry.make(settings),
    generateId,
    storeTimes: {
      load: time("load"),
      create: time("create"),
      update: time("update"),
      touch: time("touch"),
      regenerate: time("regenerate"),
      destroy: time("destroy")
    }
  }
}

/** What a session asks of its request. */
export interface Client {
  readonly present: () => Presented
  /** The fields of the request's body, for flashing a whole form. */
  readonly input: Effect.Effect<JsonObject>
}

/** What the cookie shall do in the response. */
export type Outgoing =
  | { readonly _tag: "Send"; readonly token: Redacted.Redacted<string>; readonly expiresAt: number }
  | { readonly _tag: "Clear" }

/** What a commit came to; `Dropped`: the session was gone, and so are the changes. */
export type Committed = "Done" | "Dropped"

type Status =
  /** Not looked at yet. */
  | "unloaded"
  /** There is none, or not yet. */
  | "anonymous"
  /** It is in the store. */
  | "existing"
  /** Another request has ended it or given it a new id: nothing of this request counts, not even its cookie. */
  | "lost"

type Phase =
  /** The handler runs. */
  | "open"
  /** The headers are out and the body is being streamed. */
  | "late"
  /** Whatever comes now is lost. */
  | "closed"

const noFields: Fields = new Map()

const noMessages: JsonObject = {}

const nothing: Presented = { _tag: "None" }

export class RequestSession {
  readonly "~effect-session/Session" = "~effect-session/Session"
  readonly #environment: Environment
  readonly #client: Client
  readonly isReadonly: boolean

  #status: Status = "unloaded"
  #phase: Phase = "open"
  #ready: Effect.Effect<void, SessionStoreError> | undefined

  #id: Redacted.Redacted<string> | undefined
  #token: Redacted.Redacted<string> | undefined
  #stored: SessionRecord | undefined
  #fields: Fields = noFields
  #change: Change.Change = Change.none
  #newId: Redacted.Redacted<string> | undefined
  #ended: { readonly id: Redacted.Redacted<string>; readonly record: SessionRecord } | undefined
  #touchAsked = false
  /** The client must get the token, though it is the same session. */
  #isRenewed = false
  #isFresh = false
  #hasEnded = false
  /** How often the session was ended: what was saved of an earlier life must be ended as well. */
  #life = 0

  #presented = false
  /** What the cookie shall do once the next commit has succeeded. */
  #wanted: Outgoing | undefined
  /** What the cookie shall do in the response: all that was committed. */
  #outgoing: Outgoing | undefined
  #flashed: JsonObject = noMessages
  #flashing: { readonly field: string; readonly messages: JsonObject } | undefined
  #turn: Semaphore.Semaphore | undefined

  constructor(
    environment: Environment,
    client: Client,
    options?: { readonly readonly?: boolean; readonly fields?: Fields }
  ) {
    this.#environment = environment
    this.#client = client
    this.isReadonly = options?.readonly ?? false
    this.#fields = options?.fields ?? noFields
  }

  // ---------------------------------------------------------------------------
  // loading
  // ---------------------------------------------------------------------------

  get isInitiated(): boolean {
    return this.#status !== "unloaded"
  }

  /** Loads the session, once, however many fibers ask. A failure stays: the request has no session. */
  get ready(): Effect.Effect<void, SessionStoreError> {
    return this.#ready ?? Effect.withFiber((fiber) => this.readyIn(fiber))
  }

  /** The same, for who has the fiber at hand. */
  readyIn(fiber: AnyFiber): Effect.Effect<void, SessionStoreError> {
    return this.#ready ?? this.#present(fiber)
  }

  #present(fiber: AnyFiber): Effect.Effect<void, SessionStoreError> {
    const { store } = this.#environment
    const presented = store === undefined ? nothing : this.#client.present()
    this.#presented = presented._tag !== "None"
    if (store !== undefined && presented._tag === "Token") {
      return this.#load(store, Redacted.make(presented.token), fiber)
    }
    this.#ready = this.#begin()
    return presented._tag === "Duplicate" ? this.#rejected(fiber, "duplicate") : this.#ready
  }

  #load(
    store: SessionStore,
    token: Redacted.Redacted<string>,
    fiber: AnyFiber
  ): Effect.Effect<void, SessionStoreError> {
    let start: number | undefined
    let others: Deferred.Deferred<void, SessionStoreError> | undefined
    const underway: Effect.Effect<void, SessionStoreError> = Effect.suspend(() =>
      this.#ready === underway ? Deferred.await(others ??= Deferred.makeUnsafe()) : this.ready
    )
    const load = Effect.suspend(() => {
      // Another fiber has been quicker.
      if (this.#ready !== undefined) return this.#ready
      this.#ready = underway
      start = performance.now()
      Observability.count(Observability.loads, fiber)
      const loaded = Effect.flatMap(store.load(token), (loaded) => this.#loaded(loaded, token, fiber))
      return Observability.spanned("Session.load", store.driver, fiber, loaded)
    })
    // Around all of it: whoever is interrupted after the first step must not leave the others waiting.
    return Effect.onExitPrimitive(load, (exit) => {
      if (start === undefined) return undefined
      Observability.took(this.#environment.storeTimes.load, start, fiber)
      // Who waits for a fiber that was interrupted loads by itself.
      const interrupted = Exit.hasInterrupts(exit)
      this.#ready = interrupted ? undefined : exit
      if (others) Deferred.doneUnsafe(others, interrupted ? Effect.suspend(() => this.ready) : exit)
      return undefined
    })
  }

  #begin(): Effect.Effect<void> {
    this.#status = "anonymous"
    this.#isFresh = true
    return Exit.void
  }

  #loaded(loaded: Loaded, token: Redacted.Redacted<string>, fiber: AnyFiber): Effect.Effect<void> {
    switch (loaded._tag) {
      case "Found": {
        this.#status = "existing"
        this.#id = loaded.id
        this.#token = token
        this.#adopt(loaded.record)
        if (loaded.renewed !== undefined) {
          this.#token = loaded.renewed
          // It goes out with the next write: that finds out whether the session is still there.
          this.#isRenewed = true
        }
        return Observability.annotateHandle(fiber, () => this.#handle)
      }
      case "NotFound": {
        this.#begin()
        if (loaded.reason === "expired") Observability.count(Observability.expiries, fiber)
        return this.#rejected(fiber, loaded.reason, token)
      }
      case "Superseded": {
        this.#status = "lost"
        return this.#rejected(fiber, "superseded", token)
      }
    }
  }

  /** Flash messages leave the session as soon as a request has them; a rollback puts them back. */
  #adopt(record: SessionRecord): void {
    this.#stored = record
    this.#fields = record.fields
    const fields = Flash.fieldsOf(record.fields)
    if (fields.length === 0) return
    this.#flashed = Flash.messagesIn(record.fields, fields)
    if (!this.isReadonly) this.change(fields.reduce(Change.remove, Change.none))
  }

  #rejected(
    fiber: AnyFiber,
    reason: Observability.Rejection,
    token?: Redacted.Redacted<string>
  ): Effect.Effect<void> {
    Observability.count(Observability.rejections[reason], fiber)
    const annotations = { reason, ...(token && { handle: Identifier.handle(Redacted.value(token)) }) }
    return Observability.event(reason === "tampered" ? "Warn" : "Debug", "Session token rejected", annotations)
  }

  // ---------------------------------------------------------------------------
  // reading; only after `ready`
  // ---------------------------------------------------------------------------

  get fields(): Fields {
    return this.#fields
  }

  get flashed(): JsonObject {
    return this.#flashed
  }

  get isFresh(): boolean {
    return this.#isFresh
  }

  get times(): SessionRecord | undefined {
    return this.#stored
  }

  /** Whether the cookie itself holds the session. */
  get isStateless(): boolean {
    return this.#environment.store?.stateless === true
  }

  get settings(): Settings {
    return this.#environment.settings
  }

  get input(): Effect.Effect<JsonObject> {
    return this.#client.input
  }

  /** The id, drawn now if there is none yet. */
  get id(): Effect.Effect<Redacted.Redacted<string>> {
    const id = this.#newId ?? this.#id
    return id !== undefined ? Effect.succeed(id) : Effect.map(this.#drawId, (drawn) => this.#id ??= drawn)
  }

  get #drawId(): Effect.Effect<Redacted.Redacted<string>> {
    return Effect.map(this.#environment.generateId, (id) => {
      if (!Identifier.isWellFormed(id)) {
        throw new Error("SessionConfig.GenerateId: an id must be 22 to 128 characters of base64url")
      }
      return Redacted.make(id)
    })
  }

  // ---------------------------------------------------------------------------
  // changing; only after `ready`
  // ---------------------------------------------------------------------------

  get isOpen(): boolean {
    return this.#phase === "open"
  }

  /** Why a change is not possible now, if it is not. */
  refusal(operation: string): SessionReadonlyError | SessionClosedError | undefined {
    if (this.isReadonly) return new SessionReadonlyError({ operation })
    if (this.#phase === "open") return undefined
    // A change can still be saved if the client needs no other cookie for it than it has.
    const isPossible = this.#phase === "late" && this.#status === "existing" && this.#newId === undefined &&
      this.#environment.store?.stateless === false
    return isPossible ? undefined : new SessionClosedError({ operation })
  }

  change(change: Change.Change): Effect.Effect<void> {
    this.#change = Change.compose(this.#change, change)
    this.#fields = Change.apply(this.#fields, change)
    return Exit.void
  }

  flash(messages: JsonObject, clock: Clock.Clock): Effect.Effect<void> {
    // Nothing to flash is no reason to create a session.
    if (Object.keys(messages).length === 0) return Exit.void
    const field = this.#flashing?.field ?? Flash.fieldName(clock.currentTimeMillisUnsafe())
    this.#flashing = { field, messages: Flash.assign(this.#flashing?.messages ?? {}, messages) }
    return this.change(Change.set(Change.none, field, JSON.stringify(this.#flashing.messages)))
  }

  clear(): Effect.Effect<void> {
    this.#flashing = undefined
    return this.change(Change.clear(Change.none))
  }

  touch(): Effect.Effect<void> {
    this.#touchAsked = true
    return this.change(Change.none)
  }

  get regenerate(): Effect.Effect<void> {
    return Effect.map(this.#drawId, (id) => {
      this.#isFresh = true
      if (this.#status === "existing") this.#newId = id
      else this.#id = id
    })
  }

  /** Ends the session; what is put from now on goes to a new one. */
  destroy(): void {
    if (this.#status === "existing") {
      this.#ended ??= { id: this.#id!, record: this.#stored! }
    }
    if (this.#status !== "lost") {
      this.#status = "anonymous"
      this.#wanted = this.#presented || this.#outgoing !== undefined ? { _tag: "Clear" } : undefined
    }
    this.#life++
    this.#id = undefined
    this.#newId = undefined
    this.#token = undefined
    this.#stored = undefined
    this.#fields = noFields
    this.#change = Change.none
    this.#flashing = undefined
    this.#isFresh = true
    this.#hasEnded = true
    this.#isRenewed = false
  }

  // ---------------------------------------------------------------------------
  // committing
  // ---------------------------------------------------------------------------

  /** What the cookie shall do in the response, of all that was committed. */
  get outgoing(): Outgoing | undefined {
    return this.#status === "lost" ? undefined : this.#outgoing
  }

  /**
   * Writes what has changed, if anything, in one operation of the store. It is not interrupted halfway, and commits of
   * parallel fibers take turns. After a failure the changes are still there, for another try.
   */
  commit(clock: Clock.Clock): Effect.Effect<Committed, CommitFailure> {
    const { store } = this.#environment
    if (store === undefined || this.isReadonly) return done
    // Most requests only read: for them a commit is nothing but this.
    if (this.#turn === undefined && this.#isUpToDate(clock)) return done
    const turn = this.#turn ??= Semaphore.makeUnsafe(1)
    const committed = Effect.withFiber<Committed, CommitFailure>((fiber) =>
      Effect.map(
        this.#ended === undefined ? this.#save(store, clock, fiber) : this.#endAndSave(store, clock, fiber),
        (committed) => {
          this.#outgoing = this.#wanted ?? this.#outgoing
          this.#wanted = undefined
          return committed
        }
      )
    )
    return Effect.uninterruptible(Semaphore.withPermit(turn, committed))
  }

  #isUpToDate(clock: Clock.Clock): boolean {
    if (this.#ended !== undefined || this.#wanted !== undefined) return false
    switch (this.#status) {
      case "unloaded":
        return true
      case "anonymous":
        return !this.#isWanted
      case "existing":
        return this.#newId === undefined && Change.isEmpty(this.#change) && !this.#isTouchDue(clock)
      case "lost":
        return Change.isEmpty(this.#change) && !this.#hasEnded
    }
  }

  /** Who has just ended a session does not want an empty one in its place. */
  get #isWanted(): boolean {
    return this.#fields.size > 0 || this.settings.saveUninitialized && !this.#hasEnded
  }

  #isTouchDue(clock: Clock.Clock): boolean {
    return this.#touchAsked || this.#isRenewed ||
      this.#environment.expiry.isTouchDue(this.#stored!, clock.currentTimeMillisUnsafe())
  }

  #endAndSave(store: SessionStore, clock: Clock.Clock, fiber: AnyFiber): Effect.Effect<Committed, CommitFailure> {
    const { id, record } = this.#ended!
    const destroy = Effect.flatMap(this.#storing("destroy", store, fiber, store.destroy(id, record)), () => {
      this.#ended = undefined
      return Observability.happened("destroy", id, fiber)
    })
    return Effect.andThen(destroy, Effect.suspend(() => this.#save(store, clock, fiber)))
  }

  #save(store: SessionStore, clock: Clock.Clock, fiber: AnyFiber): Effect.Effect<Committed, CommitFailure> {
    if (this.#isUpToDate(clock)) return done
    if (this.#status === "lost") return this.#drop(fiber)
    // A request may take longer than the session has to live; whether another one has extended it, the store knows.
    const isOver = this.#status === "existing" &&
      this.#environment.expiry.isExpired(this.#stored!, clock.currentTimeMillisUnsafe())
    if (!isOver) return this.#write(store, clock, fiber)
    return Effect.flatMap(
      this.#isExtended(store),
      (isExtended) => isExtended ? this.#write(store, clock, fiber) : this.#drop(fiber)
    )
  }

  #isExtended(store: SessionStore): Effect.Effect<boolean, SessionStoreError> {
    return Effect.map(store.load(this.#token!), (loaded) => {
      if (loaded._tag !== "Found") return false
      const { createdAt, expiresAt, touchedAt } = loaded.record
      this.#stored = { ...this.#stored!, createdAt, expiresAt, touchedAt }
      return true
    })
  }

  #write(store: SessionStore, clock: Clock.Clock, fiber: AnyFiber): Effect.Effect<Committed, CommitFailure> {
    const drawn: Effect.Effect<unknown> = this.#status === "anonymous" ? this.id : Exit.void
    return Effect.flatMapEager(drawn, () => {
      // While the id was drawn, another fiber may have ended the session.
      if (this.#status === "anonymous" && this.#id === undefined) return this.#save(store, clock, fiber)
      const intent = this.#intent(clock)
      if (intent === undefined) return done
      const life = this.#life
      const change = this.#change
      const touchAsked = this.#touchAsked
      this.#change = Change.none
      this.#touchAsked = false
      const carriedOut = carryOut(store, intent, this.#drawId)
      return Effect.matchCauseEffect(this.#storing(intent.operation, store, fiber, carriedOut), {
        onFailure: (cause) => {
          if (life === this.#life) {
            this.#change = Change.compose(change, this.#change)
            this.#touchAsked ||= touchAsked
          }
          return Effect.failCause(cause)
        },
        onSuccess: ({ id, outcome }) => {
          if (life !== this.#life) {
            this.#ended = { id, record: intent.record }
            return done
          }
          return outcome._tag === "Gone" ? this.#drop(fiber) : this.#saved(intent, id, outcome, fiber)
        }
      })
    })
  }

  /** The one operation that brings the store up to date, if it is not. */
  #intent(clock: Clock.Clock): Intent | undefined {
    const { expiry } = this.#environment
    const now = clock.currentTimeMillisUnsafe()
    const id = this.#id!
    if (this.#status === "anonymous") {
      return this.#isWanted
        ? { operation: "create", id, record: { ...expiry.start(now), fields: this.#fields } }
        : undefined
    }
    const stored = this.#stored!
    const touch = this.#isTouchDue(clock)
    const times = touch ? expiry.touch(stored, now) : stored
    const record: SessionRecord = {
      createdAt: times.createdAt,
      touchedAt: times.touchedAt,
      expiresAt: times.expiresAt,
      fields: this.#fields
    }
    const change = this.#change.touch === touch ? this.#change : { ...this.#change, touch }
    if (this.#newId !== undefined) return { operation: "regenerate", id, newId: this.#newId, record, change }
    if (!Change.isEmpty(change)) return { operation: "update", id, record, change }
    return touch ? { operation: "touch", id, record } : undefined
  }

  #saved(
    intent: Intent,
    id: Redacted.Redacted<string>,
    { token }: Written,
    fiber: AnyFiber
  ): Effect.Effect<Committed> {
    const { operation, record } = intent
    const isExtended = record.touchedAt !== this.#stored?.touchedAt && this.settings.cookie.persistence === "persistent"
    this.#status = "existing"
    this.#id = id
    this.#stored = record
    if (token !== undefined) this.#send(token, record.expiresAt)
    else if (isExtended || this.#isRenewed) this.#send(this.#token!, record.expiresAt)
    this.#isRenewed = false
    if (intent.operation === "regenerate" && this.#newId === intent.newId) this.#newId = undefined
    return Effect.flatMapEager(Observability.happened(operation, id, fiber), () => done)
  }

  #send(token: Redacted.Redacted<string>, expiresAt: number): void {
    this.#token = token
    this.#wanted = { _tag: "Send", token, expiresAt }
  }

  #drop(fiber: AnyFiber): Effect.Effect<Committed> {
    this.#status = "lost"
    this.#change = Change.none
    this.#hasEnded = false
    return Effect.as(Observability.happened("drop", this.#id, fiber), "Dropped")
  }

  // ---------------------------------------------------------------------------
  // closing
  // ---------------------------------------------------------------------------

  /** Nothing more can be saved. */
  close(): void {
    this.#phase = "closed"
  }

  /** The headers are out, and only what needs no other cookie can still be saved. */
  stayOpenLate(): void {
    this.#phase = "late"
  }

  /** This is not the request's session any more: nothing of it counts. */
  abandon(): void {
    this.#phase = "closed"
    this.#status = "lost"
    this.#change = Change.none
    this.#hasEnded = false
  }

  // ---------------------------------------------------------------------------
  // observing
  // ---------------------------------------------------------------------------

  #storing<A, E>(
    operation: StoreOperation,
    store: SessionStore,
    fiber: AnyFiber,
    effect: Effect.Effect<A, E>
  ): Effect.Effect<A, E> {
    const start = performance.now()
    const timed = Effect.onExitPrimitive(effect, () => {
      Observability.took(this.#environment.storeTimes[operation], start, fiber)
      return undefined
    })
    return Observability.spanned("Session.commit", store.driver, fiber, timed, () => this.#handle)
  }

  get #handle(): string {
    const id = this.#newId ?? this.#id ?? this.#ended?.id
    return id === undefined ? "" : Identifier.handle(Redacted.value(id))
  }
}

type AnyFiber = Fiber.Fiber<unknown, unknown>

type CommitFailure = SessionStoreError | SessionTooLargeError

const done = Effect.succeed<Committed>("Done")
