/**
 * Writes llms.txt, which lists the pages of the documentation for assistants: those of the sidebar, each with its
 * sections. `npm pack` runs it, so the package has one.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { sidebar } from "../docs/.vitepress/sidebar.ts"

const root = resolve(import.meta.dirname, "..")

const intro = `# effect-session

> Sessions for Effect 4 HTTP servers in TypeScript: typed keys, commits that merge, and drivers that are Layers.

[AGENTS.md](AGENTS.md) has a whole server and the mistakes to avoid. The modules are in \`src\`, with doc comments and examples.`

const sectionsOf = (page: string): string =>
  Array.from(page.replaceAll(/^```.*?^```$/gms, "").matchAll(/^## (.*)$/gm), ([, heading]) => heading).join(", ")

const lineFor = (text: string, link: string): string => {
  const path = `docs${link.endsWith("/") ? `${link}index` : link}.md`
  const sections = sectionsOf(readFileSync(join(root, path), "utf8"))
  return `- [${text}](${path})${sections === "" ? "" : `: ${sections}`}`
}

/** The modules are generated for the site. The package has their source. */
const isInPackage = (link: string | undefined): link is string => link?.startsWith("/reference/modules/") === false

export const makeLlms = (): string =>
  [
    intro,
    ...sidebar.map(({ items = [], text }) =>
      [
        `## ${text}\n`,
        ...items.flatMap(({ link, text }) => isInPackage(link) ? [lineFor(text!, link)] : [])
      ].join("\n")
    )
  ].join("\n\n") + "\n"

if (import.meta.main) writeFileSync(join(root, "llms.txt"), makeLlms())
