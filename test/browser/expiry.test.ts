/**
 * A session that expires while its page is open. The server's clock is the test's, and the browser goes by the time of day.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { CookieLayer, MemoryLayer, Session, type SessionConfig } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import type { BrowserContext, Page } from "playwright-core"
import { setTimeOfDay } from "../support/clock.ts"
import { eventually, shared } from "../support/redisServer.ts"
import { Basket, login, Name } from "../support/routes.ts"
import type { StoreLayer } from "../support/server.ts"
import { arrive, serveSites, startWeb } from "./sites.ts"

const web = shared(startWeb)

const page = Effect.map(Session.view, (session) => {
  const name = Option.getOrElse(session.get(Name), () => "nobody")
  const content = `<p>${[name, ...session.get(Basket)].join(" ")}</p>`
  return HttpServerResponse.html(
    `<!doctype html><title>Shop</title>${content}<a href="/">click</a><form method="post"><button>add</button></form>`
  )
})

const routes = Layer.mergeAll(
  login,
  HttpRouter.add("GET", "/", page),
  HttpRouter.add(
    "POST",
    "/",
    Effect.as(Session.modify(Basket, (items) => [...items, "tea"]), HttpServerResponse.redirect("/", { status: 303 }))
  )
)

/** Logs in, and leaves the page open. */
const open = Effect.fnUntraced(function*(store: StoreLayer, config: SessionConfig.Options) {
  const sites = yield* serveSites(web(), routes, { store, config })
  const { context, tab } = yield* arrive(web())
  yield* Effect.promise(async () => {
    await tab.goto(sites.at("shop.example"))
    await tab.evaluate(() => fetch("/login", { method: "POST" }))
    await tab.reload()
  })
  assert.strictEqual(yield* shows(tab), "Ada")
  return { context, tab }
})

const shows = (tab: Page) => Effect.promise(() => tab.locator("p").innerText())

/** Presses what has this text, waits for the page that it leads to, and answers with what is there. */
const press = (tab: Page, text: "click" | "add") =>
  Effect.andThen(
    Effect.promise(() => Promise.all([tab.waitForEvent("load"), tab.getByText(text).click()])),
    shows(tab)
  )

const cookieIn = (context: BrowserContext) =>
  Effect.promise(async () => {
    const [cookie, ...others] = await context.cookies()
    assert.lengthOf(others, 0)
    return cookie
  })

/** For how many hours the jar will keep the cookie. */
const hoursLeft = (context: BrowserContext) =>
  Effect.map(cookieIn(context), (cookie) => Math.round((cookie!.expires - Date.now() / 1_000) / 360) / 10)

describe.each<{ readonly driver: string; readonly store: () => StoreLayer }>([
  { driver: "MemoryLayer", store: () => MemoryLayer.layer() },
  { driver: "CookieLayer", store: () => CookieLayer.layer() }
])("a session of the $driver, whose page is open,", ({ store }) => {
  it.effect("goes on with every click, and is over when nobody has clicked for its age", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const { context, tab } = yield* open(store(), { age: "2 hours" })
      for (let clicks = 0; clicks < 3; clicks++) {
        yield* TestClock.adjust("119 minutes")
        assert.strictEqual(yield* press(tab, "click"), "Ada")
        assert.strictEqual(yield* hoursLeft(context), 2)
      }
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* press(tab, "click"), "nobody")
    }))

  it.effect("is over at its absolute age, however much is clicked, and the jar knows that before", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const { context, tab } = yield* open(store(), { age: "2 hours", absoluteAge: "3 hours" })
      for (const hours of [2, 2, 1.5, 1, 0.5]) {
        yield* TestClock.adjust("30 minutes")
        assert.strictEqual(yield* press(tab, "click"), "Ada")
        assert.strictEqual(yield* hoursLeft(context), hours)
      }
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(yield* press(tab, "click"), "nobody")
    }))

  it.effect("and whose cookie lasts as long as the browser, is over on the server alike", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const { context, tab } = yield* open(store(), { age: "2 hours", cookie: { persistence: "browser" } })
      assert.strictEqual((yield* cookieIn(context))!.expires, -1)
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* press(tab, "click"), "nobody")
    }))

  it.effect("begins again with the form that is sent from the page, with nothing of before", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const { context, tab } = yield* open(store(), { age: "2 hours" })
      const before = yield* cookieIn(context)
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* press(tab, "add"), "nobody tea")
      assert.notStrictEqual((yield* cookieIn(context))!.value, before!.value)
      assert.strictEqual(yield* hoursLeft(context), 2)
    }))
})

it.live("the jar drops the cookie by itself, and the next click comes without one", () =>
  Effect.gen(function*() {
    const { context, tab } = yield* open(MemoryLayer.layer(), { age: "5 seconds", touchEvery: "1 second" })
    assert.isDefined(yield* cookieIn(context))
    yield* eventually(Effect.filterOrFail(cookieIn(context), (cookie) => cookie === undefined))
    const sent = tab.waitForRequest((request) => request.isNavigationRequest())
    assert.strictEqual(yield* press(tab, "click"), "nobody")
    assert.notProperty(yield* Effect.promise(async () => (await sent).allHeaders()), "cookie")
  }))
