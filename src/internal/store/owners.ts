/**
 * The sessions of each owner, from the index that a back end keeps.
 *
 * A session is added to the index before it is written, so ending all sessions of an owner also finds those that are
 * about to be written. Ending a session leaves a mark under its key even if the session does not exist yet, so it can't
 * be created later. Entries without a session, left by failed requests, are removed when the index is read.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Settings } from "../../SessionConfig.ts"
import { type OwnerOperation, SessionLimitError, type SessionStoreError } from "../../SessionError.ts"
import type { Added, Owned, SessionIndex, SessionOwners } from "../../SessionOwners.ts"
import type { Backend, OwnerEntry, OwnerIndex, SupersededRecord } from "../../SessionStore.ts"
import type { Expiry } from "../record/expiry.ts"
import * as Meta from "../record/meta.ts"
import * as Owner from "../record/owner.ts"
import type { SessionRecord } from "../record/record.ts"
import * as Identifier from "../token/identifier.ts"
import * as Peek from "./peek.ts"
import * as Successor from "./successor.ts"

/** How many sessions are checked together. */
const pageSize = 100

/** Most logins have written their session within this time. */
const justNow = 30_000

/** Limits the passes, so that ending sessions stops even if new logins keep coming. */
const passes = 100

type Asked = (
  operation: OwnerOperation
) => <A>(effect: Effect.Effect<A, unknown>) => Effect.Effect<A, SessionStoreError>

/** Nothing is stored for a missing session. A permanently ended one leaves a mark without a successor. */
export const isBuried = (stored: SessionRecord | SupersededRecord | undefined): boolean =>
  stored !== undefined && "successor" in stored && stored.successor === ""

export const make = (
  backend: Backend,
  index: OwnerIndex,
  { owner: { limit, policy } }: Settings,
  expiry: Expiry,
  asked: Asked
): SessionOwners & SessionIndex => {
  const indexing = asked("index")
  const listing = asked("list")
  const ending = asked("end")
  const asLimit = Number.isFinite(limit) ? limit : undefined

  // -----------------------------------------------------------------------------
  // what is in the index
  // -----------------------------------------------------------------------------

  const peek = Peek.of(backend)

  /** Classifies each entry. */
  const look = Effect.fnUntraced(function*(
    owner: string,
    entries: ReadonlyArray<OwnerEntry>,
    fields: ReadonlyArray<string> = []
  ) {
    const now = yield* Clock.currentTimeMillis
    const keys = [...new Set(entries.map(({ key }) => key))]
    const stored = keys.length === 0 ? new Map<string, never>() : yield* peek(keys, [...Meta.all, ...fields])
    return entries.map((entry): Seen => {
      const found = stored.get(entry.key)
      const age = now - entry.at
      if (found === undefined) return { entry, is: age < justNow ? "coming" : age < Owner.grace ? "late" : "over" }
      // Not by the settings, because another server's settings may let it live longer.
      if ("successor" in found || found.expiresAt <= now - Owner.grace) return { entry, is: "over" }
      const whose = Owner.of(found.fields)
      if (whose === undefined) return { entry, is: age < Owner.grace ? "late" : "over" }
      if (whose.id !== owner) return { entry, is: "over" }
      // It has a later entry, because its life was extended.
      if (entry.at < whose.at || expiry.isExpired(found, now)) return { entry, is: "late" }
      return { entry, is: "there", record: found }
    })
  })

  /** A page of classified entries. Expired ones are removed from the index. */
  const page = Effect.fnUntraced(function*(
    owner: string,
    size: number,
    after: OwnerEntry | undefined,
    fields?: ReadonlyArray<string>
  ) {
    const hash = Identifier.hash(owner)
    const entries = yield* index.list(hash, size, after)
    const seen = yield* look(owner, entries, fields)
    const over = seen.filter(({ is }) => is === "over").map(({ entry }) => entry)
    if (over.length > 0) yield* Effect.ignore(index.remove(hash, over))
    return { seen, next: entries.length < size ? undefined : entries.at(-1) }
  })

  /** All entries that have not expired. */
  const all = Effect.fnUntraced(function*(owner: string) {
    const found: Array<Seen> = []
    let after: OwnerEntry | undefined
    do {
      const { next, seen } = yield* page(owner, pageSize, after)
      found.push(...seen.filter(({ is }) => is !== "over"))
      after = next
    } while (after !== undefined)
    return withoutDuplicates(found)
  })

  /** The first matching entry, classified. */
  const findOne = Effect.fnUntraced(
    function*(owner: string, isMeant: (one: Seen) => boolean, asked: ReturnType<Asked>) {
      let after: OwnerEntry | undefined
      do {
        const { next, seen } = yield* asked(page(owner, pageSize, after))
        const found = seen.find(isMeant)
        if (found !== undefined) return found
        after = next
      } while (after !== undefined)
      return undefined
    }
  )

  // -----------------------------------------------------------------------------
  // ending
  // -----------------------------------------------------------------------------

  const bury = (owner: string, entries: ReadonlyArray<OwnerEntry>) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const mark = { supersededUntil: now + Owner.grace, successor: "" }
      yield* Effect.forEach(entries, ({ key }) => index.bury(key, mark), { concurrency: 10, discard: true })
      yield* index.remove(Identifier.hash(owner), entries)
    })

  /** These keys, and the current keys of the same sessions, if requests have regenerated them in the meantime. */
  const withSuccessors = Effect.fnUntraced(function*(keys: ReadonlySet<string>) {
    const all = new Set(keys)
    let latest = [...keys]
    while (latest.length > 0) {
      const found = yield* peek(latest, [])
      latest = [...found.values()].flatMap((stored) => {
        const next = "successor" in stored ? Successor.goingOn(stored.successor)?.key : undefined
        return next === undefined || all.has(next) ? [] : [next]
      })
      latest.forEach((key) => all.add(key))
    }
    return all
  })

  /** One pass over all entries: the keys of the ended sessions, and whether there was anything to end. */
  const endOnce = Effect.fnUntraced(function*(owner: string, except: ReadonlySet<string>) {
    const ended: Array<string> = []
    let hasFound = false
    let after: OwnerEntry | undefined
    do {
      const { next, seen } = yield* ending(page(owner, pageSize, after))
      // Read afterwards: by then, the successor of such a session has left its mark.
      const spared = except.size === 0 ? except : yield* ending(withSuccessors(except))
      const meant = seen.filter(({ entry }) => !spared.has(entry.key))
      const toBury = meant.filter(({ is }) => is !== "over")
      if (toBury.length > 0) yield* ending(bury(owner, toBury.map(({ entry }) => entry)))
      // Includes expired ones, which may have been regenerated since the index was read.
      hasFound ||= meant.length > 0
      ended.push(...toBury.filter(({ is }) => is === "there").map(({ entry }) => entry.key))
      after = next
    } while (after !== undefined)
    return { ended, hasFound }
  })

  // Sessions regenerated in the meantime are in the index under their new keys, so passes repeat until one finds
  // nothing.
  const endAll = Effect.fnUntraced(function*(owner: string, except: ReadonlySet<string>) {
    const ended = new Set<string>()
    for (let pass = 0; pass < passes; pass++) {
      const { ended: some, hasFound } = yield* endOnce(owner, except)
      some.forEach((key) => ended.add(key))
      if (!hasFound) break
    }
    return [...ended]
  })

  /** Ends the session of a handle. If a request is regenerating it at that moment, it ends under the new id. */
  const endOne = Effect.fnUntraced(function*(owner: string, handle: string) {
    let isMeant = (key: string) => key.startsWith(handle)
    for (;;) {
      const found = yield* findOne(owner, ({ entry, is }) => is !== "over" && isMeant(entry.key), ending)
      if (found === undefined) return []
      const { entry, is } = found
      const mark = yield* ending(backend.destroy(entry.key))
      const successor = mark && Successor.goingOn(mark.successor)
      yield* ending(bury(owner, [entry]))
      if (successor === undefined) return is === "there" ? [entry.key] : []
      isMeant = (key) => key === successor.key
    }
  })

  // -----------------------------------------------------------------------------
  // the limit
  // -----------------------------------------------------------------------------

  /** There may be too many entries, some of which may have expired. */
  const makeRoom = Effect.fnUntraced(function*(owner: string, entry: OwnerEntry, replaces: string | undefined) {
    const others = (yield* indexing(all(owner))).filter(({ entry: { key }, is }) =>
      key !== entry.key && key !== replaces && is !== "late"
    )
    const excess = others.length + 1 - limit
    if (excess <= 0) return added
    if (policy === "refuse") return yield* new SessionLimitError({ limit })
    // Of simultaneous logins, the later one ends the earlier one, and they do not end each other.
    const mayGo = others.filter((other) => other.is === "there" || isEarlier(other.entry, entry))
    const unused = mayGo.toSorted((one, other) => lastUse(one) - lastUse(other)).slice(0, excess)
    yield* ending(bury(owner, unused.map(({ entry }) => entry)))
    return { ended: unused.filter(({ is }) => is === "there").map(({ entry }) => entry.key) }
  })

  const remove: SessionOwners["remove"] = (owner, entry) =>
    indexing(Effect.suspend(() => index.remove(Identifier.hash(owner), [entry])))

  return {
    "~effect-session/SessionOwners": "~effect-session/SessionOwners",
    "~effect-session/SessionIndex": "~effect-session/SessionIndex",
    add: (owner, entry, login) =>
      Effect.flatMap(
        indexing(Effect.suspend(() => index.add(Identifier.hash(owner), entry, login && asLimit))),
        (isOver) =>
          isOver && login
            // A login that was never written does not count against the limit.
            ? Effect.onError(makeRoom(owner, entry, login.replaces), () => Effect.ignore(remove(owner, entry)))
            : Effect.succeed(added)
      ),
    remove,
    list: (owner, { after, fields, limit }) =>
      Effect.map(listing(page(owner, limit, after, fields)), ({ next, seen }) => ({
        sessions: withoutDuplicates(seen).flatMap((one): ReadonlyArray<Owned> =>
          one.is === "there"
            ? [{ key: one.entry.key, record: { ...one.record, expiresAt: expiry.end(one.record) } }]
            : []
        ),
        next
      })),
    find: Effect.fnUntraced(function*(owner, handle) {
      const found = yield* findOne(owner, ({ entry, is }) => is === "there" && entry.key.startsWith(handle), listing)
      if (found === undefined) return undefined
      const { key } = found.entry
      const record = yield* listing(backend.load(key))
      return record === undefined || "successor" in record ? undefined : { key, record }
    }),
    end: (owner, except) => endAll(owner, except?.keys ?? noKeys),
    endOne
  }
}

const added: Added = { ended: [] }

/**
 * A classified entry of the index: a session of the owner; one that a request is probably about to write; one that may
 * still come, has just expired, or has another entry; or nothing.
 */
type Seen =
  | { readonly entry: OwnerEntry; readonly is: "there"; readonly record: SessionRecord }
  | { readonly entry: OwnerEntry; readonly is: "coming" | "late" | "over" }

/** The latest of several entries of one session, which comes first. */
const withoutDuplicates = (seen: ReadonlyArray<Seen>): ReadonlyArray<Seen> => {
  const latest = new Map<string, Seen>()
  for (const one of seen) if (!latest.has(one.entry.key)) latest.set(one.entry.key, one)
  return [...latest.values()]
}

const noKeys: ReadonlySet<string> = new Set()

const isEarlier = (one: OwnerEntry, other: OwnerEntry): boolean =>
  one.at < other.at || one.at === other.at && one.key > other.key

const lastUse = (one: Seen): number => one.is === "there" ? one.record.touchedAt : one.entry.at
