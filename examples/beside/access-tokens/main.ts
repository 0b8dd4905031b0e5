/**
 * Users with an access token of an identity provider, and what they do in our sessions.
 *
 *     export SESSION_SECRET=… ISSUER=https://login.example AUDIENCE=letters ISSUER_KEYS=https://login.example/jwks
 *     node --conditions=effect-session/source examples/beside/access-tokens/main.ts
 *
 * Read it in this order:
 *
 * 1. api.ts           who somebody is, and what can be done
 * 2. ../agreement.ts  how our sessions follow the logins there
 * 3. server.ts        how tokens are checked, and the handlers
 * 4. main.ts          this file: starts the server
 *
 * See docs/beside/access-tokens.md.
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Schema } from "effect"
import { MemoryLayer, SessionConfig } from "effect-session"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import * as Letters from "./server.ts"

const Routes = Layer.unwrap(Effect.gen(function*() {
  return Letters.layer({
    issuer: yield* Config.String("ISSUER"),
    audience: yield* Config.String("AUDIENCE"),
    keys: yield* Config.URL("ISSUER_KEYS")
  })
}))

const Server = NodeHttpServer.layerConfig(createServer, {
  host: Config.succeed("127.0.0.1"),
  port: Config.schema(Schema.Port, "PORT").pipe(Config.withDefault(3000))
})

HttpRouter.serve(Routes).pipe(
  Layer.provide(Server),
  Layer.provide(MemoryLayer.layer()),
  Layer.provide(SessionConfig.layerConfig()),
  Layer.launch,
  NodeRuntime.runMain
)
