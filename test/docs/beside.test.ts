/**
 * The pages on other libraries show code of the examples, which tests run: what has the same name is the same.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")
const folder = join(root, "docs/beside")

const pages = readdirSync(folder).map((name) => ({ name, text: readFileSync(join(folder, name), "utf8") }))

const example = readdirSync(join(root, "examples/beside"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => readFileSync(join(root, "examples/beside", file), "utf8"))
  .join("\n\n")

/** The name that a piece of code declares. */
const nameOf = (piece: string) => /^(?:export )?(?:const|class|interface) (\w+)/m.exec(piece)?.[1]

/** What is between blank lines, and belongs together by its indentation. */
const piecesOf = (code: string) => code.trim().split(/\n\n+(?=\S)/)

const declared = new Set(piecesOf(example).flatMap((piece) => nameOf(piece) ?? []))

const shown = pages.flatMap(({ name, text }) =>
  [...text.matchAll(/^```ts\n(.*?)^```$/gms)]
    .flatMap(([, code]) => piecesOf(code!))
    .filter((piece) => declared.has(nameOf(piece) ?? ""))
    .map((piece) => ({ name, piece }))
)

describe("docs/beside", () => {
  it("shows code of the examples on each page", () => {
    assert.sameMembers([...new Set(shown.map(({ name }) => name))], pages.map(({ name }) => name))
  })

  for (const { name, piece } of shown) {
    it(`${name}: ${nameOf(piece)} is the example's`, () => {
      assert.include(example, piece)
    })
  }
})
