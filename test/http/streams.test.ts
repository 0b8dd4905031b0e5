/**
 * Changes that are made after the headers of the response have gone out.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Stream } from "effect"
import { CookieLayer, Session, type SessionError } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { watchStore } from "../support/failingStore.ts"
import { basicRoutes, Count } from "../support/routes.ts"
import { type Answer, cookieOf, type Options, serve } from "../support/server.ts"

type Change = Effect.Effect<unknown, SessionError.SessionError, Session.Session>

/** What the stream tells of a change: that it is made, or the tag of its error. */
const told = (change: Change) =>
  Effect.match(change, { onFailure: (error) => `${error._tag} `, onSuccess: () => "changed " })

/**
 * Serves `/stream`, which does `early` before the headers go out, and `late` in the body. The body ends when
 * `finish` is run, with `end`; `over` waits for the request to be over.
 */
const serveStream = (
  { early = Effect.void, end = Effect.void, late, method = "POST" }: {
    readonly early?: Change
    readonly late: Change
    readonly end?: Effect.Effect<void, Error>
    readonly method?: "GET" | "POST"
  },
  options: Options = {}
) =>
  Effect.gen(function*() {
    const finish = yield* Deferred.make<void>()
    const over = yield* Deferred.make<void>()
    const stream = Effect.gen(function*() {
      yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))
      yield* early
      const session = yield* Session.Session
      const body = Stream.make("begun ").pipe(
        Stream.concat(Stream.fromEffect(told(late))),
        Stream.concat(Stream.fromEffect(Effect.as(Deferred.await(finish), "ended"))),
        Stream.concat(Stream.fromEffectDrain(end)),
        Stream.provideService(Session.Session, session),
        Stream.encodeText
      )
      return HttpServerResponse.stream(body)
    })
    const server = yield* serve(Layer.mergeAll(basicRoutes, HttpRouter.add(method, "/stream", stream)), options)
    return { server, finish: Deferred.succeed(finish, undefined), over: Deferred.await(over) }
  })

/** Sends the request, lets the body end, and waits until everything is done. */
const streamed = (
  { finish, over, server }: Effect.Success<ReturnType<typeof serveStream>>,
  cookie?: string
): Effect.Effect<Answer, Error> =>
  Effect.scoped(
    Effect.gen(function*() {
      const response = yield* server.open("POST", "/stream", { cookie })
      yield* finish
      const body = yield* response.text
      yield* over
      return { ...response, body }
    })
  )

const logging = [
  { title: "with the router's log of requests", logger: true },
  { title: "without a log of requests", logger: false }
]

describe("a change in a streamed body", () => {
  it.effect("of a session that the client has is saved when the request is over", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const { finish, over, server } = yield* serveStream(
        { early: Session.increment(Count), late: Session.increment(Count, 10) },
        { store: store.layer }
      )
      const cookie = cookieOf(yield* server.post("/count"))
      store.newCalls()
      const response = yield* server.open("POST", "/stream", { cookie })
      assert.deepStrictEqual(store.newCalls(), ["load", "update"], "what came before the headers is saved")
      assert.strictEqual(yield* response.chunk, "begun ")
      assert.strictEqual(yield* response.chunk, "changed ")
      assert.deepStrictEqual(store.newCalls(), [], "the body has not ended")
      yield* finish
      assert.strictEqual(yield* response.text, "begun changed ended")
      yield* over
      assert.deepStrictEqual(store.newCalls(), ["update"])
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":12}`)
    }))

  it.effect("is saved too where nothing has used the session before", () =>
    Effect.gen(function*() {
      const stream = yield* serveStream({ late: Session.increment(Count) })
      const cookie = cookieOf(yield* stream.server.post("/count"))
      assert.strictEqual((yield* streamed(stream, cookie)).body, "begun changed ended")
      assert.strictEqual((yield* stream.server.get("/", { cookie })).body, `{"count":2}`)
    }))

  it.effect("is saved where the session began with the same request, as its cookie went out with the headers", () =>
    Effect.gen(function*() {
      const stream = yield* serveStream({ early: Session.increment(Count), late: Session.increment(Count) })
      const answer = yield* streamed(stream)
      assert.strictEqual(answer.body, "begun changed ended")
      assert.strictEqual((yield* stream.server.get("/", { cookie: cookieOf(answer) })).body, `{"count":2}`)
    }))

  it.effect("of a client without a session is a SessionClosedError", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const stream = yield* serveStream({ late: Session.increment(Count) }, { store: store.layer })
      const answer = yield* streamed(stream)
      assert.strictEqual(answer.body, "begun SessionClosedError ended")
      assert.deepStrictEqual(answer.setCookies, [])
      assert.deepStrictEqual(store.calls, [])
    }))

  it.effect("is a SessionClosedError where it is another lifetime, as the cookie would be another one", () =>
    Effect.gen(function*() {
      const stream = yield* serveStream({ late: Session.setLifetime({ age: "1 hour" }) })
      const cookie = cookieOf(yield* stream.server.post("/count"))
      assert.strictEqual((yield* streamed(stream, cookie)).body, "begun SessionClosedError ended")
    }))

  it.effect("is a SessionClosedError with the CookieLayer, as it needs another cookie", () =>
    Effect.gen(function*() {
      const stream = yield* serveStream({ late: Session.increment(Count) }, { store: CookieLayer.layer() })
      const cookie = cookieOf(yield* stream.server.post("/count"))
      assert.strictEqual((yield* streamed(stream, cookie)).body, "begun SessionClosedError ended")
      assert.strictEqual((yield* stream.server.get("/", { cookie })).body, `{"count":1}`)
    }))

  for (const [name, change] of [["regenerate", Session.regenerate], ["destroy", Session.destroy]] as const) {
    it.effect(`can't ${name} the session, as that needs another cookie`, () =>
      Effect.gen(function*() {
        const stream = yield* serveStream({ late: change })
        const cookie = cookieOf(yield* stream.server.post("/count"))
        assert.strictEqual((yield* streamed(stream, cookie)).body, "begun SessionClosedError ended")
        assert.strictEqual((yield* stream.server.get("/", { cookie })).body, `{"count":1}`)
      }))
  }

  it.effect("is a SessionClosedError after the session was destroyed before the headers", () =>
    Effect.gen(function*() {
      const stream = yield* serveStream({ early: Session.destroy, late: Session.increment(Count) })
      const cookie = cookieOf(yield* stream.server.post("/count"))
      assert.strictEqual((yield* streamed(stream, cookie)).body, "begun SessionClosedError ended")
      assert.strictEqual((yield* stream.server.get("/", { cookie })).body, "{}")
    }))

  it.effect("is saved under the new id after the session was regenerated before the headers", () =>
    Effect.gen(function*() {
      const stream = yield* serveStream({ early: Session.regenerate, late: Session.increment(Count) })
      const cookie = cookieOf(yield* stream.server.post("/count"))
      const answer = yield* streamed(stream, cookie)
      assert.strictEqual(answer.body, "begun changed ended")
      assert.strictEqual((yield* stream.server.get("/", { cookie: cookieOf(answer) })).body, `{"count":2}`)
    }))

  it.effect.each(logging)(
    "is dropped when the client breaks the connection, $title",
    ({ logger }) =>
      Effect.gen(function*() {
        const store = watchStore()
        const { over, server } = yield* serveStream(
          { early: Session.increment(Count), late: Session.increment(Count, 10) },
          { logger, store: store.layer }
        )
        const cookie = cookieOf(yield* server.post("/count"))
        yield* Effect.scoped(
          Effect.gen(function*() {
            const response = yield* server.open("POST", "/stream", { cookie })
            yield* response.chunk
            assert.strictEqual(yield* response.chunk, "changed ")
          })
        )
        yield* over
        assert.deepStrictEqual(store.calls, ["create", "load", "update"])
        assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
      })
  )

  it.effect.each(logging)("is dropped when the body fails, $title", ({ logger }) =>
    Effect.gen(function*() {
      const stream = yield* serveStream(
        { late: Session.increment(Count), end: Effect.fail(new Error("no more")) },
        { logger }
      )
      const cookie = cookieOf(yield* stream.server.post("/count"))
      const answer = yield* Effect.exit(streamed(stream, cookie))
      yield* stream.over
      assert.isTrue(Exit.isFailure(answer), "the connection broke")
      assert.strictEqual((yield* stream.server.get("/", { cookie })).body, `{"count":1}`)
    }))

  it.effect("is lost, and does no harm, when the store fails at the end", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const stream = yield* serveStream({ late: Session.increment(Count) }, { store: store.layer })
      const cookie = cookieOf(yield* stream.server.post("/count"))
      store.fails("update")
      assert.strictEqual((yield* streamed(stream, cookie)).body, "begun changed ended")
      store.works()
      assert.strictEqual((yield* stream.server.get("/", { cookie })).body, `{"count":1}`)
    }))

  it.effect("does not happen for a HEAD request, and what came before it is saved", () =>
    Effect.gen(function*() {
      const { over, server } = yield* serveStream({
        early: Session.increment(Count),
        late: Session.increment(Count, 10),
        method: "GET"
      })
      const cookie = cookieOf(yield* server.post("/count"))
      const head = yield* server.send("HEAD", "/stream", { cookie })
      yield* over
      assert.strictEqual(head.status, 200)
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":2}`)
    }))
})

describe("a streamed response", () => {
  it.effect("keeps the headers that the application has given it", () =>
    Effect.gen(function*() {
      const stream = Effect.gen(function*() {
        yield* Session.increment(Count)
        return HttpServerResponse.stream(Stream.encodeText(Stream.make("a,b")), {
          status: 201,
          contentType: "text/plain",
          contentLength: 3
        }).pipe(HttpServerResponse.setHeader("content-type", "text/csv"))
      })
      const server = yield* serve(HttpRouter.add("GET", "/stream", stream))
      const { body, headers, setCookies, status } = yield* server.get("/stream")
      assert.strictEqual(status, 201)
      assert.strictEqual(body, "a,b")
      assert.deepInclude(headers, { "content-type": "text/csv", "content-length": "3" })
      assert.strictEqual(setCookies.length, 1)
    }))
})

describe("a fiber that outlives its request", () => {
  it.effect("gets a SessionClosedError for a change", () =>
    Effect.gen(function*() {
      const over = yield* Deferred.make<void>()
      const outcome = yield* Deferred.make<string>()
      const background = HttpRouter.add(
        "POST",
        "/background",
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))
          yield* Effect.forkDetach(
            Deferred.await(over).pipe(
              Effect.andThen(told(Session.increment(Count))),
              Effect.flatMap((told) => Deferred.succeed(outcome, told))
            )
          )
          return HttpServerResponse.text("begun")
        })
      )
      const server = yield* serve(Layer.mergeAll(basicRoutes, background))
      const cookie = cookieOf(yield* server.post("/count"))
      yield* server.post("/background", { cookie })
      assert.strictEqual(yield* Deferred.await(outcome), "SessionClosedError ")
      assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":1}`)
    }))
})
