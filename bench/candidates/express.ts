/** express 5, with express-session on connect-redis. */
import { RedisStore } from "connect-redis"
import express, { type Request } from "express"
import session from "express-session"
import { createClient } from "redis"
import { nextPage, nodeRedisOptions, ready, secret } from "../candidate.ts"
import { contentOf } from "../content.ts"
import { scenario, type Visit } from "../scenarios.ts"

declare module "express-session" {
  interface SessionData {
    [field: string]: unknown
    page: string
    count: number
    list: ReadonlyArray<string>
    user: string
  }
}

const client = createClient(nodeRedisOptions)
client.on("error", () => {})
await client.connect()

const settings = { resave: false, saveUninitialized: false, cookie: { maxAge: 7_200_000, sameSite: "lax" } } as const

const app = express()
app.get("/bare", (_, response) => void response.send("ok"))
app.use(session({ ...settings, secret, store: new RedisStore({ client, prefix: "express:" }) }))
app.get("/untouched", (_, response) => void response.send("ok"))
app.get("/read", (request, response) => void response.send(request.session.page))
app.get("/write", (request, response) => {
  request.session.page = nextPage()
  response.send("ok")
})
app.get("/increment", (request, response) => {
  request.session.count = (request.session.count ?? 0) + 1
  response.send("ok")
})
app.get("/login", (request, response, next) => {
  request.session.regenerate((error) => {
    if (error) return next(error)
    request.session.user = "ada"
    response.send("ok")
  })
})
app.get("/fill", (request, response) => {
  Object.assign(request.session, contentOf(Number(request.query["bytes"])))
  response.send("ok")
})

const visitOf = (request: Request): Visit => ({
  get: async (key) => request.session[key],
  put: async (key, value) => request.session[key] = value,
  increment: async () => request.session.count = (request.session.count ?? 0) + 1,
  append: async (_, value) => request.session.list = [...request.session.list ?? [], value],
  all: async () => ({ ...request.session }),
  regenerate: () => finished((done) => request.session.regenerate(done)),
  destroy: () => finished((done) => request.session.destroy(done))
})

const finished = (start: (done: (error: unknown) => void) => void): Promise<void> =>
  new Promise((resolve, reject) => start((error) => error ? reject(error as Error) : resolve()))

app.get("/scenarios/:name", (request, response, next) => {
  scenario(visitOf(request), request.originalUrl).then((body) => void response.send(body), next)
})

const server = app.listen(0, "127.0.0.1", () => ready(server, settings))
