import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Option, Schema } from "effect"
import { CookieLayer, Csrf, Session, SessionConfig, SessionKey, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"

// What is in the session

const UserName = SessionKey.make("user_name", Schema.String)
const Visits = SessionKey.make("visits", Schema.Int).pipe(SessionKey.withDefault(() => 0))

// Pages

const escape = (text: string) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

const seeOther = (path: string) => HttpServerResponse.redirect(path, { status: 303 })

const page = (content: string) =>
  Effect.map(Session.flashMessages, (flashed) =>
    HttpServerResponse.html(`<!doctype html>
<title>My site</title>
<p role="status">${escape(String(flashed.get("message", "")))}</p>
${content}`))

const home = Effect.gen(function*() {
  const visits = yield* Session.increment(Visits)
  const user = yield* UserName // a key is an Effect that reads it
  const token = yield* Csrf.field
  return yield* page(Option.match(user, {
    onNone: () => `<p>Visit number ${visits}. <a href="/login">Log in</a></p>`,
    onSome: (name) =>
      `<p>Hello, ${escape(name)}. Visit number ${visits}.</p>
<form method="post" action="/logout">${token}<button>Log out</button></form>`
  }))
})

const loginForm = Effect.gen(function*() {
  const token = yield* Csrf.field
  const flashed = yield* Session.flashMessages
  return yield* page(`<form method="post" action="/login">
  ${token}
  <label>Name <input name="name" value="${escape(String(flashed.get("name", "")))}"></label>
  <label>Password <input name="password" type="password"></label>
  <button>Log in</button>
</form>`)
})

// Forms

const LoginForm = Schema.Struct({ name: Schema.String, password: Schema.String })

// Ask your database here, and compare hashes.
const findUser = ({ name, password }: typeof LoginForm.Type) =>
  Effect.succeed(name === "Ada" && password === "difference engine" ? Option.some({ id: "1", name }) : Option.none())

const login = Effect.gen(function*() {
  const form = yield* HttpServerRequest.schemaBodyUrlParams(LoginForm)
  const user = yield* findUser(form)
  if (Option.isNone(user)) {
    yield* Session.flash("message", "That is not right.")
    yield* Session.flashAll() // the fields, but never a password
    return seeOther("/login")
  }
  yield* Session.login(user.value.id, { methods: ["password"] })
  yield* Session.put(UserName, user.value.name)
  yield* Session.flash("message", "You are logged in.")
  return seeOther("/")
})

const logout = Effect.gen(function*() {
  yield* Session.logout
  yield* Session.flash("message", "You are logged out.")
  return seeOther("/")
})

const Pages = Layer.mergeAll(
  HttpRouter.add("GET", "/", home),
  HttpRouter.add("GET", "/login", loginForm)
)

const Forms = Layer.mergeAll(
  HttpRouter.add("POST", "/login", login),
  HttpRouter.add("POST", "/logout", logout)
).pipe(Layer.provide(Csrf.layer))

const Routes = Layer.mergeAll(Pages, Forms).pipe(Layer.provide(SessionMiddleware.layer))

HttpRouter.serve(Routes).pipe(
  Layer.provide(NodeHttpServer.layer(createServer, { port: 3000 })),
  Layer.provide(CookieLayer.layer()),
  Layer.provide(SessionConfig.layerConfig()),
  Layer.launch,
  NodeRuntime.runMain
)
