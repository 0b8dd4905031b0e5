/**
 * What the candidates' servers do where requests meet: written once, on what every library can do with a session, and
 * served by each of them as `/scenarios/<name>`.
 */
import { setTimeout } from "node:timers/promises"

/** The session of a request, used as the library's documentation does it. */
export interface Visit {
  readonly get: (key: string) => Promise<unknown>
  readonly put: (key: string, value: string) => Promise<unknown>
  /** Adds one, as the library's users write it. */
  readonly increment: (key: string) => Promise<unknown>
  /** Appends to a list, which may not be there yet, as the library's users write it. */
  readonly append: (key: string, value: string) => Promise<unknown>
  readonly all: () => Promise<Readonly<Record<string, unknown>>>
  /** Gives the session a new id. */
  readonly regenerate: () => Promise<unknown>
  /** Ends the session. */
  readonly destroy: () => Promise<unknown>
}

type Scenario = (visit: Visit, parameters: URLSearchParams) => Promise<unknown>

/** What a handler does besides: it asks a database, or another server. */
const work = (parameters: URLSearchParams) => setTimeout(Number(parameters.get("work") ?? 0))

const scenarios: Readonly<Record<string, Scenario>> = {
  read: async (visit, parameters) => {
    const user = await visit.get("user")
    await work(parameters)
    return { user }
  },
  put: async (visit, parameters) => {
    await visit.get("user")
    await work(parameters)
    await visit.put(parameters.get("key")!, parameters.get("value") ?? "value")
  },
  increment: async (visit, parameters) => {
    await visit.get("user")
    await work(parameters)
    await visit.increment("count")
  },
  append: async (visit, parameters) => {
    await visit.get("user")
    await work(parameters)
    await visit.append("list", parameters.get("value")!)
  },
  login: async (visit, parameters) => {
    await visit.get("user")
    await work(parameters)
    await visit.regenerate()
    await visit.put("user", parameters.get("user")!)
  },
  logout: (visit) => visit.destroy(),
  all: (visit) => visit.all()
}

/** The body of the answer, for the URL of the request. */
export const scenario = async (visit: Visit, url: string): Promise<string> => {
  const { pathname, searchParams } = new URL(url, "http://localhost")
  const answer = await scenarios[pathname.slice("/scenarios/".length)]!(visit, searchParams)
  return JSON.stringify(answer ?? "ok")
}
