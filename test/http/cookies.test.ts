/**
 * The cookie in the response: how many, how large, in how many pieces.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { CookieLayer, Session, SessionKey } from "effect-session"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { drivers } from "../support/drivers.ts"
import { basicRoutes, ok } from "../support/routes.ts"
import { type Answer, cookieNames, serve } from "../support/server.ts"

const Text = SessionKey.make("text", Schema.String)

// -----------------------------------------------------------------------------
// one cookie
// -----------------------------------------------------------------------------

const names = ["a", "b"] as const

const Step = Schema.Union([
  Schema.Struct({ do: Schema.Literal("put"), key: Schema.Literals(names), value: Schema.String }),
  Schema.Struct({ do: Schema.Literal("forget"), key: Schema.Literals(names) }),
  Schema.Struct({ do: Schema.Literals(["clear", "regenerate", "destroy", "commit"]) })
])

type Step = typeof Step.Type

const keys = { a: SessionKey.make("a", Schema.String), b: SessionKey.make("b", Schema.String) }

const { clear, commit, destroy, regenerate } = Session
const operations = { clear, commit, destroy, regenerate }

const carryOut = (step: Step) => {
  switch (step.do) {
    case "put":
      return Session.put(keys[step.key], step.value)
    case "forget":
      return Session.forget(keys[step.key])
    default:
      return operations[step.do]
  }
}

/** What is in the session after the steps. */
const expected = (steps: ReadonlyArray<Step>, before: Record<string, string>): Record<string, string> =>
  steps.reduce<Record<string, string>>((values, step) => {
    switch (step.do) {
      case "put":
        return { ...values, [step.key]: step.value }
      case "forget":
        return Object.fromEntries(Object.entries(values).filter(([key]) => key !== step.key))
      case "clear":
      case "destroy":
        return {}
      default:
        return values
    }
  }, before)

const script = HttpRouter.add(
  "POST",
  "/script",
  Effect.gen(function*() {
    const steps = yield* HttpServerRequest.schemaBodyJson(Schema.Array(Step))
    for (const step of steps) yield* carryOut(step)
    return ok
  })
)

describe.each(drivers)("one response, with the $driver", ({ makeStore }) => {
  const store = makeStore()

  it.effect.prop(
    "sets the cookie once at most, whatever the request does, and the next request finds what it has done",
    [Schema.Boolean, Schema.Array(Step)],
    ([isKnown, steps]) =>
      Effect.scoped(
        Effect.gen(function*() {
          const server = yield* serve(Layer.mergeAll(basicRoutes, script), { store })
          const browser = server.browser()
          const before = isKnown ? { a: "here already" } : {}
          const run = (steps: ReadonlyArray<Step>): Effect.Effect<Answer, Error> =>
            browser.post("/script", {
              body: JSON.stringify(steps),
              headers: { "content-type": "application/json" }
            })
          if (isKnown) yield* run([{ do: "put", key: "a", value: "here already" }])
          const old = browser.cookies()
          const answer = yield* run(steps)
          assert.strictEqual(answer.status, 200)
          assert.isAtMost(answer.setCookies.length, 1)
          const after = expected(steps, before)
          assert.deepStrictEqual(JSON.parse((yield* browser.get("/")).body), after)
          if (isKnown && steps.some((step) => step.do === "regenerate" || step.do === "destroy")) {
            assert.strictEqual((yield* server.get("/", { cookie: old })).body, "{}", "the old cookie is dead")
          }
        })
      )
  )

  it.effect("puts, regenerates and destroys: one cookie, the cleared one", () =>
    Effect.gen(function*() {
      const server = yield* serve(
        Layer.mergeAll(
          basicRoutes,
          HttpRouter.add(
            "POST",
            "/all",
            Effect.as(
              Effect.all([Session.put(Text, "x"), Session.regenerate, Session.commit, Session.destroy]),
              ok
            )
          )
        ),
        { store }
      )
      const browser = server.browser()
      yield* browser.post("/count")
      const answer = yield* browser.post("/all")
      assert.deepStrictEqual(answer.setCookies, [
        "session=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax"
      ])
      assert.strictEqual(browser.cookies(), "")
    }))

  it.effect("keeps the headers that the application has given the response", () =>
    Effect.gen(function*() {
      const table = HttpServerResponse.text("a,b").pipe(HttpServerResponse.setHeader("content-type", "text/csv"))
      const server = yield* serve(HttpRouter.add("GET", "/table", Effect.as(Session.put(Text, "x"), table)), { store })
      const answer = yield* server.get("/table")
      assert.strictEqual(answer.headers["content-type"], "text/csv")
      assert.strictEqual(answer.setCookies.length, 1)
    }))

  const caching: ReadonlyArray<Record<string, string>> = [{}, { "cache-control": "no-store" }, { vary: "Cookie" }, {
    vary: "Accept",
    "cache-control": "public",
    "cdn-cache-control": "max-age=60"
  }]
  for (const said of caching) {
    it.effect(`leaves the response of the application as it is, as it may be one for all: ${JSON.stringify(said)}`, () =>
      Effect.gen(function*() {
        const always = HttpServerResponse.text("always", { headers: said }).pipe(
          HttpServerResponse.setCookieUnsafe("theme", "dark")
        )
        const { cookies, headers } = always
        const before = { ...cookies.cookies, ...headers }
        const server = yield* serve(
          Layer.mergeAll(
            HttpRouter.add("GET", "/always", Effect.as(Session.has(Text), always)),
            HttpRouter.add("POST", "/always", Effect.as(Session.put(Text, "x"), always))
          ),
          { store }
        )
        const answers = [yield* server.post("/always"), yield* server.get("/always"), yield* server.post("/always")]
        assert.deepStrictEqual(answers.map(cookieNames), [["theme", "session"], ["theme"], ["theme", "session"]])
        for (const { headers } of answers) assert.include(headers.vary, "Cookie")
        assert.strictEqual(always.cookies, cookies)
        assert.strictEqual(always.headers, headers)
        assert.deepStrictEqual({ ...cookies.cookies, ...headers }, before)
      }))
  }

  it.effect("keeps the application's own cookies, and takes the place of one with the session's name", () =>
    Effect.gen(function*() {
      const server = yield* serve(
        HttpRouter.add(
          "POST",
          "/own",
          Effect.as(
            Session.put(Text, "x"),
            ok.pipe(
              HttpServerResponse.setCookieUnsafe("theme", "dark"),
              HttpServerResponse.setCookieUnsafe("session", "mine")
            )
          )
        ),
        { store }
      )
      const answer = yield* server.post("/own")
      assert.deepStrictEqual([...cookieNames(answer)].toSorted(), ["session", "theme"])
      assert.notInclude(answer.setCookies.join(), "session=mine")
    }))
})

// -----------------------------------------------------------------------------
// its size
// -----------------------------------------------------------------------------

const put = HttpRouter.add(
  "POST",
  "/put",
  Effect.gen(function*() {
    yield* Session.put(Text, yield* HttpServerRequest.HttpServerRequest.use(({ text }) => text))
    return ok
  })
)

const putAndCommit = HttpRouter.add(
  "POST",
  "/commit",
  Effect.gen(function*() {
    yield* Session.put(Text, yield* HttpServerRequest.HttpServerRequest.use(({ text }) => text))
    yield* Session.commit
    return ok
  }).pipe(
    Effect.catchTag(
      "SessionTooLargeError",
      ({ driver, limit, size }) =>
        Effect.as(Session.forget(Text), HttpServerResponse.jsonUnsafe({ driver, limit, size }))
    )
  )
)

const read = HttpRouter.add("GET", "/text", Effect.map(Session.getOrElse(Text, () => ""), HttpServerResponse.text))

const routes = Layer.mergeAll(basicRoutes, put, putAndCommit, read)

/** The bytes of the name and the value of each cookie. */
const sizes = ({ setCookies }: Answer): ReadonlyArray<number> =>
  setCookies.map((setCookie) => setCookie.split(";", 1)[0]!.length - 1)

const serveCookies = (name: string, chunks = 1) =>
  serve(routes, {
    store: CookieLayer.layer(),
    config: { cookie: { name, chunks } },
    // Node.js accepts 16 KiB of headers by default, and four full cookies are more.
    node: { maxHeaderSize: 1 << 16 }
  })

/** The number of characters that, in the cookie of this name, take exactly so many bytes with the name; if there is one. */
const charactersFor = (name: string, bytes: number) =>
  Effect.gen(function*() {
    const server = yield* serveCookies(name)
    for (let length = 2_900; length < 3_100; length++) {
      const answer = yield* server.post("/commit", { body: "x".repeat(length) })
      const size = sizes(answer)[0] ?? JSON.parse(answer.body).size
      if (size === bytes) return length
      if (size > bytes) return undefined
    }
    return undefined
  })

// A sealed value has no length that is one more than a multiple of four, so not every name reaches every size.
const withSize = (bytes: number) =>
  Effect.gen(function*() {
    for (const name of ["s", "se", "ses", "sess"]) {
      const characters = yield* charactersFor(name, bytes)
      if (characters !== undefined) return { name, body: "x".repeat(characters) }
    }
    return assert.fail(`no name reaches ${bytes} bytes`)
  })

describe("the CookieLayer's cookie", () => {
  for (const bytes of [4_095, 4_096]) {
    it.effect(`of ${bytes} bytes, with its name, is sent and comes back`, () =>
      Effect.gen(function*() {
        const { body, name } = yield* withSize(bytes)
        const browser = (yield* serveCookies(name)).browser()
        const answer = yield* browser.post("/put", { body })
        assert.deepStrictEqual(sizes(answer), [bytes])
        assert.strictEqual((yield* browser.get("/text")).body, body)
      }))
  }

  it.effect("of 4,097 bytes is a SessionTooLargeError of Session.commit, and the request can go on", () =>
    Effect.gen(function*() {
      const { body, name } = yield* withSize(4_097)
      const browser = (yield* serveCookies(name)).browser()
      const answer = yield* browser.post("/commit", { body })
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(JSON.parse(answer.body), { driver: "cookie", limit: 4_096, size: 4_097 })
      assert.deepStrictEqual(answer.setCookies, [])
    }))

  it.effect("of 4,097 bytes at the end of the request is a response 500 without a cookie, and the old one stays", () =>
    Effect.gen(function*() {
      const { body, name } = yield* withSize(4_097)
      const browser = (yield* serveCookies(name)).browser()
      yield* browser.post("/put", { body: "before" })
      const answer = yield* browser.post("/put", { body })
      assert.strictEqual(answer.status, 500)
      assert.strictEqual(answer.body, "Internal Server Error")
      assert.deepStrictEqual(answer.setCookies, [])
      assert.strictEqual((yield* browser.get("/text")).body, "before")
    }))

  it.effect("counts bytes, not characters", () =>
    Effect.gen(function*() {
      const browser = (yield* serveCookies("session")).browser()
      const fits = "漢字é🎉\n\u0000\\\"".repeat(120)
      assert.strictEqual((yield* browser.post("/put", { body: fits })).status, 200)
      assert.strictEqual((yield* browser.get("/text")).body, fits)
      const tooLarge = yield* browser.post("/commit", { body: "漢".repeat(1_100) })
      assert.isAbove(JSON.parse(tooLarge.body).size, 4_096)
      assert.strictEqual((yield* browser.post("/put", { body: "x".repeat(1_100) })).status, 200)
    }))
})

describe("the CookieLayer's cookies, with chunks: 4", () => {
  it.effect("come back, one to four of them, each within 4,096 bytes", () =>
    Effect.gen(function*() {
      const browser = (yield* serveCookies("session", 4)).browser()
      for (const [count, length] of [[1, 10], [2, 4_000], [3, 7_000], [4, 10_000], [4, 12_100], [2, 3_100]] as const) {
        const body = "0123456789".repeat(length / 10)
        const answer = yield* browser.post("/put", { body })
        const written = sizes(answer).filter((_, index) => !/=;/.test(answer.setCookies[index]!))
        assert.strictEqual(written.length, count)
        assert.isTrue(written.every((size) => size <= 4_096))
        assert.strictEqual((yield* browser.get("/text")).body, body)
      }
    }))

  it.effect("that are not needed any more are cleared", () =>
    Effect.gen(function*() {
      const browser = (yield* serveCookies("session", 4)).browser()
      const namesInJar = () => browser.cookies().split("; ").map((pair) => pair.split("=", 1)[0])
      yield* browser.post("/put", { body: "x".repeat(10_000) })
      assert.deepStrictEqual(namesInJar(), ["session", "session.1", "session.2", "session.3"])
      const shrunk = yield* browser.post("/put", { body: "x".repeat(4_000) })
      assert.deepStrictEqual(cookieNames(shrunk), ["session", "session.1", "session.2", "session.3"])
      assert.deepStrictEqual(namesInJar(), ["session", "session.1"])
      assert.strictEqual((yield* browser.get("/text")).body, "x".repeat(4_000))
      yield* browser.post("/logout")
      assert.strictEqual(browser.cookies(), "")
    }))

  it.effect("are no session when one of them is missing or comes from an older one", () =>
    Effect.gen(function*() {
      const server = yield* serveCookies("session", 4)
      const browser = server.browser()
      yield* browser.post("/put", { body: "x".repeat(7_000) })
      const [first, second, third] = browser.cookies().split("; ")
      yield* browser.post("/put", { body: "y".repeat(7_000) })
      const [, newSecond] = browser.cookies().split("; ")
      for (const cookie of [first, `${first}; ${second}`, `${first}; ${third}`, `${first}; ${newSecond}; ${third}`]) {
        assert.strictEqual((yield* server.get("/text", { cookie })).body, "")
      }
      assert.strictEqual((yield* server.get("/text", { cookie: `${third}; ${first}; ${second}` })).body.length, 7_000)
    }))

  it.effect("hold no more than four hold", () =>
    Effect.gen(function*() {
      const browser = (yield* serveCookies("session", 4)).browser()
      const answer = yield* browser.post("/commit", { body: "x".repeat(12_500) })
      const { limit, size } = JSON.parse(answer.body)
      assert.strictEqual(limit, 4 * 4_096)
      assert.isAbove(size, limit)
      assert.deepStrictEqual(answer.setCookies, [])
    }))
})
