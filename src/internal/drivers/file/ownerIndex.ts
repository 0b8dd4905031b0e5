/**
 * The sessions of each owner. An entry is an empty file whose name contains everything:
 *
 *     owners/<first two of the owner>/<owner>.<key>.at-<at>.until-<until>
 *
 * Adding or removing an entry is one atomic step in the file system, and a list reads one folder. The owners share 4,096 folders,
 * which stay when they are empty. A folder per owner would take 4 kB instead of the 0.2 kB of an entry, and could not be removed
 * without the risk of removing an entry that was just added.
 *
 * Nothing is synchronized to the disk: an entry is created before its session, and a journaling file system keeps that order
 * after a power failure.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import type { OwnerEntry, OwnerIndex } from "../../../SessionStore.ts"
import * as Entries from "../../store/ownerEntries.ts"
import * as Files from "./files.ts"

export interface FileIndex extends Omit<OwnerIndex, "bury"> {
  /** Fails if the folder exists but is not writable. */
  readonly tryOut: Effect.Effect<void, PlatformError>

  /** Removes expired entries. It skips what it can't remove. */
  readonly sweep: (now: number) => Effect.Effect<void, PlatformError>
}

export const make = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  location: string,
  makeLocationAgain: Effect.Effect<void, PlatformError>
): FileIndex => {
  const root = path.join(location, "owners")
  const shardOf = (owner: string) => path.join(root, owner.slice(0, 2))
  const fileOf = (owner: string, entry: OwnerEntry) => path.join(shardOf(owner), nameOf(owner, entry))

  const namesIn = (folder: string) => Effect.map(Files.unlessGone(fs.readDirectory(folder)), (names) => names ?? [])

  const entriesOf = (owner: string) =>
    Effect.map(namesIn(shardOf(owner)), (names) =>
      names.flatMap((name) => {
        const entry = name.startsWith(owner) ? entryIn(name) : undefined
        return entry === undefined ? [] : [entry]
      }))

  const add = (owner: string, entry: OwnerEntry) => {
    const write = fs.writeFile(fileOf(owner, entry), new Uint8Array(), { mode: 0o600 })
    const makeShard = fs.makeDirectory(shardOf(owner), { recursive: true, mode: 0o700 })
    return Effect.catchIf(
      write,
      Files.isMissing,
      () => Effect.andThen(makeLocationAgain, Effect.andThen(makeShard, write))
    )
  }

  const sweepShard = (now: number) => (shard: string) =>
    Effect.flatMap(namesIn(shard), (names) =>
      Files.forEach(
        names.filter((name) => (entryIn(name)?.until ?? Number.POSITIVE_INFINITY) <= now),
        (name) => Files.unlessGone(fs.remove(path.join(shard, name)))
      ))

  return {
    add: (owner, entry, limit) =>
      limit === undefined
        ? Effect.as(add(owner, entry), false)
        : Effect.andThen(add(owner, entry), Effect.map(entriesOf(owner), (entries) => entries.length > limit)),
    list: (owner, limit, after) => Effect.map(entriesOf(owner), (entries) => Entries.page(entries, limit, after)),
    remove: (owner, entries) =>
      Effect.forEach(entries, (entry) => Files.unlessGone(fs.remove(fileOf(owner, entry))), {
        concurrency: 10,
        discard: true
      }),
    tryOut: Effect.flatMap(
      fs.exists(root),
      (exists) =>
        exists
          ? Effect.scoped(Effect.asVoid(fs.makeTempDirectoryScoped({ directory: root, prefix: ".tried-" })))
          : Effect.void
    ),
    sweep: (now) =>
      Effect.flatMap(namesIn(root), (names) =>
        Files.forEach(
          // Foreign files stay.
          names.filter((name) => /^[A-Za-z0-9_-]{2}$/.test(name)).map((name) => path.join(root, name)),
          sweepShard(now)
        ))
  }
}

const nameOf = (owner: string, { at, key, until }: OwnerEntry): string =>
  `${owner}.${key}.at-${Math.trunc(at)}.until-${Math.trunc(until)}`

const entryIn = (name: string): OwnerEntry | undefined => {
  const [, key, at, until] = pattern.exec(name) ?? []
  return key === undefined ? undefined : { key, at: Number(at), until: Number(until) }
}

const pattern = /^[A-Za-z0-9_-]{43}\.([A-Za-z0-9_-]{43})\.at-(-?\d+)\.until-(-?\d+)$/
