/**
 * Sessions in the cookie itself, encrypted. There is no store to operate, and any number of servers can share the
 * secret.
 *
 * **Details**
 *
 * The record, including the session's times, is encrypted and authenticated with AES-256-GCM and bound to the cookie's
 * name. The cookie has at most 4,096 bytes including its name, which is about 3,000 bytes of JSON. A larger session
 * fails with a `SessionTooLargeError`, unless `cookie.chunks` allows up to four cookies.
 *
 * A cookie can't be revoked, so the ids of destroyed and regenerated sessions are remembered until their cookies would
 * have expired. A copy of the cookie, or a late response, then can't log anyone in again. {@link layer} remembers them
 * in the memory of the process, and a restart forgets them. {@link layerShared} remembers them in a place that several
 * processes share.
 *
 * **Gotchas**
 *
 * Commits do not merge. If two requests use the session at the same time, the browser keeps the cookie of the response
 * that arrives last, even if that request only read the session and extended its life. Commits are not compared either:
 * the client holds the record, so what a change expects is not checked. If two `Session.modify` run at the same time,
 * each works on its own request's cookie, both succeed, and the browser keeps the result that arrives last; the other
 * one is lost. If you need both, use a store on the server.
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
 * - `revocations`: the maximum number of destroyed and regenerated sessions that {@link layer} remembers in memory, at
 *   about 200 bytes each. Default `1_000_000`. When it is reached, destroying a session fails with a
 *   `SessionStoreError`.
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
 * Makes a cookie store that remembers ended sessions in memory until its scope closes.
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
 * Makes a cookie store that remembers ended sessions in a `BackingPersistence`, and when all sessions of an owner were
 * ended.
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

/** The number of an owner's sessions is unknown. */
const refuseLimit = ({ owner: { limit } }: Settings): Effect.Effect<void, SessionConfigError> =>
  Number.isFinite(limit)
    ? Effect.fail(
      new SessionConfigError({
        mistakes: [Setting.mistake(
          ["owner", "limit"],
          limit,
          "The cookie store can't count the sessions of an owner. " +
            "Write \"unlimited\", or use a store on the server, such as RedisLayer"
        )]
      })
    )
    : Effect.void

/**
 * Sessions in the cookie. Ended sessions are remembered in memory, for servers with a single process.
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
 * Like {@link layer}, with each setting from a `Config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<SessionStore.SessionStore, SessionConfigError | Config.ConfigError, SessionConfig> =>
  Layer.effect(SessionStore.SessionStore, Effect.flatMap(Config.unwrap(options), make))

/**
 * Sessions in the cookie. Ended sessions are remembered in a `BackingPersistence` of `effect/persistence`, such as
 * Redis, a SQL database or a `KeyValueStore`: for several processes, and across restarts. Costs one lookup for each
 * request that uses its session.
 *
 * **Details**
 *
 * `Sessions.destroyAll` and `Sessions.destroyOthers` work, because it also remembers when the sessions of an owner were
 * ended. Sessions can't be listed or counted, so `Sessions.list` and `owner.limit` are not available. A login costs one
 * more lookup. For a session with an owner, one lookup reads three keys at once.
 *
 * **Gotchas**
 *
 * If an entry is lost, its session works again. The `BackingPersistence` must not remove entries early, and reads must
 * see all earlier writes. Redis Cluster rejects lookups of several keys, so it can't be used for sessions with owners.
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
