/**
 * The site of the documentation. Its pages are the Markdown files of this folder, and `sidebar.ts` puts them in order. The
 * reference is written by `reference/write.ts` before VitePress begins.
 */
import { cp } from "node:fs/promises"
import { defineConfig, type MarkdownRenderer } from "vitepress"
import { numberLines, showTypes } from "./code/transformers.ts"
import { renderDiagrams } from "./diagrams.ts"
import { sidebar } from "./sidebar.ts"
import { slugOf } from "./slugs.ts"

const isSource = (page: string): boolean => page.startsWith("reference/modules/source/")

/** Code is found by what is written there: without its colors, and without the types that show under the pointer. */
const plain = (markdown: MarkdownRenderer): MarkdownRenderer => markdown.set({ highlight: null })

/**
 * A word as it is written and without its ending, so that "rotate" finds "rotation" and "rotating" too. The source of this
 * function is what browsers get, so it uses nothing from outside.
 */
const withStem = (word: string): Array<string> => {
  const term = word.toLowerCase()
  return [...new Set([term, term.replace(/(?<=[a-z]{4})(?:ions?|ings?|e[ds]?|s)$/, "")])]
}

export default defineConfig({
  title: "effect-session",
  description: "Sessions for Effect HTTP servers: typed keys, commits that merge, and drivers that are Layers",
  lang: "en",
  // Where a server has the site in a folder, such as "/effect-session/".
  base: process.env["DOCS_BASE"] ?? "/",
  head: [["link", { rel: "icon", href: "data:," }]],
  // Pages link to what is in there, and VitePress copies nothing but images.
  buildEnd: ({ outDir, srcDir }) => cp(`${srcDir}/grafana`, `${outDir}/grafana`, { recursive: true }),
  srcExclude: ["node_modules/**"],
  markdown: {
    anchor: { slugify: slugOf },
    config: renderDiagrams,
    codeTransformers: [showTypes, numberLines],
    theme: { light: "github-light", dark: "github-dark" }
  },
  themeConfig: {
    nav: [
      { text: "Start", link: "/start/pages", activeMatch: "^/start/" },
      { text: "Guide", link: "/guide/keys", activeMatch: "^/guide/" },
      { text: "In production", link: "/production/checklist", activeMatch: "^/production/" },
      { text: "How it works", link: "/how-it-works/request", activeMatch: "^/how-it-works/" },
      { text: "Reference", link: "/reference/settings", activeMatch: "^/reference/" }
    ],
    sidebar,
    outline: { level: [2, 3] },
    search: {
      provider: "local",
      options: {
        miniSearch: { options: { processTerm: withStem } },
        _render: (text, env, markdown) => isSource(env.relativePath) ? "" : plain(markdown).render(text, env)
      }
    }
  }
})
