/**
 * The state of a request's session, held against a small model: whatever the handler does, whatever the store answers, and
 * whichever comes first.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Redacted } from "effect"
import type { JsonObject } from "effect/Schema"
import * as Change from "../../src/internal/record/change.ts"
import * as Expiry from "../../src/internal/record/expiry.ts"
import type { Fields, SessionRecord } from "../../src/internal/record/record.ts"
import * as Intent from "../../src/internal/request/intent.ts"
import * as Operation from "../../src/internal/request/operations.ts"
import * as Outcome from "../../src/internal/request/outcomes.ts"
import * as State from "../../src/internal/request/state.ts"
import { intBetween, oneOf } from "../support/arbitraries.ts"
import { RequestModel } from "./requestModel.ts"

// -----------------------------------------------------------------------------
// what may happen
// -----------------------------------------------------------------------------

const Field = oneOf(["a", "b", "~flash:1"])
const Value = oneOf(["1", "2", "\"text\""])

const AnyChange: Arbitrary.Arbitrary<Change.Change> = Arbitrary.map(
  Arbitrary.all({ kind: intBetween(0, 4), field: Field, value: Value, by: intBetween(-2, 2) }),
  ({ by, field, kind, value }) =>
    kind === 0
      ? Change.remove(Change.none, field)
      : kind === 4
      ? Change.none
      : kind === 1
      ? Change.increment(Change.none, field, { by, initial: 0 })
      : Change.set(Change.none, field, value)
)

const operations = ["flash", "clear", "touch", "regenerate", "end", "identify"] as const
const answers = ["written", "written with a token", "written under another id", "failed", "gone"] as const
const others = ["settle", "drop", "extend", "late", "closed", "abandon", "time passes"] as const

type Step =
  | Change.Change
  | "begin"
  | "commit"
  | typeof operations[number]
  | typeof answers[number]
  | typeof others[number]

const Step: Arbitrary.Arbitrary<Step> = Arbitrary.flatMap(
  intBetween(0, 9),
  (kind): Arbitrary.Arbitrary<Step> =>
    kind < 3
      ? AnyChange
      : kind < 5
      ? oneOf(operations)
      : kind < 7
      ? oneOf(["begin", "commit"])
      : kind < 9
      ? oneOf(answers)
      : oneOf(others)
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
  kind: oneOf(["found", "found", "absent", "superseded"]),
  fields: Arbitrary.map(
    Arbitrary.array(Arbitrary.all([Field, Value]), { maxLength: 3 }),
    (fields): Fields =>
      new Map(fields.map(([field, value]) => [field, field.startsWith("~") ? `{"message":${value}}` : value]))
  ),
  flag: oneOf([true, false]),
  saveUninitialized: oneOf([true, false]),
  isPersistent: oneOf([true, false]),
  rolling: oneOf(["onUse", "never"])
})

// -----------------------------------------------------------------------------
// the state machine beside its model
// -----------------------------------------------------------------------------

const idOf = (name: string): State.Id => Redacted.make(name)

// What is Redacted is the same to an assertion, whatever it holds.
const nameOf = (id: State.Id | undefined): string | undefined => id && Redacted.value(id)

class Pair {
  readonly model: RequestModel
  readonly rules: Intent.Rules
  readonly isPersistent: boolean
  state: State.Loaded
  intent: Intent.Intent | undefined
  now = 1_000
  #ids = 0

  constructor({ fields, flag, isPersistent, kind, rolling, saveUninitialized }: Start) {
    const [age, absoluteAge, touchEvery] = [100, 300, 10].map(Duration.millis) as [
      Duration.Duration,
      Duration.Duration,
      Duration.Duration
    ]
    const expiry = Expiry.make({ age, absoluteAge, touchEvery, rolling })
    this.rules = { expiry, settings: { saveUninitialized } }
    this.isPersistent = isPersistent
    const model = this.model = new RequestModel(expiry, saveUninitialized)
    if (kind === "found") {
      const record: SessionRecord = { ...expiry.start(this.now - 5), fields }
      const found = { id: idOf("stored"), token: idOf("token"), record }
      this.state = Outcome.found({ ...found, renewed: flag ? found.token : undefined }, found.token, false)
      model.stored = found
      model.fields = fields
      model.isPresented = true
      model.isFresh = false
      model.isRenewed = flag
      const flash = fields.get("~flash:1")
      if (flash !== undefined) {
        model.flashed = JSON.parse(flash) as JsonObject
        model.change(Change.remove(Change.none, "~flash:1"))
      }
    } else if (kind === "absent") {
      this.state = Outcome.absent(flag, fields)
      model.isPresented = flag
      model.fields = fields
    } else {
      this.state = Outcome.superseded()
      model.isLost = true
      model.isFresh = false
    }
  }

  newId(): State.Id {
    return idOf(`id ${++this.#ids}`)
  }

  step(step: Step): void {
    if (typeof step !== "string") {
      this.state = Operation.changed(this.state, step)
      this.model.change(step)
    } else if (step === "begin") {
      this.begin()
    } else if (step === "commit") {
      // Without disturbances.
      if (State.idOf(this.state) === undefined) this.happen("identify")
      this.begin()
      if (this.intent !== undefined) this.answer("written with a token", this.intent)
      this.happen("settle")
    } else if ((answers as ReadonlyArray<string>).includes(step)) {
      if (this.intent !== undefined) this.answer(step as typeof answers[number], this.intent)
    } else {
      this.happen(step as typeof operations[number] | typeof others[number])
    }
  }

  begin(): void {
    // Commits take turns.
    if (this.intent !== undefined) return
    const intent = Intent.of(this.state, this.rules, this.now)
    if (intent === undefined) return
    this.model.begin(this.model.tell(this.now)!)
    this.state = Outcome.sent(this.state, intent)
    this.intent = intent
  }

  answer(answer: typeof answers[number], intent: Intent.Intent): void {
    const { model } = this
    this.intent = undefined
    if (answer === "failed") {
      this.state = Outcome.failed(this.state, intent)
      model.fail()
    } else if (intent.operation === "destroy") {
      this.state = Outcome.destroyed(this.state)
      model.written(intent.id, undefined, this.isPersistent)
    } else if (answer === "gone") {
      this.state = Outcome.gone(this.state)
      model.gone()
    } else {
      const id = answer === "written under another id"
        ? this.newId()
        : intent.operation === "regenerate"
        ? intent.newId
        : intent.id
      const token = answer === "written" ? undefined : idOf(`token of ${Redacted.value(id)}`)
      this.state = Outcome.written(this.state, intent, { id, token, isPersistent: this.isPersistent })
      model.written(id, token, this.isPersistent)
    }
  }

  happen(step: typeof operations[number] | typeof others[number]): void {
    const { model } = this
    switch (step) {
      case "flash": {
        const messages = { [`message ${++this.#ids}`]: this.now }
        this.state = Operation.flashed(this.state, messages, () => "~flash:2")
        return model.flash(messages, "~flash:2")
      }
      case "clear":
        this.state = Operation.cleared(this.state)
        return model.clear()
      case "touch":
        this.state = Operation.touched(this.state)
        return model.touch()
      case "regenerate": {
        const id = this.newId()
        this.state = Operation.regenerated(this.state, id)
        return model.regenerate(id)
      }
      case "end":
        this.state = Operation.ended(this.state)
        return model.end()
      case "identify": {
        const id = this.newId()
        this.state = Operation.identified(this.state, id)
        return model.identify(id)
      }
      case "settle":
        this.state = Outcome.settled(this.state)
        return model.settle()
      case "drop":
        this.state = Outcome.dropped(this.state)
        if (model.isLost) model.untold = []
        return
      case "extend": {
        const times = { createdAt: 990, touchedAt: this.now, expiresAt: this.now + 77 }
        this.state = Outcome.extended(this.state, times)
        return model.extend(times)
      }
      case "late":
      case "closed":
        model.phase = step
        return
      case "abandon":
        this.state = Outcome.abandoned(this.state)
        return model.abandon()
      case "time passes":
        this.now += 60
    }
  }

  /** All that anybody sees of the state, and of the model. */
  views(): readonly [ofState: unknown, ofModel: unknown] {
    const { model, now, rules, state } = this
    const intent = this.intent === undefined ? Intent.of(state, rules, now) : undefined
    const told = this.intent === undefined ? model.tell(now) : undefined
    return [
      {
        fields: sorted(state.fields),
        flashed: state.flashed,
        id: nameOf(State.idOf(state)),
        token: State.isStored(state) ? nameOf(state.token) : undefined,
        isFresh: State.isFresh(state),
        times: timesOf(State.timesOf(state)),
        canChange: [State.canChange(state, model.phase, false), State.canChange(state, model.phase, true)],
        isNeeded: Intent.isNeeded(state, rules, now),
        isOver: Intent.isOver(state, rules, now),
        cookie: cookieOf(State.outgoingOf(state)),
        intent: intent && {
          operation: intent.operation,
          id: nameOf(intent.id),
          newId: "newId" in intent ? nameOf(intent.newId) : undefined,
          times: timesOf(intent.record),
          touch: "change" in intent ? intent.change.touch : undefined,
          // To what others may have stored meanwhile.
          effects: stores.map((fields) => sorted("change" in intent ? Change.apply(fields, intent.change) : fields)),
          fields: intent.operation === "destroy" ? [] : sorted(intent.record.fields)
        }
      },
      {
        fields: sorted(model.fields),
        flashed: model.flashed,
        id: nameOf(model.id),
        token: nameOf(model.stored?.token),
        isFresh: model.isFresh,
        times: timesOf(model.stored?.record ?? (model.isLost ? model.lostTimes : undefined)),
        canChange: [model.canChange(false), model.canChange(true)],
        isNeeded: model.isNeeded(now),
        isOver: model.stored !== undefined && rules.expiry.isExpired(model.stored.record, now),
        cookie: model.cookie && { ...model.cookie, token: nameOf(model.cookie.token) },
        intent: told && {
          operation: told.operation,
          id: nameOf(told.id),
          newId: nameOf(told.newId),
          times: timesOf(told.record),
          touch: told.operation === "update" || told.operation === "regenerate" ? told.touch : undefined,
          effects: stores.map((fields) => sorted(told.changes.reduce(Change.apply, fields))),
          fields: told.operation === "destroy" ? [] : sorted(told.record.fields)
        }
      }
    ]
  }
}

const stores: ReadonlyArray<Fields> = [new Map(), new Map([["a", "7"], ["b", "8"], ["c", "9"]])]

const sorted = (fields: Fields) => [...fields].toSorted(([one], [other]) => one < other ? -1 : 1)

const timesOf = (times: Pick<SessionRecord, "createdAt" | "touchedAt" | "expiresAt"> | undefined) =>
  times && [times.createdAt, times.touchedAt, times.expiresAt]

const cookieOf = (outgoing: State.Outgoing | undefined) =>
  outgoing?._tag === "Send"
    ? { token: nameOf(outgoing.token), expiresAt: outgoing.expiresAt }
    : outgoing && null

describe("the state of a request's session", () => {
  it.prop(
    "is what a model without states says, after every step of the handler and every answer of the store",
    [Start, Arbitrary.array(Step, { minLength: 12, maxLength: 24 })],
    ([start, steps]) => {
      const pair = new Pair(start)
      const sameAfter = (step: string) => {
        const [ofState, ofModel] = pair.views()
        assert.deepStrictEqual(ofState, ofModel, `after ${step}`)
      }
      sameAfter("the start")
      for (const step of steps) {
        pair.step(step)
        sameAfter(typeof step === "string" ? step : "a change")
      }
    },
    { arbitrary: { runs: 3_000 } }
  )

  it("leaves flash messages where they are in a session that is only read", () => {
    const record = { createdAt: 0, touchedAt: 0, expiresAt: 1, fields: new Map([["~flash:1", "{\"message\":1}"]]) }
    const state = Outcome.found({ id: idOf("id"), record, renewed: undefined }, idOf("token"), true)
    assert.deepStrictEqual(state.flashed, { message: 1 })
    assert.deepStrictEqual(state.fields, record.fields)
  })
})
