/**
 * A test with Node's own runner and promises, as in docs/guide/testing.md. Another test runs it.
 */
import { Effect, Layer, ManagedRuntime, Option } from "effect"
import { MemoryLayer, Session, SessionConfig } from "effect-session"
import * as SessionTest from "effect-session/SessionTest"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"
import { after, test } from "node:test"
import { App, UserId } from "../application.ts"

const runtime = ManagedRuntime.make(
  App.pipe(
    Layer.provideMerge(SessionTest.layer()),
    Layer.provideMerge(MemoryLayer.layer()),
    Layer.provideMerge(SessionConfig.layer({ secret: "for tests only, thirty-two characters", age: "1 hour" })),
    Layer.provideMerge(TestClock.layer())
  )
)

after(() => runtime.dispose())

test("logs out", async () => {
  const client = await runtime.runPromise(SessionTest.client())
  await runtime.runPromise(client.modifySession(Session.put(UserId, 7)))

  const response = await runtime.runPromise(client.submit("/logout"))

  assert.equal(response.status, 302)
  const session = await runtime.runPromise(client.session)
  assert.equal(session.exists, false)
})

test("is logged out after an hour", () =>
  runtime.runPromise(
    Effect.gen(function*() {
      const client = yield* SessionTest.client()
      yield* client.modifySession(Session.put(UserId, 7))
      yield* TestClock.adjust("1 hour")
      assert.deepEqual((yield* client.session).get(UserId), Option.none())
    })
  ))
