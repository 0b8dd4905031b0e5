/**
 * The entries of one owner, for a back end that has all of them in hand.
 */
import type { OwnerEntry } from "../../SessionStore.ts"

/** The first so many of the list, or those that follow one of them, which need not be there any more. */
export const page = (
  entries: ReadonlyArray<OwnerEntry>,
  limit: number,
  after: OwnerEntry | undefined
): ReadonlyArray<OwnerEntry> =>
  entries.filter((entry) => after === undefined || compare(entry, after) > 0).toSorted(compare).slice(0, limit)

/** The latest first; of the same time, the last key first. */
const compare = (one: OwnerEntry, other: OwnerEntry): number =>
  other.at - one.at || (one.key === other.key ? other.until - one.until : one.key > other.key ? -1 : 1)
