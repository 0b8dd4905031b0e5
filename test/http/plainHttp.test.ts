/**
 * In development, the log says once that a browser drops the cookie because it is `Secure` on plain http; and nothing where
 * the browser keeps it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { SessionConfig } from "effect-session"
import { afterEach, vi } from "vitest"
import { message } from "../../src/internal/http/plainHttp.ts"
import { observe } from "../support/observe.ts"
import { basicRoutes } from "../support/routes.ts"
import { serve } from "../support/server.ts"

const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

const safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
  "Version/18.0 Safari/605.1.15"

type Headers = Readonly<Record<string, string>>

/** A phone in the same network. */
const phone: Headers = { "user-agent": chrome, host: "192.168.1.20:3000" }

/** The warnings that requests with these headers leave, each of which begins a session. */
const warningsOf = (requests: ReadonlyArray<Headers>, config: SessionConfig.Options = {}) =>
  Effect.gen(function*() {
    const seen = observe()
    yield* Effect.provide(
      Effect.gen(function*() {
        const server = yield* serve(basicRoutes, { config })
        for (const headers of requests) yield* server.post("/count", { headers })
      }),
      seen.layer
    )
    return seen.logs.filter(({ level }) => level === "Warn")
  })

afterEach(() => {
  vi.unstubAllEnvs()
})

describe("a Secure cookie on plain http", () => {
  it.effect("is told once, with the path of the request", () =>
    Effect.gen(function*() {
      const warnings = yield* warningsOf([phone, phone, phone])
      assert.deepStrictEqual(warnings.map((warning) => warning.message), [message])
      assert.include(warnings[0]!.annotations, { "http.request.method": "POST", "url.path": "/count" })
    }))

  it.effect("is told of Safari on localhost, as soon as a page says where it is", () =>
    Effect.gen(function*() {
      const host = "localhost:3000"
      const browser = { "user-agent": safari, host, "sec-fetch-site": "same-origin" }
      assert.lengthOf(yield* warningsOf([{ ...browser, origin: "http://localhost:3000" }]), 1)
      assert.lengthOf(yield* warningsOf([{ ...browser, referer: "http://localhost:3000/login" }]), 1)
      assert.lengthOf(yield* warningsOf([browser, { ...browser, origin: "https://localhost:3000" }]), 0)
    }))

  const kept: ReadonlyArray<readonly [string, Headers]> = [
    ["localhost", { "user-agent": chrome, host: "localhost:3000" }],
    ["a loopback address", { "user-agent": chrome, host: "[::1]:3000", origin: "http://[::1]:3000" }],
    ["https, which the browser tells by Sec-Fetch-Site", { ...phone, "sec-fetch-site": "none" }],
    ["a proxy that may have TLS", { ...phone, "x-forwarded-proto": "https" }],
    ["a client that is no browser", { ...phone, "user-agent": "curl/8.5.0" }]
  ]

  it.effect.each(kept)("is not told of %s", ([, headers]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* warningsOf([headers]), [])
    }))

  it.effect("is not told of a cookie that is not Secure", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* warningsOf([phone], { cookie: { secure: false } }), [])
    }))

  it.effect("is not told of a token that is in another header", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* warningsOf([phone], { transports: ["header"] }), [])
    }))

  it.effect("is not told in production", () =>
    Effect.gen(function*() {
      vi.stubEnv("NODE_ENV", "production")
      assert.deepStrictEqual(yield* warningsOf([phone]), [])
    }))
})
