import { Context, Effect, Schema, type Scope, type Stream } from "effect"
import { type Csrf, Session, type SessionError, SessionKey, SessionSocket, SessionStream } from "effect-session"
import type { HttpServerError, HttpServerRequest, HttpServerResponse } from "effect/http"
import { describe, expect, it } from "tstyche"

class Database extends Context.Service<Database, { readonly find: Effect.Effect<string, "not found"> }>()("Database") {}

const Count = SessionKey.make("count", Schema.Int).pipe(SessionKey.withDefault(() => 0))

type Response = HttpServerResponse.HttpServerResponse

type UpgradeError =
  | Csrf.CsrfError
  | SessionError.SessionUnauthenticatedError
  | SessionError.SessionStoreError
  | SessionError.SessionClosedError
  | HttpServerError.HttpServerError

type Request = HttpServerRequest.HttpServerRequest | Session.Session

describe("a socket", () => {
  it("provides the session and a scope for each message, and needs what else the handler needs", () => {
    const handler = SessionSocket.serve({
      onMessage: () =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Effect.void)
          yield* Session.increment(Count)
          return yield* (yield* Database).find
        }),
      onError: (error) => {
        expect(error).type.toBe<"not found" | SessionError.ChangeError | SessionError.CommitError>()
        return Effect.succeed("sorry")
      }
    })
    expect(handler).type.toBe<Effect.Effect<Response, UpgradeError, Database | Request>>()
  })

  it("fails with what messages fail with, if nobody handles that", () => {
    const handler = SessionSocket.serve({ onMessage: () => Effect.as(Effect.fail("no" as const), "answer") })
    expect(handler).type.toBe<Effect.Effect<Response, "no" | SessionError.CommitError | UpgradeError, Request>>()
  })

  it("answers with text, bytes or nothing", () => {
    expect(SessionSocket.serve).type.not.toBeCallableWith({ onMessage: () => Effect.succeed(1) })
  })

  it("runs effects in the session as it is by then, with its errors", () => {
    const { run } = {} as SessionSocket.SessionSocket
    expect(run(Session.increment(Count))).type.toBe<
      Effect.Effect<number, SessionError.ChangeError | SessionError.CommitError>
    >()
  })
})

describe("a stream", () => {
  it("gets the session, and needs what else it needs", () => {
    const stream = {} as Stream.Stream<string, "no", Session.Session | Database>
    type Alive = Effect.Effect<
      Stream.Stream<string, "no", Database>,
      SessionError.SessionUnauthenticatedError | SessionError.SessionStoreError | SessionError.SessionClosedError,
      Request | Scope.Scope
    >
    expect(SessionStream.whileAlive(stream)).type.toBe<Alive>()
    expect(SessionStream.whileAlive(stream, { extend: true })).type.toBe<Alive>()
    expect(SessionStream.whileAlive({ extend: true })(stream)).type.toBe<Alive>()
  })
})
