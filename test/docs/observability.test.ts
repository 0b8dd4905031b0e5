/**
 * docs/production/observability.md, its dashboard and its alerts name what the library exports, and nothing else: as Prometheus sees it,
 * whether it scrapes Effect's own endpoint or gets it by OTLP.
 */
import { assert, describe, it } from "@effect/vitest"
import { parser } from "@prometheus-io/lezer-promql"
import { Cause, Effect, Exit, Layer, Metric } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp, PrometheusMetrics } from "effect/observability"
import { readFileSync } from "node:fs"
import { prometheusName } from "../../examples/opentelemetry/telemetry.ts"
import { dashboard } from "../../scripts/dashboard.ts"
import * as Observability from "../../src/internal/request/observability.ts"
import { fieldsOf, startCollector } from "../support/otlp.ts"
import { shared } from "../support/redisServer.ts"
import { assertWritten } from "../support/written.ts"

const textOf = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

const page = textOf("docs/production/observability.md")

// -----------------------------------------------------------------------------
// what the library exports
// -----------------------------------------------------------------------------

/** Whatever can happen, once. */
const everything = Effect.withFiber<void>((fiber) => {
  const { conflicts, droppedEvents, failedTouches, loads, rejections, revocations } = Observability
  const counters = [loads, conflicts, failedTouches, revocations, ...Object.values({ ...rejections, ...droppedEvents })]
  counters.forEach((counter) => Observability.count(counter, fiber))
  for (const time of Object.values(Observability.storeTimes("memory"))) {
    Observability.took(time, performance.now(), fiber, Exit.void)
    Observability.took(time, performance.now(), fiber, Exit.failCause(Cause.die("broken")))
  }
  return Effect.andThen(
    Effect.forEach(
      ["create", "update", "touch", "regenerate", "destroy", "drop"] as const,
      (what) => Observability.happened(what, undefined, fiber)
    ),
    Observability.lifetimeCut(undefined, { age: 2 }, { age: 1 })
  )
})

interface Exported {
  readonly unit: string
  readonly labels: ReadonlySet<string>
}

/** By OTLP: each metric with its unit and its attributes. */
const overOtlp = shared(Effect.gen(function*() {
  const collector = yield* startCollector
  yield* Effect.scoped(
    Effect.andThen(
      Layer.build(
        Layer.provide(
          Otlp.layerJson({ baseUrl: collector.url, resource: { serviceName: "test" } }),
          FetchHttpClient.layer
        )
      ),
      everything
    )
  ).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))
  return new Map(
    collector.metrics().flatMap(({ histogram, name, sum, unit }): ReadonlyArray<[string, Exported]> => {
      const names = (sum ?? histogram)!.dataPoints.flatMap((point) => Object.keys(fieldsOf(point)))
      return name.startsWith("effect_session") ? [[name, { unit, labels: new Set(names) }]] : []
    })
  )
}))

/** What Prometheus makes of a metric that comes by OTLP. */
const translated = (name: string, { labels, unit }: Exported): ReadonlyArray<[string, ReadonlySet<string>]> => {
  const escaped = (text: string) => text.replaceAll(/[^a-zA-Z0-9_]/g, "_")
  const own = new Set([...labels].map(escaped))
  return unit === "s"
    ? ["bucket", "sum", "count"].map((part) => [
      `${escaped(name)}_seconds_${part}`,
      part === "bucket" ? new Set([...own, "le"]) : own
    ])
    : [[`${escaped(name)}_total`, own]]
}

/** What Prometheus scrapes: each series with its labels. */
const scraped = Effect.andThen(everything, PrometheusMetrics.format({ metricNameMapper: prometheusName })).pipe(
  Effect.provideService(Metric.MetricRegistry, new Map()),
  Effect.map((text) => {
    const found = new Map<string, Set<string>>()
    for (const [, name, labels = ""] of text.matchAll(/^(effect_session\w*)(?:\{(.*)\})? /gm)) {
      const known = found.get(name!) ?? new Set()
      for (const [, label] of labels.matchAll(/(\w+)="/g)) known.add(label!)
      found.set(name!, known)
    }
    return found
  })
)

// -----------------------------------------------------------------------------
// what is asked
// -----------------------------------------------------------------------------

interface Selector {
  readonly metric: string
  readonly labels: ReadonlyArray<string>
}

interface Asked {
  readonly query: string
  readonly selectors: ReadonlyArray<Selector>
  /** The labels that the results are grouped by. */
  readonly grouped: ReadonlyArray<string>
  readonly isSyntax: boolean
}

const parsed = (query: string): Asked => {
  const text = query.replaceAll("$__rate_interval", "5m")
  const selectors: Array<{ readonly metric: string; readonly labels: Array<string> }> = []
  const grouped: Array<string> = []
  let isSyntax = true
  parser.parse(text).iterate({
    enter: ({ from, name, node, to, type }) => {
      if (type.isError) isSyntax = false
      const found = text.slice(from, to)
      if (name === "Identifier" && node.parent?.name === "VectorSelector") selectors.push({ metric: found, labels: [] })
      if (name === "LabelName" && node.parent?.name === "GroupingLabels") grouped.push(found)
      if (name === "LabelName" && node.parent?.name === "UnquotedLabelMatcher") selectors.at(-1)!.labels.push(found)
    }
  })
  return { query, selectors, grouped, isSyntax }
}

const inDashboard = [...dashboard.matchAll(/"expr": (".*")/g)].map(([, text]) => JSON.parse(text!) as string)

const inAlerts = [...page.matchAll(/^ +expr: (?:>-\n)?((?:.*\n)+?)(?= +for:| +#| +- alert|```)/gm)].map(([, text]) =>
  text!.replaceAll(/\s+/g, " ").trim()
)

const queries = [...inDashboard, ...inAlerts].map(parsed)

const assertIsExported = ({ grouped, selectors }: Asked, exported: ReadonlyMap<string, ReadonlySet<string>>) => {
  assert.isNotEmpty(selectors)
  for (const { labels, metric } of selectors) {
    assert.include([...exported.keys()], metric)
    for (const label of [...labels, ...grouped]) assert.include([...exported.get(metric)!], label, metric)
  }
}

describe("the table of metrics", () => {
  it("has each metric with its unit and its attributes", () => {
    const rows = [...page.matchAll(/^\| `(effect_session\.[\w.]+)` +\| `(.+?)` +\|(.*?)\|/gm)].map((
      [, name, unit, by]
    ) => [
      name,
      unit,
      [...by!.matchAll(/`([\w.]+)`/g)].map(([, label]) => label).toSorted()
    ])
    const exported = [...overOtlp()].map(([name, { labels, unit }]) => [
      name,
      unit,
      [...labels].filter((label) => label !== "unit").toSorted()
    ])
    assert.deepStrictEqual(rows.toSorted(), exported.toSorted())
  })

  it("knows all that there are in the source", () => {
    const source = textOf("src/internal/request/observability.ts")
    const counters = [...source.matchAll(/\bcounter\(\s*"(\w+)"/g)].map(([, name]) => `effect_session.${name}`)
    assert.isAbove(counters.length, 8)
    const exported = [...overOtlp().keys()]
    assert.deepStrictEqual(
      [...new Set(counters), "effect_session.store.duration"].toSorted(),
      exported.toSorted()
    )
  })

  it.effect("is right about how many counters there can be", () =>
    Effect.gen(function*() {
      const registry: Metric.MetricRegistry = new Map()
      yield* Effect.provideService(everything, Metric.MetricRegistry, registry)
      const counters = [...registry.values()].filter(({ id, type }) =>
        type === "Counter" && id.startsWith("effect_session")
      )
      assert.include(page, `at most ${counters.length} counters`)
    }))

  it("is followed by the events that are logged, each with its attributes", () => {
    const source = ["request/observability.ts", "request/loading.ts", "http/log.ts"].map((file) =>
      textOf(`src/internal/${file}`)
    )
    const events = [...page.matchAll(/^\| `(Sessions? .+?)` +\|/gm)].map(([, event]) => event!)
    assert.lengthOf(events, 9)
    for (const event of events) assert.include(source.join(), `"${event}"`)
  })
})

describe("the dashboard", () => {
  it("is as scripts/dashboard.ts has it", () => {
    assertWritten("docs/grafana/effect-session.json", dashboard)
  })

  it("asks for every metric, so that nothing happens unseen", () => {
    const asked = new Set(inDashboard.flatMap((query) => parsed(query).selectors.map(({ metric }) => metric)))
    assert.deepStrictEqual(
      [...asked].map((metric) => metric.replace(/_bucket$|_count$/, "")).filter((one, index, all) =>
        all.indexOf(one) === index
      )
        .toSorted(),
      [
        "commits_total",
        "conflicts_total",
        "cut_lifetimes_total",
        "dropped_events_total",
        "drops_total",
        "failed_touches_total",
        "loads_total",
        "rejected_tokens_total",
        "revocations_total",
        "store_duration_seconds"
      ].map((name) => `effect_session_${name}`)
    )
  })

  it("has a data source of its user's choice in each query, and a name for each line", () => {
    const { panels } = JSON.parse(dashboard) as {
      readonly panels: ReadonlyArray<{
        readonly targets: ReadonlyArray<
          { readonly refId: string; readonly datasource: { readonly uid: string }; readonly legendFormat: string }
        >
      }>
    }
    assert.lengthOf(panels, 10)
    for (const { targets } of panels) {
      assert.strictEqual(new Set(targets.map(({ refId }) => refId)).size, targets.length)
      for (const { datasource, legendFormat } of targets) {
        assert.strictEqual(datasource.uid, "${datasource}")
        assert.isNotEmpty(legendFormat)
      }
    }
  })
})

describe("what the dashboard and the alerts ask", () => {
  it("is found", () => {
    assert.isAtLeast(inDashboard.length, 14)
    assert.lengthOf(inAlerts, 6)
  })

  it.each(queries)("is PromQL: $query", ({ isSyntax }) => {
    assert.isTrue(isSyntax)
  })

  it.effect.each(queries)(
    "is there where Prometheus scrapes: $query",
    (asked) => Effect.map(scraped, (exported) => assertIsExported(asked, exported))
  )

  it.each(queries)("is there where Prometheus gets metrics by OTLP: $query", (asked) => {
    assertIsExported(asked, new Map([...overOtlp()].flatMap(([name, one]) => translated(name, one))))
  })

  it("would not be, if a name were wrong", () => {
    const exported = new Map([["effect_session_loads_total", new Set(["known"])]])
    assert.doesNotThrow(() => assertIsExported(parsed("rate(effect_session_loads_total{known=\"1\"}[5m])"), exported))
    assert.throws(() => assertIsExported(parsed("rate(effect_session_load_total[5m])"), exported))
    assert.throws(() => assertIsExported(parsed("sum by (unknown) (rate(effect_session_loads_total[5m]))"), exported))
    assert.throws(() => assertIsExported(parsed("rate(effect_session_loads_total{unknown=\"1\"}[5m])"), exported))
    assert.isFalse(parsed("sum(rate(effect_session_loads_total[5m])").isSyntax)
  })
})
