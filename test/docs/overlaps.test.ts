/**
 * The tables of docs/how-it-works/overlaps.md are those that the tests of all drivers go by.
 */
import { assert, describe, it } from "@effect/vitest"
import { atOnce, atOnceInCookies, everyAction, lostResponse, type Table } from "../support/overlaps.ts"
import { rowsBehind } from "../support/tables.ts"

const tables: Record<string, Table> = {
  "at once": atOnce,
  "at once, in cookies": atOnceInCookies,
  "lost response": lostResponse
}

describe("docs/how-it-works/overlaps.md", () => {
  for (const [mark, table] of Object.entries(tables)) {
    it(`shows the table "${mark}" as it is tested`, () => {
      const [head, , ...rows] = rowsBehind("how-it-works/overlaps.md", mark)
      assert.deepStrictEqual(head, ["first ↓ second →", ...everyAction])
      assert.deepStrictEqual(rows, Object.entries(table).map(([first, cells]) => [first, ...cells.map(codeOf)]))
    })
  }
})

const codeOf = (held: string) => held === "-" ? "-" : `\`${held}\``
