/**
 * The back end on DynamoDB: one item for each session, and updates that change one only if it exists.
 */
import * as Effect from "effect/Effect"
import { SessionTooLargeError } from "../../../SessionError.ts"
import type { Backend, Conflict, SupersededRecord } from "../../../SessionStore.ts"
import * as KeyLock from "../../concurrency/keyLock.ts"
import * as Change from "../../record/change.ts"
import type { Fields, SessionRecord, Times } from "../../record/record.ts"
import { conflict } from "../../store/answers.ts"
import { toField, toName } from "../../store/fieldName.ts"
import * as Identifier from "../../token/identifier.ts"
import type { Dynamo, DynamoError, Item, Value } from "./client.ts"

export interface Table {
  readonly table: string
  readonly prefix: string
  readonly ttlAttribute: string
  readonly consistentRead: boolean
}

/** The attributes of an item; the one for the table's TTL has a name of the user's choice. */
export const attributes: ReadonlyArray<string> = [
  "id",
  "createdAt",
  "touchedAt",
  "expiresAt",
  "lastCommit",
  "data",
  "supersededUntil",
  "successor"
]

export const make = (dynamo: Dynamo, { consistentRead, prefix, table, ttlAttribute }: Table): Backend => {
  const locked = KeyLock.make()

  const idOf = (key: string): Value => ({ S: prefix + key })
  const at = (key: string) => ({ TableName: table, Key: { id: idOf(key) } })
  const read = (key: string, ConsistentRead = true) =>
    Effect.map(dynamo.send("GetItem", { ...at(key), ConsistentRead }), ({ Item }) => Item)

  const toItem = (key: string, record: SessionRecord, commit: string): Item => ({
    id: idOf(key),
    createdAt: toNumber(record.createdAt),
    touchedAt: toNumber(record.touchedAt),
    expiresAt: toNumber(record.expiresAt),
    [ttlAttribute]: toTtl(record.expiresAt),
    lastCommit: { S: commit },
    data: toMap(record.fields)
  })

  const put = (item: Item, condition: object) =>
    Effect.catchIf(
      dynamo.send("PutItem", { TableName: table, Item: item, ...condition }),
      isTooLarge,
      () => {
        const size = Math.max(sizeOf(item), itemLimit + 1)
        return Effect.fail(new SessionTooLargeError({ driver: "dynamodb", size, limit: itemLimit }))
      }
    )

  const toMark = (key: string, { successor, supersededUntil }: SupersededRecord): Item => ({
    id: idOf(key),
    supersededUntil: toNumber(supersededUntil),
    successor: { S: successor },
    [ttlAttribute]: toTtl(supersededUntil)
  })

  /** What was there when a condition was not met. A stand-in for development may not say, and is asked. */
  const whatIsThere = (key: string, { item }: DynamoError) => item === undefined ? read(key) : Effect.succeed(item)

  const create = (key: string, record: SessionRecord) => ifMet(put(toItem(key, record, newCommit()), ifNothingIsThere))

  const update = (key: string, change: Change.Change, times: Times): Effect.Effect<boolean | Conflict, unknown> =>
    Effect.suspend(() => {
      const commit = newCommit()
      const expressions = toExpressions(change, times, commit, ttlAttribute)
      if (expressions === undefined) return merge(key, change, times, commit)
      return dynamo.send("UpdateItem", { ...at(key), ...expressions, ...orTellWhatIsThere }).pipe(
        Effect.as(true),
        Effect.catch((error): Effect.Effect<boolean | Conflict, unknown> =>
          isRefused(error)
            ? refused(key, change, times, commit, error)
            // It adds to what is no number, or beyond the numbers that DynamoDB has; or the item gets too large.
            : isInvalid(error)
            ? merge(key, change, times, commit)
            : Effect.fail(error)
        )
      )
    })

  /** The condition of an update was not met. */
  const refused = (
    key: string,
    change: Change.Change,
    times: Times,
    commit: string,
    error: DynamoError
  ): Effect.Effect<boolean | Conflict, unknown> => {
    const expectsNothing = change.expect.size === 0
    if (expectsNothing && !change.touch && error.attempts === 1) return Effect.succeed(false)
    return Effect.flatMap(whatIsThere(key, error), (item) => {
      const stored = fromItem(item)
      if (!isRecord(stored)) return Effect.succeed(false)
      // The SDK has tried again what had been carried out.
      if (isOf(item, commit)) return Effect.succeed(true)
      if (!Change.isExpected(stored.fields, change.expect)) return Effect.succeed(conflict(stored))
      const isLate = change.touch && (stored.touchedAt > times.touchedAt || stored.expiresAt > times.expiresAt)
      if (!isLate) {
        // Without expectations nothing but the commit itself can have been in the way. With them, numbers may have: to
        // DynamoDB they differ in digits that are lost when they are loaded.
        return expectsNothing ? Effect.succeed(true) : merge(key, change, times, commit)
      }
      // Another request has extended the session further than this one.
      const later = Change.merge(stored, Change.onlyTouch, times)
      const touch = later.touchedAt > stored.touchedAt || later.expiresAt > stored.expiresAt
      const rest = { ...change, touch }
      return !touch && Change.isEmpty(rest) ? Effect.succeed(true) : update(key, rest, later)
    })
  }

  /** What no expression can do: by reading and writing, again for as long as others come in between. */
  const merge = (key: string, change: Change.Change, times: Times, commit: string) => {
    const attempt: Effect.Effect<boolean | Conflict, unknown> = Effect.flatMap(read(key), (item) => {
      const stored = fromItem(item)
      if (!isRecord(stored)) return Effect.succeed(false)
      if (isOf(item, commit)) return Effect.succeed(true)
      if (!Change.isExpected(stored.fields, change.expect)) return Effect.succeed(conflict(stored))
      const merged = toItem(key, Change.merge(stored, change, times), commit)
      return Effect.flatMap(
        ifMet(put(merged, ifStillAt(item!["lastCommit"]!))),
        (written) => written ? Effect.succeed(true) : attempt
      )
    })
    return locked(key)(attempt)
  }

  const supersede = (
    key: string,
    mark: SupersededRecord,
    fields: Fields
  ): Effect.Effect<SessionRecord | Conflict | undefined, unknown> => {
    const condition = ifItHolds(fields)
    if (condition === undefined) return replace(key, mark, fields)
    return dynamo.send("PutItem", {
      TableName: table,
      Item: toMark(key, mark),
      ...condition,
      ...orTellWhatIsThere,
      ReturnValues: "ALL_OLD"
    }).pipe(
      Effect.map(({ Attributes }) => {
        const old = fromItem(Attributes)
        return isRecord(old) ? old : undefined
      }),
      Effect.catchIf(isRefused, (error) => refusedToSupersede(key, mark, fields, error))
    )
  }

  const refusedToSupersede = (
    key: string,
    mark: SupersededRecord,
    fields: Fields,
    error: DynamoError
  ): Effect.Effect<SessionRecord | Conflict | undefined, unknown> => {
    return Effect.flatMap(whatIsThere(key, error), (item) => {
      const stored = fromItem(item)
      if (isRecord(stored)) {
        return Change.isSame(stored.fields, fields)
          ? replace(key, mark, fields)
          : Effect.succeed(conflict(stored))
      }
      // Where the SDK has tried again, the record may have been in the answer that was lost.
      return error.attempts === 1 ? Effect.undefined : Effect.fail(error)
    })
  }

  /** The same by reading and writing. */
  const replace = (key: string, mark: SupersededRecord, fields: Fields) => {
    const attempt = (
      before?: SessionRecord
    ): Effect.Effect<SessionRecord | Conflict | undefined, unknown> =>
      Effect.flatMap(read(key), (item) => {
        const stored = fromItem(item)
        // The SDK has tried again what had been carried out.
        if (stored !== undefined && "successor" in stored && stored.successor === mark.successor) {
          return Effect.succeed(before)
        }
        if (!isRecord(stored)) return Effect.undefined
        if (!Change.isSame(stored.fields, fields)) return Effect.succeed(conflict(stored))
        return Effect.flatMap(
          ifMet(put(toMark(key, mark), ifStillAt(item!["lastCommit"]!))),
          (written) => written ? Effect.succeed(stored) : attempt(stored)
        )
      })
    return locked(key)(attempt())
  }

  return {
    driver: "dynamodb",
    load: (key) => Effect.map(read(key, consistentRead), fromItem),
    create,
    update,
    touch: (key, times) => Effect.map(update(key, Change.onlyTouch, times), (answer) => answer === true),
    supersede,
    destroy: (key) =>
      dynamo.send("DeleteItem", { ...at(key), ...unlessSuperseded, ...orTellWhatIsThere }).pipe(
        Effect.as(undefined),
        Effect.catchIf(isRefused, (error) =>
          Effect.map(whatIsThere(key, error), (item) => {
            const stored = fromItem(item)
            return stored === undefined || isRecord(stored) ? undefined : stored
          }))
      )
  }
}

// -----------------------------------------------------------------------------
// answers
// -----------------------------------------------------------------------------

const isRefused = ({ code }: DynamoError): boolean => code === "ConditionalCheckFailedException"

const isInvalid = ({ code }: DynamoError): boolean => code === "ValidationException"

const isTooLarge = (error: DynamoError): boolean => isInvalid(error) && /item size/i.test(error.message)

const ifMet = <E>(write: Effect.Effect<unknown, E | DynamoError>): Effect.Effect<boolean, E | DynamoError> =>
  Effect.catchIf(
    Effect.as(write, true),
    (error) => (error as Partial<DynamoError>).code === "ConditionalCheckFailedException",
    () => Effect.succeed(false)
  )

// -----------------------------------------------------------------------------
// items
// -----------------------------------------------------------------------------

/** Names a commit, so that one that the SDK sends twice is carried out once. */
const newCommit = (): string => Identifier.drawBytes(12).toString("base64url")

const isOf = (item: Item | undefined, commit: string): boolean => item?.["lastCommit"]?.S === commit

const isRecord = (stored: SessionRecord | SupersededRecord | undefined): stored is SessionRecord =>
  stored !== undefined && "fields" in stored

const fromItem = (item: Item | undefined): SessionRecord | SupersededRecord | undefined => {
  if (item === undefined) return undefined
  const number = (name: string) => Number(item[name]?.N)
  const supersededUntil = number("supersededUntil")
  if (!Number.isNaN(supersededUntil)) return { supersededUntil, successor: item["successor"]?.S ?? "" }
  const times = { createdAt: number("createdAt"), touchedAt: number("touchedAt"), expiresAt: number("expiresAt") }
  const map = item["data"]?.M
  // What somebody must have damaged is no session.
  if (map === undefined || item["lastCommit"] === undefined) return undefined
  if (Number.isNaN(times.createdAt + times.touchedAt + times.expiresAt)) return undefined
  return { ...times, fields: new Map(Object.entries(map).map(([name, value]) => [toField(name), toText(value)])) }
}

const toMap = (fields: Fields): Value => ({
  M: Object.fromEntries([...fields].map(([field, text]) => [toName(field), toValue(text)]))
})

/** Numbers are stored as such, as only those can be added to in place. */
const toValue = (text: string): Value => isNumber(Number(text), text) ? { N: text } : { S: text }

/** Text without a value is no JSON, and the key says so when it is read. */
const toText = ({ N, S }: Value): string => N === undefined ? S ?? "" : JSON.stringify(Number(N))

/** Whether DynamoDB has the number, and the same text comes out. */
const isNumber = (number: number, text: string): boolean =>
  JSON.stringify(number) === text && Number.isFinite(number) &&
  (number === 0 || Math.abs(number) >= 1e-130 && Math.abs(number) < 1e126)

const toNumber = (value: number): Value => ({ N: JSON.stringify(value) })

/** In seconds, and an hour later, as DynamoDB compares it with its own clock, which is not ours. */
const toTtl = (expiresAt: number): Value => toNumber(Math.ceil(expiresAt / 1000) + 3600)

const itemLimit = 409_600

/** As DynamoDB counts, more or less: names and values in UTF-8, some bytes for a map, half a byte for a digit. */
const sizeOf = (item: Item): number =>
  Object.entries(item).reduce((size, [name, value]) => size + Buffer.byteLength(name) + sizeOfValue(value), 0)

const sizeOfValue = ({ M, N, S }: Value): number =>
  M !== undefined
    ? 3 + Object.keys(M).length + sizeOf(M)
    : N !== undefined
    ? 1 + Math.ceil(N.replaceAll(/^-?[0.]*|e.*$|\D/g, "").length / 2)
    : Buffer.byteLength(S ?? "")

// -----------------------------------------------------------------------------
// expressions
// -----------------------------------------------------------------------------

const ifNothingIsThere = {
  ConditionExpression: "attribute_not_exists(#id)",
  ExpressionAttributeNames: { "#id": "id" }
}

const unlessSuperseded = {
  ConditionExpression: "attribute_not_exists(#until)",
  ExpressionAttributeNames: { "#until": "supersededUntil" }
}

const orTellWhatIsThere = { ReturnValuesOnConditionCheckFailure: "ALL_OLD" }

/** Nothing if it is too much for an expression. A session has a last commit; the mark of a superseded one has not. */
const ifItHolds = (fields: Fields) => {
  const substitutes = makeSubstitutes()
  const { nameOfData, valueFor } = substitutes
  if (fields.size > fieldLimit) return undefined
  const hasAsMany = `size(${nameOfData()})=${valueFor(toNumber(fields.size))}`
  return unlessTooLong({
    ConditionExpression: ["attribute_exists(#commit)", hasAsMany, ...toConditions(fields, substitutes)].join(" AND "),
    ...substitutes.attributes()
  })
}

const ifStillAt = (commit: Value) => ({
  ConditionExpression: "#commit = :before",
  ExpressionAttributeNames: { "#commit": "lastCommit" },
  ExpressionAttributeValues: { ":before": commit }
})

// DynamoDB takes 4,096 bytes and 300 operators; an increment has two, and so has an expectation.
const expressionLimit = 4096
const fieldLimit = 120

const unlessTooLong = <A extends { readonly [expression: string]: string | object }>(expressions: A): A | undefined =>
  Object.values(expressions).some((expression) => typeof expression === "string" && expression.length > expressionLimit)
    ? undefined
    : expressions

/** No name and no value is in an expression itself. */
const makeSubstitutes = (values: Record<string, Value> = {}) => {
  const names: Record<string, string> = { "#commit": "lastCommit" }
  let count = 0
  const nameFor = (attribute: string) => {
    const name = `#${(count++).toString(36)}`
    names[name] = attribute
    return name
  }
  const valueFor = (value: Value) => {
    const name = `:${(count++).toString(36)}`
    values[name] = value
    return name
  }
  let data: string | undefined
  const nameOfData = () => data ??= nameFor("data")
  return {
    nameFor,
    valueFor,
    nameOfData,
    pathOf: (field: string) => `${nameOfData()}.${nameFor(toName(field))}`,
    // DynamoDB takes no empty list of values.
    attributes: () => ({
      ExpressionAttributeNames: names,
      ...(Object.keys(values).length > 0 && { ExpressionAttributeValues: values })
    })
  }
}

type Substitutes = ReturnType<typeof makeSubstitutes>

const toConditions = (expected: Change.Expected, { pathOf, valueFor }: Substitutes): ReadonlyArray<string> =>
  Array.from(
    expected,
    ([field, text]) =>
      text === undefined ? `attribute_not_exists(${pathOf(field)})` : `${pathOf(field)}=${valueFor(toValue(text))}`
  )

/** The change as an update in place; nothing if it is too much for one. */
const toExpressions = (change: Change.Change, times: Times, commit: string, ttlAttribute: string) => {
  const fields = change.set.size + change.remove.size + change.increment.size
  if (fields > fieldLimit || change.expect.size > fieldLimit) return undefined
  const substitutes = makeSubstitutes({ ":commit": { S: commit } })
  const { nameFor, nameOfData, pathOf, valueFor } = substitutes
  const conditions = ["attribute_exists(#commit)", "#commit <> :commit"]
  const sets = ["#commit=:commit"]
  const removes: Array<string> = []
  if (change.touch) {
    const attributes = { touchedAt: toNumber(times.touchedAt), expiresAt: toNumber(times.expiresAt) }
    for (const [attribute, time] of Object.entries(attributes)) {
      const name = nameFor(attribute)
      const value = valueFor(time)
      conditions.push(`${name} <= ${value}`)
      sets.push(`${name}=${value}`)
    }
    sets.push(`${nameFor(ttlAttribute)}=${valueFor(toTtl(times.expiresAt))}`)
  }
  if (change.clear) {
    sets.push(`${nameOfData()}=${valueFor(toMap(Change.apply(new Map(), change)))}`)
  } else {
    for (const [field, text] of change.set) sets.push(`${pathOf(field)}=${valueFor(toValue(text))}`)
    for (const field of change.remove) removes.push(pathOf(field))
    for (const [field, { by, initial }] of change.increment) {
      const path = pathOf(field)
      sets.push(`${path}=if_not_exists(${path},${valueFor(toNumber(initial))})+${valueFor(toNumber(by))}`)
    }
  }
  conditions.push(...toConditions(change.expect, substitutes))
  return unlessTooLong({
    UpdateExpression: `SET ${sets.join(",")}${removes.length === 0 ? "" : ` REMOVE ${removes.join(",")}`}`,
    ConditionExpression: conditions.join(" AND "),
    ...substitutes.attributes()
  })
}
