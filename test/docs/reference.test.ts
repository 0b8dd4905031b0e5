/**
 * The reference has everything that the public modules export, and its links lead somewhere.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { moduleNames } from "../../docs/.vitepress/reference/modules.ts"
import { makePages } from "../../docs/.vitepress/reference/pages.ts"

const pages = makePages()

const page = (path: string): string => pages.get(`reference/modules/${path}`) ?? assert.fail(`There is no page ${path}`)

const anchorsIn = (path: string): ReadonlySet<string> => {
  const { length } = page(path).split("\n")
  return path.startsWith("source/")
    ? new Set(Array.from({ length }, (_, index) => `L${index + 1}`))
    : new Set(Array.from(page(path).matchAll(/^#+ .*\{#(.+)\}$/gm), ([, anchor]) => anchor!))
}

describe("the reference", () => {
  it("has a page for each public module, and lists all of them", () => {
    const exported = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).exports
    assert.isAtLeast(moduleNames.length, 20)
    for (const name of moduleNames) {
      assert.property(exported, `./${name}`)
      assert.include(page("index.md"), `| [${name}](./${name}.md) |`)
    }
  })

  describe.each(moduleNames)("%s", (name) => {
    it("has all values that can be imported", async () => {
      const module: Record<string, unknown> = await import(`../../src/${name}.ts`)
      const anchors = anchorsIn(`${name}.md`)
      for (const value of Object.keys(module)) assert.isTrue(anchors.has(value), `${name}.${value} is missing`)
    })

    it("says of each since when there is it, and where it is in the source", () => {
      const source = page(`source/${name}.md`).split("\n")
      const begin = source.indexOf("````txt source")
      for (
        const [, title, line] of page(`${name}.md`).matchAll(
          /^### (\w+) \{.*?^Since \d+\.\d+\.\d+ · \[Source\]\(.*?#L(\d+)\)$/gms
        )
      ) {
        assert.include(source.slice(begin + Number(line), begin + Number(line) + 12).join("\n"), title!)
      }
    })

    it("has links that lead somewhere", () => {
      const text = page(`${name}.md`).replaceAll(/^(`{3,})[^]*?^\1$/gm, "")
      for (const [, target, anchor] of text.matchAll(/\]\((\.\/[\w/]+\.md)?(?:#(\w+))?\)/g)) {
        const path = target?.slice(2) ?? `${name}.md`
        if (anchor !== undefined) assert.isTrue(anchorsIn(path).has(anchor), `${path}#${anchor}`)
        else page(path)
      }
    })
  })
})
