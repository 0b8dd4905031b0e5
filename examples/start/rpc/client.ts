import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Ref } from "effect"
import { type Cookies, FetchHttpClient, HttpClient } from "effect/http"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { Shop } from "./api.ts"

const Protocol = Layer.unwrap(
  Effect.map(Ref.make<ReadonlyArray<Cookies.Cookie>>([]), (cookies) =>
    RpcClient.layerProtocolHttp({
      url: "http://localhost:3000/rpc",
      transformClient: HttpClient.withCookiesRef(cookies) // keeps the session
    }))
).pipe(Layer.provide([FetchHttpClient.layer, RpcSerialization.layerJson]))

const program = Effect.gen(function*() {
  const shop = yield* RpcClient.make(Shop)
  yield* shop.add({ price: 10 })
  yield* shop.login({ name: "Ada", password: "analytical engine" }).pipe(
    Effect.catchTag("WrongPassword", () => Console.log("Wrong password"))
  )
  yield* shop.login({ name: "Ada", password: "difference engine" })
  yield* Console.log(`Total: ${yield* shop.add({ price: 5 })}`)
})

program.pipe(Effect.scoped, Effect.provide(Protocol), NodeRuntime.runMain)
