/**
 * README.md is short, and leads to what it names. Its quick start is run in test/package.
 */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"
import { pagesIn } from "../../docs/.vitepress/code/examples.ts"

const root = resolve(import.meta.dirname, "../..")
const read = (file: string) => readFileSync(join(root, file), "utf8")
const readme = read("README.md")

describe("README.md", () => {
  it("fits on a screen and a half", () => {
    assert.isBelow(readme.split("\n").length, 130)
  })

  it("has a line for each driver", () => {
    const named = Array.from(readme.matchAll(/^\| `(\w+Layer)` /gm), ([, name]) => name!)
    assert.sameMembers(named, globSync("*Layer.ts", { cwd: join(root, "src") }).map((file) => file.slice(0, -3)))
  })
})

describe("an example that serves routes", () => {
  const files = [
    "README.md",
    "AGENTS.md",
    ...pagesIn(join(root, "docs")).map((page) => relative(root, page)),
    ...globSync(["examples/**/*.ts", "src/*.ts"], { cwd: root })
  ]
  const served = files.flatMap((file) =>
    Array.from(read(file).matchAll(/HttpRouter\.serve\([^|]*?Layer\.provide\((\w+)/g), ([, first]) => ({ file, first }))
  )

  it("is found", () => {
    assert.isAtLeast(served.length, 10)
  })

  it.each(served)("$file provides the HTTP server first, so that the store is up when the port opens", ({ first }) => {
    assert.match(first!, /Server$/)
  })
})
