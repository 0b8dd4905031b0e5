/**
 * The quick starts show the examples, file by file, as the tests run them.
 */
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { dirname } from "node:path"

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

const folder = new URL("../../examples/start", import.meta.url)

/** The files of a folder stand on the page of the same name; those of no folder on the page for pages. */
const pageOf = (file: string) => dirname(file) === "." ? "pages" : dirname(file)

describe("docs/start", () => {
  const files = globSync("**/*.ts", { cwd: folder })

  it("has examples", () => {
    assert.includeMembers(files.map(pageOf), ["pages", "api", "rpc"])
  })

  it.each(files)("shows %s", (file) => {
    assert.include(read(`docs/start/${pageOf(file)}.md`), `\`\`\`ts\n${read(`examples/start/${file}`)}\`\`\`\n`)
  })
})
