/**
 * The AWS SDK as the client of the DynamoDB driver. It is loaded when the Layer is built. Errors say what is wrong without the
 * keys that the SDK's messages may quote.
 */
import type * as Aws from "@aws-sdk/client-dynamodb"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { SessionConfigError } from "../../../SessionError.ts"
import * as Setting from "../../config/settings.ts"

/** The part of the AWS SDK's client that the driver uses. */
export interface AwsClient {
  readonly send: (command: never, options?: { readonly abortSignal?: AbortSignal }) => Promise<unknown>
}

export interface Connection {
  readonly table: string
  readonly endpoint: string | undefined
  /** `undefined` if the SDK or the caller's client decides. */
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

/** A DynamoDB value of the types that the driver uses. */
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
  | "Query"
  | "BatchGetItem"
  | "BatchWriteItem"
  | "CreateTable"
  | "DescribeTable"
  | "DescribeTimeToLive"
  | "UpdateTimeToLive"

export interface Answer {
  readonly Item?: Item
  readonly Attributes?: Item
  readonly Items?: ReadonlyArray<Item>
  readonly Count?: number
  readonly LastEvaluatedKey?: Item
  readonly Responses?: { readonly [table: string]: ReadonlyArray<Item> }
  readonly UnprocessedKeys?: { readonly [table: string]: { readonly Keys: ReadonlyArray<Item> } }
  readonly UnprocessedItems?: {
    readonly [table: string]: ReadonlyArray<{ readonly DeleteRequest: { readonly Key: Item } }>
  }
  readonly Table?: {
    readonly TableStatus?: string
    readonly KeySchema?: ReadonlyArray<{ readonly AttributeName?: string }>
  }
  readonly TimeToLiveDescription?: { readonly TimeToLiveStatus?: string; readonly AttributeName?: string }
}

/** What the driver needs from a client. */
export interface Dynamo {
  /** An interruption aborts the request. */
  readonly send: (operation: Operation, input: object) => Effect.Effect<Answer, DynamoError>
}

/** Why a request failed. `code` is the name given by AWS or Node.js. */
export class DynamoError extends Error {
  override readonly name = "DynamoError"
  readonly code: string
  /** How often the SDK tried. If more than once, the first try may have been carried out. */
  readonly attempts: number
  readonly #item: Item | undefined
  constructor(code: string, message: string, attempts: number, item?: Item) {
    super(message)
    this.code = code
    this.attempts = attempts
    this.#item = item
  }
  /** The item that did not meet the condition. Logging the error does not log it. */
  get item(): Item | undefined {
    return this.#item
  }
}

/** Requests through the caller's client. */
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

// `catch` on the import itself tells bundlers that the package may be missing.
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
  // Node.js names its connection errors "Error" and puts the reason into `code`.
  const reason = code ?? name ?? "Error"
  return new DynamoError(reason, describe(reason, operation, table, message ?? reason), $metadata?.attempts ?? 1, Item)
}

const describe = (code: string, operation: Operation, table: string, message: string): string => {
  if (code === "ResourceNotFoundException") return `There is no table "${table}"`
  if (code === denial) return `No permission for dynamodb:${operation} on "${table}": ${message}`
  if (isThrottling(code)) return `DynamoDB is throttling requests to "${table}": ${message}`
  if (code === "CredentialsProviderError") return `There are no AWS credentials: ${message}`
  // Without the message, which may quote the signed request.
  if (isRefusal(code)) return `AWS rejects the credentials (${code})`
  return `${operation} on "${table}" failed: ${code === message ? code : `${code}, ${message}`}`
}

export const denial = "AccessDeniedException"

const isThrottling = (code: string): boolean => throttling.has(code)

const throttling: ReadonlySet<string> = new Set([
  "ProvisionedThroughputExceededException",
  "RequestLimitExceeded",
  "ThrottlingException"
])

export const isRefusal = (code: string): boolean => refusals.has(code)

const refusals: ReadonlySet<string> = new Set([
  "ExpiredTokenException",
  "IncompleteSignatureException",
  "InvalidSignatureException",
  "MissingAuthenticationTokenException",
  "UnrecognizedClientException"
])

/** It has answered, and may recover soon. */
export const isPassing = (code: string): boolean =>
  isThrottling(code) || code === "InternalServerError" || code.startsWith("ServiceUnavailable")

// -----------------------------------------------------------------------------
// connecting
// -----------------------------------------------------------------------------

/** Requests through our own client, which is closed with the scope, and their target. */
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
  // Half of the time limit, so that a connection that died unnoticed leaves enough time for another one.
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

/** The region from the environment or the profile. */
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
                `The AWS SDK finds no usable region. ${reason}`
              )
            ]
          })
        )
    )
  )
