/**
 * Which request does what: POST /code sends a code by mail, and POST /login accepts it. Each code allows three tries, however many are sent
 * at the same time.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Session, SessionKey, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { randomInt } from "node:crypto"

/** The address that it was sent to, and the code. The first wrong ones may be typos. */
export const Code = SessionKey.make("code", Schema.Struct({ email: Schema.String, code: Schema.String })).pipe(
  SessionKey.attempts(3),
  SessionKey.expires("10 minutes")
)

export class Mails extends Context.Service<Mails, {
  readonly send: (email: string, text: string) => Effect.Effect<void>
}>()("examples/code/Mails") {}

const badRequest = Effect.succeed(HttpServerResponse.text("Bad Request", { status: 400 }))

const CodeForm = Schema.Struct({ email: Schema.NonEmptyString })

// The answer is the same for every address, so it doesn't reveal accounts. A real server also limits the
// mails per address, because each of them allows three more tries.
const sendCode = Effect.gen(function*() {
  const { email } = yield* HttpServerRequest.schemaBodyUrlParams(CodeForm)
  const code = String(randomInt(1_000_000)).padStart(6, "0")
  yield* Session.put(Code, { email, code })
  yield* (yield* Mails).send(email, `Your code is ${code}. It is good for ten minutes.`)
  return HttpServerResponse.text("We have sent you a code")
}).pipe(Effect.catchTag("SchemaError", () => badRequest))

const LoginForm = Schema.Struct({ code: Schema.String })

const login = Effect.gen(function*() {
  const given = yield* HttpServerRequest.schemaBodyUrlParams(LoginForm)
  let email = ""
  const isRight = yield* Session.attempt(Code, (sent) => {
    email = sent.email
    return sent.code === given.code
  })
  if (!isRight) return HttpServerResponse.text("This is not the code", { status: 401 })
  yield* Session.login(email, { methods: ["mail"] })
  return HttpServerResponse.text(`Welcome, ${email}`)
}).pipe(
  Effect.catchTag(
    "SessionAttemptsError",
    () => Effect.succeed(HttpServerResponse.text("The code is not good any more. Ask for another one", { status: 403 }))
  ),
  Effect.catchTag("SchemaError", () => badRequest)
)

export const Routes = Layer.mergeAll(
  HttpRouter.add("POST", "/code", sendCode),
  HttpRouter.add("POST", "/login", login)
).pipe(Layer.provide(SessionMiddleware.layer))
