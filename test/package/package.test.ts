/**
 * The package as its users get it: packed, held against what Node.js and TypeScript expect of a package, installed
 * in an empty project, and used there as the quick start in README.md says.
 */
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** The folders that hold the repository's own tools come first, whoever started the tests. */
const environment = {
  ...process.env,
  PATH: [join(root, "node_modules/.bin"), process.env.PATH].join(delimiter),
  NODE_ENV: undefined
}

/** Runs a program to its end and gives what it printed; if it fails, that is the error. */
const run = (folder: string, program: string, ...programArguments: ReadonlyArray<string>) =>
  promisify(execFile)(program, programArguments, { cwd: folder, env: environment }).then(
    ({ stdout }) => stdout,
    ({ message, stdout }) => expect.fail(`${message}\n${stdout}`)
  )

/** The first block of TypeScript under the heading "Quick start". */
const quickStart = async () => {
  const readme = await readFile(join(root, "README.md"), "utf8")
  const section = readme.split(/^## /m).find((part) => part.startsWith("Quick start\n"))
  const code = section?.match(/^```ts\n(.*?)^```$/ms)?.[1]
  return code ?? expect.fail("README.md has no block of TypeScript under a heading \"Quick start\".")
}

const freePort = async () => {
  const server = createServer().listen(0)
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
}

let workspace: string
let project: string
let tarball: string

beforeAll(async () => {
  workspace = await mkdtemp(join(tmpdir(), "effect-session-"))
  project = join(workspace, "project")
  await mkdir(project)
  const [packed] = JSON.parse(await run(root, "npm", "pack", "--silent", "--json", "--pack-destination", workspace))
  tarball = join(workspace, packed.filename)
})

afterAll(() => rm(workspace, { recursive: true, force: true }))

describe("the packed package", () => {
  it("is in order for publint", () => run(root, "publint", "run", "--strict", tarball))

  it("has types for every entry, as Are The Types Wrong finds them", () =>
    run(root, "attw", "--profile", "esm-only", tarball))
})

describe("the quick start, in an empty project", () => {
  let port: number

  beforeAll(async () => {
    port = await freePort()
    const code = await quickStart()
    expect(code.split("3000"), "The quick start names its port, 3000, once.").toHaveLength(2)
    await writeFile(join(project, "main.ts"), code.replace("3000", `${port}`))
    await writeFile(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }))
    await writeFile(
      join(project, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          noEmit: true,
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          module: "NodeNext",
          target: "ES2023",
          types: ["node"]
        }
      })
    )
    const { devDependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"))
    const companions = ["effect", "@effect/platform-node", "@types/node"].map((name) =>
      `${name}@${devDependencies[name]}`
    )
    await run(project, "npm", "install", "--prefer-offline", "--no-audit", "--no-fund", tarball, ...companions)
  })

  it("compiles", () => run(project, "tsc"))

  it("keeps a cart", async () => {
    const server = spawn("node", ["main.ts"], {
      cwd: project,
      env: { ...environment, SESSION_SECRET: "0123456789abcdef0123456789abcdef" }
    })
    let output = ""
    server.stdout.on("data", (text) => output += text)
    server.stderr.on("data", (text) => output += text)
    const ended = once(server, "exit")
    const cart = `http://localhost:${port}/cart`
    const isListening = () => fetch(cart).then(() => true, () => false)
    try {
      while (!(await isListening())) {
        expect(server.exitCode, `The server ended:\n${output}`).toBeNull()
        await setTimeout(100)
      }

      const empty = await fetch(cart)
      expect(await empty.text(), output).toBe("total: 0")
      expect(empty.headers.getSetCookie()).toEqual([])

      const added = await fetch(cart, { method: "POST", redirect: "manual" })
      expect(added.status, output).toBe(302)
      expect(added.headers.get("location")).toBe("/cart")
      const cookies = added.headers.getSetCookie()
      expect(cookies).toHaveLength(1)

      const [cookie] = cookies[0]!.split(";", 1)
      const filled = await fetch(cart, { headers: { cookie: cookie! } })
      expect(await filled.text(), output).toBe("total: 10")
    } finally {
      server.kill()
      await ended
    }
  })
})
