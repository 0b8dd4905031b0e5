/**
 * Logins by better-auth, and what a visitor does in our sessions.
 *
 *     node --conditions=effect-session/source examples/beside/better-auth/main.ts
 *
 *     curl -c jar -b jar -X POST -H 'sec-fetch-site: same-origin' localhost:3000/basket/tea
 *     curl -c jar -b jar -H 'content-type: application/json' -H 'origin: http://localhost:3000' localhost:3000/api/auth/sign-up/email \
 *       -d '{ "name": "Ada", "email": "ada@example.com", "password": "correct horse" }'
 *     curl -c jar -b jar localhost:3000
 *
 * Read it in this order:
 *
 * 1. keys.ts          what is in a session
 * 2. ../agreement.ts  how our sessions follow better-auth's
 * 3. routes.ts        which request does what
 * 4. auth.ts          better-auth as a service
 * 5. main.ts          this file: puts it all together and starts the server
 *
 * See docs/beside/better-auth.md.
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Option, Schema } from "effect"
import { MemoryLayer, SessionConfig } from "effect-session"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import { DatabaseSync } from "node:sqlite"
import * as Auth from "./auth.ts"
import { Routes } from "./routes.ts"

const Port = Config.schema(Schema.Port, "PORT").pipe(Config.withDefault(3000))

const Beside = Layer.unwrap(Effect.gen(function*() {
  const port = yield* Port
  const secret = yield* Config.option(Config.Redacted("BETTER_AUTH_SECRET"))
  return Auth.layer({
    database: new DatabaseSync(yield* Config.String("DATABASE").pipe(Config.withDefault(":memory:"))),
    baseURL: yield* Config.String("BETTER_AUTH_URL").pipe(Config.withDefault(`http://localhost:${port}`)),
    secret: Option.isSome(secret) ? secret.value : yield* SessionConfig.generateSecret
  })
}))

const SessionSettings = Layer.unwrap(
  Effect.gen(function*() {
    const secret = yield* Config.option(Config.Redacted("SESSION_SECRET"))
    return SessionConfig.layerConfig({
      secret: Option.isSome(secret) ? secret.value : yield* SessionConfig.generateSecret,
      // As long as better-auth's sessions, so that neither outlives the other.
      age: "7 days",
      absoluteAge: "never",
      // The example runs on plain http. Never turn this off on the web.
      cookie: { secure: false }
    })
  })
)

const Server = NodeHttpServer.layerConfig(createServer, { host: Config.succeed("127.0.0.1"), port: Port })

HttpRouter.serve(Routes).pipe(
  Layer.provide(Server),
  Layer.provide(Beside),
  Layer.provide(MemoryLayer.layer()),
  Layer.provide(SessionSettings),
  Layer.launch,
  NodeRuntime.runMain
)
