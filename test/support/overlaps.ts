/**
 * Two requests of one session, whatever each of them does: what the store and the browser end up with, and what somebody
 * has of it who knows only the old cookie. docs/how-it-works/overlaps.md shows the same tables.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, type Scope } from "effect"
import { Session, SessionKey } from "effect-session"
import { TestClock } from "effect/testing"
import { CookieJar } from "tough-cookie"
import { Basket, Count, Name, post, show, slowRoute } from "./routes.ts"
import { type Answer, cookieNames, cookieOf, type Routes, type Server } from "./server.ts"

const Note = SessionKey.make("note", Schema.String)
const List = SessionKey.make("list", Schema.Array(Schema.String)).pipe(SessionKey.withDefault(() => []))

const Token = SessionKey.make("token", Schema.String).pipe(SessionKey.withDefault(() => ""))

type Work = Effect.Effect<unknown, unknown, Session.Session>

const actions = {
  reads: () => Session.get(Name),
  puts: (who: string) => Session.put(Note, who),
  modifies: (who: string) => Session.modify(List, (list) => [...list, who]),
  shops: (who: string) => Session.modify(Basket, (basket) => [...basket, who]),
  "logs in": (who: string) =>
    Effect.andThen(Session.login("overlapping", { methods: ["password"] }), Session.put(Name, who)),
  "logs out": () => Session.logout
}

export type Action = keyof typeof actions

export const everyAction = Object.keys(actions) as ReadonlyArray<Action>

/** By what the first request does, and what the second one does: what the browser's session holds; `-` if it has none. */
export interface Table {
  readonly [first: string]: readonly [string, string, string, string, string, string]
}

/** Both have loaded the session, which holds `count` and a basket, when the first one commits. Then the second one does. */
export const atOnce: Table = {
  reads: [
    "count, basket=tea",
    "count, basket=tea, note=second",
    "count, basket=tea, list=second",
    "count, basket=tea+second",
    "count, basket=tea, name=second",
    "basket=tea"
  ],
  puts: [
    "count, basket=tea, note=first",
    "count, basket=tea, note=second",
    "count, basket=tea, note=first, list=second",
    "count, basket=tea+second, note=first",
    "count, basket=tea, note=first, name=second",
    "basket=tea"
  ],
  modifies: [
    "count, basket=tea, list=first",
    "count, basket=tea, list=first, note=second",
    "count, basket=tea, list=first+second",
    "count, basket=tea+second, list=first",
    "count, basket=tea, list=first, name=second",
    "basket=tea"
  ],
  shops: [
    "count, basket=tea+first",
    "count, basket=tea+first, note=second",
    "count, basket=tea+first, list=second",
    "count, basket=tea+first+second",
    "count, basket=tea+first, name=second",
    "basket=tea+first"
  ],
  "logs in": [
    "count, basket=tea, name=first",
    "count, basket=tea, name=first, note=second",
    "count, basket=tea, name=first, list=second",
    "count, basket=tea+second, name=first",
    "name=second",
    "-"
  ],
  "logs out": ["basket=tea", "basket=tea", "basket=tea", "basket=tea", "name=second", "-"]
}

/** The same, where the session is at the client: its cookie holds what the request has seen, and nothing can be merged. */
export const atOnceInCookies: Table = {
  reads: atOnce["reads"]!,
  puts: [
    "count, basket=tea, note=first",
    "count, basket=tea, note=second",
    "count, basket=tea, list=second",
    "count, basket=tea+second",
    "count, basket=tea, name=second",
    "basket=tea"
  ],
  modifies: [
    "count, basket=tea, list=first",
    "count, basket=tea, note=second",
    "count, basket=tea, list=second",
    "count, basket=tea+second",
    "count, basket=tea, name=second",
    "basket=tea"
  ],
  shops: [
    "count, basket=tea+first",
    "count, basket=tea, note=second",
    "count, basket=tea, list=second",
    "count, basket=tea+second",
    "count, basket=tea, name=second",
    "basket=tea"
  ],
  "logs in": [
    "count, basket=tea, name=first",
    "count, basket=tea, name=first",
    "count, basket=tea, name=first",
    "count, basket=tea, name=first",
    "name=second",
    "-"
  ],
  "logs out": atOnce["logs out"]!
}

/** The first one's response is lost on its way, and the browser sends the second request with the cookie that it has. */
export const lostResponse: Table = {
  "logs in": ["-", "-", "-", "-", "name=second", "-"],
  "logs out": ["-", "note=second", "list=second", "basket=second", "name=second", "-"]
}

interface Stage {
  readonly slow: Server
  readonly other: Server
}

/** Registers the tests. */
export const overlaps = <E>(start: (routes: Routes) => Effect.Effect<Stage, E, Scope.Scope>, stateless: boolean) => {
  describe("two requests, both of which have loaded the session", () => {
    eachCell(
      stateless ? atOnceInCookies : atOnce,
      (first, second, held) =>
        it.effect(`the first one ${first}, the second one ${second}: ${held}`, () =>
          Effect.gen(function*() {
            const one = slowRoute("/first", actions[first]("first"))
            const two = slowRoute("/second", actions[second]("second"))
            const stage = yield* start(Layer.mergeAll(routes, one.route, two.route))
            const browser = yield* visitor(stage)
            const firstRequest = yield* Effect.forkChild(stage.slow.post("/first", { cookie: browser.cookie }))
            yield* one.reached
            const secondRequest = yield* Effect.forkChild(stage.other.post("/second", { cookie: browser.cookie }))
            yield* two.reached
            yield* one.release
            browser.receives(yield* Fiber.join(firstRequest))
            yield* two.release
            browser.receives(yield* Fiber.join(secondRequest))
            yield* browser.assertHolds(held)
            if (first === "logs in" || second === "logs in") {
              const isEnded = first === "logs out" || second === "logs out"
              yield* assertNothingForTheOldCookie(stage, browser, held, isEnded)
            }
          }))
    )
  })

  describe("a response is lost, and the browser goes on with the old cookie", () => {
    eachCell(
      lostResponse,
      (first, second, held) =>
        it.effect(`the first one ${first}, the second one ${second}: ${held}`, () =>
          Effect.gen(function*() {
            const doFirst = post("/first", actions[first]("first"))
            const doSecond = post("/second", actions[second]("second"))
            const stage = yield* start(Layer.mergeAll(routes, doFirst, doSecond))
            const browser = yield* visitor(stage)
            const lost = yield* stage.slow.post("/first", { cookie: browser.cookie })
            assert.strictEqual(lost.status, 200)
            browser.receives(yield* stage.other.post("/second", { cookie: browser.cookie }))
            yield* browser.assertHolds(held)
            if (first !== "logs in") return
            yield* assertHolds(stage, cookieOf(lost), "count, basket=tea, name=first")
            yield* assertNothingForTheOldCookie(stage, browser, held, false)
          }))
    )
  })

  if (stateless) return

  /** A slow request has loaded the session when somebody logs in; it is so old that its life has to be extended as well. */
  const overtaken = Effect.fnUntraced(function*(slow: ReturnType<typeof slowRoute>, login: Work) {
    const stage = yield* start(Layer.mergeAll(routes, slow.route, post("/victim", login)))
    const browser = yield* visitor(stage)
    yield* TestClock.adjust("2 minutes")
    const request = yield* Effect.forkChild(stage.slow.post("/slow", { cookie: browser.cookie }))
    yield* slow.reached
    browser.receives(yield* stage.other.post("/victim", { cookie: browser.cookie }))
    yield* slow.release
    return { answer: yield* Fiber.join(request), browser }
  })

  it.effect("a slow request that commits to a session that another one has regenerated sees nothing of what is in it", () =>
    Effect.gen(function*() {
      const seen = Effect.andThen(Effect.andThen(Session.put(Note, "slow"), Session.commit), Session.all)
      let all: unknown
      const slow = slowRoute("/slow", Count, Effect.map(seen, (seen) => void (all = seen)))
      const { answer, browser } = yield* overtaken(slow, actions["logs in"]("victim"))
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(answer.setCookies, [])
      assert.deepStrictEqual(all, { count: 1, basket: ["tea"], note: "slow" })
      yield* browser.assertHolds("count, basket=tea, name=victim, note=slow")
    }))

  /** What a slow request does, what a login does meanwhile, and what is there in the end. */
  const slowly: Readonly<Record<string, readonly [slow: Work, login: Work, held: string]>> = {
    "what a login has put, even if it is the same": [
      Session.put(Name, "attacker"),
      Session.put(Name, "victim"),
      "count, basket=tea, name=victim"
    ],
    "what a login has forgotten, even if it was not there": [
      Effect.all([Session.put(Name, "attacker"), Session.put(Note, "slow")]),
      Session.forget(Name),
      "count, basket=tea, note=slow"
    ],
    "a session that a login has cleared": [
      Effect.all([Session.put(Note, "attacker"), Session.modify(List, () => ["attacker"])]),
      Effect.andThen(Session.clear, Session.put(Name, "victim")),
      "name=victim"
    ],
    "what a login has put, by a function": [
      Session.modify(Token, () => "attacker"),
      Session.put(Token, "victim"),
      "count, basket=tea, token=victim"
    ],
    "what a login has modified and then put": [
      Effect.all([Session.modify(Token, () => "attacker"), Session.put(Note, "slow")]),
      Effect.andThen(Session.modify(Token, () => "visitor"), Session.put(Token, "victim")),
      "count, basket=tea, token=victim, note=slow"
    ]
  }
  for (const [what, [slow, login, held]] of Object.entries(slowly)) {
    it.effect(`a slow request does not write over ${what}`, () =>
      Effect.gen(function*() {
        const { answer, browser } = yield* overtaken(
          slowRoute("/slow", slow),
          Effect.andThen(login, Session.regenerate)
        )
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual(answer.setCookies, [])
        yield* browser.assertHolds(held)
      }))
  }

  it.effect("a slow request learns nothing of what a login has put, by what its own functions come to", () =>
    Effect.gen(function*() {
      const Credits = SessionKey.make("credits", Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))).pipe(
        SessionKey.withDefault(() => 100)
      )
      const slow = slowRoute("/slow", Session.decrement(Credits, 50))
      const { answer } = yield* overtaken(slow, Effect.andThen(Session.put(Credits, 20), Session.regenerate))
      assert.strictEqual(answer.status, 200)
    }))

  it.effect("a slow request that has committed by hand before a login sends no cookie, which would take the new one's place", () =>
    Effect.gen(function*() {
      const slow = slowRoute("/slow", Effect.andThen(Session.touch, Session.commit), Session.put(Note, "slow"))
      const { answer, browser } = yield* overtaken(slow, actions["logs in"]("victim"))
      browser.receives(answer)
      yield* browser.assertHolds("count, basket=tea, name=victim, note=slow")
    }))

  it.effect("a slow request does not write over what a login has put, as it could have come first", () =>
    Effect.gen(function*() {
      const slow = slowRoute(
        "/slow",
        Effect.all([Session.put(Name, "attacker"), Session.forget(Count), Session.put(Note, "slow")])
      )
      const login = Effect.all([Session.regenerate, Session.put(Name, "victim"), Session.put(Count, 7)])
      const { browser } = yield* overtaken(slow, login)
      yield* browser.assertHolds("count=7, basket=tea, name=victim, note=slow")
    }))
}

const eachCell = (table: Table, register: (first: Action, second: Action, held: string) => void) => {
  for (const [first, cells] of Object.entries(table)) {
    everyAction.forEach((second, index) => register(first as Action, second, cells[index]!))
  }
}

const routes = Layer.mergeAll(
  show,
  post("/begin", Effect.andThen(Session.put(Count, 1), Session.put(Basket, ["tea"]))),
  post("/note", Session.put(Note, "attacker")),
  post("/list", Session.modify(List, (list) => [...list, "attacker"])),
  post("/basket", actions.shops("attacker")),
  post("/login", actions["logs in"]("attacker")),
  post("/logout", Session.logout)
)

/** A browser with a session that holds `count` and a basket. */
const visitor = Effect.fnUntraced(function*(stage: Stage) {
  const jar = new CookieJar()
  const url = stage.slow.url.replace("http:", "https:")
  const receives = ({ setCookies, status }: Answer) => {
    assert.strictEqual(status, 200)
    for (const cookie of setCookies) jar.setCookieSync(cookie, url)
  }
  receives(yield* stage.other.post("/begin"))
  const old = jar.getCookieStringSync(url)
  return {
    old,
    receives,
    get cookie() {
      return jar.getCookieStringSync(url)
    },
    assertHolds: (held: string) => Effect.suspend(() => assertHolds(stage, jar.getCookieStringSync(url), held))
  }
})

const assertHolds = Effect.fnUntraced(function*({ other, slow }: Stage, cookie: string, held: string) {
  for (const { get } of new Set([slow, other])) {
    const { body } = yield* get("/", { cookie })
    assert.deepStrictEqual(JSON.parse(body), valuesOf(held))
  }
})

/** `count, list=first+second` for `{"count":1,"list":["first","second"]}`. */
const valuesOf = (held: string) =>
  Object.fromEntries(
    held === "-" ? [] : held.split(", ").map((field) => {
      const [name, value = "1"] = field.split("=")
      return [name, name === "list" || name === "basket" ? value.split("+") : name === "count" ? Number(value) : value]
    })
  )

/** Whoever knows the old cookie gets nothing of the session that has come of it, can't change it or end it, now or later. */
const assertNothingForTheOldCookie = Effect.fnUntraced(
  function*(stage: Stage, browser: Effect.Success<ReturnType<typeof visitor>>, held: string, isEnded: boolean) {
    const cookie = browser.old
    for (const after of ["0 seconds", "31 seconds"] as const) {
      yield* TestClock.adjust(after)
      const seen = yield* stage.slow.get("/", { cookie })
      assert.strictEqual(seen.body, "{}")
      for (const path of ["/note", "/list", "/basket", "/logout"]) {
        const { setCookies } = yield* stage.slow.post(path, { cookie })
        // Just after the login a cookie would take the place of the new one. Later on, the old cookie is one like any other.
        if (after === "0 seconds" && !isEnded) assert.deepStrictEqual(setCookies, [])
      }
      const own = yield* stage.slow.post("/login", { cookie })
      assert.deepStrictEqual(cookieNames(own), ["session"])
      yield* assertHolds(stage, cookieOf(own), "name=attacker")
      if (browser.cookie !== cookie) yield* browser.assertHolds(held)
    }
  }
)
