/**
 * The back end on files. A session is a folder, named after its key, with one JSON file in it, named after its version:
 * `<key>/7.json`.
 *
 * A change writes the next version to a temporary file and links that to its name, which fails if another process was
 * faster; then it reads and merges again. So there is no lock that a crashed process could leave behind, no reader ever
 * sees half a file, and a session whose folder was taken away can't come back.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Crypto from "node:crypto"
import type { Backend, SupersededRecord } from "../SessionStore.ts"
import * as Change from "./change.ts"
import * as Document from "./document.ts"
import * as KeyLock from "./keyLock.ts"
import type { SessionRecord } from "./record.ts"

export interface FileBackend extends Backend {
  /** Removes what has expired, and what a crashed process has left behind. */
  readonly sweep: (now: number) => Effect.Effect<void, PlatformError>
}

interface Version {
  readonly number: number
  readonly record: SessionRecord | SupersededRecord
}

/** Another process was faster. */
class Conflict {
  readonly _tag = "Conflict"
}

export const make = (fs: FileSystem.FileSystem, path: Path.Path, location: string): FileBackend => {
  // Within a process there is no need to collide.
  const locked = KeyLock.make()
  const folderOf = (key: string) => path.join(location, key)
  const fileOf = (key: string, version: number) => path.join(location, key, `${version}.json`)
  const temporary = (...folder: ReadonlyArray<string>) => path.join(location, ...folder, `.${Crypto.randomUUID()}`)

  const remove = (file: string) => Effect.ignore(fs.remove(file, { recursive: true, force: true }))

  const read = (key: string, isSecondLook = false): Effect.Effect<Version | undefined, PlatformError> =>
    Effect.flatMap(unlessMissing(fs.readDirectory(folderOf(key))), (names) => {
      if (names === undefined) return Effect.undefined
      const number = latestOf(names)
      // A listing that is made while one version takes the place of another may show neither.
      if (number === undefined) return isSecondLook ? Effect.undefined : read(key, true)
      return Effect.flatMap(unlessMissing(fs.readFileString(fileOf(key, number))), (text) => {
        // Another process has just put the next version in its place, or taken the session away.
        if (text === undefined) return read(key)
        const record = parse(text)
        return record === undefined ? Effect.as(putAside(key), undefined) : Effect.succeed({ number, record })
      })
    })

  const putAside = (key: string) =>
    Effect.andThen(
      Effect.logWarning("A session file does not parse. It was put aside, and is no session"),
      Effect.ignore(fs.rename(folderOf(key), path.join(location, `.damaged-${key}-${Crypto.randomUUID()}`)))
    )

  /** Writes a version of a session, whole or not at all; `false` if the session's folder is gone. */
  const write = (key: string, version: number, document: Document.Document, expiresAt: number) => {
    const file = temporary(key)
    const content = new TextEncoder().encode(`${JSON.stringify(document, undefined, 2)}\n`)
    const store = Effect.scoped(
      Effect.flatMap(
        fs.open(file, { flag: "wx", mode: 0o600 }),
        (handle) => Effect.andThen(handle.writeAll(content), handle.sync)
      )
    )
    // The sweeper sees by the file's time whether it has to look inside.
    const date = new Date(Math.min(expiresAt, latestFileTime))
    const publish = Effect.andThen(fs.utimes(file, date, date), fs.link(file, fileOf(key, version)))
    return Effect.andThen(store, publish).pipe(
      Effect.ensuring(remove(file)),
      Effect.andThen(onlyLatest(key, version)),
      Effect.as(true),
      Effect.catchIf(isMissing, () => Effect.succeed(false)),
      Effect.mapError((error) => isTaken(error) ? new Conflict() : error)
    )
  }

  /**
   * Removes the versions before this one. If there is one after it, this one came too late: its name was free only
   * because others have gone through it already.
   */
  const onlyLatest = Effect.fnUntraced(function*(key: string, version: number) {
    const versions = versionsIn(yield* fs.readDirectory(folderOf(key)))
    const isLate = versions.some((other) => other > version)
    yield* Effect.forEach(
      versions.filter((other) => isLate ? other === version : other < version),
      (other) => remove(fileOf(key, other)),
      { discard: true }
    )
    if (isLate) return yield* Effect.fail(new Conflict())
  })

  /** Puts the next version in the place of the record, if there is one; the answer is the record that was there. */
  const replace = (
    key: string,
    f: (record: SessionRecord) => readonly [document: Document.Document, expiresAt: number]
  ): Effect.Effect<SessionRecord | undefined, unknown> =>
    Effect.flatMap(read(key), (version) => {
      if (version === undefined || "supersededUntil" in version.record) return Effect.succeed(undefined)
      const { number, record } = version
      return Effect.flatMap(write(key, number + 1, ...f(record)), (isWritten) =>
        Effect.succeed(isWritten ? record : undefined))
    }).pipe(
      // One of those that collide has always won, so this comes to an end.
      Effect.retry({
        while: (error) =>
          error instanceof Conflict
      }),
      locked(key)
    )

  const merge = (key: string, change: Change.Change, times: Parameters<Backend["update"]>[2]) =>
    Effect.map(
      replace(key, (stored) => {
        const merged = Change.merge(stored, change, times)
        return [Document.fromRecord(merged), merged.expiresAt]
      }),
      (record) => record !== undefined
    )

  /** Out of sight in one step, so that nobody writes to a session that is half removed. */
  const destroy = (key: string) => {
    const rubbish = temporary()
    return Effect.andThen(unlessMissing(fs.rename(folderOf(key), rubbish)), remove(rubbish))
  }

  const sweepSession = Effect.fnUntraced(function*(key: string, now: number) {
    const names = (yield* unlessMissing(fs.readDirectory(folderOf(key)))) ?? []
    yield* Effect.forEach(names.filter(isHidden), (name) => removeIfOld(path.join(folderOf(key), name), now))
    const number = latestOf(names)
    if (number === undefined) return yield* removeIfOld(folderOf(key), now)
    const info = yield* unlessMissing(fs.stat(fileOf(key, number)))
    if (info === undefined || modifiedAt(info) > now) return
    const version = yield* read(key)
    if (version === undefined) return
    const { record } = version
    const end = "supersededUntil" in record ? record.supersededUntil : record.expiresAt
    if (end <= now) yield* destroy(key)
  })

  /** What a process that crashed has left behind. What is younger may belong to one that is just at work. */
  const removeIfOld = (file: string, now: number) =>
    Effect.flatMap(
      unlessMissing(fs.stat(file)),
      (info) => info !== undefined && modifiedAt(info) < now - 3_600_000 ? remove(file) : Effect.void
    )

  return {
    driver: "file",
    load: (key) => Effect.map(read(key), (version) => version?.record),
    create: (key, record) =>
      fs.makeDirectory(folderOf(key), { mode: 0o700 }).pipe(
        Effect.andThen(write(key, 1, Document.fromRecord(record), record.expiresAt)),
        Effect.catchIf((error) => error instanceof Conflict || isTaken(error), () => Effect.succeed(false))
      ),
    update: merge,
    touch: (key, times) => merge(key, Change.onlyTouch, times),
    supersede: (key, until) => replace(key, () => [Document.superseded(until), until]),
    destroy,
    sweep: (now) =>
      Effect.flatMap(fs.readDirectory(location), (names) =>
        Effect.forEach(
          names.filter((name) => !name.startsWith(".damaged")),
          (name) => isHidden(name) ? removeIfOld(path.join(location, name), now) : sweepSession(name, now),
          { discard: true }
        ))
  }
}

const latestFileTime = 253_402_300_799_000

const isHidden = (name: string): boolean => name.startsWith(".")

const versionsIn = (names: ReadonlyArray<string>): ReadonlyArray<number> =>
  names.flatMap((name) => /^\d+\.json$/.test(name) ? [Number.parseInt(name, 10)] : [])

const latestOf = (names: ReadonlyArray<string>): number | undefined => {
  const versions = versionsIn(names)
  return versions.length === 0 ? undefined : Math.max(...versions)
}

const modifiedAt = ({ mtime }: FileSystem.File.Info): number => mtime._tag === "Some" ? mtime.value.getTime() : 0

const parse = (text: string): SessionRecord | SupersededRecord | undefined => {
  try {
    return Document.toRecord(JSON.parse(text))
  } catch {
    return undefined
  }
}

const isMissing = (error: unknown): boolean => reasonOf(error) === "NotFound"

const isTaken = (error: unknown): boolean => reasonOf(error) === "AlreadyExists"

const reasonOf = (error: unknown): string | undefined => (error as Partial<PlatformError>).reason?._tag

const unlessMissing = <A, R>(
  effect: Effect.Effect<A, PlatformError, R>
): Effect.Effect<A | undefined, PlatformError, R> => Effect.catchIf(effect, isMissing, () => Effect.succeed(undefined))
