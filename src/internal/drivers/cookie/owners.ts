/**
 * Ending the sessions of an owner that are out in cookies, which nobody knows: a place that all servers share says for each
 * owner since which moment logins count.
 *
 * A login notes what it finds there, and the cookie keeps that as the mark of the login. Ending all sessions puts something new
 * there, and marks that say something else count no more: also those of logins and requests under way, and of cookies that
 * somebody has copied. Nothing has to be read and written in one step for that.
 *
 * There are two such moments for each owner: that of `destroyAll`, and that of `destroyOthers`, which a session can be
 * excepted from. In one place, the second could take the place of the first, and bring the excepted session back to life.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Persistence from "effect/persistence/Persistence"
import * as Crypto from "node:crypto"
import type { Settings } from "../../../SessionConfig.ts"
import type { SessionOwners } from "../../../SessionOwners.ts"
import * as Expiry from "../../record/expiry.ts"
import * as Owner from "../../record/owner.ts"
import { endOfTime } from "../../record/record.ts"
import * as Guard from "../../store/guard.ts"
import * as Identifier from "../../token/identifier.ts"
import { Id } from "../../token/secret.ts"
import { clockSkew } from "./clocks.ts"

/** When sessions of an owner were ended: a random text, as clocks differ. And the login that goes on, if one does. */
export interface Ending {
  readonly ending: string
  readonly except?: string
}

export interface Endings {
  /** The latest `destroyAll`, if anything that it ended can still be around. */
  readonly all: Ending | undefined
  readonly others: Ending | undefined
}

/** What a login was marked with: a name of its own, and what it has found. */
interface Mark {
  readonly login: string
  readonly all: string
  readonly others: string
}

/** Where the endings of an owner are: no session has such a key. */
export const keysOf = (owner: string): [all: string, others: string] => {
  const hash = Identifier.hash(owner)
  return [`${hash}.all`, `${hash}.others`]
}

/** Whether the sessions of that login have been ended. What is not there ends nothing: it is kept as long as it matters. */
export const isEnded = (mark: string | undefined, { all, others }: Endings): boolean => {
  const own = decode(mark)
  return all !== undefined && all.ending !== own.all || isEndedWithOthers(own, others)
}

const isEndedWithOthers = (own: Mark, others: Ending | undefined): boolean =>
  others !== undefined && others.ending !== own.others && others.except !== own.login

const encode = ({ all, login, others }: Mark): string => `${login}.${all}.${others}`

const decode = (mark = ""): Mark => {
  const [login = "", all = "", others = ""] = mark.split(".")
  return { login, all, others }
}

export const make = (settings: Settings, store: Persistence.BackingPersistenceStore): SessionOwners => {
  const expiry = Expiry.make(settings)
  const asked = Guard.ofOwners("cookie", settings)
  const indexing = asked("index")
  const ending = asked("end")

  // As long as any cookie of before can be accepted, also that of a login under way.
  const put = (key: string, except: string | undefined) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const until = expiry.latest(now, now) + Owner.patience + clockSkew
      const value: Ending = { ending: random(), ...(except !== undefined && { except }) }
      return store.set(key, value, until >= endOfTime ? undefined : Duration.millis(until - now))
    })

  /** Who was ended a moment ago does not come back by ending others. */
  const endOthers = (key: string, own: Mark) =>
    Effect.flatMap(
      store.get(key) as Effect.Effect<Ending | undefined, Persistence.PersistenceError>,
      (others) => put(key, isEndedWithOthers(own, others) ? undefined : own.login)
    )

  return {
    "~effect-session/SessionOwners": "~effect-session/SessionOwners",
    add: (owner, { key }, login) =>
      login !== undefined
        ? indexing(Effect.map(Effect.suspend(() => store.getMany(keysOf(owner))), (found) => {
          const [all, others] = found as ReadonlyArray<Ending | undefined>
          const { handle } = Id.ofKey(key)
          return { ended: [], mark: encode({ login: handle, all: all?.ending ?? "", others: others?.ending ?? "" }) }
        }))
        : alreadyKnown,
    remove: () => Effect.void,
    end: (owner, except) =>
      ending(Effect.suspend(() => {
        const [all, others] = keysOf(owner)
        return Effect.as(except === undefined ? put(all, undefined) : endOthers(others, decode(except.mark)), [])
      }))
  }
}

const alreadyKnown = Effect.succeed({ ended: [] })

const random = () => Crypto.randomBytes(12).toString("base64url")
