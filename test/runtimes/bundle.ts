/**
 * One file of a module and all that it imports, for a runtime that does not know how the tests are resolved.
 */
import { build, type Plugin } from "esbuild"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")

const ours = (file: string) => ({ path: join(import.meta.dirname, file) })

/** Tests register with a runner of our own, and servers are the runtime's own. */
const replaced = (isWorker: boolean): Plugin => ({
  name: "replaced",
  setup: ({ onResolve }) => {
    onResolve({ filter: /^@effect\/vitest$/ }, () => ours("runner.ts"))
    onResolve({ filter: /^@effect\/platform-node$/ }, () => isWorker ? ours("noNode.ts") : undefined)
    onResolve(
      { filter: /\/support\/server\.ts$|^\.\/server\.ts$/ },
      ({ importer }) => importer.endsWith("/webServer.ts") ? undefined : ours("webServer.ts")
    )
  }
})

/** Packages of CommonJS ask for Node.js's own modules with `require`. */
const banner = "import { createRequire as requireFrom } from \"node:module\"; const require = requireFrom(\"/\");"

/** Bundles modules of this folder, each into a file of its own. */
export const bundle = (folder: string, modules: ReadonlyArray<string>): Promise<unknown> =>
  Promise.all(modules.map((module) =>
    build({
      absWorkingDir: root,
      entryPoints: [join(import.meta.dirname, module)],
      outdir: folder,
      bundle: true,
      format: "esm",
      platform: "node",
      conditions: ["effect-session/source"],
      external: ["bun", "cloudflare:workers"],
      plugins: [replaced(module === "worker.ts")],
      banner: { js: banner },
      logLevel: "silent"
    })
  ))
