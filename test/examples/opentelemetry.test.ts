/**
 * The example with OpenTelemetry, started as its users start it, with a database and a collector of the test's own. What the
 * collector got is what docs/production/observability.md shows.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { toMetrics, toTrace } from "../../scripts/pictures.ts"
import { secret } from "../support/config.ts"
import { startExample } from "../support/exampleProcess.ts"
import { fieldsOf, type Log, type Point, type Span, startCollector } from "../support/otlp.ts"
import { startPostgres } from "../support/postgresServer.ts"
import { shared } from "../support/redisServer.ts"
import { type Answer, clientOf, cookieOf, type Sent } from "../support/server.ts"
import { assertWritten } from "../support/written.ts"

const user = "ada.lovelace@analytical.example"
const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/** What somebody does who has the cookie, or not quite; the database goes away at last. */
const run = shared(Effect.gen(function*() {
  const postgres = yield* startPostgres()
  const collector = yield* startCollector
  const example = yield* startExample("examples/opentelemetry/main.ts", {
    DATABASE_URL: `postgres://postgres@127.0.0.1:${postgres.port}/postgres`,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    SESSION_SECRET: secret
  })
  const client = clientOf(example.url)
  const answers: Array<Answer> = []
  const ask = (method: string, path: string, sent?: Sent) =>
    Effect.tap(client.send(method, path, sent), (answer) => Effect.sync(() => answers.push(answer)))
  const login = (cookie?: string) =>
    ask("POST", "/login", {
      cookie,
      body: new URLSearchParams({ user }).toString(),
      headers: { "content-type": "application/x-www-form-urlencoded" }
    })

  const visitor = cookieOf(yield* ask("POST", "/cart"))
  const elsewhere = cookieOf(yield* login())
  const cookie = cookieOf(yield* login(visitor))
  for (let time = 0; time < 20; time++) yield* ask("GET", "/cart", { cookie })
  for (let time = 0; time < 5; time++) yield* ask("POST", "/cart", { cookie })
  yield* ask("POST", "/logout-elsewhere", { cookie })
  yield* ask("GET", "/cart", { cookie, headers: { traceparent } })
  const [name, token] = cookie.split("=", 2) as [string, string]
  const tampered = `${name}=${token.replace(/.{4}$/, (end) => end === "AAAA" ? "BBBA" : "AAAA")}`
  for (const no of [visitor, elsewhere, `${name}=made-up`, tampered, `${visitor}; ${cookie}`]) {
    yield* ask("GET", "/cart", { cookie: no })
  }
  const leaving = cookieOf(yield* login())
  yield* ask("POST", "/logout", { cookie: leaving })
  const { body: prometheus } = yield* ask("GET", "/metrics")
  yield* postgres.kill
  const { status: withoutDatabase } = yield* ask("POST", "/cart", { cookie })
  yield* example.stop
  return { collector, answers, prometheus, withoutDatabase }
}))

// -----------------------------------------------------------------------------
// what was exported
// -----------------------------------------------------------------------------

const tracesOf = (path: string): ReadonlyArray<ReadonlyArray<Span>> => {
  const { spans } = run().collector
  return spans
    .filter((span) => fieldsOf(span)["http.route"] === path)
    .map(({ traceId }) => spans.filter((span) => span.traceId === traceId))
}

/** Each span with its parent's name. */
const nesting = (spans: ReadonlyArray<Span>): ReadonlyArray<string> =>
  spans
    .toSorted((one, other) => Number(BigInt(one.startTimeUnixNano) - BigInt(other.startTimeUnixNano)))
    .map(({ name, parentSpanId }) => {
      const parent = spans.find(({ spanId }) => spanId === parentSpanId)
      return parent === undefined ? name : `${parent.name} > ${name}`
    })

/** The trace of the login that had a cart already. */
const login = () => tracesOf("/login").find((spans) => spans.some(({ name }) => name === "Session.load"))!

const own = <A extends { readonly attributes: Span["attributes"] }>(one: A) =>
  Object.fromEntries(
    Object.entries(fieldsOf(one)).filter(([name]) => name.startsWith("effect_session.") || name.startsWith("error."))
  )

const logs = (message: string): ReadonlyArray<Log> =>
  run().collector.logs.filter(({ body }) => Object.values(body)[0] === message)

const points = (): ReadonlyArray<{ readonly name: string; readonly unit: string; readonly point: Point }> =>
  run().collector.metrics().flatMap(({ histogram, name, sum, unit }) =>
    (sum ?? histogram)!.dataPoints.map((point) => ({ name, unit, point }))
  )

const valueOf = ({ asDouble, asInt, count }: Point) => Number(count ?? asDouble ?? asInt)

describe("the spans of a request", () => {
  it("are one trace: the request, below it the session, below that the database", () => {
    assert.deepStrictEqual(nesting(login()), [
      "POST",
      "POST > Session.load",
      "Session.load > postgres",
      "POST > postgres", // the owner's index
      "POST > Session.commit",
      "Session.commit > postgres"
    ])
  })

  it("carry the driver, the operation and the handle of the session", () => {
    const [load, commit] = ["Session.load", "Session.commit"].map((wanted) =>
      own(login().find(({ name }) => name === wanted)!)
    )
    assert.match(String(load!["effect_session.handle"]), /^[A-Za-z0-9_-]{16}$/)
    assert.notStrictEqual(load!["effect_session.handle"], commit!["effect_session.handle"])
    const handle = "effect_session.handle"
    assert.deepStrictEqual([{ ...load, [handle]: "" }, { ...commit, [handle]: "" }], [
      { "effect_session.driver": "sql", "effect_session.operation": "load", [handle]: "" },
      { "effect_session.driver": "sql", "effect_session.operation": "regenerate", [handle]: "" }
    ])
  })

  it("belong to the trace of who called", () => {
    const [, traceId, parent] = traceparent.split("-")
    const spans = run().collector.spans.filter((span) => span.traceId === traceId)
    assert.deepStrictEqual(nesting(spans), ["GET", "GET > Session.load", "Session.load > postgres"])
    assert.strictEqual(spans.find(({ name }) => name === "GET")!.parentSpanId, parent)
  })

  it("say why a token is no session; a cookie that comes twice is not even loaded", () => {
    const rejections = tracesOf("/cart").flat().flatMap((span) => {
      const rejection = fieldsOf(span)["effect_session.rejection"]
      return rejection === undefined ? [] : [`${span.name} ${rejection}`]
    })
    assert.deepStrictEqual(rejections.toSorted(), [
      "GET duplicate",
      "Session.load malformed",
      "Session.load superseded",
      "Session.load tampered",
      "Session.load unknown"
    ])
  })

  it("fail where the store does, with the kind of error", () => {
    assert.strictEqual(run().withoutDatabase, 503)
    const failed = run().collector.spans.filter(({ status }) => status.code === 2)
    assert.deepStrictEqual(nesting(failed), ["POST", "POST > Session.load", "Session.load > postgres"])
    assert.deepStrictEqual(own(failed.find(({ name }) => name === "Session.load")!), {
      "effect_session.driver": "sql",
      "effect_session.operation": "load",
      "error.type": "SessionStoreError"
    })
  })
})

describe("the logs of a request", () => {
  it("belong to its trace, and name the session as its spans do", () => {
    const [commit] = login().filter(({ name }) => name === "Session.commit")
    const [log] = logs("Session regenerated").filter(({ traceId }) => traceId === commit!.traceId)
    assert.deepStrictEqual(own(log!), { "effect_session.handle": fieldsOf(commit!)["effect_session.handle"] })
    assert.include(login().map(({ spanId }) => spanId), log!.spanId)
  })

  it("are part of a trace, each that is about a session", () => {
    const traces = new Set(run().collector.spans.map(({ traceId }) => traceId))
    const about = run().collector.logs.filter(({ body }) => String(Object.values(body)[0]).startsWith("Session"))
    assert.isAbove(about.length, 8)
    for (const { traceId } of about) assert.isTrue(traces.has(traceId!))
  })

  it("say why a token is no session; a tampered one is a warning", () => {
    const levels = logs("Session token rejected").map((log) =>
      `${log.severityText} ${own(log)["effect_session.rejection"]}`
    )
    assert.deepStrictEqual(levels.toSorted(), [
      "Debug duplicate",
      "Debug malformed",
      "Debug superseded",
      "Debug unknown",
      "Warn tampered"
    ])
  })
})

describe("the metrics", () => {
  it("count what happened", () => {
    const counted = points().filter(({ point }) => point.bucketCounts === undefined).map(({ name, point, unit }) =>
      [name, ...Object.values(own(point)), valueOf(point), unit].join(" ")
    )
    assert.deepStrictEqual(counted.toSorted(), [
      "effect_session.commits create 3 {commit}",
      "effect_session.commits destroy 1 {commit}",
      "effect_session.commits regenerate 1 {commit}",
      "effect_session.commits update 5 {commit}",
      "effect_session.loads 34 {load}",
      "effect_session.rejected_tokens duplicate 1 {token}",
      "effect_session.rejected_tokens malformed 1 {token}",
      "effect_session.rejected_tokens superseded 1 {token}",
      "effect_session.rejected_tokens tampered 1 {token}",
      "effect_session.rejected_tokens unknown 1 {token}",
      "effect_session.revocations 1 {session}"
    ])
  })

  it("measure the store in seconds, and failures apart", () => {
    const measured = points().filter(({ point }) => point.bucketCounts !== undefined)
    assert.deepStrictEqual(
      Object.fromEntries(
        measured.map(({ name, point, unit }) => [[name, unit, ...Object.values(own(point))].join(" "), valueOf(point)])
      ),
      {
        "effect_session.store.duration s sql create": 3,
        "effect_session.store.duration s sql load": 33,
        "effect_session.store.duration s sql load SessionStoreError": 1,
        "effect_session.store.duration s sql regenerate": 1,
        "effect_session.store.duration s sql update": 5,
        "effect_session.store.duration s sql destroy": 1
      }
    )
    const [loads] = measured.filter(({ point }) => valueOf(point) === 33)
    assert.isBelow(loads!.point.sum! / 33, 5, "seconds, not milliseconds")
    assert.include(loads!.point.explicitBounds!, 5, "the time limit is one of the bounds")
  })

  it("are the same where Prometheus scrapes them", () => {
    const { prometheus } = run()
    for (const { name, point } of points().filter(({ point }) => own(point)["error.type"] === undefined)) {
      const values = Object.entries(own(point)).map(([name, value]) => `${name.replaceAll(".", "_")}="${value}"`)
      const labels = values.length === 0 ? "" : `{${values.join(",")}}`
      const metric = name.replaceAll(".", "_")
      // The last request came after Prometheus did.
      const value = name === "effect_session.loads" ? valueOf(point) - 1 : valueOf(point)
      const series = point.bucketCounts === undefined ? `${metric}_total${labels}` : `${metric}_seconds_count${labels}`
      assert.include(prometheus, `\n${series} ${value}\n`)
    }
  })
})

describe("in all that was exported,", () => {
  it("there is no token, id, secret, cookie or owner", () => {
    const { answers, collector } = run()
    const exported = collector.text()
    const cookies = answers.flatMap(cookieOf).filter((cookie) => cookie !== "")
    assert.isAtLeast(new Set(cookies).size, 4)
    const parts = cookies.flatMap((cookie) => decodeURIComponent(cookie.slice(cookie.indexOf("=") + 1)).split("."))
    const secrets = [...parts.filter((part) => part.length >= 16), secret, user, encodeURIComponent(user)]
    assert.isAtLeast(secrets.length, 11)
    for (const secret of secrets) assert.notInclude(exported, secret)
    assert.notInclude(exported, "session.id")
    // Were they exported, this is where they would be found.
    assert.include(
      exported,
      String(fieldsOf(login().find(({ name }) => name === "Session.load")!)["effect_session.handle"])
    )
  })

  it("each attribute of a metric has one of a few values, whoever comes", () => {
    const values: Record<string, ReadonlyArray<string>> = {
      "effect_session.driver": ["sql"],
      "effect_session.operation": ["load", "create", "update", "touch", "regenerate", "destroy"],
      "effect_session.rejection": ["malformed", "tampered", "unknown", "expired", "superseded", "duplicate"],
      "error.type": ["SessionStoreError", "SessionTooLargeError", "interrupted", "_OTHER"],
      unit: ["s", "{commit}", "{load}", "{session}", "{token}"]
    }
    for (const { point } of points()) {
      for (const [name, value] of Object.entries(fieldsOf(point))) {
        assert.include(values[name] ?? [], value as string, name)
      }
    }
  })
})

describe("the pictures in the documentation", () => {
  // Each run has times and ids of its own.
  const shape = (picture: string) =>
    picture
      .replaceAll(/effect_session\.handle=[\w-]{16}/g, "handle")
      .replaceAll(/<line[^>]*>/g, "")
      .replaceAll(/\d+(\.\d+)?/g, "0")

  it("show the login as it is", () => {
    assertWritten("docs/production/trace.svg", toTrace("The trace of a login, POST /login", login()), shape)
  })

  it("show the counters as they are", () => {
    const withoutTimes = (picture: string) =>
      picture.replaceAll(/<svg[^>]*>/g, "").replaceAll(/<rect[^>]*>(<text[^>]*text-anchor="middle">\d+<\/text>)?/g, "")
        .replaceAll(/<text[^>]*text-anchor="middle">\d+<\/text>/g, "").replaceAll(/\n+/g, "\n")
    assertWritten(
      "docs/production/metrics.svg",
      toMetrics("The metrics of a few requests", run().collector.metrics()),
      withoutTimes
    )
  })
})
