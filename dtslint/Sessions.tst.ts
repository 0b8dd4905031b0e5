import { type Effect, type Option, type Redacted, type Scope } from "effect"
import { type Session, type SessionConfig, type SessionError, Sessions, type SessionStore } from "effect-session"
import { describe, expect, it } from "tstyche"

type Services = SessionStore.SessionStore | SessionConfig.SessionConfig

declare const session: Session.Session
declare const token: Redacted.Redacted<string>
declare const effect: Effect.Effect<number, "no", Session.Session | Scope.Scope>

describe("Sessions", () => {
  it("provides the session to the effect, and gives its value", () => {
    expect(Sessions.create(effect)).type.toBe<
      Effect.Effect<Sessions.Created<number>, "no" | SessionError.CommitError, Scope.Scope | Services>
    >()
    expect(Sessions.modify({ token }, effect)).type.toBe<
      Effect.Effect<Sessions.Modified<number>, "no" | SessionError.CommitError, Scope.Scope | Services>
    >()
  })

  it("has a token for a new session, and maybe one for another", () => {
    expect<Sessions.Created<void>["token"]>().type.toBe<Redacted.Redacted<string>>()
    expect<Sessions.Modified<void>["token"]>().type.toBe<Option.Option<Redacted.Redacted<string>>>()
  })

  it("needs the store only to open a session", () => {
    type Committed<R = never> = Effect.Effect<Sessions.Committed, SessionError.CommitError, R>
    expect(Sessions.commit(session)).type.toBe<Committed>()
    expect(Sessions.regenerate(session)).type.toBe<Committed>()
    expect(Sessions.destroy(session)).type.toBe<Committed>()
    expect(Sessions.destroy({ token })).type.toBe<Committed<Services>>()
    expect(Sessions.destroy({ cookies: undefined })).type.toBe<Committed<Services>>()
    type Opened<R> = Effect.Effect<Session.Session, SessionError.SessionStoreError, R>
    expect(Sessions.open({ token })).type.toBe<Opened<Services>>()
    expect(Sessions.openScoped({ token })).type.toBe<Opened<Services | Scope.Scope>>()
  })

  it("takes a token that is redacted, and no other", () => {
    expect(Sessions.open).type.not.toBeCallableWith({ token: "token" })
  })
})
