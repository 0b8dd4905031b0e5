/**
 * One application in every runtime, through the runtime's own HTTP server, with a client from outside.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { join } from "node:path"
import { temporaryFolder } from "../support/fileStore.ts"
import { freePort, shared } from "../support/redisServer.ts"
import { keyOf } from "../support/routes.ts"
import { type Client, clientOf, cookieOf } from "../support/server.ts"
import { bundle } from "./bundle.ts"
import { bun, denoServe, startServer, startWorker } from "./runtimes.ts"
import { onBun, onDeno, onWorkerd } from "./tried.ts"

const folder = shared(
  Effect.tap(temporaryFolder, (folder) => Effect.promise(() => bundle(folder, ["app.ts"])))
)

const app = () => join(folder(), "app.js")

const runtimes: ReadonlyArray<readonly [name: string, start: Effect.Effect<string, never, Scope.Scope>]> = [
  [onBun.runtime, Effect.flatMap(freePort, (port) => startServer(bun, app(), port))],
  [onDeno.runtime, Effect.flatMap(freePort, (port) => startServer(denoServe(port), app(), port))],
  [
    onWorkerd.runtime,
    Effect.flatMap(
      Effect.suspend(() => startWorker(app())),
      (worker) => Effect.promise(async () => (await worker.ready).origin)
    )
  ]
]

const statusOf = ({ status }: { readonly status: number }) => status

describe.each(runtimes)("an application in %s", (_, start) => {
  const url = shared(start)
  const begin = Effect.gen(function*() {
    const client: Client = clientOf(url())
    return { client, cookie: cookieOf(yield* client.post("/count")) }
  })

  it.effect("keeps a session, gives it another id at a login, and ends it at a logout", () =>
    Effect.gen(function*() {
      const { client, cookie } = yield* begin
      const user = cookieOf(yield* client.post("/login", { cookie }))
      assert.strictEqual((yield* client.get("/", { cookie })).body, "{}")
      assert.strictEqual((yield* client.get("/", { cookie: user })).body, `{"count":1,"name":"Ada"}`)
      yield* client.post("/logout", { cookie: user })
      assert.strictEqual((yield* client.get("/", { cookie: user })).body, "{}")
    }))

  it.effect("loses nothing of 200 requests of one session at once", () =>
    Effect.gen(function*() {
      const { client, cookie } = yield* begin
      const numbers = Array.from({ length: 200 }, (_, number) => number)
      const answers = yield* Effect.forEach(numbers, (number) => client.post(`/keys/${number}`, { cookie }), {
        concurrency: 50
      })
      assert.deepStrictEqual([...new Set(answers.map(statusOf))], [200])
      assert.deepStrictEqual(
        JSON.parse((yield* client.get("/", { cookie })).body),
        { count: 201, ...Object.fromEntries(numbers.map((number) => [keyOf(number).name, number])) }
      )
    }))

  it.effect("commits what an HttpApi has done", () =>
    Effect.gen(function*() {
      const { client, cookie } = yield* begin
      assert.strictEqual((yield* client.post("/api/add", { cookie })).body, "2")
      assert.strictEqual((yield* client.get("/", { cookie })).body, `{"count":2}`)
    }))

  it.effect("saves what a stream has changed, if the body arrives", () =>
    Effect.gen(function*() {
      const { client, cookie } = yield* begin
      assert.strictEqual((yield* client.post("/stream", { cookie })).body, "begun changed ended")
      yield* Effect.repeat(client.get("/", { cookie }), { until: ({ body }) => body === `{"count":11}` })
    }))

  // The last one: from here on the store hangs.
  it.effect("answers 503 to who waits for a store that hangs, also when the request that began before is over", () =>
    Effect.gen(function*() {
      const { client, cookie } = yield* begin
      yield* client.post("/hang")
      const statuses = yield* Effect.all([client.get("/", { cookie }), client.get("/", { cookie })], {
        concurrency: 2
      })
      assert.deepStrictEqual(statuses.map(statusOf).toSorted(), [200, 503])
    }))
})
