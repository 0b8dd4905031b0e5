/**
 * A browser as far as cookies go: each request has a connection of its own, and what an answer sets is in the jar as soon
 * as its headers are there, so that of two answers the later one wins.
 */
import { request } from "node:http"

export interface Answer {
  /** Nothing if no answer came within the limit, or the connection broke. */
  readonly status: number | undefined
  readonly milliseconds: number
  readonly body: string
  /** The headers that set cookies. */
  readonly cookies: ReadonlyArray<string>
}

export type Jar = Map<string, string>

/** How long a user waits. */
export const patience = 8_000

export const visit = (port: number, path: string, jar: Jar = new Map(), limit = patience): Promise<Answer> =>
  new Promise((resolve) => {
    const start = performance.now()
    let status: number | undefined
    let cookies: ReadonlyArray<string> = []
    let body = ""
    const done = (isWhole: boolean) => {
      clearTimeout(timer)
      resolve({ status: isWhole ? status : undefined, milliseconds: performance.now() - start, body, cookies })
    }
    const headers = jar.size === 0 ? {} : { cookie: Array.from(jar, ([name, value]) => `${name}=${value}`).join("; ") }
    const sent = request({ host: "127.0.0.1", port, path, headers, agent: false }, (response) => {
      status = response.statusCode
      cookies = response.headers["set-cookie"] ?? []
      for (const header of cookies) keep(jar, header)
      response.setEncoding("utf8")
      response.on("data", (data: string) => body += data)
      response.on("close", () => done(response.complete))
    })
    const timer = setTimeout(() => sent.destroy(), limit)
    sent.on("error", () => done(false))
    sent.end()
  })

/** The most that browsers take of a cookie's name and value. */
export const largestCookie = 4_096

/** The length of a cookie's name and value. */
export const sizeOf = (header: string): number => header.split(";", 1)[0]!.length - 1

const keep = (jar: Jar, header: string): void => {
  const [pair = "", ...attributes] = header.split(";").map((part) => part.trim())
  const name = pair.slice(0, pair.indexOf("="))
  if (isOver(attributes)) jar.delete(name)
  else if (sizeOf(header) <= largestCookie) jar.set(name, pair.slice(name.length + 1))
}

const isOver = (attributes: ReadonlyArray<string>): boolean => {
  const valueOf = (name: string) =>
    attributes.find((attribute) => attribute.toLowerCase().startsWith(`${name}=`))?.slice(name.length + 1)
  const age = valueOf("max-age")
  return age !== undefined ? Number(age) <= 0 : Date.parse(valueOf("expires") ?? "") <= Date.now()
}
