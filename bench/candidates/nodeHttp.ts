/** The floor: node:http and a client of Redis that do the reads and writes of a session by hand, without a library. */
import { Redis } from "ioredis"
import { Redis as Redis6 } from "ioredis6"
import { createServer } from "node:http"
import { createClient } from "redis"
import { nextPage, nodeRedisOptions, ready, redisUrl, variant } from "../candidate.ts"
import { contentOf } from "../content.ts"

interface Commands {
  readonly read: (id: string) => Promise<Readonly<Record<string, string>>>
  readonly write: (id: string, fields: Readonly<Record<string, string | number>>) => Promise<unknown>
  readonly increment: (id: string, field: string) => Promise<unknown>
  readonly rename: (id: string, newId: string) => Promise<unknown>
}

const lifetime = 7_200_000

const ioredis = (client: Redis | Redis6): Commands => {
  return {
    read: (id) => client.hgetall(id),
    write: (id, fields) => client.pipeline().hset(id, fields).pexpire(id, lifetime).exec(),
    increment: (id, field) => client.pipeline().hincrby(id, field, 1).pexpire(id, lifetime).exec(),
    rename: (id, newId) => client.rename(id, newId)
  }
}

const nodeRedis = async (): Promise<Commands> => {
  const client = createClient(nodeRedisOptions)
  await client.connect()
  return {
    read: (id) => client.hGetAll(id),
    write: (id, fields) => client.multi().hSet(id, fields).pExpire(id, lifetime).execAsPipeline(),
    increment: (id, field) => client.multi().hIncrBy(id, field, 1).pExpire(id, lifetime).execAsPipeline(),
    rename: (id, newId) => client.rename(id, newId)
  }
}

const commands = variant === "node-redis"
  ? await nodeRedis()
  : ioredis(variant === "ioredis6" ? new Redis6(redisUrl) : new Redis(redisUrl))
const newId = () => `node:${crypto.randomUUID()}`

const server = createServer(async (request, response) => {
  response.setHeader("content-type", "text/plain")
  const url = request.url!
  if (url === "/bare" || url === "/untouched") return response.end("ok")
  const id = request.headers.cookie?.slice("session=".length) ?? newId()
  const answer = (setsCookie: boolean, body = "ok") => {
    if (setsCookie) response.setHeader("set-cookie", `session=${id}; Path=/; HttpOnly; SameSite=Lax`)
    response.end(body)
  }
  if (url === "/read") return answer(false, (await commands.read(id))["page"])
  // Whoever writes has read before: whether the session is there, and whom it belongs to.
  if (url === "/write") {
    await commands.read(id)
    await commands.write(id, { page: nextPage() })
    return answer(false)
  }
  if (url === "/increment") {
    await commands.read(id)
    await commands.increment(id, "count")
    return answer(false)
  }
  if (url === "/login") {
    await commands.read(id)
    const successor = newId()
    await commands.rename(id, successor)
    await commands.write(successor, { user: "ada" })
    response.setHeader("set-cookie", `session=${successor}; Path=/; HttpOnly; SameSite=Lax`)
    return response.end("ok")
  }
  await commands.write(id, contentOf(Number(new URL(url, "http://localhost").searchParams.get("bytes"))))
  return answer(true)
})

server.listen(0, "127.0.0.1", () => ready(server, { client: variant, lifetime }))
