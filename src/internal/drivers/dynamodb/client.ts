/**
 * The AWS SDK as the client of the DynamoDB driver: loaded when the Layer is built, tried out once, and with errors that
 * say what is wrong without the keys that the SDK's own may quote.
 */
import type * as Aws from "@aws-sdk/client-dynamodb"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type ConfigMistake, SessionConfigError } from "../../../SessionError.ts"
import * as TimeLimit from "../../concurrency/timeLimit.ts"
import * as Setting from "../../config/settings.ts"

/** What the driver uses of a client of the AWS SDK. */
export interface AwsClient {
  readonly send: (command: never, options?: { readonly abortSignal?: AbortSignal }) => Promise<unknown>
}

export interface Connection {
  readonly table: string
  readonly endpoint: string | undefined
  /** `undefined`: wherever the SDK, or the caller's client, goes. */
  readonly region: string | undefined
  readonly credentials: Credentials | undefined
  readonly maxAttempts: number | undefined
}

export interface Credentials {
  readonly accessKeyId: Redacted.Redacted<string>
  readonly secretAccessKey: Redacted.Redacted<string>
  readonly sessionToken: Redacted.Redacted<string> | undefined
}

// -----------------------------------------------------------------------------
// requests
// -----------------------------------------------------------------------------

/** A value of DynamoDB, of the types that the driver knows. */
export interface Value {
  readonly S?: string
  readonly N?: string
  readonly M?: Item
}

export interface Item {
  readonly [name: string]: Value
}

export type Operation =
  | "GetItem"
  | "PutItem"
  | "UpdateItem"
  | "DeleteItem"
  | "CreateTable"
  | "DescribeTable"
  | "DescribeTimeToLive"
  | "UpdateTimeToLive"

export interface Answer {
  readonly Item?: Item
  readonly Attributes?: Item
  readonly Table?: { readonly TableStatus?: string }
  readonly TimeToLiveDescription?: { readonly TimeToLiveStatus?: string; readonly AttributeName?: string }
}

/** All that the driver needs of a client. */
export interface Dynamo {
  /** An interruption breaks the request off. */
  readonly send: (operation: Operation, input: object) => Effect.Effect<Answer, DynamoError>
}

/** Why a request failed. `code` is the name that AWS gives it, or the one of Node.js. */
export class DynamoError extends Error {
  override readonly name = "DynamoError"
  readonly code: string
  /** How often the SDK has tried: more than once, and the first try may have been carried out. */
  readonly attempts: number
  readonly #item: Item | undefined
  constructor(code: string, message: string, attempts: number, item?: Item) {
    super(message)
    this.code = code
    this.attempts = attempts
    this.#item = item
  }
  /** What is there instead of what a condition asks for. Whoever logs the error does not log a session with it. */
  get item(): Item | undefined {
    return this.#item
  }
}

/** The requests of a client that the caller has made. */
export const fromClient = (client: AwsClient, table: string): Effect.Effect<Dynamo, SessionConfigError> =>
  Effect.map(loadSdk, (sdk) => makeDynamo(sdk, client, table))

const makeDynamo = (sdk: Sdk, client: AwsClient, table: string): Dynamo => ({
  send: (operation, input) =>
    Effect.tryPromise({
      try: (abortSignal) =>
        client.send(new (sdk[`${operation}Command`] as unknown as Command)(input), { abortSignal }) as Promise<Answer>,
      catch: (error) => toDynamoError(operation, table, error)
    })
})

type Command = new(input: object) => never

type Sdk = Pick<typeof Aws, "DynamoDBClient" | `${Operation}Command`>

// With `catch` on the import itself, bundlers know that the package may be missing.
const loadSdk: Effect.Effect<Sdk, SessionConfigError> = Effect.flatMap(
  Effect.promise(() => import("@aws-sdk/client-dynamodb").catch(() => undefined)),
  (sdk) => sdk === undefined ? Effect.fail(missing()) : Effect.succeed(sdk)
)

const missing = () =>
  new SessionConfigError({
    mistakes: [
      Setting.mistake(
        ["store", "type"],
        "dynamodb",
        "The DynamoDB driver needs @aws-sdk/client-dynamodb: run `npm install @aws-sdk/client-dynamodb`"
      )
    ]
  })

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

const toDynamoError = (operation: Operation, table: string, error: unknown): DynamoError => {
  const { $metadata, Item, code, message, name } = error as {
    readonly name?: string
    readonly code?: string
    readonly message?: string
    readonly Item?: Item
    readonly $metadata?: { readonly attempts?: number }
  }
  // What Node.js says of a connection has its code beside the name "Error".
  const reason = code ?? name ?? "Error"
  return new DynamoError(reason, describe(reason, operation, table, message ?? reason), $metadata?.attempts ?? 1, Item)
}

const describe = (code: string, operation: Operation, table: string, message: string): string => {
  if (code === "ResourceNotFoundException") return `There is no table "${table}"`
  if (code === denial) return `No permission for dynamodb:${operation} on "${table}": ${message}`
  if (isThrottling(code)) return `DynamoDB throttles the requests to "${table}": ${message}`
  if (code === "CredentialsProviderError") return `There are no AWS credentials: ${message}`
  // Without the message, which may quote the signed request.
  if (isRefusal(code)) return `AWS does not accept the credentials (${code})`
  return `${operation} on "${table}" failed: ${code === message ? code : `${code}, ${message}`}`
}

const denial = "AccessDeniedException"

const isThrottling = (code: string): boolean => throttling.has(code)

const throttling: ReadonlySet<string> = new Set([
  "ProvisionedThroughputExceededException",
  "RequestLimitExceeded",
  "ThrottlingException"
])

const isRefusal = (code: string): boolean => refusals.has(code)

const refusals: ReadonlySet<string> = new Set([
  "ExpiredTokenException",
  "IncompleteSignatureException",
  "InvalidSignatureException",
  "MissingAuthenticationTokenException",
  "UnrecognizedClientException"
])

/** It has answered, and may do better soon. */
const isPassing = (code: string): boolean =>
  isThrottling(code) || code === "InternalServerError" || code.startsWith("ServiceUnavailable")

// -----------------------------------------------------------------------------
// connecting
// -----------------------------------------------------------------------------

/** Requests of a client of our own, which is closed with the scope; and where they go. */
export const connect: (
  connection: Connection,
  timeLimit: Duration.Duration
) => Effect.Effect<
  { readonly dynamo: Dynamo; readonly connection: Connection },
  SessionConfigError,
  Scope.Scope
> = Effect.fnUntraced(function*(connection, timeLimit) {
  const sdk = yield* loadSdk
  const connected = { ...connection, region: connection.region ?? (yield* findRegion(sdk)) }
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => makeClient(sdk, connected, timeLimit)),
    (client) => Effect.sync(() => client.destroy())
  )
  return { dynamo: makeDynamo(sdk, client, connection.table), connection: connected }
})

const makeClient = (
  { DynamoDBClient }: Sdk,
  { credentials, endpoint, maxAttempts, region }: Connection,
  timeLimit: Duration.Duration
) => {
  // Half of the time that there is, so that a connection that died unnoticed leaves enough for another one.
  const timeout = Duration.isFinite(timeLimit) ? Math.ceil(Duration.toMillis(timeLimit) / 2) : 0
  return new DynamoDBClient({
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    ...(maxAttempts !== undefined && { maxAttempts }),
    ...(credentials !== undefined && {
      credentials: {
        accessKeyId: Redacted.value(credentials.accessKeyId),
        secretAccessKey: Redacted.value(credentials.secretAccessKey),
        ...(credentials.sessionToken !== undefined && { sessionToken: Redacted.value(credentials.sessionToken) })
      }
    }),
    requestHandler: { connectionTimeout: timeout, requestTimeout: timeout, throwOnRequestTimeout: true }
  })
}

/** The region that the environment or the profile names. */
const findRegion = ({ DynamoDBClient }: Sdk): Effect.Effect<string, SessionConfigError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => new DynamoDBClient({})),
    (client) => Effect.tryPromise({ try: () => client.config.region(), catch: String }),
    (client) => Effect.sync(() => client.destroy())
  ).pipe(
    Effect.catch((reason) =>
      /Region is missing|region=""/.test(reason)
        ? Effect.succeed("eu-central-1")
        : Effect.fail(
          new SessionConfigError({
            mistakes: [
              Setting.mistake(
                ["store", "aws", "region"],
                undefined,
                `The AWS SDK finds no region it can use. ${reason}`
              )
            ]
          })
        )
    )
  )

// -----------------------------------------------------------------------------
// at the start
// -----------------------------------------------------------------------------

/**
 * Tries all that the driver does on an item that is never there, on the condition that it is: that changes nothing, and tells
 * whether the table and its key are as they should be, and whether the role may write.
 */
export const tryOut = (
  dynamo: Dynamo,
  connection: Connection,
  prefix: string,
  timeLimit: Duration.Duration
): Effect.Effect<void, SessionConfigError> => {
  const TableName = connection.table
  const item = { id: { S: `${prefix}~` } }
  const isThere = { ConditionExpression: "attribute_exists(id)" }
  const ask = (operation: Operation, input: object) =>
    dynamo.send(operation, { TableName, ...input }).pipe(
      Effect.timeoutOrElse({
        duration: timeLimit,
        orElse: () => Effect.fail(new DynamoError("TimeoutError", TimeLimit.noAnswer(timeLimit).message, 1))
      }),
      Effect.asVoid
    )
  const write = (operation: Operation, input: object) =>
    Effect.match(ask(operation, { ...input, ...isThere }), {
      onFailure: (error) => error.code === "ConditionalCheckFailedException" ? [] : [{ operation, error }],
      onSuccess: () => []
    })
  const writes = Effect.all([
    write("PutItem", { Item: item }),
    write("UpdateItem", {
      Key: item,
      UpdateExpression: "SET touchedAt=:now",
      ExpressionAttributeValues: { ":now": { N: "0" } }
    }),
    write("DeleteItem", { Key: item })
  ], { concurrency: "unbounded" })
  return ask("GetItem", { Key: item, ConsistentRead: true }).pipe(
    Effect.andThen(writes),
    Effect.flatMap((failures) => {
      const failed = failures.flat()
      const denied = failed.filter(({ error }) => error.code === denial)
      if (denied.length > 0) return Effect.fail(denialOf(denied.map(({ operation }) => operation), denied[0]!.error))
      return failed.length > 0 ? Effect.fail(failed[0]!.error) : Effect.void
    }),
    Effect.catch((error) =>
      isPassing(error.code)
        ? Effect.logWarning("DynamoDB is there, but did not answer the first request", error)
        : failedWith(connection, error)
    )
  )
}

/** One error for all that are not permitted. */
const denialOf = (operations: ReadonlyArray<Operation>, { message }: DynamoError): DynamoError => {
  const names = operations.map((operation) => `dynamodb:${operation}`).join(", ")
  return new DynamoError(denial, message.replace(`dynamodb:${operations[0]}`, names), 1)
}

const failedWith = (connection: Connection, error: DynamoError): Effect.Effect<never, SessionConfigError> =>
  Effect.fail(new SessionConfigError({ mistakes: [explain(connection, error)] }))

/** Which setting to look at. */
const explain = (
  { credentials, endpoint, region, table }: Connection,
  { code, message }: DynamoError
): ConfigMistake => {
  const atTable = (write: string) => Setting.mistake(["store", "table"], table, write)
  const atCredentials = (write: string) =>
    Setting.mistake(["store", "aws", "accessKeyId"], credentials?.accessKeyId, write)
  if (code === "ResourceNotFoundException") {
    return atTable(
      `There is no such table in ${
        region ?? "the region"
      }, or not yet. Write the name of a table with the hash key "id"; ` +
        "`DynamoLayer.createTable` makes one"
    )
  }
  if (code === denial) {
    return atTable(
      `${message}. A server needs GetItem, PutItem, UpdateItem and DeleteItem; \`DynamoLayer.createTable\` needs ` +
        "CreateTable, DescribeTable, DescribeTimeToLive and UpdateTimeToLive"
    )
  }
  if (code === "ValidationException" && /key/.test(message)) {
    return atTable(`Its key must be "id", a string, and nothing else. ${message}`)
  }
  if (code === "CredentialsProviderError") {
    return atCredentials(`${message}. Write the keys here or in AWS_ACCESS_KEY_ID, or run where there is a role`)
  }
  if (isRefusal(code)) return atCredentials(`${message}. Write the keys of a user who may use the table`)
  if (code.endsWith("Exception")) return atTable(message)
  const write = `No DynamoDB answers there: ${message}`
  if (endpoint !== undefined) return Setting.mistake(["store", "endpoint"], endpoint, write)
  if (region !== undefined) return Setting.mistake(["store", "aws", "region"], region, write)
  return atTable(message)
}

// -----------------------------------------------------------------------------
// the table
// -----------------------------------------------------------------------------

/** Makes the table and waits for it; switches its TTL on. What is there already stays. */
export const createTable = (
  dynamo: Dynamo,
  connection: Connection,
  ttlAttribute: string
): Effect.Effect<void, SessionConfigError> => {
  const TableName = connection.table
  const create = dynamo.send("CreateTable", {
    TableName,
    AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
    KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
    BillingMode: "PAY_PER_REQUEST"
  })
  const isActive = dynamo.send("DescribeTable", { TableName }).pipe(
    Effect.map(({ Table }) => Table?.TableStatus === "ACTIVE"),
    // A table that was made a moment ago need not be known everywhere.
    Effect.catchIf(({ code }) => code === "ResourceNotFoundException", () => Effect.succeed(false))
  )
  const switchOn = dynamo.send("UpdateTimeToLive", {
    TableName,
    TimeToLiveSpecification: { AttributeName: ttlAttribute, Enabled: true }
  })
  return Effect.gen(function*() {
    yield* Effect.catchIf(create, ({ code }) => code === "ResourceInUseException", () => Effect.void)
    yield* Effect.repeat(isActive, { schedule: Schedule.spaced("1 second"), until: (isActive) => isActive }).pipe(
      Effect.timeoutOrElse({
        duration: "5 minutes",
        orElse: () => Effect.fail(new DynamoError("TimeoutException", "It is not ready after 5 minutes", 1))
      })
    )
    const { TimeToLiveDescription: ttl } = yield* dynamo.send("DescribeTimeToLive", { TableName })
    const isOn = ttl?.TimeToLiveStatus?.startsWith("ENABL") && ttl.AttributeName === ttlAttribute
    if (!isOn) yield* switchOn
  }).pipe(
    // Stand-ins for development, which have no TTL.
    Effect.catchIf(
      ({ code }) => code === "UnknownOperationException",
      () => Effect.logWarning(`The table "${TableName}" is there, but this DynamoDB has no time to live`)
    ),
    Effect.catch((error) => failedWith(connection, error))
  )
}
