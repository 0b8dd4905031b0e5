/**
 * Ending the sessions of an owner that are out in cookies, with a place that servers share: whatever the order of the steps,
 * what it costs, what is stored there, and what becomes of it.
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Option, Redacted } from "effect"
import {
  CookieLayer,
  Session,
  SessionConfig,
  SessionError,
  type SessionOwners,
  Sessions,
  SessionStore
} from "effect-session"
import * as SessionOwnersTest from "effect-session/SessionOwnersTest"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { KeyValueStore, Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { hash } from "node:crypto"
import { setTimeOfDay } from "../../support/clock.ts"
import { mistakesIn, secret } from "../../support/config.ts"
import { everyOrderOf, type Program, type Run, type Step } from "../../support/interleave.ts"
import { cases, isOwned as isOwnedBefore, owned } from "../../support/ownerLaws.ts"
import { monitor, shared, startRedis } from "../../support/redisServer.ts"
import { basicRoutes, Name, post } from "../../support/routes.ts"
import { cookieOf, serve } from "../../support/server.ts"

type Store = Persistence.BackingPersistenceStore
type Services = SessionStore.SessionStore | SessionOwners.SessionOwners | SessionConfig.SessionConfig
type Token = Redacted.Redacted<string>

const redis = shared(startRedis())

/** Calls of the shared place by name, with how many keys they ask for. */
const stepwise = (store: Store, step: Step): Store => ({
  ...store,
  get: (key) => step(store.get(key), "get"),
  getMany: (keys) => step(store.getMany(keys), `get ${keys.length}`),
  set: (key, value, ttl) => step(store.set(key, value, ttl), "set")
})

const layerOf = (store: Store) =>
  Layer.provide(
    CookieLayer.layerShared,
    Layer.succeed(Persistence.BackingPersistence, { make: () => Effect.succeed(store) })
  )

/** A server of its own with this shared place. */
const onServer =
  <A, E>(effect: Effect.Effect<A, E, Services>, options: SessionConfig.Options = {}) =>
  (store: Store): Effect.Effect<A, unknown> =>
    Effect.provide(
      effect,
      Layer.provideMerge(
        layerOf(store),
        SessionConfig.layer({ secret, age: "1 hour", absoluteAge: "1 day", touchEvery: "1 minute", ...options })
      ),
      { local: true }
    )

const inMemory: Effect.Effect<Store> = Effect.provide(
  Effect.scoped(Effect.flatMap(Persistence.BackingPersistence, ({ make }) => make("test"))),
  Persistence.layerBackingMemory,
  { local: true }
)

const ownerOf = (token: Token) =>
  Effect.flatMap(
    Sessions.open({ token }, { readonly: true }),
    (session) => Effect.provideService(Session.owner, Session.Session, session)
  ).pipe(Effect.map(Option.getOrUndefined))

const isOwned = (owner: string, token: Token) => Effect.map(ownerOf(token), (id) => id === owner)

const logIn = (owner: string) => Effect.map(owned(owner), (token) => token!)

const made = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<Token> =>
  Exit.isSuccess(exit) ? Option.toArray(exit.value as Option.Option<Token>) : []

const everyOrder = <E>(
  test: (
    play: (store: Store, programs: Readonly<Record<"A" | "B", Program<Store>>>) => Effect.Effect<Run>
  ) => Effect.Effect<void, E>
) => Effect.map(everyOrderOf(stepwise, test), (count) => assert.isAbove(count, 1))

/** The owners of a test have no sessions from before. */
const newOwner = Effect.sync(() => `owner ${crypto.randomUUID()}`)

// -----------------------------------------------------------------------------
// every order
// -----------------------------------------------------------------------------

describe("whatever the order of their steps", () => {
  for (const [title, { begin, isLogin, request }] of Object.entries(cases)) {
    it.effect(`destroyAll and ${title}: no session of before survives`, () =>
      Effect.gen(function*() {
        const store = yield* inMemory
        yield* everyOrder(
          Effect.fnUntraced(function*(play) {
            const owner = yield* newOwner
            const before = yield* onServer(begin(owner))(store)
            const { exits, steps } = yield* play(store, {
              A: onServer(Effect.suspend(() => request(owner, before))),
              B: onServer(Sessions.destroyAll(owner))
            })
            const trace = steps.join(", ")
            assert.isTrue(Exit.isSuccess(exits.B), trace)
            yield* onServer(Effect.gen(function*() {
              const own = yield* Effect.filter(made(exits.A), (token) => isOwned(owner, token))
              // The step of the login that looks for what was ended.
              const isKnownBefore = steps.slice(0, steps.indexOf("B set")).includes("A get 2")
              if (isOwnedBefore(begin)) assert.isFalse(yield* isOwned(owner, before!), `${trace}: that of before`)
              if (!isLogin || isKnownBefore) assert.deepStrictEqual(own, [], trace)
              if (isLogin && !isKnownBefore && !isOwnedBefore(begin)) assert.lengthOf(own, 1, `${trace}: a later login`)
              yield* Sessions.destroyAll(owner)
              for (const token of own) assert.isFalse(yield* isOwned(owner, token), trace)
            }))(store)
          })
        )
      }), 60_000)

    it.effect(
      `destroyOthers of another session and ${title}: only the other session survives`,
      () =>
        Effect.gen(function*() {
          const store = yield* inMemory
          yield* everyOrder(
            Effect.fnUntraced(function*(play) {
              const owner = yield* newOwner
              const own = yield* onServer(logIn(owner))(store)
              const before = yield* onServer(begin(owner))(store)
              const { exits, steps } = yield* play(store, {
                A: onServer(Effect.suspend(() => request(owner, before))),
                B: onServer(Sessions.modify({ token: own }, Sessions.destroyOthers))
              })
              const trace = steps.join(", ")
              assert.isTrue(Exit.isSuccess(exits.B), trace)
              yield* onServer(Effect.gen(function*() {
                assert.isTrue(yield* isOwned(owner, own), trace)
                const alive = yield* Effect.filter(made(exits.A), (token) => isOwned(owner, token))
                const isKnownBefore = steps.slice(0, steps.indexOf("B set")).includes("A get 2")
                if (isOwnedBefore(begin)) assert.isFalse(yield* isOwned(owner, before!), trace)
                if (!isLogin || isKnownBefore) assert.deepStrictEqual(alive, [], trace)
              }))(store)
            })
          )
        }),
      60_000
    )
  }

  const two = (
    title: string,
    programs: (owner: string, tokens: readonly [Token, Token]) => readonly [
      Effect.Effect<unknown, unknown, Services>,
      Effect.Effect<unknown, unknown, Services>
    ],
    check: (
      owner: string,
      tokens: readonly [Token, Token],
      exits: Run["exits"]
    ) => Effect.Effect<boolean, unknown, Services>
  ) =>
    it.effect(title, () =>
      Effect.gen(function*() {
        const store = yield* inMemory
        yield* everyOrder(
          Effect.fnUntraced(function*(play) {
            const owner = yield* newOwner
            const tokens = yield* onServer(Effect.zip(logIn(owner), logIn(owner)))(store)
            const [one, other] = programs(owner, tokens)
            const { exits, steps } = yield* play(store, { A: onServer(one), B: onServer(other) })
            assert.isTrue(yield* onServer(check(owner, tokens, exits))(store), steps.join(", "))
          })
        )
      }), 60_000)

  const endOthers = (token: Token) => Sessions.modify({ token }, Sessions.destroyOthers)

  two(
    "destroyAll and destroyOthers: also the session that is excepted has ended",
    (owner, [one]) => [endOthers(one), Sessions.destroyAll(owner)],
    (owner, tokens) => Effect.map(Effect.filter(tokens, (token) => isOwned(owner, token)), ({ length }) => length === 0)
  )

  two(
    "destroyOthers in two requests of one session: it goes on",
    (_, [one]) => [endOthers(one), endOthers(one)],
    (owner, tokens) =>
      Effect.map(
        Effect.filter(tokens, (token) => isOwned(owner, token)),
        (alive) => alive.length === 1 && alive[0] === tokens[0]
      )
  )

  two(
    "destroyOthers in a request of a session that gets another id: it goes on",
    (_, [one]) => [
      Effect.map(Sessions.modify({ token: one }, Session.regenerate), ({ token }) => token),
      endOthers(one)
    ],
    (owner, [, other], { A, B }) =>
      Effect.gen(function*() {
        const [now] = made(A)
        // With the old id, it is too late to end anything.
        return (yield* isOwned(owner, now!)) && (yield* isOwned(owner, other)) === Exit.isFailure(B)
      })
  )

  two(
    "destroyOthers in requests of two sessions: one at most goes on",
    (_, [one, other]) => [endOthers(one), endOthers(other)],
    (owner, tokens) => Effect.map(Effect.filter(tokens, (token) => isOwned(owner, token)), ({ length }) => length <= 1)
  )

  two(
    "destroyAll twice: both sessions have ended, and the next login counts",
    (owner) => [Sessions.destroyAll(owner), Sessions.destroyAll(owner)],
    (owner, tokens) =>
      Effect.gen(function*() {
        const next = yield* logIn(owner)
        const alive = yield* Effect.filter([...tokens, next], (token) => isOwned(owner, token))
        return alive.length === 1 && alive[0] === next
      })
  )
})

describe("a request of a session that was ended meanwhile", () => {
  it.effect("writes nothing, extends nothing, and gets a session of its own where it wants another id", () =>
    Effect.gen(function*() {
      const store = yield* inMemory
      yield* onServer(Effect.gen(function*() {
        const ending = Sessions.destroyAll("ada")
        for (const change of [Session.put(Name, "Grace"), Session.touch]) {
          const token = yield* logIn("ada")
          const changed = Sessions.modify({ token }, Effect.andThen(change, ending))
          assert.instanceOf(yield* Effect.flip(changed), SessionError.SessionGoneError)
        }
        const token = yield* logIn("ada")
        const { token: next } = yield* Sessions.modify({ token }, Effect.andThen(Session.regenerate, ending))
        const found = yield* Effect.flatMap(
          SessionStore.SessionStore,
          (store) => store.load(new SessionStore.Token(Redacted.value(Option.getOrThrow(next))))
        )
        assert(found._tag === "Found")
        assert.strictEqual(found.record.fields.size, 0)
      }))(store)
    }))
})

// -----------------------------------------------------------------------------
// what it costs, and what is stored
// -----------------------------------------------------------------------------

/** What is asked of the shared place. */
const counted = Effect.gen(function*() {
  const calls: Array<string> = []
  const store = stepwise(yield* inMemory, (call, name) => Effect.andThen(Effect.sync(() => calls.push(name)), call))
  return { store, calls: Effect.sync(() => calls.splice(0)) }
})

describe("the shared place", () => {
  it.effect("is asked once more by a login, and no more by any other request", () =>
    Effect.gen(function*() {
      const { calls, store } = yield* counted
      const put = Session.put(Name, "Ada")
      const costs = <A, E>(expected: ReadonlyArray<string>, effect: Effect.Effect<A, E, Services>) =>
        Effect.gen(function*() {
          yield* calls
          const value = yield* onServer(effect)(store)
          assert.deepStrictEqual(yield* calls, expected)
          return value
        })
      const anonymous = yield* costs([], Sessions.create(put))
      yield* costs(["get"], Sessions.modify(anonymous, Session.get(Name)))
      yield* costs(["get", "get"], Sessions.modify(anonymous, put.pipe(Effect.andThen(Session.touch))))
      // Asked for itself, for the login, for its new id, and told of it.
      yield* costs(["get", "get 2", "get", "set"], Sessions.modify(anonymous, Session.login("ada")))
      const { token } = yield* costs(["get 2"], Sessions.create(Effect.andThen(Session.login("ada"), put)))
      yield* costs(["get 3"], Sessions.modify({ token }, Session.get(Name)))
      yield* costs(["get 3", "get 3"], Sessions.modify({ token }, put.pipe(Effect.andThen(Session.touch))))
      const { token: next } = yield* costs(["get 3", "get 3", "set"], Sessions.modify({ token }, Session.regenerate))
      yield* costs(["get 3", "get", "set"], Sessions.modify({ token: Option.getOrThrow(next) }, Session.destroy))
      yield* costs(["set"], Sessions.destroyAll("ada"))
      const { token: own } = yield* onServer(Sessions.create(Session.login("ada")))(store)
      yield* costs(["get 3", "get", "set"], Sessions.modify({ token: own }, Sessions.destroyOthers))
    }))

  it.effect("knows owners only as hashes, keeps nothing of their sessions, and only for as long as it matters", () =>
    Effect.gen(function*() {
      const sets: Array<readonly [key: string, value: object, ttl: Duration.Duration | undefined]> = []
      const memory = yield* inMemory
      const store: Store = {
        ...memory,
        set: (key, value, ttl) =>
          Effect.andThen(Effect.sync(() => sets.push([key, value, ttl])), memory.set(key, value, ttl))
      }
      const owner = "../..\u0000 Ada * 日本"
      const token = yield* onServer(logIn(owner))(store)
      yield* onServer(Sessions.destroyAll(owner))(store)
      yield* onServer(Sessions.modify({ token: yield* onServer(logIn(owner))(store) }, Sessions.destroyOthers))(store)
      assert.lengthOf(sets, 2)
      for (const [key, value, ttl] of sets) {
        assert.match(key, /^[\w-]{43}\.(all|others)$/)
        assert.notInclude(JSON.stringify(value), "Ada")
        assert.notInclude(JSON.stringify(value), Redacted.value(token))
        // The age, an hour for a login under way, and five minutes for clocks that differ.
        assert.strictEqual(Duration.toMillis(ttl!), 125 * 60_000)
      }
      yield* onServer(Sessions.destroyAll(owner), { age: "never", absoluteAge: "never" })(store)
      assert.isUndefined(sets.at(-1)![2])
    }))

  it.effect("may forget what was ended when nothing of it can be accepted any more", () =>
    Effect.gen(function*() {
      const store = yield* inMemory
      yield* onServer(Effect.gen(function*() {
        // It is extended just before.
        const old = yield* logIn("ada")
        yield* TestClock.adjust("59 minutes")
        const { token } = yield* Sessions.modify({ token: old }, Session.touch)
        const session = yield* Sessions.open({ token: Option.getOrThrow(token) })
        const login = yield* Sessions.open({ cookies: undefined })
        yield* Effect.provideService(Session.login("ada"), Session.Session, login)
        yield* Sessions.destroyAll("ada")
        const late = Effect.gen(function*() {
          const committed = yield* Effect.option(Sessions.commit(login))
          const tokens = Option.toArray(Option.flatMap(committed, ({ token }) => token))
          yield* Effect.ignore(Effect.provideService(Session.touch, Session.Session, session))
          const extended = Option.flatMap(yield* Effect.option(Sessions.commit(session)), ({ token }) => token)
          return [...tokens, ...Option.toArray(extended)]
        })
        yield* TestClock.adjust("59 minutes")
        const tokens = [Option.getOrThrow(token), ...yield* late]
        for (let minutes = 0; minutes < 200; minutes++) {
          for (const one of tokens) assert.isFalse(yield* isOwned("ada", one), `after ${minutes} minutes`)
          yield* TestClock.adjust("1 minute")
        }
        assert.isUndefined(yield* store.get(`${hash("sha256", "ada", "base64url")}.all`))
      }))(store)
    }))

  it.effect("that fails lets nobody in, logs nobody out, and is a typed error", () =>
    Effect.gen(function*() {
      let isBroken = false
      const memory = yield* inMemory
      const error = new Persistence.PersistenceError({ message: "broken" })
      const store = stepwise(memory, (call) => Effect.suspend(() => isBroken ? Effect.fail(error as never) : call))
      yield* onServer(Effect.gen(function*() {
        const token = yield* logIn("ada")
        const session = yield* Sessions.open({ token })
        isBroken = true
        const failures = [
          Sessions.open({ token }),
          Sessions.create(Session.login("ada")),
          Sessions.destroyAll("ada"),
          Effect.provideService(Sessions.destroyOthers, Session.Session, session),
          Effect.provideService(Effect.andThen(Session.touch, Session.commit), Session.Session, session)
        ]
        for (const failure of failures) {
          assert.instanceOf(
            yield* Effect.flip(failure as Effect.Effect<unknown, unknown, Services>),
            SessionError.SessionStoreError
          )
        }
        isBroken = false
        assert.isTrue(yield* isOwned("ada", token))
      }))(store)
    }))

  it.effect("is not asked where sessions are switched off", () =>
    Effect.gen(function*() {
      const { calls, store } = yield* counted
      yield* onServer(Sessions.destroyAll("ada"), { enabled: false })(store)
      assert.deepStrictEqual(yield* calls, [])
    }))

  it.effect("does not know how many sessions an owner has: a limit is a mistake in the configuration", () =>
    Effect.gen(function*() {
      const store = yield* inMemory
      const mistakes = yield* mistakesIn(
        Effect.scoped(
          Layer.build(Layer.provide(layerOf(store), SessionConfig.layer({ secret, owner: { limit: 3 } })))
        )
      )
      assert.deepStrictEqual(mistakes, [
        "owner.limit (SESSION_OWNER_LIMIT): found 3. The cookie store can't count the sessions of an owner. " +
        "Write \"unlimited\", or use a store on the server, such as RedisLayer"
      ])
    }))
})

// -----------------------------------------------------------------------------
// on Redis
// -----------------------------------------------------------------------------

const onRedis = Layer.suspend(() =>
  Layer.provide(
    CookieLayer.layerShared,
    Layer.provide(Persistence.layerBackingRedis, Layer.orDie(NodeRedis.layer({ url: redis().url })))
  )
)

SessionStoreTest.suite({ describe, it }, "CookieLayer.layerShared on Redis", { layer: onRedis })

SessionOwnersTest.suiteWithoutIndex({ describe, it }, "CookieLayer.layerShared on Redis", { layer: onRedis })

const routes = Layer.mergeAll(
  basicRoutes,
  post("/in", Effect.andThen(Session.login("ada"), Session.put(Name, "Ada"))),
  post("/out-everywhere", Sessions.destroyAll("ada")),
  post("/out-elsewhere", Sessions.destroyOthers)
)

describe("over HTTP, on two servers with one Redis", () => {
  it.effect("a login costs one command more, and no other request does", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const server = yield* serve(routes, { store: onRedis })
      const seen = yield* monitor(redis())
      const cookie = cookieOf(yield* server.post("/in"))
      assert.deepStrictEqual(yield* seen, ["MGET"])
      yield* server.get("/", { cookie })
      assert.deepStrictEqual(yield* seen, ["MGET"])
      yield* server.post("/count", { cookie })
      assert.deepStrictEqual(yield* seen, ["MGET", "MGET"])
      yield* server.post("/out-everywhere")
      assert.deepStrictEqual(yield* seen, ["SET"])
    }))

  it.effect(
    "what one has ended is over on the other, also in the midst of logins and requests",
    () =>
      Effect.gen(function*() {
        yield* setTimeOfDay
        const servers = yield* Effect.replicateEffect(serve(routes, { store: onRedis }), 2)
        const [one, other] = servers as [typeof servers[number], typeof servers[number]]
        const cookies = new Set<string>()
        const keep = (answer: { readonly setCookies: ReadonlyArray<string> }) => {
          if (answer.setCookies.length > 0) cookies.add(cookieOf(answer))
        }
        for (let round = 0; round < 5; round++) {
          const traffic = yield* Effect.forkChild(
            Effect.forEach(
              Array.from({ length: 100 }, (_, index) => index),
              (index) =>
                Effect.gen(function*() {
                  const server = servers[index % 2]!
                  const login = yield* server.post("/in")
                  keep(login)
                  keep(yield* server.post("/count", { cookie: cookieOf(login) }))
                }),
              { concurrency: 10, discard: true }
            )
          )
          // In the midst of it, however fast the machine is.
          while (cookies.size < 20) yield* Effect.promise(() => new Promise(setImmediate))
          const before = [...cookies]
          assert.strictEqual((yield* one.post("/out-everywhere")).status, 200)
          for (const cookie of before) assert.notInclude((yield* other.get("/", { cookie })).body, "Ada")
          yield* Fiber.join(traffic)
          yield* other.post("/out-everywhere")
          for (const cookie of cookies) assert.notInclude((yield* one.get("/", { cookie })).body, "Ada")
          cookies.clear()
        }
      }),
    60_000
  )

  it.effect("a session that logs all others out goes on", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const servers = yield* Effect.replicateEffect(serve(routes, { store: onRedis }), 2)
      const [one, other] = servers as [typeof servers[number], typeof servers[number]]
      const cookies = yield* Effect.forEach([one, other, one], (server) => Effect.map(server.post("/in"), cookieOf))
      const own = cookieOf(yield* other.post("/count", { cookie: cookies[0]! }))
      yield* other.post("/out-elsewhere", { cookie: own })
      assert.strictEqual((yield* one.get("/", { cookie: own })).body, `{"name":"Ada","count":1}`)
      for (const cookie of cookies.slice(1)) assert.strictEqual((yield* one.get("/", { cookie })).body, "{}")
      const next = cookieOf(yield* one.post("/login", { cookie: own }))
      assert.strictEqual((yield* other.get("/", { cookie: next })).body, `{"name":"Ada","count":1}`)
    }))
})

describe("with a KeyValueStore", () => {
  SessionOwnersTest.suiteWithoutIndex({ describe, it }, "CookieLayer.layerShared", {
    layer: Layer.provide(
      CookieLayer.layerShared,
      Layer.succeedContext(
        Effect.runSync(
          Effect.scoped(Layer.build(Layer.provide(Persistence.layerBackingKvs, KeyValueStore.layerMemory)))
        )
      )
    )
  })
})
