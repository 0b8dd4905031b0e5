/**
 * The installed package in Bun, Deno and workerd: the quick start of README.md, and the examples of docs/production/runtimes.md as they
 * are there.
 */
import { Effect } from "effect"
import { build } from "esbuild"
import { cp, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { beforeAll, describe, expect, inject, it } from "vitest"
import { bun, denoRun, denoServe, endedSessions, startWorker } from "../runtimes/runtimes.ts"
import { onBun, onDeno, onWorkerd } from "../runtimes/tried.ts"
import { cartOf, freePort, keepsCart, quickStart, root, withPort, withServer } from "./tools.ts"

const project = inject("project")
const examples = join(project, "runtimes")

beforeAll(() => cp(join(root, "examples/runtimes"), examples, { recursive: true }))

const logOut = (origin: string, cookie: string) =>
  fetch(`${origin}/logout`, { method: "POST", redirect: "manual", headers: { cookie } })

/** Keeps a cart until the logout. A copy of the cookie is worth nothing afterwards. */
const keepsCartUntilLogout = async (origin: string, output: () => string) => {
  const cookie = await keepsCart(origin, output)
  expect((await logOut(origin, cookie)).status, output()).toBe(302)
  expect(await cartOf(origin, cookie), output()).toBe("total: 0")
  return cookie
}

const runtimes = [
  { name: onBun.runtime, runtime: bun, serving: () => bun },
  { name: onDeno.runtime, runtime: denoRun, serving: denoServe }
]

describe.each(runtimes)("in $name", ({ name, runtime, serving }) => {
  const own = (file: string) => `${name.split(" ", 1)[0]}-${file}`

  it("the quick start keeps a cart", async () => {
    const port = await freePort()
    const file = own("main.ts")
    await writeFile(join(project, file), await quickStart(port))
    await withServer({ runtime, folder: project, file, port }, keepsCart)
  })

  const writeServer = async (port: number) => {
    const file = own("server.ts")
    await writeFile(join(examples, file), withPort(await readFile(join(examples, "server.ts"), "utf8"), port))
    return { runtime: serving(port), folder: examples, file, port }
  }

  it("server.ts keeps a cart until the logout", async () =>
    withServer(await writeServer(await freePort()), keepsCartUntilLogout))

  it("server.ts does not start with a wrong setting, and says which", async () => {
    const server = { ...await writeServer(await freePort()), settings: { SESSION_SECRET: "short" } }
    await expect(withServer(server, async () => {})).rejects.toThrow("SESSION_SECRET")
  })
})

describe(`in ${onWorkerd.runtime}`, () => {
  const bundle = async () => {
    const outfile = join(examples, "worker.js")
    const { warnings } = await build({
      entryPoints: [join(examples, "worker.ts")],
      outfile,
      bundle: true,
      format: "esm",
      minify: true,
      conditions: ["workerd", "worker", "browser"],
      external: ["node:*", "cloudflare:*"],
      logLevel: "silent"
    })
    expect(warnings).toEqual([])
    return outfile
  }

  /** With a folder for the Durable Objects, as they outlive a worker. */
  const withWorker = (use: (origin: string) => Promise<unknown>) =>
    Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const worker = yield* startWorker(yield* Effect.promise(bundle), {
        bindings: { SESSION_SECRET: "0123456789abcdef0123456789abcdef" },
        durableObjects: endedSessions,
        durableObjectsPersist: join(examples, "objects")
      })
      yield* Effect.promise(async () => use((await worker.ready).origin))
    })))

  it("worker.ts keeps a cart until the logout, and remembers that logout when it has started again", async () => {
    let cookie = ""
    await withWorker(async (origin) => {
      cookie = await keepsCartUntilLogout(origin, () => "")
    })
    await withWorker(async (origin) => expect(await cartOf(origin, cookie)).toBe("total: 0"))
  })

  it("worker.ts is as large as docs/production/runtimes.md says", async () => {
    const bytes = await readFile(await bundle())
    const docs = await readFile(join(root, "docs/production/runtimes.md"), "utf8")
    const [, minified, compressed] = docs.match(/`worker\.ts` is (\d+) kB, and (\d+) kB with gzip/) ?? []
    // A few of them are Effect's and change with its versions.
    expect(bytes.length / 1000 / Number(minified)).toBeCloseTo(1, 1)
    expect(gzipSync(bytes).length / 1000 / Number(compressed)).toBeCloseTo(1, 1)
  })
})
