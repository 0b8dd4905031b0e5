/**
 * A server of procedures with sessions, and clients of it.
 */
import { Effect, Layer, Option, Ref, Schema, type Scope } from "effect"
import { Session, SessionKey, SessionRpc } from "effect-session"
import { type Cookies, FetchHttpClient, HttpClient } from "effect/http"
import { Rpc, RpcClient, type RpcClientError, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { Count, Name } from "./routes.ts"
import { type Options, type Routes, serveApp, type Server } from "./server.ts"

export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", { attempts: Schema.Number }) {}

/** What is stored there is no number. */
const Broken = SessionKey.make("name", Schema.Number)

// No procedure declares an error of sessions: the middleware does.
export const Counting = RpcGroup.make(
  Rpc.make("total", { success: Schema.Number }),
  Rpc.make("add", { payload: { amount: Schema.Number }, success: Schema.Number }),
  Rpc.make("enter", { error: Forbidden }),
  Rpc.make("crash"),
  Rpc.make("broken", { success: Schema.Number }),
  Rpc.make("login", { payload: { name: Schema.String } }),
  Rpc.make("name", { success: Schema.Option(Schema.String) }),
  Rpc.make("logout"),
  Rpc.make("untouched", { success: Schema.String })
).middleware(SessionRpc.Middleware)

export const handlers = Counting.toLayer({
  total: () => SessionRpc.handler(Session.get(Count)),
  add: ({ amount }) => SessionRpc.handler(Session.increment(Count, amount)),
  enter: () =>
    Session.increment(Count).pipe(
      Effect.flatMap((attempts) => Effect.fail(new Forbidden({ attempts }))),
      SessionRpc.handler
    ),
  crash: () => Session.increment(Count).pipe(Effect.andThen(Effect.die(new Error("crash"))), SessionRpc.handler),
  broken: () =>
    Session.increment(Count).pipe(
      Effect.andThen(Session.get(Broken)),
      Effect.map(Option.getOrElse(() => 0)),
      SessionRpc.handler
    ),
  login: ({ name }) => Session.regenerate.pipe(Effect.andThen(Session.put(Name, name)), SessionRpc.handler),
  name: () => SessionRpc.handler(Session.get(Name)),
  logout: () => SessionRpc.handler(Session.destroy),
  untouched: () => Effect.succeed("untouched")
})

// -----------------------------------------------------------------------------
// servers
// -----------------------------------------------------------------------------

/** Answers in one piece when all calls have ended. */
export const unframed = { json: RpcSerialization.layerJson, jsonRpc: RpcSerialization.layerJsonRpc() }

/** Each answer goes out as soon as it is there. */
export const framed = {
  ndjson: RpcSerialization.layerNdjson,
  ndJsonRpc: RpcSerialization.layerNdJsonRpc(),
  schemaBinary: RpcSerialization.layerSchemaBinary()
}

export const serializations = { ...unframed, ...framed }

type Serialization = Layer.Layer<RpcSerialization.RpcSerialization>

/** Serves a group, at `/rpc`. Cookies are sent over plain http. */
export const serveRpc = <Rpcs extends Rpc.Any, R>(
  group: RpcGroup.RpcGroup<Rpcs>,
  handlers: Layer.Layer<Rpc.ToHandler<Rpcs>, never, R>,
  { inside = Layer.empty, protocol = "http", serialization = RpcSerialization.layerJson, ...options }: Options & {
    readonly serialization?: Serialization
    readonly protocol?: "http" | "websocket"
    /** Middleware between the session's and the route. */
    readonly inside?: Layer.Layer<never, unknown, unknown>
  } = {}
) =>
  serveApp(
    RpcServer.layerHttp({ group, path: "/rpc", protocol }).pipe(
      Layer.provide(handlers),
      Layer.provide(inside),
      Layer.provide(SessionRpc.layer),
      Layer.provide(serialization)
    ) as Routes,
    { ...options, config: { ...options.config, cookie: { secure: false, ...options.config?.cookie } } }
  )

// -----------------------------------------------------------------------------
// clients
// -----------------------------------------------------------------------------

/** A typed client that keeps its cookies, as an application would make it. */
export const rpcClient = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  { url }: Pick<Server, "url">,
  { cookies, maxSize, serialization = RpcSerialization.layerJson }: {
    readonly serialization?: Serialization
    readonly cookies?: Ref.Ref<ReadonlyArray<Cookies.Cookie>>
    /** So many calls go out in one request. */
    readonly maxSize?: number
  } = {}
): Effect.Effect<RpcClient.RpcClient<Rpcs, RpcClientError.RpcClientError>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const jar = cookies ?? (yield* Ref.make<ReadonlyArray<Cookies.Cookie>>([]))
    const protocol = RpcClient.layerProtocolHttp({
      url: `${url}/rpc`,
      transformClient: HttpClient.withCookiesRef(jar),
      ...(maxSize !== undefined && { batch: { window: "1 hour", maxSize } })
    }).pipe(Layer.provide([FetchHttpClient.layer, serialization]))
    const context = yield* Layer.build(protocol)
    return yield* Effect.provideContext(RpcClient.make(group), context)
  }) as never

/** A call as it is sent. */
export interface Message {
  readonly tag: string
  readonly payload?: unknown
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>
}

/** The body of a request with these calls, numbered from zero: as JSON, or as a line for each. */
export const bodyOf = (serialization: "json" | "ndjson", messages: ReadonlyArray<Message>): string => {
  const all = messages.map(({ headers = [], payload = null, tag }, id) => ({
    _tag: "Request",
    id,
    tag,
    payload,
    headers
  }))
  return serialization === "json" ? JSON.stringify(all) : all.map((one) => `${JSON.stringify(one)}\n`).join("")
}

interface Reply {
  readonly _tag: string
  readonly requestId: string | number
  readonly exit:
    | { readonly _tag: "Success"; readonly value: unknown }
    | {
      readonly _tag: "Failure"
      readonly cause: readonly [{ readonly _tag: string; readonly error?: { readonly _tag: string } }]
    }
}

const repliesIn = (body: string): ReadonlyArray<Reply> =>
  body.startsWith("[") ? JSON.parse(body) : body.trimEnd().split("\n").map((line) => JSON.parse(line))

/** What each call has come to, in the order of the calls: its value, or the tag of its error. */
export const outcomesIn = (body: string): ReadonlyArray<unknown> =>
  repliesIn(body)
    .filter(({ _tag }) => _tag === "Exit")
    .toSorted((one, other) => Number(one.requestId) - Number(other.requestId))
    .map(({ exit }) => exit._tag === "Success" ? exit.value : exit.cause[0].error?._tag ?? exit.cause[0]._tag)
