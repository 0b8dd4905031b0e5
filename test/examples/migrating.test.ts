/**
 * The example of migrating: three releases of a server that share one store, in which a browser goes from one to the other, as it
 * does while they are deployed and rolled back.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { CookieLayer } from "effect-session"
import { HttpRouter } from "effect/http"
import { CookieJar } from "tough-cookie"
import { releases } from "../../examples/migrating/routes.ts"
import { secret } from "../support/config.ts"
import { startExample } from "../support/exampleServer.ts"
import { fileStore, temporaryFolder } from "../support/fileStore.ts"
import { shared, startRedis } from "../support/redisServer.ts"
import { ioredis } from "../support/redisStore.ts"
import { type Answer, browserOf, clientOf, cookieOf, serveLayer, type StoreLayer } from "../support/server.ts"

const redis = shared(startRedis())

/** One browser at all releases. */
const stage = Effect.fnUntraced(function*(store: StoreLayer) {
  const jar = new CookieJar(undefined, { prefixSecurity: "strict" })
  const at = (release: keyof typeof releases) =>
    Effect.map(
      serveLayer(HttpRouter.serve(releases[release], { disableLogger: true, disableListenLog: true }), { store }),
      ({ url }) => browserOf(url, jar)
    )
  return { first: yield* at(1), second: yield* at(2), third: yield* at(3) }
})

const read = (answer: Answer) => {
  assert.strictEqual(answer.status, 200)
  return JSON.parse(answer.body)
}

const ada = { given: "Ada", family: "Lovelace" }
const grace = { given: "Grace", family: "Hopper" }

let prefixes = 0

const stores: Readonly<Record<string, Effect.Effect<StoreLayer, never, never>>> = {
  RedisLayer: Effect.sync(() => ioredis.store(redis().url, { prefix: `migrating${prefixes++}:` })),
  CookieLayer: Effect.sync(() => CookieLayer.layer())
}

for (const [name, store] of Object.entries({ ...stores, FileLayer: Effect.map(temporaryFolder, fileStore) })) {
  describe(`three releases on one ${name}`, () => {
    const staged = Effect.flatMap(store, stage)

    it.live("a session of the first goes on in the second and in the third", () =>
      Effect.gen(function*() {
        const { first, second, third } = yield* staged
        yield* first.post("/customer")
        yield* first.post("/dark")
        assert.deepStrictEqual(read(yield* first.get("/")).customer, { name: "Ada Lovelace" })
        const settings = { colors: "dark", language: "en" }
        assert.deepStrictEqual(read(yield* second.get("/")), { visits: 2, customer: ada, settings })
        assert.deepStrictEqual(read(yield* third.get("/")), { visits: 3, customer: ada, settings })
      }))

    it.live("what the second writes, the first reads: both can be up, and the second can be rolled back", () =>
      Effect.gen(function*() {
        const { first, second } = yield* staged
        yield* second.post("/customer")
        yield* second.post("/dark")
        const settings = { theme: "dark" }
        assert.deepStrictEqual(read(yield* first.get("/")), { visits: 1, customer: { name: "Grace Hopper" }, settings })
      }))

    it.live("what the third writes, the second reads", () =>
      Effect.gen(function*() {
        const { second, third } = yield* staged
        yield* third.post("/customer")
        assert.deepStrictEqual(read(yield* second.get("/")).customer, grace)
        // And writes in the old shape again, which the third reads.
        yield* second.post("/customer")
        assert.deepStrictEqual(read(yield* third.get("/")).customer, grace)
      }))

    it.live("what the third writes, the first can't read: 500, and the session stays as it is", () =>
      Effect.gen(function*() {
        const { first, third } = yield* staged
        yield* third.post("/customer")
        assert.strictEqual(read(yield* third.get("/")).visits, 1)
        const refused = yield* first.get("/")
        assert.deepStrictEqual([refused.status, refused.body], [500, "Internal Server Error"])
        // A request that does not read the value works, and nothing of the refused one was written.
        assert.strictEqual((yield* first.post("/dark")).status, 204)
        const { customer, visits } = read(yield* third.get("/"))
        assert.deepStrictEqual([customer, visits], [grace, 2])
      }))

    it.live("a field that is new goes if a release that does not know it modifies the value", () =>
      Effect.gen(function*() {
        const { first, second } = yield* staged
        yield* second.post("/german")
        assert.deepStrictEqual(read(yield* second.get("/")).settings, { colors: "light", language: "de" })
        read(yield* first.get("/"))
        assert.deepStrictEqual(read(yield* second.get("/")).settings.language, "de", "reading does no harm")
        yield* first.post("/dark")
        assert.deepStrictEqual(read(yield* second.get("/")).settings, { colors: "dark", language: "en" })
      }))
  })
}

describe("the example with three releases", () => {
  it.live("starts as its first lines say", () =>
    Effect.gen(function*() {
      const [one, two] = yield* Effect.all(
        ["1", "2"].map((RELEASE) => startExample("migrating/main.ts", { RELEASE, SESSION_SECRET: secret })),
        { concurrency: 2 }
      )
      yield* Effect.all([one!.listens, two!.listens])
      const cookie = cookieOf(yield* clientOf(`http://127.0.0.1:${one!.port}`).post("/customer"))
      const answer = yield* clientOf(`http://127.0.0.1:${two!.port}`).get("/", { cookie })
      assert.deepStrictEqual(read(answer).customer, ada)
    }), 30_000)
})
