/**
 * The shop's page of devices, where the password has to have been entered a short time ago, on a server whose time passes as
 * the test says.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"
import { HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import type { Browser, Page } from "playwright-core"
import { CartChanges } from "../../examples/shop/live.ts"
import { Routes } from "../../examples/shop/routes.ts"
import { startChromium } from "../support/chromium.ts"
import { setTimeOfDay } from "../support/clock.ts"
import { shared } from "../support/redisServer.ts"
import { serveLayer, type ServerLayer } from "../support/server.ts"

const browser = shared(startChromium())

const shop = Effect.gen(function*() {
  yield* setTimeOfDay
  return yield* serveLayer(
    HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }).pipe(
      Layer.provide(CartChanges.layer)
    ) as ServerLayer,
    { config: { cookie: { secure: false }, maximumAge: "30 days", maximumAbsoluteAge: "90 days" } }
  )
})

/** A page in a browser of its own. */
const newPage = (
  url: string,
  options?: Parameters<Browser["newContext"]>[0]
): Effect.Effect<Page, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => browser().newContext({ baseURL: url, javaScriptEnabled: false, ...options })),
    (context) => Effect.promise(() => context.close())
  ).pipe(Effect.flatMap((context) => Effect.promise(() => context.newPage())))

const does = <A>(deed: () => Promise<A>) => Effect.promise(deed)

const logIn = async (page: Page) => {
  await page.goto("/login")
  await page.getByLabel("Name").fill("Ada")
  await page.getByLabel("Password").fill("correct horse")
  await page.getByLabel("Keep me logged in").check()
  await page.getByRole("button", { name: "Log in" }).click()
}

const enterPassword = async (page: Page, password: string) => {
  await page.getByLabel("Password").fill(password)
  await page.getByRole("button", { name: "Continue" }).click()
}

const path = (page: Page) => new URL(page.url()).pathname

const goToDevices = async (page: Page) => {
  await page.goto("/security")
  return path(page)
}

const cookie = async (page: Page) => (await page.context().cookies())[0]!

const iPhone = {
  userAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
    "Version/18.1 Mobile/15E148 Safari/604.1"
}

describe("the list of devices", () => {
  it.effect("is shown for ten minutes after the login, and then asks for the password, with which it is shown again", () =>
    Effect.gen(function*() {
      const { url } = yield* shop
      const page = yield* newPage(url)
      yield* does(() => logIn(page))
      yield* TestClock.adjust("9 minutes")
      assert.strictEqual(yield* does(() => goToDevices(page)), "/security")
      const since = yield* does(() => page.locator(".devices time").getAttribute("datetime"))

      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* does(() => goToDevices(page)), "/password")
      const before = yield* does(() => cookie(page))
      yield* does(() => enterPassword(page, "wrong"))
      assert.strictEqual(path(page), "/password")
      assert.deepStrictEqual(yield* does(() => page.locator(".error").allInnerTexts()), [
        "A password has at least 8 characters."
      ])
      assert.strictEqual(yield* does(() => goToDevices(page)), "/password")

      yield* does(() => enterPassword(page, "correct horse"))
      assert.strictEqual(path(page), "/security")
      const after = yield* does(() => cookie(page))
      assert.notStrictEqual(after.value, before.value)
      assert.isAbove(after.expires, before.expires, "it is still kept")
      assert.lengthOf(yield* does(() => page.locator(".devices li").all()), 1)
      assert.strictEqual(yield* does(() => page.locator(".devices time").getAttribute("datetime")), since)

      yield* TestClock.adjust("9 minutes")
      assert.strictEqual(yield* does(() => goToDevices(page)), "/security")
    }))

  it.effect("logs nobody out if the password was entered too long ago, and says when each was last used", () =>
    Effect.gen(function*() {
      const { url } = yield* shop
      const page = yield* newPage(url)
      const other = yield* newPage(url, iPhone)
      yield* does(() => logIn(page))
      yield* does(() => logIn(other))
      const tab = yield* does(() => page.context().newPage())
      yield* does(() => goToDevices(page))
      yield* does(() => goToDevices(tab))
      yield* TestClock.adjust("11 minutes")
      yield* does(() => page.getByRole("button", { name: "Log out Safari on iPhone" }).click())
      yield* does(() => tab.getByRole("button", { name: "Log out all other devices" }).click())
      assert.deepStrictEqual([path(page), path(tab)], ["/password", "/password"])
      yield* does(() => goToDevices(page))
      yield* does(() => enterPassword(page, "correct horse"))
      const [, iPhoneFacts] = yield* does(() => page.locator(".devices li").allInnerTexts())
      assert.include(iPhoneFacts, "Last used 11 minutes ago")

      yield* does(() => page.getByRole("button", { name: "Log out Safari on iPhone" }).click())
      assert.strictEqual(path(page), "/security")
      assert.strictEqual(yield* does(() => goToDevices(other)), "/login")
    }))
})
