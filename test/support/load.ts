/**
 * Requests that keep coming while something happens to the store, and what must be true of them afterwards.
 */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, type Scope } from "effect"
import type { SessionConfig } from "effect-session"
import { basicRoutes, countAndPut, post } from "./routes.ts"
import { type Answer, cookieOf, type Routes, serve, type Server, type StoreLayer } from "./server.ts"

/** Serves what the load asks for, with a short time limit. */
export const serveLoad = (store: StoreLayer, config: SessionConfig.Options = {}, more: Routes = basicRoutes) =>
  serve(Layer.mergeAll(basicRoutes, post("/tasks/:number", countAndPut), more), {
    store,
    config: { timeLimit: "1 second", ...config },
    logger: false
  })

export interface LoadClient {
  readonly cookie: string
  readonly answers: ReadonlyArray<Timed>
}

interface Timed extends Answer {
  readonly milliseconds: number
}

export interface Load {
  readonly clients: ReadonlyArray<LoadClient>
  /** Waits until every client that counts (by default each) has had so many more answers of this status. */
  readonly more: (
    status: number,
    count: number,
    counts?: (client: LoadClient) => boolean
  ) => Effect.Effect<void>
  /** Waits for the requests that are on their way, and sends no more. */
  readonly end: Effect.Effect<void>
  /**
   * No request was answered improperly, and of the clients that count (by default each) everything that a response of
   * status 200 has acknowledged is in the session, and nothing is there twice.
   */
  readonly assertNothingLost: (counts?: (client: LoadClient) => boolean) => Effect.Effect<void, Error>
}

/**
 * Clients that work each on a session of their own, one request after another, and one that asks for a route without a
 * session.
 */
export const startLoad = Effect.fnUntraced(
  function*(server: Server, count: number): Effect.fn.Return<Load, Error, Scope.Scope> {
    const cookies = yield* Effect.forEach(
      Array.from({ length: count }),
      () => Effect.map(server.post("/count"), cookieOf)
    )
    const clients = cookies.map((cookie) => ({ cookie, answers: Array<Timed>() }))
    const bystander = { cookie: cookies[0]!, answers: Array<Timed>() }
    const state = { isOver: false }
    const waiting = new Set<() => void>()

    const keepSending = (client: typeof bystander, send: (number: number) => Effect.Effect<Answer, Error>) =>
      Effect.gen(function*() {
        while (!state.isOver) {
          const start = performance.now()
          const answer = yield* send(client.answers.length)
          client.answers.push({ ...answer, milliseconds: performance.now() - start })
          waiting.forEach((check) => check())
          // The rate of the load.
          yield* Effect.sleep("5 millis")
        }
      })

    const fibers = yield* Effect.forEach([
      ...clients.map((client) =>
        keepSending(client, (number) => server.post(`/tasks/${number}`, { cookie: client.cookie }))
      ),
      keepSending(bystander, () => server.get("/untouched", { cookie: bystander.cookie }))
    ], (work) => Effect.forkScoped(work))

    const more: Load["more"] = (status, count, counts = () => true) =>
      Effect.gen(function*() {
        const begun = clients.map(({ answers }) => answers.length)
        const reached = Deferred.makeUnsafe<void>()
        const check = () => {
          const isReached = clients.every((client, index) =>
            !counts(client) ||
            client.answers.slice(begun[index]).filter((answer) => answer.status === status).length >= count
          )
          if (isReached) Deferred.doneUnsafe(reached, Effect.void)
        }
        waiting.add(check)
        yield* Deferred.await(reached)
        waiting.delete(check)
      })

    return {
      clients,
      more,
      end: Effect.suspend(() => {
        state.isOver = true
        return Effect.orDie(Effect.asVoid(Fiber.joinAll(fibers)))
      }),
      assertNothingLost: (counts = () => true) =>
        Effect.gen(function*() {
          for (const { answers } of [...clients, bystander]) assertInTime(answers)
          assert.isTrue(bystander.answers.every(({ status }) => status === 200), "who needs no session is served")
          for (const { answers, cookie } of clients.filter(counts)) {
            assert.isTrue(answers.every(({ setCookies }) => setCookies.length === 0), "no request sets a cookie")
            const { body, status } = yield* server.get("/", { cookie })
            assert.strictEqual(status, 200)
            const { count, ...put } = JSON.parse(body)
            const acknowledged = answers.flatMap(({ status }, number) => status === 200 ? [number] : [])
            // One is from the request that began the session.
            assert.isAtLeast(count, 1 + acknowledged.length, "no acknowledged increment is lost")
            assert.isAtMost(count, 1 + answers.length, "none is there twice")
            assert.strictEqual(count, 1 + Object.keys(put).length, "a commit is there with all of its changes")
            const lost = acknowledged.filter((number) => put[`key_${number}`] !== number)
            assert.deepStrictEqual(lost, [], "no acknowledged key is lost")
          }
        })
    }
  }
)

/** Each request was done, or else it was refused: in time, and without a cookie. */
const assertInTime = (answers: ReadonlyArray<Timed>) => {
  for (const { body, milliseconds, setCookies, status } of answers) {
    assert.include([200, 503], status, body)
    if (status === 503) assert.deepStrictEqual([body, ...setCookies], ["Service Unavailable"])
    assert.isBelow(milliseconds, 8000, "a client never waits much longer than the time limit")
  }
}
