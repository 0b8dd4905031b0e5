/**
 * The settings of the DynamoDB store, from each place where they can be written, and how a server with a wrong one ends.
 */
import { DynamoDB } from "@aws-sdk/client-dynamodb"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Context, Effect, Fiber, Layer, Redacted, type Scope } from "effect"
import { DynamoLayer, SessionConfig, SessionDriver, type SessionError, SessionStore } from "effect-session"
import { TestClock } from "effect/testing"
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { cp, mkdir, symlink, writeFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { inspect, promisify } from "node:util"
import * as Change from "../../../src/internal/record/change.ts"
import { errorIn, mistakesIn, secret } from "../../support/config.ts"
import {
  type Disturbance,
  keys,
  makeTable,
  startDynamo,
  startDynamoWithoutTable,
  table
} from "../../support/dynamoServer.ts"
import { observe } from "../../support/observe.ts"
import { shared, temporaryFolder } from "../../support/redisServer.ts"
import { createSession } from "../../support/storedSession.ts"

const dynamo = shared(startDynamo())

// The file system, which no store here uses, is the platform's to provide.
type StoreLayer<E> = Layer.Layer<SessionStore.SessionStore, E, SessionConfig.SessionConfig>

const storeOf = <E>(layer: Layer.Layer<SessionStore.SessionStore, E>) =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, SessionStore.SessionStore))

const build = <E>(store: StoreLayer<E>, config: SessionConfig.Options = {}) =>
  storeOf(Layer.provide(store, SessionConfig.layer({ secret, ...config })))

const configurable = SessionDriver.layerConfig as StoreLayer<SessionError.SessionConfigError>

const withOptions = (options: object) => build(DynamoLayer.layer(options as DynamoLayer.Options))

/** The driver of the configuration, with settings in these variables. */
const configured = (env: Record<string, string>, config: SessionConfig.Options = {}) =>
  storeOf(Layer.provide(configurable, SessionConfig.layerConfig({ secret, ...config }))).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))
  )

/** Runs with these variables for the AWS SDK, and no other ones. */
const withAws =
  (variables: Record<string, string>) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const before = { ...process.env }
        for (const name of Object.keys(before)) if (name.startsWith("AWS_")) delete process.env[name]
        Object.assign(process.env, nothingOfThisMachine, variables)
        return before
      }),
      () => effect,
      (before) =>
        Effect.sync(() => {
          for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name]
          Object.assign(process.env, before)
        })
    )

const nothingOfThisMachine = {
  AWS_CONFIG_FILE: "/dev/null",
  AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  AWS_EC2_METADATA_DISABLED: "true"
}

const keysInVariables = { AWS_ACCESS_KEY_ID: keys.accessKeyId, AWS_SECRET_ACCESS_KEY: keys.secretAccessKey }

/** What the first request was signed for. */
const signedFor = (effect: Effect.Effect<unknown, unknown, Scope.Scope>) =>
  Effect.map(
    Effect.scoped(Effect.andThen(Effect.sync(() => dynamo().newRequests()), effect)),
    () => dynamo().newRequests()[0]!.signedFor
  )

const seed = JSON.parse(`{
  "sessionStore": {
    "type": "dynamodb",
    "table": "${table}"
  }
}`)

const seedWithKeys = JSON.parse(`{
  "sessionStore": {
    "type": "dynamodb",
    "table": "${table}",
    "aws": {
      "region": "eu-west-1",
      "accessKeyId": "AKIDOFTHEDOCUMENT",
      "secretAccessKey": "..."
    }
  }
}`)

const permissions =
  "A server needs GetItem, PutItem, UpdateItem, DeleteItem, Query, BatchGetItem and BatchWriteItem; " +
  "`DynamoLayer.createTable` needs CreateTable, DescribeTable, DescribeTimeToLive and UpdateTimeToLive"

describe("the settings", () => {
  it.effect("are taken from code, from a Config, from the document and from the environment", () =>
    Effect.gen(function*() {
      const { aws, endpoint } = dynamo().options
      const prefix = "shop:"
      const stores = [
        DynamoLayer.layer({ table, endpoint: endpoint!, prefix, aws: aws! }),
        DynamoLayer.layerConfig({
          table: Config.succeed(table),
          endpoint: Config.succeed(endpoint!),
          prefix: Config.succeed(prefix),
          aws: {
            region: Config.succeed("eu-west-1"),
            accessKeyId: Config.succeed(keys.accessKeyId),
            secretAccessKey: Config.succeed(Redacted.make(keys.secretAccessKey))
          }
        })
      ]
      const document = { type: "dynamodb", table, endpoint, prefix, aws: { ...aws } } as const
      const env = {
        SESSION_DRIVER: "dynamodb",
        SESSION_STORE_TABLE: table,
        SESSION_STORE_PREFIX: prefix,
        SESSION_STORE_TTL_ATTRIBUTE: "expires",
        SESSION_STORE_CONSISTENT_READ: "false",
        SESSION_STORE_AWS_ENDPOINT: endpoint!,
        SESSION_STORE_AWS_REGION: "eu-west-1",
        SESSION_STORE_AWS_ACCESS_KEY_ID: keys.accessKeyId,
        SESSION_STORE_AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
        SESSION_STORE_AWS_SESSION_TOKEN: "of a role",
        SESSION_STORE_AWS_MAX_ATTEMPTS: "2"
      }
      dynamo().newRequests()
      for (
        const built of [
          ...stores.map((layer) => build(layer)),
          build(configurable, { store: document }),
          configured(env)
        ]
      ) {
        assert.strictEqual((yield* built).driver, "dynamodb")
        const [{ body, signedFor }] = dynamo().newRequests() as [
          ReturnType<typeof dynamo.prototype.newRequests>[number]
        ]
        assert.deepInclude(body, { TableName: table, Key: { id: { S: "shop:~" }, sort: { S: "session" } } })
        assert.strictEqual(signedFor, `${keys.accessKeyId} eu-west-1`)
      }
      const session = yield* createSession(yield* configured(env))
      yield* session.stored
      const [created, loaded] = dynamo().newRequests().slice(-2)
      assert.isDefined((created!.body["Item"] as Record<string, unknown>)["expires"])
      assert.isFalse(loaded!.body["ConsistentRead"])
    }))

  it.effect("in the environment add to those in code, also within aws", () =>
    Effect.gen(function*() {
      const { aws, endpoint } = dynamo().options
      const store = { type: "dynamodb", table: "another", endpoint, aws: { ...aws, region: "us-east-1" } } as const
      const env = { SESSION_STORE_TABLE: table, SESSION_STORE_AWS_REGION: "us-west-2" }
      assert.strictEqual(yield* signedFor(configured(env, { store })), `${keys.accessKeyId} us-west-2`)
    }))

  it.effect("can be the documents of others as they are: without details", () =>
    Effect.gen(function*() {
      const built = build(configurable, { store: seed.sessionStore })
      const variables = { ...keysInVariables, AWS_ENDPOINT_URL: dynamo().url }
      assert.strictEqual(yield* withAws(variables)(signedFor(built)), `${keys.accessKeyId} eu-central-1`)
    }))

  it.effect("can be the documents of others as they are: with a region and keys", () =>
    Effect.gen(function*() {
      const built = build(configurable, { store: seedWithKeys.sessionStore })
      const variables = { ...keysInVariables, AWS_ENDPOINT_URL: dynamo().url, AWS_REGION: "us-east-1" }
      assert.strictEqual(yield* withAws(variables)(signedFor(built)), "AKIDOFTHEDOCUMENT eu-west-1")
    }))

  it.effect("can be the documents of others in a file", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.fromUnknown({ session: { secret, store: seedWithKeys.sessionStore } })
      const built = storeOf(Layer.provide(configurable, SessionConfig.layerConfig())).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, provider)
      )
      const variables = { AWS_ENDPOINT_URL: dynamo().url }
      assert.strictEqual(yield* withAws(variables)(signedFor(built)), "AKIDOFTHEDOCUMENT eu-west-1")
    }))
})

describe("the region", () => {
  const built = Effect.suspend(() => withOptions({ table, endpoint: dynamo().url }))

  it.effect("is eu-central-1 where nothing names one, or only an empty variable", () =>
    Effect.gen(function*() {
      for (const variables of [keysInVariables, { ...keysInVariables, AWS_REGION: "" }]) {
        assert.strictEqual(yield* withAws(variables)(signedFor(built)), `${keys.accessKeyId} eu-central-1`)
      }
    }))

  it.effect("is that of AWS_REGION", () =>
    Effect.gen(function*() {
      const variables = { ...keysInVariables, AWS_REGION: "us-west-2" }
      assert.strictEqual(yield* withAws(variables)(signedFor(built)), `${keys.accessKeyId} us-west-2`)
    }))

  it.effect("is that of the profile, as the keys are", () =>
    Effect.gen(function*() {
      const file = join(yield* temporaryFolder, "config")
      const profile = [
        "[profile shop]",
        "region = ap-southeast-2",
        "aws_access_key_id = AKIDOFTHEPROFILE",
        "aws_secret_access_key = secret"
      ]
      yield* Effect.promise(() => writeFile(file, profile.join("\n")))
      const variables = { AWS_CONFIG_FILE: file, AWS_PROFILE: "shop" }
      assert.strictEqual(yield* withAws(variables)(signedFor(built)), "AKIDOFTHEPROFILE ap-southeast-2")
    }))

  it.effect("that AWS_REGION has is a mistake if it can be none", () =>
    Effect.gen(function*() {
      const variables = { ...keysInVariables, AWS_REGION: "Frankfurt am Main" }
      assert.deepStrictEqual(yield* withAws(variables)(mistakesIn(Effect.scoped(built))), [
        "store.aws.region (SESSION_STORE_AWS_REGION): found nothing. The AWS SDK finds no usable region. " +
        "Error: Region not accepted: region=\"Frankfurt am Main\" is not a valid hostname component."
      ])
    }))
})

describe("a mistake in the settings", () => {
  const cases: ReadonlyArray<readonly [name: string, options: object, mistakes: ReadonlyArray<string>]> = [
    [
      "without a table",
      {},
      ["store.table (SESSION_STORE_TABLE): found nothing. Write the name of the table, 3 to 255 letters, digits and _.-"]
    ],
    [
      "with a name that no table can have",
      { table: "my sessions" },
      [
        "store.table (SESSION_STORE_TABLE): found \"my sessions\". " +
        "Write the name of the table, 3 to 255 letters, digits and _.-"
      ]
    ],
    [
      "with an option of the SDK that is not known here",
      { table, aws: { sslEnabled: false, httpOptions: { timeout: 5 } } },
      [
        "store.aws.sslEnabled (SESSION_STORE_AWS_SSL_ENABLED): found a boolean. There is no such setting. The settings " +
        "are: store.aws.region, store.aws.accessKeyId, store.aws.secretAccessKey, store.aws.sessionToken, " +
        "store.aws.endpoint, store.aws.maxAttempts, store.aws.maxRetries",
        "store.aws.httpOptions (SESSION_STORE_AWS_HTTP_OPTIONS): found an object. There is no such setting. The settings " +
        "are: store.aws.region, store.aws.accessKeyId, store.aws.secretAccessKey, store.aws.sessionToken, " +
        "store.aws.endpoint, store.aws.maxAttempts, store.aws.maxRetries"
      ]
    ],
    [
      "with a name that is misspelt",
      { table, aws: { acessKeyID: keys.accessKeyId, secretAccesKey: keys.secretAccessKey } },
      [
        "store.aws.acessKeyID (SESSION_STORE_AWS_ACESS_KEY_ID): found a text of 20 characters. There is no such setting. " +
        "Did you mean store.aws.accessKeyId (SESSION_STORE_AWS_ACCESS_KEY_ID)?",
        "store.aws.secretAccesKey (SESSION_STORE_AWS_SECRET_ACCES_KEY): found a text of 40 characters. There is no such " +
        "setting. Did you mean store.aws.secretAccessKey (SESSION_STORE_AWS_SECRET_ACCESS_KEY)?"
      ]
    ],
    [
      "with half of the keys",
      { table, aws: { secretAccessKey: keys.secretAccessKey } },
      [
        "store.aws.accessKeyId (SESSION_STORE_AWS_ACCESS_KEY_ID): found nothing. " +
        "Write the id that belongs to the other keys, or leave them out"
      ]
    ],
    [
      "with the other half",
      { table, aws: { accessKeyId: keys.accessKeyId, sessionToken: "token" } },
      [
        "store.aws.secretAccessKey (SESSION_STORE_AWS_SECRET_ACCESS_KEY): found nothing. " +
        "Write the key that belongs to the other ones, or leave them out"
      ]
    ],
    [
      "with two settings for one thing",
      {
        table,
        endpoint: "http://localhost:8000",
        aws: { endpoint: "http://localhost:8001", maxAttempts: 1, maxRetries: 1 }
      },
      [
        "store.aws.endpoint (SESSION_STORE_AWS_ENDPOINT): found \"http://localhost:8001\". " +
        "It contradicts store.endpoint: write only one of them",
        "store.aws.maxRetries (SESSION_STORE_AWS_MAX_RETRIES): found 1. " +
        "It contradicts store.aws.maxAttempts: write only one of them"
      ]
    ],
    [
      "with the name of another attribute for the time to live",
      { table, ttlAttribute: "expiresAt" },
      [
        "store.ttlAttribute (SESSION_STORE_TTL_ATTRIBUTE): found \"expiresAt\". " +
        "The store uses this name itself. Choose another one"
      ]
    ],
    [
      "with texts that are none of what they should be",
      {
        table,
        endpoint: "localhost:8000",
        aws: { region: "Frankfurt", accessKeyId: 5, secretAccessKey: "", maxAttempts: 0, maxRetries: "many" }
      },
      [
        "store.endpoint (SESSION_STORE_ENDPOINT): found \"localhost:8000\". " +
        "Write a URL such as \"http://localhost:8000\", or leave it out",
        "store.aws.region (SESSION_STORE_AWS_REGION): found \"Frankfurt\". " +
        "Write a region such as \"eu-central-1\", or leave it out",
        "store.aws.accessKeyId (SESSION_STORE_AWS_ACCESS_KEY_ID): found a number. Write the key, or leave it out",
        "store.aws.secretAccessKey (SESSION_STORE_AWS_SECRET_ACCESS_KEY): found a text of 0 characters. " +
        "Write the key, or leave it out",
        "store.aws.maxAttempts (SESSION_STORE_AWS_MAX_ATTEMPTS): found 0. Write a whole number from 1 to 100",
        "store.aws.maxRetries (SESSION_STORE_AWS_MAX_RETRIES): found \"many\". Write a whole number from 0 to 99"
      ]
    ]
  ]
  for (const [name, options, mistakes] of cases) {
    it.effect(`${name}: the server does not start, and is told what to write`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* mistakesIn(Effect.scoped(withOptions(options))), mistakes)
        const store = { type: "dynamodb", ...options } as const
        assert.deepStrictEqual(yield* mistakesIn(Effect.scoped(build(configurable, { store }))), mistakes)
      }))
  }

  it.effect("of a caller's client is told as well, and takes no settings of the SDK", () =>
    Effect.gen(function*() {
      const client = new DynamoDB({ region: "eu-west-1", endpoint: dynamo().url, credentials: { ...keys } })
      const mistakes = mistakesIn(
        Effect.scoped(build(DynamoLayer.layerClient(client, { table: "", aws: {} } as unknown as DynamoLayer.Options)))
      )
      assert.deepStrictEqual(yield* mistakes, [
        "store.aws (SESSION_STORE_AWS): found an object. There is no such setting. The settings are: store.table, " +
        "store.prefix, store.ttlAttribute, store.consistentRead",
        "store.table (SESSION_STORE_TABLE): found \"\". Write the name of the table, 3 to 255 letters, digits and _.-"
      ])
      client.destroy()
    }))

  it.effect("in the environment is told by its variable", () =>
    Effect.gen(function*() {
      const env = {
        SESSION_DRIVER: "dynamodb",
        SESSION_STORE_TABEL: table,
        SESSION_STORE_AWS_SECRET: keys.secretAccessKey,
        SESSION_STORE_AWS: "{}"
      }
      const error = yield* errorIn(Effect.scoped(configured(env)))
      const found = error.mistakes.map(({ setting }) => setting)
      assert.includeMembers(found, ["store.tabel (SESSION_STORE_TABEL)", "store.table (SESSION_STORE_TABLE)"])
      assert.notInclude(error.message, keys.secretAccessKey)
    }))
})

describe("a server does not start", () => {
  const options = Effect.sync(() => dynamo().options)
  const started = (change: object) =>
    Effect.flatMap(options, (options) => mistakesIn(Effect.scoped(withOptions({ ...options, ...change }))))

  it.effect("without its table", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* started({ table: "sessions-of-nobody" }), [
        "store.table (SESSION_STORE_TABLE): found \"sessions-of-nobody\". There is no such table in eu-west-1, or not yet. " +
        "Write the name of a table that `DynamoLayer.createTable` has created, or that has the same key"
      ])
    }))

  const howToWriteKey =
    "Its key must be the partition key \"id\" and the sort key \"sort\", both strings, and the key of a table can't be changed: write the name of a new table, and create it with `DynamoLayer.createTable`."

  it.effect.each([
    { key: "other names", names: ["sid", "time"] },
    { key: "a partition key only", names: ["id"] }
  ])(
    "with a table whose key has $key, and createTable does not pass it over either",
    ({ names }) =>
      Effect.gen(function*() {
        const name = `sessions-of-${names[0]}`
        yield* makeTable(dynamo(), name, names)
        assert.deepStrictEqual(yield* started({ table: name }), [
          `store.table (SESSION_STORE_TABLE): found "${name}". ${howToWriteKey} GetItem on "${name}" failed: ` +
          "ValidationException, The provided key element does not match the schema"
        ])
        assert.deepStrictEqual(yield* mistakesIn(DynamoLayer.createTable({ ...dynamo().options, table: name })), [
          `store.table (SESSION_STORE_TABLE): found "${name}". ${howToWriteKey} The table already exists with a different key: ` +
          names.join(", ")
        ])
      })
  )

  it.effect("without a permission", () =>
    Effect.gen(function*() {
      dynamo().disturbs("GetItem", { code: "AccessDeniedException", message: "User: shop is not authorized" })
      assert.deepStrictEqual(yield* started({}), [
        `store.table (SESSION_STORE_TABLE): found "${table}". No permission for dynamodb:GetItem on "${table}": User: shop ` +
        `is not authorized. ${permissions}`
      ])
    }))

  it.effect("without a permission that a request would need later, and says which", () =>
    Effect.gen(function*() {
      const server = yield* startDynamo()
      const actions = ["GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "BatchGetItem", "BatchWriteItem"]
      const start = mistakesIn(Effect.scoped(withOptions(server.options)))
      for (const missing of [actions.slice(1), ...actions.map((action) => [action])]) {
        server.allows(actions.filter((action) => !missing.includes(action)))
        const names = missing.map((action) => `dynamodb:${action}`).join(", ")
        assert.deepStrictEqual(yield* start, [
          `store.table (SESSION_STORE_TABLE): found "${table}". No permission for ${names} on "${table}": User: shop is not ` +
          `authorized to perform: dynamodb:${missing[0]}. ${permissions}`
        ])
      }
      assert.deepStrictEqual(yield* server.items(), [])
    }))

  it.effect("with keys that are not accepted", () =>
    Effect.gen(function*() {
      dynamo().disturbs("GetItem", { code: "UnrecognizedClientException", message: keys.accessKeyId })
      assert.deepStrictEqual(yield* started({}), [
        "store.aws.accessKeyId (SESSION_STORE_AWS_ACCESS_KEY_ID): found a text of 20 characters. AWS rejects the " +
        "credentials (UnrecognizedClientException). Write the keys of a user with access to the table"
      ])
    }))

  it.effect("without credentials", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* withAws({})(started({ aws: {} })), [
        "store.aws.accessKeyId (SESSION_STORE_AWS_ACCESS_KEY_ID): found nothing. There are no AWS credentials: Could not " +
        "load credentials from any providers. Write the keys here or in AWS_ACCESS_KEY_ID, or run with a role"
      ])
    }))

  it.effect("where nobody listens", () =>
    Effect.gen(function*() {
      const gone = yield* startDynamo()
      yield* gone.stop
      const address = gone.url.replace("http://", "")
      assert.deepStrictEqual(yield* started({ endpoint: gone.url, aws: { ...keys, maxAttempts: 1 } }), [
        `store.endpoint (SESSION_STORE_ENDPOINT): found "${gone.url}". DynamoDB does not answer there: GetItem on "${table}" ` +
        `failed: ECONNREFUSED, connect ECONNREFUSED ${address}`
      ])
    }))

  it.effect("without @aws-sdk/client-dynamodb", () =>
    Effect.gen(function*() {
      const root = resolve(import.meta.dirname, "../../..")
      const project = yield* temporaryFolder
      const script = `
        import { Effect, Layer } from "effect"
        import { DynamoLayer, SessionConfig } from "./src/index.ts"
        const store = Layer.provide(DynamoLayer.layer({ table: "sessions" }), SessionConfig.layer({ secret: "x".repeat(32) }))
        const { message } = await Effect.runPromise(Effect.flip(Effect.scoped(Layer.build(store))))
        console.log(message)
      `
      const { stdout } = yield* Effect.promise(async () => {
        await cp(join(root, "src"), join(project, "src"), { recursive: true })
        await mkdir(join(project, "node_modules"))
        await symlink(join(root, "node_modules/effect"), join(project, "node_modules/effect"))
        await writeFile(join(project, "package.json"), `{ "type": "module" }`)
        await writeFile(join(project, "main.ts"), script)
        return promisify(execFile)(process.execPath, ["main.ts"], { cwd: project })
      })
      assert.strictEqual(
        stdout.trim().split("\n").at(-1)!.trim(),
        "store.type (SESSION_DRIVER): found \"dynamodb\". The DynamoDB driver needs @aws-sdk/client-dynamodb: " +
          "run `npm install @aws-sdk/client-dynamodb`"
      )
    }))

  it.effect("and no message has a key, whatever AWS says", () =>
    Effect.gen(function*() {
      const message = `${keys.accessKeyId} ${keys.secretAccessKey} token-of-a-role`
      const codes = ["InvalidSignatureException", "IncompleteSignatureException", "ExpiredTokenException"]
      const aws = { region: "eu-west-1", ...keys, sessionToken: "token-of-a-role" }
      for (const code of codes) {
        dynamo().disturbs("GetItem", { code, message })
        const error = yield* errorIn(Effect.scoped(withOptions({ ...dynamo().options, aws })))
        const texts = [
          error.message,
          inspect(error, { depth: null, showHidden: true }),
          Cause.pretty(Cause.fail(error))
        ]
        for (const secret of message.split(" ")) assert.notInclude(texts.join("\n"), secret)
      }
    }))

  it.effect("but does where DynamoDB is only busy, with a warning", () =>
    Effect.gen(function*() {
      const busy: ReadonlyArray<Disturbance> = [
        { code: "ThrottlingException" },
        { code: "InternalServerError", status: 500 }
      ]
      for (const disturbance of busy) {
        const observed = observe()
        dynamo().disturbs("GetItem", disturbance)
        const aws = { ...keys, maxAttempts: 1 }
        const store = yield* withOptions({ ...dynamo().options, aws }).pipe(Effect.provide(observed.layer))
        yield* createSession(store)
        assert.deepStrictEqual(observed.logs.map(({ level, message }) => [level, message.split(" DynamoError")[0]]), [
          ["Warn", "DynamoDB did not answer the first request"]
        ])
      }
    }))
})

describe("the policies in the documentation", () => {
  const documentation = readFileSync(new URL("../../../src/DynamoLayer.ts", import.meta.url), "utf8")
    .replaceAll(/^ \* ?/gm, "")

  it.effect("are all that a server needs", () =>
    Effect.gen(function*() {
      const server = yield* startDynamo()
      const policy = JSON.parse(/```json\n(.*?)```/s.exec(documentation)![1]!)
      server.allows(policy.Statement[0].Action.map((action: string) => action.replace("dynamodb:", "")))
      const store = yield* withOptions(server.options)
      const owners = store.owners as SessionStore.WithIndex["owners"]
      const session = yield* createSession(store)
      yield* session.touch({})
      yield* session.commit(Change.set(Change.none, "name", "\"Ada\""))
      assert.deepStrictEqual(yield* session.fields, { name: "\"Ada\"" })
      const other = yield* createSession(store)
      assert.strictEqual((yield* other.regenerate())._tag, "Written")
      yield* session.destroy
      assert.isUndefined(yield* session.stored)
      yield* owners.add("Ada", { key: session.key, at: 0, until: 1 }, { replaces: undefined })
      assert.deepStrictEqual((yield* owners.list("Ada", { limit: 10, after: undefined, fields: [] })).sessions, [])
      yield* owners.end("Ada")
    }))

  it.effect("are all that createTable needs", () =>
    Effect.gen(function*() {
      const server = yield* startDynamoWithoutTable()
      const [, actions] = /\{@link createTable\} needs (.*?) instead/s.exec(documentation)!
      server.allows(Array.from(actions!.matchAll(/dynamodb:(\w+)/g), ([, action]) => action!))
      yield* DynamoLayer.createTable(server.options)
    }))
})

describe("createTable", () => {
  const operations = ["CreateTable", "DescribeTable", "DescribeTimeToLive", "UpdateTimeToLive"]

  it.live("makes a table, waits for it, switches its time to live on, and sessions can be kept in it", () =>
    Effect.gen(function*() {
      const server = yield* startDynamoWithoutTable({ createTableMs: 500 })
      const options = { ...server.options, table: "made-here", ttlAttribute: "expires" }
      yield* DynamoLayer.createTable(options)
      const requests = server.newRequests()
      assert.deepStrictEqual([...new Set(requests.map(({ operation }) => operation))], operations)
      assert.isAtLeast(requests.length, 5, "it is not there at once")
      assert.deepStrictEqual(requests.at(-1)!.body, {
        TableName: "made-here",
        TimeToLiveSpecification: { AttributeName: "expires", Enabled: true }
      })
      const { Table } = yield* server.ask((dynamo) => dynamo.describeTable({ TableName: "made-here" }))
      assert.strictEqual(Table!.TableStatus, "ACTIVE")
      assert.strictEqual(Table!.BillingModeSummary!.BillingMode, "PAY_PER_REQUEST")
      assert.deepStrictEqual(Table!.KeySchema, [
        { AttributeName: "id", KeyType: "HASH" },
        { AttributeName: "sort", KeyType: "RANGE" }
      ])
      yield* createSession(yield* withOptions(options))
    }))

  it.effect("leaves what is there as it is", () =>
    Effect.gen(function*() {
      const server = yield* startDynamo()
      yield* createSession(yield* withOptions(server.options))
      const items = yield* server.items()
      yield* DynamoLayer.createTable(server.options)
      server.newRequests()
      yield* DynamoLayer.createTable(server.options)
      assert.deepStrictEqual(server.newOperations(), operations.slice(0, 3))
      assert.deepStrictEqual(yield* server.items(), items)
    }))

  it.effect("says what AWS says where the time to live is in another attribute", () =>
    Effect.gen(function*() {
      const server = yield* startDynamo()
      yield* DynamoLayer.createTable(server.options)
      const message = "TimeToLive is active on a different AttributeName: current AttributeName is ttl"
      server.disturbs("UpdateTimeToLive", { code: "ValidationException", message })
      assert.deepStrictEqual(
        yield* mistakesIn(DynamoLayer.createTable({ ...server.options, ttlAttribute: "expires" })),
        [
          `store.table (SESSION_STORE_TABLE): found "${table}". UpdateTimeToLive on "${table}" failed: ValidationException, ` +
          message
        ]
      )
    }))

  it.effect("says that a DynamoDB has no time to live, where that is so", () =>
    Effect.gen(function*() {
      const server = yield* startDynamoWithoutTable({ ttl: false })
      const observed = observe()
      yield* Effect.provide(DynamoLayer.createTable(server.options), observed.layer)
      assert.deepStrictEqual(observed.logs.map(({ level, message }) => [level, message]), [
        ["Warn", `The table "${table}" exists, but this DynamoDB does not support time to live`]
      ])
      yield* createSession(yield* withOptions(server.options))
    }))

  it.effect("says which permission is missing", () =>
    Effect.gen(function*() {
      const server = yield* startDynamoWithoutTable()
      server.disturbs("CreateTable", { code: "AccessDeniedException", message: "User: shop is not authorized" })
      assert.deepStrictEqual(yield* mistakesIn(DynamoLayer.createTable(server.options)), [
        `store.table (SESSION_STORE_TABLE): found "${table}". No permission for dynamodb:CreateTable on "${table}": ` +
        `User: shop is not authorized. ${permissions}`
      ])
    }))

  it.effect("does not wait for ever", () =>
    Effect.gen(function*() {
      const server = yield* startDynamo()
      const waiting = server.holds("DescribeTable")
      const made = yield* Effect.forkChild(mistakesIn(DynamoLayer.createTable(server.options)))
      yield* waiting.reached
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* Fiber.join(made), [
        `store.table (SESSION_STORE_TABLE): found "${table}". The table is not ready after 5 minutes`
      ])
    }))

  it.effect("takes no wrong settings", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* mistakesIn(DynamoLayer.createTable({ table: "x" })), [
        "store.table (SESSION_STORE_TABLE): found \"x\". Write the name of the table, 3 to 255 letters, digits and _.-"
      ])
    }))
})
