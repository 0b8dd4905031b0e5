/** hono on @hono/node-server, with hono-sessions on Redis; the variant says whether the id in the cookie is encrypted. */
import { serve } from "@hono/node-server"
import { type Context, Hono } from "hono"
import { type Session, type SessionData, sessionMiddleware, type Store } from "hono-sessions"
import { createClient } from "redis"
import { nextPage, nodeRedisOptions, ready, secret, variant } from "../candidate.ts"
import { contentOf } from "../content.ts"
import { scenario, type Visit } from "../scenarios.ts"

const client = createClient(nodeRedisOptions)
client.on("error", () => {})
await client.connect()

const lifetime = 7_200
const keyOf = (id: string) => `hono:${id}`

const write = async (id: string, data: SessionData) => {
  await client.set(keyOf(id), JSON.stringify(data), { expiration: { type: "PX", value: lifetime * 1_000 } })
}

// The package has no store for Redis; this is what it asks of one.
const store: Store = {
  getSessionById: async (id) => {
    const text = await client.get(keyOf(id!))
    return text === null ? null : JSON.parse(text)
  },
  createSession: write,
  persistSessionData: write,
  deleteSession: async (id) => void await client.del(keyOf(id))
}

// By default every request writes the session, to extend its life; this setting spares it that.
const settings = {
  autoExtendExpiration: false,
  expireAfterSeconds: lifetime,
  cookieOptions: { sameSite: "Lax", path: "/", httpOnly: true }
} as const

// Its documentation recommends to encrypt the id, which then is most of what a request costs.
const encryption = variant === "encrypted" ? { encryptionKey: secret } : {}

interface Environment {
  readonly Variables: {
    readonly session: Session<Record<string, string | number> & { readonly list: ReadonlyArray<string> }>
    readonly session_key_rotation: boolean
  }
}

const app = new Hono<Environment>()
app.get("/bare", (context) => context.text("ok"))
app.use("*", sessionMiddleware({ ...settings, ...encryption, store }))
app.get("/untouched", (context) => context.text("ok"))
app.get("/read", (context) => context.text(`${context.get("session").get("page") ?? ""}`))
app.get("/write", (context) => {
  context.get("session").set("page", nextPage())
  return context.text("ok")
})
app.get("/increment", (context) => {
  const session = context.get("session")
  session.set("count", Number(session.get("count") ?? 0) + 1)
  return context.text("ok")
})
app.get("/login", (context) => {
  context.set("session_key_rotation", true)
  context.get("session").set("user", "ada")
  return context.text("ok")
})
app.get("/fill", (context) => {
  const session = context.get("session")
  for (const [name, value] of Object.entries(contentOf(Number(context.req.query("bytes"))))) session.set(name, value)
  return context.text("ok")
})

const visitOf = (context: Context<Environment>): Visit => {
  const session = context.get("session")
  return {
    get: async (key) => session.get(key),
    put: async (key, value) => session.set(key, value),
    increment: async (key) => session.set(key, Number(session.get(key) ?? 0) + 1),
    append: async (_, value) => session.set("list", [...session.get("list") ?? [], value]),
    all: async () => Object.fromEntries(Object.keys(session.getCache()._data).map((key) => [key, session.get(key)])),
    regenerate: async () => context.set("session_key_rotation", true),
    destroy: async () => session.deleteSession()
  }
}

app.get("/scenarios/:name", async (context) => context.text(await scenario(visitOf(context), context.req.url)))

serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => ready(port, { ...settings, id: variant }))
