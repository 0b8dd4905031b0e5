import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schema } from "effect"
import { CookieLayer, Session, SessionConfig, SessionKey, SessionRpc } from "effect-session"
import { HttpRouter } from "effect/http"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { createServer } from "node:http"
import { Shop, WrongPassword } from "./api.ts"

const CartTotal = SessionKey.make("cart_total", Schema.Number, { scope: "visitor" }).pipe(
  SessionKey.withDefault(() => 0)
)

// Ask your database here, and compare hashes.
const isRight = (name: string, password: string) => name === "Ada" && password === "difference engine"

const Handlers = Shop.toLayer({
  login: ({ name, password }) =>
    isRight(name, password)
      ? SessionRpc.handler(Session.login(name, { methods: ["password"] }))
      : Effect.fail(new WrongPassword()),
  add: ({ price }) => SessionRpc.handler(Session.increment(CartTotal, price))
})

const Routes = RpcServer.layerHttp({ group: Shop, path: "/rpc", protocol: "http" }).pipe(
  Layer.provide(Handlers),
  Layer.provide(SessionRpc.layer),
  Layer.provide(RpcSerialization.layerJson)
)

HttpRouter.serve(Routes).pipe(
  Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 })),
  Layer.provide(CookieLayer.layer()),
  Layer.provide(SessionConfig.layerConfig()),
  Layer.launch,
  NodeRuntime.runMain
)
