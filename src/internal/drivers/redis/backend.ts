/**
 * The back end on Redis: one hash for each session, and scripts that change one only if it exists.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Redis, RedisError } from "effect/persistence/Redis"
import type { Backend, Conflict, SupersededRecord } from "../../../SessionStore.ts"
import type { Change, Expected } from "../../record/change.ts"
import { type Fields, isReserved, type SessionRecord, type Times } from "../../record/record.ts"
import { conflict } from "../../store/answers.ts"
import { toField, toName } from "../../store/fieldName.ts"
import * as Replica from "./replica.ts"
import * as Scripts from "./scripts.ts"
import type { Script } from "./scripts.ts"

/** All that the driver needs of a client. */
export interface Client extends Pick<Redis["Service"], "send"> {
  /** Runs a script with the key and the parameters, also one that Redis does not know (any more). */
  readonly evaluate: <A>(
    script: Script,
    key: string,
    ...parameters: ReadonlyArray<string>
  ) => Effect.Effect<A, RedisError>
  /** Whether each of the two ends within the time limit. */
  readonly keepsTimeLimit: boolean
}

/** Runs a script as `evaluate` does, and answers when replicas have confirmed it, or when it has waited long enough. */
export type Confirm = <A>(
  script: Script,
  key: string,
  ...parameters: ReadonlyArray<string>
) => Effect.Effect<Confirmed<A>, RedisError>

export interface Confirmed<A> {
  readonly answer: A
  /** How many replicas have confirmed it. */
  readonly replicas: number
}

/**
 * The `Redis` service. Scripts are not for `Redis.eval`, which loads one that is missing into one node of a Cluster, and
 * then asks another one for it; EVAL goes to the node that has the key.
 */
export const fromService = (redis: Pick<Redis["Service"], "send">, onReadOnly: () => void): Client => ({
  keepsTimeLimit: false,
  send: redis.send,
  evaluate: <A>({ sha, text }: Script, ...keyAndParameters: ReadonlyArray<string>) =>
    Effect.catchIf(
      redis.send<A>("EVALSHA", sha, "1", ...keyAndParameters),
      (error) => {
        if (Replica.isReadOnly(error.cause)) onReadOnly()
        return isUnknownScript(error.cause)
      },
      () => redis.send<A>("EVAL", text, "1", ...keyAndParameters)
    )
})

/** Whether that is why a script has failed. */
export const isUnknownScript = (cause: unknown): boolean => String(cause).includes("NOSCRIPT")

/** How many replicas must confirm what must not come back, and how they are asked. */
export interface Confirmation {
  readonly confirm: Confirm
  readonly waitForReplicas: number
}

export const make = (client: Client, prefix: string, confirmation?: Confirmation): Backend => {
  const run = <A>(script: Script, key: string, ...parameters: ReadonlyArray<string>) =>
    client.evaluate<A>(script, prefix + key, ...parameters)
  const destroyScript = confirmation === undefined ? Scripts.destroy : Scripts.destroyForGood
  /** As `run`, confirmed by as many replicas as are asked for, unless the script has written nothing. */
  const runForGood = <A>(
    script: Script,
    hasWritten: (answer: A) => boolean,
    key: string,
    ...parameters: ReadonlyArray<string>
  ): Effect.Effect<A, RedisError | Error> => {
    if (confirmation === undefined) return run<A>(script, key, ...parameters)
    const { confirm, waitForReplicas } = confirmation
    return Effect.flatMap(
      confirm<A>(script, prefix + key, ...parameters),
      ({ answer, replicas }) =>
        replicas >= waitForReplicas || !hasWritten(answer)
          ? Effect.succeed(answer)
          : Effect.fail(notConfirmed(replicas, waitForReplicas))
    )
  }
  return {
    driver: "redis",
    keepsTimeLimit: client.keepsTimeLimit,
    load: (key) =>
      Effect.catchIf(
        Effect.map(client.send<Hash>("HGETALL", prefix + key), fromHash),
        // Something else is stored under the key: it is not ours, and no session.
        (error) => String((error as RedisError).cause).includes("WRONGTYPE"),
        () => Effect.undefined
      ),
    create: (key, record) =>
      withNow((now) => Effect.map(run(Scripts.create, key, ...toParametersOfCreate(record, now)), isOne)),
    update: (key, change, times) =>
      withNow((now) =>
        Effect.map(
          run<number | string | Hash>(Scripts.update, key, ...toParametersOfUpdate(change, times, now)),
          (answer) => typeof answer === "object" ? toConflict(answer) ?? false : isOne(answer)
        )
      ),
    touch: (key, { expiresAt, touchedAt }) =>
      withNow((now) =>
        Effect.map(run(Scripts.touch, key, ...[touchedAt, expiresAt, keepFor(expiresAt, now)].map(String)), isOne)
      ),
    supersede: (key, mark, expected) =>
      withNow((now) =>
        Effect.map(
          runForGood<readonly [written: unknown, hash: Hash]>(
            Scripts.supersede,
            ([written]) => isOne(written),
            key,
            ...toParametersOfSupersede(mark, expected, now)
          ),
          ([written, hash]) => isOne(written) ? toRecord(hash) : toConflict(hash)
        )
      ),
    destroy: (key) =>
      Effect.map(runForGood<ReadonlyArray<string>>(destroyScript, () => true, key), (hash) => {
        const mark = fromHash(hash)
        return mark !== undefined && "successor" in mark ? mark : undefined
      })
  }
}

const notConfirmed = (replicas: number, waitForReplicas: number) =>
  new Error(
    `Only ${replicas} of ${waitForReplicas} replicas have confirmed it in time. ` +
      "The master has carried it out, but if it is lost now, the session can come back: try again"
  )

const withNow = <A, E, R>(f: (now: number) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => f(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()))

const isOne = (answer: unknown): boolean => Number(answer) === 1

// -----------------------------------------------------------------------------
// records
// -----------------------------------------------------------------------------

/** As the client gives it: names and values in turn, or an object, or a Map. */
type Hash = ReadonlyArray<string> | { readonly [field: string]: string } | ReadonlyMap<string, string>

/** Calls `f` for each name and value. */
const forEach = (hash: Hash, f: (name: string, value: string) => void): void => {
  if (Array.isArray(hash)) {
    for (let index = 0; index < hash.length; index += 2) f(hash[index], hash[index + 1])
  } else if (hash instanceof Map) {
    for (const [name, value] of hash) f(name, value)
  } else {
    for (const name of Object.keys(hash)) f(name, (hash as { readonly [field: string]: string })[name]!)
  }
}

const fromHash = (hash: Hash): SessionRecord | SupersededRecord | undefined => {
  const fields = new Map<string, string>()
  let createdAt = Number.NaN
  let touchedAt = Number.NaN
  let expiresAt = Number.NaN
  let supersededUntil = Number.NaN
  let successor = ""
  forEach(hash, (name, value) => {
    switch (isReserved(name) ? name : "") {
      case "~createdAt":
        createdAt = Number(value)
        break
      case "~touchedAt":
        touchedAt = Number(value)
        break
      case "~expiresAt":
        expiresAt = Number(value)
        break
      case "~supersededUntil":
        supersededUntil = Number(value)
        break
      case "~successor":
        successor = value
        break
      // Fields may be reserved as well: flash messages, and what a session's own keys with a tilde become.
      default:
        fields.set(toField(name), value)
    }
  })
  if (!Number.isNaN(supersededUntil)) return { supersededUntil, successor }
  // Without its times, which somebody must have damaged, it is no session.
  return Number.isNaN(createdAt + touchedAt + expiresAt) ? undefined : { createdAt, touchedAt, expiresAt, fields }
}

const toRecord = (hash: Hash): SessionRecord | undefined => {
  const stored = fromHash(hash)
  return stored === undefined || "successor" in stored ? undefined : stored
}

const toConflict = (hash: Hash): Conflict | undefined => {
  const record = toRecord(hash)
  return record && conflict(record)
}

const toParametersOfCreate = (
  { createdAt, expiresAt, fields, touchedAt }: SessionRecord,
  now: number
): ReadonlyArray<string> => {
  const times = ["~createdAt", createdAt, "~touchedAt", touchedAt, "~expiresAt", expiresAt]
  const parameters = [keepFor(expiresAt, now), ...times].map(String)
  pushFields(parameters, fields)
  return parameters
}

const toParametersOfUpdate = (
  change: Change,
  { expiresAt, touchedAt }: Times,
  now: number
): ReadonlyArray<string> => {
  const parameters = change.touch
    ? [String(touchedAt), String(expiresAt), String(keepFor(expiresAt, now))]
    : ["0", "0", "0"]
  pushExpected(parameters, change.expect)
  parameters.push(change.clear ? "1" : "0", String(change.remove.size))
  for (const field of change.remove) parameters.push(toName(field))
  parameters.push(String(change.set.size))
  pushFields(parameters, change.set)
  for (const [field, { by, initial }] of change.increment) parameters.push(toName(field), String(by), String(initial))
  return parameters
}

const toParametersOfSupersede = (
  { successor, supersededUntil }: SupersededRecord,
  expected: Expected,
  now: number
): ReadonlyArray<string> => {
  const parameters = [String(supersededUntil), successor, String(keepFor(supersededUntil, now))]
  pushExpected(parameters, expected)
  return parameters
}

const pushExpected = (parameters: Array<string>, expected: Expected): void => {
  parameters.push(String(expected.size))
  for (const [field, text] of expected) parameters.push(toName(field), text === undefined ? "" : `=${text}`)
}

const pushFields = (parameters: Array<string>, fields: Fields): void => {
  for (const [field, value] of fields) parameters.push(toName(field), value)
}

/**
 * How long Redis keeps what holds until then, a while longer: a length of time, as its clock is not ours. What is over
 * already stays for that while, too.
 */
const keepFor = (until: number, now: number): number => Math.max(0, until - now) + 60_000
