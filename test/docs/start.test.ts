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

describe("docs/start/shop.md", () => {
  const blocks = [...read("docs/start/shop.md").matchAll(/^```ts no-twoslash\n\/\/ (\S+)\n\n(.*?)^```$/gms)]
  const excerpts = blocks.flatMap(([, file, code]) =>
    code!.trimEnd().split(/\n\n(?=\S)/).map((excerpt) => ({ file: file!, excerpt, begin: excerpt.split("\n", 1)[0] }))
  )

  it("has excerpts of each file that it is about", () => {
    assert.sameMembers(
      [...new Set(excerpts.map(({ file }) => file))],
      ["keys.ts", "cart.ts", "account.ts", "live.ts", "routes.ts", "pages.ts", "main.ts"]
    )
  })

  it.each(excerpts)("$file: $begin", ({ excerpt, file }) => {
    assert.include(`${withoutComments(read(`examples/shop/${file}`))}\n`, `\n${excerpt}\n`)
  })
})

const withoutComments = (code: string) =>
  code.replaceAll(/^ *\/\*\*[^]*?\*\/\n/gm, "").replaceAll(/^ *\/\/.*\n/gm, "").replaceAll(/ +\/\/ .*$/gm, "")
