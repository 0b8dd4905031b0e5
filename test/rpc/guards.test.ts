/**
 * Guards before procedures.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { Session, SessionError, SessionGuard, SessionRpc } from "effect-session"
import { Rpc, RpcGroup, RpcMiddleware } from "effect/rpc"
import { watchStore } from "../support/failingStore.ts"
import { Count, Name } from "../support/routes.ts"
import { rpcClient, serializations, serveRpc } from "../support/rpc.ts"

class CurrentUser extends Context.Service<CurrentUser, string>()("CurrentUser") {}

class LoggedIn extends RpcMiddleware.Service<LoggedIn, { requires: Session.Session; provides: CurrentUser }>()(
  "LoggedIn",
  { error: SessionError.SessionUnauthenticatedError }
) {}

// Only what was added before the guard is behind it.
const Account = RpcGroup.make(Rpc.make("greeting", { success: Schema.String }))
  .middleware(LoggedIn)
  .add(Rpc.make("login", { payload: { name: Schema.String } }))
  .middleware(SessionRpc.Middleware)

const attempts = Effect.tap(SessionGuard.required(Name), () => Session.increment(Count))

const handlers = Account.toLayer({
  greeting: () => Effect.map(CurrentUser, (name) => `Hello, ${name}`),
  login: ({ name }) => SessionRpc.handler(Session.put(Name, name))
}).pipe(Layer.provideMerge(SessionGuard.layerRpc(LoggedIn, CurrentUser, attempts)))

describe.each(Object.entries(serializations))("a guard, as %s", (_, serialization) => {
  it.effect("refuses who is not logged in, with a typed error, and gives the user to the procedure", () =>
    Effect.gen(function*() {
      const server = yield* serveRpc(Account, handlers, { serialization })
      const client = yield* rpcClient(Account, server, { serialization })
      assert.instanceOf(yield* Effect.flip(client.greeting()), SessionError.SessionUnauthenticatedError)
      yield* client.login({ name: "Ada" })
      assert.strictEqual(yield* client.greeting(), "Hello, Ada")
    }))

  it.effect("fails with the errors of sessions, which the session's middleware declares", () =>
    Effect.gen(function*() {
      const store = watchStore()
      const server = yield* serveRpc(Account, handlers, { serialization, store: store.layer })
      const client = yield* rpcClient(Account, server, { serialization })
      yield* client.login({ name: "Ada" })
      store.fails("load")
      assert.instanceOf(yield* Effect.flip(client.greeting()), SessionError.SessionStoreError)
    }))
})
