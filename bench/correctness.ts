/**
 * Who loses what: where requests of one session meet, where Redis fails, and where a session is too large for its cookie.
 *
 * Every case has a server and a Redis of its own, and real requests with cookies. What is in the tables was seen in this
 * run. A {@link Found} is marked if a user has lost something: a change that was confirmed, the session, the logout, or
 * the way in; or waits for an answer in vain.
 */
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { createClient } from "redis"
import { type Answer, type Jar, largestCookie, patience, sizeOf, visit } from "./browser.ts"
import { type Candidate, candidates as allCandidates } from "./candidates.ts"
import { type Running, type RunningRedis, startCandidate, startRedis } from "./processes.ts"
import { median } from "./speed.ts"
import { toTable } from "./table.ts"

/** What a case has shown. */
export interface Found {
  /** In a few words. */
  readonly text: string
  readonly isLoss: boolean
  /** All that was seen. */
  readonly details: unknown
}

/** What the cases have shown of one candidate, by their names; those that don't concern it are missing. */
export interface Findings {
  readonly candidate: string
  readonly kind: Candidate["kind"]
  readonly cases: Readonly<Record<string, Found>>
  /** The cases after which the server's process was no more. */
  readonly crashes: ReadonlyArray<string>
}

const kept = (text: string, details: unknown = {}): Found => ({ text, isLoss: false, details })
const lost = (text: string, details: unknown = {}): Found => ({ text, isLoss: true, details })

interface Setting {
  readonly server: Running
  readonly redis: RunningRedis
  /** A command to Redis, past the server. */
  readonly command: <A>(...parameters: ReadonlyArray<string>) => Promise<A>
  /** Redis as it was, on the same data, after it was killed. */
  readonly startAgain: () => Promise<void>
}

type Cases = Readonly<Record<string, Found>>

// -----------------------------------------------------------------------------
// where requests of one session meet
// -----------------------------------------------------------------------------

const parallel = 200
const runs = 5

const login = async ({ server }: Setting, user: string): Promise<Jar> => {
  const jar: Jar = new Map()
  const { status } = await visit(server.port, `/scenarios/login?user=${user}`, jar)
  if (status !== 200) throw new Error(`The login was answered with ${status}`)
  return jar
}

type Content = Readonly<Record<string, unknown>>

/** What is in the session of these cookies; nothing if the server does not say. */
const contentOf = async ({ server }: Setting, jar: Jar, limit?: number): Promise<Content | undefined> => {
  const { body, status } = await visit(server.port, "/scenarios/all", new Map(jar), limit)
  return status === 200 ? JSON.parse(body) as Content : undefined
}

/** Requests of one session, all at once; and how many of them are in it afterwards. */
const allAtOnce = async (setting: Setting, path: string, count: (content: Content) => number): Promise<Found> => {
  const counts: Array<number> = []
  for (let run = 0; run < runs; run++) {
    const jar = await login(setting, "ada")
    const requests = Array.from(
      { length: parallel },
      (_, index) => visit(setting.server.port, path.replace("*", String(index)), new Map(jar), 2 * patience)
    )
    const answers = await Promise.all(requests)
    if (answers.some(({ status }) => status !== 200)) throw new Error(`Not every ${path} was answered`)
    counts.push(count((await contentOf(setting, jar))!))
  }
  const middle = median(counts)
  return (middle === parallel ? kept : lost)(`${middle} of ${parallel}`, { counts })
}

const changes = (setting: Setting) =>
  allAtOnce(
    setting,
    "/scenarios/put?work=50&key=key*",
    (content) => Object.keys(content).filter((key) => /^key\d/.test(key)).length
  )

const increments = (setting: Setting) =>
  allAtOnce(setting, "/scenarios/increment?work=50", ({ count }) => Number(count))

/** Each reads a list, appends to it, and writes it back. */
const appended = (setting: Setting) =>
  allAtOnce(
    setting,
    "/scenarios/append?work=50&value=entry*",
    ({ list }) => new Set(list as ReadonlyArray<string>).size
  )

const slowly = {
  read: "/scenarios/read?work=400",
  write: "/scenarios/put?work=400&key=late"
}

/** The other request comes and is answered while the slow one is on its way; one jar has the cookies of both. */
const meanwhile = async (
  { server }: Setting,
  jar: Jar,
  slow: string,
  other: string
): Promise<ReadonlyArray<Answer>> => {
  const slowAnswer = visit(server.port, slow, jar)
  await sleep(150)
  const otherAnswer = await visit(server.port, other, jar)
  return [await slowAnswer, otherAnswer]
}

const logout = async (setting: Setting, kind: keyof typeof slowly): Promise<Found> => {
  const jar = await login(setting, "ada")
  const copy = new Map(jar)
  const answers = await meanwhile(setting, jar, slowly[kind], "/scenarios/logout")
  const ofOldCookie = await contentOf(setting, copy)
  const ofBrowser = await contentOf(setting, jar)
  const details = { answers, ofOldCookie, ofBrowser }
  if (ofOldCookie?.["user"] === "ada") return lost("back, logged in", details)
  return ofBrowser?.["user"] === "ada" ? lost("browser logged in again", details) : kept("stays out", details)
}

const regeneration = async (setting: Setting, kind: keyof typeof slowly): Promise<Cases> => {
  const jar = await login(setting, "ada")
  const copy = new Map(jar)
  const answers = await meanwhile(setting, jar, slowly[kind], "/scenarios/login?user=ada-again")
  const ofOldCookie = await contentOf(setting, copy)
  const ofBrowser = await contentOf(setting, jar)
  const details = { answers, ofOldCookie, ofBrowser }
  const user = ofBrowser?.["user"]
  return {
    [`login, slow ${kind}: old id`]: ofOldCookie?.["user"] === undefined
      ? kept("dead", details)
      : lost("alive", details),
    [`login, slow ${kind}: browser`]: user === "ada-again"
      ? kept("the new one", details)
      : lost(user === "ada" ? "the old one" : "none", details),
    ...kind === "write" && {
      "login, slow write: change": ofBrowser?.["late"] === undefined ? lost("lost", details) : kept("kept", details)
    }
  }
}

/** The form is sent again before there was an answer, which then is lost; or both answers come. */
const loginTwice = async (setting: Setting, isAtOnce: boolean): Promise<Found> => {
  const { port } = setting.server
  const jar: Jar = new Map()
  await visit(port, "/scenarios/put?key=before", jar)
  const send = (jar: Jar) => visit(port, "/scenarios/login?work=50&user=ada", jar)
  const first = send(isAtOnce ? jar : new Map(jar))
  if (!isAtOnce) await first
  const answers = [await send(jar), await first]
  const ofBrowser = await contentOf(setting, jar)
  const details = { answers, ofBrowser }
  return ofBrowser?.["user"] === "ada" ? kept("logged in", details) : lost("logged out", details)
}

// -----------------------------------------------------------------------------
// requests that don't use the session
// -----------------------------------------------------------------------------

const untouched = 100

const commandsSoFar = async ({ command }: Setting): Promise<number> => {
  const text = await command<string>("INFO", "commandstats")
  const calls = [...text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].filter(([, name]) =>
    !/^(info|dbsize)$/.test(name!)
  )
  return calls.reduce((sum, [, , count]) => sum + Number(count), 0)
}

const leaveUntouched = async (setting: Setting, jar: Jar | undefined) => {
  const { command, server } = setting
  const [commands, keys] = [await commandsSoFar(setting), await command<number>("DBSIZE")]
  let cookies = 0
  for (let index = 0; index < untouched; index++) {
    cookies += (await visit(server.port, "/untouched", jar)).cookies.length
  }
  return {
    keys: await command<number>("DBSIZE") - keys,
    cookies,
    commands: await commandsSoFar(setting) - commands
  }
}

const anonymous = async (setting: Setting): Promise<Found> => {
  const details = await leaveUntouched(setting, undefined)
  return kept(`${details.keys} keys, ${details.cookies} cookies, ${details.commands} commands`, details)
}

const inSession = async (setting: Setting): Promise<Found> => {
  const details = await leaveUntouched(setting, await login(setting, "ada"))
  return kept(`${details.commands} commands`, details)
}

// -----------------------------------------------------------------------------
// where Redis fails
// -----------------------------------------------------------------------------

/** Writes by those who have a session, by one who has none, and by one whose request came before Redis failed. */
const writers = ["in a session", "a new visitor", "on its way"] as const

interface Written {
  readonly writer: typeof writers[number]
  readonly answer: Answer
  readonly isSaved: boolean
}

/** What users see who write while Redis fails, and what is there when it works again. */
const outage = async (setting: Setting, fail: () => Promise<unknown>, repair: () => Promise<unknown>) => {
  const { server } = setting
  const jar = await login(setting, "ada")
  const newJar: Jar = new Map()
  // Scripts are where they belong, as they are in a server that has been running.
  await visit(server.port, "/scenarios/put?key=before", jar)
  const head = 400
  const onItsWay = visit(server.port, `/scenarios/put?work=${head}&key=onItsWay`, jar, head + patience)
  await sleep(head / 2)
  await fail()
  await sleep(50)
  const answers = await Promise.all([
    visit(server.port, "/scenarios/put?key=inSession", jar),
    visit(server.port, "/scenarios/put?key=new", newJar),
    onItsWay.then((answer) => ({ ...answer, milliseconds: answer.milliseconds - head }))
  ])
  const isUp = isAlive(server)
  const start = performance.now()
  await repair()
  const isBack = isUp && await recovers(setting, jar)
  const recovery = performance.now() - start
  // What was queued is written by now.
  await sleep(300)
  const content = await contentOf(setting, jar, 1_000)
  const ofNew = newJar.size === 0 ? undefined : await contentOf(setting, newJar, 1_000)
  const saved = [content?.["inSession"], ofNew?.["new"], content?.["onItsWay"]].map((value) => value !== undefined)
  const written = writers.map((writer, index): Written => ({
    writer,
    answer: answers[index]!,
    isSaved: saved[index]!
  }))
  return { written, isUp, isBack, recovery, user: content?.["user"] }
}

/** Whether a write is saved again before the user has had enough. */
const recovers = async (setting: Setting, jar: Jar): Promise<boolean> => {
  const end = performance.now() + patience
  while (performance.now() < end) {
    await visit(setting.server.port, "/scenarios/put?key=afterwards", new Map(jar), 2_000)
    if ((await contentOf(setting, jar, 2_000))?.["afterwards"] !== undefined) return true
    await sleep(50)
  }
  return false
}

const outcomeOf = ({ answer: { cookies, milliseconds, status }, isSaved, writer }: Written): Found => {
  if (status === undefined) {
    return lost(milliseconds < patience - 500 ? "connection broken" : `no answer in ${seconds(patience)}`)
  }
  const when = milliseconds < 500 ? "at once" : `after ${Math.round(milliseconds / 1_000)} s`
  // Those who have a session keep the cookie that they have.
  const cookie = writer === "a new visitor" && cookies.length > 0 && !isSaved ? " with a cookie" : ""
  if (status < 400) return isSaved ? kept(`${status} ${when}`) : lost(`${status} ${when}${cookie}, not saved`)
  return kept(`${status} ${when}${cookie}${isSaved ? ", saved later" : ""}`)
}

const seconds = (milliseconds: number): string => `${Number((milliseconds / 1_000).toFixed(1))} s`

/** The same words once. */
const outcomesOf = (written: ReadonlyArray<Written>): Found => {
  const outcomes = written.map((write) => ({ writer: write.writer, ...outcomeOf(write) }))
  const texts = new Map<string, ReadonlyArray<string>>()
  for (const { text, writer } of outcomes) texts.set(text, [...texts.get(text) ?? [], writer])
  const text = texts.size === 1
    ? outcomes[0]!.text
    : Array.from(texts, ([text, writers]) => `${text} (${writers.join(", ")})`).join("; ")
  return { text, isLoss: outcomes.some(({ isLoss }) => isLoss), details: { written } }
}

const during = (
  name: string,
  afterwards: string,
  { isBack, isUp, recovery, user, written }: Awaited<ReturnType<typeof outage>>
): Cases => ({
  [name]: outcomesOf(written),
  [afterwards]: !isUp
    ? lost("crashed")
    : !isBack
    ? lost(`not back in ${seconds(patience)}`, { recovery })
    : user !== "ada"
    ? lost("session lost", { recovery })
    : kept(recovery < 50 ? "back at once" : `back in ${seconds(recovery)}`, { recovery })
})

const killed = async (setting: Setting): Promise<Cases> => {
  const kill = async () => {
    const exited = once(setting.redis.process, "exit")
    setting.redis.process.kill("SIGKILL")
    await exited
  }
  return during("killed", "started again", await outage(setting, kill, setting.startAgain))
}

const stopped = async (setting: Setting): Promise<Cases> => {
  const signal = (name: "SIGSTOP" | "SIGCONT") => async () => setting.redis.process.kill(name)
  return during("stopped", "continued", await outage(setting, signal("SIGSTOP"), signal("SIGCONT")))
}

const full = async (setting: Setting): Promise<Cases> => {
  const limit = (bytes: string) => () => setting.command("CONFIG", "SET", "maxmemory", bytes)
  const { isUp, written } = await outage(setting, limit("1"), limit("0"))
  /** What is answered while there is no memory, and who is logged in when there is some again. */
  const meanwhile = async (path: string) => {
    const jar = await login(setting, "ada")
    const copy = new Map(jar)
    await limit("1")()
    const { cookies, status } = await visit(setting.server.port, path, jar)
    await limit("0")()
    const user = (await contentOf(setting, jar))?.["user"]
    const ofOldCookie = (await contentOf(setting, copy))?.["user"]
    return { status, cookies, user, ofOldCookie }
  }
  const loginFound = await meanwhile("/scenarios/login?user=ada-again")
  const logoutFound = await meanwhile("/scenarios/logout")
  return {
    full: isUp ? outcomesOf(written) : lost("crashed"),
    "full: login": loginFound.user === undefined
      ? lost(`${loginFound.status}, logged out`, loginFound)
      : kept(`${loginFound.status}, still logged in`, loginFound),
    "full: logout": logoutFound.ofOldCookie === undefined
      ? kept(`${logoutFound.status}, logged out`, logoutFound)
      : (logoutFound.status === 200 ? lost : kept)(`${logoutFound.status}, still logged in`, logoutFound)
  }
}

// -----------------------------------------------------------------------------
// a session that is damaged
// -----------------------------------------------------------------------------

const garbage = "{\"damaged"

/** Writes garbage over the one session that there is: all of it, or the values alone where they can be told apart. */
const damage = async ({ command }: Setting, what: "all" | "values"): Promise<boolean> => {
  const [key, ...others] = await command<ReadonlyArray<string>>("KEYS", "*")
  if (key === undefined || others.length > 0) throw new Error("There is not one session")
  if (await command("TYPE", key) !== "hash") {
    if (what === "all") await command("SET", key, garbage, "KEEPTTL")
    return what === "all"
  }
  const hash = await command<ReadonlyArray<string>>("HGETALL", key)
  const fields = hash.filter((_, index) => index % 2 === 0 && (what === "all" || hash[index + 1]!.includes("ada")))
  for (const field of fields) await command("HSET", key, field, garbage)
  return true
}

const damaged = async (setting: Setting, what: "all" | "values"): Promise<Found | undefined> => {
  await setting.command("FLUSHALL")
  const jar = await login(setting, "ada")
  if (!await damage(setting, what)) return undefined
  const ask = (path: string) => visit(setting.server.port, path, jar)
  const read = await ask("/scenarios/read")
  const logout = await ask("/scenarios/logout")
  const loginAnswer = await ask("/scenarios/login?user=ada-again")
  const text = `read ${read.status}, logout ${logout.status}, login ${loginAnswer.status}`
  return (logout.status === 200 && loginAnswer.status === 200 ? kept : lost)(text, { read, logout, login: loginAnswer })
}

const corrupt = async (setting: Setting): Promise<Cases> => {
  const all = (await damaged(setting, "all"))!
  const values = await damaged(setting, "values")
  return { "all damaged": all, "values damaged": values ?? all }
}

// -----------------------------------------------------------------------------
// a session that is too large for its cookie
// -----------------------------------------------------------------------------

const tooLarge = async ({ server }: { readonly server: Running }): Promise<Cases> => {
  const jar: Jar = new Map()
  await visit(server.port, "/fill?bytes=300", jar)
  await visit(server.port, "/write", jar)
  const before = await visit(server.port, "/read", jar)
  const answer = await visit(server.port, "/fill?bytes=8192", jar)
  const after = await visit(server.port, "/read", jar)
  const sizes = answer.cookies.map(sizeOf)
  const details = { status: answer.status, sizes, body: answer.body, before: before.body, after: after.body }
  const largest = Math.max(0, ...sizes)
  if (answer.status !== 200) return { "too large": kept(`error ${answer.status}`, details) }
  // The content that fills a session begins with this page.
  const isSaved = after.body === "/start"
  const text = sizes.length > 1 && largest <= largestCookie
    ? `200, ${sizes.length} cookies`
    : `200, cookie of ${largest} bytes`
  return { "too large": isSaved ? kept(text, details) : lost(`${text}, dropped`, details) }
}

// -----------------------------------------------------------------------------
// running them
// -----------------------------------------------------------------------------

/** What each group of cases is run on: a server and a Redis for itself, as one that crashed must not spoil the next. */
const groups: Readonly<Record<string, (setting: Setting) => Promise<Cases>>> = {
  meeting: async (setting) => ({
    changes: await changes(setting),
    increments: await increments(setting),
    appended: await appended(setting),
    "logout, slow write": await logout(setting, "write"),
    "logout, slow read": await logout(setting, "read"),
    ...await regeneration(setting, "write"),
    ...await regeneration(setting, "read"),
    "login twice: lost": await loginTwice(setting, false),
    "login twice: at once": await loginTwice(setting, true),
    anonymous: await anonymous(setting),
    "in session": await inSession(setting)
  }),
  killed,
  stopped,
  full,
  corrupt
}

const isAlive = ({ pid }: Running): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const connectTo = async ({ url }: RunningRedis) => {
  const client = createClient({ url, RESP: 2, socket: { reconnectStrategy: false } })
  client.on("error", () => {})
  return client.connect()
}

/** Below those that the system gives to outgoing connections, so that none of them takes it while Redis is down. */
const quietPort = (): Promise<number> => {
  const port = 10_000 + Math.floor(Math.random() * 22_000)
  return new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(quietPort()))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(port)))
  })
}

const withSetting = async <A>(candidate: Candidate, run: (setting: Setting) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "effect-session-bench-"))
  // Redis has every change on the disk before it confirms it, so that it is the session library that loses what is lost.
  const parameters = ["--dir", folder, "--appendonly", "yes", "--appendfsync", "always"]
  let redis = await startRedis({ parameters, port: await quietPort() })
  const others: Array<RunningRedis> = [redis]
  let client = await connectTo(redis)
  let server: Running | undefined
  try {
    server = await startCandidate(candidate.module, { ...candidate, environment: { REDIS_URL: redis.url } })
    return await run({
      server,
      redis,
      command: async <A>(...command: ReadonlyArray<string>) => {
        if (!client.isReady) client = await connectTo(redis)
        return client.sendCommand<A>([...command])
      },
      startAgain: async () => {
        redis = await startRedis({ parameters, port: redis.port })
        others.push(redis)
      }
    })
  } finally {
    client.destroy()
    await server?.stop()
    for (const { stop } of others) await stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** One after the other, but what is mostly waiting at the same time. */
const examine = async (candidate: Candidate): Promise<Findings> => {
  const crashes: Array<string> = []
  const cases: Record<string, Found> = {}
  const runGroup = (name: string) =>
    withSetting(candidate, async (setting) => {
      try {
        Object.assign(cases, await groups[name]!(setting))
      } catch (error) {
        if (isAlive(setting.server)) throw error
      }
      if (!isAlive(setting.server)) crashes.push(name)
    })
  if (candidate.kind === "cookie") {
    const server = await startCandidate(candidate.module, candidate)
    Object.assign(cases, await tooLarge({ server }).finally(server.stop))
  } else {
    const [first, ...others] = Object.keys(groups)
    await runGroup(first!)
    // Each has ended before this does, and with it its processes.
    for (const outcome of await Promise.allSettled(others.map(runGroup))) {
      if (outcome.status === "rejected") throw outcome.reason
    }
  }
  return { candidate: candidate.name, kind: candidate.kind, cases, crashes }
}

/** All cases of the candidates that keep sessions on Redis, and the one that concerns those that keep them in cookies. */
export const findOut = async (candidates: ReadonlyArray<Candidate>): Promise<ReadonlyArray<Findings>> => {
  const found: Array<Findings> = []
  for (const candidate of candidates) {
    if (candidate.kind === "redis" || candidate.kind === "cookie") found.push(await examine(candidate))
  }
  return found
}

// -----------------------------------------------------------------------------
// tables
// -----------------------------------------------------------------------------

type Table = readonly [kind: Candidate["kind"], title: string, columns: Readonly<Record<string, string>>]

/** The heading of each case, by its name. */
const layout: ReadonlyArray<Table> = [
  ["redis", `${parallel} requests of one session at once (median of ${runs} runs)`, {
    changes: "different keys put that survive",
    increments: "increments that count",
    appended: "entries of one list, read and written back, that survive"
  }],
  ["redis", "A slow request is on its way while the user logs out: the session, with the old cookie", {
    "logout, slow write": "it writes",
    "logout, slow read": "it reads"
  }],
  ["redis", "A slow request is on its way while the session gets a new id at a login", {
    "login, slow write: old id": "it writes: the old id is",
    "login, slow write: browser": "the browser's session is",
    "login, slow write: change": "what was written is",
    "login, slow read: old id": "it reads: the old id is",
    "login, slow read: browser": "the browser's session is"
  }],
  ["redis", "A login form is sent twice with the same cookie: afterwards, the browser is", {
    "login twice: lost": "the first response is lost",
    "login twice: at once": "both are sent at once"
  }],
  ["redis", `${untouched} requests that don't use the session`, {
    anonymous: "without a session",
    "in session": "in a session"
  }],
  ["redis", "A write while Redis fails, and how it goes on", {
    killed: "killed",
    "started again": "started again",
    stopped: "stopped",
    continued: "continued",
    full: "out of memory",
    "full: login": "a login then",
    "full: logout": "a logout then"
  }],
  ["redis", "The session in Redis is damaged", {
    "all damaged": "all of it",
    "values damaged": "its values"
  }],
  ["cookie", "8 kB into a session in a cookie", {
    "too large": "answer"
  }]
]

const mark = "✗"

/** As Markdown, which is good to read in a terminal too. */
export const toTables = (findings: ReadonlyArray<Findings>): string =>
  [
    ...layout.flatMap(([kind, title, columns]) => {
      const concerned = findings.filter((found) => found.kind === kind)
      return concerned.length === 0 ? [] : [`${title}:\n\n${toColumns(columns, concerned)}`]
    }),
    `${mark} A change that was confirmed, a session, a logout or the way in is lost, or there is no answer.`,
    toCrashes(findings)
  ].join("\n\n")

const toCrashes = (findings: ReadonlyArray<Findings>): string => {
  const crashed = findings.filter(({ crashes }) => crashes.length > 0)
  if (crashed.length === 0) return "No server has crashed."
  return crashed.map(({ candidate, crashes }) => `${mark} ${candidate} has crashed: ${crashes.join(", ")}.`).join("\n")
}

const toColumns = (columns: Readonly<Record<string, string>>, findings: ReadonlyArray<Findings>): string =>
  toTable(
    ["", ...Object.values(columns)],
    findings.map(({ candidate, cases }) => [candidate, ...Object.keys(columns).map((name) => toCell(cases[name]))]),
    { words: true }
  )

const toCell = (found: Found | undefined): string =>
  found === undefined ? `${mark} crashed` : `${found.isLoss ? `${mark} ` : ""}${found.text}`

if (import.meta.main) {
  const only = new RegExp(process.argv[2] ?? "")
  const findings = await findOut(allCandidates.filter(({ name }) => only.test(name)))
  console.log(process.env["JSON"] ? JSON.stringify(findings, null, 2) : toTables(findings))
  process.exit()
}
