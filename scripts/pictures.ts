/**
 * The pictures of docs/production/observability.md, drawn from what an OpenTelemetry collector got from examples/opentelemetry.
 * `npm run docs:observability` draws them.
 */
import { fieldsOf, type Metric, type Point, type Span } from "../test/support/otlp.ts"

const width = 960

/** Readable on a light page and on a dark one; the text can be selected. */
const svg = (height: number, title: string, content: ReadonlyArray<string>): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="${escape(title)}">`,
    `<style>
  .page { fill: #ffffff } .text { fill: #1f2328 } .faint { fill: #59636e } .line { stroke: #d1d9e0 }
  .http { fill: #0969da } .session { fill: #1a7f37 } .store { fill: #9a6700 } .error { fill: #cf222e }
  .code { font-family: ui-monospace, monospace; font-size: 11px }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .text { fill: #f0f6fc } .faint { fill: #9198a1 } .line { stroke: #3d444d }
    .http { fill: #4493f8 } .session { fill: #3fb950 } .store { fill: #d29922 } .error { fill: #f85149 }
  }
</style>`,
    `<rect class="page" width="${width}" height="${height}"/>`,
    `<text class="text" x="16" y="24" font-size="15" font-weight="600">${escape(title)}</text>`,
    ...content,
    "</svg>",
    ""
  ].join("\n")

const text = (x: number, y: number, kind: string, content: string, more = "") =>
  `<text class="${kind}" x="${x.toFixed(1)}" y="${y}"${more}>${escape(content)}</text>`

const atEnd = " text-anchor=\"end\""

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("\"", "&quot;")

// -----------------------------------------------------------------------------
// the trace of a request
// -----------------------------------------------------------------------------

const left = 250
const right = 24
const rowHeight = 46

/** What is worth showing of a span, in this order. */
const shown = [
  "http.route",
  "http.response.status_code",
  "effect_session.driver",
  "effect_session.operation",
  "effect_session.handle",
  "db.system.name",
  "db.query.text"
]

/** The spans of a trace one below the other, each as long as it took, with their attributes and the logs of their time. */
export const toTrace = (title: string, spans: ReadonlyArray<Span>): string => {
  const root = spans.find(({ parentSpanId }) => parentSpanId === undefined)!
  const start = BigInt(root.startTimeUnixNano)
  const at = (time: string) => Number(BigInt(time) - start) / 1e6
  const x = (milliseconds: number) => left + milliseconds / at(root.endTimeUnixNano) * (width - left - right)
  const rows = below(root, spans, 0)
  return svg(56 + rows.length * rowHeight, title, [
    ...axis(at(root.endTimeUnixNano), x, 56 + rows.length * rowHeight),
    ...rows.flatMap(({ depth, span }, index) => {
      const y = 60 + index * rowHeight
      const begin = at(span.startTimeUnixNano)
      const end = at(span.endTimeUnixNano)
      const fields = fieldsOf(span)
      const attributes = shown.flatMap((name) => fields[name] === undefined ? [] : `${name}=${fields[name]}`).join("  ")
      return [
        text(16 + depth * 16, y + 12, "text", span.name, " font-weight=\"600\""),
        text(left - 12, y + 12, "faint", `${(end - begin).toFixed(1)} ms`, atEnd),
        `<rect class="${kindOf(span)}" x="${x(begin).toFixed(1)}" y="${y}" width="${
          Math.max(2, x(end) - x(begin)).toFixed(1)
        }" height="14" rx="2"/>`,
        text(16 + depth * 16, y + 30, "faint code", shortened(attributes))
      ]
    })
  ])
}

const shortened = (text: string) => text.length > 132 ? `${text.slice(0, 131)}…` : text

const kindOf = ({ name }: Span): string =>
  name.startsWith("Session.") ? "session" : name === "postgres" ? "store" : "http"

/** A span and all below it, each after its parent, in the order in which they began. */
const below = (
  span: Span,
  spans: ReadonlyArray<Span>,
  depth: number
): ReadonlyArray<{ readonly span: Span; readonly depth: number }> => [
  { span, depth },
  ...spans
    .filter(({ parentSpanId }) => parentSpanId === span.spanId)
    .toSorted((one, other) => Number(BigInt(one.startTimeUnixNano) - BigInt(other.startTimeUnixNano)))
    .flatMap((child) => below(child, spans, depth + 1))
]

const axis = (total: number, x: (milliseconds: number) => number, height: number): ReadonlyArray<string> =>
  [0, 0.25, 0.5, 0.75, 1].flatMap((part) => [
    `<line class="line" x1="${x(part * total).toFixed(1)}" x2="${x(part * total).toFixed(1)}" y1="52" y2="${
      height - 12
    }"/>`,
    text(x(part * total), 46, "faint", `${(part * total).toFixed(1)} ms`, part === 0 ? "" : atEnd)
  ])

// -----------------------------------------------------------------------------
// metrics
// -----------------------------------------------------------------------------

const lineHeight = 20
const heat = { left: 660, cell: 17 }

/** The counters with their values, and beside them how many operations of the store took how long. */
export const toMetrics = (title: string, metrics: ReadonlyArray<Metric>): string => {
  const counters = metrics
    .flatMap(({ name, sum, unit }) => (sum?.dataPoints ?? []).map((point) => ({ name, unit, point })))
    .toSorted((one, other) => key(one).localeCompare(key(other)))
  const durations = metrics.find(({ name }) => name === "effect_session.store.duration")!.histogram!.dataPoints
  const bounds = durations[0]!.explicitBounds!
  const column = (index: number) => heat.left + index * heat.cell
  const height = 60 + lineHeight * (Math.max(counters.length, durations.length + 3) + 1)
  return svg(height, title, [
    ...counters.flatMap(({ name, point, unit }, index) => {
      const y = 60 + index * lineHeight
      return [
        text(16, y, "text code", name),
        text(240, y, "faint code", labelsOf(point)),
        text(440, y, "text code", `${point.asDouble ?? point.asInt} ${unit}`, atEnd)
      ]
    }),
    text(heat.left - 8, 40, "text code", "effect_session.store.duration, s", atEnd),
    ...durations.flatMap((point, row) => {
      const y = 60 + row * lineHeight
      const most = Math.max(...point.bucketCounts!.map(Number))
      return [
        text(heat.left - 8, y, "faint code", labelsOf(point), atEnd),
        ...point.bucketCounts!.flatMap((count, index) =>
          Number(count) === 0 ? [] : [
            `<rect class="${"error.type" in fieldsOf(point) ? "error" : "session"}" x="${column(index)}" y="${
              y - 13
            }" width="${heat.cell - 2}" height="16" opacity="${(0.2 + 0.4 * Number(count) / most).toFixed(2)}"/>`,
            text(column(index) + heat.cell / 2 - 1, y - 1, "text code", String(count), " text-anchor=\"middle\"")
          ]
        )
      ]
    }),
    ...bounds.flatMap((bound, index) =>
      index % 3 === 0
        ? [
          text(
            column(index) + 8,
            64 + durations.length * lineHeight,
            "faint code",
            `≤${bound}`,
            " text-anchor=\"middle\""
          )
        ]
        : []
    )
  ])
}

const key = ({ name, point }: { readonly name: string; readonly point: Point }) => `${name} ${labelsOf(point)}`

/** What tells a series from the others of its metric. */
const labelsOf = (point: Point): string =>
  Object.entries(fieldsOf(point)).flatMap(([name, value]) =>
    ["unit", "effect_session.driver"].includes(name) ? [] : value
  )
    .join(" ")
