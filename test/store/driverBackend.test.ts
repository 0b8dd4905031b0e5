/**
 * A back end made of four functions: its owners.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { SessionStore } from "effect-session"
import { TestClock } from "effect/testing"
import { randomBytes } from "node:crypto"
import { endOfTime } from "../../src/internal/record/record.ts"
import * as DriverBackend from "../../src/internal/store/driverBackend.ts"
import * as OwnerIndex from "../support/ownerIndex.ts"
import * as OwnerLaws from "../support/ownerLaws.ts"

const hour = 3_600_000

type OwnerEntry = SessionStore.OwnerEntry

const newHash = () => randomBytes(32).toString("base64url")

/** Each call gives way to the others, as a store on a network does, and is told. */
const makeDriver = () => {
  const values = new Map<string, Parameters<SessionStore.Driver["write"]>[1]>()
  const calls: Array<readonly [name: string, id: string, expiresAt?: number]> = []
  const call = <A>(f: () => A) => Effect.andThen(Effect.yieldNow, Effect.sync(f))
  const write = (name: string) =>
  (
    id: string,
    session: typeof values extends Map<string, infer V> ? V : never,
    expiresAt: number
  ) =>
    call(() => {
      calls.push([name, id, expiresAt])
      values.set(id, session)
    })
  const driver: SessionStore.Driver = {
    read: (id) =>
      call(() => {
        calls.push(["read", id])
        return values.get(id)
      }),
    write: write("write"),
    touch: write("touch"),
    destroy: (id) =>
      call(() => {
        calls.push(["destroy", id])
        values.delete(id)
      })
  }
  return { calls, driver, values }
}

OwnerIndex.suite("the owners of a driver of four functions", {
  backend: Effect.sync(() => DriverBackend.make(makeDriver().driver)),
  isForSeveral: false
})

describe("the sessions of an owner, in a driver of four functions", () => {
  OwnerLaws.suite(() => Effect.sync(() => DriverBackend.make(makeDriver().driver)))
})

describe("a driver of four functions", () => {
  it.effect("reads and writes one document to add an entry, which ends an hour after the last of its sessions", () =>
    Effect.gen(function*() {
      const { calls, driver, values } = makeDriver()
      const { owners } = DriverBackend.make(driver)
      const owner = newHash()
      const key = `owner-${owner}`
      const entries = [{ key: newHash(), at: 1, until: 2 * hour }, { key: newHash(), at: 2, until: hour }]
      yield* Effect.forEach(entries, (entry) => owners.add(owner, entry, 5))
      assert.deepStrictEqual(calls.splice(0), [
        ["read", key],
        ["write", key, 3 * hour],
        ["read", key],
        ["write", key, 3 * hour]
      ])
      yield* owners.remove(owner, entries.slice(0, 1))
      assert.deepStrictEqual(calls.splice(0), [["read", key], ["write", key, 2 * hour]])
      yield* owners.remove(owner, entries)
      assert.deepStrictEqual(calls.splice(0), [["read", key], ["destroy", key]])
      assert.strictEqual(values.size, 0)
    }))

  it.effect("forgets entries that are over when others are added, but none that is alive for a server whose clock is behind", () =>
    Effect.gen(function*() {
      const { driver, values } = makeDriver()
      const { owners } = DriverBackend.make(driver)
      const owner = newHash()
      const [over, alive, never, next] = [2 * hour, 2 * hour + 1, endOfTime, 9 * hour].map((until, at) => ({
        key: newHash(),
        at,
        until
      })) as [OwnerEntry, OwnerEntry, OwnerEntry, OwnerEntry]
      yield* Effect.forEach([over, alive, never], (entry) => owners.add(owner, entry, undefined))
      yield* TestClock.setTime(3 * hour)
      yield* owners.add(owner, next, undefined)
      assert.deepStrictEqual(yield* owners.list(owner, 10), [next, never, alive])
      assert.strictEqual(values.size, 1)
    }))

  it.effect("puts a mark without reading what is there", () =>
    Effect.gen(function*() {
      const { calls, driver } = makeDriver()
      const { owners } = DriverBackend.make(driver)
      const key = newHash()
      yield* owners.bury(key, { supersededUntil: hour, successor: "" })
      assert.deepStrictEqual(calls, [["write", key, hour]])
    }))
})
