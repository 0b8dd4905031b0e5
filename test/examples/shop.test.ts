/**
 * The example shop, started as `npm start` starts it, and used in a browser as a customer does. JavaScript is switched
 * off in that browser, but where it is about what the shop's only script does.
 */
import { afterAll, assert, beforeAll, beforeEach, describe, it, onTestFinished } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { BrowserContext, Page } from "playwright-core"
import { products } from "../../examples/shop/products.ts"
import { startChromium } from "../support/chromium.ts"
import { keys, startDynamo, table } from "../support/dynamoServer.ts"
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

const browser = shared(startChromium())

// -----------------------------------------------------------------------------
// what a customer does and sees
// -----------------------------------------------------------------------------

const logIn = async (page: Page, name = "Ada", password = "correct horse", keep = false) => {
  await page.goto("/login")
  await fillIn(page, name, password)
  if (keep) await page.getByLabel("Keep me logged in").check()
  await page.getByRole("button", { name: "Log in" }).click()
}

const fillIn = async (page: Page, name: string, password = "correct horse") => {
  await page.getByLabel("Name").fill(name)
  await page.getByLabel("Password").fill(password)
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

/** The devices on the page of them. */
const devices = async (page: Page) => {
  await page.goto("/security")
  return texts(page, ".devices h2")
}

const userAgents = {
  "Firefox on Linux": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
  "Safari on iPhone":
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
}

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
  { driver: "memory", settings: Effect.succeed({}) },
  { driver: "file", settings: Effect.map(temporaryFolder, (location) => ({ SESSION_STORE_LOCATION: location })) },
  { driver: "redis", settings: Effect.map(startRedis(), ({ url }) => ({ SESSION_STORE_URL: url })) },
  {
    driver: "dynamodb",
    settings: Effect.map(startDynamo(), ({ url }) => ({
      SESSION_STORE_TABLE: table,
      SESSION_STORE_ENDPOINT: url,
      SESSION_STORE_AWS_REGION: "eu-west-1",
      SESSION_STORE_AWS_ACCESS_KEY_ID: keys.accessKeyId,
      SESSION_STORE_AWS_SECRET_ACCESS_KEY: keys.secretAccessKey
    }))
  }
]

describe.each(drivers)("the shop, with the $driver driver", ({ driver, settings }) => {
  const scope = Scope.makeUnsafe()
  let shop: Shop | undefined
  let context: BrowserContext
  let page: Page

  /** Another browser, for the rest of the test. */
  const newContext = async (device: keyof typeof userAgents = "Firefox on Linux", javaScriptEnabled = false) => {
    const context = await browser().newContext({
      baseURL: shop!.url,
      javaScriptEnabled,
      userAgent: userAgents[device]
    })
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

  /** Two tabs of a browser with JavaScript, the second one with its socket open. */
  const openTabs = async () => {
    const context = await newContext("Firefox on Linux", true)
    const [tab, other] = [await context.newPage(), await context.newPage()]
    const problems: Array<string> = []
    context.on("console", (message) => void (message.type() === "error" && problems.push(message.text())))
    await tab.goto("/")
    return { tab, other, socket: await openSocket(other, "/cart"), problems }
  }

  /** Goes to a page, and waits for the first word of its socket. */
  const openSocket = async (page: Page, path: string) => {
    const [socket] = await Promise.all([page.waitForEvent("websocket"), page.goto(path)])
    await socket.waitForEvent("framereceived")
    return socket
  }

  it("shows what one tab puts into the cart in the other one, without loading it again", async () => {
    const { other, problems, tab } = await openTabs()
    assert.deepStrictEqual(await texts(other, ".count"), ["0"])
    await add(tab, "Sencha")
    await other.locator(".count", { hasText: "1" }).waitFor()
    await press(tab, "Remove Sencha")
    await other.locator(".count", { hasText: "0" }).waitFor()
    // Also what the browser would say of a connection that the page's own rules do not allow.
    assert.deepStrictEqual(problems, [])
  })

  it("goes on in the other tab after a login, and says there that there was a logout", async () => {
    const { other, socket, tab } = await openTabs()
    const [again] = await Promise.all([other.waitForEvent("websocket"), logIn(tab)])
    await again.waitForEvent("framereceived")
    assert.isTrue(socket.isClosed())
    await add(tab, "Assam")
    await other.locator(".count", { hasText: "1" }).waitFor()
    await Promise.all([again.waitForEvent("close"), press(tab, "Log out")])
    await other.getByText("Your session is over.").waitFor()
    assert.strictEqual(await message(tab), "You are logged out.")
    await other.getByRole("link", { name: "Go on without it" }).click()
    assert.deepStrictEqual(await customer(other), [])
    // The cart is the visitor's.
    assert.deepStrictEqual(await texts(other, ".count"), ["1"])
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
    const headers = { cookie: `${name}=${value}`, "sec-fetch-site": "same-origin" }
    const responses = await Promise.all(
      forms.map((form) =>
        fetch(shop!.url + path, { method: "POST", redirect: "manual", headers, body: new URLSearchParams(form) })
      )
    )
    assert.deepStrictEqual([...new Set(responses.map(({ status }) => status))], [303])
    return responses.map(({ headers }) => headers.get("location"))
  }

  it("has all in the cart that was put into it at the same time", async () => {
    await page.goto("/")
    await postAtOnce("/cart/add", Array.from({ length: 60 }, (_, index) => ({ product: products[index % 6]!.id })))
    const { cart } = await session(page)
    assert.deepStrictEqual(JSON.parse(cart!), Object.fromEntries(products.map(({ id }) => [id, 10])))
  })

  it("takes one order for a cart, however often the customer clicks", async () => {
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
    const { Created, Expires, Fresh, Handle, cart, customer, device, visits, ...rest } = await session(page)
    assert.match(Handle!, /^[\w-]{16}$/)
    assert.match(Created!, / UTC$/)
    // The default age of a session, to the second that is shown.
    assert.approximately(Date.parse(Expires!) - Date.parse(Created!), 7_200_000, 60_000)
    assert.strictEqual(Fresh, "No, it came with the request")
    assert.strictEqual(cart, "{\"rooibos\":1}")
    assert.strictEqual(JSON.parse(customer!).name, "Ada")
    assert.strictEqual(device, "\"Firefox on Linux\"")
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

  /** Another device that the customer is logged in on. */
  const loggedInElsewhere = async (name: string) => {
    const context = await newContext("Safari on iPhone")
    const page = await context.newPage()
    await logIn(page, name)
    return page
  }

  it("shows a customer all devices, and logs out one of them: its next page says so", async () => {
    await logIn(page, "Grace")
    const other = await loggedInElsewhere("Grace")
    assert.deepStrictEqual(await devices(page), ["Firefox on Linux This device", "Safari on iPhone"])
    assert.deepStrictEqual(await devices(other), ["Safari on iPhone This device", "Firefox on Linux"])
    assert.match((await texts(page, ".devices li"))[1]!, /Logged in since .* UTC\s+Last used just now/)

    await press(page, "Log out Safari on iPhone")
    assert.strictEqual(await message(page), "The device is logged out.")
    assert.deepStrictEqual(await texts(page, ".devices h2"), ["Firefox on Linux This device"])
    assert.strictEqual(await page.getByRole("button", { name: "Log out all other devices" }).count(), 0)

    await other.getByRole("link", { name: "Cart" }).click()
    assert.include(await message(other), "you have logged it out from another device")
    assert.deepStrictEqual(await customer(other), [])
    assert.deepStrictEqual(await customer(page), ["Grace"])
  })

  it("asks a device that another one has logged out to log in, and leads back to where it was going", async () => {
    await logIn(page, "Edsger")
    const other = await loggedInElsewhere("Edsger")
    await devices(page)
    await press(page, "Log out Safari on iPhone")

    await other.getByRole("link", { name: "Security" }).click()
    assert.strictEqual(new URL(other.url()).pathname, "/login")
    assert.include(await message(other), "you have logged it out from another device")
    await fillIn(other, "Edsger", "short")
    await press(other, "Log in")
    assert.deepStrictEqual(await texts(other, ".error"), ["A password has at least 8 characters."])
    await fillIn(other, "Edsger")
    await press(other, "Log in")
    assert.strictEqual(new URL(other.url()).pathname, "/security")
    assert.deepStrictEqual(await texts(other, ".devices h2"), ["Safari on iPhone This device", "Firefox on Linux"])
  })

  it("leads back to the page of the list that was asked for, with its query", async () => {
    await page.goto("/security?after=")
    assert.strictEqual(new URL(page.url()).pathname, "/login")
    assert.strictEqual(await message(page), "Please log in to see your devices.")
    await fillIn(page, "Frances")
    await press(page, "Log in")
    assert.strictEqual(page.url(), `${shop!.url}/security?after=`)
  })

  it("leads no customer to another site, whatever a link to the login says", async () => {
    for (const to of ["//evil.example", "/\\evil.example", "https://evil.example", "/..//evil.example"]) {
      await page.goto(`/login?to=${encodeURIComponent(to)}`)
      assert.strictEqual(await page.locator("[name=to]").inputValue(), "")
      await page.locator("[name=to]").evaluate((field, to) => field.setAttribute("value", to), to)
      await fillIn(page, "Katherine")
      await press(page, "Log in")
      assert.strictEqual(page.url(), `${shop!.url}/`)
      await press(page, "Log out")
    }
  })

  it("logs out all other devices, and no other customer's", async () => {
    await logIn(page, "Barbara")
    const others = [await loggedInElsewhere("Barbara"), await loggedInElsewhere("Barbara")]
    const stranger = await loggedInElsewhere("Not Barbara")
    assert.lengthOf(await devices(page), 3)
    await press(page, "Log out all other devices")
    assert.strictEqual(await message(page), "2 other devices are logged out.")
    assert.deepStrictEqual(await texts(page, ".devices h2"), ["Firefox on Linux This device"])
    for (const other of others) {
      await other.reload()
      assert.deepStrictEqual(await customer(other), [])
    }
    assert.deepStrictEqual(await devices(stranger), ["Safari on iPhone This device"])
  })

  it("logs this device out from the list of devices, as from any other page", async () => {
    await logIn(page, "Alan")
    await devices(page)
    await press(page, "Log out Firefox on Linux")
    assert.strictEqual(await message(page), "You are logged out.")
    assert.deepStrictEqual(await customer(page), [])
  })

  it("shows no token in the list of devices, and nothing that a token has in it", async () => {
    await logIn(page, "Donald")
    const other = await loggedInElsewhere("Donald")
    await devices(page)
    const content = await page.content()
    const cookies = [await sessionCookie(context), await sessionCookie(other.context())]
    for (const part of cookies.flatMap(({ value }) => decodeURIComponent(value).split("."))) {
      assert.isAtLeast(part.length, 20)
      assert.notInclude(content, part)
    }
  })

  it("logs nobody out by the form of another site, or with another customer's handle", async () => {
    await logIn(page, "Niklaus")
    const other = await loggedInElsewhere("Niklaus")
    await devices(page)
    const handle = await page.locator("[name=handle]").last().inputValue()

    const post = async (from: BrowserContext, headers: Record<string, string>, form: Record<string, string> = {}) => {
      const { name, value } = await sessionCookie(from)
      const { status } = await fetch(`${shop!.url}/security/log-out`, {
        method: "POST",
        redirect: "manual",
        headers: { cookie: `${name}=${value}`, ...headers },
        body: new URLSearchParams({ handle, ...form })
      })
      return status
    }
    const send = (from: BrowserContext, site: string) => post(from, { "sec-fetch-site": site })
    assert.strictEqual(await send(context, "cross-site"), 403)
    assert.strictEqual(await post(context, { origin: "https://evil.example" }), 403)
    // An old browser says nothing of where a form comes from: its hidden field does.
    assert.strictEqual(await post(context, {}), 403)
    const stranger = await loggedInElsewhere("Mallory")
    assert.strictEqual(await send(stranger.context(), "same-origin"), 303)
    const csrf = await page.locator("[name=_csrf]").last().inputValue()
    assert.strictEqual(await post(stranger.context(), {}, { _csrf: csrf }), 403)
    await other.reload()
    assert.deepStrictEqual(await customer(other), ["Niklaus"])
  })

  it("keeps a customer logged in if asked to, and otherwise until the browser is closed", async () => {
    const days = 86_400_000
    const end = async () => Date.parse((await session(page))["Expires"]!) - Date.now()

    await logIn(page, "Ada", "correct horse", true)
    assert.approximately((await sessionCookie(context)).expires * 1000 - Date.now(), 30 * days, 60_000)
    assert.approximately(await end(), 30 * days, 60_000)

    await logIn(page, "Ada", "correct horse", false)
    assert.strictEqual((await sessionCookie(context)).expires, -1)
    assert.approximately(await end(), 2 * 3_600_000, 60_000)
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

  const scopeOfTest = () => {
    const scope = Scope.makeUnsafe()
    onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    return scope
  }

  it("keeps sessions when it is started again with the same secret", async () => {
    const location = await Effect.runPromise(Scope.provide(temporaryFolder, scopeOfTest()))
    const settings = { ...secret, SESSION_DRIVER: "file", SESSION_STORE_LOCATION: location }
    const first = await startForTest(settings)
    const page = await browser().newPage()
    onTestFinished(() => page.close())
    await page.goto(first.url)
    await stop(first)
    const second = await startForTest(settings)
    await page.goto(second.url)
    assert.strictEqual(await page.locator(".lead").innerText(), "You have opened this page twice.")
  })

  it("does not start with a driver that there is not, and says which there are", async () => {
    const error = await start({ SESSION_DRIVER: "floppy" }).then(() => "none", String)
    assert.match(error, /SESSION_DRIVER.*found "floppy".*Write one of .*"cookie"/)
  })

  it("does not start with the driver that has no lists of devices, and says which have", async () => {
    const error = await start({ SESSION_DRIVER: "cookie" }).then(() => "none", String)
    assert.match(error, /SESSION_DRIVER.*found "cookie".*Write one of "dynamodb", "file", "memory", "redis"/)
  })

  it("logs a customer in on no more devices than there may be, and says what to do", async () => {
    const { url } = await startForTest({ ...secret, SESSION_OWNER_LIMIT: "1" })
    const newPage = async () => {
      const context = await browser().newContext({ baseURL: url, javaScriptEnabled: false })
      onTestFinished(() => context.close())
      return context.newPage()
    }
    const [page, other] = [await newPage(), await newPage()]
    await logIn(page)
    await logIn(other)
    assert.deepStrictEqual(await texts(other, ".error"), [
      "You are logged in on as many devices as you may be: 1. Log out on one of them first."
    ])
    assert.strictEqual(await other.getByLabel("Name").inputValue(), "Ada")
    assert.deepStrictEqual(await customer(other), [])

    // The same device again is no other one.
    await logIn(page)
    assert.strictEqual(await message(page), "Welcome, Ada.")
    await press(page, "Log out")
    await logIn(other)
    assert.deepStrictEqual(await customer(other), ["Ada"])
  })
})
