/**
 * Sessions in files, for servers on one machine, with one or more processes. You can read a session in any editor.
 *
 * **Details**
 *
 * A session is a folder in `location`, named after the hash of its id. It contains one JSON file, and an empty file
 * whose name says which JSON file is current, since when and until when. A commit writes another JSON file, syncs it to
 * disk, and makes it current by renaming the empty file. A process that is killed at any moment leaves no half-written
 * session and no lock behind. Extending a session takes only the renaming. Commits of several processes merge. A file
 * that can't be parsed is set aside with a warning, and the session does not exist. A sweeper removes expired sessions
 * and what killed processes have left behind.
 *
 * The sessions of an owner are empty files in `owners`, a folder next to the sessions, whose names contain the hashes
 * of the owner's and the session's ids. A login creates one such file and a logout removes it, without syncing to disk;
 * a list reads one folder, and the files of the sessions that it lists. All of this works with several processes. If a
 * session is ended while its login is still running, a file stays in its place for a while, so that the login can't
 * create it.
 *
 * **Gotchas**
 *
 * Syncing is most of the time of a commit, 0.3 of 0.5 ms on a virtual machine's SSD and more on slower disks, and most
 * of its CPU time. After a power failure every session is intact, but commits do not wait for the renaming to reach the
 * disk, so those of the last seconds may be undone. With `sync: false`, the system decides when to write to disk. A
 * killed process still does no harm, but after a power failure or a system crash, recently changed sessions may be lost
 * completely.
 *
 * You can edit a file by hand while no request of the session is running: a commit builds on what its request has
 * loaded.
 *
 * Put `location` on a local disk. On a network file system, a process may see outdated files and treat its session as
 * gone.
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
 * - `location`: the folder for the sessions, which must exist and be writable. If it is removed while the server runs,
 *   it is created again with the same permissions; its sessions are lost.
 * - `sweepEvery`: how often expired sessions are deleted. Default 10 minutes. They can't be used from the moment they
 *   expire.
 * - `sync`: whether a commit waits until the session's contents are on disk (`fsync`). Default `true`. With `false`, a
 *   commit takes half as long or less, and a power failure may lose recently changed sessions.
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
 * Makes a store in files, with a sweeper that runs until the scope closes.
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
 * Like {@link layer}, with each setting from a `Config`.
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
