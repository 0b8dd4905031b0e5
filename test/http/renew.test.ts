/**
 * Renewing a value once: with other servers, with an upstream that is slow, fails or hangs, and with clients and servers that are
 * gone before the end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { CookieLayer, MemoryLayer, RedisLayer, Session } from "effect-session"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { setTimeOfDay } from "../support/clock.ts"
import { watchStore } from "../support/failingStore.ts"
import { startOAuth } from "../support/oauthServer.ts"
import { shared, startRedis } from "../support/redisServer.ts"
import { renewals } from "../support/renewals.ts"
import { basicRoutes, type Gate, Name, post } from "../support/routes.ts"
import { clientOf, cookieNames, cookieOf, serve, type StoreLayer } from "../support/server.ts"
import { refresh, renewing, tokenRoutes } from "../support/tokens.ts"
import type { Job, Step } from "../support/tokenWorker.ts"

const redis = shared(startRedis())

const redisStore = () => RedisLayer.layer({ url: redis().url })

renewals("Redis", redisStore)

type Options = Parameters<typeof renewing>[1]

/** A server whose tokens come from an OAuth server, and a client that has some which must be renewed. */
const stage = Effect.fnUntraced(function*(store: StoreLayer = MemoryLayer.layer(), options?: Options) {
  const oauth = yield* startOAuth
  const tokens = renewing(refresh(oauth.url), options)
  const failing = post("/failing", Effect.andThen(Effect.andThen(Session.put(Name, "Ada"), tokens), Effect.die("no")))
  const routes = Layer.mergeAll(basicRoutes, failing, tokenRoutes(tokens))
  const server = yield* serve(routes, { store, logger: false })
  const cookie = cookieOf(yield* server.post(`/tokens/${oauth.issue()}`))
  return { cookie, oauth, routes, server, ask: server.get("/tokens", { cookie }) }
})

/** A client asks, and has gone before the upstream answers. */
const hangUp = Effect.fnUntraced(function*({ ask, oauth, server }: Pick<Staged, "ask" | "oauth" | "server">) {
  const upstream = oauth.holdsNext()
  const request = yield* Effect.forkChild(ask)
  yield* upstream.reached
  yield* Fiber.interrupt(request)
  yield* server.aborted
  yield* upstream.release
})

type Staged = Effect.Success<ReturnType<typeof stage>>

/** So many at the same time, where all have found that it is time before the first one is answered. */
const together = Effect.fnUntraced(function*(count: number, store?: StoreLayer, options?: Options) {
  const allHaveFound = Deferred.makeUnsafe<void>()
  let found = 0
  const staged = yield* stage(store, {
    ...options,
    onDue: () => {
      if (++found === count) Deferred.doneUnsafe(allHaveFound, Effect.void)
    }
  })
  const upstream = staged.oauth.holdsNext()
  const requests = yield* Effect.forkChild(Effect.replicateEffect(staged.ask, count, { concurrency: "unbounded" }))
  yield* upstream.reached
  yield* Deferred.await(allHaveFound)
  return { ...staged, answers: Fiber.join(requests), upstream }
})

const bodies = (answers: ReadonlyArray<{ readonly body: string }>) => answers.map(({ body }) => body).toSorted()

describe("an upstream", () => {
  it.live("that fails is asked once: its error is that of one request, and the others say why they have none", () =>
    Effect.gen(function*() {
      const { answers, ask, oauth, upstream } = yield* together(20)
      oauth.fails()
      yield* upstream.release
      const others = Array.from({ length: 19 }, () => "SessionRenewError failed")
      assert.deepStrictEqual(bodies(yield* answers), ["RefreshRefused", ...others])
      assert.strictEqual(oauth.newRequests(), 1)
      oauth.works()
      assert.strictEqual((yield* ask).body, "family1.1", "the lease is free at once")
    }))

  it.live("that hangs is given up with the lease, and asked again by the next request", () =>
    Effect.gen(function*() {
      const { answers, ask } = yield* together(5, undefined, { lease: "300 millis" })
      assert.deepStrictEqual(bodies(yield* answers), Array.from({ length: 5 }, () => "SessionRenewError timeout"))
      assert.strictEqual((yield* ask).body, "family1.1")
    }))

  it.live("that hangs keeps requests of another server waiting for no longer than the lease and the time limit", () =>
    Effect.gen(function*() {
      const { cookie, oauth, routes, server } = yield* stage(redisStore(), { lease: "5 minutes" })
      const other = yield* serve(routes, { store: redisStore(), logger: false })
      const short = yield* serve(
        tokenRoutes(renewing(refresh(oauth.url), { lease: "200 millis" })),
        { store: redisStore(), logger: false, config: { timeLimit: "1 second" } }
      )
      const upstream = oauth.holdsNext()
      const first = yield* Effect.forkChild(server.get("/tokens", { cookie }))
      yield* upstream.reached
      assert.strictEqual((yield* short.get("/tokens", { cookie })).body, "SessionRenewError timeout")
      const second = yield* Effect.forkChild(other.get("/tokens", { cookie }))
      yield* upstream.release
      assert.strictEqual((yield* Fiber.join(first)).body, "family1.1")
      assert.strictEqual((yield* Fiber.join(second)).body, "family1.1")
      assert.strictEqual(oauth.newRequests(), 1)
    }))
})

describe("a renewed value", () => {
  it.live("is not lost when the client has gone meanwhile", () =>
    Effect.gen(function*() {
      const { ask, oauth, server } = yield* stage()
      yield* hangUp({ ask, oauth, server })
      assert.strictEqual((yield* ask).body, "family1.1")
      assert.strictEqual(oauth.newRequests(), 1)
    }))

  it.live("is not lost when the handler fails, and nothing else of it is saved", () =>
    Effect.gen(function*() {
      const { ask, cookie, oauth, server } = yield* stage()
      assert.strictEqual((yield* server.post("/failing", { cookie })).status, 500)
      assert.strictEqual((yield* ask).body, "family1.1")
      assert.strictEqual(oauth.newRequests(), 1)
      const all = JSON.parse((yield* server.get("/", { cookie })).body)
      assert.deepStrictEqual(all, { tokens: { refresh: "family1.1", isFresh: true } }, "nor the lease")
    }))

  it.live("is not lost when the store fails for a moment", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const { ask, oauth } = yield* stage(store.layer)
      const upstream = oauth.holdsNext()
      const request = yield* Effect.forkChild(ask)
      yield* upstream.reached
      let failures = 2
      void store.before("update", Effect.suspend(() => failures-- > 0 ? Effect.fail(new Error("no")) : Effect.void))
      yield* upstream.release
      assert.strictEqual((yield* Fiber.join(request)).body, "family1.1")
      assert.strictEqual(failures, -1)
      assert.strictEqual((yield* ask).body, "family1.1")
    }))

  it.live("is in the session under its new id if it has got one meanwhile", () =>
    Effect.gen(function*() {
      const { ask, cookie, oauth, server } = yield* stage()
      const upstream = oauth.holdsNext()
      const request = yield* Effect.forkChild(ask)
      yield* upstream.reached
      const next = cookieOf(yield* server.post("/login", { cookie }))
      yield* upstream.release
      assert.strictEqual((yield* Fiber.join(request)).body, "family1.1")
      assert.strictEqual((yield* server.get("/tokens", { cookie: next })).body, "family1.1")
      assert.strictEqual(oauth.newRequests(), 1)
    }))

  it.live("is nobody's if the session has ended meanwhile: a typed error", () =>
    Effect.gen(function*() {
      const { ask, cookie, oauth, server } = yield* stage()
      const upstream = oauth.holdsNext()
      const request = yield* Effect.forkChild(ask)
      yield* upstream.reached
      yield* server.post("/logout", { cookie })
      yield* upstream.release
      assert.strictEqual((yield* Fiber.join(request)).body, "SessionGoneError")
      assert.strictEqual((yield* ask).body, "none")
    }))

  it.live("that comes after the end of the lease does not take the place of another server's", () =>
    Effect.gen(function*() {
      const store = watchStore(RedisLayer.make({ url: redis().url }))
      const lease = "200 millis"
      const renewed = yield* Deferred.make<Gate>()
      const late = tokenRoutes(renewing(
        () =>
          Effect.as(
            Effect.suspend(() => Deferred.succeed(renewed, store.holds("update"))),
            { refresh: "late", isFresh: true }
          ),
        { lease }
      ))
      const inTime = tokenRoutes(renewing(() => Effect.succeed({ refresh: "in time", isFresh: true }), { lease }))
      const one = yield* serve(late, { store: store.layer, logger: false })
      const other = yield* serve(inTime, { store: redisStore(), logger: false })
      const cookie = cookieOf(yield* one.post("/tokens/first"))
      const leased = store.holds("update")
      const request = yield* Effect.forkChild(one.get("/tokens", { cookie }))
      yield* leased.reached
      yield* leased.release
      const committing = yield* Deferred.await(renewed)
      yield* committing.reached
      assert.strictEqual((yield* other.get("/tokens", { cookie })).body, "in time")
      yield* committing.release
      assert.strictEqual((yield* Fiber.join(request)).body, "in time")
      assert.strictEqual((yield* one.get("/tokens", { cookie })).body, "in time")
    }))
})

/** Starts a server in a process of its own, and kills it with the scope. */
const startWorker = Effect.fnUntraced(function*(job: Job) {
  const file = fileURLToPath(new URL("../support/tokenWorker.ts", import.meta.url))
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=effect-session/source", file, JSON.stringify(job)], {
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  const ended = once(child, "exit")
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const hear = Effect.promise(async () => (await lines.next()).value as string)
  const kill = Effect.promise(() => {
    child.kill("SIGKILL")
    return ended
  })
  return { client: clientOf(yield* hear), hear, kill }
})

describe("a server that is killed", () => {
  const steps: Record<Step, { readonly next: string; readonly requests: number }> = {
    leased: { next: "family1.1", requests: 1 },
    asking: { next: "family1.1", requests: 2 },
    // What only the dead one knew is lost, and the upstream says so.
    answered: { next: "RefreshRefused", requests: 2 },
    committed: { next: "family1.1", requests: 1 }
  }

  it.live.each(Object.entries(steps) as ReadonlyArray<[Step, typeof steps[Step]]>)(
    "when it is at the step \"%s\" leaves nobody waiting for longer than its lease",
    ([stopsAt, { next, requests }]) =>
      Effect.gen(function*() {
        const { cookie, oauth, ask } = yield* stage(redisStore())
        const job: Job = { redis: redis().url, oauth: oauth.url, lease: "1 second", stopsAt }
        const { client, hear, kill } = yield* startWorker(job)
        const upstream = stopsAt === "asking" ? oauth.holdsNext() : undefined
        yield* Effect.forkChild(Effect.exit(client.get("/tokens", { cookie })))
        yield* upstream?.reached ?? hear
        const waiting = yield* Effect.forkChild(ask)
        yield* kill
        assert.strictEqual((yield* Fiber.join(waiting)).body, next)
        assert.strictEqual(oauth.newRequests(), requests)
      }),
    30_000
  )
})

describe("with the CookieLayer, within one process", () => {
  it.live("all requests that come together have the new value, and all responses bring the cookie", () =>
    Effect.gen(function*() {
      const { answers, oauth, server, upstream } = yield* together(20, CookieLayer.layer())
      yield* upstream.release
      const all = yield* answers
      assert.deepStrictEqual(bodies(all), Array.from({ length: 20 }, () => "family1.1"))
      for (const answer of all) {
        const { body } = yield* server.get("/tokens", { cookie: cookieOf(answer) })
        assert.strictEqual(body, "family1.1")
      }
      assert.strictEqual(oauth.newRequests(), 1)
    }))

  it.live("the response of a handler that fails brings the cookie", () =>
    Effect.gen(function*() {
      const { cookie, server } = yield* stage(CookieLayer.layer())
      const failed = yield* server.post("/failing", { cookie })
      assert.strictEqual(failed.status, 500)
      assert.deepStrictEqual(cookieNames(failed), ["session"])
      const all = JSON.parse((yield* server.get("/", { cookie: cookieOf(failed) })).body)
      assert.deepStrictEqual(all, { tokens: { refresh: "family1.1", isFresh: true } })
    }))

  it.effect("requests that still come with the old cookie have it too, for as long as supersededFor", () =>
    Effect.gen(function*() {
      yield* setTimeOfDay
      const { ask, oauth, server } = yield* stage(CookieLayer.layer())
      yield* hangUp({ ask, oauth, server })
      yield* TestClock.adjust("29 seconds")
      const answer = yield* ask
      assert.strictEqual(answer.body, "family1.1")
      assert.strictEqual((yield* server.get("/tokens", { cookie: cookieOf(answer) })).body, "family1.1")
      assert.strictEqual(oauth.newRequests(), 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* ask).body, "RefreshRefused", "the client has never got the cookie")
    }))
})
