/**
 * What a client sends may be of any size and shape: it fills no store, and is no error.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Session, type SessionError, SessionKey } from "effect-session"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { drivers } from "../support/drivers.ts"
import { countedBackend, watchStore } from "../support/failingStore.ts"
import { basicRoutes, post } from "../support/routes.ts"
import { type Browser, cookieOf, type Options, serve } from "../support/server.ts"

const redirect = HttpServerResponse.redirect("/form", { status: 303 })

const bodyText = HttpServerRequest.HttpServerRequest.use(({ text }) => text)

const bodyJson = HttpServerRequest.HttpServerRequest.use(({ json }) => json)

const Text = SessionKey.make("text", Schema.String)
const Anything = SessionKey.make("anything", Schema.Json)

const putText = Effect.flatMap(bodyText, (text) => Session.put(Text, text))

const told = <A, R>(effect: Effect.Effect<A, SessionError.SessionError, R>) =>
  Effect.map(
    Effect.tap(Effect.flip(Effect.asVoid(effect)), () => Session.rollback),
    ({ message }) => HttpServerResponse.text(message)
  )

const routes = Layer.mergeAll(
  basicRoutes,
  HttpRouter.add("POST", "/form", Effect.as(Session.flashAll(), redirect)),
  HttpRouter.add("POST", "/only", Effect.as(Session.flashOnly(["title", "comment"]), redirect)),
  HttpRouter.add("POST", "/except", Effect.as(Session.flashExcept(["none"]), redirect)),
  HttpRouter.add(
    "POST",
    "/given",
    Effect.as(Effect.flatMap(bodyJson, (json) => Session.flashAll(json as never)), redirect)
  ),
  HttpRouter.add(
    "POST",
    "/form-by-hand",
    Effect.andThen(Session.flashAll(), Effect.as(Session.commit, redirect))
  ),
  HttpRouter.add(
    "POST",
    "/invalid",
    Effect.as(Effect.andThen(Session.flash("error", "Too long"), Session.flashAll()), redirect)
  ),
  HttpRouter.add("POST", "/in-part", Effect.as(Session.atomic(Session.flashAll()), redirect)),
  HttpRouter.add("POST", "/login-form", Effect.as(Effect.andThen(Session.regenerate, Session.flashAll()), redirect)),
  HttpRouter.add("POST", "/again", Effect.as(Effect.andThen(Session.reflash, putText), redirect)),
  HttpRouter.add(
    "GET",
    "/form",
    Effect.map(Session.flashMessages, (messages) => HttpServerResponse.jsonUnsafe(messages.all()))
  ),
  post("/put", putText),
  post("/put-json", Effect.flatMap(bodyJson, (json) => Session.put(Anything, json as Schema.Json))),
  post("/message", Effect.flatMap(bodyJson, (json) => Session.flash("message", json as Schema.Json))),
  HttpRouter.add("POST", "/put-told", told(Effect.andThen(Effect.orDie(Effect.asVoid(putText)), Session.commit))),
  post("/forget", Session.forget(Text))
)

const json = (value: unknown) => ({
  body: typeof value === "string" ? value : JSON.stringify(value),
  headers: { "content-type": "application/json" }
})

const served = (options: Options) => Effect.map(serve(routes, options), (server) => server.browser())

const shown = (browser: Browser) =>
  Effect.map(browser.get("/form"), ({ body }) => JSON.parse(body) as Record<string, unknown>)

// -----------------------------------------------------------------------------
// large forms
// -----------------------------------------------------------------------------

const small = { title: "A title", name: "Ada" }

const forms = ["/form", "/except", "/given", "/form-by-hand", "/in-part", "/login-form"]

describe.each(drivers)("a form that is flashed, with the $driver", ({ driver, makeStore }) => {
  const isCookie = driver === "CookieLayer"

  for (const path of forms) {
    it.effect(`of 9 MB leaves the redirect as it is, and what is large out: ${path}`, () =>
      Effect.gen(function*() {
        const browser = yield* served({ store: makeStore() })
        for (let times = 0; times < 2; times++) {
          const answer = yield* browser.post(
            path,
            json({ title: small.title, comment: "x".repeat(9_000_000), name: "Ada" })
          )
          assert.strictEqual(answer.status, 303)
          assert.deepStrictEqual(yield* shown(browser), small)
        }
      }))

    it.effect(`of the size of a comment keeps what fits: ${path}`, () =>
      Effect.gen(function*() {
        const browser = yield* served({ store: makeStore() })
        const form = { ...small, comment: "ü".repeat(1_500), more: "x".repeat(500) }
        assert.strictEqual((yield* browser.post(path, json(form))).status, 303)
        assert.deepStrictEqual(yield* shown(browser), isCookie ? { ...small, more: form.more } : form)
      }))
  }

  it.effect("loses its longest fields, and no more of them than necessary", () =>
    Effect.gen(function*() {
      const form = Object.fromEntries([100, 400, 200, 300, 350].map((length) => [`of ${length}`, "x".repeat(length)]))
      const most = ["of 100", "of 200", "of 300"]
      for (const [sizeLimit, kept] of [["1 kB", [...most, "of 350"]], ["900 B", most], [50, []]] as const) {
        const browser = yield* served({ store: makeStore(), config: { flash: { sizeLimit } } })
        yield* browser.post("/form", json(form))
        assert.deepStrictEqual(Object.keys(yield* shown(browser)), kept)
      }
    }))

  it.effect("fits to the byte", () =>
    Effect.gen(function*() {
      const form = { a: "ü\n\"", b: ["x", 1, null] }
      const size = Buffer.byteLength(JSON.stringify(form))
      const fits = yield* served({ store: makeStore(), config: { flash: { sizeLimit: size } } })
      yield* fits.post("/form", json(form))
      assert.deepStrictEqual(yield* shown(fits), form)
      const fitsNot = yield* served({ store: makeStore(), config: { flash: { sizeLimit: size - 1 } } })
      yield* fitsNot.post("/form", json(form))
      assert.deepStrictEqual(yield* shown(fitsNot), { a: form.a })
    }))

  it.effect("of a client without a session begins none where nothing of it fits", () =>
    Effect.gen(function*() {
      const browser = yield* served({ store: makeStore(), config: { flash: { sizeLimit: 10 } } })
      assert.deepStrictEqual((yield* browser.post("/form", json({ comment: "x".repeat(100) }))).setCookies, [])
    }))

  it.effect("gives way to what else is in the session, down to nothing of it", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const browser = yield* served(
        isCookie ? { store: makeStore() } : { store: store.layer, config: { sizeLimit: 3_000 } }
      )
      yield* browser.post("/put", { body: "x".repeat(2_800) })
      const form = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`field ${index}`, "x".repeat(index)]))
      const answer = yield* browser.post("/form", json(form))
      assert.strictEqual(answer.status, 303)
      const kept = Object.keys(yield* shown(browser))
      assert.deepStrictEqual(kept, Object.keys(form).slice(0, kept.length))
      assert.isBelow(kept.length, 10)
      yield* browser.post("/put", { body: "x".repeat(isCookie ? 2_990 : 2_990) })
      assert.strictEqual((yield* browser.post("/form", json({ comment: "x".repeat(200) }))).status, 303)
      assert.deepStrictEqual(yield* shown(browser), {})
      assert.include((yield* browser.get("/")).body, "xxx", "what was there is there")
    }))

  it.effect("gives way to the messages of the application, which stay", () =>
    Effect.gen(function*() {
      const browser = yield* served(
        isCookie ? { store: makeStore() } : { store: makeStore(), config: { sizeLimit: 2_000 } }
      )
      const answer = yield* browser.post("/invalid", json({ ...small, comment: "x".repeat(3_500) }))
      assert.strictEqual(answer.status, 303)
      assert.deepStrictEqual(yield* shown(browser), { error: "Too long", ...small })
    }))

  it.effect("gives way as well where it is flashed once more", () =>
    Effect.gen(function*() {
      const browser = yield* served(
        isCookie ? { store: makeStore() } : { store: makeStore(), config: { sizeLimit: 3_000 } }
      )
      yield* browser.post("/form", json({ ...small, comment: "x".repeat(2_000) }))
      assert.strictEqual((yield* browser.post("/again", { body: "y".repeat(2_000) })).status, 303)
      assert.deepStrictEqual(yield* shown(browser), small)
    }))

  it.effect("may have names of any length and number", () =>
    Effect.gen(function*() {
      const browser = yield* served({ store: makeStore() })
      const urlEncoded = (body: string) =>
        browser.post("/form", { body, headers: { "content-type": "application/x-www-form-urlencoded" } })
      assert.strictEqual((yield* urlEncoded(`${"a.".repeat(500_000)}=1&title=x`)).status, 303)
      assert.deepStrictEqual(yield* shown(browser), { title: "x" })
      assert.strictEqual(
        (yield* urlEncoded(Array.from({ length: 20_000 }, (_, name) => `${name}=`).join("&"))).status,
        303
      )
      assert.strictEqual((yield* browser.get("/form")).status, 200)
    }))
})

// -----------------------------------------------------------------------------
// deep values
// -----------------------------------------------------------------------------

const lists = (levels: number) => "[".repeat(levels) + "]".repeat(levels)
const objects = (levels: number) => `{"a":`.repeat(levels) + "1" + "}".repeat(levels)

describe.each([...drivers, { driver: "fromDriver", makeStore: () => countedBackend().layer }])(
  "JSON of many levels, with the $driver",
  ({ driver, makeStore }) => {
    for (const [kind, nested] of [["lists", lists], ["objects", objects]] as const) {
      for (const levels of [501, 1_500, 5_000, 100_000]) {
        it.effect(`is not flashed, and is no error: ${levels} ${kind}`, () =>
          Effect.gen(function*() {
            const browser = yield* served({ store: makeStore() })
            for (const path of [...forms, "/only"]) {
              const answer = yield* browser.post(path, json(`{"title":"x","comment":${nested(levels)}}`))
              assert.strictEqual(answer.status, 303, path)
              assert.deepStrictEqual(yield* shown(browser), { title: "x" })
            }
            assert.strictEqual((yield* browser.post("/form", json(nested(levels)))).status, 303)
          }))

        it.effect(`is a SessionValueError where the application puts it: ${levels} ${kind}`, () =>
          Effect.gen(function*() {
            const browser = yield* served({ store: makeStore() })
            yield* browser.post("/count")
            for (const path of ["/put-json", "/message"]) {
              const answer = yield* browser.post(path, json(nested(levels)))
              assert.deepStrictEqual([answer.status, answer.body], [500, "Internal Server Error"])
            }
            assert.strictEqual((yield* browser.get("/")).body, `{"count":1}`)
          }))
      }
    }

    it.effect("comes out as it went in up to 500 levels", () =>
      Effect.gen(function*() {
        const browser = yield* served({ store: makeStore(), config: { cookie: { chunks: 4 } } })
        const value = driver === "CookieLayer" ? lists(500) : objects(500)
        assert.strictEqual((yield* browser.post("/put-json", json(value))).status, 200)
        assert.strictEqual((yield* browser.get("/")).body, `{"anything":${value}}`)
        assert.strictEqual((yield* browser.post("/form", json(`{"comment":${value}}`))).status, 303)
        assert.strictEqual((yield* browser.get("/form")).body, `{"comment":${value}}`)
      }))
  }
)

// -----------------------------------------------------------------------------
// large sessions
// -----------------------------------------------------------------------------

describe.each([
  { driver: "MemoryLayer", makeStore: drivers[0]!.makeStore },
  { driver: "fromDriver", makeStore: () => countedBackend().layer },
  { driver: "SessionStore.make", makeStore: () => watchStore().layer }
])("a session on a server, with the $driver", ({ makeStore }) => {
  it.effect("may hold 64 KiB, and not a byte more: then it is a 500, and what was there stays", () =>
    Effect.gen(function*() {
      const browser = yield* served({ store: makeStore() })
      const most = 65_536 - "text\"\"".length
      assert.strictEqual((yield* browser.post("/put", { body: "x".repeat(most) })).status, 200)
      for (const body of ["y".repeat(most + 1), "ü".repeat(most / 2 + 1), "y".repeat(1_000_000)]) {
        const answer = yield* browser.post("/put", { body })
        assert.deepStrictEqual([answer.status, answer.setCookies.length], [500, 0])
      }
      assert.strictEqual((yield* browser.get("/")).body, JSON.stringify({ text: "x".repeat(most) }))
      yield* browser.post("/forget")
      assert.strictEqual((yield* browser.post("/put", { body: "ü".repeat(most / 2) })).status, 200)
    }))

  it.effect("says both sizes and the setting, and never the value", () =>
    Effect.gen(function*() {
      const browser = yield* served({ store: makeStore(), config: { sizeLimit: "1 kB" } })
      assert.strictEqual(
        (yield* browser.post("/put-told", { body: "x".repeat(2_000) })).body,
        "The session is 2006 bytes, and sizeLimit allows 1000. Store less in it, or raise sizeLimit"
      )
    }))

  it.effect("may be as large as the store can take where sizeLimit is \"unlimited\"", () =>
    Effect.gen(function*() {
      const browser = yield* served({ store: makeStore(), config: { sizeLimit: "unlimited" } })
      assert.strictEqual((yield* browser.post("/put", { body: "x".repeat(1_000_000) })).status, 200)
    }))

  it.effect("that has become too large, as the limit is lower now, can be read, extended, made smaller and ended", () =>
    Effect.gen(function*() {
      const store = makeStore()
      const cookie = cookieOf(yield* (yield* serve(routes, { store })).post("/put", { body: "x".repeat(2_000) }))
      const server = yield* serve(routes, { store, config: { sizeLimit: "1 kB" } })
      if ((yield* server.get("/", { cookie })).body === "{}") return
      assert.strictEqual((yield* server.post("/touch", { cookie })).status, 200)
      assert.strictEqual((yield* server.post("/count", { cookie })).status, 200)
      assert.strictEqual((yield* server.post("/put", { cookie, body: "x".repeat(1_500) })).status, 500)
      assert.strictEqual((yield* server.post("/put", { cookie, body: "x" })).status, 200)
      assert.strictEqual((yield* server.post("/logout", { cookie })).status, 200)
    }))
})

// -----------------------------------------------------------------------------
// half characters
// -----------------------------------------------------------------------------

describe("half a character, a surrogate without the other one of its pair", () => {
  for (const name of ["a\ud800b", "\udc00", "\ud800\ud800", "\udc00\ud800"]) {
    it(`is refused in the name of a key: ${JSON.stringify(name)}`, () => {
      assert.throws(
        () => SessionKey.make(name, Schema.String),
        /^SessionKey\.make\(".*\\u.*"\): the name .* Write a well-formed string/
      )
    })
  }

  it("is no half in a pair", () => {
    assert.strictEqual(SessionKey.make("\ud83c\udf89", Schema.String).name, "🎉")
  })

  for (const { driver, makeStore } of [...drivers, { driver: "fromDriver", makeStore: () => countedBackend().layer }]) {
    it.effect(`comes out as it went in of values, messages and forms, with the ${driver}`, () =>
      Effect.gen(function*() {
        const value = { "a\ud800b": "\udc00 and \ud800", "\udc00": ["\ud800"] }
        const browser = yield* served({ store: makeStore() })
        yield* browser.post("/put-json", json(value))
        assert.deepStrictEqual(JSON.parse((yield* browser.get("/")).body), { anything: value })
        yield* browser.post("/form", json(value))
        assert.deepStrictEqual(yield* shown(browser), value)
      }))
  }
})
