/**
 * Files of the documentation that are made from something else.
 */
import { assert } from "@effect/vitest"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"

/** Fails if the file is not what it should be, but for what `essence` leaves out. With `UPDATE_DOCS=1`, writes it. */
export const assertWritten = (path: string, content: string, essence = (text: string) => text): void => {
  const file = fileURLToPath(new URL(`../../${path}`, import.meta.url))
  if (process.env["UPDATE_DOCS"] === "1") {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
  }
  assert.strictEqual(
    essence(readFileSync(file, "utf8")),
    essence(content),
    `${path} is out of date: run this test with UPDATE_DOCS=1`
  )
}
