/**
 * Whatever a client sends in its Cookie header: at worst, it has no session.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema } from "effect"
import { CookieLayer, Session, type SessionConfig, SessionKey } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { drivers } from "../support/drivers.ts"
import { countedBackend } from "../support/failingStore.ts"
import { basicRoutes, count, ok, show } from "../support/routes.ts"
import { type Answer, cookieOf, serve, serveWeb, type StoreLayer } from "../support/server.ts"

const stores: ReadonlyArray<{
  readonly driver: string
  readonly make: () => { readonly layer: StoreLayer; readonly calls: ReadonlyArray<string> }
  readonly config: SessionConfig.Options
}> = [
  { driver: "signed ids", make: countedBackend, config: { id: { protection: "signed" } } },
  { driver: "encrypted ids", make: countedBackend, config: { id: { protection: "encrypted" } } },
  { driver: "plain ids", make: countedBackend, config: { id: { protection: "none" } } },
  { driver: "CookieLayer", make: () => ({ layer: CookieLayer.layer(), calls: [] }), config: {} },
  {
    driver: "CookieLayer in chunks",
    make: () => ({ layer: CookieLayer.layer(), calls: [] }),
    config: { cookie: { chunks: 4 } }
  }
]

const assertAnonymous = (answer: Answer) => {
  assert.strictEqual(answer.status, 200)
  assert.strictEqual(answer.body, "{}")
  assert.deepStrictEqual(answer.setCookies, [])
}

// Whatever the driver, these have the shape of no token.
const malformed: ReadonlyArray<readonly [name: string, header: string]> = [
  ["an empty value", "session="],
  ["no value", "session"],
  ["only separators", ";;; ; =; session"],
  ["spaces", "session =   "],
  ["a short value", "session=x"],
  ["an unfinished percent sequence", "session=%"],
  ["a percent sequence that is none", "session=%zz%u0041"],
  ["percent sequences that are no UTF-8", "session=%E0%A4%A%FF%FE"],
  ["bytes that are no UTF-8", "session=\u00ff\u00fe\u00c0\u0080"],
  ["a path", "session=../../../../etc/passwd"],
  ["half a value in quotation marks", `session="${"A".repeat(43)}`],
  ["a value in more than one pair of them", `session=""${"A".repeat(43)}""`],
  ["nothing in quotation marks", "session=\"\""],
  ["JSON", "session={\"id\":\"x\",\"__proto__\":{}}"],
  ["a wildcard", "session=*"],
  ["line breaks of another protocol", "session=x\tFLUSHALL"],
  ["8 kB", `session=${"A".repeat(8_000)}`],
  ["8 kB of dots", `session=${".".repeat(8_000)}`],
  ["8 kB of percent signs", `session=${"%".repeat(8_000)}`],
  ["the name of a prototype", "__proto__=x; session=; constructor=y"],
  ["a thousand empty cookies", "session=;".repeat(1_000)],
  ["a name that only ends like it", `xsession=${"A".repeat(43)}`],
  ["a name that only begins like it", `session2=${"A".repeat(43)}`],
  ["a value that looks like a cookie", `other=session=${"A".repeat(43)}`]
]

describe.each(stores)("a cookie with $driver", ({ config, make }) => {
  const served = Effect.gen(function*() {
    const { calls, layer } = make()
    const server = yield* serve(basicRoutes, { store: layer, config, node: { maxHeaderSize: 1 << 21 } })
    return { calls, server }
  })

  it.effect.each(malformed.map(([name, header]) => ({ name, header })))(
    "that is $name is no session, and no question to the store",
    ({ header }) =>
      Effect.gen(function*() {
        const { calls, server } = yield* served
        assertAnonymous(yield* server.get("/", { cookie: header }))
        assert.deepStrictEqual(calls, [])
      })
  )

  it.effect("of 1 MB is no session, and no question to the store", () =>
    Effect.gen(function*() {
      const { calls, server } = yield* served
      for (const unit of ["A", ".", "A=;", "session=A;", " session"]) {
        const cookie = `session=${unit.repeat(1_000_000 / unit.length)}`
        assertAnonymous(yield* server.get("/", { cookie }))
      }
      assert.deepStrictEqual(calls, [])
    }))

  it.effect("of 1 MB is no session for a web handler either", () =>
    Effect.gen(function*() {
      const { calls, layer } = make()
      const server = yield* serveWeb(show, { store: layer, config })
      for (const unit of ["A", "session=A;"]) {
        assertAnonymous(
          yield* server.send("GET", "/", { cookie: `session=${unit.repeat(1_000_000 / unit.length)}` })
        )
      }
      assert.deepStrictEqual(calls, [])
    }))

  it.effect.prop(
    "of any bytes is no session, and no question to the store",
    [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0x20, maximum: 0xff })))],
    ([bytes]) =>
      Effect.scoped(
        Effect.gen(function*() {
          const { calls, server } = yield* served
          const value = String.fromCharCode(...bytes.filter((byte) => byte !== 0x7f))
          assertAnonymous(yield* server.get("/", { cookie: `session=${value}` }))
          assertAnonymous(yield* server.get("/", { cookie: value }))
          assert.deepStrictEqual(calls, [])
        })
      ),
    { arbitrary: { runs: 30 } }
  )

  it.effect("that was cut off, lengthened or altered in any character is no session", () =>
    Effect.gen(function*() {
      const { server } = yield* served
      const cookie = cookieOf(yield* server.post("/count"))
      const [name, value] = cookie.split("=") as [string, string]
      const altered = Array.from(
        { length: value.length },
        (_, index) => value.slice(0, index) + (value[index] === "A" ? "B" : "A") + value.slice(index + 1)
      )
      // Another spelling of the same bytes: the last character has bits that do not count.
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
      const last = alphabet.indexOf(value.at(-1)!)
      const spellings = [1, 2, 3].map((bits) => value.slice(0, -1) + alphabet[last ^ bits])
      const others = [value.slice(1), value.slice(0, -1), value.slice(0, value.length / 2), value + "A", value + "."]
      for (const other of [...altered, ...spellings, ...others]) {
        assertAnonymous(yield* server.get("/", { cookie: `${name}=${other}` }))
      }
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }))

  it.effect("that another application has made is no session", () =>
    Effect.gen(function*() {
      const { server } = yield* served
      const foreign = yield* serve(basicRoutes, {
        store: make().layer,
        config: { ...config, secret: "another secret, of another application" }
      })
      assertAnonymous(yield* server.get("/", { cookie: cookieOf(yield* foreign.post("/count")) }))
    }))

  it.effect("that comes twice with different values is no session, whatever the order", () =>
    Effect.gen(function*() {
      const { server } = yield* served
      const mine = cookieOf(yield* server.post("/count"))
      const other = cookieOf(yield* server.post("/count"))
      for (const cookie of [`${mine}; ${other}`, `${other}; ${mine}`, `${mine}; session=x`, `session=; ${mine}`]) {
        assertAnonymous(yield* server.get("/", { cookie }))
      }
      assert.strictEqual((yield* server.get("/", { cookie: `${mine}; ${mine}` })).body, `{"count":1}`)
    }))

  it.effect("is found among any others", () =>
    Effect.gen(function*() {
      const { server } = yield* served
      const mine = cookieOf(yield* server.post("/count"))
      for (
        const cookie of [
          `__proto__=x; ${mine}; constructor=y`,
          `a=session=b;${mine};session.x=c`,
          ` ; =; xsession=a; ${mine} ; %=%`,
          `other="a, b"; ${mine}`
        ]
      ) {
        assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`, cookie)
      }
    }))
})

describe("the name of a cookie", () => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    it.effect(`may be ${name}`, () =>
      Effect.gen(function*() {
        const server = yield* serve(Layer.mergeAll(show, count), { config: { cookie: { name } } })
        const browser = server.browser()
        yield* browser.post("/count")
        assert.strictEqual((yield* browser.get("/")).body, `{"count":1}`)
        assertAnonymous(yield* server.get("/", { cookie: `${name}=x` }))
        assertAnonymous(yield* server.get("/"))
      }))
  }
})

describe.each(drivers)("a stored value that no longer fits its key, with the $driver", ({ makeStore }) => {
  const store = makeStore()

  const Old = SessionKey.make("plan", Schema.String)
  const Plan = SessionKey.make("plan", Schema.Struct({ seats: Schema.Number }))
  const Tolerant = Plan.pipe(SessionKey.withDefault(() => ({ seats: 1 }), { onInvalid: "default" }))
  const Strict = Plan.pipe(SessionKey.withDefault(() => ({ seats: 1 })))

  const answering = (path: "/plan" | "/strict" | "/tolerant", key: SessionKey.Any) =>
    HttpRouter.add("GET", path, Effect.map(Session.get(key), (value) => HttpServerResponse.jsonUnsafe(value)))

  const routes = Layer.mergeAll(
    basicRoutes,
    HttpRouter.add("POST", "/old", Effect.as(Session.put(Old, "a value that nobody shall see"), ok)),
    answering("/plan", Plan),
    answering("/strict", Strict),
    answering("/tolerant", Tolerant),
    HttpRouter.add(
      "GET",
      "/handled",
      Session.get(Plan).pipe(
        Effect.map(Option.isSome),
        Effect.catchTag("SessionValueError", (error) => Effect.succeed({ ...error, message: error.message })),
        Effect.map((error) => HttpServerResponse.jsonUnsafe(error))
      )
    ),
    HttpRouter.add("POST", "/repair", Effect.as(Session.put(Plan, { seats: 5 }), ok))
  )

  it.effect("is a response 500 that does not show it, and repairs itself with the next put", () =>
    Effect.gen(function*() {
      const browser = (yield* serve(routes, { store })).browser()
      yield* browser.post("/old")
      for (const path of ["/plan", "/strict"]) {
        const answer = yield* browser.get(path)
        assert.strictEqual(answer.status, 500)
        assert.strictEqual(answer.body, "Internal Server Error")
      }
      yield* browser.post("/repair")
      assert.strictEqual((yield* browser.get("/strict")).body, `{"seats":5}`)
    }))

  it.effect("is a SessionValueError with key and path, and without the value", () =>
    Effect.gen(function*() {
      const browser = (yield* serve(routes, { store })).browser()
      yield* browser.post("/old")
      const answer = yield* browser.get("/handled")
      const { _tag, key, operation, path } = JSON.parse(answer.body)
      assert.deepStrictEqual({ _tag, key, operation, path }, {
        _tag: "SessionValueError",
        key: "plan",
        operation: "decode",
        path: []
      })
      assert.notInclude(answer.body, "nobody shall see")
    }))

  it.effect("is the key's default where the key says so", () =>
    Effect.gen(function*() {
      const browser = (yield* serve(routes, { store })).browser()
      yield* browser.post("/old")
      assert.strictEqual((yield* browser.get("/tolerant")).body, `{"seats":1}`)
    }))
})
