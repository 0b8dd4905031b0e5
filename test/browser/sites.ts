/**
 * A shop and other sites, all with TLS, as a browser sees them. One server answers for all of the hosts, on one port.
 */
import { Effect, type Scope } from "effect"
import type { Browser, BrowserContext, Page } from "playwright-core"
import { type Certificate, makeCertificate } from "../support/certificate.ts"
import { startChromium } from "../support/chromium.ts"
import { type Options, type Routes, serve } from "../support/server.ts"

const hosts = ["shop.example", "help.shop.example", "partner.example", "friend.example"] as const

/** Those of `shop.example` are one site. Each of the others is a site of its own. */
export type Host = typeof hosts[number]

export interface Sites {
  /** The address of a page, such as `https://shop.example:1234/`. */
  readonly at: (host: Host, path?: string) => string
}

export interface Web {
  readonly certificate: Certificate
  readonly browser: Browser
}

/** A browser that trusts the sites, and keeps pages for the back button. */
export const startWeb: Effect.Effect<Web, never, Scope.Scope> = Effect.gen(function*() {
  const certificate = yield* makeCertificate(hosts)
  return { certificate, browser: yield* startChromium({ trusted: certificate, keepsPages: true }) }
})

export const serveSites = ({ certificate }: Web, routes: Routes, options: Options = {}) =>
  Effect.map(serve(routes, { logger: false, tls: certificate, ...options }), ({ url }): Sites => ({
    at: (host, path = "/") => url.replace("127.0.0.1", host) + path
  }))

export interface Visitor {
  readonly context: BrowserContext
  readonly tab: Page
}

/** A visitor with a jar of their own, and a first tab. */
export const arrive = ({ browser }: Web): Effect.Effect<Visitor, never, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.promise(() => browser.newContext()),
      (context) => Effect.promise(() => context.close())
    ),
    openTab
  )

export const openTab = (context: BrowserContext): Effect.Effect<Visitor> =>
  Effect.promise(async () => {
    context.setDefaultTimeout(10_000)
    return { context, tab: await context.newPage() }
  })

/** What is in the jar, as `name=value`. */
export const cookiesIn = async (context: BrowserContext): Promise<ReadonlyArray<string>> =>
  (await context.cookies()).map(({ name, value }) => `${name}=${value}`)

/** What a page says. */
export const shown = (tab: Page): Promise<string> => tab.locator("body").innerText()
