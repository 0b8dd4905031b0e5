/**
 * Reads a ConfigProvider as documents of settings. Files already have the form of the settings; in the environment, a
 * name such as `SESSION_COOKIE_SAME_SITE` has to be split. A `Config` reads only the names that it is asked for, so it
 * would silently ignore a misspelled setting.
 */
import type * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as String from "effect/String"
import { canonicalName } from "./settings.ts"

// Desktop environments set SESSION_MANAGER, which has nothing to do with HTTP.
const foreign = new Set(["MANAGER"])

/**
 * The documents of settings in a provider, later ones overriding earlier ones: the key `session` (of a JSON or YAML
 * file), and the variables that begin with `SESSION_`. Unknown names stay in the document, so that decoding reports
 * them.
 */
export const documentsFrom = Effect.fnUntraced(function*(
  provider: ConfigProvider.ConfigProvider,
  known: ReadonlyArray<ReadonlyArray<string>>
) {
  const document = yield* treeAt(provider, ["session"])
  const environment = yield* treeAt(provider, ["SESSION"])
  // A provider that upper-cases all names returns the same values twice.
  const isSame = JSON.stringify(document) === JSON.stringify(environment)
  const settings = new Map(known.map((path) => [canonicalName(path), path])).set("DRIVER", ["store", "type"])
  return [
    isSame || document === undefined ? {} : inDocument(settings, document),
    environment === undefined ? {} : inEnvironment(settings, environment)
  ]
})

/** What a provider has at a path: a value, children, or both. */
interface Tree {
  readonly value: string | undefined
  readonly isList: boolean
  readonly below: ReadonlyArray<readonly [name: string, tree: Tree]>
}

const treeAt: (
  provider: ConfigProvider.ConfigProvider,
  path: ReadonlyArray<string | number>
) => Effect.Effect<Tree | undefined, ConfigProvider.SourceError> = Effect.fnUntraced(function*(provider, path) {
  const node = yield* provider.load(path)
  if (node === undefined) return undefined
  const names = node._tag === "Record"
    ? [...node.keys]
    : node._tag === "Array"
    ? Array.from({ length: node.length }, (_, index) => index)
    : []
  const trees = yield* Effect.forEach(names, (name) => treeAt(provider, [...path, name]))
  return {
    value: node.value,
    isList: node._tag === "Array",
    below: names.flatMap((name, index) => trees[index] === undefined ? [] : [[`${name}`, trees[index]] as const])
  }
})

type Settings = ReadonlyMap<string, ReadonlyArray<string>>

interface Document {
  readonly [key: string]: unknown
}

/** A document has the form that decoding expects, except that its names may use a different case. */
const inDocument = (settings: Settings, document: Tree): unknown => {
  const place = (into: Document, path: ReadonlyArray<string>, tree: Tree): Document => {
    const setting = settings.get(canonicalName(path))
    if (setting !== undefined) return insert(into, setting, plain(tree))
    return tree.isList || tree.below.length === 0 || path[0] === "store" && path.length > 1
      ? insert(into, path, plain(tree))
      : tree.below.reduce((into, [name, tree]) => place(into, [...path, name], tree), into)
  }
  return document.below.length === 0 || document.isList ? plain(document) : place({}, [], document)
}

/**
 * In the environment, only the known settings show whether an underscore separates two words or a group and a setting.
 */
const inEnvironment = (settings: Settings, environment: Tree): Document => {
  const place = (into: Document, path: ReadonlyArray<string>, tree: Tree): Document => {
    const name = canonicalName(path)
    const setting = settings.get(name)
    const elements = setting === undefined ? [] : tree.below.filter(([name]) => /^\d+$/.test(name))
    const values = [tree.value, ...elements.map(([, element]) => plain(element))].filter((value) => value !== undefined)
    const rest = tree.below.filter((entry) => !elements.includes(entry))
    const start = values.length === 0 || name === "" || foreign.has(name)
      ? into
      : insert(into, setting ?? unknownPath(settings, name), elements.length === 0 ? values[0] : values)
    return rest.reduce((into, [name, tree]) => place(into, [...path, name], tree), start)
  }
  return place({}, [], environment)
}

/** Only the driver knows its own settings, except for the names of their groups. */
const unknownPath = (settings: Settings, name: string): ReadonlyArray<string> => {
  const [, group, setting] = /^([A-Z]+)_(.+)$/.exec(name) ?? []
  if (group === "STORE") {
    const [, inner, rest] = /^(AWS|TLS)_(.+)$/.exec(setting!) ?? []
    return inner === undefined
      ? ["store", String.camelCase(setting!)]
      : ["store", inner.toLowerCase(), String.camelCase(rest!)]
  }
  const isGroup = [...settings.values()].some((path) => path.length > 1 && canonicalName(path.slice(0, 1)) === group)
  return isGroup ? [group!.toLowerCase(), setting!] : [name]
}

const plain = (tree: Tree): unknown =>
  tree.isList
    ? tree.below.map(([, element]) => plain(element))
    : tree.value ?? Object.fromEntries(tree.below.map(([name, tree]) => [name, plain(tree)]))

const insert = (document: Document, [key, ...rest]: ReadonlyArray<string>, value: unknown): Document => {
  const there = document[key!]
  // A group that is turned off stays off; one that is turned on gets its settings.
  if (rest.length > 0 && there === "false") return document
  const group = (typeof there === "object" && there !== null ? there : {}) as Document
  return { ...document, [key!]: rest.length === 0 ? value : insert(group, rest, value) }
}
