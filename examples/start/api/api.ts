import { Schema } from "effect"
import { SessionError, SessionMiddleware } from "effect-session"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"

export class WrongPassword extends Schema.TaggedError<WrongPassword>()("WrongPassword", {}, { httpApiStatus: 403 }) {}

const Account = HttpApiGroup.make("account").add(
  HttpApiEndpoint.post("login", "/login", {
    payload: Schema.Struct({ name: Schema.String, password: Schema.String }),
    success: HttpApiSchema.NoContent,
    error: [WrongPassword, SessionError.SessionLimitError, SessionError.SessionOwnerError]
  }),
  HttpApiEndpoint.post("logout", "/logout", { success: HttpApiSchema.NoContent })
)

const Cart = HttpApiGroup.make("cart").add(
  HttpApiEndpoint.get("total", "/cart", { success: Schema.Number }),
  HttpApiEndpoint.post("add", "/cart", {
    payload: Schema.Struct({ price: Schema.Number }),
    success: Schema.Number
  })
)

export const Api = HttpApi.make("shop").add(Account, Cart).middleware(SessionMiddleware.Api)
