/**
 * Sessions outside a request: on stores on a server, on a real Redis, and in cookies.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, Redacted, Scope } from "effect"
import { MemoryLayer, Session, SessionConfig, SessionError, Sessions, SessionStore } from "effect-session"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { secret } from "../support/config.ts"
import { storesWithRedis } from "../support/drivers.ts"
import { watchStore } from "../support/failingStore.ts"
import { basicRoutes, Count, Name } from "../support/routes.ts"
import { cookieOf, serve, type StoreLayer } from "../support/server.ts"

const stores = storesWithRedis()

type Services = SessionStore.SessionStore | SessionConfig.SessionConfig

const application = (store: StoreLayer, options: SessionConfig.Options = {}) =>
  Layer.provideMerge(store, SessionConfig.layer({ secret, ...options }))

const read = <A, E>(presented: Sessions.Presented, effect: Effect.Effect<A, E, Session.Session>) =>
  Effect.flatMap(
    Sessions.open(presented, { readonly: true }),
    (session) => Effect.provideService(effect, Session.Session, session)
  )

const allOf = (presented: Sessions.Presented) => read(presented, Session.all)

const tokenOf = ({ token }: Sessions.Committed) => Option.getOrThrow(token)

/** The Cookie header of a client that keeps these. */
const cookiesOf = ({ setCookie }: { readonly setCookie: Sessions.Committed["setCookie"] }) => ({
  cookies: Redacted.value(setCookie).filter((header) => !header.includes("Max-Age=0")).map((header) =>
    header.split(";", 1)[0]!
  ).join("; ")
})

const put = Session.put(Name, "Ada")

for (const [driver, makeStore] of Object.entries(stores)) {
  describe(driver, () => {
    const isStateless = driver === "CookieLayer"

    const test = <A, E>(
      title: string,
      effect: () => Effect.Effect<A, E, Services | Scope.Scope>,
      options?: SessionConfig.Options
    ) =>
      it.effect(
        title,
        () => Effect.provide(Effect.suspend(effect), Layer.suspend(() => application(makeStore(), options)))
      )

    test("Sessions.create stores what the effect puts, and hands out the token and the cookie", () =>
      Effect.gen(function*() {
        const created = yield* Sessions.create(Effect.as(put, "done"))
        assert.strictEqual(created.value, "done")
        assert.deepStrictEqual(yield* allOf({ token: created.token }), { name: "Ada" })
        assert.deepStrictEqual(yield* allOf(cookiesOf(created)), { name: "Ada" })
      }))

    test("Sessions.create stores a session with nothing in it as well", () =>
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(Effect.void)
        assert.isTrue(Option.isSome(yield* read({ token }, Session.createdAt)))
      }))

    test("Sessions.create leaves a message for the first request", () =>
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(Session.flash("message", "Welcome"))
        const messages = yield* read({ token }, Session.flashMessages)
        assert.deepStrictEqual(messages.all(), { message: "Welcome" })
      }))

    test("Sessions.create is a SessionGoneError if the effect ends the session", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Sessions.create(Effect.andThen(put, Session.destroy)))
        assert.instanceOf(error, SessionError.SessionGoneError)
      }))

    test("Sessions.modify writes what the effect changes, and gives its value", () =>
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(Session.put(Count, 1))
        const modified = yield* Sessions.modify({ token }, Session.increment(Count))
        assert.strictEqual(modified.value, 2)
        assert.deepStrictEqual(yield* allOf({ token: tokenOf(modified) }), { count: 2 })
        assert.strictEqual(Redacted.value(tokenOf(modified)) === Redacted.value(token), !isStateless)
        assert.strictEqual(Redacted.value(modified.setCookie).length, isStateless ? 1 : 0)
      }))

    test("Sessions.modify leaves messages to the next request", () =>
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(Session.flash("message", "Saved"))
        const modified = yield* Sessions.modify({ token }, put)
        const messages = yield* read({ token: tokenOf(modified) }, Session.flashMessages)
        assert.deepStrictEqual(messages.all(), { message: "Saved" })
      }))

    test("Sessions.modify is a SessionGoneError without a session, and the effect does not run", () =>
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(put)
        yield* Sessions.destroy({ token })
        const run = Effect.sync(() => assert.fail("It does not run"))
        for (const presented of [{ token }, { token: Redacted.make("unknown") }, { cookies: undefined }]) {
          assert.instanceOf(yield* Effect.flip(Sessions.modify(presented, run)), SessionError.SessionGoneError)
        }
      }))

    test("Sessions.commit, again and again, hands out what the client must hold", () =>
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(Effect.void)
        const session = yield* Sessions.open({ token })
        const increment = Effect.provideService(Session.increment(Count), Session.Session, session)
        for (const count of [1, 2, 3]) {
          yield* increment
          const committed = yield* Sessions.commit(session)
          assert.deepStrictEqual(yield* allOf({ token: tokenOf(committed) }), { count })
          assert.strictEqual(Redacted.value(committed.setCookie).length, isStateless ? 1 : 0)
        }
      }))

    test("Sessions.commit gives no token where nothing was ever put", () =>
      Effect.gen(function*() {
        const committed = yield* Effect.flatMap(Sessions.open({ cookies: undefined }), Sessions.commit)
        assert.isTrue(Option.isNone(committed.token))
        assert.deepStrictEqual(Redacted.value(committed.setCookie), [])
      }))

    test("Sessions.regenerate gives a new token, and the old one is dead", () =>
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(put)
        const regenerated = yield* Effect.flatMap(Sessions.open({ token }), Sessions.regenerate)
        assert.deepStrictEqual(yield* allOf({ token }), {})
        assert.deepStrictEqual(yield* allOf({ token: tokenOf(regenerated) }), { name: "Ada" })
        assert.deepStrictEqual(yield* allOf(cookiesOf(regenerated)), { name: "Ada" })
        assert.instanceOf(yield* Effect.flip(Sessions.destroy({ token })), SessionError.SessionGoneError)
        assert.deepStrictEqual(yield* allOf({ token: tokenOf(regenerated) }), { name: "Ada" })
      }))

    test("Sessions.destroy ends an opened session, and that of a token or of cookies, and clears the cookie", () =>
      Effect.gen(function*() {
        const ways = [
          (by: Sessions.Presented) => Sessions.destroy(by),
          (by: Sessions.Presented) => Effect.flatMap(Sessions.open(by), (session) => Sessions.destroy(session))
        ]
        for (const end of ways) {
          for (const by of ["token", "cookies"]) {
            const created = yield* Sessions.create(put)
            const { setCookie, token } = yield* end(by === "token" ? { token: created.token } : cookiesOf(created))
            assert.isTrue(Option.isNone(token))
            assert.match(Redacted.value(setCookie).join(), /^session=; Max-Age=0; /)
            assert.deepStrictEqual(yield* allOf({ token: created.token }), {})
          }
        }
      }))

    test("no token shows where a result is printed", () =>
      Effect.gen(function*() {
        const created = yield* Sessions.create(put)
        const modified = yield* Sessions.modify({ token: created.token }, Session.regenerate)
        const text = [created, modified].map((result) => inspect(result, { depth: null }) + JSON.stringify(result))
          .join()
        for (const token of [created.token, tokenOf(modified)]) assert.notInclude(text, Redacted.value(token))
      }))

    test(
      "a session in several cookies comes as several headers, and the cookies that it does not take are cleared",
      () =>
        Effect.gen(function*() {
          const long = "x".repeat(isStateless ? 5_000 : 10)
          const created = yield* Sessions.create(Session.put(Name, long))
          const headers = Redacted.value(created.setCookie)
          assert.strictEqual(headers.length, 4)
          assert.strictEqual(headers.filter((header) => header.includes("Max-Age=0")).length, isStateless ? 2 : 3)
          assert.deepStrictEqual(yield* allOf(cookiesOf(created)), { name: long })
        }),
      { cookie: { chunks: 4 } }
    )

    it.effect("a server takes the cookie for one of its own, with the attributes of its own", () =>
      Effect.gen(function*() {
        const services = yield* Layer.build(application(makeStore()))
        const store = Layer.succeedContext(services) as StoreLayer
        const server = yield* serve(basicRoutes, { store })
        const created = yield* Effect.provide(Sessions.create(Session.put(Count, 1)), services)
        const [setCookie] = Redacted.value(created.setCookie)
        const answer = yield* server.post("/login")
        const attributesOf = (header: string) =>
          header.split("; ").slice(1).filter((part) => !/^(Max-Age|Expires)=/.test(part))
        assert.deepStrictEqual(attributesOf(setCookie!), attributesOf(answer.setCookies[0]!))
        assert.strictEqual((yield* server.get("/", { cookie: setCookie!.split(";", 1)[0] })).body, "{\"count\":1}")
        const read = yield* Effect.provide(allOf({ cookies: cookieOf(answer) }), services)
        assert.deepStrictEqual(read, { name: "Ada" })
      }))
  })

  describe(`${driver}, by the calls of its store`, () => {
    const make = () => {
      const store = watchStore(
        Effect.map(Layer.build(makeStore()), (context) => Context.get(context, SessionStore.SessionStore))
      )
      return { layer: application(store.layer), store }
    }

    const changes = Effect.all([put, Session.flash("message", "Saved"), Session.regenerate, Session.destroy, put])

    const withoutCommit: Record<string, (by: Sessions.Presented) => Effect.Effect<unknown, unknown, Services>> = {
      "Sessions.open": (by) =>
        Effect.flatMap(Sessions.open(by), (session) => Effect.provideService(changes, Session.Session, session)),
      "Sessions.openScoped": (by) =>
        Effect.scoped(Effect.flatMap(
          Sessions.openScoped(by),
          (session) => Effect.provideService(changes, Session.Session, session)
        )),
      "Sessions.open, read-only": (by) =>
        Effect.flatMap(Sessions.open(by, { readonly: true }), (session) => Effect.flip(Sessions.regenerate(session))),
      "Sessions.modify of an effect that fails": (by) =>
        Effect.flip(Sessions.modify(by, Effect.andThen(changes, Effect.fail("no"))))
    }

    for (const [name, open] of Object.entries(withoutCommit)) {
      it.effect(`${name} writes nothing`, () => {
        const { layer, store } = make()
        return Effect.gen(function*() {
          const { token } = yield* Sessions.create(put)
          yield* TestClock.adjust("1 hour")
          store.newCalls()
          yield* open({ token })
          assert.deepStrictEqual(store.newCalls(), ["load"])
          assert.deepStrictEqual(yield* allOf({ token }), { name: "Ada" })
        }).pipe(Effect.provide(layer))
      })
    }

    it.effect("each writes once", () => {
      const { layer, store } = make()
      return Effect.gen(function*() {
        const { token } = yield* Sessions.create(put)
        assert.deepStrictEqual(store.newCalls(), ["create"])
        const modified = yield* Sessions.modify({ token }, Session.increment(Count))
        assert.deepStrictEqual(store.newCalls(), ["load", "update"])
        const regenerated = yield* Effect.flatMap(Sessions.open({ token: tokenOf(modified) }), Sessions.regenerate)
        assert.deepStrictEqual(store.newCalls(), ["load", "regenerate"])
        yield* Sessions.destroy({ token: tokenOf(regenerated) })
        assert.deepStrictEqual(store.newCalls(), ["load", "destroy"])
        const error = yield* Effect.flip(Sessions.create(Effect.andThen(put, Effect.fail("no"))))
        assert.strictEqual(error, "no")
        assert.deepStrictEqual(store.newCalls(), [])
      }).pipe(Effect.provide(layer))
    })
  })
}

describe("a session whose time to change is over", () => {
  const memory = application(MemoryLayer.layer())

  it.effect("refuses changes when the scope that it was opened in is closed, and can still be read", () =>
    Effect.gen(function*() {
      const { token } = yield* Sessions.create(put)
      const scope = yield* Scope.make()
      const session = yield* Scope.provide(Sessions.openScoped({ token }), scope)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(Effect.provideService(put, Session.Session, session))
      assert.instanceOf(error, SessionError.SessionClosedError)
      assert.instanceOf(yield* Effect.flip(Sessions.commit(session)), SessionError.SessionClosedError)
      assert.deepStrictEqual(yield* Effect.provideService(Name, Session.Session, session), Option.some("Ada"))
    }).pipe(Effect.provide(memory)))

  it.effect("refuses what a fiber that Sessions.modify has left behind does to it", () =>
    Effect.gen(function*() {
      const { token } = yield* Sessions.create(put)
      const isOver = yield* Deferred.make<void>()
      const late = Effect.andThen(Deferred.await(isOver), Effect.flip(Session.put(Count, 1)))
      const { value: fiber } = yield* Sessions.modify({ token }, Effect.forkDetach(late))
      yield* Deferred.succeed(isOver, undefined)
      assert.instanceOf(yield* Fiber.join(fiber), SessionError.SessionClosedError)
      assert.deepStrictEqual(yield* allOf({ token }), { name: "Ada" })
    }).pipe(Effect.provide(memory)))

  it.effect("is a SessionGoneError of the commit if another one has ended it", () =>
    Effect.gen(function*() {
      const { token } = yield* Sessions.create(put)
      const ended = Sessions.modify({ token }, Effect.andThen(Session.put(Count, 1), Sessions.destroy({ token })))
      assert.instanceOf(yield* Effect.flip(ended), SessionError.SessionGoneError)
      assert.deepStrictEqual(yield* allOf({ token }), {})
    }).pipe(Effect.provide(memory)))

  it.effect("is not there while sessions are switched off", () =>
    Effect.gen(function*() {
      assert.instanceOf(yield* Effect.flip(Sessions.create(put)), SessionError.SessionGoneError)
    }).pipe(Effect.provide(application(MemoryLayer.layer(), { enabled: false }))))
})
