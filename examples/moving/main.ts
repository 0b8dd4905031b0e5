/**
 * An Effect server that replaces an Express server with express-session and connect-redis, without logging anyone out.
 *
 *     export SESSION_SECRET=… EXPRESS_SECRET=…
 *     node --conditions=effect-session/source examples/moving/main.ts
 *
 * Read it in this order:
 *
 * 1. keys.ts             how the data is converted
 * 2. moving.ts           how a request with an old cookie is handled
 * 3. expressSessions.ts  what happens in Redis (with oldSessions.ts, expressCookie.ts, seal.ts and setCookie.ts)
 * 4. routes.ts           routes that don't notice
 * 5. main.ts             this file
 *
 * docs/coming-from/moving.md explains the steps.
 */
import { NodeHttpServer, NodeRedis, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Option, Schema } from "effect"
import { RedisLayer, SessionConfig } from "effect-session"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import * as ExpressSessions from "./expressSessions.ts"
import { Routes } from "./routes.ts"

const Old = Layer.unwrap(Effect.gen(function*() {
  // The `secret` of express-session, and the previous one for older cookies.
  const secret = yield* Config.Redacted("EXPRESS_SECRET")
  const previous = yield* Config.option(Config.Redacted("EXPRESS_PREVIOUS_SECRET"))
  // Such as "1 day", while the Express server is still running.
  const sideBySide = yield* Config.option(Config.Duration("EXPRESS_SIDE_BY_SIDE"))
  return ExpressSessions.layer({
    secrets: [secret, ...Option.toArray(previous)],
    ...(Option.isSome(sideBySide) && { sideBySide: sideBySide.value })
  })
}))

// Here both servers keep their sessions in one Redis, under different prefixes.
const Redis = NodeRedis.layerConfig({
  url: Config.String("REDIS_URL").pipe(Config.withDefault("redis://localhost:6379"))
})

const Server = NodeHttpServer.layerConfig(createServer, {
  host: Config.succeed("127.0.0.1"),
  port: Config.schema(Schema.Port, "PORT").pipe(Config.withDefault(3000))
})

HttpRouter.serve(Routes).pipe(
  Layer.provide(Server),
  Layer.provide([Old, RedisLayer.layerRedis()]),
  Layer.provide(Redis),
  Layer.provide(SessionConfig.layerConfig()),
  Layer.launch,
  NodeRuntime.runMain
)
