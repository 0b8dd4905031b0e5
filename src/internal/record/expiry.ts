/**
 * The two clocks of a session, and the only place that knows what expired means.
 *
 * The idle timeout (`age`) counts from the last touch, the absolute one (`absoluteAge`) from the creation, and nothing
 * extends that. The record carries its own deadline; the settings of today count as well, so that a shortened `age`
 * holds for sessions that are already out.
 */
import * as Duration from "effect/Duration"
import type { Rolling } from "../../SessionConfig.ts"
import { endOfTime, type Times } from "./record.ts"

export interface Expiry {
  readonly start: (now: number) => Times
  readonly touch: (times: Times, now: number) => Times
  readonly isTouchDue: (times: Times, now: number) => boolean
  readonly isExpired: (times: Times, now: number) => boolean
  /** The latest moment at which a session created then, and touched now, can still be alive. */
  readonly latest: (createdAt: number, now: number) => number
  /** When it would end if it was touched once more, just before its end. */
  readonly horizon: (times: Times) => number
}

export const make = (config: {
  readonly age: Duration.Duration
  readonly absoluteAge: Duration.Duration
  readonly touchEvery: Duration.Duration
  readonly rolling: Rolling
}): Expiry => {
  const idle = Duration.toMillis(config.age)
  const absolute = Duration.toMillis(config.absoluteAge)
  const touchEvery = Duration.toMillis(config.touchEvery)
  const latest = (createdAt: number, now: number) => Math.floor(Math.min(now + idle, createdAt + absolute, endOfTime))
  return {
    latest,
    horizon: ({ createdAt, expiresAt }) => latest(createdAt, expiresAt),
    start: (now) => ({ createdAt: now, touchedAt: now, expiresAt: latest(now, now) }),
    touch: ({ createdAt }, now) => ({ createdAt, touchedAt: now, expiresAt: latest(createdAt, now) }),
    isTouchDue: ({ touchedAt }, now) => config.rolling !== "never" && now - touchedAt >= touchEvery,
    isExpired: ({ createdAt, expiresAt, touchedAt }, now) =>
      now >= expiresAt || now >= touchedAt + idle || now >= createdAt + absolute
  }
}
