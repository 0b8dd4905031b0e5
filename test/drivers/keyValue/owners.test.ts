/**
 * Owners of sessions in a KeyValueStore: the contract of back ends, and what is in the store.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import type { SessionStore } from "effect-session"
import { KeyValueStore } from "effect/persistence"
import { TestClock } from "effect/testing"
import { randomBytes } from "node:crypto"
import * as KeyValueBackend from "../../../src/internal/drivers/keyValue/backend.ts"
import { temporaryFolder } from "../../support/fileStore.ts"
import * as OwnerIndex from "../../support/ownerIndex.ts"

const stores = [
  { where: "in memory", store: Effect.succeed(KeyValueStore.layerMemory) },
  {
    where: "in files",
    store: Effect.map(
      temporaryFolder,
      (folder) => KeyValueStore.layerFileSystem(folder).pipe(Layer.provide(NodeServices.layer), Layer.orDie)
    )
  }
]

const newHash = () => randomBytes(32).toString("base64url")

const hour = 3_600_000

/** As long as a prefix can be. */
const prefix = "session:".padStart(128, "p")

describe.each(stores)("a KeyValueStore $where", ({ store }) => {
  const open = Effect.gen(function*() {
    const values = Context.get(yield* Layer.build(yield* store), KeyValueStore.KeyValueStore)
    const backend = KeyValueBackend.make(values, prefix)
    return { backend, values }
  })

  OwnerIndex.suite("the owners", { backend: Effect.map(open, ({ backend }) => backend), isForSeveral: false })

  it.effect("has a document for each owner that a person can read, with what is alive, or was an hour ago", () =>
    Effect.gen(function*() {
      const { backend, values } = yield* open
      const [owner, first, second, third] = [newHash(), newHash(), newHash(), newHash()]
      const read = Effect.map(values.get(`${prefix}owner-${owner}`), (text) => text && JSON.parse(text))
      const add = (key: string, at: number, until: number) => backend.owners.add(owner, { key, at, until }, undefined)
      yield* add(first, 0, hour)
      yield* add(second, 1, 2 * hour)
      assert.deepStrictEqual(yield* read, {
        sessions: {
          [first]: { at: "1970-01-01T00:00:00.000Z", until: "1970-01-01T01:00:00.000Z" },
          [second]: { at: "1970-01-01T00:00:00.001Z", until: "1970-01-01T02:00:00.000Z" }
        }
      })
      yield* TestClock.setTime(2 * hour)
      yield* add(third, 2 * hour, 3 * hour)
      assert.deepStrictEqual(Object.keys((yield* read).sessions), [second, third])
      yield* backend.owners.remove(owner, yield* backend.owners.list(owner, 10))
      assert.deepStrictEqual(yield* values.keys, [], "with the last entry it goes")
    }))

  it.effect("is swept: of the owners, only those who have had nothing alive for an hour", () =>
    Effect.gen(function*() {
      const { backend, values } = yield* open
      const [owner, other, damaged] = [newHash(), newHash(), newHash()]
      const short = { key: newHash(), at: 0, until: hour }
      const long = { key: newHash(), at: 0, until: 2 * hour }
      yield* Effect.forEach([short, long], (entry) => backend.owners.add(owner, entry, undefined))
      yield* backend.owners.add(other, short, undefined)
      const foreign = [`${prefix}owner-${"a".repeat(42)}`, `${prefix}owner-`, `owner-${damaged}`]
      for (const key of [...foreign, `${prefix}owner-${damaged}`]) yield* values.set(key, "{")
      const keys = (...owners: ReadonlyArray<string>) => [...foreign, ...owners.map((it) => `${prefix}owner-${it}`)]

      yield* backend.sweep(2 * hour - 1)
      assert.sameMembers([...yield* values.keys], keys(owner, other))
      yield* backend.sweep(2 * hour)
      assert.sameMembers([...yield* values.keys], keys(owner))
      assert.deepInclude(yield* backend.owners.list(owner, 10), long)
      yield* backend.sweep(3 * hour)
      assert.sameMembers([...yield* values.keys], keys())
    }))

  it.effect("may be damaged: what can be read is listed, and it is whole after the next login", () =>
    Effect.gen(function*() {
      const { backend, values } = yield* open
      const whole = { key: newHash(), at: 1, until: hour }
      const next = { key: newHash(), at: 2, until: hour }
      const times = { at: "1970-01-01T00:00:00.001Z", until: "1970-01-01T01:00:00.000Z" }
      const damages: ReadonlyArray<readonly [text: string, expected: ReadonlyArray<SessionStore.OwnerEntry>]> = [
        ["", []],
        ["{", []],
        ["null", []],
        [`{"sessions":[]}`, []],
        [JSON.stringify({ sessions: { [whole.key]: { ...times, until: "tomorrow" } } }), []],
        [JSON.stringify({ sessions: { "../..": times, [newHash()]: null, [whole.key]: times } }), [whole]]
      ]
      for (const [text, expected] of damages) {
        const owner = newHash()
        yield* values.set(`${prefix}owner-${owner}`, text)
        assert.deepStrictEqual(yield* backend.owners.list(owner, 10), expected)
        yield* backend.owners.add(owner, next, undefined)
        assert.deepStrictEqual(yield* backend.owners.list(owner, 10), [next, ...expected])
      }
    }))

  it.effect("never has a session under the key of an owner, nor takes an owner for a session", () =>
    Effect.gen(function*() {
      const { backend } = yield* open
      const owner = newHash()
      yield* backend.owners.add(owner, { key: newHash(), at: 0, until: hour }, undefined)
      assert.isUndefined(yield* backend.load(owner))
      assert.isUndefined(yield* backend.load(`owner-${owner}`))
      const record = { createdAt: 0, touchedAt: 0, expiresAt: hour, fields: new Map() }
      assert.isTrue(yield* backend.create(owner, record))
      yield* backend.destroy(owner)
      assert.lengthOf(yield* backend.owners.list(owner, 10), 1)
    }))
})
