/**
 * Spans, metrics and logs of the server, sent to an OpenTelemetry collector.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http"
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { BatchLogRecordProcessor } from "@opentelemetry/sdk-logs"
import { PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Layer, References } from "effect"

// The exporters find the collector by OTEL_EXPORTER_OTLP_ENDPOINT, by default http://localhost:4318.
const Sdk = NodeSdk.layer(() => ({
  resource: { serviceName: "cart" },
  spanProcessor: new BatchSpanProcessor(new OTLPTraceExporter()),
  metricReader: new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() }),
  logRecordProcessor: new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() })
}))

// Session events are logged at level Debug, which is off by default.
export const Telemetry = Layer.merge(Sdk, Layer.succeed(References.MinimumLogLevel)("Debug"))

/**
 * Gives metrics that Prometheus scrapes from Effect's `PrometheusMetrics.layerHttp` the same names as those that reach it by
 * OTLP, so that the dashboard finds both.
 */
export const prometheusName = (name: string): string => {
  if (!name.startsWith("effect_session.")) return name
  return name.endsWith(".duration") ? `${name}.seconds` : `${name}.total`
}
