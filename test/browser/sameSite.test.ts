/**
 * What a browser sends of the session with a request that a page of another site makes, and what becomes of its jar.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { Csrf, Session } from "effect-session"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import type { Page } from "playwright-core"
import { startPermissive } from "../support/chromium.ts"
import { observe } from "../support/observe.ts"
import { shared } from "../support/redisServer.ts"
import { Count, login, logout, Name } from "../support/routes.ts"
import {
  arrive,
  cookiesIn,
  type Host,
  openTab,
  serveSites,
  shown,
  type Sites,
  startWeb,
  type Visitor
} from "./sites.ts"

const web = shared(startWeb)

// -----------------------------------------------------------------------------
// the shop, and pages that ask for something of it
// -----------------------------------------------------------------------------

const page = (content: string) => HttpServerResponse.html(`<!doctype html><title>Page</title><body>${content}`)

/** Each way in which a page can make a request, and the element of the page that does. */
const elements = {
  link: (url: string) => `<a href="${url}">link</a>`,
  search: (url: string) => `<form action="${url}"><button>search</button></form>`,
  form: (url: string) => `<form method="post" action="${url}"><button>form</button></form>`,
  image: (url: string) => `<button onclick="new Image().src = '${url}'">image</button>`,
  frame: (url: string) => `<button onclick="frames[0].location = '${url}'">frame</button><iframe></iframe>`,
  fetch: (url: string) =>
    `<button onclick="fetch('${url}', { mode: 'no-cors', credentials: 'include' })">fetch</button>`
}

type Way = keyof typeof elements

const ways = Object.keys(elements) as ReadonlyArray<Way>

/** A page that is made with the address of the shop, on whatever host. */
const pageAbout = (path: `/${string}`, content: (shop: string) => string) =>
  HttpRouter.add(
    "GET",
    path,
    Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) =>
      page(content(headers["host"]!.replace(/^[^:]*/, "https://shop.example"))))
  )

const name = Effect.map(Session.get(Name), Option.getOrElse(() => "nobody"))

/** `asked` is told each way that has led to the shop, and whose session came along. */
const shop = (asked: (way: Way, name: string) => void = () => {}) =>
  Layer.mergeAll(
    login,
    logout,
    HttpRouter.add("GET", "/", page("")),
    HttpRouter.add("GET", "/name", Effect.map(name, (name) => page(`<a href="/name">${name}</a>`))),
    HttpRouter.add("GET", "/count", Effect.map(Session.increment(Count), (count) => page(`${count}`))),
    pageAbout("/asking", (shop) => ways.map((way) => elements[way](`${shop}/${way}`)).join("")),
    pageAbout("/elsewhere", (shop) => `
      <a href="${shop}/name">name</a>
      <a href="${shop}/count">count</a>
      <form method="post" action="${shop}/login"><button>login</button></form>`),
    pageAbout("/embedding", (shop) => `<iframe src="${shop}/count"></iframe>`),
    ...ways.map((way) => HttpRouter.add("*", `/${way}`, Effect.map(name, (name) => (asked(way, name), page(name)))))
  )

const logIn = async (tab: Page, sites: Sites) => {
  await tab.goto(sites.at("shop.example"))
  await tab.evaluate(() => fetch("/login", { method: "POST" }))
}

const press = (tab: Page, text: string) => tab.getByText(text, { exact: true }).click()

// -----------------------------------------------------------------------------
// SameSite
// -----------------------------------------------------------------------------

type SameSite = "lax" | "strict" | "none"

/** The ways in which a page of this host makes requests with the session. */
const waysFrom = Effect.fnUntraced(function*(host: Host, sameSite: SameSite, { context, tab }: Visitor) {
  const answers = new Map(ways.map((way) => [way, Promise.withResolvers<string>()]))
  const routes = shop((way, name) => answers.get(way)!.resolve(name))
  const sites = yield* serveSites(web(), routes, { config: { cookie: { sameSite } } })
  return yield* Effect.promise(async () => {
    await logIn(tab, sites)
    const before = await cookiesIn(context)
    assert.lengthOf(before, 1)
    const names: Array<string> = []
    for (const way of ways) {
      await tab.goto(sites.at(host, "/asking"))
      await press(tab, way)
      names.push(await answers.get(way)!.promise)
    }
    assert.deepStrictEqual(await cookiesIn(context), before)
    return ways.filter((_, index) => names[index] === "Ada")
  })
})

describe.each<{ readonly sameSite: SameSite; readonly sent: ReadonlyArray<Way> }>([
  { sameSite: "lax", sent: ["link", "search"] },
  { sameSite: "strict", sent: [] },
  // The browser keeps back the cookies of what other sites embed, as most do.
  { sameSite: "none", sent: ["link", "search", "form"] }
])("a session whose cookie is SameSite=$sameSite", ({ sameSite, sent }) => {
  it.live(`comes from pages of another site with ${sent.join(", ") || "nothing"}`, () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* waysFrom("partner.example", sameSite, yield* arrive(web())), sent)
    }))

  it.live("comes with everything from another host of the same site", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* waysFrom("help.shop.example", sameSite, yield* arrive(web())), ways)
    }))
})

it.live("with SameSite=None, it comes with everything if the browser lets embedded sites have cookies", () =>
  Effect.gen(function*() {
    const profile = yield* startPermissive({ trusted: web().certificate })
    assert.deepStrictEqual(yield* waysFrom("partner.example", "none", yield* openTab(profile)), ways)
  }))

describe("with SameSite=Strict, a user who follows a link of another site", () => {
  const follow = Effect.fnUntraced(function*(link: string) {
    const sites = yield* serveSites(web(), shop(), { config: { cookie: { sameSite: "strict" } } })
    const { context, tab } = yield* arrive(web())
    return yield* Effect.promise(async () => {
      await logIn(tab, sites)
      const before = await cookiesIn(context)
      await tab.goto(sites.at("partner.example", "/elsewhere"))
      await press(tab, link)
      await tab.waitForURL(sites.at("shop.example", `/${link}`))
      return { before, context, sites, tab }
    })
  })

  it.live("is known from the next click on", () =>
    Effect.gen(function*() {
      const { tab } = yield* follow("name")
      yield* Effect.promise(async () => {
        await press(tab, "nobody")
        await tab.getByText("Ada").waitFor()
      })
    }))

  it.live("loses the session to a page that begins one", () =>
    Effect.gen(function*() {
      const { before, context, sites, tab } = yield* follow("count")
      yield* Effect.promise(async () => {
        assert.lengthOf(await cookiesIn(context), 1)
        assert.notDeepEqual(await cookiesIn(context), before)
        await tab.goto(sites.at("shop.example", "/name"))
        assert.strictEqual(await shown(tab), "nobody")
      })
    }))
})

describe("a login form that another site posts", () => {
  const postFrom = Effect.fnUntraced(function*(routes: typeof shop) {
    const sites = yield* serveSites(web(), routes())
    const { context, tab } = yield* arrive(web())
    return yield* Effect.promise(async () => {
      await logIn(tab, sites)
      const before = await cookiesIn(context)
      await tab.goto(sites.at("partner.example", "/elsewhere"))
      const answered = tab.waitForResponse(sites.at("shop.example", "/login"))
      await press(tab, "login")
      const status = (await answered).status()
      return { before, after: await cookiesIn(context), status }
    })
  }, Effect.provide(observe().layer))

  it.live("replaces the user's session, although SameSite=Lax keeps the cookie back", () =>
    Effect.gen(function*() {
      const { after, before, status } = yield* postFrom(shop)
      assert.strictEqual(status, 200)
      assert.lengthOf(after, 1)
      assert.notDeepEqual(after, before)
    }))

  it.live("is refused by Csrf, and the jar stays as it is", () =>
    Effect.gen(function*() {
      const { after, before, status } = yield* postFrom(() =>
        Layer.provide(shop(), Csrf.layer) as ReturnType<typeof shop>
      )
      assert.strictEqual(status, 403)
      assert.deepStrictEqual(after, before)
    }))
})

// -----------------------------------------------------------------------------
// Partitioned
// -----------------------------------------------------------------------------

describe("a shop that other sites embed", () => {
  const visits = (partitioned: boolean) =>
    Effect.gen(function*() {
      const sites = yield* serveSites(web(), shop(), { config: { cookie: { sameSite: "none", partitioned } } })
      const { context, tab } = yield* arrive(web())
      const countOn = async (host: Host, path: string) => {
        await tab.goto(sites.at(host, path))
        return Number(await tab.frames().at(-1)!.locator("body").innerText())
      }
      return yield* Effect.promise(async () => ({
        counts: [
          await countOn("shop.example", "/count"),
          await countOn("partner.example", "/embedding"),
          await countOn("partner.example", "/embedding"),
          await countOn("friend.example", "/embedding"),
          await countOn("shop.example", "/count")
        ],
        cookies: await context.cookies()
      }))
    })

  it.live("has a session for each of them, if the cookie is partitioned", () =>
    Effect.gen(function*() {
      const { cookies, counts } = yield* visits(true)
      assert.deepStrictEqual(counts, [1, 1, 2, 1, 2])
      assert.sameMembers(cookies.map(({ partitionKey }) => partitionKey), [
        "https://shop.example",
        "https://partner.example",
        "https://friend.example"
      ])
    }))

  it.live("has a new session each time, if it is not", () =>
    Effect.gen(function*() {
      const { cookies, counts } = yield* visits(false)
      assert.deepStrictEqual(counts, [1, 1, 1, 1, 2])
      assert.deepStrictEqual(cookies.map(({ partitionKey }) => partitionKey), [undefined])
    }))
})
