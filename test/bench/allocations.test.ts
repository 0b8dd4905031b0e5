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
  "effect-session, node-redis": { untouched: 1_700, read: 17_500, write: 34_500, increment: 34_500, login: 73_000 },
  "effect-session, ioredis 6": { untouched: 1_700, read: 18_000, write: 35_500, increment: 35_500, login: 75_500 },
  "effect-session, cookie": { untouched: 1_700, read: 11_000, write: 34_500, increment: 35_000, login: 41_000 },
  "effect-session, memory": { untouched: 1_700, read: 9_500, write: 25_000, increment: 25_000, login: 39_500 },
  "effect-session, PostgreSQL": { untouched: 1_700, read: 31_000, write: 150_000, increment: 150_000, login: 192_000 },
  "effect-session, file": { untouched: 1_700, read: 28_500, write: 116_000, increment: 116_000, login: 168_000 }
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
