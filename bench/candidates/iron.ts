/** iron-session on node:http. */
import { getIronSession } from "iron-session"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { nextPage, ready, secret } from "../candidate.ts"
import { contentOf } from "../content.ts"

interface Data {
  [field: string]: unknown
  page: string
  count: number
  user: string
}

// A session of 3 kB does not fit into one of its cookies; one that does is the same with and without chunks.
const settings = { cookieName: "session", ttl: 7_200, chunk: true, cookieOptions: { secure: false } } as const

const answer = async (request: IncomingMessage, response: ServerResponse): Promise<string> => {
  const url = request.url!
  if (url === "/bare" || url === "/untouched") return "ok"
  const session = await getIronSession<Data>(request, response, { ...settings, password: secret })
  if (url === "/read") return session.page ?? ""
  if (url === "/write") session.page = nextPage()
  else if (url === "/increment") session.count = (session.count ?? 0) + 1
  else if (url === "/login") session.user = "ada"
  else Object.assign(session, contentOf(Number(new URL(url, "http://localhost").searchParams.get("bytes"))))
  await session.save()
  return "ok"
}

const server = createServer(async (request, response) => {
  response.setHeader("content-type", "text/plain")
  try {
    response.end(await answer(request, response))
  } catch (error) {
    response.statusCode = 500
    response.end(String(error))
  }
})

server.listen(0, "127.0.0.1", () => ready(server, settings))
