import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import * as Edits from "../../src/internal/record/edits.ts"
import { intBetween } from "../support/arbitraries.ts"

/** The fields that are edited in turn: few and many, some of them again and again. */
const AnyFields = Arbitrary.map(
  Arbitrary.all([intBetween(0, 120), intBetween(1, 40), intBetween(1, 1_000)]),
  ([length, names, seed]) => Array.from({ length }, (_, index) => String((index * index * seed + index) % names))
)

const entriesOf = (edits: Edits.Edits<number> | undefined): Array<readonly [string, number]> => {
  const entries: Array<readonly [string, number]> = []
  Edits.forEach(edits, (edit, field) => entries.push([field, edit]))
  return entries
}

describe("the edits of a draft", () => {
  it.prop("are those of a Map, however many there are, and an earlier list stays as it was", [AnyFields], ([fields]) => {
    const map = new Map<string, number>()
    const lists: Array<readonly [Edits.Edits<number> | undefined, ReadonlyMap<string, number>]> = [[undefined, new Map()]]
    let edits: Edits.Edits<number> | undefined
    fields.forEach((field, edit) => {
      edits = Edits.add(edits, field, edit)
      lists.push([edits, new Map(map.set(field, edit))])
    })
    for (const [list, expected] of lists) {
      assert.deepStrictEqual(entriesOf(list), [...expected])
      for (const field of [...fields, "another"]) assert.strictEqual(Edits.get(list, field), expected.get(field))
    }
  })

  it.prop("of which some are left out are still in turn", [AnyFields], ([fields]) => {
    const edits = fields.reduce<Edits.Edits<number> | undefined>(Edits.add, undefined)
    const even = Edits.filterMap(edits, (edit) => edit % 2 === 0 ? edit : undefined)
    assert.deepStrictEqual(entriesOf(even), entriesOf(edits).filter(([, edit]) => edit % 2 === 0))
  })
})
