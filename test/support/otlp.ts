/**
 * An OpenTelemetry collector: takes what exporters send by OTLP over HTTP, as JSON, and keeps it.
 */
import { Effect, type Scope } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

type Value =
  | { readonly stringValue: string }
  | { readonly intValue: number | string }
  | { readonly doubleValue: number }
  | { readonly boolValue: boolean }

type Attributes = ReadonlyArray<{ readonly key: string; readonly value: Value }>

export interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: Attributes
  readonly events: ReadonlyArray<{ readonly name: string; readonly attributes: Attributes }>
  readonly status: { readonly code?: number; readonly message?: string }
}

export interface Point {
  readonly attributes: Attributes
  readonly asDouble?: number
  readonly asInt?: number | string
  readonly count?: number | string
  readonly sum?: number
  readonly bucketCounts?: ReadonlyArray<number | string>
  readonly explicitBounds?: ReadonlyArray<number>
}

export interface Metric {
  readonly name: string
  readonly unit: string
  readonly description: string
  readonly sum?: { readonly isMonotonic: boolean; readonly dataPoints: ReadonlyArray<Point> }
  readonly histogram?: { readonly dataPoints: ReadonlyArray<Point> }
  readonly gauge?: { readonly dataPoints: ReadonlyArray<Point> }
}

export interface Log {
  readonly severityText: string
  readonly body: Value
  readonly attributes: Attributes
  readonly traceId?: string
  readonly spanId?: string
}

export interface Collector {
  readonly url: string
  readonly spans: ReadonlyArray<Span>
  /** As they were exported last. */
  readonly metrics: () => ReadonlyArray<Metric>
  readonly logs: ReadonlyArray<Log>
  /** All that was sent, byte by byte. */
  readonly text: () => string
}

/** Attributes as an object. */
export const fieldsOf = ({ attributes }: { readonly attributes: Attributes }): Readonly<Record<string, unknown>> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

/** What belongs to the library, of the library of Effect, and of others: exporters put each into a scope of its own. */
interface Body {
  readonly resourceSpans?: ReadonlyArray<
    { readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<Span> }> }
  >
  readonly resourceMetrics?: ReadonlyArray<
    { readonly scopeMetrics: ReadonlyArray<{ readonly metrics: ReadonlyArray<Metric> }> }
  >
  readonly resourceLogs?: ReadonlyArray<
    { readonly scopeLogs: ReadonlyArray<{ readonly logRecords: ReadonlyArray<Log> }> }
  >
}

export const startCollector: Effect.Effect<Collector, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(async () => {
    const texts: Array<string> = []
    const spans: Array<Span> = []
    const logs: Array<Log> = []
    let metrics: ReadonlyArray<Metric> = []
    const server = createServer(async (request, response) => {
      const chunks: Array<Buffer> = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const text = Buffer.concat(chunks).toString()
      texts.push(text)
      const { resourceLogs, resourceMetrics, resourceSpans } = JSON.parse(text) as Body
      spans.push(...(resourceSpans ?? []).flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)))
      logs.push(...(resourceLogs ?? []).flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords)))
      if (resourceMetrics !== undefined) {
        metrics = resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
      }
      response.setHeader("content-type", "application/json").end("{}")
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return { url, spans, metrics: () => metrics, logs, text: () => texts.join("\n"), server }
  }),
  ({ server }) =>
    Effect.sync(() => {
      server.closeAllConnections()
      server.close()
    })
)
