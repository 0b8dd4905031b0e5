/**
 * What is said of runtimes is what the tests run.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { drivers, onBun, onDeno, onWorkerd } from "../runtimes/tried.ts"

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8")

const cellsOf = (row: string) => row.split("|").slice(1, -1).map((cell) => cell.trim())

describe("the table of runtimes", () => {
  it("names the versions and the drivers that are tried", () => {
    const [, table = ""] = read("docs/production/runtimes.md").split(/<!-- runtimes(?::end)? -->/)
    const [heading, , ...rows] = table.trim().split("\n").map(cellsOf)
    const runtimes = [onBun, onDeno, onWorkerd]
    assert.deepStrictEqual(heading, ["", ...runtimes.map(({ runtime }) => runtime)])
    assert.deepStrictEqual(
      rows,
      drivers.map((driver) => [driver.title, ...runtimes.map((tried) => tried.drivers.includes(driver) ? "✓" : "")])
    )
  })
})

describe("docs/production/runtimes.md", () => {
  const docs = read("docs/production/runtimes.md")

  for (const file of readdirSync(new URL("../../examples/runtimes", import.meta.url))) {
    if (file === "globals.d.ts") continue
    it(`has ${file} as the tests run it`, () => {
      assert.include(docs, `\`\`\`ts\n${read(`examples/runtimes/${file}`)}\`\`\`\n`)
    })
  }
})
