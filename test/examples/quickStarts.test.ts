/**
 * The quick starts, each as a process of its own. They listen on port 3000, so the tests run copies with another port.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { startExample } from "../support/exampleProcess.ts"
import { freePort } from "../support/redisServer.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** A copy within the package, where "effect-session" can be imported. */
const copyWithPort = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      await mkdir(join(root, "tmp"), { recursive: true })
      const folder = await mkdtemp(join(root, "tmp/start-"))
      await cp(join(root, "examples/start"), folder, { recursive: true })
      for (const file of await readdir(folder, { recursive: true })) {
        if (!file.endsWith(".ts")) continue
        const path = join(folder, file)
        await writeFile(path, (await readFile(path, "utf8")).replaceAll("3000", String(port)))
      }
      return folder
    }),
    (folder) => Effect.promise(() => rm(folder, { recursive: true }))
  )

/** As in the .env of the pages. */
const settings = { SESSION_SECRET: "0123456789abcdef0123456789abcdef", SESSION_COOKIE_SECURE: "false" }

const serve = (file: string) =>
  Effect.gen(function*() {
    const port = yield* freePort
    const folder = yield* copyWithPort(port)
    yield* startExample(join(folder, file), settings)
    return { folder, url: `http://localhost:${port}` }
  })

/** Keeps the one cookie that there is, and says that it comes from the site itself, as browsers do. */
const browser = (url: string) => {
  let cookie = ""
  const request = async (path: string, form?: Readonly<Record<string, string>>): Promise<string> => {
    const response = await fetch(`${url}${path}`, {
      redirect: "manual",
      headers: { cookie, "sec-fetch-site": "same-origin" },
      ...(form === undefined ? {} : { method: "POST", body: new URLSearchParams(form) })
    })
    for (const set of response.headers.getSetCookie()) cookie = set.split(";", 1)[0]!
    const location = response.headers.get("location")
    return location === null ? response.text() : request(location)
  }
  return (path: string, form?: Readonly<Record<string, string>>) => Effect.promise(() => request(path, form))
}

describe("the quick start for pages", () => {
  it.live("counts visits", () =>
    Effect.gen(function*() {
      const open = browser((yield* serve("visits.ts")).url)
      assert.include(yield* open("/"), "Visit number 1<")
      assert.include(yield* open("/"), "Visit number 2<")
    }))

  it.live("refuses a wrong password, greets who is logged in, and forgets it at the logout", () =>
    Effect.gen(function*() {
      const open = browser((yield* serve("login.ts")).url)
      assert.include(yield* open("/"), "Visit number 1.")
      const refused = yield* open("/login", { name: "Ada", password: "<wrong>" })
      assert.include(refused, "That is not right.")
      assert.include(refused, "value=\"Ada\"")
      assert.notInclude(refused, "wrong")
      const home = yield* open("/login", { name: "Ada", password: "difference engine" })
      assert.include(home, "You are logged in.")
      assert.include(home, "Hello, Ada.")
      assert.notInclude(yield* open("/"), "You are logged in.")
      assert.include(yield* open("/logout", {}), "You are logged out.")
      assert.notInclude(yield* open("/"), "Ada")
    }))
})

describe.each(["api", "rpc"])("the quick start for %s", (name) => {
  it.live("has a client that keeps its session", () =>
    Effect.gen(function*() {
      const { folder } = yield* serve(`${name}/server.ts`)
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(process.execPath, ["--conditions=effect-session/source", join(folder, name, "client.ts")])
      )
      assert.strictEqual(stdout, "Wrong password\nTotal: 15\n")
    }))
})
