/**
 * The Grafana dashboard in docs/grafana. `npm run docs:observability` writes it.
 */
import {
  TooltipDisplayMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder
} from "@grafana/grafana-foundation-sdk/common"
import { DashboardBuilder, DatasourceVariableBuilder } from "@grafana/grafana-foundation-sdk/dashboard"
import { DataqueryBuilder } from "@grafana/grafana-foundation-sdk/prometheus"
import { PanelBuilder } from "@grafana/grafana-foundation-sdk/timeseries"

interface Panel {
  readonly title: string
  readonly description: string
  /** In the ids of Grafana. */
  readonly unit: "ops" | "s" | "percentunit"
  /** What is asked of Prometheus, by the name in the legend; in braces stand labels. */
  readonly queries: Readonly<Record<string, string>>
}

const rate = (metric: string) => `rate(effect_session_${metric}[$__rate_interval])`

const quantile = (q: number) =>
  `histogram_quantile(${q}, sum by (le, effect_session_operation) (${rate("store_duration_seconds_bucket")}))`

const panels: ReadonlyArray<Panel> = [
  {
    title: "Sessions loaded and written",
    description: "Requests that asked the store for their session, and what the store has confirmed.",
    unit: "ops",
    queries: {
      load: `sum(${rate("loads_total")})`,
      "{{effect_session_operation}}": `sum by (effect_session_operation) (${rate("commits_total")})`
    }
  },
  {
    title: "Tokens that are no session",
    description:
      "By reason. \"expired\", \"unknown\" and \"superseded\" are everyday; \"tampered\" is an attack, or a secret " +
      "that not all servers have.",
    unit: "ops",
    queries: {
      "{{effect_session_rejection}}": `sum by (effect_session_rejection) (${rate("rejected_tokens_total")})`
    }
  },
  {
    title: "Share of loads that miss",
    description:
      "Of the tokens that clients present, those that are no session. A cookie that comes twice is not loaded.",
    unit: "percentunit",
    queries: {
      misses: `sum(${rate("rejected_tokens_total{effect_session_rejection!=\"duplicate\"}")}) / sum(${
        rate("loads_total")
      })`
    }
  },
  {
    title: "Store time, median",
    description: "Half of the operations take less, by operation. Those that failed count as well.",
    unit: "s",
    queries: { "{{effect_session_operation}}": quantile(0.5) }
  },
  {
    title: "Store time, 99th percentile",
    description: "One operation in a hundred takes longer, by operation. Time-outs are among them.",
    unit: "s",
    queries: { "{{effect_session_operation}}": quantile(0.99) }
  },
  {
    title: "Store failures",
    description: "Operations that failed, by kind. The requests were answered with 503, unless they only read.",
    unit: "ops",
    queries: {
      "{{effect_session_driver}} {{effect_session_operation}}: {{error_type}}":
        `sum by (effect_session_driver, effect_session_operation, error_type) (${
          rate("store_duration_seconds_count{error_type!=\"\"}")
        })`
    }
  },
  {
    title: "Conflicts and drops",
    description:
      "Commits retried because other requests committed first; requests whose changes were dropped because " +
      "the session was gone.",
    unit: "ops",
    queries: { conflicts: `sum(${rate("conflicts_total")})`, drops: `sum(${rate("drops_total")})` }
  },
  {
    title: "Sessions that can't be extended",
    description: "Requests that have read their session from a store that takes no writes. Nobody is logged out yet.",
    unit: "ops",
    queries: { "failed touches": `sum(${rate("failed_touches_total")})` }
  },
  {
    title: "Logins and logouts",
    description:
      "New ids, as at a login; sessions that the application has destroyed; sessions that were ended for their owner, " +
      "as on another device.",
    unit: "ops",
    queries: {
      "new ids": `sum(${rate("commits_total{effect_session_operation=\"regenerate\"}")})`,
      logouts: `sum(${rate("commits_total{effect_session_operation=\"destroy\"}")})`,
      "ended for the owner": `sum(${rate("revocations_total")})`
    }
  },
  {
    title: "What went missing",
    description:
      "Events that a subscriber of Sessions.events was too slow for, and lifetimes that the configuration has cut.",
    unit: "ops",
    queries: {
      "{{effect_session_event}}": `sum by (effect_session_event) (${rate("dropped_events_total")})`,
      "cut lifetimes": `sum(${rate("cut_lifetimes_total")})`
    }
  }
]

/** Grafana puts the first of them into the upper left; each row has three. */
const width = 8
const height = 8

const datasource = { type: "prometheus", uid: "${datasource}" }

const built = panels.reduce(
  (dashboard, { description, queries, title, unit }, index) =>
    dashboard.withPanel(
      Object.entries(queries).reduce(
        (panel, [legend, query], index) =>
          panel.withTarget(
            new DataqueryBuilder()
              .refId("ABC".charAt(index))
              .datasource(datasource)
              .expr(query)
              .legendFormat(legend)
              .range()
          ),
        new PanelBuilder()
          .title(title)
          .description(description)
          .datasource(datasource)
          .unit(unit)
          .min(0)
          .fillOpacity(10)
          .gridPos({ x: index % 3 * width, y: Math.floor(index / 3) * height, w: width, h: height })
          .legend(new VizLegendOptionsBuilder().showLegend(true))
          .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi))
      )
    ),
  new DashboardBuilder("effect-session")
    .uid("effect-session")
    .description(
      "Sessions of an Effect HTTP server: what is loaded and written, what is refused, and how the store does."
    )
    .tags(["effect-session"])
    .refresh("30s")
    .time({ from: "now-3h", to: "now" })
    .withVariable(new DatasourceVariableBuilder("datasource").label("Prometheus").type("prometheus"))
).build()

export const dashboard = `${JSON.stringify(built, undefined, 2)}\n`
