import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import * as Path from "node:path"
import ts from "typescript"

interface Example {
  readonly name: string
  /** Where it would be: it may import what is beside it. */
  readonly path: string
  readonly code: string
}

const root = Path.resolve(import.meta.dirname, "../..")

/** The examples of docs/runtimes.md are files there, and import each other. */
const runtimes = Path.join(root, "examples/runtimes")

/** Every block of TypeScript in a text; in doc comments without the stars. */
const examplesIn = (file: string): ReadonlyArray<Example> => {
  const text = readFileSync(Path.join(root, file), "utf8").replaceAll(/^ +\* ?/gm, "")
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code], index) => ({
    name: `${file}, example ${index + 1}`,
    path: Path.join(
      file === "docs/runtimes.md" ? runtimes : import.meta.dirname,
      code!.match(/^\/\/ (\w+\.ts)\n/)?.[1] ?? `${file.replaceAll(/\W/g, "-")}-${index}.ts`
    ),
    code: code!
  }))
}

const examples = [
  "README.md",
  ...readdirSync(Path.join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md") && !file.includes("node_modules"))
    .map((file) => `docs/${file}`),
  ...readdirSync(Path.join(root, "src")).filter((file) => file.endsWith(".ts")).map((file) => `src/${file}`)
].flatMap(examplesIn)

/** What the compiler has to say of the examples, as if each were a file. */
const check = (examples: ReadonlyArray<Example>): ReadonlyMap<string, string> => {
  const { config } = ts.readConfigFile(Path.join(root, "tsconfig.json"), (path) => ts.sys.readFile(path))
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root)
  const files = new Map(examples.map(({ code, path }) => [path, code]))
  // An example does not use all that it declares.
  const relaxed = {
    ...options,
    noUnusedLocals: false,
    noUnusedParameters: false,
    moduleDetection: ts.ModuleDetectionKind.Force
  }
  const host = ts.createCompilerHost(relaxed)
  const program = ts.createProgram([...files.keys(), Path.join(runtimes, "globals.d.ts")], relaxed, {
    ...host,
    fileExists: (path) => files.has(path) || host.fileExists(path),
    readFile: (path) => files.get(path) ?? host.readFile(path),
    getSourceFile: (path, languageVersion, ...rest) => {
      const code = files.get(path)
      return code === undefined
        ? host.getSourceFile(path, languageVersion, ...rest)
        : ts.createSourceFile(path, code, languageVersion)
    }
  })
  return new Map(
    [...files.keys()].map((path, index) => {
      const diagnostics = ts.getPreEmitDiagnostics(program, program.getSourceFile(path))
      return [examples[index]!.name, ts.formatDiagnostics(diagnostics, host)]
    })
  )
}

describe("examples in the documentation and in doc comments", () => {
  const problems = check(examples)

  it("are there", () => {
    assert.isAbove(examples.length, 15)
  })

  for (const { name } of examples) {
    it(`${name}: compiles`, () => {
      assert.strictEqual(problems.get(name), "")
    })
  }
})
