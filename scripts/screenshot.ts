/**
 * Takes the picture of the shop that README.md and docs/start/shop.md show. It needs the Chromium of the tests:
 *
 *     node --conditions=effect-session/source scripts/screenshot.ts
 */
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { type Browser, devices } from "playwright-core"
import { startChromium } from "../test/support/chromium.ts"
import { startExample } from "../test/support/exampleProcess.ts"

const picture = fileURLToPath(new URL("../docs/start/security.png", import.meta.url))

const phone = { userAgent: devices["iPhone 15"]!.userAgent }
const tablet = { userAgent: devices["iPad (gen 7)"]!.userAgent }
const computer = { userAgent: devices["Desktop Firefox"]!.userAgent, viewport: { width: 760, height: 620 } }

/** Logs a customer in on a device. */
const logIn = async (browser: Browser, baseURL: string, device: typeof phone) => {
  const page = await (await browser.newContext({ ...device, baseURL })).newPage()
  await page.goto("/login")
  await page.getByLabel("Name").fill("Ada")
  await page.getByLabel("Password").fill("correct horse")
  await page.getByRole("button", { name: "Log in" }).click()
  await page.getByRole("button", { name: "Log out" }).waitFor()
  return page
}

const takePicture = Effect.gen(function*() {
  const { url } = yield* startExample("examples/shop/main.ts", { NODE_ENV: "production" })
  const browser = yield* startChromium()
  yield* Effect.promise(async () => {
    for (const device of [phone, tablet]) await logIn(browser, url, device)
    const page = await logIn(browser, url, computer)
    await page.goto("/security")
    await page.screenshot({ path: picture })
  })
})

await Effect.runPromise(Effect.scoped(takePicture))
