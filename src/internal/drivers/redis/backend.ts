/**
 * The back end on Redis: one hash per session, and scripts that change a session only if it exists.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Redis, RedisError } from "effect/persistence/Redis"
import type { Backend, Conflict, OwnerIndex, SupersededRecord } from "../../../SessionStore.ts"
import type { Change } from "../../record/change.ts"
import { type Fields, isReserved, type SessionRecord, type Times } from "../../record/record.ts"
import { conflict } from "../../store/answers.ts"
import { toField, toName } from "../../store/fieldName.ts"
import * as Owners from "./owners.ts"
import * as Replica from "./replica.ts"
import * as Scripts from "./scripts.ts"
import type { Script } from "./scripts.ts"

/** A command and its parameters. */
export type Command = readonly [name: string, ...parameters: ReadonlyArray<string>]

/** The command that runs a script by its hash (`EVALSHA`), at a certain time. */
export type Call = (now: number) => Command

/**
 * Everything that the driver needs from a client. Its operations are created once and then called with little more than
 * a key.
 */
export interface Client extends Pick<Redis["Service"], "send"> {
  /** Reads the hash of a key, unless the key holds something else. */
  readonly load: <A>(read: (hash: Hash) => A) => (key: string) => Effect.Effect<A | undefined, RedisError>
  /** Runs a script, even if Redis does not have it cached. */
  readonly script: <Answer, A>(
    script: Script,
    read: (answer: Answer) => A
  ) => (call: Call) => Effect.Effect<A, RedisError>
  /** Whether each operation ends within the time limit. */
  readonly keepsTimeLimit: boolean
}

/** Runs a script like a client, and returns when replicas have confirmed it, or when it has waited long enough. */
export type Confirm = <Answer>(script: Script) => (call: Call) => Effect.Effect<Confirmed<Answer>, RedisError>

export interface Confirmed<Answer> {
  readonly answer: Answer
  /** How many replicas have confirmed it. */
  readonly replicas: number
}

/**
 * The `Redis` service. Scripts can't use `Redis.eval`, which loads a missing script into one node of a Cluster and then
 * runs it on another; EVAL goes to the node that has the key.
 */
export const fromService = (redis: Pick<Redis["Service"], "send">, onReadOnly: () => void): Client => ({
  keepsTimeLimit: false,
  send: redis.send,
  load: (read) => (key) => unlessOfAnotherType(Effect.map(redis.send<Hash>("HGETALL", key), read)),
  script: <Answer, A>(script: Script, read: (answer: Answer) => A) => (call: Call) =>
    withNow((now) => {
      const command = call(now)
      const answer = Effect.catchIf(
        redis.send<Answer>(...command),
        (error) => {
          if (Replica.isReadOnly(error.cause) && Replica.breaksOff(script)) onReadOnly()
          return isUnknownScript(error.cause)
        },
        () => redis.send<Answer>(...withText(script, command))
      )
      return Effect.map(answer, read)
    })
})

/** The key holds something else, which is not ours and not a session. */
export const isOfAnotherType = (cause: unknown): boolean => String(cause).includes("WRONGTYPE")

const unlessOfAnotherType = <A>(answer: Effect.Effect<A, RedisError>): Effect.Effect<A | undefined, RedisError> =>
  Effect.catchIf(answer, ({ cause }) => isOfAnotherType(cause), () => Effect.undefined)

/** Sends a command through the client; `undefined` if the key holds something else. */
export type Ask = <A>(...command: Command) => Effect.Effect<A | undefined, RedisError>

/** Whether a script failed for that reason. */
export const isUnknownScript = (cause: unknown): boolean => String(cause).includes("NOSCRIPT")

/** The same command for a Redis that does not have the script cached. */
export const withText = ({ text }: Script, [, , ...keysAndParameters]: Command): Command => [
  "EVAL",
  text,
  ...keysAndParameters
]

/** How many replicas must confirm that a session has ended, and how to ask them. */
export interface Confirmation {
  readonly confirm: Confirm
  readonly waitForReplicas: number
}

export interface Options {
  readonly prefix: string
  /** Whether a script may have two keys. On a Cluster it may not. */
  readonly ofTwoKeys: boolean
  readonly confirmation?: Confirmation | undefined
}

export const make = (
  client: Client,
  { confirmation, ofTwoKeys, prefix }: Options
): Backend & { readonly owners: OwnerIndex } => {
  /** Like `client.script`, confirmed by the required number of replicas, unless the script has written nothing. */
  const forGood = <Answer, A>(
    script: Script,
    hasWritten: (answer: Answer) => boolean,
    read: (answer: Answer) => A
  ): (call: Call) => Effect.Effect<A, RedisError | Error> => {
    if (confirmation === undefined) return client.script(script, read)
    const { confirm, waitForReplicas } = confirmation
    const confirmed = confirm<Answer>(script)
    return (call) =>
      Effect.flatMap(confirmed(call), ({ answer, replicas }) =>
        replicas >= waitForReplicas || !hasWritten(answer)
          ? Effect.sync(() => read(answer))
          : Effect.fail(notConfirmed(replicas, waitForReplicas)))
  }
  const load = client.load(fromHash)
  const create = client.script(Scripts.create, isOne)
  const update = client.script(Scripts.update, toUpdated)
  const touch = client.script(Scripts.touch, isOne)
  const supersede = forGood(Scripts.supersede, hasSuperseded, toSuperseded)
  const regenerate = forGood(Scripts.regenerate, isOne, toRegenerated)
  const destroyScript = confirmation === undefined ? Scripts.destroy : Scripts.destroyForGood
  const destroy = forGood(destroyScript, () => true, toMark)
  const ask: Ask = (...command) => unlessOfAnotherType(client.send(...command))
  const owners = Owners.make({
    prefix,
    ask,
    // If all keys are on one node, a replica that lacks the entry also lacks the session, which is written after it.
    add: ofTwoKeys ? client.script(Scripts.addEntry, isOne) : forGood(Scripts.addEntry, () => true, isOne),
    bury: forGood(Scripts.bury, () => true, () => {})
  })
  return {
    driver: "redis",
    keepsTimeLimit: client.keepsTimeLimit,
    load: (key) => load(prefix + key),
    create: (key, record) => create((now) => toCreate(prefix + key, record, now)),
    update: (key, change, times) => update((now) => toUpdate(prefix + key, change, times, now)),
    touch: (key, times) => touch((now) => toTouch(prefix + key, times, now)),
    supersede: (key, mark, expected) => supersede((now) => toSupersede(prefix + key, mark, expected, now)),
    ...(ofTwoKeys && {
      regenerate: (key: string, newKey: string, record: SessionRecord, mark: SupersededRecord, expected: Fields) =>
        regenerate((now) => toRegenerate(prefix + key, prefix + newKey, record, mark, expected, now))
    }),
    destroy: (key) => destroy(() => ["EVALSHA", destroyScript.sha, "1", prefix + key]),
    peek: (keys, fields) => {
      const names = [...namesOfOwn, ...fields.map(toName)]
      const each = (key: string) =>
        Effect.map(ask<Values>("HMGET", prefix + key, ...names), (values = []) => fromHash(toHash(names, values)))
      // Pipelined, so that it takes one round trip, or on a Cluster one to each of its nodes.
      return Effect.map(
        Effect.forEach(keys, each, { concurrency: "unbounded" }),
        (found) => new Map(keys.flatMap((key, index) => found[index] === undefined ? [] : [[key, found[index]]]))
      )
    },
    owners
  }
}

const notConfirmed = (replicas: number, waitForReplicas: number) =>
  new Error(
    `Only ${replicas} of ${waitForReplicas} replicas confirmed the change in time. ` +
      "The master has applied it, but if the master fails now, the session can come back: try again"
  )

const withNow = <A, E, R>(f: (now: number) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => f(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()))

// -----------------------------------------------------------------------------
// records
// -----------------------------------------------------------------------------

/** As returned by the client: alternating names and values, an object, or a Map. */
export type Hash = ReadonlyArray<string> | { readonly [field: string]: string } | ReadonlyMap<string, string>

/** Alternating names and values. */
const flat = (hash: Hash): ReadonlyArray<string> =>
  Array.isArray(hash) ? hash : [...hash instanceof Map ? hash : Object.entries(hash)].flat()

/** The fields that are not the session's. */
const namesOfOwn = ["~times", "~supersededUntil", "~successor"] as const

/** The requested fields; `null` for missing ones. */
type Values = ReadonlyArray<string | null>

const toHash = (names: ReadonlyArray<string>, values: Values): Hash =>
  values.flatMap((value, index) => value === null ? [] : [names[index]!, value])

const fromHash = (hash: Hash): SessionRecord | SupersededRecord | undefined => {
  const fields = new Map<string, string>()
  let createdAt = Number.NaN
  let touchedAt = Number.NaN
  let expiresAt = Number.NaN
  let supersededUntil = Number.NaN
  let successor = ""
  const stored = flat(hash)
  for (let index = 0; index < stored.length; index += 2) {
    const name = stored[index]!
    const value = stored[index + 1]!
    switch (isReserved(name) ? name : "") {
      // One field for all three times, because each field costs a client about 200 bytes, and `split` as much again.
      case "~times": {
        const first = value.indexOf(" ")
        const second = value.indexOf(" ", first + 1)
        if (second < 0) break
        createdAt = Number(value.slice(0, first))
        touchedAt = Number(value.slice(first + 1, second))
        expiresAt = Number(value.slice(second + 1))
        break
      }
      case "~supersededUntil":
        supersededUntil = Number(value)
        break
      case "~successor":
        successor = value
        break
      // Reserved fields belong to a session too: flash messages, and session keys that begin with a tilde.
      default:
        fields.set(toField(name), value)
    }
  }
  if (!Number.isNaN(supersededUntil)) return { supersededUntil, successor }
  // Without its times, the hash is damaged and not a session.
  return Number.isNaN(createdAt + touchedAt + expiresAt) ? undefined : { createdAt, touchedAt, expiresAt, fields }
}

const toRecord = (hash: Hash): SessionRecord | undefined => {
  const stored = fromHash(hash)
  return stored === undefined || "successor" in stored ? undefined : stored
}

const toMark = (hash: Hash): SupersededRecord | undefined => {
  const stored = fromHash(hash)
  return stored !== undefined && "successor" in stored ? stored : undefined
}

const toConflict = (hash: Hash): Conflict | undefined => {
  const record = toRecord(hash)
  return record && conflict(record)
}

// -----------------------------------------------------------------------------
// what scripts answer
// -----------------------------------------------------------------------------

const isOne = (answer: unknown): boolean => Number(answer) === 1

const toUpdated = (answer: number | string | Hash): boolean | Conflict =>
  typeof answer === "object" ? toConflict(answer) ?? false : isOne(answer)

const toRegenerated = (answer: number | string | Hash): boolean | "taken" | Conflict =>
  answer === "taken" ? answer : toUpdated(answer)

type Superseded = readonly [written: unknown, hash: Hash]

const hasSuperseded = ([written]: Superseded): boolean => isOne(written)

const toSuperseded = ([written, hash]: Superseded): SessionRecord | Conflict | undefined =>
  isOne(written) ? toRecord(hash) : toConflict(hash)

// -----------------------------------------------------------------------------
// what scripts are sent
// -----------------------------------------------------------------------------

const toCreate = (key: string, { createdAt, expiresAt, fields, touchedAt }: SessionRecord, now: number): Command => {
  const numbers = `${createdAt} ${touchedAt} ${expiresAt} ${Scripts.keepFor(expiresAt, now)}`
  const command: MutableCommand = ["EVALSHA", Scripts.create.sha, "1", key, numbers]
  for (const [field, text] of fields) command.push(toName(field), text)
  return command
}

const toTouch = (key: string, times: Times, now: number): Command => [
  "EVALSHA",
  Scripts.touch.sha,
  "1",
  key,
  numbersOfTouch(times, now)
]

const numbersOfTouch = ({ expiresAt, touchedAt }: Times, now: number): string =>
  `${touchedAt} ${expiresAt} ${Scripts.keepFor(expiresAt, now)}`

const toUpdate = (key: string, change: Change, times: Times, now: number): Command => {
  const command: MutableCommand = ["EVALSHA", Scripts.update.sha, "1", key, ""]
  let steps = ""
  for (const [field, text] of change.expect) steps += pushExpected(command, field, text)
  if (change.clear) steps += letters.clear
  for (const field of change.remove) steps += pushRemove(command, field)
  for (const [field, text] of change.set) steps += pushSet(command, field, text)
  for (const [field, { by, initial }] of change.increment) {
    command.push(toName(field), String(by), String(initial))
    steps += letters.increment
  }
  command[4] = `${change.touch ? numbersOfTouch(times, now) : "0 0 0"} ${steps}`
  return command
}

const toSupersede = (
  key: string,
  { successor, supersededUntil }: SupersededRecord,
  expected: Fields,
  now: number
): Command => {
  const command: MutableCommand = ["EVALSHA", Scripts.supersede.sha, "1", key, "", successor]
  let steps = ""
  for (const [field, text] of expected) steps += pushExpected(command, field, text)
  command[4] = `${supersededUntil} ${Scripts.keepFor(supersededUntil, now)} ${steps}`
  return command
}

const toRegenerate = (
  key: string,
  newKey: string,
  { createdAt, expiresAt, fields, touchedAt }: SessionRecord,
  { successor, supersededUntil }: SupersededRecord,
  expected: Fields,
  now: number
): Command => {
  const command: MutableCommand = ["EVALSHA", Scripts.regenerate.sha, "2", key, newKey, "", successor]
  let steps = ""
  for (const [field, text] of expected) steps += pushExpected(command, field, text)
  for (const field of expected.keys()) if (!fields.has(field)) steps += pushRemove(command, field)
  for (const [field, text] of fields) if (expected.get(field) !== text) steps += pushSet(command, field, text)
  command[5] = `${createdAt} ${touchedAt} ${expiresAt} ${Scripts.keepFor(expiresAt, now)} ` +
    `${supersededUntil} ${Scripts.keepFor(supersededUntil, now)} ${steps}`
  return command
}

type MutableCommand = [name: string, ...parameters: Array<string>]

// Adds a step's parameters to the command, and returns the step's letter.

const { letters } = Scripts

const pushExpected = (command: MutableCommand, field: string, text: string | undefined): string => {
  if (text === undefined) {
    command.push(toName(field))
    return letters.lacks
  }
  command.push(toName(field), text)
  return letters.has
}

const pushRemove = (command: MutableCommand, field: string): string => {
  command.push(toName(field))
  return letters.remove
}

const pushSet = (command: MutableCommand, field: string, text: string): string => {
  command.push(toName(field), text)
  return letters.set
}
