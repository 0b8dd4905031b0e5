/**
 * Sessions in any `KeyValueStore` of `effect/persistence`: for platforms that have nothing else, and for servers of one
 * process.
 *
 * **Details**
 *
 * A session is one JSON document, whose key is the prefix and the hash of the session's id. A commit reads it and writes it,
 * one commit after another for each session. A sweeper goes through the keys of the store and removes what has expired.
 *
 * Which sessions an owner has is one document as well, under the prefix, `owner-` and the hash of the owner's id. A login
 * reads it and writes it, and so does a logout. It takes 115 bytes for each session.
 *
 * **Gotchas**
 *
 * A `KeyValueStore` can't change a value only if it is still the same, so the promises hold within one process. If several
 * processes share a store, of two commits to one session in the same moment one can be lost, and one that comes just as
 * another process ends the session can bring it back. If two of them change the sessions of one owner in the same moment,
 * the index of that owner can lose an entry: that session is in no list, and `Sessions.destroyAll` does not end it, until
 * it is regenerated or has been in use for as long as `age`. Several processes take FileLayer, SqlLayer, RedisLayer or DynamoLayer.
 *
 * `KeyValueStore.layerFileSystem` writes a file in its place: a process that is killed in the middle of it leaves half a
 * document, which is no session, and no index of an owner. FileLayer does better, also on a machine alone. `KeyValueStore.layerSql` takes part in
 * transactions of the application, and what a session has committed is lost if one is rolled back. SqlLayer does better.
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
 * - `prefix`: what every key begins with, default `"session:"`.
 * - `sweepEvery`: how often expired sessions are removed, default 1 hour, as that reads every session there is; `"never"` if
 *   something else does it. They are gone for everybody before that.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly prefix?: string
  readonly sweepEvery?: DurationInput
}

const Options = Schema.Struct({
  prefix: Setting.textOr(/^[^\0]{0,128}$/, "Write a text of at most 128 characters, such as \"session:\"", "session:"),
  sweepEvery: Setting.duration("1 hour")
})

/**
 * A store in a `KeyValueStore`, with a sweeper that runs as long as the scope.
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
  SessionConfig | KeyValueStore
> => SessionStore.layer(Effect.flatMap(Config.unwrap(options), make))
