import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"

/** Sets the test's clock to the time of day, as what Redis holds expires by that. */
export const setTimeOfDay: Effect.Effect<void> = Effect.flatMap(
  TestClock.withLive(Clock.currentTimeMillis),
  TestClock.setTime
)
