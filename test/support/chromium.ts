/**
 * The browser of the tests: a Chromium that is installed, without a window.
 */
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Browser, type BrowserContext, chromium, type LaunchOptions } from "playwright-core"
import { findChromium } from "../../scripts/chromium.mjs"
import { type Certificate, keyHashOf } from "./certificate.ts"
import { temporaryFolder } from "./redisServer.ts"

export interface ChromiumOptions {
  /** A certificate that it trusts as if an authority had signed it. */
  readonly trusted?: Certificate
  /** Whether it keeps pages that the user leaves, for the back button (bfcache), as browsers do. */
  readonly keepsPages?: boolean
}

/** Starts it, for as long as the scope. Its contexts are windows of private browsing. */
export const startChromium = (options: ChromiumOptions = {}): Effect.Effect<Browser, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => chromium.launch(launchOptions(options))),
    (browser) => Effect.promise(() => browser.close())
  )

/** Starts one with a window that is not private, and that lets the sites which a page embeds have cookies. */
export const startPermissive = (options: ChromiumOptions = {}): Effect.Effect<BrowserContext, never, Scope.Scope> =>
  Effect.flatMap(temporaryFolder, (folder) =>
    Effect.acquireRelease(
      Effect.promise(() => {
        mkdirSync(join(folder, "Default"))
        writeFileSync(join(folder, "Default", "Preferences"), `{ "profile": { "cookie_controls_mode": 0 } }`)
        return chromium.launchPersistentContext(folder, launchOptions(options))
      }),
      (context) => Effect.promise(() => context.close())
    ))

const launchOptions = ({ keepsPages = false, trusted }: ChromiumOptions): LaunchOptions => ({
  executablePath: findChromium() ?? assert.fail("The browser tests need Chromium: npm run pretest"),
  headless: true,
  ignoreDefaultArgs: keepsPages ? ["--disable-back-forward-cache"] : [],
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // The hosts that tests give their servers.
    "--host-resolver-rules=MAP *.example 127.0.0.1",
    ...trusted === undefined ? [] : [`--ignore-certificate-errors-spki-list=${keyHashOf(trusted)}`]
  ]
})
