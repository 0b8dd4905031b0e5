/**
 * A server with sessions whose spans, metrics and logs go to an OpenTelemetry collector. See docs/production/observability.md.
 *
 *     OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 \
 *     DATABASE_URL=postgres://localhost/shop \
 *     SESSION_SECRET=$(npx effect-session secret) \
 *       node --conditions=effect-session/source examples/opentelemetry/main.ts
 *
 * 1. routes.ts     which request does what
 * 2. telemetry.ts  where telemetry goes
 * 3. main.ts       this file: puts it together and starts the server
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Config, Layer, Schema } from "effect"
import { SessionConfig, SqlLayer } from "effect-session"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import { Routes } from "./routes.ts"
import { Telemetry } from "./telemetry.ts"

// Effect's SQL clients create a span for each statement, below that of the session.
const Store = SqlLayer.layer().pipe(
  Layer.provide(Layer.effectDiscard(SqlLayer.migration())),
  Layer.provide(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") })),
  Layer.provideMerge(SessionConfig.layerConfig({ cookie: { secure: false } })) // for plain http on localhost
)

const Server = NodeHttpServer.layerConfig(createServer, {
  host: Config.succeed("127.0.0.1"),
  port: Config.schema(Schema.Port, "PORT").pipe(Config.withDefault(3000))
})

HttpRouter.serve(Routes).pipe(
  Layer.provide(Server),
  Layer.provide(Store),
  // Built first, so it sees everything start, and closed last, so everything is sent.
  Layer.provide(Telemetry),
  Layer.launch,
  NodeRuntime.runMain
)
