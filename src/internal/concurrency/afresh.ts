/**
 * Whether a read must return the latest stored state. A commit needs that, to find out what others have done in the meantime. The
 * first read of a request may come from a snapshot, as if the request had arrived a moment earlier.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

export const IsNeeded: Context.Reference<boolean> = Context.Reference<boolean>("effect-session/internal/afresh", {
  defaultValue: () => false
})

export const reading: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Effect.provideService(
  IsNeeded,
  true
)
