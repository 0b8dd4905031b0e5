/**
 * The page on the architecture names files and folders: all of them exist, and no folder is missing.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")
const page = readFileSync(join(root, "docs/how-it-works/architecture.md"), "utf8")

const named = [
  ...new Set(Array.from(page.matchAll(/`((?:\.|src|test|dtslint|examples|bench)[^\s`]*)`/g), ([, path]) => path!))
]

describe("docs/how-it-works/architecture.md", () => {
  for (const path of named) {
    it(`${path} is there`, () => {
      assert.isTrue(existsSync(join(root, path)))
    })
  }

  it("has a line for every folder of src/internal", () => {
    for (const folder of readdirSync(join(root, "src/internal"))) assert.include(named, `src/internal/${folder}/`)
  })

  it("names functions that are where it says", () => {
    const places = [...page.matchAll(/`(\w+)` in `(src\/[^`]+)`/g)]
    assert.isNotEmpty(places)
    for (const [, name, path] of places) {
      assert.match(readFileSync(join(root, path!), "utf8"), new RegExp(`const ${name}\\b`), path)
    }
  })

  it("draws every state there is", () => {
    const state = readFileSync(join(root, "src/internal/request/state.ts"), "utf8")
    const tags = new Set(Array.from(state.matchAll(/readonly _tag: "(\w+)"\n/g), ([, tag]) => tag!))
    const diagram = page.slice(page.indexOf("stateDiagram"), page.indexOf("```", page.indexOf("stateDiagram")))
    const arrows = [...diagram.matchAll(/^ {2}(\S+) --> (\w+)/gm)]
    const drawn = new Set(arrows.flatMap(([, from, to]) => [from!, to!]))
    assert.deepStrictEqual([...drawn].filter((name) => name !== "[*]").toSorted(), [...tags].toSorted())
  })
})
