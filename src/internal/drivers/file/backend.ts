/**
 * The back end on files. A session is a folder, named after its key, with two files in it: the session as JSON, named
 * after its version, and an empty one, the pointer, whose name says which version counts, and until when:
 *
 *     <key>/<version>.json
 *     <key>/<version>.expires-<milliseconds since the epoch>
 *
 * A change writes the next version beside the present one and then renames the pointer; ending a session begins with
 * renaming the pointer to something that is none. No version ever comes twice, so of all that go on from the same version
 * only one can do that; the others look again. There is no lock that a crashed process could leave behind, no reader ever
 * sees half a file, and as nothing but creating makes a pointer, what is gone can't come back.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Crypto from "node:crypto"
import type { Backend, Conflict, SupersededRecord } from "../../../SessionStore.ts"
import * as KeyLock from "../../concurrency/keyLock.ts"
import * as Change from "../../record/change.ts"
import type { Fields, SessionRecord } from "../../record/record.ts"
import { conflict, isConflict } from "../../store/answers.ts"
import * as Document from "../../store/document.ts"
import * as Identifier from "../../token/identifier.ts"

export interface FileBackend extends Backend {
  /** Fails if nothing can be written. Rights alone do not tell: the disk may be read-only, and root may do anything. */
  readonly tryOut: Effect.Effect<void, PlatformError>

  /** Removes what has expired, and what a crashed process has left behind. What it can't remove doesn't stop it. */
  readonly sweep: (now: number) => Effect.Effect<void, PlatformError>
}

/** A session as it was read. */
interface Stored {
  readonly pointer: Pointer
  readonly record: SessionRecord | SupersededRecord
}

export const make = (fs: FileSystem.FileSystem, path: Path.Path, location: string): FileBackend => {
  // Within a process there is no need to collide.
  const locked = KeyLock.make()
  const pathOf = (...names: ReadonlyArray<string>) => path.join(location, ...names)
  const temporary = (...folder: ReadonlyArray<string>) => pathOf(...folder, `.${Crypto.randomUUID()}`)

  const remove = (file: string) => Effect.ignore(fs.remove(file, { recursive: true, force: true }))

  // ---------------------------------------------------------------------------
  // reading
  // ---------------------------------------------------------------------------

  const read = (key: string, seen?: string): Effect.Effect<Stored | undefined, PlatformError> =>
    Effect.flatMap(unlessMissing(fs.readDirectory(pathOf(key))), (names) => {
      if (names === undefined) return Effect.undefined
      const pointer = pointerIn(names)
      const name = pointer?.name ?? ""
      // Another process may just be moving the pointer. One that stays, without a file or not there at all, is no session.
      const again = Effect.suspend(() => name === seen ? Effect.undefined : read(key, name))
      if (pointer === undefined) return again
      return Effect.flatMap(unlessMissing(fs.readFileString(pathOf(key, fileOf(pointer.version)))), (text) => {
        if (text === undefined) return again
        const record = parse(text)
        return record === undefined ? Effect.as(putAside(key), undefined) : Effect.succeed({ pointer, record })
      })
    })

  const putAside = (key: string) => {
    const folder = `.damaged-${key}-${Crypto.randomUUID()}`
    return Effect.andThen(
      Effect.annotateLogs(
        Effect.logWarning("A session file does not parse. It is put aside, and is no session"),
        { folder }
      ),
      Effect.ignore(fs.rename(pathOf(key), pathOf(folder)))
    )
  }

  // ---------------------------------------------------------------------------
  // writing; none of it is interrupted halfway, as it has to know what became of each step
  // ---------------------------------------------------------------------------

  /** A file that is there with all of its content, or not at all. */
  const write = (key: string, version: string, document: Document.Document) => {
    const file = temporary(key)
    const content = new TextEncoder().encode(`${JSON.stringify(document, undefined, 2)}\n`)
    return Effect.scoped(
      Effect.flatMap(
        fs.open(file, { flag: "wx", mode: 0o600 }),
        (handle) => Effect.andThen(handle.writeAll(content), handle.sync)
      )
    ).pipe(
      Effect.andThen(fs.rename(file, pathOf(key, fileOf(version)))),
      Effect.onError(() => remove(file))
    )
  }

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
            Effect.annotateLogs(Effect.logWarning("The folder of the sessions was gone, and is made again"), {
              location
            })
          )
        )
    )
  )

  const create = (key: string, record: SessionRecord) =>
    Effect.catchIf(
      tryToCreate(key, record),
      isMissing,
      () => Effect.andThen(makeAgain, tryToCreate(key, record))
    )

  const tryToCreate = (key: string, record: SessionRecord) => {
    const version = Crypto.randomUUID()
    const pointer = pathOf(key, pointerTo(version, record.expiresAt))
    const fill = Effect.andThen(
      write(key, version, Document.fromRecord(record)),
      fs.writeFile(pointer, new Uint8Array(), { flag: "wx", mode: 0o600 })
    )
    return fs.makeDirectory(pathOf(key), { mode: 0o700 }).pipe(
      Effect.andThen(Effect.onError(fill, () => remove(pathOf(key)))),
      Effect.as(true),
      Effect.catchIf(isTaken, () => Effect.succeed(false)),
      Effect.uninterruptible
    )
  }

  /** Puts the next version in the place of one; fails with NotFound if another process was faster, or the session is gone. */
  const follow = (key: string, present: Pointer, document: Document.Document, expiresAt: number) => {
    const version = Crypto.randomUUID()
    const next = fs.rename(pathOf(key, present.name), pathOf(key, pointerTo(version, expiresAt)))
    return write(key, version, document).pipe(
      Effect.andThen(Effect.onError(next, () => remove(pathOf(key, fileOf(version))))),
      Effect.andThen(remove(pathOf(key, fileOf(present.version)))),
      Effect.uninterruptible
    )
  }

  /** Puts the next version in the place of a record that is as expected; the answer is the record that was there. */
  const replace = (
    key: string,
    isExpected: (fields: Fields) => boolean,
    f: (record: SessionRecord) => readonly [document: Document.Document, expiresAt: number]
  ): Effect.Effect<SessionRecord | Conflict | undefined, PlatformError> =>
    Effect.flatMap(read(key), (stored): Effect.Effect<SessionRecord | Conflict | undefined, PlatformError> => {
      if (stored === undefined || "supersededUntil" in stored.record) return Effect.succeed(undefined)
      const { pointer, record } = stored
      if (!isExpected(record.fields)) return Effect.succeed(conflict(record))
      return Effect.as(follow(key, pointer, ...f(record)), record)
    }).pipe(
      // One of those that collide has always won, so this comes to an end.
      Effect.retry({ while: isMissing }),
      locked(key)
    )

  const merge = (key: string, change: Change.Change, times: Parameters<Backend["update"]>[2]) =>
    Effect.map(
      replace(key, (fields) => Change.isExpected(fields, change.expect), (stored) => {
        const merged = Change.merge(stored, change, times)
        return [Document.fromRecord(merged), merged.expiresAt]
      }),
      (stored) => isConflict(stored) ? stored : stored !== undefined
    )

  /**
   * Takes the pointer away, so that nobody can follow any more, and then the rest; fails with NotFound if another process
   * was faster.
   */
  const end = (key: string, { name }: Pointer) => {
    const rubbish = temporary()
    const clearUp = Effect.andThen(Effect.ignore(fs.rename(pathOf(key), rubbish)), remove(rubbish))
    return Effect.uninterruptible(Effect.andThen(fs.rename(pathOf(key, name), temporary(key)), clearUp))
  }

  const destroy = (key: string): Effect.Effect<SupersededRecord | undefined, PlatformError> =>
    Effect.flatMap(read(key), (stored) => {
      if (stored === undefined) return Effect.succeed(undefined)
      const { pointer, record } = stored
      return "supersededUntil" in record ? Effect.succeed(record) : Effect.as(end(key, pointer), undefined)
    }).pipe(
      Effect.retry({ while: isMissing }),
      locked(key)
    )

  // ---------------------------------------------------------------------------
  // sweeping
  // ---------------------------------------------------------------------------

  const sweepSession = (key: string, now: number) =>
    Effect.flatMap(unlessMissing(fs.readDirectory(pathOf(key))), (names = []) => {
      const pointer = pointerIn(names)
      if (pointer === undefined) return removeIfOld(now, key)
      // If the pointer has moved meanwhile, a request has extended the session's life.
      if (pointer.until <= now) return unlessMissing(end(key, pointer))
      const others = names.filter((name) => name !== pointer.name && name !== fileOf(pointer.version))
      return Effect.forEach(others, (name) => removeIfOld(now, key, name), { discard: true })
    })

  /** What is younger may belong to a process that is just at work. */
  const removeIfOld = (now: number, ...names: ReadonlyArray<string>) =>
    Effect.flatMap(
      unlessMissing(fs.stat(pathOf(...names))),
      (info) => info !== undefined && modifiedAt(info) < now - hour ? remove(pathOf(...names)) : Effect.void
    )

  const names = Effect.catchIf(fs.readDirectory(location), isMissing, () => Effect.as(makeAgain, []))

  return {
    driver: "file",
    load: (key) => Effect.map(read(key), (stored) => stored?.record),
    create,
    update: merge,
    touch: (key, times) => Effect.map(merge(key, Change.onlyTouch, times), (answer) => answer === true),
    supersede: (key, mark, expected) =>
      replace(
        key,
        (fields) => Change.isSame(fields, expected),
        () => [Document.fromMark(mark), mark.supersededUntil]
      ),
    destroy,
    tryOut: Effect.suspend(() => {
      const name = `.${Crypto.randomUUID()}`
      const remember = Effect.map(fs.stat(location), (info) => void (mode = info.mode & 0o7777))
      const all = Effect.andThen(write(name, name, {}), fs.remove(pathOf(name), { recursive: true }))
      return Effect.andThen(
        Effect.andThen(remember, fs.makeDirectory(pathOf(name), { mode: 0o700 })),
        Effect.onError(all, () => remove(pathOf(name)))
      )
    }),
    sweep: (now) =>
      Effect.flatMap(names, (names) =>
        Effect.mapError(
          Effect.validate(
            // What somebody else has put there stays.
            names.filter((name) => Identifier.isHash(name) || isTemporary(name)),
            (name): Effect.Effect<void, PlatformError> =>
              Identifier.isHash(name) ? sweepSession(name, now) : removeIfOld(now, name),
            { discard: true }
          ),
          ([first]) => first
        ))
  }
}

// -----------------------------------------------------------------------------
// names
// -----------------------------------------------------------------------------

/** Which version of a session counts, and until when. */
interface Pointer {
  readonly name: string
  readonly version: string
  readonly until: number
}

const pointerTo = (version: string, until: number): string => `${version}.expires-${Math.ceil(until)}`

const pointerIn = (names: ReadonlyArray<string>): Pointer | undefined => {
  for (const name of names) {
    const [, version, until] = /^([0-9a-f-]{36})\.expires-(\d+)$/.exec(name) ?? []
    if (version !== undefined) return { name, version, until: Number(until) }
  }
  return undefined
}

const fileOf = (version: string): string => `${version}.json`

const isTemporary = (name: string): boolean => /^\.[0-9a-f-]{36}$/.test(name)

// -----------------------------------------------------------------------------
// files
// -----------------------------------------------------------------------------

const hour = 3_600_000

const modifiedAt = ({ mtime }: FileSystem.File.Info): number => mtime._tag === "Some" ? mtime.value.getTime() : 0

const parse = (text: string): SessionRecord | SupersededRecord | undefined => {
  try {
    return Document.toRecord(JSON.parse(text))
  } catch {
    return undefined
  }
}

const isMissing = (error: PlatformError): boolean => error.reason._tag === "NotFound"

const isTaken = (error: PlatformError): boolean => error.reason._tag === "AlreadyExists"

const unlessMissing = <A, R>(
  effect: Effect.Effect<A, PlatformError, R>
): Effect.Effect<A | undefined, PlatformError, R> => Effect.catchIf(effect, isMissing, () => Effect.succeed(undefined))
