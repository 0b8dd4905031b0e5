/**
 * The sessions of each owner, in memory.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { OwnerEntry, OwnerIndex } from "../../../SessionStore.ts"
import * as Entries from "../../store/ownerEntries.ts"
import * as SmallMaps from "./smallMaps.ts"

export interface MemoryIndex extends Omit<OwnerIndex, "bury"> {
  /** Removes expired entries. */
  readonly sweep: Effect.Effect<void>
}

/** Roughly as many owners as sessions. */
export const make = (capacity: number): MemoryIndex => {
  const owners = SmallMaps.make<Map<string, OwnerEntry>>(capacity)
  const remove = (owner: string, { at, key }: OwnerEntry) => {
    const entries = owners.get(owner)
    if (entries?.get(key)?.at !== at) return
    entries.delete(key)
    if (entries.size === 0) owners.delete(owner)
  }
  return {
    add: (owner, entry, limit = Infinity) =>
      Effect.sync(() => {
        const entries = owners.get(owner) ?? new Map<string, OwnerEntry>()
        owners.set(owner, entries.set(entry.key, entry))
        return entries.size > limit
      }),
    list: (owner, limit, after) =>
      Effect.sync(() => Entries.page([...owners.get(owner)?.values() ?? []], limit, after)),
    remove: (owner, entries) => Effect.sync(() => entries.forEach((entry) => remove(owner, entry))),
    sweep: Effect.flatMap(Clock.currentTimeMillis, (now) =>
      SmallMaps.forEach(owners, (entries, owner) => {
        for (const entry of entries.values()) if (entry.until <= now) remove(owner, entry)
      }))
  }
}
