/**
 * What a session allocates for a request has a ceiling: a count of bytes, which is the same on a busy machine.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { type Allocated, measureAllocations } from "../../bench/allocations.ts"
import { candidates } from "../../bench/candidates.ts"

/**
 * A fifth above what `npm run bench -- allocations --only=effect-session` gives, in bytes per request over the same server
 * without sessions. If they come down, write them down here; if they must go up, say why.
 */
const ceilings = {
  "effect-session, node-redis": { untouched: 1_700, read: 17_000, write: 30_000, increment: 30_500, login: 69_500 },
  "effect-session, ioredis 6": { untouched: 1_700, read: 17_500, write: 30_500, increment: 31_000, login: 72_000 },
  "effect-session, cookie": { untouched: 1_700, read: 10_000, write: 31_000, increment: 31_500, login: 37_500 },
  "effect-session, memory": { untouched: 1_700, read: 8_500, write: 19_500, increment: 20_000, login: 36_500 },
  "effect-session, PostgreSQL": { untouched: 1_700, read: 30_000, write: 144_000, increment: 145_000, login: 190_000 },
  "effect-session, file": { untouched: 1_700, read: 27_500, write: 111_000, increment: 111_000, login: 165_000 }
} as const

describe("what a session allocates for a request", () => {
  let allocated: ReadonlyArray<Allocated>

  beforeAll(async () => {
    allocated = await measureAllocations(candidates.filter(({ name }) => name in ceilings))
  }, 300_000)

  it.each(Object.entries(ceilings))("stays below its ceiling: %s", (name, ofOperations) => {
    for (const [operation, ceiling] of Object.entries(ofOperations)) {
      const { own } = allocated.find((one) => one.candidate === name && one.operation === operation)!
      assert.isBelow(Math.round(own), ceiling, `bytes of ${operation}`)
    }
  })
})
