/**
 * The session's cookie in the jar of a browser, over HTTPS: its name, its size, and what is left of it after a logout.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema } from "effect"
import { CookieLayer, Session, SessionKey } from "effect-session"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import type { Page } from "playwright-core"
import { observe } from "../support/observe.ts"
import { shared } from "../support/redisServer.ts"
import { login, logout, Name, ok, post } from "../support/routes.ts"
import type { Options } from "../support/server.ts"
import { arrive, cookiesIn, serveSites, shown, startWeb } from "./sites.ts"

const web = shared(startWeb)

const Text = SessionKey.make("text", Schema.String)

const text = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ text }) => text)

const page = (content: string) => HttpServerResponse.html(`<!doctype html><title>Page</title><body>${content}`)

const account = Effect.map(Session.get(Name), (name) => page(Option.getOrElse(name, () => "nobody")))

/** Sets a cookie of another host's, for all hosts of the site. */
const toss = HttpRouter.add(
  "POST",
  "/toss",
  Effect.map(
    text,
    (name) => HttpServerResponse.setHeader(ok, "set-cookie", `${name}=tossed; Domain=shop.example; Path=/; Secure`)
  )
)

const routes = Layer.mergeAll(
  login,
  logout,
  toss,
  HttpRouter.add("GET", "/", page("")),
  HttpRouter.add("GET", "/account", account),
  HttpRouter.add(
    "GET",
    "/account/unstored",
    Effect.map(account, HttpServerResponse.setHeader("cache-control", "no-store"))
  ),
  HttpRouter.add("GET", "/text", Effect.map(Session.getOrElse(Text, () => ""), page)),
  post("/text", Effect.flatMap(text, (text) => Session.put(Text, text))),
  post(
    "/text/committed",
    Effect.flatMap(text, (text) => Effect.andThen(Session.put(Text, text), Session.commit)).pipe(
      Effect.catchTag("SessionTooLargeError", () => Session.rollback)
    )
  ),
  post("/leave/storage", Effect.andThen(Session.logout, Session.clearSiteData(["storage"]))),
  post("/leave/cookies", Effect.andThen(Session.logout, Session.clearSiteData(["cookies"])))
)

const visit = (options?: Options) =>
  Effect.gen(function*() {
    const sites = yield* serveSites(web(), routes, options)
    const { context, tab } = yield* arrive(web())
    yield* Effect.promise(() => tab.goto(sites.at("shop.example")))
    return { context, sites, tab }
  }).pipe(Effect.provide(observe().layer))

/** Sends a form from the page, and answers with the status. */
const send = (tab: Page, path: string, body = "") =>
  tab.evaluate(async ([path, body]) => (await fetch(path!, { method: "POST", body: body! })).status, [path, body])

// -----------------------------------------------------------------------------
// name
// -----------------------------------------------------------------------------

for (const name of ["__Host-session", "__Host-Http-session"]) {
  describe(`a cookie with the name ${name}`, () => {
    const logIn = Effect.fnUntraced(function*() {
      const visitor = yield* visit({ config: { cookie: { name } } })
      yield* Effect.promise(() => send(visitor.tab, "/login"))
      return visitor
    })

    it.live("is in the jar for this host alone, and out of it after a logout", () =>
      Effect.gen(function*() {
        const { context, tab } = yield* logIn()
        yield* Effect.promise(async () => {
          const [cookie, ...others] = await context.cookies()
          const { domain, httpOnly, path, sameSite, secure } = cookie!
          assert.deepStrictEqual({ name: cookie!.name, domain, httpOnly, path, sameSite, secure }, {
            name,
            domain: "shop.example",
            httpOnly: true,
            path: "/",
            sameSite: "Lax",
            secure: true
          })
          assert.lengthOf(others, 0)
          await send(tab, "/logout")
          assert.lengthOf(await context.cookies(), 0)
        })
      }))

    it.live("can't be set by another host of the site, nor by a script", () =>
      Effect.gen(function*() {
        const { context, sites, tab } = yield* logIn()
        yield* Effect.promise(async () => {
          const before = await cookiesIn(context)
          await tab.evaluate(`document.cookie = "${name}=scripted; Secure; Path=/"`)
          await tab.goto(sites.at("help.shop.example"))
          await send(tab, "/toss", name)
          assert.deepStrictEqual(await cookiesIn(context), before)
        })
      }))
  })
}

it.live("two cookies of a plain name, one set by another host of the site, are no session", () =>
  Effect.gen(function*() {
    const { context, sites, tab } = yield* visit()
    yield* Effect.promise(async () => {
      await tab.goto(sites.at("help.shop.example"))
      await send(tab, "/toss", "session")
      await tab.goto(sites.at("shop.example"))
      await send(tab, "/login")
      assert.sameMembers((await context.cookies()).map(({ domain }) => domain), [".shop.example", "shop.example"])
      await tab.goto(sites.at("shop.example", "/account"))
      assert.strictEqual(await shown(tab), "nobody")
    })
  }))

// -----------------------------------------------------------------------------
// size
// -----------------------------------------------------------------------------

describe("a session of 5 kB in cookies", () => {
  const large = "x".repeat(5_000)

  for (
    const [what, path, status] of [
      ["that fails at the end of the request", "/text", 500],
      ["that the handler catches", "/text/committed", 200]
    ] as const
  ) {
    it.live(`is an error ${what}, and the jar keeps the cookie of before`, () =>
      Effect.gen(function*() {
        const { context, sites, tab } = yield* visit({ store: CookieLayer.layer() })
        yield* Effect.promise(async () => {
          await send(tab, "/text", "small")
          const before = await cookiesIn(context)
          assert.lengthOf(before, 1)
          assert.strictEqual(await send(tab, path, large), status)
          assert.deepStrictEqual(await cookiesIn(context), before)
          await tab.goto(sites.at("shop.example", "/text"))
          assert.strictEqual(await shown(tab), "small")
        })
      }))
  }

  it.live("is in the jar in pieces with chunks, and in fewer once it is smaller", () =>
    Effect.gen(function*() {
      const { context, sites, tab } = yield* visit({
        store: CookieLayer.layer(),
        config: { cookie: { chunks: 4 } },
        node: { maxHeaderSize: 1 << 16 }
      })
      const namesInJar = async () => (await context.cookies()).map(({ name }) => name).toSorted()
      yield* Effect.promise(async () => {
        for (
          const [kilobytes, names] of [
            [5, ["session", "session.1"]],
            [11, ["session", "session.1", "session.2", "session.3"]],
            [5, ["session", "session.1"]],
            [1, ["session"]]
          ] as const
        ) {
          const content = `${kilobytes}`.padEnd(1_000 * kilobytes, "x")
          await send(tab, "/text", content)
          assert.deepStrictEqual(await namesInJar(), [...names])
          await tab.goto(sites.at("shop.example", "/text"))
          assert.strictEqual(await shown(tab), content)
        }
        await send(tab, "/text", large)
        await send(tab, "/logout")
        assert.deepStrictEqual(await namesInJar(), [])
      })
    }))
})

// -----------------------------------------------------------------------------
// after a logout
// -----------------------------------------------------------------------------

describe("after a logout in one tab, the back button of another", () => {
  const pageAfter = Effect.fnUntraced(function*(path: string) {
    const { context, sites, tab } = yield* visit()
    return yield* Effect.promise(async () => {
      await send(tab, "/login")
      const other = await context.newPage()
      await other.goto(sites.at("shop.example", path))
      assert.strictEqual(await shown(other), "Ada")
      await other.evaluate(`location.href = "/"`)
      await other.waitForURL(sites.at("shop.example"))
      await send(tab, "/logout")
      // A page that the browser has kept is not loaded again.
      await other.goBack({ waitUntil: "commit" })
      return await shown(other)
    })
  })

  it.live("shows a page with Cache-Control: no-store as it is now", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* pageAfter("/account/unstored"), "nobody")
    }))

  it.live("shows a page without it as it was", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* pageAfter("/account"), "Ada")
    }))
})

describe("Clear-Site-Data", () => {
  const leave = Effect.fnUntraced(function*(path: string) {
    const { context, sites, tab } = yield* visit()
    return yield* Effect.promise(async () => {
      await tab.evaluate(`document.cookie = "theme=dark; Secure"; localStorage.draft = "Dear"`)
      await send(tab, "/login")
      assert.lengthOf(await context.cookies(), 2)
      await send(tab, path)
      await tab.goto(sites.at("shop.example"))
      return { cookies: await cookiesIn(context), draft: await tab.evaluate("localStorage.draft") }
    })
  })

  it.live("empties the storage of scripts, and leaves other cookies", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* leave("/leave/storage"), { cookies: ["theme=dark"], draft: undefined })
    }))

  it.live("empties the jar, and leaves the storage", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* leave("/leave/cookies"), { cookies: [], draft: "Dear" })
    }))
})
