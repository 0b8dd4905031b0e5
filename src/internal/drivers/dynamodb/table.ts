/**
 * Creates the table, and checks at the start whether it is correct and the role has all permissions.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { type ConfigMistake, SessionConfigError } from "../../../SessionError.ts"
import * as TimeLimit from "../../concurrency/timeLimit.ts"
import * as Setting from "../../config/settings.ts"
import {
  type Answer,
  type Connection,
  denial,
  type Dynamo,
  DynamoError,
  isPassing,
  isRefusal,
  type Operation
} from "./client.ts"
import * as Expressions from "./expressions.ts"
import * as Items from "./items.ts"

// -----------------------------------------------------------------------------
// at the start
// -----------------------------------------------------------------------------

/**
 * Tries all requests of the driver on an item that never exists, on the condition that it exists. That changes nothing, and shows
 * whether the table and its key are correct and the role has the permissions.
 */
export const tryOut = (
  dynamo: Dynamo,
  connection: Connection,
  { prefix }: Pick<Items.Table, "prefix">,
  timeLimit: Duration.Duration
): Effect.Effect<void, SessionConfigError> => {
  const TableName = connection.table
  const key = Items.neverThere(prefix)
  const isThere = { ConditionExpression: "attribute_exists(id)" }
  const ask = (operation: Operation, input: object) =>
    dynamo.send(operation, input).pipe(
      Effect.timeoutOrElse({
        duration: timeLimit,
        orElse: () => Effect.fail(new DynamoError("TimeoutError", TimeLimit.noAnswer(timeLimit).message, 1))
      }),
      Effect.asVoid
    )
  const attempt = (operation: Operation, input: object) =>
    Effect.match(ask(operation, input), {
      onFailure: (error) => error.code === "ConditionalCheckFailedException" ? [] : [{ operation, error }],
      onSuccess: () => []
    })
  const attempts = Effect.all([
    attempt("PutItem", { TableName, Item: key, ...isThere }),
    attempt("UpdateItem", {
      TableName,
      Key: key,
      UpdateExpression: "SET touchedAt=:now",
      ExpressionAttributeValues: { ":now": { N: "0" } },
      ...isThere
    }),
    attempt("DeleteItem", { TableName, Key: key, ...isThere }),
    attempt("Query", { TableName, ConsistentRead: true, ...Expressions.inPartition(key["id"]!), Limit: 1 }),
    attempt("BatchGetItem", { RequestItems: { [TableName]: { ConsistentRead: true, Keys: [key] } } }),
    // It has no condition, but removes only existing items.
    attempt("BatchWriteItem", { RequestItems: { [TableName]: [{ DeleteRequest: { Key: key } }] } })
  ], { concurrency: "unbounded" })
  return ask("GetItem", { TableName, Key: key, ConsistentRead: true }).pipe(
    Effect.andThen(attempts),
    Effect.flatMap((failures) => {
      const failed = failures.flat()
      const denied = failed.filter(({ error }) => error.code === denial)
      if (denied.length > 0) return Effect.fail(denialOf(denied.map(({ operation }) => operation), denied[0]!.error))
      return failed.length > 0 ? Effect.fail(failed[0]!.error) : Effect.void
    }),
    Effect.catch((error) =>
      isPassing(error.code)
        ? Effect.logWarning("DynamoDB did not answer the first request", error)
        : failedWith(connection, error)
    )
  )
}

/** One error for all missing permissions. */
const denialOf = (operations: ReadonlyArray<Operation>, { message }: DynamoError): DynamoError => {
  const names = operations.map((operation) => `dynamodb:${operation}`).join(", ")
  return new DynamoError(denial, message.replace(`dynamodb:${operations[0]}`, names), 1)
}

const failedWith = (connection: Connection, error: DynamoError): Effect.Effect<never, SessionConfigError> =>
  Effect.fail(new SessionConfigError({ mistakes: [explain(connection, error)] }))

/** The setting to blame. */
const explain = (
  { credentials, endpoint, region, table }: Connection,
  { code, message }: DynamoError
): ConfigMistake => {
  const atTable = (write: string) => Setting.mistake(["store", "table"], table, write)
  const atCredentials = (write: string) =>
    Setting.mistake(["store", "aws", "accessKeyId"], credentials?.accessKeyId, write)
  if (code === "ResourceNotFoundException") {
    return atTable(
      `There is no such table in ${region ?? "the region"}, or not yet. Write the name of a table that ` +
        "`DynamoLayer.createTable` has created, or that has the same key"
    )
  }
  if (code === denial) {
    return atTable(
      `${message}. A server needs GetItem, PutItem, UpdateItem, DeleteItem, Query, BatchGetItem and BatchWriteItem; ` +
        "`DynamoLayer.createTable` needs CreateTable, DescribeTable, DescribeTimeToLive and UpdateTimeToLive"
    )
  }
  if (code === "ValidationException" && /key/.test(message)) {
    return atTable(
      "Its key must be the partition key \"id\" and the sort key \"sort\", both strings, and the key of a table can't be changed: " +
        `write the name of a new table, and create it with \`DynamoLayer.createTable\`. ${message}`
    )
  }
  if (code === "CredentialsProviderError") {
    return atCredentials(`${message}. Write the keys here or in AWS_ACCESS_KEY_ID, or run with a role`)
  }
  if (isRefusal(code)) return atCredentials(`${message}. Write the keys of a user with access to the table`)
  if (code.endsWith("Exception")) return atTable(message)
  const write = `DynamoDB does not answer there: ${message}`
  if (endpoint !== undefined) return Setting.mistake(["store", "endpoint"], endpoint, write)
  if (region !== undefined) return Setting.mistake(["store", "aws", "region"], region, write)
  return atTable(message)
}

// -----------------------------------------------------------------------------
// making it
// -----------------------------------------------------------------------------

/** Creates the table if needed, waits for it, and enables its TTL. */
export const createTable = (
  dynamo: Dynamo,
  connection: Connection,
  ttlAttribute: string
): Effect.Effect<void, SessionConfigError> => {
  const TableName = connection.table
  const [partitionKey, sortKey] = Items.keySchema
  const create = dynamo.send("CreateTable", {
    TableName,
    AttributeDefinitions: Items.keySchema.map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
    KeySchema: [
      { AttributeName: partitionKey, KeyType: "HASH" },
      { AttributeName: sortKey, KeyType: "RANGE" }
    ],
    BillingMode: "PAY_PER_REQUEST"
  })
  const describe = dynamo.send("DescribeTable", { TableName }).pipe(
    Effect.map(({ Table }) => Table),
    // A new table may not be visible everywhere yet.
    Effect.catchIf(({ code }) => code === "ResourceNotFoundException", () => Effect.undefined)
  )
  const switchOn = dynamo.send("UpdateTimeToLive", {
    TableName,
    TimeToLiveSpecification: { AttributeName: ttlAttribute, Enabled: true }
  })
  return Effect.gen(function*() {
    yield* Effect.catchIf(create, ({ code }) => code === "ResourceInUseException", () => Effect.void)
    const isActive = (table: Answer["Table"]) => table?.TableStatus === "ACTIVE"
    const made = yield* Effect.repeat(describe, { schedule: Schedule.spaced("1 second"), until: isActive }).pipe(
      Effect.timeoutOrElse({
        duration: "5 minutes",
        orElse: () => Effect.fail(new DynamoError("TimeoutException", "The table is not ready after 5 minutes", 1))
      })
    )
    const found = made?.KeySchema?.map(({ AttributeName }) => AttributeName).join(", ")
    if (found !== Items.keySchema.join(", ")) {
      yield* Effect.fail(
        new DynamoError("ValidationException", `The table already exists with a different key: ${found}`, 1)
      )
    }
    const { TimeToLiveDescription: ttl } = yield* dynamo.send("DescribeTimeToLive", { TableName })
    const isOn = ttl?.TimeToLiveStatus?.startsWith("ENABL") && ttl.AttributeName === ttlAttribute
    if (!isOn) yield* switchOn
  }).pipe(
    // Stand-ins for development have no TTL.
    Effect.catchIf(
      ({ code }) => code === "UnknownOperationException",
      () => Effect.logWarning(`The table "${TableName}" exists, but this DynamoDB does not support time to live`)
    ),
    Effect.catch((error) => failedWith(connection, error))
  )
}
