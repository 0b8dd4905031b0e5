/**
 * The example beside better-auth: a real better-auth with a database, called as a browser calls it.
 */
import { assert, describe, it } from "@effect/vitest"
import { magicLink } from "better-auth/plugins"
import { Effect, Layer, Option, Redacted } from "effect"
import { Session, SessionMiddleware, Sessions } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { DatabaseSync } from "node:sqlite"
import * as Auth from "../../examples/beside/better-auth/auth.ts"
import { Routes } from "../../examples/beside/better-auth/routes.ts"
import { startExample } from "../support/exampleServer.ts"
import { watchStore } from "../support/failingStore.ts"
import {
  type Browser,
  browserOf,
  clientOf,
  cookieNames,
  type Options as ServerOptions,
  serveLayer,
  type ServerLayer
} from "../support/server.ts"

// -----------------------------------------------------------------------------
// server
// -----------------------------------------------------------------------------

/** What the session's own view of itself is, which the example has no page for. */
const aboutSession = HttpRouter.add(
  "GET",
  "/about",
  Effect.gen(function*() {
    const owner = Option.getOrUndefined(yield* Session.owner)
    const { sessions } = owner === undefined ? { sessions: [] } : yield* Sessions.list(owner)
    return yield* HttpServerResponse.json({ owner, handle: yield* Session.handle, devices: sessions.length })
  })
).pipe(Layer.provide(SessionMiddleware.layer))

const serveWith = Effect.fnUntraced(function*(options: Partial<Auth.Options> & Pick<ServerOptions, "store"> = {}) {
  const { store, ...others } = options
  const database = new DatabaseSync(":memory:")
  const Beside = Auth.layer({
    database,
    baseURL: "https://shop.example",
    secret: Redacted.make("s".repeat(32)),
    ...others
  })
  const app = HttpRouter.serve(Layer.merge(Routes, aboutSession), { disableLogger: true, disableListenLog: true })
  const server = yield* serveLayer(Layer.provide(app, Beside) as ServerLayer, { ...(store && { store }) })
  return { ...server, database }
})

const serveExample = serveWith()

// -----------------------------------------------------------------------------
// what browsers do
// -----------------------------------------------------------------------------

const sent = (body: unknown = {}) => ({
  headers: { "content-type": "application/json", origin: "https://shop.example", "sec-fetch-site": "same-origin" },
  body: JSON.stringify(body)
})

const people = {
  ada: { name: "Ada", email: "ada@example.com", password: "the analytical engine" },
  grace: { name: "Grace", email: "grace@example.com", password: "a bug in the relay" }
}

type Person = keyof typeof people

const ok = (client: Browser, path: string, body?: unknown) =>
  Effect.map(client.post(path, sent(body)), (answer) => {
    assert.include([200, 204], answer.status, path)
    return answer
  })

const signUp = (client: Browser, person: Person) => ok(client, "/api/auth/sign-up/email", people[person])

const signIn = (client: Browser, person: Person) => ok(client, "/api/auth/sign-in/email", people[person])

const signOut = (client: Browser) => ok(client, "/api/auth/sign-out")

const read = (client: Pick<Browser, "get">, path: string, cookie?: string) =>
  Effect.map(client.get(path, { cookie }), ({ body, status }) => {
    assert.strictEqual(status, 200)
    return JSON.parse(body)
  })

/** One cookie of a browser. */
const cookieNamed = (client: Browser, name: string) =>
  client.cookies().split("; ").find((cookie) => cookie.startsWith(`${name}=`))!

const theirs = "__Secure-better-auth.session_token"

// -----------------------------------------------------------------------------
// tests
// -----------------------------------------------------------------------------

describe("a login with better-auth", () => {
  it.live("is one of our session: it has a new id and an owner, and the visitor's basket is still there", () =>
    Effect.gen(function*() {
      const { browser, database } = yield* serveExample
      const ada = browser()
      yield* ok(ada, "/basket/tea")
      const visitor = yield* read(ada, "/about")
      const { body } = yield* signUp(ada, "ada")
      const user = yield* read(ada, "/about")
      assert.strictEqual(user.owner, JSON.parse(body).user.id)
      assert.strictEqual(user.owner, database.prepare("SELECT id FROM user").get()!["id"])
      assert.notStrictEqual(user.handle, visitor.handle)
      assert.deepStrictEqual(yield* read(ada, "/"), { user: "Ada", basket: { tea: 1 }, draft: null, message: null })
    }))

  it.live("sets two cookies that have nothing to do with each other", () =>
    Effect.gen(function*() {
      const { browser } = yield* serveExample
      const answer = yield* signUp(browser(), "ada")
      assert.sameMembers([...cookieNames(answer)], [theirs, "session"])
    }))

  it.live("is one request: the next ones find it done, and keep what is put", () =>
    Effect.gen(function*() {
      const { browser } = yield* serveExample
      const ada = browser()
      yield* signUp(ada, "ada")
      const { handle } = yield* read(ada, "/about")
      yield* ok(ada, "/draft", { text: "Dear Charles" })
      const answers = yield* Effect.all(Array.from({ length: 10 }, () => ada.get("/")), { concurrency: "unbounded" })
      for (const { body, setCookies } of answers) {
        assert.deepStrictEqual(setCookies, [])
        assert.strictEqual(JSON.parse(body).draft, "Dear Charles")
      }
      assert.deepInclude(yield* read(ada, "/about"), { handle, devices: 1 })
    }))

  it.live("does not have to be one with a password", () =>
    Effect.gen(function*() {
      const links: Array<URL> = []
      const link = magicLink({ sendMagicLink: ({ url }) => void links.push(new URL(url)) })
      const { browser } = yield* serveWith({ plugins: [link] })
      const ada = browser()
      yield* ok(ada, "/basket/tea")
      yield* ok(ada, "/api/auth/sign-in/magic-link", { email: "ada@example.com", name: "Ada" })
      const { pathname, search } = links[0]!
      const { setCookies, status } = yield* ada.get(pathname + search)
      assert.strictEqual(status, 302)
      assert.sameMembers([...cookieNames({ setCookies })], [theirs, "session"])
      assert.deepInclude(yield* read(ada, "/"), { user: "Ada", basket: { tea: 1 } })
    }))

  it.live("is a 503 if our session can't be saved, and the next request does what was left undone", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const { browser } = yield* serveWith({ store: store.layer })
      const ada = browser()
      store.fails("create")
      const { setCookies, status } = yield* ada.post("/api/auth/sign-up/email", sent(people.ada))
      assert.strictEqual(status, 503)
      assert.deepStrictEqual(cookieNames({ setCookies }), [theirs])
      store.works()
      assert.deepStrictEqual(cookieNames(yield* ada.get("/")), ["session"])
      yield* ok(ada, "/order")
    }))

  it.live("with a wrong password is none", () =>
    Effect.gen(function*() {
      const { browser } = yield* serveExample
      yield* signUp(browser(), "ada")
      const stranger = browser()
      yield* ok(stranger, "/basket/tea")
      const before = yield* read(stranger, "/about")
      const { status } = yield* stranger.post("/api/auth/sign-in/email", sent({ ...people.ada, password: "wrong" }))
      assert.strictEqual(status, 401)
      assert.deepStrictEqual(yield* read(stranger, "/about"), before)
    }))

  it.live("once more gives the session another id, and keeps what the user has", () =>
    Effect.gen(function*() {
      const { browser } = yield* serveExample
      const ada = browser()
      yield* signUp(ada, "ada")
      yield* ok(ada, "/draft", { text: "Dear Charles" })
      const first = yield* read(ada, "/about")
      yield* signIn(ada, "ada")
      const second = yield* read(ada, "/about")
      assert.strictEqual(second.owner, first.owner)
      assert.notStrictEqual(second.handle, first.handle)
      assert.strictEqual((yield* read(ada, "/")).draft, "Dear Charles")
    }))
})

describe("a recent login", () => {
  it.live("lets the user order, with a message on the next page", () =>
    Effect.gen(function*() {
      const { browser } = yield* serveExample
      const ada = browser()
      yield* ok(ada, "/basket/tea")
      yield* signUp(ada, "ada")
      yield* ok(ada, "/order")
      const { basket, message } = yield* read(ada, "/")
      assert.deepStrictEqual({ basket, message }, { basket: {}, message: "Thank you, Ada." })
      assert.isNull((yield* read(ada, "/")).message)
    }))

  it.live("is not one of a week ago, also where our session begins only now", () =>
    Effect.gen(function*() {
      const { browser, database } = yield* serveExample
      const ada = browser()
      yield* signUp(ada, "ada")
      database.exec(`UPDATE session SET "createdAt" = '2020-01-01T00:00:00.000Z'`)
      yield* Effect.promise(() => ada.jar.setCookie("session=; Max-Age=0; Path=/", "https://shop.example/"))
      assert.strictEqual((yield* read(ada, "/")).user, "Ada")
      assert.strictEqual((yield* ada.post("/order", sent())).status, 401)
      yield* signIn(ada, "ada")
      yield* ok(ada, "/order")
    }))

  it.live("is needed: a visitor gets 401", () =>
    Effect.gen(function*() {
      const { browser } = yield* serveExample
      assert.strictEqual((yield* browser().post("/order", sent())).status, 401)
    }))
})

describe("a logout with better-auth", () => {
  it.live("is one of our session: the draft is gone, the basket stays", () =>
    Effect.gen(function*() {
      const { browser, get } = yield* serveExample
      const ada = browser()
      yield* ok(ada, "/basket/tea")
      yield* signUp(ada, "ada")
      yield* ok(ada, "/draft", { text: "Dear Charles" })
      const copy = cookieNamed(ada, "session")
      yield* signOut(ada)
      assert.deepStrictEqual(yield* read(ada, "/"), { user: null, basket: { tea: 1 }, draft: null, message: null })
      assert.isUndefined((yield* read(ada, "/about")).owner)
      assert.isUndefined((yield* read({ get }, "/about", copy)).owner)
    }))

  it.live("on one device leaves the others alone", () =>
    Effect.gen(function*() {
      const { browser } = yield* serveExample
      const laptop = browser()
      const phone = browser()
      yield* signUp(laptop, "ada")
      yield* signIn(phone, "ada")
      yield* ok(phone, "/draft", { text: "Dear Charles" })
      yield* signOut(laptop)
      assert.strictEqual((yield* read(phone, "/about")).devices, 1)
      assert.strictEqual((yield* read(phone, "/")).draft, "Dear Charles")
    }))
})

describe("another user", () => {
  const draftOfAda = Effect.fnUntraced(function*(client: Browser) {
    yield* signUp(client, "ada")
    yield* ok(client, "/basket/tea")
    yield* ok(client, "/draft", { text: "Dear Charles" })
  })

  const nothing = { user: "Grace", basket: {}, draft: null, message: null }

  it.live("of the same browser sees nothing of the one before", () =>
    Effect.gen(function*() {
      const { browser } = yield* serveExample
      const shared = browser()
      yield* draftOfAda(shared)
      yield* signOut(shared)
      yield* signUp(shared, "grace")
      assert.deepStrictEqual(yield* read(shared, "/"), nothing)
    }))

  it.live("sees nothing either if the one before has not logged out", () =>
    Effect.gen(function*() {
      const { browser } = yield* serveExample
      const shared = browser()
      yield* draftOfAda(shared)
      yield* signUp(shared, "grace")
      assert.deepStrictEqual(yield* read(shared, "/"), nothing)
    }))

  it.live("sees nothing with the session's cookie of the other", () =>
    Effect.gen(function*() {
      const { browser, get } = yield* serveExample
      const ada = browser()
      const grace = browser()
      yield* draftOfAda(ada)
      yield* signUp(grace, "grace")
      const mixed = `${cookieNamed(grace, theirs)}; ${cookieNamed(ada, "session")}`
      assert.deepStrictEqual(yield* read({ get }, "/", mixed), nothing)
    }))

  it.live("does not need to be one: nobody sees anything without better-auth's cookie", () =>
    Effect.gen(function*() {
      const { browser, get } = yield* serveExample
      const ada = browser()
      yield* draftOfAda(ada)
      const { draft, user } = yield* read({ get }, "/", cookieNamed(ada, "session"))
      assert.deepStrictEqual({ draft, user }, { draft: null, user: null })
    }))
})

describe("a session of better-auth's that has ended elsewhere", () => {
  const twoDevices = Effect.gen(function*() {
    const server = yield* serveExample
    const laptop = server.browser()
    const phone = server.browser()
    yield* signUp(laptop, "ada")
    yield* signIn(phone, "ada")
    yield* ok(phone, "/draft", { text: "Dear Charles" })
    assert.strictEqual((yield* read(laptop, "/about")).devices, 2)
    return { ...server, laptop, phone }
  })

  it.live("ends ours beside it, before anybody comes with it: the others of the user are revoked", () =>
    Effect.gen(function*() {
      const { laptop, phone } = yield* twoDevices
      yield* ok(laptop, "/api/auth/revoke-other-sessions")
      assert.strictEqual((yield* read(laptop, "/about")).devices, 1)
      assert.isUndefined((yield* read(phone, "/about")).owner)
      assert.strictEqual((yield* read(laptop, "/")).user, "Ada")
    }))

  it.live("ends ours beside it: all of the user are revoked", () =>
    Effect.gen(function*() {
      const { laptop, phone } = yield* twoDevices
      yield* ok(laptop, "/api/auth/revoke-sessions")
      for (const client of [laptop, phone]) assert.isUndefined((yield* read(client, "/about")).owner)
    }))

  it.live("ends ours beside it: the password has changed", () =>
    Effect.gen(function*() {
      const { laptop, phone } = yield* twoDevices
      yield* ok(laptop, "/api/auth/change-password", {
        currentPassword: people.ada.password,
        newPassword: "the difference engine",
        revokeOtherSessions: true
      })
      assert.deepInclude(yield* read(laptop, "/about"), { devices: 1 })
      assert.isUndefined((yield* read(phone, "/about")).owner)
    }))

  it.live("is a logout at the next request, if nobody has told us", () =>
    Effect.gen(function*() {
      const { database, phone } = yield* twoDevices
      yield* ok(phone, "/basket/tea")
      database.exec("DELETE FROM session")
      assert.deepStrictEqual(yield* read(phone, "/"), { user: null, basket: { tea: 1 }, draft: null, message: null })
      assert.isUndefined((yield* read(phone, "/about")).owner)
    }))

  it.live("is a logout that keeps the basket, if it has expired", () =>
    Effect.gen(function*() {
      const { database, phone } = yield* twoDevices
      yield* ok(phone, "/basket/tea")
      database.exec(`UPDATE session SET "expiresAt" = '2020-01-01T00:00:00.000Z'`)
      assert.deepStrictEqual(yield* read(phone, "/"), { user: null, basket: { tea: 1 }, draft: null, message: null })
    }))
})

describe("beside each other", () => {
  it.live("a page of ours also extends better-auth's cookie when that is due", () =>
    Effect.gen(function*() {
      const { browser, database } = yield* serveExample
      const ada = browser()
      yield* signUp(ada, "ada")
      const tomorrow = new Date(Date.now() + 86_400_000).toISOString()
      database.prepare(`UPDATE session SET "expiresAt" = ?`).run(tomorrow)
      assert.deepStrictEqual(cookieNames(yield* ada.get("/")), [theirs])
      assert.deepStrictEqual(cookieNames(yield* ada.get("/")), [])
    }))

  it.live("a database of better-auth's that fails is a 500, and logs nobody out", () =>
    Effect.gen(function*() {
      const { browser, database } = yield* serveExample
      const ada = browser()
      yield* signUp(ada, "ada")
      const before = yield* read(ada, "/about")
      database.close()
      const { setCookies, status } = yield* ada.get("/")
      assert.strictEqual(status, 500)
      assert.deepStrictEqual(setCookies, [])
      assert.deepStrictEqual(yield* read(ada, "/about"), before)
    }))

  it.live("the example runs as it is started, and better-auth refuses other sites itself", () =>
    Effect.gen(function*() {
      const { listens, port } = yield* startExample("beside/better-auth/main.ts", { NODE_ENV: "production", TEST: "" })
      yield* listens
      const url = `http://127.0.0.1:${port}`
      const ada = browserOf(url)
      const { headers, body } = sent(people.ada)
      const from = (origin: string) =>
        clientOf(url).post("/api/auth/sign-up/email", { headers: { ...headers, origin }, body, cookie: "a=b" })
      assert.strictEqual((yield* from("https://evil.example")).status, 403)
      const answer = yield* from(`http://localhost:${port}`)
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(
        (yield* read(ada, "/", answer.setCookies.map((one) => one.split(";")[0]).join("; "))).user,
        "Ada"
      )
    }))
})
