/**
 * The browser of the tests: a Chromium that is installed, without a window.
 */
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type Browser, chromium } from "playwright-core"
import { findChromium } from "../../scripts/chromium.mjs"

/** Starts it, for as long as the scope. */
export const startChromium: Effect.Effect<Browser, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() =>
    chromium.launch({
      executablePath: findChromium() ?? assert.fail("The browser tests need Chromium: npm run pretest"),
      headless: true,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync"
      ]
    })
  ),
  (browser) => Effect.promise(() => browser.close())
)
