/**
 * How much memory a piece of work allocates, whether it keeps it or not. Unlike its time, that is nearly the same each time,
 * on any machine: what copies a growing collection again and again is found out by it.
 */
import { type HeapProfiler, Session } from "node:inspector/promises"

interface Sampled {
  readonly samples: ReadonlyArray<{ readonly size: number }>
}

/** In bytes; V8 takes a sample every so many. */
export const allocatedBy = async (work: () => Promise<unknown>): Promise<number> => {
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
