/**
 * Sessions in files: for servers on one machine, also of several processes. What is in a session can be read with any
 * editor.
 *
 * **Details**
 *
 * A session is a folder in `location`, named after the hash of its id, with one JSON file in it, and an empty file whose
 * name says which file counts, since when and until when. What a request changes is written to another file, synchronized
 * to the disk, and counts when the empty one has been renamed, so a process that is killed at any moment leaves no session
 * half written and no lock behind. To extend a session's life is that one renaming. Commits of several processes merge. A
 * file that does not parse is put aside, with a warning, and is no session. A sweeper removes what has expired, and what
 * killed processes have left behind.
 *
 * The sessions of an owner are empty files in `owners`, a folder beside the sessions, whose names hold the hashes of the
 * owner's and the session's ids. A login makes one more file, a logout removes it, and nobody waits for the disk because of
 * that; a list looks into one folder, and into the files of the sessions that it lists. All of this holds for several
 * processes. A session that was ended while its login was under way leaves a file in its place for a while, so that it can't
 * come any more.
 *
 * **Gotchas**
 *
 * Synchronizing is what a commit waits for longest: 0.3 of 0.5 ms on a virtual machine's SSD, more on a slower disk, and it
 * takes most of a commit's CPU time. After a power failure every session is whole, but the renaming is not waited for, so
 * what was committed in the last seconds may be undone. With `sync: false` the system writes to the disk when it likes. A
 * killed process does no more harm than before, but after a power failure or a crash of the system, a session that was
 * changed shortly before may be lost altogether.
 *
 * A file may be edited by hand as long as no request of the session is under way: a commit goes on from what its request has
 * loaded.
 *
 * `location` belongs on a disk of the machine: on a network file system, a process may see the files as they were a
 * while ago, and take its session for gone.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Setting from "./internal/config/settings.ts"
import * as FileBackend from "./internal/drivers/file/backend.ts"
import * as Inert from "./internal/store/inert.ts"
import { type DurationInput, SessionConfig } from "./SessionConfig.ts"
import { SessionConfigError } from "./SessionError.ts"
import type { SessionIndex, SessionOwners } from "./SessionOwners.ts"
import * as SessionStore from "./SessionStore.ts"

/**
 * The settings of the file store.
 *
 * - `location`: the folder for the sessions, which must exist and be writable. If somebody removes it under way, it is made
 *   again, with the rights that it had; the sessions in it are gone.
 * - `sweepEvery`: how often expired sessions are removed, default 10 minutes. They are gone for everybody before that.
 * - `sync`: whether a commit waits until the disk has what is in the session (`fsync`), default `true`. Without it, a commit
 *   takes half as long or less, and after a power failure the sessions that were changed last may be lost.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly location: string
  readonly sweepEvery?: DurationInput
  readonly sync?: boolean
}

const Options = Schema.Struct({
  location: Setting.text(/^[^\0]+$/, "Write the path of a folder for the sessions, such as \"./tmp/sessions\""),
  sweepEvery: Setting.duration("10 minutes"),
  sync: Setting.flag(true)
})

/**
 * A store in files, with a sweeper that runs as long as the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: Options) => Effect.Effect<
  SessionStore.WithIndex,
  SessionConfigError,
  SessionConfig | FileSystem.FileSystem | Path.Path | Scope.Scope
> = Effect.fnUntraced(function*(options) {
  const { location, sweepEvery, sync } = yield* Effect.fromResult(Setting.decode(Options, options, ["store"]))
  if (!(yield* SessionConfig).enabled) return Inert.make("file")
  const path = yield* Path.Path
  const backend = FileBackend.make(yield* FileSystem.FileSystem, path, path.resolve(location), sync)
  const refused = (folder: string) => (error: PlatformError) => {
    const write = `${reasonOf(error)}. Write the path of a folder that exists and that this process may write to`
    return new SessionConfigError({ mistakes: [Setting.mistake(["store", "location"], folder, write)] })
  }
  yield* Effect.mapError(backend.tryOut, refused(location))
  yield* Effect.mapError(backend.tryOutOwners, refused(path.join(location, "owners")))
  const sweep = Effect.flatMap(Clock.currentTimeMillis, backend.sweep).pipe(
    Effect.catch((error) =>
      Effect.annotateLogs(Effect.logWarning("Expired sessions could not be removed"), {
        "error.message": error.message
      })
    )
  )
  yield* Effect.forkScoped(Effect.repeat(sweep, Schedule.spaced(sweepEvery)))
  return yield* SessionStore.fromBackend(backend)
})

const reasonOf = ({ message, reason }: PlatformError): string => {
  switch (reason._tag) {
    case "BadResource":
      return "It is not a folder"
    case "NotFound":
      return "There is no such folder"
    case "PermissionDenied":
      return "This process may not write there"
    default:
      return reason.cause instanceof Error ? reason.cause.message : message
  }
}

/**
 * Sessions in files.
 *
 * **Example**
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { FileLayer, SessionConfig } from "effect-session"
 *
 * const Sessions = FileLayer.layer({ location: "./tmp/sessions" }).pipe(
 *   Layer.provide(NodeServices.layer),
 *   Layer.provideMerge(SessionConfig.layerConfig())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<
  SessionStore.SessionStore | SessionOwners | SessionIndex,
  SessionConfigError,
  SessionConfig | FileSystem.FileSystem | Path.Path
> => SessionStore.layer(make(options))

/**
 * As {@link layer}, with each setting from a `Config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<
  SessionStore.SessionStore | SessionOwners | SessionIndex,
  SessionConfigError | Config.ConfigError,
  SessionConfig | FileSystem.FileSystem | Path.Path
> => SessionStore.layer(Effect.flatMap(Config.unwrap(options), make))
