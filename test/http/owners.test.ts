/**
 * The sessions of an owner over HTTP: under load, what they cost, and what nobody gets to see of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, Schema } from "effect"
import { Session, SessionConfig, SessionError, SessionKey, Sessions, SessionStore } from "effect-session"
import { TestClock } from "effect/testing"
import * as MemoryBackend from "../../src/internal/drivers/memory/backend.ts"
import { secret } from "../support/config.ts"
import { stepwise } from "../support/interleave.ts"
import { newOwner, ownerRaces, ownerRoutes, stageOf } from "../support/ownerRaces.ts"
import { Basket, Name, post } from "../support/routes.ts"
import { cookieOf, serve } from "../support/server.ts"

const sessions = MemoryBackend.make(100_000)

const storeOf = (backend: SessionStore.Backend) =>
  SessionStore.layer(SessionStore.fromBackend(backend as MemoryBackend.MemoryBackend))

// As if it were far away: what takes several calls can be overtaken between them.
const delay = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, Math.random() * 3)))

ownerRaces("the MemoryLayer", {
  store: () => storeOf(stepwise(sessions, (call) => Effect.andThen(delay, call)))
})

// -----------------------------------------------------------------------------
// what it costs
// -----------------------------------------------------------------------------

const login = Effect.andThen(Session.put(Name, "Ada"), Session.regenerate)

const counted = Effect.fnUntraced(function*(config: SessionConfig.Options = {}) {
  const calls: Array<string> = []
  const backend = stepwise(MemoryBackend.make(100), (call, name) =>
    Effect.suspend(() => {
      calls.push(name)
      return call
    }))
  const routes = Layer.mergeAll(
    ownerRoutes,
    post("/plain", login),
    post("/owned", Effect.andThen(Session.login("ada"), login)),
    post("/owned/last", Effect.andThen(login, Session.login("ada"))),
    post("/leave", Effect.andThen(Session.put(Basket, ["tea"]), Session.logout))
  )
  const server = yield* serve(routes, { store: storeOf(backend), config })
  return { server, newCalls: () => calls.splice(0) }
})

describe("what a session with an owner asks of the back end:", () => {
  it.effect("one call more to log in and for another id, one more to log out, and none for all other requests", () =>
    Effect.gen(function*() {
      const { newCalls, server } = yield* counted({ touchEvery: "1 minute", owner: { limit: 10 } })
      const costs = Effect.fnUntraced(function*(method: string, path: string, cookie?: string) {
        const answer = yield* server.send(method, path, { cookie })
        assert.strictEqual(answer.status, 200)
        return [newCalls(), cookieOf(answer)] as const
      })
      const visitor = Effect.map(costs("POST", "/count"), ([, cookie]) => cookie)
      assert.deepStrictEqual((yield* costs("POST", "/plain"))[0], ["create"])
      assert.deepStrictEqual((yield* costs("POST", "/plain", yield* visitor))[0], ["load", "regenerate"])
      for (const path of ["/owned", "/owned/last"]) {
        assert.deepStrictEqual((yield* costs("POST", path))[0], ["add", "create"])
        assert.deepStrictEqual((yield* costs("POST", path, yield* visitor))[0], ["load", "add", "regenerate"])
      }
      const [, cookie] = yield* costs("POST", "/owned")
      const calls: ReadonlyArray<readonly [string, string, ReadonlyArray<string>]> = [
        ["GET", "/untouched", []],
        ["GET", "/", ["load"]],
        ["GET", "/owner", ["load"]],
        ["GET", "/handle", ["load"]],
        ["POST", "/count", ["load", "update"]],
        ["POST", "/touch", ["load", "touch"]]
      ]
      for (const [method, path, expected] of calls) {
        assert.deepStrictEqual((yield* costs(method, path, cookie))[0], expected, path)
      }
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual((yield* costs("GET", "/untouched", cookie))[0], [])
      assert.deepStrictEqual((yield* costs("GET", "/", cookie))[0], ["load", "touch"], "a touch is due")
      assert.deepStrictEqual((yield* costs("GET", "/", cookie))[0], ["load"])
      const [regenerated, next] = yield* costs("POST", "/regenerate", cookie)
      assert.deepStrictEqual(regenerated, ["load", "add", "regenerate"])
      assert.deepStrictEqual((yield* costs("POST", "/logout", next))[0], ["load", "destroy", "remove"])
      const [, another] = yield* costs("POST", "/owned")
      const [left] = yield* costs("POST", "/leave", another)
      assert.deepStrictEqual(left, ["load", "regenerate", "remove"], "a logout that keeps something")
    }))

  it.effect("a session that lives on and on makes its entry again, but at most once per age", () =>
    Effect.gen(function*() {
      const { newCalls, server } = yield* counted({ age: "1 hour", absoluteAge: "1 day", touchEvery: "10 minutes" })
      const cookie = cookieOf(yield* server.post("/owned"))
      const again: Array<number> = []
      newCalls()
      for (let minutes = 10; minutes < 24 * 60; minutes += 10) {
        yield* TestClock.adjust("10 minutes")
        yield* server.get("/", { cookie })
        const calls = newCalls()
        if (calls.includes("add")) again.push(minutes)
        assert.deepStrictEqual(calls, calls.includes("add") ? ["load", "add", "update"] : ["load", "touch"])
      }
      assert.isAbove(again.length, 1)
      for (const [index, minutes] of again.entries()) assert.isAtLeast(minutes - (again[index - 1] ?? 0), 60)
    }))
})

// -----------------------------------------------------------------------------
// another id, meanwhile
// -----------------------------------------------------------------------------

/** The same back end, where a session gets its new id only when that is released. */
const holdingRegenerate = Effect.fnUntraced(function*(backend: MemoryBackend.MemoryBackend) {
  const reached = yield* Deferred.make<void>()
  const released = yield* Deferred.make<void>()
  const held = stepwise(backend, (call, name) =>
    name === "regenerate"
      ? Effect.andThen(Deferred.succeed(reached, undefined), Effect.andThen(Deferred.await(released), call))
      : call)
  return { held, reached, released }
})

describe("a request that gives the session another id while", () => {
  it.effect("the owner's others are ended gets one, even if its entry was taken for one of them", () =>
    Effect.gen(function*() {
      const backend = MemoryBackend.make(100)
      const { held, reached, released } = yield* holdingRegenerate(backend)
      const slow = yield* serve(ownerRoutes, { store: storeOf(held) })
      const other = yield* serve(ownerRoutes, { store: storeOf(backend) })
      const stage = stageOf([other])
      const owner = newOwner()
      const own = yield* stage.loggedIn(owner)
      const phone = yield* stage.loggedIn(owner)
      const request = yield* Effect.forkChild(slow.post("/regenerate", { cookie: own }))
      yield* Deferred.await(reached)
      assert.strictEqual(yield* stage.destroyOthers(own), 1)
      yield* Deferred.succeed(released, undefined)
      const anew = cookieOf(yield* Fiber.join(request))
      assert.deepStrictEqual(yield* stage.assertListed(owner, [own, phone, anew]), [anew])
    }))

  it.effect("all of the owner's are ended gets none", () =>
    Effect.gen(function*() {
      const backend = MemoryBackend.make(100)
      const { held, reached, released } = yield* holdingRegenerate(backend)
      const slow = yield* serve(ownerRoutes, { store: storeOf(held) })
      const stage = stageOf([yield* serve(ownerRoutes, { store: storeOf(backend) })])
      const owner = newOwner()
      const own = yield* stage.loggedIn(owner)
      const request = yield* Effect.forkChild(slow.post("/regenerate", { cookie: own }))
      yield* Deferred.await(reached)
      assert.strictEqual(yield* stage.destroyAll(owner), 1)
      yield* Deferred.succeed(released, undefined)
      const anew = cookieOf(yield* Fiber.join(request))
      assert.deepStrictEqual(yield* stage.assertListed(owner, [own, anew]), [])
    }))
})

// -----------------------------------------------------------------------------
// what nobody sees
// -----------------------------------------------------------------------------

/** Also what is in Maps and Sets. */
const dump = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) => part instanceof Map || part instanceof Set ? [...part] : part) ?? ""

describe("no token and no id is", () => {
  it.effect.each(["signed", "encrypted", "none"] as const)(
    "in a list, in a handle, or in anything that the back end gets or answers: id.protection %s",
    (protection) =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const memory = MemoryBackend.make(100)
        const backend = stepwise(spied(memory, seen), (call) =>
          Effect.map(call, (answer) => {
            seen.push(dump(answer))
            return answer
          }))
        const server = yield* serve(ownerRoutes, { store: storeOf(backend), config: { id: { protection } } })
        const stage = stageOf([server])
        const owner = newOwner()
        const cookies = [yield* stage.loggedIn(owner), yield* stage.loggedIn(owner)]
        cookies.push(cookieOf(yield* server.post("/regenerate", { cookie: cookies[0] })))
        const pages = [
          (yield* server.post("/list", { cookie: cookies[1], body: JSON.stringify({ owner, limit: 1 }) })).body,
          (yield* server.post("/list", { body: JSON.stringify({ owner }) })).body,
          (yield* server.get("/handle", { cookie: cookies[1] })).body
        ]
        yield* stage.destroyOthers(cookies[2]!)
        yield* stage.destroyAll(owner)
        assert.isAbove(seen.length, 20)
        const all = [...pages, ...seen].join("\n")
        assert.include(all, pages[2]!, "the handle is there")
        for (const cookie of cookies) {
          for (const part of cookie.slice("session=".length).split(".")) assert.notInclude(all, part)
        }
        assert.notInclude(seen.filter((text) => text.startsWith("index")).join("\n"), owner, "its hash is the key")
      })
  )
})

/** The same back end, with all that it gets written down. */
const spied = (backend: MemoryBackend.MemoryBackend, seen: Array<string>): SessionStore.Backend => {
  const watch = <T extends object>(target: T, prefix: string): T =>
    new Proxy(target, {
      get: (object, name) => {
        const value: unknown = Reflect.get(object, name)
        return typeof value !== "function" ? value : (...parameters: ReadonlyArray<unknown>) => {
          seen.push(prefix + dump(parameters))
          return Reflect.apply(value, object, parameters) as unknown
        }
      }
    })
  return { ...watch({ ...backend }, "session "), owners: watch(backend.owners, "index ") }
}

// -----------------------------------------------------------------------------
// very many, and none
// -----------------------------------------------------------------------------

const Services = Layer.provideMerge(storeOf(sessions), SessionConfig.layer({ secret }))

describe("an owner with 10,000 sessions", () => {
  it.live("has a list of 100 pages, each session in one of them, and can end them all", () =>
    Effect.gen(function*() {
      const owner = newOwner()
      const tokens = yield* Effect.forEach(
        Array.from({ length: 10_000 }),
        () => Effect.map(Sessions.create(Session.login(owner)), ({ token }) => token)
      )
      const listed = new Set<string>()
      let after: string | undefined
      for (let page = 1; page <= 100; page++) {
        const { next, sessions } = yield* Sessions.list(owner, {
          limit: 1e9,
          ...after !== undefined && { after }
        })
        assert.lengthOf(sessions, 100)
        sessions.forEach(({ handle }) => listed.add(handle))
        after = Option.getOrUndefined(next)
      }
      assert.strictEqual(listed.size, 10_000)
      assert.lengthOf((yield* Sessions.list(owner)).sessions, 50, "unless more are asked for")
      assert.strictEqual(yield* Sessions.destroyAll(owner), 10_000)
      assert.deepStrictEqual((yield* Sessions.list(owner)).sessions, [])
      for (const token of tokens) {
        assert.isTrue(Option.isNone(yield* ownerOf({ token })))
      }
    }).pipe(Effect.provide(Services)), 120_000)
})

const ownerOf = (presented: Sessions.Presented) =>
  Effect.flatMap(
    Sessions.open(presented, { readonly: true }),
    (session) => Effect.provideService(Session.owner, Session.Session, session)
  )

describe("what can't be the id of an owner", () => {
  const mistakes = [
    ["", "it is empty"],
    ["a".repeat(1025), "it is longer than 1024 bytes"],
    ["é".repeat(513), "it is longer than 1024 bytes"],
    ["a".repeat(1_000_000), "it is longer than 1024 bytes"],
    ["\ud800", "it contains a lone surrogate, which is half a character"]
  ] as const

  it.effect("is refused wherever it is given, with the reason", () =>
    Effect.gen(function*() {
      const token = (yield* Sessions.create(Session.put(Name, "Ada"))).token
      for (const [owner, reason] of mistakes) {
        const uses = [
          Sessions.create(Session.login(owner)),
          Sessions.modify({ token }, Session.login(owner)),
          Sessions.list(owner),
          Sessions.destroyAll(owner),
          Sessions.destroyHandle(owner, "a".repeat(16)),
          Sessions.destroyHandle(owner, "")
        ]
        for (const use of uses) {
          const error = yield* Effect.flip<unknown, unknown, Effect.Services<typeof use>>(use)
          assert.deepStrictEqual(error, new SessionError.SessionOwnerError({ reason }))
          assert.include(String((error as Error).message), "Use a string of 1 to 1,024 bytes")
        }
      }
      assert.strictEqual((yield* ownerOf({ token }))._tag, "None")
    }).pipe(Effect.provide(Services)))

  it.effect("a list of which so many are asked for as is no number has one, and an empty handle ends none", () =>
    Effect.gen(function*() {
      const owner = newOwner()
      yield* Sessions.create(Session.login(owner))
      yield* Sessions.create(Session.login(owner))
      for (const limit of [NaN, -Infinity, 0, -5, 0.9]) {
        assert.lengthOf((yield* Sessions.list(owner, { limit })).sessions, 1, `${limit}`)
      }
      assert.lengthOf((yield* Sessions.list(owner, { limit: Infinity })).sessions, 2)
      assert.isFalse(yield* Sessions.destroyHandle(owner, ""))
      assert.lengthOf((yield* Sessions.list(owner)).sessions, 2)
    }).pipe(Effect.provide(Services)))
})

describe("the attributes of a list", () => {
  it.effect("are none where they are not there, do not fit, or are no JSON, and the rest of the list comes", () =>
    Effect.gen(function*() {
      const owner = newOwner()
      const Place = SessionKey.make("place", Schema.Struct({ city: Schema.String }))
      const Older = SessionKey.make("place", Schema.String)
      const Device = SessionKey.make("device", Schema.String)
      const create = (effect: Effect.Effect<void, SessionError.ChangeError, Session.Session>) =>
        Effect.andThen(
          Sessions.create(Effect.andThen(Session.login(owner), effect)),
          TestClock.adjust("1 second")
        )
      yield* create(Session.put(Place, { city: "Wien" }))
      yield* create(Session.put(Older, "Wien"))
      yield* create(Session.put(Device, "Phone"))
      const { sessions } = yield* Sessions.list(owner, { attributes: { place: Place, device: Device } })
      assert.deepStrictEqual(sessions.map(({ attributes }) => attributes), [
        { place: Option.none(), device: Option.some("Phone") },
        { place: Option.none(), device: Option.none() },
        { place: Option.some({ city: "Wien" }), device: Option.none() }
      ])
    }).pipe(Effect.provide(Services)))
})
