/**
 * What an operator sees of a test: log events, spans and metrics.
 */
import { Cause, Effect, Exit, Layer, Logger, Metric, References, Tracer } from "effect"
import { inspect } from "node:util"

export interface LogEvent {
  readonly level: string
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
}

export interface Observed {
  /** Give it to the server. */
  readonly layer: Layer.Layer<never>
  /** Log events of every level, in order. */
  readonly logs: ReadonlyArray<LogEvent>
  readonly spans: ReadonlyArray<Tracer.NativeSpan>
  /** The counters of the library that are not zero: the name without its prefix, with the operation, the reason or the event if there is one. */
  readonly counters: () => Readonly<Record<string, number>>
  /** How many times were measured, by driver, operation and, if it failed, kind of failure. */
  readonly storeTimes: () => Readonly<Record<string, number>>
  /** All that was logged, and all that a span exports, as text. */
  readonly text: () => string
}

const prefix = "effect_session."

export const observe = (): Observed => {
  const logs: Array<LogEvent> = []
  const spans: Array<Tracer.NativeSpan> = []
  const texts: Array<string> = []
  const registry: Metric.MetricRegistry = new Map()

  const logger = Logger.make<unknown, void>((options) => {
    const { cause, fiber, logLevel, message } = options
    const annotations = fiber.getRef(References.CurrentLogAnnotations)
    logs.push({ level: logLevel, message: [message].flat().map(String).join(" "), annotations })
    texts.push(
      Logger.formatJson.log(options),
      Logger.formatLogFmt.log(options),
      inspect([message, annotations, cause], { depth: null }),
      Cause.pretty(cause)
    )
  })

  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })

  const exported = ({ attributes, events, name, status }: Tracer.NativeSpan) => [
    name,
    inspect([attributes, events], { depth: null }),
    status._tag === "Ended" && Exit.isFailure(status.exit) ? Cause.pretty(status.exit.cause) : ""
  ]

  const timeOf = (attributes: Readonly<Record<string, string>>) =>
    [`${prefix}driver`, `${prefix}operation`, "error.type"].flatMap((name) => attributes[name] ?? []).join(" ")

  const snapshot = () => Effect.runSync(Effect.provideService(Metric.snapshot, Metric.MetricRegistry, registry))

  return {
    layer: Layer.mergeAll(
      Logger.layer([logger]),
      Layer.succeed(References.MinimumLogLevel)("All"),
      Layer.succeed(Tracer.Tracer)(tracer),
      Layer.succeed(Metric.MetricRegistry)(registry)
    ),
    logs,
    spans,
    counters: () =>
      Object.fromEntries(
        snapshot().flatMap(({ attributes, id, state, type }) => {
          if (type !== "Counter" || !id.startsWith(prefix)) return []
          const kind = ["operation", "rejection", "event"].map((kind) => attributes?.[prefix + kind]).find(Boolean)
          const name = id.slice(prefix.length) + (kind === undefined ? "" : ` ${kind}`)
          return Number(state.count) === 0 ? [] : [[name, Number(state.count)]]
        })
      ),
    storeTimes: () =>
      Object.fromEntries(
        snapshot().flatMap(({ attributes, id, state, type }) =>
          type === "Histogram" && id === `${prefix}store.duration` && state.count > 0
            ? [[timeOf(attributes ?? {}), state.count]]
            : []
        )
      ),
    text: () => [...texts, ...spans.flatMap(exported)].join("\n")
  }
}
