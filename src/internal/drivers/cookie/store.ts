/**
 * The cookie store: every write returns the token that contains the whole session.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Settings } from "../../../SessionConfig.ts"
import { SessionTooLargeError } from "../../../SessionError.ts"
import type { SessionOwners } from "../../../SessionOwners.ts"
import type { Gone, Loaded, Operations, Watched, Written } from "../../../SessionStore.ts"
import * as Expiry from "../../record/expiry.ts"
import { linesOf } from "../../record/lazyFields.ts"
import * as Record from "../../record/record.ts"
import { expired, gone, notOurs, superseded, unknown, written } from "../../store/answers.ts"
import * as Capacity from "../../token/capacity.ts"
import * as KeyRing from "../../token/keyRing.ts"
import * as Seal from "../../token/seal.ts"
import { Id, Token } from "../../token/secret.ts"
import { clockSkew } from "./clocks.ts"
import type { Revocation, Revocations } from "./revocations.ts"

export const make = (settings: Settings, revocations: Revocations, owners?: SessionOwners): Operations => {
  const expiry = Expiry.make(settings)
  const capacity = Capacity.ofToken(settings.cookie)
  const limit = settings.cookie.chunks * Capacity.ofCookie
  const supersededFor = Duration.toMillis(settings.supersededFor)
  const keys = KeyRing.make(settings.secret, "seal-session")
  // Without a secret, sessions are turned off, and nothing is ever sealed or opened.
  const codec = keys === undefined ? undefined : Seal.make(keys, `session ${settings.cookie.name}`)

  // In parts, which `Record.encode` would first join into one text.
  const tokenOf = (id: Id, record: Record.SessionRecord) =>
    codec!.seal(id.text, "\n", Record.encodeTimes(record), linesOf(record.fields))

  const seal = (
    id: Id,
    record: Record.SessionRecord
  ): Effect.Effect<Written, SessionTooLargeError> => {
    const token = tokenOf(id, record)
    const size = token.length + limit - capacity
    return size > limit
      ? Effect.fail(new SessionTooLargeError({ driver: "cookie", size, limit }))
      : Effect.succeed(written(token))
  }

  const open = (token: string): Session | undefined => {
    const opened = codec?.open(token)
    if (opened === undefined) return undefined
    const end = opened.plaintext.indexOf("\n")
    return {
      id: new Id(opened.plaintext.slice(0, end)),
      record: Record.decode(opened.plaintext.slice(end + 1)),
      outdated: opened.outdated
    }
  }

  const unlessRevoked = <A>(
    { key }: Id,
    fields: Record.Fields,
    then: () => Effect.Effect<A, unknown>
  ): Effect.Effect<A | Gone, unknown> =>
    Effect.suspend(() =>
      Effect.flatMapEager(
        revocations.findFor(key, fields),
        (revocation): Effect.Effect<A | Gone, unknown> => revocation === undefined ? then() : Effect.succeed(gone)
      )
    )

  const update = (id: Id, record: Record.SessionRecord) => unlessRevoked(id, record.fields, () => seal(id, record))

  // As long as any cookie of the session can be accepted, even by a server whose clock is behind.
  const remember = (key: string, record: Record.SessionRecord, revocation: Revocation) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const until = Math.max(record.expiresAt, expiry.latest(record.createdAt, now)) + clockSkew
      return revocations.add(key, revocation, Math.min(until, Record.endOfTime))
    })

  const supersede = (id: Id, newId: Id, record: Record.SessionRecord) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => remember(id.key, record, { supersededUntil: now + supersededFor, successor: newId.key })
    )

  const end = (key: string, record: Record.SessionRecord) => remember(key, record, { supersededUntil: 0 })

  /** Ending a session that another request has just regenerated ends its successor too. */
  const destroy = (key: string, record: Record.SessionRecord): Effect.Effect<void, unknown> =>
    Effect.flatMap(revocations.find(key), (revocation) =>
      Effect.andThen(
        revocation?.successor === undefined ? Effect.void : destroy(revocation.successor, record),
        end(key, record)
      ))

  /** Base64url, long enough for a seal around nothing, and not too long. */
  const isSealed = (token: string) => token.length <= capacity && /^[A-Za-z0-9_-]{44,}$/.test(token)

  const load = ({ text: token }: Token): Effect.Effect<Loaded, unknown> =>
    Effect.withFiber((fiber) => {
      const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
      const session = token.length > capacity ? undefined : open(token)
      if (session === undefined) return Effect.succeed(isSealed(token) ? notOurs.tampered : notOurs.malformed)
      const { id, record } = session
      if (expiry.isExpired(record, now)) return Effect.succeed(expired(id, record))
      return Effect.mapEager(revocations.findFor(id.key, record.fields), (revocation): Loaded => {
        if (revocation === undefined) return toLoaded(session)
        return now < revocation.supersededUntil ? superseded(id) : unknown(id)
      })
    })

  const toLoaded = ({ id, outdated, record }: Session): Loaded => ({
    _tag: "Found",
    id,
    record,
    renewed: outdated ? new Token(tokenOf(id, record)) : undefined
  })

  /** Only the cookie shows whether a session has expired. */
  const look = Effect.fnUntraced(function*(sessions: ReadonlyArray<Watched>) {
    const found = yield* revocations.findAll(sessions)
    const now = yield* Clock.currentTimeMillis
    return new Map(sessions.flatMap(({ key }, at) => {
      const revocation = found[at]
      const next = revocation === undefined ? key : now < revocation.supersededUntil ? revocation.successor : undefined
      return next === undefined ? [] : [[key, next] as const]
    }))
  })

  return {
    driver: "cookie",
    stateless: true,
    owners,
    load,
    create: (id, record) => Effect.suspend(() => seal(id, record)),
    update: (id, _, record) => update(id, record),
    touch: update,
    regenerate: (id, newId, record, before, overwritten) =>
      unlessRevoked(
        id,
        before,
        () =>
          Effect.tap(
            seal(newId, record),
            () => overwritten === "ended" ? end(id.key, record) : supersede(id, newId, record)
          )
      ),
    destroy: (id, record) => Effect.suspend(() => destroy(id.key, record)),
    look
  }
}

/** The contents of a cookie. */
interface Session {
  readonly id: Id
  readonly record: Record.SessionRecord
  readonly outdated: boolean
}
