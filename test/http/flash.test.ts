/**
 * Flash messages from one request to the next.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option } from "effect"
import { Session, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerRequest, HttpServerResponse, UrlParams } from "effect/http"
import { drivers } from "../support/drivers.ts"
import { watchStore } from "../support/failingStore.ts"
import { Count, count, Name, ok, untouched } from "../support/routes.ts"
import { serve, serveApp } from "../support/server.ts"

const show = HttpRouter.add(
  "GET",
  "/messages",
  Effect.map(Session.flashMessages, (messages) => HttpServerResponse.jsonUnsafe(messages.all()))
)

const flash = HttpRouter.add(
  "POST",
  "/flash/:name",
  Effect.gen(function*() {
    const { name } = yield* HttpRouter.params
    yield* Session.flash(name!, `${name} is done`)
    return HttpServerResponse.redirect("/messages", { status: 303 })
  })
)

const showAndFail = HttpRouter.add(
  "GET",
  "/fails",
  Effect.andThen(Session.flashMessages, Effect.die(new Error("while rendering")))
)

const keep = HttpRouter.add("POST", "/keep", Effect.as(Session.reflash, ok))

const routes = Layer.mergeAll(show, flash, showAndFail, keep, untouched)

describe("a message in a store that takes no changes", () => {
  it.effect("is shown, and shown again, and what the request itself changes is refused", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const seeAndPut = HttpRouter.add(
        "GET",
        "/puts",
        Effect.as(Effect.andThen(Session.flashMessages, Session.put(Name, "Ada")), ok)
      )
      const server = yield* serve(Layer.mergeAll(routes, seeAndPut), { store: store.layer })
      const browser = server.browser()
      yield* browser.post("/flash/order")
      store.fails("update")
      for (const time of ["first", "second"]) {
        const { body, status } = yield* browser.get("/messages")
        assert.deepStrictEqual([time, status, body], [time, 200, `{"order":"order is done"}`])
      }
      assert.strictEqual((yield* browser.get("/puts")).status, 503)
      store.works()
      assert.strictEqual((yield* browser.get("/messages")).body, `{"order":"order is done"}`)
      assert.strictEqual((yield* browser.get("/messages")).body, "{}")
    }))
})

describe.each(drivers)("a message, with the $driver", ({ make }) => {
  const browserOf = Effect.map(serve(routes, { store: watchStore(make).layer }), (server) => server.browser())

  it.effect("is shown once, after the redirect", () =>
    Effect.gen(function*() {
      const browser = yield* browserOf
      assert.strictEqual((yield* browser.post("/flash/saving")).status, 303)
      assert.strictEqual((yield* browser.get("/messages")).body, `{"saving":"saving is done"}`)
      assert.strictEqual((yield* browser.get("/messages")).body, "{}")
    }))

  it.effect("waits for a request that uses the session", () =>
    Effect.gen(function*() {
      const browser = yield* browserOf
      yield* browser.post("/flash/saving")
      yield* browser.get("/untouched")
      yield* browser.get("/missing")
      assert.strictEqual((yield* browser.get("/messages")).body, `{"saving":"saving is done"}`)
    }))

  it.effect("survives a response of the 5xx class", () =>
    Effect.gen(function*() {
      const browser = yield* browserOf
      yield* browser.post("/flash/saving")
      assert.strictEqual((yield* browser.get("/fails")).status, 500)
      assert.strictEqual((yield* browser.get("/messages")).body, `{"saving":"saving is done"}`)
      assert.strictEqual((yield* browser.get("/messages")).body, "{}")
    }))

  it.effect("stays for the page that a person sees where a HEAD comes first, which would be answered as that page", () =>
    Effect.gen(function*() {
      const browser = yield* browserOf
      yield* browser.post("/flash/saving")
      const head = yield* browser.send("HEAD", "/messages")
      const page = yield* browser.get("/messages")
      assert.strictEqual(page.body, `{"saving":"saving is done"}`)
      assert.strictEqual(head.headers["content-length"], page.headers["content-length"])
      assert.strictEqual((yield* browser.get("/messages")).body, "{}")
    }))

  for (
    const headers of [
      { "sec-purpose": "prefetch" },
      { "sec-purpose": "prefetch;prerender" },
      { "sec-purpose": "prefetch;anonymous-client-ip" },
      { purpose: "prefetch" },
      { "x-moz": "prefetch" },
      { "x-purpose": "preview" },
      { "x-sec-purpose": "prefetch" }
    ]
  ) {
    it.effect(`is neither shown nor gone where the page is only fetched in advance: ${JSON.stringify(headers)}`, () =>
      Effect.gen(function*() {
        const browser = yield* browserOf
        yield* browser.post("/flash/saving")
        assert.strictEqual((yield* browser.get("/messages", { headers })).body, "{}")
        yield* browser.post("/keep", { headers })
        assert.strictEqual((yield* browser.get("/messages")).body, `{"saving":"saving is done"}`)
        assert.strictEqual((yield* browser.get("/messages")).body, "{}")
      }))
  }

  it.effect("is not doubled by what a HEAD or a prefetch changes in the session", () =>
    Effect.gen(function*() {
      const browser = (yield* serve(
        Layer.mergeAll(routes, count, HttpRouter.add("GET", "/count-here", Effect.as(Session.increment(Count), ok))),
        { store: watchStore(make).layer }
      )).browser()
      yield* browser.post("/flash/saving")
      yield* browser.send("HEAD", "/count-here")
      yield* browser.post("/count", { headers: { "sec-purpose": "prefetch" } })
      assert.strictEqual((yield* browser.get("/messages")).body, `{"saving":"saving is done"}`)
      assert.strictEqual((yield* browser.get("/messages")).body, "{}")
    }))

  it.effect("is kept for one more request where the application says so", () =>
    Effect.gen(function*() {
      const browser = yield* browserOf
      yield* browser.post("/flash/saving")
      yield* browser.post("/keep")
      assert.strictEqual((yield* browser.get("/messages")).body, `{"saving":"saving is done"}`)
      assert.strictEqual((yield* browser.get("/messages")).body, "{}")
    }))
})

describe("messages of requests at the same time", () => {
  it.effect("are all shown", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serve(routes, { store: store.layer })
      const browser = server.browser()
      yield* browser.post("/flash/first")
      yield* browser.get("/messages")
      const writing = store.holds("update")
      const slow = yield* Effect.forkChild(browser.post("/flash/slow"))
      yield* writing.reached
      yield* browser.post("/flash/fast")
      yield* writing.release
      yield* Fiber.join(slow)
      assert.deepStrictEqual(JSON.parse((yield* browser.get("/messages")).body), {
        slow: "slow is done",
        fast: "fast is done"
      })
      assert.strictEqual((yield* browser.get("/messages")).body, "{}")
    }))

  it.effect("are not lost to a request that shows others at that moment", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const browser = (yield* serve(routes, { store: store.layer })).browser()
      yield* browser.post("/flash/shown")
      const writing = store.holds("update")
      const showing = yield* Effect.forkChild(browser.get("/messages"))
      yield* writing.reached
      // It loads the message that is being shown too, but the request that shows it removes it.
      yield* browser.post("/flash/later")
      yield* writing.release
      assert.strictEqual((yield* Fiber.join(showing)).body, `{"shown":"shown is done"}`)
      assert.strictEqual((yield* browser.get("/messages")).body, `{"later":"later is done"}`)
    }))
})

// -----------------------------------------------------------------------------
// whole forms
// -----------------------------------------------------------------------------

const form = {
  title: "A title, with ümlauts & more",
  "tags": ["a", "b"],
  password: "hunter2",
  Password_Confirmation: "hunter2",
  apiToken: "hunter2",
  "card-number": "4111111111111111"
}

const shown = { title: form.title, tags: form.tags }

const boundary = "a-boundary"

const multipart = [
  ...Object.entries(form).flatMap(([name, values]) => [values].flat().map((value) => [`name="${name}"`, value])),
  ["name=\"upload\"; filename=\"notes.txt\"\r\nContent-Type: text/plain", "the file"]
].map(([disposition, value]) => `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${value}\r\n`)
  .join("") + `--${boundary}--\r\n`

const urlEncoded = new URLSearchParams(
  Object.entries(form).flatMap(([name, values]) => [values].flat().map((value): [string, string] => [name, value]))
).toString()

const bodies = [
  { kind: "urlencoded", type: "application/x-www-form-urlencoded", body: urlEncoded },
  { kind: "urlencoded with a charset", type: "application/x-www-form-urlencoded; charset=UTF-8", body: urlEncoded },
  { kind: "JSON", type: "application/json", body: JSON.stringify(form) },
  { kind: "multipart", type: `multipart/form-data; boundary=${boundary}`, body: multipart }
]

/** What the handler itself finds in the body. */
const titleInBody = Effect.gen(function*() {
  const request = yield* HttpServerRequest.HttpServerRequest
  const type = request.headers["content-type"] ?? ""
  if (type.startsWith("application/json")) return (yield* request.json) as { readonly title?: string }
  if (type.startsWith("multipart")) return (yield* request.multipart) as { readonly title?: string }
  return { title: Option.getOrElse(UrlParams.getFirst(yield* request.urlParamsBody, "title"), () => "none") }
}).pipe(Effect.map(({ title }) => HttpServerResponse.text(title ?? "none")))

const formRoutes = Layer.mergeAll(
  show,
  HttpRouter.add("POST", "/before", Effect.andThen(Session.flashAll(), titleInBody)),
  HttpRouter.add("POST", "/after", Effect.tap(titleInBody, () => Session.flashAll())),
  HttpRouter.add("POST", "/only", Effect.as(Session.flashOnly(["title", "password"]), ok)),
  HttpRouter.add("POST", "/except", Effect.as(Session.flashExcept(["title"]), ok)),
  HttpRouter.add("POST", "/values", Effect.as(Session.flashAll({ title: "Given", token: "hunter2" }), ok))
)

const prefixed = HttpRouter.use((router) =>
  router.prefixed("/forms").addAll([
    HttpRouter.route("POST", "/before", Effect.andThen(Session.flashAll(), titleInBody)),
    HttpRouter.route("POST", "/after", Effect.tap(titleInBody, () => Session.flashAll()))
  ])
)

describe("Session.flashAll", () => {
  for (const { body, kind, type } of bodies) {
    for (const path of ["/before", "/after"]) {
      const sent = { body, headers: { "content-type": type } }

      it.effect(`flashes a ${kind} body without what looks secret, ${path.slice(1)} the handler reads it itself`, () =>
        Effect.gen(function*() {
          const browser = (yield* serve(formRoutes)).browser()
          const answer = yield* browser.post(path, sent)
          assert.strictEqual(answer.status, 200)
          assert.strictEqual(answer.body, form.title)
          assert.deepStrictEqual(JSON.parse((yield* browser.get("/messages")).body), shown)
        }))

      it.effect(`does so for a ${kind} body in a route with a prefix, under the global middleware: ${path.slice(1)}`, () =>
        Effect.gen(function*() {
          const browser = (yield* serveApp(Layer.mergeAll(SessionMiddleware.layerGlobal, show, prefixed))).browser()
          const answer = yield* browser.post(`/forms${path}`, sent)
          assert.strictEqual(answer.status, 200)
          assert.strictEqual(answer.body, form.title)
          assert.deepStrictEqual(JSON.parse((yield* browser.get("/messages")).body), shown)
        }))
    }
  }

  it.effect("flashes nothing of a body that is no form, and leaves it to the handler", () =>
    Effect.gen(function*() {
      const text = HttpServerRequest.HttpServerRequest.use(({ text }) => Effect.map(text, HttpServerResponse.text))
      const server = yield* serve(
        Layer.mergeAll(show, HttpRouter.add("POST", "/text", Effect.andThen(Session.flashAll(), text)))
      )
      const browser = server.browser()
      for (
        const [type, body] of [
          ["application/json", "{ \"title\": "],
          ["application/json", "[1, 2]"],
          ["text/plain", "title=x"],
          ["application/x-www-form-urlencoded", ""]
        ] as const
      ) {
        const answer = yield* browser.post("/text", { body, headers: { "content-type": type } })
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(answer.body, body)
        assert.strictEqual((yield* browser.get("/messages")).body, "{}")
      }
    }))

  it.effect("flashes values that are given instead", () =>
    Effect.gen(function*() {
      const browser = (yield* serve(formRoutes)).browser()
      yield* browser.post("/values")
      assert.strictEqual((yield* browser.get("/messages")).body, `{"title":"Given"}`)
    }))

  it.effect("leaves out other names where flash.except says so", () =>
    Effect.gen(function*() {
      const browser = (yield* serve(formRoutes, { config: { flash: { except: ["title"] } } })).browser()
      yield* browser.post("/values")
      assert.strictEqual((yield* browser.get("/messages")).body, `{"token":"hunter2"}`)
    }))

  it.effect("has flashOnly and flashExcept for some of the fields", () =>
    Effect.gen(function*() {
      const browser = (yield* serve(formRoutes)).browser()
      const sent = { body: JSON.stringify(form), headers: { "content-type": "application/json" } }
      yield* browser.post("/only", sent)
      assert.deepStrictEqual(JSON.parse((yield* browser.get("/messages")).body), {
        title: form.title,
        password: "hunter2"
      })
      yield* browser.post("/except", sent)
      assert.deepStrictEqual(JSON.parse((yield* browser.get("/messages")).body), { tags: form.tags })
    }))
})

describe("a message of a key", () => {
  it.effect("comes out as it went in, and is not a value of the session", () =>
    Effect.gen(function*() {
      const browser = (yield* serve(Layer.mergeAll(
        HttpRouter.add("POST", "/flash", Effect.as(Session.flash(Name, "Ada"), ok)),
        HttpRouter.add(
          "GET",
          "/flashed",
          Effect.map(Effect.all([Session.flashed(Name), Name]), ([flashed, value]) =>
            HttpServerResponse.jsonUnsafe([Option.getOrNull(flashed), Option.getOrNull(value)]))
        )
      ))).browser()
      yield* browser.post("/flash")
      assert.strictEqual((yield* browser.get("/flashed")).body, `["Ada",null]`)
      assert.strictEqual((yield* browser.get("/flashed")).body, "[null,null]")
    }))
})
