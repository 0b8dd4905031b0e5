/**
 * The example shop, started as `npm start` starts it, and used in a browser as a customer does. JavaScript is switched
 * off in that browser, as the shop has none.
 */
import { afterAll, assert, beforeAll, beforeEach, describe, it, onTestFinished } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { BrowserContext, Page } from "playwright-core"
import { products } from "../../examples/shop/products.ts"
import { startChromium } from "../support/chromium.ts"
import { shared, startRedis, temporaryFolder } from "../support/redisServer.ts"

// -----------------------------------------------------------------------------
// the shop
// -----------------------------------------------------------------------------

interface Shop {
  readonly url: string
  readonly process: ChildProcess
  readonly printed: () => string
}

const start = async (settings: Record<string, string>): Promise<Shop> => {
  const child = spawn(process.execPath, ["--conditions=effect-session/source", "examples/shop/main.ts"], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    env: { ...withoutSettings(process.env), PORT: "0", ...settings },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let printed = ""
  const url = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      printed += chunk
      const url = /Listening on (http:\S+)/.exec(printed)?.[1]
      if (url !== undefined) resolve(url)
    }
    child.stdout.on("data", read)
    child.stderr.on("data", read)
    child.once("close", () => reject(new Error(`The shop has not started:\n${printed}`)))
  })
  return { url, process: child, printed: () => printed }
}

const withoutSettings = (environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("SESSION_")))

const stop = async (shop: Shop | undefined) => {
  if (shop === undefined || isOver(shop.process)) return
  const closed = once(shop.process, "close")
  shop.process.kill()
  await closed
}

const isOver = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null

// -----------------------------------------------------------------------------
// the browser
// -----------------------------------------------------------------------------

const browser = shared(startChromium)

// -----------------------------------------------------------------------------
// what a customer does and sees
// -----------------------------------------------------------------------------

const logIn = async (page: Page, name = "Ada", password = "correct horse") => {
  await page.goto("/login")
  await page.getByLabel("Name").fill(name)
  await page.getByLabel("Password").fill(password)
  await page.getByRole("button", { name: "Log in" }).click()
}

const add = async (page: Page, product: string) => {
  await page.goto("/")
  await page.getByRole("button", { name: `Add to cart ${product}` }).click()
}

const press = (page: Page, name: string) => page.getByRole("button", { name }).click()

const texts = (page: Page, selector: string) => page.locator(selector).allInnerTexts()

const message = async (page: Page) => (await texts(page, "[role=status]")).join()

/** The names of the customers that the page is for: one or none. */
const customer = (page: Page) => texts(page, "header .customer")

/** The terms of the page about the session, and what it says to them. */
const session = async (page: Page): Promise<Record<string, string>> => {
  await page.goto("/session")
  const [terms, descriptions] = [await texts(page, "dt"), await texts(page, "dd")]
  return Object.fromEntries(terms.map((term, index) => [term, descriptions[index]!]))
}

const sessionCookie = async (context: BrowserContext) => {
  const cookies = await context.cookies()
  assert.lengthOf(cookies, 1)
  return cookies[0]!
}

/** What each driver needs beside its name. */
const drivers: ReadonlyArray<{
  readonly driver: string
  readonly settings: Effect.Effect<Record<string, string>, never, Scope.Scope>
}> = [
  { driver: "cookie", settings: Effect.succeed({}) },
  { driver: "memory", settings: Effect.succeed({}) },
  { driver: "file", settings: Effect.map(temporaryFolder, (location) => ({ SESSION_STORE_LOCATION: location })) },
  { driver: "redis", settings: Effect.map(startRedis(), ({ url }) => ({ SESSION_STORE_URL: url })) }
]

describe.each(drivers)("the shop, with the $driver driver", ({ driver, settings }) => {
  const scope = Scope.makeUnsafe()
  let shop: Shop | undefined
  let context: BrowserContext
  let page: Page

  /** Another browser, for the rest of the test. */
  const newContext = async () => {
    const context = await browser().newContext({ baseURL: shop!.url, javaScriptEnabled: false })
    onTestFinished(() => context.close())
    return context
  }

  beforeAll(async () => {
    shop = await start({ SESSION_DRIVER: driver, ...await Effect.runPromise(Scope.provide(settings, scope)) })
  })

  afterAll(async () => {
    await stop(shop)
    await Effect.runPromise(Scope.close(scope, Exit.void))
  })

  beforeEach(async () => {
    context = await newContext()
    page = await context.newPage()
  })

  it("counts the visits of each browser", async () => {
    const visits = async (page: Page) => {
      await page.goto("/")
      return page.locator(".lead").innerText()
    }
    assert.strictEqual(await visits(page), "You have opened this page once.")
    assert.strictEqual(await visits(page), "You have opened this page twice.")
    assert.strictEqual(await visits(page), "You have opened this page 3 times.")
    const other = await newContext()
    assert.strictEqual(await visits(await other.newPage()), "You have opened this page once.")
  })

  it("sends a cookie that scripts can't read and that other sites can't send along with a form", async () => {
    await page.goto("/")
    const { httpOnly, name, path, sameSite, secure } = await sessionCookie(context)
    assert.deepStrictEqual({ httpOnly, name, path, sameSite, secure }, {
      httpOnly: true,
      name: "session",
      path: "/",
      sameSite: "Lax",
      // As the shop runs on plain http.
      secure: false
    })
  })

  it("sends no cookie to who only looks at a page that keeps nothing", async () => {
    await page.goto("/login")
    await page.goto("/cart")
    assert.deepStrictEqual(await context.cookies(), [])
  })

  it("says what is wrong with a login, and keeps the name but not the password", async () => {
    await logIn(page, "Ada", "short")
    assert.strictEqual(new URL(page.url()).pathname, "/login")
    assert.deepStrictEqual(await texts(page, ".error"), ["A password has at least 8 characters."])
    assert.strictEqual(await page.getByLabel("Name").inputValue(), "Ada")
    assert.strictEqual(await page.getByLabel("Password").inputValue(), "")
    assert.deepStrictEqual(await customer(page), [])

    await page.reload()
    assert.deepStrictEqual(await texts(page, ".error"), [])
    assert.strictEqual(await page.getByLabel("Name").inputValue(), "")

    await logIn(page, "  ", "")
    assert.deepStrictEqual(await texts(page, ".error"), [
      "Please write your name.",
      "A password has at least 8 characters."
    ])
  })

  it("logs in with a new id for the same session, and the old cookie is worth nothing any more", async () => {
    await add(page, "Assam")
    const { Handle: handleBefore } = await session(page)
    const before = await sessionCookie(context)

    await logIn(page)
    const after = await sessionCookie(context)
    assert.notStrictEqual(after.value, before.value)
    assert.deepStrictEqual(await customer(page), ["Ada"])
    const { Handle: handleAfter, cart } = await session(page)
    assert.notStrictEqual(handleAfter, handleBefore)
    assert.strictEqual(cart, "{\"assam\":1}")

    const thief = await newContext()
    await thief.addCookies([before])
    const { Handle: stolen, ...rest } = await session(await thief.newPage())
    assert.notInclude([handleBefore, handleAfter], stolen)
    assert.notProperty(rest, "cart")
  })

  it("shows a message once, and not again when the page is loaded again", async () => {
    await logIn(page)
    assert.strictEqual(await message(page), "Welcome, Ada.")
    await page.reload()
    assert.strictEqual(await message(page), "")
  })

  it("adds up the cart, changes how many, and removes", async () => {
    for (const product of ["Assam", "Sencha", "Assam"]) await add(page, product)
    assert.strictEqual(await message(page), "Assam is in your cart.")
    assert.deepStrictEqual(await texts(page, ".lines .price"), ["€17.00", "€11.90"])
    assert.deepStrictEqual(await texts(page, ".total strong"), ["€28.90"])
    assert.deepStrictEqual(await texts(page, ".count"), ["3"])

    await page.getByLabel("Quantity of Sencha").fill("4")
    await press(page, "Update Sencha")
    assert.deepStrictEqual(await texts(page, ".total strong"), ["€64.60"])

    await page.getByLabel("Quantity of Sencha").fill("many")
    await press(page, "Update Sencha")
    assert.deepStrictEqual(await texts(page, ".error"), ["Please write a whole number from 0 to 99."])
    assert.strictEqual(await page.getByLabel("Quantity of Sencha").inputValue(), "4")

    await press(page, "Remove Assam")
    assert.strictEqual(await message(page), "Assam is no longer in your cart.")
    assert.deepStrictEqual(await texts(page, ".lines .price"), ["€47.60"])

    await page.getByLabel("Quantity of Sencha").fill("0")
    await press(page, "Update Sencha")
    assert.deepStrictEqual(await texts(page, ".lines"), [])
    assert.deepStrictEqual(await texts(page, ".count"), ["0"])
  })

  /** Posts a form as the browser would, as often as is said, all at once: where each response leads to. */
  const postAtOnce = async (path: string, forms: ReadonlyArray<Record<string, string>>) => {
    const { name, value } = await sessionCookie(context)
    const headers = { cookie: `${name}=${value}` }
    const responses = await Promise.all(
      forms.map((form) =>
        fetch(shop!.url + path, { method: "POST", redirect: "manual", headers, body: new URLSearchParams(form) })
      )
    )
    assert.deepStrictEqual([...new Set(responses.map(({ status }) => status))], [303])
    return responses.map(({ headers }) => headers.get("location"))
  }

  // What is in a cookie can't be merged.
  const itOnServers = it.skipIf(driver === "cookie")

  itOnServers("has all in the cart that was put into it at the same time", async () => {
    await page.goto("/")
    await postAtOnce("/cart/add", Array.from({ length: 60 }, (_, index) => ({ product: products[index % 6]!.id })))
    const { cart } = await session(page)
    assert.deepStrictEqual(JSON.parse(cart!), Object.fromEntries(products.map(({ id }) => [id, 10])))
  })

  itOnServers("takes one order for a cart, however often the customer clicks", async () => {
    await logIn(page)
    await add(page, "Peppermint")
    const locations = await postAtOnce("/cart/order", Array.from({ length: 10 }, () => ({})))
    assert.deepStrictEqual(locations.toSorted(), ["/", ...Array.from({ length: 9 }, () => "/cart")])
    await page.goto("/cart")
    assert.strictEqual(await message(page), "Thank you, Ada. Your order comes to €5.60.")
    assert.deepStrictEqual(await texts(page, ".count"), ["0"])
  })

  it("shows a customer's page to nobody who goes back to it after the logout", async () => {
    await logIn(page)
    await page.goto("/cart")
    assert.deepStrictEqual(await customer(page), ["Ada"])
    await press(page, "Log out")
    assert.strictEqual(await message(page), "You are logged out.")
    await page.goBack()
    assert.strictEqual(new URL(page.url()).pathname, "/cart")
    assert.deepStrictEqual(await customer(page), [])
  })

  it("takes an order of a customer who has logged in, and of no other", async () => {
    await add(page, "Peppermint")
    await press(page, "Order")
    assert.strictEqual(await message(page), "Please log in to order.")

    await logIn(page)
    assert.strictEqual(new URL(page.url()).pathname, "/cart")
    await press(page, "Order")
    assert.strictEqual(await message(page), "Thank you, Ada. Your order comes to €5.60.")
    assert.deepStrictEqual(await texts(page, ".count"), ["0"])
    assert.deepStrictEqual(await customer(page), ["Ada"])
  })

  it("lists what is in the session", async () => {
    const anonymous = await session(page)
    assert.strictEqual(anonymous["Created"], "Not stored yet")
    assert.strictEqual(anonymous["Fresh"], "Yes, its id is new")

    await logIn(page)
    await add(page, "Rooibos")
    const { Created, Expires, Fresh, Handle, cart, customer, visits, ...rest } = await session(page)
    assert.match(Handle!, /^[\w-]{16}$/)
    assert.match(Created!, / UTC$/)
    // The default age of a session, to the second that is shown.
    assert.approximately(Date.parse(Expires!) - Date.parse(Created!), 7_200_000, 60_000)
    assert.strictEqual(Fresh, "No, it came with the request")
    assert.strictEqual(cart, "{\"rooibos\":1}")
    assert.strictEqual(JSON.parse(customer!).name, "Ada")
    assert.strictEqual(visits, "2")
    assert.deepStrictEqual(rest, {})
  })

  it("logs out for good: a copy of the cookie logs nobody in again", async () => {
    await logIn(page)
    const copy = await sessionCookie(context)
    const thief = await newContext()
    await thief.addCookies([copy])
    const thiefPage = await thief.newPage()
    await thiefPage.goto("/cart")
    assert.deepStrictEqual(await customer(thiefPage), ["Ada"])

    await press(page, "Log out")
    assert.strictEqual(await message(page), "You are logged out.")
    assert.deepStrictEqual(await customer(page), [])
    assert.notProperty(await session(page), "customer")

    await thief.clearCookies()
    await thief.addCookies([copy])
    await thiefPage.goto("/cart")
    assert.deepStrictEqual(await customer(thiefPage), [])
    assert.notProperty(await session(thiefPage), "customer")
  })

  it("refuses the form of another site, and that changes nothing", async () => {
    await logIn(page)
    const trap = await context.newPage()
    await trap.setContent(
      `<form method="post" action="${shop!.url}/login">
        <input name="name" value="Mallory"><input name="password" value="correct horse"><button>Win a prize</button>
      </form>`
    )
    const answered = trap.waitForResponse(`${shop!.url}/login`)
    await press(trap, "Win a prize")
    const response = await answered
    assert.strictEqual(response.status(), 403)
    assert.notProperty(await response.request().allHeaders(), "cookie")
    await page.goto("/cart")
    assert.deepStrictEqual(await customer(page), ["Ada"])
  })

  it("shows a name that is HTML as it was written", async () => {
    const name = "<b>\"Ada\" & 'Co'</b>"
    await logIn(page, name)
    assert.deepStrictEqual(await customer(page), [name])
    await logIn(page, name, "short")
    assert.strictEqual(await page.getByLabel("Name").inputValue(), name)
  })
})

describe("the shop", () => {
  const secret = { SESSION_SECRET: "for tests, and long enough to be one" }

  const startForTest = async (settings: Record<string, string>) => {
    const shop = await start(settings)
    onTestFinished(() => stop(shop))
    return shop
  }

  it("starts without a secret and says so, and keeps quiet with one", async () => {
    const warning = "set SESSION_SECRET to keep them"
    assert.include((await startForTest({})).printed(), warning)
    assert.notInclude((await startForTest(secret)).printed(), warning)
  })

  it("keeps sessions when it is started again with the same secret", async () => {
    const first = await startForTest(secret)
    const page = await browser().newPage()
    onTestFinished(() => page.close())
    await page.goto(first.url)
    await stop(first)
    const second = await startForTest(secret)
    await page.goto(second.url)
    assert.strictEqual(await page.locator(".lead").innerText(), "You have opened this page twice.")
  })

  it("does not start with a driver that there is not, and says which there are", async () => {
    const error = await start({ SESSION_DRIVER: "floppy" }).then(() => "none", String)
    assert.match(error, /SESSION_DRIVER.*found "floppy".*Write one of .*"cookie"/)
  })
})
