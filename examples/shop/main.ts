/**
 * A small shop with sessions: a visit counter, a login, a cart whose badge is the same in all tabs, messages that are
 * shown once, and a list of the devices where a customer is logged in.
 *
 *     npm start
 *     SESSION_DRIVER=redis PORT=8080 npm start
 *
 * Read it in this order:
 *
 * 1. keys.ts      what the shop keeps in a session
 * 2. cart.ts      what can be done with a cart, without HTTP or a store
 * 3. account.ts   who is logged in, and where (with devices.ts)
 * 4. live.ts      how other tabs learn about changes (with badge.js, the only script)
 * 5. routes.ts    which request does what
 * 6. pages.ts     what the pages look like (with html.ts and style.css)
 * 7. main.ts      this file: puts it all together and starts the server
 */
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import { Config, Effect, Layer, Option, Schema } from "effect"
import { SessionConfig, SessionDriver } from "effect-session"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import { CartChanges } from "./live.ts"
import { Routes } from "./routes.ts"

// Session cookies are protected with a secret that only the server knows. A real shop has it in its environment. Without
// one, this shop makes a new one, so that "npm start" needs no preparation.
const secret = Effect.gen(function*() {
  const fromEnvironment = yield* Config.option(Config.Redacted("SESSION_SECRET"))
  if (Option.isSome(fromEnvironment)) return fromEnvironment.value
  yield* Effect.logWarning(
    "Sessions end when the server stops; set SESSION_SECRET to keep them, and SESSION_DRIVER to where, such as redis"
  )
  return yield* SessionConfig.generateSecret
})

// The settings of sessions. The environment overrides these, for example SESSION_AGE="30 minutes".
const SessionSettings = Layer.unwrap(
  Effect.map(secret, (secret) =>
    SessionConfig.layerConfig({
      secret,
      // In the memory of the server, unless SESSION_DRIVER names another driver.
      store: { type: "memory" },
      // For "Keep me logged in".
      maximumAge: "30 days",
      maximumAbsoluteAge: "90 days",
      // The shop runs on plain http, where Safari rejects a Secure cookie even from localhost. Never turn this off on the
      // web: without it, the cookie is also sent over http, where anyone on the network can read it.
      cookie: { secure: false }
    }))
)

// Where sessions are stored. Nothing else in the shop depends on it. The list of devices needs a driver that supports owners:
// any but "cookie".
const Sessions = SessionDriver.layerConfigWithOwners.pipe(
  Layer.provide(NodeServices.layer), // for sessions in files
  Layer.provideMerge(SessionSettings)
)

const Server = NodeHttpServer.layerConfig(createServer, {
  host: Config.succeed("127.0.0.1"),
  // 0 means any free port.
  port: Config.schema(Schema.Port, "PORT").pipe(Config.withDefault(3000))
})

// Layers provided last are built first, so the port opens when the store is ready.
HttpRouter.serve(Routes).pipe(
  Layer.provide(Server),
  Layer.provide(CartChanges.layer),
  Layer.provide(Sessions),
  Layer.launch,
  NodeRuntime.runMain
)
