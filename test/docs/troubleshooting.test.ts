/**
 * The page quotes what a reader sees. Each mistake is made here, and what comes of it is what the page says.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema } from "effect"
import {
  CookieLayer,
  FileLayer,
  RedisLayer,
  Session,
  SessionConfig,
  SessionKey,
  SessionMiddleware
} from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { readFileSync } from "node:fs"
import * as Examples from "../../docs/.vitepress/code/examples.ts"
import { errorIn, fromCode, fromEnvironment, secret } from "../support/config.ts"
import { observe } from "../support/observe.ts"
import { basicRoutes, Count, ok, post } from "../support/routes.ts"
import { cookieOf, type Options, type Routes, serve, type Server, type StoreLayer } from "../support/server.ts"

const page = readFileSync(new URL("../../docs/guide/troubleshooting.md", import.meta.url), "utf8")

/** What the page quotes, by the heading that it stands under. */
const quotes = new Map(
  page.split(/^#{2,3} /m).slice(1).flatMap((section) => {
    const quoted = [...section.matchAll(/^```text\n(.*?)\n```$/gms)].flatMap(([, text]) => text!.split("\n"))
    return quoted.length === 0 ? [] : [[section.slice(0, section.indexOf("\n")), quoted]]
  })
)

/** The page has `…` for what differs. */
const patternOf = (quote: string): RegExp =>
  new RegExp(quote.split("…").map((piece) => piece.replace(/[$()*+.?[\\\]^{|}]/g, "\\$&")).join(".*?"))

/** The headings whose quotes have been compared. */
const compared = new Set<string>()

const assertSays = (said: string, heading: string) => {
  compared.add(heading)
  for (const quote of quotes.get(heading)!) assert.match(said, patternOf(quote))
}

const messageOf = <R>(settings: Effect.Effect<unknown, unknown, R>) =>
  Effect.map(errorIn(settings), ({ message }) => message)

// -----------------------------------------------------------------------------
// the compiler
// -----------------------------------------------------------------------------

const program = `
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schema, Stream } from "effect"
import { CookieLayer, Session, SessionConfig, SessionKey, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"

const Name = SessionKey.make("name", Schema.String)
const Prices = SessionKey.make("prices", Schema.Record(Schema.String, Schema.Number))
const Visits = SessionKey.make("visits", Schema.Int).pipe(SessionKey.withDefault(() => 0))

const handler = Effect.as(Session.increment(Visits), HttpServerResponse.text("ok"))
const Bare = HttpRouter.add("GET", "/", handler)
const Routes = Bare.pipe(Layer.provide(SessionMiddleware.layer))
const Server = NodeHttpServer.layer(createServer, { port: 3000 })
const Store = CookieLayer.layer()
const Config = SessionConfig.layerConfig()
`

const launching = (routes: string, ...layers: ReadonlyArray<string>) =>
  `${program}HttpRouter.serve(${routes}).pipe(${
    layers.map((layer) => `Layer.provide(${layer}), `).join("")
  }Layer.launch, NodeRuntime.runMain)`

const noSession = "Type 'Session' is not assignable to type 'never'"
const noStore = "Type 'SessionStore' is not assignable to type 'never'"
const noConfig = "Type 'SessionConfig' is not assignable to type 'never'"

const mistyped: ReadonlyArray<readonly [mistake: string, heading: string, code: string]> = [
  ["no middleware", noSession, launching("Bare", "Server", "Store", "Config")],
  [
    "a middleware beside the routes",
    noSession,
    launching("Layer.mergeAll(SessionMiddleware.layer, Bare)", "Server", "Store", "Config")
  ],
  [
    "a stream without its session",
    noSession,
    `${program}HttpServerResponse.stream(Stream.encodeText(Stream.tap(Stream.make("a"), () => Session.increment(Visits))))`
  ],
  ["no store", noStore, launching("Routes", "Server", "Config")],
  ["no configuration", noConfig, launching("Routes", "Server", "Store")],
  ["the configuration before the store", noConfig, launching("Routes", "Server", "Config", "Store")],
  [
    "a key without yield*",
    "`Operator '+' cannot be applied to types 'SessionKey<…>' and 'number'`",
    `${program}export const total = Visits + 1`
  ],
  [
    "a key without a default",
    "`Property '…' does not exist on type 'Option<string>'`",
    `${program}export const loud = Effect.map(Name, (name) => name.toUpperCase())`
  ],
  [
    "a duration without a unit",
    "Type 'number' is not assignable to type 'DurationInput'",
    `${program}SessionConfig.layer({ age: 3600 })`
  ],
  [
    "a typo in a setting",
    "Object literal may only specify known properties",
    `${program}SessionConfig.layer({ touchevery: "5 minutes" })`
  ],
  [
    "a Map for a Record",
    "`Argument of type 'Map<string, number>' is not assignable`",
    `${program}Session.put(Prices, new Map([["tea", 4]]))`
  ]
]

describe("the compiler", () => {
  const examples = Examples.open([
    ...mistyped.map(([, , code]) => code),
    launching("Routes", "Server", "Store", "Config")
  ])

  it("has nothing to say of a program without mistakes", () => {
    assert.strictEqual(examples.problemsOf(launching("Routes", "Server", "Store", "Config")), "")
  }, 60_000)

  it.each(mistyped)("of %s", (_, heading, code) => {
    assertSays(examples.problemsOf(code), heading)
  }, 60_000)
})

// -----------------------------------------------------------------------------
// the installation
// -----------------------------------------------------------------------------

describe("the installation", () => {
  it("of another Effect is refused for the peer that the package has", () => {
    const { name, peerDependencies, version } = JSON.parse(
      readFileSync(new URL("../../package.json", import.meta.url), "utf8")
    )
    assertSays(
      `npm error peer effect@"${peerDependencies.effect}" from ${name}@${version}`,
      "ERESOLVE unable to resolve dependency tree"
    )
  })
})

// -----------------------------------------------------------------------------
// the server does not start
// -----------------------------------------------------------------------------

/** What the server says that has this store. */
const starting = (store: StoreLayer, config: SessionConfig.Options = { secret }) =>
  messageOf(Effect.scoped(Layer.build(Layer.provide(store, SessionConfig.layer(config)))))

/** As a program that nobody has compiled: the driver is missing. */
const forgetful = Layer.effectDiscard(SessionMiddleware.make).pipe(
  Layer.provide(SessionConfig.layer({ secret }))
) as Layer.Layer<never>

describe("a server that does not start", () => {
  const cases: ReadonlyArray<readonly [heading: string, said: Effect.Effect<string>]> = [
    ["secret (SESSION_SECRET): found nothing", starting(CookieLayer.layer(), {})],
    ["secret (SESSION_SECRET): found a text of 5 characters", messageOf(fromCode({ secret: "short" }))],
    ["A bare number has no unit", messageOf(fromEnvironment({ SESSION_AGE: "3600" }))],
    ["There is no such setting", messageOf(fromEnvironment({ SESSION_SERCET: secret }))],
    ["Redis does not answer there", starting(RedisLayer.layer({ url: "redis://127.0.0.1:1" }))],
    [
      "There is no such folder",
      starting(Layer.provide(FileLayer.layer({ location: "/nowhere/sessions" }), NodeServices.layer))
    ],
    ["Service not found", Effect.map(Effect.exit(Effect.scoped(Layer.build(forgetful))), String)]
  ]

  it.live.each(cases)("%s", ([heading, said]) => Effect.map(said, (said) => assertSays(said, heading)))

  // Its message itself is the concern of test/drivers/redis/startup.test.ts.
  it("The Redis driver needs ioredis", () => {
    const source = readFileSync(new URL("../../src/internal/drivers/redis/ioredis.ts", import.meta.url), "utf8")
    const [write] = /The Redis driver needs [^"]*/.exec(source)!
    assertSays(`store.type (SESSION_DRIVER): found "redis". ${write}`, "The Redis driver needs ioredis")
  })
})

// -----------------------------------------------------------------------------
// the log
// -----------------------------------------------------------------------------

/** What the log has when a server with these routes has been asked. */
const logOf = (
  routes: Routes,
  asking: (server: Server) => Effect.Effect<unknown, unknown>,
  options: Options = {}
) =>
  Effect.gen(function*() {
    const seen = observe()
    yield* Effect.provide(Effect.scoped(Effect.flatMap(serve(routes, options), asking)), seen.layer)
    return [...seen.logs.map(({ message }) => message), seen.text()].join("\n")
  })

const Theme = SessionKey.make("theme", Schema.Struct({ mode: Schema.String }))
const TextTheme = SessionKey.make("theme", Schema.String)

class Cart {
  readonly products: ReadonlyArray<string> = []
}

const CartKey = SessionKey.make("cart", Schema.instanceOf(Cart))

let late: Fiber.Fiber<unknown, unknown>

/** Leaves a fiber behind that changes the session when the response is there. */
const leaveBehind = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50))).pipe(
  Effect.andThen(Session.increment(Count)),
  Effect.forkDetach,
  Effect.tap((fiber) => Effect.sync(() => void (late = fiber)))
)

const publicly = HttpServerResponse.setHeader(ok, "cache-control", "public, max-age=60")

describe("the log", () => {
  const browser = { "user-agent": "Mozilla/5.0", host: "192.168.1.20:3000" }

  const cases: ReadonlyArray<readonly [heading: string, said: Effect.Effect<string, unknown>]> = [
    [
      "It is Secure, and the page is on plain http",
      logOf(basicRoutes, (server) => server.post("/count", { headers: browser }))
    ],
    [
      "Session token rejected",
      logOf(basicRoutes, (server) =>
        Effect.gen(function*() {
          const other = yield* serve(basicRoutes, { config: { secret: `another ${secret}` } })
          yield* server.get("/", { cookie: cookieOf(yield* other.post("/count")) })
        }).pipe(Effect.scoped))
    ],
    [
      "Too late to be saved",
      logOf(
        post("/late", leaveBehind),
        (server) => Effect.andThen(server.post("/late"), Effect.suspend(() => Fiber.await(late)))
      )
    ],
    [
      "Can't decode the value",
      logOf(
        Layer.mergeAll(post("/put", Session.put(TextTheme, "dark")), post("/read", Theme)),
        (server) => Effect.flatMap(server.post("/put"), (put) => server.post("/read", { cookie: cookieOf(put) }))
      )
    ],
    [
      "Can't encode the value",
      logOf(post("/put", Session.put(CartKey, new Cart())), (server) => server.post("/put"))
    ],
    [
      "The session takes … bytes",
      logOf(post("/put", Session.put(TextTheme, "x".repeat(5_000))), (server) => server.post("/put"), {
        store: CookieLayer.layer()
      })
    ],
    [
      "The application lets shared caches keep it",
      logOf(
        HttpRouter.add("GET", "/", Effect.as(Session.increment(Count), publicly)),
        (server) => server.get("/")
      )
    ]
  ]

  it.live.each(cases)("%s", ([heading, said]) => Effect.map(said, (said) => assertSays(said, heading)))
})

describe("the page", () => {
  it("quotes nothing else", () => {
    assert.deepStrictEqual([...quotes.keys()].filter((heading) => !compared.has(heading)), [])
  })
})
