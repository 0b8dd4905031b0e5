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
 * whose response comes last, also if that one has only read and extended the session's life. Who needs both takes a store
 * on the server.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Persistence from "effect/persistence/Persistence"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Setting from "./internal/config/settings.ts"
import * as Revocations from "./internal/drivers/cookie/revocations.ts"
import * as Cookie from "./internal/http/cookie.ts"
import * as Expiry from "./internal/record/expiry.ts"
import * as Record from "./internal/record/record.ts"
import { gone, notFound, superseded, written } from "./internal/store/serverStore.ts"
import * as Identifier from "./internal/token/identifier.ts"
import * as KeyRing from "./internal/token/keyRing.ts"
import * as Seal from "./internal/token/seal.ts"
import { requireSecret, SessionConfig, type Settings } from "./SessionConfig.ts"
import { type SessionConfigError, SessionTooLargeError } from "./SessionError.ts"
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
    return yield* makeWith(yield* Revocations.inMemory(revocations), true)
  }
)

/**
 * A cookie store that remembers ended sessions in a `BackingPersistence`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeShared: Effect.Effect<
  SessionStore.SessionStore,
  SessionConfigError,
  SessionConfig | Persistence.BackingPersistence | Scope.Scope
> = Effect.gen(function*() {
  const backing = yield* Persistence.BackingPersistence
  return yield* makeWith(Revocations.shared(yield* backing.make("effect-session-revocations")), false)
})

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
  SessionStore.SessionStore,
  SessionConfigError,
  SessionConfig | Persistence.BackingPersistence
> = Layer.effect(SessionStore.SessionStore, makeShared)

const makeWith = Effect.fnUntraced(function*(revocations: Revocations.Revocations, keepsTimeLimit: boolean) {
  const settings = yield* SessionConfig
  if (settings.enabled) yield* requireSecret(settings, "The cookie store")
  const keys = KeyRing.make(settings.secret, "seal-session")
  return yield* SessionStore.make(operations(settings, keys, revocations), { keepsTimeLimit })
})

const operations = (
  settings: Settings,
  keys: KeyRing.KeyRing | undefined,
  revocations: Revocations.Revocations
): SessionStore.Operations => {
  const expiry = Expiry.make(settings)
  const capacity = Cookie.capacity(settings.cookie)
  const limit = settings.cookie.chunks * Cookie.maximumSize
  const supersededFor = Duration.toMillis(settings.supersededFor)
  // Without a secret the sessions are switched off, and nothing is ever sealed or opened.
  const codec = keys === undefined ? undefined : Seal.make(keys, `session ${settings.cookie.name}`)

  const keyOf = (id: Redacted.Redacted<string>) => Identifier.hash(Redacted.value(id))

  const tokenOf = (id: string, record: Record.SessionRecord) => codec!.seal(`${id}\n${Record.encode(record)}`)

  const seal = (
    id: Redacted.Redacted<string>,
    record: Record.SessionRecord
  ): Effect.Effect<SessionStore.Written, SessionTooLargeError> => {
    const token = tokenOf(Redacted.value(id), record)
    const size = token.length + limit - capacity
    return size > limit
      ? Effect.fail(new SessionTooLargeError({ driver: "cookie", size, limit }))
      : Effect.succeed(written(token))
  }

  const open = (token: string) => {
    const opened = codec?.open(token)
    if (opened === undefined) return undefined
    const end = opened.plaintext.indexOf("\n")
    return {
      id: opened.plaintext.slice(0, end),
      record: Record.decode(opened.plaintext.slice(end + 1)),
      outdated: opened.outdated
    }
  }

  const unlessRevoked = <A>(
    id: Redacted.Redacted<string>,
    then: Effect.Effect<A, unknown>
  ): Effect.Effect<A | SessionStore.Gone, unknown> =>
    Effect.flatMap(
      Effect.suspend(() => revocations.find(keyOf(id))),
      (revocation): Effect.Effect<A | SessionStore.Gone, unknown> =>
        revocation === undefined ? then : Effect.succeed(gone)
    )
  const update = (id: Redacted.Redacted<string>, record: Record.SessionRecord) =>
    unlessRevoked(id, Effect.suspend(() => seal(id, record)))

  // As long as any cookie of the session can be accepted, also by a server whose clock is behind.
  const remember = (key: string, record: Record.SessionRecord, revocation: Revocations.Revocation) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const until = Math.max(record.expiresAt, expiry.latest(record.createdAt, now)) + clockSkew
      return revocations.add(key, revocation, Math.min(until, Record.endOfTime))
    })

  const supersede = (id: Redacted.Redacted<string>, newId: Redacted.Redacted<string>, record: Record.SessionRecord) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => remember(keyOf(id), record, { supersededUntil: now + supersededFor, successor: keyOf(newId) })
    )

  /** Who ends a session that another request has just given a new id means that one as well. */
  const destroy = (key: string, record: Record.SessionRecord): Effect.Effect<void, unknown> =>
    Effect.flatMap(revocations.find(key), (revocation) =>
      Effect.andThen(
        revocation?.successor === undefined ? Effect.void : destroy(revocation.successor, record),
        remember(key, record, { supersededUntil: 0 })
      ))

  const load = (redacted: Redacted.Redacted<string>) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const token = Redacted.value(redacted)
      if (token.length > capacity || !shape.test(token)) return Effect.succeed(notFound.malformed)
      const session = open(token)
      if (session === undefined) return Effect.succeed(notFound.tampered)
      if (expiry.isExpired(session.record, now)) return Effect.succeed(notFound.expired)
      return Effect.map(revocations.find(Identifier.hash(session.id)), (revocation): SessionStore.Loaded => {
        if (revocation !== undefined) return now < revocation.supersededUntil ? superseded : notFound.unknown
        const id = Redacted.make(session.id)
        const renewed = session.outdated ? Redacted.make(tokenOf(session.id, session.record)) : undefined
        return { _tag: "Found", id, record: session.record, renewed }
      })
    })

  return {
    driver: "cookie",
    stateless: true,
    load,
    create: (id, record) => Effect.suspend(() => seal(id, record)),
    update: (id, _, record) => update(id, record),
    touch: update,
    regenerate: (id, newId, _, record) =>
      unlessRevoked(id, Effect.tap(Effect.suspend(() => seal(newId, record)), () => supersede(id, newId, record))),
    destroy: (id, record) => Effect.suspend(() => destroy(keyOf(id), record))
  }
}

const clockSkew = 5 * 60_000

// Base64url, and long enough for a seal around nothing.
const shape = /^[A-Za-z0-9_-]{44,}$/
