/**
 * Every driver in every runtime that it is for: all laws of the conformance suites, and all races, through the runtime's own
 * HTTP server.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { join } from "node:path"
import { temporaryFolder } from "../support/fileStore.ts"
import { shared, startRedis } from "../support/redisServer.ts"
import { bundle } from "./bundle.ts"
import type { Outcome } from "./runner.ts"
import { bun, deno, endedSessions, run, type Runtime, startWorker } from "./runtimes.ts"
import { type Driver, onBun, onDeno, onWorkerd, type Tried } from "./tried.ts"

const stage = shared(Effect.gen(function*() {
  const folder = yield* temporaryFolder
  yield* Effect.promise(() => bundle(folder, ["bun.ts", "deno.ts", "worker.ts"]))
  const worker = yield* startWorker(join(folder, "worker.js"), { kvNamespaces: ["KV"], durableObjects: endedSessions })
  return { folder, redis: yield* startRedis(), worker }
}))

/** Whatever goes wrong, and that it was not nothing. */
const assertAllPass = ({ failures, passed }: Outcome) => {
  assert.deepStrictEqual(failures, [])
  assert.isAbove(passed, 100)
}

const tryIn = (runtime: Runtime, program: string, { drivers, runtime: name }: Tried) =>
  describe(`in ${name}`, () => {
    for (const driver of drivers) {
      it.effect(`${driver.title} keeps all laws, and passes the races over HTTP`, () =>
        Effect.gen(function*() {
          const { folder } = stage()
          const output = yield* run(runtime, join(folder, program), driver.name, yield* placeOf(driver))
          assertAllPass(JSON.parse(output))
        }))
    }
  })

const placeOf = ({ name }: Driver) => name === "file" ? temporaryFolder : Effect.succeed(stage().redis.url)

tryIn(bun, "bun.js", onBun)
tryIn(deno, "deno.js", onDeno)

describe(`in ${onWorkerd.runtime}`, () => {
  for (const { name, title } of onWorkerd.drivers) {
    it.effect(`${title} keeps all laws, and passes the races`, () =>
      Effect.gen(function*() {
        const response = yield* Effect.promise(() => stage().worker.dispatchFetch(`http://localhost/${name}`))
        const text = yield* Effect.promise(() => response.text())
        assert.strictEqual(response.status, 200, text)
        assertAllPass(JSON.parse(text))
      }))
  }
})
