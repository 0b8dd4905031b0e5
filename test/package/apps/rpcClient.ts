/**
 * What a client in a browser has in common with its server: procedures with sessions.
 */
import * as SessionRpc from "effect-session/SessionRpc"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"

export const Cart = RpcGroup.make(Rpc.make("total")).middleware(SessionRpc.Middleware)
