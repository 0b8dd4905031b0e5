/**
 * The sessions of an owner: a sorted set, which a list reads backwards. No command needs it together with a session, so a Cluster may
 * have them in different places.
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
  // Those of sessions have only the 43 characters of a hash after the prefix.
  const keyOf = (owner: string) => `${prefix}owner:${owner}`

  // From the first one of the same time on, as `after` may be gone. Few are of the same millisecond, so one more than are
  // wanted is nearly always enough.
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
 * The key first, as Redis has those of the same score in the order of their bytes, and then all of the entry, so that removing
 * one as it was listed leaves one that has taken its place. With the times in base 36 it has at most 64 bytes, and Redis keeps
 * 128 such members in a compact form.
 */
const toMember = ({ at, key, until }: OwnerEntry): string => `${key} ${at.toString(36)} ${until.toString(36)}`

const fromMember = (member: string): OwnerEntry | undefined => {
  const [, key, at, until] = /^([\w-]{43}) ([\da-z]+) ([\da-z]+)$/.exec(member) ?? []
  return key && at && until ? { key, at: Number.parseInt(at, 36), until: Number.parseInt(until, 36) } : undefined
}

/** Those that follow; what is no entry, as somebody has put it there, is left out. */
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
 * The clocks of servers differ: for so long, what is over for one of them may not be so for another. That goes for the whole set,
 * too: a server whose clock is ahead takes the time that is left for shorter than it is, and others go on with the session.
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
