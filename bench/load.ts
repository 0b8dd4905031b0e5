/**
 * The load: so many clients, each with a connection and a cookie jar of its own, each with one request on its way.
 *
 * It is written on sockets, because it has half a core for itself: the clients that there are take longer for a request
 * than the fastest servers, so it is them that would be measured, and those that are faster keep no cookies.
 */
import { connect } from "node:net"

export interface Load {
  readonly requests: number
  readonly seconds: number
  /** Of the time to an answer, in milliseconds. */
  readonly p50: number
  readonly p99: number
}

export interface Client {
  /** Sends a GET request, and answers with the body. */
  readonly get: (path: string) => Promise<string>
  readonly close: () => void
}

/** One client. Whatever cookies it gets it sends with its next request. */
export const connectClient = async (port: number): Promise<Client> => {
  const socket = connect(port, "127.0.0.1")
  socket.setNoDelay().setEncoding("latin1")
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject))
  const cookies = new Map<string, string>()
  let header = ""
  let received = ""
  let waiting: PromiseWithResolvers<Answer> | undefined
  socket.on("data", (data) => {
    received += data
    const answer = parse(received)
    if (answer === undefined) return
    received = ""
    waiting?.resolve(answer)
  })
  socket.on("error", () => {})
  socket.on("close", () => waiting?.reject(new Error("The server has closed the connection")))
  return {
    get: async (path) => {
      waiting = Promise.withResolvers()
      socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n${header}\r\n`)
      const { body, head } = await waiting.promise
      if (!head.startsWith("HTTP/1.1 200")) throw new Error(`${path}: ${head}\n\n${body}`)
      if (keepCookies(head, cookies)) header = headerOf(cookies)
      return body
    },
    close: () => socket.destroy()
  }
}

interface Answer {
  readonly head: string
  readonly body: string
}

/** Nothing as long as it is not whole. */
const parse = (text: string): Answer | undefined => {
  const headEnd = text.indexOf("\r\n\r\n")
  if (headEnd === -1) return undefined
  const head = text.slice(0, headEnd)
  const length = /\r\ncontent-length: (\d+)/i.exec(head)
  const start = headEnd + 4
  const end = length ? start + Number(length[1]) : text.indexOf("0\r\n\r\n", start) + 5
  return text.length < end || end === 4 ? undefined : { head, body: text.slice(start, end) }
}

const setCookie = /\r\nset-cookie: ([^=]+)=([^;\r]*)([^\r]*)/gi

const keepCookies = (head: string, cookies: Map<string, string>): boolean => {
  if (!head.includes("et-")) return false
  let isChanged = false
  for (const [, name, value, attributes] of head.matchAll(setCookie)) {
    isChanged = true
    if (value === "" || /max-age=0|1970/i.test(attributes!)) cookies.delete(name!)
    else cookies.set(name!, value!)
  }
  return isChanged
}

const headerOf = (cookies: ReadonlyMap<string, string>): string =>
  cookies.size === 0 ? "" : `cookie: ${Array.from(cookies, ([name, value]) => `${name}=${value}`).join("; ")}\r\n`

/** The clients ask for the path again and again, so many times altogether. */
export const runTimes = async (clients: ReadonlyArray<Client>, path: string, times: number): Promise<void> => {
  let left = times
  await Promise.all(clients.map(async (client) => {
    while (left-- > 0) await client.get(path)
  }))
}

/** Every client asks for the path again and again, for so many milliseconds. */
export const run = async (clients: ReadonlyArray<Client>, path: string, milliseconds: number): Promise<Load> => {
  const times: Array<number> = []
  const start = performance.now()
  const end = start + milliseconds
  await Promise.all(clients.map(async (client) => {
    let before = performance.now()
    while (before < end) {
      await client.get(path)
      const now = performance.now()
      times.push(now - before)
      before = now
    }
  }))
  const seconds = (performance.now() - start) / 1000
  times.sort((a, b) => a - b)
  const percentile = (share: number) =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN
  return { requests: times.length, seconds, p50: percentile(0.5), p99: percentile(0.99) }
}
