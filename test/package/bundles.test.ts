/**
 * The package in bundles, as esbuild and rolldown make them of the applications in the folder `apps`: each builds without a
 * warning, runs from its one file in an otherwise empty folder, and carries the code of its own driver alone.
 */
import { build, type Metafile } from "esbuild"
import { existsSync } from "node:fs"
import { cp, mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as Rolldown from "rolldown"
import { beforeAll, describe, expect, inject, it } from "vitest"
import { shared, startRedis } from "../support/redisServer.ts"
import { rowsBehind } from "../support/tables.ts"
import { freePort, root, withServer } from "./tools.ts"

const plain = inject("project")
const withIoredis = inject("projectWithIoredis")

const redis = shared(startRedis())

beforeAll(async () => {
  await cp(join(import.meta.dirname, "apps"), join(plain, "apps"), { recursive: true })
  await cp(join(import.meta.dirname, "apps"), join(withIoredis, "apps"), { recursive: true })
  await writeBarrelApps(join(plain, "apps"), join(plain, "barrel"))
})

/** The same applications, with all that they take of the package from "effect-session". */
const writeBarrelApps = async (from: string, to: string) => {
  await mkdir(to)
  for (const file of await readdir(from)) {
    const code = await readFile(join(from, file), "utf8")
    await writeFile(
      join(to, file),
      code.replace(/\* as (\w+) from "effect-session\/\w+"/g, "{ $1 } from \"effect-session\"")
    )
  }
}

// -----------------------------------------------------------------------------
// bundles
// -----------------------------------------------------------------------------

interface Bundle {
  /** Holds the bundle, `server.mjs`, and nothing else. */
  readonly folder: string
  readonly warnings: ReadonlyArray<string>
  /** The files that went in, those of which nothing is left included. */
  readonly files: ReadonlyArray<string>
  /** What the bundle imports when it runs. */
  readonly imports: ReadonlyArray<string>
  /** How many bytes are left of which module of ours. */
  readonly sizes: ReadonlyArray<readonly [module: string, bytes: number]>
}

// Effect's server for Node.js uses ws, a CommonJS module, which asks for Node.js's own modules with `require`.
const banner = "import { createRequire } from \"node:module\"; const require = createRequire(import.meta.url);"

const emptyFolder = (name: string) => mkdtemp(join(inject("workspace"), `${name}-`))

const bundle = async (project: string, app: string, platform: "node" | "browser" = "node"): Promise<Bundle> => {
  const folder = await emptyFolder("bundle")
  const { metafile, warnings } = await build({
    absWorkingDir: project,
    entryPoints: [app],
    outfile: join(folder, "server.mjs"),
    bundle: true,
    format: "esm",
    platform,
    minify: true,
    metafile: true,
    ...(platform === "node" ? { banner: { js: banner } } : { external: ["node:*"] }),
    logLevel: "silent"
  })
  expect(await readdir(folder)).toEqual(["server.mjs"])
  return {
    folder,
    warnings: warnings.map(({ text }) => text),
    files: Object.keys(metafile.inputs),
    imports: Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path)),
    sizes: sizesOf(metafile)
  }
}

const sizesOf = ({ outputs }: Metafile) =>
  Object.values(outputs)
    .flatMap(({ inputs }) => Object.entries(inputs))
    .flatMap(([file, { bytesInOutput }]) => modulesOf([file]).map((module) => [module, bytesInOutput] as const))
    .toSorted(([, one], [, other]) => other - one)

/** The modules of ours among files, such as "internal/record/codec". */
const modulesOf = (files: ReadonlyArray<string>) =>
  files.flatMap((file) => /node_modules\/effect-session\/dist\/(.+)\.js$/.exec(file)?.slice(1) ?? [])

const isOfSomeDriver = (module: string) => /^internal\/drivers\/|^\w+Layer$|^SessionDriver$/.test(module)

/** The modules of other drivers. */
const foreign = (modules: ReadonlyArray<string>, layer: string, folder: string) =>
  modules.filter((module) =>
    isOfSomeDriver(module) && module !== layer && !module.startsWith(`internal/drivers/${folder}/`)
  )

const optionalPeers = async (): Promise<ReadonlyArray<string>> =>
  Object.keys(JSON.parse(await readFile(join(root, "package.json"), "utf8")).peerDependenciesMeta)

const optionalPeersIn = async (files: ReadonlyArray<string>) =>
  (await optionalPeers()).filter((name) => files.some((file) => file.includes(`node_modules/${name}/`)))

// -----------------------------------------------------------------------------
// runs
// -----------------------------------------------------------------------------

/** Logs in and comes back, with the cookies that came, and once without. */
const keepsSession = (folder: string, settings: Readonly<Record<string, string>> = {}) =>
  runs(folder, settings, async (origin, output) => {
    const login = await post(`${origin}/login`)
    const first = await post(`${origin}/visits`, login.cookie)
    const second = await post(`${origin}/visits`, first.cookie)
    const stranger = await post(`${origin}/visits`)
    expect([first.text, second.text, stranger.text], output()).toEqual(["anna: 1", "anna: 2", "nobody: 1"])
  })

const runs = async (
  folder: string,
  settings: Readonly<Record<string, string>>,
  use: Parameters<typeof withServer>[1]
) => withServer({ folder, file: "server.mjs", port: await freePort(), settings }, use)

/** The answer, and the cookie to send from then on. */
const post = async (url: string, cookie = "") => {
  const answer = await fetch(url, { method: "POST", headers: { cookie } })
  return { text: await answer.text(), cookie: answer.headers.getSetCookie()[0]?.split(";", 1)[0] ?? cookie }
}

// -----------------------------------------------------------------------------
// tests
// -----------------------------------------------------------------------------

it("the projects hold no optional peer but the one that was installed", async () => {
  const peersOf = async (project: string) =>
    (await optionalPeers()).filter((name) => existsSync(join(project, "node_modules", name)))
  expect(await peersOf(plain)).toEqual([])
  expect(await peersOf(withIoredis)).toEqual(["ioredis"])
})

/** The limits leave about an eighth to grow. */
const applications = [
  { layer: "CookieLayer", name: "cookie", project: plain, peers: [], kilobytes: 108, settings: () => ({}) },
  { layer: "MemoryLayer", name: "memory", project: plain, peers: [], kilobytes: 116, settings: () => ({}) },
  {
    layer: "RedisLayer",
    name: "redis",
    project: withIoredis,
    peers: ["ioredis"],
    kilobytes: 138,
    settings: () => ({ REDIS_URL: redis().url })
  }
]

describe.each(applications)("a bundle with the $layer", ({ kilobytes, layer, name, peers, project, settings }) => {
  let built: Bundle

  beforeAll(async () => {
    built = await bundle(project, `apps/${name}.ts`)
  })

  it("builds without a warning", () => expect(built.warnings).toEqual([]))

  it("runs from its one file, and keeps a session", () => keepsSession(built.folder, settings()))

  it("carries no other driver, and no client but its own", async () => {
    expect(modulesOf(built.files)).toContain(layer)
    expect(foreign(modulesOf(built.files), layer, name)).toEqual([])
    expect(await optionalPeersIn(built.files)).toEqual(peers)
  })

  it("carries nothing of effect/rpc", () =>
    expect(built.files.filter((file) => file.includes("node_modules/effect/dist/rpc/"))).toEqual([]))

  it("carries nothing of what is committed at once, as it uses none of it", () => {
    expect(built.sizes.flatMap(([module, size]) => size > 0 ? module : [])).not.toContain("internal/request/aside")
  })

  it(`has at most ${kilobytes} kB of ours, minified, as the documentation says`, () => {
    expectAtMost(kilobytes, built.sizes)
    expect(rowsBehind("production/serverless.md", "bundles")).toContainEqual([layer, `${kilobytes} kB`])
  })
})

const expectAtMost = (kilobytes: number, sizes: Bundle["sizes"]) => {
  const bytes = sizes.reduce((sum, [, size]) => sum + size, 0)
  const list = sizes.map(([module, size]) => `${size} ${module}`).join("\n")
  expect(bytes, `${bytes} bytes of ours:\n${list}`).toBeLessThanOrEqual(kilobytes * 1000)
}

describe("a bundle for a browser, with procedures that have sessions", () => {
  it("builds without a warning, needs nothing of Node.js, and has at most 6 kB of ours, minified", async () => {
    const { imports, sizes, warnings } = await bundle(plain, "apps/rpcClient.ts", "browser")
    expect(warnings).toEqual([])
    expect(imports).toEqual([])
    expectAtMost(6, sizes)
  })
})

describe("a bundle that takes the CookieLayer from \"effect-session\"", () => {
  it("builds with esbuild without a warning, carries no other driver, and runs", async () => {
    const { files, folder, sizes, warnings } = await bundle(plain, "barrel/cookie.ts")
    expect(warnings).toEqual([])
    expect(modulesOf(files)).toContain("index")
    expect(foreign(sizes.flatMap(([module, size]) => size > 0 ? module : []), "CookieLayer", "cookie")).toEqual([])
    expectAtMost(114, sizes)
    await keepsSession(folder)
  })

  it("carries no other driver with rolldown, and runs", async () => {
    const folder = await emptyFolder("bundle")
    const { output: [chunk, ...others] } = await Rolldown.build({
      cwd: plain,
      input: "barrel/cookie.ts",
      output: { file: join(folder, "server.mjs"), minify: true },
      platform: "node",
      logLevel: "silent"
    })
    const modules = modulesOf(Object.entries(chunk.modules).flatMap(([file, { code }]) => code ? file : []))
    expect(others).toEqual([])
    expect(modules).toContain("CookieLayer")
    expect(foreign(modules, "CookieLayer", "cookie")).toEqual([])
    await keepsSession(folder)
  })
})

describe("a bundle with the driver that the configuration names, where only ioredis is installed", () => {
  let built: Bundle

  beforeAll(async () => {
    built = await bundle(withIoredis, "apps/driver.ts")
  })

  it("builds without a warning, with ioredis inside", async () => {
    expect(built.warnings).toEqual([])
    expect(await optionalPeersIn(built.files)).toEqual(["ioredis"])
  })

  it("runs with the CookieLayer", () => keepsSession(built.folder, { SESSION_DRIVER: "cookie" }))

  it("runs with the RedisLayer", () =>
    keepsSession(built.folder, { SESSION_DRIVER: "redis", SESSION_STORE_URL: redis().url }))

  it("does not start with the DynamoLayer, and says what to install", () =>
    failsToStart(built.folder, "dynamodb", "run `npm install @aws-sdk/client-dynamodb`"))
})

describe("a bundle with the driver that the configuration names, where no optional peer is installed", () => {
  it("does not start with the RedisLayer, and says what to install", async () => {
    const { folder, warnings } = await bundle(plain, "apps/driver.ts")
    expect(warnings).toEqual([])
    await failsToStart(folder, "redis", "run `npm install ioredis`")
  })
})

const failsToStart = (folder: string, driver: string, message: string) =>
  expect(runs(folder, { SESSION_DRIVER: driver, ...tableOf(driver) }, async () => {})).rejects.toThrow(message)

/** A table has no name by default. */
const tableOf = (driver: string) => driver === "dynamodb" ? { SESSION_STORE_TABLE: "sessions" } : {}
