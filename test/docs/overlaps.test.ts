/**
 * The tables of docs/overlaps.md are those that the tests of all drivers go by.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { atOnce, atOnceInCookies, everyAction, lostResponse, type Table } from "../support/overlaps.ts"

const page = readFileSync(new URL("../../docs/overlaps.md", import.meta.url), "utf8")

const tables: Record<string, Table> = {
  "at once": atOnce,
  "at once, in cookies": atOnceInCookies,
  "lost response": lostResponse
}

/** The cells of the table behind a mark, without the padding. */
const rowsBehind = (mark: string) => {
  const [, after = ""] = page.split(`<!-- ${mark} -->`)
  return after.slice(0, after.indexOf("<!-- end -->")).trim().split("\n").map((line) =>
    line.slice(1, -1).split("|").map((cell) => cell.trim())
  )
}

describe("docs/overlaps.md", () => {
  for (const [mark, table] of Object.entries(tables)) {
    it(`shows the table "${mark}" as it is tested`, () => {
      const [head, , ...rows] = rowsBehind(mark)
      assert.deepStrictEqual(head, ["first ↓ second →", ...everyAction])
      assert.deepStrictEqual(rows, Object.entries(table).map(([first, cells]) => [first, ...cells.map(codeOf)]))
    })
  }
})

const codeOf = (held: string) => held === "-" ? "-" : `\`${held}\``
