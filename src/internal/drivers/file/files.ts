/**
 * What the failure of a file operation means.
 */
import * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"

export const isMissing = (error: PlatformError): boolean => error.reason._tag === "NotFound"

export const isTaken = (error: PlatformError): boolean => error.reason._tag === "AlreadyExists"

/** It doesn't exist, or its folder is not a folder. */
export const isGone = (error: PlatformError): boolean => isMissing(error) || codeOf(error) === "ENOTDIR"

/** A file can't replace a folder. */
export const isFolder = (error: PlatformError): boolean => codeOf(error) === "EISDIR"

const codeOf = ({ reason: { cause } }: PlatformError): unknown =>
  cause instanceof Error && "code" in cause ? cause.code : undefined

export const unlessGone = <A, R>(
  effect: Effect.Effect<A, PlatformError, R>
): Effect.Effect<A | undefined, PlatformError, R> => Effect.catchIf(effect, isGone, () => Effect.succeed(undefined))

/** Runs all, one after the other, even if some fail, and then fails with the first failure. */
export const forEach = <A>(
  all: ReadonlyArray<A>,
  f: (one: A) => Effect.Effect<void, PlatformError>
): Effect.Effect<void, PlatformError> => Effect.mapError(Effect.validate(all, f, { discard: true }), ([first]) => first)
