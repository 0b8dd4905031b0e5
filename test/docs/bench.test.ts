/**
 * The figures in docs/comparison/measurements.md are those that were measured, and docs/comparison/index.md claims no more.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { toChartOf, toReport } from "../../bench/report.ts"
import { read } from "../../bench/results.ts"

const textOf = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

const sections = [
  ...textOf("docs/comparison/measurements.md").matchAll(/<!-- bench:(\w+) -->\n([^]*?)<!-- bench:end -->/g)
]
  .map(([, name, text]) => ({ name: name!, text: text!.trim() }))

/** Without the spaces and dashes by which a formatter lines up a table. */
const plain = (text: string) => text.replace(/ +/g, " ").replace(/-+/g, "-")

describe("what the benchmark has found", () => {
  it("is all on the page", () => {
    assert.sameMembers(sections.map(({ name }) => name), Object.keys(toReport(read())))
  })

  it.each(sections)("is there as it was measured: $name", ({ name, text }) => {
    assert.notStrictEqual(text, "")
    assert.strictEqual(plain(text), plain(toReport(read())[name]!))
  })

  it("is in the chart", () => {
    assert.strictEqual(textOf("docs/comparison/speed.svg"), toChartOf(read()))
  })
})

type Row = ReadonlyArray<string>

/** The tables of a text: the cells of their header, and of their rows by the first cell. */
const tablesOf = (text: string) =>
  Array.from(text.matchAll(/(?:^\|.*\|\n?)+/gm), ([table]) => {
    const [header, , ...rows] = table.trim().split("\n").map((line) =>
      line.split("|").slice(1, -1).map((cell) => cell.trim())
    )
    return { header: header!, rows: new Map(rows.map(([name, ...cells]): [string, Row] => [name!, cells])) }
  })

const isFailure = (cell: string) => cell.startsWith("✗")

describe("the comparison marks as failures what was measured as failures", () => {
  const [compared] = tablesOf(textOf("docs/comparison/index.md"))
  const measured = tablesOf(sections.find(({ name }) => name === "correctness")!.text)
  const libraries = compared!.header.slice(1).map((library) => library.split(" ")[0]!)

  it.each([
    ["Two requests change different keys", 0, 0],
    ["200 parallel increments", 0, 1],
    ["A slow write after a logout", 1, 0],
    ["A slow read after a logout", 1, 1],
    ["A slow write while a login changes the id", 2, 0]
  ])("%s", (row, table, column) => {
    const rows = [...measured[table]!.rows]
    for (const [index, library] of libraries.entries()) {
      const [name, cells] = rows.find(([name]) => name.split(",")[0] === library)!
      assert.strictEqual(isFailure(compared!.rows.get(row)![index]!), isFailure(cells[column]!), name)
    }
  })
})
