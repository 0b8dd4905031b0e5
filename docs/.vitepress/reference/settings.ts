/**
 * The settings: their names and defaults are those of the schema, what they mean is in the doc comments of
 * `SessionConfig.Options`. Those of the drivers stand in the doc comments of their own options.
 */
import { Duration, Effect, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import ts from "typescript"
import { environmentName } from "../../../src/internal/config/settings.ts"
import * as SessionConfig from "../../../src/SessionConfig.ts"
import { documentationOf } from "./documentation.ts"

export interface Setting {
  readonly name: string
  readonly environment: string
  /** The default, as you would write it; empty for a setting without one. */
  readonly standard: string
  readonly meaning: string
}

export const readSettings = (): ReadonlyArray<Setting> => {
  const meanings = meaningsIn(optionsOf("SessionConfig"))
  return [...meanings].map(([name, meaning]) => ({
    name,
    environment: environmentName(name.split(".")),
    standard: standardOf(name),
    meaning
  }))
}

const optionsOf = (module: string): ts.InterfaceDeclaration => {
  const path = resolve(import.meta.dirname, `../../../src/${module}.ts`)
  const file = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.ESNext, true)
  return file.statements.filter(ts.isInterfaceDeclaration).find(({ name }) => name.text === "Options")!
}

/** Of each setting in the interface; groups have names with dots. */
const meaningsIn = (
  { members }: ts.InterfaceDeclaration | ts.TypeLiteralNode,
  group = ""
): ReadonlyMap<string, string> =>
  new Map(
    members.filter(ts.isPropertySignature).flatMap((member) => {
      const name = `${group}${member.name.getText()}`
      if (member.type !== undefined && ts.isTypeLiteralNode(member.type)) {
        return [...meaningsIn(member.type, `${name}.`)]
      }
      const meaning = documentationOf(member).text.replaceAll("\n", " ")
      if (meaning === "") throw new Error(`SessionConfig.Options: ${name} needs a doc comment`)
      return [[name, meaning]]
    })
  )

const defaults: unknown = Effect.runSync(SessionConfig.decode({}))

const standardOf = (name: string): string => {
  const value = name.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], defaults)
  if (value === undefined || Redacted.isRedacted(value) || Array.isArray(value) && value.length === 0) return ""
  if (Duration.isDuration(value)) return JSON.stringify(Duration.format(value))
  return JSON.stringify(value === Infinity ? "unlimited" : value).replaceAll("\",\"", "\", \"")
}

/** What the settings of a driver mean, as the doc comment of its options lists them. */
export const driverSettings = (module: string): string => {
  const { text } = documentationOf(optionsOf(module))
  return text.slice(text.indexOf("\n- ") + 1)
}
