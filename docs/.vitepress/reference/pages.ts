/**
 * The pages of the reference, made from the doc comments: one for each public module, one with its source, and one that lists all
 * modules; and the settings, for docs/reference/settings.md.
 */
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { type Export, type Module, readModules } from "./modules.ts"
import { driverSettings, readSettings } from "./settings.ts"

const modules = readModules()
/** The text of each page, by its path in the folder of the pages. */
export const makePages = (): ReadonlyMap<string, string> =>
  new Map([
    ["reference/modules/index.md", listOf(modules)],
    ...modules.flatMap((module): ReadonlyArray<[string, string]> => [
      [`reference/modules/${module.name}.md`, pageOf(module)],
      [`reference/modules/source/${module.name}.md`, sourceOf(module)]
    ])
  ])

const exportsOf = new Map(modules.map(({ exports, name }) => [name, new Set(exports.map(({ name }) => name))]))

const pageOf = (module: Module): string =>
  paragraphs(
    `# ${module.name}`,
    described(module.documentation.text, module),
    code("ts no-twoslash", importOf(module)),
    ...categoriesOf(module).flatMap(([category, exports]) => [
      `## ${category[0]!.toUpperCase()}${category.slice(1)} {#category-${category.replaceAll(" ", "-")}}`,
      ...exports.map((entry) => entryOf(entry, module))
    ])
  )

/** Those that need a test runner are not part of the whole. */
const importOf = ({ name }: Module): string =>
  inWhole.has(name) ? `import { ${name} } from "effect-session"` : `import * as ${name} from "effect-session/${name}"`

const inWhole = new Set(
  Array.from(
    readFileSync(resolve(import.meta.dirname, "../../../src/index.ts"), "utf8").matchAll(/^export \* as (\w+)/gm),
    ([, name]) => name
  )
)

/** In the order of the source; type IDs, which few readers need, are last. */
const categoriesOf = ({ exports }: Module): ReadonlyArray<readonly [string, ReadonlyArray<Export>]> => {
  const categories = [...Map.groupBy(exports, ({ documentation }) => documentation.tags["category"]!)]
  return [
    ...categories.filter(([category]) => category !== typeIds),
    ...categories.filter(([category]) => category === typeIds)
  ]
}

const typeIds = "type IDs"

const entryOf = ({ documentation, line, name, signatures }: Export, module: Module): string =>
  paragraphs(
    `### ${name} {#${name}}`,
    code("ts no-twoslash", signatures.join("\n\n")),
    described(documentation.text, module),
    `Since ${documentation.tags["since"]} · [Source](./source/${module.name}.md#L${line})`
  )

const sourceOf = ({ name, source }: Module): string =>
  paragraphs(
    "---\noutline: false\naside: false\nprev: false\nnext: false\n---",
    `# src/${name}.ts`,
    `[Documentation](../${name}.md)`,
    code("txt source", source.trimEnd())
  )

const listOf = (modules: ReadonlyArray<Module>): string =>
  paragraphs(
    "# Modules",
    "Import them from `effect-session`, or each by itself, as in `effect-session/Session`.",
    ["| module | |", "| --- | --- |", ...modules.map(rowOf)].join("\n")
  )

const rowOf = (module: Module): string => {
  const [first] = module.documentation.text.split("\n\n")
  return `| [${module.name}](./${module.name}.md) | ${
    described(first!, module).replaceAll("\n", " ").replaceAll("|", "\\|")
  } |`
}

const paragraphs = (...texts: ReadonlyArray<string>): string => texts.filter((text) => text !== "").join("\n\n")

// A backtick more than the text has.
const code = (language: string, text: string): string => `\`\`\`\`${language}\n${text}\n\`\`\`\``

/** A text with its links made, but for code. Names of exports in backticks are links too. */
const described = (text: string, module: Module): string =>
  text.split(/^(```[^]*?^```)$/gm).map((part) => part.startsWith("```") ? part : linked(part, module)).join("")

const linked = (text: string, module: Module): string =>
  text
    .replace(/\{@link ([\w.]+)\}/g, (_, path: string) => linkTo(path, module) ?? missing(path, module))
    .replace(/(?<!\[)`(\w+\.\w+)`/g, (written, path: string) => linkTo(path, module) ?? written)
    .replace(/(?<!\[)`(\w+)`/g, (written, name: string) => name === module.name ? written : moduleLink(name) ?? written)

const linkTo = (path: string, { name }: Module): string | undefined => {
  const [inModule, entry] = placeOf(path, name)
  if (!exportsOf.get(inModule)?.has(entry)) return path.includes(".") ? undefined : moduleLink(path)
  return `[\`${path}\`](${inModule === name ? "" : `./${inModule}.md`}#${entry})`
}

const moduleLink = (name: string): string | undefined => exportsOf.has(name) ? `[\`${name}\`](./${name}.md)` : undefined

/** An export of this module or of another one, or a member of an export of this module. */
const placeOf = (path: string, here: string): readonly [module: string, entry: string] => {
  const [first = "", second] = path.split(".")
  if (second !== undefined) return exportsOf.has(first) ? [first, second] : [here, first]
  return [exportsOf.get(here)?.has(first) ? here : first, first]
}

const missing = (path: string, { name }: Module): never => {
  throw new Error(`A doc comment of src/${name}.ts has a link to ${path}, which is not exported`)
}

const drivers = ["CookieLayer", "MemoryLayer", "FileLayer", "RedisLayer", "DynamoLayer", "SqlLayer", "KeyValueLayer"]

/** The table of the settings, and what the drivers add to it. */
export const makeSettings = (): string =>
  paragraphs(
    [
      "| setting | default | meaning |",
      "| --- | --- | --- |",
      ...readSettings().map(({ environment, meaning, name, standard }) =>
        `| \`${name}\`<br>\`${environment}\` | ${standard === "" ? "" : `\`${standard}\``} | ${meaning} |`
      )
    ].join("\n"),
    ...drivers.flatMap((driver) => [
      `## ${driver}`,
      described(driverSettings(driver), modules.find(({ name }) => name === driver)!)
        .replaceAll("](./", "](./modules/")
        .replaceAll("](#", `](./modules/${driver}.md#`)
    ])
  )
