/**
 * The figures in docs/comparison/measurements.md are those that were measured.
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
