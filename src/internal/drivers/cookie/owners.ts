/**
 * Ends the sessions of an owner, which are in cookies and can't be listed: a shared place records for each owner which
 * logins still count.
 *
 * A login reads the current value there, and the cookie keeps it as the mark of the login. Ending all sessions writes a
 * new value, and marks with any other value no longer count, including those of running logins and requests and of
 * copied cookies. No atomic read and write is needed.
 *
 * There are two such values for each owner: that of `destroyAll`, and that of `destroyOthers`, which can spare a
 * session. In one place, the second could overwrite the first, and revive the spared session.
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

/** An end of an owner's sessions: a random text, because clocks differ, and the login that is spared, if any. */
export interface Ending {
  readonly ending: string
  readonly except?: string
}

export interface Endings {
  /** The latest `destroyAll`, if any session that it ended could still be accepted. */
  readonly all: Ending | undefined
  readonly others: Ending | undefined
}

/** The mark of a login: its own name, and the values that it has found. */
interface Mark {
  readonly login: string
  readonly all: string
  readonly others: string
}

/** The keys of an owner's endings. No session has such a key. */
export const keysOf = (owner: string): [all: string, others: string] => {
  const hash = Identifier.hash(owner)
  return [`${hash}.all`, `${hash}.others`]
}

/**
 * Whether the sessions of that login have been ended. A missing ending ends nothing: endings are kept as long as they
 * matter.
 */
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

  // As long as any earlier cookie can be accepted, including that of a running login.
  const put = (key: string, except: string | undefined) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const until = expiry.latest(now, now) + Owner.patience + clockSkew
      const value: Ending = { ending: random(), ...(except !== undefined && { except }) }
      return store.set(key, value, until >= endOfTime ? undefined : Duration.millis(until - now))
    })

  /** A session that was just ended does not come back by ending others. */
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
