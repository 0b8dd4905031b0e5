/**
 * Tables of the documentation that tests go by.
 */
import { readFileSync } from "node:fs"

/** The cells of the table behind a mark of a page in docs/, row by row, without the padding; the second row is the line below the head. */
export const rowsBehind = (page: string, mark: string): ReadonlyArray<ReadonlyArray<string>> => {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), "utf8")
  const [, after = ""] = text.split(`<!-- ${mark} -->`)
  return after.slice(0, after.indexOf("<!-- end -->")).trim().split("\n").map((line) =>
    line.slice(1, -1).split("|").map((cell) => cell.trim())
  )
}
