/**
 * How much memory a piece of work allocates, whether it keeps it or not. Unlike its time, that is nearly the same each time,
 * on any machine: what copies a growing collection again and again is found out by it.
 */
import { assert } from "@effect/vitest"
import { type HeapProfiler, Session } from "node:inspector/promises"

interface Sampled {
  readonly samples: ReadonlyArray<{ readonly size: number }>
}

/** In bytes; V8 takes a sample every so many. */
const allocatedBy = async (work: () => Promise<unknown>): Promise<number> => {
  const inspector = new Session()
  inspector.connect()
  try {
    await inspector.post(
      "HeapProfiler.startSampling",
      {
        samplingInterval: 1_024,
        includeObjectsCollectedByMajorGC: true,
        includeObjectsCollectedByMinorGC: true
      } as HeapProfiler.StartSamplingParameterType
    )
    await work()
    const { profile } = await inspector.post("HeapProfiler.stopSampling")
    return (profile as unknown as Sampled).samples.reduce((sum, { size }) => sum + size, 0)
  } finally {
    inspector.disconnect()
  }
}

const few = 500

/** What is linear allocates four times as much for 2,000 as for 500, and what is quadratic sixteen times. */
export const assertLinear = async (work: (times: number) => Promise<unknown>): Promise<void> => {
  // What is compiled and cached the first time does not count.
  await work(few)
  const small = await allocatedBy(() => work(few))
  const large = await allocatedBy(() => work(4 * few))
  assert.isAtLeast(small, 20_000, "there is something to measure")
  assert.isBelow(large / small, 6, `${small} bytes for ${few}, ${large} for ${4 * few}`)
}
