/**
 * The sessions of an owner over HTTP, under load: who is logged in, whom the list has, and whom ending them leaves, with any
 * driver on the server, on one server and on two.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Schema, type Scope } from "effect"
import { Session, type SessionConfig, SessionKey, Sessions } from "effect-session"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { setTimeOfDay } from "./clock.ts"
import { basicRoutes, Count, Name, post, slowRoute } from "./routes.ts"
import { type Answer, cookieOf, type OwnerStoreLayer, type Routes, serve, type Server } from "./server.ts"

export interface Driver {
  /** The store, made anew for each server. Those of two servers share what is stored. */
  readonly store: () => OwnerStoreLayer
  /** How many servers have the same sessions. Default 2. */
  readonly servers?: 1 | 2
  /** So many clients log in at the same time. Default 30. */
  readonly clients?: number
}

// -----------------------------------------------------------------------------
// the stage
// -----------------------------------------------------------------------------

const textOf = HttpServerRequest.HttpServerRequest.use(({ text }) => text)

const json = HttpServerResponse.jsonUnsafe

export const Device = SessionKey.make("device", Schema.String)

const Asked = Schema.fromJsonString(Schema.Struct({
  owner: Schema.String,
  after: Schema.optionalKey(Schema.String),
  limit: Schema.optionalKey(Schema.Number)
}))

const One = Schema.fromJsonString(Schema.Struct({ owner: Schema.String, handle: Schema.String }))

/** Owners come in the body, as they can be any text. */
export const ownerRoutes = Layer.mergeAll(
  basicRoutes,
  HttpRouter.add("POST", "/in", Effect.flatMap(textOf, (owner) => Effect.as(Session.login(owner), json("in")))),
  HttpRouter.add("GET", "/owner", Effect.map(Session.owner, (owner) => json(Option.getOrNull(owner)))),
  HttpRouter.add("GET", "/handle", Effect.map(Session.handle, HttpServerResponse.text)),
  post("/regenerate", Session.regenerate),
  post("/device", Effect.flatMap(textOf, (device) => Session.put(Device, device))),
  HttpRouter.add(
    "POST",
    "/list",
    Effect.gen(function*() {
      const { owner, ...options } = yield* Schema.decodeEffect(Asked)(yield* textOf)
      const { next, sessions } = yield* Sessions.list(owner, { ...options, attributes: { device: Device } })
      return json({
        next: Option.getOrNull(next),
        sessions: sessions.map(({ attributes, ...info }) => ({
          ...info,
          device: Option.getOrNull(attributes.device)
        }))
      })
    })
  ),
  HttpRouter.add("POST", "/end", Effect.map(Effect.flatMap(textOf, Sessions.destroyAll), json)),
  HttpRouter.add("POST", "/end/others", Effect.map(Sessions.destroyOthers, json)),
  HttpRouter.add(
    "POST",
    "/end/one",
    Effect.gen(function*() {
      const { handle, owner } = yield* Schema.decodeEffect(One)(yield* textOf)
      return json(yield* Sessions.destroyHandle(owner, handle))
    })
  )
)

let owners = 0
/** Nobody else has sessions of this one. */
export const newOwner = () => `owner ${++owners} ${Math.random()}`

const jsonOf = (answer: Answer) => {
  assert.strictEqual(answer.status, 200, answer.body)
  return JSON.parse(answer.body)
}

export interface Listed {
  readonly handle: string
  readonly isCurrent: boolean
  readonly device: string | null
}

/** What a test asks of its servers. */
export const stageOf = (servers: ReadonlyArray<Server>) => {
  let asked = 0
  /** They take turns. */
  const server = () => servers[asked++ % servers.length]!
  const login = (owner: string, cookie?: string) => Effect.suspend(() => server().post("/in", { body: owner, cookie }))
  const loggedIn = (owner: string, cookie?: string) =>
    Effect.map(login(owner, cookie), (answer) => {
      assert.strictEqual(answer.status, 200, answer.body)
      return cookieOf(answer)
    })
  const ownerOf = (cookie: string): Effect.Effect<string | null, Error> =>
    Effect.map(Effect.suspend(() => server().get("/owner", { cookie })), jsonOf)
  const handleOf = (cookie: string) =>
    Effect.map(Effect.suspend(() => server().get("/handle", { cookie })), ({ body }) => body)
  const ask = (path: `/${string}`, body?: string, cookie?: string) =>
    Effect.map(Effect.suspend(() => server().post(path, { body, cookie })), jsonOf)
  const page = (owner: string, options: { readonly after?: string; readonly limit?: number } = {}, cookie?: string) =>
    ask("/list", JSON.stringify({ owner, ...options }), cookie) as Effect.Effect<
      { readonly sessions: ReadonlyArray<Listed>; readonly next: string | null },
      Error
    >
  const list = Effect.fnUntraced(function*(owner: string, limit = 100) {
    const sessions: Array<Listed> = []
    let next: string | null = null
    do {
      const { next: following, sessions: some }: Effect.Success<ReturnType<typeof page>> = yield* page(
        owner,
        next === null ? { limit } : { limit, after: next }
      )
      assert.isAtMost(some.length, limit)
      sessions.push(...some)
      next = following
    } while (next !== null)
    return sessions
  })
  const handles = (owner: string) => Effect.map(list(owner), (all) => all.map(({ handle }) => handle).toSorted())
  /** Which of the cookies give the owner. */
  const alive = (owner: string, cookies: Iterable<string>) =>
    Effect.filter([...new Set(cookies)], (cookie) => Effect.map(ownerOf(cookie), (id) => id === owner), {
      concurrency: 10
    })
  /** What is alive is what the list has. */
  const assertListed = Effect.fnUntraced(function*(owner: string, cookies: Iterable<string>) {
    const living = yield* alive(owner, cookies)
    const names = yield* Effect.forEach(living, handleOf, { concurrency: 10 })
    assert.deepStrictEqual(yield* handles(owner), names.toSorted(), "the list has what is alive")
    return living
  })
  return {
    server,
    login,
    loggedIn,
    ownerOf,
    handleOf,
    page,
    list,
    handles,
    alive,
    assertListed,
    destroyAll: (owner: string): Effect.Effect<number, Error> => ask("/end", owner),
    destroyOthers: (cookie: string): Effect.Effect<number, Error> => ask("/end/others", undefined, cookie),
    destroyHandle: (owner: string, handle: string): Effect.Effect<boolean, Error> =>
      ask("/end/one", JSON.stringify({ owner, handle }))
  }
}

const startOn = ({ servers = 2, store }: Driver) =>
  Effect.fnUntraced(function*(config: SessionConfig.Options = {}, routes: Routes = Layer.empty) {
    const options = { config: { timeLimit: "1 minute", ...config }, logger: false } as const
    const started = yield* Effect.forEach(
      Array.from({ length: servers }),
      () => serve(Layer.mergeAll(ownerRoutes, routes), { ...options, store: store() })
    )
    return { ...stageOf(started), first: started[0]!, last: started.at(-1)! }
  })

/** A test whose clock stands still. It is set before there is a store, or its sweeper would sweep for decades. */
const atTimeOfDay = <E>(title: string, test: () => Effect.Effect<void, E, Scope.Scope>) =>
  it.effect(title, () => Effect.andThen(setTimeOfDay, Effect.suspend(test)))

type Start = ReturnType<typeof startOn>
type Stage = Effect.Success<ReturnType<Start>>

/** Registers the tests. */
export const ownerRaces = (name: string, driver: Driver): void => {
  const { clients = 30, servers = 2 } = driver
  const start = startOn(driver)
  describe(`the sessions of an owner, with ${name} on ${servers === 1 ? "one server" : "two servers"}`, () => {
    underLoad(start, clients)
    others(start)
    limits(start)
    badInput(start)
  })
}

// -----------------------------------------------------------------------------
// destroyAll, under load
// -----------------------------------------------------------------------------

/** A login and what has come of it: every cookie that was given for it, and what happened when. */
interface Chain {
  readonly cookies: Set<string>
  /** When the request had called `Session.login`. */
  readonly knownAt: number
}

/** A client that goes on with the cookie it got last, and may have several requests under way. */
interface Client {
  cookie: string | undefined
  chain: Chain | undefined
}

const underLoad = (start: Start, clients: number) => {
  it.live(
    "destroyAll logs everybody out who was logged in before, whatever else is going on; the list has the others",
    () =>
      Effect.gen(function*() {
        const owner = newOwner()
        const chains: Array<Chain> = []
        const cookies = new Set<string>()
        /** What has happened before something is sent has a smaller number. */
        let time = 0
        let logins = 0
        const known = new Map<string, number>()
        const slowLogin = post(
          "/in/:number",
          Effect.gen(function*() {
            const { number } = yield* HttpRouter.params
            yield* Session.login(owner)
            known.set(number!, time++)
            yield* Effect.sleep(Math.random() * 100)
          })
        )
        const stage = yield* start({}, slowLogin)

        const login = Effect.fnUntraced(function*(client: Client) {
          const number = String(logins++)
          const answer = yield* stage.server().post(`/in/${number}`, { cookie: client.cookie })
          assert.strictEqual(answer.status, 200, answer.body)
          const cookie = cookieOf(answer)
          // None, if it was ended before the answer.
          const chain = { cookies: new Set(cookie === "" ? [] : [cookie]), knownAt: known.get(number)! }
          chains.push(chain)
          received(client, chain, cookie)
        })
        const received = (client: Client, chain: Chain | undefined, cookie: string) => {
          if (cookie === "") return
          client.cookie = cookie
          client.chain = chain
          cookies.add(cookie)
          chain?.cookies.add(cookie)
        }
        const send = Effect.fnUntraced(function*(client: Client, method: string, path: string) {
          const { chain, cookie } = client
          const answer = yield* stage.server().send(method, path, { cookie })
          assert.strictEqual(answer.status, 200, `${path}: ${answer.body}`)
          received(client, chain, cookieOf(answer))
        })
        const destroyAll = Effect.fnUntraced(function*() {
          const sentAt = time++
          const before = chains.filter(({ knownAt }) => knownAt < sentAt)
          yield* stage.destroyAll(owner)
          const left = yield* stage.alive(owner, before.flatMap(({ cookies }) => [...cookies]))
          assert.deepStrictEqual(left, [], "nobody of before is logged in")
          return sentAt
        })

        const bystanders = yield* Effect.forEach([1, 2, 3], () => keepUsing(stage))
        for (let round = 0; round < 6; round++) {
          const all = Array.from({ length: clients }, (): Client => ({ cookie: undefined, chain: undefined }))
          yield* Effect.forEach(all.slice(clients / 3), login, { concurrency: 10, discard: true })
          const requests = all.flatMap((client) => [
            login(client),
            send(client, "POST", "/regenerate"),
            send(client, "POST", "/count"),
            send(client, "GET", "/"),
            ...Math.random() < 0.3 ? [send(client, "POST", "/logout")] : []
          ])
          const ends = yield* Effect.all(
            shuffled([
              ...requests.map(Effect.asVoid),
              ...[1, 2].map(destroyAll)
            ]),
            { concurrency: 25 }
          )
          const sentAt = Math.max(...ends.filter((end) => end !== undefined))
          const dead = chains.filter(({ knownAt }) => knownAt < sentAt).flatMap(({ cookies }) => [...cookies])
          assert.deepStrictEqual(yield* stage.alive(owner, dead), [], "nor is any cookie that came later of use")
          yield* stage.assertListed(owner, cookies)
        }
        for (const bystander of bystanders) yield* bystander.end

        yield* stage.destroyAll(owner)
        assert.deepStrictEqual(yield* stage.alive(owner, cookies), [])
        assert.deepStrictEqual(yield* stage.list(owner), [])
      }),
    120_000
  )
}

/** Someone else, whom none of that disturbs. */
const keepUsing = Effect.fnUntraced(function*(stage: Stage) {
  const owner = newOwner()
  let cookie = yield* stage.loggedIn(owner)
  const state = { isOver: false }
  const using = yield* Effect.forkScoped(Effect.gen(function*() {
    for (let use = 0; !state.isOver; use++) {
      const renewed = cookieOf(yield* stage.server().post(use % 3 === 0 ? "/regenerate" : "/count", { cookie }))
      if (renewed !== "") cookie = renewed
      assert.strictEqual(yield* stage.ownerOf(cookie), owner, "another owner's session goes on")
      yield* Effect.sleep("10 millis")
    }
  }))
  const end = Effect.gen(function*() {
    state.isOver = true
    yield* Fiber.join(using)
    assert.deepStrictEqual(yield* stage.handles(owner), [yield* stage.handleOf(cookie)])
  })
  return { end }
})

const shuffled = <A>(all: ReadonlyArray<A>): ReadonlyArray<A> =>
  all.map((one) => [Math.random(), one] as const).toSorted(([one], [other]) => one - other).map(([, one]) => one)

// -----------------------------------------------------------------------------
// some of them
// -----------------------------------------------------------------------------

const threeDevices = Effect.fnUntraced(function*(stage: Stage) {
  const owner = newOwner()
  const [own, phone, tablet] = [
    yield* stage.loggedIn(owner),
    yield* stage.loggedIn(owner),
    yield* stage.loggedIn(owner)
  ] as const
  return { owner, own, phone, tablet }
})

/** A client that was logged out is nobody, and no answer makes it somebody again. */
const assertEnded = Effect.fnUntraced(function*(stage: Stage, cookie: string) {
  for (
    const [method, path] of [["GET", "/"], ["POST", "/touch"], ["POST", "/regenerate"], ["POST", "/count"]] as const
  ) {
    const answer = yield* stage.server().send(method, path, { cookie })
    assert.strictEqual(answer.status, 200)
    assert.strictEqual(yield* stage.ownerOf(cookie), null)
    assert.notInclude(cookieOf(answer), cookie)
    assert.strictEqual(yield* stage.ownerOf(cookieOf(answer)), null, path)
  }
})

const others = (start: Start) => {
  atTimeOfDay("destroyOthers ends all but the own one, whose cookie stays good", () =>
    Effect.gen(function*() {
      const stage = yield* start()
      const { own, owner, phone, tablet } = yield* threeDevices(stage)
      const answer = yield* stage.last.post("/end/others", { cookie: own })
      assert.deepStrictEqual([answer.body, ...answer.setCookies], ["2"])
      assert.strictEqual(yield* stage.ownerOf(own), owner)
      assert.deepStrictEqual(yield* stage.handles(owner), [yield* stage.handleOf(own)])
      for (const other of [phone, tablet]) yield* assertEnded(stage, other)
      assert.deepStrictEqual(yield* stage.handles(owner), [yield* stage.handleOf(own)])
      assert.strictEqual(yield* stage.destroyOthers(own), 0)
    }))

  atTimeOfDay(
    "destroyOthers and a new id in one request, in either order: the new session is left",
    () =>
      Effect.gen(function*() {
        const both = [
          ["/anew/first", Effect.andThen(Session.regenerate, Sessions.destroyOthers)],
          ["/anew/last", Effect.andThen(Sessions.destroyOthers, Session.regenerate)],
          [
            "/anew/committed",
            Effect.andThen(Session.regenerate, Effect.andThen(Session.commit, Sessions.destroyOthers))
          ]
        ] as const
        const routes = Layer.mergeAll(post(...both[0]), post(...both[1]), post(...both[2]))
        const stage = yield* start({}, routes)
        for (const [path] of both) {
          const { own, owner, phone, tablet } = yield* threeDevices(stage)
          const anew = cookieOf(yield* stage.server().post(path, { cookie: own }))
          assert.deepStrictEqual(yield* stage.alive(owner, [own, phone, tablet, anew]), [anew], path)
          assert.deepStrictEqual(yield* stage.handles(owner), [yield* stage.handleOf(anew)])
        }
      })
  )

  atTimeOfDay(
    "destroyOthers when another request has given the session a new id meanwhile: that is the own one",
    () =>
      Effect.gen(function*() {
        const slow = slowRoute(
          "/slow",
          Session.owner,
          Sessions.destroyOthers as Effect.Effect<number, never, Session.Session>
        )
        const stage = yield* start({}, slow.route)
        const { own, owner, phone, tablet } = yield* threeDevices(stage)
        const request = yield* Effect.forkChild(stage.first.post("/slow", { cookie: own }))
        yield* slow.reached
        const anew = cookieOf(yield* stage.last.post("/regenerate", { cookie: own }))
        yield* slow.release
        assert.deepStrictEqual((yield* Fiber.join(request)).setCookies, [])
        assert.deepStrictEqual(yield* stage.alive(owner, [own, phone, tablet, anew]), [anew])
        assert.deepStrictEqual(yield* stage.handles(owner), [yield* stage.handleOf(anew)])
      })
  )

  atTimeOfDay("destroyHandle ends that one, also if its request is under way", () =>
    Effect.gen(function*() {
      const slow = slowRoute("/slow", Session.increment(Count), Session.put(Name, "Grace"))
      const stage = yield* start({}, slow.route)
      const { own, owner, phone, tablet } = yield* threeDevices(stage)
      const request = yield* Effect.forkChild(stage.first.post("/slow", { cookie: phone }))
      yield* slow.reached
      const handle = yield* stage.handleOf(phone)
      assert.isTrue(yield* stage.destroyHandle(owner, handle))
      yield* slow.release
      const late = yield* Fiber.join(request)
      assert.deepStrictEqual([late.status, ...late.setCookies], [200])
      assert.deepStrictEqual(yield* stage.alive(owner, [own, phone, tablet]), [own, tablet])
      yield* stage.assertListed(owner, [own, phone, tablet])
      yield* assertEnded(stage, phone)
      assert.isFalse(yield* stage.destroyHandle(owner, handle), "there is no such session any more")
      const another = newOwner()
      assert.isFalse(yield* stage.destroyHandle(another, yield* stage.handleOf(own)), "it is somebody else's")
      assert.deepStrictEqual(yield* stage.alive(owner, [own, tablet]), [own, tablet])
    }))

  atTimeOfDay(
    "a logout takes the session from the list, and a login as somebody else too",
    () =>
      Effect.gen(function*() {
        const stage = yield* start()
        const { own, owner, phone, tablet } = yield* threeDevices(stage)
        yield* stage.server().post("/logout", { cookie: phone })
        assert.deepStrictEqual(yield* stage.assertListed(owner, [own, phone, tablet]), [own, tablet])
        const another = newOwner()
        const changed = yield* stage.loggedIn(another, tablet)
        assert.deepStrictEqual(yield* stage.assertListed(owner, [own, tablet, changed]), [own])
        assert.deepStrictEqual(yield* stage.assertListed(another, [own, tablet, changed]), [changed])
        yield* stage.destroyAll(owner)
        assert.deepStrictEqual(yield* stage.alive(another, [changed]), [changed])
      })
  )
}

// -----------------------------------------------------------------------------
// a limit
// -----------------------------------------------------------------------------

const limits = (start: Start) => {
  const many = (stage: Stage, owner: string) =>
    Effect.forEach(Array.from({ length: 20 }), () => stage.login(owner), { concurrency: "unbounded" })

  it.live("20 logins at once where 5 sessions are the limit: there are never more", () =>
    Effect.gen(function*() {
      const stage = yield* start({ owner: { limit: 5 } })
      const owner = newOwner()
      for (let round = 0; round < 2; round++) {
        const answers = yield* many(stage, owner)
        for (const answer of answers) {
          assert.include([200, 409], answer.status)
          if (answer.status === 409) assert.deepStrictEqual([answer.body, cookieOf(answer)], ["Conflict", ""])
        }
        assert.isAtMost((yield* stage.assertListed(owner, answers.map(cookieOf))).length, 5)
        yield* stage.destroyAll(owner)
      }
      const cookies = yield* Effect.forEach([1, 2, 3, 4, 5], () => stage.loggedIn(owner))
      const refused = yield* stage.login(owner)
      assert.deepStrictEqual([refused.status, cookieOf(refused)], [409, ""])
      assert.lengthOf(yield* stage.assertListed(owner, cookies), 5)
      yield* stage.server().post("/logout", { cookie: cookies[0] })
      yield* stage.loggedIn(owner)
    }), 120_000)

  it.live(
    "20 logins at once where the session unused for longest goes: at most 5 are left after the next login",
    () =>
      Effect.gen(function*() {
        const stage = yield* start({ owner: { limit: 5, policy: "evict" } })
        const owner = newOwner()
        const answers = yield* many(stage, owner)
        for (const { body, status } of answers) assert.strictEqual(status, 200, body)
        const last = yield* stage.loggedIn(owner)
        const living = yield* stage.assertListed(owner, [...answers.map(cookieOf), last])
        assert.isAtMost(living.length, 5)
        assert.include(living, last)
      }),
    120_000
  )

  atTimeOfDay(
    "of sessions that are too many, the one unused for longest goes, and the latest stays",
    () =>
      Effect.gen(function*() {
        const stage = yield* start({ owner: { limit: 3, policy: "evict" }, touchEvery: "1 second" })
        const owner = newOwner()
        const next = Effect.tap(stage.loggedIn(owner), () => TestClock.adjust("2 seconds"))
        const [first, second, third] = [yield* next, yield* next, yield* next] as const
        assert.strictEqual(yield* stage.ownerOf(first), owner, "and is used by that")
        yield* TestClock.adjust("2 seconds")
        const fourth = yield* next
        assert.deepStrictEqual(yield* stage.assertListed(owner, [first, second, third, fourth]), [first, third, fourth])
        yield* assertEnded(stage, second)
      })
  )
}

// -----------------------------------------------------------------------------
// bad input
// -----------------------------------------------------------------------------

const oddOwners = [
  "\0",
  "ada\0",
  "ada",
  " ada",
  "Ada",
  "é",
  "e\u0301",
  "👩‍👩‍👧‍👦",
  "../..",
  "/",
  "*",
  "owners:*",
  "a?[b]",
  "' OR 1=1 --",
  "%",
  "__proto__",
  "\r\nSet-Cookie: a=b",
  "null",
  "a".repeat(1024),
  "é".repeat(512)
]

const noOwners = ["", "a".repeat(1025), "é".repeat(513), "\ud800", "ada\udc00", "a".repeat(1_000_000)]

const cursors = [
  "",
  "0",
  "..",
  "-1.-1.a",
  "NaN.NaN.NaN",
  "\0",
  "*",
  "' OR 1=1 --",
  `9999999999999999.9999999999999999.${"_".repeat(43)}`,
  `0.0.${"-".repeat(43)}`,
  `1.1.${"a".repeat(44)}`,
  "1".repeat(100_000)
]

const handles = [
  "",
  "*",
  "..",
  "%",
  "a".repeat(15),
  "a".repeat(16),
  "a".repeat(17),
  "\0".repeat(16),
  "*".repeat(16),
  "%_%_%_%_%_%_%_%_"
]

const oddRoutes = Layer.mergeAll(
  post("/odd/:index", Effect.flatMap(HttpRouter.params, ({ index }) => Session.login(oddOwners[Number(index)]!))),
  post("/wrong/:index", Effect.flatMap(HttpRouter.params, ({ index }) => Session.login(noOwners[Number(index)]!))),
  // What another version of the application has left.
  post("/device/numbered", Session.put(SessionKey.make("device", Schema.Number), 7))
)

const badInput = (start: Start) => {
  atTimeOfDay("an owner of any text has sessions of his own, or none at all", () =>
    Effect.gen(function*() {
      const stage = yield* start({}, oddRoutes)
      const cookies = yield* Effect.forEach(oddOwners, (_, index) =>
        Effect.map(stage.server().post(`/odd/${index}`), cookieOf))
      for (const [index, owner] of oddOwners.entries()) {
        assert.strictEqual(yield* stage.ownerOf(cookies[index]!), owner)
        assert.deepStrictEqual(yield* stage.handles(owner), [yield* stage.handleOf(cookies[index]!)])
      }
      for (const [index, owner] of oddOwners.entries()) {
        assert.strictEqual(yield* stage.destroyAll(owner), 1)
        assert.strictEqual(yield* stage.ownerOf(cookies[index]!), null)
        const next = cookies[index + 1]
        if (next !== undefined) {
          assert.strictEqual(yield* stage.ownerOf(next), oddOwners[index + 1])
        }
      }
      for (const index of noOwners.keys()) {
        const { body, setCookies, status } = yield* stage.server().post(`/wrong/${index}`)
        assert.deepStrictEqual([status, body, ...setCookies], [500, "Internal Server Error"])
      }
      for (
        const owner of noOwners.filter((owner) =>
          owner.isWellFormed()
        )
      ) {
        assert.strictEqual((yield* stage.server().post("/end", { body: owner })).status, 500)
        assert.strictEqual((yield* stage.server().post("/list", { body: JSON.stringify({ owner }) })).status, 500)
      }
    }))

  atTimeOfDay(
    "pages, handles and attributes that are no such thing harm no list and no session",
    () =>
      Effect.gen(function*() {
        const stage = yield* start({}, oddRoutes)
        const { own, owner, phone, tablet } = yield* threeDevices(stage)
        const all = yield* stage.handles(owner)
        for (const after of cursors) {
          const { sessions } = yield* stage.page(owner, { after })
          assert.includeMembers(all, sessions.map(({ handle }) => handle))
        }
        for (const limit of [0, -1, 0.5, 1e308]) {
          assert.isAtLeast((yield* stage.page(owner, { limit })).sessions.length, 1)
        }
        assert.lengthOf(yield* stage.list(owner, 1), 3)
        for (const handle of handles) {
          assert.isFalse(yield* stage.destroyHandle(owner, handle))
        }
        yield* stage.server().post("/device", { cookie: phone, body: "Phone" })
        yield* stage.server().post("/device/numbered", { cookie: tablet })
        const devices = new Map((yield* stage.list(owner)).map(({ device, handle }) => [handle, device]))
        const expected = [[own, null], [phone, "Phone"], [tablet, null]] as const
        for (const [cookie, device] of expected) {
          assert.strictEqual(devices.get(yield* stage.handleOf(cookie)), device)
        }
        const { sessions } = yield* stage.page(owner, {}, phone)
        assert.deepStrictEqual(
          sessions.filter(({ isCurrent }) => isCurrent).map(({ handle }) => handle),
          [yield* stage.handleOf(phone)]
        )
      })
  )
}
