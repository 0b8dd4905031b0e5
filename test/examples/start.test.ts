/**
 * The example shop while its store is slow to connect, as over a busy network: the port opens when the store is up, so no
 * request is lost, and no check of the port is green too early.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import * as Net from "node:net"
import { startExample } from "../support/exampleServer.ts"
import { shared, startRedis } from "../support/redisServer.ts"

const redis = shared(startRedis())

/** A way to Redis that leads nowhere until it is opened. */
const slowRedis = Effect.acquireRelease(
  Effect.promise(async () => {
    const waiting: Array<Net.Socket> = []
    let isOpen = false
    const sockets = new Set<Net.Socket>()
    const connect = (socket: Net.Socket) => {
      const upstream = Net.connect(redis().port, "127.0.0.1")
      sockets.add(upstream)
      upstream.on("error", () => socket.destroy())
      socket.pipe(upstream).pipe(socket)
    }
    const server = Net.createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      if (isOpen) connect(socket)
      else waiting.push(socket)
    })
    const reached = once(server, "connection")
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    const open = () => {
      isOpen = true
      waiting.splice(0).forEach(connect)
    }
    const close = () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    }
    return { port: (server.address() as Net.AddressInfo).port, reached: Effect.promise(() => reached), open, close }
  }),
  ({ close }) => Effect.sync(close)
)

const startShop = (redisPort: number) =>
  startExample("shop/main.ts", {
    SESSION_DRIVER: "redis",
    SESSION_STORE_URL: `redis://127.0.0.1:${redisPort}`,
    SESSION_TIME_LIMIT: "1 minute"
  })

const connects = (port: number) =>
  Effect.callback<boolean>((resume) => {
    const socket = Net.connect(port, "127.0.0.1")
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.once("error", () => resume(Effect.succeed(false)))
  })

describe("a server whose store is slow to connect", () => {
  it.live("opens its port when the store is up, and answers from then on", () =>
    Effect.gen(function*() {
      const way = yield* slowRedis
      const shop = yield* startShop(way.port)
      yield* way.reached
      assert.isFalse(yield* connects(shop.port))
      way.open()
      yield* shop.listens
      const answer = yield* Effect.promise(() => fetch(`http://127.0.0.1:${shop.port}/`))
      assert.strictEqual(answer.status, 200)
      shop.process.kill("SIGTERM")
      yield* shop.ended
    }))

  it.live("ends when it is told to, before the store is up as well", () =>
    Effect.gen(function*() {
      const way = yield* slowRedis
      const shop = yield* startShop(way.port)
      yield* way.reached
      shop.process.kill("SIGTERM")
      yield* shop.ended
    }))
})
