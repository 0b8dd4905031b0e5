import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schema } from "effect"
import { CookieLayer, Session, SessionConfig, SessionKey, SessionMiddleware } from "effect-session"
import { HttpRouter } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { createServer } from "node:http"
import { Api, WrongPassword } from "./api.ts"

const CartTotal = SessionKey.make("cart_total", Schema.Number, { scope: "visitor" }).pipe(
  SessionKey.withDefault(() => 0)
)

// Ask your database here, and compare hashes.
const isRight = (name: string, password: string) => name === "Ada" && password === "difference engine"

const Account = HttpApiBuilder.group(Api, "account", (handlers) =>
  handlers.handleAll({
    login: ({ payload: { name, password } }) =>
      isRight(name, password)
        ? Session.login(name, { methods: ["password"] })
        : Effect.fail(new WrongPassword()),
    logout: () => Session.logout
  }))

const Cart = HttpApiBuilder.group(Api, "cart", (handlers) =>
  handlers.handleAll({
    total: () => Session.get(CartTotal),
    add: ({ payload }) => Session.increment(CartTotal, payload.price)
  }))

const Routes = HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
  Layer.provide([Account, Cart]),
  Layer.provide(SessionMiddleware.layerApi)
)

HttpRouter.serve(Routes).pipe(
  Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 })),
  Layer.provide(CookieLayer.layer()),
  Layer.provide(SessionConfig.layerConfig()),
  Layer.launch,
  NodeRuntime.runMain
)
