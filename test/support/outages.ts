/**
 * Back ends that are killed, stand still, or lose the wire to their clients: what becomes of requests, and of what they
 * were told.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { serveLoad, startLoad } from "./load.ts"
import { type LogEvent, observe } from "./observe.ts"
import { eventually } from "./redisServer.ts"
import { cookieOf, type Server, type StoreLayer } from "./server.ts"
import type { Wire } from "./wire.ts"

// -----------------------------------------------------------------------------
// a back end that goes
// -----------------------------------------------------------------------------

export interface Backend {
  /** Ends it without a word to its clients. */
  readonly kill: Effect.Effect<void>
  /** From now on connections stay, and nobody answers. */
  readonly pause: Effect.Effect<void>
  readonly goOn: Effect.Effect<void>
}

export interface Driver<B extends Backend> {
  /** Starts a back end that keeps what it has acknowledged. */
  readonly start: Effect.Effect<B, unknown, Scope.Scope>
  /** Starts one that was killed once more. */
  readonly startAgain: (killed: B) => Effect.Effect<unknown, unknown, Scope.Scope>
  readonly store: (backend: B) => StoreLayer
  /** What the log has to say of one that was killed and started again. */
  readonly assertLogged?: (logs: ReadonlyArray<LogEvent>) => void
}

/** Registers the tests under load. */
export const outages = <B extends Backend>(name: string, driver: Driver<B>): void => {
  const disturbed = (
    during: (backend: B, refused: (count: number) => Effect.Effect<void>) => Effect.Effect<void, unknown, Scope.Scope>
  ) =>
    Effect.suspend(() => {
      const observed = observe()
      return Effect.gen(function*() {
        const backend = yield* driver.start
        const load = yield* startLoad(yield* serveLoad(driver.store(backend)), 8)
        yield* load.more(200, 20)
        yield* during(backend, (count) => load.more(503, count))
        yield* load.more(200, 20)
        yield* load.end
        yield* load.assertNothingLost()
        assert.isTrue(/The \w+ session store failed to (load|update)/.test(observed.text()), "an operator sees why")
        return observed
      }).pipe(Effect.provide(observed.layer))
    })

  describe(`under load, ${name}`, () => {
    it.live("that is killed and started again: 503 meanwhile, and nothing acknowledged is lost", () =>
      Effect.gen(function*() {
        const { logs } = yield* disturbed((backend, refused) =>
          Effect.andThen(Effect.andThen(backend.kill, refused(3)), driver.startAgain(backend))
        )
        driver.assertLogged?.(logs)
      }))

    it.live("that stands still: 503 at the time limit meanwhile, and nothing acknowledged is lost", () =>
      disturbed((backend, refused) => Effect.andThen(Effect.andThen(backend.pause, refused(2)), backend.goOn)))
  })
}

// -----------------------------------------------------------------------------
// a wire that breaks
// -----------------------------------------------------------------------------

/** A session that has counted to some number, on a server whose back end is at the end of a wire. */
export interface Wired {
  readonly wire: Wire
  readonly server: Server
  readonly cookie: string
  readonly count: number
}

export interface Loss {
  /** What is in the request whose answer is lost. */
  readonly text: string
  /** Whether the change is made all the same. */
  readonly isMade: boolean
}

/** Registers the tests of a wire on which an answer is lost, or all that there is. */
export const brokenWires = (
  name: string,
  options: {
    readonly start: Effect.Effect<Wired, unknown, Scope.Scope>
    readonly losses: ReadonlyArray<Loss>
    /** By default it takes a new connection a moment to be there. */
    readonly isBackAtOnce?: boolean
  }
): void => {
  describe(`the wire ${name}`, () => {
    for (const { isMade, text } of options.losses) {
      it.live(`that breaks before the answer to ${/^\w+/.exec(text)![0]} comes: 503, and no change is made twice`, () =>
        Effect.gen(function*() {
          const { cookie, count, server, wire } = yield* options.start
          const lost = wire.loseAnswerTo(text)
          assert.strictEqual((yield* server.post("/count", { cookie })).status, 503)
          yield* lost
          if (options.isBackAtOnce !== true) yield* isBack(server, cookie)
          const left = count + (isMade ? 1 : 0)
          assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":${left}}`)
          assert.strictEqual((yield* server.post("/count", { cookie })).status, 200)
          assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":${left + 1}}`)
        }).pipe(Effect.provide(observe().layer)))
    }

    it.live("that falls silent without being closed: a new connection takes its place", () =>
      Effect.gen(function*() {
        const { cookie, count, server, wire } = yield* options.start
        wire.fallSilent()
        assert.strictEqual((yield* server.post("/count", { cookie })).status, 503)
        yield* isBack(server, cookie)
        assert.strictEqual((yield* server.get("/", { cookie })).body, `{"count":${count}}`)
      }).pipe(Effect.provide(observe().layer)))
  })
}

const isBack = (server: Server, cookie: string) =>
  eventually(Effect.map(server.get("/", { cookie }), ({ status }) => assert.strictEqual(status, 200)))

/** A session that has counted to two, so that the back end knows by now what it has to be told once. */
export const countTwice = (server: Server) =>
  Effect.gen(function*() {
    const cookie = yield* eventually(
      Effect.map(server.post("/count"), (answer) => {
        assert.strictEqual(answer.status, 200)
        return cookieOf(answer)
      })
    )
    assert.strictEqual((yield* server.post("/count", { cookie })).status, 200)
    return { cookie, count: 2 }
  })
