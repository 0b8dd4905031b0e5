/**
 * The sessions of each owner, in memory.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { OwnerEntry, OwnerIndex } from "../../../SessionStore.ts"
import * as Entries from "../../store/ownerEntries.ts"

export interface MemoryIndex extends Omit<OwnerIndex, "bury"> {
  /** Removes what is over. */
  readonly sweep: Effect.Effect<void>
}

export const make = (): MemoryIndex => {
  const owners = new Map<string, Map<string, OwnerEntry>>()
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
      Effect.forEach(
        owners,
        ([owner, entries]) => {
          for (const entry of entries.values()) if (entry.until <= now) remove(owner, entry)
          return Effect.yieldNow
        },
        { discard: true }
      ))
  }
}
