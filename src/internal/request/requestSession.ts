/**
 * The session of one request: a state that operations and commits advance. It knows nothing of HTTP except
 * {@link Client}.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { JsonObject } from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import type { Settings } from "../../SessionConfig.ts"
import {
  SessionClosedError,
  type SessionConflictError,
  type SessionLimitError,
  SessionReadonlyError,
  type SessionStoreError,
  SessionValueError
} from "../../SessionError.ts"
import type { EndedBy } from "../../SessionEvent.ts"
import type { Added } from "../../SessionOwners.ts"
import type { OwnerEntry } from "../../SessionStore.ts"
import * as Authentication from "../record/authentication.ts"
import type * as Draft from "../record/draft.ts"
import { type Expiry, isCut } from "../record/expiry.ts"
import * as Flash from "../record/flash.ts"
import * as Lifetime from "../record/lifetime.ts"
import * as Meta from "../record/meta.ts"
import * as Owner from "../record/owner.ts"
import { howDeep, isTooDeep, type SessionRecord } from "../record/record.ts"
import { Token } from "../token/secret.ts"
import { commit, type CommitFailure, type Committed } from "./committing.ts"
import type { Environment } from "./environment.ts"
import * as Events from "./events.ts"
import type { Intent } from "./intent.ts"
import { load } from "./loading.ts"
import * as Observability from "./observability.ts"
import * as Operation from "./operations.ts"
import * as Outcome from "./outcomes.ts"
import * as State from "./state.ts"

/** What a session needs from its request. */
export interface Client {
  readonly present: () => Presented
  /** The fields of the request's body, for flashing a whole form. */
  readonly input: Effect.Effect<JsonObject>
  readonly messages: Messages
  /** Whether the response, as known so far, may carry a cookie that only extends the session. */
  readonly takesCookie: boolean
  /** Whether using the session extends it. Default `true`. */
  readonly isUse?: boolean
  /** The handler has the token, so the client gets it in no other way. */
  readonly issue?: () => void
  /** Who ends the session, for events. Default `"itself"`. */
  readonly endsAs?: EndedBy
}

/**
 * What happens to waiting flash messages: they are consumed when shown; they stay in the session; or they are hidden
 * and wait for another request.
 */
export type Messages = "leave" | "stay" | "wait"

/** What a request presents: one token, none, or several contradicting ones. */
export type Presented =
  | { readonly _tag: "None" }
  | { readonly _tag: "Token"; readonly token: string }
  | { readonly _tag: "Duplicate" }

/** An entry in the index of an owner, made by this request. */
export interface Indexed extends OwnerEntry {
  readonly owner: string
  /** Whether the store was asked to write the session. */
  readonly isUsed: boolean
}

/** The options of a login. */
export interface Login {
  readonly owner: string
  /** How the owner has just authenticated. */
  readonly methods?: Authentication.Methods | undefined
  readonly lifetime?: Lifetime.Lifetime | undefined
  /** How the visitor's values are merged. */
  readonly merges: Operation.Merges
}

/** A change to a session that can be replayed on another one. */
export type Step = (session: RequestSession) => Taken

export type Taken = Exit.Exit<void, SessionValueError | SessionConflictError | SessionClosedError>

/** The state to restore if an atomic commit fails. */
interface Before {
  readonly state: State.State
  readonly committed: State.State
  readonly siteData: ReadonlyArray<string> | undefined
}

// Its fields are private, so that inspecting it shows neither tokens nor the request.
export class RequestSession {
  readonly "~effect-session/Session" = "~effect-session/Session"
  readonly #environment: Environment
  readonly #client: Client
  readonly #isReadonly: boolean
  #state: State.State = State.unloaded
  /** The state without uncommitted changes. */
  #committed: State.State = State.unloaded
  #committedBefore: State.State = State.unloaded
  #phase: State.Phase = "open"
  #loading: Exit.Exit<void, SessionStoreError> | "underway" | undefined
  #isCommitting = false
  /** Signals that other fibers wait for while one loads or commits. */
  #underway: Deferred.Deferred<void> | undefined
  #turnWith: Semaphore.Semaphore | undefined
  #steps: Array<Step> | undefined
  #siteData: ReadonlyArray<string> | undefined
  #before: Before | undefined
  #indexed: Indexed | undefined

  constructor(
    environment: Environment,
    client: Client,
    options?: { readonly readonly?: boolean }
  ) {
    this.#environment = environment
    this.#client = client
    this.#isReadonly = options?.readonly ?? false
  }

  /** The session that this one is an atomic part of, if any. */
  get parent(): RequestSession | undefined {
    return undefined
  }

  get environment(): Environment {
    return this.#environment
  }

  get client(): Client {
    return this.#client
  }

  get isReadonly(): boolean {
    return this.#isReadonly
  }

  get state(): State.State {
    return this.#state
  }

  set state(state: State.State) {
    this.#state = state
  }

  /** Which changes are still possible. */
  get phase(): State.Phase {
    return this.#phase
  }

  set phase(phase: State.Phase) {
    this.#phase = phase
  }

  /** The recorded changes, if recording is on. */
  get steps(): Array<Step> | undefined {
    return this.#steps
  }

  set steps(steps: Array<Step> | undefined) {
    this.#steps = steps
  }

  get settings(): Settings {
    return this.environment.settings
  }

  /** Whether the cookie itself contains the session. */
  get isStateless(): boolean {
    return this.environment.store?.stateless === true
  }

  get expiry(): Expiry {
    return this.environment.expiry
  }

  /** Whether a cookie that was not requested waits for the next response. */
  get cookieWaits(): boolean {
    return !this.client.takesCookie
  }

  /** Whether extending the session waits for the next response: the stored record must not outlive the cookie. */
  get extensionWaits(): boolean {
    return this.client.isUse === false || (this.isStateless || this.isPersistent) && this.cookieWaits
  }

  /** Whether its cookie survives closing the browser. */
  get isPersistent(): boolean {
    const byDefault = this.settings.cookie.persistence === "persistent"
    return State.isStored(this.#state) ? Lifetime.isPersistent(this.#state.record.fields, byDefault) : byDefault
  }

  // ---------------------------------------------------------------------------
  // loading
  // ---------------------------------------------------------------------------

  get isInitiated(): boolean {
    return this.state._tag !== "Unloaded"
  }

  /** Whether it is loaded. */
  get isReady(): boolean {
    const loading = this.#loading
    return loading !== undefined && loading !== "underway" && loading._tag === "Success"
  }

  /** Loads the session once, however many fibers ask. After a failure, the request has no session. */
  get ready(): Effect.Effect<void, SessionStoreError> {
    return Effect.withFiber((fiber) => this.readyIn(fiber))
  }

  /** The same, for a caller that already has its fiber. */
  readyIn(fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<void, SessionStoreError> {
    const loading = this.#loading
    if (loading === undefined) return load(this, fiber)
    return loading === "underway" ? Effect.andThen(this.#untilOver, this.ready) : loading
  }

  /** Whether this fiber must load the session; otherwise another one has already started. */
  beginLoading(): boolean {
    if (this.#loading !== undefined) return false
    this.#loading = "underway"
    return true
  }

  /** After an interruption, the waiting fibers load it themselves. */
  endLoading(exit: Exit.Exit<void, SessionStoreError>): void {
    this.#loading = Exit.hasInterrupts(exit) ? undefined : exit
    this.#wakeOthers()
  }

  get #untilOver(): Effect.Effect<void> {
    return Deferred.await(this.#underway ??= Deferred.makeUnsafe())
  }

  #wakeOthers(): void {
    if (this.#underway === undefined) return
    Deferred.doneUnsafe(this.#underway, Exit.void)
    this.#underway = undefined
  }

  /** The session is this one, and need not be loaded. */
  beginWith(id: State.Id, record: SessionRecord): void {
    const keepsMessages = this.isReadonly || this.client.messages !== "leave"
    this.begin(Outcome.found({ id, record, renewed: undefined }, undefined, keepsMessages))
    this.endLoading(Exit.void)
  }

  /** There is no session yet. */
  beginAnew(isPresented: boolean): void {
    this.begin(Outcome.absent(isPresented, this.environment.initial))
  }

  /** The session is known: its contents, if any. */
  begin(state: State.Loaded): void {
    this.#state = this.#committed = state
  }

  // ---------------------------------------------------------------------------
  // the state; only after `ready`
  // ---------------------------------------------------------------------------

  get loaded(): State.Loaded {
    return this.state as State.Loaded
  }

  /** Whether the handler has uncommitted changes. Reading flash messages does not count. */
  get hasChanges(): boolean {
    return this.#state !== this.#committed
  }

  /** An operation of the handler. */
  update(f: (state: State.Loaded) => State.Loaded): Effect.Effect<void> {
    this.#steps?.push((session) => {
      session.update(f)
      return Exit.void
    })
    this.#state = f(this.loaded)
    return Exit.void
  }

  /** An operation that can fail on the current value. */
  tryUpdate(f: (state: State.Loaded) => Draft.Rewriting<State.Loaded>): Draft.Rewriting<void> {
    const next = f(this.loaded)
    if (Exit.isFailure(next)) return Exit.failCause(next.cause)
    this.#steps?.push((session) => session.tryUpdate(f))
    this.#state = next.value
    return Exit.void
  }

  put(field: string, text: string): Effect.Effect<void> {
    this.#steps?.push((session) => {
      session.put(field, text)
      return Exit.void
    })
    this.#state = Operation.put(this.loaded, field, text)
    return Exit.void
  }

  /** A function has computed `text` from the current value. */
  rewritten(field: string, rewrite: Draft.Rewrite, text: string | undefined): Effect.Effect<void> {
    this.#steps?.push((session) => session.rewrite(field, rewrite))
    this.#state = Operation.rewritten(this.loaded, field, rewrite, text)
    return Exit.void
  }

  /** The same, if the function's result is not known yet. */
  rewrite(field: string, rewrite: Draft.Rewrite): Draft.Rewriting<void> {
    return Exit.map(rewrite(State.seen(this.loaded, field)), (text) => void this.rewritten(field, rewrite, text))
  }

  /** Applies all of these steps or none. */
  take(steps: ReadonlyArray<Step>): Taken {
    const before = this.#state
    const siteData = this.#siteData
    const length = this.#steps?.length
    for (const step of steps) {
      const taken = step(this)
      if (Exit.isSuccess(taken)) continue
      this.#state = before
      this.#siteData = siteData
      if (length !== undefined) this.#steps!.length = length
      return taken
    }
    return Exit.void
  }

  /** Applies all of these steps and commits. If that fails, none of them are kept. Calls run one at a time. */
  commitWith(
    steps: ReadonlyArray<Step>,
    clock: Clock.Clock
  ): Effect.Effect<Committed, CommitFailure | SessionClosedError> {
    const committed = Effect.suspend((): Effect.Effect<Committed, CommitFailure | SessionClosedError> => {
      const before = { state: this.#state, committed: this.#committed, siteData: this.#siteData }
      const isKept = this.#steps !== undefined
      const all = this.#steps ??= []
      const length = all.length
      const taken = this.take(steps)
      const own = all.length - length
      if (!isKept) this.#steps = Exit.isSuccess(taken) ? all : undefined
      if (Exit.isFailure(taken)) return Exit.failCause(taken.cause)
      this.#before = before
      return Effect.onExitPrimitive(this.commit(clock), (exit) => {
        const { committed, siteData, state } = this.#before!
        this.#before = undefined
        // Unless a part of it has been committed anyway.
        if (Exit.isFailure(exit) && this.#committed === committed) {
          const others = all.splice(length).slice(own)
          this.#state = state
          this.#siteData = siteData
          for (const step of others) step(this)
        }
        if (!isKept) this.#steps = undefined
        return undefined
      })
    })
    return this.inTurn(committed)
  }

  /** Discards uncommitted changes. */
  rollback(): Effect.Effect<void> {
    this.#state = this.#committed
    this.#siteData = undefined
    return Exit.void
  }

  // ---------------------------------------------------------------------------
  // what the store is told and answers; only for commits
  // ---------------------------------------------------------------------------

  /** The uncommitted changes are being sent to the store. */
  tell(intent: Intent): void {
    this.#committedBefore = this.#committed
    this.#committed = intent.operation === "destroy" ? Outcome.endedOnly(this.loaded) : this.#state
    this.learn(Outcome.sent, intent)
  }

  /** There is nothing to send to the store. */
  tellNothing(): void {
    this.#committed = this.#state
  }

  /** The store's answer applies to what it was sent, whatever the handler has done in the meantime. */
  learn(f: (state: State.Loaded) => State.Loaded): void
  learn<Fact>(f: (state: State.Loaded, fact: Fact) => State.Loaded, fact: Fact): void
  learn(f: (state: State.Loaded, fact: unknown) => State.Loaded, fact?: unknown): void {
    const next = f(this.loaded, fact)
    this.#committed = this.#committed === this.#state ? next : f(this.#committed as State.Loaded, fact)
    this.#state = next
  }

  /** Whether a fiber is committing. */
  get isCommitting(): boolean {
    return this.#isCommitting
  }

  /** Waits until that commit ends; yet another fiber may have started one by then. */
  get untilCommitted(): Effect.Effect<void> {
    return this.#isCommitting ? this.#untilOver : Exit.void
  }

  beginCommit(): void {
    this.#isCommitting = true
  }

  endCommit(): void {
    this.#isCommitting = false
    this.#wakeOthers()
  }

  /** The store has failed. */
  refused(intent: Intent): void {
    this.#committed = this.#committedBefore
    this.#state = Outcome.failed(this.loaded, intent)
  }

  /** The middleware runs again, so this is no longer the request's session. */
  abandon(): void {
    this.state = Outcome.abandoned(this.state)
    this.phase = "closed"
  }

  /** What the browser is asked to forget when the request is committed. */
  get siteData(): ReadonlyArray<string> | undefined {
    return this.#siteData
  }

  clearSiteData(data: ReadonlyArray<string>): Effect.Effect<void> {
    this.#steps?.push((session) => {
      session.clearSiteData(data)
      return Exit.void
    })
    this.#siteData = data
    return Exit.void
  }

  /** The id, generated now if there is none yet. */
  get id(): Effect.Effect<State.Id> {
    const id = State.idOf(this.loaded)
    if (id !== undefined) return Effect.succeed(id)
    return Effect.map(this.environment.drawId, (drawn) => {
      this.identify(drawn)
      return State.idOf(this.loaded)!
    })
  }

  /** A rollback keeps the id. */
  identify(id: State.Id): void {
    const before = this.#before
    const isUnwritten = before?.committed === this.#committed
    this.learn(Operation.identified, id)
    if (isUnwritten) {
      const state = Operation.identified(before!.state as State.Loaded, id)
      this.#before = { ...before!, state, committed: this.#committed }
    }
    // Even if the store rejects what it is being sent.
    this.#committedBefore = Operation.identified(this.#committedBefore as State.Loaded, id)
  }

  /** Why a change is not possible now, if it is not. */
  refusal(operation: string): SessionReadonlyError | SessionClosedError | undefined {
    if (this.isReadonly) return new SessionReadonlyError({ operation })
    return State.canChange(this.state, this.phase, this.isStateless) ? undefined : new SessionClosedError({ operation })
  }

  /** Flashes messages of the application. */
  flash(messages: JsonObject, clock: Clock.Clock): Effect.Effect<void, SessionValueError> {
    for (const [key, message] of Object.entries(messages)) {
      if (isTooDeep(message)) {
        return Effect.fail(new SessionValueError({ key, operation: "encode", path: [], expected: howDeep }))
      }
    }
    return this.#flash(messages, clock, false)
  }

  /**
   * Flashes the fields of a form, except those that are too large or too deep: input from a client is never an error.
   */
  flashForm(form: JsonObject, clock: Clock.Clock, limit: number): Effect.Effect<void> {
    return this.#flash(Flash.fitting(Flash.eligible(form, limit), limit), clock, true)
  }

  #flash(messages: JsonObject, clock: Clock.Clock, isForm: boolean): Effect.Effect<void> {
    // Nothing to flash is no reason to create a session.
    if (Object.keys(messages).length === 0) return Exit.void
    const text = JSON.stringify(messages)
    return this.update((state) =>
      Operation.flashed(state, text, state.flashing?.field ?? Flash.fieldName(clock.currentTimeMillisUnsafe()), isForm)
    )
  }

  /** Gives the session this lifetime, cut to what the configuration allows. */
  setLifetime(asked: Lifetime.Lifetime): Effect.Effect<void> {
    const granted = this.expiry.grant(asked)
    const set = this.#setField(Meta.lifetime, Lifetime.encode(granted))
    return isCut(asked, granted) ? Effect.andThen(set, this.#lifetimeCut(asked, granted)) : set
  }

  #lifetimeCut(asked: Lifetime.Lifetime, granted: Lifetime.Lifetime): Effect.Effect<void> {
    return Effect.suspend(() => Observability.lifetimeCut(State.idOf(this.loaded), asked, granted))
  }

  /** Sets or removes one of the session's own fields, if that changes it. */
  #setField(field: string, text: string | undefined): Effect.Effect<void> {
    if (State.seen(this.loaded, field) === text) return Exit.void
    return text === undefined ? this.update((state) => Operation.removed(state, field)) : this.put(field, text)
  }

  /** If the owner's index already has the session's new id, before that session exists, the entry stays. */
  get regenerate(): Effect.Effect<void> {
    const { indexed, loaded } = this
    return indexed !== undefined && indexed.key === State.idOf(loaded)?.key && loaded._tag !== "Existing"
      ? Exit.void
      : Effect.flatMapEager(
        this.environment.drawId,
        (id) => this.update((state) => Operation.regenerated(state, id))
      )
  }

  /** Writes the session, even if it is empty, under an id created by this request, and returns its token. */
  issueToken(clock: Clock.Clock): Effect.Effect<Token | undefined, CommitFailure | SessionClosedError> {
    // A session that ends with its request has no usable token.
    if (this.environment.store === undefined) return Effect.map(this.id, ({ text }) => new Token(text))
    const prepared = State.isFresh(this.loaded) ? this.update(Operation.needed) : this.regenerate
    const committed = Effect.flatMap(prepared, () => this.commit(clock))
    return Effect.map(committed, () => {
      const token = State.isStored(this.state) ? this.state.token : undefined
      if (token !== undefined) this.client.issue?.()
      return token
    })
  }

  // ---------------------------------------------------------------------------
  // its owner
  // ---------------------------------------------------------------------------

  /** The entry that this request has added to the index of an owner. */
  get indexed(): Indexed | undefined {
    return this.#indexed
  }

  set indexed(indexed: Indexed | undefined) {
    this.#indexed = indexed
  }

  /** A login moves the session to a new id, which is added to the owner's index before that session exists. */
  logIn(
    { lifetime, merges, methods, owner }: Login,
    clock: Clock.Clock
  ): Effect.Effect<
    void,
    SessionStoreError | SessionLimitError | SessionClosedError | SessionValueError | SessionConflictError
  > {
    const { drawId, listeners, store } = this.environment
    const granted = lifetime && this.expiry.grant(lifetime)
    const loggedIn = Effect.flatMap(State.isUnwritten(this.loaded) ? this.id : drawId, (id) => {
      const { loaded } = this
      const at = clock.currentTimeMillisUnsafe()
      const login = {
        authenticated: methods && Authentication.encode({ at, methods }),
        lifetime: granted && { text: Lifetime.encode(granted) }
      }
      const fields = State.fieldsOf(Operation.loggedIn(loaded, id, { ...login, owner: { id: owner, at, until: at } }))
      const times = State.hasLoggedOut(loaded) ? undefined : State.recordOf(loaded)
      const until = Owner.keptUntil(this.expiry.horizon(times ?? this.expiry.start(at, fields), fields))
      const added = store?.owners?.add(owner, { key: id.key, at, until }, { replaces: State.storedKeyOf(loaded) }) ??
        Exit.succeed<Added>({ ended: [] })
      return Effect.flatMap(added, ({ ended, mark }) =>
        Effect.andThen(
          Events.ended(listeners, owner, ended, () => "owner"),
          Effect.suspend(() => this.#loggedIn(id, { ...login, owner: { id: owner, at, until, mark } }, merges))
        ))
    })
    return granted !== undefined && isCut(lifetime!, granted)
      ? Effect.andThen(loggedIn, this.#lifetimeCut(lifetime!, granted))
      : loggedIn
  }

  #loggedIn(id: State.Id, login: Operation.Login, merges: Operation.Merges): Draft.Rewriting<void, SessionClosedError> {
    // The index may have been slow.
    if (this.phase !== "open") return Exit.fail(new SessionClosedError({ operation: "login" }))
    const { owner: { at, id: owner, until } } = login
    const isUsed = this.indexed?.key === id.key && this.indexed.isUsed
    this.indexed = { owner, key: id.key, at, until, isUsed }
    return this.tryUpdate((state) => {
      const next = Operation.loggedIn(state, id, login)
      // Values that were merged earlier already belong to this owner.
      return State.ownerOf(state)?.id === owner ? Exit.succeed(next) : Operation.merged(next, merges)
    })
  }

  /** Logs out. */
  get logOut(): Effect.Effect<void> {
    return Effect.flatMapEager(
      this.environment.drawId,
      (id) => this.update((state) => Operation.loggedOut(state, id))
    )
  }

  commit(clock: Clock.Clock): Effect.Effect<Committed, CommitFailure | SessionClosedError> {
    return commit(this, clock)
  }

  /** One at a time, and uninterruptible. */
  inTurn<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.uninterruptible(Semaphore.withPermit(this.#turnWith ??= Semaphore.makeUnsafe(1), effect))
  }
}
