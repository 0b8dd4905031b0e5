/**
 * How our sessions go with better-auth's: one login there is one login here, and it ends here when it ends there.
 */
import { Clock, Effect, Option, Stream } from "effect"
import { Session, Sessions } from "effect-session"
import type { Login } from "./auth.ts"
import { GoesWith } from "./keys.ts"

/** Makes the session of the request agree with what better-auth says. Nothing is written if it does already. */
export const agree = Effect.fn(function*(login: Option.Option<Login>) {
  if (Option.isNone(login)) {
    if (Option.isSome(yield* Session.owner)) yield* Session.logout
    return
  }
  const { createdAt, id, user } = login.value
  if (Option.contains(yield* GoesWith, id)) return
  // Session.requireRecent counts from now on. So it gets to know of a login only if that was now, and not a week ago.
  const isNew = (yield* Clock.currentTimeMillis) - createdAt.getTime() < 60_000
  yield* Session.login(user.id, { methods: isNew ? ["better-auth"] : undefined })
  yield* Session.put(GoesWith, id)
})

/**
 * What becomes of our sessions when better-auth has ended one of its own: the other devices' are destroyed. The one of the request
 * itself, as at a sign-out, is logged out by {@link agree}, which keeps the visitor's basket.
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
      Effect.ignore({ log: "Error", message: "Sessions beside one of better-auth that has ended are still there" })
    )
