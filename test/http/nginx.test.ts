/**
 * Pages that read the session, behind a real nginx that keeps every response for a minute.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { Session } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { startNginx } from "../support/nginx.ts"
import { Name, ok, post } from "../support/routes.ts"
import { cookieOf, serve } from "../support/server.ts"

const account = Effect.map(Session.get(Name), Option.getOrElse(() => "nobody"))

const news = HttpServerResponse.text("news for all", { headers: { "cache-control": "public, max-age=60" } })

const routes = Layer.mergeAll(
  HttpRouter.add("GET", "/", Effect.succeed(ok)),
  HttpRouter.add("GET", "/account", Effect.map(account, (name) => HttpServerResponse.text(`account of ${name}`))),
  HttpRouter.add("GET", "/news", Effect.succeed(news)),
  post("/ada", Effect.andThen(Session.regenerate, Session.put(Name, "ada"))),
  post("/bob", Effect.andThen(Session.regenerate, Session.put(Name, "bob")))
)

describe("behind nginx", () => {
  it.effect("everybody gets their own page, from the cache as well", () =>
    Effect.gen(function*() {
      const server = yield* serve(routes)
      const nginx = yield* TestClock.withLive(startNginx(server.url, "proxy_cache_valid 200 1m;"))
      for (const name of ["ada", "bob"]) {
        const cookie = cookieOf(yield* server.post(`/${name}`))
        for (const cache of ["MISS", "HIT"]) {
          const { body, headers } = yield* nginx.get("/account", { cookie })
          assert.deepStrictEqual([body, headers["x-cache"]], [`account of ${name}`, cache])
        }
      }
      assert.strictEqual((yield* nginx.get("/account")).body, "account of nobody")
    }))

  it.effect("a page for all that extends the session gives nobody the cookie of another", () =>
    Effect.gen(function*() {
      const server = yield* serve(routes, { config: { rolling: "always" } })
      // A cache that keeps cookies with the pages, as a wrong setting makes it.
      const nginx = yield* TestClock.withLive(startNginx(server.url, "proxy_ignore_headers Set-Cookie Vary;"))
      const cookie = cookieOf(yield* server.post("/ada"))
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual((yield* nginx.get("/news", { cookie })).setCookies, [])
      const { headers, setCookies } = yield* nginx.get("/news")
      assert.deepStrictEqual([headers["x-cache"], setCookies], ["HIT", []])
    }))
})
