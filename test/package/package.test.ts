/**
 * The package as its users get it: packed, held against what Node.js and TypeScript expect of a package, installed
 * in an empty project, and used there as the quick start in README.md says.
 */
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { beforeAll, describe, inject, it } from "vitest"
import { freePort, keepsCart, quickStart, root, run, withServer } from "./tools.ts"

const tarball = inject("tarball")
const project = inject("project")

describe("the packed package", () => {
  it("is in order for publint", () => run(root, "publint", "run", "--strict", tarball))

  it("has types for every entry, as Are The Types Wrong finds them", () =>
    run(root, "attw", "--profile", "esm-only", tarball))
})

describe("the quick start, in an empty project", () => {
  let port: number

  beforeAll(async () => {
    port = await freePort()
    await writeFile(join(project, "main.ts"), await quickStart(port))
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

  it("keeps a cart", () => withServer({ folder: project, file: "main.ts", port }, keepsCart))
})
