/**
 * The back end on files. A session is a folder, named after its key, with two files in it: what the session holds, named
 * after its version, and an empty one, the pointer, whose name says which version counts, and the session's times in
 * milliseconds since the epoch:
 *
 *     <key>/<version>.json
 *     <key>/<version>.touched-<touchedAt>.expires-<expiresAt>
 *
 * A change writes the next version beside the present one and then renames the pointer; extending a session's life is
 * nothing but renaming the pointer; ending a session begins with renaming it to something that is no pointer. No version ever
 * comes twice, and its times only move forward, so of all that go on from the same pointer only one can do that; the others
 * look again. There is no lock that a crashed process could leave behind, no reader ever sees half a file, and as nothing
 * but creating makes a pointer, what is gone can't come back.
 *
 * When an owner ends a session, the mark of that becomes its next version. If there is no session, or it is just coming or
 * going, a file takes the place of the folder: nobody can make that folder then, and nobody takes the file for one, as
 * folders are moved away by a name that ends with a separator.
 *
 * For the same reasons, a change needs not read again what a request has loaded: if the pointer can be renamed, that is what
 * is stored. A load takes 9 system calls, and a commit after it 8, of which one waits for the disk.
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

  /** Fails if nothing can be written. Rights alone do not tell: the disk may be read-only, and root may do anything. */
  readonly tryOut: Effect.Effect<void, PlatformError>

  /** The same for the folder of the owners, if there is one: another user may have made it. */
  readonly tryOutOwners: Effect.Effect<void, PlatformError>

  /** Removes what has expired, and what a crashed process has left behind. What it can't remove doesn't stop it. */
  readonly sweep: (now: number) => Effect.Effect<void, PlatformError>
}

/** What was read under a key. */
interface Present<Record = SessionRecord | SupersededRecord> {
  readonly pointer: Pointer
  readonly record: Record
}

/** The times of a session, or of what is left of it. */
type Lifetime = Pick<SessionRecord, "touchedAt" | "expiresAt">

// Sessions that requests have loaded and not changed yet. More of them at the same time only read twice.
const mostLoaded = 100

export const make = (fs: FileSystem.FileSystem, path: Path.Path, location: string, sync: boolean): FileBackend => {
  // Within a process there is no need to collide.
  const locked = KeyLock.make()
  const loaded = new Map<string, Present<SessionRecord>>()
  // By hand, as `path.join` allocates 0.6 kB for each path.
  const inLocation = (name: string) => location + path.sep + name
  const folderOf = (key: string) => location + path.sep + key + path.sep
  const inFolder = (key: string, name: string) => location + path.sep + key + path.sep + name
  const temporary = () => `.${Crypto.randomUUID()}`

  const remove = (file: string) => Effect.ignore(fs.remove(file, { recursive: true, force: true }))

  // ---------------------------------------------------------------------------
  // reading
  // ---------------------------------------------------------------------------

  /** What is in the folder of a session, or the mark that is in its place. */
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

  /** Another process may just be moving the pointer. One that stays, without a file or not there at all, is no session. */
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
  // writing; none of it is interrupted halfway, as it has to know what became of each step
  // ---------------------------------------------------------------------------

  const write = (file: string, content: string) =>
    Effect.scoped(
      Effect.flatMap(fs.open(file, { flag: "wx", mode: 0o600 }), (handle) => {
        const written = handle.writeAll(encoder.encode(content))
        return sync ? Effect.andThen(written, handle.sync) : written
      })
    )

  let mode = 0o700

  /** Somebody has removed the folder of the sessions under way: a script that deploys, or one that clears up. */
  const makeAgain = locked("")(
    Effect.flatMap(
      fs.exists(location),
      (exists) =>
        exists ? Effect.void : fs.makeDirectory(location, { recursive: true, mode }).pipe(
          // With the rights that it had, whatever the process takes away from those of new folders.
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

  /** Puts the next version in the place of one. Nobody reads it before the pointer says that it counts. */
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

  /** Puts something in the place of a record that is as expected; the answer is the record that was there. */
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
      // One of those that collide has always won, so this comes to an end.
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
   * Takes the pointer away, so that nobody can follow any more, and then the rest; fails if another process was faster.
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

  // One of those that collide has always won, so these two come to an end.

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

  /** A folder that holds nothing: of a session that another process is just creating or ending, or was. */
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
      // If the pointer has moved meanwhile, a request has extended the session's life.
      if (pointer.expiresAt <= now) return Files.unlessGone(end(key, pointer))
      const others = names.filter((name) => name !== pointer.name && name !== fileOf(pointer.version))
      return Effect.forEach(others, (name) => removeIfOld(now, inFolder(key, name)), { discard: true })
    })

  /** What is younger may belong to a process that is just at work. */
  const removeIfOld = (now: number, file: string, removal = remove(file)) =>
    Effect.flatMap(
      Files.unlessGone(fs.stat(file)),
      (info) => info !== undefined && modifiedAt(info) < now - hour ? removal : Effect.void
    )

  const names = Effect.catchIf(fs.readDirectory(location), Files.isMissing, () => Effect.as(makeAgain, []))

  const sweepSessions = (now: number) =>
    Effect.flatMap(names, (names) =>
      Files.forEach(
        // What somebody else has put there stays.
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

/** Which version of a session counts, and its times. */
interface Pointer extends Lifetime {
  readonly name: string
  readonly version: string
}

/** Never the same twice, and with the checksum of the content at its end. */
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
