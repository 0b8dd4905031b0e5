/**
 * A change that is committed at once and by itself, apart from what the handler has changed and from what becomes of it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer } from "effect"
import { Session, SessionError, SessionKey } from "effect-session"
import * as Schema from "effect/Schema"
import * as Aside from "../../src/internal/request/aside.ts"
import type { RequestSession } from "../../src/internal/request/requestSession.ts"
import { storesWithRedis } from "../support/drivers.ts"
import { serveWatched, watchStore } from "../support/failingStore.ts"
import { basicRoutes, Count, Name, post, slowRoute } from "../support/routes.ts"
import { cookieNames, cookieOf, serve } from "../support/server.ts"

const Sum = SessionKey.make("aside", Schema.Int).pipe(SessionKey.withDefault(() => 0))

const commitAside = <A>(aside: Aside.Aside<A>) =>
  Effect.gen(function*() {
    const session = (yield* Session.Session) as unknown as RequestSession
    yield* session.ready
    return yield* Aside.commit(session, aside)
  })

/** Adds to a number, and gives the sum. */
const add = (by = 1) =>
  commitAside({
    reads: ["aside"],
    decide: (fields) => {
      const sum = Number(fields.get("aside") ?? 0) + by
      return { answer: sum, writes: new Map([["aside", String(sum)]]) }
    }
  })

const stores = storesWithRedis()

describe.each(Object.entries(stores))("a change that is committed by itself, with the %s", (driver, makeStore) => {
  const isInCookie = driver === "CookieLayer"

  const stage = Effect.fnUntraced(function*(work: Effect.Effect<unknown, unknown, Session.Session>) {
    const server = yield* serve(Layer.mergeAll(basicRoutes, post("/work", work)), { store: makeStore() })
    const cookie = cookieOf(yield* server.post("/count"))
    const answer = yield* server.post("/work", { cookie })
    const now = cookieOf(answer) || cookie
    return { answer, found: JSON.parse((yield* server.get("/", { cookie: now })).body) as unknown }
  })

  it.effect("stays when the handler fails, and nothing else does", () =>
    Effect.gen(function*() {
      const { answer, found } = yield* stage(
        Effect.all([Session.put(Name, "Ada"), add(), Session.increment(Count), Effect.die("no")])
      )
      assert.strictEqual(answer.status, 500)
      assert.deepStrictEqual(found, { count: 1, aside: 1 })
      assert.deepStrictEqual(cookieNames(answer), isInCookie ? ["session"] : [], "the cookie goes out with the error")
    }))

  it.effect("stays when the handler rolls back", () =>
    Effect.gen(function*() {
      const { found } = yield* stage(Effect.all([Session.put(Name, "Ada"), add(), Session.rollback]))
      assert.deepStrictEqual(found, { count: 1, aside: 1 })
    }))

  it.effect("is not undone by what the handler commits later, and seen at once", () =>
    Effect.gen(function*() {
      const { found } = yield* stage(
        Effect.gen(function*() {
          yield* Session.put(Name, "Ada")
          yield* Session.modify(Count, (count) => count * 10)
          yield* add()
          yield* Session.increment(Count)
          assert.deepStrictEqual(yield* Session.all, { count: 11, name: "Ada", aside: 1 })
        }).pipe(Effect.orDie)
      )
      assert.deepStrictEqual(found, { count: 11, name: "Ada", aside: 1 })
    }))

  it.effect("goes along when the session gets another id, and when it is regenerated", () =>
    Effect.gen(function*() {
      const { found } = yield* stage(Effect.all([Session.regenerate, add(), Session.put(Name, "Ada"), add()]))
      assert.deepStrictEqual(found, { count: 1, name: "Ada", aside: 2 })
    }))

  it.effect("ends with the session that the handler ends", () =>
    Effect.gen(function*() {
      const { answer, found } = yield* stage(Effect.all([add(), Session.destroy]))
      assert.match(answer.setCookies[0]!, /Max-Age=0/)
      assert.deepStrictEqual(found, {})
    }))

  it.effect("stays when the atomic effect around it fails, and is seen within and behind it", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const see = Effect.map(Session.all, (all) => seen.push(all))
      const inner = Session.atomic(Effect.all([Session.increment(Count), add(), see, Effect.fail("no")]))
      const outer = Session.atomic(Effect.all([Session.put(Name, "Ada"), Effect.ignore(inner), see, Effect.fail("no")]))
      const { found } = yield* stage(Effect.andThen(Effect.ignore(outer), see))
      const left = { count: 1, aside: 1 }
      assert.deepStrictEqual(seen, [{ ...left, count: 2, name: "Ada" }, { ...left, name: "Ada" }, left])
      assert.deepStrictEqual(found, left)
    }))

  it.effect("adds up with those of parallel fibers and of their commits", () =>
    Effect.gen(function*() {
      const step = Effect.all([add(), Session.increment(Count), Session.commit, add()], { discard: true })
      const { found } = yield* stage(Effect.replicateEffect(step, 10, { concurrency: "unbounded" }))
      assert.deepStrictEqual(found, { count: 11, aside: 20 })
    }))

  it.effect("is one more change of the handler where nobody else can know of the value", () =>
    Effect.gen(function*() {
      const own = Effect.andThen(Session.put(Sum, 5), add())
      assert.deepStrictEqual((yield* stage(own)).found, { count: 1, aside: 6 })
      assert.deepStrictEqual((yield* stage(Effect.andThen(own, Effect.die("no")))).found, { count: 1 })
    }))
})

describe("a change that is committed by itself", () => {
  it.effect("of parallel requests on two servers adds up", () =>
    Effect.gen(function*() {
      const routes = Layer.mergeAll(basicRoutes, post("/work", add()))
      const servers = yield* Effect.replicateEffect(serve(routes, { store: stores.RedisLayer() }), 2)
      const cookie = cookieOf(yield* servers[0]!.post("/count"))
      const requests = Array.from({ length: 40 }, (_, index) => servers[index % 2]!.post("/work", { cookie }))
      const answers = yield* Effect.all(requests, { concurrency: "unbounded" })
      assert.isTrue(answers.every(({ status }) => status === 200))
      assert.deepStrictEqual(JSON.parse((yield* servers[1]!.get("/", { cookie })).body), { count: 1, aside: 40 })
    }))

  it.effect("runs functions of the handler again on what is there by then, at once", () =>
    Effect.gen(function*() {
      let seen: unknown
      const slow = slowRoute(
        "/slow",
        Session.modify(Count, (count) => count * 10),
        Effect.andThen(add(), Effect.map(Session.all, (all) => seen = all))
      )
      const other = post("/work", Effect.andThen(Session.increment(Count), Effect.andThen(Session.commit, add(5))))
      const server = yield* serve(Layer.mergeAll(basicRoutes, other, slow.route), { store: stores.MemoryLayer() })
      const cookie = cookieOf(yield* server.post("/count"))
      const request = yield* Effect.forkChild(server.post("/slow", { cookie }))
      yield* slow.reached
      yield* server.post("/work", { cookie })
      yield* slow.release
      yield* Fiber.join(request)
      assert.deepStrictEqual(seen, { count: 20, aside: 6 })
      assert.deepStrictEqual(JSON.parse((yield* server.get("/", { cookie })).body), seen)
    }))

  it.effect("waits for a commit of its request that is under way", () =>
    Effect.gen(function*() {
      const store = watchStore()
      let seen: unknown
      const { cookie, server } = yield* serveWatched(
        post(
          "/work",
          Effect.gen(function*() {
            yield* Session.put(Name, "Ada")
            const writing = store.holds("update")
            const committing = yield* Effect.forkChild(Session.commit)
            yield* writing.reached
            const adding = yield* Effect.forkChild(add())
            yield* Effect.yieldNow
            yield* writing.release
            yield* Fiber.join(committing)
            yield* Fiber.join(adding)
            seen = yield* Session.all
          })
        ),
        { store }
      )
      yield* server.post("/work", { cookie })
      assert.deepStrictEqual(seen, { count: 1, name: "Ada", aside: 1 })
      assert.deepStrictEqual(JSON.parse((yield* server.get("/", { cookie })).body), seen)
    }))

  it.effect("is a typed error where the session is gone, and where another request has given it another id", () =>
    Effect.gen(function*() {
      const exits: Array<Exit.Exit<unknown, unknown>> = []
      for (const end of ["/logout", "/login"]) {
        const slow = slowRoute(
          "/slow",
          Session.all,
          Effect.map(Effect.exit(add()), (exit) => exits.push(exit))
        )
        const server = yield* serve(Layer.mergeAll(basicRoutes, slow.route), { store: stores.MemoryLayer() })
        const cookie = cookieOf(yield* server.post("/count"))
        const request = yield* Effect.forkChild(server.post("/slow", { cookie }))
        yield* slow.reached
        yield* server.post(end, { cookie })
        yield* slow.release
        yield* Fiber.join(request)
      }
      for (const exit of exits) {
        assert.deepStrictEqual(exit, Exit.fail(new SessionError.SessionGoneError({})))
      }
      assert.lengthOf(exits, 2)
    }))

  it.effect("is a typed error where the store fails, and nothing is lost of what the handler has changed", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const { cookie, server } = yield* serveWatched(
        post(
          "/work",
          Effect.gen(function*() {
            yield* Session.put(Name, "Ada")
            store.fails("update")
            const exit = yield* Effect.exit(add())
            store.works()
            assert.isTrue(Exit.isFailure(exit))
          })
        ),
        { store }
      )
      yield* server.post("/work", { cookie })
      assert.deepStrictEqual(JSON.parse((yield* server.get("/", { cookie })).body), { count: 1, name: "Ada" })
    }))
})
