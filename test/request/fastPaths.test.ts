/**
 * What most requests do costs next to nothing: they read at most, and then their commit makes no object that was not
 * there already.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Scope } from "effect"
import { MemoryLayer, Session } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { answer, beforeSending } from "../../src/internal/http/answer.ts"
import type { Exchange } from "../../src/internal/http/exchange.ts"
import type { RequestSession } from "../../src/internal/request/requestSession.ts"
import { Count, Name, ok } from "../support/routes.ts"
import { serveWeb } from "../support/server.ts"
import { application, newSession, withSession } from "../support/visits.ts"

/** The commit of the session at hand, as the middleware asks for it. */
const commit = Effect.gen(function*() {
  const session = (yield* Session.Session) as unknown as RequestSession
  return session.commit(yield* Clock.Clock)
})

const assertIsNothing = Effect.gen(function*() {
  const first = yield* commit
  assert.isTrue(Exit.isExit(first), "it is done without a step")
  assert.strictEqual(yield* commit, first)
})

const assertIsSomething = Effect.map(commit, (commit) => assert.isFalse(Exit.isExit(commit)))

describe("a commit", () => {
  it.effect("of a session that was only read is there at once, and the same each time", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Count, 1))
      yield* withSession(token, Effect.andThen(Session.get(Count), assertIsNothing))
    }).pipe(Effect.provide(application(MemoryLayer.layer()))))

  it.effect("of a client without a session as well", () =>
    withSession(undefined, Effect.andThen(Session.get(Count), assertIsNothing)).pipe(
      Effect.provide(application(MemoryLayer.layer()))
    ))

  it.effect("is not, where there is something to write", () =>
    Effect.gen(function*() {
      const token = yield* newSession(Session.put(Count, 1))
      const changes = [Session.put(Name, "Ada"), Session.increment(Count), Session.forget(Name), Session.regenerate]
      for (const change of [...changes, Session.destroy, Session.touch, TestClock.adjust("2 minutes")]) {
        yield* withSession(token, Effect.andThen(change, assertIsSomething))
      }
      yield* withSession(undefined, Effect.andThen(Session.put(Count, 1), assertIsSomething))
    }).pipe(Effect.provide(application(MemoryLayer.layer()))))
})

describe("the answer to a request", () => {
  const varying = HttpServerResponse.setHeader(ok, "vary", "Cookie")
  for (
    const [name, use, answered] of [
      ["did not use", Effect.void, ok],
      ["only read", Session.get(Count), varying]
    ] as const
  ) {
    it.effect(`that ${name} its session is there at once, and so is the hook's`, () =>
      Effect.gen(function*() {
        const answers: Array<unknown> = []
        const route = Effect.gen(function*() {
          yield* use
          const { client } = (yield* Session.Session) as unknown as RequestSession
          const exchange = client as Exchange
          answers.push(answer(exchange, ok), answer(exchange, answered), beforeSending(exchange, answered))
          return answered
        })
        const server = yield* serveWeb(HttpRouter.add("GET", "/", route))
        assert.strictEqual((yield* server.send("GET", "/")).status, 200)
        assert.deepStrictEqual(answers, [Exit.succeed(answered), Exit.succeed(answered), Exit.succeed(answered)])
        assert.isTrue(answered !== ok || answers.every((answer) => (answer as Exit.Success<unknown>).value === ok))
      }))
  }
})

describe("the scope of a request", () => {
  it.effect("holds nothing of it once it is answered, as V8 may keep scopes for long", () =>
    Effect.gen(function*() {
      const scopes: Array<object> = []
      const heldBy = (scope: object) =>
        Object.getOwnPropertySymbols(scope).map((symbol) => Reflect.get(scope, symbol)).filter((held) =>
          typeof held === "object"
        )
      const route = Effect.gen(function*() {
        const scope = yield* Scope.Scope
        assert.strictEqual(heldBy(scope).length, 1)
        scopes.push(scope)
        yield* Session.increment(Count)
        return ok
      })
      const fails = Effect.andThen(route, Effect.die(new Error("no")))
      const server = yield* serveWeb(
        HttpRouter.addAll([HttpRouter.route("GET", "/works", route), HttpRouter.route("GET", "/fails", fails)])
      )
      yield* server.send("GET", "/works")
      yield* server.send("GET", "/fails")
      assert.deepStrictEqual(scopes.map(heldBy), [[], []])
    }))
})
