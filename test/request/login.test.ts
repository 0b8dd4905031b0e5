/**
 * Logins and logouts: what becomes of each value, by the scope of its key, of the id, of the owner, and of the cookie.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Redacted, Schema } from "effect"
import {
  MemoryLayer,
  Session,
  SessionConfig,
  SessionError,
  SessionKey,
  Sessions,
  type SessionStore
} from "effect-session"
import * as Left from "../../src/internal/record/left.ts"
import { setTimeOfDay } from "../support/clock.ts"
import { secret } from "../support/config.ts"
import { storesWithRedis } from "../support/drivers.ts"
import { observe } from "../support/observe.ts"
import { rowsBehind } from "../support/tables.ts"

const stores = storesWithRedis()

const keys = {
  login: SessionKey.make("mine", Schema.String),
  visitor: SessionKey.make("mine", Schema.String, { scope: "visitor" }),
  device: SessionKey.make("mine", Schema.String, { scope: "device" })
}

const scopes = ["login", "visitor", "device"] as const

const Basket = SessionKey.make("basket", Schema.Record(Schema.String, Schema.Int), { scope: "visitor" }).pipe(
  SessionKey.withDefault((): Readonly<Record<string, number>> => ({}))
)
const Draft = SessionKey.make("draft", Schema.String)

type Services = SessionStore.SessionStore | SessionConfig.SessionConfig
type Work = Effect.Effect<unknown, unknown, Session.Session>

const test = (
  makeStore: typeof stores["MemoryLayer"],
  title: string,
  effect: () => Effect.Effect<unknown, unknown, Services>
) =>
  it.effect(title, () =>
    Effect.andThen(
      setTimeOfDay,
      Effect.provide(
        Effect.suspend(effect),
        Layer.suspend(() => Layer.provideMerge(makeStore(), SessionConfig.layer({ secret })))
      )
    ))

const within = <A, E>(session: Session.Session, work: Effect.Effect<A, E, Session.Session>) =>
  Effect.provideService(work, Session.Session, session)

/** One request after the other, each with the cookies that the one before it has left. */
const browser = () => {
  let cookies = ""
  const begin = Effect.suspend(() => Sessions.open({ cookies }))
  const end = Effect.fnUntraced(function*(session: Session.Session) {
    const { setCookie } = yield* Sessions.commit(session)
    for (const header of Redacted.value(setCookie)) {
      cookies = header.includes("Max-Age=0") ? "" : header.split(";", 1)[0]!
    }
  })
  const request = Effect.fnUntraced(function*<A, E>(work: Effect.Effect<A, E, Session.Session>) {
    const session = yield* begin
    const value = yield* within(session, work)
    yield* end(session)
    return { value, cookies }
  })
  return { begin, end, request }
}

const putAll = Effect.forEach(scopes, (scope) => Session.put(keys[scope], scope), { discard: true })

const seenScopes = Effect.map(
  Effect.filter(scopes, (scope) => Session.has(keys[scope])),
  (seen) => seen as ReadonlyArray<string>
)

// -----------------------------------------------------------------------------
// the table of docs/guide/login.md
// -----------------------------------------------------------------------------

const as = (owner: string) => Session.login(owner, { methods: ["password"] })

/** Who has put the values, and what happens afterwards; each step is a request. */
const transitions: Readonly<
  Record<string, { readonly before: ReadonlyArray<Work>; readonly after: ReadonlyArray<Work> }>
> = {
  "a visitor logs in": { before: [], after: [as("ada")] },
  "Ada logs in again": { before: [as("ada")], after: [as("ada")] },
  "Ada logs out": { before: [as("ada")], after: [Session.logout] },
  "Ada logs out, and in again": { before: [as("ada")], after: [Session.logout, as("ada")] },
  "Grace logs in, and Ada has not logged out": { before: [as("ada")], after: [as("grace")] },
  "Ada logs out, and Grace logs in": { before: [as("ada")], after: [Session.logout, as("grace")] },
  "a visitor logs out": { before: [], after: [Session.logout] }
}

const table = rowsBehind("guide/login.md", "scopes")

it("docs/guide/login.md has a row for each transition, and a column for each scope", () => {
  assert.deepStrictEqual(table[0], ["", ...scopes.map((scope) => `\`"${scope}"\``)])
  assert.deepStrictEqual(table.slice(2).map(([what]) => what), Object.keys(transitions))
})

for (const [driver, makeStore] of Object.entries(stores)) {
  describe(`scopes, with the ${driver}`, () => {
    for (const [what, { after, before }] of Object.entries(transitions)) {
      const row = table.find(([title]) => title === what)?.slice(1) ?? []
      const kept: ReadonlyArray<string> = scopes.filter((_, index) => row[index] === "stays")

      test(makeStore, `${what}: what stays has the scope ${kept.join(", ")}`, () =>
        Effect.gen(function*() {
          const { request } = browser()
          for (const step of before) yield* request(step)
          yield* request(putAll)
          for (const step of after) yield* request(step)
          assert.deepStrictEqual((yield* request(seenScopes)).value, kept)
        }))

      test(
        makeStore,
        `${what}, all in one request, or in one that finds the values: the same`,
        () =>
          Effect.gen(function*() {
            const all = [...before, putAll, ...after]
            for (const requests of [[all], [[...before, putAll], after]]) {
              const { request } = browser()
              for (const steps of requests) {
                const { value } = yield* request(Effect.andThen(Effect.all(steps, { discard: true }), seenScopes))
                assert.deepStrictEqual(value, steps === requests.at(-1) ? kept : scopes)
              }
              assert.deepStrictEqual((yield* request(seenScopes)).value, kept)
            }
          })
      )
    }

    test(
      makeStore,
      "what a visitor has put after a logout is the next owner's, and what the last one has left is not",
      () =>
        Effect.gen(function*() {
          const Wishes = SessionKey.make("wishes", Schema.String, { scope: "visitor" })
          const { request } = browser()
          yield* request(Effect.andThen(as("ada"), Session.put(Basket, { tea: 1 })))
          yield* request(Session.logout)
          yield* request(Effect.andThen(Session.put(Wishes, "coffee"), Session.put(Draft, "a draft")))
          assert.deepStrictEqual((yield* request(Session.all)).value, {
            basket: { tea: 1 },
            wishes: "coffee",
            draft: "a draft"
          })
          yield* request(as("grace"))
          assert.deepStrictEqual((yield* request(Session.all)).value, { wishes: "coffee", draft: "a draft" })
        })
    )

    test(
      makeStore,
      "who has logged out stays known through another logout, and through a new id",
      () =>
        Effect.gen(function*() {
          const { logout, regenerate } = Session
          for (const steps of [[logout, logout, regenerate], [Effect.andThen(logout, regenerate)]]) {
            const { request } = browser()
            yield* request(Effect.andThen(as("ada"), putAll))
            for (const step of [...steps, as("grace")]) yield* request(step)
            assert.deepStrictEqual((yield* request(seenScopes)).value, ["device"])
          }
        })
    )
  })
}

// -----------------------------------------------------------------------------
// the session itself
// -----------------------------------------------------------------------------

const isFound = (cookies: string) =>
  Effect.flatMap(
    Sessions.open({ cookies }),
    (session) => Effect.map(within(session, Session.createdAt), Option.isSome)
  )

for (const [driver, makeStore] of Object.entries(stores)) {
  const isStateless = driver === "CookieLayer"

  describe(`logins and logouts, with the ${driver}`, () => {
    test(
      makeStore,
      "V7.2.4 each login gives a new id, also that of somebody who is logged in, and the old one is dead",
      () =>
        Effect.gen(function*() {
          const { request } = browser()
          let { cookies: old } = yield* request(Session.put(Draft, "a draft"))
          for (const owner of ["ada", "ada", "grace"]) {
            const { cookies } = yield* request(as(owner))
            assert.deepStrictEqual(yield* Effect.forEach([old, cookies], isFound), [false, true])
            assert.deepStrictEqual((yield* request(Session.owner)).value, Option.some(owner))
            old = cookies
          }
        })
    )

    test(makeStore, "V7.4.1 a logout ends the old id, whatever stays", () =>
      Effect.gen(function*() {
        for (const put of [Session.put(Draft, "a draft"), Session.put(Basket, { tea: 1 })]) {
          const { request } = browser()
          const { cookies: old } = yield* request(Effect.andThen(as("ada"), put))
          yield* request(Session.logout)
          assert.isFalse(yield* isFound(old))
          assert.deepStrictEqual((yield* request(Session.owner)).value, Option.none())
          assert.deepStrictEqual((yield* request(Session.authentication)).value, Option.none())
        }
      }))

    test(
      makeStore,
      "V7.4.4 a logout clears the cookie if nothing stays, and sets another one if something does",
      () =>
        Effect.gen(function*() {
          const { request } = browser()
          yield* request(Effect.andThen(as("ada"), Session.put(Draft, "a draft")))
          assert.strictEqual((yield* request(Session.logout)).cookies, "")
          const before = yield* request(Effect.andThen(as("ada"), Session.put(Basket, { tea: 1 })))
          const after = yield* request(Session.logout)
          assert.notInclude(["", before.cookies], after.cookies)
          assert.deepStrictEqual((yield* request(Session.all)).value, { basket: { tea: 1 } })
        })
    )

    test(
      makeStore,
      "what is flashed before a logout goes, and what is flashed after it is shown",
      () =>
        Effect.gen(function*() {
          for (const put of [Session.put(Draft, "a draft"), Session.put(Basket, { tea: 1 })]) {
            const { request } = browser()
            yield* request(Effect.andThen(as("ada"), put))
            yield* request(
              Session.flash("before", "Hello").pipe(
                Effect.andThen(Session.logout),
                Effect.andThen(Session.flash("after", "Goodbye"))
              )
            )
            assert.deepStrictEqual((yield* request(Session.flashMessages)).value.all(), { after: "Goodbye" })
          }
        })
    )

    test(
      makeStore,
      "a lifetime is the login's: another owner does not have it, nor who is there after the logout",
      () =>
        Effect.gen(function*() {
          const idle = Effect.map(Session.expiresAt, ({ idle }) => Option.getOrThrow(idle).epochMilliseconds)
          const { request } = browser()
          yield* request(Session.login("ada", { lifetime: { age: "30 minutes" } }))
          yield* request(Session.put(Basket, { tea: 1 }))
          const short = (yield* request(idle)).value
          yield* request(as("ada"))
          assert.strictEqual((yield* request(idle)).value, short)
          yield* request(as("grace"))
          yield* request(Session.touch)
          assert.strictEqual((yield* request(idle)).value, short + 90 * 60_000)
          yield* request(Effect.andThen(Session.setLifetime({ age: "30 minutes" }), Session.put(Basket, { tea: 1 })))
          yield* request(Session.logout)
          assert.strictEqual((yield* request(idle)).value, short + 90 * 60_000)
        })
    )

    test(
      makeStore,
      "a login or a logout that is taken back, or is a part of what fails, has changed nothing",
      () =>
        Effect.gen(function*() {
          const { request } = browser()
          yield* request(Effect.andThen(as("ada"), putAll))
          for (const step of [as("grace"), Session.logout]) {
            yield* request(Effect.andThen(step, Session.rollback))
            yield* request(Effect.exit(Session.atomic(Effect.andThen(step, Effect.fail("no")))))
            assert.deepStrictEqual((yield* request(seenScopes)).value, scopes)
            assert.deepStrictEqual((yield* request(Session.owner)).value, Option.some("ada"))
          }
          yield* request(Session.atomic(as("grace")))
          assert.deepStrictEqual((yield* request(seenScopes)).value, ["device"])
        })
    )

    test(
      makeStore,
      "a logout of a session that was ended elsewhere is none, and a login begins with nothing",
      () =>
        Effect.gen(function*() {
          for (const step of [Session.logout, as("ada")]) {
            const { begin, end, request } = browser()
            const { cookies } = yield* request(putAll)
            const session = yield* begin
            yield* within(session, step)
            yield* Sessions.destroy({ cookies })
            yield* end(session)
            assert.deepStrictEqual((yield* request(seenScopes)).value, [])
          }
        })
    )

    if (!isStateless) {
      test(
        makeStore,
        "what another request puts between a logout and its commit stays if it is a visitor's, and is Ada's then",
        () =>
          Effect.gen(function*() {
            const { begin, end, request } = browser()
            const { cookies } = yield* request(Effect.andThen(as("ada"), Session.put(keys.device, "device")))
            const session = yield* begin
            yield* within(session, Session.logout)
            yield* Sessions.modify({ cookies }, Effect.andThen(putAll, Session.put(Basket, { tea: 1 })))
            yield* end(session)
            assert.deepStrictEqual((yield* request(seenScopes)).value, ["visitor", "device"])
            assert.deepStrictEqual((yield* request(Basket)).value, { tea: 1 })
            yield* request(as("grace"))
            assert.deepStrictEqual((yield* request(seenScopes)).value, ["device"])
          })
      )

      test(
        makeStore,
        "what a request of Ada's puts between Grace's login and its commit, or after it, is not Grace's",
        () =>
          Effect.gen(function*() {
            const { begin, end, request } = browser()
            const { cookies } = yield* request(as("ada"))
            const [login, slow] = [yield* begin, yield* begin]
            yield* within(slow, putAll)
            yield* within(login, as("grace"))
            yield* Sessions.modify(
              { cookies },
              Effect.andThen(Session.put(Draft, "Ada's"), Session.put(Basket, { tea: 1 }))
            )
            yield* end(login)
            yield* Sessions.commit(slow)
            assert.deepStrictEqual((yield* request(Session.all)).value, { mine: "device" })
          })
      )
    }
  })

  describe(`merging at a login, with the ${driver}`, () => {
    const stored = { coffee: 2 }
    const join = Session.login("ada", { merge: [[Basket, (visitor) => ({ ...stored, ...visitor })]] })

    test(
      makeStore,
      "has the visitor's value, and what the login makes of it is there at once",
      () =>
        Effect.gen(function*() {
          const { request } = browser()
          yield* request(Session.put(Basket, { tea: 1 }))
          assert.deepStrictEqual((yield* request(Effect.andThen(join, Basket))).value, { tea: 1, ...stored })
          assert.deepStrictEqual((yield* request(Basket)).value, { tea: 1, ...stored })
        })
    )

    test(
      makeStore,
      "is done once for each login of a visitor, also if that comes twice in one request",
      () =>
        Effect.gen(function*() {
          const sum = Session.login("ada", { merge: [[Basket, ({ tea = 0 }) => ({ tea: tea + 2 })]] })
          const { request } = browser()
          yield* request(Session.put(Basket, { tea: 1 }))
          yield* request(Effect.andThen(sum, sum))
          assert.deepStrictEqual((yield* request(Basket)).value, { tea: 3 })
          // What has stayed after a logout is merged once more.
          yield* request(Session.logout)
          yield* request(sum)
          assert.deepStrictEqual((yield* request(Basket)).value, { tea: 5 })
        })
    )

    test(makeStore, "is for those who were not logged in: not when Ada logs in again", () =>
      Effect.gen(function*() {
        const { request } = browser()
        yield* request(Effect.andThen(as("ada"), Session.put(Basket, { tea: 1 })))
        assert.deepStrictEqual((yield* request(Effect.andThen(join, Basket))).value, { tea: 1 })
      }))

    test(makeStore, "does not see what another owner has left", () =>
      Effect.gen(function*() {
        for (const between of [Effect.void, Session.logout]) {
          const { request } = browser()
          yield* request(Effect.andThen(as("grace"), Session.put(Basket, { tea: 1 })))
          yield* request(between)
          assert.deepStrictEqual((yield* request(Effect.andThen(join, Basket))).value, stored)
        }
      }))

    test(
      makeStore,
      "that throws, or makes what does not fit, is a SessionValueError, and nobody is logged in",
      () =>
        Effect.gen(function*() {
          const thrown = () => {
            throw new Error("no")
          }
          for (const [merge, message] of [[thrown, "merge"], [() => ({ tea: 1.5 }), "encode"]] as const) {
            const { request } = browser()
            const { cookies } = yield* request(Session.put(Basket, { tea: 1 }))
            const failed = yield* request(Effect.flip(Session.login("ada", { merge: [[Basket, merge]] })))
            assert.instanceOf(failed.value, SessionError.SessionValueError)
            assert.include(failed.value.message, `can't ${message} the value`)
            assert.strictEqual(failed.cookies, cookies)
            assert.deepStrictEqual((yield* request(Session.owner)).value, Option.none())
          }
        })
    )

    if (isStateless) return

    test(makeStore, "is done again if another request has changed the value meanwhile", () =>
      Effect.gen(function*() {
        const { begin, end, request } = browser()
        const { cookies } = yield* request(Session.put(Basket, { tea: 1 }))
        const session = yield* begin
        yield* within(session, join)
        yield* Sessions.modify({ cookies }, Session.modify(Basket, (basket) => ({ ...basket, milk: 1 })))
        yield* end(session)
        assert.deepStrictEqual((yield* request(Basket)).value, { tea: 1, milk: 1, ...stored })
      }))
  })
}

it.effect("a logout counts as a session that ends, and as one that begins if anything stays", () =>
  Effect.gen(function*() {
    for (
      const [work, counters] of [
        [Session.put(Draft, "kept by nobody"), { "loads": 1, "commits destroy": 1 }],
        [Session.put(keys.device, "kept"), { "loads": 1, "commits destroy": 1, "commits create": 1 }]
      ] as const
    ) {
      const { token } = yield* Sessions.create(work)
      const { counters: seen, layer } = observe()
      yield* Effect.provide(Sessions.modify({ token }, Session.logout), layer)
      assert.deepStrictEqual(seen(), counters)
    }
  }).pipe(Effect.provide(Layer.provideMerge(MemoryLayer.layer(), SessionConfig.layer({ secret })))))

it.effect("a login of nobody, or of half a character, is a SessionOwnerError, and nobody is logged in", () =>
  Effect.gen(function*() {
    for (const owner of ["", "\ud800", "o".repeat(1_025)]) {
      assert.instanceOf(yield* Effect.flip(as(owner)), SessionError.SessionOwnerError)
      assert.deepStrictEqual(yield* Session.owner, Option.none())
    }
  }).pipe(Effect.provide(Session.layerTest())))

it("what a logout has left is somebody else's, if it is not known whose it is", () => {
  const fields = [["~v.basket", "1"], ["~d.theme", "1"], ["draft", "1"]] as const
  for (const damaged of ["", "5", "null", `{"by":1}`, `{"by":"ada","fields":[5]}`]) {
    assert.deepStrictEqual(Left.of(new Map([...fields, ["~left", damaged]])), { by: "", fields: ["~v.basket"] })
  }
  assert.isUndefined(Left.of(new Map(fields)))
})

it("a scope that is none throws when the key is made", () => {
  assert.throws(
    () => SessionKey.make("mine", Schema.String, { scope: "everybody" as SessionKey.Scope }),
    "SessionKey.make(\"mine\"): write \"login\", \"visitor\" or \"device\" as its scope"
  )
})
