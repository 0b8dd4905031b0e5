/**
 * What somebody does wrong once, in setting a test up: a defect that says what to write.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { CookieLayer, MemoryLayer, Session, SessionConfig } from "effect-session"
import * as SessionTest from "effect-session/SessionTest"
import { FetchHttpClient, HttpClientError } from "effect/http"
import { TestClock } from "effect/testing"
import { otherSecret, secret } from "../support/config.ts"
import { observe } from "../support/observe.ts"
import type { StoreLayer } from "../support/server.ts"
import { App, UserId } from "./application.ts"

type Options = SessionConfig.Options

const config = (options: Options = {}) => SessionConfig.layer({ secret, ...options })

const servers = { "in process": SessionTest.layer(), "on a port": NodeHttpServer.layerTest }

/** An application with sessions of its own, and a test that has others. */
const apart = (
  server: (typeof servers)[keyof typeof servers],
  application: Options,
  test: Options,
  store: StoreLayer = MemoryLayer.layer()
) =>
  Effect.provide(
    Layer.provideMerge(
      App.pipe(Layer.provide(store), Layer.provide(config(application)), Layer.provideMerge(server)),
      Layer.provideMerge(MemoryLayer.layer(), config(test))
    )
  )

const messageOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause), "a defect")
    return String(Exit.isFailure(exit) && Cause.squash(exit.cause))
  })

const login = Effect.flatMap(SessionTest.client(), (client) => client.submit("/login", { name: "Ada" }))

const begun = Effect.gen(function*() {
  const client = yield* SessionTest.client()
  yield* client.modifySession(Session.put(UserId, 7))
  return yield* client.get("/")
})

for (const [where, server] of Object.entries(servers)) {
  describe(`an application ${where}`, () => {
    it.effect("with another secret: when it sets a cookie", () =>
      Effect.gen(function*() {
        assert.match(
          yield* messageOf(login),
          /made with a different secret or a different name than the test's.*Provide one SessionConfig to both/
        )
      }).pipe(apart(server, {}, { secret: otherSecret })))

    it.effect("with another store: when it sets a cookie", () =>
      Effect.gen(function*() {
        assert.match(
          yield* messageOf(login),
          /a session that is not in the test's store\. Provide one SessionStore to both/
        )
      }).pipe(apart(server, {}, {})))

    it.effect("with another driver: when it sets a cookie", () =>
      Effect.gen(function*() {
        assert.match(yield* messageOf(login), /another driver, or another id\.protection/)
      }).pipe(apart(server, {}, {}, CookieLayer.layer())))
  })
}

describe("an application in process", () => {
  it.effect("with another store does not find the session that the test has begun", () =>
    Effect.gen(function*() {
      assert.match(
        yield* messageOf(begun),
        /did not find the session of this client\. Provide one SessionStore to both/
      )
    }).pipe(apart(servers["in process"], {}, {})))

  it.effect("with another name of the cookie does not either, which the log says once: it may have several", () => {
    const observed = observe()
    return Effect.gen(function*() {
      const client = yield* SessionTest.client()
      yield* client.modifySession(Session.put(UserId, 7))
      yield* client.get("/")
      yield* client.get("/")
      const warnings = observed.logs.filter(({ level }) => level === "Warn").map(({ message }) => message)
      assert.lengthOf(warnings, 1)
      assert.match(String(warnings[0]), /in the cookie sid, and the test in session\. Provide one SessionConfig/)
    }).pipe(apart(servers["in process"], { cookie: { name: "sid" } }, {}), Effect.provide(observed.layer))
  })

  it.effect("that is not there", () =>
    Effect.gen(function*() {
      const message = yield* messageOf(Effect.flatMap(SessionTest.client(), (client) => client.get("/")))
      assert.match(message, /there is no application yet\. Provide SessionTest\.layer\(\) to HttpRouter\.serve/)
    }).pipe(
      Effect.provide(Layer.provideMerge(SessionTest.layer(), Layer.provideMerge(MemoryLayer.layer(), config())))
    ))

  it.effect("is at its own address, and at no other", () =>
    Effect.gen(function*() {
      const client = yield* SessionTest.client()
      const error = yield* Effect.flip(client.get("https://elsewhere.example/"))
      assert.instanceOf(error, HttpClientError.HttpClientError)
      assert.match(error.message, /Only https:\/\/shop\.example is served in process/)
      assert.strictEqual((yield* client.get("https://www.shop.example/about")).status, 200)
    }).pipe(
      Effect.provide(
        App.pipe(
          Layer.provideMerge(SessionTest.layer({ url: "https://shop.example" })),
          Layer.provideMerge(MemoryLayer.layer()),
          Layer.provideMerge(config())
        )
      )
    ))
})

describe("a cookie of the session that no browser would keep", () => {
  const at = (url: string, options: Options) =>
    Effect.provide(
      App.pipe(
        Layer.provideMerge(SessionTest.layer({ url })),
        Layer.provideMerge(MemoryLayer.layer()),
        Layer.provideMerge(config(options))
      )
    )

  it.effect("as it is Secure, and the address is plain http", () =>
    Effect.gen(function*() {
      assert.match(
        yield* messageOf(begun),
        /rejects the cookie session of http:\/\/shop\.example: it is Secure, .*cookie: { secure: false }/
      )
    }).pipe(at("http://shop.example", {})))

  it.effect("as it is for another domain", () =>
    Effect.gen(function*() {
      assert.match(yield* messageOf(begun), /its Domain shop\.example does not match localhost/)
    }).pipe(at("https://localhost", { cookie: { domain: "shop.example" } })))
})

describe("a client", () => {
  const store = Effect.provide(Layer.provideMerge(MemoryLayer.layer(), config()))

  it.effect("that nobody has told where the application is", () =>
    Effect.gen(function*() {
      const message = yield* messageOf(SessionTest.client())
      assert.match(message, /address of the application is unknown\. Provide SessionTest\.layer\(\)/)
    }).pipe(Effect.provide(FetchHttpClient.layer), store))

  it.effect("whose application takes no cookies", () =>
    Effect.gen(function*() {
      const message = yield* messageOf(SessionTest.client())
      assert.match(
        message,
        /transports has no "cookie", which a client, like a browser, needs\. Create a session with Sessions\.create/
      )
    }).pipe(apart(servers["in process"], {}, { transports: ["bearer"] })))

  it.live("with a clock of its own has no sessions of a server that goes by the time of day", () =>
    Effect.gen(function*() {
      const server = yield* Layer.build(
        App.pipe(
          Layer.provide(CookieLayer.layer()),
          Layer.provideMerge(SessionTest.layer()),
          Layer.provide(config())
        )
      )
      const message = Effect.provide(messageOf(login), Layer.provideMerge(CookieLayer.layer(), config()))
      assert.match(
        yield* Effect.andThen(TestClock.setTime(Date.UTC(2100, 1)), message).pipe(
          Effect.provide(TestClock.layer()),
          Effect.provideContext(server)
        ),
        /has expired by the test's clock.*it\.live instead of it\.effect/
      )
    }))
})
