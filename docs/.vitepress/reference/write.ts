/** Writes the pages of the reference where VitePress finds them. Git ignores them. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { makePages } from "./pages.ts"

const folder = resolve(import.meta.dirname, "../..")

rmSync(join(folder, "reference/modules"), { force: true, recursive: true })
for (const [path, text] of makePages()) {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), `${text}\n`)
}
