/**
 * The public modules, read from their source: each export with its signatures, its documentation and its place.
 */
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import ts from "typescript"
import { commentBefore, type Documentation, documentationOf, parseComment } from "./documentation.ts"

const root = resolve(import.meta.dirname, "../../..")

/** Their names, as package.json exports them. */
export const moduleNames: ReadonlyArray<string> = Object.keys(
  JSON.parse(readFileSync(join(root, "package.json"), "utf8")).exports
).flatMap((path) => /^\.\/(\w+)$/.exec(path)?.[1] ?? [])

export interface Module {
  readonly name: string
  readonly documentation: Documentation
  readonly source: string
  /** What it exports, in the order of the source. A type and a value of one name are one. */
  readonly exports: ReadonlyArray<Export>
}

export interface Export {
  readonly name: string
  readonly documentation: Documentation
  readonly signatures: ReadonlyArray<string>
  /** The line of the source that it begins at. */
  readonly line: number
}

export const readModules = (): ReadonlyArray<Module> => {
  const names = new Map(moduleNames.map((name) => [join(root, "src", `${name}.ts`), name]))
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), (path) => ts.sys.readFile(path))
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root)
  const program = ts.createProgram([...names.keys()], options)
  return [...names].map(([path, name]) => moduleOf(program.getSourceFile(path)!, name, program.getTypeChecker()))
}

const moduleOf = (file: ts.SourceFile, name: string, checker: ts.TypeChecker): Module => {
  const exports = new Map<string, Export>()
  for (const found of file.statements.flatMap((statement) => exportsIn(statement, checker))) {
    const { documented, name } = found
    const documentation = documentationOf(documented)
    if ("internal" in documentation.tags) continue
    if (documentation.tags["category"] === undefined || documentation.tags["since"] === undefined) {
      // The implementation of an overloaded function has no comment.
      if (exports.has(name)) continue
      throw new Error(`${file.fileName}: ${name} needs a doc comment with @since and @category`)
    }
    const known = exports.get(name)
    exports.set(name, {
      name,
      documentation: known === undefined || known.documentation.text === "" ? documentation : known.documentation,
      signatures: [...known?.signatures ?? [], found.signature],
      line: known?.line ?? file.getLineAndCharacterOfPosition(documented.getStart(file)).line + 1
    })
  }
  return { name, documentation: headOf(file), source: file.text, exports: [...exports.values()] }
}

/** The comment before the imports. */
const headOf = (file: ts.SourceFile): Documentation => parseComment(/^\/\*\*[^]*?\*\//.exec(file.text)![0])

// -----------------------------------------------------------------------------
// signatures
// -----------------------------------------------------------------------------

interface Found {
  readonly name: string
  readonly documented: ts.Node
  readonly signature: string
}

const exportsIn = (statement: ts.Statement, checker: ts.TypeChecker): ReadonlyArray<Found> => {
  if (ts.isExportDeclaration(statement) && statement.exportClause && ts.isNamedExports(statement.exportClause)) {
    return statement.exportClause.elements.flatMap((element) => {
      const symbol = checker.getAliasedSymbol(checker.getSymbolAtLocation(element.name)!)
      return symbol.declarations!.map((declaration) => ({
        name: element.name.text,
        documented: element,
        signature: signatureOf(declaration, checker)
      }))
    })
  }
  if (!ts.canHaveModifiers(statement) || !ts.getModifiers(statement)?.some(isExport)) return []
  const declarations = ts.isVariableStatement(statement) ? statement.declarationList.declarations : [statement]
  return declarations.map((declaration) => ({
    name: (declaration as ts.NamedDeclaration).name!.getText(),
    documented: statement,
    signature: signatureOf(declaration, checker)
  }))
}

const isExport = ({ kind }: ts.ModifierLike): boolean => kind === ts.SyntaxKind.ExportKeyword

/** As it is written in the source, so lines break where the author has broken them. */
const signatureOf = (declaration: ts.Node, checker: ts.TypeChecker): string => {
  if (ts.isVariableDeclaration(declaration)) {
    return `const ${declaration.name.getText()}: ${typeOf(declaration, checker)}`
  }
  if (ts.isFunctionDeclaration(declaration)) {
    return withoutExport(textBetween(declaration, declaration.getStart(), declaration.body?.getStart()))
  }
  if (ts.isClassDeclaration(declaration)) {
    return `${withoutExport(textBetween(declaration, declaration.getStart(), declaration.members.pos))}}`
  }
  return withoutExport(publicTextOf(declaration))
}

const typeOf = (declaration: ts.VariableDeclaration, checker: ts.TypeChecker): string => {
  const { initializer, type } = declaration
  if (type !== undefined) return withoutComments(type.getText())
  if (initializer !== undefined && ts.isArrowFunction(initializer) && initializer.type !== undefined) {
    const before = textBetween(initializer, initializer.getStart(), initializer.parameters.pos)
    const after = textBetween(initializer, initializer.parameters.end, initializer.type.getStart())
    const parameters = initializer.parameters.map(parameterOf).join("")
    return `${before}${parameters}${after.replace(/:\s*$/, " => ")}${initializer.type.getText()}`
  }
  return checker.typeToString(
    checker.getTypeAtLocation(declaration),
    declaration,
    ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.UseAliasDefinedOutsideCurrentScope
  )
}

/** With the space before it and the comma behind; what has a default may be left out. */
const parameterOf = (parameter: ts.ParameterDeclaration, index: number, all: ReadonlyArray<ts.Node>): string => {
  const { initializer, name, type } = parameter
  const text = initializer === undefined
    ? parameter.getText()
    : `${ts.isIdentifier(name) ? name.getText() : "options"}?: ${type?.getText() ?? "unknown"}`
  const space = parameter.getFullText().slice(0, parameter.getLeadingTriviaWidth())
  return `${space}${text}${index < all.length - 1 ? "," : ""}`
}

/** Without the members that are internal. */
const publicTextOf = (declaration: ts.Node): string => {
  const text = textBetween(declaration, declaration.getStart(), declaration.getEnd())
  if (!ts.isInterfaceDeclaration(declaration)) return text
  const internal = declaration.members.filter((member) => /@internal/.test(commentBefore(member) ?? ""))
  return internal
    .map((member) => member.getFullText())
    .reduce((text, member) => text.replace(member, ""), text)
    .replace(/\n\n+}/, "\n}")
}

const textBetween = (node: ts.Node, start: number, end = node.getEnd()): string =>
  node.getSourceFile().text.slice(start, end).trimEnd()

const withoutExport = (text: string): string => text.replace(/^export /, "").trimEnd()

const withoutComments = (text: string): string => text.replace(/^ *\/\*\*[^]*?\*\/\n/gm, "")
