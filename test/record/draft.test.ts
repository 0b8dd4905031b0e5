/**
 * What holds of all drafts: whatever a request has done, and whatever other requests have committed meanwhile, it is done to
 * what is there.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Exit } from "effect"
import * as Change from "../../src/internal/record/change.ts"
import * as Draft from "../../src/internal/record/draft.ts"
import { decode, encode, type Fields } from "../../src/internal/record/record.ts"
import { intBetween, oneOf } from "../support/arbitraries.ts"
import {
  asRewrite,
  type Deed,
  deedOf,
  FieldName,
  fieldsAfter,
  FieldText,
  meeting,
  OnField,
  refused,
  seenBy,
  sorted
} from "../support/deeds.ts"

// -----------------------------------------------------------------------------
// what a request does
// -----------------------------------------------------------------------------

type Step = OnField | "clear" | "flash"

const Step: Arbitrary.Arbitrary<Step> = Arbitrary.flatMap(
  intBetween(0, 11),
  (kind): Arbitrary.Arbitrary<Step> => kind === 0 ? oneOf(["clear", "flash"]) : OnField
)

const Steps = Arbitrary.array(Step, { maxLength: 8 })

const AnyFields: Arbitrary.Arbitrary<Fields> = Arbitrary.map(
  Arbitrary.array(Arbitrary.all([FieldName, FieldText]), { maxLength: 4 }),
  (entries) => new Map(entries)
)

/** Both in a draft and as deeds: what a request has done that has found `base`. */
class Request {
  draft = Draft.empty
  deeds: ReadonlyArray<Deed> = []
  base: Fields
  readonly #steps: ReadonlyArray<Step>

  constructor(base: Fields, steps: ReadonlyArray<Step>) {
    this.base = base
    this.#steps = steps
    for (const step of steps) this.#do(step)
  }

  #do(step: Step): void {
    const { base, draft } = this
    if (step === "clear") return this.#did(Draft.clear(draft), { kind: "clear" })
    if (step === "flash") {
      const messages = { text: "{\"a\":2}", before: { text: "{\"a\":1,\"b\":1}", before: undefined } }
      const run = () => "{\"a\":2,\"b\":1}"
      return this.#did(Draft.flash(draft, "~flash:own", messages), { kind: "set", field: "~flash:own", run })
    }
    const { by, field, initial, kind, text } = step
    const seen = Draft.seen(draft, base, field)
    const deed = deedOf(step, seen)
    if (kind === "put") return this.#did(Draft.put(draft, field, text), deed)
    if (kind === "remove") return this.#did(Draft.remove(draft, field), deed)
    if (kind === "add") return this.#did(Draft.add(draft, field, { by, initial }), deed)
    if (deed.kind !== "function") return
    const rewrite = asRewrite(deed.run)
    const next = rewrite(seen)
    // What is refused at once has not been done. Who takes what is not there takes nothing.
    if (Exit.isFailure(next) || kind === "take" && seen === undefined) return
    this.#did(Draft.rewrite(draft, base, field, rewrite, next.value), deed)
  }

  #did(draft: Draft.Draft, deed: Deed): void {
    this.draft = draft
    this.deeds = [...this.deeds, deed]
  }

  get change(): Change.Change {
    return Draft.changeOf(this.draft, false)
  }

  /** Meets with something else. */
  rebase(fields: Fields): boolean {
    const rebased = Draft.rebase(this.draft, fields)
    if (Exit.isFailure(rebased)) return false
    this.base = fields
    this.draft = rebased.value
    return true
  }

  toJSON() {
    return this.#steps
  }
}

const AnyRequest = Arbitrary.map(Arbitrary.all([AnyFields, Steps]), ([base, steps]) => new Request(base, steps))

const assertSame = (actual: Change.Expected, expected: Change.Expected) =>
  assert.deepStrictEqual(sorted(actual), sorted(expected))

const many = { arbitrary: { runs: 2_000 } }

describe("a draft", () => {
  it.prop(
    "shows what the request has done, field by field and as a whole",
    [AnyRequest],
    ([{ base, deeds, draft }]) => {
      const expected = fieldsAfter(base, deeds)!
      assertSame(Draft.fieldsOf(draft, base), expected)
      for (const field of ["a", "b", "c", "~flash:1", "~flash:own"]) {
        assert.strictEqual(Draft.seen(draft, base, field), expected.get(field))
      }
      assert.strictEqual(Draft.hasFields(draft, base), expected.size > 0)
      assert.strictEqual(Draft.isEmpty(draft), deeds.length === 0)
      if (deeds.length === 0) assert.strictEqual(Draft.fieldsOf(draft, base), base)
    },
    many
  )

  it.prop(
    "is not altered by what is done after it",
    [AnyRequest, OnField],
    ([{ base, draft }, { by, field, initial, text }]) => {
      const before = [sorted(Draft.fieldsOf(draft, base)), Draft.changeOf(draft, false)]
      Draft.put(draft, field, text)
      Draft.remove(draft, field)
      Draft.add(draft, field, { by, initial })
      Draft.rewrite(draft, base, field, () => Exit.succeed(text), text)
      Draft.clear(draft)
      Draft.rebase(draft, new Map([[field, text]]))
      assert.deepStrictEqual([sorted(Draft.fieldsOf(draft, base)), Draft.changeOf(draft, false)], before)
    }
  )
})

describe("the change of a draft", () => {
  it.prop(
    "shows the same where it is made into text at once, on a Map or on a text",
    [AnyRequest],
    ([{ base, draft }]) => {
      const times = { createdAt: 1, touchedAt: 2, expiresAt: 3 }
      const inText = decode(encode({ ...times, fields: base })).fields
      const expected = encode({ ...times, fields: new Map(Draft.fieldsOf(draft, base)) })
      for (const from of [base, inText]) {
        assert.strictEqual(encode({ ...times, fields: Draft.fieldsOf(draft, from) }), expected)
      }
    },
    many
  )

  it.prop("makes of what was there what the request sees", [AnyRequest], ([{ base, change, draft }]) => {
    assert.isTrue(Change.isExpected(base, change.expect))
    assertSame(Change.apply(base, change), Draft.fieldsOf(draft, base))
  }, many)

  it.prop("has each field in one of set, remove and increment at most", [AnyRequest], ([{ change }]) => {
    const fields = [...change.set.keys(), ...change.remove, ...change.increment.keys()]
    assert.strictEqual(new Set(fields).size, fields.length)
  })

  it.prop("expects what functions have seen, and nothing else", [AnyRequest], ([{ base, change, deeds }]) => {
    assertSame(change.expect, seenBy(deeds, base))
  }, many)

  it.prop("does the same as the request, to anything that is as it expects", [AnyRequest, AnyFields], ([
    { change, deeds },
    others
  ]) => {
    const there = meeting(others, change.expect)
    assertSame(Change.apply(there, change), fieldsAfter(there, deeds)!)
  }, many)

  it.prop("touches if it is told to", [AnyRequest, oneOf([true, false])], ([{ change, draft }, touch]) => {
    assert.deepStrictEqual(Draft.changeOf(draft, touch), { ...change, touch })
  })

  it("still expects what a function has taken, whatever the request does afterwards", () => {
    const base = new Map([["a", "1"]])
    const taken = Draft.rewrite(Draft.empty, base, "a", asRewrite(() => undefined), undefined)
    for (
      const draft of [
        taken,
        Draft.put(taken, "a", "2"),
        Draft.remove(taken, "a"),
        Draft.add(taken, "a", { by: 1, initial: 0 }),
        Draft.rewrite(taken, base, "a", asRewrite(() => "3"), "3"),
        Draft.clear(taken),
        Draft.clear(Draft.put(Draft.clear(taken), "a", "2")),
        Draft.put(Draft.clear(taken), "a", "2")
      ]
    ) {
      assert.deepStrictEqual([...Draft.changeOf(draft, false).expect], [["a", "1"]])
    }
  })
})

describe("a draft that meets with something else", () => {
  it.prop("does there what the request has done, in the same order, or is refused", [AnyRequest, AnyFields], ([
    request,
    there
  ]) => {
    const { base, deeds, draft } = request
    const before = sorted(Draft.fieldsOf(draft, base))
    const expected = fieldsAfter(there, deeds)
    assert.strictEqual(request.rebase(there), expected !== undefined)
    assertSame(Draft.fieldsOf(draft, base), new Map(before))
    if (expected === undefined) return
    assert.isTrue(Change.isExpected(there, request.change.expect))
    assertSame(Draft.fieldsOf(request.draft, there), expected)
    assertSame(Change.apply(there, request.change), expected)
    assertSame(request.change.expect, seenBy(deeds, there))
  }, many)

  it.prop("does so each time", [AnyRequest, AnyFields, AnyFields], ([request, first, second]) => {
    const expected = request.rebase(first) ? fieldsAfter(second, request.deeds) : undefined
    if (expected !== undefined) {
      assert.isTrue(request.rebase(second))
      assertSame(Change.apply(second, request.change), expected)
    }
  }, many)

  it("fails with what the function fails with", () => {
    const draft = Draft.rewrite(Draft.empty, new Map(), "a", asRewrite((text) => text), undefined)
    const refuses = Draft.rewrite(draft, new Map(), "a", () => Exit.fail(refused), "1")
    for (const one of [refuses, Draft.clear(refuses), Draft.put(refuses, "a", "1")]) {
      assert.deepStrictEqual(Draft.rebase(one, new Map([["a", "1"]])), Exit.fail(refused))
      assert.deepStrictEqual(Draft.ontoSuccessor(one, new Map(), new Map([["a", "1"]]), []), Exit.fail(refused))
    }
  })

  it("runs functions again only where something else is there", () => {
    const runs: Array<string> = []
    const watched = (field: string): Draft.Rewrite => (text) => {
      runs.push(field)
      return Exit.succeed(`${text}+`)
    }
    const base = new Map([["a", "1"], ["b", "1"]])
    const draft = Draft.rewrite(
      Draft.rewrite(Draft.empty, base, "a", watched("a"), "1+"),
      base,
      "b",
      watched("b"),
      "1+"
    )
    assert.isTrue(Exit.isSuccess(Draft.rebase(draft, new Map([["a", "1"], ["b", "2"], ["c", "3"]]))))
    assert.deepStrictEqual(runs, ["b"])
  })
})

describe("requests at once", () => {
  /** Each number is a request that takes its next step: it loads, then commits, again if others were quicker. */
  const Interleaving = Arbitrary.array(intBetween(0, 3), { maxLength: 20 })
  const Requests = Arbitrary.array(Steps, { minLength: 2, maxLength: 4 })

  it.prop("come to the same as one after the other, and one that is refused has done nothing", [
    AnyFields,
    Requests,
    Interleaving
  ], ([initially, programs, interleaving]) => {
    let stored = initially
    const loaded = new Map<number, Request>()
    const unfinished = new Set(programs.keys())
    const committed: Array<ReadonlyArray<Deed>> = []
    const next = (index: number) => {
      const request = loaded.get(index)
      if (request === undefined) return void loaded.set(index, new Request(stored, programs[index]!))
      const { change } = request
      if (Change.isExpected(stored, change.expect)) {
        stored = Change.apply(stored, change)
        committed.push(request.deeds)
        unfinished.delete(index)
      } else if (!request.rebase(stored)) {
        assert.isUndefined(fieldsAfter(stored, request.deeds))
        unfinished.delete(index)
      }
    }
    for (const index of interleaving) if (unfinished.has(index)) next(index)
    while (unfinished.size > 0) for (const index of unfinished) next(index)
    assertSame(stored, fieldsAfter(initially, committed.flat())!)
  }, { arbitrary: { runs: 4_000 } })

  it("take a value once", () => {
    const stored = new Map([["a", "1"]])
    const take: OnField = { kind: "take", field: "a", text: "", by: 0, initial: 0 }
    const [one, other] = [new Request(stored, [take]), new Request(stored, [take])]
    const after = Change.apply(stored, one!.change)
    assert.isFalse(Change.isExpected(after, other!.change.expect))
    assert.isFalse(other!.rebase(after))
  })
})

describe("what goes to the successor of a session that was regenerated", () => {
  const Put = Arbitrary.all({ kind: oneOf(["put", "remove"]), field: oneOf(["a", "b", "c"]), text: FieldText })
  const Add = intBetween(-3, 3)

  it.prop("is as if the request had come first, and others after it", [
    AnyFields,
    Arbitrary.array(Arbitrary.all([Put, intBetween(0, 5), Add]), { maxLength: 6 }),
    Arbitrary.array(Put, { maxLength: 3 }),
    Add
  ], ([fields, own, others, otherAdds]) => {
    const base = new Map([...fields, ["count", "7"]])
    const steps = own.flatMap(([put, kind, by]): ReadonlyArray<Step> =>
      kind === 0
        ? ["clear"]
        : kind < 3
        ? [{ kind: "add", field: "count", text: "", by, initial: 0 }]
        : [{ ...put, by, initial: 0 }]
    )
    const request = new Request(base, steps)
    const add: OnField = { kind: "add", field: "count", text: "", by: otherAdds, initial: 0 }
    const since = [
      ...others.map(({ field, kind, text }) => deedOf({ kind, field, text, by: 0, initial: 0 }, undefined)),
      ...steps.includes("clear") ? [] : [deedOf(add, undefined)]
    ].filter((deed, index, all) =>
      !("field" in deed) || all.findLastIndex((one) => "field" in one && one.field === deed.field) === index
    )
    const there = fieldsAfter(base, since)!
    const change = Exit.getSuccess(Draft.ontoSuccessor(request.draft, base, there, others.map(({ field }) => field)))
    assert.isTrue(change._tag === "Some" && Change.isExpected(there, change.value.expect))
    if (change._tag === "None") return
    assertSame(Change.apply(there, change.value), fieldsAfter(fieldsAfter(base, request.deeds)!, since)!)
  }, many)

  it.prop("has no field that the request has not touched, and clears and touches nothing", [AnyRequest, AnyFields], ([
    { base, deeds, draft },
    there
  ]) => {
    const onto = Draft.ontoSuccessor(draft, base, there, [])
    assert.strictEqual(Exit.isSuccess(onto), fieldsAfter(there, deeds) !== undefined)
    if (Exit.isFailure(onto)) return
    const { clear, expect, increment, remove, set, touch } = onto.value
    const touched = new Set(deeds.flatMap((deed) => "field" in deed ? [deed.field] : [...base.keys()]))
    for (const field of [...set.keys(), ...remove, ...increment.keys(), ...expect.keys()]) {
      assert.isTrue(touched.has(field), field)
    }
    const changed = [...set.keys(), ...remove, ...increment.keys()]
    assert.strictEqual(new Set(changed).size, changed.length, "each field once")
    assert.isFalse(clear)
    assert.isFalse(touch)
    assert.isTrue(Change.isExpected(there, expect))
    for (const field of [...set.keys(), ...remove]) assert.isTrue(expect.has(field), "others may come in between")
  }, many)

  it.prop("is nothing of what the regenerating request wrote over, and nothing at all if that was everything", [
    AnyRequest,
    AnyRequest,
    AnyFields
  ], ([{ base, draft }, login, there]) => {
    const overwritten = Draft.overwrittenBy(login.draft)
    const onto = Draft.ontoSuccessor(draft, base, there, overwritten)
    if (typeof overwritten === "string") return assert.deepStrictEqual(onto, Exit.succeed(Change.none))
    if (Exit.isFailure(onto)) return
    const { expect, increment, remove, set } = onto.value
    for (const field of [...set.keys(), ...remove, ...increment.keys(), ...expect.keys()]) {
      assert.notInclude(overwritten, field)
    }
  }, many)

  it.prop("is what functions make of what is there", [AnyFields, AnyFields], ([base, there]) => {
    const request = new Request(base, [{ kind: "append", field: "a", text: "", by: 0, initial: 0 }])
    const onto = Draft.ontoSuccessor(request.draft, base, there, [])
    assert.isTrue(Exit.isSuccess(onto))
    if (Exit.isFailure(onto)) return
    assertSame(Change.apply(there, onto.value), fieldsAfter(there, request.deeds)!)
  })
})
