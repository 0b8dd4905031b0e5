/**
 * What a session library owes its users' security. Tests are named after the requirement: of the OWASP Application
 * Security Verification Standard 5.0 (V…), or of OWASP's Session Management Cheat Sheet (CS).
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted, Schema } from "effect"
import { Session, SessionKey } from "effect-session"
import { HttpMiddleware, HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { Cookie } from "tough-cookie"
import { secret } from "../support/config.ts"
import { drivers } from "../support/drivers.ts"
import { breakdown, countedBackend, operations, watchStore } from "../support/failingStore.ts"
import { observe } from "../support/observe.ts"
import { basicRoutes, Basket, Count, Name, ok, post } from "../support/routes.ts"
import { type Answer, cookieOf, type Options, serve, type Server } from "../support/server.ts"

describe.each(drivers)("with the $driver", ({ make }) => {
  const served = (options: Options = {}) => serve(basicRoutes, { store: watchStore(make).layer, ...options })

  it.effect("V7.2.4 after a login there is a new id, and the old one is dead at once", () =>
    Effect.gen(function*() {
      const server = yield* served()
      const old = cookieOf(yield* server.post("/count"))
      const cookie = cookieOf(yield* server.post("/login", { cookie: old }))
      assert.notStrictEqual(cookie, old)
      assert.strictEqual((yield* server.get("/", { cookie: old })).body, "{}")
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1,"name":"Ada"}`)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* server.get("/", { cookie: old })).body, "{}")
    }))

  it.effect("V7.2.4 an id that was planted before the login is not that of the session after it", () =>
    Effect.gen(function*() {
      const server = yield* served()
      const attacker = server.browser()
      yield* attacker.post("/count")
      yield* server.post("/login", { cookie: attacker.cookies() })
      assert.strictEqual((yield* attacker.get("/")).body, "{}")
    }))

  it.effect("V7.4.1 after a logout no copy of the cookie is good for anything", () =>
    Effect.gen(function*() {
      const server = yield* served()
      const cookie = cookieOf(yield* server.post("/login"))
      yield* server.post("/logout", { cookie })
      for (const path of ["/count", "/login", "/logout"]) {
        yield* server.post(path, { cookie })
        assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
      }
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
    }))

  it.effect("V7.4.1 a logout ends the session for requests that are under way, too", () =>
    Effect.gen(function*() {
      const store = watchStore(make)
      const server = yield* serve(basicRoutes, { store: store.layer })
      const cookie = cookieOf(yield* server.post("/login"))
      const loading = store.holds("load")
      const slow = yield* Effect.forkChild(server.post("/count", { cookie }))
      yield* loading.reached
      yield* server.post("/logout", { cookie })
      yield* loading.release
      const answer = yield* Fiber.join(slow)
      const begun = cookieOf(answer)
      assert.notStrictEqual(begun, cookie)
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
      assert.strictEqual((yield* server.get("/", { cookie: begun })).body, `{"count":1}`, "it began one of its own")
    }))

  it.effect("V7.4.4 a logout clears the cookie, with the very attributes it was set with", () =>
    Effect.gen(function*() {
      const server = yield* served({
        config: {
          cookie: { name: "__Secure-id", path: "/log", domain: "shop.example", sameSite: "strict", partitioned: true }
        }
      })
      const browser = server.browser()
      const set = yield* browser.post("/login")
      assert.notStrictEqual(browser.jar.getCookieStringSync("https://shop.example/log"), "")
      const cleared = yield* server.post("/logout", { cookie: cookieOf(set) })
      assert.deepStrictEqual(attributesOf(cleared), attributesOf(set))
      browser.jar.setCookieSync(cleared.setCookies[0]!, "https://shop.example/logout")
      assert.strictEqual(browser.jar.getCookieStringSync("https://shop.example/log"), "")
    }))

  it.effect("V7.4.1 a logout that keeps something is one operation of the store", () =>
    Effect.gen(function*() {
      const store = watchStore(make)
      const shop = post("/shop", Session.put(Basket, ["tea"]))
      const server = yield* serve(Layer.mergeAll(shop, post("/leave", Session.logout)), { store: store.layer })
      const cookie = cookieOf(yield* server.post("/shop"))
      store.newCalls()
      yield* server.post("/leave", { cookie })
      assert.deepStrictEqual(store.newCalls(), ["load", "regenerate"])
    }))

  it.effect("V14.3.1 Session.clearSiteData asks the browser to forget, if the request is committed", () =>
    Effect.gen(function*() {
      const store = watchStore(make)
      const leave = Effect.andThen(Session.logout, Session.clearSiteData(["cache", "storage"]))
      const refused = Effect.flatMap(Session.Session, (outside) =>
        Session.clearSiteData(["cache"]).pipe(
          Effect.andThen(Session.pull(Count)),
          Effect.andThen(Effect.provideService(Session.increment(Count), Session.Session, outside)),
          Session.atomic,
          Effect.flip
        ))
      const server = yield* serve(
        Layer.mergeAll(
          basicRoutes,
          post("/leave", leave),
          post("/atomic", Session.atomic(leave)),
          post("/fails", Effect.andThen(leave, Effect.die("no"))),
          post("/rolled-back", Effect.andThen(leave, Session.rollback)),
          post("/fails-within", Effect.exit(Session.atomic(Effect.andThen(leave, Effect.fail("no"))))),
          post("/refused-within", Effect.andThen(Session.put(Count, 1), refused)),
          post("/commits-within", Effect.exit(Session.atomic(Effect.andThen(leave, Session.commit))))
        ),
        { store: store.layer }
      )
      const headerOf = (path: string, cookie?: string) =>
        Effect.map(server.post(path, { cookie }), ({ headers }) => headers["clear-site-data"])
      assert.strictEqual(yield* headerOf("/leave"), `"cache", "storage"`)
      assert.strictEqual(yield* headerOf("/atomic"), `"cache", "storage"`)
      for (const path of ["/logout", "/fails", "/rolled-back", "/fails-within", "/refused-within"]) {
        assert.isUndefined(yield* headerOf(path), path)
      }
      const cookie = cookieOf(yield* server.post("/login"))
      const ending = store.holds("destroy")
      const slow = yield* Effect.forkChild(headerOf("/leave", cookieOf(yield* server.post("/login"))))
      yield* ending.reached
      yield* ending.release
      assert.strictEqual(yield* Fiber.join(slow), `"cache", "storage"`)
      store.fails("destroy")
      for (const path of ["/leave", "/commits-within"]) {
        assert.isUndefined(yield* headerOf(path, cookie), `${path}: the store fails`)
      }
    }))

  it.effect("V7.6.2 a request that only reads creates no session and sets no cookie", () =>
    Effect.gen(function*() {
      const store = watchStore(make)
      const server = yield* serve(basicRoutes, { store: store.layer })
      assert.deepStrictEqual((yield* server.get("/")).setCookies, [])
      assert.deepStrictEqual((yield* server.get("/", { cookie: "session=unknown" })).setCookies, [])
      assert.deepStrictEqual(store.calls.filter((call) => call !== "load"), [])
    }))

  for (const prefix of ["__Host-", "__Host-Http-"]) {
    it.effect(`V3.3.1, V3.3.3 a cookie whose name begins with ${prefix} is accepted, sent back and cleared`, () =>
      Effect.gen(function*() {
        const browser = (yield* served({ config: { cookie: { name: `${prefix}session` } } })).browser()
        const answer = yield* browser.post("/login")
        const attributes = "Max-Age=\\d+; Path=/; HttpOnly; Secure; SameSite=Lax"
        assert.match(answer.setCookies[0]!, new RegExp(`^${prefix}session=[^;]+; ${attributes}$`))
        assert.strictEqual((yield* browser.get("/")).body, `{"name":"Ada"}`)
        yield* browser.post("/logout")
        assert.strictEqual(browser.cookies(), "")
      }))
  }

  it.effect("V3.3.4 the cookie can't be read by scripts unless the application wants that", () =>
    Effect.gen(function*() {
      const [standard] = (yield* (yield* served()).post("/login")).setCookies
      const [open] = (yield* (yield* served({ config: { cookie: { httpOnly: false } } })).post("/login")).setCookies
      assert.include(standard!.split("; "), "HttpOnly")
      assert.notInclude(open!.split("; "), "HttpOnly")
    }))

  it.effect("V14.3.2 a response that sets or clears the cookie is not stored by caches", () =>
    Effect.gen(function*() {
      const server = yield* served()
      const set = yield* server.post("/login")
      const cookie = cookieOf(set)
      assert.strictEqual(set.headers["cache-control"], "no-store")
      assert.strictEqual((yield* server.get("/untouched", { cookie })).headers["cache-control"], undefined)
      assert.strictEqual((yield* server.post("/logout", { cookie })).headers["cache-control"], "no-store")
    }))

  it.effect("V14.3.2 what the application says of caches stays", () =>
    Effect.gen(function*() {
      const server = yield* serve(
        HttpRouter.add(
          "POST",
          "/own",
          Effect.as(
            Session.put(Name, "Ada"),
            HttpServerResponse.setHeader(ok, "Cache-Control", "private, max-age=60")
          )
        ),
        { store: watchStore(make).layer }
      )
      assert.strictEqual((yield* server.post("/own")).headers["cache-control"], "private, max-age=60")
    }))

  it.effect("CS an id the store does not know is never adopted", () =>
    Effect.gen(function*() {
      const server = yield* served()
      const ended = cookieOf(yield* server.post("/login"))
      yield* server.post("/logout", { cookie: ended })
      for (const cookie of [ended, `session=${"A".repeat(43)}`]) {
        const answer = yield* server.post("/count", { cookie })
        assert.notStrictEqual(cookieOf(answer), cookie)
        assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
        assert.strictEqual((yield* server.get("/", { cookie: cookieOf(answer) })).body, `{"count":1}`)
      }
    }))
})

const attributesOf = ({ setCookies }: Answer) => {
  const { domain, hostOnly, httpOnly, key, path, sameSite, secure } = Cookie.parse(setCookies[0]!)!
  const partitioned = /; Partitioned/.test(setCookies[0]!)
  return { domain, hostOnly, httpOnly, key, partitioned, path, sameSite, secure }
}

for (const protection of ["signed", "encrypted", "none"] as const) {
  it.effect(`CS an id that the store does not know is never adopted, with ids ${protection}`, () =>
    Effect.gen(function*() {
      const config = { id: { protection } }
      const server = yield* serve(basicRoutes, { config })
      // Another store with the same secret, so that the cookie is a good one in everything but what is stored.
      const elsewhere = yield* serve(basicRoutes, { config })
      const cookie = cookieOf(yield* elsewhere.post("/count"))
      const answer = yield* server.post("/count", { cookie })
      assert.notStrictEqual(cookieOf(answer), cookie)
      assert.strictEqual((yield* server.get("/", { cookie })).body, "{}")
      assert.strictEqual((yield* server.get("/", { cookie: cookieOf(answer) })).body, `{"count":1}`)
    }))

  it.effect(`CS at rest there is no id, with ids ${protection}`, () =>
    Effect.gen(function*() {
      const backend = countedBackend()
      const server = yield* serve(Layer.mergeAll(basicRoutes, secretRoute), {
        store: backend.layer,
        config: { id: { protection } }
      })
      const cookie = cookieOf(yield* server.post("/login"))
      const id = (yield* server.get("/id", { cookie })).body
      const dump = inspect([...backend.values], { depth: null })
      assert.include(dump, "Ada")
      for (const part of [id, ...cookie.slice("session=".length).split(".")]) assert.notInclude(dump, part)
    }))
}

/** Answers with what nobody should ever answer with. */
const secretRoute = HttpRouter.add(
  "GET",
  "/id",
  Effect.map(Session.sessionId, (id) => HttpServerResponse.text(Redacted.value(id)))
)

// -----------------------------------------------------------------------------
// what operators and clients see
// -----------------------------------------------------------------------------

const Large = SessionKey.make("large", Schema.String)

/** Routes that show as much as an application may show by mistake. */
const talkative = Layer.mergeAll(
  basicRoutes,
  secretRoute,
  HttpRouter.add("GET", "/handle", Effect.map(Session.handle, HttpServerResponse.text)),
  HttpRouter.add(
    "GET",
    "/dump",
    Effect.gen(function*() {
      const session = yield* Session.Session
      const id = yield* Session.sessionId
      const view = yield* Session.view
      yield* Effect.log("all there is", session, id, view, Count)
      const texts = [inspect(session, { depth: null, showHidden: true }), JSON.stringify([session, id]), String(id)]
      return HttpServerResponse.text(texts.join("\n"))
    }).pipe(Effect.withSpan("dump"))
  ),
  HttpRouter.add("POST", "/large", Effect.as(Session.put(Large, "x".repeat(5_000)), ok)),
  HttpRouter.add("POST", "/defect", Effect.andThen(Session.increment(Count), Effect.die(new Error("a defect"))))
)

/** A client that does everything that there is to do, and everything wrong that there is to do wrong. */
const story = (server: Server, store: ReturnType<typeof watchStore>) =>
  Effect.gen(function*() {
    const answers: Array<Answer> = []
    const send = (method: string, path: string, cookie?: string) =>
      Effect.tap(server.send(method, path, { cookie }), (answer) => Effect.sync(() => answers.push(answer)))
    const first = cookieOf(yield* send("POST", "/count"))
    const cookie = cookieOf(yield* send("POST", "/login", first))
    yield* send("GET", "/dump", cookie)
    yield* send("POST", "/large", cookie)
    yield* send("POST", "/defect", cookie)
    yield* send("POST", "/count", first)
    yield* send("GET", "/", `${cookie}x`)
    yield* send("GET", "/", `${first}; ${cookie}`)
    yield* send("POST", "/logout", cookie)
    for (const operation of operations) {
      const one = cookieOf(yield* send("POST", "/login"))
      const other = cookieOf(yield* send("POST", "/login"))
      store.fails(operation)
      yield* send("POST", "/count")
      yield* send("POST", "/count", one)
      yield* send("POST", "/touch", one)
      yield* send("POST", "/login", one)
      yield* send("POST", "/logout", other)
      store.works()
    }
    const tokens = [first, cookie, ...answers.map(cookieOf)].filter((cookie) => cookie !== "")
    return { answers, tokens: [...new Set(tokens)].map((cookie) => cookie.slice("session=".length)) }
  })

describe.each(drivers)("what is seen, with the $driver", ({ driver, make }) => {
  it.effect("V3.3.4, V16.2.5 the token is in Set-Cookie, and in no body, log, span, error or inspection", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const store = watchStore(make)
      const server = yield* serve(talkative, { store: store.layer })
      const { answers, tokens } = yield* story(server, store)
      const ids = driver === "MemoryLayer" ? tokens.map((token) => token.split(".")[0]!) : []
      const said = answers.map(({ body, headers }) => inspect({ ...headers, "set-cookie": "", body })).join("\n")
      assert.isAbove(observed.logs.length, 20)
      assert.isAbove(observed.spans.length, 20)
      for (const secretText of [...tokens, ...ids, secret]) {
        assert.notInclude(observed.text(), secretText)
        assert.notInclude(said, secretText)
      }
    }).pipe(
      Effect.provideService(HttpMiddleware.TracerHeaderFilter, () => true),
      Effect.provide(observed.layer)
    )
  })

  it.effect("V16.2.5 logs and spans name the session by its handle", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const server = yield* serve(talkative, { store: watchStore(make).layer })
      const cookie = cookieOf(yield* server.post("/count"))
      const handle = (yield* server.get("/handle", { cookie })).body
      const id = (yield* server.get("/id", { cookie })).body
      yield* server.post("/logout", { cookie })
      assert.match(handle, /^[A-Za-z0-9_-]{16}$/)
      const named = observed.logs.filter(({ annotations }) => annotations["effect_session.handle"] === handle)
      assert.deepStrictEqual(named.map(({ message }) => message), ["Session created", "Session destroyed"])
      const spans = observed.spans.filter(({ name }) => name.startsWith("Session."))
      assert.isAbove(spans.length, 3)
      for (const { attributes } of spans) assert.strictEqual(attributes.get("effect_session.handle"), handle)
      assert.notInclude(observed.text(), id)
    }).pipe(Effect.provide(observed.layer))
  })

  it.effect("V16.3.3 what happens to sessions is counted and logged", () => {
    const observed = observe()
    const lastEvent = () => {
      const events = observed.logs.filter(({ message }) => message.startsWith("Session"))
      return events.slice(-1).map(({ annotations, level, message }) =>
        [level, message, annotations["effect_session.rejection"]].filter((text) => text !== undefined).join(" ")
      )[0]
    }
    return Effect.gen(function*() {
      const store = watchStore(make)
      const server = yield* serve(basicRoutes, { store: store.layer, config: { age: "1 hour" } })
      const first = cookieOf(yield* server.post("/count"))
      assert.strictEqual(lastEvent(), "Debug Session created")
      const second = cookieOf(yield* server.post("/login", { cookie: first }))
      assert.strictEqual(lastEvent(), "Debug Session regenerated")
      yield* server.get("/", { cookie: first })
      assert.strictEqual(lastEvent(), "Debug Session token rejected superseded")
      yield* server.get("/", { cookie: "session=x" })
      assert.strictEqual(lastEvent(), "Debug Session token rejected malformed")
      const tampered = second.replace(/.{4}$/, (end) => end === "AAAA" ? "BBBA" : "AAAA")
      yield* server.get("/", { cookie: tampered })
      assert.strictEqual(lastEvent(), "Warn Session token rejected tampered")
      yield* server.get("/", { cookie: `${first}; ${second}` })
      assert.strictEqual(lastEvent(), "Debug Session token rejected duplicate")
      const writing = store.holds("update")
      const slow = yield* Effect.forkChild(server.post("/count", { cookie: second }))
      yield* writing.reached
      yield* server.post("/logout", { cookie: second })
      assert.strictEqual(lastEvent(), "Debug Session destroyed")
      yield* writing.release
      yield* Fiber.join(slow)
      assert.strictEqual(lastEvent(), "Debug Session changes dropped: the session has ended")
      yield* server.get("/", { cookie: second })
      assert.strictEqual(lastEvent(), "Debug Session token rejected unknown")
      // Not at the moment at which a sweeper comes.
      yield* TestClock.adjust("30 seconds")
      const third = cookieOf(yield* server.post("/count"))
      yield* TestClock.adjust("1 hour")
      yield* server.get("/", { cookie: third })
      assert.strictEqual(lastEvent(), "Debug Session token rejected expired")
      store.fails("create")
      yield* server.post("/count")
      assert.strictEqual(lastEvent(), "Error Session commit failed")
      assert.deepStrictEqual(observed.counters(), {
        loads: 8,
        "commits create": 2,
        "commits regenerate": 1,
        "commits destroy": 1,
        drops: 1,
        "rejected_tokens superseded": 1,
        "rejected_tokens malformed": 1,
        "rejected_tokens tampered": 1,
        "rejected_tokens duplicate": 1,
        "rejected_tokens unknown": 1,
        "rejected_tokens expired": 1
      })
    }).pipe(Effect.provide(observed.layer))
  })

  it.effect("V16.3.3 the time that each operation of the store takes is measured, also of those that fail", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const store = watchStore(make)
      const server = yield* serve(basicRoutes, { store: store.layer })
      const cookie = cookieOf(yield* server.post("/count"))
      for (const path of ["/count", "/touch", "/login"]) yield* server.post(path, { cookie })
      yield* server.post("/logout", { cookie: cookieOf(yield* server.post("/count")) })
      store.fails("update")
      yield* server.post("/count", { cookie: cookieOf(yield* server.post("/count")) })
      const name = driver === "MemoryLayer" ? "memory" : "cookie"
      assert.deepStrictEqual(observed.storeTimes(), {
        [`${name} load`]: 5,
        [`${name} create`]: 3,
        [`${name} update`]: 1,
        [`${name} update SessionStoreError`]: 1,
        [`${name} touch`]: 1,
        [`${name} regenerate`]: 1,
        [`${name} destroy`]: 1
      })
    }).pipe(Effect.provide(observed.layer))
  })

  it.effect("V16.5.1 an error tells the client nothing of the store, and the log everything", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const store = watchStore(make)
      const server = yield* serve(talkative, { store: store.layer })
      const { answers } = yield* story(server, store)
      const failed = answers.filter(({ status }) => status >= 500)
      assert.isAbove(failed.length, 9)
      for (const { body } of failed) assert.include(["", "Service Unavailable", "Internal Server Error"], body)
      for (const { body, headers } of answers) {
        assert.notInclude(inspect({ ...headers, body }), "hunter2")
        assert.notInclude(body, "node_modules")
      }
      assert.include(observed.text(), breakdown)
    }).pipe(Effect.provide(observed.layer))
  })
})

describe("an outage", () => {
  for (const operation of operations) {
    it.effect(`V16.5.2 of ${operation} is not "logged out": 503, no cookie, and the client is still logged in`, () =>
      Effect.gen(function*() {
        const store = watchStore()
        const server = yield* serve(basicRoutes, { store: store.layer })
        const browser = server.browser()
        yield* browser.post("/login")
        const cookie = browser.cookies()
        yield* TestClock.adjust("2 minutes")
        store.fails(operation)
        const requests = [
          browser.get("/"),
          browser.post("/count"),
          browser.post("/login"),
          browser.post("/logout"),
          // One that nobody has asked for is no reason to refuse anything.
          browser.post("/touch")
        ]
        const affected = { load: 0, create: undefined, update: 1, touch: 4, regenerate: 2, destroy: 3 }[operation]
        const answer = yield* affected === undefined ? server.post("/login") : requests[affected]!
        assert.strictEqual(answer.status, 503)
        assert.deepStrictEqual(answer.setCookies, [])
        store.works()
        assert.strictEqual(browser.cookies(), cookie)
        assert.strictEqual((yield* browser.get("/")).body, `{"name":"Ada"}`)
      }))
  }

  it.effect("V13.1.3 the time limit of the store's operations is a setting", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serve(basicRoutes, { store: store.layer, config: { timeLimit: "3 seconds" } })
      const cookie = cookieOf(yield* server.post("/login"))
      const reached = store.before("load", Effect.never)
      const request = yield* Effect.forkChild(server.get("/", { cookie }))
      yield* reached
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(request.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(request)).status, 503)
    }))

  it.effect("V13.1.3 the number of retries is a setting, and none by default", () =>
    Effect.gen(function*() {
      const attempts = (retries?: number) =>
        Effect.gen(function*() {
          const store = watchStore()
          const config = retries === undefined ? {} : { retries }
          const server = yield* serve(basicRoutes, { store: store.layer, config })
          const cookie = cookieOf(yield* server.post("/login"))
          store.newCalls()
          store.fails("load")
          yield* server.get("/", { cookie })
          return store.newCalls().length
        })
      assert.deepStrictEqual(yield* Effect.all([attempts(), attempts(0), attempts(3)]), [1, 1, 4])
    }))
})
