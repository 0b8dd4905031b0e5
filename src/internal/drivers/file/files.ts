/**
 * What has become of a file when an operation on it fails.
 */
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"

export const isMissing = (error: PlatformError): boolean => error.reason._tag === "NotFound"

export const isTaken = (error: PlatformError): boolean => error.reason._tag === "AlreadyExists"

/** It is not there, or what should be its folder is not a folder. */
export const isGone = (error: PlatformError): boolean => isMissing(error) || codeOf(error) === "ENOTDIR"

/** A file can't take the place of a folder. */
export const isFolder = (error: PlatformError): boolean => codeOf(error) === "EISDIR"

const codeOf = ({ reason: { cause } }: PlatformError): unknown =>
  cause instanceof Error && "code" in cause ? cause.code : undefined

export const unlessGone = <A, R>(
  effect: Effect.Effect<A, PlatformError, R>
): Effect.Effect<A | undefined, PlatformError, R> => Effect.catchIf(effect, isGone, () => Effect.succeed(undefined))

/** One after the other, all of them; what fails does not stop the rest, and the first failure is told. */
export const forEach = <A>(
  all: ReadonlyArray<A>,
  f: (one: A) => Effect.Effect<void, PlatformError>
): Effect.Effect<void, PlatformError> => Effect.mapError(Effect.validate(all, f, { discard: true }), ([first]) => first)
