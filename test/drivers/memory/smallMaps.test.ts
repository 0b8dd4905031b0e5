/**
 * What the sessions in memory are kept in: a Map to look at, of many small ones.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import * as SmallMaps from "../../../src/internal/drivers/memory/smallMaps.ts"
import * as Identifier from "../../../src/internal/token/identifier.ts"
import { intBetween } from "../../support/arbitraries.ts"

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((sum, number) => sum + number, 0)

describe("many small Maps", () => {
  it.prop("do what one Map does", [
    intBetween(1, 100_000),
    Arbitrary.array(Arbitrary.all([intBetween(0, 5), intBetween(0, 20)]), { minLength: 0, maxLength: 60 })
  ], ([capacity, steps]) => {
    const maps = SmallMaps.make<number>(capacity)
    const map = new Map<string, number>()
    steps.forEach(([kind, number], index) => {
      const key = Identifier.hash(`${number}`)
      if (kind < 4) {
        maps.set(key, index)
        map.set(key, index)
      } else {
        maps.delete(key)
        map.delete(key)
      }
      assert.strictEqual(maps.get(key), map.get(key))
      assert.strictEqual(maps.size(), map.size)
      assert.sameDeepMembers(maps.maps.flatMap((one) => [...one]), [...map])
    })
  })

  it("have no more entries than V8 has made room for in 4,096, when all of them together are full", () => {
    for (const capacity of [3_750, 100_000, 250_000]) {
      const maps = SmallMaps.make<number>(capacity)
      for (let index = 0; index < capacity; index++) maps.set(Identifier.hash(`${capacity} ${index}`), index)
      const sizes = maps.maps.map(({ size }) => size)
      assert.strictEqual(maps.size(), capacity)
      assert.strictEqual(sum(sizes), capacity)
      assert.isAtMost(Math.max(...sizes), 4_096)
    }
  })

  it("are small for any capacity that can be configured, as keys spread over all of them", () => {
    const maps = SmallMaps.make<number>(16_000_000)
    for (let index = 0; index < 100_000; index++) maps.set(Identifier.hash(`${index}`), index)
    // Some 23 in each, give or take 5.
    assert.isAtMost(Math.max(...maps.maps.map(({ size }) => size)), 60)
    assert.isAtLeast(Math.min(...maps.maps.map(({ size }) => size)), 3)
  })
})
