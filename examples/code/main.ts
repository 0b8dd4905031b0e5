/**
 * A login without a password: a code by mail, with at most three tries.
 *
 *     node --conditions=effect-session/source examples/code/main.ts
 *     curl --cookie-jar jar --data email=ada@example.com localhost:3000/code
 *     curl --cookie jar --data code=123456 localhost:3000/login
 *
 * routes.ts has the logic, and this file starts the server. Mails are printed to the console.
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Schema } from "effect"
import { MemoryLayer, SessionConfig } from "effect-session"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import { Mails, Routes } from "./routes.ts"

const MailsOnTheConsole = Layer.succeed(Mails, {
  send: (email, text) => Effect.logInfo(`To ${email}: ${text}`)
})

const Settings = Layer.unwrap(
  Effect.map(SessionConfig.generateSecret, (secret) =>
    // Plain http is for this computer only.
    SessionConfig.layerConfig({ secret, cookie: { secure: false } }))
)

const Server = NodeHttpServer.layerConfig(createServer, {
  host: Config.succeed("127.0.0.1"),
  port: Config.schema(Schema.Port, "PORT").pipe(Config.withDefault(3000))
})

HttpRouter.serve(Routes).pipe(
  Layer.provide(Server),
  Layer.provide([MailsOnTheConsole, MemoryLayer.layer()]),
  Layer.provide(Settings),
  Layer.launch,
  NodeRuntime.runMain
)
