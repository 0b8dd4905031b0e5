/**
 * The conformance suite: tests any driver against the contract of {@link SessionStore}. It runs in any test runner with
 * `describe` and `it`, such as vitest, `node:test` or `bun:test`. It is not exported from the main module, so it stays
 * out of production.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import assert from "node:assert/strict"
import * as Change from "./internal/record/change.ts"
import * as Expiry from "./internal/record/expiry.ts"
import type { SessionRecord } from "./internal/record/record.ts"
import { register } from "./internal/suites/register.ts"
import * as Identifier from "./internal/token/identifier.ts"
import * as SessionConfig from "./SessionConfig.ts"
import { SessionTooLargeError } from "./SessionError.ts"
import * as SessionStore from "./SessionStore.ts"

/**
 * The test runner's `describe` and `it`, with which the suite registers its tests. A test registered with `skip` does
 * not run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Runner {
  readonly describe: (name: string, register: () => void) => unknown
  readonly it: {
    (name: string, test: () => Promise<void>): unknown
    readonly skip: (name: string, test: () => Promise<void>) => unknown
  }
}

/**
 * The options of the suite.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E> {
  /** The driver. Every test builds it again; stored data may remain from one test to the next. */
  readonly layer: Layer.Layer<SessionStore.SessionStore, E, SessionConfig.SessionConfig>

  /** The names of the laws that the driver does not guarantee. Its documentation should list them too. */
  readonly skip?: ReadonlyArray<Law>

  /** Everything that the back end has stored, as one string, in which a test looks for ids and tokens. */
  readonly dump?: Effect.Effect<string, unknown, SessionStore.SessionStore>
}

/**
 * The laws of a store. A store that hands the record to the client (`stateless`) can't merge and does not see other
 * sessions, so different laws apply to it for merging and for ids in use.
 *
 * @since 0.1.0
 * @category models
 */
export type Law = keyof typeof laws

/**
 * Registers the tests.
 *
 * **Example** (vitest)
 *
 * ```ts
 * import { MemoryLayer } from "effect-session"
 * import * as SessionStoreTest from "effect-session/SessionStoreTest"
 * import { describe, it } from "vitest"
 *
 * SessionStoreTest.suite({ describe, it }, "MemoryLayer", { layer: MemoryLayer.layer() })
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const suite = <E>(runner: Runner, name: string, { dump, layer, skip }: Options<E>): void => {
  const tests: ReadonlyArray<readonly [string, Test]> = [
    ...Object.entries(laws),
    ...dump === undefined ? [] : [["what is stored holds neither ids nor tokens", holdsNoSecret(dump)] as const]
  ]
  register(
    runner,
    `${name} keeps the contract of SessionStore`,
    tests.map(([law, test]) => [law, provideStore(layer)(test(layer))]),
    skip
  )
}

// -----------------------------------------------------------------------------
// the stage
// -----------------------------------------------------------------------------

type AnyLayer = Layer.Layer<SessionStore.SessionStore, unknown, SessionConfig.SessionConfig>

/** A test gets the driver's Layer for building a second store. */
type Test = (layer: AnyLayer) => Effect.Effect<void, unknown, SessionStore.SessionStore | SessionConfig.SessionConfig>

const configuration = {
  secret: "the conformance suite's own secret, long enough",
  age: "1 hour",
  absoluteAge: "3 hours",
  maximumAge: "10 days",
  maximumAbsoluteAge: "20 days",
  touchEvery: "1 minute",
  supersededFor: "30 seconds",
  // No size limit: the laws test what the back end itself can hold.
  sizeLimit: "unlimited"
} as const

const minute = 60_000
const hour = 60 * minute

const provideStore = (layer: AnyLayer, options: SessionConfig.Options = {}) =>
  // Local, because a second store with other settings would otherwise be the first one again.
  Effect.provide(Layer.provideMerge(layer, SessionConfig.layer({ ...configuration, ...options })), { local: true })

/** A store may return its own kind of `ReadonlyMap`, so only the contents are compared. */
const assertEqual = (actual: unknown, expected: unknown, message?: string) =>
  assert.deepStrictEqual(withPlainMaps(actual), withPlainMaps(expected), message)

const withPlainMaps = (value: unknown): unknown => {
  if (isMap(value)) return new Map(value)
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, withPlainMaps(part)]))
}

const isMap = (value: unknown): value is ReadonlyMap<unknown, unknown> =>
  Object.prototype.toString.call(value) === "[object Map]"

const newId = Effect.sync(() => new SessionStore.Id(Identifier.random()))

const fieldsOf = (values: { readonly [field: string]: Schema.Json }): ReadonlyMap<string, string> =>
  new Map(Object.entries(values).map(([field, value]) => [field, JSON.stringify(value)]))

const valuesOf = ({ fields }: SessionRecord) =>
  Object.fromEntries([...fields].map(([field, text]) => [field, JSON.parse(text) as Schema.Json]))

/** A session that a test can continue to use as a request would. */
interface Stored {
  readonly id: SessionStore.Id
  readonly token: SessionStore.Token
  readonly record: SessionRecord
}

const recordOf = Effect.fnUntraced(function*(values: { readonly [field: string]: Schema.Json }) {
  const expiry = Expiry.make(yield* SessionConfig.SessionConfig)
  const fields = fieldsOf(values)
  return { ...expiry.start(yield* Clock.currentTimeMillis, fields), fields }
})

const create = Effect.fnUntraced(function*(values: { readonly [field: string]: Schema.Json } = { a: 1 }) {
  const store = yield* SessionStore.SessionStore
  const id = yield* newId
  const record = yield* recordOf(values)
  const written = yield* store.create(id, record)
  assert(written._tag === "Written" && written.token !== undefined, "a new session is written and has a token")
  const stored: Stored = { id, token: written.token, record }
  return stored
})

const load = (token: SessionStore.Token) => Effect.flatMap(SessionStore.SessionStore, (store) => store.load(token))

const loadFound = Effect.fnUntraced(function*(token: SessionStore.Token) {
  const loaded = yield* load(token)
  assert(loaded._tag === "Found", `the session is found, not ${describeLoaded(loaded)}`)
  return loaded
})

const describeLoaded = (loaded: SessionStore.Loaded) =>
  loaded._tag === "NotFound" ? `NotFound (${loaded.reason})` : loaded._tag

const expectNone = Effect.fnUntraced(function*(token: SessionStore.Token) {
  const loaded = yield* load(token)
  assert(loaded._tag !== "Found", "there is no session")
  return loaded
})

const set = (field: string, value: Schema.Json) => Change.set(Change.none, field, JSON.stringify(value))
const increment = (field: string, by: number, change: Change.Change = Change.none) =>
  Change.increment(change, field, { by, initial: 0 })

const expecting = (change: Change.Change, expected: { readonly [field: string]: Schema.Json | undefined }) =>
  Object.entries(expected).reduce(
    (change, [field, value]) => Change.expect(change, field, value === undefined ? undefined : JSON.stringify(value)),
    change
  )

/** Commits like a request that has loaded `stored`. */
const update = ({ id, record }: Stored, change: Change.Change, successor?: string) =>
  Effect.flatMap(
    SessionStore.SessionStore,
    (store) => store.update(id, change, { ...record, fields: Change.apply(record.fields, change) }, successor)
  )

/** The token to use after a commit, or nothing if it was not written. */
const commit = (stored: Stored, change: Change.Change) =>
  Effect.map(
    update(stored, change),
    (answer) => answer._tag === "Written" ? answer.token ?? stored.token : undefined
  )

const expectCommit = Effect.fnUntraced(function*(stored: Stored, change: Change.Change) {
  const token = yield* commit(stored, change)
  assert(token !== undefined, "the session is still there")
  return token
})

const expectConflict = Effect.fnUntraced(function*(stored: Stored, change: Change.Change, successor?: string) {
  const answer = yield* update(stored, change, successor)
  assert(answer._tag === "Conflict", `there is a conflict, not ${answer._tag}`)
  return answer
})

const expectTooLarge = Effect.fnUntraced(function*<R>(written: Effect.Effect<unknown, unknown, R>) {
  const error = yield* Effect.flip(written)
  assert(error instanceof SessionTooLargeError)
  const { limit, setting, size } = error
  assertEqual([limit, setting], [1_000, "sizeLimit"])
  assert(size > limit)
})

const touch = Effect.fnUntraced(function*({ id, record, token }: Stored) {
  const store = yield* SessionStore.SessionStore
  const expiry = Expiry.make(yield* SessionConfig.SessionConfig)
  const times = expiry.touch(record, record.fields, yield* Clock.currentTimeMillis)
  const touched = { ...record, ...times }
  const answer = yield* store.touch(id, touched)
  return answer._tag === "Gone" ? undefined : { id, record: touched, token: answer.token ?? token }
})

/** Gives the session its own lifetime, in milliseconds. */
const relive = Effect.fnUntraced(function*(
  { id, record, token }: Stored,
  lifetime: { readonly [part: string]: Schema.Json }
) {
  const store = yield* SessionStore.SessionStore
  const expiry = Expiry.make(yield* SessionConfig.SessionConfig)
  const change = { ...set("~lifetime", lifetime), touch: true }
  const fields = Change.apply(record.fields, change)
  const relived = { ...expiry.touch(record, fields, yield* Clock.currentTimeMillis), fields }
  const answer = yield* store.update(id, change, relived)
  assert(answer._tag === "Written", "the session is still there")
  return { id, record: relived, token: answer.token ?? token }
})

const regenerate = Effect.fnUntraced(function*({ id, record }: Stored, change: Change.Change = Change.none) {
  const store = yield* SessionStore.SessionStore
  const id_ = yield* newId
  const changed = { ...record, fields: Change.apply(record.fields, change) }
  const answer = yield* store.regenerate(id, id_, changed, record.fields)
  if (answer._tag !== "Written") return undefined
  assert(answer.token !== undefined, "a new id comes with a new token")
  const stored: Stored = { id: id_, token: answer.token, record: changed }
  return stored
})

const expectRegenerate = Effect.fnUntraced(function*(stored: Stored, change?: Change.Change) {
  const regenerated = yield* regenerate(stored, change)
  assert(regenerated !== undefined, "the session gets a new id")
  return regenerated
})

const destroy = ({ id, record }: Stored) =>
  Effect.flatMap(SessionStore.SessionStore, (store) => store.destroy(id, record))

// -----------------------------------------------------------------------------
// the laws
// -----------------------------------------------------------------------------

const ofEveryShape = Object.fromEntries<Schema.Json>([
  ["null", null],
  ["false", false],
  ["zero", 0],
  ["negative", -1.5e-7],
  ["large", 1.7976931348623157e308],
  ["empty", ""],
  ["unicode", "Zoë 日本語 👩‍👩‍👧 \u0000 \u2028 \ud800"],
  ["lines", "a\nb\r\n\tc"],
  ["quotes", "\"'\\`$${}"],
  ["list", [1, [2, [3, {}]], []]],
  ["object", Object.fromEntries([["__proto__", 1], ["a.b", { c: [null] }], ["", "nameless"]])]
])

const anyNames = [
  "__proto__",
  "constructor",
  "toString",
  "",
  " ",
  "a.b",
  "$x",
  "#n",
  "key",
  "~flash:1",
  "line\nbreak",
  "日本",
  "0",
  "~\"\"",
  "\ud800"
]

const laws = {
  "a session is loaded as it was created": () =>
    Effect.gen(function*() {
      const { id, record, token } = yield* create({ name: "Ada", visits: 3 })
      const loaded = yield* loadFound(token)
      assertEqual(loaded.record, record)
      assert.strictEqual(loaded.id.text, id.text)
    }),

  "sessions do not mix": () =>
    Effect.gen(function*() {
      const stored = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, index) => index),
        (index) => create({ index })
      )
      yield* Effect.forEach(
        stored,
        ({ token }, index) => Effect.map(loadFound(token), ({ record }) => assertEqual(valuesOf(record), { index }))
      )
    }),

  "values of every JSON shape come out as they went in": () =>
    Effect.gen(function*() {
      const { token } = yield* create(ofEveryShape)
      assertEqual(valuesOf((yield* loadFound(token)).record), ofEveryShape)
    }),

  "fields may have any name": () =>
    Effect.gen(function*() {
      const values = Object.fromEntries(anyNames.map((name, index) => [name, index]))
      const stored = yield* create({ first: true })
      const change = anyNames.reduce((change, name, index) => Change.set(change, name, `${index}`), Change.none)
      const token = yield* expectCommit(stored, change)
      assertEqual(valuesOf((yield* loadFound(token)).record), { first: true, ...values })
    }),

  "a session of 100 kB is kept whole, or refused with both sizes": () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      const record = yield* recordOf({ text: "ü€".repeat(20_000) })
      const id = yield* newId
      const written = yield* Effect.result(store.create(id, record))
      if (Result.isFailure(written)) {
        const error = written.failure
        assert(error instanceof SessionTooLargeError && error.size > error.limit, "the error has both sizes")
        return
      }
      assert(written.success._tag === "Written" && written.success.token !== undefined, "it is written")
      assertEqual((yield* loadFound(written.success.token)).record, record)
    }),

  "a session on a server that is larger than sizeLimit is refused with both sizes, and can be made smaller": (layer) =>
    Effect.gen(function*() {
      if ((yield* SessionStore.SessionStore).stateless) return
      const b = "ü".repeat(300)
      const stored = yield* create({ a: "x".repeat(600) })
      yield* expectTooLarge(create({ a: "x".repeat(600), b }))
      yield* expectTooLarge(update(stored, set("b", b)))
      yield* expectTooLarge(regenerate(stored, set("b", b)))
      assertEqual((yield* loadFound(stored.token)).record, stored.record, "nothing was written")
      // Each request fits alone, but both together do not.
      yield* expectCommit(stored, set("c", 1))
      yield* expectCommit({ ...stored, record: yield* recordOf({}) }, set("b", b))
      const full = { ...stored, record: (yield* loadFound(stored.token)).record }
      yield* expectTooLarge(update(full, set("d", 1)))
      yield* expectCommit(full, increment("count", 1))
      const counted = { ...stored, record: (yield* loadFound(stored.token)).record }
      const moved = yield* expectRegenerate(counted, Change.remove(Change.none, "a"))
      yield* expectCommit(moved, set("d", 1))
      assertEqual(valuesOf((yield* loadFound(moved.token)).record), { b, c: 1, d: 1, count: 1 })
    }).pipe(provideStore(layer, { sizeLimit: 1_000 })),

  "creating never overwrites": () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      const { id, token } = yield* create({ owner: "first" })
      const answer = yield* store.create(id, yield* recordOf({ owner: "second" }))
      if (!store.stateless) assert.strictEqual(answer._tag, "Taken")
      assertEqual(valuesOf((yield* loadFound(token)).record), { owner: "first" })
    }),

  "a commit sets, removes and clears": () =>
    Effect.gen(function*() {
      const stored = yield* create({ a: 1, b: 2, c: 3 })
      const token = yield* expectCommit(stored, Change.remove(set("a", 10), "b"))
      assertEqual(valuesOf((yield* loadFound(token)).record), { a: 10, c: 3 })
      const { record } = yield* loadFound(token)
      const cleared = yield* expectCommit(
        { ...stored, token, record },
        Change.set(Change.clear(Change.none), "d", "4")
      )
      assertEqual(valuesOf((yield* loadFound(cleared)).record), { d: 4 })
    }),

  "commits of parallel requests merge": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      const stored = yield* create({ kept: true })
      const names = Array.from({ length: 50 }, (_, index) => `field${index}`)
      const tokens = yield* Effect.forEach(names, (name, index) => expectCommit(stored, set(name, index)), {
        concurrency: "unbounded"
      })
      const all = { kept: true, ...Object.fromEntries(names.map((name, index) => [name, index])) }
      if (!stateless) return assertEqual(valuesOf((yield* loadFound(stored.token)).record), all)
      // Each token contains what its own request has seen.
      yield* Effect.forEach(tokens, (token, index) =>
        Effect.map(loadFound(token), ({ record }) =>
          assertEqual(valuesOf(record), { kept: true, [names[index]!]: index })))
    }),

  "increments of parallel requests add up": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      const stored = yield* create({ count: 7, half: 0.5 })
      const change = increment("new", 1, increment("half", -0.25, increment("count", 2)))
      const tokens = yield* Effect.replicateEffect(expectCommit(stored, change), 50, { concurrency: "unbounded" })
      const times = stateless ? 1 : 50
      assertEqual(
        valuesOf((yield* loadFound(tokens.at(-1)!)).record),
        { count: 7 + 2 * times, half: 0.5 - 0.25 * times, new: times }
      )
    }),

  "an increment begins at its initial value where there is no number": () =>
    Effect.gen(function*() {
      const stored = yield* create({ other: 1 })
      const token = yield* expectCommit(stored, Change.increment(Change.none, "count", { by: 2, initial: 40 }))
      assertEqual(valuesOf((yield* loadFound(token)).record), { other: 1, count: 42 })
    }),

  "a commit that expects what is stored is written": () =>
    Effect.gen(function*() {
      const stored = yield* create({ a: 1, b: "x", c: [true] })
      const change = { ...Change.remove(set("a", 2), "c"), touch: true }
      const token = yield* expectCommit(stored, expecting(change, { a: 1, b: "x", missing: undefined }))
      const { record } = yield* loadFound(token)
      assertEqual(valuesOf(record), { a: 2, b: "x" })
      const next = { ...stored, token, record }
      const counted = yield* expectCommit(next, expecting(increment("a", 1), { a: 2, c: undefined }))
      const last = { ...next, token: counted, record: (yield* loadFound(counted)).record }
      const cleared = yield* expectCommit(
        last,
        expecting(Change.set(Change.clear(Change.none), "d", "4"), { a: 3, d: undefined })
      )
      assertEqual(valuesOf((yield* loadFound(cleared)).record), { d: 4 })
    }),

  "a commit that expects something else changes nothing, and answers with what is there": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      const stored = yield* create({ a: 1, b: "x" })
      const later = {
        ...stored.record,
        touchedAt: stored.record.touchedAt + minute,
        expiresAt: stored.record.expiresAt + minute
      }
      const request: Stored = { ...stored, record: later }
      const disappointed: ReadonlyArray<Change.Change> = [
        expecting(set("a", 2), { a: 3 }),
        expecting(set("a", 2), { a: "1" }),
        expecting(set("a", 2), { a: undefined }),
        expecting(set("a", 2), { missing: 1 }),
        expecting(set("new", 2), { a: 1, b: "x", missing: null }),
        expecting(Change.remove(set("new", 2), "a"), { b: "X" }),
        expecting(increment("a", 1, increment("new", 1)), { b: "" }),
        expecting(Change.clear(Change.none), { b: undefined }),
        expecting(Change.set(Change.clear(Change.none), "a", "2"), { a: 2 }),
        expecting(Change.onlyTouch, { a: 2 }),
        expecting(Change.none, { a: 2 })
      ]
      if (stateless) {
        // The client holds the record in a cookie, so nothing can be compared.
        const token = yield* expectCommit(stored, disappointed[0]!)
        return assertEqual(valuesOf((yield* loadFound(token)).record), { a: 2, b: "x" })
      }
      yield* Effect.forEach(disappointed, (change) =>
        Effect.gen(function*() {
          const answer = yield* expectConflict(request, { ...change, touch: true })
          assertEqual(answer, { _tag: "Conflict", record: stored.record })
          assertEqual((yield* loadFound(stored.token)).record, stored.record)
          assert.strictEqual((yield* update(request, change))._tag, "Conflict")
        }))
      assertEqual((yield* loadFound(stored.token)).record, stored.record)
    }),

  "of parallel commits that expect the same, one is written": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      const stored = yield* create({ owner: null, kept: true })
      const answers = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, index) => index),
        (index) => update(stored, expecting(set("owner", index), { owner: null })),
        { concurrency: "unbounded" }
      )
      const written = answers.flatMap(({ _tag }, index) => _tag === "Written" ? [index] : [])
      assert.strictEqual(written.length, stateless ? 50 : 1)
      if (stateless) return
      const { record } = yield* loadFound(stored.token)
      assertEqual(valuesOf(record), { owner: written[0]!, kept: true })
      for (const answer of answers) {
        if (answer._tag !== "Written") assertEqual(answer, { _tag: "Conflict", record })
      }
    }),

  "what comes again after a conflict gets through in the end": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      if (stateless) return
      const stored = yield* create({ list: [] })
      const append = (item: number, before: SessionRecord): Effect.Effect<void, unknown, SessionStore.SessionStore> => {
        const list = valuesOf(before)["list"] as ReadonlyArray<number>
        return Effect.flatMap(
          update({ ...stored, record: before }, expecting(set("list", [...list, item]), { list })),
          (answer) => {
            assert(answer._tag !== "Gone", "the session is still there")
            return answer._tag === "Conflict" ? append(item, answer.record) : Effect.void
          }
        )
      }
      const items = Array.from({ length: 8 }, (_, index) => index)
      yield* Effect.forEach(items, (item) => append(item, stored.record), { concurrency: "unbounded" })
      const { list } = valuesOf((yield* loadFound(stored.token)).record)
      assertEqual((list as ReadonlyArray<number>).toSorted(), items)
    }),

  "values of every JSON shape can be expected": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      const stored = yield* create(ofEveryShape)
      yield* expectCommit(stored, expecting(set("done", true), ofEveryShape))
      if (stateless) return
      const fields = Object.keys(ofEveryShape)
      yield* Effect.forEach(fields, (field, index) =>
        Effect.gen(function*() {
          const another = ofEveryShape[fields[(index + 1) % fields.length]!]!
          yield* expectConflict(stored, expecting(set("done", false), { ...ofEveryShape, [field]: another }))
          yield* expectConflict(stored, expecting(set("done", false), { ...ofEveryShape, [field]: undefined }))
        }))
      assertEqual(valuesOf((yield* loadFound(stored.token)).record), { ...ofEveryShape, done: true })
    }),

  "what an increment has made can be expected as it was loaded": () =>
    Effect.gen(function*() {
      const stored = yield* create({ tenth: 0.1, large: 1e20, tiny: 0.1 })
      const change = increment("new", 0.3, increment("tiny", 1e-20, increment("large", 1e20, increment("tenth", 0.2))))
      const once = { ...stored, token: yield* expectCommit(stored, change) }
      const loaded = { ...once, record: (yield* loadFound(once.token)).record }
      const expected = [...loaded.record.fields].reduce(
        (change, [field, text]) => Change.expect(change, field, text),
        set("done", true)
      )
      const token = yield* expectCommit(loaded, expected)
      assert.strictEqual(valuesOf((yield* loadFound(token)).record)["done"], true)
    }),

  "fields of any name can be expected": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      const values = Object.fromEntries(anyNames.map((name, index) => [name, index]))
      const absent = Object.fromEntries(anyNames.map((name) => [name, undefined]))
      const stored = yield* create({ first: true })
      const change = anyNames.reduce((change, name, index) => Change.set(change, name, `${index}`), Change.none)
      const token = yield* expectCommit(stored, expecting(change, absent))
      const filled = { ...stored, token, record: (yield* loadFound(token)).record }
      const last = yield* expectCommit(filled, expecting(set("first", false), values))
      assertEqual(valuesOf((yield* loadFound(last)).record), { first: false, ...values })
      if (stateless) return
      yield* Effect.forEach(
        anyNames,
        (name) => expectConflict(filled, expecting(set("first", true), { [name]: undefined }))
      )
    }),

  "a commit may expect hundreds of fields": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      const names = Array.from({ length: 400 }, (_, index) => `field${index}`)
      const absent = Object.fromEntries(names.map((name) => [name, undefined]))
      const stored = yield* create({ a: 1 })
      yield* expectCommit(stored, expecting(set("a", 2), absent))
      if (stateless) return
      const answer = yield* expectConflict(stored, expecting(set("a", 3), { ...absent, a: 1 }))
      assertEqual(valuesOf(answer.record), { a: 2 })
      assertEqual(valuesOf((yield* loadFound(stored.token)).record), { a: 2 })
    }),

  "the idle timeout holds to the millisecond": () =>
    Effect.gen(function*() {
      const { token } = yield* create()
      yield* TestClock.adjust(hour - 1)
      yield* loadFound(token)
      yield* TestClock.adjust(1)
      yield* expectNone(token)
    }),

  "a touch extends the life of a session": () =>
    Effect.gen(function*() {
      const stored = yield* create()
      yield* TestClock.adjust(hour - minute)
      const touched = yield* touch(stored)
      assert(touched !== undefined, "the session is still there")
      yield* TestClock.adjust(hour - 1)
      const { record } = yield* loadFound(touched.token)
      assertEqual(record, touched.record)
      yield* TestClock.adjust(1)
      yield* expectNone(touched.token)
    }),

  "a clock that differs from the back end's by ten minutes ends nothing early": (layer) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      for (const difference of [-10 * minute, 10 * minute]) {
        yield* TestClock.setTime(now + difference)
        yield* Effect.gen(function*() {
          const stored = yield* create()
          yield* loadFound(stored.token)
          yield* TestClock.adjust(2 * minute)
          const touched = yield* touch(stored)
          assert(touched !== undefined, "the session is still there")
          yield* loadFound(touched.token)
          const token = yield* expectCommit(touched, { ...set("a", 2), touch: true })
          const { record } = yield* loadFound(token)
          const next = yield* expectRegenerate({ ...touched, record })
          assert.strictEqual((yield* load(token))._tag, "Superseded")
          assertEqual(valuesOf((yield* loadFound(next.token)).record), { a: 2 })
          yield* destroy(next)
        }).pipe(provideStore(layer, { age: "5 minutes", absoluteAge: "15 minutes" }))
      }
    }),

  "nothing extends the absolute timeout": () =>
    Effect.gen(function*() {
      const created = yield* create()
      let stored = created
      for (let elapsed = 0; elapsed < 3 * hour - 30 * minute; elapsed += 30 * minute) {
        yield* TestClock.adjust(30 * minute)
        const touched = yield* touch(stored)
        assert(touched !== undefined, "the session is still there")
        const regenerated = yield* expectRegenerate(touched, increment("round", 1))
        const token = yield* expectCommit(regenerated, { ...set("written", elapsed), touch: true })
        stored = { ...regenerated, token, record: (yield* loadFound(token)).record }
        assert.strictEqual(stored.record.createdAt, created.record.createdAt)
      }
      yield* TestClock.adjust(30 * minute - 1)
      yield* loadFound(stored.token)
      yield* TestClock.adjust(1)
      yield* expectNone(stored.token)
    }),

  "a slow request does not shorten what a faster one has extended": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      const stored = yield* create()
      const slow = {
        ...stored.record,
        touchedAt: stored.record.touchedAt + minute,
        expiresAt: stored.record.expiresAt + minute
      }
      yield* TestClock.adjust(30 * minute)
      const fast = yield* touch(stored)
      assert(fast !== undefined, "the session is still there")
      yield* expectCommit({ ...stored, record: slow }, { ...set("slow", true), touch: true })
      // A token that was already issued keeps its own times.
      const { record } = yield* loadFound(fast.token)
      assert.strictEqual(record.expiresAt, fast.record.expiresAt)
      if (!stateless) assert.strictEqual(valuesOf(record)["slow"], true)
    }),

  "gone is gone: nothing brings a destroyed session back": () =>
    Effect.gen(function*() {
      const stored = yield* create()
      yield* destroy(stored)
      yield* expectNone(stored.token)
      assert.strictEqual(yield* commit(stored, set("a", 2)), undefined, "a commit finds nothing")
      assert.strictEqual(yield* commit(stored, increment("a", 2)), undefined, "an increment finds nothing")
      assert.strictEqual(yield* touch(stored), undefined, "a touch finds nothing")
      assert.strictEqual(yield* regenerate(stored), undefined, "regenerating finds nothing")
      yield* expectNone(stored.token)
    }),

  "gone is gone, in whatever order parallel requests come": () =>
    Effect.gen(function*() {
      yield* Effect.forEach(Array.from({ length: 10 }), () =>
        Effect.gen(function*() {
          const stored = yield* create()
          const token = yield* Effect.map(
            Effect.all(
              [commit(stored, set("a", 2)), destroy(stored), touch(stored), commit(stored, increment("a", 1))],
              {
                concurrency: "unbounded"
              }
            ),
            ([token]) => token
          )
          yield* expectNone(stored.token)
          if (token !== undefined) yield* expectNone(token)
        }))
    }),

  "destroying what is not there is no error": () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      const stored = yield* create()
      yield* destroy(stored)
      yield* destroy(stored)
      yield* store.destroy(yield* newId, yield* recordOf({}))
    }),

  "nothing is updated that was never created": () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      if (store.stateless) return
      const stranger = { id: yield* newId, token: new SessionStore.Token(""), record: yield* recordOf({}) }
      assert.strictEqual(yield* commit(stranger, set("a", 1)), undefined)
      assert.strictEqual(yield* touch(stranger), undefined)
      assert.strictEqual(yield* regenerate(stranger), undefined)
    }),

  "regenerating keeps the session and its times under a new id": () =>
    Effect.gen(function*() {
      const stored = yield* create({ cart: [1, 2] })
      const regenerated = yield* expectRegenerate(stored, set("user", "ada"))
      const { record } = yield* loadFound(regenerated.token)
      assertEqual(valuesOf(record), { cart: [1, 2], user: "ada" })
      assertEqual({ ...record, fields: undefined }, { ...stored.record, fields: undefined })
      assert.notStrictEqual(regenerated.token.text, stored.token.text)
    }),

  "the old token of a regenerated session is dead at once": () =>
    Effect.gen(function*() {
      const stored = yield* create()
      yield* expectRegenerate(stored)
      assert.strictEqual((yield* load(stored.token))._tag, "Superseded")
      assert.strictEqual(yield* commit(stored, set("a", 2)), undefined, "a commit finds nothing")
      assert.strictEqual(yield* touch(stored), undefined, "a touch finds nothing")
      assert.strictEqual(yield* regenerate(stored), undefined, "regenerating again finds nothing")
      yield* destroy(stored)
      yield* expectNone(stored.token)
    }),

  "a session with a longer life of its own lives that long, also under another id": () =>
    Effect.gen(function*() {
      const own = { "~lifetime": { age: 5 * 24 * hour, absoluteAge: 7 * 24 * hour } }
      const stored = yield* create({ a: 1, ...own })
      yield* TestClock.adjust(5 * 24 * hour - 1)
      yield* loadFound(stored.token)
      const touched = yield* touch(stored)
      assert(touched !== undefined, "the session is still there")
      const regenerated = yield* expectRegenerate(touched)
      yield* TestClock.adjust(2 * 24 * hour)
      assertEqual(valuesOf((yield* loadFound(regenerated.token)).record), { a: 1, ...own })
      yield* TestClock.adjust(1)
      yield* expectNone(regenerated.token)
    }),

  "a session whose life was made longer lives that long": () =>
    Effect.gen(function*() {
      const stored = yield* create()
      yield* TestClock.adjust(59 * minute)
      const { token } = yield* relive(stored, { age: 5 * 24 * hour, absoluteAge: 7 * 24 * hour })
      yield* TestClock.adjust(5 * 24 * hour - 1)
      yield* loadFound(token)
      yield* TestClock.adjust(1)
      yield* expectNone(token)
    }),

  "a session whose life was made shorter is over at its own end": () =>
    Effect.gen(function*() {
      const stored = yield* create()
      const { token } = yield* relive(stored, { age: 10 * minute })
      yield* TestClock.adjust(10 * minute - 1)
      yield* loadFound(token)
      yield* TestClock.adjust(1)
      yield* expectNone(token)
    }),

  "that a session was regenerated is forgotten after a while, and it stays dead": () =>
    Effect.gen(function*() {
      const stored = yield* create()
      yield* expectRegenerate(stored)
      yield* TestClock.adjust(30_000)
      yield* Effect.repeat(
        Effect.gen(function*() {
          yield* TestClock.adjust(minute)
          assert.strictEqual((yield* load(stored.token))._tag, "NotFound")
          assert.strictEqual(yield* commit(stored, set("a", 2)), undefined)
        }),
        { times: 3 }
      )
    }),

  "a session can be destroyed after it was regenerated": () =>
    Effect.gen(function*() {
      const regenerated = yield* Effect.flatMap(create(), expectRegenerate)
      yield* destroy(regenerated)
      yield* expectNone(regenerated.token)
    }),

  "a session that ends as it is regenerated is one that nobody knows, and who follows it finds nothing": () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      const stored = yield* create({ a: 1 })
      const id = yield* newId
      const record = { ...stored.record, fields: fieldsOf({ a: 1 }) }
      const answer = yield* store.regenerate(stored.id, id, record, stored.record.fields, "ended")
      assert(answer._tag === "Written" && answer.token !== undefined)
      assert.strictEqual((yield* load(stored.token))._tag, "NotFound")
      const change = { ...Change.none, set: fieldsOf({ a: 2 }) }
      assert.strictEqual((yield* store.update(stored.id, change, stored.record))._tag, "Gone")
      assert.strictEqual(yield* touch(stored), undefined)
      const watched = { key: stored.id.key, owner: undefined }
      assert.deepStrictEqual([...(yield* store.look?.([watched]) ?? Effect.succeed(new Map()))], [])
      yield* destroy(stored)
      assert.deepStrictEqual(valuesOf((yield* loadFound(answer.token)).record), { a: 1 })
    }),

  "destroying a session that was just regenerated ends it under its new id": () =>
    Effect.gen(function*() {
      const stored = yield* create()
      const once = yield* expectRegenerate(stored)
      const twice = yield* expectRegenerate(once)
      yield* destroy(stored)
      yield* expectNone(stored.token)
      yield* expectNone(once.token)
      yield* expectNone(twice.token)
      assert.strictEqual(yield* commit(twice, set("a", 2)), undefined, "a commit finds nothing")
    }),

  "what others have extended stays extended when it is regenerated": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      if (stateless) return
      const stored = yield* create()
      yield* TestClock.adjust(30 * minute)
      const touched = yield* touch(stored)
      assert(touched !== undefined, "the session is still there")
      const regenerated = yield* expectRegenerate(stored)
      assert.strictEqual((yield* loadFound(regenerated.token)).record.expiresAt, touched.record.expiresAt)
    }),

  "a session that holds anything else than was seen before is not regenerated": () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      if (store.stateless) return
      const stored = yield* create({ a: 1, b: 2 })
      const id = yield* newId
      const others = [{ a: 2, b: 2 }, { a: 1 }, { a: 1, b: 2, c: 3 }, { a: 1, c: 2 }, {}]
      yield* Effect.forEach(others, (before) =>
        Effect.gen(function*() {
          const answer = yield* store.regenerate(stored.id, id, stored.record, fieldsOf(before))
          assertEqual(answer, { _tag: "Conflict", record: stored.record })
          assertEqual((yield* loadFound(stored.token)).record, stored.record)
        }))
      assert.strictEqual((yield* store.update(id, Change.none, stored.record))._tag, "Gone", "the new id is not there")
      assert.strictEqual((yield* store.create(id, stored.record))._tag, "Written", "and not in use")
      yield* expectCommit(stored, set("a", 4))
      assertEqual(valuesOf((yield* loadFound(stored.token)).record), { a: 4, b: 2 })
    }),

  "a session that has got the new id already, as the answer was lost, can be regenerated again with what is there":
    () =>
      Effect.gen(function*() {
        const store = yield* SessionStore.SessionStore
        if (store.stateless) return
        const stored = yield* create({ a: 1 })
        const id = yield* newId
        const login = { ...stored.record, fields: fieldsOf({ a: 1, user: "ada" }) }
        assert.strictEqual((yield* store.regenerate(stored.id, id, login, stored.record.fields))._tag, "Written")
        const again = yield* store.regenerate(stored.id, id, login, stored.record.fields)
        assertEqual(again, { _tag: "Conflict", record: login })
        const more = { ...login, fields: fieldsOf({ user: "ada", b: 2 }) }
        const answer = yield* store.regenerate(stored.id, id, more, login.fields)
        assert(answer._tag === "Written" && answer.token !== undefined, "it is written, and has a token")
        assertEqual((yield* loadFound(answer.token)).record.fields, more.fields)
        assert.strictEqual((yield* load(stored.token))._tag, "Superseded")
      }),

  "what was committed before regenerating is in the new session": () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      if (store.stateless) return
      const stored = yield* create({ removed: true, kept: true })
      yield* expectCommit(stored, Change.remove(increment("meanwhile", 0.1), "removed"))
      const id = yield* newId
      const refused = yield* store.regenerate(stored.id, id, stored.record, stored.record.fields)
      assert(refused._tag === "Conflict", "it has changed since")
      const regenerated = yield* expectRegenerate({ ...stored, record: refused.record }, set("login", true))
      assertEqual(
        valuesOf((yield* loadFound(regenerated.token)).record),
        { kept: true, meanwhile: 0.1, login: true }
      )
    }),

  "a commit to a session that was regenerated a moment ago can follow it": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      const stored = yield* create({ a: 1 })
      const regenerated = yield* expectRegenerate(stored, set("user", "ada"))
      // A cookie that was already issued can't be changed, so this request loses its session.
      if (stateless) return assert.strictEqual((yield* update(stored, set("a", 2)))._tag, "Gone")
      const { record } = yield* loadFound(regenerated.token)
      yield* Effect.forEach([set("a", 2), Change.onlyTouch, Change.clear(Change.none)], (change) =>
        Effect.gen(function*() {
          const answer = yield* expectConflict(stored, change)
          assertEqual(answer.record, record)
          assert.strictEqual(typeof answer.successor, "string")
        }))
      assertEqual((yield* loadFound(regenerated.token)).record, record, "nothing is written yet")
      const { successor } = yield* expectConflict(stored, set("a", 2))
      const another = yield* expectConflict(stored, expecting(set("a", 2), { user: "grace" }), successor)
      assertEqual(another, { _tag: "Conflict", record, successor: successor! })
      const written = yield* update(stored, expecting(set("a", 2), { user: "ada" }), successor)
      assertEqual(written, { _tag: "Written", token: undefined })
      assertEqual(valuesOf((yield* loadFound(regenerated.token)).record), { a: 2, user: "ada" })
      assert.strictEqual((yield* load(stored.token))._tag, "Superseded", "the old token stays dead")
    }),

  "a commit follows a session that was regenerated several times": () =>
    Effect.gen(function*() {
      const { stateless } = yield* SessionStore.SessionStore
      if (stateless) return
      const stored = yield* create({ a: 1 })
      const once = yield* expectRegenerate(stored, set("times", 1))
      const { successor: first } = yield* expectConflict(stored, set("a", 2))
      const twice = yield* expectRegenerate(once, set("times", 2))
      const { record } = yield* loadFound(twice.token)
      const last = yield* expectConflict(stored, set("a", 2))
      assertEqual(last.record, record)
      // Even if it was regenerated again between the two attempts.
      assertEqual(yield* expectConflict(stored, set("a", 2), first), last)
      assert.strictEqual((yield* update(stored, set("a", 2), last.successor))._tag, "Written")
      assertEqual(valuesOf((yield* loadFound(twice.token)).record), { a: 2, times: 2 })
      yield* expectNone(stored.token)
      yield* expectNone(once.token)
    }),

  "a commit does not follow a session that has ended, or was regenerated a while ago": () =>
    Effect.gen(function*() {
      const expectGone = (stored: Stored, successor?: string) =>
        Effect.map(update(stored, set("a", 2), successor), ({ _tag }) => assert.strictEqual(_tag, "Gone"))
      const { stateless } = yield* SessionStore.SessionStore
      if (stateless) return
      const ended = yield* create()
      const endedNext = yield* expectRegenerate(ended)
      const { successor } = yield* expectConflict(ended, set("a", 2))
      yield* destroy(endedNext)
      yield* expectGone(ended)
      yield* expectGone(ended, successor)
      yield* expectNone(endedNext.token)
      const old = yield* create()
      const next = yield* expectRegenerate(old)
      yield* TestClock.adjust(30_000 - 1)
      yield* expectConflict(old, set("a", 2))
      yield* TestClock.adjust(1)
      yield* expectGone(old)
      assertEqual(valuesOf((yield* loadFound(next.token)).record), { a: 1 })
    }),

  "regenerating does not take an id that is in use": () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      if (store.stateless) return
      const stored = yield* create({ mine: true })
      const other = yield* create({ other: true })
      assertEqual(yield* store.regenerate(stored.id, other.id, stored.record, stored.record.fields), {
        _tag: "Taken"
      })
      assertEqual(valuesOf((yield* loadFound(stored.token)).record), { mine: true })
      assertEqual(valuesOf((yield* loadFound(other.token)).record), { other: true })
    }),

  "a malformed token is no session, and no error": () =>
    Effect.gen(function*() {
      const { token } = yield* create()
      const good = token.text
      const tokens = [
        "",
        " ",
        ".",
        "..",
        "../../etc/passwd",
        "__proto__",
        "null",
        "%00",
        "\u0000",
        "*",
        "a".repeat(100_000),
        "日本語",
        "\ud800",
        good.slice(0, 10),
        `${good} `,
        `${good}${good}`,
        `${good}=`,
        encodeURIComponent(`${good}.`)
      ]
      yield* Effect.forEach(tokens, (text) =>
        Effect.map(load(new SessionStore.Token(text)), (loaded) =>
          assert.strictEqual(loaded._tag, "NotFound", `${JSON.stringify(text.slice(0, 50))} is no session`)))
      yield* loadFound(token)
    }),

  "a token with any character altered is no session": () =>
    Effect.gen(function*() {
      const good = (yield* create()).token.text
      yield* Effect.forEach([...good], (character, index) =>
        Effect.gen(function*() {
          const altered = good.slice(0, index) + (character === "A" ? "B" : "A") + good.slice(index + 1)
          assert.strictEqual((yield* load(new SessionStore.Token(altered)))._tag, "NotFound")
        }))
    }),

  "a token of another secret or another cookie is no session": (layer) =>
    Effect.gen(function*() {
      const { token } = yield* create()
      const expectForeign = Effect.map(load(token), (loaded) =>
        assertEqual(loaded, { _tag: "NotFound", reason: "tampered" }))
      yield* provideStore(layer, { secret: "another secret, just as long as the first one" })(expectForeign)
      yield* provideStore(layer, { cookie: { name: "another" } })(expectForeign)
    }),

  "a token of no protection is not taken where ids are protected": () =>
    Effect.gen(function*() {
      const { id } = yield* create()
      assert.strictEqual((yield* load(new SessionStore.Token(id.text)))._tag, "NotFound")
    })
} satisfies { readonly [law: string]: Test }

const holdsNoSecret = (dump: Effect.Effect<string, unknown, SessionStore.SessionStore>): Test => () =>
  Effect.gen(function*() {
    const stored = yield* create({ name: "Ada" })
    const regenerated = yield* expectRegenerate(yield* create({ name: "Grace" }))
    const text = yield* dump
    assert(text.includes("Ada"), "the dump shows what is stored")
    for (const { id, token } of [stored, regenerated]) {
      assert(!text.includes(id.text))
      assert(!text.includes(token.text))
    }
  })
