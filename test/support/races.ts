/**
 * Requests of one session at the same time, over HTTP: what they leave behind, with any driver, on one server and on two.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { Session, SessionKey, SessionStore } from "effect-session"
import { HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import { setTimeOfDay } from "./clock.ts"
import { type Operation, watchStore } from "./failingStore.ts"
import { overlaps } from "./overlaps.ts"
import { basicRoutes, Basket, Count, type Gate, keyOf, keysRoute, Name, ok, post, slowRoute } from "./routes.ts"
import { cookieNames, cookieOf, type Routes, serve, type Server, type StoreLayer } from "./server.ts"

export interface Driver {
  /** The store, made anew for each server. Those of two servers share what is stored. */
  readonly store: () => StoreLayer
  /** By default requests come to one server, and in tests of their own to two. */
  readonly servers?: ReadonlyArray<1 | 2>
  /** Whether the session is at the client, so that commits can't merge. */
  readonly stateless?: boolean
  /** Holds the next operation in the midst of the driver's work. By default it is held before the driver gets it. */
  readonly holds?: (operation: Operation) => Gate
}

/** Registers the tests. */
export const races = (name: string, driver: Driver): void => {
  for (const servers of driver.servers ?? [1, 2]) {
    describe(`requests of one session at the same time, with ${name} on ${servers === 1 ? "one server" : "two servers"}`, () => {
      const start = startOn(driver, servers)
      whileItEnds(start, driver.stateless === true)
      overlaps(start, driver.stateless === true)
      afterLogin(start)
      whileItExpires(start)
      whileItBegins(start)
      if (driver.stateless !== true) merging(start)
    })
  }
}

// -----------------------------------------------------------------------------
// the stage
// -----------------------------------------------------------------------------

interface Stage {
  /** The server that has the slow request. */
  readonly slow: Server
  /** The one that gets all others meanwhile; it may be the same. */
  readonly other: Server
  /** Holds the next operation of the slow one. */
  readonly holds: (operation: Operation) => Gate
  /** What each server finds in the session of a cookie. */
  readonly assertFound: (cookie: string, body: string) => Effect.Effect<void, Error>
}

type Start = ReturnType<typeof startOn>

const startOn = (driver: Driver, servers: 1 | 2) =>
  Effect.fnUntraced(function*(routes: Routes = basicRoutes) {
    yield* setTimeOfDay
    const watched = watchStore(
      Effect.map(Effect.suspend(() => Layer.build(driver.store())), Context.get(SessionStore.SessionStore))
    )
    const slow = yield* serve(routes, { store: watched.layer })
    const other = servers === 1 ? slow : yield* serve(routes, { store: driver.store() })
    const stage: Stage = {
      slow,
      other,
      holds: driver.holds ?? watched.holds,
      assertFound: Effect.fnUntraced(function*(cookie, body) {
        for (const { get } of new Set([slow, other])) {
          assert.deepStrictEqual(JSON.parse((yield* get("/", { cookie })).body), JSON.parse(body))
        }
      })
    }
    return stage
  })

// -----------------------------------------------------------------------------
// a session that ends
// -----------------------------------------------------------------------------

/** What a slow request does with its session, and what that makes the store do. */
const works: ReadonlyArray<
  readonly [what: string, work: Effect.Effect<unknown, unknown, Session.Session>, operation: Operation]
> = [
  ["reads it", Count, "touch"],
  ["extends its life", Session.touch, "touch"],
  ["writes to it", Session.increment(Count), "update"],
  ["logs in", Effect.andThen(Session.regenerate, Session.put(Name, "Grace")), "regenerate"]
]

/** A logout of a session that has something which stays. */
const leave = Effect.andThen(Session.put(Basket, ["tea"]), Session.logout)

const places = ["in its handler", "in the store"] as const

/** A request that is to be held at a place; the session is so old that its life has to be extended, which takes a cookie. */
const holdAt = Effect.fnUntraced(
  function*(
    start: Start,
    place: typeof places[number],
    work: Effect.Effect<unknown, unknown, Session.Session>,
    operation: Operation
  ) {
    const inHandler = slowRoute("/slow", work)
    const stage = yield* start(Layer.mergeAll(basicRoutes, post("/leave", leave), inHandler.route))
    const cookie = cookieOf(yield* stage.other.post("/count"))
    yield* TestClock.adjust("2 minutes")
    if (place === "in the store") yield* inHandler.release
    const gate = place === "in the store" ? stage.holds(operation) : inHandler
    const request = yield* Effect.forkChild(stage.slow.post("/slow", { cookie }))
    yield* gate.reached
    const answer = Effect.andThen(gate.release, Fiber.join(request))
    return { ...stage, cookie, answer }
  }
)

const whileItEnds = (start: Start, stateless: boolean) => {
  for (const place of places) {
    for (const [what, work, operation] of works) {
      for (const end of ["/logout", "/login", "/leave"] as const) {
        it.effect(`one that ${what} is slow ${place}, meanwhile POST ${end}: what was ended stays so`, () =>
          Effect.gen(function*() {
            const { answer, assertFound, cookie, other } = yield* holdAt(start, place, work, operation)
            const ended = yield* other.post(end, { cookie })
            const slow = yield* answer
            assert.deepStrictEqual(cookieNames(ended), ["session"])
            assert.strictEqual(slow.status, 200)
            yield* assertFound(cookie, "{}")
            // It could have come first.
            const count = operation === "update" && !stateless ? 2 : 1
            const afterwards = {
              "/logout": "{}",
              "/login": `{"count":${count},"name":"Ada"}`,
              "/leave": `{"basket":["tea"]}`
            }
            yield* assertFound(cookieOf(ended), afterwards[end])
            if (operation !== "regenerate") return assert.deepStrictEqual(slow.setCookies, [])
            assert.deepStrictEqual(cookieNames(slow), ["session"], "it has a session of its own")
            yield* assertFound(cookieOf(slow), `{"name":"Grace"}`)
          }))
      }

      it.effect(`one that ${what} is slow ${place}, and nothing happens meanwhile: it sets the cookie`, () =>
        Effect.gen(function*() {
          const { answer } = yield* holdAt(start, place, work, operation)
          assert.deepStrictEqual(cookieNames(yield* answer), ["session"])
        }))
    }

    it.effect(`a logout is slow ${place}, meanwhile POST /login: the user is logged out, under the new id too`, () =>
      Effect.gen(function*() {
        const { answer, assertFound, cookie, other } = yield* holdAt(start, place, Session.destroy, "destroy")
        const user = cookieOf(yield* other.post("/login", { cookie }))
        const loggedOut = yield* answer
        assert.strictEqual(loggedOut.status, 200)
        assert.deepStrictEqual(cookieNames(loggedOut), ["session"])
        assert.strictEqual(cookieOf(loggedOut), "")
        yield* assertFound(cookie, "{}")
        yield* assertFound(user, "{}")
      }))

    it.effect(`a logout that keeps something is slow ${place}, meanwhile POST /login: the user is logged out as well`, () =>
      Effect.gen(function*() {
        const { answer, assertFound, cookie, other } = yield* holdAt(start, place, leave, "regenerate")
        const user = cookieOf(yield* other.post("/login", { cookie }))
        const loggedOut = yield* answer
        assert.strictEqual(loggedOut.status, 200)
        yield* assertFound(cookieOf(loggedOut), `{"basket":["tea"]}`)
        yield* assertFound(cookie, "{}")
        yield* assertFound(user, "{}")
      }))
  }

  const goingOn = [
    {
      what: "has loaded the session before a logout does not get it back with a change afterwards",
      route: () => slowRoute("/slow", Count, Session.increment(Count)),
      status: 200
    },
    {
      what: "has committed by hand before a logout sends no cookie",
      route: () =>
        slowRoute("/slow", Effect.andThen(Session.increment(Count), Session.commit), Session.increment(Count)),
      status: 200
    },
    {
      what: "commits by hand after a logout learns that its changes were dropped",
      route: () => slowRoute("/slow", Session.increment(Count), Session.commit),
      status: 409
    }
  ]
  for (const { route, status, what } of goingOn) {
    it.effect(`one that ${what}`, () =>
      Effect.gen(function*() {
        const gate = route()
        const { assertFound, other, slow } = yield* start(Layer.mergeAll(basicRoutes, gate.route))
        const cookie = cookieOf(yield* other.post("/count"))
        yield* TestClock.adjust("2 minutes")
        const request = yield* Effect.forkChild(slow.post("/slow", { cookie }))
        yield* gate.reached
        yield* other.post("/logout", { cookie })
        yield* gate.release
        const answer = yield* Fiber.join(request)
        assert.strictEqual(answer.status, status)
        assert.deepStrictEqual(answer.setCookies, [])
        yield* assertFound(cookie, "{}")
      }))
  }
}

const afterLogin = (start: Start) => {
  it.effect("one that comes with the old cookie just after a login can't log out, and sends no cookie", () =>
    Effect.gen(function*() {
      const { assertFound, other, slow } = yield* start()
      const old = cookieOf(yield* other.post("/count"))
      const cookie = cookieOf(yield* other.post("/login", { cookie: old }))
      assert.deepStrictEqual((yield* slow.post("/logout", { cookie: old })).setCookies, [])
      yield* assertFound(cookie, `{"count":1,"name":"Ada"}`)
    }))

  it.effect("one that comes with the old cookie just after a login is anonymous, and sends no cookie", () =>
    Effect.gen(function*() {
      const { assertFound, other, slow } = yield* start()
      const old = cookieOf(yield* other.post("/count"))
      const cookie = cookieOf(yield* other.post("/login", { cookie: old }))
      const late = yield* slow.post("/count", { cookie: old })
      assert.strictEqual(late.status, 200)
      assert.deepStrictEqual(late.setCookies, [])
      yield* assertFound(cookie, `{"count":1,"name":"Ada"}`)
      yield* TestClock.adjust("31 seconds")
      const later = yield* slow.post("/count", { cookie: old })
      assert.deepStrictEqual(cookieNames(later), ["session"], "the old cookie is unknown by now")
      yield* assertFound(cookieOf(later), `{"count":1}`)
    }))
}

// -----------------------------------------------------------------------------
// a session that begins, and one that stays
// -----------------------------------------------------------------------------

const whileItExpires = (start: Start) =>
  it.effect("one that logs in is so slow that the session expires: logged in, with nothing of the old one", () =>
    Effect.gen(function*() {
      const login = slowRoute("/slow", Effect.andThen(Session.put(Name, "Grace"), Session.regenerate))
      const { assertFound, other, slow } = yield* start(Layer.mergeAll(basicRoutes, login.route))
      const cookie = cookieOf(yield* other.post("/count"))
      const request = yield* Effect.forkChild(slow.post("/slow", { cookie }))
      yield* login.reached
      yield* TestClock.adjust("3 days")
      yield* login.release
      const answer = yield* Fiber.join(request)
      assert.strictEqual(answer.status, 200)
      yield* assertFound(cookieOf(answer), `{"name":"Grace"}`)
      yield* assertFound(cookie, "{}")
    }))

const whileItBegins = (start: Start) =>
  it.effect("those of a client that had no session get one each", () =>
    Effect.gen(function*() {
      const { assertFound, other, slow } = yield* start()
      const [first, second] = yield* Effect.all([slow.post("/count"), other.post("/count")], { concurrency: 2 })
      assert.notStrictEqual(cookieOf(first), cookieOf(second))
      yield* assertFound(cookieOf(first), `{"count":1}`)
      yield* assertFound(cookieOf(second), `{"count":1}`)
    }))

const nameRoute = HttpRouter.add(
  "POST",
  "/name/:name",
  Effect.gen(function*() {
    const { name } = yield* HttpRouter.params
    yield* Session.put(Name, name!)
    return ok
  })
)

const Entries = SessionKey.make("entries", Schema.Array(Schema.Int)).pipe(SessionKey.withDefault(() => []))
const Token = SessionKey.make("token", Schema.String)
const Limited = SessionKey.make("limited", Schema.Int.check(Schema.isLessThanOrEqualTo(150))).pipe(
  SessionKey.withDefault(() => 0)
)

/** 200 requests that do the same with one session, which holds a token, when all of them have loaded it. */
const together = Effect.fnUntraced(function*(start: Start, work: Effect.Effect<unknown, unknown, Session.Session>) {
  const requests = 200
  const allHaveLoaded = yield* Deferred.make<void>()
  let waiting = 0
  const wait = Effect.suspend(() =>
    Effect.andThen(
      ++waiting === requests ? Deferred.succeed(allHaveLoaded, undefined) : Effect.void,
      Deferred.await(allHaveLoaded)
    )
  )
  const { assertFound, other, slow } = yield* start(Layer.mergeAll(
    basicRoutes,
    post("/begin", Session.put(Token, "one")),
    post("/together", Effect.andThen(work, wait))
  ))
  const cookie = cookieOf(yield* other.post("/begin"))
  const all = Effect.forEach(
    Array.from({ length: requests }, (_, number) => number % 2 === 0 ? slow : other),
    ({ post }) => post("/together", { cookie }),
    { concurrency: "unbounded" }
  )
  return { all, assertFound, cookie }
})

const merging = (start: Start) => {
  it.effect("200 that have all loaded it, and then set a key of their own and add one: 200 keys, and 200", () =>
    Effect.gen(function*() {
      const requests = 200
      const { other, slow } = yield* start(Layer.mergeAll(basicRoutes, yield* keysRoute(requests)))
      yield* assertAllKept([slow, other], requests)
    }))

  it.effect("200 that have all loaded it, and then modify the same key: 200", () =>
    Effect.gen(function*() {
      const { all, assertFound, cookie } = yield* together(
        start,
        Session.modify(Entries, (entries) => [...entries, entries.length])
      )
      const answers = yield* all
      assert.isTrue(answers.every(({ status }) => status === 200))
      yield* assertFound(
        cookie,
        JSON.stringify({ entries: Array.from({ length: 200 }, (_, entry) => entry), token: "one" })
      )
    }), 60_000)

  it.effect(
    "200 that have all loaded it, and then pull the same value: one gets it, the others are told so",
    () =>
      Effect.gen(function*() {
        const { all, assertFound, cookie } = yield* together(
          start,
          Effect.andThen(Session.pull(Token), Session.modify(Entries, (entries) => [...entries, 1]))
        )
        const statuses = (yield* all).map(({ status }) => status).toSorted()
        assert.deepStrictEqual(statuses, [200, ...Array.from({ length: 199 }, () => 409)])
        yield* assertFound(cookie, `{"entries":[1]}`)
      }),
    60_000
  )

  it.effect(
    "200 that have all loaded it, and then add one to a number of at most 150: 150, and the others are refused",
    () =>
      Effect.gen(function*() {
        const { all, assertFound, cookie } = yield* together(start, Session.increment(Limited))
        const statuses = (yield* all).map(({ status }) => status)
        assert.strictEqual(statuses.filter((status) => status === 200).length, 150)
        assert.strictEqual(statuses.filter((status) => status === 500).length, 50)
        yield* assertFound(cookie, `{"limited":150,"token":"one"}`)
      }),
    60_000
  )

  it.effect("two that set the same key: the last commit wins", () =>
    Effect.gen(function*() {
      const { assertFound, holds, other, slow } = yield* start(Layer.mergeAll(basicRoutes, nameRoute))
      const cookie = cookieOf(yield* other.post("/login"))
      const writing = holds("update")
      const request = yield* Effect.forkChild(slow.post("/name/Grace", { cookie }))
      yield* writing.reached
      yield* other.post("/name/Edsger", { cookie })
      yield* writing.release
      yield* Fiber.join(request)
      yield* assertFound(cookie, `{"name":"Grace"}`)
    }))

  it.effect("one that regenerates it has in the new session what another one has committed to the old one meanwhile", () =>
    Effect.gen(function*() {
      const { assertFound, holds, other, slow } = yield* start()
      const old = cookieOf(yield* other.post("/count"))
      const regenerating = holds("regenerate")
      const login = yield* Effect.forkChild(slow.post("/login", { cookie: old }))
      yield* regenerating.reached
      yield* other.post("/count", { cookie: old })
      yield* regenerating.release
      yield* assertFound(cookieOf(yield* Fiber.join(login)), `{"count":2,"name":"Ada"}`)
    }))
}

/** Sends so many requests of one session at once, for `keysRoute`: what each of them has done is there afterwards. */
export const assertAllKept = Effect.fnUntraced(function*(servers: readonly [Server, Server], requests: number) {
  const [first, second] = servers
  const cookie = cookieOf(yield* first.post("/login"))
  const numbers = Array.from({ length: requests }, (_, number) => number)
  const answers = yield* Effect.forEach(
    numbers,
    (number) => servers[number % 2]!.post(`/keys/${number}`, { cookie }),
    { concurrency: "unbounded" }
  )
  assert.isTrue(answers.every(({ status }) => status === 200))
  const { count, name, ...keys } = JSON.parse((yield* second.get("/", { cookie })).body)
  assert.strictEqual(count, requests)
  assert.strictEqual(name, "Ada")
  assert.deepStrictEqual(keys, Object.fromEntries(numbers.map((number) => [keyOf(number).name, number])))
})
