/**
 * All or nothing for a part of a handler, and taking back what is not committed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Option, Schema } from "effect"
import { MemoryLayer, Session, SessionError, SessionKey, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { serveWatched, type WatchedStore, watchStore } from "../support/failingStore.ts"
import { basicRoutes, Count, Name } from "../support/routes.ts"
import { cookieNames, cookieOf, serve } from "../support/server.ts"
import {
  application,
  newSession,
  type Services,
  type Token as SessionToken,
  visit,
  withSession
} from "../support/visits.ts"

const Credits = SessionKey.make("credits", Schema.Int).pipe(SessionKey.withDefault(() => 0))
const Token = SessionKey.make("token", Schema.String)

const memory = application(MemoryLayer.layer())

const withMemory = <A, E>(name: string, effect: () => Effect.Effect<A, E, Services>) =>
  it.effect(name, () => Effect.provide(Effect.suspend(effect), memory))

/** Each operation that changes a session, and one to see that it has. */
const everyChange = {
  put: Session.put(Name, "Eve"),
  forget: Session.forget(Count),
  clear: Session.clear,
  increment: Session.increment(Count),
  decrement: Session.decrement(Credits),
  modify: Session.modify(Credits, (credits) => credits * 2),
  pull: Session.pull(Token),
  flash: Session.flash("message", "Saved"),
  regenerate: Session.regenerate,
  destroy: Session.destroy,
  touch: Session.touch
}

const start = Effect.all([Session.put(Count, 1), Session.put(Credits, 5), Session.put(Token, "one")])

/** All that can be seen of the session that the token led to, or that follows it. */
const seenAfter = Effect.fnUntraced(function*(effect: Effect.Effect<unknown, unknown, Session.Session>) {
  const token = yield* newSession(Effect.andThen(start, Session.flash("earlier", 1)))
  yield* TestClock.adjust("1 second")
  const now = yield* Clock.currentTimeMillis
  const { id, lifetime } = yield* withSession(
    token,
    Effect.gen(function*() {
      yield* effect
      yield* Session.commit
      const lifetime = (yield* Session.expiresAt).idle.pipe(
        Option.map(({ epochMilliseconds }) => epochMilliseconds - now)
      )
      return { id: yield* Session.sessionId, lifetime }
    })
  )
  const all = yield* withSession(id, Session.all)
  const flashed = yield* withSession(id, Effect.map(Session.flashMessages, (messages) => messages.all()))
  const old = yield* withSession(token, Session.all)
  return { all, flashed, old, lifetime }
})

const fails = <A, E>(change: Effect.Effect<A, E, Session.Session>) =>
  Effect.exit(Session.atomic(Effect.andThen(change, Effect.fail("no"))))

describe("what an atomic effect did to the session", () => {
  for (const [name, change] of Object.entries(everyChange)) {
    withMemory(`is taken back if it fails, and counts if it succeeds: ${name}`, () =>
      Effect.gen(function*() {
        const untouched = yield* seenAfter(Session.all)
        assert.deepStrictEqual(yield* seenAfter(fails(change)), untouched)
        const changed = yield* seenAfter(change)
        assert.notDeepEqual(changed, untouched)
        assert.deepStrictEqual(yield* seenAfter(Session.atomic(change)), changed)
      }))

    withMemory(`is taken back by Session.rollback, inside and outside of one: ${name}`, () =>
      Effect.gen(function*() {
        const untouched = yield* seenAfter(Session.all)
        assert.deepStrictEqual(yield* seenAfter(Effect.andThen(change, Session.rollback)), untouched)
        assert.deepStrictEqual(
          yield* seenAfter(Session.atomic(Effect.andThen(change, Session.rollback))),
          untouched
        )
      }))
  }

  withMemory(
    "is taken back if it dies, is interrupted or takes too long, and the exit stays what it is",
    () =>
      Effect.gen(function*() {
        const endings = [Effect.die("oops"), Effect.interrupt, Effect.fail("no")]
        for (const ending of endings) {
          const exit = yield* seenAfter(
            Effect.map(
              Effect.exit(Session.atomic(Effect.andThen(Session.put(Name, "Eve"), ending))),
              (exit) => assert.isTrue(Exit.isFailure(exit))
            )
          )
          assert.deepStrictEqual(exit.all, { count: 1, credits: 5, token: "one" })
        }
        const token = yield* newSession(start)
        const slow = yield* Effect.forkChild(visit(
          token,
          Session.atomic(Effect.andThen(Session.decrement(Credits, 5), Effect.never)).pipe(
            Effect.timeoutOption("2 seconds")
          )
        ))
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* Fiber.join(slow), Option.none())
        assert.deepStrictEqual(yield* withSession(token, Credits), 5)
      })
  )

  withMemory("is seen inside, and not outside before it is over", () =>
    Effect.gen(function*() {
      const token = yield* newSession(start)
      yield* visit(
        token,
        Effect.gen(function*() {
          const reached = yield* Deferred.make<void>()
          const released = yield* Deferred.make<void>()
          const atomic = yield* Effect.forkChild(Session.atomic(
            Effect.gen(function*() {
              yield* Session.put(Name, "Eve")
              assert.deepStrictEqual(yield* Name, Option.some("Eve"))
              yield* Deferred.succeed(reached, undefined)
              yield* Deferred.await(released)
            })
          ))
          yield* Deferred.await(reached)
          assert.deepStrictEqual(yield* Name, Option.none())
          yield* Deferred.succeed(released, undefined)
          yield* Fiber.join(atomic)
          assert.deepStrictEqual(yield* Name, Option.some("Eve"))
        })
      )
    }))

  withMemory("comes after what other fibers of the request did meanwhile", () =>
    Effect.gen(function*() {
      const token = yield* newSession(start)
      const release = yield* Deferred.make<void>()
      yield* visit(
        token,
        Effect.all([
          Session.atomic(
            Effect.gen(function*() {
              yield* Session.modify(Credits, (credits) => credits * 2)
              yield* Session.increment(Count)
              yield* Deferred.await(release)
            })
          ),
          Effect.all([
            Session.modify(Credits, (credits) => credits + 1),
            Session.increment(Count),
            Session.put(Name, "Ada"),
            Deferred.succeed(release, undefined)
          ])
        ], { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(yield* withSession(token, Session.all), {
        count: 3,
        credits: 12,
        token: "one",
        name: "Ada"
      })
    }))

  withMemory("is refused as a whole if another fiber has taken what it took", () =>
    Effect.gen(function*() {
      const token = yield* newSession(start)
      yield* visit(
        token,
        Effect.gen(function*() {
          const release = yield* Deferred.make<void>()
          const [error] = yield* Effect.all([
            Effect.flip(Session.atomic(
              Effect.all([Session.put(Name, "Eve"), Session.pull(Token), Deferred.await(release)])
            )),
            Effect.all([Session.pull(Token), Deferred.succeed(release, undefined)])
          ], { concurrency: "unbounded" })
          assert.deepStrictEqual(error, new SessionError.SessionConflictError({ reason: "taken", key: "token" }))
        })
      )
      assert.deepStrictEqual(yield* withSession(token, Session.all), { count: 1, credits: 5 })
    }))

  withMemory(
    "nests: an inner one that fails takes back its own part, an outer one takes back all",
    () =>
      Effect.gen(function*() {
        const nested = Effect.all([
          Session.increment(Count),
          Session.atomic(Session.put(Name, "Ada")),
          fails(Effect.all([Session.put(Name, "Eve"), Session.increment(Count)])),
          Session.decrement(Credits)
        ])
        const { all } = yield* seenAfter(Session.atomic(nested))
        assert.deepStrictEqual(all, { count: 2, credits: 4, token: "one", name: "Ada" })
        assert.deepStrictEqual((yield* seenAfter(fails(nested))).all, { count: 1, credits: 5, token: "one" })
      })
  )

  withMemory("stays if it was committed inside; only what comes after it is taken back", () =>
    Effect.gen(function*() {
      const { all } = yield* seenAfter(
        Effect.andThen(
          Session.put(Count, 7),
          fails(Effect.all([Session.put(Name, "Ada"), Session.commit, Session.put(Name, "Eve"), Session.put(Count, 8)]))
        )
      )
      assert.deepStrictEqual(all, { count: 7, credits: 5, token: "one", name: "Ada" })
    }))

  withMemory("can't be changed any more when it is over", () =>
    Effect.gen(function*() {
      const error = yield* withSession(
        yield* newSession(start),
        Effect.gen(function*() {
          const release = yield* Deferred.make<void>()
          const late = yield* Session.atomic(
            Effect.forkChild(Effect.andThen(Deferred.await(release), Effect.flip(Session.increment(Count))))
          )
          yield* Deferred.succeed(release, undefined)
          return yield* Fiber.join(late)
        })
      )
      assert.instanceOf(error, SessionError.SessionClosedError)
    }))

  it.effect("asks nothing of the store, if it does not use the session", () =>
    Effect.gen(function*() {
      const route = HttpRouter.add("POST", "/nothing", Session.atomic(Effect.succeed(HttpServerResponse.empty())))
      const { cookie, server, store } = yield* serveWatched(route)
      store.newCalls()
      yield* server.post("/nothing", { cookie })
      assert.deepStrictEqual(store.newCalls(), [])
    }))
})

describe("a commit inside of an atomic effect that fails", () => {
  /** A store whose next update fails. */
  const failing = <A, E>(test: (token: SessionToken, store: WatchedStore) => Effect.Effect<A, E, Services>) =>
    Effect.gen(function*() {
      const store = watchStore()
      yield* Effect.gen(function*() {
        const token = yield* newSession(start)
        store.fails("update")
        yield* test(token, store)
      }).pipe(Effect.provide(application(store.layer)))
    })
  const unchanged = { count: 1, credits: 5, token: "one" }

  it.effect("is taken back with all that it was to write, and what others did meanwhile stays", () =>
    failing((token, store) =>
      withSession(
        token,
        Effect.gen(function*() {
          const inside = Effect.all([
            Session.put(Count, 2),
            Session.modify(Credits, (credits) => credits * 2),
            Session.commit
          ])
          const reached = yield* Deferred.make<void>()
          const released = yield* Deferred.make<void>()
          const held = Effect.andThen(Deferred.await(released), Effect.fail("No disk"))
          yield* Effect.forkChild(Effect.andThen(store.before("update", held), Deferred.succeed(reached, undefined)))
          const atomic = yield* Effect.forkChild(Effect.exit(Session.atomic(inside)))
          yield* Deferred.await(reached)
          yield* Session.modify(Credits, (credits) => credits + 1)
          yield* Deferred.succeed(released, undefined)
          assert.isTrue(Exit.isFailure(yield* Fiber.join(atomic)))
          assert.deepStrictEqual(yield* Session.all, { ...unchanged, credits: 6 })
          store.works()
          yield* Session.commit
          assert.deepStrictEqual(yield* withSession(token, Session.all), { ...unchanged, credits: 6 })
        })
      )
    ))

  it.effect("is taken back where there is no session yet", () =>
    failing((_, store) =>
      withSession(
        undefined,
        Effect.gen(function*() {
          store.fails("create")
          const failed = Session.atomic(Effect.andThen(Session.put(Name, "Ada"), Session.commit))
          assert.instanceOf(yield* Effect.flip(failed), SessionError.SessionStoreError)
          assert.deepStrictEqual(yield* Session.all, {})
          store.newCalls()
          yield* Session.commit
          assert.deepStrictEqual(store.newCalls(), [])
        })
      )
    ))

  it.effect("can be caught inside, and taken back there", () =>
    failing((token, store) =>
      withSession(
        token,
        Effect.gen(function*() {
          yield* Session.atomic(Effect.gen(function*() {
            yield* Session.put(Count, 3)
            yield* Effect.flip(Session.commit)
            assert.strictEqual(yield* Count, 3)
            yield* Session.rollback
            assert.strictEqual(yield* Count, 1)
            yield* Session.put(Name, "Ada")
          }))
          store.works()
          yield* Session.commit
          assert.deepStrictEqual(yield* withSession(token, Session.all), { ...unchanged, name: "Ada" })
        })
      )
    ))

  it.effect("is taken back from the outer one as well, where they nest", () =>
    failing((token, store) =>
      withSession(
        token,
        Effect.gen(function*() {
          yield* Session.atomic(Effect.andThen(
            Session.put(Name, "Ada"),
            Effect.exit(Session.atomic(Effect.andThen(Session.put(Count, 2), Session.commit)))
          ))
          store.works()
          yield* Session.commit
          assert.deepStrictEqual(yield* withSession(token, Session.all), { ...unchanged, name: "Ada" })
        })
      )
    ))

  withMemory(
    "as another request has taken a value leaves the rest of the request as it was",
    () =>
      Effect.gen(function*() {
        const token = yield* newSession(start)
        yield* withSession(
          token,
          Effect.gen(function*() {
            yield* Session.put(Name, "Ada")
            const takes = Effect.andThen(
              Session.pull(Token),
              Effect.andThen(visit(token, Session.pull(Token)), Session.commit)
            )
            assert.instanceOf(yield* Effect.flip(Session.atomic(takes)), SessionError.SessionConflictError)
            yield* Session.commit
          })
        )
        assert.deepStrictEqual(yield* withSession(token, Session.all), { count: 1, credits: 5, name: "Ada" })
      })
  )

  it.effect("or succeeds: what another fiber inside does meanwhile is still to be seen", () =>
    Effect.gen(function*() {
      const store = watchStore()
      yield* Effect.gen(function*() {
        const token = yield* newSession(start)
        const updating = store.holds("update")
        yield* withSession(
          token,
          Session.atomic(Effect.gen(function*() {
            yield* Session.put(Name, "Ada")
            const commit = yield* Effect.forkChild(Session.commit)
            yield* updating.reached
            yield* Session.put(Count, 2)
            yield* updating.release
            yield* Fiber.join(commit)
            assert.strictEqual(yield* Count, 2)
            yield* Session.commit
          }))
        )
        assert.deepStrictEqual(yield* withSession(token, Session.all), { ...unchanged, count: 2, name: "Ada" })
      }).pipe(Effect.provide(application(store.layer)))
    }))
})

describe("a middleware inside of an atomic effect", () => {
  it.effect("does not let anything out of it", () =>
    Effect.gen(function*() {
      const route = Layer.unwrap(Effect.map(SessionMiddleware.make, (withSession) => {
        const inner = withSession(Effect.andThen(Session.put(Name, "Eve"), Effect.fail("no")))
        return HttpRouter.add(
          "POST",
          "/inside",
          Effect.as(Effect.exit(Session.atomic(inner)), HttpServerResponse.text("ok"))
        )
      }))
      const { cookie, server } = yield* serveWatched(route)
      assert.strictEqual((yield* server.post("/inside", { cookie })).status, 200)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }))
})

describe("Session.rollback", () => {
  withMemory("goes back to the last commit, and what was committed stays", () =>
    Effect.gen(function*() {
      const { all } = yield* seenAfter(
        Effect.all([Session.put(Count, 2), Session.commit, Session.put(Count, 3), Session.rollback])
      )
      assert.deepStrictEqual(all, { count: 2, credits: 5, token: "one" })
    }))

  for (const answer of ["written", "failed"] as const) {
    it.effect(`leaves alone a commit that is under way and then ${answer}`, () =>
      Effect.gen(function*() {
        const store = watchStore()
        yield* Effect.gen(function*() {
          const token = yield* newSession(start)
          const released = yield* Deferred.make<void>()
          const ends = answer === "failed" ? Effect.fail(new Error("No disk")) : Effect.void
          const reached = store.before("update", Effect.andThen(Deferred.await(released), ends))
          const seen = yield* withSession(
            token,
            Effect.gen(function*() {
              yield* Session.put(Count, 2)
              const commit = yield* Effect.forkChild(Effect.exit(Session.commit))
              yield* reached
              yield* Session.put(Count, 3)
              yield* Session.put(Name, "Eve")
              yield* Session.rollback
              yield* Deferred.succeed(released, undefined)
              const committed = yield* Fiber.join(commit)
              assert.strictEqual(Exit.isFailure(committed), answer === "failed")
              store.works()
              const seen = yield* Session.all
              yield* Session.commit
              return seen
            })
          )
          assert.deepStrictEqual(seen, { count: 2, credits: 5, token: "one" })
          assert.deepStrictEqual(yield* withSession(token, Session.all), seen)
        }).pipe(Effect.provide(application(store.layer)))
      }))
  }

  withMemory("of a new session leaves none", () =>
    Effect.gen(function*() {
      const id = yield* newSession(Effect.andThen(start, Session.rollback))
      assert.deepStrictEqual(yield* withSession(id, Session.all), {})
    }))
})

describe("a handler that fails halfway, inside one that turns this into a 200", () => {
  const debit = Effect.andThen(Session.decrement(Credits, 5), Effect.fail("no stock"))
  const answered = Session.atomic(debit).pipe(
    Effect.as(HttpServerResponse.text("bought")),
    Effect.catch((error) => Effect.map(Session.all, (all) => HttpServerResponse.jsonUnsafe({ error, all })))
  )
  const timedOut = Session.atomic(Effect.andThen(Session.decrement(Credits, 5), Effect.never)).pipe(
    Effect.timeoutOption("5 seconds"),
    Effect.as(HttpServerResponse.empty({ status: 408 }))
  )
  const routes = Layer.mergeAll(
    basicRoutes,
    HttpRouter.add("POST", "/begin", Effect.as(Session.put(Credits, 5), HttpServerResponse.empty())),
    HttpRouter.add("POST", "/buy", answered),
    HttpRouter.add("POST", "/slow", timedOut)
  )

  it.effect("has saved nothing", () =>
    Effect.gen(function*() {
      const server = yield* serve(routes)
      const cookie = cookieOf(yield* server.post("/begin"))
      const answer = yield* server.post("/buy", { cookie })
      assert.strictEqual(answer.status, 200)
      assert.deepStrictEqual(JSON.parse(answer.body), { error: "no stock", all: { credits: 5 } })
      const slow = yield* Effect.forkChild(server.post("/slow", { cookie }))
      yield* Effect.yieldNow
      while (slow.pollUnsafe() === undefined) yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(slow)).status, 408)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"credits":5}`)
    }))

  it.effect("keeps the login of another part, which has succeeded", () =>
    Effect.gen(function*() {
      const login = Session.atomic(Effect.andThen(Session.regenerate, Session.put(Name, "Ada")))
      const route = Effect.all([login, fails(Session.destroy)]).pipe(Effect.as(HttpServerResponse.text("ok")))
      const { cookie, server } = yield* serveWatched(HttpRouter.add("POST", "/both", route))
      const answer = yield* server.post("/both", { cookie })
      assert.deepStrictEqual(cookieNames(answer), ["session"])
      assert.deepStrictEqual(JSON.parse((yield* server.get("/", { cookie: cookieOf(answer) })).body), {
        count: 1,
        name: "Ada"
      })
    }))
})
