/**
 * The package as its users get it: packed, held against what Node.js and TypeScript expect of a package, installed
 * in an empty project, and used there as the quick start in README.md says.
 */
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { beforeAll, describe, expect, inject, it } from "vitest"
import { freePort, root, run, withServer } from "./tools.ts"

const tarball = inject("tarball")
const project = inject("project")

/** The first block of TypeScript under the heading "Quick start". */
const quickStart = async () => {
  const readme = await readFile(join(root, "README.md"), "utf8")
  const section = readme.split(/^## /m).find((part) => part.startsWith("Quick start\n"))
  const code = section?.match(/^```ts\n(.*?)^```$/ms)?.[1]
  return code ?? expect.fail("README.md has no block of TypeScript under a heading \"Quick start\".")
}

describe("the packed package", () => {
  it("is in order for publint", () => run(root, "publint", "run", "--strict", tarball))

  it("has types for every entry, as Are The Types Wrong finds them", () =>
    run(root, "attw", "--profile", "esm-only", tarball))
})

describe("the quick start, in an empty project", () => {
  let port: number

  beforeAll(async () => {
    port = await freePort()
    const code = await quickStart()
    expect(code.split("3000"), "The quick start names its port, 3000, once.").toHaveLength(2)
    await writeFile(join(project, "main.ts"), code.replace("3000", `${port}`))
    await writeFile(
      join(project, "tsconfig.json"),
      JSON.stringify({
        files: ["main.ts"],
        compilerOptions: {
          noEmit: true,
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          module: "NodeNext",
          target: "ES2023",
          types: ["node"]
        }
      })
    )
  })

  it("compiles", () => run(project, "tsc"))

  it("keeps a cart", () =>
    withServer({ folder: project, file: "main.ts", port }, async (origin, output) => {
      const cart = `${origin}/cart`
      const empty = await fetch(cart)
      expect(await empty.text(), output()).toBe("total: 0")
      expect(empty.headers.getSetCookie()).toEqual([])

      const added = await fetch(cart, { method: "POST", redirect: "manual" })
      expect(added.status, output()).toBe(302)
      expect(added.headers.get("location")).toBe("/cart")
      const cookies = added.headers.getSetCookie()
      expect(cookies).toHaveLength(1)

      const [cookie] = cookies[0]!.split(";", 1)
      const filled = await fetch(cart, { headers: { cookie: cookie! } })
      expect(await filled.text(), output()).toBe("total: 10")
    }))
})
