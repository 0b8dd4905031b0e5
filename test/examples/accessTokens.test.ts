/**
 * The example beside access tokens: they come from a real issuer, a better-auth on a server of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { betterAuth } from "better-auth"
import { getMigrations } from "better-auth/db/migration"
import { jwt } from "better-auth/plugins"
import { Effect } from "effect"
import { HttpEffect, HttpRouter } from "effect/http"
import { generateKeyPair, SignJWT } from "jose"
import { DatabaseSync } from "node:sqlite"
import * as Letters from "../../examples/beside/access-tokens/server.ts"
import { startExample } from "../support/exampleServer.ts"
import {
  type Browser,
  browserOf,
  type Client,
  cookieNames,
  cookieOf,
  serveLayer,
  type ServerLayer
} from "../support/server.ts"

// -----------------------------------------------------------------------------
// servers
// -----------------------------------------------------------------------------

const issuer = "https://login.example"
const audience = "letters"

const serveIssuer = Effect.gen(function*() {
  const auth = betterAuth({
    database: new DatabaseSync(":memory:"),
    secret: "s".repeat(32),
    baseURL: issuer,
    emailAndPassword: { enabled: true },
    plugins: [
      jwt({
        jwt: {
          issuer,
          audience,
          definePayload: ({ session, user }) => ({
            name: user.name,
            sid: session["id"],
            auth_time: Math.floor(session["createdAt"].getTime() / 1000)
          })
        }
      })
    ]
  })
  const { runMigrations } = yield* Effect.promise(() => getMigrations(auth.options))
  yield* Effect.promise(runMigrations)
  const routes = HttpRouter.add("*", "/api/auth/*", HttpEffect.fromWebHandler(auth.handler))
  const server = yield* serveLayer(
    HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }) as ServerLayer
  )
  return { ...server, keys: new URL("/api/auth/jwks", server.url) }
})

const serveLetters = (options: Letters.Options) =>
  serveLayer(
    HttpRouter.serve(Letters.layer(options), { disableLogger: true, disableListenLog: true }) as ServerLayer
  )

const serveExample = Effect.gen(function*() {
  const { browser, keys } = yield* serveIssuer
  const letters = yield* serveLetters({ issuer, audience, keys })
  return { atIssuer: browser, atLetters: letters.browser, letters, keys }
})

// -----------------------------------------------------------------------------
// what users do
// -----------------------------------------------------------------------------

const json = { "content-type": "application/json", origin: issuer }

const people = {
  ada: { name: "Ada", email: "ada@example.com", password: "the analytical engine" },
  grace: { name: "Grace", email: "grace@example.com", password: "a bug in the relay" }
}

const logIn = (client: Browser, person: keyof typeof people, how: "sign-up" | "sign-in") =>
  Effect.flatMap(
    client.post(`/api/auth/${how}/email`, { headers: json, body: JSON.stringify(people[person]) }),
    ({ body, status }) => {
      assert.strictEqual(status, 200, body)
      return tokenOf(client)
    }
  )

/** Another token of the same login. */
const tokenOf = (client: Browser) =>
  Effect.map(client.get("/api/auth/token"), ({ body }) => JSON.parse(body).token as string)

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

const read = (client: Pick<Client, "get">, token: string) =>
  Effect.map(client.get("/letter", { headers: bearer(token) }), (answer) => {
    assert.strictEqual(answer.status, 200, answer.body)
    const { draft, user } = JSON.parse(answer.body)
    return { user, draft: draft.value ?? null }
  })

const write = (client: Client, token: string, draft: string) =>
  Effect.map(
    client.send("PUT", "/letter", { headers: { ...json, ...bearer(token) }, body: JSON.stringify({ draft }) }),
    (answer) => {
      assert.strictEqual(answer.status, 204, answer.body)
      return answer
    }
  )

// -----------------------------------------------------------------------------
// tests
// -----------------------------------------------------------------------------

describe("a user with an access token", () => {
  it.live("has a session from the first request on, and the next token of the same login finds it", () =>
    Effect.gen(function*() {
      const { atIssuer, atLetters } = yield* serveExample
      const login = atIssuer()
      const ada = atLetters()
      const first = yield* write(ada, yield* logIn(login, "ada", "sign-up"), "Dear Charles")
      assert.deepStrictEqual(cookieNames(first), ["session"])
      const next = yield* ada.get("/letter", { headers: bearer(yield* tokenOf(login)) })
      assert.deepStrictEqual(next.setCookies, [])
      assert.deepStrictEqual(JSON.parse(next.body).draft.value, "Dear Charles")
    }))

  it.live("has a new id after a new login, and the same draft", () =>
    Effect.gen(function*() {
      const { atIssuer, atLetters } = yield* serveExample
      const ada = atLetters()
      const first = yield* write(ada, yield* logIn(atIssuer(), "ada", "sign-up"), "Dear Charles")
      const token = yield* logIn(atIssuer(), "ada", "sign-in")
      const second = yield* ada.get("/letter", { headers: bearer(token) })
      assert.deepStrictEqual(cookieNames(second), ["session"])
      assert.notStrictEqual(cookieOf(second), cookieOf(first))
      assert.deepStrictEqual(yield* read(ada, token), { user: "Ada", draft: "Dear Charles" })
    }))

  it.live("sees nothing of another one with the same browser", () =>
    Effect.gen(function*() {
      const { atIssuer, atLetters } = yield* serveExample
      const shared = atLetters()
      const ada = yield* logIn(atIssuer(), "ada", "sign-up")
      yield* write(shared, ada, "Dear Charles")
      assert.deepStrictEqual(yield* read(shared, yield* logIn(atIssuer(), "grace", "sign-up")), {
        user: "Grace",
        draft: null
      })
      assert.deepStrictEqual(yield* read(shared, ada), { user: "Ada", draft: null })
    }))

  it.live("who logs out of the session leaves nothing in it, for the same token either", () =>
    Effect.gen(function*() {
      const { atIssuer, atLetters, letters } = yield* serveExample
      const ada = atLetters()
      const token = yield* logIn(atIssuer(), "ada", "sign-up")
      const cookie = cookieOf(yield* write(ada, token, "Dear Charles"))
      assert.strictEqual((yield* ada.post("/logout", { headers: bearer(token) })).status, 204)
      const copied = yield* letters.get("/letter", { headers: bearer(token), cookie })
      assert.isUndefined(JSON.parse(copied.body).draft.value)
      assert.deepStrictEqual(yield* read(ada, token), { user: "Ada", draft: null })
    }))
})

describe("nobody else", () => {
  it.live("gets an answer: without a token, with what is none, or with one that another issuer has made", () =>
    Effect.gen(function*() {
      const { atIssuer, atLetters, letters } = yield* serveExample
      const ada = atLetters()
      yield* write(ada, yield* logIn(atIssuer(), "ada", "sign-up"), "Dear Charles")
      const { privateKey } = yield* Effect.promise(() => generateKeyPair("EdDSA"))
      const forged = yield* Effect.promise(() =>
        new SignJWT({ sub: "ada", name: "Ada", sid: "1", auth_time: 0 })
          .setProtectedHeader({ alg: "EdDSA" })
          .setIssuer(issuer)
          .setAudience(audience)
          .setExpirationTime("1 hour")
          .sign(privateKey)
      )
      for (const headers of [{}, bearer(""), bearer("x".repeat(10_000)), bearer(forged)]) {
        const answer = yield* letters.get("/letter", { headers, cookie: ada.cookies() })
        assert.strictEqual(answer.status, 401)
        assert.deepStrictEqual(answer.setCookies, [])
      }
    }))

  it.live("gets an answer with a token for another audience", () =>
    Effect.gen(function*() {
      const { atIssuer, keys } = yield* serveExample
      const token = yield* logIn(atIssuer(), "ada", "sign-up")
      const server = yield* serveLetters({ issuer, audience: "numbers", keys })
      assert.strictEqual((yield* server.get("/letter", { headers: bearer(token) })).status, 401)
    }))
})

it.live("an issuer that can't be reached is a 500, not a 401", () =>
  Effect.gen(function*() {
    const { browser } = yield* serveIssuer
    const token = yield* logIn(browser(), "ada", "sign-up")
    for (const keys of ["http://127.0.0.1:1/jwks", new URL("/not-there", (yield* serveIssuer).url).href]) {
      const server = yield* serveLetters({ issuer, audience, keys: new URL(keys) })
      assert.strictEqual((yield* server.get("/letter", { headers: bearer(token) })).status, 500, keys)
    }
  }))

it.live("the example runs as it is started", () =>
  Effect.gen(function*() {
    const { browser, keys } = yield* serveIssuer
    const token = yield* logIn(browser(), "ada", "sign-up")
    const { listens, port } = yield* startExample("beside/access-tokens/main.ts", {
      SESSION_SECRET: "s".repeat(32),
      ISSUER: issuer,
      AUDIENCE: audience,
      ISSUER_KEYS: keys.href
    })
    yield* listens
    const ada = browserOf(`http://127.0.0.1:${port}`)
    yield* write(ada, token, "Dear Charles")
    assert.deepStrictEqual(yield* read(ada, token), { user: "Ada", draft: "Dear Charles" })
  }))
