/**
 * The page of the settings has every setting, with the default that it has.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { SessionConfig } from "effect-session"
import { readFileSync } from "node:fs"
import { makeSettings } from "../../docs/.vitepress/reference/pages.ts"
import { readSettings } from "../../docs/.vitepress/reference/settings.ts"
import { environmentName } from "../../src/internal/config/settings.ts"
import { assertWritten } from "../support/written.ts"

const defaults: unknown = Effect.runSync(SessionConfig.decode({}))

/** The names of all that was decoded. */
const namesIn = (value: unknown, prefix = ""): ReadonlyArray<string> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? Object.entries(value).flatMap(([name, value]) => namesIn(value, prefix === "" ? name : `${prefix}.${name}`))
    : [prefix]

const at = (document: unknown, name: string): unknown =>
  name.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], document)

const documentWith = (name: string, value: unknown): unknown =>
  name.split(".").toReversed().reduce((document, key) => ({ [key]: document }), value)

const settings = readSettings()

const path = "docs/reference/settings.md"
const page = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

/** Without what a formatter adds to a table. */
const plain = (text: string) => text.replaceAll(/ +/g, " ").replaceAll(/-+/g, "-")

describe("docs/reference/settings.md", () => {
  it("has what the doc comments say", () => {
    const [before, , after] = page.split(/<!-- (?:settings|end) -->/)
    assertWritten(path, `${before}<!-- settings -->\n\n${makeSettings()}\n\n<!-- end -->${after}`, plain)
  })

  it("is right about the names in the environment", () => {
    const pairs = [...page.matchAll(/`([a-z][\w.]+)`(?:<br>|,?\s(?:which )?is )`(SESSION_\w+)`/g)]
    assert.isAtLeast(pairs.length, readSettings().length + 2)
    for (const [, name, environment] of pairs) assert.strictEqual(environmentName(name!.split(".")), environment)
  })
})

describe("the table of settings", () => {
  it("has every setting, and each with what it means", () => {
    const names = settings.map(({ name }) => name)
    // The domain has no default, and the options of a driver are its own.
    const expected = namesIn(defaults).filter((name) => name !== "store.options")
    assert.sameMembers(names, [...expected, "cookie.domain"])
    for (const { meaning } of settings) assert.match(meaning, /\w.*\.$/)
  })

  it.each(settings.filter(({ standard }) => standard !== ""))(
    "$name: $standard is the default, and can be written like that",
    ({ name, standard }) => {
      const decoded = Effect.runSync(SessionConfig.decode(documentWith(name, JSON.parse(standard))))
      assert.deepStrictEqual(at(decoded, name), at(defaults, name))
    }
  )

  it("has the drivers that can be chosen", () => {
    const { meaning } = settings.find(({ name }) => name === "store.type")!
    for (const driver of SessionConfig.drivers) assert.include(meaning, `\`"${driver}"\``)
  })

  it("keeps a secret to itself when it is decoded", () => {
    const secret = "a secret of the table, of 32 characters or more"
    const decoded = Effect.runSync(SessionConfig.decode({ secret }))
    assert.strictEqual(Redacted.value(decoded.secret[0]!), secret)
    assert.notInclude(JSON.stringify(decoded), secret)
  })

  it("shows no default where there is none", () => {
    for (const { name } of settings.filter(({ standard }) => standard === "")) {
      const value = at(defaults, name)
      assert.isTrue(
        value === undefined || Redacted.isRedacted(value) || Array.isArray(value) && value.length === 0,
        name
      )
    }
  })
})
