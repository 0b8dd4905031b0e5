/**
 * The sessions of an owner, where requests do more than one thing, fail in between, or meet servers with other settings.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, Redacted } from "effect"
import { Session, SessionConfig, SessionError, type SessionOwners, Sessions, SessionStore } from "effect-session"
import { TestClock } from "effect/testing"
import * as Crypto from "node:crypto"
import * as MemoryBackend from "../../src/internal/drivers/memory/backend.ts"
import { secret } from "../support/config.ts"
import { Name, post } from "../support/routes.ts"
import { serve } from "../support/server.ts"

type Services =
  | SessionStore.SessionStore
  | SessionOwners.SessionOwners
  | SessionOwners.SessionIndex
  | SessionConfig.SessionConfig

/** A server of its own on the back end. */
const onServer =
  (backend: MemoryBackend.MemoryBackend, options: SessionConfig.Options = {}) =>
  <A, E>(effect: Effect.Effect<A, E, Services>): Effect.Effect<A, unknown> =>
    Effect.provide(
      effect,
      Layer.provideMerge(
        SessionStore.layer(SessionStore.fromBackend(backend)),
        SessionConfig.layer({ secret, age: "1 hour", absoluteAge: "1 day", ...options })
      ),
      { local: true }
    )

const test = (
  title: string,
  effect: () => Effect.Effect<void, unknown, Services>,
  options: SessionConfig.Options = {}
) => it.effect(title, () => onServer(MemoryBackend.make(1_000), options)(Effect.suspend(effect)))

const hashOf = (owner: string) => Crypto.hash("sha256", owner, "base64url")

type Owned = Session.Session | SessionOwners.SessionOwners

type Token = Redacted.Redacted<string>

const logIn = (owner: string): Effect.Effect<Token, unknown, Services> =>
  Effect.map(
    Sessions.create(Effect.andThen(Session.login(owner), Session.put(Name, "Ada"))),
    ({ token }) => token
  )

const within = <A, E, R>(session: Session.Session, effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, Session.Session, session)

const ownerOf = (token: Token) =>
  Effect.flatMap(
    Sessions.open({ token }, { readonly: true }),
    (session) => Effect.map(within(session, Session.owner), Option.getOrUndefined)
  )

const isAlive = (token: Token) =>
  Effect.flatMap(SessionStore.SessionStore, (store) =>
    Effect.map(
      store.load(new SessionStore.Token(Redacted.value(token))),
      ({ _tag }) => _tag === "Found"
    ))

const handles = (owner: string) =>
  Effect.map(Sessions.list(owner), ({ sessions }) => sessions.map(({ handle }) => handle))

describe("destroyAll", () => {
  for (
    const [title, change] of Object.entries({
      "clears and regenerates it": Effect.andThen(Session.clear, Session.regenerate),
      "regenerates and clears it": Effect.andThen(Session.regenerate, Session.clear)
    })
  ) {
    test(`nothing of a session that was ended comes back when a request ${title}`, () =>
      Effect.gen(function*() {
        const token = (yield* Sessions.create(
          Session.login("ada", { methods: ["password"] })
        )).token
        const session = yield* Sessions.open({ token })
        yield* Sessions.destroyAll("ada")
        yield* within(session, Effect.andThen(change, Session.put(Name, "x")))
        const next = yield* Sessions.commit(session)
        assert.isUndefined(yield* ownerOf(Option.getOrThrow(next.token)))
        assert.isTrue(Option.isNone(yield* within(session, Session.authentication)))
        assert.deepStrictEqual(yield* handles("ada"), [])
      }))
  }
})

describe("Session.clear", () => {
  test("keeps what another request has just said of the session itself", () =>
    Effect.gen(function*() {
      const token = yield* logIn("ada")
      const [one, other] = [yield* Sessions.open({ token }), yield* Sessions.open({ token })]
      yield* within(one, Effect.andThen(Session.clear, Session.put(Name, "x")))
      yield* within(other, Session.setLifetime({ age: "30 minutes" }))
      yield* Sessions.commit(other)
      yield* Sessions.commit(one)
      const session = yield* Sessions.open({ token })
      const { idle } = yield* within(session, Session.expiresAt)
      assert.strictEqual(Option.getOrThrow(idle).epochMilliseconds, 30 * 60_000)
      assert.deepStrictEqual(yield* within(session, Session.owner), Option.some("ada"))
      assert.deepStrictEqual(yield* within(session, Session.all), { name: "x" })
    }))
})

describe("Session.login", () => {
  const asOwner = (session: Session.Session, owner: string) => within(session, Session.login(owner))

  for (const policy of ["refuse", "evict"] as const) {
    test(
      `the session that logs in again takes no place of another one, where more are ${
        policy === "refuse" ? "refused" : "ended"
      }`,
      () =>
        Effect.gen(function*() {
          const [token, other] = [yield* logIn("ada"), yield* logIn("ada")]
          const again = yield* Sessions.modify({ token }, Session.login("ada"))
          const after = Effect.andThen(Session.destroy, Session.login("ada"))
          const anew = yield* Sessions.modify(
            { token: Option.getOrThrow(again.token) },
            Effect.tap(Session.get(Name), () => after)
          )
          assert.deepStrictEqual(anew.value, Option.some("Ada"))
          const now = Option.getOrThrow(anew.token)
          assert.deepStrictEqual(yield* Effect.forEach([token, other, now], isAlive), [false, true, true])
          const { value } = yield* Sessions.modify(
            { token: now },
            Effect.andThen(Session.login("ada"), Session.get(Name))
          )
          assert.deepStrictEqual(value, Option.none())
          assert.isTrue(yield* isAlive(other))
        }),
      { owner: { limit: 2, policy } }
    )
  }

  test("a session that is refused to an owner stays as it is, with its id", () =>
    Effect.gen(function*() {
      yield* logIn("ada")
      const { token } = yield* Sessions.create(Session.put(Name, "a visitor"))
      const session = yield* Sessions.open({ token })
      const id = yield* within(session, Session.handle)
      yield* Effect.flip(asOwner(session, "ada"))
      assert.strictEqual(yield* within(session, Session.handle), id)
      yield* Sessions.commit(session)
      assert.isTrue(yield* isAlive(token))
    }), { owner: { limit: 1 } })

  test("a session that changes hands twice in one request is ended with those of its last owner", () =>
    Effect.gen(function*() {
      const session = yield* Sessions.open({ cookies: undefined })
      yield* asOwner(session, "ada")
      yield* Sessions.commit(session)
      yield* asOwner(session, "grace")
      assert.deepStrictEqual(yield* handles("grace"), [])
      yield* Sessions.destroyAll("grace")
      yield* Effect.ignore(Sessions.commit(session))
      assert.deepStrictEqual(yield* handles("grace"), [])
      const { token } = yield* Sessions.commit(session)
      yield* Effect.forEach(
        Option.toArray(token),
        (token) => Effect.map(ownerOf(token), (owner) => assert.notStrictEqual(owner, "grace"))
      )
    }))

  test("a login in a request that has lost its session, and given it up, is one", () =>
    Effect.gen(function*() {
      const { token } = yield* Sessions.create(Session.put(Name, "a visitor"))
      const session = yield* Sessions.open({ token })
      yield* Sessions.destroy({ token })
      yield* within(session, Effect.andThen(Session.put(Name, "x"), Effect.ignore(Session.commit)))
      yield* within(session, Session.destroy)
      yield* asOwner(session, "ada")
      const next = yield* Sessions.commit(session)
      assert.strictEqual(yield* ownerOf(Option.getOrThrow(next.token)), "ada")
    }))

  test("a login after the one that was ended in advance is one", () =>
    Effect.gen(function*() {
      const session = yield* Sessions.open({ cookies: undefined })
      yield* asOwner(session, "ada")
      yield* Sessions.destroyAll("ada")
      yield* Effect.flip(Sessions.commit(session))
      yield* within(session, Effect.andThen(Session.regenerate, Effect.ignore(Session.commit)))
      assert.deepStrictEqual(yield* handles("ada"), [])
      yield* asOwner(session, "ada")
      const next = yield* Sessions.commit(session)
      assert.strictEqual(yield* ownerOf(Option.getOrThrow(next.token)), "ada")
    }))

  test("a session that an owner has got may get another id afterwards", () =>
    Effect.gen(function*() {
      const session = yield* Sessions.open({ cookies: undefined })
      yield* asOwner(session, "ada")
      const [first, second] = [yield* Sessions.commit(session), yield* Sessions.regenerate(session)]
      const [old, token] = [Option.getOrThrow(first.token), Option.getOrThrow(second.token)]
      assert.deepStrictEqual([yield* isAlive(old), yield* isAlive(token)], [false, true])
      assert.lengthOf(yield* handles("ada"), 1)
    }))

  test("a part of a request that is taken back leaves no owner, and one that counts has the id that the index knows", () =>
    Effect.gen(function*() {
      const session = yield* Sessions.open({ cookies: undefined })
      yield* within(session, Effect.ignore(Session.atomic(Effect.andThen(Session.login("ada"), Effect.fail("no")))))
      assert.deepStrictEqual(yield* within(session, Session.owner), Option.none())
      yield* within(
        session,
        Session.atomic(Effect.gen(function*() {
          yield* Session.login("ada")
          // Meanwhile, another fiber wants to know the id.
          yield* within(session, Session.sessionId)
        }))
      )
      yield* Sessions.destroyAll("ada")
      yield* Effect.flip(Sessions.commit(session))
      assert.deepStrictEqual(yield* handles("ada"), [])
    }))

  test("an owner who is set when the request is over is a SessionClosedError, not silence", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const backend = MemoryBackend.make(10)
      const slow: MemoryBackend.MemoryBackend = {
        ...backend,
        owners: {
          ...backend.owners,
          add: (...entry) =>
            Effect.andThen(
              Deferred.succeed(begun, undefined),
              Effect.andThen(Deferred.await(go), backend.owners.add(...entry))
            )
        }
      }
      yield* onServer(slow)(Effect.gen(function*() {
        const { value: fiber } = yield* Sessions.create(Effect.gen(function*() {
          const fiber = yield* Effect.forkDetach(Session.login("ada"))
          yield* Deferred.await(begun)
          return fiber
        }))
        yield* Deferred.succeed(go, undefined)
        assert.instanceOf(yield* Effect.flip(Fiber.join(fiber)), SessionError.SessionClosedError)
      }))
    }))

  test("another owner is not the one who was authenticated, unless this request says so", () =>
    Effect.gen(function*() {
      const authenticated = (token: Token) =>
        Effect.flatMap(Sessions.open({ token }), (session) =>
          Effect.map(within(session, Session.authentication), Option.isSome))
      const first = yield* Sessions.create(
        Session.login("ada", { methods: ["password"] })
      )
      const steps: ReadonlyArray<readonly [Effect.Effect<void, unknown, Owned>, boolean]> = [
        [Session.login("ada"), true],
        [Session.login("grace"), false],
        [Session.login("ada", { methods: ["passkey"] }), true],
        [Effect.andThen(Session.login("ada"), Session.login("grace")), false],
        [Session.login("grace", { methods: ["passkey"] }), true]
      ]
      let { token } = first
      for (const [login, expected] of steps) {
        token = Option.getOrThrow((yield* Sessions.modify({ token }, login)).token)
        assert.strictEqual(yield* authenticated(token), expected)
      }
    }))
})

describe("an entry of the index", () => {
  test("is there as long as the request can write its session, however short sessions live", () =>
    Effect.gen(function*() {
      const backend = MemoryBackend.make(10)
      yield* onServer(backend, { age: "1 minute", absoluteAge: "2 minutes" })(Effect.gen(function*() {
        const { token } = yield* Sessions.create(Session.put(Name, "a visitor"))
        for (const presented of [{ token }, { cookies: undefined }]) {
          const session = yield* Sessions.open(presented)
          yield* within(session, Session.login("ada"))
          yield* TestClock.adjust("30 minutes")
          yield* backend.sweep
          yield* Sessions.destroyAll("ada")
          yield* TestClock.adjust("10 minutes")
          yield* Effect.exit(Sessions.commit(session))
          assert.deepStrictEqual(yield* handles("ada"), [])
        }
      }))
    }))

  test("stays until the session is over for a server whose clock is ten minutes behind", () =>
    Effect.gen(function*() {
      const backend = MemoryBackend.make(10)
      yield* onServer(backend)(Effect.gen(function*() {
        const token = yield* logIn("ada")
        // It is not renewed yet, and the session goes on until an hour from now.
        yield* TestClock.adjust("59 minutes")
        yield* Sessions.modify({ token }, Session.get(Name))
        const [{ until }] = (yield* backend.owners.list(hashOf("ada"), 1)) as [SessionStore.OwnerEntry]
        const session = yield* Sessions.open({ token }, { readonly: true })
        const { idle } = yield* within(session, Session.expiresAt)
        assert.isAtLeast(until, Option.getOrThrow(idle).epochMilliseconds + 600_000)
      }))
    }))
})

describe("a session that is larger than the limit of today", () => {
  test("is extended, and its entry with it", () =>
    Effect.gen(function*() {
      const backend = MemoryBackend.make(10)
      const token = yield* onServer(backend)(logIn("ada"))
      yield* onServer(backend, { sizeLimit: 10 })(Effect.gen(function*() {
        for (let use = 0; use < 3; use++) {
          yield* TestClock.adjust("50 minutes")
          yield* Sessions.modify({ token }, Session.get(Name))
        }
        assert.lengthOf(yield* handles("ada"), 1)
      }))
    }))
})

describe("a request that fails after Session.login", () => {
  const failing = Effect.andThen(Session.login("ada"), Effect.fail("no"))

  for (const policy of ["refuse", "evict"] as const) {
    test(
      `takes no place, where more than the limit are ${policy === "refuse" ? "refused" : "ended"}`,
      () =>
        Effect.gen(function*() {
          const first = yield* logIn("ada")
          for (let attempt = 0; attempt < 3; attempt++) {
            yield* Effect.flip(Sessions.create(failing))
            yield* Effect.flip(Effect.scoped(Effect.flatMap(
              Sessions.openScoped({ cookies: undefined }),
              (session) => within(session, failing)
            )))
          }
          const second = yield* logIn("ada")
          assert.deepStrictEqual(yield* Effect.forEach([first, second], isAlive), [true, true])
        }),
      { owner: { limit: 2, policy } }
    )
  }

  it.effect("takes no place if it was the index that failed", () =>
    Effect.gen(function*() {
      const backend = MemoryBackend.make(10)
      let isDown = false
      const flaky: MemoryBackend.MemoryBackend = {
        ...backend,
        owners: {
          ...backend.owners,
          list: (...page) => Effect.suspend(() => isDown ? Effect.fail("down") : backend.owners.list(...page))
        }
      }
      yield* onServer(flaky, { owner: { limit: 1 } })(Effect.gen(function*() {
        yield* Sessions.destroy({ token: yield* logIn("ada") })
        const token = yield* logIn("ada")
        isDown = true
        assert.instanceOf(yield* Effect.flip(logIn("ada")), SessionError.SessionStoreError)
        isDown = false
        yield* Sessions.destroy({ token })
        yield* logIn("ada")
      }))
    }))

  it.effect("takes no place over HTTP either, and one that is written takes one", () =>
    Effect.gen(function*() {
      const login = Session.login("ada")
      const routes = Layer.mergeAll(
        post("/fails", Effect.andThen(login, Effect.die("no"))),
        post("/rolled-back", Effect.andThen(login, Session.rollback)),
        post("/login", login)
      )
      const server = yield* serve(routes, { config: { owner: { limit: 1 } } })
      const statuses: Array<number> = []
      for (const path of ["/fails", "/rolled-back", "/fails", "/login", "/login"]) {
        statuses.push((yield* server.post(path)).status)
      }
      assert.deepStrictEqual(statuses, [500, 200, 500, 200, 409])
    }))
})

describe("a login whose answer was lost", () => {
  for (const operation of ["create", "regenerate"] as const) {
    it.effect(`(${operation}) is one session when it is tried again, with what has been put since`, () =>
      Effect.gen(function*() {
        const backend = MemoryBackend.make(10)
        let losses = 0
        const lossy: MemoryBackend.MemoryBackend = {
          ...backend,
          [operation]: (...parameters: ReadonlyArray<never>) =>
            Effect.flatMap(
              (backend[operation] as (...parameters: ReadonlyArray<never>) => Effect.Effect<unknown, unknown>)(
                ...parameters
              ),
              (answer) => losses-- > 0 ? Effect.fail("lost") : Effect.succeed(answer)
            )
        }
        yield* onServer(lossy)(Effect.gen(function*() {
          const visitor = yield* Sessions.create(Session.put(Name, "a visitor"))
          const session = yield* Sessions.open(operation === "create" ? { cookies: undefined } : visitor)
          yield* within(session, Session.login("ada"))
          losses = 1
          assert.instanceOf(yield* Effect.flip(Sessions.commit(session)), SessionError.SessionStoreError)
          // Longer than a session that was regenerated leaves its mark.
          yield* TestClock.adjust("5 minutes")
          yield* backend.sweep
          yield* within(session, Session.put(Name, "Ada"))
          const token = Option.getOrThrow((yield* Sessions.commit(session)).token)
          const again = yield* Sessions.open({ token }, { readonly: true })
          assert.deepStrictEqual(yield* handles("ada"), [yield* within(again, Session.handle)])
          assert.deepStrictEqual(yield* within(again, Session.get(Name)), Option.some("Ada"))
        }))
      }))
  }
})
