/**
 * What a back end has to do for owners: the index of their sessions, burying one, and looking at several at once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import type { SessionStore } from "effect-session"
import { randomBytes } from "node:crypto"
import { endOfTime } from "../../src/internal/record/record.ts"
import { expecting, setting } from "./storedSession.ts"

export type Backend =
  & SessionStore.Backend
  & Required<Pick<SessionStore.Backend, "owners" | "peek">>

export interface Options {
  /** A back end for as long as the scope; if it is for several servers, each one that is made has the same sessions. */
  readonly backend: Effect.Effect<SessionStore.Backend, unknown, Scope.Scope>
  /** Whether several servers can have the same sessions. */
  readonly isForSeveral: boolean
}

/** As that of a session's id, and of an owner. */
export const newHash = (): string => randomBytes(32).toString("base64url")

export const hour = 3_600_000

export const entryAt = (at: number, key = newHash()): SessionStore.OwnerEntry => ({ key, at, until: at + 24 * hour })

/** The latest first; of the same time, the last key first. */
const inOrder = (entries: ReadonlyArray<SessionStore.OwnerEntry>) =>
  entries.toSorted((one, other) => other.at - one.at || (one.key > other.key ? -1 : 1))

const timesFrom = (createdAt: number): SessionStore.Times => ({
  createdAt,
  touchedAt: createdAt + 1,
  expiresAt: createdAt + hour
})

const oddNames = [
  "",
  "__proto__",
  "constructor",
  "~owner",
  "~",
  "~~",
  "~\"",
  "\0",
  "a\0b",
  "\ud800",
  "日本",
  "a b\n\"="
]

export const suite = (title: string, { backend, isForSeveral }: Options): void => {
  const open = Effect.map(backend, (backend) => {
    assert(backend.owners !== undefined && backend.peek !== undefined)
    return backend as Backend
  })

  /** Two servers, or one twice. */
  const two = Effect.flatMap(
    open,
    (one) => Effect.map(isForSeveral ? open : Effect.succeed(one), (other) => [one, other])
  )

  const add = ({ owners }: Backend, owner: string, entries: ReadonlyArray<SessionStore.OwnerEntry>) =>
    Effect.forEach(entries, (entry) => owners.add(owner, entry, undefined), { concurrency: 20, discard: true })

  const created = Effect.fnUntraced(function*(
    backend: Backend,
    fields: Readonly<Record<string, string>> | ReadonlyMap<string, string> = { a: "1" }
  ) {
    const key = newHash()
    const record: SessionStore.SessionRecord = {
      ...timesFrom(Date.now()),
      fields: fields instanceof Map ? fields : new Map(Object.entries(fields))
    }
    assert.isTrue(yield* backend.create(key, record))
    return { key, record }
  })

  /** What a request finds that has another record there, or is about to. */
  const expectBuried = Effect.fnUntraced(
    function*(backend: Backend, key: string, mark: SessionStore.SupersededRecord) {
      const isThere = Effect.gen(function*() {
        assert.deepStrictEqual(yield* backend.load(key), mark)
        assert.deepStrictEqual([...yield* backend.peek([key], ["a"])], [[key, mark]])
      })
      yield* isThere
      const times = timesFrom(Date.now() + 1000)
      const record = { ...times, fields: new Map([["a", "1"]]) }
      assert.isFalse(yield* backend.create(key, record), "create")
      assert.isFalse(yield* backend.update(key, { ...setting({ a: "2" }), touch: true }, times), "update")
      assert.isFalse(yield* backend.update(key, expecting({ a: "7" }, setting({ a: "2" })), times), "update, expecting")
      assert.isFalse(yield* backend.touch(key, times), "touch")
      const another = { supersededUntil: Date.now() + 10 * hour, successor: newHash() }
      assert.isUndefined(yield* backend.supersede(key, another, record.fields), "supersede")
      assert.isUndefined(yield* backend.supersede(key, another, new Map()), "supersede, with nothing in it")
      if (backend.regenerate !== undefined) {
        const newKey = newHash()
        assert.isFalse(
          yield* backend.regenerate(key, newKey, record, another, record.fields),
          "regenerate, from under it"
        )
        assert.isUndefined(yield* backend.load(newKey))
        const old = yield* created(backend)
        assert.strictEqual(
          yield* backend.regenerate(old.key, key, old.record, another, old.record.fields),
          "taken",
          "regenerate, to it"
        )
        assert.deepStrictEqual(plain(yield* backend.peek([old.key], ["a"])).get(old.key), {
          ...old.record,
          fields: { a: "1" }
        })
      }
      assert.deepStrictEqual(yield* backend.destroy(key), mark, "destroy")
      yield* isThere
    }
  )

  describe(title, () => {
    describe("the list of an owner", () => {
      it.live("is empty if nothing was added", () =>
        Effect.gen(function*() {
          const { owners } = yield* open
          assert.deepStrictEqual(yield* owners.list(newHash(), 100), [])
          assert.deepStrictEqual(yield* owners.list(newHash(), 100, entryAt(Date.now())), [])
        }))

      it.live("has the latest first, of the same time the last key first, and no more than are asked for", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const owner = newHash()
          const now = Date.now()
          const entries = [5, 0, 3, 3, 1, 5, 3, 4, 3].map((late) => entryAt(now + late))
          // Keys whose order is another one in most languages of people.
          for (const first of "aB_-b9A0") entries.push(entryAt(now + 2, `${first}${newHash().slice(1)}`))
          yield* add(backend, owner, entries)
          const sorted = inOrder(entries)
          assert.deepStrictEqual(yield* backend.owners.list(owner, 100), sorted)
          for (const limit of [1, 4, sorted.length]) {
            assert.deepStrictEqual(yield* backend.owners.list(owner, limit), sorted.slice(0, limit))
          }
          for (const [index, after] of sorted.entries()) {
            assert.deepStrictEqual(yield* backend.owners.list(owner, 3, after), sorted.slice(index + 1, index + 4))
          }
        }))

      it.live("gives entries back as they were added, whatever their times", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const owner = newHash()
          const now = Date.now()
          const entries = [
            { key: newHash(), at: now, until: endOfTime },
            { key: newHash(), at: now - 1000 * hour, until: now + hour },
            { key: newHash(), at: 1000, until: endOfTime },
            { key: newHash(), at: 999, until: endOfTime },
            { key: newHash(), at: 1, until: now + hour },
            { key: newHash(), at: now + hour, until: now + hour + 1 }
          ]
          yield* add(backend, owner, entries)
          assert.deepStrictEqual(yield* backend.owners.list(owner, 100), inOrder(entries))
        }))

      it.live("comes page by page, each of 1,000 entries once", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const owner = newHash()
          const now = Date.now()
          const entries = Array.from({ length: 1000 }, (_, index) => entryAt(now - Math.floor(index / 30)))
          yield* add(backend, owner, entries)
          const listed: Array<SessionStore.OwnerEntry> = []
          for (const expected of [...Array.from({ length: 10 }, () => 100), 0]) {
            const page = yield* backend.owners.list(owner, 100, listed.at(-1))
            assert.strictEqual(page.length, expected)
            listed.push(...page)
          }
          assert.deepStrictEqual(listed, inOrder(entries))
        }), 60_000)

      it.live("goes on after an entry that was removed meanwhile, also among others of the same time", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const owner = newHash()
          const now = Date.now()
          const entries = inOrder([2, 2, 2, 2, 1, 1, 0].map((late) => entryAt(now + late)))
          yield* add(backend, owner, entries)
          for (const index of [1, 3, 5, 6]) {
            const after = entries[index]!
            yield* backend.owners.remove(owner, [after])
            const left = entries.slice(index + 1)
            assert.deepStrictEqual(yield* backend.owners.list(owner, 100, after), left)
            assert.deepStrictEqual(yield* backend.owners.list(owner, 1, after), left.slice(0, 1))
          }
        }))

      it.live("has nothing of another owner's", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const [one, other] = [newHash(), newHash()]
          const entries = inOrder([entryAt(Date.now()), entryAt(Date.now() + 1)])
          yield* add(backend, one, entries)
          yield* add(backend, other, entries.slice(0, 1))
          assert.deepStrictEqual(yield* backend.owners.list(other, 100), entries.slice(0, 1))
          yield* backend.owners.remove(other, entries)
          assert.deepStrictEqual(yield* backend.owners.list(other, 100), [])
          assert.deepStrictEqual(yield* backend.owners.list(one, 100), entries)
        }))

      it.live("has what any server has added before, and not what one has removed", () =>
        Effect.gen(function*() {
          const [one, other] = yield* two
          const owner = newHash()
          for (let round = 0; round < 20; round++) {
            const entry = entryAt(Date.now())
            yield* one!.owners.add(owner, entry, undefined)
            assert.deepStrictEqual(yield* other!.owners.list(owner, 100), [entry])
            yield* other!.owners.remove(owner, [entry])
            assert.deepStrictEqual(yield* one!.owners.list(owner, 100), [])
          }
        }))

      it.live("loses nothing of what several servers add and remove at once", () =>
        Effect.gen(function*() {
          const [one, other] = yield* two
          const owner = newHash()
          const now = Date.now()
          const there = Array.from({ length: 20 }, (_, index) => entryAt(now + index))
          const added = Array.from({ length: 20 }, (_, index) => entryAt(now + index))
          yield* add(one!, owner, there)
          yield* Effect.forEach(
            there,
            (entry, index) => {
              const [adds, removes] = index % 2 === 0 ? [one!, other!] : [other!, one!]
              return Effect.all([
                adds.owners.add(owner, added[index]!, index % 3 === 0 ? 5 : undefined),
                removes.owners.remove(owner, [entry])
              ], { concurrency: 2 })
            },
            { concurrency: 20 }
          )
          assert.deepStrictEqual(yield* other!.owners.list(owner, 100), inOrder(added))
        }))
    })

    describe("adding an entry", () => {
      it.live("tells whether there are more than the limit now, and adds it in any case", () =>
        Effect.gen(function*() {
          const [one, other] = yield* two
          const owner = newHash()
          const entries = Array.from({ length: 4 }, (_, index) => entryAt(Date.now() + index))
          const answers = yield* Effect.forEach(
            entries,
            (entry, index) => (index % 2 === 0 ? one! : other!).owners.add(owner, entry, 2)
          )
          assert.deepStrictEqual(answers, [false, false, true, true])
          assert.isFalse(yield* one!.owners.add(owner, entryAt(Date.now() + 5), 5))
          assert.isTrue(yield* one!.owners.add(newHash(), entryAt(Date.now()), 0))
          assert.isFalse(yield* one!.owners.add(newHash(), entryAt(Date.now()), 2), "another owner")
          assert.deepStrictEqual((yield* one!.owners.list(owner, 100)).slice(1), inOrder(entries))
        }))

      it.live("of a key that is there already leaves the new one, and perhaps the old one", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const owner = newHash()
          const now = Date.now()
          const old = entryAt(now)
          const again = { ...old, at: now + 1 }
          const longer = { ...old, at: now + 2, until: old.until + hour }
          yield* Effect.forEach([old, again, longer, longer], (entry) => backend.owners.add(owner, entry, undefined))
          const listed = yield* backend.owners.list(owner, 100)
          assert.deepStrictEqual(listed[0], longer)
          for (const entry of listed) assert.strictEqual(entry.key, old.key)
          yield* backend.owners.remove(owner, listed)
          assert.deepStrictEqual(yield* backend.owners.list(owner, 100), [])
        }))

      it.live("whose time is over does no harm to the others", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const owner = newHash()
          const now = Date.now()
          const over = Array.from({ length: 20 }, (_, index) => ({ key: newHash(), at: now - index, until: now - 1 }))
          const living = entryAt(now - 100)
          yield* add(backend, owner, [...over.slice(0, 10), living, ...over.slice(10)])
          const listed = yield* backend.owners.list(owner, 100)
          assert.deepStrictEqual(listed.filter(({ until }) => until > now), [living])
          yield* backend.owners.remove(owner, [...over, living])
          assert.deepStrictEqual(yield* backend.owners.list(owner, 100), [])
        }))
    })

    it.live("removing entries that are not there is no error, and no others are removed", () =>
      Effect.gen(function*() {
        const { owners } = yield* open
        const owner = newHash()
        const entry = entryAt(Date.now())
        yield* owners.remove(owner, [entry])
        yield* owners.remove(owner, [])
        yield* owners.add(owner, entry, undefined)
        yield* owners.remove(owner, [entryAt(Date.now()), entryAt(entry.at)])
        assert.deepStrictEqual(yield* owners.list(owner, 100), [entry])
        yield* owners.remove(owner, [entryAt(Date.now()), entry, entry])
        yield* owners.remove(owner, [entry])
        assert.deepStrictEqual(yield* owners.list(owner, 100), [])
      }))

    describe("burying", () => {
      const mark = () => ({ supersededUntil: Date.now() + hour, successor: "" })

      it.live("a session: it is gone for every request that has it in hand", () =>
        Effect.gen(function*() {
          const [one, other] = yield* two
          const { key } = yield* created(one!, { a: "1", "~owner": `"me"` })
          const buried = mark()
          yield* other!.owners.bury(key, buried)
          yield* expectBuried(one!, key, buried)
        }))

      it.live("what is not there: nobody can create it", () =>
        Effect.gen(function*() {
          const [one, other] = yield* two
          const key = newHash()
          const buried = mark()
          yield* one!.owners.bury(key, buried)
          yield* expectBuried(other!, key, buried)
        }))

      it.live("a session that was regenerated: its successor is not told any more", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const { key, record } = yield* created(backend)
          const superseded = { supersededUntil: Date.now() + 2 * hour, successor: `${newHash()} ["a"]` }
          yield* backend.supersede(key, superseded, record.fields)
          const buried = mark()
          yield* backend.owners.bury(key, buried)
          yield* expectBuried(backend, key, buried)
        }))

      it.live("again: the last end holds", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const key = newHash()
          yield* backend.owners.bury(key, { ...mark(), supersededUntil: Date.now() + 2 * hour })
          const buried = mark()
          yield* backend.owners.bury(key, buried)
          yield* expectBuried(backend, key, buried)
        }))

      it.live("while others write: none of them brings it back", () =>
        Effect.gen(function*() {
          const [one, other] = yield* two
          for (let round = 0; round < 20; round++) {
            const { key, record } = yield* created(one!)
            const later = timesFrom(Date.now() + round)
            const buried = mark()
            yield* Effect.all([
              one!.update(key, { ...setting({ a: `${round}` }), touch: true }, later),
              one!.touch(key, later),
              other!.owners.bury(key, buried),
              one!.destroy(key),
              one!.create(key, record),
              other!.update(key, setting({ b: "1" }), later)
            ], { concurrency: "unbounded" })
            assert.deepStrictEqual(yield* one!.load(key), buried)
          }
        }))
    })

    describe("looking at several sessions", () => {
      it.live("at none finds none", () =>
        Effect.gen(function*() {
          const { peek } = yield* open
          assert.strictEqual((yield* peek([], ["a"])).size, 0)
          assert.strictEqual((yield* peek([], [])).size, 0)
        }))

      it.live("finds sessions and marks, and of the fields those that there are", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const full = yield* created(backend, { a: "1", b: `"two"`, secret: `"of the session"` })
          const half = yield* created(backend, { b: "[]", secret: `"of the session"` })
          const empty = yield* created(backend, {})
          const superseded = yield* created(backend)
          const mark = { supersededUntil: Date.now() + hour, successor: `${newHash()} ["a"]` }
          yield* backend.supersede(superseded.key, mark, superseded.record.fields)
          const buried = { supersededUntil: Date.now() + hour, successor: "" }
          const buriedKey = newHash()
          yield* backend.owners.bury(buriedKey, buried)
          const keys = [newHash(), full.key, half.key, newHash(), empty.key, superseded.key, buriedKey]
          const expected = new Map<string, unknown>([
            [full.key, { ...full.record, fields: { a: "1", b: `"two"` } }],
            [half.key, { ...half.record, fields: { b: "[]" } }],
            [empty.key, { ...empty.record, fields: {} }],
            [superseded.key, mark],
            [buriedKey, buried]
          ])
          assert.deepStrictEqual(plain(yield* backend.peek(keys, ["a", "b", "c"])), expected)
          assert.deepStrictEqual(plain(yield* backend.peek([full.key], [])).get(full.key), {
            ...full.record,
            fields: {}
          })
        }))

      it.live("sees the fields and times as they are by now", () =>
        Effect.gen(function*() {
          const [one, other] = yield* two
          const { key, record } = yield* created(one!, { a: "1", b: "1" })
          const later = { ...timesFrom(record.touchedAt + 1000), createdAt: record.createdAt }
          yield* one!.update(key, { ...setting({ a: "2" }), remove: new Set(["b"]), touch: true }, later)
          assert.deepStrictEqual(plain(yield* other!.peek([key], ["a", "b"])).get(key), {
            ...later,
            fields: { a: "2" }
          })
          yield* one!.destroy(key)
          assert.strictEqual((yield* other!.peek([key], ["a"])).size, 0)
        }))

      it.live("knows every name of a field", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const fields = new Map(oddNames.map((name, index) => [name, `${index}`]))
          const { key } = yield* created(backend, fields)
          const found = (yield* backend.peek([key], [...oddNames, "absent", "toString"])).get(key)
          assert(found !== undefined && "fields" in found)
          assert.deepStrictEqual(new Map(found.fields), fields)
          for (const [name, text] of fields) {
            const found = (yield* backend.peek([key], [name])).get(key)
            assert(found !== undefined && "fields" in found)
            assert.deepStrictEqual([...found.fields], [[name, text]])
          }
        }))

      it.live("finds 100 at once", () =>
        Effect.gen(function*() {
          const backend = yield* open
          const sessions = yield* Effect.forEach(
            Array.from({ length: 100 }),
            (_, index) => created(backend, { a: `${index}`, b: "1" }),
            { concurrency: 20 }
          )
          const found = plain(yield* backend.peek(sessions.map(({ key }) => key), ["a"]))
          assert.strictEqual(found.size, 100)
          for (const [index, { key, record }] of sessions.entries()) {
            assert.deepStrictEqual(found.get(key), { ...record, fields: { a: `${index}` } })
          }
        }))
    })
  })
}

/** With the fields as objects, as a driver's need not be a Map. */
const plain = (found: ReadonlyMap<string, SessionStore.SessionRecord | SessionStore.SupersededRecord>) =>
  new Map([...found].map(([key, stored]) => [
    key,
    "fields" in stored ? { ...stored, fields: Object.fromEntries(stored.fields) } : stored
  ]))
