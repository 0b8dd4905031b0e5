/**
 * A server whose store is slow to connect, as on a busy network or in a failover: the shop on a Redis that takes a while.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { connect, createServer } from "node:net"
import { fileURLToPath } from "node:url"
import { freePort, startRedis } from "../support/redisServer.ts"

/** Leads to a port, but only when it is opened. */
const startGate = (to: number) =>
  Effect.acquireRelease(
    Effect.callback<
      { readonly port: number; readonly reached: Promise<void>; readonly open: () => void; readonly close: () => void }
    >(
      (resume) => {
        const opened = Promise.withResolvers<void>()
        const reached = Promise.withResolvers<void>()
        const gate = createServer((client) => {
          reached.resolve()
          client.on("error", () => {})
          void opened.promise.then(() => {
            const server = connect(to, "127.0.0.1")
            server.on("error", () => {})
            server.on("close", () => client.destroy())
            client.on("close", () => server.destroy())
            client.pipe(server).pipe(client)
          })
        })
        gate.listen(0, "127.0.0.1", () => {
          const { port } = gate.address() as { readonly port: number }
          resume(
            Effect.succeed({ port, reached: reached.promise, open: opened.resolve, close: () => void gate.close() })
          )
        })
      }
    ),
    ({ close }) => Effect.sync(close)
  )

const spawnShop = (settings: Record<string, string>) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=effect-session/source", "examples/shop/main.ts"], {
        cwd: fileURLToPath(new URL("../..", import.meta.url)),
        env: { ...process.env, SESSION_SECRET: "a secret of at least thirty-two characters", ...settings },
        stdio: "ignore"
      })
    ),
    (child) => Effect.andThen(Effect.sync(() => child.kill("SIGKILL")), exitOf(child))
  )

const exitOf = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

const get = (port: number) =>
  Effect.tryPromise({
    try: () =>
      fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" }, signal: AbortSignal.timeout(5000) }),
    catch: (error) => ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code
  })

describe("a server whose store is slow to connect", () => {
  it.live("does not open its port until the store is up, answers every request, and ends at once at SIGTERM", () =>
    Effect.gen(function*() {
      const redis = yield* startRedis()
      const gate = yield* startGate(redis.port)
      const port = yield* freePort
      const child = yield* spawnShop({
        PORT: `${port}`,
        SESSION_DRIVER: "redis",
        SESSION_STORE_URL: `redis://127.0.0.1:${gate.port}`,
        SESSION_TIME_LIMIT: "30 seconds"
      })
      yield* Effect.promise(() => gate.reached)
      for (let times = 0; times < 20; times++) {
        assert.strictEqual(yield* Effect.flip(get(port)), "ECONNREFUSED")
        yield* Effect.sleep("20 millis")
      }
      gate.open()
      const first = yield* Effect.retry(get(port), { schedule: Schedule.spaced("5 millis"), times: 2000 })
      assert.strictEqual(first.status, 200)
      assert.strictEqual((yield* get(port)).status, 200)
      const start = performance.now()
      child.kill("SIGTERM")
      yield* exitOf(child)
      assert.isBelow(performance.now() - start, 5000)
    }))
})
