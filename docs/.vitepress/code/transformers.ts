/**
 * What becomes of code in a page: examples show their types, and lines of source files can be linked to.
 */
import { rendererFloatingVue, transformerTwoslash } from "@shikijs/vitepress-twoslash"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import type { MarkdownOptions } from "vitepress"
import { type Examples, examplesIn, open, pagesIn } from "./examples.ts"

let opened: Examples | undefined

// VitePress brings an older Shiki, whose transformers have the same shape.
type ShikiTransformer = NonNullable<MarkdownOptions["codeTransformers"]>[number]

const popups = rendererFloatingVue()

/**
 * Every block of TypeScript shows the types of its names under the pointer, and fails the build if it does not compile.
 * What is marked `no-twoslash` is shown as it is.
 */
export const showTypes = transformerTwoslash({
  explicitTrigger: false,
  langs: ["ts"],
  renderer: {
    ...popups,
    // Without colors, which would double the size of the pages.
    nodeStaticInfo(info, node) {
      const plain = Object.create(this, { options: { value: { ...this.options, lang: "txt" } } })
      return popups.nodeStaticInfo.call(plain, info, node)
    }
  },
  twoslasher: (code: string) => ({ code, nodes: nodesOf(code) })
}) as object as ShikiTransformer

const nodesOf = (code: string) => {
  opened ??= open(everyExample())
  const problems = opened.problemsOf(code)
  if (problems !== "") throw new Error(`An example does not compile.\n\n${problems}\n${code}`)
  return opened.namesIn(code).map(({ documentation, start, text, type }) => {
    const before = code.slice(0, start).split("\n")
    return {
      type: "hover" as const,
      target: text,
      text: type,
      // Effect's go on for pages.
      docs: documentation.split("\n\n")[0]!,
      start,
      length: text.length,
      line: before.length - 1,
      character: before.at(-1)!.length
    }
  })
}

const everyExample = (): ReadonlyArray<string> => {
  const folder = resolve(import.meta.dirname, "../..")
  return [folder, `${folder}/reference/modules`].flatMap(pagesIn)
    .flatMap((page) => examplesIn(readFileSync(page, "utf8")))
}

/** In a block marked `source`, each line has an anchor: `#L1` is the first one. */
export const numberLines: ShikiTransformer = {
  name: "number-lines",
  line(node, line) {
    if (this.options.meta?.__raw?.split(" ").includes("source")) node.properties["id"] = `L${line}`
  }
}
