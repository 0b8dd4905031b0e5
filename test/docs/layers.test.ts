/**
 * Whatever is served in an example has its server before its store: what is provided later is built earlier, so the port
 * opens last.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")

const filesIn = (folder: string, ending: RegExp) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => ending.test(file))
    .map((file) => join(folder, file))

const files = ["README.md", ...filesIn("docs", /\.md$/), ...filesIn("src", /\.ts$/), ...filesIn("examples", /\.ts$/)]

/** All that is provided to what serves, in its order. */
const served = files.flatMap((file) => {
  const text = readFileSync(join(root, file), "utf8").replaceAll(/^ +\* ?/gm, "")
  return Array.from(
    text.matchAll(/(?:HttpRouter|HttpServer)\.serve\((?!\))[^]*?\)\.pipe\(\n([^]*?)\n\)/g),
    ([, chain]) => ({
      file,
      provided: Array.from(chain!.matchAll(/Layer\.provide\w*\((.*)\)/g), ([, layer]) => layer!)
    })
  )
})

describe("the server of an example comes right after serve", () => {
  it("in README and in the shop", () => {
    assert.includeMembers(served.map(({ file }) => file), ["README.md", "examples/shop/main.ts"])
  })

  it.each(served)("in $file", ({ provided: [first, ...others] }) => {
    assert.match(first!, /^(NodeHttpServer\.|Server\b)/)
    assert.isNotEmpty(others)
  })
})
