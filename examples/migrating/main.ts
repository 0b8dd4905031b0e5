/**
 * Three releases of a server that store the same values in different shapes. Start two of them, and go from one to the other:
 *
 *     export SESSION_SECRET=$(npx effect-session secret)
 *     RELEASE=1 PORT=3001 node --conditions=effect-session/source examples/migrating/main.ts
 *     RELEASE=2 PORT=3002 node --conditions=effect-session/source examples/migrating/main.ts
 *     curl --cookie-jar jar --request POST localhost:3001/customer
 *     curl --cookie jar localhost:3002
 *
 * keys.ts defines what is stored, routes.ts uses it, and this file starts the server. Sessions are in the cookie unless
 * `SESSION_DRIVER` names another driver. docs/guide/keys.md explains the steps.
 */
import { NodeHttpServer, NodeRuntime, NodeServices } from "@effect/platform-node"
import { Config, Effect, Layer, Schema } from "effect"
import { SessionConfig, SessionDriver } from "effect-session"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import { releases } from "./routes.ts"

const Routes = Layer.unwrap(
  Effect.map(Config.schema(Schema.Literals(["1", "2", "3"]), "RELEASE"), (release) => releases[release])
)

const Server = NodeHttpServer.layerConfig(createServer, {
  host: Config.succeed("127.0.0.1"),
  port: Config.schema(Schema.Port, "PORT").pipe(Config.withDefault(3000))
})

HttpRouter.serve(Routes).pipe(
  Layer.provide(Server),
  Layer.provide(SessionDriver.layerConfig),
  Layer.provide(NodeServices.layer),
  // Plain http is for this computer only.
  Layer.provide(SessionConfig.layerConfig({ cookie: { secure: false } })),
  Layer.launch,
  NodeRuntime.runMain
)
