import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Ref } from "effect"
import { type Cookies, FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { Api } from "./api.ts"

const program = Effect.gen(function*() {
  const cookies = yield* Ref.make<ReadonlyArray<Cookies.Cookie>>([])
  const client = yield* HttpApiClient.make(Api, {
    transformClient: (client) =>
      client.pipe(
        HttpClient.mapRequest(HttpClientRequest.prependUrl("http://localhost:3000")),
        HttpClient.withCookiesRef(cookies) // keeps the session
      )
  })

  yield* client.cart.add({ payload: { price: 10 } })
  yield* client.account.login({ payload: { name: "Ada", password: "analytical engine" } }).pipe(
    Effect.catchTag("WrongPassword", () => Console.log("Wrong password"))
  )
  yield* client.account.login({ payload: { name: "Ada", password: "difference engine" } })
  yield* client.cart.add({ payload: { price: 5 } })
  yield* Console.log(`Total: ${yield* client.cart.total()}`)
  yield* client.account.logout()
})

program.pipe(Effect.provide(FetchHttpClient.layer), NodeRuntime.runMain)
