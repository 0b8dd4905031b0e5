/**
 * The example of moving: users log in at a real Express server with express-session and connect-redis, and then come to ours
 * with the cookie that they have.
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { Session, type SessionConfig, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { createHmac } from "node:crypto"
import * as ExpressSessions from "../../examples/moving/expressSessions.ts"
import * as IronSessions from "../../examples/moving/ironSessions.ts"
import { takeOver } from "../../examples/moving/keys.ts"
import * as Moving from "../../examples/moving/moving.ts"
import { Routes } from "../../examples/moving/routes.ts"
import { setTimeOfDay } from "../support/clock.ts"
import { secret } from "../support/config.ts"
import { startExample } from "../support/exampleServer.ts"
import { expressSecret, type ExpressServer, startExpress } from "../support/expressServer.ts"
import { ironPassword, startIron } from "../support/ironServer.ts"
import { eventually, type RedisServer, shared, startRedis } from "../support/redisServer.ts"
import { redisService } from "../support/redisStore.ts"
import {
  type Answer,
  type Browser,
  browserOf,
  cookieNames,
  cookieOf,
  serveLayer,
  type ServerLayer
} from "../support/server.ts"

const redis = shared(startRedis())

// -----------------------------------------------------------------------------
// both servers
// -----------------------------------------------------------------------------

interface Options extends Partial<Omit<ExpressSessions.Options, "prefix">> {
  /** By default those of an Express server. */
  readonly old?: ReturnType<typeof ExpressSessions.layer>
  readonly routes?: typeof Routes
  /** Of our sessions. */
  readonly prefix?: string
  /** Where the old sessions are, and ours too, unless those are elsewhere. */
  readonly on?: RedisServer
  readonly oursOn?: RedisServer
  readonly config?: SessionConfig.Options
}

let count = 0

const empty = HttpServerResponse.empty()

/** The example's routes, and one more. */
const withRoute = <E, R>(
  path: `/${string}`,
  handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) => Layer.merge(Routes, Layer.provide(HttpRouter.add("GET", path, handler), SessionMiddleware.layer)) as typeof Routes

/** No route, and another way to take sessions over. */
const routesWith = (takeOver: Moving.TakeOver) => Moving.layer(takeOver) as typeof Routes

/** Ours, with its sessions under a prefix that no other test has. */
const serveOurs = Effect.fnUntraced(function*(
  { config, old, on = redis(), oursOn = on, prefix = `ours-${++count}:`, routes = Routes, ...options }: Options = {}
) {
  const Old = Layer.provide(
    old ?? ExpressSessions.layer({ secrets: [Redacted.make(expressSecret)], ...options }),
    Layer.orDie(NodeRedis.layer({ url: on.url }))
  )
  const app = HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(Layer.provide(Old))
  const server = yield* serveLayer(app as ServerLayer, {
    store: redisService().store(oursOn.url, { prefix }),
    ...(config && { config })
  })
  /** How many sessions there are. */
  const sessions = Effect.map(
    oursOn.command<ReadonlyArray<string>>("KEYS", `${prefix}*`),
    (keys) => keys.filter((key) => !key.includes("owner")).length
  )
  return { ...server, prefix, sessions }
})

/** A user who has logged in at the Express server, and whose next requests go to ours. */
const loggedIn = Effect.fnUntraced(function*(express: ExpressServer, ours: { readonly url: string }, query = "") {
  const there = express.browser()
  const { status } = yield* there.post(`/login?user=ada${query}`)
  assert.strictEqual(status, 204)
  const cookie = there.cookies()
  return { there, here: browserOf(ours.url, there.jar), cookie, id: idOf(cookie) }
})

/** At our server, as a browser sends it. */
const logOut = (here: Browser) =>
  Effect.map(
    here.post("/logout", { headers: { "sec-fetch-site": "same-origin" } }),
    ({ status }) => assert.strictEqual(status, 204)
  )

const idOf = (cookie: string) => /^s:([^.]+)\./.exec(decodeURIComponent(cookie.slice("connect.sid=".length)))![1]!

const read = (answer: Answer) => JSON.parse(answer.body)

const exists = (id: string) => Effect.map(redis().command<number>("EXISTS", `sess:${id}`), (found) => found === 1)

const noteOf = (id: string) => `{sess:${id}}:moved`

const ada = { userId: "ada", cart: { tea: 2 }, lastOrder: "2026-01-31T12:00:00.000Z" }

const stranger = { userId: "a stranger", visits: 1, cart: {}, lastOrder: null }

// -----------------------------------------------------------------------------
// tests
// -----------------------------------------------------------------------------

describe("the first request with an old cookie", () => {
  it.live("has a session of ours, with the data of the old one, under a new id", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { here, id } = yield* loggedIn(express, ours)
      const first = yield* here.get("/")
      assert.deepStrictEqual(read(first), { ...ada, visits: 6 })
      assert.sameMembers([...cookieNames(first)], ["session", "connect.sid"])
      // From now on the browser has our cookie alone, and nothing of the old id is in it.
      assert.match(here.cookies(), /^session=[^;]+$/)
      assert.notInclude(here.cookies(), id)
      const second = yield* here.get("/")
      assert.deepStrictEqual(read(second), { ...ada, visits: 7 })
      assert.isEmpty(second.setCookies)
      assert.strictEqual(yield* ours.sessions, 1)
    }))

  it.live("deletes the old session, so that the old cookie is worth nothing at the Express server", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { cookie, here, id, there } = yield* loggedIn(express, ours)
      assert.isTrue(yield* exists(id))
      yield* here.get("/")
      assert.isFalse(yield* exists(id))
      assert.deepStrictEqual(read(yield* there.get("/", { cookie })), {})
    }))

  it.live("moves the session although its handler fails", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs({ routes: withRoute("/fails", Effect.die("a mistake")) })
      const { here } = yield* loggedIn(express, ours)
      const first = yield* here.get("/fails")
      assert.strictEqual(first.status, 500)
      assert.deepStrictEqual(read(yield* here.get("/")), { ...ada, visits: 6 })
    }))

  it.live("moves the session although no route answers it", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { here } = yield* loggedIn(express, ours)
      assert.strictEqual((yield* here.get("/nowhere")).status, 404)
      assert.deepStrictEqual(read(yield* here.get("/")), { ...ada, visits: 6 })
    }))

  it.live("has a response that no cache keeps, whatever its handler says of it", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const picture = HttpServerResponse.setHeader(empty, "cache-control", "public, max-age=3600")
      const ours = yield* serveOurs({ routes: withRoute("/picture", Effect.succeed(picture)) })
      const { here } = yield* loggedIn(express, ours)
      const first = yield* here.get("/picture")
      assert.include(cookieNames(first), "session")
      assert.strictEqual(first.headers["cache-control"], "no-store")
      assert.strictEqual((yield* here.get("/picture")).headers["cache-control"], "public, max-age=3600")
    }))

  it.live("may be a logout, or a login: its cookie is the one that the browser gets", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs({ routes: withRoute("/login", Effect.as(Session.login("eve"), empty)) })
      const one = yield* loggedIn(express, ours)
      yield* logOut(one.here)
      assert.strictEqual(one.here.cookies(), "")
      assert.strictEqual(yield* ours.sessions, 0)
      const other = yield* loggedIn(express, ours)
      yield* other.here.get("/login")
      // What Ada has left there is not Eve's.
      assert.deepInclude(read(yield* other.here.get("/")), { userId: "eve", visits: 1 })
      assert.strictEqual(read(yield* ours.get("/", { cookie: one.cookie })).userId, "a stranger")
    }))

  it.live("is no login: what asks for a recent one asks for the password", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs({
        routes: withRoute("/email", Effect.as(Session.requireRecent("10 minutes"), empty))
      })
      const { here } = yield* loggedIn(express, ours)
      assert.strictEqual((yield* here.get("/email")).status, 401)
      assert.strictEqual(read(yield* here.get("/")).userId, "ada")
    }))

  it.live("takes the place of a session that the browser has with us", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const there = express.browser()
      const here = browserOf(ours.url, there.jar)
      yield* here.get("/")
      yield* there.post("/login?user=ada")
      assert.deepStrictEqual(read(yield* here.get("/")), { ...ada, visits: 6 })
    }))
})

describe("several first requests at the same time", () => {
  it.live("have one session, and what each of them does is in it", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { cookie, here } = yield* loggedIn(express, ours)
      const answers = yield* Effect.all(Array.from({ length: 20 }, () => ours.get("/", { cookie })), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(answers.map(({ status }) => status), answers.map(() => 200))
      assert.deepStrictEqual(new Set(answers.map((answer) => read(answer).userId)), new Set(["ada"]))
      assert.strictEqual(new Set(answers.map(cookieOf)).size, 1)
      assert.strictEqual(yield* ours.sessions, 1)
      assert.strictEqual(read(yield* here.get("/", { cookie: cookieOf(answers[0]!) })).visits, 5 + 20 + 1)
    }))

  it.live("of two servers too", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const one = yield* serveOurs()
      const other = yield* serveOurs({ prefix: one.prefix })
      const { cookie } = yield* loggedIn(express, one)
      const requests = Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? one : other).get("/", { cookie }))
      const answers = yield* Effect.all(requests, { concurrency: "unbounded" })
      assert.strictEqual(new Set(answers.map(cookieOf)).size, 1)
      assert.strictEqual(yield* one.sessions, 1)
    }))
})

describe("an old cookie that comes again", () => {
  it.live("as the response was lost, leads to the session for five minutes", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { cookie, id } = yield* loggedIn(express, ours)
      yield* ours.get("/", { cookie })
      const again = yield* ours.get("/", { cookie })
      assert.deepStrictEqual(read(again), { ...ada, visits: 7 })
      assert.deepStrictEqual(read(yield* ours.get("/", { cookie: cookieOf(again) })), { ...ada, visits: 8 })
      const left = yield* redis().command<number>("PTTL", noteOf(id))
      assert.isTrue(left > 0 && left <= 5 * 60_000)
      // As if they were over.
      yield* redis().command("DEL", noteOf(id))
      const late = yield* ours.get("/", { cookie })
      assert.deepStrictEqual(read(late), stranger)
      assert.include(cookieNames(late), "connect.sid")
    }))

  it.live("does not bring back what has ended here", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { cookie, here } = yield* loggedIn(express, ours)
      yield* here.get("/")
      yield* logOut(here)
      assert.deepStrictEqual(read(yield* ours.get("/", { cookie })), stranger)
    }))

  it.live("does not reach what was regenerated here", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs({ routes: withRoute("/regenerate", Effect.as(Session.regenerate, empty)) })
      const { cookie, here } = yield* loggedIn(express, ours)
      yield* here.get("/")
      yield* here.get("/regenerate")
      assert.strictEqual(read(yield* ours.get("/", { cookie })).userId, "a stranger")
      assert.strictEqual(read(yield* here.get("/")).userId, "ada")
    }))

  it.live("does not push a newer cookie of ours out", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { cookie, here } = yield* loggedIn(express, ours)
      yield* here.get("/")
      const both = yield* ours.get("/", { cookie: `${here.cookies()}; ${cookie}` })
      assert.strictEqual(read(both).visits, 7)
      assert.deepStrictEqual(cookieNames(both), ["connect.sid"])
    }))

  it.live("leads to the session although a slow request at the Express server has written the old one again", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { cookie, here, id } = yield* loggedIn(express, ours)
      const json = yield* redis().command<string>("GET", `sess:${id}`)
      yield* here.get("/")
      yield* redis().command("SET", `sess:${id}`, json)
      assert.strictEqual(read(yield* ours.get("/", { cookie })).visits, 7)
      assert.isFalse(yield* exists(id))
      assert.strictEqual(yield* ours.sessions, 1)
    }))

  it.live("is in Redis as a note that opens no session", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { cookie, here, id } = yield* loggedIn(express, ours)
      yield* here.get("/")
      const note = yield* redis().command<string>("GET", noteOf(id))
      const [token] = here.cookies().slice("session=".length).split(".")
      assert.isAbove(note.length, 100)
      assert.notInclude(Buffer.from(note, "base64url").toString("latin1"), token!)
      // One that somebody has written there is none.
      yield* redis().command("SET", noteOf(id), "x".repeat(note.length))
      assert.deepStrictEqual(read(yield* ours.get("/", { cookie })), stranger)
    }))
})

describe("what the Express server has ended", () => {
  it.live("does not move", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { cookie, there } = yield* loggedIn(express, ours)
      yield* there.post("/logout")
      const answer = yield* ours.get("/", { cookie })
      assert.deepStrictEqual(read(answer), stranger)
      assert.include(answer.setCookies.join(), "connect.sid=; Max-Age=0; Path=/;")
    }))

  it.live("has ended, also while it is moving", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      let logout = Effect.void
      const ours = yield* serveOurs({
        routes: routesWith((json) => Effect.andThen(takeOver(json), Effect.suspend(() => logout)))
      })
      const { cookie, there } = yield* loggedIn(express, ours)
      logout = Effect.asVoid(Effect.orDie(there.post("/logout")))
      const answer = yield* ours.get("/nowhere", { cookie })
      assert.deepStrictEqual(cookieNames(answer), ["connect.sid"])
      assert.strictEqual(yield* ours.sessions, 0)
    }))

  it.live("by time does not move either", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { cookie, id } = yield* loggedIn(express, ours)
      yield* redis().command("PEXPIREAT", `sess:${id}`, "1")
      assert.deepStrictEqual(read(yield* ours.get("/", { cookie })), stranger)
    }))

  it.live("only as its JSON says, which a touch leaves alone, is alive", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url, { cookie: { maxAge: 3_600_000 } })
      const ours = yield* serveOurs()
      const { cookie, id } = yield* loggedIn(express, ours)
      const json = JSON.parse(yield* redis().command<string>("GET", `sess:${id}`))
      json.cookie.expires = "2001-01-01T00:00:00.000Z"
      yield* redis().command("SET", `sess:${id}`, JSON.stringify(json), "KEEPTTL")
      assert.strictEqual(read(yield* ours.get("/", { cookie })).userId, "ada")
    }))
})

describe("secrets of the Express server", () => {
  const [older, newer] = ["an older secret", "a newer secret"]

  it.live("can be several: a cookie of each one moves", () =>
    Effect.gen(function*() {
      const ours = yield* serveOurs({ secrets: [newer, older].map((secret) => Redacted.make(secret)) })
      for (const secret of [older, [newer, older]]) {
        const express = yield* startExpress(redis().url, { secret })
        const { here } = yield* loggedIn(express, ours)
        assert.strictEqual(read(yield* here.get("/")).userId, "ada")
      }
    }))

  it.live("that were taken out of use open nothing", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url, { secret: older })
      const ours = yield* serveOurs({ secrets: [Redacted.make(newer)] })
      const { cookie, id } = yield* loggedIn(express, ours)
      const answer = yield* ours.get("/", { cookie })
      assert.deepStrictEqual(read(answer), stranger)
      assert.deepStrictEqual(cookieNames(answer), ["session"])
      assert.isTrue(yield* exists(id))
    }))
})

describe("a cookie that the Express server has not made", () => {
  const sign = (id: string, secret = expressSecret) => `s:${id}.${signatureOf(id, secret)}`
  const signatureOf = (id: string, secret: string) =>
    createHmac("sha256", secret).update(id).digest("base64").replace(/=+$/, "")

  const wrong: Record<string, (id: string) => string> = {
    "empty": () => "",
    "no signature": (id) => `s:${id}`,
    "an empty signature": (id) => `s:${id}.`,
    "no id": () => sign(""),
    "without its prefix": (id) => sign(id).slice(2),
    "with another prefix": (id) => `j:${sign(id).slice(2)}`,
    "signed with another secret": (id) => sign(id, "another secret"),
    "signed with an empty secret": (id) => sign(id, ""),
    "the signature of another id": (id) => `s:${id}.${signatureOf(`${id}x`, expressSecret)}`,
    "cut off": (id) => sign(id).slice(0, -1),
    "longer": (id) => `${sign(id)}A`,
    "padded": (id) => `${sign(id)}=`,
    "in another spelling of base64": (id) =>
      sign(id).replace(/.$/, (last) => String.fromCharCode(last.charCodeAt(0) + 1)),
    "of another case": (id) => sign(id).replace(/[^.]+$/, (text) => text.toLowerCase()),
    "of characters that are no base64": (id) => `s:${id}.${"é".repeat(43)}`,
    "twice percent-encoded": (id) => encodeURIComponent(encodeURIComponent(sign(id))),
    "of broken percent-encoding": (id) => `s%3A${id}.%`,
    "as large as a header may be": (id) => `s:${id}.${"A".repeat(15_000)}`,
    "a glob": () => "s:*.*"
  }

  for (const [name, valueOf] of Object.entries(wrong)) {
    it.live(`is no session, and harms none: ${name}`, () =>
      Effect.gen(function*() {
        const express = yield* startExpress(redis().url)
        const ours = yield* serveOurs()
        const { id } = yield* loggedIn(express, ours)
        const value = valueOf(id)
        const cookie = `connect.sid=${/[%]/.test(value) ? value : encodeURIComponent(value)}`
        const answer = yield* ours.get("/", { cookie })
        assert.deepStrictEqual([answer.status, read(answer)], [200, stranger])
        assert.deepStrictEqual(cookieNames(answer), ["session"])
        assert.isTrue(yield* exists(id))
      }))
  }

  it.live("of a megabyte is refused by Node.js, and the server goes on", () =>
    Effect.gen(function*() {
      const ours = yield* serveOurs()
      const answer = yield* ours.get("/", { cookie: `connect.sid=s:${"A".repeat(1 << 20)}` }).pipe(
        Effect.map(({ status }) => status),
        Effect.orElseSucceed(() => 431)
      )
      assert.strictEqual(answer, 431)
      assert.strictEqual((yield* ours.get("/")).status, 200)
    }))
})

describe("a session that can't be taken over", () => {
  const withUser = (rest: object) => JSON.stringify({ cookie: {}, userId: "ada", ...rest })

  const stored: Record<string, string> = {
    "no JSON": "{\"userId\":",
    "empty": "",
    "no object": "[1]",
    "null": "null",
    "of other types": withUser({ visits: "many" }),
    "an owner that can't be": withUser({ userId: "x".repeat(2000) }),
    "a date that is none": withUser({ lastOrder: "yesterday" }),
    "a megabyte": withUser({ cart: { ["x".repeat(1 << 20)]: 1 } }),
    "deep": `{"cart":${"[".repeat(100_000)}${"]".repeat(100_000)}}`
  }

  for (const [name, json] of Object.entries(stored)) {
    it.live(`is no session, and stays where it is: ${name}`, () =>
      Effect.gen(function*() {
        const express = yield* startExpress(redis().url)
        const ours = yield* serveOurs()
        const { cookie, id } = yield* loggedIn(express, ours)
        yield* redis().command("SET", `sess:${id}`, json)
        const answer = yield* ours.get("/", { cookie })
        assert.deepStrictEqual([answer.status, read(answer)], [200, stranger])
        // The old cookie stays as well, for a release that knows what to make of it.
        assert.deepStrictEqual(cookieNames(answer), ["session"])
        assert.strictEqual(yield* redis().command("GET", `sess:${id}`), json)
        assert.strictEqual(yield* ours.sessions, 1)
      }))
  }

  it.live("with more in it than we know is one with what we know", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs()
      const { here } = yield* loggedIn(express, ours, `&anything=${"x".repeat(10_000)}`)
      assert.deepStrictEqual(read(yield* here.get("/")), { ...ada, visits: 6 })
    }))
})

describe("an outage of Redis", () => {
  const config = { timeLimit: "300 millis" } as const

  const isHarmless = Effect.fnUntraced(function*(options: Options, other: RedisServer) {
    const express = yield* startExpress((options.on ?? redis()).url)
    const ours = yield* serveOurs({ config, ...options })
    const { cookie, here } = yield* loggedIn(express, ours)
    yield* other.pause
    // It uses no session, but if it did, it would take the user for a stranger.
    const answer = yield* here.get("/nowhere")
    assert.deepStrictEqual([answer.status, answer.setCookies], [503, []])
    assert.strictEqual(here.cookies(), cookie)
    yield* other.goOn
    // On a busy machine an answer may come too late once more, which is a 503 as well.
    yield* eventually(Effect.map(here.get("/"), (answer) => assert.strictEqual(read(answer).userId, "ada")))
  })

  it.live("is a 503 that logs nobody out, where the old sessions are", () =>
    Effect.gen(function*() {
      const other = yield* startRedis()
      yield* isHarmless({ on: other }, other)
    }))

  it.live("is a 503 that logs nobody out, where ours are", () =>
    Effect.gen(function*() {
      const other = yield* startRedis()
      yield* isHarmless({ oursOn: other }, other)
    }))
})

describe("both servers side by side", () => {
  const sideBySide = "1 day"

  it.live("know the user, each with its own cookie", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs({ sideBySide })
      const { here, there } = yield* loggedIn(express, ours)
      assert.deepStrictEqual(read(yield* here.get("/")), { ...ada, visits: 6 })
      assert.strictEqual(read(yield* there.get("/")).visits, 5)
      assert.strictEqual(read(yield* here.get("/")).visits, 7)
      assert.strictEqual(yield* ours.sessions, 1)
      // To go back is to send requests to the Express server alone.
      assert.strictEqual(read(yield* there.get("/")).userId, "ada")
    }))

  it.live("let a logout at the Express server count here", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs({ sideBySide })
      const { here, there } = yield* loggedIn(express, ours)
      yield* here.get("/")
      const copy = here.cookies()
      yield* there.post("/logout")
      assert.deepStrictEqual(read(yield* here.get("/")), stranger)
      assert.deepStrictEqual(read(yield* ours.get("/", { cookie: copy })), stranger)
    }))

  it.live("let it count too for a browser that has only the old cookie", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs({ sideBySide })
      const { cookie, there } = yield* loggedIn(express, ours)
      const first = yield* ours.get("/", { cookie })
      yield* there.post("/logout")
      assert.deepStrictEqual(read(yield* ours.get("/", { cookie })), stranger)
      assert.deepStrictEqual(read(yield* ours.get("/", { cookie: cookieOf(first) })), stranger)
    }))

  it.live("let a logout here count there", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs({ sideBySide })
      const { cookie, here, there } = yield* loggedIn(express, ours)
      yield* here.get("/")
      yield* logOut(here)
      assert.strictEqual(here.cookies(), "")
      assert.deepStrictEqual(read(yield* there.get("/", { cookie })), {})
      assert.deepStrictEqual(read(yield* ours.get("/", { cookie })), stranger)
    }))

  it.live("keep a session alive there that is used here alone", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const ours = yield* serveOurs({ sideBySide })
      const { here, id } = yield* loggedIn(express, ours)
      yield* redis().command("EXPIRE", `sess:${id}`, "60")
      yield* here.get("/")
      assert.isAbove(yield* redis().command<number>("TTL", `sess:${id}`), 86_000)
      // And never shorten it, nor end one that has no end.
      yield* redis().command("EXPIRE", `sess:${id}`, "1000000")
      yield* here.get("/")
      assert.isAbove(yield* redis().command<number>("TTL", `sess:${id}`), 999_000)
      yield* redis().command("PERSIST", `sess:${id}`)
      yield* here.get("/")
      assert.strictEqual(yield* redis().command<number>("TTL", `sess:${id}`), -1)
    }))

  it.live("end with a release that leaves sideBySide out: what is there moves for good", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url)
      const before = yield* serveOurs({ sideBySide })
      const { here, id, there } = yield* loggedIn(express, before)
      yield* here.get("/")
      const after = yield* serveOurs({ prefix: before.prefix })
      const answer = yield* browserOf(after.url, there.jar).get("/")
      assert.deepStrictEqual(read(answer), { ...ada, visits: 7 })
      assert.match(there.cookies(), /^session=[^;]+$/)
      assert.isFalse(yield* exists(id))
    }))
})

describe("examples/moving/main.ts", () => {
  it.live("is a server that takes over", () =>
    Effect.gen(function*() {
      const express = yield* startExpress(redis().url, { secret: "an older secret" })
      const example = yield* startExample("moving/main.ts", {
        SESSION_SECRET: secret,
        EXPRESS_SECRET: expressSecret,
        EXPRESS_PREVIOUS_SECRET: "an older secret",
        REDIS_URL: redis().url
      })
      yield* example.listens
      const { here } = yield* loggedIn(express, { url: `http://127.0.0.1:${example.port}` })
      assert.deepStrictEqual(read(yield* here.get("/")), { ...ada, visits: 6 })
      assert.deepStrictEqual(read(yield* here.get("/")), { ...ada, visits: 7 })
    }))
})

describe("a cookie of iron-session", () => {
  const fromIron = (password: string | Record<string, string> = ironPassword) =>
    IronSessions.layer({ password: Redacted.make(password), cookie: { name: "iron" } })

  const sealed = Effect.fnUntraced(function*(password?: string | Record<string, string>) {
    const there = (yield* startIron(password)).browser()
    yield* there.get("/")
    return { cookie: there.cookies(), jar: there.jar }
  })

  it.live("moves, and is gone from the browser", () =>
    Effect.gen(function*() {
      const ours = yield* serveOurs({ old: fromIron() })
      const { jar } = yield* sealed()
      const here = browserOf(ours.url, jar)
      assert.deepStrictEqual(read(yield* here.get("/")), { ...ada, visits: 6 })
      assert.match(here.cookies(), /^session=[^;]+$/)
      assert.deepStrictEqual(read(yield* here.get("/")), { ...ada, visits: 7 })
    }))

  it.live("of several requests at the same time makes one session", () =>
    Effect.gen(function*() {
      const ours = yield* serveOurs({ old: fromIron() })
      const { cookie } = yield* sealed()
      const answers = yield* Effect.all(Array.from({ length: 10 }, () => ours.get("/", { cookie })), {
        concurrency: "unbounded"
      })
      assert.strictEqual(new Set(answers.map(cookieOf)).size, 1)
      assert.strictEqual(yield* ours.sessions, 1)
    }))

  it.live("logs nobody in again after a logout, in whatever spelling it comes", () =>
    Effect.gen(function*() {
      const ours = yield* serveOurs({ old: fromIron() })
      const { cookie, jar } = yield* sealed()
      const here = browserOf(ours.url, jar)
      yield* here.get("/")
      yield* logOut(here)
      for (const copy of [cookie, cookie.replace(/~.*$/, ""), `${cookie}~3`]) {
        assert.deepStrictEqual(read(yield* ours.get("/", { cookie: copy })), stranger)
      }
    }))

  it.effect("leads to the session for five minutes, and then to none", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const ours = yield* serveOurs({ old: fromIron() })
      const { cookie } = yield* sealed()
      assert.strictEqual(read(yield* ours.get("/", { cookie })).visits, 6)
      assert.strictEqual(read(yield* ours.get("/", { cookie })).visits, 7)
      yield* TestClock.adjust("6 minutes")
      assert.deepStrictEqual(read(yield* ours.get("/", { cookie })), stranger)
      // The note is there for as long as the cookie opens.
      const [note] = yield* redis().command<ReadonlyArray<string>>("KEYS", `moved:*`)
      assert.isAbove(yield* redis().command<number>("TTL", note!), 13 * 86_400)
    }))

  it.live("opens with each of several passwords", () =>
    Effect.gen(function*() {
      const passwords = { 1: ironPassword, 2: `${ironPassword}, the newer one` }
      const ours = yield* serveOurs({ old: fromIron(passwords) })
      for (const password of [ironPassword, passwords]) {
        const { cookie } = yield* sealed(password)
        assert.strictEqual(read(yield* ours.get("/", { cookie })).userId, "ada")
      }
    }))

  const wrong: Record<string, (cookie: string) => string> = {
    "cut off": (cookie) => cookie.slice(0, -10),
    "empty": () => "iron=",
    "no seal": () => "iron=Fe26.2*1*2*3*4*5*6*7",
    "changed": (cookie) => cookie.replace(/\*1\*./, "*1*_"),
    "as large as a header may be": () => `iron=${"*".repeat(15_000)}`
  }

  for (const [name, change] of Object.entries(wrong)) {
    it.live(`is no session: ${name}`, () =>
      Effect.gen(function*() {
        const ours = yield* serveOurs({ old: fromIron() })
        const { cookie } = yield* sealed()
        const answer = yield* ours.get("/", { cookie: change(cookie) })
        assert.deepStrictEqual([answer.status, read(answer)], [200, stranger])
      }))
  }

  it.live("is no session: sealed with another password", () =>
    Effect.gen(function*() {
      const ours = yield* serveOurs({ old: fromIron() })
      const { cookie } = yield* sealed(`another ${ironPassword}`)
      assert.deepStrictEqual(read(yield* ours.get("/", { cookie })), stranger)
    }))
})
