/**
 * What a session allocates for a request has a ceiling: a count of bytes, which is the same on a busy machine.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { type Allocated, measureAllocations } from "../../bench/allocations.ts"
import { candidates } from "../../bench/candidates.ts"

/**
 * A fifth above what `npm run bench -- allocations --only=effect-session` gives, in bytes per request over the same server
 * without sessions; where nothing is used, what the server itself varies by is more than that. If they come down, write them down here; if they must go up, say why.
 */
const ceilings = {
  "effect-session, node-redis": { untouched: 1_300, read: 11_900, write: 21_400, increment: 21_900, login: 34_000 },
  "effect-session, ioredis 6": { untouched: 1_300, read: 12_600, write: 22_700, increment: 23_300, login: 35_900 },
  "effect-session, cookie": { untouched: 1_300, read: 5_200, write: 15_900, increment: 16_400, login: 18_800 },
  "effect-session, memory": { untouched: 1_300, read: 4_300, write: 9_900, increment: 10_300, login: 16_400 },
  "effect-session, PostgreSQL": { untouched: 1_300, read: 24_400, write: 48_300, increment: 48_800, login: 58_900 },
  "effect-session, file": { untouched: 1_300, read: 16_700, write: 61_400, increment: 61_600, login: 94_500 }
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
