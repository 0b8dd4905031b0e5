/**
 * The conformance suite of drivers that support owners: tests them against the contracts of `SessionOwners` and
 * `SessionIndex`, in addition to `SessionStoreTest`. It runs in any test runner, like that suite, and is not exported
 * from the main module.
 *
 * If a driver can list the sessions of an owner, use {@link suite}; if it can only end all of them, use
 * {@link suiteWithoutIndex}.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import assert from "node:assert/strict"
import { register } from "./internal/suites/register.ts"
import * as Session from "./Session.ts"
import * as SessionConfig from "./SessionConfig.ts"
import { SessionGoneError, SessionLimitError, SessionOwnerError } from "./SessionError.ts"
import * as SessionKey from "./SessionKey.ts"
import type * as SessionOwners from "./SessionOwners.ts"
import * as Sessions from "./Sessions.ts"
import type * as SessionStore from "./SessionStore.ts"
import type { Runner } from "./SessionStoreTest.ts"

type Stores = SessionStore.SessionStore | SessionOwners.SessionOwners

type StoresWithIndex = Stores | SessionOwners.SessionIndex

/**
 * The options of the suite.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E> {
  /**
   * The driver, whose store supports owners. Every test builds it again; stored data may remain from one test to the
   * next.
   */
  readonly layer: Layer.Layer<StoresWithIndex, E, SessionConfig.SessionConfig>

  /** The names of the laws that the driver does not guarantee. Its documentation should list them too. */
  readonly skip?: ReadonlyArray<Law>

  /** Everything that the back end has stored, as one string, in which a test looks for ids, tokens and owners. */
  readonly dump?: Effect.Effect<string, unknown, SessionStore.SessionStore>
}

/**
 * The options of the suite for a driver that can end the sessions of an owner but not list them.
 *
 * @since 0.1.0
 * @category models
 */
export interface OptionsWithoutIndex<E> {
  /** The driver. Every test builds it twice, and stored data must survive that. */
  readonly layer: Layer.Layer<Stores, E, SessionConfig.SessionConfig>
}

/**
 * The laws of a store that can list the sessions of an owner.
 *
 * @since 0.1.0
 * @category models
 */
export type Law = keyof typeof laws | keyof typeof lawsOfEnding

/**
 * Registers the tests of a driver that can list the sessions of an owner.
 *
 * **Example** (vitest)
 *
 * ```ts
 * import { MemoryLayer } from "effect-session"
 * import * as SessionOwnersTest from "effect-session/SessionOwnersTest"
 * import { describe, it } from "vitest"
 *
 * SessionOwnersTest.suite({ describe, it }, "MemoryLayer", { layer: MemoryLayer.layer() })
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const suite = <E>(runner: Runner, name: string, { dump, layer, skip }: Options<E>): void => {
  const tests: ReadonlyArray<readonly [string, Test<StoresWithIndex>]> = [
    ...Object.entries({ ...laws, ...lawsOfEnding }),
    ...dump === undefined ? [] : [
      ["what is stored holds no token, and an owner only in the session itself", holdsNoSecret(dump)] as const
    ]
  ]
  register(runner, headingOf(name), tests.map(([law, test]) => [law, provideStore(layer)(test(layer))]), skip)
}

const headingOf = (name: string) => `${name} keeps the contract of SessionOwners`

/**
 * Registers the tests of a driver that can end the sessions of an owner but not list them.
 *
 * **Example** (vitest)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Persistence } from "effect/persistence"
 * import { CookieLayer } from "effect-session"
 * import * as SessionOwnersTest from "effect-session/SessionOwnersTest"
 * import { describe, it } from "vitest"
 *
 * declare const shared: Layer.Layer<Persistence.BackingPersistence>
 *
 * SessionOwnersTest.suiteWithoutIndex({ describe, it }, "CookieLayer.layerShared", {
 *   layer: Layer.provide(CookieLayer.layerShared, shared)
 * })
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const suiteWithoutIndex = <E>(runner: Runner, name: string, { layer }: OptionsWithoutIndex<E>): void => {
  const tests: ReadonlyArray<readonly [string, Test<Stores>]> = Object.entries(lawsOfEnding)
  register(runner, headingOf(name), tests.map(([law, test]) => [law, provideStore(layer)(test(layer))]))
}

// -----------------------------------------------------------------------------
// the stage
// -----------------------------------------------------------------------------

type LayerOf<S> = Layer.Layer<S, unknown, SessionConfig.SessionConfig>

/** A test gets the driver's Layer for building a second store. */
type Test<S> = (layer: LayerOf<S>) => Effect.Effect<void, unknown, S | SessionConfig.SessionConfig>

const configuration = {
  secret: "the conformance suite's own secret, long enough",
  age: "1 hour",
  absoluteAge: "12 hours",
  touchEvery: "1 minute"
} as const

const provideStore = <S>(layer: LayerOf<S>, options: SessionConfig.Options = {}) =>
  // Local, because a second store with other settings would otherwise be the first one again.
  Effect.provide(Layer.provideMerge(layer, SessionConfig.layer({ ...configuration, ...options })), { local: true })

const Device = SessionKey.make("device", Schema.String)
const Place = SessionKey.make("place", Schema.Struct({ city: Schema.String }))
const Notes = SessionKey.make("notes", Schema.String)

type Token = Redacted.Redacted<string>

/** An owner that no other test uses. */
const newOwner = Effect.sync(() => `owner ${crypto.randomUUID()}`)

const logIn = (owner: string, device = "a device") =>
  Effect.map(
    Sessions.create(Effect.andThen(Session.login(owner), Session.put(Device, device))),
    ({ token }) => token
  )

const use = <A, E>(token: Token, effect: Effect.Effect<A, E, Session.Session>) =>
  Effect.flatMap(
    Sessions.open({ token }, { readonly: true }),
    (session) => Effect.provideService(effect, Session.Session, session)
  )

const ownerOf = (token: Token) => Effect.map(use(token, Session.owner), Option.getOrUndefined)
const handleOf = (token: Token) => use(token, Session.handle)

const expectEnded = (...tokens: ReadonlyArray<Token>) =>
  Effect.forEach(tokens, (token) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* ownerOf(token), undefined, "the session is over")
      assert.strictEqual(yield* use(token, Session.has(Device)), false)
    }))

const expectAlive = (owner: string, ...tokens: ReadonlyArray<Token>) =>
  Effect.forEach(
    tokens,
    (token) => Effect.map(ownerOf(token), (found) => assert.strictEqual(found, owner, "the session goes on"))
  )

const devices = (owner: string) =>
  Effect.map(
    Sessions.list(owner, { attributes: { device: Device } }),
    ({ sessions }) => sessions.map(({ attributes }) => Option.getOrUndefined(attributes.device))
  )

/** Advances the clock, so that one login is later than another. */
const later = TestClock.adjust("1 second")

// -----------------------------------------------------------------------------
// the laws
// -----------------------------------------------------------------------------

const laws = {
  "the sessions of an owner are listed, the latest login first": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      for (const device of ["first", "second", "third"]) {
        yield* logIn(owner, device)
        yield* later
      }
      assert.deepStrictEqual(yield* devices(owner), ["third", "second", "first"])
      assert.deepStrictEqual(yield* devices(yield* newOwner), [])
    }),

  "a listed session says when it was created and used, when it ends, and what was asked for": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const created = yield* DateTime.now
      const { token } = yield* Sessions.create(
        Session.login(owner).pipe(
          Effect.andThen(Session.put(Place, { city: "Malmö" })),
          Effect.andThen(Session.put(Notes, "private"))
        )
      )
      yield* TestClock.adjust("10 minutes")
      yield* Sessions.modify({ token }, Session.touch)
      const { next, sessions: [one, ...others] } = yield* Sessions.list(owner, {
        attributes: { device: Device, place: Place }
      })
      assert.deepStrictEqual([others, next], [[], Option.none()])
      const used = DateTime.add(created, { minutes: 10 })
      assert.deepStrictEqual(one, {
        handle: yield* handleOf(token),
        createdAt: created,
        lastUsedAt: used,
        expiresAt: Option.some(DateTime.add(used, { hours: 1 })),
        isCurrent: false,
        attributes: { device: Option.none(), place: Option.some({ city: "Malmö" }) }
      })
    }),

  "a value that does not fit its schema any more is left out of the list, which comes with the rest": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      yield* logIn(owner, "a laptop")
      const other = SessionKey.make("device", Schema.Number)
      const { sessions } = yield* Sessions.list(owner, { attributes: { other, device: Device } })
      assert.deepStrictEqual(sessions.map(({ attributes }) => attributes), [
        { other: Option.none(), device: Option.some("a laptop") }
      ])
    }),

  "a list comes in pages, with each session once": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const tokens = yield* Effect.forEach(Array.from({ length: 25 }), () => logIn(owner), { concurrency: 5 })
      const found: Array<string> = []
      let after: string | undefined
      do {
        const page = yield* Sessions.list(owner, { limit: 10, ...(after !== undefined && { after }) })
        assert(page.sessions.length <= 10)
        found.push(...page.sessions.map(({ handle }) => handle))
        after = Option.getOrUndefined(page.next)
      } while (after !== undefined)
      assert.deepStrictEqual(found.toSorted(), (yield* Effect.forEach(tokens, handleOf)).toSorted())
    }),

  "owners do not see each other's sessions, and can't end them": () =>
    Effect.gen(function*() {
      const [ada, grace] = [yield* newOwner, yield* newOwner]
      const token = yield* logIn(ada)
      assert.deepStrictEqual(yield* devices(grace), [])
      assert.strictEqual(yield* Sessions.destroyHandle(grace, yield* handleOf(token)), false)
      assert.strictEqual(yield* Sessions.destroyAll(grace), 0)
      yield* expectAlive(ada, token)
    }),

  "owners may have any name of 1 to 1,024 bytes": () =>
    Effect.gen(function*() {
      const unique = yield* newOwner
      const names = ["*", "../..", "a b\n\u0000", "日本 👩‍👩‍👧", "~owner", ":", "%2e", "\\", "'; --", "x".repeat(900)]
        .map((name) => name + unique)
      for (const name of names) {
        const token = yield* logIn(name, name)
        yield* expectAlive(name, token)
        assert.deepStrictEqual(yield* devices(name), [name])
      }
      for (const name of ["", "x".repeat(1_025), "é".repeat(513), "\ud800"]) {
        assert((yield* Effect.flip(logIn(name))) instanceof SessionOwnerError)
        assert((yield* Effect.flip(Sessions.list(name))) instanceof SessionOwnerError)
        assert((yield* Effect.flip(Sessions.destroyAll(name))) instanceof SessionOwnerError)
      }
      for (const name of names) {
        assert.strictEqual(yield* Sessions.destroyAll(name), 1)
      }
    }),

  "a login is in the list at once, also that of another server": (layer) =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      yield* provideStore(layer)(logIn(owner, "there"))
      assert.deepStrictEqual(yield* devices(owner), ["there"])
      yield* Sessions.destroyAll(owner)
      assert.deepStrictEqual(yield* provideStore(layer)(devices(owner)), [])
    }),

  "20 logins at once are all in the list": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const names = Array.from({ length: 20 }, (_, index) => `device ${index}`)
      yield* Effect.forEach(names, (name) => logIn(owner, name), { concurrency: "unbounded" })
      assert.deepStrictEqual((yield* devices(owner)).toSorted(), names.toSorted())
    }),

  "a session that has got another id is listed once": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const token = yield* logIn(owner)
      const { token: next } = yield* Sessions.modify({ token }, Session.regenerate)
      const { sessions } = yield* Sessions.list(owner)
      assert.deepStrictEqual(
        sessions.map(({ handle }) => handle),
        [yield* handleOf(Option.getOrThrow(next))]
      )
    }),

  "a session that has ended, by a logout or as its time was over, is not in the list": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      yield* Sessions.destroy({ token: yield* logIn(owner) })
      assert.deepStrictEqual(yield* devices(owner), [])
      yield* logIn(owner)
      yield* TestClock.adjust("61 minutes")
      assert.deepStrictEqual(yield* devices(owner), [])
    }),

  "a session that is used stays in the list": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const token = yield* logIn(owner, "in use")
      for (let hours = 0; hours < 9; hours++) {
        yield* TestClock.adjust("59 minutes")
        yield* Sessions.modify({ token }, Session.get(Device))
        assert.deepStrictEqual(yield* devices(owner), ["in use"])
      }
    }),

  "a session can be read, changed and ended by its handle": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const token = yield* logIn(owner, "before")
      const found = { owner, handle: yield* handleOf(token) }
      const { value } = yield* Sessions.modify(found, Effect.tap(Session.get(Device), Session.put(Device, "after")))
      assert.deepStrictEqual(value, Option.some("before"))
      assert.deepStrictEqual(yield* use(token, Session.get(Device)), Option.some("after"))
      yield* Sessions.destroy(found)
      yield* expectEnded(token)
      assert((yield* Effect.flip(Sessions.modify(found, Effect.void))) instanceof SessionGoneError)
    }),

  "destroyHandle ends that session and no other one": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const [one, other] = [yield* logIn(owner), yield* logIn(owner)]
      const handle = yield* handleOf(one)
      assert.strictEqual(yield* Sessions.destroyHandle(owner, handle), true)
      yield* expectEnded(one)
      yield* expectAlive(owner, other)
      for (const nothing of [handle, "", "*", handle.slice(1), `${handle}x`]) {
        assert.strictEqual(yield* Sessions.destroyHandle(owner, nothing), false)
      }
      yield* expectAlive(owner, other)
    }),

  "destroyAll ends all sessions of the owner": () =>
    Effect.gen(function*() {
      const [owner, bystander] = [yield* newOwner, yield* newOwner]
      const tokens = yield* Effect.forEach([1, 2, 3], () => logIn(owner))
      const other = yield* logIn(bystander)
      assert.strictEqual(yield* Sessions.destroyAll(owner), 3)
      yield* expectEnded(...tokens)
      yield* expectAlive(bystander, other)
      assert.deepStrictEqual(yield* devices(owner), [])
      const next = yield* logIn(owner)
      yield* expectAlive(owner, next)
    }),

  "destroyOthers ends all but the session of the request, also if that is getting another id": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const tokens = yield* Effect.forEach([1, 2], () => logIn(owner))
      const own = yield* logIn(owner)
      const { token, value } = yield* Sessions.modify(
        { token: own },
        Effect.andThen(Session.regenerate, Sessions.destroyOthers)
      )
      assert.strictEqual(value, 2)
      yield* expectEnded(...tokens)
      yield* expectAlive(owner, Option.getOrThrow(token))
    }),

  "a login that all sessions were ended before comes to nothing": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const login = Effect.andThen(
        Session.login(owner),
        Effect.andThen(Session.put(Device, "x"), Sessions.destroyAll(owner))
      )
      assert((yield* Effect.flip(Sessions.create(login))) instanceof SessionGoneError)
      const { token } = yield* Sessions.create(Session.put(Device, "a visitor's"))
      assert((yield* Effect.flip(Sessions.modify({ token }, login))) instanceof SessionGoneError)
      assert.deepStrictEqual(yield* devices(owner), [])
    }),

  "what was ended can't be changed, extended, or given another id": () =>
    Effect.gen(function*() {
      for (const change of [Session.put(Device, "again"), Session.touch, Session.regenerate]) {
        const owner = yield* newOwner
        const token = yield* logIn(owner)
        const session = yield* Sessions.open({ token })
        yield* Sessions.destroyAll(owner)
        yield* Effect.ignore(Effect.provideService(Effect.andThen(change, Session.commit), Session.Session, session))
        yield* expectEnded(token)
        assert.deepStrictEqual(yield* devices(owner), [])
      }
    }),

  "a login with a session of another owner takes it over": () =>
    Effect.gen(function*() {
      const [ada, grace] = [yield* newOwner, yield* newOwner]
      const { token } = yield* Sessions.modify(
        { token: yield* logIn(ada, "hers") },
        Effect.andThen(Session.login(grace), Session.put(Device, "shared"))
      )
      yield* expectAlive(grace, Option.getOrThrow(token))
      assert.deepStrictEqual([yield* devices(ada), yield* devices(grace)], [[], ["shared"]])
      assert.strictEqual(yield* Sessions.destroyAll(ada), 0)
      yield* expectAlive(grace, Option.getOrThrow(token))
    }),

  "with a limit that refuses, the next login is a SessionLimitError, and those that are over do not count": (layer) =>
    provideStore(layer, { owner: { limit: 2 } })(Effect.gen(function*() {
      const owner = yield* newOwner
      const [one, other] = [yield* logIn(owner), yield* logIn(owner)]
      const error = yield* Effect.flip(logIn(owner))
      assert(error instanceof SessionLimitError && error.limit === 2)
      yield* expectAlive(owner, one, other)
      yield* Sessions.destroy({ token: one })
      const next = yield* logIn(owner)
      yield* expectAlive(owner, other, next)
      yield* TestClock.adjust("61 minutes")
      yield* Effect.forEach([1, 2], () => logIn(owner))
    })),

  "with a limit that evicts, the next login ends the session that was unused for longest": (layer) =>
    provideStore(layer, { owner: { limit: 2, policy: "evict" } })(Effect.gen(function*() {
      const owner = yield* newOwner
      const one = yield* logIn(owner)
      yield* TestClock.adjust("5 minutes")
      const other = yield* logIn(owner)
      yield* TestClock.adjust("5 minutes")
      yield* Sessions.modify({ token: one }, Session.touch)
      const next = yield* logIn(owner)
      yield* expectAlive(owner, one, next)
      yield* expectEnded(other)
    })),

  "a second login in a session of the same owner takes no room": (layer) =>
    Effect.forEach(
      ["refuse", "evict"] as const,
      (policy) =>
        provideStore(layer, { owner: { limit: 2, policy } })(Effect.gen(function*() {
          const owner = yield* newOwner
          const other = yield* logIn(owner)
          let token = yield* logIn(owner)
          for (const login of [Session.login(owner), Effect.andThen(Session.regenerate, Session.login(owner))]) {
            token = Option.getOrThrow((yield* Sessions.modify({ token }, login)).token)
          }
          yield* expectAlive(owner, other, token)
        }))
    ),

  "20 logins at once are no more than the limit": (layer) =>
    provideStore(layer, { owner: { limit: 3 } })(Effect.gen(function*() {
      const owner = yield* newOwner
      yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.exit(logIn(owner)), { concurrency: "unbounded" })
      assert((yield* devices(owner)).length <= 3)
    }))
} satisfies { readonly [law: string]: Test<StoresWithIndex> }

// -----------------------------------------------------------------------------
// the laws that need no index
// -----------------------------------------------------------------------------

const lawsOfEnding = {
  "destroyAll ends all sessions of the owner and no other's, and the next login counts again": () =>
    Effect.gen(function*() {
      const [owner, bystander] = [yield* newOwner, yield* newOwner]
      const other = yield* logIn(bystander)
      for (let time = 0; time < 3; time++) {
        const tokens = yield* Effect.forEach([1, 2, 3], () => logIn(owner))
        yield* expectAlive(owner, ...tokens)
        yield* Sessions.destroyAll(owner)
        yield* expectEnded(...tokens)
      }
      yield* expectAlive(bystander, other)
      yield* expectAlive(owner, yield* logIn(owner))
    }),

  "what was ended stays so, for as long as anything of it could be accepted": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const tokens = yield* Effect.forEach([1, 2], () => logIn(owner))
      yield* Sessions.destroyAll(owner)
      for (let hours = 0; hours < 15; hours++) {
        yield* TestClock.adjust("1 hour")
        yield* expectEnded(...tokens)
      }
      yield* expectAlive(owner, yield* logIn(owner))
    }),

  "a login that comes after destroyAll outlives the time for which that is remembered": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      yield* Sessions.destroyAll(owner)
      yield* TestClock.adjust("1 hour")
      let token = yield* logIn(owner)
      for (let times = 0; times < 12; times++) {
        yield* TestClock.adjust("55 minutes")
        token = Option.getOrThrow((yield* Sessions.modify({ token }, Session.touch)).token)
        yield* expectAlive(owner, token)
      }
    }),

  "destroyOthers spares its session from then on, under each id that it gets, until destroyAll": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const others = yield* Effect.forEach([1, 2], () => logIn(owner))
      let token = yield* logIn(owner)
      const change = (effect: Effect.Effect<unknown, unknown, Session.Session | SessionOwners.SessionOwners>) =>
        Effect.gen(function*() {
          const changed = yield* Sessions.modify({ token }, effect)
          token = Option.getOrThrow(changed.token)
          yield* expectAlive(owner, token)
        })
      yield* change(Effect.andThen(Session.regenerate, Sessions.destroyOthers))
      yield* expectEnded(...others)
      const another = yield* logIn(owner)
      yield* change(Session.regenerate)
      yield* change(Session.put(Device, "still mine"))
      yield* expectAlive(owner, another)
      yield* change(Sessions.destroyOthers)
      yield* expectEnded(another)
      yield* change(Effect.andThen(Session.login(owner), Sessions.destroyOthers))
      yield* change(Session.regenerate)
      yield* Sessions.destroyAll(owner)
      yield* expectEnded(token)
    }),

  "whoever is ended does not come back by ending others": () =>
    Effect.gen(function*() {
      for (const end of ["all", "others"]) {
        const owner = yield* newOwner
        const [one, other] = [yield* logIn(owner), yield* logIn(owner)]
        const session = yield* Sessions.open({ token: one })
        if (end === "all") yield* Sessions.destroyAll(owner)
        else yield* Sessions.modify({ token: other }, Sessions.destroyOthers)
        yield* expectEnded(one)
        // Its request was still running.
        yield* Effect.provideService(Sessions.destroyOthers, Session.Session, session)
        yield* expectEnded(one, other)
      }
    }),

  "destroyOthers of a login counts for its session": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const other = yield* logIn(owner)
      const login = Effect.andThen(
        Session.login(owner),
        Effect.andThen(Session.put(Device, "x"), Sessions.destroyOthers)
      )
      const { token } = yield* Sessions.create(login)
      yield* expectEnded(other)
      yield* expectAlive(owner, token)
    }),

  "a login that all sessions were ended before does not count": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const login = Session.login(owner).pipe(
        Effect.andThen(Session.put(Device, "x")),
        Effect.andThen(Sessions.destroyAll(owner))
      )
      const { token } = yield* Sessions.create(Session.put(Device, "a visitor's"))
      const tokens = [
        Effect.map(Sessions.create(login), ({ token }) => Option.some(token)),
        Effect.map(Sessions.modify({ token }, login), ({ token }) => token)
      ]
      for (const made of tokens) {
        yield* expectEnded(...Option.toArray(Option.flatten(yield* Effect.option(made))))
      }
    }),

  "another server knows at once that all sessions, or all others, have ended": (layer) =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const there = provideStore(layer)
      const [one, other] = [yield* logIn(owner), yield* there(logIn(owner))]
      yield* there(expectAlive(owner, one, other))
      yield* there(Sessions.modify({ token: one }, Sessions.destroyOthers))
      yield* expectEnded(other)
      yield* expectAlive(owner, one)
      yield* there(Sessions.destroyAll(owner))
      yield* expectEnded(one)
    }),

  "whoever waits for the end of a session sees that its owner has ended it": () =>
    Effect.gen(function*() {
      const owner = yield* newOwner
      const [one, other] = [yield* logIn(owner), yield* logIn(owner)]
      const [first, second] = yield* Effect.forEach([one, other], (token) =>
        Effect.flatMap(
          Sessions.open({ token }),
          (session) => Effect.forkChild(Sessions.watch(session), { startImmediately: true })
        ))
      yield* Sessions.modify({ token: one }, Sessions.destroyOthers)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(second!)
      assert.strictEqual(first!.pollUnsafe(), undefined, "the session goes on")
      yield* Sessions.destroyAll(owner)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(first!)
    })
} satisfies { readonly [law: string]: Test<Stores> }

const holdsNoSecret = (dump: Effect.Effect<string, unknown, SessionStore.SessionStore>): Test<StoresWithIndex> => () =>
  Effect.gen(function*() {
    const owner = yield* newOwner
    const token = yield* logIn(owner, "Ada's laptop")
    const text = yield* dump
    assert(text.includes("Ada's laptop"), "the dump shows what is stored")
    assert(!text.includes(Redacted.value(token)))
    assert(!text.includes(Redacted.value(yield* use(token, Session.sessionId))))
    yield* Sessions.destroy({ token })
    assert(!(yield* dump).includes(owner))
  })
