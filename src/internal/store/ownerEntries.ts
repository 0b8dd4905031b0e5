/**
 * The entries of one owner, for a back end that has all of them in memory.
 */
import type { OwnerEntry } from "../../SessionStore.ts"

/** The first entries of the list, or those after a given one, which may no longer exist. */
export const page = (
  entries: ReadonlyArray<OwnerEntry>,
  limit: number,
  after: OwnerEntry | undefined
): ReadonlyArray<OwnerEntry> =>
  entries.filter((entry) => after === undefined || compare(entry, after) > 0).toSorted(compare).slice(0, limit)

/** Latest first; at the same time, by descending key. */
const compare = (one: OwnerEntry, other: OwnerEntry): number =>
  other.at - one.at || (one.key === other.key ? other.until - one.until : one.key > other.key ? -1 : 1)
