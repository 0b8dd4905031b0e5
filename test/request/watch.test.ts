/**
 * Waiting for a session to end, wherever it is ended.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Option, Redacted, type Scope } from "effect"
import { MemoryLayer, Session, SessionConfig, type SessionOwners, Sessions, SessionStore } from "effect-session"
import { HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import * as Events from "../../src/internal/request/events.ts"
import { secret } from "../support/config.ts"
import { storesWithRedis } from "../support/drivers.ts"
import { basicRoutes, Name, ok } from "../support/routes.ts"
import { cookieOf, serve, type StoreLayer } from "../support/server.ts"

const stores = storesWithRedis()

type Services = SessionStore.SessionStore | SessionConfig.SessionConfig

const config = (options: SessionConfig.Options = {}) =>
  SessionConfig.layer({ secret, touchEvery: "10 seconds", ...options })

const put = Session.put(Name, "Ada")

const tokenOf = ({ token }: Sessions.Committed) => ({ token: Option.getOrThrow(token) })

const start = <E, R>(watch: Effect.Effect<void, E, R>) => Effect.forkChild(watch, { startImmediately: true })

/** Watches from now on: opening the session takes a real store a while. */
const startWith = (presented: Sessions.Presented) =>
  Effect.flatMap(Sessions.open(presented), (session) => start(Sessions.watch(session)))

/** Whether it has ended by now, as far as that needs no time. */
const isOver = Effect.fnUntraced(function*<E>(watching: Fiber.Fiber<void, E>) {
  for (let count = 0; count < 10; count++) yield* Effect.yieldNow
  return watching.pollUnsafe() !== undefined
})

/** What another server does, on the same back end: nobody here hears of it. */
const elsewhere = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(SessionStore.SessionStore, (store) =>
    Effect.provideServiceEffect(
      effect,
      SessionStore.SessionStore,
      SessionStore.make({ ...store, owners: undefined })
    ))

/** How many sessions the store was asked for at once, each time that it has answered. */
const looks: Array<number> = []

/** A store in whose place another one counts, and does this before. */
const counting = Effect.fnUntraced(function*(before: Effect.Effect<void> = Effect.void) {
  const store = yield* SessionStore.SessionStore
  return yield* SessionStore.make({
    ...store,
    owners: undefined,
    look: (keys) =>
      Effect.tap(
        Effect.andThen(before, store.look!(keys)),
        () => Effect.sync(() => looks.push(keys.length))
      )
  })
})

const withCounting = (store: StoreLayer): StoreLayer =>
  Layer.provide(Layer.effect(SessionStore.SessionStore, counting()), store) as StoreLayer

/** A real store takes its own time, whatever the clock says. */
const realTime = Effect.promise(() => new Promise(setImmediate))

/** Time goes by, until the store has been looked at. */
const untilLook = Effect.fnUntraced(function*(time: `${number} seconds`) {
  const before = looks.length
  yield* TestClock.adjust(time)
  while (looks.length === before) yield* realTime
})

/** Time goes by, until it has ended: after that, the store isn't looked at again. */
const untilOver = Effect.fnUntraced(function*<E>(watching: Fiber.Fiber<void, E>) {
  while (watching.pollUnsafe() === undefined) {
    yield* TestClock.adjust("1 second")
    yield* realTime
  }
})

for (const [driver, makeStore] of Object.entries(stores)) {
  describe(`on the ${driver}`, () => {
    const test = <A, E>(
      title: string,
      effect: () => Effect.Effect<A, E, Services | Scope.Scope>,
      options?: SessionConfig.Options
    ) =>
      it.effect(
        title,
        () =>
          Effect.provide(
            Effect.suspend(effect),
            Layer.suspend(() => Layer.provideMerge(withCounting(makeStore()), config(options)))
          )
      )

    test("a session that ends in this process has ended at once, for all who watch it in whatever way", () =>
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(put)
        const another = yield* Sessions.create(put)
        const watching = [
          yield* start(Sessions.watch({ token })),
          yield* start(Sessions.watch({ cookies: `session=${Redacted.value(token)}` })),
          yield* start(Sessions.watch(yield* Sessions.open({ token })))
        ]
        const other = yield* start(Sessions.watch(another))
        for (const one of watching) assert.isFalse(yield* isOver(one))
        yield* Sessions.destroy({ token })
        yield* Effect.forEach(watching, Fiber.join)
        assert.isFalse(yield* isOver(other))
        yield* Fiber.interrupt(other)
      }))

    test("a session that another server ends has ended when touchEvery is over", () =>
      Effect.gen(function*() {
        const one = yield* Sessions.create(put)
        const another = yield* Sessions.create(put)
        const watching = yield* startWith(one)
        const other = yield* startWith(another)
        yield* untilLook("10 seconds")
        yield* elsewhere(Sessions.destroy(one))
        yield* TestClock.adjust("9 seconds")
        assert.isFalse(yield* isOver(watching))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(watching)
        assert.isFalse(yield* isOver(other))
        yield* Fiber.interrupt(other)
      }))

    test("a session that gets another id goes on, in this process and elsewhere, until that one ends", () =>
      Effect.gen(function*() {
        const first = yield* Sessions.create(put)
        const watching = yield* startWith(first)
        const second = tokenOf(yield* Sessions.modify(first, Session.regenerate))
        const third = tokenOf(yield* elsewhere(Sessions.modify(second, Session.regenerate)))
        yield* untilLook("10 seconds")
        const fourth = tokenOf(yield* Sessions.modify(third, Session.regenerate))
        // The marks of those before are gone by then.
        for (let count = 0; count < 10; count++) yield* untilLook("10 seconds")
        assert.isFalse(yield* isOver(watching))
        yield* Sessions.destroy(fourth)
        yield* Fiber.join(watching)
      }))

    test("a session that is not there has ended", () =>
      Effect.gen(function*() {
        const { token } = yield* Sessions.create(put)
        yield* Sessions.destroy({ token })
        yield* Sessions.watch({ token })
        yield* Sessions.watch({ cookies: undefined })
        yield* Sessions.watch(yield* Sessions.open({ cookies: undefined }))
      }))

    test("a session that nobody uses has ended when its time is over", () =>
      Effect.gen(function*() {
        const watching = yield* startWith(yield* Sessions.create(put))
        yield* untilLook("540 seconds")
        assert.isFalse(yield* isOver(watching))
        // In a cookie, it may be in use on another server, as far as anybody knows.
        yield* TestClock.adjust(driver === "CookieLayer" ? "50 minutes" : "30 seconds")
        assert.isFalse(yield* isOver(watching))
        yield* untilOver(watching)
        const over = driver === "CookieLayer" ? 60 : 10
        assert.isAtLeast(yield* Clock.currentTimeMillis, over * 60_000)
      }), { age: "10 minutes", absoluteAge: "1 hour" })

    test("when nobody watches any more, nobody listens, and the store is not asked", () =>
      Effect.gen(function*() {
        const store = yield* SessionStore.SessionStore
        const session = yield* Sessions.create(put)
        assert.isFalse(Events.listenersOf(store).areThere)
        for (let round = 0; round < 2; round++) {
          const watching = [yield* startWith(session), yield* startWith(session)]
          assert.isTrue(Events.listenersOf(store).areThere)
          yield* untilLook("10 seconds")
          assert.strictEqual(looks.at(-1), 1)
          yield* Effect.forEach(watching, Fiber.interrupt)
          assert.isFalse(Events.listenersOf(store).areThere)
          const before = looks.length
          yield* TestClock.adjust("1 hour")
          assert.lengthOf(looks, before)
        }
      }), { age: "2 hours" })
  })
}

describe("watching", () => {
  const test = <A, E>(
    title: string,
    effect: Effect.Effect<A, E, Services | SessionOwners.SessionOwners | SessionOwners.SessionIndex | Scope.Scope>,
    options?: SessionConfig.Options
  ) => it.effect(title, () => Effect.provide(effect, Layer.provideMerge(MemoryLayer.layer(), config(options))))

  test(
    "asks for all sessions with one call per touchEvery",
    Effect.gen(function*() {
      looks.length = 0
      const store = yield* counting()
      const watching = yield* Effect.forEach(Array.from({ length: 500 }), () =>
        Effect.provideService(
          Effect.flatMap(Sessions.create(put), (session) => start(Sessions.watch(session))),
          SessionStore.SessionStore,
          store
        ))
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(looks, [])
      yield* TestClock.adjust("21 seconds")
      assert.deepStrictEqual(looks, [500, 500, 500])
      yield* Effect.forEach(watching.slice(1), Fiber.interrupt)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(looks, [500, 500, 500, 1])
    })
  )

  test(
    "survives a store that fails, and sees afterwards what has ended meanwhile",
    Effect.gen(function*() {
      let isBroken = true
      const store = yield* counting(Effect.suspend(() => isBroken ? Effect.die(new Error("broken")) : Effect.void))
      const one = yield* Sessions.create(put)
      const watching = yield* start(Effect.provideService(Sessions.watch(one), SessionStore.SessionStore, store))
      yield* Sessions.destroy(one)
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* isOver(watching))
      isBroken = false
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(watching)
    })
  )

  test(
    "works by owner and handle, and sees what the owner ends, here and elsewhere",
    Effect.gen(function*() {
      const login = () =>
        Effect.gen(function*() {
          const { value } = yield* Sessions.create(Effect.andThen(Session.login("ada"), Session.handle))
          return { owner: "ada", handle: value }
        })
      const [one, two, three] = [yield* login(), yield* login(), yield* login()]
      const [first, second, third] = [
        yield* start(Sessions.watch(one)),
        yield* start(Sessions.watch(two)),
        yield* start(Sessions.watch(three))
      ]
      yield* Sessions.destroyHandle("ada", one.handle)
      yield* Fiber.join(first)
      assert.isFalse(yield* isOver(second))
      const { owners } = yield* SessionStore.SessionStore
      yield* owners!.end("ada")
      assert.isFalse(yield* isOver(third))
      yield* TestClock.adjust("10 seconds")
      yield* Effect.forEach([second, third], Fiber.join)
      yield* Sessions.watch(one)
      yield* Sessions.watch({ owner: "ada", handle: "no handle" })
    })
  )

  test(
    "takes a session for ended that another server has regenerated, if nobody looks while that is known",
    Effect.gen(function*() {
      const one = yield* Sessions.create(put)
      const watching = yield* start(Sessions.watch(one))
      yield* elsewhere(Sessions.modify(one, Session.regenerate))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(watching)
    }),
    { touchEvery: "1 minute", supersededFor: "30 seconds" }
  )

  test(
    "looks once a second at most",
    Effect.gen(function*() {
      looks.length = 0
      const store = yield* counting()
      const one = yield* Sessions.create(put)
      yield* start(Effect.provideService(Sessions.watch(one), SessionStore.SessionStore, store))
      yield* TestClock.adjust("5 seconds")
      assert.lengthOf(looks, 5)
    }),
    { touchEvery: "100 millis" }
  )

  test(
    "ends what a request waits for when another one logs out",
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      const waiting = HttpRouter.add(
        "GET",
        "/waits",
        Effect.as(Effect.flatMap(Session.Session, (session) => Sessions.watch(session)), ok)
      )
      const server = yield* serve(
        Layer.provide(Layer.mergeAll(basicRoutes, waiting), Layer.succeed(SessionStore.SessionStore)(store)),
        { store: Layer.succeed(SessionStore.SessionStore)(store) }
      )
      const cookie = cookieOf(yield* server.post("/login"))
      const answer = yield* start(Effect.asVoid(server.get("/waits", { cookie })))
      while (!Events.listenersOf(store).areThere) yield* Effect.promise(() => new Promise(setImmediate))
      yield* server.post("/count", { cookie })
      assert.isFalse(yield* isOver(answer))
      yield* server.post("/logout", { cookie })
      yield* Fiber.join(answer)
      assert.isFalse(Events.listenersOf(store).areThere)
    })
  )
})
