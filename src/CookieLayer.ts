/**
 * Sessions in the cookie itself, sealed: nothing to operate, and any number of servers, as long as they share the
 * secret.
 *
 * **Details**
 *
 * The record is encrypted and authenticated with AES-256-GCM; the name of the cookie is bound into the seal, and the
 * times of the session are inside. The cookie takes at most 4,096 bytes, its name included (some 3,000 bytes of JSON);
 * more is a `SessionTooLargeError`, unless `cookie.chunks` allows up to four cookies.
 *
 * A cookie can't be taken back, so the ids of sessions that were destroyed or regenerated are remembered until their
 * cookies would have expired anyway: a copy of the cookie, or a response that was on its way, logs nobody in again.
 * {@link layer} remembers them in the memory of the process, and a restart forgets them. {@link layerShared} remembers
 * them where several processes look.
 *
 * **Gotchas**
 *
 * Commits do not merge: of two requests that use the session at the same time, the browser keeps the cookie of the one
 * whose response comes last, also if that one has only read and extended the session's life. Nor are they compared: the
 * record is at the client, so what a change expects to be stored is not looked at. Of two `Session.modify` that run at the
 * same time, each works on the cookie that its own request came with, both succeed, and the browser ends up with the result
 * of the one whose response arrives last, as if the other one had not happened. If you need both, use a store on the
 * server.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Persistence from "effect/persistence/Persistence"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { requireSecret } from "./internal/config/secret.ts"
import * as Setting from "./internal/config/settings.ts"
import * as Owners from "./internal/drivers/cookie/owners.ts"
import * as Revocations from "./internal/drivers/cookie/revocations.ts"
import * as CookieStore from "./internal/drivers/cookie/store.ts"
import * as Inert from "./internal/store/inert.ts"
import { SessionConfig, type Settings } from "./SessionConfig.ts"
import { SessionConfigError } from "./SessionError.ts"
import type { SessionOwners } from "./SessionOwners.ts"
import * as SessionStore from "./SessionStore.ts"

/**
 * The settings of the cookie store.
 *
 * - `revocations`: the most destroyed and regenerated sessions that {@link layer} remembers in memory, some 200 bytes
 *   each, default `1_000_000`. When it is full, destroying a session is a `SessionStoreError`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly revocations?: number
}

const Options = Schema.Struct({
  revocations: Setting.integer({ minimum: 1, maximum: 16_000_000 }, 1_000_000)
})

/**
 * A cookie store that remembers ended sessions in memory for as long as its scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: Options
) => Effect.Effect<SessionStore.SessionStore, SessionConfigError, SessionConfig | Scope.Scope> = Effect.fnUntraced(
  function*(options = {}) {
    const { revocations } = yield* Effect.fromResult(Setting.decode(Options, options, ["store"]))
    const settings = yield* settingsWithSecret
    const remembered = yield* Revocations.inMemory(revocations)
    return yield* SessionStore.make(CookieStore.make(settings, remembered), { keepsTimeLimit: true })
  }
)

/**
 * A cookie store that remembers ended sessions in a `BackingPersistence`, and when all sessions of an owner were ended.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeShared: Effect.Effect<
  SessionStore.WithOwners,
  SessionConfigError,
  SessionConfig | Persistence.BackingPersistence | Scope.Scope
> = Effect.gen(function*() {
  const settings = yield* settingsWithSecret
  yield* refuseLimit(settings)
  const shared = yield* (yield* Persistence.BackingPersistence).make("effect-session-revocations")
  const owners = settings.enabled
    ? Owners.make(settings, shared)
    : Inert.make("cookie").owners
  const store = yield* SessionStore.make(CookieStore.make(settings, Revocations.shared(shared), owners))
  return { ...store, owners }
})

/** Nobody knows how many sessions an owner has. */
const refuseLimit = ({ owner: { limit } }: Settings): Effect.Effect<void, SessionConfigError> =>
  Number.isFinite(limit)
    ? Effect.fail(
      new SessionConfigError({
        mistakes: [Setting.mistake(
          ["owner", "limit"],
          limit,
          "The cookie store does not know how many sessions an owner has. " +
            "Write \"unlimited\", or use a store on the server, such as RedisLayer"
        )]
      })
    )
    : Effect.void

/**
 * Sessions in the cookie. Ended sessions are remembered in memory: for servers of one process.
 *
 * **Example**
 *
 * ```ts
 * import { Layer } from "effect"
 * import { CookieLayer, SessionConfig } from "effect-session"
 *
 * const Sessions = CookieLayer.layer().pipe(
 *   Layer.provideMerge(SessionConfig.layerConfig())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options
): Layer.Layer<SessionStore.SessionStore, SessionConfigError, SessionConfig> =>
  Layer.effect(SessionStore.SessionStore, make(options))

/**
 * As {@link layer}, with each setting from a `Config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<SessionStore.SessionStore, SessionConfigError | Config.ConfigError, SessionConfig> =>
  Layer.effect(SessionStore.SessionStore, Effect.flatMap(Config.unwrap(options), make))

/**
 * Sessions in the cookie. Ended sessions are remembered in a `BackingPersistence` of `effect/persistence`, such as Redis,
 * a SQL database or a `KeyValueStore`: for servers of several processes, and across restarts. One look-up for each
 * request that uses its session.
 *
 * **Details**
 *
 * `Sessions.destroyAll` and `Sessions.destroyOthers` work, as that place also remembers when the sessions of an owner were
 * ended. Which ones there are, nobody knows: so there is no list, and no `owner.limit`. A login costs one look-up
 * more; for a session with an owner, one look-up asks for three keys at once.
 *
 * **Gotchas**
 *
 * What that place loses, comes back to life: it must not remove entries before their time, and each read must see what was
 * written before. A Cluster of Redis refuses look-ups of several keys, so it can't be that place for sessions with owners.
 *
 * **Example**
 *
 * ```ts
 * import { Layer } from "effect"
 * import { KeyValueStore, Persistence } from "effect/persistence"
 * import { CookieLayer, SessionConfig } from "effect-session"
 *
 * const Sessions = CookieLayer.layerShared.pipe(
 *   Layer.provide(Persistence.layerBackingKvs),
 *   Layer.provide(KeyValueStore.layerMemory),
 *   Layer.provideMerge(SessionConfig.layerConfig())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerShared: Layer.Layer<
  SessionStore.SessionStore | SessionOwners,
  SessionConfigError,
  SessionConfig | Persistence.BackingPersistence
> = SessionStore.layerWithOwners(makeShared)

const settingsWithSecret = Effect.tap(
  SessionConfig,
  (settings) => settings.enabled ? requireSecret(settings, "The cookie store") : Effect.void
)
