/**
 * Whether what is read must be what is stored by now. A commit needs that: it asks what others have done meanwhile. The first
 * read of a request may come from a snapshot, as if the request had come a moment earlier.
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
