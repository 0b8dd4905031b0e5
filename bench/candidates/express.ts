/** express 5, with express-session; the variant is the store, and whether reading extends a session's life. */
import connectPostgres from "connect-pg-simple"
import { RedisStore } from "connect-redis"
import express, { type Request } from "express"
import session from "express-session"
import { Pool } from "pg"
import { createClient } from "redis"
import fileStore from "session-file-store"
import { folder, nextPage, nodeRedisOptions, poolSize, postgresUrl, ready, secret, variant } from "../candidate.ts"
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

const [kind, touches] = variant.split(", ")

const lifetime = 7_200_000

const onRedis = async () => {
  const client = createClient(nodeRedisOptions)
  client.on("error", () => {})
  await client.connect()
  return new RedisStore({ client, prefix: "express:" })
}

// By default it extends a session's life at every request, by an UPDATE.
const onPostgres = () =>
  new (connectPostgres(session))({
    pool: new Pool({ connectionString: postgresUrl, max: poolSize }),
    createTableIfMissing: true,
    disableTouch: touches === "no touch"
  })

// By default it extends a session's life at every request, by reading and writing the file once more, and no setting
// stops that; but express-session does without it where a store has no such method.
const onFiles = () => {
  const store = new (fileStore(session))({ path: folder, ttl: lifetime / 1_000, logFn: () => {} })
  return touches === "no touch" ? Object.assign(store, { touch: undefined }) : store
}

const stores = { redis: onRedis, postgres: onPostgres, file: onFiles }

const settings = { resave: false, saveUninitialized: false, cookie: { maxAge: lifetime, sameSite: "lax" } } as const

const store = await stores[kind as keyof typeof stores]()

const app = express()
app.get("/bare", (_, response) => void response.send("ok"))
app.use(session({ ...settings, secret, store }))
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

const server = app.listen(0, "127.0.0.1", () => {
  ready(server, { ...settings, store: kind, touch: touches ?? "as it comes", ...kind === "postgres" && { poolSize } })
})
