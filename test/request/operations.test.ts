/**
 * Every operation of a session, without HTTP: on a session for tests, and on one that was opened from a store.
 */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Exit, Option, Redacted, Schema } from "effect"
import { MemoryLayer, Session, SessionError, SessionKey, Sessions } from "effect-session"
import type { JsonObject } from "effect/Schema"
import { TestClock } from "effect/testing"
import { watchStore } from "../support/failingStore.ts"
import { application, newSession, type Services, visit, withSession } from "../support/visits.ts"

const Name = SessionKey.make("name", Schema.String)
const Count = SessionKey.make("count", Schema.Number)
const Total = SessionKey.make("total", Schema.Number).pipe(SessionKey.withDefault(() => 10))
const Lenient = SessionKey.make("count", Schema.Number).pipe(
  SessionKey.withDefault(() => 7, { onInvalid: "default" })
)
const Percent = SessionKey.make("percent", Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })))
const Since = SessionKey.make("since", Schema.Date)
const Theme = SessionKey.make("theme", Schema.Literals(["light", "dark"])).pipe(SessionKey.withDefault(() => "light"))

const memory = application(MemoryLayer.layer())

/** Puts values into a session as they would be stored. */
const putAll = (values: JsonObject) =>
  Effect.forEach(Object.entries(values), ([name, value]) => Session.put(SessionKey.make(name, Schema.Json), value))

type WithSession = <A, E>(values: JsonObject, effect: Effect.Effect<A, E, Session.Session>) => Effect.Effect<A, unknown>

const environments: Record<string, WithSession> = {
  "Session.layerTest": (values, effect) => Effect.provide(effect, Session.layerTest(values)),
  "a session in memory": (values, effect) =>
    Effect.provide(
      Effect.flatMap(newSession(putAll({ ...values, "not in the way": 0 })), (token) =>
        withSession(token, Effect.andThen(Session.forget(SessionKey.make("not in the way", Schema.Json)), effect))),
      memory
    )
}

/** The error of an operation, as what it says. */
const errorOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, Error)
    return (error as Error).message
  })

const invalidCount = /^Session key "count": can't decode the value\. Expected /

for (const [name, withValues] of Object.entries(environments)) {
  describe(name, () => {
    /** A test with these values in the session. */
    const test = <A, E>(title: string, values: JsonObject, effect: () => Effect.Effect<A, E, Session.Session>) =>
      it.effect(title, () => withValues(values, Effect.suspend(effect)))

    describe("Session.get", () => {
      test(
        "gives an Option, or the value itself where the key has a default",
        { name: "Ada", total: 3 },
        () =>
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* Session.get(Name), Option.some("Ada"))
            assert.deepStrictEqual(yield* Session.get(Count), Option.none())
            assert.strictEqual(yield* Session.get(Total), 3)
            assert.strictEqual(yield* Session.get(Theme), "light")
          })
      )

      test("is what a key does that is run as an Effect", { name: "Ada" }, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* Name, Option.some("Ada"))
          assert.deepStrictEqual(yield* Count, Option.none())
          assert.strictEqual(yield* Total, 10)
          assert.strictEqual(yield* Effect.map(Total, (total) => total + 1), 11)
          assert.deepStrictEqual(yield* Effect.all([Name, Total]), [Option.some("Ada"), 10])
        }))

      test("makes a default anew each time", {}, () =>
        Effect.gen(function*() {
          let made = 0
          const key = SessionKey.make("made", Schema.Number).pipe(SessionKey.withDefault(() => ++made))
          assert.deepStrictEqual([yield* key, yield* key], [1, 2])
        }))

      test("fails where the stored value does not fit, unless the key says that this counts as absent", {
        count: "many",
        since: "yesterday"
      }, () =>
        Effect.gen(function*() {
          assert.match(yield* errorOf(Session.get(Count)), invalidCount)
          assert.match(yield* errorOf(Count.pipe(SessionKey.withDefault(() => 1))), invalidCount)
          assert.strictEqual(yield* Session.get(Lenient), 7)
          const error = yield* Effect.flip(Since)
          assert.instanceOf(error, SessionError.SessionValueError)
          assert.notInclude(JSON.stringify(error), "yesterday")
        }))
    })

    describe("Session.getOrElse", () => {
      test(
        "gives the value, or what the function gives where there is none",
        { name: "Ada" },
        () =>
          Effect.gen(function*() {
            assert.strictEqual(yield* Session.getOrElse(Name, () => "nobody"), "Ada")
            assert.strictEqual(yield* Session.getOrElse(Count, () => "none"), "none")
            assert.strictEqual(yield* Name.pipe(Session.getOrElse(() => "nobody")), "Ada")
            assert.strictEqual(yield* Count.pipe(Session.getOrElse(() => 5)), 5)
            assert.strictEqual(yield* Session.getOrElse(Total, () => 5), 5)
            assert.strictEqual(yield* Session.getOrElse(Name, () => assert.fail("It is not asked for")), "Ada")
          })
      )

      test("fails where the stored value does not fit, unless the key says that this counts as absent", {
        count: "many"
      }, () =>
        Effect.gen(function*() {
          assert.match(yield* errorOf(Session.getOrElse(Count, () => 5)), invalidCount)
          assert.strictEqual(yield* Session.getOrElse(Lenient, () => 5), 5)
        }))
    })

    describe("Session.has", () => {
      test(
        "tells whether there is a value, and a default is none",
        { name: "Ada", count: null },
        () =>
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* Effect.all([Name, Count, Total, Since].map(Session.has)), [
              true,
              true,
              false,
              false
            ])
          })
      )
    })

    describe("Session.put", () => {
      test(
        "puts a value, over another one too, and gives it back as it was",
        { name: "Ada" },
        () =>
          Effect.gen(function*() {
            yield* Session.put(Name, "Bob")
            yield* Session.put(Since, new Date(5))
            assert.deepStrictEqual(yield* Name, Option.some("Bob"))
            assert.deepStrictEqual(yield* Since, Option.some(new Date(5)))
            yield* Name.pipe(Session.put("Eve"))
            assert.deepStrictEqual(yield* Name, Option.some("Eve"))
          })
      )

      test(
        "fails with a value that does not fit, and leaves what was there",
        { percent: 5 },
        () =>
          Effect.gen(function*() {
            const message = yield* errorOf(Session.put(Percent, 101))
            assert.match(message, /^Session key "percent": can't encode the value\. Expected /)
            assert.notInclude(message, "101")
            assert.deepStrictEqual(yield* Percent, Option.some(5))
          })
      )
    })

    describe("Session.pull", () => {
      test("takes a value out", { name: "Ada", count: 5 }, () =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* Session.pull(Name), Option.some("Ada"))
          assert.deepStrictEqual(yield* Session.pull(Name), Option.none())
          assert.strictEqual(yield* Session.pull(Total), 10)
          assert.deepStrictEqual(yield* Session.all, { count: 5 })
        }))

      test("fails where the value does not fit, and leaves it there", { count: "many" }, () =>
        Effect.gen(function*() {
          assert.match(yield* errorOf(Session.pull(Count)), invalidCount)
          assert.isTrue(yield* Session.has(Count))
          assert.strictEqual(yield* Session.pull(Lenient), 7)
          assert.isFalse(yield* Session.has(Count))
        }))
    })

    describe("Session.modify", () => {
      test(
        "puts what a function makes of the value, and gives it back",
        { name: "Ada", total: 3 },
        () =>
          Effect.gen(function*() {
            const shout = Option.match({ onNone: () => "?", onSome: (name: string) => `${name}!` })
            assert.strictEqual(yield* Session.modify(Name, shout), "Ada!")
            assert.strictEqual(yield* Name.pipe(Session.modify(shout)), "Ada!!")
            assert.strictEqual(yield* Session.modify(Total, (total) => total * 2), 6)
            assert.strictEqual(yield* Session.modify(Theme, () => "dark" as const), "dark")
            assert.deepStrictEqual(yield* Session.all, { name: "Ada!!", total: 6, theme: "dark" })
          })
      )

      test(
        "fails where a value does not fit, before or after, and leaves it there",
        { count: "many", percent: 60 },
        () =>
          Effect.gen(function*() {
            assert.match(yield* errorOf(Session.modify(Count, () => 1)), invalidCount)
            const doubled = Session.modify(Percent, (percent) => Option.getOrElse(percent, () => 0) * 2)
            assert.match(yield* errorOf(doubled), /^Session key "percent": can't encode the value\./)
            assert.strictEqual(yield* Session.modify(Lenient, (count) => count + 1), 8)
            assert.deepStrictEqual(yield* Session.all, { count: 8, percent: 60 })
          })
      )

      test("a function that throws is a defect, and changes nothing", { total: 3 }, () =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(Session.modify(Total, () => {
            throw new Error("bug")
          }))
          assert.isTrue(Exit.hasDies(exit))
          assert.strictEqual(yield* Total, 3)
        }))
    })

    describe("Session.forget", () => {
      test(
        "removes a key, also one that is not there or does not fit",
        { name: "Ada", count: "many", total: 5 },
        () =>
          Effect.gen(function*() {
            yield* Effect.forEach([Name, Count, Since], Session.forget)
            assert.deepStrictEqual(yield* Session.all, { total: 5 })
            yield* Session.forget(Total)
            assert.strictEqual(yield* Total, 10)
          })
      )
    })

    describe("Session.all", () => {
      const awkward = { "": 1, "~": 2, "~flash:x": 3, "__proto__": 4, "a\nb": 5, "😀": [{ a: null }], constructor: 6 }
      test("gives everything as it is stored, whatever the names", awkward, () =>
        Effect.gen(function*() {
          const all = yield* Session.all
          assert.deepStrictEqual(Object.entries(all).toSorted(), Object.entries(awkward).toSorted())
        }))

      test("gives what was put, encoded, and no flash messages", {}, () =>
        Effect.gen(function*() {
          yield* Session.flash("message", "Saved")
          yield* Session.put(Since, new Date(0))
          assert.deepStrictEqual(yield* Session.all, { since: "1970-01-01T00:00:00.000Z" })
        }))
    })

    describe("Session.increment and Session.decrement", () => {
      test("add and subtract one, or as much as is said", { count: 5 }, () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* Session.increment(Count), 6)
          assert.strictEqual(yield* Session.increment(Count, 10), 16)
          assert.strictEqual(yield* Session.decrement(Count), 15)
          assert.strictEqual(yield* Session.decrement(Count, 5), 10)
          assert.strictEqual(yield* Count.pipe(Session.increment(2)), 12)
          assert.strictEqual(yield* Count.pipe(Session.decrement(1)), 11)
          assert.strictEqual(yield* Session.increment(Count, -0.5), 10.5)
          assert.deepStrictEqual(yield* Count, Option.some(10.5))
        }))

      test("begin with the key's default, or else with 0", {}, () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* Session.increment(Count), 1)
          assert.strictEqual(yield* Session.increment(Total, 5), 15)
          assert.strictEqual(yield* Session.decrement(Total), 14)
          yield* Session.forget(Total)
          assert.strictEqual(yield* Session.decrement(Total), 9)
        }))

      test(
        "fail on a stored value that is no number, and leave it there",
        { count: "many", total: null },
        () =>
          Effect.gen(function*() {
            for (const operation of [Session.increment(Count), Session.decrement(Count, 2)]) {
              const error = yield* Effect.flip(operation)
              assert.instanceOf(error, SessionError.SessionValueError)
              assert.match(error.message, invalidCount)
            }
            assert.instanceOf(yield* Effect.flip(Session.increment(Total)), SessionError.SessionValueError)
            assert.deepStrictEqual(yield* Session.all, { count: "many", total: null })
          })
      )

      test(
        "begin anew where the key says that what does not fit counts as absent",
        { count: "many" },
        () =>
          Effect.gen(function*() {
            assert.strictEqual(yield* Session.increment(Lenient), 8)
            assert.strictEqual(yield* Session.increment(Lenient), 9)
            assert.deepStrictEqual(yield* Session.all, { count: 9 })
          })
      )

      test(
        "fail where the sum would break a check of the key, and leave what was there",
        { percent: 99 },
        () =>
          Effect.gen(function*() {
            assert.strictEqual(yield* Session.increment(Percent), 100)
            assert.match(yield* errorOf(Session.increment(Percent)), /^Session key "percent": can't encode the value\./)
            assert.match(
              yield* errorOf(Session.decrement(Percent, 0.5)),
              /^Session key "percent": can't encode the value\./
            )
            assert.deepStrictEqual(yield* Percent, Option.some(100))
          })
      )

      test("fail where the sum is no number any more", { count: Number.MAX_VALUE }, () =>
        Effect.gen(function*() {
          const message = "Session key \"count\": can't increment the value. Expected a finite sum"
          for (const by of [Number.MAX_VALUE, NaN, Infinity, -Infinity]) {
            assert.strictEqual(yield* errorOf(Session.increment(Count, by)), message)
          }
          assert.deepStrictEqual(yield* Count, Option.some(Number.MAX_VALUE))
        }))
    })

    describe("Session.clear", () => {
      test(
        "removes everything, and what is put afterwards stays",
        { name: "Ada", count: 5 },
        () =>
          Effect.gen(function*() {
            yield* Session.clear
            assert.deepStrictEqual(yield* Session.all, {})
            assert.strictEqual(yield* Session.increment(Count), 1)
            assert.deepStrictEqual(yield* Session.all, { count: 1 })
          })
      )
    })

    describe("fibers in parallel", () => {
      test("lose nothing of each other", { count: 0, total: 0 }, () =>
        Effect.gen(function*() {
          const fibers = Array.from({ length: 100 }, (_, index) => index)
          yield* Effect.forEach(fibers, (index) =>
            Effect.gen(function*() {
              yield* Session.increment(Count)
              yield* Effect.yieldNow
              yield* Session.modify(Total, (total) => total + 1)
              yield* Session.put(SessionKey.make(`key ${index}`, Schema.Number), index)
            }), { concurrency: "unbounded" })
          const { count, total, ...others } = yield* Session.all
          assert.deepStrictEqual([count, total, Object.keys(others).length], [100, 100, 100])
        }))
    })

    describe("Session.sessionId and Session.handle", () => {
      test(
        "are always the same within a session, and only the handle is there to be shown",
        {},
        () =>
          Effect.gen(function*() {
            const [id, again] = [yield* Session.sessionId, yield* Session.sessionId]
            assert.strictEqual(Redacted.value(id), Redacted.value(again))
            assert.match(Redacted.value(id), /^[\w-]{43}$/)
            assert.notInclude(`${id} ${JSON.stringify(id)}`, Redacted.value(id))
            const handle = yield* Session.handle
            assert.strictEqual(handle, yield* Session.handle)
            assert.match(handle, /^[\w-]{16}$/)
            assert.notInclude(Redacted.value(id), handle)
          })
      )
    })

    describe("Session.regenerate", () => {
      test("gives a new id at once, and keeps what is in the session", { name: "Ada" }, () =>
        Effect.gen(function*() {
          const before = [yield* Session.sessionId, yield* Session.handle]
          yield* Session.regenerate
          const after = [yield* Session.sessionId, yield* Session.handle]
          assert.notStrictEqual(
            Redacted.value(after[0] as Redacted.Redacted),
            Redacted.value(before[0] as Redacted.Redacted)
          )
          assert.notStrictEqual(after[1], before[1])
          assert.isTrue(yield* Session.fresh)
          assert.deepStrictEqual(yield* Session.all, { name: "Ada" })
        }))
    })

    describe("Session.destroy", () => {
      test("leaves nothing but what is put afterwards, and a new id", { name: "Ada" }, () =>
        Effect.gen(function*() {
          const id = yield* Session.sessionId
          yield* Session.destroy
          assert.deepStrictEqual(yield* Session.all, {})
          assert.isTrue(yield* Session.fresh)
          assert.notStrictEqual(Redacted.value(yield* Session.sessionId), Redacted.value(id))
          yield* Session.put(Name, "Bob")
          assert.deepStrictEqual(yield* Session.all, { name: "Bob" })
        }))
    })

    describe("Session.view", () => {
      test("A10 is a picture of the session as it is, with functions that are no Effects", {
        name: "Ada",
        count: "many"
      }, () =>
        Effect.gen(function*() {
          const view = yield* Session.view
          yield* Session.put(Name, "Bob")
          yield* Session.flash("message", "not yet")
          assert.deepStrictEqual(view.get(Name), Option.some("Ada"))
          assert.strictEqual(view.get(Total), 10)
          assert.strictEqual(view.get(Lenient), 7)
          assert.throws(() => view.get(Count), SessionError.SessionValueError, invalidCount)
          assert.deepStrictEqual([view.has(Name), view.has(Total)], [true, false])
          assert.deepStrictEqual(view.all(), { name: "Ada", count: "many" })
          assert.isTrue(view.flashMessages.isEmpty)
          assert.deepStrictEqual((yield* Session.view).get(Name), Option.some("Bob"))
        }))
    })

    describe("Session.commit", () => {
      test("may come as often as one likes", { count: 0 }, () =>
        Effect.gen(function*() {
          yield* Session.commit
          yield* Session.increment(Count)
          yield* Session.commit
          yield* Session.increment(Count)
          yield* Session.commit
          assert.deepStrictEqual(yield* Session.all, { count: 2 })
        }))
    })

    test("Session.readonly is false", {}, () =>
      Effect.gen(function*() {
        assert.isFalse(yield* Session.readonly)
      }))
  })
}

// -----------------------------------------------------------------------------
// from visit to visit
// -----------------------------------------------------------------------------

/** A test with a store of its own. */
const withMemory = <A, E>(title: string, effect: () => Effect.Effect<A, E, Services>) =>
  it.effect(title, () => Effect.provide(Effect.suspend(effect), memory))

describe("Session.layerTest", () => {
  it.effect("is a session without a store: loaded at its first use, new, and without times", () =>
    Effect.gen(function*() {
      assert.isFalse(yield* Session.initiated)
      assert.isTrue(yield* Session.fresh)
      assert.isTrue(yield* Session.initiated)
      yield* Session.touch
      yield* Session.commit
      assert.deepStrictEqual([yield* Session.createdAt, yield* Session.expiresAt], [
        Option.none(),
        { idle: Option.none(), absolute: Option.none() }
      ])
    }).pipe(Effect.provide(Session.layerTest())))

  it.effect("is empty where nothing is given, and another one each time", () =>
    Effect.gen(function*() {
      const program = Effect.andThen(Session.increment(Count), Session.all)
      assert.deepStrictEqual(yield* Effect.provide(program, Session.layerTest()), { count: 1 })
      assert.deepStrictEqual(yield* Effect.provide(program, Session.layerTest()), { count: 1 })
    }))

  it.effect("can have an owner, who has no other sessions", () =>
    Effect.gen(function*() {
      yield* Session.login("Ada")
      assert.deepStrictEqual(yield* Session.owner, Option.some("Ada"))
      assert.deepStrictEqual(yield* Sessions.list("Ada"), { sessions: [], next: Option.none() })
      assert.strictEqual(yield* Sessions.destroyOthers, 0)
    }).pipe(Effect.provide(Session.layerTest())))

  it.effect("puts flash messages nowhere but where the next request would find them", () =>
    Effect.gen(function*() {
      yield* Session.flash("message", "Saved")
      assert.isTrue((yield* Session.flashMessages).isEmpty)
    }).pipe(Effect.provide(Session.layerTest())))
})

describe("from visit to visit", () => {
  withMemory("R6 what was put is there, and what was removed is not", () =>
    Effect.gen(function*() {
      const token = yield* newSession(putAll({ name: "Ada", count: 1, total: 1 }))
      yield* visit(token, Effect.all([Session.forget(Name), Session.pull(Total), Session.increment(Count, 5)]))
      assert.deepStrictEqual(yield* withSession(token, Session.all), { count: 6 })
    }))

  withMemory("nothing is written without a commit", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Name, "Ada"))
      yield* withSession(token, Session.put(Name, "Bob"))
      assert.deepStrictEqual(yield* withSession(token, Name), Option.some("Ada"))
    }))

  withMemory("A11 a session is new until it is stored, and initiated once it is loaded", () =>
    Effect.gen(function*() {
      const state = Effect.all({ fresh: Session.fresh, initiated: Session.initiated })
      assert.deepStrictEqual(yield* withSession(undefined, state), { fresh: true, initiated: true })
      const token = yield* newSession(Session.put(Name, "Ada"))
      assert.deepStrictEqual(yield* withSession(token, state), { fresh: false, initiated: true })
    }))

  withMemory("the id that a session had before it was stored stays its id", () =>
    Effect.gen(function*() {
      const [before, after] = yield* visit(
        undefined,
        Effect.all([Session.sessionId, Effect.andThen(Session.put(Name, "Ada"), Session.commit), Session.sessionId])
      ).pipe(Effect.map(([before, _, after]) => [before, after]))
      assert.strictEqual(Redacted.value(after!), Redacted.value(before!))
      assert.deepStrictEqual(yield* withSession(after!, Name), Option.some("Ada"))
    }))

  withMemory("CS a token that the store does not know is never adopted", () =>
    Effect.gen(function*() {
      const foreign = Redacted.make("f".repeat(43))
      const token = yield* visit(foreign, Effect.andThen(Session.put(Name, "Ada"), Session.sessionId))
      assert.notStrictEqual(Redacted.value(token), Redacted.value(foreign))
      assert.deepStrictEqual(yield* withSession(foreign, Session.all), {})
      assert.deepStrictEqual(yield* withSession(token, Name), Option.some("Ada"))
    }))

  withMemory("two visits at once keep what each of them changed, and increments add up", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Count, 10))
      const [one, other] = [yield* Sessions.open({ token }), yield* Sessions.open({ token })]
      const inOne = Effect.provideService(Session.Session, one)
      const inOther = Effect.provideService(Session.Session, other)
      yield* inOne(Effect.andThen(Session.increment(Count, 5), Session.put(Name, "Ada")))
      yield* inOther(Effect.andThen(Session.increment(Count, 7), Session.put(Total, 1)))
      yield* inOne(Session.commit)
      yield* inOther(Session.commit)
      assert.deepStrictEqual(yield* withSession(token, Session.all), { count: 22, name: "Ada", total: 1 })
    }))

  withMemory("increments of many fibers of many visits add up", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Count, 0))
      const fibers = Effect.forEach(Array.from({ length: 10 }), () => Session.increment(Count), {
        concurrency: "unbounded"
      })
      yield* Effect.forEach(Array.from({ length: 20 }), () => visit(token, fibers), { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* withSession(token, Count), Option.some(200))
    }))
})

describe("Session.regenerate", () => {
  withMemory(
    "A13, V7.2.4 keeps the data under a new id, and the old one is dead at once",
    () =>
      Effect.gen(function*() {
        const old = yield* newSession(putAll({ name: "Ada", count: 1 }))
        const token = yield* visit(
          old,
          Effect.andThen(Effect.all([Session.regenerate, Session.increment(Count)]), Session.sessionId)
        )
        assert.notStrictEqual(Redacted.value(token), Redacted.value(old))
        assert.deepStrictEqual(yield* withSession(token, Session.all), { name: "Ada", count: 2 })
        assert.deepStrictEqual(yield* withSession(old, Session.all), {})
      })
  )

  withMemory("keeps what another visit has committed meanwhile", () =>
    Effect.gen(function*() {
      const old = yield* newSession(putAll({ name: "Ada", count: 1 }))
      const token = yield* withSession(
        old,
        Effect.gen(function*() {
          yield* Session.regenerate
          yield* Session.increment(Count)
          yield* visit(old, Effect.all([Session.increment(Count, 10), Session.put(Total, 3)]))
          yield* Session.commit
          return yield* Session.sessionId
        })
      )
      assert.deepStrictEqual(yield* withSession(token, Session.all), { name: "Ada", count: 12, total: 3 })
    }))

  withMemory("of a session that is not stored yet is one new id and no more", () =>
    Effect.gen(function*() {
      yield* visit(undefined, Session.regenerate)
      const token = yield* newSession(Effect.andThen(Session.regenerate, Session.put(Name, "Ada")))
      assert.deepStrictEqual(yield* withSession(token, Name), Option.some("Ada"))
    }))

  it.effect("twice in a visit is one operation of the store, and the last id counts", () => {
    const store = watchStore()
    return Effect.gen(function*() {
      const old = yield* newSession(Session.put(Name, "Ada"))
      store.newCalls()
      const token = yield* visit(
        old,
        Effect.andThen(Effect.all([Session.regenerate, Session.regenerate]), Session.sessionId)
      )
      assert.deepStrictEqual(store.newCalls(), ["load", "regenerate"])
      assert.deepStrictEqual(yield* withSession(token, Name), Option.some("Ada"))
    }).pipe(Effect.provide(application(store.layer)))
  })
})

describe("Session.destroy", () => {
  withMemory("V7.4.1 ends the session for good", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Name, "Ada"))
      yield* visit(token, Session.destroy)
      assert.deepStrictEqual(yield* withSession(token, Effect.all([Session.all, Session.fresh])), [{}, true])
    }))

  withMemory("what is put afterwards goes to a new session", () =>
    Effect.gen(function*() {
      const old = yield* newSession(Session.put(Name, "Ada"))
      const token = yield* visit(
        old,
        Effect.andThen(Effect.all([Session.destroy, Session.put(Count, 1)]), Session.sessionId)
      )
      assert.deepStrictEqual(yield* withSession(token, Session.all), { count: 1 })
      assert.deepStrictEqual(yield* withSession(old, Session.all), {})
    }))

  withMemory("V7.4.1 nothing that another visit does brings the session back", () =>
    Effect.gen(function*() {
      const lateOperations = [Session.put(Name, "Eve"), Session.touch, Session.increment(Count)]
      for (const operation of lateOperations) {
        const token = yield* newSession(putAll({ name: "Ada", count: 1 }))
        const error = yield* withSession(
          token,
          Effect.gen(function*() {
            yield* operation
            yield* visit(token, Session.destroy)
            const id = yield* Session.sessionId
            return { error: yield* Effect.flip(Session.commit), id }
          })
        )
        assert.instanceOf(error.error, SessionError.SessionGoneError)
        assert.deepStrictEqual(yield* withSession(token, Session.all), {})
        assert.deepStrictEqual(yield* withSession(error.id, Session.all), {})
      }
    }))

  withMemory(
    "while another visit regenerates it: that one has a session of its own, with nothing of the old one",
    () =>
      Effect.gen(function*() {
        const token = yield* newSession(putAll({ name: "Ada", count: 1 }))
        const own = yield* withSession(
          token,
          Effect.gen(function*() {
            yield* Session.regenerate
            yield* Session.put(Name, "Eve")
            yield* visit(token, Session.destroy)
            yield* Session.commit
            return yield* Session.sessionId
          })
        )
        assert.deepStrictEqual(yield* withSession(token, Session.all), {})
        assert.deepStrictEqual(yield* withSession(own, Session.all), { name: "Eve" })
      })
  )

  withMemory("of a session that is not stored does nothing, and twice is once", () =>
    Effect.gen(function*() {
      yield* visit(undefined, Effect.all([Session.put(Name, "Ada"), Session.destroy]))
      const token = yield* newSession(Session.put(Name, "Ada"))
      yield* visit(token, Effect.all([Session.destroy, Session.destroy]))
      assert.deepStrictEqual(yield* withSession(token, Session.all), {})
    }))
})

describe("Session.commit", () => {
  it.effect("A18 writes what there is to write, in one operation of the store, and nothing else", () => {
    const store = watchStore()
    return Effect.gen(function*() {
      const token = yield* newSession(Session.put(Name, "Ada"))
      assert.deepStrictEqual(store.newCalls(), ["create"])
      yield* visit(token, Effect.all([Session.put(Count, 1), Session.forget(Name), Session.flash("a", 1)]))
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      yield* visit(token, Effect.all([Count, Session.all, Session.view, Session.has(Name), Session.sessionId]))
      // Reading takes the flash messages out of the session.
      assert.deepStrictEqual(store.newCalls(), ["load", "update"])
      yield* visit(token, Effect.all([Count, Session.commit, Session.commit]))
      assert.deepStrictEqual(store.newCalls(), ["load"])
      yield* visit(token, Effect.all([Session.touch, Session.commit, Session.put(Count, 2)]))
      assert.deepStrictEqual(store.newCalls(), ["load", "touch", "update"])
      yield* visit(token, Effect.all([Session.put(Count, 3), Session.destroy]))
      assert.deepStrictEqual(store.newCalls(), ["load", "destroy"])
    }).pipe(Effect.provide(application(store.layer)))
  })

  it.effect("V7.6.2 creates no session where nothing was put, or all of it was taken away again", () => {
    const store = watchStore()
    return Effect.gen(function*() {
      yield* visit(
        undefined,
        Effect.all([Session.all, Name, Total, Session.sessionId, Session.view, Session.flashMessages])
      )
      yield* visit(undefined, Effect.all([Session.put(Name, "Ada"), Session.forget(Name)]))
      yield* visit(undefined, Effect.all([Session.put(Name, "Ada"), Session.clear]))
      yield* visit(undefined, Effect.all([Session.put(Name, "Ada"), Session.destroy]))
      yield* visit(undefined, Effect.all([Session.forget(Name), Session.clear, Session.touch, Session.regenerate]))
      assert.deepStrictEqual(store.newCalls(), [])
    }).pipe(Effect.provide(application(store.layer)))
  })

  it.effect("V7.6.2 creates no session where there was nothing to flash", () => {
    const store = watchStore()
    return Effect.gen(function*() {
      yield* visit(
        undefined,
        Effect.all([
          Session.reflash,
          Session.reflashOnly(["a"]),
          Session.reflashExcept(["a"]),
          Session.flash({}),
          Session.flashAll({}),
          Session.flashAll({ password: "x" }),
          Session.flashOnly(["a"], { b: 1 }),
          Session.flashExcept(["b"], { b: 1 })
        ])
      )
      assert.deepStrictEqual(store.newCalls(), [])
    }).pipe(Effect.provide(application(store.layer)))
  })

  it.effect("A11 stores an empty session where `saveUninitialized` says so", () => {
    const store = watchStore()
    return Effect.gen(function*() {
      const token = yield* visit(undefined, Session.sessionId)
      assert.deepStrictEqual(store.newCalls(), ["create"])
      assert.isFalse(yield* withSession(token, Session.fresh))
    }).pipe(Effect.provide(application(store.layer, { saveUninitialized: true })))
  })

  it.effect("V16.5.2 fails where the store does, and the changes are still there for another try", () => {
    const store = watchStore()
    return Effect.gen(function*() {
      const token = yield* newSession(Session.put(Count, 1))
      store.fails("update")
      yield* withSession(
        token,
        Effect.gen(function*() {
          yield* Session.increment(Count)
          const error = yield* Effect.flip(Session.commit)
          assert.instanceOf(error, SessionError.SessionStoreError)
          yield* Session.increment(Count)
          store.works()
          yield* Session.commit
        })
      )
      assert.deepStrictEqual(yield* withSession(token, Count), Option.some(3))
    }).pipe(Effect.provide(application(store.layer)))
  })

  it.effect("A1 does nothing where sessions are switched off, and everything else works", () => {
    const store = watchStore()
    return Effect.gen(function*() {
      const all = yield* visit(
        Redacted.make("t".repeat(43)),
        Effect.andThen(
          Effect.all([Session.put(Name, "Ada"), Session.increment(Count), Session.regenerate, Session.flash("a", 1)]),
          Session.all
        )
      )
      assert.deepStrictEqual(all, { name: "Ada", count: 1 })
      assert.deepStrictEqual(store.newCalls(), [])
    }).pipe(Effect.provide(application(store.layer, { enabled: false })))
  })
})

// -----------------------------------------------------------------------------
// times
// -----------------------------------------------------------------------------

const millis = Option.map(DateTime.toEpochMillis)

describe("Session.createdAt, Session.expiresAt and Session.touch", () => {
  const times = Effect.all([Session.createdAt, Session.expiresAt]).pipe(
    Effect.map(([created, { idle }]) => [millis(created), millis(idle)])
  )
  const minute = 60_000

  it.effect("are none for a session that is not stored, and then as the settings say", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(minute)
      const token = yield* visit(
        undefined,
        Effect.gen(function*() {
          yield* Session.put(Name, "Ada")
          assert.deepStrictEqual(yield* times, [Option.none(), Option.none()])
          yield* Session.commit
          assert.deepStrictEqual(yield* times, [Option.some(minute), Option.some(11 * minute)])
          return yield* Session.sessionId
        })
      )
      assert.deepStrictEqual(yield* withSession(token, times), [Option.some(minute), Option.some(11 * minute)])
    }).pipe(Effect.provide(application(MemoryLayer.layer(), { age: "10 minutes" }))))

  it.effect("V7.3.1 a session is there a millisecond before its end, and gone at it", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Name, "Ada"))
      yield* TestClock.setTime(10 * minute - 1)
      assert.deepStrictEqual(yield* withSession(token, Name), Option.some("Ada"))
      yield* TestClock.setTime(10 * minute)
      assert.deepStrictEqual(yield* withSession(token, Session.all), {})
    }).pipe(Effect.provide(application(MemoryLayer.layer({ sweepEvery: "never" }), { age: "10 minutes" }))))

  it.effect("a touch extends the life of a session, also if it was used a moment ago", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Name, "Ada"))
      yield* TestClock.setTime(1)
      yield* visit(token, Name)
      assert.deepStrictEqual(yield* withSession(token, times), [Option.some(0), Option.some(10 * minute)])
      yield* visit(token, Session.touch)
      assert.deepStrictEqual(yield* withSession(token, times), [Option.some(0), Option.some(10 * minute + 1)])
    }).pipe(Effect.provide(application(MemoryLayer.layer(), { age: "10 minutes" }))))

  it.effect("A12 a use extends it by itself, once per window", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Name, "Ada"))
      yield* TestClock.setTime(minute - 1)
      yield* visit(token, Name)
      assert.deepStrictEqual(yield* withSession(token, times), [Option.some(0), Option.some(10 * minute)])
      yield* TestClock.setTime(minute)
      yield* visit(token, Name)
      assert.deepStrictEqual(yield* withSession(token, times), [Option.some(0), Option.some(11 * minute)])
    }).pipe(Effect.provide(application(MemoryLayer.layer(), { age: "10 minutes", touchEvery: "1 minute" }))))

  it.effect("V7.3.2 neither touch nor write nor regenerate extends the absolute timeout", () =>
    Effect.gen(function*() {
      for (const operation of [Session.touch, Session.increment(Count), Session.regenerate]) {
        const start = yield* Effect.clockWith(({ currentTimeMillis }) => currentTimeMillis)
        let token = yield* newSession(Session.put(Name, "Ada"))
        for (let now = start; now < start + 60 * minute; now += 9 * minute) {
          yield* TestClock.setTime(now)
          token = yield* visit(token, Effect.andThen(operation, Session.sessionId))
          assert.deepStrictEqual(yield* withSession(token, Name), Option.some("Ada"))
        }
        assert.deepStrictEqual(yield* withSession(token, times), [
          Option.some(start),
          Option.some(start + 60 * minute)
        ])
        yield* TestClock.setTime(start + 60 * minute)
        assert.deepStrictEqual(yield* withSession(token, Session.all), {})
      }
    }).pipe(Effect.provide(application(MemoryLayer.layer(), { age: "10 minutes", absoluteAge: "1 hour" }))))

  it.effect("a session that never ends has no end", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Name, "Ada"))
      yield* TestClock.setTime(100 * 365 * 24 * 60 * minute)
      assert.deepStrictEqual(yield* withSession(token, times), [Option.some(0), Option.none()])
    }).pipe(
      Effect.provide(application(MemoryLayer.layer({ sweepEvery: "never" }), { age: "never", absoluteAge: "never" }))
    ))
})

// -----------------------------------------------------------------------------
// flash messages
// -----------------------------------------------------------------------------

const flashed = Effect.map(Session.flashMessages, (messages) => messages.all())

describe("flash messages", () => {
  withMemory("A14 are there in the next visit, and only there", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.flash("message", "Saved"))
      assert.deepStrictEqual(yield* visit(token, flashed), { message: "Saved" })
      assert.deepStrictEqual(yield* visit(token, flashed), {})
    }))

  withMemory("a visit that does not write them off leaves them to the next one", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.flash("message", "Saved"))
      assert.deepStrictEqual(yield* withSession(token, flashed), { message: "Saved" })
      assert.deepStrictEqual(yield* visit(token, flashed), { message: "Saved" })
    }))

  withMemory("come by name, by key and as an object, and the last one of a name counts", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Effect.gen(function*() {
        yield* Session.flash("message", "first")
        yield* Session.flash({ message: "second", errors: { title: "too short" } })
        yield* Session.flash(Since, new Date(5))
        yield* Session.flash("list", [1, null])
        assert.deepStrictEqual(yield* flashed, {})
      }))
      yield* visit(
        token,
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* flashed, {
            message: "second",
            errors: { title: "too short" },
            since: "1970-01-01T00:00:00.005Z",
            list: [1, null]
          })
          assert.deepStrictEqual(yield* Session.flashed(Since), Option.some(new Date(5)))
          assert.deepStrictEqual(yield* Session.flashed(Name), Option.none())
          assert.strictEqual(yield* Session.flashed(Theme), "light")
          assert.deepStrictEqual(yield* Session.all, {})
        })
      )
    }))

  withMemory("by key have to fit, when they are flashed and when they are read", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Effect.gen(function*() {
        assert.match(yield* errorOf(Session.flash(Percent, 101)), /^Session key "percent": can't encode the value\./)
        yield* Session.flash({ percent: "many", count: "many" })
      }))
      yield* visit(
        token,
        Effect.gen(function*() {
          assert.match(yield* errorOf(Session.flashed(Percent)), /^Session key "percent": can't decode the value\./)
          assert.strictEqual(yield* Session.flashed(Lenient), 7)
        })
      )
    }))

  withMemory("of a visit that has its own are not mixed with those", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.flash("a", 1))
      const seen = yield* visit(token, Effect.andThen(Session.flash("b", 2), flashed))
      assert.deepStrictEqual(seen, { a: 1 })
      assert.deepStrictEqual(yield* visit(token, flashed), { b: 2 })
    }))

  withMemory("of two visits at once are both there", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Name, "Ada"))
      yield* withSession(
        token,
        Effect.gen(function*() {
          yield* Session.flash({ a: 1, both: "one" })
          yield* visit(token, Session.flash({ b: 2 }))
          yield* Session.commit
        })
      )
      assert.deepStrictEqual(yield* visit(token, flashed), { a: 1, b: 2, both: "one" })
    }))

  withMemory(
    "go with Session.clear and with Session.destroy, and stay with Session.regenerate",
    () =>
      Effect.gen(function*() {
        const cleared = yield* newSession(
          Effect.all([Session.put(Name, "Ada"), Session.flash("a", 1), Session.clear, Session.put(Count, 1)])
        )
        assert.deepStrictEqual(yield* visit(cleared, flashed), {})
        const destroyed = yield* newSession(Effect.all([Session.flash("a", 1), Session.destroy, Session.put(Count, 1)]))
        assert.deepStrictEqual(yield* visit(destroyed, flashed), {})
        const regenerated = yield* newSession(Session.flash("a", 1)).pipe(
          Effect.flatMap((token) =>
            visit(token, Effect.andThen(Effect.all([Session.reflash, Session.regenerate]), Session.sessionId))
          )
        )
        assert.deepStrictEqual(yield* visit(regenerated, flashed), { a: 1 })
      })
  )

  const form: JsonObject = { title: "A", password: "x", user: { name: "Ada", apiToken: "x" }, tags: ["a"] }

  withMemory("A14 flashAll takes all values but those that look like a secret", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.flashAll(form))
      assert.deepStrictEqual(yield* visit(token, flashed), { title: "A", user: { name: "Ada" }, tags: ["a"] })
    }))

  withMemory("A14 flashOnly takes those that it is told, whatever they look like", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.flashOnly(["password", "tags", "missing"], form))
      assert.deepStrictEqual(yield* visit(token, flashed), { password: "x", tags: ["a"] })
    }))

  withMemory("A14 flashExcept takes the others, and nothing that looks like a secret", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.flashExcept(["tags", "missing"], form))
      assert.deepStrictEqual(yield* visit(token, flashed), { title: "A", user: { name: "Ada" } })
    }))

  it.effect("what looks like a secret is a setting", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.flashAll(form))
      assert.deepStrictEqual(yield* visit(token, flashed), { password: "x", user: { name: "Ada", apiToken: "x" } })
    }).pipe(Effect.provide(application(MemoryLayer.layer(), { flash: { except: ["tags", "TITLE"] } }))))

  withMemory("A15 reflash, reflashOnly and reflashExcept keep them for one visit more", () =>
    Effect.gen(function*() {
      const messages = { a: 1, b: 2, c: { d: 3 } }
      const cases = [
        [Session.reflash, messages],
        [Session.reflashOnly(["a", "c", "x"]), { a: 1, c: { d: 3 } }],
        [Session.reflashExcept(["a", "x"]), { b: 2, c: { d: 3 } }]
      ] as const
      for (const [reflash, kept] of cases) {
        const token = yield* newSession(Session.flash(messages))
        assert.deepStrictEqual(yield* visit(token, Effect.andThen(reflash, flashed)), messages)
        assert.deepStrictEqual(yield* visit(token, flashed), kept)
        assert.deepStrictEqual(yield* visit(token, flashed), {})
      }
    }))

  withMemory("A15 may be kept together with new ones, which win", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.flash({ a: 1, b: 1 }))
      yield* visit(token, Effect.all([Session.reflash, Session.flash("b", 2)]))
      assert.deepStrictEqual(yield* visit(token, flashed), { a: 1, b: 2 })
    }))

  withMemory("A16 are found by paths", () =>
    Effect.gen(function*() {
      const messages = { errors: { title: ["too short"] }, "errors.email": "taken", nothing: null, no: false }
      const token = yield* newSession(Session.flash(messages))
      const found = yield* visit(token, Session.flashMessages)
      assert.deepStrictEqual(found.get("errors.title.0"), Option.some("too short"))
      assert.deepStrictEqual(found.get("errors.email"), Option.some("taken"))
      assert.deepStrictEqual(found.get("errors.name"), Option.none())
      assert.deepStrictEqual(found.get("nothing"), Option.some(null))
      assert.strictEqual(found.get("errors.email", "free"), "taken")
      assert.strictEqual(found.get("errors.name", "free"), "free")
      assert.isUndefined(found.get("errors.name", undefined))
      assert.isFalse(found.get("no", true))
      assert.isNull(found.get("nothing", "default"))
      const paths = ["errors", "errors.title", "errors.email", "errors.name", "nothing", "no", "constructor"]
      assert.deepStrictEqual(paths.map(found.has), [true, true, true, false, true, true, false])
      assert.deepStrictEqual(found.all(), messages)
      assert.isFalse(found.isEmpty)
      const none = yield* visit(token, Session.flashMessages)
      assert.deepStrictEqual([none.isEmpty, none.all(), none.get("errors")], [true, {}, Option.none()])
    }))

  withMemory("keep a message named __proto__ for what it is", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.flash(JSON.parse("{ \"__proto__\": { \"admin\": true } }")))
      const found = yield* visit(token, Session.flashMessages)
      assert.deepStrictEqual(found.get("__proto__.admin"), Option.some(true))
      assert.deepStrictEqual(found.get("admin"), Option.none())
    }))

  withMemory("A10 are in the view", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.flash("message", "Saved"))
      const view = yield* visit(token, Session.view)
      assert.strictEqual(view.flashMessages.get("message", ""), "Saved")
      assert.deepStrictEqual(view.all(), {})
    }))
})

// -----------------------------------------------------------------------------
// read-only sessions
// -----------------------------------------------------------------------------

describe("A17 a session that was opened read-only", () => {
  const mutations: Record<string, Effect.Effect<unknown, unknown, Session.Session>> = {
    put: Session.put(Name, "Eve"),
    pull: Session.pull(Name),
    modify: Session.modify(Total, (total) => total + 1),
    forget: Session.forget(Name),
    increment: Session.increment(Count),
    decrement: Session.decrement(Count),
    clear: Session.clear,
    regenerate: Session.regenerate,
    destroy: Session.destroy,
    touch: Session.touch,
    commit: Session.commit,
    flash: Session.flash("message", "Saved"),
    flashAll: Session.flashAll({ a: 1 }),
    flashOnly: Session.flashOnly(["a"], { a: 1 }),
    flashExcept: Session.flashExcept(["a"], { a: 1 }),
    reflash: Session.reflash,
    reflashOnly: Session.reflashOnly(["a"]),
    reflashExcept: Session.reflashExcept(["a"])
  }

  for (const [name, mutation] of Object.entries(mutations)) {
    it.effect(`refuses Session.${name}, and writes nothing`, () => {
      const store = watchStore()
      return Effect.gen(function*() {
        const token = yield* newSession(Effect.andThen(putAll({ name: "Ada", count: 1 }), Session.flash("a", 1)))
        yield* TestClock.adjust("1 hour")
        store.newCalls()
        yield* withSession(
          token,
          Effect.gen(function*() {
            const error = yield* Effect.flip(mutation)
            assert.instanceOf(error, SessionError.SessionReadonlyError)
            assert.strictEqual(error.message, `Session.${name}: this session was opened read-only`)
            assert.deepStrictEqual(yield* Session.all, { name: "Ada", count: 1 })
            assert.isFalse(yield* Session.fresh)
          }),
          { readonly: true }
        )
        assert.deepStrictEqual(store.newCalls(), ["load"])
        assert.deepStrictEqual(yield* withSession(token, Effect.all([Session.all, flashed])), [
          { name: "Ada", count: 1 },
          { a: 1 }
        ])
      }).pipe(Effect.provide(application(store.layer)))
    })
  }

  withMemory("reads all that there is, and takes no flash messages away", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Effect.andThen(putAll({ name: "Ada" }), Session.flash("a", 1)))
      const read = Effect.all([Session.readonly, Name, Session.all, flashed, Session.fresh, Session.initiated])
      for (let count = 0; count < 2; count++) {
        assert.deepStrictEqual(yield* withSession(token, read, { readonly: true }), [
          true,
          Option.some("Ada"),
          { name: "Ada" },
          { a: 1 },
          false,
          true
        ])
      }
    }))

  withMemory("is the one of the Cookie header of a request, as of its token", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Name, "Ada"))
      const open = (cookies: string | undefined) =>
        Effect.flatMap(Sessions.open({ cookies }, { readonly: true }), (session) =>
          Effect.provideService(Session.all, Session.Session, session))
      assert.deepStrictEqual(yield* open(`a=b; session=${Redacted.value(token)}`), { name: "Ada" })
      assert.deepStrictEqual(yield* open(`a=b`), {})
      assert.deepStrictEqual(yield* open(undefined), {})
      assert.deepStrictEqual(yield* open(`session=${Redacted.value(token)}; session=other`), {})
    }))
})
