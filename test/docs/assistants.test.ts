/**
 * What the package has for assistants: a list of the pages, all of which are in the package.
 */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { matchesGlob } from "node:path"
import { makeLlms } from "../../scripts/llms.ts"

const root = new URL("../../", import.meta.url)

const linked = Array.from(makeLlms().matchAll(/\]\((.*?)\)/g), ([, path]) => path!)

describe("llms.txt", () => {
  it("lists every page", () => {
    assert.includeMembers(linked, globSync("docs/*/*.md", { cwd: root, exclude: ["docs/node_modules"] }))
  })

  it("leads to files of the package", () => {
    const { files } = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as { files: Array<string> }
    for (const path of linked) assert.isTrue(files.some((pattern) => matchesGlob(path, pattern)), path)
  })
})

describe("AGENTS.md", () => {
  it("names files of the package", () => {
    const text = readFileSync(new URL("AGENTS.md", root), "utf8")
    const named = Array.from(text.matchAll(/`(docs\/\S+\.md)`/g), ([, path]) => path!)
    assert.isNotEmpty(named)
    assert.includeMembers(linked, named)
  })
})
