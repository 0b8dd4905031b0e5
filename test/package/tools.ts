/**
 * What the tests of the package have in common: programs that run to their end, and servers that are stopped again.
 */
import { Effect } from "effect"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { delimiter, join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { expect } from "vitest"
import type { Runtime } from "../runtimes/runtimes.ts"
import * as RedisServer from "../support/redisServer.ts"

export const root = fileURLToPath(new URL("../..", import.meta.url))

/** The folders that hold the repository's own tools come first, whoever started the tests. */
const environment = {
  ...process.env,
  PATH: [join(root, "node_modules/.bin"), process.env.PATH].join(delimiter),
  NODE_ENV: undefined
}

/** Runs a program to its end and gives what it printed; if it fails, that is the error. */
export const run = (folder: string, program: string, ...programArguments: ReadonlyArray<string>) =>
  promisify(execFile)(program, programArguments, { cwd: folder, env: environment }).then(
    ({ stdout }) => stdout,
    ({ message, stdout }) => {
      throw new Error(`${message}\n${stdout}`)
    }
  )

export const freePort = (): Promise<number> => Effect.runPromise(RedisServer.freePort)

export interface Server {
  /** By default Node.js. */
  readonly runtime?: Runtime
  readonly folder: string
  readonly file: string
  readonly port: number
  readonly settings?: Readonly<Record<string, string>>
}

/** Runs a server for as long as `use` takes. If the server ends before it listens, what it printed is the error. */
export const withServer = async (
  { file, folder, port, runtime = { command: "node", options: [] }, settings }: Server,
  use: (origin: string, output: () => string) => Promise<unknown>
) => {
  const server = spawn(runtime.command, [...runtime.options, file], {
    cwd: folder,
    env: { ...environment, SESSION_SECRET: "0123456789abcdef0123456789abcdef", PORT: `${port}`, ...settings }
  })
  let printed = ""
  server.stdout.on("data", (text) => printed += text)
  server.stderr.on("data", (text) => printed += text)
  // Where an error comes from a bundle, Node.js prints the line, which may be the whole bundle.
  const output = () => printed.replace(/(?<=^.{300}).+/gm, "…")
  const ended = once(server, "close")
  const origin = `http://localhost:${port}`
  try {
    while (!(await isListening(origin))) {
      if (server.exitCode !== null || server.signalCode !== null) {
        await ended
        throw new Error(`The server ended:\n${output()}`)
      }
      await setTimeout(100)
    }
    await use(origin, output)
  } finally {
    server.kill()
    await ended
  }
}

/** Asks again after a second: what comes before the driver is connected, while the port is open already, gets no answer. */
const isListening = (origin: string) =>
  fetch(origin, { signal: AbortSignal.timeout(1000) }).then(() => true, () => false)

// -----------------------------------------------------------------------------
// the cart of the examples
// -----------------------------------------------------------------------------

/** The first block of TypeScript under the heading "Quick start" in README.md, for a port. */
export const quickStart = async (port: number): Promise<string> => {
  const readme = await readFile(join(root, "README.md"), "utf8")
  const section = readme.split(/^## /m).find((part) => part.startsWith("Quick start\n"))
  const code = section?.match(/^```ts\n(.*?)^```$/ms)?.[1]
  return withPort(code ?? expect.fail("README.md has no block of TypeScript under a heading \"Quick start\"."), port)
}

/** An example that listens somewhere else. */
export const withPort = (code: string, port: number): string => {
  expect(code.split("3000"), "The example names its port, 3000, once.").toHaveLength(2)
  return code.replace("3000", `${port}`)
}

/** Puts something into the cart and finds it there. Gives the cookie. */
export const keepsCart = async (origin: string, output: () => string): Promise<string> => {
  const cart = `${origin}/cart`
  const empty = await fetch(cart)
  expect(await empty.text(), output()).toBe("total: 0")
  expect(empty.headers.getSetCookie()).toEqual([])

  const added = await fetch(cart, { method: "POST", redirect: "manual" })
  expect(added.status, output()).toBe(302)
  expect(added.headers.get("location")).toBe("/cart")
  const cookies = added.headers.getSetCookie()
  expect(cookies).toHaveLength(1)

  const [cookie] = cookies[0]!.split(";", 1)
  expect(await cartOf(origin, cookie!), output()).toBe("total: 10")
  return cookie!
}

/** What the cart says to a cookie. */
export const cartOf = (origin: string, cookie: string): Promise<string> =>
  fetch(`${origin}/cart`, { headers: { cookie } }).then((response) => response.text())
