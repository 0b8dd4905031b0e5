/**
 * What a request has seen is not there any more when it commits: its functions are run again, or it is told.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Redacted, Schema } from "effect"
import { MemoryLayer, Session, SessionError, SessionKey, SessionStore } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as Change from "../../src/internal/record/change.ts"
import * as Secret from "../../src/internal/token/secret.ts"
import { watchStore } from "../support/failingStore.ts"
import { observe } from "../support/observe.ts"
import { Count, Name } from "../support/routes.ts"
import { cookieOf, serve } from "../support/server.ts"
import { application, newSession, type Services, visit, withSession } from "../support/visits.ts"

const Entries = SessionKey.make("entries", Schema.Array(Schema.String)).pipe(SessionKey.withDefault(() => []))
const Token = SessionKey.make("token", Schema.String)
const Percent = SessionKey.make("percent", Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 }))).pipe(
  SessionKey.withDefault(() => 0)
)
const Language = SessionKey.make("language", Schema.String, { scope: "device" })
const AnyPercent = SessionKey.make("percent", Schema.Json)

type Work = Effect.Effect<unknown, unknown, Session.Session>

const store = watchStore()

const withStore = <A, E>(name: string, effect: () => Effect.Effect<A, E, Services>) =>
  it.effect(name, () => Effect.provide(Effect.suspend(effect), application(store.layer)))

/** A request does its work, then another one does its own and commits, and then the first one commits. */
const overtaken = Effect.fnUntraced(function*(begin: Work, work: Work, meanwhile: Work) {
  const token = yield* newSession(begin)
  store.newCalls()
  const committed = yield* withSession(
    token,
    Effect.gen(function*() {
      yield* work
      yield* visit(token, meanwhile)
      store.newCalls()
      return yield* Effect.result(Session.commit)
    })
  )
  const calls = store.newCalls()
  return { committed, calls, all: yield* withSession(token, Session.all) }
})

const append = (entry: string) => Session.modify(Entries, (entries) => [...entries, entry])

describe("a function that was given to Session.modify", () => {
  withStore("is run again on what is there", () =>
    Effect.gen(function*() {
      const { all, calls, committed } = yield* overtaken(append("begin"), append("late"), append("quick"))
      assert.strictEqual(committed._tag, "Success")
      assert.deepStrictEqual(all, { entries: ["begin", "quick", "late"] })
      assert.deepStrictEqual(calls, ["update", "update"])
    }))

  withStore("is not, as long as nobody is in the way: one call", () =>
    Effect.gen(function*() {
      const { all, calls } = yield* overtaken(append("begin"), append("late"), Session.put(Name, "Ada"))
      assert.deepStrictEqual(all, { entries: ["begin", "late"], name: "Ada" })
      assert.deepStrictEqual(calls, ["update"])
    }))

  withStore("is run again with the others of its request, in their order", () =>
    Effect.gen(function*() {
      const several = Effect.all([
        Session.modify(Percent, (percent) => percent + 1),
        Session.modify(Percent, (percent) => percent * 2),
        Session.increment(Percent),
        append("one"),
        append("two")
      ])
      const { all } = yield* overtaken(
        Session.put(Percent, 1),
        several,
        Effect.andThen(Session.put(Percent, 10), append("quick"))
      )
      assert.deepStrictEqual(all, { percent: 23, entries: ["quick", "one", "two"] })
    }))

  withStore("comes after what the request itself has put, and that is not asked again", () =>
    Effect.gen(function*() {
      const { all, calls } = yield* overtaken(
        append("begin"),
        Effect.andThen(Session.put(Entries, ["own"]), append("late")),
        append("quick")
      )
      assert.deepStrictEqual(all, { entries: ["own", "late"] })
      assert.deepStrictEqual(calls, ["update"])
    }))

  withStore(
    "gives back what this request sees, and what it sees after the commit is what is stored",
    () =>
      Effect.gen(function*() {
        const token = yield* newSession(append("begin"))
        yield* withSession(
          token,
          Effect.gen(function*() {
            assert.deepStrictEqual(yield* append("late"), ["begin", "late"])
            yield* visit(token, append("quick"))
            assert.deepStrictEqual(yield* Entries, ["begin", "late"])
            yield* Session.commit
            assert.deepStrictEqual(yield* Entries, ["begin", "quick", "late"])
          })
        )
      })
  )

  const failing: Record<string, readonly [work: Work, meanwhile: Work, message: RegExp]> = {
    "throws at its second run": [
      Session.modify(Entries, (entries) => {
        if (entries.includes("quick")) throw new Error("secret of the application")
        return [...entries, "late"]
      }),
      append("quick"),
      /Session key "entries": can't modify the value. Expected a function that does not throw/
    ],
    "makes at its second run what the schema refuses": [
      Session.modify(Percent, (percent) => percent + 60),
      Session.put(Percent, 50),
      /Session key "percent": can't encode the value. Expected /
    ],
    "meets at its second run a value that does not decode": [
      Session.modify(Percent, (percent) => percent + 1),
      Session.put(AnyPercent, "a lot"),
      /Session key "percent": can't decode the value. Expected /
    ],
    "adds at its second run to a sum that the schema refuses": [
      Session.increment(Percent, 60),
      Session.put(Percent, 50),
      /Session key "percent": can't encode the value. Expected /
    ]
  }
  for (const [what, [work, meanwhile, message]] of Object.entries(failing)) {
    withStore(`and ${what}: a typed error, and nothing of the request is written`, () =>
      Effect.gen(function*() {
        const before = Effect.andThen(append("begin"), Session.put(Percent, 1))
        const { all, committed } = yield* overtaken(before, Effect.andThen(Session.put(Name, "Eve"), work), meanwhile)
        assert(committed._tag === "Failure" && committed.failure instanceof SessionError.SessionValueError)
        assert.match(committed.failure.message, message)
        assert.notInclude(JSON.stringify(committed.failure), "secret")
        const { all: withoutIt } = yield* overtaken(before, Session.all, meanwhile)
        assert.deepStrictEqual(all, withoutIt)
      }))
  }

  withStore("and has failed can be taken back, and the rest is written", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Percent, 1))
      yield* withSession(
        token,
        Effect.gen(function*() {
          yield* Session.modify(Percent, (percent) => percent + 60)
          yield* visit(token, Session.put(Percent, 50))
          assert.instanceOf(yield* Effect.flip(Session.commit), SessionError.SessionValueError)
          yield* Session.rollback
          yield* Session.put(Name, "Ada")
          yield* Session.commit
        })
      )
      assert.deepStrictEqual(yield* withSession(token, Session.all), { percent: 50, name: "Ada" })
    }))
})

describe("a value that was taken with Session.pull", () => {
  const begin = Effect.andThen(Session.put(Token, "one"), Session.put(Name, "Ada"))
  const taken = new SessionError.SessionConflictError({ reason: "taken", key: "token" })
  const works = {
    "": Session.pull(Token),
    ", and the key is put again": Effect.andThen(Session.pull(Token), Session.put(Token, "another")),
    ", and the session is cleared": Effect.andThen(Session.pull(Token), Session.clear),
    ", and the session gets another id": Effect.andThen(Session.pull(Token), Session.regenerate)
  }
  for (const [what, work] of Object.entries(works)) {
    withStore(`can't be had by two requests${what}`, () =>
      Effect.gen(function*() {
        const { all, committed } = yield* overtaken(
          begin,
          Effect.andThen(Session.put(Name, "Eve"), work),
          Session.pull(Token)
        )
        assert(committed._tag === "Failure")
        assert.deepStrictEqual(committed.failure, taken)
        assert.deepStrictEqual(all, { name: "Ada" })
      }))
  }

  withStore("and has been replaced meanwhile is not removed", () =>
    Effect.gen(function*() {
      const { all, committed } = yield* overtaken(begin, Session.pull(Token), Session.put(Token, "two"))
      assert(committed._tag === "Failure")
      assert.deepStrictEqual(committed.failure, taken)
      assert.deepStrictEqual(all, { token: "two", name: "Ada" })
    }))

  withStore("where there was none is no conflict", () =>
    Effect.gen(function*() {
      const work = Effect.map(Session.pull(Token), (token) => assert.deepStrictEqual(token, Option.none()))
      const { all, committed } = yield* overtaken(Session.put(Count, 1), work, Session.put(Token, "one"))
      assert.strictEqual(committed._tag, "Success")
      assert.deepStrictEqual(all, { count: 1, token: "one" })
    }))

  withStore(
    "is not there for a request whose session was ended meanwhile, and which regenerates",
    () =>
      Effect.gen(function*() {
        const { committed } = yield* overtaken(
          begin,
          Effect.all([Session.pull(Token), Session.put(Name, "Eve"), Session.regenerate]),
          Session.destroy
        )
        assert(committed._tag === "Failure")
        assert.deepStrictEqual(committed.failure, taken)
      })
  )
})

describe("an increment", () => {
  const Finite = SessionKey.make("finite", Schema.Finite)
  const Plain = SessionKey.make("plain", Schema.Number)

  withStore("of a number without limits is done by the store, whatever came in between", () =>
    Effect.gen(function*() {
      const { all, calls } = yield* overtaken(
        Session.put(Plain, 1),
        Effect.andThen(Session.increment(Plain), Session.decrement(Finite, 2)),
        Effect.andThen(Session.increment(Plain, 10), Session.increment(Finite, 20))
      )
      assert.deepStrictEqual(all, { plain: 12, finite: 18 })
      assert.deepStrictEqual(calls, ["update"])
    }))

  for (const key of [Plain, Finite]) {
    withStore(`of 1e308, twice, never leaves the finite numbers: ${key.name}`, () =>
      Effect.gen(function*() {
        const { all, committed } = yield* overtaken(
          Session.put(key, 0),
          Session.increment(key, 1e308),
          Session.increment(key, 1e308)
        )
        assert(committed._tag === "Failure" && committed.failure instanceof SessionError.SessionValueError)
        assert.deepStrictEqual(all, { [key.name]: 1e308 })
      }))
  }

  withStore(
    "of a number that fits its schema for each of two requests, but not for both: the second is refused",
    () =>
      Effect.gen(function*() {
        const { all, committed } = yield* overtaken(
          Session.put(Percent, 99),
          Session.increment(Percent),
          Session.increment(Percent)
        )
        assert(committed._tag === "Failure" && committed.failure instanceof SessionError.SessionValueError)
        assert.deepStrictEqual(all, { percent: 100 })
      })
  )
})

// -----------------------------------------------------------------------------
// a store that contradicts itself
// -----------------------------------------------------------------------------

const id = new Secret.Id("a".repeat(43))

const token = Redacted.make(id.text)
const times = { createdAt: 0, touchedAt: 0, expiresAt: 8e15 }
const record = (entries: ReadonlyArray<string>) => ({
  ...times,
  fields: new Map([["entries", JSON.stringify(entries)]])
})
const conflict = (number: number): SessionStore.Conflict => ({ _tag: "Conflict", record: record([`${number}`]) })
const gone: SessionStore.Gone = { _tag: "Gone" }
const written: SessionStore.Written = { _tag: "Written", token: undefined }

/** A store with one session, whose updates are answered one after the other like this; the last answer stays. */
const answering = (
  answers: ReadonlyArray<(call: number) => SessionStore.Written | SessionStore.Gone | SessionStore.Conflict>
) => {
  let calls = 0
  const answer = Effect.sync(() => answers[Math.min(calls, answers.length - 1)]!(++calls))
  return { ...storeOf(() => answer), calls: () => calls }
}

const storeOf = (
  update: (
    change: SessionStore.Change
  ) => Effect.Effect<SessionStore.Written | SessionStore.Gone | SessionStore.Conflict>
) => {
  let destroyed = 0
  const layer = Layer.effect(
    SessionStore.SessionStore,
    SessionStore.make({
      driver: "contradicting",
      stateless: false,
      load: () => Effect.succeed({ _tag: "Found", id, record: record([]), renewed: undefined }),
      create: () => Effect.succeed({ _tag: "Written", token: new Secret.Token(id.text) }),
      update: (_, change) => update(change),
      touch: () => Effect.succeed(gone),
      regenerate: () => update(Change.none),
      destroy: () => Effect.sync(() => void destroyed++)
    })
  )
  return { layer: application(layer), destroyed: () => destroyed }
}

describe("a store that contradicts itself", () => {
  const committing = Effect.result(withSession(token, Effect.andThen(append("mine"), Session.commit)))

  it.effect("and has a conflict for ever: SessionConflictError after a hundred more tries", () =>
    Effect.gen(function*() {
      const { calls, layer } = answering([conflict])
      const committed = yield* Effect.provide(committing, layer)
      assert(committed._tag === "Failure")
      assert.deepStrictEqual(committed.failure, new SessionError.SessionConflictError({ reason: "busy" }))
      assert.strictEqual(calls(), 101)
    }))

  it.effect("and has a conflict with what was expected, for ever: the same", () =>
    Effect.gen(function*() {
      const { layer } = answering([() => ({ _tag: "Conflict", record: record([]) })])
      const committed = yield* Effect.provide(committing, layer)
      assert(committed._tag === "Failure" && committed.failure instanceof SessionError.SessionConflictError)
    }))

  it.effect("and has a conflict for ever: a request that regenerates gets a session of its own all the same", () =>
    Effect.gen(function*() {
      const { calls, layer } = answering([conflict])
      const work = Effect.all([append("mine"), Session.regenerate, Session.commit, Session.all])
      const [, , , all] = yield* Effect.provide(withSession(token, work), layer)
      assert.deepStrictEqual(all, { entries: ["mine"] })
      assert.strictEqual(calls(), 101)
    }))

  it.effect("and has a conflict for ever: a logout ends the session all the same, and keeps what it has put itself", () =>
    Effect.gen(function*() {
      const { calls, destroyed, layer } = answering([conflict])
      const work = Effect.all([Session.put(Language, "de"), Session.logout, Session.commit, Session.all])
      const [, , , all] = yield* Effect.provide(withSession(token, work), layer)
      assert.deepStrictEqual(all, { language: "de" })
      assert.strictEqual(calls(), 101)
      assert.strictEqual(destroyed(), 1)
    }))

  it.effect("and has one successor after the other: SessionConflictError", () =>
    Effect.gen(function*() {
      const { calls, layer } = answering([(call) => ({ ...conflict(call), successor: `successor ${call}` })])
      const committed = yield* Effect.provide(committing, layer)
      assert(committed._tag === "Failure")
      assert.deepStrictEqual(committed.failure, new SessionError.SessionConflictError({ reason: "busy" }))
      assert.strictEqual(calls(), 101)
    }))

  it.effect("and hangs after conflicts: all that wait for their turn have an answer after two time limits", () =>
    Effect.gen(function*() {
      const requests = 50
      // The first try of each request.
      const { layer } = storeOf(({ expect }) =>
        expect.get("entries") === "[]" ? Effect.succeed(conflict(1)) : Effect.never
      )
      const all = yield* Effect.forkChild(Effect.provide(
        Effect.replicateEffect(committing, requests, { concurrency: "unbounded" }),
        layer
      ))
      yield* TestClock.adjust("5 seconds")
      yield* TestClock.adjust("5 seconds")
      for (const committed of yield* Fiber.join(all)) {
        assert(committed._tag === "Failure" && committed.failure instanceof SessionError.SessionStoreError)
      }
    }))

  it.effect("and has lost the session after a conflict: SessionGoneError", () =>
    Effect.gen(function*() {
      const committed = yield* Effect.provide(committing, answering([conflict, () => gone]).layer)
      assert(committed._tag === "Failure" && committed.failure instanceof SessionError.SessionGoneError)
    }))

  it.effect("and has it again after it was gone: what is gone stays so", () =>
    Effect.gen(function*() {
      const { calls, layer } = answering([() => gone, () => written])
      const results = yield* Effect.provide(
        withSession(
          token,
          Effect.gen(function*() {
            yield* append("mine")
            const first = yield* Effect.result(Session.commit)
            yield* append("more")
            return [first, yield* Effect.result(Session.commit)]
          })
        ),
        layer
      )
      for (const result of results) {
        assert(result._tag === "Failure" && result.failure instanceof SessionError.SessionGoneError)
      }
      assert.strictEqual(calls(), 1)
    }))
})

// -----------------------------------------------------------------------------
// over HTTP
// -----------------------------------------------------------------------------

describe("over HTTP, a commit that", () => {
  const routes = Layer.mergeAll(
    HttpRouter.add("POST", "/begin", Effect.as(append("begin"), HttpServerResponse.empty())),
    HttpRouter.add("GET", "/", Effect.map(Session.all, HttpServerResponse.jsonUnsafe))
  )

  it.effect("is refused for ever answers 409, without a cookie", () =>
    Effect.gen(function*() {
      const { layer } = answering([conflict])
      const contradicting = Layer.effect(SessionStore.SessionStore, Effect.provide(SessionStore.SessionStore, layer))
      const server = yield* serve(routes, { store: contradicting })
      const answer = yield* server.post("/begin", { cookie: "session=anything" })
      assert.strictEqual(answer.status, 409)
      assert.deepStrictEqual(answer.setCookies, [])
    }))

  it.effect("is tried again is counted", () =>
    Effect.gen(function*() {
      const observed = observe()
      yield* overtaken(append("begin"), append("late"), append("quick")).pipe(
        Effect.provide(application(store.layer)),
        Effect.provide(observed.layer)
      )
      assert.strictEqual(observed.counters()["conflicts"], 1)
    }))

  it.effect("meets a function that fails at its second run answers 500, and the session lives on", () =>
    Effect.gen(function*() {
      const watched = watchStore(MemoryLayer.make())
      const add = HttpRouter.add(
        "POST",
        "/add",
        Effect.as(Session.increment(Percent, 60), HttpServerResponse.text("ok"))
      )
      const server = yield* serve(Layer.mergeAll(routes, add), { store: watched.layer })
      const cookie = cookieOf(yield* server.post("/begin"))
      const updating = watched.holds("update")
      const first = yield* Effect.forkChild(server.post("/add", { cookie }))
      yield* updating.reached
      assert.strictEqual((yield* server.post("/add", { cookie })).status, 200)
      yield* updating.release
      const answer = yield* Fiber.join(first)
      assert.strictEqual(answer.status, 500)
      assert.deepStrictEqual(JSON.parse((yield* server.get("/", { cookie })).body), { entries: ["begin"], percent: 60 })
    }))
})
