/**
 * What runs in Bun and in Deno: it tries the driver that its first argument names, and prints what came of it as JSON.
 */
import { NodeServices } from "@effect/platform-node"
import { Layer } from "effect"
import { FileLayer, RedisLayer } from "effect-session"
import { cookie, memory, shared } from "./drivers.ts"
import { runTests } from "./runner.ts"

/** The second argument says where the driver stores: a folder, or the URL of a Redis. */
interface Drivers {
  readonly [name: string]: (place: string) => void
}

const ofAll: Drivers = {
  memory,
  cookie,
  file: (location) => shared("FileLayer", Layer.provide(FileLayer.layer({ location }), NodeServices.layer)),
  ioredis: (url) => shared("RedisLayer", RedisLayer.layer({ url }))
}

export const run = async (own: Drivers = {}): Promise<void> => {
  const [driver = "", place = ""] = process.argv.slice(2)
  const registerTests = { ...ofAll, ...own }[driver]
  if (registerTests === undefined) throw new Error(`No such driver: ${driver}`)
  registerTests(place)
  process.stdout.write(JSON.stringify(await runTests()), () => process.exit())
}
