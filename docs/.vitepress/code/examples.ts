/**
 * The examples of the documentation, as a compiler sees them: each is a module of its own in one program. To open them one
 * by one would take a second each, as the types of Effect would be checked anew every time.
 */
import { globSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import ts from "typescript"

const root = resolve(import.meta.dirname, "../../..")

/** Every block of TypeScript in a page, but for those that are no programs: these are marked `no-twoslash`. */
export const examplesIn = (page: string): ReadonlyArray<string> =>
  Array.from(page.matchAll(/^```ts\n(.*?)\n```$/gms), ([, code]) => code!)

/** The pages in a folder; not those that are written from the doc comments. */
export const pagesIn = (folder: string): ReadonlyArray<string> =>
  globSync("**/*.md", { cwd: folder, exclude: ["**/node_modules/**", "reference/modules/**"] })
    .map((path) => join(folder, path))
    .toSorted()

export interface Examples {
  /** What the compiler has to say of an example: nothing if all is well. */
  readonly problemsOf: (code: string) => string
  /** The names in an example, each with its type and its documentation. */
  readonly namesIn: (code: string) => ReadonlyArray<Name>
}

export interface Name {
  readonly text: string
  readonly start: number
  readonly type: string
  readonly documentation: string
}

/** Opens these examples. Others may follow: as long as there are few, that takes a moment. */
export const open = (codes: ReadonlyArray<string>): Examples => {
  const files = new Map<string, string>()
  const paths = new Map<string, string>()
  const pathOf = (code: string): string => {
    const text = code.trimEnd()
    const known = paths.get(text)
    if (known !== undefined) return known
    const path = join(root, folderOf(text), `example${paths.size}.ts`)
    paths.set(text, path)
    files.set(path, text)
    return path
  }
  for (const code of codes) pathOf(code)
  const service = ts.createLanguageService(hostOf(files), ts.createDocumentRegistry())

  return {
    problemsOf: (code) => {
      const path = pathOf(code)
      const problems = [...service.getSyntacticDiagnostics(path), ...service.getSemanticDiagnostics(path)]
      return ts.formatDiagnostics(problems, {
        getCanonicalFileName: (name) => name,
        getCurrentDirectory: () => root,
        getNewLine: () => "\n"
      })
    },
    namesIn: (code) => {
      const path = pathOf(code)
      return identifiersIn(service.getProgram()!.getSourceFile(path)!).flatMap((identifier) => {
        const start = identifier.getStart()
        const info = service.getQuickInfoAtPosition(path, start)
        const type = ts.displayPartsToString(info?.displayParts)
        // Of a module there is nothing to see but its name.
        return info === undefined || /^import \w+$/m.test(type) ? [] : [{
          text: identifier.text,
          start,
          type,
          documentation: ts.displayPartsToString(info.documentation)
        }]
      })
    }
  }
}

/**
 * A file of `examples` is compiled where it is, as it may import its neighbors, and so is what else imports a neighbor: that is an
 * example of docs/production/runtimes.md. All others are two folders down, as most pages are.
 */
const folderOf = (code: string): string =>
  foldersOfExamples.get(code) ?? (/ from "\.\//.test(code) ? "examples/runtimes" : "test/docs")

const foldersOfExamples = new Map(
  globSync("examples/**/*.ts", { cwd: root })
    .map((path) => [readFileSync(join(root, path), "utf8").trimEnd(), dirname(path)])
)

const identifiersIn = (node: ts.Node): ReadonlyArray<ts.Identifier> =>
  ts.isIdentifier(node) ? [node] : ts.isImportDeclaration(node) ? [] : node.getChildren().flatMap(identifiersIn)

const hostOf = (files: ReadonlyMap<string, string>): ts.LanguageServiceHost => {
  const readFile = (path: string): string | undefined => files.get(path) ?? ts.sys.readFile(path)
  const options = compilerOptions()
  return {
    getCompilationSettings: () => options,
    getScriptFileNames: () => [...files.keys(), join(root, "examples/runtimes/globals.d.ts")],
    getScriptVersion: () => "1",
    getScriptSnapshot: (path) => {
      const text = readFile(path)
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text)
    },
    getCurrentDirectory: () => root,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: (path) => files.has(path) || ts.sys.fileExists(path),
    readFile,
    readDirectory: ts.sys.readDirectory,
    directoryExists: ts.sys.directoryExists,
    getDirectories: ts.sys.getDirectories,
    realpath: ts.sys.realpath!
  }
}

/** Those of the project. But an example does not use all that it declares. */
const compilerOptions = (): ts.CompilerOptions => {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), (path) => ts.sys.readFile(path))
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root)
  return { ...options, noUnusedLocals: false, noUnusedParameters: false }
}
