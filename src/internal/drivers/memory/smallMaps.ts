/**
 * A Map made of many small ones. When a Map grows or shrinks, V8 copies all of it at once: a million entries block the process for
 * 30 to 60 ms, and 4,000 for a fraction of a millisecond.
 */
import * as Effect from "effect/Effect"

/** The average number of entries when all are full. V8 reserves room for 4,096, which leaves some for uneven hashes. */
const average = 3_750

export interface SmallMaps<V> {
  readonly size: () => number
  readonly get: (key: string) => V | undefined
  readonly set: (key: string, value: V) => void
  readonly delete: (key: string) => void
  readonly maps: ReadonlyArray<ReadonlyMap<string, V>>
}

/** For at most this many entries. The first characters of keys must be random, as those of hashes are. */
export const make = <V>(capacity: number): SmallMaps<V> => {
  const maps = Array.from({ length: Math.ceil(capacity / average) }, () => new Map<string, V>())
  let size = 0
  const mapOf = (key: string): Map<string, V> => maps[hash(key) % maps.length]!
  return {
    size: () => size,
    get: (key) => mapOf(key).get(key),
    set: (key, value) => {
      const map = mapOf(key)
      size -= map.size
      map.set(key, value)
      size += map.size
    },
    delete: (key) => {
      if (mapOf(key).delete(key)) size--
    },
    maps
  }
}

/** Visits one small Map after the other, so that requests run in between. Entries may be deleted meanwhile. */
export const forEach = <V>({ maps }: SmallMaps<V>, f: (value: V, key: string) => void): Effect.Effect<void> =>
  Effect.forEach(maps, (map) => Effect.andThen(Effect.sync(() => map.forEach(f)), Effect.yieldNow), { discard: true })

/** FNV-1a of the first characters, which have 24 bits, enough for some 4,000 Maps. */
const hash = (key: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < 4; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  return hash >>> 0
}
