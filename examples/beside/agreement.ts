/**
 * Makes our sessions follow the logins of another library: one login there is one login here, and it ends here when it ends there.
 */
import { Clock, Effect, Option, Schema, Stream } from "effect"
import { Session, SessionKey, Sessions } from "effect-session"

/** A login in the other library. */
export interface Login {
  /** Different for each login, such as the id of a session there. */
  readonly id: string
  /** When that was. */
  readonly createdAt: Date
  readonly user: { readonly id: string; readonly name: string }
}

/** The login that our session follows. Its id gives no access. */
const GoesWith = SessionKey.make("goes_with", Schema.String)

/** Makes the session of the request agree with what the other library says. If it does already, nothing is written. */
export const agree = Effect.fn(function*(login: Option.Option<Login>) {
  if (Option.isNone(login)) {
    if (Option.isSome(yield* Session.owner)) yield* Session.logout
    return
  }
  const { createdAt, id, user } = login.value
  if (Option.contains(yield* GoesWith, id)) return
  // Session.requireRecent counts from now on. So it gets to know of a login only if that was now, and not a week ago.
  const isNow = (yield* Clock.currentTimeMillis) - createdAt.getTime() < 60_000
  yield* Session.login(user.id, { methods: isNow ? ["login"] : undefined })
  yield* Session.put(GoesWith, id)
})

/**
 * Ends our sessions that go with a login that has ended there, such as one of another device. The session of the request itself, as at
 * a sign-out, is left to {@link agree}, which keeps the visitor's basket.
 */
export const endSessionsBeside = ({ id, userId }: { readonly id: string; readonly userId: string }) =>
  Stream.paginate("", (after) =>
    Effect.map(
      Sessions.list(userId, { attributes: { goesWith: GoesWith }, after }),
      ({ next, sessions }) => [sessions, next] as const
    )).pipe(
      Stream.filter(({ attributes, isCurrent }) => !isCurrent && Option.contains(attributes.goesWith, id)),
      Stream.runForEach(({ handle }) => Sessions.destroyHandle(userId, handle)),
      // The login is over there all the same, and "agree" logs out what has stayed, should it be used again.
      Effect.ignore({ log: "Error", message: "Sessions that go with a login that has ended are still there" })
    )
