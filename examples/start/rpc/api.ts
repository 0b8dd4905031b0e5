import { Schema } from "effect"
import * as SessionRpc from "effect-session/SessionRpc"
import { Rpc, RpcGroup } from "effect/rpc"

export class WrongPassword extends Schema.TaggedError<WrongPassword>()("WrongPassword", {}) {}

export class Shop extends RpcGroup.make(
  Rpc.make("login", {
    payload: { name: Schema.String, password: Schema.String },
    error: WrongPassword
  }),
  Rpc.make("add", { payload: { price: Schema.Number }, success: Schema.Number })
).middleware(SessionRpc.Middleware) {}
