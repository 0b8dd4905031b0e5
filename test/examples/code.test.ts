/**
 * The example with a code that comes by mail: a login with it, and 200 that guess at the same time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import { Mails, Routes } from "../../examples/code/routes.ts"
import { setTimeOfDay } from "../support/clock.ts"
import { startExample } from "../support/exampleServer.ts"
import { clientOf, cookieOf, serveLayer } from "../support/server.ts"

const form = (body: string) => ({ headers: { "content-type": "application/x-www-form-urlencoded" }, body })

/** A server, and a visitor who has been sent a code. */
const stage = Effect.gen(function*() {
  const mails: Array<string> = []
  const Written = Layer.succeed(Mails, {
    send: (email, text) => Effect.sync(() => void mails.push(`${email} ${text}`))
  })
  const server = yield* serveLayer(
    Layer.provide(HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }), Written)
  )
  const cookie = cookieOf(yield* server.post("/code", form("email=ada@example.com")))
  const code = /^ada@example\.com Your code is (\d{6})\./.exec(mails[0]!)![1]!
  const wrong = code === "000000" ? "000001" : "000000"
  const login = (code: string) => server.post("/login", { ...form(`code=${code}`), cookie })
  return { code, cookie, login, server, wrong }
})

describe("the example with a code by mail", () => {
  it.effect("lets in who has the code, under another id, and once", () =>
    Effect.gen(function*() {
      const { code, cookie, login, wrong } = yield* stage
      assert.strictEqual((yield* login(wrong)).status, 401)
      const welcome = yield* login(code)
      assert.strictEqual(welcome.body, "Welcome, ada@example.com")
      assert.notStrictEqual(cookieOf(welcome), cookie)
      assert.strictEqual((yield* login(code)).status, 403)
    }))

  it.effect(
    "200 that guess at the same time have three tries, and then the code itself is worth nothing",
    () =>
      Effect.gen(function*() {
        const { code, login, wrong } = yield* stage
        const answers = yield* Effect.replicateEffect(login(wrong), 200, { concurrency: "unbounded" })
        const statuses = answers.map(({ status }) => status).toSorted()
        assert.deepStrictEqual(statuses, [401, 401, ...Array.from({ length: 198 }, () => 403)])
        assert.strictEqual((yield* login(code)).status, 403)
      }),
    30_000
  )

  it.effect("a code is good for ten minutes", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const { code, login } = yield* stage
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* login(code)).status, 403)
    }))

  it.effect("a form that is none is a Bad Request", () =>
    Effect.gen(function*() {
      const { server } = yield* stage
      for (const path of ["/code", "/login"]) {
        assert.strictEqual((yield* server.post(path, form("other=1"))).status, 400)
      }
    }))

  it.live("starts as its first lines say", () =>
    Effect.gen(function*() {
      const { listens, port } = yield* startExample("code/main.ts", {})
      yield* listens
      const answer = yield* clientOf(`http://127.0.0.1:${port}`).post("/code", form("email=ada@example.com"))
      assert.strictEqual(answer.body, "We have sent you a code")
    }), 30_000)
})
