/**
 * Sessions in any `KeyValueStore` of `effect/persistence`, for platforms without another driver and servers with a
 * single process.
 *
 * **Details**
 *
 * A session is one JSON document, whose key is the prefix and the hash of the session's id. A commit reads and writes
 * it, one commit at a time per session. A sweeper goes through the keys of the store and removes expired sessions.
 *
 * The index of an owner's sessions is one document too, under the prefix, `owner-` and the hash of the owner's id, with
 * 115 bytes per session. A login and a logout each read and write it.
 *
 * **Gotchas**
 *
 * A `KeyValueStore` has no conditional writes, so the guarantees apply within one process. If several processes share a
 * store, one of two commits to a session at the same moment can be lost, and a commit can bring back a session that
 * another process ends at that moment. If two processes change the sessions of one owner at the same moment, the
 * owner's index can lose an entry. That session is then in no list, and `Sessions.destroyAll` does not end it, until it
 * is regenerated or has been in use for as long as `age`. For several processes, use FileLayer, SqlLayer, RedisLayer or
 * DynamoLayer.
 *
 * `KeyValueStore.layerFileSystem` overwrites files in place: a process that is killed while writing leaves half a
 * document, and the session or owner index is lost. Use FileLayer instead. `KeyValueStore.layerSql` takes part in the
 * application's transactions, so a rollback also loses session commits. Use SqlLayer instead.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { KeyValueStore } from "effect/persistence/KeyValueStore"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Setting from "./internal/config/settings.ts"
import * as KeyValueBackend from "./internal/drivers/keyValue/backend.ts"
import { withoutValues } from "./internal/store/withoutValues.ts"
import type { DurationInput, SessionConfig } from "./SessionConfig.ts"
import type { SessionConfigError } from "./SessionError.ts"
import type { SessionIndex, SessionOwners } from "./SessionOwners.ts"
import * as SessionStore from "./SessionStore.ts"

/**
 * The settings of the store. All are optional.
 *
 * - `prefix`: the prefix of every key. Default `"session:"`.
 * - `sweepEvery`: how often expired sessions are deleted, or `"never"` if something else deletes them. Default 1 hour,
 *   because each sweep reads every session. They can't be used from the moment they expire.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly prefix?: string
  readonly sweepEvery?: DurationInput
}

const Options = Schema.Struct({
  prefix: Setting.textOr(
    /^[^\0]{0,128}$/,
    "Write a string of at most 128 characters, such as \"session:\"",
    "session:"
  ),
  sweepEvery: Setting.duration("1 hour")
})

/**
 * Makes a store in a `KeyValueStore`, with a sweeper that runs until the scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: Options
) => Effect.Effect<
  SessionStore.WithIndex,
  SessionConfigError,
  SessionConfig | KeyValueStore | Scope.Scope
> = Effect.fnUntraced(function*(options = {}) {
  const { prefix, sweepEvery } = yield* Effect.fromResult(Setting.decode(Options, options, ["store"]))
  const backend = KeyValueBackend.make(yield* KeyValueStore, prefix)
  const sweep = Effect.catchCause(
    Effect.flatMap(Clock.currentTimeMillis, backend.sweep),
    (cause) => Effect.logWarning("Expired sessions could not be removed", withoutValues(cause))
  )
  if (Duration.isFinite(sweepEvery)) yield* Effect.forkScoped(Effect.repeat(sweep, Schedule.spaced(sweepEvery)))
  return yield* SessionStore.fromBackend(backend)
})

/**
 * Sessions in a `KeyValueStore`.
 *
 * **Example**
 *
 * ```ts
 * import { Layer } from "effect"
 * import { KeyValueLayer, SessionConfig } from "effect-session"
 * import { KeyValueStore } from "effect/persistence"
 *
 * const Sessions = KeyValueLayer.layer({ prefix: "session:" }).pipe(
 *   Layer.provide(KeyValueStore.layerMemory),
 *   Layer.provideMerge(SessionConfig.layerConfig())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options
): Layer.Layer<
  SessionStore.SessionStore | SessionOwners | SessionIndex,
  SessionConfigError,
  SessionConfig | KeyValueStore
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
  SessionConfig | KeyValueStore
> => SessionStore.layer(Effect.flatMap(Config.unwrap(options), make))
