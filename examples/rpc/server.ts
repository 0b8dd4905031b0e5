/**
 * RPC with sessions. Start the server, and then the client:
 *
 *     node --conditions=effect-session/source examples/rpc/server.ts
 *     node --conditions=effect-session/source examples/rpc/client.ts
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Schema, Stream } from "effect"
import { MemoryLayer, Session, SessionConfig, SessionGuard, SessionKey, SessionRpc } from "effect-session"
import { HttpRouter } from "effect/http"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { createServer } from "node:http"
import { CurrentUser, LoggedIn, Shop } from "./api.ts"

const UserName = SessionKey.make("user_name", Schema.String)
const Cart = SessionKey.make("cart", Schema.Array(Schema.String)).pipe(SessionKey.withDefault(() => []))

const Handlers = Shop.toLayer({
  add: ({ product }) =>
    Session.modify(Cart, (cart) => [...cart, product]).pipe(
      Effect.map((cart) => cart.length),
      SessionRpc.handler
    ),
  // A real shop would ask for a password.
  login: ({ name }) => Effect.andThen(Session.login(name), Session.put(UserName, name)).pipe(SessionRpc.handler),
  // Changes before the first element are saved with the headers of the response.
  order: () =>
    Effect.gen(function*() {
      const user = yield* CurrentUser
      const cart = yield* Cart
      yield* Session.forget(Cart)
      return Stream.fromIterable([...cart.map((product) => `${product} is packed`), `Thank you, ${user}`])
    }).pipe(Stream.unwrap, SessionRpc.handler)
}).pipe(Layer.provideMerge(SessionGuard.layerRpc(LoggedIn, CurrentUser, SessionGuard.required(UserName))))

const Procedures = RpcServer.layerHttp({ group: Shop, path: "/rpc", protocol: "http" }).pipe(
  Layer.provide(Handlers),
  Layer.provide(SessionRpc.layer),
  Layer.provide(RpcSerialization.layerNdjson)
)

// In memory, with a temporary secret, and on plain http. See examples/shop/main.ts for a configurable server.
const Sessions = Layer.unwrap(
  Effect.map(SessionConfig.generateSecret, (secret) => {
    const settings = SessionConfig.layer({ secret, cookie: { secure: false } })
    return Layer.provideMerge(MemoryLayer.layer(), settings)
  })
)

const Server = NodeHttpServer.layerConfig(createServer, {
  host: Config.succeed("127.0.0.1"),
  port: Config.schema(Schema.Port, "PORT").pipe(Config.withDefault(3000))
})

HttpRouter.serve(Procedures).pipe(
  Layer.provide(Server),
  Layer.provide(Sessions),
  Layer.launch,
  NodeRuntime.runMain
)
