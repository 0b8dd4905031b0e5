import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { afterAll, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { DynamoLayer } from "effect-session"
import * as SessionOwnersTest from "effect-session/SessionOwnersTest"
import * as SessionStoreTest from "effect-session/SessionStoreTest"
import { keys, startDynamo, table } from "../../support/dynamoServer.ts"
import { shared } from "../../support/redisServer.ts"

const server = shared(startDynamo())

SessionStoreTest.suite({ describe, it }, "DynamoLayer", {
  layer: Layer.unwrap(Effect.sync(() => DynamoLayer.layer(server().options))),
  dump: Effect.suspend(() => Effect.map(server().items(), (items) => JSON.stringify(items)))
})

SessionOwnersTest.suite({ describe, it }, "DynamoLayer", {
  layer: Layer.unwrap(Effect.sync(() => DynamoLayer.layer(server().options))),
  dump: Effect.suspend(() => Effect.map(server().items(), (items) => JSON.stringify(items)))
})

const standIn = shared(startDynamo({ tellsWhatIsThere: false }))

SessionStoreTest.suite(
  { describe, it },
  "DynamoLayer on a stand-in that refuses a condition without telling what is there",
  {
    layer: Layer.unwrap(Effect.sync(() => DynamoLayer.layer(standIn().options)))
  }
)

let client: DynamoDBClient | undefined
afterAll(() => client?.destroy())

SessionStoreTest.suite({ describe, it }, "DynamoLayer.layerClient", {
  layer: Layer.unwrap(Effect.sync(() => {
    client ??= new DynamoDBClient({ region: "eu-west-1", endpoint: server().url, credentials: { ...keys } })
    return DynamoLayer.layerClient(client, { table, prefix: "of the caller:", consistentRead: false })
  }))
})

SessionOwnersTest.suite({ describe, it }, "DynamoLayer.layerClient", {
  layer: Layer.unwrap(Effect.sync(() => {
    client ??= new DynamoDBClient({ region: "eu-west-1", endpoint: server().url, credentials: { ...keys } })
    return DynamoLayer.layerClient(client, { table, prefix: "of the caller:", consistentRead: false })
  }))
})
