/**
 * The lifetime of a single session: written as in the settings, with the same messages for mistakes.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type * as Session from "../../Session.ts"
import { SessionLifetimeError } from "../../SessionError.ts"
import * as Setting from "./settings.ts"

/** The ages in milliseconds. */
export const decode = ({ absoluteAge, age, persistence }: Session.Lifetime) =>
  Result.gen(function*() {
    return {
      ...(age !== undefined && { age: yield* millisecondsOf("age", age) }),
      ...(absoluteAge !== undefined && { absoluteAge: yield* millisecondsOf("absoluteAge", absoluteAge) }),
      ...(persistence !== undefined && { persistence: yield* known(persistence) })
    }
  })

const millisecondsOf = (part: "age" | "absoluteAge", written: unknown) =>
  Result.mapBoth(Setting.durationOf(written), {
    onSuccess: Duration.toMillis,
    onFailure: (write) => mistake(part, written, write)
  })

// Callers may not use TypeScript.
const known = (written: NonNullable<Session.Lifetime["persistence"]>) =>
  persistences.includes(written)
    ? Result.succeed(written)
    : Result.fail(mistake("persistence", written, Setting.writeOneOf(persistences)))

const persistences = ["persistent", "browser"] as const

const mistake = (part: keyof Session.Lifetime, written: unknown, write: string) =>
  new SessionLifetimeError({ part, found: Setting.describe(written), write })
