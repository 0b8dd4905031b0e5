/**
 * The rights of docs/production/rights.md are those of the doc comments, which the drivers' tests grant on real servers.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

const comments = ["RedisLayer", "SqlLayer", "DynamoLayer"].map((name) =>
  read(`src/${name}.ts`).split("*/", 1)[0]!.replaceAll(/^ \* ?/gm, "")
).join("\n")

const blocks = Array.from(
  read("docs/production/rights.md").matchAll(/^```(?:text|sql|json)\n[^]*?^```$/gm),
  ([block]) => block
)

describe("docs/production/rights.md", () => {
  it("has the rights of four servers", () => {
    assert.lengthOf(blocks, 4)
  })

  it.each(blocks)("grants what the doc comments do: %s", (block) => {
    assert.include(comments, block)
  })
})
