/**
 * Disks in memory that can be full or read-only; whoever runs the tests needs the right to mount them.
 */
import { Effect, type Scope } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const run = (command: string, ...parameters: ReadonlyArray<string>): boolean =>
  spawnSync(command, parameters, { stdio: "ignore" }).status === 0

const mount = (options: string): string | undefined => {
  const folder = mkdtempSync(join(tmpdir(), "effect-session-disk-"))
  if (run("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder)) return folder
  rmdirSync(folder)
  return undefined
}

const unmount = (folder: string): void => {
  run("umount", folder)
  rmdirSync(folder)
}

/** A disk in memory, with so much room. */
export const disk = (options: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => mount(options)!),
    (folder) => Effect.sync(() => unmount(folder))
  )

const remount = (folder: string, how: "ro" | "rw") =>
  Effect.sync(() => {
    if (!run("mount", "-o", `remount,${how}`, folder)) throw new Error(`${folder} can't be made ${how}`)
  })

export const remountReadonly = (folder: string) => remount(folder, "ro")

export const remountWritable = (folder: string) => remount(folder, "rw")

export const canMount = (() => {
  const folder = mount("size=64k")
  if (folder !== undefined) unmount(folder)
  return folder !== undefined
})()
if (!canMount) console.warn("Without the right to mount a disk (as root has), the tests with full disks are skipped")
