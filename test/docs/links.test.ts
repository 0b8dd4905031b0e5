/**
 * Links between the pages of the repository lead somewhere, anchors too. What is generated when the site is built is checked then.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { pagesIn } from "../../docs/.vitepress/code/examples.ts"
import { slugOf } from "../../docs/.vitepress/slugs.ts"

const root = resolve(import.meta.dirname, "../..")
const generated = join(root, "docs/reference/modules")

const withoutCode = (page: string): string => page.replaceAll(/^```.*?^```$/gms, "").replaceAll(/`[^`\n]*`/g, "")

const linksIn = (page: string): ReadonlyArray<string> =>
  Array.from(withoutCode(page).matchAll(/\]\(([^)\s]+)\)/g), ([, link]) => link!)
    .filter((link) => !/^[a-z]+:/.test(link))

const anchorsIn = (page: string): ReadonlySet<string> =>
  new Set(
    Array.from(page.replaceAll(/^```.*?^```$/gms, "").matchAll(/^#+ +(.+)$/gm), ([, heading]) => slugOf(heading!))
  )

const read = (path: string): string => readFileSync(path, "utf8")

const pages = [join(root, "README.md"), join(root, "CHANGELOG.md"), ...pagesIn(join(root, "docs"))]
const links = pages.flatMap((page) => linksIn(read(page)).map((link) => ({ page, name: relative(root, page), link })))

describe("the links of the documentation", () => {
  it("are there", () => {
    assert.isNotEmpty(links.filter(({ link }) => link.includes("#")))
  })

  it.each(links)("$name: $link", ({ link, page }) => {
    const [path = "", anchor] = link.split("#")
    const target = path === "" ? page : join(dirname(page), path)
    if (target.startsWith(generated)) return
    if (dirname(page) !== root) assert.isTrue(target.startsWith(join(root, "docs")), "The site has nothing but docs/")
    assert.isTrue(existsSync(target), `There is no ${relative(root, target)}`)
    if (anchor !== undefined) assert.include([...anchorsIn(read(target))], anchor)
  })
})
