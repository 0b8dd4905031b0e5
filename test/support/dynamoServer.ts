/**
 * A DynamoDB of the tests' own: dynalite behind a server that counts the requests and disturbs some of them. As dynalite
 * has no time to live, the server answers for that itself.
 */
import { type AttributeValue, DynamoDB } from "@aws-sdk/client-dynamodb"
import { Deferred, Effect } from "effect"
import type { DynamoLayer } from "effect-session"
import * as Http from "node:http"
import { createRequire } from "node:module"
import type { AddressInfo } from "node:net"
import { Readable } from "node:stream"
import type { Gate } from "./routes.ts"

const require = createRequire(import.meta.url)

const allOld = "ReturnValuesOnConditionCheckFailure"

// It comes without types.
const dynalite: (options: { readonly createTableMs: number }) => Http.Server = require("dynalite")

// What it lacks: with the refusal of a condition, the item that is there, if the request asks for it.
for (const operation of ["putItem", "updateItem", "deleteItem"]) {
  require(`dynalite/validations/${operation}`).types[allOld] = { type: "String", enum: ["ALL_OLD", "NONE"] }
}
const database = require("dynalite/db")
const { checkConditional } = database
database.checkConditional = (data: Record<string, unknown>, item: unknown) => {
  const refusal = checkConditional(data, item)
  if (refusal != null && data[allOld] === "ALL_OLD") refusal.body.Item = item
  return refusal
}

export interface Sent {
  readonly operation: string
  readonly body: Record<string, unknown>
  /** The id of the key, and the region. */
  readonly signedFor: string
}

/** What becomes of a request. */
export type Disturbance =
  | "works"
  /** Nobody answers. */
  | "hangs"
  /** It is carried out, and the connection breaks before the answer. */
  | "loses the answer"
  /** As well, but something else happens before the connection breaks. */
  | { readonly losesTheAnswerAfter: Effect.Effect<unknown, unknown> }
  /** Only so many of what a batch asks for are carried out, and the answer names the rest. */
  | { readonly carriesOut: number }
  | { readonly code: string; readonly message?: string; readonly status?: number }

export interface DynamoServer {
  readonly url: string
  /** The settings of the driver that lead here. */
  readonly options: DynamoLayer.Options
  /** The requests since the last time it was asked. */
  readonly newRequests: () => ReadonlyArray<Sent>
  /** Their operations. */
  readonly newOperations: () => ReadonlyArray<string>
  /** What becomes of the next requests of the operation, one after the other. */
  readonly disturbs: (operation: string, ...disturbances: ReadonlyArray<Disturbance>) => void
  /** What becomes of all requests, from now on. */
  readonly breaks: (disturbance: Disturbance) => void
  /** The actions that the role of the client has, by their names, from now on; `undefined`: all. */
  readonly allows: (actions: ReadonlyArray<string> | undefined) => void
  /** The next request of the operation waits until it is released. */
  readonly holds: (operation: string) => Hold
  /** How many there are. */
  readonly connections: () => number
  /** Nobody listens any more, and every connection is broken. */
  readonly stop: Effect.Effect<void>
  /** Somebody does once more, on the same port. */
  readonly startAgain: Effect.Effect<void>
  /** Asks past the driver. */
  readonly ask: <A>(question: (dynamo: DynamoDB) => Promise<A>) => Effect.Effect<A>
  /** All items of a table. */
  readonly items: (table?: string) => Effect.Effect<ReadonlyArray<Record<string, AttributeValue>>>
}

export interface Hold extends Gate {
  /** Waits for the client to break it off. */
  readonly broken: Effect.Effect<void>
}

/** The keys of Amazon's documentation. The SDK puts marks of its own on the object that it is given. */
export const keys = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" }

export const table = "sessions-test"

/** Starts a server that has the table, and stops it with the scope. */
export const startDynamo = Effect.fnUntraced(function*(options?: Options) {
  const server = yield* startDynamoWithoutTable(options)
  yield* makeTable(server, table)
  server.newRequests()
  return server
})

/** Past the driver, with a key of any names. */
export const makeTable = (
  server: DynamoServer,
  TableName: string,
  names: ReadonlyArray<string> = ["id", "sort"]
): Effect.Effect<void> =>
  Effect.asVoid(server.ask((dynamo) =>
    dynamo.createTable({
      TableName,
      AttributeDefinitions: names.map((AttributeName) => ({ AttributeName, AttributeType: "S" })),
      KeySchema: names.map((AttributeName, index) => ({ AttributeName, KeyType: index === 0 ? "HASH" : "RANGE" })),
      BillingMode: "PAY_PER_REQUEST"
    })
  ))

export interface Options {
  /** How long it takes to make a table. */
  readonly createTableMs?: number
  /** Whether it has a time to live. */
  readonly ttl?: boolean
  /** Whether it tells what is there when it refuses a condition. */
  readonly tellsWhatIsThere?: boolean
}

export const startDynamoWithoutTable = Effect.fnUntraced(function*(options: Options = {}) {
  const requests: Array<Sent> = []
  const disturbances = new Map<string, Array<Disturbance>>()
  const holds = new Map<string, { readonly wait: (response: Http.ServerResponse) => Promise<void> }>()
  let breakdown: Disturbance | undefined
  let allowed: ReadonlyArray<string> | undefined
  const carryOut = makeDynalite(options)

  const http = Http.createServer(async (request, response) => {
    const received = await receive(request)
    const { operation } = received
    requests.push(received)
    const hold = holds.get(operation)
    holds.delete(operation)
    await hold?.wait(response)
    const disturbance = breakdown ?? disturbances.get(operation)?.shift() ?? "works"
    if (disturbance === "hangs") return
    if (allowed?.includes(operation) === false && operation !== "Scan") {
      const message = `User: shop is not authorized to perform: dynamodb:${operation}`
      return refuse(response, { code: "AccessDeniedException", message })
    }
    if (disturbance === "works") return carryOut(received, response)
    if (typeof disturbance === "object" && "code" in disturbance) return refuse(response, disturbance)
    if (typeof disturbance === "object" && "carriesOut" in disturbance) {
      return carryOutPart(received, response, disturbance.carriesOut, carryOut)
    }
    const last = disturbance === "loses the answer" ? Effect.void : disturbance.losesTheAnswerAfter
    response.end = () => {
      Effect.runFork(Effect.ensuring(last, Effect.sync(() => response.destroy())))
      return response
    }
    carryOut(received, response)
  })
  let connections = 0
  http.on("connection", (socket) => {
    connections++
    socket.on("close", () => connections--)
  })
  const stop = Effect.callback<void>((resume) => {
    http.close(() => resume(Effect.void))
    http.closeAllConnections()
  })
  const listen = (port: number) =>
    Effect.callback<void>((resume) => void http.listen(port, "127.0.0.1", () => resume(Effect.void)))
  yield* Effect.acquireRelease(listen(0), () => stop)
  const { port } = http.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => new DynamoDB({ region: "eu-west-1", endpoint: url, credentials: { ...keys } })),
    (client) => Effect.sync(() => client.destroy())
  )

  const newRequests = () => requests.splice(0)
  const server: DynamoServer = {
    url,
    options: { table, endpoint: url, aws: { region: "eu-west-1", ...keys } },
    newRequests,
    newOperations: () => newRequests().map(({ operation }) => operation),
    disturbs: (operation, ...more) => void disturbances.set(operation, [...more]),
    breaks: (disturbance) => void (breakdown = disturbance),
    allows: (actions) => void (allowed = actions),
    holds: (operation) => {
      const [reached, released, broken] = [
        Deferred.makeUnsafe<void>(),
        Deferred.makeUnsafe<void>(),
        Deferred.makeUnsafe<void>()
      ]
      const wait = (response: Http.ServerResponse) => {
        response.on("close", () => Deferred.doneUnsafe(broken, Effect.void))
        Deferred.doneUnsafe(reached, Effect.void)
        return Effect.runPromise(Deferred.await(released))
      }
      holds.set(operation, { wait })
      return {
        reached: Deferred.await(reached),
        release: Effect.asVoid(Deferred.succeed(released, undefined)),
        broken: Deferred.await(broken)
      }
    },
    connections: () => connections,
    stop,
    startAgain: listen(port),
    ask: (question) => Effect.promise(() => question(client)),
    items: (TableName = table) => Effect.promise(async () => (await client.scan({ TableName })).Items ?? [])
  }
  return server
})

interface Received extends Sent {
  /** The request once more, for a listener that has not seen it. */
  readonly again: (body: object) => Http.IncomingMessage
}

const receive = async (request: Http.IncomingMessage): Promise<Received> => {
  const { headers, method, url } = request
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  const [, key, region] = /Credential=([^/]+)\/\d+\/([^/]+)/.exec(headers.authorization ?? "") ?? []
  return {
    operation: String(headers["x-amz-target"]).replace(/^.*\./, ""),
    body: JSON.parse(bytes.toString()),
    signedFor: `${key} ${region}`,
    again: (body) =>
      Object.assign(Readable.from([Buffer.from(JSON.stringify(body))]), {
        headers,
        method,
        url
      }) as Http.IncomingMessage
  }
}

const makeDynalite = ({ createTableMs = 0, tellsWhatIsThere = true, ttl = true }: Options) => {
  const [listener] = dynalite({ createTableMs }).listeners("request") as [(...parameters: Array<unknown>) => void]
  const ttls = new Map<unknown, object>()
  return ({ again, body, operation }: Received, response: Http.ServerResponse): void => {
    const { TableName, TimeToLiveSpecification } = body
    if (ttl && operation === "UpdateTimeToLive") {
      ttls.set(TableName, { ...TimeToLiveSpecification as object, TimeToLiveStatus: "ENABLED" })
      return send(response, 200, { TimeToLiveSpecification })
    }
    const TimeToLiveDescription = ttls.get(TableName)
    return operation === "DescribeTimeToLive" && TimeToLiveDescription !== undefined
      ? send(response, 200, { TimeToLiveDescription })
      : listener(again(tellsWhatIsThere ? body : { ...body, [allOld]: undefined }), response)
  }
}

/** What a batch of DynamoDB's does when it is too busy. */
const carryOutPart = (
  received: Received,
  response: Http.ServerResponse,
  count: number,
  carryOut: (received: Received, response: Http.ServerResponse) => void
): void => {
  const { body, operation } = received
  const [[name, request]] = Object.entries(body["RequestItems"] as Record<string, unknown>) as [[string, unknown]]
  const isWrite = operation === "BatchWriteItem"
  const all = isWrite ? request as Array<unknown> : (request as { readonly Keys: Array<unknown> }).Keys
  const only = (items: Array<unknown>) => ({ [name]: isWrite ? items : { ...request as object, Keys: items } })
  const rest = { [isWrite ? "UnprocessedItems" : "UnprocessedKeys"]: only(all.slice(count)) }
  if (count === 0) return send(response, 200, isWrite ? rest : { Responses: { [name]: [] }, ...rest })
  const end = response.end.bind(response) as (text: string) => Http.ServerResponse
  response.end = ((text: string) => {
    const changed = JSON.stringify({ ...JSON.parse(text), ...rest })
    response.removeHeader("x-amz-crc32")
    response.setHeader("content-length", Buffer.byteLength(changed))
    return end(changed)
  }) as typeof response.end
  carryOut({ ...received, body: { ...body, RequestItems: only(all.slice(0, count)) } }, response)
}

const refuse = (
  response: Http.ServerResponse,
  { code, message = "as the test wants it", status = 400 }: Extract<Disturbance, { readonly code: string }>
): void => send(response, status, { __type: `com.amazonaws.dynamodb.v20120810#${code}`, message })

const send = (response: Http.ServerResponse, status: number, body: object): void => {
  response.writeHead(status, { "content-type": "application/x-amz-json-1.0" })
  response.end(JSON.stringify(body))
}
