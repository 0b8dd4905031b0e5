/**
 * The state of a request's session, held against a small model: whatever the handler does, whatever the store answers, and
 * whichever comes first.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Exit } from "effect"
import type { JsonObject } from "effect/Schema"
import * as Change from "../../src/internal/record/change.ts"
import * as Draft from "../../src/internal/record/draft.ts"
import * as Expiry from "../../src/internal/record/expiry.ts"
import * as Flash from "../../src/internal/record/flash.ts"
import * as Owner from "../../src/internal/record/owner.ts"
import { endOfTime, type Fields, type SessionRecord, type Times } from "../../src/internal/record/record.ts"
import * as Intent from "../../src/internal/request/intent.ts"
import * as Operation from "../../src/internal/request/operations.ts"
import * as Outcome from "../../src/internal/request/outcomes.ts"
import { RequestSession } from "../../src/internal/request/requestSession.ts"
import * as State from "../../src/internal/request/state.ts"
import { Id, Token } from "../../src/internal/token/secret.ts"
import { intBetween, oneOf } from "../support/arbitraries.ts"
import { asRewrite, deedOf, FieldName, FieldText, meeting, OnField, sorted } from "../support/deeds.ts"
import { ModelWithPast, RequestModel, type Told } from "./requestModel.ts"

// -----------------------------------------------------------------------------
// what may happen
// -----------------------------------------------------------------------------

/** Some longer than the settings, one longer than they allow, and some with a way of their own for the cookie. */
const lifetimes = [
  undefined,
  "{\"age\":40}",
  "{\"age\":150,\"persistence\":\"browser\"}",
  "{\"age\":500,\"absoluteAge\":900,\"persistence\":\"persistent\"}"
]

const owners = ["ada", "grace"]

/** Who is logged in, or has been. */
const somebody = owners.flatMap((id): ReadonlyArray<readonly [string, string]> => [
  ["~owner", Owner.encode({ id, at: 0, until: endOfTime })],
  ["~left", JSON.stringify({ by: Owner.hashOf(id), fields: ["~v.a"] })]
])

const FieldsOfStore: Arbitrary.Arbitrary<Fields> = Arbitrary.map(
  Arbitrary.all([
    Arbitrary.array(Arbitrary.all([FieldName, FieldText]), { maxLength: 3 }),
    oneOf([undefined, undefined, ...lifetimes]),
    oneOf([undefined, undefined, ...somebody])
  ]),
  ([fields, lifetime, somebody]) =>
    new Map([
      ...fields.map(([field, value]) => [field, field === "~flash:1" ? `{"message":${value}}` : value] as const),
      ...(lifetime === undefined ? [] : [["~lifetime", lifetime] as const]),
      ...(somebody === undefined ? [] : [somebody])
    ])
)

interface ConflictWith {
  readonly kind: "conflict" | "successor"
  readonly fields: Fields
}

const ConflictWith: Arbitrary.Arbitrary<ConflictWith> = Arbitrary.all({
  kind: oneOf(["conflict", "successor"]),
  fields: FieldsOfStore
})

const operations = [
  "flash",
  "clear",
  "touch",
  "lifetime",
  "regenerate",
  "log in",
  "log out",
  "end",
  "identify"
] as const
const answers = ["written", "written with a token", "written under another id", "failed", "gone"] as const
const others = ["settle", "drop", "extend", "time passes", "late", "closed", "abandon"] as const

type Named =
  | "begin"
  | "commit"
  | "rollback"
  | typeof operations[number]
  | typeof answers[number]
  | typeof others[number]

type Step = OnField | ConflictWith | Named

const Step: Arbitrary.Arbitrary<Step> = Arbitrary.flatMap(
  intBetween(0, 20),
  (kind): Arbitrary.Arbitrary<Step> =>
    kind < 7
      ? OnField
      : kind < 11
      ? oneOf(operations)
      : kind < 14
      ? oneOf(["begin", "begin", "commit"])
      : kind < 17
      ? oneOf(answers)
      : kind < 18
      ? ConflictWith
      : kind < 19
      ? oneOf(["rollback"])
      : oneOf([...others.slice(0, 4), ...others.slice(0, 4), ...others])
)

/** What is not about what is in the session. */
const StepOfLife: Arbitrary.Arbitrary<Step> = Arbitrary.flatMap(
  intBetween(0, 9),
  (kind): Arbitrary.Arbitrary<Step> =>
    kind < 4
      ? oneOf(["touch", "touch", "lifetime", "lifetime", "regenerate", "log in", "log out", "end", "identify"])
      : kind < 6
      ? oneOf(["begin", "begin", "commit"])
      : kind < 8
      ? oneOf(answers)
      : oneOf(["failed", "settle", "extend", "time passes", "late", "rollback"])
)

interface Start {
  readonly kind: "found" | "absent" | "superseded"
  readonly fields: Fields
  /** Whether the token is renewed, or whether a cookie is presented. */
  readonly flag: boolean
  readonly saveUninitialized: boolean
  readonly isPersistent: boolean
  readonly rolling: "onUse" | "never"
}

const Start: Arbitrary.Arbitrary<Start> = Arbitrary.all({
  kind: oneOf(["found", "found", "found", "absent", "superseded"]),
  fields: FieldsOfStore,
  flag: oneOf([true, false]),
  saveUninitialized: oneOf([true, false]),
  isPersistent: oneOf([true, false]),
  rolling: oneOf(["onUse", "never"])
})

// -----------------------------------------------------------------------------
// the state machine beside its model
// -----------------------------------------------------------------------------

const idOf = (name: string): State.Id => new Id(name)

const tokenOf = (name: string): Token => new Token(name)

// Two of them are the same to an assertion, whatever they hold.
const nameOf = (secret: State.Id | Token | undefined): string | undefined => secret?.text

class Pair {
  readonly #model: ModelWithPast
  readonly #session: RequestSession
  readonly #rules: Intent.Rules
  readonly #isPersistent: boolean
  #intent: Intent.Intent | undefined
  #now = 1_000
  #ids = 0

  constructor({ fields, flag, isPersistent, kind, rolling, saveUninitialized }: Start) {
    const made = Expiry.make({
      age: Duration.millis(100),
      absoluteAge: Duration.millis(300),
      maximumAge: Duration.millis(200),
      maximumAbsoluteAge: Duration.millis(400),
      touchEvery: Duration.millis(10),
      rolling
    })
    // The entries of the index stay.
    const expiry = { ...made, horizon: () => endOfTime }
    this.#rules = { expiry, settings: { saveUninitialized } }
    this.#isPersistent = isPersistent
    // It asks nothing of its request and of its environment.
    this.#session = new RequestSession({} as never, {} as never)
    const record: SessionRecord = { ...expiry.start(this.#now - 5, fields), fields }
    const found = { id: idOf("stored"), token: tokenOf("token"), record }
    this.#session.begin(
      kind === "found"
        ? Outcome.found({ ...found, renewed: flag ? found.token : undefined }, found.token, false)
        : kind === "absent"
        ? Outcome.absent(flag, fields)
        : Outcome.superseded()
    )
    this.#model = new ModelWithPast(() => {
      const model = new RequestModel(expiry, saveUninitialized)
      if (kind === "superseded") {
        model.isLost = true
        model.isFresh = false
        model.isPresented = true
        return model
      }
      model.there = fields
      model.isPresented = kind === "found" || flag
      if (kind === "absent") return model
      model.stored = { ...found }
      model.isFresh = false
      model.isRenewed = flag
      const flash = fields.get("~flash:1")
      if (flash !== undefined) {
        model.flashed = JSON.parse(flash) as JsonObject
        model.do({ kind: "set", field: "~flash:1", run: () => undefined })
      }
      return model
    })
  }

  get #state(): State.Loaded {
    return this.#session.loaded
  }

  #newId(): State.Id {
    return idOf(`id ${++this.#ids}`)
  }

  step(step: Step): void {
    if (typeof step !== "string") return "by" in step ? this.#onField(step) : this.#conflict(step)
    switch (step) {
      case "begin":
        return this.#begin()
      case "commit":
        // Without disturbances.
        if (State.idOf(this.#state) === undefined) this.#learn("identify")
        this.#begin()
        this.#answer("written with a token")
        return this.#learn("settle")
      case "rollback":
        if (!this.#canChange()) return
        void this.#session.rollback()
        return this.#model.rollback()
      default:
        return isOneOf(answers, step)
          ? this.#answer(step)
          : isOneOf(operations, step) && step !== "identify"
          ? this.#operate(step)
          : this.#learn(step)
    }
  }

  #canChange(): boolean {
    return State.canChange(this.#state, this.#model.now.phase, false)
  }

  #onField(step: OnField): void {
    if (!this.#canChange()) return
    const session = this.#session
    const { by, field, initial, kind, text } = step
    const deed = deedOf(step, State.seen(this.#state, field))
    if (kind === "put") void session.update((state) => Operation.put(state, field, text))
    else if (kind === "remove") void session.update((state) => Operation.removed(state, field))
    else if (kind === "add") void session.update((state) => Operation.added(state, field, { by, initial }))
    else if (deed.kind === "function" && Exit.isFailure(session.rewrite(field, asRewrite(deed.run)))) return
    this.#model.happen("step", (model) => model.do(deed))
  }

  #begin(): void {
    // Commits take turns.
    if (this.#intent !== undefined) return
    const now = this.#now
    if (this.#state._tag === "Replacing") {
      const afresh = Outcome.afresh(this.#state)
      if (Exit.isFailure(afresh)) return
      this.#session.state = afresh.value
    }
    const intent = Intent.of(this.#state, this.#rules, now)
    if (intent !== undefined) this.#tell(intent)
    else if (this.#state._tag === "Lost") return
    else this.#session.tellNothing()
    this.#model.happen("begin", (model) => model.begin(now))
  }

  #tell(intent: Intent.Intent): void {
    this.#session.tell(intent)
    this.#intent = intent
  }

  #answer(answer: typeof answers[number]): void {
    const intent = this.#intent
    if (intent === undefined) return
    this.#intent = undefined
    const isPersistent = this.#isPersistent
    // A session that is being created can't be gone.
    if (answer === "failed" || answer === "gone" && intent.operation === "create") return this.#refused(intent)
    if (intent.operation === "destroy") {
      this.#session.learn(Outcome.destroyed)
      return this.#model.happen("answer", (model) => model.written(intent.id, undefined, isPersistent))
    }
    if (answer === "gone") {
      this.#session.refused(intent)
      const isOvertaken = State.hasLoggedOut(this.#state)
      this.#session.learn(Outcome.gone)
      this.#model.refuse()
      this.#model.happen("learnt", (model) => model.gone(), isOvertaken)
      return isOvertaken ? this.#model.happen("step", (model) => model.goOnAlone()) : undefined
    }
    const isSuccessor = "successor" in intent
    const id = answer === "written under another id" && !isSuccessor
      ? this.#newId()
      : intent.operation === "regenerate"
      ? intent.newId
      : intent.id
    const token = answer === "written" || isSuccessor ? undefined : tokenOf(`token of ${id.text}`)
    this.#session.learn((state) => Outcome.written(state, { intent, id, token, isPersistent }))
    this.#model.happen("answer", (model) => model.written(id, token, isPersistent))
  }

  #refused(intent: Intent.Intent): void {
    this.#session.refused(intent)
    this.#model.refuse()
    this.#model.happen("answer", (model) => model.fail())
  }

  #conflict({ fields, kind }: ConflictWith): void {
    const intent = this.#intent
    if (intent === undefined || !isOneOf(["update", "regenerate"], intent.operation)) return
    this.#intent = undefined
    this.#refused(intent)
    const now = this.#now
    const state = this.#state
    const record = { createdAt: 990, touchedAt: now, expiresAt: now + 55, fields }
    if (kind === "conflict" || intent.operation === "regenerate") {
      if (!State.isStored(state)) return
      const draft = Draft.rebase(state.draft, fields)
      if (Exit.isSuccess(draft)) this.#session.state = Outcome.rebased(state, record, draft.value)
      return this.#model.happen("step", (model) => model.rebase(record))
    }
    const update = Intent.of(state, this.#rules, now)
    if (state._tag !== "Existing" || update?.operation !== "update") return
    const change = Draft.ontoSuccessor(state.draft, state.base, fields, [])
    const told = this.#model.now.inSuccessor(now, fields)
    assert.strictEqual(Exit.isSuccess(change), told !== undefined)
    if (Exit.isFailure(change)) return
    this.#tell({ ...update, change: change.value, successor: "successor" })
    this.#model.happen("begin", (model) => model.beginInSuccessor(now, fields))
  }

  #operate(step: Exclude<typeof operations[number], "identify">): void {
    if (!this.#canChange()) return
    const session = this.#session
    const { phase } = this.#model.now
    switch (step) {
      case "flash": {
        const messages = { [`message ${++this.#ids % 3}`]: this.#ids }
        void session.update((state) =>
          Operation.flashed(state, JSON.stringify(messages), state.flashing?.field ?? "~flash:2")
        )
        return this.#model.happen("step", (model) => model.flash(messages, "~flash:2"))
      }
      case "clear":
        void session.update(Operation.cleared)
        return this.#model.happen("step", (model) => model.clear())
      case "touch":
        void session.update(Operation.touched)
        return this.#model.happen("step", (model) => model.touch())
      case "lifetime": {
        if (phase !== "open") return
        const text = lifetimes[++this.#ids % lifetimes.length]
        void session.update((state) => {
          if (State.seen(state, "~lifetime") === text) return state
          return text === undefined ? Operation.removed(state, "~lifetime") : Operation.put(state, "~lifetime", text)
        })
        return this.#model.happen("step", (model) => model.setLifetime(text))
      }
      case "regenerate": {
        if (phase !== "open") return
        const id = this.#newId()
        void session.update((state) => Operation.regenerated(state, id))
        return this.#model.happen("step", (model) => model.regenerate(id))
      }
      case "log in": {
        if (phase !== "open") return
        const isUnwritten = State.isUnwritten(this.#state)
        if (isUnwritten && State.idOf(this.#state) === undefined) this.#learn("identify")
        const id = isUnwritten ? State.idOf(this.#state)! : this.#newId()
        const owner = owners[++this.#ids % owners.length]!
        void session.update((state) => Operation.loggedIn(state, id, { owner: { id: owner, at: 0, until: endOfTime } }))
        return this.#model.happen("step", (model) => model.login(id, owner))
      }
      case "log out": {
        if (phase !== "open") return
        const id = this.#newId()
        void session.update((state) => Operation.loggedOut(state, id))
        const { goingOn, stored } = this.#model.now
        if (goingOn.length > 0 && stored !== undefined) {
          return this.#model.happen("step", (model) => model.leave(id))
        }
        this.#model.happen("end", (model) => model.end())
        return this.#model.happen("step", (model) => model.goOn(goingOn))
      }
      case "end":
        if (phase !== "open") return
        void session.update(Operation.ended)
        return this.#model.happen("end", (model) => model.end())
    }
  }

  #learn(step: "identify" | typeof others[number]): void {
    const session = this.#session
    const model = this.#model
    // The store is asked and answers, and then the rest follows.
    if (this.#intent !== undefined && (step === "settle" || step === "drop" || step === "extend")) return
    switch (step) {
      case "identify": {
        if (this.#intent !== undefined && State.idOf(this.#state) !== undefined) return
        const id = this.#newId()
        session.identify(id)
        return model.happen("identified", (model) => model.identify(id))
      }
      case "settle":
        session.learn(Outcome.settled)
        return model.happen("learnt", (model) => model.settle())
      case "drop":
        session.learn(Outcome.dropped)
        return model.happen("learnt", (model) => model.drop())
      case "extend": {
        const times = { createdAt: 990, touchedAt: this.#now, expiresAt: this.#now + 77 }
        session.learn((state) => Outcome.extended(state, times))
        return model.happen("learnt", (model) => model.extend(times))
      }
      case "late":
      case "closed":
        if (model.now.phase !== "closed") model.now.phase = step
        return
      case "abandon":
        session.abandon()
        return model.happen("step", (model) => model.abandon())
      case "time passes":
        this.#now += 60
    }
  }

  /** All that anybody sees of the state, and of the model. */
  views(): readonly [ofState: Record<string, unknown>, ofModel: Record<string, unknown>] {
    const model = this.#model.now
    const rules = this.#rules
    const now = this.#now
    const state = this.#state
    const isAsked = this.#intent !== undefined
    const told = isAsked ? model.told : model.tell(now)
    return [
      {
        fields: sorted(State.fieldsOf(state)),
        seen: fieldNames.map((field) => State.seen(state, field)),
        isSending: state.sending !== undefined,
        hasFields: Draft.hasFields(state.draft, state.base),
        flashed: state.flashed,
        flashing: state.flashing && JSON.parse(Flash.encode(state.flashing.messages)),
        id: nameOf(State.idOf(state)),
        token: State.isStored(state) ? nameOf(state.token) : undefined,
        isFresh: State.isFresh(state),
        times: timesOf(State.recordOf(state)),
        canChange: [State.canChange(state, model.phase, false), State.canChange(state, model.phase, true)],
        // Nobody asks while the store is being asked: commits take turns.
        isNeeded: isAsked ? undefined : Intent.isNeeded(state, rules, now),
        isOver: Intent.isOver(state, rules, now),
        cookie: cookieOf(State.outgoingOf(state)),
        due: cookieOf(state.due),
        intent: viewOfIntent(this.#intent ?? intentOf(state, rules, now))
      },
      {
        fields: sorted(model.fields),
        seen: fieldNames.map((field) => model.fields.get(field)),
        isSending: model.isTelling,
        hasFields: model.fields.size > 0,
        flashed: model.flashed,
        flashing: model.flashing?.messages,
        id: nameOf(model.id),
        token: nameOf(model.stored?.token),
        isFresh: model.isFresh,
        times: timesOf(model.times),
        canChange: [model.canChange(false), model.canChange(true)],
        isNeeded: isAsked ? undefined : model.isNeeded(now),
        isOver: model.stored !== undefined && rules.expiry.isExpired(model.stored.record, now),
        cookie: model.cookie && { ...model.cookie, token: nameOf(model.cookie.token) },
        due: model.wanted && { ...model.wanted, token: nameOf(model.wanted.token) },
        intent: viewOfTold(told)
      }
    ]
  }
}

const fieldNames = ["a", "b", "~v.a", "~d.a", "~flash:1", "~flash:2", "~lifetime", "~owner", "~left", "c"]

const isOneOf = <A extends string>(values: ReadonlyArray<A>, value: string): value is A =>
  (values as ReadonlyArray<string>).includes(value)

const intentOf = (state: State.Loaded, rules: Intent.Rules, now: number): Intent.Intent | "error" | undefined => {
  if (state._tag !== "Replacing") return Intent.of(state, rules, now)
  const afresh = Outcome.afresh(state)
  return Exit.isFailure(afresh) ? "error" : Intent.of(afresh.value, rules, now)
}

/** What others may have stored meanwhile. */
const stores: ReadonlyArray<Fields> = [new Map(), new Map([["a", "7"], ["b", "8"], ["c", "9"]])]

const viewOfIntent = (intent: Intent.Intent | "error" | undefined) =>
  typeof intent !== "object" ? intent : {
    operation: intent.operation,
    id: nameOf(intent.id),
    newId: "newId" in intent ? nameOf(intent.newId) : undefined,
    times: timesOf(intent.record),
    fields: intent.operation === "destroy" ? [] : sorted(intent.record.fields),
    ...(intent.operation === "regenerate" && { touch: intent.touch, before: sorted(intent.before) }),
    ...("change" in intent && {
      touch: intent.change.touch,
      expected: sorted(intent.change.expect),
      effects: stores.map((fields) => sorted(Change.apply(meeting(fields, intent.change.expect), intent.change)))
    })
  }

const viewOfTold = (told: Told | "error" | undefined) =>
  typeof told !== "object" ? told : {
    operation: told.operation,
    id: nameOf(told.id),
    newId: nameOf(told.newId),
    times: timesOf(told.record),
    fields: told.operation === "destroy" ? [] : sorted(told.record.fields),
    // Nothing else may be there when it gets another id.
    ...(told.operation === "regenerate" && { touch: told.touch, before: sorted(told.before) }),
    ...(told.operation === "update" && {
      touch: told.touch,
      expected: sorted(told.expected),
      effects: stores.map((fields) => sorted(told.effect(meeting(fields, told.expected))!))
    })
  }

const timesOf = (times: Times | undefined) => times && [times.createdAt, times.touchedAt, times.expiresAt]

const cookieOf = (outgoing: State.Outgoing | undefined) =>
  outgoing?._tag === "Send"
    ? { token: nameOf(outgoing.token), expiresAt: outgoing.expiresAt, persistence: outgoing.persistence }
    : outgoing && null

describe("the state of a request's session", () => {
  const isAsTheModel = (start: Start, steps: ReadonlyArray<Step>) => {
    const pair = new Pair(start)
    const sameAfter = (step: string) => {
      const [ofState, ofModel] = pair.views()
      for (const [name, value] of Object.entries(ofState)) {
        assert.deepStrictEqual(value, ofModel[name], `${name} after ${step}`)
      }
    }
    sameAfter("the start")
    for (const step of steps) {
      pair.step(step)
      sameAfter(typeof step === "string" ? step : step.kind)
    }
    pair.step("rollback")
    sameAfter("a rollback at the end")
  }

  it.prop(
    "is what a model without states says, after every step of the handler and every answer of the store",
    [Start, Arbitrary.array(Step, { minLength: 12, maxLength: 24 })],
    ([start, steps]) => isAsTheModel(start, steps),
    { arbitrary: { runs: 3_000 } }
  )

  it.prop(
    "is what the model says where nothing is put into the session",
    [Start, Arbitrary.array(StepOfLife, { minLength: 3, maxLength: 10 })],
    ([start, steps]) => isAsTheModel({ ...start, fields: new Map() }, steps),
    { arbitrary: { runs: 1_500 } }
  )

  it("still has to be touched after a touch that failed, and no more after one that was written", () => {
    const expiry = Expiry.make({
      age: Duration.hours(1),
      absoluteAge: Duration.hours(9),
      maximumAge: Duration.hours(1),
      maximumAbsoluteAge: Duration.hours(9),
      touchEvery: Duration.minutes(1),
      rolling: "onUse"
    })
    const rules = { expiry, settings: { saveUninitialized: false } }
    const record = { ...expiry.start(0, new Map()), fields: new Map() }
    const found = Outcome.found({ id: idOf("id"), record, renewed: undefined }, tokenOf("token"), false)
    const intent = Intent.of(Operation.touched(found), rules, 5)
    assert.strictEqual(intent?.operation, "touch")
    if (intent?.operation !== "touch") return
    const sent = Outcome.sent(Operation.touched(found), intent)
    assert.strictEqual(Intent.of(Outcome.failed(sent, intent), rules, 5)?.operation, "touch")
    const written = { intent, id: intent.id, token: undefined, isPersistent: false }
    assert.isUndefined(Intent.of(Outcome.written(sent, written), rules, 5))
  })

  it("leaves flash messages where they are in a session that is only read", () => {
    const record = { createdAt: 0, touchedAt: 0, expiresAt: 1, fields: new Map([["~flash:1", "{\"message\":1}"]]) }
    const state = Outcome.found({ id: idOf("id"), record, renewed: undefined }, tokenOf("token"), true)
    assert.deepStrictEqual(state.flashed, { message: 1 })
    assert.deepStrictEqual(State.fieldsOf(state), record.fields)
  })
})
