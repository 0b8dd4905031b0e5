/**
 * Protection against requests of other sites, over HTTP. The lines of OWASP's Cross-Site Request Forgery Prevention Cheat
 * Sheet are quoted in the titles.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Logger, Redacted, Schema, Stream } from "effect"
import { Csrf, Session, SessionMiddleware } from "effect-session"
import {
  FetchHttpClient,
  HttpClient,
  HttpClientRequest,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiClient, HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { createHmac } from "node:crypto"
import * as Token from "../../src/internal/csrf/token.ts"
import * as KeyRing from "../../src/internal/token/keyRing.ts"
import { AnyText, intBetween } from "../support/arbitraries.ts"
import { secret } from "../support/config.ts"
import { drivers } from "../support/drivers.ts"
import { watchStore } from "../support/failingStore.ts"
import { Count, login, logout, post, show } from "../support/routes.ts"
import { type Answer, type Client, cookieNames, type Options, serve, serveApp } from "../support/server.ts"

// -----------------------------------------------------------------------------
// an application
// -----------------------------------------------------------------------------

const page = Effect.map(Csrf.field, (field) => HttpServerResponse.html(`<form method="post">${field}</form>`))

const pages = Layer.mergeAll(
  show,
  HttpRouter.add("GET", "/form", page),
  // It shows its form before it begins a session, and after.
  HttpRouter.add("GET", "/visit", Effect.flatMap(page, (page) => Effect.as(Session.increment(Count), page))),
  HttpRouter.add("GET", "/visited", Effect.andThen(Session.increment(Count), page)),
  HttpRouter.add(
    "GET",
    "/three",
    Effect.map(Effect.all([Csrf.field, Csrf.field, Csrf.field]), (fields) => HttpServerResponse.html(fields.join("")))
  ),
  HttpRouter.add("GET", "/token", Effect.map(Csrf.token, (token) => HttpServerResponse.text(Redacted.value(token)))),
  HttpRouter.add(
    "GET",
    "/stream",
    Effect.map(Session.Session, (session) =>
      HttpServerResponse.stream(
        Stream.fromEffect(Effect.match(Csrf.token, { onFailure: ({ _tag }) => _tag, onSuccess: Redacted.value })).pipe(
          Stream.provideService(Session.Session, session),
          Stream.encodeText
        )
      ))
  ),
  HttpRouter.add("GET", "/printed", Effect.map(Csrf.token, (token) => HttpServerResponse.text(`${token}`)))
)

const request = HttpServerRequest.HttpServerRequest

const actions = Layer.mergeAll(
  post("/count", Session.increment(Count)),
  login,
  logout,
  HttpRouter.add("GET", "/count", Effect.as(Session.increment(Count), HttpServerResponse.text("got"))),
  HttpRouter.add("*", "/any", HttpServerResponse.text("any")),
  HttpRouter.add(
    "POST",
    "/form",
    Effect.map(
      Effect.flatMap(request, (request) => request.urlParamsBody),
      (fields) => HttpServerResponse.jsonUnsafe([...fields])
    )
  ),
  HttpRouter.add(
    "POST",
    "/json",
    Effect.map(Effect.flatMap(request, ({ json }) => json), HttpServerResponse.jsonUnsafe)
  ),
  HttpRouter.add(
    "POST",
    "/upload",
    Effect.gen(function*() {
      const { multipart } = yield* request
      const { file, name } = yield* multipart
      const [one] = file as ReadonlyArray<{ readonly path: string }>
      const content = yield* Effect.flatMap(FileSystem.FileSystem, (files) => files.readFileString(one!.path))
      return HttpServerResponse.jsonUnsafe({ name, content })
    })
  )
).pipe(Layer.provide(Csrf.layer))

const routes = Layer.mergeAll(pages, actions)

const served = (options?: Options) => serve(routes, { logger: false, ...options })

const tokenIn = ({ body }: Answer): string => /name="_csrf" value="([\w-]+)"/.exec(body)![1]!

const formHeaders = { "content-type": "application/x-www-form-urlencoded" }

const postForm = (client: Client, path: string, fields: Record<string, string> | string, headers = {}) =>
  client.post(path, { headers: { ...formHeaders, ...headers }, body: `${new URLSearchParams(fields)}` })

const postToken = (client: Client, path: string, token: string) =>
  client.post(path, { headers: { "x-csrf-token": token } })

/** What the check says to a request with these headers. */
const statusFor = (headers: Record<string, string>, config: Options["config"] = {}) =>
  Effect.flatMap(served({ config }), (server) => Effect.map(server.post("/any", { headers }), ({ status }) => status))

// -----------------------------------------------------------------------------
// where the browser says where a request comes from
// -----------------------------------------------------------------------------

describe("Fetch Metadata", () => {
  const cases: ReadonlyArray<readonly [title: string, headers: Record<string, string>, status: number]> = [
    ["\"Allow same-origin.\"", { "sec-fetch-site": "same-origin" }, 200],
    ["\"Allow none for user-driven top-level navigations\"", { "sec-fetch-site": "none" }, 200],
    [
      "\"By default, reject non-safe methods when Sec-Fetch-Site: cross-site.\"",
      { "sec-fetch-site": "cross-site" },
      403
    ],
    ["\"otherwise handle same-site conservatively\"", { "sec-fetch-site": "same-site" }, 403],
    [
      "\"servers should ignore\" values that are not listed, and the Origin decides: its own",
      { "sec-fetch-site": "near", origin: "https://shop.example", host: "shop.example" },
      200
    ],
    [
      "\"servers should ignore\" values that are not listed, and the Origin decides: another",
      { "sec-fetch-site": "near", origin: "https://evil.example", host: "shop.example" },
      403
    ],
    ["\"treat absence as unknown and block the request\", if there is no Origin and no token either", {}, 403]
  ]
  for (const [title, headers, status] of cases) {
    it.effect(`${title} (${status})`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* statusFor(headers), status)
      }))
  }

  it.effect("\"Treat same-site as allowed only if your threat model trusts sibling subdomains\": csrf.sameSite", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* statusFor({ "sec-fetch-site": "same-site" }, { csrf: { sameSite: "allow" } }), 200)
      assert.strictEqual(yield* statusFor({ "sec-fetch-site": "cross-site" }, { csrf: { sameSite: "allow" } }), 403)
    }))

  it.effect("\"Whitelist explicit cross-origin flows\": csrf.origins, and nothing that only looks like one", () =>
    Effect.gen(function*() {
      const config = { csrf: { origins: ["https://partner.example", "https://Other.example:443/"] } }
      const server = yield* served({ config })
      const statusOf = (origin: string) =>
        Effect.map(
          server.post("/any", { headers: { "sec-fetch-site": "cross-site", origin } }),
          ({ status }) => status
        )
      assert.strictEqual(yield* statusOf("https://partner.example"), 200)
      assert.strictEqual(yield* statusOf("https://other.example"), 200)
      for (
        const origin of [
          "http://partner.example",
          "https://partner.example:8443",
          "https://partner.example.evil.example",
          "https://evilpartner.example",
          "https://partner.example, https://evil.example",
          "null",
          ""
        ]
      ) assert.strictEqual(yield* statusOf(origin), 403, origin)
    }))

  it.effect("SAFE_METHODS pass, wherever they come from; \"POST / PUT / PATCH / DELETE\" and others do not", () =>
    Effect.gen(function*() {
      const server = yield* served()
      const statusOf = (method: string) =>
        Effect.map(server.send(method, "/any", { headers: { "sec-fetch-site": "cross-site" } }), ({ status }) => status)
      for (const method of ["GET", "HEAD", "OPTIONS", "TRACE"]) {
        assert.notStrictEqual(yield* statusOf(method), 403, method)
      }
      for (const method of ["POST", "PUT", "PATCH", "DELETE"]) assert.strictEqual(yield* statusOf(method), 403, method)
    }))
})

describe("\"Verifying the origin with standard headers\"", () => {
  const own = "shop.example"
  const proxied = { csrf: { forwarded: true } }
  const insecure = { cookie: { secure: false } }
  const forwarded = { host: "10.0.0.7:8080", "x-forwarded-host": own, "x-forwarded-proto": "https" }
  const cases: ReadonlyArray<
    readonly [
      title: string,
      origin: string,
      headers: Record<string, string>,
      status: number,
      config?: Options["config"]
    ]
  > = [
    ["the request's host", "https://shop.example", { host: own }, 200],
    ["with the usual port", "https://shop.example", { host: `${own}:443` }, 200],
    ["with another port", "https://shop.example:8443", { host: `${own}:8443` }, 200],
    ["the same host on another port", "https://shop.example:8443", { host: own }, 403],
    ["a host in capitals", "https://shop.example", { host: "SHOP.example" }, 200],
    ["another host", "https://evil.example", { host: own }, 403],
    ["a subdomain", "https://sub.shop.example", { host: own }, 403],
    ["\"null\", as of a sandboxed frame or a file", "null", { host: own }, 403],
    ["nothing", "", { host: own }, 403],
    ["a scheme in capitals", "HTTPS://shop.example", { host: own }, 403],
    ["two of them", "https://shop.example https://evil.example", { host: own }, 403],
    ["with a path", "https://shop.example/", { host: own }, 403],
    ["with credentials", "https://shop.example@evil.example", { host: own }, 403],
    ["a scheme of another kind", "chrome-extension://shop.example", { host: own }, 403],
    ["a text that is no origin", "https://[", { host: own }, 403],
    ["a text that is no host", "https://shop.example", { host: "evil.example@shop.example" }, 403],
    ["http, where cookies need https", "http://shop.example", { host: own }, 403],
    ["http, where they do not", "http://shop.example", { host: own }, 200, insecure],
    ["localhost", "http://localhost:3000", { host: "localhost:3000" }, 200],
    ["127.0.0.1", "http://127.0.0.1:3000", { host: "127.0.0.1:3000" }, 200],
    ["[::1]", "http://[::1]:3000", { host: "[::1]:3000" }, 200],
    ["a name that begins like localhost", "http://localhost.evil.example", { host: "localhost.evil.example" }, 403],
    ["X-Forwarded-Host, which is not trusted", "https://shop.example", forwarded, 403],
    ["X-Forwarded-Host, which is", "https://shop.example", forwarded, 200, proxied],
    ["X-Forwarded-Proto, which says another scheme", "http://shop.example", forwarded, 403, proxied],
    [
      "X-Forwarded-Host of two proxies",
      "https://shop.example",
      {
        ...forwarded,
        "x-forwarded-host": `${own}, 10.0.0.1`
      },
      200,
      proxied
    ],
    ["no X-Forwarded-Host after all", "https://shop.example", { host: own }, 200, proxied],
    ["what the configuration knows as its \"target origin\"", "https://shop.example", { host: "10.0.0.7" }, 200, {
      csrf: { origins: ["https://shop.example"] }
    }]
  ]
  for (const [title, origin, headers, status, config] of cases) {
    it.effect(`${title} (${status})`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* statusFor({ origin, ...headers }, config), status)
      }))
  }

  it.effect("a token does not help a request whose Origin is another", () =>
    Effect.gen(function*() {
      const browser = (yield* served()).browser()
      const token = tokenIn(yield* browser.get("/form"))
      const answer = yield* postForm(browser, "/count", { _csrf: token }, { origin: "https://evil.example" })
      assert.strictEqual(answer.status, 403)
    }))
})

it.effect("a request that the browser says is its own costs no store call", () =>
  Effect.gen(function*() {
    const store = watchStore(drivers[0]!.make)
    const server = yield* served({ store: store.layer })
    const answer = yield* server.post("/any", { headers: { "sec-fetch-site": "same-origin" } })
    assert.strictEqual(answer.status, 200)
    assert.deepStrictEqual(store.calls, [])
    assert.deepStrictEqual(answer.setCookies, [])
  }))

it.effect("\"logging the event as a potential CSRF attack in progress\": with the reason, and without the token", () =>
  Effect.gen(function*() {
    const logs: Array<string> = []
    const logger = Logger.layer([Logger.map(Logger.formatJson, (line) => void logs.push(line))])
    const server = yield* serveApp(
      routes.pipe(Layer.provide(SessionMiddleware.layer), Layer.provide(logger)) as Parameters<typeof serveApp>[0],
      { logger: false }
    ).pipe(Effect.provide(logger))
    yield* postToken(server, "/count?to=1", "A".repeat(86))
    const line = logs.find((line) => line.includes("may come from another site"))!
    assert.include(line, "invalid")
    assert.include(line, "/count")
    for (const line of logs) assert.notInclude(line, "A".repeat(86))
  }))

// -----------------------------------------------------------------------------
// where it does not
// -----------------------------------------------------------------------------

describe.each(drivers)("tokens with the $driver", ({ make, makeStore }) => {
  const shop = (config?: Options["config"]) => served({ store: makeStore(), ...(config && { config }) })

  /** A browser that is logged in. */
  const loggedIn = Effect.gen(function*() {
    const server = yield* shop()
    const browser = server.browser()
    assert.strictEqual(
      (yield* postForm(browser, "/login", { _csrf: tokenIn(yield* browser.get("/form")) })).status,
      200
    )
    return { server, browser, token: tokenIn(yield* browser.get("/form")) }
  })

  it.effect("passes by a hidden field, and the handler still gets the form", () =>
    Effect.gen(function*() {
      const { browser, token } = yield* loggedIn
      const answer = yield* postForm(browser, "/form", { _csrf: token, name: "Ada" })
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(JSON.parse(answer.body), [["_csrf", token], ["name", "Ada"]])
    }))

  it.effect("passes by a field of a multipart form, and the handler still gets the file", () =>
    Effect.gen(function*() {
      const { browser, token } = yield* loggedIn
      const form = (token: string) => {
        const data = new FormData()
        data.set("_csrf", token)
        data.set("name", "Ada")
        data.set("file", new File(["notes on the engine"], "notes.txt", { type: "application/octet-stream" }))
        return Effect.promise(async () => {
          const { body, headers } = new Request("http://x", { method: "POST", body: data }) as Request
          return {
            headers: { "content-type": headers.get("content-type")! },
            body: Buffer.from(await new Response(body).arrayBuffer())
          }
        })
      }
      const answer = yield* browser.post("/upload", yield* form(token))
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(JSON.parse(answer.body), { name: "Ada", content: "notes on the engine" })
      assert.strictEqual((yield* browser.post("/upload", yield* form("x"))).status, 403)
    }))

  it.effect("passes by a header with a JSON body, and a token within the JSON is not looked for", () =>
    Effect.gen(function*() {
      const { browser, token } = yield* loggedIn
      const headers = { "content-type": "application/json" }
      const body = JSON.stringify({ _csrf: token, cups: 2 })
      const answer = yield* browser.post("/json", { headers: { ...headers, "x-csrf-token": token }, body })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.body, body)
      assert.strictEqual((yield* browser.post("/json", { headers, body })).status, 403)
    }))

  it.effect("\"they may accept text/plain which would be vulnerable\": a form that looks like JSON is refused", () =>
    Effect.gen(function*() {
      const { browser } = yield* loggedIn
      const answer = yield* browser.post("/json", { headers: { "content-type": "text/plain" }, body: "{\"a\":\"=\"}" })
      assert.strictEqual(answer.status, 403)
    }))

  it.effect("\"The request should be rejected if that token was not found\": and changes nothing", () =>
    Effect.gen(function*() {
      const { browser } = yield* loggedIn
      const answer = yield* postForm(browser, "/count", { name: "Ada" })
      assert.strictEqual(answer.status, 403)
      assert.strictEqual(answer.body, "Forbidden")
      assert.deepStrictEqual(JSON.parse((yield* browser.get("/")).body), { name: "Ada" })
    }))

  it.effect("\"or the value provided does not match\": a token of any shape is a 403 and never a crash", () =>
    Effect.gen(function*() {
      const { browser, token } = yield* loggedIn
      const other = tokenIn(yield* browser.get("/form"))
      const bad = [
        "",
        " ",
        "x",
        token.slice(1),
        token.slice(0, -1),
        `${token}A`,
        `${token}${token}`,
        `${token.slice(0, 43)}${other.slice(43)}`,
        `${token.startsWith("A") ? "B" : "A"}${token.slice(1)}`,
        token.replace(/.$/, "="),
        token.toLowerCase() === token ? token.toUpperCase() : token.toLowerCase(),
        Buffer.from(token, "base64url").toString("hex"),
        "A".repeat(86),
        "A".repeat(171),
        "A".repeat(100_000),
        "__proto__",
        "ä".repeat(86),
        "\u0000".repeat(86),
        "%",
        "{}"
      ]
      for (const value of bad) {
        assert.strictEqual((yield* postForm(browser, "/count", { _csrf: value })).status, 403, value.slice(0, 200))
      }
      for (const value of bad.filter((value) => /^[\x21-\x7e]{1,8000}$/.test(value))) {
        assert.strictEqual((yield* postToken(browser, "/count", value)).status, 403, value.slice(0, 200))
      }
      assert.strictEqual((yield* postForm(browser, "/count", { _csrf: token })).status, 200)
    }))

  it.effect("a token that comes twice does not count, by field and by header", () =>
    Effect.gen(function*() {
      const { browser, token } = yield* loggedIn
      assert.strictEqual((yield* postForm(browser, "/count", `_csrf=${token}&_csrf=${token}`)).status, 403)
      assert.strictEqual((yield* postToken(browser, "/count", `${token}, ${token}`)).status, 403)
    }))

  it.effect("a form that can't be read is a 403", () =>
    Effect.gen(function*() {
      const { browser } = yield* loggedIn
      const multipart = { "content-type": "multipart/form-data; boundary=x" }
      for (const body of ["", "--x", "--x\r\n\r\n\r\n--x--", "\u0000"]) {
        assert.strictEqual((yield* browser.post("/upload", { headers: multipart, body })).status, 403, body)
      }
      const noBoundary = { "content-type": "multipart/form-data" }
      assert.strictEqual((yield* browser.post("/upload", { headers: noBoundary, body: "--x" })).status, 403)
    }))

  it.effect("\"Unique per user session\": one of another session is refused", () =>
    Effect.gen(function*() {
      const { browser, server, token } = yield* loggedIn
      const stranger = server.browser()
      yield* postForm(stranger, "/login", { _csrf: tokenIn(yield* stranger.get("/form")) })
      assert.strictEqual((yield* postForm(stranger, "/count", { _csrf: token })).status, 403)
      assert.strictEqual((yield* postForm(browser, "/count", { _csrf: token })).status, 200)
    }))

  it.effect("\"A session-dependent value that changes with each login session\": a login and a logout make tokens invalid", () =>
    Effect.gen(function*() {
      const { browser, token } = yield* loggedIn
      yield* postForm(browser, "/login", { _csrf: token })
      assert.strictEqual((yield* postForm(browser, "/count", { _csrf: token })).status, 403)
      const next = tokenIn(yield* browser.get("/form"))
      assert.strictEqual((yield* postForm(browser, "/logout", { _csrf: next })).status, 200)
      assert.strictEqual((yield* postForm(browser, "/count", { _csrf: next })).status, 403)
      assert.strictEqual(
        (yield* postForm(browser, "/count", { _csrf: tokenIn(yield* browser.get("/form")) })).status,
        200
      )
    }))

  it.effect("\"per-session tokens\": the Back button and several tabs work, as older tokens of the session hold", () =>
    Effect.gen(function*() {
      const { browser, token } = yield* loggedIn
      yield* browser.get("/form")
      yield* postForm(browser, "/count", { _csrf: tokenIn(yield* browser.get("/form")) })
      assert.strictEqual((yield* postForm(browser, "/count", { _csrf: token })).status, 200)
    }))

  it.effect("\"consecutive calls do not produce the same hash\": masked anew each time, within a page too (BREACH)", () =>
    Effect.gen(function*() {
      const { browser, token } = yield* loggedIn
      const { body } = yield* browser.get("/three")
      const tokens = [...body.matchAll(/value="([\w-]+)"/g)].map(([, token]) => token!)
      assert.strictEqual(new Set([...tokens, token]).size, 4)
      for (let index = 0; index + 8 <= token.length; index++) {
        for (const other of tokens) assert.notInclude(other, token.slice(index, index + 8))
      }
      for (const token of tokens) assert.strictEqual((yield* postForm(browser, "/count", { _csrf: token })).status, 200)
    }))

  it.effect("\"A CSRF token must not be leaked in the server logs\": it prints as redacted", () =>
    Effect.gen(function*() {
      const { browser } = yield* loggedIn
      assert.strictEqual((yield* browser.get("/printed")).body, "<redacted>")
    }))

  it.effect("\"Cookie validation is INSECURE\": a token in a cookie or in the URL is not looked at", () =>
    Effect.gen(function*() {
      const { browser, token } = yield* loggedIn
      const cookie = `${browser.cookies()}; _csrf=${token}; x-csrf-token=${token}`
      assert.strictEqual((yield* browser.post(`/count?_csrf=${token}`, { cookie })).status, 403)
    }))

  it.effect("a second click with the id from before a login is refused, as the token of that id is", () =>
    Effect.gen(function*() {
      const { browser, server, token } = yield* loggedIn
      const cookie = browser.cookies()
      yield* postForm(browser, "/login", { _csrf: token })
      const again = yield* server.post("/login", { cookie, headers: formHeaders, body: `_csrf=${token}` })
      assert.strictEqual(again.status, 403)
    }))

  it.effect("in the body of a stream it holds for a session, and is a SessionClosedError for a client without", () =>
    Effect.gen(function*() {
      const { browser, server } = yield* loggedIn
      const shown = yield* browser.get("/stream")
      assert.strictEqual((yield* postToken(browser, "/count", shown.body)).status, 200)
      assert.strictEqual((yield* server.get("/stream")).body, "SessionClosedError")
    }))

  it.effect("a shown token writes nothing to the store", () =>
    Effect.gen(function*() {
      const store = watchStore(make)
      const server = yield* served({ store: store.layer })
      const browser = server.browser()
      yield* browser.get("/form")
      assert.deepStrictEqual(store.newCalls(), [])
      yield* browser.get("/visit")
      store.newCalls()
      yield* browser.get("/form")
      assert.deepStrictEqual(store.newCalls(), ["load"])
    }))

  it.effect("a store that is down is a 503, and no refusal", () =>
    Effect.gen(function*() {
      const store = watchStore(make)
      const server = yield* served({ store: store.layer })
      const browser = server.browser()
      const token = tokenIn(yield* browser.get("/visit"))
      store.fails("load")
      assert.strictEqual((yield* postForm(browser, "/count", { _csrf: token })).status, 503)
      assert.strictEqual((yield* browser.get("/form")).status, 503)
    }))

  describe("without a session", () => {
    it.effect("login forms are protected, and showing one creates no session", () =>
      Effect.gen(function*() {
        const server = yield* shop()
        const browser = server.browser()
        const shown = yield* browser.get("/form")
        assert.deepStrictEqual(cookieNames(shown), ["__Host-session-csrf"])
        assert.strictEqual((yield* postForm(browser, "/login", {})).status, 403)
        const answer = yield* postForm(browser, "/login", { _csrf: tokenIn(shown) })
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual(cookieNames(answer), ["session"])
      }))

    it.effect("a token of another client is refused, as is one whose cookie was not sent (login CSRF)", () =>
      Effect.gen(function*() {
        const server = yield* shop()
        const [victim, attacker] = [server.browser(), server.browser()]
        const token = tokenIn(yield* attacker.get("/form"))
        assert.strictEqual((yield* postForm(victim, "/login", { _csrf: token })).status, 403)
        yield* victim.get("/form")
        assert.strictEqual((yield* postForm(victim, "/login", { _csrf: token })).status, 403)
      }))

    it.effect("\"remains vulnerable to cookie injection\": not once there is a session, and its cookie is __Host-", () =>
      Effect.gen(function*() {
        const { browser, server } = yield* loggedIn
        const attacker = server.browser()
        const token = tokenIn(yield* attacker.get("/form"))
        const cookie = `${browser.cookies().replace(/__Host-session-csrf=[^;]*;? ?/, "")}; ${attacker.cookies()}`
        assert.strictEqual(
          (yield* server.post("/count", {
            cookie,
            headers: { ...formHeaders },
            body: `_csrf=${token}`
          })).status,
          403
        )
      }))

    for (const prefix of ["__Host-", "__HOST-HTTP-", "__Http-"]) {
      it.effect(`the cookie is named after the session's, without the prefix ${prefix}`, () =>
        Effect.gen(function*() {
          const server = yield* shop({ cookie: { name: `${prefix}id` } })
          assert.deepStrictEqual(cookieNames(yield* server.get("/form")), ["__Host-id-csrf"])
        }))
    }

    it.effect("the cookie is HttpOnly, Secure, SameSite, of this host alone and ends with the browser", () =>
      Effect.gen(function*() {
        const server = yield* shop({ cookie: { name: "__Secure-id", domain: "shop.example", path: "/app" } })
        const [setCookie] = (yield* server.get("/form")).setCookies
        assert.match(setCookie!, /^__Host-id-csrf=[\w-]{43}; /)
        assert.deepStrictEqual(setCookie!.split("; ").slice(1).toSorted(), [
          "HttpOnly",
          "Path=/",
          "SameSite=Lax",
          "Secure"
        ])
      }))

    it.effect("without Secure it has no prefix", () =>
      Effect.gen(function*() {
        const server = yield* shop({ cookie: { secure: false } })
        assert.deepStrictEqual(cookieNames(yield* server.get("/form")), ["session-csrf"])
      }))

    it.effect("the cookie tells nothing of the id that the session will have", () =>
      Effect.gen(function*() {
        const server = yield* shop({ id: { protection: "none" } })
        const shown = yield* server.get("/form")
        const [value] = shown.setCookies.map((text) => text.split(/[=;]/)[1]!)
        assert.notInclude(shown.body, value!)
      }))

    it.effect("the response is for one client alone, and says that it depends on the cookie", () =>
      Effect.gen(function*() {
        const { headers } = yield* (yield* shop()).get("/form")
        assert.strictEqual(headers["cache-control"], "no-store")
        assert.strictEqual(headers["vary"], "Cookie, Sec-Fetch-Site")
      }))

    it.effect("a browser that says where requests come from needs no cookie, and gets none", () =>
      Effect.gen(function*() {
        const shown = yield* (yield* shop()).get("/form", { headers: { "sec-fetch-site": "none" } })
        assert.deepStrictEqual(shown.setCookies, [])
        assert.strictEqual(shown.headers["cache-control"], undefined)
        assert.strictEqual(shown.headers["vary"], "Cookie, Sec-Fetch-Site")
      }))

    it.effect("a second tab keeps the cookie, and the tokens of both hold", () =>
      Effect.gen(function*() {
        const browser = (yield* shop()).browser()
        const first = tokenIn(yield* browser.get("/form"))
        const second = yield* browser.get("/form")
        assert.deepStrictEqual(second.setCookies, [])
        assert.strictEqual((yield* postForm(browser, "/any", { _csrf: first })).status, 200)
        assert.strictEqual((yield* postForm(browser, "/any", { _csrf: tokenIn(second) })).status, 200)
      }))

    it.effect("a cookie that is not valid is replaced", () =>
      Effect.gen(function*() {
        const server = yield* shop()
        for (const value of ["", "x", "A".repeat(42), "A".repeat(44), `"`, "%", "ä"]) {
          const shown = yield* server.get("/form", { cookie: `__Host-session-csrf=${encodeURI(value)}` })
          assert.deepStrictEqual(cookieNames(shown), ["__Host-session-csrf"], value)
        }
      }))

    for (const path of ["/visit", "/visited"]) {
      it.effect(`the form of a page that begins a session holds, and needs no other cookie: ${path}`, () =>
        Effect.gen(function*() {
          const browser = (yield* shop()).browser()
          const shown = yield* browser.get(path)
          assert.deepStrictEqual(cookieNames(shown), ["session"])
          assert.strictEqual((yield* postForm(browser, "/count", { _csrf: tokenIn(shown) })).status, 200)
        }))

      it.effect(`also where the client was bound to a cookie before: ${path}`, () =>
        Effect.gen(function*() {
          const browser = (yield* shop()).browser()
          yield* browser.get("/form")
          const shown = yield* browser.get(path)
          assert.strictEqual((yield* postForm(browser, "/count", { _csrf: tokenIn(shown) })).status, 200)
        }))
    }
  })

  it.effect("a token of a retired secret holds as long as the secret is accepted", () =>
    Effect.gen(function*() {
      const other = "another secret of thirty-two characters or more"
      const before = yield* shop()
      const shown = yield* before.get("/form")
      const sent = {
        cookie: shown.setCookies.map((text) => text.split(";", 1)[0]).join("; "),
        headers: formHeaders,
        body: `_csrf=${tokenIn(shown)}`
      }
      const rotated = yield* shop({ secret: [other, secret] })
      assert.strictEqual((yield* rotated.post("/any", sent)).status, 200)
      const retired = yield* shop({ secret: [other] })
      assert.strictEqual((yield* retired.post("/any", sent)).status, 403)
    }))

  it.effect("header and field may have other names: csrf.header and csrf.field", () =>
    Effect.gen(function*() {
      const browser = (yield* shop({ csrf: { header: "x-xsrf-token", field: "authenticity_token" } })).browser()
      const { body } = yield* browser.get("/form")
      const [, token] = /name="authenticity_token" value="([\w-]+)"/.exec(body)!
      assert.strictEqual((yield* postForm(browser, "/any", { authenticity_token: token! })).status, 200)
      assert.strictEqual((yield* browser.post("/any", { headers: { "x-xsrf-token": token! } })).status, 200)
      assert.strictEqual((yield* postForm(browser, "/any", { _csrf: token! })).status, 403)
    }))
})

it.effect("a route below a prefix still gets its form", () =>
  Effect.gen(function*() {
    const prefixed = HttpRouter.use((router) =>
      router.prefixed("/app").add(
        "POST",
        "/form",
        Effect.map(Effect.flatMap(request, ({ text }) => text), (text) => HttpServerResponse.text(text))
      )
    ).pipe(Layer.provide(Csrf.layer))
    const server = yield* serve(Layer.mergeAll(pages, prefixed) as typeof routes)
    const browser = server.browser()
    const token = tokenIn(yield* browser.get("/form"))
    assert.strictEqual((yield* postForm(browser, "/app/form", { _csrf: token })).body, `_csrf=${token}`)
  }))

// -----------------------------------------------------------------------------
// the tokens themselves
// -----------------------------------------------------------------------------

describe("a token", () => {
  const ring = KeyRing.make([Redacted.make(secret)], "csrf")!
  const tokens = Token.make(ring)
  const binding = Token.bindingOf("A".repeat(43))

  it("\"HMAC with a server-side secret key\": HMAC-SHA256 of the binding, under a random pad", () => {
    const bytes = Buffer.from(tokens.make([binding]), "base64url")
    const code = Buffer.from(bytes.subarray(0, 32).map((byte, index) => byte ^ bytes[32 + index]!))
    assert.strictEqual(code.toString("hex"), createHmac("sha256", ring[0].key).update(binding).digest("hex"))
  })

  it.prop("any text is valid for nobody", [AnyText], ([text]) => {
    assert.isFalse(tokens.isValid(text, binding))
    assert.isFalse(tokens.isValid(Buffer.from(text).toString("base64url"), binding))
  })

  it.prop("any change of a byte makes it invalid", [intBetween(0, 63), intBetween(1, 255)], ([index, change]) => {
    const bytes = Buffer.from(tokens.make([binding]), "base64url")
    bytes[index]! ^= change
    assert.isFalse(tokens.isValid(bytes.toString("base64url"), binding))
  })

  it("holds for each of two bindings, and no third", () => {
    const [other, third] = [Token.bindingOf("B".repeat(43)), Token.bindingOf("C".repeat(43))]
    const token = tokens.make([binding, other])
    assert.deepStrictEqual([binding, other, third].map((one) => tokens.isValid(token, one)), [true, true, false])
  })
})

it.effect("a handler that shows a form can be tested without a server", () =>
  Effect.gen(function*() {
    assert.match(yield* Csrf.field, /^<input type="hidden" name="_csrf" value="[\w-]+">$/)
  }).pipe(Effect.provide(Session.layerTest())))

it.effect("does not start without a secret", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(served({ config: { secret: [], id: { protection: "none" } } }))
    assert.include(error.message, "Csrf needs a secret")
  }))

// -----------------------------------------------------------------------------
// HttpApi
// -----------------------------------------------------------------------------

const Cart = HttpApiGroup.make("cart").add(
  HttpApiEndpoint.get("token", "/token", { success: Schema.String }),
  HttpApiEndpoint.get("total", "/total", { success: Schema.Number }),
  HttpApiEndpoint.post("add", "/add", { payload: Schema.Struct({ cups: Schema.Number }), success: Schema.Number })
)

const Api = HttpApi.make("shop").add(Cart).middleware(Csrf.Api).middleware(SessionMiddleware.Api)

const api = HttpApiBuilder.layer(Api).pipe(
  Layer.provide(HttpApiBuilder.group(Api, "cart", (handlers) =>
    handlers.handleAll({
      token: () => Effect.map(Csrf.token, Redacted.value),
      total: () => Session.get(Count),
      add: ({ payload }) => Session.increment(Count, payload.cups)
    }))),
  Layer.provide(Csrf.layerApi),
  Layer.provide(SessionMiddleware.layerApi)
)

describe.each(drivers)("an HttpApi with the $driver", ({ make, makeStore }) => {
  const clientOf = (url: string, headers: Record<string, string>) =>
    HttpApiClient.make(Api, {
      baseUrl: url,
      transformClient: HttpClient.mapRequest(HttpClientRequest.setHeaders(headers))
    }).pipe(Effect.provide(FetchHttpClient.layer))

  it.effect("a generated client gets a typed CsrfError with the reason, or passes with a token in the header", () =>
    Effect.gen(function*() {
      const server = yield* serveApp(api, { store: makeStore(), logger: false })
      const payload = { cups: 2 }
      const bare = yield* clientOf(server.url, {})
      const missing = yield* Effect.flip(bare.cart.add({ payload }))
      assert.instanceOf(missing, Csrf.CsrfError)
      assert.strictEqual(missing._tag === "CsrfError" && missing.reason, "missing")
      assert.strictEqual(yield* bare.cart.total({}), 0)

      const browser = server.browser()
      const token = JSON.parse((yield* browser.get("/token")).body) as string
      const client = yield* clientOf(server.url, { cookie: browser.cookies(), "x-csrf-token": token })
      assert.strictEqual(yield* client.cart.add({ payload }), 2)

      const foreign = yield* clientOf(server.url, { origin: "https://evil.example", "x-csrf-token": token })
      const refused = yield* Effect.flip(foreign.cart.add({ payload }))
      assert.strictEqual(refused._tag === "CsrfError" && refused.reason, "origin")
    }))

  it.effect("an outage while a token is checked is the session's own error", () =>
    Effect.gen(function*() {
      const store = watchStore(make)
      const server = yield* serveApp(api, { store: store.layer, logger: false })
      const browser = server.browser()
      const token = JSON.parse((yield* browser.get("/token")).body) as string
      yield* browser.post("/add", {
        headers: { "x-csrf-token": token, "content-type": "application/json" },
        body: "{\"cups\":1}"
      })
      store.fails("load")
      const client = yield* clientOf(server.url, { cookie: browser.cookies(), "x-csrf-token": token })
      assert.strictEqual((yield* Effect.flip(client.cart.add({ payload: { cups: 1 } })))._tag, "SessionStoreError")
    }))
})

it("the OpenAPI document has the 403", () => {
  assert.property(OpenApi.fromApi(Api).paths["/add"]!.post!.responses, "403")
})
