/**
 * Sessions in Amazon DynamoDB: for any number of servers.
 *
 * **Details**
 *
 * The key of the table has two parts, both strings: the partition key `id` and the sort key `sort`. A session is one item,
 * with the prefix and the hash of the session's id in `id`, and `"session"` in `sort`. The times are numbers (`createdAt`,
 * `touchedAt`, `expiresAt`, in milliseconds), the values are in the map `data`: numbers as such, so that they can be added to
 * in place, and everything else as JSON text. `lastCommit` names the last commit, so that what the SDK sends twice, as the
 * answer was lost, is carried out once.
 *
 * Which sessions an owner has is in an index: an item for each of them in the partition of the owner, whose `id` is the
 * prefix, `owner:` and the hash of the owner's id. Its `sort` is made of its time and the session's key, and a list
 * reads it backwards, so that the latest comes first. A global secondary index would lag behind the sessions, and ending all sessions of an owner
 * would miss the login of a moment ago. Items of the table can be read consistently. These are the requests:
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
 * Where a condition is not met, DynamoDB answers with the item that is there (`ReturnValuesOnConditionCheckFailure`), so a
 * conflict costs no further request. Where another request has extended a session further, what is left to change takes a
 * second `UpdateItem`. An update of a session that is not there any more takes a `GetItem` to see whether it was regenerated,
 * and one for the session that followed.
 *
 * Some things DynamoDB can't do in place: a change of more than some 100 fields, or one that expects something of that many;
 * an increment where the field holds no number, or one beyond its range; and comparing a number that has more digits than
 * JavaScript can load. Each of these is a `GetItem` and a `PutItem` on the condition that nobody committed in between, or
 * else again. And a session that is too large for an item takes the same two to find its size. DynamoDB's time to live only
 * tidies up: whether a session has expired is decided by the times in it. DynamoDB compares it with its own clock, so it is an
 * hour later than the expiry: the clocks of your servers can be behind by that much.
 *
 * What DynamoDB leaves undone of a `BatchGetItem` or a `BatchWriteItem` is sent again after 50 milliseconds, then after twice
 * as long each time, seven times at most. A `BatchGetItem` transfers only what it asks for, but costs as much as reading the
 * sessions whole.
 *
 * What is done at the start changes nothing. A server that lacks a permission does not start, and the message names it. This
 * policy is all that a server needs:
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
 * Whoever runs {@link createTable} needs `dynamodb:CreateTable`, `dynamodb:DescribeTable`, `dynamodb:DescribeTimeToLive` and
 * `dynamodb:UpdateTimeToLive` instead.
 *
 * **Gotchas**
 *
 * DynamoDB adds decimal numbers, exactly to 38 digits: 0.1 and 0.2 make 0.3. An increment counts twice if its answer is
 * lost and another request commits to the session before the SDK sends it again. In the same case, a commit that expects
 * something (as `Session.modify` does) can be answered with a conflict although it was carried out, and what comes again
 * after that is done twice; `aws.maxAttempts: 1` rules both out, at the price of an error for each answer that is lost. In a
 * global table all of this holds within a region.
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
 * - `prefix`: what every `id` begins with, default `""`.
 * - `ttlAttribute`: the attribute with the time to live, in seconds since the epoch, default `"ttl"`.
 * - `consistentRead`: whether a request is sure to see what the ones before it have written, default `true`. Without
 *   that, loading a session costs half, and it can still be loaded for a moment after a logout. All else that is read is
 *   read consistently.
 * - `endpoint`: for a DynamoDB that is not Amazon's, such as `"http://localhost:8000"`.
 * - `aws`: settings of the AWS SDK. Without `region`, the SDK looks for it in `AWS_REGION` and in the profile; the last
 *   resort is `eu-central-1`. Without keys, it looks for credentials in the environment, in the profile and in the role
 *   of the machine or the container. `maxAttempts` says how often a request is sent until it succeeds, within the time
 *   limit of `SessionConfig`; `maxRetries` is the same less one.
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
 * What the store uses of a `DynamoDBClient` of `@aws-sdk/client-dynamodb`.
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
    "Write a text of at most 256 characters, such as \"sessions:\"",
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

/** What is wrong only together: no setting goes unheeded because of another one. */
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
    ? [Setting.mistake(["store", "ttlAttribute"], ttlAttribute, "The store needs this name itself. Write another one")]
    : []

/**
 * A store on a client of its own, which is closed with the scope. Needs `@aws-sdk/client-dynamodb`.
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
 * Sessions in DynamoDB, through the AWS SDK, which must be installed. If there is no such table, if the credentials are
 * missing or not accepted, or if nobody answers when the Layer is built, that is a `SessionConfigError`; later it is a
 * `SessionStoreError` for each request that needs its session. The Layer makes no table: see {@link createTable}.
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
 * Sessions in DynamoDB, through a `DynamoDBClient` of the AWS SDK that the caller makes and closes, with retries and
 * timeouts of its own.
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

/** What the caller's client knows. */
const itsOwn = { endpoint: undefined, region: undefined, credentials: undefined, maxAttempts: undefined }

/**
 * Makes the table, with on-demand capacity, waits until it can be used, and switches its time to live on. What is there
 * already stays as it is; a table with another key is a `SessionConfigError`. For a setup script, or for a database of a test:
 * a server's own permissions are better kept to the items.
 *
 * The same table by CloudFormation, and the names are the same in other tools:
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
