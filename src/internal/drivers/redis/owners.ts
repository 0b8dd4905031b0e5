/**
 * The sessions of an owner: a sorted set, which a list reads backwards. No command uses it together with a session, so
 * a Cluster may have them on different nodes.
 */
import * as Effect from "effect/Effect"
import type { OwnerEntry, OwnerIndex, SupersededRecord } from "../../../SessionStore.ts"
import type { Ask, Call, Command } from "./backend.ts"
import * as Scripts from "./scripts.ts"

export interface Options {
  readonly prefix: string
  readonly ask: Ask
  readonly add: (call: Call) => Effect.Effect<boolean, unknown>
  readonly bury: (call: Call) => Effect.Effect<void, unknown>
}

export const make = ({ add, ask, bury, prefix }: Options): OwnerIndex => {
  // The keys of sessions have only the 43 characters of a hash after the prefix.
  const keyOf = (owner: string) => `${prefix}owner:${owner}`

  // Starts at the first entry of the same time, because `after` may be gone. Few entries share a millisecond, so one
  // extra entry is nearly always enough.
  const list = (
    owner: string,
    limit: number,
    after: OwnerEntry | undefined,
    count = after === undefined ? limit : limit + 1
  ): Effect.Effect<ReadonlyArray<OwnerEntry>, unknown> =>
    Effect.flatMap(
      ask<ReadonlyArray<string>>(
        "ZREVRANGEBYSCORE",
        keyOf(owner),
        after === undefined ? "+inf" : `${after.at}`,
        "-inf",
        "LIMIT",
        "0",
        `${count}`
      ),
      (members = []) => {
        const entries = toEntries(members, after)
        return entries.length >= limit || members.length < count
          ? Effect.succeed(entries.slice(0, limit))
          : list(owner, limit, after, 2 * count)
      }
    )

  return {
    add: (owner, entry, limit) => add((now) => toAdd(keyOf(owner), entry, limit, now)),
    list: (owner, limit, after) => list(owner, limit, after),
    remove: (owner, entries) =>
      entries.length === 0 ? Effect.void : Effect.asVoid(ask("ZREM", keyOf(owner), ...entries.map(toMember))),
    bury: (key, mark) => bury((now) => toBury(prefix + key, mark, now))
  }
}

// -----------------------------------------------------------------------------
// entries
// -----------------------------------------------------------------------------

/**
 * The key comes first, because Redis orders members of the same score by their bytes. The whole entry follows, so that
 * removing a listed entry does not remove its replacement. With times in base 36 a member has at most 64 bytes, and
 * Redis keeps 128 such members in a compact form.
 */
const toMember = ({ at, key, until }: OwnerEntry): string => `${key} ${at.toString(36)} ${until.toString(36)}`

const fromMember = (member: string): OwnerEntry | undefined => {
  const [, key, at, until] = /^([\w-]{43}) ([\da-z]+) ([\da-z]+)$/.exec(member) ?? []
  return key && at && until ? { key, at: Number.parseInt(at, 36), until: Number.parseInt(until, 36) } : undefined
}

/** The following entries. Invalid members are skipped. */
const toEntries = (
  members: ReadonlyArray<string>,
  after: OwnerEntry | undefined
): ReadonlyArray<OwnerEntry> => {
  const last = after && toMember(after)
  return members.flatMap((member) => {
    const entry = fromMember(member)
    return entry === undefined || entry.at === after?.at && member >= last! ? [] : [entry]
  })
}

// -----------------------------------------------------------------------------
// what scripts are sent
// -----------------------------------------------------------------------------

/**
 * Servers' clocks differ: for this long, a session that has expired for one server may be alive for another. This
 * applies to the whole set too: a server whose clock is ahead underestimates the remaining time, while others still use
 * the session.
 */
const longestDifference = 3_600_000

const toAdd = (key: string, entry: OwnerEntry, limit: number | undefined, now: number): Command => [
  "EVALSHA",
  Scripts.addEntry.sha,
  "1",
  key,
  `${entry.at} ${Scripts.keepFor(entry.until + longestDifference, now)} ${now} ${now - longestDifference} ${
    limit ?? ""
  }`,
  toMember(entry)
]

const toBury = (key: string, { successor, supersededUntil }: SupersededRecord, now: number): Command => [
  "EVALSHA",
  Scripts.bury.sha,
  "1",
  key,
  `${supersededUntil} ${Scripts.keepFor(supersededUntil, now)}`,
  successor
]
