/**
 * Opens every page of the sidebar in Chromium, on a phone and on a desktop, in the site that was built: no errors, nothing
 * loaded from elsewhere, nothing wider than the screen. The search finds something, and the code shows its types.
 *
 *     node .vitepress/look.ts              what is wrong
 *     node .vitepress/look.ts pictures     and a picture of each page in that folder
 */
import { mkdirSync, readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { extname, join, resolve } from "node:path"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import type { DefaultTheme } from "vitepress"
import { findChromium } from "../../scripts/chromium.mjs"
import { sidebar } from "./sidebar.ts"

const site = resolve(import.meta.dirname, "dist")
const base = process.env["DOCS_BASE"] ?? "/"
const pictures = process.argv[2]

const types: Record<string, string> = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".svg": "image/svg+xml"
}

// -----------------------------------------------------------------------------
// server and browser
// -----------------------------------------------------------------------------

/** Serves the files as they are. VitePress links to pages with ".html" or to folders. */
const server = createServer(({ url = "/" }, response) => {
  const path = decodeURIComponent(new URL(url, "http://localhost").pathname).slice(base.length)
  const file = path === "" || path.endsWith("/") ? `${path}index.html` : path
  try {
    const content = readFileSync(join(site, file))
    response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" }).end(content)
  } catch {
    response.writeHead(404).end()
  }
})
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const executablePath = findChromium()
if (executablePath === undefined) throw new Error("Chromium is missing: node scripts/setup.mjs browser")
const browser: Browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] })

const screens: ReadonlyArray<BrowserContextOptions & { readonly name: string }> = [
  { name: "phone", viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true },
  { name: "desktop", viewport: { width: 1440, height: 900 }, colorScheme: "dark" }
]

// -----------------------------------------------------------------------------
// pages
// -----------------------------------------------------------------------------

const linksIn = (items: ReadonlyArray<DefaultTheme.SidebarItem>): ReadonlyArray<string> =>
  items.flatMap(({ items = [], link }) => [...link === undefined ? [] : [link], ...linksIn(items)])

const pages = ["/", ...linksIn(sidebar)]

const problems: Array<string> = []

const addressOf = (link: string): string => `${origin}${base}${link.slice(1)}${link.endsWith("/") ? "" : ".html"}`

/** A page that writes down what goes wrong in it. */
const openTab = async (
  screen: typeof screens[number]
): Promise<{ readonly tab: Page; readonly close: () => Promise<void> }> => {
  const context = await browser.newContext(screen)
  const tab = await context.newPage()
  const report = (what: string) => problems.push(`${screen.name}, ${tab.url().slice(origin.length)}: ${what}`)
  tab.on("console", (message) => message.type() === "error" && report(message.text()))
  tab.on("pageerror", (error) => report(String(error)))
  tab.on("request", (request) => {
    const url = request.url()
    if (!url.startsWith(origin) && !url.startsWith("data:")) report(`loads ${url}`)
  })
  tab.on("response", (response) => response.status() >= 400 && report(`${response.url()} is a ${response.status()}`))
  return { tab, close: () => context.close() }
}

/** What is wider than the screen, and makes the page scroll sideways: the innermost elements. */
const tooWide = (tab: Page): Promise<ReadonlyArray<string>> =>
  tab.evaluate(() => {
    const width = document.documentElement.clientWidth
    if (document.documentElement.scrollWidth <= width) return []
    const sticksOut = (element: Element) => element.getBoundingClientRect().right > width + 1
    return [...document.querySelectorAll(".VPContent *")]
      .filter((element) => sticksOut(element) && ![...element.children].some(sticksOut))
      .slice(0, 3)
      .map((element) =>
        `<${element.localName} class="${element.getAttribute("class") ?? ""}"> ${element.textContent.slice(0, 60)}`
      )
  })

const look = async (screen: typeof screens[number]) => {
  const { close, tab } = await openTab(screen)
  for (const link of pages) {
    await tab.goto(addressOf(link))
    for (const element of await tooWide(tab)) {
      problems.push(`${screen.name}, ${link}: wider than the screen: ${element}`)
    }
    if (pictures !== undefined) {
      const name = `${link.slice(1).replaceAll("/", "-") || "home"}-${screen.name}.png`
      await tab.screenshot({ path: join(pictures, name), fullPage: false })
    }
  }
  await close()
}

// -----------------------------------------------------------------------------
// search and types
// -----------------------------------------------------------------------------

const search = async (words: string, expected: string) => {
  const { close, tab } = await openTab(screens[1]!)
  await tab.goto(addressOf("/"))
  await tab.locator(".DocSearch-Button").click()
  await tab.locator(".search-input").fill(words)
  const results = tab.locator(".VPLocalSearchBox .result")
  await results.first().waitFor()
  const found = await results.evaluateAll((elements) => elements.map((element) => element.getAttribute("href") ?? ""))
  if (!found.some((href) => href.includes(expected))) {
    problems.push(`the search for "${words}" does not find ${expected}`)
  }
  if (pictures !== undefined) await tab.screenshot({ path: join(pictures, "search.png") })
  await close()
}

/** At the bottom of the window, where there is little room for a type. */
const pointAtCode = async (link: string, expected: string) => {
  const { close, tab } = await openTab(screens[1]!)
  await tab.goto(addressOf(link))
  const name = tab.locator(".twoslash-hover").first()
  await name.evaluate((element) => element.scrollIntoView({ block: "end", behavior: "instant" }))
  await name.hover()
  const type = tab.locator(".v-popper__popper--shown .twoslash-popup-code").first()
  await type.waitFor()
  const isInView = ((await type.boundingBox())?.height ?? 0) > 15
  if (!isInView) problems.push(`${link}: no room for the type under the pointer`)
  const text = await type.innerText()
  if (!text.includes(expected)) problems.push(`${link}: no type under the pointer, but ${JSON.stringify(text)}`)
  if (pictures !== undefined) await tab.screenshot({ path: join(pictures, "types.png") })
  await close()
}

if (pictures !== undefined) mkdirSync(pictures, { recursive: true })
await Promise.all(screens.map(look))
await search("rotate", "/production/secrets")
await pointAtCode("/guide/testing", "CartTotal")

await browser.close()
server.close()

for (const problem of problems) console.error(problem)
console.log(`${pages.length} pages on ${screens.length} screens, ${problems.length} problems`)
if (problems.length > 0) process.exitCode = 1
