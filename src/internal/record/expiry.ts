/**
 * The two clocks of a session, and the only place that decides whether it has expired.
 *
 * The idle timeout (`age`) counts from the last touch. The absolute one (`absoluteAge`) counts from the creation, and
 * nothing extends it. The record has a deadline, but the current settings count too, so a shortened `age` applies to
 * existing sessions. A session may have its own lifetime (lifetime.ts), within the maximum of the current settings.
 *
 * Back ends only move the stored deadline forward, so a session whose life was shortened ends before it. To find out when a
 * session ends, ask this module, not the record.
 */
import * as Duration from "effect/Duration"
import type { Settings } from "../../SessionConfig.ts"
import * as Lifetime from "./lifetime.ts"
import { endOfTime, type Fields, type SessionRecord, type Times } from "./record.ts"

export interface Expiry {
  readonly start: (now: number, fields: Fields) => Times
  /** The times of a session that is used now, with these fields. */
  readonly touch: (times: Times, fields: Fields, now: number) => Times
  /** The times of a session whose lifetime these fields change. */
  readonly adjust: (times: Times, fields: Fields, now: number) => Times
  readonly isTouchDue: (record: SessionRecord, now: number) => boolean
  /** When the session ends if it is not used again. */
  readonly end: (record: SessionRecord) => number
  /** When it ends however much it is used. */
  readonly absoluteEnd: (record: SessionRecord) => number
  readonly isExpired: (record: SessionRecord, now: number) => boolean
  /** The latest moment at which a session created then, and touched now, can still be alive, whatever its lifetime. */
  readonly latest: (createdAt: number, now: number) => number
  /** When it would end if it were touched once more, just before its end. */
  readonly horizon: (times: Times, fields: Fields) => number
  /** What the configuration grants of a requested lifetime. */
  readonly grant: (asked: Lifetime.Lifetime) => Lifetime.Lifetime
}

export const make = (
  config: Pick<
    Settings,
    "age" | "absoluteAge" | "maximumAge" | "maximumAbsoluteAge" | "touchEvery" | "rolling"
  >
): Expiry => {
  const idle = Duration.toMillis(config.age)
  const absolute = Duration.toMillis(config.absoluteAge)
  const maximumIdle = Duration.toMillis(config.maximumAge)
  const maximumAbsolute = Duration.toMillis(config.maximumAbsoluteAge)
  const touchEvery = Duration.toMillis(config.touchEvery)

  const idleOf = (own: Lifetime.Lifetime | undefined) => own?.age === undefined ? idle : Math.min(own.age, maximumIdle)
  const absoluteOf = (own: Lifetime.Lifetime | undefined) =>
    own?.absoluteAge === undefined ? absolute : Math.min(own.absoluteAge, maximumAbsolute)

  const latest = (createdAt: number, touchedAt: number, own: Lifetime.Lifetime | undefined) =>
    moment(Math.min(touchedAt + idleOf(own), createdAt + absoluteOf(own)))

  const touch = (createdAt: number, touchedAt: number, fields: Fields): Times => ({
    createdAt,
    touchedAt,
    expiresAt: latest(createdAt, touchedAt, Lifetime.of(fields))
  })

  const end = ({ createdAt, expiresAt, fields, touchedAt }: SessionRecord) =>
    Math.min(expiresAt, latest(createdAt, touchedAt, Lifetime.of(fields)))

  /** A shorter age needs more frequent touches, or the session would expire while in use. */
  const touchEveryOf = (own: Lifetime.Lifetime | undefined) =>
    own?.age === undefined ? touchEvery : Math.min(touchEvery, idleOf(own) / 10)

  return {
    start: (now, fields) => touch(now, now, fields),
    touch: ({ createdAt }, fields, now) => touch(createdAt, now, fields),
    adjust: ({ createdAt, touchedAt }, fields, now) =>
      touch(createdAt, config.rolling === "never" ? touchedAt : now, fields),
    isTouchDue: ({ fields, touchedAt }, now) =>
      config.rolling !== "never" &&
      (now - touchedAt >= touchEvery || now - touchedAt >= touchEveryOf(Lifetime.of(fields))),
    end,
    absoluteEnd: ({ createdAt, fields }) => moment(createdAt + absoluteOf(Lifetime.of(fields))),
    isExpired: (record, now) => now >= end(record),
    latest: (createdAt, now) => moment(Math.min(now + maximumIdle, createdAt + maximumAbsolute)),
    horizon: ({ createdAt, expiresAt }, fields) => latest(createdAt, expiresAt, Lifetime.of(fields)),
    grant: ({ absoluteAge, age, persistence }) => {
      const longest = absoluteOf({ ...(absoluteAge !== undefined && { absoluteAge }) })
      return {
        ...(age !== undefined && { age: Math.min(idleOf({ age }), longest) }),
        ...(absoluteAge !== undefined && { absoluteAge: longest }),
        ...(persistence !== undefined && { persistence })
      }
    }
  }
}

/** Whether less was granted than requested. */
export const isCut = (asked: Lifetime.Lifetime, granted: Lifetime.Lifetime): boolean =>
  asked.absoluteAge !== granted.absoluteAge ||
  // An age that is cut by the absolute timeout of the same call is as requested.
  asked.age !== undefined && granted.age! < Math.min(asked.age, asked.absoluteAge ?? Infinity)

const moment = (time: number): number => Math.floor(Math.min(time, endOfTime))
