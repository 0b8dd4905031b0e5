/**
 * The pages for those who come from other libraries: what they say that there is here, is here.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Library from "effect-session"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const folder = join(import.meta.dirname, "../../docs/coming-from")
const pages = readdirSync(folder).map((name) => ({ name, text: readFileSync(join(folder, name), "utf8") }))
const libraries = pages.filter(({ name }) => name !== "index.md" && name !== "moving.md")

/** The right column of a page's table. */
const oursIn = (text: string) =>
  [...text.matchAll(/^\|.*[^\\\n]\|(.*)\|$/gm)].map(([, cell]) => cell!.trim()).filter((cell) => !/^-*$/.test(cell))

const modules = Object.keys(Library).join("|")

const defaults = Effect.runSync(Library.SessionConfig.decode({}))

describe("docs/coming-from", () => {
  it("has a page for each line of its index, and a line for each page", () => {
    const { text } = pages.find(({ name }) => name === "index.md")!
    const linked = [...text.matchAll(/^\| \[.*?\]\((.*?)\)/gm)].map(([, file]) => file!)
    assert.sameMembers(linked, libraries.map(({ name }) => name))
  })

  for (const { name, text } of pages) {
    it(`${name}: leads nowhere that is not there`, () => {
      for (const [, path] of text.matchAll(/\]\(([^)#:]+)[^)]*\)/g)) {
        assert.isTrue(existsSync(join(folder, path!)), path)
      }
    })
  }

  for (const { name, text } of libraries) {
    const ours = oursIn(text)

    it(`${name}: names what the modules export`, () => {
      assert.isAbove(ours.length, 10)
      for (const [, module, member] of ours.join("\n").matchAll(new RegExp(`\\b(${modules})\\.(\\w+)`, "g"))) {
        assert.property(Library[module as keyof typeof Library], member!)
      }
    })

    it(`${name}: names settings that there are`, () => {
      for (const [, group, setting] of ours.join("\n").matchAll(/`(cookie|id|owner|flash|csrf)\.(\w+)/g)) {
        if (setting !== "domain") assert.property(defaults[group as "cookie"], setting!)
      }
    })
  }
})
