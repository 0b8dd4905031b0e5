/**
 * Sessions in Amazon DynamoDB, for any number of servers.
 *
 * **Details**
 *
 * The key of the table has two parts, both strings: the partition key `id` and the sort key `sort`. A session is one
 * item, with the prefix and the hash of the session's id in `id`, and `"session"` in `sort`. The times are numbers
 * (`createdAt`, `touchedAt`, `expiresAt`, in milliseconds). The values are in the map `data`: numbers as numbers, so
 * that they can be incremented in place, and everything else as JSON text. `lastCommit` names the last commit, so that
 * a request that the SDK repeats after a lost answer is carried out only once.
 *
 * The index of an owner's sessions has one item per session in the owner's partition, whose `id` is the prefix,
 * `owner:` and the hash of the owner's id. Its `sort` consists of its time and the session's key; a list reads it
 * backwards, so the latest comes first. A global secondary index would not do: it lags behind the sessions, so ending
 * all sessions of an owner could miss the most recent login, while the items of a table can be read consistently. These
 * are the requests:
 *
 * | operation  | requests |
 * | ---------- | -------- |
 * | load       | `GetItem`, consistent unless `consistentRead` is false |
 * | create     | `PutItem`, if there is no item |
 * | update     | `UpdateItem` of the fields that have changed, if the session exists and its fields are as the change expects |
 * | touch      | `UpdateItem` of the times, if the session exists and they move forward |
 * | regenerate | `PutItem` of the new one, `PutItem` of the mark of a superseded session in the place of the old one, and a `DeleteItem` of the new one if another request has changed the old one meanwhile |
 * | destroy    | `DeleteItem`; a second one if another request has regenerated the session a moment ago |
 * | a session gets an owner | `PutItem` of the entry; where there is a limit of sessions, also a consistent `Query` that counts them |
 * | list the sessions of an owner | `Query` of the entries, consistent, and for each 100 a `BatchGetItem` of the sessions' times and what the list shows of them |
 * | end a session of an owner | `PutItem` of a mark in its place, and a `BatchWriteItem` for each 25 entries that go |
 * | start      | `GetItem`, then at once `PutItem`, `UpdateItem`, `DeleteItem`, `Query`, `BatchGetItem` and `BatchWriteItem`, of an item that is never there; what writes does so on the condition that it is, or deletes it |
 *
 * If a condition is not met, DynamoDB returns the current item (`ReturnValuesOnConditionCheckFailure`), so a conflict
 * costs no extra request. If another request has extended a session further, the remaining changes need a second
 * `UpdateItem`. An update of a session that no longer exists needs a `GetItem` to see whether it was regenerated, and
 * another one for its successor.
 *
 * DynamoDB can't do some changes in place: a change of more than about 100 fields, or one that expects something of
 * that many; an increment of a field that holds no number, or beyond a number's range; and comparing a number with more
 * digits than JavaScript can load. Each of these takes a `GetItem` and a conditional `PutItem`, repeated if another
 * request has committed in between. A session that is too large for an item takes the same two requests to find its
 * size. DynamoDB's time to live only cleans up: whether a session has expired is decided by its times. Since DynamoDB
 * uses its own clock, the time to live is set an hour after the expiry, so your servers' clocks can be behind by that
 * much.
 *
 * The unprocessed part of a `BatchGetItem` or `BatchWriteItem` is sent again after 50 milliseconds, with the delay
 * doubling each time, at most seven times. A `BatchGetItem` transfers only the requested attributes, but costs as much
 * as reading the whole sessions.
 *
 * The checks at startup change nothing. If a permission is missing, the server does not start, and the message names
 * it. This policy is all that a server needs:
 *
 * ```json
 * {
 *   "Version": "2012-10-17",
 *   "Statement": [
 *     {
 *       "Effect": "Allow",
 *       "Action": [
 *         "dynamodb:GetItem",
 *         "dynamodb:PutItem",
 *         "dynamodb:UpdateItem",
 *         "dynamodb:DeleteItem",
 *         "dynamodb:Query",
 *         "dynamodb:BatchGetItem",
 *         "dynamodb:BatchWriteItem"
 *       ],
 *       "Resource": "arn:aws:dynamodb:eu-west-1:123456789012:table/sessions"
 *     }
 *   ]
 * }
 * ```
 *
 * Running {@link createTable} needs `dynamodb:CreateTable`, `dynamodb:DescribeTable`, `dynamodb:DescribeTimeToLive` and
 * `dynamodb:UpdateTimeToLive` instead.
 *
 * **Gotchas**
 *
 * DynamoDB adds decimal numbers exactly, to 38 digits: 0.1 plus 0.2 is 0.3. An increment counts twice if its answer is
 * lost and another request commits to the session before the SDK repeats it. In the same case, a commit that expects
 * something, as `Session.modify` does, can report a conflict although it was carried out, and its repetition is then
 * applied twice. `aws.maxAttempts: 1` prevents both, but every lost answer is then an error. In a global table, all of
 * this applies within one region.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Setting from "./internal/config/settings.ts"
import * as DynamoBackend from "./internal/drivers/dynamodb/backend.ts"
import * as DynamoClient from "./internal/drivers/dynamodb/client.ts"
import * as DynamoItems from "./internal/drivers/dynamodb/items.ts"
import * as DynamoTable from "./internal/drivers/dynamodb/table.ts"
import * as Inert from "./internal/store/inert.ts"
import { SessionConfig } from "./SessionConfig.ts"
import { type ConfigMistake, SessionConfigError } from "./SessionError.ts"
import type { SessionIndex, SessionOwners } from "./SessionOwners.ts"
import * as SessionStore from "./SessionStore.ts"

/**
 * The settings of the DynamoDB store. All but `table` are optional.
 *
 * - `table`: the name of the table, or its ARN.
 * - `prefix`: the prefix of every `id`. Default `""`.
 * - `ttlAttribute`: the attribute with the time to live, in seconds since the epoch, default `"ttl"`.
 * - `consistentRead`: whether loading a session sees all earlier writes. Default `true`. With `false`, loading costs
 *   half as much, but a session can still be loaded for a moment after a logout. All other reads are consistent anyway.
 * - `endpoint`: the address of another DynamoDB server, such as `"http://localhost:8000"`.
 * - `aws`: settings of the AWS SDK. Without `region`, the SDK looks for it in `AWS_REGION` and in the profile; the last
 *   resort is `eu-central-1`. Without keys, it looks for credentials in the environment, in the profile and in the role
 *   of the machine or container. `maxAttempts` is how often a request is sent, within the time limit of
 *   `SessionConfig`; `maxRetries` is the same number minus one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly table: string
  readonly prefix?: string
  readonly ttlAttribute?: string
  readonly consistentRead?: boolean
  readonly endpoint?: string
  readonly aws?: AwsOptions
}

/**
 * Settings of the AWS SDK, see {@link Options}. All are optional.
 *
 * @since 0.1.0
 * @category models
 */
export interface AwsOptions {
  readonly region?: string
  readonly accessKeyId?: string | Redacted.Redacted<string>
  readonly secretAccessKey?: string | Redacted.Redacted<string>
  readonly sessionToken?: string | Redacted.Redacted<string>
  readonly endpoint?: string
  readonly maxAttempts?: number
  readonly maxRetries?: number
}

/**
 * The part of a `DynamoDBClient` of `@aws-sdk/client-dynamodb` that the store uses.
 *
 * @since 0.1.0
 * @category models
 */
export interface AwsClient {
  readonly send: (command: never, options?: { readonly abortSignal?: AbortSignal }) => Promise<unknown>
}

const tableFields = {
  table: Setting.text(
    /^(?:arn:[^\s/]+:table\/)?[A-Za-z0-9_.-]{3,255}$/,
    "Write the name of the table, 3 to 255 letters, digits and _.-"
  ),
  prefix: Setting.textOr(
    /^[^\0]{0,256}$/,
    "Write a string of at most 256 characters, such as \"sessions:\"",
    ""
  ),
  ttlAttribute: Setting.textOr(/^[^\0]{1,255}$/, "Write the name of an attribute, such as \"ttl\"", "ttl"),
  consistentRead: Setting.flag(true)
}

const TableOptions = Schema.Struct(tableFields)

const howToWriteEndpoint = "Write a URL such as \"http://localhost:8000\", or leave it out"
const endpoint = Schema.optionalKey(Setting.text(/^https?:\/\/[^\s/@]+(?:\/\S*)?$/, howToWriteEndpoint))
const key = Schema.optionalKey(Setting.hidden("Write the key, or leave it out"))

const Options = Schema.Struct({
  ...tableFields,
  endpoint,
  aws: Setting.group({
    region: Schema.optionalKey(
      Setting.text(/^[a-z0-9-]{1,63}$/, "Write a region such as \"eu-central-1\", or leave it out")
    ),
    accessKeyId: key,
    secretAccessKey: key,
    sessionToken: key,
    endpoint,
    maxAttempts: Schema.optionalKey(Setting.anyInteger({ minimum: 1, maximum: 100 })),
    maxRetries: Schema.optionalKey(Setting.anyInteger({ minimum: 0, maximum: 99 }))
  })
})

const decode = Effect.fnUntraced(function*(options: Options) {
  const decoded = yield* Effect.fromResult(Setting.decode(Options, options, ["store"]))
  const { aws, endpoint = aws.endpoint, ...table } = decoded
  yield* expectNone([...contradictions(decoded), ...nameConflicts(table)])
  const { accessKeyId, maxRetries, maxAttempts = maxRetries === undefined ? undefined : maxRetries + 1 } = aws
  const { region, secretAccessKey, sessionToken } = aws
  const connection: DynamoClient.Connection = {
    table: table.table,
    endpoint,
    region,
    maxAttempts,
    credentials: accessKeyId && secretAccessKey && { accessKeyId, secretAccessKey, sessionToken }
  }
  return { connection, table }
})

const expectNone = (mistakes: ReadonlyArray<ConfigMistake>): Effect.Effect<void, SessionConfigError> =>
  mistakes.length === 0 ? Effect.void : Effect.fail(new SessionConfigError({ mistakes }))

/** Settings that are wrong only in combination: no setting is silently ignored because of another one. */
const contradictions = ({ aws, endpoint }: typeof Options.Type): ReadonlyArray<ConfigMistake> => {
  const { accessKeyId, maxAttempts, maxRetries, secretAccessKey, sessionToken } = aws
  const rules: ReadonlyArray<readonly [broken: boolean, setting: keyof AwsOptions, write: string]> = [
    [
      endpoint !== undefined && aws.endpoint !== undefined,
      "endpoint",
      "It contradicts store.endpoint: write only one of them"
    ],
    [
      maxAttempts !== undefined && maxRetries !== undefined,
      "maxRetries",
      "It contradicts store.aws.maxAttempts: write only one of them"
    ],
    [
      accessKeyId === undefined && (secretAccessKey ?? sessionToken) !== undefined,
      "accessKeyId",
      "Write the id that belongs to the other keys, or leave them out"
    ],
    [
      secretAccessKey === undefined && (accessKeyId ?? sessionToken) !== undefined,
      "secretAccessKey",
      "Write the key that belongs to the other ones, or leave them out"
    ]
  ]
  return rules.flatMap(([broken, setting, write]) =>
    broken ? [Setting.mistake(["store", "aws", setting], aws[setting], write)] : []
  )
}

const nameConflicts = ({ ttlAttribute }: typeof TableOptions.Type): ReadonlyArray<ConfigMistake> =>
  DynamoItems.attributes.includes(ttlAttribute)
    ? [Setting.mistake(["store", "ttlAttribute"], ttlAttribute, "The store uses this name itself. Choose another one")]
    : []

/**
 * Makes a store with its own client, which is closed with the scope. Needs `@aws-sdk/client-dynamodb`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options: Options
) => Effect.Effect<SessionStore.WithIndex, SessionConfigError, SessionConfig | Scope.Scope> = Effect.fnUntraced(
  function*(options) {
    const { enabled, timeLimit } = yield* SessionConfig
    const { connection, table } = yield* decode(options)
    if (!enabled) return Inert.make("dynamodb")
    const connected = yield* DynamoClient.connect(connection, timeLimit)
    return yield* start(connected.dynamo, connected.connection, table)
  }
)

const start = Effect.fnUntraced(
  function*(dynamo: DynamoClient.Dynamo, connection: DynamoClient.Connection, table: DynamoItems.Table) {
    const { timeLimit } = yield* SessionConfig
    yield* DynamoTable.tryOut(dynamo, connection, table, timeLimit)
    return yield* SessionStore.fromBackend(DynamoBackend.make(dynamo, table))
  }
)

/**
 * Sessions in DynamoDB, through the AWS SDK, which must be installed. If the table is missing, the credentials are
 * missing or rejected, or DynamoDB does not answer, building the Layer fails with a `SessionConfigError`. Later, each
 * request that needs its session fails with a `SessionStoreError`. The Layer does not create the table: see
 * {@link createTable}.
 *
 * **Example**
 *
 * ```ts
 * import { Layer } from "effect"
 * import { DynamoLayer, SessionConfig } from "effect-session"
 *
 * const Sessions = DynamoLayer.layer({ table: "sessions", aws: { region: "eu-west-1" } }).pipe(
 *   Layer.provideMerge(SessionConfig.layerConfig())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<SessionStore.SessionStore | SessionOwners | SessionIndex, SessionConfigError, SessionConfig> =>
  SessionStore.layer(make(options))

/**
 * As {@link layer}, with each setting from a `Config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<
  SessionStore.SessionStore | SessionOwners | SessionIndex,
  SessionConfigError | Config.ConfigError,
  SessionConfig
> => SessionStore.layer(Effect.flatMap(Config.unwrap(options), make))

/**
 * Sessions in DynamoDB, through a `DynamoDBClient` of the AWS SDK that you make and close, with your own retries and
 * timeouts.
 *
 * **Example**
 *
 * ```ts
 * import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
 * import { DynamoLayer } from "effect-session"
 *
 * const Sessions = DynamoLayer.layerClient(new DynamoDBClient({ region: "eu-west-1" }), { table: "sessions" })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = (
  client: AwsClient,
  options: Omit<Options, "endpoint" | "aws">
): Layer.Layer<SessionStore.SessionStore | SessionOwners | SessionIndex, SessionConfigError, SessionConfig> =>
  SessionStore.layer(
    Effect.gen(function*() {
      const table = yield* Effect.fromResult(Setting.decode(TableOptions, options, ["store"]))
      yield* expectNone(nameConflicts(table))
      const dynamo = yield* DynamoClient.fromClient(client, table.table)
      return yield* start(dynamo, { ...itsOwn, table: table.table }, table)
    })
  )

/** The caller's client has its own settings, which are unknown here. */
const itsOwn = { endpoint: undefined, region: undefined, credentials: undefined, maxAttempts: undefined }

/**
 * Creates the table with on-demand capacity, waits until it can be used, and enables its time to live. An existing
 * table is left as it is; one with a different key is a `SessionConfigError`. Use it in a setup script or in tests: a
 * server's own permissions are better limited to items.
 *
 * The same table in CloudFormation; other tools use the same names:
 *
 * ```yaml
 * Type: AWS::DynamoDB::Table
 * Properties:
 *   TableName: sessions
 *   BillingMode: PAY_PER_REQUEST
 *   AttributeDefinitions:
 *     - { AttributeName: id, AttributeType: S }
 *     - { AttributeName: sort, AttributeType: S }
 *   KeySchema:
 *     - { AttributeName: id, KeyType: HASH }
 *     - { AttributeName: sort, KeyType: RANGE }
 *   TimeToLiveSpecification: { AttributeName: ttl, Enabled: true }
 * ```
 *
 * **Example**
 *
 * ```ts
 * import { Effect } from "effect"
 * import { DynamoLayer } from "effect-session"
 *
 * const setUp = DynamoLayer.createTable({ table: "sessions", aws: { region: "eu-west-1" } })
 *
 * Effect.runPromise(setUp)
 * ```
 *
 * @since 0.1.0
 * @category tables
 */
export const createTable = (options: Options): Effect.Effect<void, SessionConfigError> =>
  Effect.scoped(
    Effect.gen(function*() {
      const { connection, table } = yield* decode(options)
      const connected = yield* DynamoClient.connect(connection, Duration.seconds(10))
      yield* DynamoTable.createTable(connected.dynamo, connected.connection, table.ttlAttribute)
    })
  )
