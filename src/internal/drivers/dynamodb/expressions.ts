/**
 * DynamoDB's expressions: conditions, updates, and projections.
 */
import * as Change from "../../record/change.ts"
import type { Fields, Times } from "../../record/record.ts"
import { toName } from "../../store/fieldName.ts"
import type { Value } from "./client.ts"
import { toMap, toNumber, toTtl, toValue } from "./items.ts"

export const orTellWhatIsThere = { ReturnValuesOnConditionCheckFailure: "ALL_OLD" }

export const ifNothingIsThere = {
  ConditionExpression: "attribute_not_exists(#id)",
  ExpressionAttributeNames: { "#id": "id" },
  ...orTellWhatIsThere
}

export const unlessSuperseded = {
  ConditionExpression: "attribute_not_exists(#until)",
  ExpressionAttributeNames: { "#until": "supersededUntil" }
}

/** `undefined` if it exceeds an expression. A session has a last commit, and the mark of a superseded one doesn't. */
export const ifItHolds = (fields: Fields) => {
  const substitutes = makeSubstitutes()
  const { nameOfData, valueFor } = substitutes
  if (fields.size > fieldLimit) return undefined
  const hasAsMany = `size(${nameOfData()})=${valueFor(toNumber(fields.size))}`
  return unlessTooLong({
    ConditionExpression: ["attribute_exists(#commit)", hasAsMany, ...toConditions(fields, substitutes)].join(" AND "),
    ...substitutes.attributes()
  })
}

export const ifStillAt = (commit: Value) => ({
  ConditionExpression: "#commit = :before",
  ExpressionAttributeNames: { "#commit": "lastCommit" },
  ExpressionAttributeValues: { ":before": commit }
})

// DynamoDB allows 4,096 bytes and 300 operators. An increment has two, and so has an expectation.
const expressionLimit = 4096
const fieldLimit = 120

const unlessTooLong = <A extends { readonly [expression: string]: string | object }>(expressions: A): A | undefined =>
  Object.values(expressions).some((expression) => typeof expression === "string" && expression.length > expressionLimit)
    ? undefined
    : expressions

/** Expressions contain placeholders instead of names and values. */
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
    // DynamoDB rejects an empty list of values.
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

/** The change as an update expression, `undefined` if it exceeds one. */
export const toExpressions = (change: Change.Change, times: Times, commit: string, ttlAttribute: string) => {
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

/** The times and these fields of a session, or a whole mark. */
export const onlyTimesAnd = (fields: ReadonlyArray<string>) => {
  const { attributes, nameFor, pathOf } = makeSubstitutes()
  const names = ["id", "createdAt", "touchedAt", "expiresAt", "supersededUntil", "successor"].map(nameFor)
  // DynamoDB rejects duplicate paths.
  const paths = Array.from(new Set(fields), pathOf)
  return {
    ProjectionExpression: ["#commit", ...names, ...paths].join(","),
    ExpressionAttributeNames: attributes().ExpressionAttributeNames
  }
}

/** A whole partition, or only what comes before a sort key. */
export const inPartition = (id: Value, before?: Value) =>
  before === undefined
    ? { KeyConditionExpression: "id = :id", ExpressionAttributeValues: { ":id": id } }
    : {
      KeyConditionExpression: "id = :id AND #sort < :before",
      ExpressionAttributeNames: { "#sort": "sort" },
      ExpressionAttributeValues: { ":id": id, ":before": before }
    }
