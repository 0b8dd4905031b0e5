import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { SessionConfig } from "effect-session"
import { readFileSync } from "node:fs"
import { environmentName } from "../../src/internal/config/settings.ts"

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8")

interface Row {
  readonly path: ReadonlyArray<string>
  readonly environment: string
  /** The default as it stands in the table, without the ticks. */
  readonly standard: string
}

const rows: ReadonlyArray<Row> = [
  ...readme.matchAll(/^\| `([\w.]+)` +\| `(SESSION_\w+)` +\| *(.*?) *\|/gm)
].map(([, path, environment, standard]) => ({
  path: path!.split("."),
  environment: environment!,
  standard: standard!.replace(/^`(.*)`$/, "$1")
}))

const at = (document: unknown, path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((value, key) => (value as Record<string, unknown>)?.[key], document)

const nested = ([key, ...rest]: ReadonlyArray<string>, value: unknown): object => ({
  [key!]: rest.length === 0 ? value : nested(rest, value)
})

const followsFromOthers = new Set(["maximumAge", "maximumAbsoluteAge", "touchEvery"])

const leaves = (value: unknown, path: ReadonlyArray<string> = []): ReadonlyArray<string> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? Object.entries(value).flatMap(([key, value]) => leaves(value, [...path, key]))
    : [path.join(".")]

const defaults = Effect.runSync(SessionConfig.decode({}))

describe("the README's table of settings", () => {
  it("has every setting there is", () => {
    const names = rows.map(({ path }) => path.join("."))
    const settings = leaves({ ...defaults, store: { type: defaults.store.type } })
    assert.includeMembers(names, [...settings, "cookie.domain"])
  })

  for (const { environment, path, standard } of rows) {
    const name = path.join(".")

    it(`${name}: the environment variable is ${environment}`, () => {
      assert.strictEqual(environmentName(path), environment)
    })

    // The settings of the drivers are decoded by the drivers, and some follow from others.
    if ((path[0] === "store" && name !== "store.type") || followsFromOthers.has(name)) continue

    it(`V7.1.1 ${name}: the default is ${standard || "absent"}`, () => {
      if (standard === "") {
        const value = at(defaults, path)
        assert.isTrue(value === undefined || Array.isArray(value) && value.length === 0)
        return
      }
      const document = nested(path, JSON.parse(standard))
      const decoded = Effect.runSync(SessionConfig.decode(document))
      assert.deepStrictEqual(at(decoded, path), at(defaults, path))
    })
  }

  it("has the drivers that can be chosen", () => {
    const driverRow = readme.split("\n").find((line) =>
      line.includes("`SESSION_DRIVER`") && line.includes("`store.type`")
    )!
    for (const driver of SessionConfig.drivers) assert.include(driverRow, `\`"${driver}"\``)
  })

  it("keeps a secret to itself when it is decoded", () => {
    const secret = "a secret of the readme, of 32 characters or more"
    const decoded = Effect.runSync(SessionConfig.decode({ secret }))
    assert.strictEqual(Redacted.value(decoded.secret[0]!), secret)
    assert.notInclude(JSON.stringify(decoded), secret)
  })
})

describe("an example that serves routes", () => {
  const files = [
    "README.md",
    "docs/how-it-works/overlaps.md",
    "examples/shop/main.ts",
    "src/SessionMiddleware.ts",
    "src/SessionDriver.ts"
  ]
  const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8")
  const served = files.flatMap((file) => [...read(file).matchAll(/HttpRouter\.serve\([^|]*?Layer\.provide\((\w+)/g)])

  it("provides the HTTP server first, so that the store is up when the port opens", () => {
    assert.isAtLeast(served.length, 2)
    for (const [, layer] of served) assert.match(layer!, /Server$/)
  })
})
