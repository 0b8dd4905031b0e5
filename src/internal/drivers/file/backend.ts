/**
 * The back end on files. A session is a folder, named after its key, with two files in it: what the session holds, named
 * after its version, and an empty one, the pointer, whose name says which version counts, and the session's times in
 * milliseconds since the epoch:
 *
 *     <key>/<version>.json
 *     <key>/<version>.touched-<touchedAt>.expires-<expiresAt>
 *
 * A change writes the next version next to the current one and then renames the pointer. Extending a session's life only renames
 * the pointer. Ending a session first renames it to something that is not a pointer. Versions are unique and times only move
 * forward, so only one of several changes to the same pointer can succeed, and the others look again. A crashed process leaves
 * no lock behind, no reader sees half a file, and because only creating a session makes a pointer, an ended one can't come back.
 *
 * If an owner ends a session, a mark becomes its next version. If the session doesn't exist, or is just being created or ended, a
 * file replaces its folder: then nobody can create that folder. Folders are moved away by a name that ends with a separator, so
 * the file is not mistaken for one.
 *
 * For the same reasons, a change doesn't need to read again what a request has loaded: if the pointer can be renamed, that is
 * what is stored. A load takes 9 system calls, and a commit after it 8, one of which waits for the disk.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Crypto from "node:crypto"
import type { Backend, Conflict, OwnerIndex, SupersededRecord } from "../../../SessionStore.ts"
import * as KeyLock from "../../concurrency/keyLock.ts"
import * as Change from "../../record/change.ts"
import type { Fields, SessionRecord } from "../../record/record.ts"
import { conflict, isConflict } from "../../store/answers.ts"
import * as Peek from "../../store/peek.ts"
import * as Identifier from "../../token/identifier.ts"
import * as Document from "./document.ts"
import * as Files from "./files.ts"
import * as FileIndex from "./ownerIndex.ts"

export interface FileBackend extends Backend {
  readonly owners: OwnerIndex

  /** Fails if nothing can be written. Permissions are not enough: the disk may be read-only, and root may do anything. */
  readonly tryOut: Effect.Effect<void, PlatformError>

  /** The same for the folder of the owners, if it exists: another user may have created it. */
  readonly tryOutOwners: Effect.Effect<void, PlatformError>

  /** Removes expired sessions and leftovers of crashed processes. It skips what it can't remove. */
  readonly sweep: (now: number) => Effect.Effect<void, PlatformError>
}

/** What was read under a key. */
interface Present<Record = SessionRecord | SupersededRecord> {
  readonly pointer: Pointer
  readonly record: Record
}

/** The times of a session, or of its mark. */
type Lifetime = Pick<SessionRecord, "touchedAt" | "expiresAt">

// Sessions that requests have loaded and not changed yet. Beyond the limit, a session is only read twice.
const mostLoaded = 100

export const make = (fs: FileSystem.FileSystem, path: Path.Path, location: string, sync: boolean): FileBackend => {
  // Requests of one process need not collide.
  const locked = KeyLock.make()
  const loaded = new Map<string, Present<SessionRecord>>()
  // Not `path.join`, which allocates 0.6 kB per path.
  const inLocation = (name: string) => location + path.sep + name
  const folderOf = (key: string) => location + path.sep + key + path.sep
  const inFolder = (key: string, name: string) => location + path.sep + key + path.sep + name
  const temporary = () => `.${Crypto.randomUUID()}`

  const remove = (file: string) => Effect.ignore(fs.remove(file, { recursive: true, force: true }))

  // ---------------------------------------------------------------------------
  // reading
  // ---------------------------------------------------------------------------

  /** What the folder of a session contains, or the mark in its place. */
  const look = (key: string): Effect.Effect<ReadonlyArray<string> | SupersededRecord | undefined, PlatformError> =>
    Effect.catchIf(
      fs.readDirectory(inLocation(key)),
      Files.isGone,
      (error) => Files.isMissing(error) ? Effect.undefined : readMark(key, error)
    )

  const readMark = (key: string, otherwise: PlatformError) =>
    Effect.flatMap(Files.unlessGone(fs.readFileString(inLocation(key))), (text) => {
      if (text === undefined) return Effect.undefined
      const mark = Document.decodeMark(text)
      return mark === undefined ? Effect.fail(otherwise) : Effect.succeed(mark)
    })

  const read = (key: string, seen?: string): Effect.Effect<Present | SupersededRecord | undefined, PlatformError> =>
    Effect.flatMap(look(key), (names) => {
      if (names === undefined || "successor" in names) return Effect.succeed(names)
      const pointer = pointerIn(names)
      if (pointer === undefined) return readAgain(key, "", seen)
      return Effect.flatMap(Files.unlessGone(fs.readFileString(inFolder(key, fileOf(pointer.version)))), (text) => {
        if (text === undefined) return readAgain(key, pointer.name, seen)
        const document = Document.decode(text, checksumOf(pointer.version))
        return document === undefined
          ? Effect.as(putAside(key), undefined)
          : Effect.succeed({ pointer, record: toRecord(document, pointer) })
      })
    })

  /** Another process may be moving the pointer. If it stays missing, or without its file, there is no session. */
  const readAgain = (key: string, name: string, seen: string | undefined) =>
    name === seen ? Effect.undefined : read(key, name)

  const load = (key: string) =>
    Effect.map(read(key), (present) => {
      loaded.delete(key)
      if (isSession(present)) remember(key, present)
      return recordOf(present)
    })

  const remember = (key: string, present: Present<SessionRecord>) => {
    loaded.set(key, present)
    if (loaded.size > mostLoaded) { for (const oldest of loaded.keys()) return void loaded.delete(oldest) }
  }

  const putAside = (key: string) => {
    const folder = `.damaged-${key}-${Crypto.randomUUID()}`
    return Effect.andThen(
      Effect.annotateLogs(
        Effect.logWarning("A session file can't be parsed. It was set aside, and its session is gone"),
        { "file.directory": folder }
      ),
      Effect.ignore(fs.rename(folderOf(key), inLocation(folder)))
    )
  }

  // ---------------------------------------------------------------------------
  // writing; uninterruptible, because each step must know what happened to the previous one
  // ---------------------------------------------------------------------------

  const write = (file: string, content: string) =>
    Effect.scoped(
      Effect.flatMap(fs.open(file, { flag: "wx", mode: 0o600 }), (handle) => {
        const written = handle.writeAll(encoder.encode(content))
        return sync ? Effect.andThen(written, handle.sync) : written
      })
    )

  let mode = 0o700

  /** The folder of the sessions was deleted at run time, for example by a script that deploys or cleans up. */
  const makeAgain = locked("")(
    Effect.flatMap(
      fs.exists(location),
      (exists) =>
        exists ? Effect.void : fs.makeDirectory(location, { recursive: true, mode }).pipe(
          // With its previous permissions, whatever the umask is.
          Effect.andThen(fs.chmod(location, mode)),
          Effect.andThen(
            Effect.annotateLogs(
              Effect.logWarning("The folder of the sessions was missing, and has been created again"),
              {
                "file.directory": location
              }
            )
          )
        )
    )
  )

  const create = (key: string, record: SessionRecord) =>
    Effect.catchIf(
      tryToCreate(key, record),
      Files.isGone,
      () => Effect.andThen(makeAgain, tryToCreate(key, record))
    )

  const tryToCreate = (key: string, record: SessionRecord) => {
    const content = Document.encode(record)
    const version = newVersion(content)
    const pointer = inFolder(key, pointerTo(version, record))
    const fill = Effect.andThen(
      write(inFolder(key, fileOf(version)), content),
      fs.writeFile(pointer, new Uint8Array(), { flag: "wx", mode: 0o600 })
    )
    return fs.makeDirectory(inLocation(key), { mode: 0o700 }).pipe(
      Effect.andThen(Effect.onError(fill, () => Effect.ignore(moveAway(key)))),
      Effect.as(true),
      Effect.catchIf(Files.isTaken, () => Effect.succeed(false)),
      Effect.uninterruptible
    )
  }

  /** The folder, and never the mark in its place. */
  const moveAway = (key: string) => {
    const rubbish = inLocation(temporary())
    return Effect.andThen(fs.rename(folderOf(key), rubbish), remove(rubbish))
  }

  /** Fails if another process was faster, or the session is gone. */
  const movePointer = (key: string, { name }: Pointer, version: string, lifetime: Lifetime) =>
    fs.rename(inFolder(key, name), inFolder(key, pointerTo(version, lifetime)))

  /** Replaces a version by the next one. Nobody reads it before the pointer names it. */
  const follow = (key: string, present: Pointer, document: Document.Document, lifetime: Lifetime) => {
    const content = Document.encode(document)
    const version = newVersion(content)
    const file = inFolder(key, fileOf(version))
    return write(file, content).pipe(
      Effect.andThen(movePointer(key, present, version, lifetime)),
      Effect.onError(() => remove(file)),
      Effect.andThen(Effect.ignore(fs.remove(inFolder(key, fileOf(present.version)))))
    )
  }

  const put = (key: string, { pointer, record }: Present<SessionRecord>, next: SessionRecord | SupersededRecord) =>
    "supersededUntil" in next
      ? putMark(key, pointer, next)
      : Effect.uninterruptible(
        next.fields === record.fields
          ? movePointer(key, pointer, pointer.version, next)
          : follow(key, pointer, next, next)
      )

  const putMark = (key: string, pointer: Pointer, mark: SupersededRecord) =>
    Effect.uninterruptible(
      follow(key, pointer, mark, { touchedAt: pointer.touchedAt, expiresAt: mark.supersededUntil })
    )

  type Replaced = Effect.Effect<SessionRecord | Conflict | undefined, PlatformError>
  type IsExpected = (fields: Fields) => boolean
  type Next = (record: SessionRecord) => SessionRecord | SupersededRecord

  /** Replaces a record if it is as expected, and returns the record as it was. */
  const replace = (key: string, isExpected: IsExpected, next: Next): Replaced =>
    locked(key)(Effect.suspend(() => {
      const present = loaded.get(key)
      loaded.delete(key)
      return present !== undefined && isExpected(present.record.fields)
        ? replacePresent(key, present, isExpected, next)
        : replaceStored(key, isExpected, next)
    }))

  const replaceStored = (key: string, isExpected: IsExpected, next: Next): Replaced =>
    Effect.flatMap(read(key), (present): Replaced => {
      if (!isSession(present)) return Effect.undefined
      return isExpected(present.record.fields)
        ? replacePresent(key, present, isExpected, next)
        : Effect.succeed(conflict(present.record))
    })

  const replacePresent = (key: string, present: Present<SessionRecord>, isExpected: IsExpected, next: Next): Replaced =>
    Effect.catchIf(
      Effect.as(put(key, present, next(present.record)), present.record),
      Files.isGone,
      // Whenever changes collide, one of them wins, so this terminates.
      () => replaceStored(key, isExpected, next)
    )

  const merge = (key: string, change: Change.Change, times: Parameters<Backend["update"]>[2]) =>
    Effect.map(
      replace(
        key,
        (fields) => Change.isExpected(fields, change.expect),
        (stored) => Change.merge(stored, change, times)
      ),
      (stored) => isConflict(stored) ? stored : stored !== undefined
    )

  /**
   * Removes the pointer, so that no change can follow, and then the rest. Fails if another process was faster.
   */
  const end = (key: string, { name }: Pointer) =>
    Effect.uninterruptible(
      Effect.andThen(
        fs.rename(inFolder(key, name), inFolder(key, temporary())),
        Effect.ignore(moveAway(key))
      )
    )

  const destroy = (key: string): Effect.Effect<SupersededRecord | undefined, PlatformError> =>
    Effect.flatMap(read(key), (present) => {
      if (present === undefined || "successor" in present) return Effect.succeed(present)
      const { pointer, record } = present
      if ("supersededUntil" in record) return Effect.succeed(record)
      return Effect.catchIf(Effect.as(end(key, pointer), undefined), Files.isGone, () => destroy(key))
    })

  // Whenever changes collide, one of them wins, so these two terminate.

  const bury = (key: string, mark: SupersededRecord): Effect.Effect<void, PlatformError> =>
    Effect.flatMap(read(key), (present) =>
      present !== undefined && "pointer" in present
        ? Effect.catchIf(putMark(key, present.pointer, mark), Files.isGone, () => bury(key, mark))
        : buryNothing(key, mark))

  const buryNothing = (key: string, mark: SupersededRecord) => {
    const file = inLocation(temporary())
    const content = Document.encodeMark(mark)
    return Effect.catchIf(write(file, content), Files.isGone, () => Effect.andThen(makeAgain, write(file, content)))
      .pipe(
        Effect.andThen(fs.rename(file, inLocation(key))),
        Effect.onError(() => remove(file)),
        Effect.uninterruptible,
        Effect.catchIf(Files.isFolder, () => Effect.andThen(moveRemains(key), bury(key, mark)))
      )
  }

  /** An empty folder: another process is creating or ending the session, or crashed doing so. */
  const moveRemains = (key: string) =>
    Effect.flatMap(
      read(key),
      (present) => present === undefined ? Files.unlessGone(Effect.uninterruptible(moveAway(key))) : Effect.void
    )

  // ---------------------------------------------------------------------------
  // sweeping
  // ---------------------------------------------------------------------------

  const sweepSession = (key: string, now: number) =>
    Effect.flatMap(look(key), (names = []): Effect.Effect<void, PlatformError> => {
      if ("successor" in names) {
        return names.supersededUntil <= now ? Files.unlessGone(fs.remove(inLocation(key))) : Effect.void
      }
      const pointer = pointerIn(names)
      if (pointer === undefined) return removeIfOld(now, inLocation(key), Effect.ignore(moveAway(key)))
      // If the pointer has moved in the meantime, a request has extended the session's life.
      if (pointer.expiresAt <= now) return Files.unlessGone(end(key, pointer))
      const others = names.filter((name) => name !== pointer.name && name !== fileOf(pointer.version))
      return Effect.forEach(others, (name) => removeIfOld(now, inFolder(key, name)), { discard: true })
    })

  /** Younger files may belong to a process that is still working. */
  const removeIfOld = (now: number, file: string, removal = remove(file)) =>
    Effect.flatMap(
      Files.unlessGone(fs.stat(file)),
      (info) => info !== undefined && modifiedAt(info) < now - hour ? removal : Effect.void
    )

  const names = Effect.catchIf(fs.readDirectory(location), Files.isMissing, () => Effect.as(makeAgain, []))

  const sweepSessions = (now: number) =>
    Effect.flatMap(names, (names) =>
      Files.forEach(
        // Foreign files stay.
        names.filter((name) => Identifier.isHash(name) || isTemporary(name)),
        (name) => Identifier.isHash(name) ? sweepSession(name, now) : removeIfOld(now, inLocation(name))
      ))

  const index = FileIndex.make(fs, path, location, makeAgain)

  return {
    driver: "file",
    load,
    create,
    update: merge,
    touch: (key, times) => Effect.map(merge(key, Change.onlyTouch, times), (answer) => answer === true),
    supersede: (key, mark, expected) =>
      replace(
        key,
        (fields) => Change.isSame(fields, expected),
        () => mark
      ),
    destroy: (key) =>
      Effect.suspend(() => {
        loaded.delete(key)
        return locked(key)(destroy(key))
      }),
    tryOut: Effect.suspend(() => {
      const name = temporary()
      const remember = Effect.map(fs.stat(location), (info) => void (mode = info.mode & 0o7777))
      const all = Effect.andThen(write(inFolder(name, name), ""), fs.remove(inLocation(name), { recursive: true }))
      return Effect.andThen(
        Effect.andThen(remember, fs.makeDirectory(inLocation(name), { mode: 0o700 })),
        Effect.onError(all, () => remove(inLocation(name)))
      )
    }),
    tryOutOwners: index.tryOut,
    peek: Peek.oneByOne((key) => Effect.map(read(key), recordOf)),
    owners: {
      add: index.add,
      list: index.list,
      remove: index.remove,
      bury: (key, mark) =>
        Effect.suspend(() => {
          loaded.delete(key)
          return locked(key)(bury(key, mark))
        })
    },
    sweep: (now) => Files.forEach([sweepSessions, index.sweep], (sweep) => sweep(now))
  }
}

// -----------------------------------------------------------------------------
// names
// -----------------------------------------------------------------------------

/** The current version of a session, and its times. */
interface Pointer extends Lifetime {
  readonly name: string
  readonly version: string
}

/** Unique, with the checksum of the content at its end. */
const newVersion = (content: string): string => `${Crypto.randomUUID()}-${Document.checksum(content)}`

const checksumOf = (version: string): string => version.slice(-8)

const pointerTo = (version: string, { expiresAt, touchedAt }: Lifetime): string =>
  `${version}.touched-${Math.trunc(touchedAt)}.expires-${Math.trunc(expiresAt)}`

const pointerIn = (names: ReadonlyArray<string>): Pointer | undefined => {
  for (const name of names) {
    const [, version, touchedAt, expiresAt] = pointerPattern.exec(name) ?? []
    if (version !== undefined) return { name, version, touchedAt: Number(touchedAt), expiresAt: Number(expiresAt) }
  }
  return undefined
}

const pointerPattern = /^([0-9a-f-]{45})\.touched-(-?\d+)\.expires-(-?\d+)$/

const fileOf = (version: string): string => `${version}.json`

const isTemporary = (name: string): boolean => /^\.[0-9a-f-]{36}$/.test(name)

// -----------------------------------------------------------------------------
// files
// -----------------------------------------------------------------------------

const hour = 3_600_000

const encoder = new TextEncoder()

const modifiedAt = ({ mtime }: FileSystem.File.Info): number => mtime._tag === "Some" ? mtime.value.getTime() : 0

const toRecord = (
  document: Document.Document,
  { expiresAt, touchedAt }: Lifetime
): SessionRecord | SupersededRecord =>
  "successor" in document
    ? { successor: document.successor, supersededUntil: expiresAt }
    : { createdAt: document.createdAt, touchedAt, expiresAt, fields: document.fields }

const recordOf = (present: Present | SupersededRecord | undefined): SessionRecord | SupersededRecord | undefined =>
  present !== undefined && "pointer" in present ? present.record : present

const isSession = (present: Present | SupersededRecord | undefined): present is Present<SessionRecord> =>
  present !== undefined && "pointer" in present && "fields" in present.record
