/**
 * Owners and their sessions on a single Redis: the contract, the commands, and what is stored.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import type { SessionStore } from "effect-session"
import { endOfTime } from "../../../src/internal/record/record.ts"
import * as OwnerIndex from "../../support/ownerIndex.ts"
import * as OwnerLaws from "../../support/ownerLaws.ts"
import { connectService, onService, type RedisBackend, redisBackends } from "../../support/redisBackend.ts"
import { monitor, shared, startRedis } from "../../support/redisServer.ts"

const redis = shared(startRedis())

const { entryAt, hour, newHash } = OwnerIndex

const command = <A>(name: string, ...parameters: ReadonlyArray<string>) => redis().command<A>(name, ...parameters)

const open = ({ backend }: RedisBackend, prefix?: string) =>
  Effect.suspend(() => backend(redis().url, prefix === undefined ? {} : { prefix }))

const indexOf = (owner: string) => `sessions:owner:${owner}`
const sessionOf = (key: string) => `sessions:${key}`

/** How long Redis keeps a key from now on, but for the time that the test takes. */
const expectLeft = (key: string, milliseconds: number) =>
  Effect.map(command<number>("PTTL", key), (left) => assert.approximately(left, milliseconds - 5000, 5000))

const mark = (): SessionStore.SupersededRecord => ({ supersededUntil: Date.now() + hour, successor: "" })

for (const client of redisBackends) {
  OwnerIndex.suite(`Redis through ${client.client}`, {
    backend: Effect.suspend(() => client.backend(redis().url)),
    isForSeveral: true
  })
}

describe.each(redisBackends)("the sessions of an owner in Redis, through $client", ({ backend }) => {
  OwnerLaws.suite(() => backend(redis().url))
})

it.live("several sessions are looked at in one round trip: all commands are sent before the first answer", () =>
  Effect.gen(function*() {
    const service = yield* connectService(redis().url)
    let waiting = 0
    let most = 0
    const send: typeof service.send = (...command) =>
      Effect.suspend(() => {
        most = Math.max(most, ++waiting)
        return Effect.ensuring(service.send(...command), Effect.sync(() => waiting--))
      })
    const { peek } = onService({ ...service, send })
    yield* peek(Array.from({ length: 100 }, newHash), ["a"])
    assert.strictEqual(most, 100)
  }))

/** As on a server whose clock is ahead. */
const ahead = <A, E>(milliseconds: number, effect: Effect.Effect<A, E>) =>
  Effect.clockWith((clock) => {
    const currentTimeMillisUnsafe = () => clock.currentTimeMillisUnsafe() + milliseconds
    return Effect.provideService(effect, Clock.Clock, Object.assign(Object.create(clock), { currentTimeMillisUnsafe }))
  })

describe.each(redisBackends)("through $client", (client) => {
  describe("the commands", () => {
    it.live("are one for each operation, and one for each session that is looked at", () =>
      Effect.gen(function*() {
        const { owners, peek } = yield* open(client)
        const owner = newHash()
        const entry = entryAt(Date.now())
        const key = newHash()
        // Redis knows the scripts then.
        yield* owners.add(owner, entryAt(1), undefined)
        yield* owners.bury(newHash(), mark())
        const seen = yield* monitor(redis())
        const cost = <A>(operation: Effect.Effect<A, unknown>, expected: ReadonlyArray<string>) =>
          Effect.gen(function*() {
            yield* operation
            assert.deepStrictEqual(yield* seen, expected)
          })
        yield* cost(owners.add(owner, entry, undefined), ["EVALSHA"])
        yield* cost(owners.add(owner, entryAt(2), 1), ["EVALSHA"])
        yield* cost(owners.list(owner, 100), ["ZREVRANGEBYSCORE"])
        yield* cost(owners.list(owner, 100, entry), ["ZREVRANGEBYSCORE"])
        yield* cost(owners.list(owner, 1, entry), ["ZREVRANGEBYSCORE"])
        yield* cost(owners.list(owner, 1, entryAt(2)), ["ZREVRANGEBYSCORE"])
        yield* cost(owners.remove(owner, [entry, entryAt(3)]), ["ZREM"])
        yield* cost(owners.remove(owner, []), [])
        yield* cost(owners.bury(key, mark()), ["EVALSHA"])
        yield* cost(peek([], ["a"]), [])
        yield* cost(peek([key, newHash(), newHash()], ["a", "b"]), ["HMGET", "HMGET", "HMGET"])
      }))

    it.live("succeed when Redis does not know the scripts any more", () =>
      Effect.gen(function*() {
        const { load, owners } = yield* open(client)
        const [owner, key] = [newHash(), newHash()]
        const entry = entryAt(Date.now())
        yield* command("SCRIPT", "FLUSH")
        assert.isTrue(yield* owners.add(owner, entry, 0))
        assert.deepStrictEqual(yield* owners.list(owner, 100), [entry])
        yield* command("SCRIPT", "FLUSH")
        const buried = mark()
        yield* owners.bury(key, buried)
        assert.deepStrictEqual(yield* load(key), buried)
      }))
  })

  describe("the index of an owner", () => {
    it.live.each(["sessions:", "", "*", "a?[b]\\{c}: ", "日本:"])(
      "has the prefix %j and the hash of the owner as its key, and no session can have the same",
      (prefix) =>
        Effect.gen(function*() {
          const { create, load, owners } = yield* open(client, prefix)
          const owner = newHash()
          yield* owners.add(owner, entryAt(Date.now()), undefined)
          assert.strictEqual(yield* command("TYPE", `${prefix}owner:${owner}`), "zset")
          assert.isUndefined(yield* load(owner))
          const times = { createdAt: Date.now(), touchedAt: Date.now(), expiresAt: Date.now() + hour }
          assert.isTrue(yield* create(owner, { ...times, fields: new Map() }))
          assert.strictEqual((yield* owners.list(owner, 100)).length, 1)
        })
    )

    it.live("expires an hour after the last of its entries, and a minute", () =>
      Effect.gen(function*() {
        const { owners } = yield* open(client)
        const owner = newHash()
        const now = Date.now()
        const add = (until: number) => owners.add(owner, { key: newHash(), at: now, until }, undefined)
        yield* add(now + 2 * hour)
        yield* expectLeft(indexOf(owner), 3 * hour + 60_000)
        yield* add(now + hour)
        yield* expectLeft(indexOf(owner), 3 * hour + 60_000)
        yield* add(now + 3 * hour)
        yield* expectLeft(indexOf(owner), 4 * hour + 60_000)
        yield* add(endOfTime)
        yield* expectLeft(indexOf(owner), endOfTime - now + hour + 60_000)
      }))

    it.live("that a server has made whose clock is ahead is there as long as the session is for the others", () =>
      Effect.gen(function*() {
        const { owners } = yield* open(client)
        const owner = newHash()
        const now = Date.now()
        const entry = { ...entryAt(now), until: now + 15 * 60_000 }
        yield* ahead(10 * 60_000, owners.add(owner, entry, undefined))
        assert.isAtLeast(yield* command<number>("PTTL", indexOf(owner)), entry.until - now)
      }))

    it.live("is gone with its last entry", () =>
      Effect.gen(function*() {
        const { owners } = yield* open(client)
        const owner = newHash()
        const entry = entryAt(Date.now())
        yield* owners.add(owner, entry, undefined)
        yield* owners.remove(owner, [entry])
        assert.strictEqual(yield* command("EXISTS", indexOf(owner)), 0)
      }))

    it.live("loses entries that have been over for an hour when others are added, wherever they are", () =>
      Effect.gen(function*() {
        const { owners } = yield* open(client)
        const owner = newHash()
        const now = Date.now()
        // Older and newer than those that are over.
        const long = [-1000, 1000].flatMap((from) =>
          Array.from({ length: 50 }, (_, index) => ({ ...entryAt(now + from + index), until: endOfTime }))
        )
        const over = Array.from({ length: 300 }, (_, index) => ({ ...entryAt(now - index), until: now - hour - 1 }))
        const recent = Array.from({ length: 5 }, (_, index) => ({ ...entryAt(now - index), until: now - 1 }))
        const count = command<number>("ZCARD", indexOf(owner))
        for (const entry of [...long, ...recent]) yield* owners.add(owner, entry, undefined)
        assert.strictEqual(yield* count, 105)
        // As they are added, they are removed as well: so they are put there by hand.
        yield* command(
          "ZADD",
          indexOf(owner),
          ...over.flatMap(({ at, key, until }) => [`${at}`, `${key} ${at.toString(36)} ${until.toString(36)}`])
        )
        assert.strictEqual(yield* count, 405)
        for (let index = 0; index < 600; index++) {
          yield* owners.add(owner, { ...entryAt(now), until: now - hour - 1 }, undefined)
        }
        const left = yield* owners.list(owner, 1000)
        assert.isBelow(left.length, 300, "with 900 that are over")
        assert.includeDeepMembers([...left], [...long, ...recent])
      }))

    it.live("takes little memory for up to 128 sessions", () =>
      Effect.gen(function*() {
        const { owners } = yield* open(client)
        const owner = newHash()
        const now = Date.now()
        for (let index = 0; index < 128; index++) {
          yield* owners.add(owner, { key: newHash(), at: now + index, until: endOfTime }, undefined)
        }
        assert.strictEqual(yield* command("OBJECT", "ENCODING", indexOf(owner)), "listpack")
      }))
  })

  it.live("the mark of a buried session expires a minute after its end", () =>
    Effect.gen(function*() {
      const { create, owners } = yield* open(client)
      const [there, absent] = [newHash(), newHash()]
      const times = { createdAt: Date.now(), touchedAt: Date.now(), expiresAt: Date.now() + 100 * hour }
      yield* create(there, { ...times, fields: new Map([["a", "1"]]) })
      for (const key of [there, absent]) {
        yield* owners.bury(key, mark())
        yield* expectLeft(sessionOf(key), hour + 60_000)
        assert.deepStrictEqual((yield* command<ReadonlyArray<string>>("HKEYS", sessionOf(key))).toSorted(), [
          "~successor",
          "~supersededUntil"
        ])
      }
    }))

  describe("damage done by hand:", () => {
    it.live.each([
      { kind: "a text", damage: ["SET", "text"] },
      { kind: "a list", damage: ["RPUSH", "a", "b"] },
      { kind: "a hash", damage: ["HSET", "~times", "1 2 3"] }
    ])(
      "$kind in the place of the index: it is empty, and begins anew with the next entry",
      ({ damage: [name, ...parameters] }) =>
        Effect.gen(function*() {
          const { owners } = yield* open(client)
          const owner = newHash()
          const entry = entryAt(Date.now())
          yield* command(name!, indexOf(owner), ...parameters)
          assert.deepStrictEqual(yield* owners.list(owner, 100), [])
          yield* owners.remove(owner, [entry])
          assert.isFalse(yield* owners.add(owner, entry, 1))
          assert.deepStrictEqual(yield* owners.list(owner, 100), [entry])
        })
    )

    it.live("what is no entry is in no list, and goes when others are added", () =>
      Effect.gen(function*() {
        const { owners } = yield* open(client)
        const owner = newHash()
        const now = Date.now()
        const entries = [entryAt(now + 1), entryAt(now), entryAt(now - 1)]
        for (const entry of entries) yield* owners.add(owner, entry, undefined)
        const foreign = ["", "text", `${newHash()} 1`, `${newHash()}`, `${newHash()} ? -`, "日本 "]
        yield* command("ZADD", indexOf(owner), ...foreign.flatMap((member, index) => [`${now + index % 2}`, member]))
        assert.deepStrictEqual(yield* owners.list(owner, 100), entries)
        assert.deepStrictEqual(yield* owners.list(owner, 1, entries[0]), entries.slice(1, 2))
        assert.deepStrictEqual(yield* owners.list(owner, 1, entries[1]), entries.slice(2))
        assert.deepStrictEqual(yield* owners.list(owner, 1, entries[2]), [])
        yield* owners.add(owner, entryAt(now - 2), undefined)
        assert.strictEqual(yield* command("ZCARD", indexOf(owner)), 4)
      }))

    it.live("something else in the place of a session is not seen, and can be buried", () =>
      Effect.gen(function*() {
        const { create, load, owners, peek } = yield* open(client)
        const keys = [newHash(), newHash(), newHash(), newHash()] as const
        yield* command("SET", sessionOf(keys[0]), "text")
        yield* command("ZADD", sessionOf(keys[1]), "1", "~times")
        yield* command("HSET", sessionOf(keys[2]), "a", "1")
        const times = { createdAt: Date.now(), touchedAt: Date.now(), expiresAt: Date.now() + hour }
        const record = { ...times, fields: new Map([["a", "1"]]) }
        yield* create(keys[3], record)
        assert.deepStrictEqual([...yield* peek(keys, ["a"])], [[keys[3], record]])
        for (const key of keys) {
          const buried = mark()
          yield* owners.bury(key, buried)
          assert.deepStrictEqual(yield* load(key), buried)
        }
      }))
  })

  it.live("without memory left, no entry is added, and the sessions of an owner can be ended all the same", () =>
    Effect.gen(function*() {
      const full = yield* startRedis()
      const { load, owners, peek, ...backend } = yield* client.backend(full.url)
      const [owner, key, absent] = [newHash(), newHash(), newHash()]
      const entry = entryAt(Date.now(), key)
      const times = { createdAt: Date.now(), touchedAt: Date.now(), expiresAt: Date.now() + hour }
      yield* owners.add(owner, entry, undefined)
      yield* backend.create(key, { ...times, fields: new Map([["a", "1"]]) })
      yield* full.command("CONFIG", "SET", "maxmemory", "1")
      const error = yield* Effect.flip(owners.add(owner, entryAt(Date.now()), undefined))
      assert.include(String((error as Error).cause), "OOM command not allowed")
      assert.deepStrictEqual(yield* owners.list(owner, 100), [entry])
      assert.strictEqual((yield* peek([key], [])).size, 1)
      const buried = mark()
      for (const each of [key, absent]) {
        yield* owners.bury(each, buried)
        assert.deepStrictEqual(yield* load(each), buried)
      }
      yield* owners.remove(owner, [entry])
      assert.deepStrictEqual(yield* owners.list(owner, 100), [])
    }))
})
