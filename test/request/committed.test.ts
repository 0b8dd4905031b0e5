/**
 * What is committed, and what is not, where the store fails halfway or others were quicker.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted, Schema } from "effect"
import { Session, SessionError, SessionKey } from "effect-session"
import { watchStore } from "../support/failingStore.ts"
import { settings, type Token, visit, withSession } from "../support/visits.ts"

const Name = SessionKey.make("name", Schema.String)
const Count = SessionKey.make("count", Schema.Int).pipe(SessionKey.withDefault(() => 0))

type Store = ReturnType<typeof watchStore>

/** A session with a name in it, and the store that has it. */
const withName = <A, E, R>(
  test: (token: Token, store: Store) => Effect.Effect<A, E, R>,
  options?: Parameters<typeof settings>[0]
) => {
  const store = watchStore()
  return Effect.flatMap(
    visit(undefined, Effect.andThen(Session.put(Name, "Ada"), Session.sessionId)),
    (token) => test(token, store)
  ).pipe(Effect.provide(Layer.provideMerge(store.layer, settings(options))))
}

const assertFails = Effect.map(
  Effect.flip(Session.commit),
  (error) => assert.instanceOf(error, SessionError.SessionStoreError)
)

describe("Session.rollback", () => {
  it.effect("takes back what was put after the end of a session, if only the end could be written", () =>
    withName((token, store) =>
      withSession(
        token,
        Effect.gen(function*() {
          yield* Session.destroy
          yield* Session.put(Name, "Eve")
          store.fails("create")
          yield* assertFails
          yield* Session.rollback
          store.works()
          assert.deepStrictEqual(yield* Session.all, {})
          store.newCalls()
          yield* Session.commit
          assert.deepStrictEqual(store.newCalls(), [])
        })
      )
    ))

  it.effect("takes back what a session was to get in the place of one that is gone, if that could not be written", () =>
    withName((token, store) =>
      withSession(
        token,
        Effect.gen(function*() {
          yield* Session.put(Count, 1)
          yield* Session.regenerate
          yield* visit(token, Session.destroy)
          store.fails("create")
          yield* assertFails
          yield* Session.rollback
          store.works()
          assert.deepStrictEqual(yield* Session.all, { name: "Ada" })
          store.newCalls()
          yield* Session.commit
          assert.deepStrictEqual(store.newCalls(), [])
        })
      )
    ))

  it.effect("does not take back the end of a session that nobody had stored, once that is committed", () =>
    withName((_, store) =>
      withSession(
        Redacted.make("u".repeat(43)),
        Effect.gen(function*() {
          yield* Session.destroy
          yield* Session.commit
          yield* Session.rollback
          store.newCalls()
          yield* Session.commit
          assert.deepStrictEqual(store.newCalls(), [])
        })
      ), { saveUninitialized: true }))
})

describe("a session that is ended while its changes meet with a conflict", () => {
  it.effect("is ended, and what follows it is not done to it", () =>
    withName((token, store) =>
      withSession(
        token,
        Effect.gen(function*() {
          const seen: Array<number> = []
          const { reached, release } = store.holds("update")
          yield* Session.modify(Name, () => "Eve")
          const commit = yield* Effect.forkChild(Session.commit)
          yield* reached
          // The next one does not have to wait.
          yield* Effect.yieldNow
          yield* Session.destroy
          yield* Session.modify(Count, (count) => {
            seen.push(count)
            return count + 1
          })
          yield* visit(token, Effect.andThen(Session.put(Name, "Bob"), Session.put(Count, 5)))
          yield* release
          yield* Fiber.join(commit)
          yield* Session.commit
          assert.deepStrictEqual(seen, [0])
          assert.deepStrictEqual(yield* Session.all, { count: 1 })
          const id = yield* Session.sessionId
          assert.deepStrictEqual(yield* withSession(token, Session.all), {})
          assert.deepStrictEqual(yield* withSession(id, Session.all), { count: 1 })
        })
      )
    ))
})
