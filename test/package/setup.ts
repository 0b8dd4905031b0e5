/**
 * Packs the package and installs it, once for all tests of the package: in a project with Effect alone, and in another one
 * that has ioredis as well.
 */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { root, run } from "./tools.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly workspace: string
    readonly tarball: string
    readonly project: string
    readonly projectWithIoredis: string
  }
}

export default async ({ provide }: TestProject) => {
  const workspace = await mkdtemp(join(tmpdir(), "effect-session-"))
  const remove = () => rm(workspace, { recursive: true, force: true })
  try {
    const [packed] = JSON.parse(await run(root, "npm", "pack", "--silent", "--json", "--pack-destination", workspace))
    const tarball = join(workspace, packed.filename)
    const project = join(workspace, "project")
    const projectWithIoredis = join(workspace, "projectWithIoredis")
    await mkdir(project)
    await writeFile(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }))
    await install(project, tarball, ...await versions("effect", "@effect/platform-node", "@types/node"))
    await cp(project, projectWithIoredis, { recursive: true })
    await install(projectWithIoredis, ...await versions("ioredis"))
    provide("workspace", workspace)
    provide("tarball", tarball)
    provide("project", project)
    provide("projectWithIoredis", projectWithIoredis)
  } catch (error) {
    await remove()
    throw error
  }
  return remove
}

const install = (folder: string, ...packages: ReadonlyArray<string>) =>
  run(folder, "npm", "install", "--prefer-offline", "--no-audit", "--no-fund", ...packages)

/** The packages as the repository itself uses them. */
const versions = async (...names: ReadonlyArray<string>) => {
  const { devDependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"))
  return names.map((name) => `${name}@${devDependencies[name]}`)
}
