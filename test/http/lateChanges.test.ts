/**
 * A fiber that outlives its request takes the error of a change with it. In development, the log says so, once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Session } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { afterEach, vi } from "vitest"
import { observe } from "../support/observe.ts"
import { Count, ok } from "../support/routes.ts"
import { serve } from "../support/server.ts"

/** Forks a change that waits until the response is there. */
const forking = (fibers: Array<Fiber.Fiber<unknown, unknown>>, isLate: boolean) => {
  const change = isLate
    ? Effect.andThen(Effect.promise(untilLater), Session.increment(Count))
    : Session.increment(Count)
  return HttpRouter.add(
    "POST",
    "/",
    Effect.gen(function*() {
      const fiber = yield* Effect.forkDetach(change)
      fibers.push(fiber)
      if (!isLate) yield* Fiber.join(fiber)
      return ok
    })
  )
}

const untilLater = () => new Promise((resolve) => setTimeout(resolve, 50))

/** A stream whose change needs a cookie, and that handles the error. */
const streaming = HttpRouter.add(
  "GET",
  "/stream",
  Effect.map(Session.Session, (session) =>
    HttpServerResponse.stream(
      Stream.fromEffect(Effect.match(Session.increment(Count), { onFailure: ({ _tag }) => _tag, onSuccess: String }))
        .pipe(
          Stream.provideService(Session.Session, session),
          Stream.encodeText
        )
    ))
)

const warningsOf = (isLate: boolean, requests: number) =>
  Effect.gen(function*() {
    const seen = observe()
    const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
    yield* Effect.provide(
      Effect.gen(function*() {
        const server = yield* serve(forking(fibers, isLate))
        for (let request = 0; request < requests; request++) yield* server.post("/")
        for (const fiber of fibers) yield* Fiber.await(fiber)
      }),
      seen.layer
    )
    return seen.logs.filter(({ level }) => level === "Warn").map(({ message }) => message)
  })

afterEach(() => {
  vi.unstubAllEnvs()
})

describe("a change in a fiber that outlives its request", () => {
  it.effect("is told once", () =>
    Effect.gen(function*() {
      const warnings = yield* warningsOf(true, 3)
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0]!, /^Session\.increment: too late to be saved/)
    }))

  it.effect("is not told if it comes in time", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* warningsOf(false, 3), [])
    }))

  it.effect("is not told in a stream, which is not over", () =>
    Effect.gen(function*() {
      const { layer, logs } = observe()
      yield* Effect.provide(
        Effect.gen(function*() {
          const server = yield* serve(streaming)
          assert.strictEqual((yield* server.get("/stream")).body, "SessionClosedError")
        }),
        layer
      )
      assert.deepStrictEqual(logs.filter(({ level }) => level === "Warn"), [])
    }))

  it.effect("is not told in production", () =>
    Effect.gen(function*() {
      vi.stubEnv("NODE_ENV", "production")
      assert.deepStrictEqual(yield* warningsOf(true, 1), [])
    }))
})
