import { type DateTime, type Effect, type Option, type Redacted, type Scope, type Stream } from "effect"
import {
  type Session,
  type SessionConfig,
  type SessionError,
  type SessionEvent,
  type SessionOwners,
  Sessions,
  type SessionStore
} from "effect-session"
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

  it("has the events of a store, each with its time and an owner if there is one", () => {
    expect(Sessions.events).type.toBe<Stream.Stream<SessionEvent.SessionEvent, never, SessionStore.SessionStore>>()
    type Event = SessionEvent.SessionEvent
    expect<Event["_tag"]>().type.toBe<"Created" | "Regenerated" | "Destroyed" | "Rejected">()
    expect<Event["owner"]>().type.toBe<Option.Option<string>>()
    expect<Event["at"]>().type.toBe<DateTime.Utc>()
    expect<Exclude<Event, SessionEvent.Rejected>["handle"]>().type.toBe<string>()
    expect<SessionEvent.Rejected["handle"]>().type.toBe<Option.Option<string>>()
    expect<SessionEvent.Destroyed["by"]>().type.toBe<"itself" | "owner" | "administrator" | "expiry">()
    expect<SessionEvent.Rejected["reason"]>().type.toBe<
      "malformed" | "tampered" | "unknown" | "expired" | "superseded" | "duplicate"
    >()
  })

  it("needs the store to watch a session, unless it is open", () => {
    type Watching<R> = Effect.Effect<void, SessionError.SessionStoreError, R>
    expect(Sessions.watch(session)).type.toBe<Watching<never>>()
    expect(Sessions.watch({ token })).type.toBe<Watching<Services>>()
    expect(Sessions.watch({ owner: "ada", handle: "handle" })).type.toBe<
      Watching<Services | SessionOwners.SessionIndex>
    >()
  })

  it("takes a token that is redacted, and no other", () => {
    expect(Sessions.open).type.not.toBeCallableWith({ token: "token" })
  })
})
