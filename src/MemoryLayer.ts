/**
 * Sessions in the memory of the process, for development, tests, and single-process servers whose sessions may end with
 * a restart. Commits merge, and a sweeper removes expired sessions.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Setting from "./internal/config/settings.ts"
import * as MemoryBackend from "./internal/drivers/memory/backend.ts"
import type { DurationInput, SessionConfig } from "./SessionConfig.ts"
import type { SessionConfigError } from "./SessionError.ts"
import type { SessionIndex, SessionOwners } from "./SessionOwners.ts"
import * as SessionStore from "./SessionStore.ts"

/**
 * The settings of the memory store.
 *
 * - `capacity`: the maximum number of sessions. Default `100_000`. When it is reached, creating a session fails with a
 *   `SessionStoreError`: live sessions are never evicted for new ones.
 * - `sweepEvery`: how often expired sessions are deleted. Default 1 minute. They can't be used from the moment they
 *   expire.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly capacity?: number
  readonly sweepEvery?: DurationInput
}

const Options = Schema.Struct({
  capacity: Setting.integer({ minimum: 1, maximum: 16_000_000 }, 100_000),
  sweepEvery: Setting.duration("1 minute")
})

/**
 * Makes a store in memory that lives until its scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: Options
) => Effect.Effect<SessionStore.WithIndex, SessionConfigError, SessionConfig | Scope.Scope> = Effect.fnUntraced(
  function*(options = {}) {
    const { capacity, sweepEvery } = yield* Effect.fromResult(Setting.decode(Options, options, ["store"]))
    const backend = MemoryBackend.make(capacity)
    yield* Effect.forkScoped(Effect.repeat(backend.sweep, Schedule.spaced(sweepEvery)))
    return yield* SessionStore.fromBackend(backend)
  }
)

/**
 * Sessions in memory.
 *
 * **Example**
 *
 * ```ts
 * import { Layer } from "effect"
 * import { MemoryLayer, SessionConfig } from "effect-session"
 *
 * const Sessions = MemoryLayer.layer({ capacity: 10_000 }).pipe(
 *   Layer.provideMerge(SessionConfig.layerConfig())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options
): Layer.Layer<SessionStore.SessionStore | SessionOwners | SessionIndex, SessionConfigError, SessionConfig> =>
  SessionStore.layer(make(options))

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
  SessionConfig
> => SessionStore.layer(Effect.flatMap(Config.unwrap(options), make))
