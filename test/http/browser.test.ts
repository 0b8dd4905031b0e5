/**
 * Logging in and out with a real browser, where people click twice, lose a response on the way, work in two tabs, and go
 * back. A browser goes by the responses that it gets, and drops one when the next request is under way.
 *
 * Requests and responses are held where they are by gates, so nothing here depends on how fast it goes.
 */
import { assert, beforeEach, describe, it, onTestFinished } from "@effect/vitest"
import { Effect, Layer, Option, Schema, type Scope } from "effect"
import { CookieLayer, MemoryLayer, RedisLayer, Session, SessionKey } from "effect-session"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import type { BrowserContext, Cookie, Page } from "playwright-core"
import { startChromium } from "../support/chromium.ts"
import { type Place, startLine } from "../support/line.ts"
import { shared, startRedis } from "../support/redisServer.ts"
import { serve, type StoreLayer } from "../support/server.ts"

const browser = shared(startChromium())

// -----------------------------------------------------------------------------
// the site
// -----------------------------------------------------------------------------

const Basket = SessionKey.make("basket", Schema.String)
const Name = SessionKey.make("name", Schema.String)
const Draft = SessionKey.make("draft", Schema.String)

const seeOther = (path: string) => HttpServerResponse.redirect(path, { status: 303 })

/** What the browser shows of the session on every page. */
const page = (content: string) =>
  Effect.map(Session.view, (session) => {
    const shown = [Name, Basket, Draft].map((key) => `<dd>${Option.getOrElse(session.get(key), () => "")}</dd>`)
    const html = `<!doctype html><title>Site</title><dl>${shown.join("")}</dl>${content}`
    // Or else the back button shows the page as it was, after a logout too.
    return HttpServerResponse.setHeader(HttpServerResponse.html(html), "cache-control", "no-store")
  })

const fields = HttpServerRequest.schemaBodyUrlParams(Schema.Record(Schema.String, Schema.String))

// Saved while it is being written, also if the page is left meanwhile.
const draft = `<textarea oninput="fetch('/draft', { method: 'POST', keepalive: true, body: this.value })"></textarea>`

const siteOf = (inHandler: (path: string) => Effect.Effect<void>) =>
  Layer.mergeAll(
    HttpRouter.add("GET", "/begin", Effect.as(Session.put(Basket, "tea"), seeOther("/login"))),
    HttpRouter.add(
      "GET",
      "/login",
      page(`<form method="post"><input name="name"><button>Log in</button></form>${draft}`)
    ),
    HttpRouter.add(
      "GET",
      "/",
      page(`<form method="post" action="/logout"><button>Log out</button></form>
        <form method="post" action="/add"><button>Add</button></form>`)
    ),
    HttpRouter.add(
      "POST",
      "/add",
      Effect.gen(function*() {
        yield* Session.modify(Basket, (basket) => `${Option.getOrElse(basket, () => "")}+`)
        yield* inHandler("/add")
        return seeOther("/")
      })
    ),
    HttpRouter.add(
      "POST",
      "/login",
      Effect.gen(function*() {
        const { name } = yield* fields
        yield* Session.regenerate
        yield* Session.put(Name, name!)
        yield* inHandler("/login")
        return seeOther("/")
      })
    ),
    HttpRouter.add(
      "POST",
      "/logout",
      Effect.gen(function*() {
        yield* Session.destroy
        yield* inHandler("/logout")
        return seeOther("/login")
      })
    ),
    HttpRouter.add(
      "POST",
      "/draft",
      Effect.gen(function*() {
        const { text } = yield* HttpServerRequest.HttpServerRequest
        yield* Session.put(Draft, yield* text)
        yield* inHandler("/draft")
        return HttpServerResponse.empty()
      })
    )
  )

const startSite = (store: Effect.Effect<StoreLayer, never, Scope.Scope>) =>
  Effect.gen(function*() {
    const line = yield* startLine
    const routes = siteOf((path) => Effect.promise(() => line.passes("handler", path)))
    const { url } = yield* serve(routes, {
      store: yield* store,
      logger: false,
      config: { cookie: { secure: false } }
    })
    line.leadsTo(url)
    return { direct: url, line }
  })

// -----------------------------------------------------------------------------
// what somebody does and sees
// -----------------------------------------------------------------------------

/** The mouse on a button of a page: each call is a click, and does not wait for what comes of it. */
const mouseOn = async (page: Page, name: string) => {
  const { height, width, x, y } = (await page.getByRole("button", { name }).boundingBox())!
  return () => page.mouse.click(x + width / 2, y + height / 2)
}

const press = async (page: Page, name: string) => (await mouseOn(page, name))()

const fillIn = (page: Page, name = "ada") => page.locator("[name=name]").fill(name)

/** Waits for a page with this button, whatever happens on the way to it. */
const arrivesAt = (page: Page, button: string) => page.getByRole("button", { name: button }).waitFor()

/** What the page shows of the session: the values, in the order of their keys. */
const shown = async (page: Page) => valuesOf(await page.locator("dd").allInnerTexts())

const valuesOf = (texts: ReadonlyArray<string>) => texts.filter((text) => text !== "").join(" ")

const drivers: ReadonlyArray<{
  readonly driver: string
  readonly store: Effect.Effect<StoreLayer, never, Scope.Scope>
  /** Whether the session is at the client, so that commits can't merge. */
  readonly stateless?: boolean
}> = [
  { driver: "MemoryLayer", store: Effect.sync(() => MemoryLayer.layer()) },
  { driver: "CookieLayer", store: Effect.sync(() => CookieLayer.layer()), stateless: true },
  { driver: "RedisLayer", store: Effect.map(startRedis(), ({ url }) => RedisLayer.layer({ url })) }
]

describe.each(drivers)("a browser, with the $driver", ({ stateless = false, store }) => {
  const site = shared(startSite(store))
  let context: BrowserContext
  let tab: Page

  const hold = (place: Place, path: string) => site().line.hold(place, path)

  const newTab = async (path: string) => {
    const page = await context.newPage()
    await page.goto(path)
    return page
  }

  const sessionCookie = async () => {
    const cookies = await context.cookies()
    assert.lengthOf(cookies, 1)
    return cookies[0]!
  }

  /** A visitor with something in the basket, at the form for the login. */
  const arrive = async (url: string) => {
    context = await browser().newContext({ baseURL: url })
    onTestFinished(() => context.close())
    tab = await newTab("/begin")
    assert.strictEqual(await shown(tab), "tea")
    await fillIn(tab)
  }

  const logIn = async (page: Page, name = "ada") => {
    await fillIn(page, name)
    await press(page, "Log in")
    await arrivesAt(page, "Log out")
  }

  const logOut = async (page: Page) => {
    await press(page, "Log out")
    await arrivesAt(page, "Log in")
  }

  /** The page for anybody with a copy of the cookie. */
  const seenWith = async ({ name, value }: Cookie) => {
    const response = await fetch(site().direct, { headers: { cookie: `${name}=${value}` } })
    return valuesOf(Array.from((await response.text()).matchAll(/<dd>(.*?)<\/dd>/g), ([, text]) => text!))
  }

  beforeEach(() => arrive(site().line.url))

  describe("logs in", () => {
    it("with one click, and keeps what was there before", async () => {
      const before = await sessionCookie()
      await logIn(tab)
      assert.strictEqual(await shown(tab), "ada tea")
      assert.strictEqual(await seenWith(before), "")
    })

    it("with a double click", async () => {
      await tab.getByRole("button", { name: "Log in" }).dblclick()
      await arrivesAt(tab, "Log out")
      assert.match(await shown(tab), /^ada( tea)?$/)
    })

    it("with a second click while the response to the first is on its way", async () => {
      const before = await sessionCookie()
      const click = await mouseOn(tab, "Log in")
      const first = hold("response", "/login")
      await click()
      await first.reached
      await click()
      await arrivesAt(tab, "Log out")
      assert.strictEqual(await shown(tab), "ada")
      first.release()
      assert.strictEqual(await seenWith(before), "")
    })

    it("with a second click while the first is in its handler, and done before the second", async () => {
      const click = await mouseOn(tab, "Log in")
      const [first, second] = [hold("handler", "/login"), hold("handler", "/login")]
      const firstResponse = hold("response", "/login")
      await click()
      await first.reached
      await click()
      await second.reached
      first.release()
      await firstResponse.reached
      firstResponse.release()
      second.release()
      await arrivesAt(tab, "Log out")
      assert.strictEqual(await shown(tab), "ada")
    })

    it("with a second click while the first is in its handler, and done after the second", async () => {
      const click = await mouseOn(tab, "Log in")
      const first = hold("handler", "/login")
      await click()
      await first.reached
      await click()
      await arrivesAt(tab, "Log out")
      const firstResponse = hold("response", "/login")
      first.release()
      await firstResponse.reached
      firstResponse.release()
      assert.strictEqual(await shown(tab), "ada tea")
      await tab.reload()
      assert.strictEqual(await shown(tab), "ada tea")
    })

    it("with a second click that interrupts the handler of the first", async () => {
      await arrive(site().direct)
      const click = await mouseOn(tab, "Log in")
      const first = hold("handler", "/login")
      await click()
      await first.reached
      await click()
      await arrivesAt(tab, "Log out")
      assert.strictEqual(await shown(tab), "ada tea")
    })

    it("when the response is lost, and the browser sends the form again by itself", async () => {
      const lost = site().line.cut("/login")
      await press(tab, "Log in")
      await lost.reached
      lost.mend()
      await arrivesAt(tab, "Log out")
      assert.strictEqual(await shown(tab), "ada")
    })

    it("when the response is lost, and the user sends the form again", async () => {
      const lost = site().line.cut("/login")
      const failed = tab.waitForEvent("framenavigated", (frame) => frame.url().startsWith("chrome-error:"))
      await press(tab, "Log in")
      await failed
      lost.mend()
      await tab.goto("/login")
      assert.strictEqual(await shown(tab), "")
      await logIn(tab)
      assert.strictEqual(await shown(tab), "ada")
    })

    it("from the form's page in another tab too, as somebody else", async () => {
      const other = await newTab("/login")
      await fillIn(other, "grace")
      await logIn(tab)
      await press(other, "Log in")
      await arrivesAt(other, "Log out")
      assert.strictEqual(await shown(other), "grace tea")
      await tab.reload()
      assert.strictEqual(await shown(tab), "grace tea")
    })

    it("from two tabs at the same time: as the one whose response comes last", async () => {
      const other = await newTab("/login")
      await fillIn(other, "grace")
      const [ada, grace] = [hold("handler", "/login"), hold("handler", "/login")]
      await press(tab, "Log in")
      await ada.reached
      await press(other, "Log in")
      await grace.reached
      ada.release()
      await arrivesAt(tab, "Log out")
      assert.strictEqual(await shown(tab), "ada tea")
      const ofAda = await sessionCookie()
      grace.release()
      await arrivesAt(other, "Log out")
      assert.strictEqual(await shown(other), "grace")
      await tab.reload()
      assert.strictEqual(await shown(tab), "grace")
      assert.strictEqual(await seenWith(ofAda), "ada tea", "that is another session, and goes on")
    })

    it("again from the form's page, with the back button", async () => {
      await logIn(tab)
      const before = await sessionCookie()
      await tab.goBack()
      await logIn(tab, "grace")
      assert.strictEqual(await shown(tab), "grace tea")
      assert.strictEqual(await seenWith(before), "")
    })
  })

  describe("logs out", () => {
    let ofAda: Cookie

    beforeEach(async () => {
      await logIn(tab)
      ofAda = await sessionCookie()
    })

    it("in all tabs", async () => {
      const other = await newTab("/")
      assert.strictEqual(await shown(other), "ada tea")
      await logOut(tab)
      assert.strictEqual(await shown(tab), "")
      await other.reload()
      assert.strictEqual(await shown(other), "")
      assert.strictEqual(await seenWith(ofAda), "")
    })

    it("and in again from another tab, with nothing of what was there", async () => {
      const other = await newTab("/login")
      await logOut(tab)
      await logIn(other, "grace")
      assert.strictEqual(await shown(other), "grace")
      assert.strictEqual(await seenWith(ofAda), "")
    })

    /** Grace logs in, in another tab: both requests are in their handlers. */
    const bothAtOnce = async () => {
      const other = await newTab("/login")
      const [loggingOut, loggingIn] = [hold("handler", "/logout"), hold("handler", "/login")]
      await press(tab, "Log out")
      await loggingOut.reached
      await fillIn(other, "grace")
      await press(other, "Log in")
      await loggingIn.reached
      return { loggingIn, loggingOut, other }
    }

    it("while another tab logs in, which is done first: nobody is logged in", async () => {
      const { loggingIn, loggingOut, other } = await bothAtOnce()
      loggingIn.release()
      await arrivesAt(other, "Log out")
      assert.strictEqual(await shown(other), "grace tea")
      const ofGrace = await sessionCookie()
      loggingOut.release()
      await arrivesAt(tab, "Log in")
      await other.reload()
      assert.strictEqual(await shown(other), "")
      assert.strictEqual(await seenWith(ofAda), "")
      assert.strictEqual(await seenWith(ofGrace), "")
    })

    it("while another tab logs in, which is done last: the one who logs in is", async () => {
      const { loggingIn, loggingOut, other } = await bothAtOnce()
      loggingOut.release()
      await arrivesAt(tab, "Log in")
      assert.strictEqual(await shown(tab), "")
      loggingIn.release()
      await arrivesAt(other, "Log out")
      assert.strictEqual(await shown(other), "grace")
      await tab.reload()
      assert.strictEqual(await shown(tab), "grace")
      assert.strictEqual(await seenWith(ofAda), "")
    })

    it("and the back button shows nothing of the session", async () => {
      await logOut(tab)
      await tab.goBack()
      await arrivesAt(tab, "Log out")
      assert.strictEqual(await shown(tab), "")
      await tab.goBack()
      await arrivesAt(tab, "Log in")
      assert.strictEqual(await shown(tab), "")
    })

    it("and a form that is sent from a page of before has a session of its own", async () => {
      await logOut(tab)
      await tab.goBack()
      await tab.goBack()
      await logIn(tab, "grace")
      assert.strictEqual(await shown(tab), "grace")
      assert.strictEqual(await seenWith(ofAda), "")
    })
  })

  describe("has two tabs", () => {
    /** Another tab, whose form has changed the basket but has no response yet. */
    const addInOther = async () => {
      const other = await newTab("/")
      const adding = hold("handler", "/add")
      await press(other, "Add")
      await adding.reached
      const added = async () => {
        const loaded = other.waitForEvent("load")
        adding.release()
        await loaded
      }
      return { added, other }
    }

    it(`that change the same value at once: ${stateless ? "one change is lost" : "both changes stay"}`, async () => {
      const [first, second] = [await addInOther(), await addInOther()]
      await second.added()
      assert.strictEqual(await shown(second.other), "tea+")
      await first.added()
      const both = stateless ? "tea+" : "tea++"
      assert.strictEqual(await shown(first.other), both)
      await second.other.reload()
      assert.strictEqual(await shown(second.other), both)
    })

    const change = stateless ? "the change is lost, the login is not" : "both stay"
    it(`one of which logs in while the other changes a value: ${change}`, async () => {
      const { added, other } = await addInOther()
      await logIn(tab)
      const ofAda = await sessionCookie()
      await added()
      assert.deepStrictEqual(await sessionCookie(), ofAda)
      assert.strictEqual(await shown(other), stateless ? "ada tea" : "ada tea+")
    })
  })

  describe("saves a draft", () => {
    const write = () => tab.locator("textarea").fill("Dear")

    const outcome = stateless ? "the draft is lost, the login is not" : "it is there afterwards"
    it(`while the form logs in: ${outcome}`, async () => {
      const saving = hold("handler", "/draft")
      const saved = hold("response", "/draft")
      await write()
      await saving.reached
      await press(tab, "Log in")
      await arrivesAt(tab, "Log out")
      assert.strictEqual(await shown(tab), "ada tea")
      saving.release()
      await saved.reached
      saved.release()
      await tab.reload()
      assert.strictEqual(await shown(tab), stateless ? "ada tea" : "ada tea Dear")
    })

    it("that reaches the server after the login: it is dropped, and the user stays logged in", async () => {
      const sent = hold("request", "/draft")
      const saved = hold("response", "/draft")
      await write()
      await sent.reached
      await press(tab, "Log in")
      await arrivesAt(tab, "Log out")
      sent.release()
      await saved.reached
      saved.release()
      await tab.reload()
      assert.strictEqual(await shown(tab), "ada tea")
    })
  })
})
