/**
 * Keys whose values have a life of their own: until when they are there, and whether reading takes them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Option, Schema } from "effect"
import { MemoryLayer, Session, SessionError, SessionKey } from "effect-session"
import { TestClock } from "effect/testing"
import { oneOf } from "../support/arbitraries.ts"
import { application, newSession, type Services, visit, withSession } from "../support/visits.ts"

const State = SessionKey.make("state", Schema.String).pipe(SessionKey.expires("10 minutes"))
const Hits = SessionKey.make("hits", Schema.Number).pipe(
  SessionKey.withDefault(() => 0),
  SessionKey.expires("1 minute")
)
const Once = SessionKey.make("once", Schema.String).pipe(SessionKey.once)

const memory = application(MemoryLayer.layer())

const withMemory = <A, E>(name: string, effect: () => Effect.Effect<A, E, Services>) =>
  it.effect(name, () => Effect.provide(Effect.suspend(effect), memory))

const everyLook = Effect.gen(function*() {
  const view = yield* Session.view
  return {
    key: Option.getOrUndefined(yield* State),
    get: Option.getOrUndefined(yield* Session.get(State)),
    getOrElse: yield* Session.getOrElse(State, () => undefined),
    has: yield* Session.has(State),
    all: yield* Session.all,
    view: Option.getOrUndefined(view.get(State)),
    viewHas: view.has(State),
    viewAll: view.all()
  }
})

const gone = {
  key: undefined,
  get: undefined,
  getOrElse: undefined,
  has: false,
  all: {},
  view: undefined,
  viewHas: false,
  viewAll: {}
}

const there = (state: string) => ({
  key: state,
  get: state,
  getOrElse: state,
  has: true,
  all: { state },
  view: state,
  viewHas: true,
  viewAll: { state }
})

describe("SessionKey.expires", () => {
  withMemory("a value is there until its time is over, for whatever looks at it", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(State, "one"))
      yield* TestClock.adjust("599 seconds")
      assert.deepStrictEqual(yield* withSession(token, everyLook), there("one"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* withSession(token, everyLook), gone)
      assert.deepStrictEqual(yield* withSession(token, Session.pull(State)), Option.none())
    }))

  withMemory("a request that lasts sees it go", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(State, "one"))
      yield* withSession(
        token,
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* everyLook, there("one"))
          yield* TestClock.adjust("10 minutes")
          assert.deepStrictEqual(yield* everyLook, gone)
        })
      )
    }))

  withMemory("a put begins anew", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(State, "one"))
      yield* TestClock.adjust("9 minutes")
      yield* visit(token, Session.put(State, "two"))
      yield* TestClock.adjust("9 minutes")
      assert.deepStrictEqual(yield* withSession(token, everyLook), there("two"))
    }))

  withMemory("what is made of a value ends when that would have, and then begins anew", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.increment(Hits))
      yield* TestClock.adjust("40 seconds")
      yield* visit(token, Effect.all([Session.increment(Hits, 2), Session.modify(Hits, (hits) => hits * 10)]))
      assert.strictEqual(yield* withSession(token, Hits), 30)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* withSession(token, Hits), 0)
      yield* visit(token, Session.increment(Hits))
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* withSession(token, Hits), 1)
    }))

  withMemory("parallel increments add up", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.increment(Hits))
      yield* Effect.replicateEffect(visit(token, Session.increment(Hits)), 20, { concurrency: "unbounded" })
      assert.strictEqual(yield* withSession(token, Hits), 21)
    }))

  withMemory(
    "what is made of a value that another request has changed meanwhile ends when that would have",
    () =>
      Effect.gen(function*() {
        const token = yield* newSession(Session.increment(Hits))
        yield* TestClock.adjust("40 seconds")
        const slow = Effect.gen(function*() {
          yield* Session.modify(Hits, (hits) => hits * 10)
          yield* visit(token, Session.increment(Hits))
          yield* TestClock.adjust("10 seconds")
        })
        yield* visit(token, slow)
        assert.strictEqual(yield* withSession(token, Hits), 20)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* withSession(token, Hits), 0)
      })
  )

  withMemory(
    "it is another slot than that of a key without a life, and both have the key's name",
    () =>
      Effect.gen(function*() {
        const Plain = SessionKey.make("state", Schema.String)
        const token = yield* newSession(Session.put(Plain, "plain"))
        assert.deepStrictEqual(yield* withSession(token, State), Option.none())
      })
  )

  withMemory("stays at a logout by the key's scope", () =>
    Effect.gen(function*() {
      for (const scope of ["login", "visitor", "device"] as const) {
        const Scoped = SessionKey.make("mine", Schema.String, { scope }).pipe(SessionKey.expires("1 minute"))
        const kept = yield* withSession(
          yield* newSession(Session.put(Scoped, "one")),
          Effect.andThen(Session.logout, Effect.andThen(Session.commit, Scoped))
        )
        assert.deepStrictEqual(kept, scope === "login" ? Option.none() : Option.some("one"))
      }
    }))

  withMemory("a damaged value counts as absent", () =>
    Effect.gen(function*() {
      const Damaged = { ...SessionKey.make("state", Schema.Json), field: State.field }
      for (const value of [1, null, [], "x", {}]) {
        const token = yield* newSession(Session.put(Damaged, value))
        assert.deepStrictEqual(yield* withSession(token, State), Option.none())
      }
    }))

  it("a duration that does not end, or is not longer than zero, throws", () => {
    for (const age of ["0 seconds", "never", "soon", ""]) {
      assert.throws(
        () => SessionKey.expires(State, age as "1 second"),
        `SessionKey.expires("${age}"): write a duration`
      )
    }
  })
})

describe("SessionKey.once", () => {
  withMemory(
    "reading takes, by the key itself and by Session.get; to ask whether it is there does not",
    () =>
      Effect.gen(function*() {
        for (const read of [Once, Session.get(Once), Session.pull(Once)]) {
          const token = yield* newSession(Session.put(Once, "one"))
          assert.isTrue(yield* visit(token, Session.has(Once)))
          assert.deepStrictEqual(yield* visit(token, read), Option.some("one"))
          assert.deepStrictEqual(yield* visit(token, read), Option.none())
          assert.isFalse(yield* withSession(token, Session.has(Once)))
        }
      })
  )

  withMemory("of two requests that read the same value, one has it", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Once, "one"))
      const results = yield* Effect.replicateEffect(
        Effect.match(visit(token, Effect.andThen(Once, Effect.yieldNow)), {
          onFailure: (error): unknown => error,
          onSuccess: () => "had it"
        }),
        2,
        { concurrency: "unbounded" }
      )
      assert.sameDeepMembers(results, [
        "had it",
        new SessionError.SessionConflictError({ reason: "taken", key: "once" })
      ])
    }))

  withMemory("is still there if the request takes it back", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Once, "one"))
      yield* visit(token, Effect.andThen(Once, Session.rollback))
      assert.deepStrictEqual(yield* visit(token, Once), Option.some("one"))
    }))
})

// -----------------------------------------------------------------------------
// in any order
// -----------------------------------------------------------------------------

type Key = SessionKey.SessionKey<string, unknown, string, SessionError.ChangeError>

const combinators = {
  expires: (key: Key): Key => SessionKey.expires(key, "10 minutes"),
  once: (key: Key): Key => SessionKey.once(key),
  attempts: (key: Key): Key => SessionKey.attempts(key, 2),
  withDefault: (key: Key): Key => SessionKey.withDefault(key, () => "default")
}

type Combinator = keyof typeof combinators

const everyOrder = (names: ReadonlyArray<Combinator>): ReadonlyArray<ReadonlyArray<Combinator>> =>
  names.length === 0
    ? [[]]
    : names.flatMap((name) => everyOrder(names.filter((other) => other !== name)).map((rest) => [name, ...rest]))

const orders = everyOrder(Object.keys(combinators) as Array<Combinator>)

const Deed = Schema.Literals(["read", "put", "guess wrong", "guess right", "look", "5 minutes", "10 minutes"])

/** What each request of a story gets; each one sees what the one before has committed. */
const tell = (key: Key, deeds: ReadonlyArray<typeof Deed.Type>) =>
  Effect.gen(function*() {
    const token = yield* newSession(Session.put(SessionKey.make("other", Schema.String), "there"))
    const tries = (given: string) =>
      key.attempts === undefined
        ? Effect.void
        : Effect.exit(Session.attempt(key as Parameters<typeof Session.attempt>[0], (value) => value === given))
    return yield* Effect.forEach(deeds, (deed) => {
      switch (deed) {
        case "read":
          return visit(token, key)
        case "put":
          return visit(token, Session.put(key, "value"))
        case "guess wrong":
          return visit(token, tries("wrong"))
        case "guess right":
          return visit(token, tries("value"))
        case "look":
          return visit(token, Effect.all([Session.has(key), Session.all]))
        default:
          return TestClock.adjust(deed)
      }
    })
  })

describe("combinators of keys", () => {
  it.effect.prop(
    "mean the same in any order, in each scope",
    [
      oneOf(orders),
      oneOf(orders),
      Arbitrary.array(Arbitrary.schema(Schema.Literals(["expires", "once", "attempts", "withDefault"]))),
      oneOf(["login", "visitor", "device"]),
      Arbitrary.array(Arbitrary.schema(Deed), { minLength: 6, maxLength: 20 })
    ],
    ([order, another, chosen, scope, deeds]) =>
      Effect.gen(function*() {
        const keyOf = (names: ReadonlyArray<Combinator>) =>
          names.filter((name) => chosen.includes(name)).reduce<Key>(
            (key, name) => combinators[name](key),
            SessionKey.make("key", Schema.String, { scope })
          )
        assert.deepStrictEqual(yield* tell(keyOf(another), deeds), yield* tell(keyOf(order), deeds))
      }).pipe(Effect.provide(memory)),
    { arbitrary: { runs: 300 } }
  )
})
