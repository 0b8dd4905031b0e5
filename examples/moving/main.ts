/**
 * An Effect server that takes over from an Express server with express-session and connect-redis: nobody has to log in again.
 *
 *     export SESSION_SECRET=… EXPRESS_SECRET=…
 *     node --conditions=effect-session/source examples/moving/main.ts
 *
 * Read it in this order:
 *
 * 1. keys.ts             what becomes of the data
 * 2. moving.ts           what becomes of a request with an old cookie
 * 3. expressSessions.ts  what happens in Redis (with oldSessions.ts, expressCookie.ts, seal.ts and setCookie.ts)
 * 4. routes.ts           which see nothing of it
 * 5. main.ts             this file
 *
 * docs/coming-from/moving.md says how to go about it.
 */
import { NodeHttpServer, NodeRedis, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Option, Schema } from "effect"
import { RedisLayer, SessionConfig } from "effect-session"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import * as ExpressSessions from "./expressSessions.ts"
import { Routes } from "./routes.ts"

const Old = Layer.unwrap(Effect.gen(function*() {
  // The `secret` of express-session, and the one before it, for cookies that are older.
  const secret = yield* Config.Redacted("EXPRESS_SECRET")
  const previous = yield* Config.option(Config.Redacted("EXPRESS_PREVIOUS_SECRET"))
  // Such as "1 day", for as long as the Express server runs too.
  const sideBySide = yield* Config.option(Config.Duration("EXPRESS_SIDE_BY_SIDE"))
  return ExpressSessions.layer({
    secrets: [secret, ...Option.toArray(previous)],
    ...(Option.isSome(sideBySide) && { sideBySide: sideBySide.value })
  })
}))

// Both servers keep their sessions in one Redis here, under prefixes of their own.
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
