import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"
import * as Examples from "../../docs/.vitepress/code/examples.ts"

const root = resolve(import.meta.dirname, "../..")

/** In doc comments, examples have stars before their lines. */
const examplesIn = (path: string) =>
  Examples.examplesIn(readFileSync(path, "utf8").replaceAll(/^ +\* ?/gm, "")).map((code, index) => ({
    name: `${relative(root, path)}, example ${index + 1}`,
    code
  }))

const examples = [
  join(root, "README.md"),
  join(root, "AGENTS.md"),
  ...Examples.pagesIn(join(root, "docs")),
  ...readdirSync(join(root, "src")).filter((file) => file.endsWith(".ts")).map((file) => join(root, "src", file))
].flatMap(examplesIn)

describe("examples in the documentation and in doc comments", () => {
  const opened = Examples.open(examples.map(({ code }) => code))

  it("are there", () => {
    assert.isAbove(examples.length, 15)
  })

  for (const { code, name } of examples) {
    it(`${name}: compiles`, () => {
      assert.strictEqual(opened.problemsOf(code), "")
    })
  }
})
