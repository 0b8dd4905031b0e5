/**
 * Looks at the site that was built: every link leads somewhere, anchors too, every page can be found in the sidebar, and
 * nothing is loaded from elsewhere.
 */
import { globSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"

const site = resolve(import.meta.dirname, "dist")
const base = process.env["DOCS_BASE"] ?? "/"

interface Page {
  readonly links: ReadonlyArray<string>
  readonly loads: ReadonlyArray<string>
  readonly anchors: ReadonlySet<string>
}

const valuesOf = (html: string, pattern: RegExp): ReadonlyArray<string> =>
  Array.from(html.matchAll(pattern), ([, value]) => value!.replaceAll("&amp;", "&"))

const pageOf = (html: string): Page => ({
  links: valuesOf(html, /<a\b[^>]*? href="([^"]*)"/g),
  loads: [...valuesOf(html, /<(?:link|use)\b[^>]*? href="([^"]*)"/g), ...valuesOf(html, / src="([^"]*)"/g)],
  anchors: new Set(valuesOf(html, / id="([^"]*)"/g))
})

const read = (path: string): string => readFileSync(join(site, path), "utf8")

const pages = new Map(globSync("**/*.html", { cwd: site }).map((path) => [path, pageOf(read(path))]))
const files = new Set(globSync("**/*.*", { cwd: site }))

/** Where a link leads: a file of the site and an anchor. Links to other sites lead nowhere. */
const targetOf = (link: string, from: string): { readonly path: string; readonly anchor: string } | undefined => {
  const url = new URL(link, `site:${base}${from}`)
  if (url.protocol !== "site:") return undefined
  const path = decodeURIComponent(url.pathname).slice(base.length)
  return {
    path: path === "" || path.endsWith("/") ? `${path}index.html` : path,
    anchor: decodeURIComponent(url.hash.slice(1))
  }
}

const brokenLinks = [...pages].flatMap(([from, { links, loads }]) =>
  [...links, ...loads].filter((link) => {
    const target = targetOf(link, from)
    return target !== undefined &&
      (!files.has(target.path) || target.anchor !== "" && !pages.get(target.path)?.anchors.has(target.anchor))
  }).map((link) => ({ from, link }))
)

/** What is in the sidebar is on every page: one is enough. */
const linksLeadingNowhere = [...Map.groupBy(brokenLinks, ({ link }) => link)]
  .map(([link, [first]]) => `${first!.from}: ${link} leads nowhere`)

const loadedFromElsewhere = [
  ...[...pages].flatMap(([from, { loads }]) =>
    loads.filter((link) => /^(https?:)?\/\//.test(link)).map((link) => `${from}: loads ${link}`)
  ),
  ...globSync("**/*.css", { cwd: site }).flatMap((path) =>
    valuesOf(read(path), /((?:@import|url\()\s*["']?(?:https?:)?\/\/[^"')]*)/g).map((found) => `${path}: ${found}`)
  )
]

const linkedPages = new Set(
  [...pages].flatMap(([from, { links }]) =>
    links.flatMap((link) => {
      const target = targetOf(link, from)
      return target === undefined || target.path === from ? [] : [target.path]
    })
  )
)

const lostPages = [...pages.keys()]
  .filter((path) => path !== "index.html" && path !== "404.html" && !linkedPages.has(path))
  .map((path) => `${path}: no page leads there. It needs a line in docs/.vitepress/sidebar.ts`)

const problems = [...new Set([...linksLeadingNowhere, ...loadedFromElsewhere, ...lostPages])]
for (const problem of problems) console.error(problem)
console.log(`${pages.size} pages, ${problems.length} problems`)
if (problems.length > 0) process.exitCode = 1
