/**
 * The sessions of an owner, where requests do more than one thing, fail in between, or meet servers with other settings.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Redacted } from "effect"
import { Session, SessionConfig, type SessionOwners, Sessions, SessionStore } from "effect-session"
import * as MemoryBackend from "../../src/internal/drivers/memory/backend.ts"
import { secret } from "../support/config.ts"
import { Name } from "../support/routes.ts"

type Services = SessionStore.SessionStore | SessionOwners.SessionOwners | SessionConfig.SessionConfig

/** A server of its own on the back end. */
const onServer = (backend: MemoryBackend.MemoryBackend, options: SessionConfig.Options = {}) =>
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

type Token = Redacted.Redacted<string>

const logIn = (owner: string): Effect.Effect<Token, unknown, Services> =>
  Effect.map(
    Sessions.create(Effect.andThen(Session.setOwner(owner), Session.put(Name, "Ada"))),
    ({ token }) => token
  )

const within = <A, E, R>(session: Session.Session, effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, Session.Session, session)

const ownerOf = (token: Token) =>
  Effect.flatMap(
    Sessions.open({ token }, { readonly: true }),
    (session) => Effect.map(within(session, Session.owner), Option.getOrUndefined)
  )

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
          Effect.andThen(Session.setOwner("ada"), Session.authenticated(["password"]))
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
      yield* within(other, Session.authenticated(["password"]))
      yield* Sessions.commit(other)
      yield* Sessions.commit(one)
      const session = yield* Sessions.open({ token })
      assert.isTrue(Option.isSome(yield* within(session, Session.authentication)))
      assert.deepStrictEqual(yield* within(session, Session.owner), Option.some("ada"))
      assert.deepStrictEqual(yield* within(session, Session.all), { name: "x" })
    }))
})
